//! Models that ONNX Runtime saved for one processor (`com.microsoft.nchwc`): channels in blocks as wide as its vectors.
//! Operators are those that they were made of; a weight is the one whose blocks it holds. Channels that fill the last
//! block up are no channels of the network.

use super::context::{Flaw, Lower, Outcome, Use, Value};
use super::shapes::permuted;
use crate::onnx::constant::{Change, Constant};
use crate::onnx::proto::{AttributeProto, NodeProto};

/// A node of these operators as the one that it was made of.
pub(super) fn blocked(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let last = used.int("channels_last", 0) != 0;
    let plain = |node: NodeProto, lower: &mut Lower| {
        let opset = if used.opset > 0 { used.opset } else { super::context::LATEST };
        lower.outcome(Use { node: &node, opset })
    };
    match used.node.op_type.as_str() {
        "Conv" => convolution(lower, used),
        "MaxPool" | "AveragePool" | "GlobalMaxPool" | "GlobalAveragePool" => {
            plain(NodeProto { domain: String::new(), ..used.node.clone() }, lower)
        }
        "Upsample" => {
            let scales = used.ints("scales").unwrap_or_default();
            let floats = scales.iter().map(|&scale| scale as f32).collect();
            let mut attribute = used.node.attribute.clone();
            attribute.retain(|attribute| attribute.name != "scales");
            attribute.push(AttributeProto { name: "scales".into(), floats, ..AttributeProto::default() });
            attribute.push(AttributeProto {
                name: "nearest_mode".into(),
                s: Some("floor".into()),
                ..AttributeProto::default()
            });
            let node =
                NodeProto { domain: String::new(), op_type: "Resize".into(), attribute, ..used.node.clone() };
            lower.outcome(Use { node: &node, opset: super::context::LATEST })
        }
        "ReorderInput" | "ReorderOutput" => {
            let input = lower.tensor(used, 0)?;
            let rank = input.dims.len();
            if !last || rank < 3 {
                return Ok(vec![Value::Tensor(input)]);
            }
            // Channels stand last outside the blocks.
            let order: Vec<usize> = if used.node.op_type == "ReorderInput" {
                [0, rank - 1].into_iter().chain(1..rank - 1).collect()
            } else {
                std::iter::once(0).chain(2..rank).chain([1]).collect()
            };
            Ok(vec![Value::Tensor(permuted(lower, used, &input, &order)?)])
        }
        other => used.unsupported(format!("{other} in blocks of channels")),
    }
}

/// A convolution, a sum with another map, an activation.
fn convolution(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let weight = lower.constant(used, 1)?;
    let &[outputs, inputs, ..] = weight.dims.as_slice() else {
        return used.unsupported(format!("a weight of the sizes {:?}", weight.dims));
    };
    let channels = used.node.output.first().and_then(|name| lower.blocks.channels.get(name)).copied();
    let channels = channels.filter(|&channels| channels <= outputs).unwrap_or(outputs);
    let groups = u64::try_from(used.int("group", 1)).unwrap_or(1);
    let depthwise = inputs == 1 && groups == outputs && groups > 1;
    let blocks = lower.blocks.size;
    let split = !depthwise && blocks.is_none_or(|block| inputs >= block);
    let mut node =
        NodeProto { op_type: "FusedConv".into(), domain: "com.microsoft".into(), ..used.node.clone() };
    for index in [1, 2] {
        let Some(name) = node.input.get_mut(index).filter(|name| !name.is_empty()) else { continue };
        let constant = lower.constant(used, index)?;
        *name = format!("{name} in order for {}", used.node.output.first().map_or("", String::as_str));
        let restored = in_order(&constant, blocks, split, channels)?;
        lower.values.insert(name.clone(), Value::Constant(restored));
    }
    lower.outcome(Use { node: &node, ..used })
}

/// A stored weight or bias with its channels one after another, `channels` of them.
fn in_order(constant: &Constant, block: Option<u64>, inputs: bool, channels: u64) -> Result<Constant, Flaw> {
    let mut dims = constant.dims.clone();
    let whole = block.is_none_or(|block| dims[0].is_multiple_of(block));
    let split =
        !inputs || block.is_none_or(|block| dims.get(1).is_none_or(|size| size.is_multiple_of(block)));
    if !whole || !split {
        return Err(Flaw::Unsupported(format!("{dims:?} is not made of blocks of {}", block.unwrap_or(1))));
    }
    dims[0] = channels;
    // A list is in order whatever its blocks are.
    let block = if dims.len() == 1 { Some(1) } else { block };
    Ok(constant.changed(Change::Unblock { block, inputs, channels }, dims))
}
