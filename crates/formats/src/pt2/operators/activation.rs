//! Functions of one number, and softmax.

use super::super::messages::{float, int, text};
use super::call::{Call, Outcome, Unsupported, one, unsupported};

/// Functions that have an operator of ONNX without settings.
const PLAIN: &[(&str, &str)] = &[
    ("relu", "Relu"),
    ("sigmoid", "Sigmoid"),
    ("tanh", "Tanh"),
    ("hardswish", "HardSwish"),
    ("mish", "Mish"),
    ("selu", "Selu"),
    ("silu", "Swish"),
    ("exp", "Exp"),
    ("log", "Log"),
    ("sqrt", "Sqrt"),
    ("abs", "Abs"),
    ("absolute", "Abs"),
    ("erf", "Erf"),
    ("special_erf", "Erf"),
    ("sin", "Sin"),
    ("cos", "Cos"),
    ("neg", "Neg"),
    ("negative", "Neg"),
    ("reciprocal", "Reciprocal"),
    ("floor", "Floor"),
    ("ceil", "Ceil"),
    ("round", "Round"),
    ("logical_not", "Not"),
    ("sign", "Sign"),
    ("isnan", "IsNaN"),
];

/// Functions of one number with settings, or of several operators of ONNX.
#[rustfmt::skip]
const OTHERS: &[&str] = &[
    "relu6", "hardtanh", "hardsigmoid", "clamp", "clip", "clamp_min", "clamp_max", "leaky_relu", "rrelu", "elu", "celu", "gelu",
    "softplus", "rsqrt", "square", "log_sigmoid", "softsign",
];

/// Returns whether an operator computes each element from the one at the same position.
pub(super) fn of_one_number(name: &str) -> bool {
    PLAIN.iter().any(|(own, _)| *own == name) || OTHERS.contains(&name)
}

pub(super) fn plain(call: &mut Call<'_, '_>) -> Outcome {
    let name = call.operator.rsplit('.').next().unwrap_or_default();
    let Some((_, operator)) = PLAIN.iter().find(|(own, _)| *own == name) else {
        return unsupported("no layer for it");
    };
    if call.argument("decimals").is_some() {
        return unsupported("rounding to decimals");
    }
    let input = call.first()?;
    one(call.emit(operator, vec![input], vec![]))
}

/// `min(max(x, low), high)`.
fn clipped(call: &mut Call<'_, '_>, low: Option<f64>, high: Option<f64>) -> Outcome {
    let input = call.first()?;
    let low = low.map(|low| call.like_first(low)).unwrap_or_default();
    let high = high.map(|high| call.like_first(high)).unwrap_or_default();
    one(call.emit("Clip", vec![input, low, high], vec![]))
}

pub(super) fn relu6(call: &mut Call<'_, '_>) -> Outcome {
    clipped(call, Some(0.0), Some(6.0))
}

pub(super) fn hardtanh(call: &mut Call<'_, '_>) -> Outcome {
    let (low, high) = (call.float("min_val", -1.0)?, call.float("max_val", 1.0)?);
    clipped(call, Some(low), Some(high))
}

pub(super) fn clamp(call: &mut Call<'_, '_>) -> Outcome {
    let bound = |call: &Call<'_, '_>, name: &str| match call.argument(name) {
        None => Ok(None),
        Some(super::super::schema::Argument::Tensor(_)) => unsupported("bounds that are tensors"),
        Some(_) => call.float(name, 0.0).map(Some),
    };
    let (low, high) = (bound(call, "min")?, bound(call, "max")?);
    clipped(call, low, high)
}

pub(super) fn hardsigmoid(call: &mut Call<'_, '_>) -> Outcome {
    let input = call.first()?;
    one(call.emit("HardSigmoid", vec![input], vec![float("alpha", 1.0 / 6.0), float("beta", 0.5)]))
}

pub(super) fn leaky_relu(call: &mut Call<'_, '_>) -> Outcome {
    let slope = call.float("negative_slope", 0.01)?;
    let input = call.first()?;
    one(call.emit("LeakyRelu", vec![input], vec![float("alpha", slope)]))
}

/// At inference the slope is the mean of its bounds.
pub(super) fn rrelu(call: &mut Call<'_, '_>) -> Outcome {
    if call.flag("training", false) {
        return unsupported("random slopes, as in training");
    }
    let slope = f64::midpoint(call.float("lower", 0.125)?, call.float("upper", 1.0 / 3.0)?);
    let input = call.first()?;
    one(call.emit("LeakyRelu", vec![input], vec![float("alpha", slope)]))
}

pub(super) fn elu(call: &mut Call<'_, '_>) -> Outcome {
    if call.float("scale", 1.0)? != 1.0 || call.float("input_scale", 1.0)? != 1.0 {
        return unsupported("a scaled ELU");
    }
    let alpha = call.float("alpha", 1.0)?;
    let input = call.first()?;
    one(call.emit("Elu", vec![input], vec![float("alpha", alpha)]))
}

pub(super) fn celu(call: &mut Call<'_, '_>) -> Outcome {
    let alpha = call.float("alpha", 1.0)?;
    let input = call.first()?;
    one(call.emit("Celu", vec![input], vec![float("alpha", alpha)]))
}

pub(super) fn gelu(call: &mut Call<'_, '_>) -> Outcome {
    let approximate = call.text("approximate").unwrap_or("none");
    let input = call.first()?;
    one(call.emit("Gelu", vec![input], vec![text("approximate", approximate)]))
}

pub(super) fn softplus(call: &mut Call<'_, '_>) -> Outcome {
    let (beta, threshold) = (call.float("beta", 1.0)?, call.float("threshold", 20.0)?);
    let input = call.first()?;
    if beta == 1.0 && threshold == 20.0 {
        return one(call.emit("Softplus", vec![input], vec![]));
    }
    one(call.emit_own("Softplus", vec![input], vec![float("beta", beta), float("threshold", threshold)]))
}

/// The slopes are for the second axis; ONNX counts from the last.
pub(super) fn prelu(call: &mut Call<'_, '_>) -> Outcome {
    let rank = call.rank()?;
    let slope = call.tensor("weight")?.ok_or_else(|| Unsupported("it has no weight".into()))?;
    let input = call.first()?;
    let sizes = call.constant([&[-1], vec![1; rank.saturating_sub(2)].as_slice()].concat());
    let slope = call.emit("Reshape", vec![slope, sizes], vec![]);
    one(call.emit("PRelu", vec![input, slope], vec![]))
}

pub(super) fn softmax(call: &mut Call<'_, '_>) -> Outcome {
    let rank = call.rank()?;
    let axis = call.axis(call.int("dim", -1)?, rank)?;
    let operator = if call.operator.contains("log_softmax") { "LogSoftmax" } else { "Softmax" };
    let input = call.first()?;
    one(call.emit(operator, vec![input], vec![int("axis", axis as i64)]))
}

/// Over the channels it is the layer; over another axis the parts that it is made of.
pub(super) fn glu(call: &mut Call<'_, '_>) -> Outcome {
    let rank = call.rank()?;
    let axis = call.axis(call.int("dim", -1)?, rank)?;
    let input = call.first()?;
    if axis == 1 {
        return one(call.emit_own("Glu", vec![input], vec![]));
    }
    let parts = call.emit_all("Split", vec![input], 2, vec![int("axis", axis as i64)]);
    let [value, gate] = parts.as_slice() else { return unsupported("it has no halves") };
    let gate = call.emit("Sigmoid", vec![gate.clone()], vec![]);
    one(call.emit("Mul", vec![value.clone(), gate], vec![]))
}

pub(super) fn rsqrt(call: &mut Call<'_, '_>) -> Outcome {
    let input = call.first()?;
    let root = call.emit("Sqrt", vec![input], vec![]);
    one(call.emit("Reciprocal", vec![root], vec![]))
}

pub(super) fn square(call: &mut Call<'_, '_>) -> Outcome {
    let input = call.first()?;
    let two = call.like_first(2.0);
    one(call.emit("Pow", vec![input, two], vec![]))
}

/// `-softplus(-x)`.
pub(super) fn log_sigmoid(call: &mut Call<'_, '_>) -> Outcome {
    let input = call.first()?;
    let negative = call.emit("Neg", vec![input], vec![]);
    let softplus = call.emit("Softplus", vec![negative], vec![]);
    one(call.emit("Neg", vec![softplus], vec![]))
}

/// `x / (1 + |x|)`.
pub(super) fn softsign(call: &mut Call<'_, '_>) -> Outcome {
    let input = call.first()?;
    let size = call.emit("Abs", vec![input.clone()], vec![]);
    let unit = call.number(1.0);
    let below = call.emit("Add", vec![size, unit], vec![]);
    one(call.emit("Div", vec![input, below], vec![]))
}
