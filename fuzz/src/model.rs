//! The bytes of a model, ONNX or an archive of PyTorch, through everything that reads a network.

use cnnkit::export::yaml;

use super::everything::{analyses, check, draw, load};

/// Imports, analyses and checks the model, and writes it as a spec.
pub fn run(bytes: &[u8]) {
    check("net.onnx", bytes);
    let Some(network) = load("net.onnx", bytes) else { return };
    analyses(&network);
    if let Err(flaws) = yaml::write(&network.graph) {
        draw(&flaws, &network.sources);
    }
}
