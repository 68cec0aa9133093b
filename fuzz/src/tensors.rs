//! Arrays, pictures and weights that are given to `run`.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use cnnkit::exec::fast::Plan;
use cnnkit::exec::network::{Fill, Network as Weighted};
use cnnkit::formats::arrays;
use cnnkit::formats::pictures::{self, Normalize};
use cnnkit::{Network, Tensor};

const SPEC: &str = "input: [3, 8, 8]
layers:
  - {id: a, conv: {out_channels: 4, kernel: 3, padding: 1}}
  - {id: b, batch_norm: {}}
  - {id: c, linear: {out_features: 2}}
";

/// The endings of files, by the input's first byte.
const ENDINGS: [&str; 5] = ["npy", "npz", "safetensors", "png", "jpg"];

/// Writes the bytes behind the first one into a file, reads it, and runs a small network with it.
pub fn run(bytes: &[u8]) {
    static NETWORK: OnceLock<Network> = OnceLock::new();
    let Some((&first, bytes)) = bytes.split_first() else { return };
    let ending = ENDINGS[usize::from(first) % ENDINGS.len()];
    let file = File::new(ending, bytes);
    let network = NETWORK.get_or_init(|| Network::from_bytes("net.yaml", SPEC).expect("a valid spec"));
    match ending {
        "npz" | "safetensors" => {
            let mut weighted = Weighted::<f32>::seeded(&network.graph, 0, Fill::Declared).expect("small");
            let named = weighted.named().map(|(name, _, _, tensor)| (name, tensor.sizes().to_vec()));
            let Ok(weights) = arrays::read_wanted(&file.path, &named.collect()) else { return };
            if weighted.replace(weights).is_ok() {
                let inputs = [Tensor::zeros(&[1, 3, 8, 8])];
                let mut plan = Plan::new(&weighted, 1).expect("small");
                plan.run(&inputs, |_| ()).expect("what fits runs");
            }
        }
        "npy" => {
            if let Ok(tensor) = arrays::read_npy(&file.path) {
                let _ = network.run(&[tensor]);
            }
        }
        _ => {
            let shape = &network.graph.nodes()[0].shape;
            if let Ok(tensor) = pictures::read(&file.path, shape, Normalize::Imagenet) {
                network.run(&[tensor]).expect("a picture is made to fit");
            }
        }
    }
}

/// A file that is removed when it is no longer needed.
struct File {
    path: String,
}

impl File {
    fn new(ending: &str, bytes: &[u8]) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        // Memory, where there is a folder for it: thousands are written per second.
        let memory = PathBuf::from("/dev/shm");
        let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
        let path = folder.join(format!("cnnkit-fuzz-{}-{count}.{ending}", std::process::id()));
        std::fs::write(&path, bytes).expect("a temporary file");
        Self { path: path.to_string_lossy().into_owned() }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}
