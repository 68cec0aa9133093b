//! Quantised models. QuantizeLinear and DequantizeLinear disappear; a weight of 8-bit integers becomes the
//! real weight that it represents, counted once. Operators on quantised numbers become the real operators
//! that they represent.

use super::context::{Flaw, Lower, Outcome, Tensor, Use, Value};
use super::control::meant;
use crate::onnx::constant::{Change, Constant, Values};
use crate::onnx::proto::{DataType, NodeProto};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::Layer;
use cnnkit_core::layers::clip::Clip;
use cnnkit_core::layers::relu::Relu;
use cnnkit_core::layers::relu6::Relu6;
use cnnkit_core::layers::rescale::Rescale;

/// Remark about a model whose activations are quantised.
pub(super) const REMARK: &str = "activations are quantised in this model; figures are those of the network, and `run` computes without rounding them";

pub(super) fn quantize(lower: &mut Lower, used: Use<'_>) -> Outcome {
    match lower.value(used, 0)?.clone() {
        Value::Tensor(tensor) => {
            lower.remark(REMARK.into());
            Ok(vec![Value::Tensor(saturated(lower, used, tensor, 1, 2)?)])
        }
        // A weight that is quantised and dequantised in the file is the same weight, rounded.
        Value::Constant(constant) => Ok(vec![Value::Constant(constant)]),
        Value::Unknown(reason) => Err(Flaw::Unsupported(reason)),
    }
}

pub(super) fn dequantize(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let constant = match lower.value(used, 0)?.clone() {
        Value::Tensor(tensor) => return Ok(vec![Value::Tensor(real(lower, used, tensor, Some(1), 2)?)]),
        Value::Unknown(reason) => return Err(Flaw::Unsupported(reason)),
        Value::Constant(constant) => constant,
    };
    if !constant.is_integer() {
        return Ok(vec![Value::Constant(constant)]);
    }
    let scale = lower.constant(used, 1)?;
    let zero = lower.optional(used, 2)?;
    if used.int("block_size", 0) != 0 {
        return Ok(vec![Value::Constant(unknown(constant))]);
    }
    Ok(vec![Value::Constant(restored(used, constant, &scale, zero, used.int("axis", 1))?)])
}

/// Returns numbers of which only the sizes are known.
fn unknown(constant: Constant) -> Constant {
    let sources = constant.root.iter().copied().chain(constant.sources.iter().copied()).collect();
    Constant { values: None, root: None, data_type: DataType::Float, sources, ..constant }
}

/// Returns the real numbers that integers represent, with one scale for all or one per index of the axis.
fn restored(
    used: Use<'_>,
    constant: Constant,
    scale: &Constant,
    zero: Option<Constant>,
    axis: i64,
) -> Result<Constant, Problem> {
    let dims = constant.dims.clone();
    let Some(scales) = &scale.values else { return Ok(unknown(constant)) };
    let scales = scales.floats();
    let zeros = match zero.and_then(|zero| zero.values) {
        Some(values) => values.floats(),
        None => vec![0.0],
    };
    let zeros = if zeros.len() == 1 { vec![zeros[0]; scales.len()] } else { zeros };
    let axis = if scales.len() == 1 { 0 } else { used.axis(axis, dims.len())? };
    if zeros.len() != scales.len() || (scales.len() != 1 && dims.get(axis) != Some(&(scales.len() as u64))) {
        let message = format!("its {} scales do not fit {dims:?}", scales.len());
        return Err(Problem::shape(message));
    }
    let numbers = Constant {
        values: constant.values.as_ref().map(|values| Values::Floats(values.floats())),
        ..constant
    };
    let changed = numbers.changed(Change::Dequantize { axis, scale: scales, zero: zeros }, dims);
    Ok(Constant { data_type: DataType::Float, ..changed })
}

/// Returns `tensor` after the saturation of its quantisation: where the zero point is the smallest number, it
/// cuts off all negative values. Quantisers omit a ReLU for that reason, a ReLU6 where the largest number
/// represents 6, and a hard tanh where the range ends at an integer on both sides.
fn saturated(
    lower: &mut Lower,
    used: Use<'_>,
    tensor: Tensor,
    scale: usize,
    zero: usize,
) -> Result<Tensor, Flaw> {
    let zero = lower.optional(used, zero)?;
    let Some((least, most)) = range(zero.as_ref().map_or(DataType::Uint8, |zero| zero.data_type)) else {
        return Ok(tensor);
    };
    let zero = zero.map_or(Some(0.0), |zero| zero.scalar());
    let (Some(zero), Some(scale)) = (zero, lower.constant(used, scale)?.scalar()) else { return Ok(tensor) };
    let (bottom, top) = ((least - zero) * scale, (most - zero) * scale);
    if bottom == 0.0 {
        if starts_at_zero(lower, tensor.draft, 0) {
            return Ok(tensor);
        }
        let layer = if (top - 6.0).abs() < 0.02 { Layer::Relu6(Relu6 {}) } else { Layer::Relu(Relu {}) };
        return lower.map(used, layer, &tensor, vec![]);
    }
    let steps = most - least;
    // One step more or less on a side: ranges are symmetrical only up to one step.
    let whole =
        |end: f64| (end.abs() - end.abs().round()).abs() <= 1.01 * (top - bottom) / steps && end.abs() > 0.5;
    let deliberate = whole(bottom) && whole(top) && (top + bottom).abs() <= 1.01 * scale && top < 8.0;
    if !deliberate || matches!(lower.layer(&tensor), Some(Layer::Clip(_) | Layer::Tanh(_)) | None) {
        return Ok(tensor);
    }
    let layer = Layer::Clip(Clip { min: Some(meant(bottom)), max: Some(meant(top)) });
    lower.map(used, layer, &tensor, vec![])
}

/// Returns the smallest and the largest number of a type of quantised activations.
fn range(data_type: DataType) -> Option<(f64, f64)> {
    match data_type {
        DataType::Int8 => Some((-128.0, 127.0)),
        DataType::Uint8 => Some((0.0, 255.0)),
        DataType::Int16 => Some((-32768.0, 32767.0)),
        DataType::Uint16 => Some((0.0, 65535.0)),
        _ => None,
    }
}

/// Returns an operand that may be an input of integers, as the real numbers that these represent.
fn real(
    lower: &mut Lower,
    used: Use<'_>,
    tensor: Tensor,
    scale: Option<usize>,
    zero: usize,
) -> Result<Tensor, Flaw> {
    if !lower.is_whole(tensor.draft) {
        return Ok(tensor);
    }
    let scale = match scale {
        Some(index) => lower.constant(used, index)?.scalar(),
        None => Some(1.0),
    };
    let zero = match lower.optional(used, zero)? {
        Some(zero) => zero.scalar(),
        None => Some(0.0),
    };
    let (Some(scale), Some(zero)) = (scale, zero) else {
        return used.unsupported("inputs of whole numbers with a scale for each channel");
    };
    if scale == 1.0 && zero == 0.0 {
        return Ok(tensor);
    }
    let layer = Layer::Rescale(Rescale { scale: meant(scale), shift: meant(-zero * scale) });
    lower.map(used, layer, &tensor, vec![])
}

/// Returns whether all values of the draft are at least 0; for an input of the network, the quantiser's range
/// is trusted.
fn starts_at_zero(lower: &Lower, draft: usize, depth: usize) -> bool {
    let draft = &lower.drafts[draft];
    let all = || draft.inputs.iter().all(|&input| starts_at_zero(lower, input, depth + 1));
    match &draft.layer {
        None
        | Some(
            Layer::Relu(_) | Layer::Relu6(_) | Layer::Sigmoid(_) | Layer::Hardsigmoid(_) | Layer::Softmax(_),
        ) => true,
        Some(Layer::Clip(clip)) => clip.min.is_some_and(|min| min >= 0.0),
        Some(
            Layer::MaxPool(_)
            | Layer::AvgPool(_)
            | Layer::GlobalAvgPool(_)
            | Layer::GlobalMaxPool(_)
            | Layer::Concat(_)
            | Layer::Multiply(_)
            | Layer::Flatten(_)
            | Layer::Reshape(_)
            | Layer::Permute(_)
            | Layer::Slice(_)
            | Layer::ChannelShuffle(_),
        ) => depth < 6 && all(),
        Some(Layer::Add(add)) => add.weights.is_none() && depth < 6 && all(),
        _ => false,
    }
}

/// Lowers dynamic quantisation: the quantised values are taken for the real ones, with a scale of 1.
pub(super) fn dynamic(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let input = lower.value(used, 0)?.clone();
    lower.remark(REMARK.into());
    let zero = Constant { data_type: DataType::Uint8, ..Constant::ints(vec![], vec![0]) };
    Ok(vec![input, Value::Constant(Constant::floats(vec![], vec![1.0])), Value::Constant(zero)])
}

/// Lowers operator `name` on these of the node's inputs; its output's scale is input `scale`, followed by the
/// zero point.
fn quantised(lower: &mut Lower, used: Use<'_>, name: &str, inputs: Vec<String>, scale: usize) -> Outcome {
    let mut values = stands_for(lower, used, name, inputs)?;
    if let (Some(Value::Tensor(tensor)), true) = (values.first(), used.has(scale)) {
        values[0] = Value::Tensor(saturated(lower, used, tensor.clone(), scale, scale + 1)?);
    }
    Ok(values)
}

/// Lowers operator `name` on these of the node's inputs.
fn stands_for(lower: &mut Lower, used: Use<'_>, name: &str, inputs: Vec<String>) -> Outcome {
    lower.remark(REMARK.into());
    let mut node =
        NodeProto { op_type: name.to_owned(), domain: String::new(), input: inputs, ..used.node.clone() };
    // An attribute of the quantised operators only.
    node.attribute.retain(|attribute| attribute.name != "channels_last");
    lower.outcome(Use { node: &node, opset: used.opset })
}

/// Returns a new name for input `index`; a constant of integers is converted to the real numbers that it
/// represents. `scale` and the zero point are inputs as well. The scales are along `axis`.
fn operand(
    lower: &mut Lower,
    used: Use<'_>,
    index: usize,
    scale: Option<Constant>,
    zero: usize,
    axis: i64,
) -> Result<String, Flaw> {
    let name = used.node.input.get(index).cloned().unwrap_or_default();
    let own = format!("{name} restored for {}", used.node.output.first().map_or("", String::as_str));
    let constant = match lower.value(used, index)?.clone() {
        Value::Constant(constant) if constant.is_integer() => constant,
        Value::Tensor(tensor) => {
            // The scale is the input before the zero point.
            let scale = scale.is_some().then(|| zero.saturating_sub(1));
            let tensor = real(lower, used, tensor, scale, zero)?;
            lower.values.insert(own.clone(), Value::Tensor(tensor));
            return Ok(own);
        }
        _ => return Ok(name),
    };
    let zero = lower.optional(used, zero)?;
    // The operators' integers are scaled later, but zero points may still differ along the axis.
    let count = zero.as_ref().map_or(1, |zero| zero.elements().unwrap_or(1)).max(1);
    let scale = scale.unwrap_or_else(|| {
        let count = usize::try_from(count).unwrap_or(1);
        Constant::floats(vec![count as u64], vec![1.0; count])
    });
    let restored = restored(used, constant, &scale, zero, axis)?;
    lower.values.insert(own.clone(), Value::Constant(restored));
    Ok(own)
}

pub(super) fn conv(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let (input, scale) = (lower.constant(used, 1)?, lower.constant(used, 4)?);
    let x = operand(lower, used, 0, Some(input.clone()), 2, 1)?;
    let weight = operand(lower, used, 3, Some(scale.clone()), 5, 0)?;
    let mut inputs = vec![x, weight];
    if used.has(8) {
        let step = step(&input, scale);
        inputs.push(operand(lower, used, 8, Some(step), usize::MAX, 0)?);
    }
    quantised(lower, used, "Conv", inputs, 6)
}

/// Returns the value of one step of a bias: the product of both scales.
fn step(input: &Constant, scale: Constant) -> Constant {
    let product = input
        .scalar()
        .zip(scale.values.as_ref())
        .map(|(input, scales)| scales.floats().into_iter().map(|scale| scale * input).collect::<Vec<f64>>());
    match product {
        Some(list) => Constant::floats(vec![list.len() as u64], list),
        None => Constant { values: None, ..scale },
    }
}

pub(super) fn matmul(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let (left, right) = (lower.constant(used, 1)?, lower.constant(used, 4)?);
    let inputs =
        vec![operand(lower, used, 0, Some(left), 2, -2)?, operand(lower, used, 3, Some(right), 5, -1)?];
    quantised(lower, used, "MatMul", inputs, 6)
}

pub(super) fn whole_conv(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let inputs = vec![operand(lower, used, 0, None, 2, 1)?, operand(lower, used, 1, None, 3, 0)?];
    stands_for(lower, used, "Conv", inputs)
}

pub(super) fn whole_matmul(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let inputs = vec![operand(lower, used, 0, None, 2, -2)?, operand(lower, used, 1, None, 3, -1)?];
    stands_for(lower, used, "MatMul", inputs)
}

/// Lowers ONNX Runtime's own quantised operators: `(x, scale, zero)` for each operand, then the output's
/// scale and zero.
pub(super) fn runtime(lower: &mut Lower, used: Use<'_>) -> Option<Outcome> {
    let every_third = |first: usize| (first..used.node.input.len()).step_by(3).collect();
    let (name, scale, inputs): (&str, usize, Vec<usize>) = match used.node.op_type.as_str() {
        "QLinearAdd" => ("Add", 6, vec![0, 3]),
        "QLinearMul" => ("Mul", 6, vec![0, 3]),
        "QLinearSigmoid" => ("Sigmoid", 3, vec![0]),
        "QLinearSoftmax" => ("Softmax", 3, vec![0]),
        "QLinearLeakyRelu" => ("LeakyRelu", 3, vec![0]),
        "QLinearReduceMean" => ("ReduceMean", 3, vec![0]),
        "QLinearGlobalAveragePool" if used.int("channels_last", 0) == 0 => ("GlobalAveragePool", 3, vec![0]),
        "QLinearAveragePool" if used.int("channels_last", 0) == 0 => ("AveragePool", 3, vec![0]),
        "QLinearConcat" => ("Concat", 0, every_third(2)),
        "QGemm" => return Some(gemm(lower, used)),
        _ => return None,
    };
    let mut names = Vec::new();
    for index in inputs {
        let own = lower
            .constant(used, index + 1)
            .and_then(|scale| operand(lower, used, index, Some(scale), index + 2, -1));
        match own {
            Ok(own) => names.push(own),
            Err(flaw) => return Some(Err(flaw)),
        }
    }
    Some(quantised(lower, used, name, names, scale))
}

/// Lowers QGemm: A, its scale and zero; B, its scale and zero; C in steps of the product of the scales.
fn gemm(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let (input, scale) = (lower.constant(used, 1)?, lower.constant(used, 4)?);
    let x = operand(lower, used, 0, Some(input.clone()), 2, -1)?;
    let axis = i64::from(used.int("transB", 0) == 0);
    let mut inputs = vec![x, operand(lower, used, 3, Some(scale.clone()), 5, axis)?];
    if used.has(6) {
        let step = step(&input, scale);
        inputs.push(operand(lower, used, 6, Some(step), usize::MAX, -1)?);
    }
    quantised(lower, used, "Gemm", inputs, 7)
}
