//! Operators without a layer: the node is kept, with its parameters and its output's shape, and said to be not analysed.

use super::context::{Left, Lower, Tensor, Use, Value};
use crate::onnx::constant::Constant;
use crate::onnx::inline::title;
use crate::onnx::names::place;
use cnnkit_core::layers::Layer;
use cnnkit_core::layers::opaque::Opaque;

/// Most weights of one node that are kept apart; what is beyond is counted in the last.
pub const MAX_WEIGHTS: usize = cnnkit_core::layers::opaque::NAMES.len();

/// Operators whose output has the shape of their first input, whatever their settings.
const KEEPS_SHAPE: &[&str] = &[
    "Acos",
    "Acosh",
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "BitwiseNot",
    "Ceil",
    "Cosh",
    "CumSum",
    "Floor",
    "Hardmax",
    "IsInf",
    "IsNaN",
    "LogSoftmax",
    "LpNormalization",
    "MeanVarianceNormalization",
    "Not",
    "PRelu",
    "RMSNormalization",
    "Round",
    "Selu",
    "Shrink",
    "Sign",
    "Sinh",
    "Softmax",
    "Softsign",
    "Swish",
    "Tan",
    "ThresholdedRelu",
    "Trilu",
    "Cast",
    "Clip",
    "GroupNormalization",
    "InstanceNormalization",
    "LayerNormalization",
    "RotaryEmbedding",
];

/// Operators whose output has the shape that broadcasting their inputs gives.
const BROADCASTS: &[&str] = &[
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Pow",
    "Mod",
    "Min",
    "Max",
    "Sum",
    "Mean",
    "Where",
    "Equal",
    "Less",
    "LessOrEqual",
    "Greater",
    "GreaterOrEqual",
    "And",
    "Or",
    "Xor",
];

fn dims(value: &Value) -> Option<&[u64]> {
    match value {
        Value::Tensor(tensor) => Some(&tensor.dims),
        Value::Constant(constant) => Some(&constant.dims),
        Value::Unknown(_) => None,
    }
}

/// The sizes of output `index`, if they can be known: by the operator's rule, else as the file states them.
fn output_dims(lower: &Lower, used: Use<'_>, index: usize) -> Option<Vec<u64>> {
    let inputs: Vec<&Value> = (0..used.node.input.len())
        .filter(|&i| used.has(i))
        .filter_map(|i| lower.value(used, i).ok())
        .collect();
    let name = used.node.op_type.as_str();
    if index == 0 && KEEPS_SHAPE.contains(&name) {
        return dims(inputs.first()?).map(<[u64]>::to_vec);
    }
    if index == 0 && BROADCASTS.contains(&name) {
        let mut result: Vec<u64> = vec![];
        for input in &inputs {
            result = super::fold::broadcast(&result, dims(input)?).ok()?;
        }
        return Some(result);
    }
    if name == "Expand"
        && let Some(wanted) =
            lower.known_ints(used, 1).ok().and_then(|w| crate::onnx::constant::sizes(&w).ok())
    {
        return super::fold::broadcast(dims(inputs.first()?)?, &wanted).ok();
    }
    let stated = lower.stated.get(used.node.output.get(index)?)?;
    // The batch is the only size that may be open here: every other symbol would be a guess.
    let size = |(axis, size): (usize, &Option<u64>)| size.or((axis == 0).then_some(lower.batch));
    stated.iter().enumerate().map(size).collect()
}

/// The node as opaque layers, one for each of its outputs.
pub(super) fn opaque(lower: &mut Lower, used: Use<'_>, reason: &str) -> Vec<Value> {
    let mut inputs: Vec<usize> = Vec::new();
    let mut batch = None;
    let mut weights: Vec<Constant> = Vec::new();
    for index in (0..used.node.input.len()).filter(|&index| used.has(index)) {
        match lower.value(used, index) {
            Ok(Value::Tensor(tensor)) => {
                batch = batch.or(tensor.batch);
                if !inputs.contains(&tensor.draft) {
                    inputs.push(tensor.draft);
                }
            }
            Ok(Value::Constant(constant))
                if constant.root.is_some_and(|root| root < lower.initializers)
                    && is_weight(constant)
                    && constant.elements().is_ok_and(|count| count > 0) =>
            {
                weights.push(constant.clone());
            }
            _ => {}
        }
    }
    weights.truncate(MAX_WEIGHTS);
    let mut values = Vec::new();
    for index in 0..used.outputs().max(1) {
        if used.node.output.get(index).is_none_or(String::is_empty) && index > 0 {
            values.push(Value::Unknown("not wanted".into()));
            continue;
        }
        let known = output_dims(lower, used, index).filter(|dims| {
            cnnkit_core::shape::product(dims).is_some_and(|elements| elements > 0 && elements <= 1 << 48)
        });
        if known.is_none() {
            let reason = without_shape(reason);
            lower.left.push(Left { title: title(used.node), reason: reason.clone() });
            if weights.is_empty() || index > 0 {
                values.push(Value::Unknown(reason));
                continue;
            }
        }
        let dims = known.clone().unwrap_or_else(|| vec![lower.batch, 1]);
        let batch =
            batch.or(inputs.is_empty().then_some(0)).filter(|&axis| dims.get(axis) == Some(&lower.batch));
        let batch = batch.or((dims.first() == Some(&lower.batch) && dims.len() > 1).then_some(0));
        let shape = super::context::shape(&dims, batch);
        let layer = Layer::Opaque(Opaque {
            operator: used.node.op_type.clone(),
            shape: shape.sizes().to_vec(),
            weights: weights.iter().map(|weight| weight.dims.clone()).map(non_scalar).collect(),
            reason: reason.to_owned(),
        });
        let given = weights
            .iter()
            .map(|weight| {
                weight.changed(
                    crate::onnx::constant::Change::Reshape(non_scalar(weight.dims.clone())),
                    non_scalar(weight.dims.clone()),
                )
            })
            .collect();
        let draft = lower.drafts.len();
        lower.drafts.push(crate::onnx::ir::Draft {
            place: place(used.node),
            title: title(used.node),
            layer: Some(layer),
            inputs: inputs.clone(),
            shape,
            weights: given,
        });
        values.push(match known {
            Some(_) => Value::Tensor(Tensor { draft, dims, batch }),
            None => Value::Unknown(without_shape(reason)),
        });
    }
    values
}

/// The reason, and that the output's shape is not known; said once of a whole chain of nodes.
fn without_shape(reason: &str) -> String {
    const WORDS: &str = "; the shape of its output is not known";
    if reason.ends_with(WORDS) { reason.to_owned() } else { format!("{reason}{WORDS}") }
}

/// Whether a constant holds weights: numbers, or what 8 bits and less quantise. Wider integers are indices and sizes.
fn is_weight(constant: &Constant) -> bool {
    use crate::onnx::proto::DataType as D;
    let small = matches!(constant.data_type, D::Int8 | D::Uint8 | D::Int4 | D::Uint4 | D::Int2 | D::Uint2);
    let scalar = constant.elements().is_ok_and(|count| count <= 1);
    !constant.is_integer() || (small && !scalar)
}

/// A scalar as a list of one.
fn non_scalar(dims: Vec<u64>) -> Vec<u64> {
    if dims.is_empty() { vec![1] } else { dims }
}
