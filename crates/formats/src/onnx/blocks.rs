//! Blocks of channels: how wide they are in a model that ONNX Runtime saved for one processor, and which channels only fill
//! the last one up.

use std::collections::HashMap;

use super::constant::sizes;
use super::inline::Item;
use super::proto::{NodeProto, TensorProto};

/// The domain of operators on blocks.
pub const DOMAIN: &str = "com.microsoft.nchwc";

/// Block sizes that ONNX Runtime uses: vectors of 8 and of 16 numbers.
const BLOCKS: [u64; 2] = [8, 16];

/// What the nodes of a model say about its blocks.
#[derive(Debug, Default)]
pub struct Blocks {
    /// Channels in a block; none if the model does not say.
    pub size: Option<u64>,
    /// Output channels of convolutions, by the name of what they make, where blocks are filled up.
    pub channels: HashMap<String, u64>,
}

/// Reads from all nodes how wide blocks are.
pub fn survey(items: &[Item], stored: &[TensorProto]) -> Blocks {
    let nodes = || items.iter().map(|item| &item.node).filter(|node| node.domain == DOMAIN);
    if nodes().next().is_none() {
        return Blocks::default();
    }
    let makers: HashMap<&str, &NodeProto> = items
        .iter()
        .flat_map(|item| item.node.output.iter().map(move |output| (output.as_str(), &item.node)))
        .collect();
    let mut channels: HashMap<String, u64> = HashMap::new();
    for node in nodes().filter(|node| node.op_type == "ReorderOutput") {
        let Some(wanted) = number(node, "channels").and_then(|count| u64::try_from(count).ok()) else {
            continue;
        };
        let mut stack: Vec<&str> = node.input.iter().take(1).map(String::as_str).collect();
        let mut left = items.len();
        while let Some(name) = stack.pop() {
            let Some(maker) = makers.get(name).filter(|_| left > 0) else { continue };
            left -= 1;
            match (maker.domain == DOMAIN, maker.op_type.as_str()) {
                (true, "Conv") => {
                    channels.insert(name.to_owned(), wanted);
                    stack.extend(maker.input.get(3).map(String::as_str));
                }
                // Channels change here.
                (true, "ReorderInput" | "ReorderOutput") | (false, "Concat") => {}
                _ => stack.extend(maker.input.iter().map(String::as_str)),
            }
        }
    }
    let weights: HashMap<&str, Vec<u64>> =
        stored.iter().filter_map(|tensor| Some((tensor.name.as_str(), sizes(&tensor.dims).ok()?))).collect();
    let fits = |block: u64| {
        nodes().filter(|node| node.op_type == "Conv").all(|node| {
            let Some(&[outputs, inputs, ..]) =
                node.input.get(1).and_then(|name| weights.get(name.as_str())).map(Vec::as_slice)
            else {
                return true;
            };
            let own = node.output.first().and_then(|name| channels.get(name)).copied().unwrap_or(outputs);
            let grouped = number(node, "group").is_some_and(|group| group > 1);
            let from = node.input.first().and_then(|name| makers.get(name.as_str()));
            // What is read in blocks was made by one of these operators, or by an operator between them.
            let plain = from.is_none_or(|maker| maker.op_type == "ReorderOutput");
            let read = grouped
                || if plain { inputs < block } else { inputs.is_multiple_of(block) || inputs < block };
            own.next_multiple_of(block) == outputs && read
        })
    };
    let possible: Vec<u64> = BLOCKS.into_iter().filter(|&block| fits(block)).collect();
    let size = if let [only] = possible.as_slice() { Some(*only) } else { None };
    Blocks { size, channels }
}

fn number(node: &NodeProto, name: &str) -> Option<i64> {
    node.attribute.iter().find(|attribute| attribute.name == name)?.i
}
