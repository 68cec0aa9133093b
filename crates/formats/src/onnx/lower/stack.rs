//! Maps that are stacked where the batch stands: frames, crops, the sources of a mixture, the maps of a pyramid.
//!
//! A file for one image may fold another axis into the batch. Operators that treat each map of the batch by itself then
//! treat each map of the stack by itself: where windows slide, the stack is one more axis of space on which they have one
//! tap; other operators are repeated for each map, with the same weights.

use super::context::{Lower, Outcome, Tensor, Use, Value};
use super::shapes::permuted;
use super::slice_concat::{Part, taken};
use crate::onnx::constant::{Change, Constant};
use crate::onnx::proto::NodeProto;
use cnnkit_core::layers::Layer;
use cnnkit_core::layers::concat::Concat;
use cnnkit_core::layers::reduce::{Reduce, Reduction};

/// Operators for which the stack becomes an axis of space.
const AS_SPACE: &[&str] = &["Conv", "ConvTranspose", "MaxPool", "AveragePool", "BatchNormalization", "PRelu"];

/// Operators that are repeated for each map.
const FOR_EACH: &[&str] = &[
    "InstanceNormalization",
    "GroupNormalization",
    "LRN",
    "Resize",
    "Upsample",
    "DepthToSpace",
    "SpaceToDepth",
    "DeformConv",
];

/// Most maps for which an operator is repeated.
const MOST: u64 = 64;

/// How an operator is lowered.
type Rule = fn(&mut Lower, Use<'_>) -> Outcome;

/// The node's outcome if its input is a stack of maps; none if it is not, or if the node does not mind.
pub(super) fn of_maps(lower: &mut Lower, used: Use<'_>, rule: Rule) -> Option<Outcome> {
    let name = used.node.op_type.as_str();
    let global = matches!(name, "GlobalAveragePool" | "GlobalMaxPool");
    if !(AS_SPACE.contains(&name) || FOR_EACH.contains(&name) || global) {
        return None;
    }
    let Ok(Value::Tensor(tensor)) = lower.value(used, 0) else { return None };
    let tensor = tensor.clone();
    let stacked = lower.batch == 1 && tensor.batch.is_none() && tensor.dims.len() > 1 && tensor.dims[0] > 1;
    if !stacked || lower.is_whole(tensor.draft) || (name == "PRelu" && single(lower, used)) {
        return None;
    }
    if global {
        return Some(reduced(lower, used, &tensor));
    }
    let space = tensor.dims.len() - 2;
    let plain = matches!(lower.value(used, 1), Ok(Value::Constant(_)) | Err(_));
    if AS_SPACE.contains(&name) && space < 3 && plain {
        return Some(as_space(lower, used, rule, &tensor));
    }
    Some(for_each(lower, used, rule, &tensor))
}

/// Whether a PReLU has one slope: it is the same for every layout.
fn single(lower: &Lower, used: Use<'_>) -> bool {
    matches!(lower.value(used, 1), Ok(Value::Constant(slope)) if slope.elements().is_ok_and(|count| count == 1))
}

/// The stack as the first axis of space: `[N, C, ...]` as the image `[C, N, ...]`.
fn as_space(lower: &mut Lower, used: Use<'_>, rule: Rule, tensor: &Tensor) -> Outcome {
    let mut order: Vec<usize> = (0..tensor.dims.len()).collect();
    order.swap(0, 1);
    let turned = permuted(lower, used, tensor, &order)?;
    let image = lower.viewed(used, &turned, &[&[1], turned.dims.as_slice()].concat(), Some(0))?;
    let mut node = used.node.clone();
    let space = tensor.dims.len() - 2;
    for attribute in &mut node.attribute {
        let list = &mut attribute.ints;
        match attribute.name.as_str() {
            "kernel_shape" | "strides" | "dilations" if list.len() == space => list.insert(0, 1),
            "output_padding" if list.len() == space => list.insert(0, 0),
            "pads" if list.len() == 2 * space => {
                list.insert(space, 0);
                list.insert(0, 0);
            }
            "output_shape" if list.len() >= space && !list.is_empty() => {
                let place = list.len() - space;
                list.insert(place, i64::try_from(tensor.dims[0]).unwrap_or(i64::MAX));
            }
            _ => {}
        }
    }
    substituted(lower, &mut node, 0, Value::Tensor(image));
    if let ("Conv" | "ConvTranspose" | "PRelu", Ok(Value::Constant(weight))) =
        (used.node.op_type.as_str(), lower.value(used, 1))
    {
        let wide = with_axis(weight, space, used.node.op_type == "PRelu");
        substituted(lower, &mut node, 1, Value::Constant(wide));
    }
    let values = rule(lower, Use { node: &node, opset: used.opset })?;
    let mut result = Vec::with_capacity(values.len());
    for value in values {
        let Value::Tensor(made) = value else {
            result.push(value);
            continue;
        };
        let open = lower.viewed(used, &made, &made.dims[1..], None)?;
        result.push(Value::Tensor(permuted(lower, used, &open, &order)?));
    }
    Ok(result)
}

/// A kernel with one tap along one more axis before its `space` axes; slopes with one more axis at the end.
fn with_axis(weight: &Constant, space: usize, behind: bool) -> Constant {
    let mut dims = weight.dims.clone();
    let place = if behind { dims.len() } else { dims.len().saturating_sub(space) };
    dims.insert(place, 1);
    weight.changed(Change::Reshape(dims.clone()), dims)
}

/// Each map by itself, and all results one behind the other.
fn for_each(lower: &mut Lower, used: Use<'_>, rule: Rule, tensor: &Tensor) -> Outcome {
    let count = tensor.dims[0];
    if count > MOST {
        return used.unsupported(format!("a stack of {count} maps in the place of the batch"));
    }
    let mut parts = Vec::new();
    for first in 0..count {
        let part =
            taken(lower, used, &Value::Tensor(tensor.clone()), Part { axis: 0, first, count: 1, step: 1 })?;
        let Value::Tensor(map) = part else { return used.unsupported("a stack of constants") };
        let image = lower.viewed(used, &map, &map.dims.clone(), Some(0))?;
        let mut node = used.node.clone();
        substituted(lower, &mut node, 0, Value::Tensor(image));
        let made = rule(lower, Use { node: &node, opset: used.opset })?;
        let Some(Value::Tensor(made)) = made.into_iter().next() else {
            return used.unsupported("a stack of maps in the place of the batch");
        };
        parts.push(lower.viewed(used, &made, &made.dims.clone(), None)?);
    }
    let parts: Vec<&Tensor> = parts.iter().collect();
    Ok(vec![Value::Tensor(lower.emit(used, Layer::Concat(Concat { axis: 0 }), &parts, vec![], None)?)])
}

/// A pool over all of space.
fn reduced(lower: &mut Lower, used: Use<'_>, tensor: &Tensor) -> Outcome {
    let mean = used.node.op_type == "GlobalAveragePool";
    let layer = Layer::Reduce(Reduce {
        reduction: if mean { Reduction::Mean } else { Reduction::Max },
        axes: (2..tensor.dims.len() as u64).collect(),
        keepdim: true,
    });
    lower.simple(used, layer, tensor)
}

/// Lets input `index` of `node` be `value`.
fn substituted(lower: &mut Lower, node: &mut NodeProto, index: usize, value: Value) {
    let output = node.output.first().map_or("", String::as_str);
    let name = format!("{output} input {index} of a stack");
    lower.values.insert(name.clone(), value);
    node.input[index] = name;
}
