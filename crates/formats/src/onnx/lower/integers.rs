//! Whole numbers among the values of a network: inputs of integers, and what QuantizeLinear makes. Layers compute with real
//! numbers, so only operators that move elements, compare them, or say what they stand for may read such values.

use super::context::{Lower, Use, Value};
use crate::onnx::quantisation::Quantised;

/// Operators whose output has the elements of their first input, in another order or a part of them.
const MOVES: &[&str] = &[
    "Concat",
    "DepthToSpace",
    "Dropout",
    "Expand",
    "Flatten",
    "Gather",
    "GatherElements",
    "GatherND",
    "Identity",
    "MaxPool",
    "Reshape",
    "Slice",
    "SpaceToDepth",
    "Split",
    "Squeeze",
    "Tile",
    "Transpose",
    "Unsqueeze",
];

/// Further operators that are right on integers as they are: what they give is one of their operands.
const CHOICES: &[&str] = &[
    "Clip",
    "GlobalMaxPool",
    "If",
    "Max",
    "Min",
    "Pad",
    "ReduceMax",
    "ReduceMin",
    "Relu",
    "Shape",
    "Size",
    "Where",
];

/// Operators that read whole numbers for what they stand for.
const READERS: &[&str] = &[
    "Cast",
    "CastLike",
    "ConvInteger",
    "DequantizeLinear",
    "MatMulInteger",
    "QLinearConv",
    "QLinearMatMul",
    "QuantizeLinear",
];

/// Why the operator cannot compute with an operand of whole numbers; none if it can, or there is none.
pub(super) fn refused(lower: &Lower, used: Use<'_>) -> Option<String> {
    let operator = used.node.op_type.as_str();
    let quantised = |name: &String| lower.quantised.get(name);
    if operator == "Concat"
        && !used.node.input.windows(2).all(|pair| quantised(&pair[0]) == quantised(&pair[1]))
    {
        return Some("numbers of different scales, joined".into());
    }
    let nearest =
        matches!(operator, "Resize" | "Upsample") && used.text("mode").unwrap_or("nearest") == "nearest";
    if MOVES.contains(&operator) || READERS.contains(&operator) && !operator.starts_with("Cast") {
        return None;
    }
    for name in used.node.input.iter().filter(|name| !name.is_empty()) {
        // A ReLU of numbers whose 0 is 0 is a ReLU.
        let symmetric = |quantised: &Quantised| quantised.zero == 0.0 && operator == "Relu";
        if lower.quantised.get(name).is_some_and(|quantised| !nearest && !symmetric(quantised)) {
            return Some("arithmetic of quantised numbers as they are".into());
        }
        let whole =
            matches!(lower.values.get(name), Some(Value::Tensor(tensor)) if lower.is_whole(tensor.draft));
        if whole && !nearest && !READERS.contains(&operator) && !CHOICES.contains(&operator) {
            return Some("arithmetic of whole numbers, which wraps or rounds".into());
        }
    }
    None
}

/// The quantised numbers that the node passes on, under the names of its outputs.
pub(super) fn passed_on(lower: &mut Lower, used: Use<'_>) {
    let operator = used.node.op_type.as_str();
    let first = used.node.input.first().and_then(|name| lower.quantised.get(name).copied());
    let moves = MOVES.contains(&operator) || matches!(operator, "Relu" | "Resize" | "Upsample");
    if let Some(quantised) = first.filter(|_| moves) {
        for name in used.node.output.iter().filter(|name| !name.is_empty()) {
            lower.quantised.insert(name.clone(), quantised);
        }
    }
}
