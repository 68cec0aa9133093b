//! The text of a spec, through everything that reads a network.

use cnnkit::Network;
use cnnkit::export::{onnx, pytorch, same, yaml};

use super::everything::{analyses, check, draw, load};

/// Loads, analyses, checks and exports the spec.
pub fn run(bytes: &[u8]) {
    check("net.yaml", bytes);
    let Some(network) = load("net.yaml", bytes) else { return };
    analyses(&network);
    let graph = &network.graph;
    match yaml::write(graph) {
        Ok(text) => {
            let again = Network::from_bytes("again.yaml", text.as_bytes());
            let again = again.unwrap_or_else(|error| panic!("what is written is no spec: {error}\n{text}"));
            let difference = same::difference(graph, &again.graph);
            assert!(difference.is_none(), "what is written is another network: {difference:?}\n{text}");
        }
        Err(flaws) => draw(&flaws, &network.sources),
    }
    if let Err(flaws) = pytorch::write(graph) {
        draw(&flaws, &network.sources);
    }
    let options =
        onnx::Options { opset: onnx::NEWEST, batch: None, weights_file: Some("net.onnx.data".to_owned()) };
    match onnx::write(graph, None, &options) {
        Ok(model) => drop(Network::from_bytes("net.onnx", model.bytes())),
        Err(flaws) => draw(&flaws, &network.sources),
    }
}
