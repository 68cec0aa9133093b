//! Inputs whose channels come last in the file (tf2onnx): where nothing but transpositions to channels first reads them, the
//! network begins behind those, so that its figures are those of the image's axes.

use super::inline::reads;
use super::proto::{GraphProto, NodeProto, ValueInfoProto};

/// Moves the channels of such inputs to the front and leaves out the transpositions; returns the inputs' names.
pub(super) fn moved(graph: &mut GraphProto) -> Vec<String> {
    let names: Vec<String> =
        graph.input.iter().filter(|input| is_map(input)).map(|input| input.name.clone()).collect();
    let mut found = Vec::new();
    for name in names {
        let of_graph = |value: &str| graph.output.iter().any(|output| output.name == value);
        let readers: Vec<&NodeProto> =
            graph.node.iter().filter(|node| reads(node).contains(&name.as_str())).collect();
        let given: Vec<String> = readers.iter().filter_map(|node| node.output.first().cloned()).collect();
        let plain = readers.iter().all(|node| to_front(node)) && !given.iter().any(|value| of_graph(value));
        // Branches keep the names of what they read.
        let inside = |node: &NodeProto| {
            let own = |read: &&str| node.input.iter().any(|input| input == read);
            reads(node).iter().any(|read| given.iter().any(|value| value == read) && !own(read))
        };
        // Two axes change places in either direction: what reads them states which is the channels'.
        let two = readers.iter().any(|node| order(node).is_some_and(|order| order.len() == 3));
        let images = |value: &String| {
            graph.node.iter().any(|node| of_images(node) && node.input.first() == Some(value))
        };
        let ambiguous = two && !given.iter().any(images);
        if readers.is_empty() || !plain || ambiguous || of_graph(&name) || graph.node.iter().any(inside) {
            continue;
        }
        graph.node.retain(|node| !(to_front(node) && node.input.first() == Some(&name)));
        for read in graph.node.iter_mut().flat_map(|node| node.input.iter_mut()) {
            if given.contains(read) {
                read.clone_from(&name);
            }
        }
        for input in graph.input.iter_mut().filter(|input| input.name == name) {
            let shape = input.r#type.as_mut().and_then(|kind| kind.tensor_type.as_mut()?.shape.as_mut());
            if let Some(shape) = shape {
                shape.dim[1..].rotate_right(1);
            }
        }
        found.push(name);
    }
    found
}

/// Whether an input has a batch, space and channels.
fn is_map(input: &ValueInfoProto) -> bool {
    let shape = input.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref()?.shape.as_ref());
    shape.is_some_and(|shape| (3..=5).contains(&shape.dim.len()))
}

/// Returns the order in which a transposition puts the axes, if it is stated.
fn order(node: &NodeProto) -> Option<&[i64]> {
    node.attribute.iter().find(|attribute| attribute.name == "perm").map(|a| a.ints.as_slice())
}

/// Whether a node reads the channels of its input from the axis behind the batch.
fn of_images(node: &NodeProto) -> bool {
    let parts = ["Conv", "Pool", "Pad", "InstanceNormalization", "BatchNormalization"];
    parts.iter().any(|part| node.op_type.contains(part))
}

/// Whether a node moves the last axis behind the batch.
fn to_front(node: &NodeProto) -> bool {
    let Some([0, rest @ ..]) = order(node) else { return false };
    let last = rest.len() as i64;
    let front = rest.first() == Some(&last) && rest[1..].iter().copied().eq(1..last);
    node.op_type == "Transpose" && node.domain.is_empty() && rest.len() > 1 && front
}
