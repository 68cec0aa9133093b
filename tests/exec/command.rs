//! `cnnkit run`: what it reads, writes, prints and rejects.

use std::path::{Path, PathBuf};
use std::process::Command;

use cnnkit::exec::tensor::Tensor;
use cnnkit::formats::arrays;
use serde_json::Value;

/// Arguments, and files in a folder of the test's own.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("cnnkit-run-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        Self(folder)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("a plain path").to_owned()
    }

    fn spec(&self, text: &str) -> String {
        let path = self.file("net.yaml");
        std::fs::write(&path, text).expect("written");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Exit status, what was printed, and the errors.
fn cnnkit(args: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_cnnkit")).args(args).output().expect("it starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

fn json(args: &[&str]) -> Value {
    let (status, out, errors) = cnnkit(&[args, &["--format", "json"]].concat());
    assert_eq!(status, 0, "{args:?}: {errors}");
    serde_json::from_str(&out).expect("JSON")
}

const NET: &str = "{input: [3, 8, 8], layers: [
  conv: {out_channels: 12, kernel: 3, padding: 1}, batch_norm, relu, global_avg_pool, linear: {out_features: 10}]}";

#[test]
fn outputs_are_the_same_with_all_kernels_and_threads() {
    let folder = Folder::new("same");
    let spec = folder.spec(NET);
    let output = |name: &str, args: &[&str]| {
        let path = folder.file(name);
        let (status, _, errors) = cnnkit(&[&["run", &spec, "--batch", "3", "-o", &path], args].concat());
        assert_eq!(status, 0, "{errors}");
        arrays::read_npy(&path).expect("it was written")
    };
    let one = output("one.npy", &["--threads", "1"]);
    assert_eq!(one.sizes(), [3, 10]);
    assert_eq!(one, output("three.npy", &["--threads", "3", "--repeat", "3"]));
    let defined = output("defined.npy", &["--kernels", "definition"]);
    assert!(one.data().iter().zip(defined.data()).all(|(a, b)| (a - b).abs() < 1e-5));
    assert_ne!(one, output("other.npy", &["--seed", "1"]));
}

#[test]
fn inputs_are_read_from_files() {
    let folder = Folder::new("inputs");
    let spec = folder.spec("{input: [3, 2, 4], layers: [identity]}");
    let (from, to) = (folder.file("in.npy"), folder.file("out.npy"));
    let tensor = Tensor::from_fn(&[3, 2, 4], |i| i as f32);
    arrays::write_npy(&from, &tensor).expect("written");
    // Without a batch axis it is one image, repeated for a larger batch.
    let (status, _, errors) = cnnkit(&["run", &spec, "--input", &from, "--batch", "2", "-o", &to]);
    assert_eq!(status, 0, "{errors}");
    let found = arrays::read_npy(&to).expect("it was written");
    assert_eq!((found.sizes(), found.image(1)), (&[2, 3, 2, 4][..], tensor.data()));

    // A picture of one colour keeps it at any size: red 51 of 255 is 0.2.
    let picture = folder.file("red.png");
    png(&picture, 5, 7, [51, 102, 255]);
    let (status, _, errors) = cnnkit(&["run", &spec, "--input", &picture, "-o", &to]);
    assert_eq!(status, 0, "{errors}");
    let found = arrays::read_npy(&to).expect("it was written");
    for (plane, value) in found.data().chunks(8).zip([0.2, 0.4, 1.0]) {
        assert!(plane.iter().all(|x| (x - value).abs() < 1e-6), "{plane:?} is not {value}");
    }
    let (status, _, errors) =
        cnnkit(&["run", &spec, "--input", &picture, "--normalize", "imagenet", "-o", &to]);
    assert_eq!(status, 0, "{errors}");
    let found = arrays::read_npy(&to).expect("it was written");
    assert!((found.data()[0] - (0.2 - 0.485) / 0.229).abs() < 1e-5);
    // Grey: 0.299 R + 0.587 G + 0.114 B. A shape and a file together.
    let (status, _, errors) = cnnkit(&["run", &spec, "--input", "1,3,3", "--input", &picture, "-o", &to]);
    assert_eq!(status, 0, "{errors}");
    let found = arrays::read_npy(&to).expect("it was written");
    assert_eq!(found.sizes(), [1, 1, 3, 3]);
    assert!((found.data()[4] - (0.299 * 0.2 + 0.587 * 0.4 + 0.114)).abs() < 1e-5);
}

/// A picture of one colour.
fn png(path: &str, width: u32, height: u32, colour: [u8; 3]) {
    let file = std::fs::File::create(path).expect("a file");
    let mut encoder = png::Encoder::new(file, width, height);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().expect("written");
    writer.write_image_data(&colour.repeat((width * height) as usize)).expect("written");
}

#[test]
fn several_inputs_and_outputs_have_names() {
    let folder = Folder::new("names");
    let spec = folder.spec(
        "{input: {a: [1, 3], b: [1, 3]}, layers: [{add: {}, from: [a, b], id: sum}, {relu: {}, id: act}], outputs: [sum, act]}",
    );
    let (from, to) = (folder.file("b.npy"), folder.file("out.npz"));
    arrays::write_npy(&from, &Tensor::from_fn(&[1, 3], |_| -50.0)).expect("written");
    let (status, _, errors) = cnnkit(&["run", &spec, "--input", &format!("b={from}"), "-o", &to]);
    assert_eq!(status, 0, "{errors}");
    let found = arrays::read_weights(&to).expect("it was written");
    assert!(found["sum"].data().iter().all(|x| (-60.0..-40.0).contains(x)));
    assert!(found["act"].data().iter().all(|x| *x == 0.0));
    let (status, _, errors) = cnnkit(&["run", &spec, "-o", &folder.file("out.npy")]);
    assert_eq!(status, 2);
    assert!(errors.contains("the network has 2 outputs") && errors.contains(".npz"), "{errors}");
    let (status, _, errors) = cnnkit(&["run", &spec, "--input", &format!("c={from}")]);
    assert_eq!(status, 2);
    assert!(errors.contains("there is no input `c`"), "{errors}");
}

#[test]
fn what_cannot_be_read_is_said() {
    let folder = Folder::new("errors");
    let spec = folder.spec(NET);
    let text = folder.file("text.png");
    std::fs::write(&text, "not a picture").expect("written");
    let wrong = folder.file("wrong.npy");
    arrays::write_npy(&wrong, &Tensor::from_fn(&[3, 4, 4], |_| 0.0)).expect("written");
    let deep = folder.file("deep.yaml");
    std::fs::write(&deep, "{input: [4, 8], layers: [relu]}").expect("written");
    let picture = folder.file("red.png");
    png(&picture, 2, 2, [255, 0, 0]);
    let missing = folder.file("no.jpg");
    for (args, message) in [
        (vec!["--input", "image"], "neither an input shape nor a file"),
        (vec!["--input", &missing], "cannot read"),
        (vec!["--input", &text], "cannot read"),
        (vec!["--input", &wrong], "has the sizes [3, 4, 4], the input is [3, 8, 8]"),
        (vec!["--input", ""], "expected a shape"),
        (vec!["--input", "3,x"], "neither an input shape nor a file"),
        (vec!["--threads", "0"], "0"),
        (vec!["--kernels", "magic"], "magic"),
        (vec!["--weights", &wrong], "neither .npz nor .safetensors"),
    ] {
        let (status, out, errors) = cnnkit(&[&["run", &spec], args.as_slice()].concat());
        assert_eq!(status, 2, "{args:?}: {out}");
        assert!(errors.contains(message), "{args:?}: {errors}");
    }
    let (status, _, errors) = cnnkit(&["run", &deep, "--input", &picture]);
    assert_eq!(status, 2);
    assert!(errors.contains("does not fit the input [4, 8]"), "{errors}");
    assert!(Path::new(&spec).exists());
}

#[test]
fn the_report_says_what_was_measured() {
    let folder = Folder::new("report");
    let spec = folder.spec(NET);
    let report = json(&["run", &spec, "--repeat", "4", "--threads", "2", "--batch", "2"]);
    assert_eq!(report["macs"]["measured"], report["macs"]["predicted"]);
    assert_eq!(report["seconds"].as_array().map(Vec::len), Some(4));
    assert_eq!((report["kernels"].as_str(), report["threads"].as_u64()), (Some("fast"), Some(2)));
    let layers = report["layers"].as_array().expect("layers");
    assert_eq!(layers.len(), 5);
    let with: Vec<bool> = layers.iter().map(|layer| layer["with"].is_string()).collect();
    assert_eq!(with, [false, true, true, false, false]);
    assert!(report["memory"]["peak"]["measured"].as_u64() <= report["memory"]["peak"]["predicted"].as_u64());
    let defined = json(&["run", &spec, "--kernels", "definition", "--batch", "2"]);
    assert_eq!(defined["macs"]["measured"], report["macs"]["measured"]);
    assert_eq!(defined["memory"]["peak"]["measured"], defined["memory"]["peak"]["predicted"]);
    // Ten outputs in a row may be scores of classes.
    let (_, out, _) = cnnkit(&["run", &spec, "--profile"]);
    assert!(out.contains("softmax") && out.contains("GFLOP/s"), "{out}");
}
