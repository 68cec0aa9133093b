//! Output shapes of nodes without a layer: by the operator's rule, else as the file states them. With a rule,
//! a node that is not analysed affects only its own figures, not those of the nodes after it.

mod fused;
mod moves;
mod reductions;
mod windows;

use super::context::{Lower, Use, Value};
use super::elements::broadcast;
use cnnkit_core::layers::onnx_operators;

/// A node whose output shapes are requested.
#[derive(Clone, Copy)]
struct Asked<'a> {
    lower: &'a Lower,
    used: Use<'a>,
}

impl Asked<'_> {
    fn operator(&self) -> &str {
        &self.used.node.op_type
    }

    /// Returns the sizes of input `index`, if it is given and its shape is known.
    fn dims(&self, index: usize) -> Option<Vec<u64>> {
        match self.lower.values.get(self.used.node.input.get(index)?)? {
            Value::Tensor(tensor) => Some(tensor.dims.clone()),
            Value::Constant(constant) => Some(constant.dims.clone()),
            Value::Unknown(_) => None,
        }
    }

    /// Returns the known integers of input `index`.
    fn ints(&self, index: usize) -> Option<Vec<i64>> {
        self.lower.known_ints(self.used, index).ok()
    }

    /// Returns the known sizes in input `index`.
    fn sizes(&self, index: usize) -> Option<Vec<u64>> {
        crate::onnx::constant::sizes(&self.ints(index)?).ok()
    }

    /// Returns integers that are an attribute or input `index`; `Some(None)` if neither is given, none if
    /// they are unknown.
    fn setting(&self, name: &str, index: usize) -> Option<Option<Vec<i64>>> {
        self.lower.setting(self.used, name, index).ok()
    }

    /// Resolves an axis that may count from the end.
    fn axis(&self, axis: i64, rank: usize) -> Option<usize> {
        self.used.axis(axis, rank).ok()
    }

    /// Returns the axis of an attribute.
    fn axis_of(&self, name: &str, default: i64, rank: usize) -> Option<usize> {
        self.axis(self.used.int(name, default), rank)
    }

    /// Returns a natural number of an attribute.
    fn number(&self, name: &str) -> Option<u64> {
        u64::try_from(self.used.attribute(name)?.i?).ok()
    }

    /// Returns the shape to which all inputs broadcast.
    fn joined(&self) -> Option<Vec<u64>> {
        let mut result: Vec<u64> = vec![];
        for index in (0..self.used.node.input.len()).filter(|&index| self.used.has(index)) {
            result = broadcast(&result, &self.dims(index)?).ok()?;
        }
        Some(result)
    }
}

/// Returns the sizes of output `index`, if they can be determined.
pub(super) fn output_shape(lower: &Lower, used: Use<'_>, index: usize) -> Option<Vec<u64>> {
    by_rule(Asked { lower, used }, index).or_else(|| stated(lower, used, index))
}

/// Returns the sizes that the file states.
fn stated(lower: &Lower, used: Use<'_>, index: usize) -> Option<Vec<u64>> {
    let stated = lower.stated.get(used.node.output.get(index)?)?;
    // Only the batch may be an open size here: any other symbol would have to be guessed.
    let size = |(axis, size): (usize, &Option<u64>)| size.or((axis == 0).then_some(lower.batch));
    stated.iter().enumerate().map(size).collect()
}

fn by_rule(node: Asked<'_>, index: usize) -> Option<Vec<u64>> {
    if !matches!(
        node.used.node.domain.as_str(),
        "" | "ai.onnx" | "com.microsoft" | "com.microsoft.nchwc" | "com.ms.internal.nhwc"
    ) {
        return None;
    }
    if let Some(dims) = fused::shape(node, index) {
        return Some(dims);
    }
    if index > 0 {
        return further(node, index);
    }
    let name = node.operator();
    if KEEPS_SHAPE.contains(&name) || onnx_operators().any(|function| function == name) {
        return node.dims(0);
    }
    if BROADCASTS.contains(&name) {
        return node.joined();
    }
    windows::shape(node).or_else(|| reductions::shape(node)).or_else(|| moves::shape(node))
}

/// Returns the sizes of an output after the first.
fn further(node: Asked<'_>, index: usize) -> Option<Vec<u64>> {
    match (node.operator(), index) {
        ("MaxPool", 1) => windows::shape(node),
        ("TopK", 1) => reductions::shape(node),
        ("Split", _) => moves::part(node, index),
        ("BatchNormalization", _) => Some(vec![*node.dims(0)?.get(1)?]),
        ("Dropout", 1) => node.dims(0),
        ("DynamicQuantizeLinear", _) => Some(vec![]),
        ("SimplifiedLayerNormalization", 1)
        | ("LayerNormalization" | "SkipLayerNormalization" | "SkipSimplifiedLayerNormalization", 1 | 2) => {
            let mut dims = node.dims(0)?;
            let first = node.axis_of("axis", -1, dims.len())?;
            dims[first..].fill(1);
            Some(dims)
        }
        _ => None,
    }
}

/// Operators whose output has the shape of their first input, for any settings, in addition to those that are
/// pointwise layers.
const KEEPS_SHAPE: &[&str] = &[
    "Abs",
    "Acos",
    "Acosh",
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "BatchNormalization",
    "Bernoulli",
    "BitwiseNot",
    "Cast",
    "CastLike",
    "Ceil",
    "Clip",
    "Cos",
    "Cosh",
    "CumSum",
    "CumProd",
    "DequantizeLinear",
    "Dropout",
    "DynamicQuantizeLinear",
    "Elu",
    "Erf",
    "Exp",
    "EyeLike",
    "Floor",
    "Gelu",
    "GroupNormalization",
    "HardSigmoid",
    "HardSwish",
    "Hardmax",
    "Identity",
    "InstanceNormalization",
    "IsInf",
    "IsNaN",
    "LRN",
    "LayerNormalization",
    "LeakyRelu",
    "Log",
    "LogSoftmax",
    "LpNormalization",
    "MeanVarianceNormalization",
    "Mish",
    "Neg",
    "Not",
    "PRelu",
    "QuantizeLinear",
    "RMSNormalization",
    "RandomNormalLike",
    "RandomUniformLike",
    "Reciprocal",
    "Relu",
    "ReverseSequence",
    "RotaryEmbedding",
    "Round",
    "Scatter",
    "ScatterElements",
    "ScatterND",
    "Selu",
    "Shrink",
    "Sigmoid",
    "Sign",
    "Sin",
    "Sinh",
    "Softmax",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Swish",
    "Tan",
    "Tanh",
    "TensorScatter",
    "ThresholdedRelu",
    "Trilu",
];

/// Operators whose output has the broadcast shape of their inputs.
const BROADCASTS: &[&str] = &[
    "Add",
    "And",
    "BitShift",
    "BitwiseAnd",
    "BitwiseOr",
    "BitwiseXor",
    "Div",
    "Equal",
    "Greater",
    "GreaterOrEqual",
    "Less",
    "LessOrEqual",
    "Max",
    "Mean",
    "Min",
    "Mod",
    "Mul",
    "Or",
    "Pow",
    "Sub",
    "Sum",
    "Where",
    "Xor",
];
