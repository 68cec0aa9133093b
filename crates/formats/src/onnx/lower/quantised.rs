//! Quantised models: QuantizeLinear and DequantizeLinear are seen through; a weight of 8-bit integers is the weight that
//! it stands for, counted once. Operators that compute with quantised numbers are the operators that they stand for.

use super::context::{Flaw, Lower, Outcome, Tensor, Use, Value};
use crate::onnx::constant::{Change, Constant, Values};
use crate::onnx::proto::{DataType, NodeProto};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::Layer;
use cnnkit_core::layers::relu::Relu;
use cnnkit_core::layers::relu6::Relu6;

/// Said once of a model whose activations are quantised.
pub(super) const REMARK: &str = "activations are quantised in this model; figures are those of the network, and `run` computes without rounding them";

pub(super) fn quantize(lower: &mut Lower, used: Use<'_>) -> Outcome {
    match lower.value(used, 0)?.clone() {
        Value::Tensor(tensor) => {
            lower.remark(REMARK.into());
            Ok(vec![Value::Tensor(saturated(lower, used, tensor, 1, 2)?)])
        }
        // A weight that is quantised and dequantised in the file: the same weight, rounded.
        Value::Constant(constant) => Ok(vec![Value::Constant(constant)]),
        Value::Unknown(reason) => Err(Flaw::Unsupported(reason)),
    }
}

pub(super) fn dequantize(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let constant = match lower.value(used, 0)?.clone() {
        Value::Tensor(tensor) => return Ok(vec![Value::Tensor(tensor)]),
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

/// Numbers of which only the sizes are known.
fn unknown(constant: Constant) -> Constant {
    Constant { values: None, root: None, data_type: DataType::Float, ..constant }
}

/// The numbers that whole ones stand for, with one scale for all or one for each index of the axis.
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

/// `tensor` after what its quantisation cuts off: where the zero point is the smallest number, all below 0. Quantisers
/// leave a ReLU out because of that; and a ReLU6 where the largest number stands for 6.
fn saturated(
    lower: &mut Lower,
    used: Use<'_>,
    tensor: Tensor,
    scale: usize,
    zero: usize,
) -> Result<Tensor, Flaw> {
    let (least, most) = match lower.optional(used, zero)? {
        Some(zero) if zero.data_type == DataType::Int8 => (zero.scalar() == Some(-128.0), 255.0),
        Some(zero) if zero.data_type == DataType::Uint8 => (zero.scalar() == Some(0.0), 255.0),
        None => (true, 255.0),
        _ => (false, 0.0),
    };
    if !least || starts_at_zero(lower, tensor.draft, 0) {
        return Ok(tensor);
    }
    let top = lower.constant(used, scale)?.scalar().map_or(0.0, |scale| scale * most);
    let layer = if (top - 6.0).abs() < 0.02 { Layer::Relu6(Relu6 {}) } else { Layer::Relu(Relu {}) };
    lower.map(used, layer, &tensor, vec![])
}

/// Whether the draft gives nothing below 0; an input of the network is taken at the quantiser's word.
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

/// What is quantised here stands for itself: as with a scale of 1.
pub(super) fn dynamic(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let input = lower.value(used, 0)?.clone();
    lower.remark(REMARK.into());
    let zero = Constant { data_type: DataType::Uint8, ..Constant::ints(vec![], vec![0]) };
    Ok(vec![input, Value::Constant(Constant::floats(vec![], vec![1.0])), Value::Constant(zero)])
}

/// The operator `name` on these of the node's inputs; its output's scale is input `scale`, followed by the zero point.
fn quantised(lower: &mut Lower, used: Use<'_>, name: &str, inputs: Vec<String>, scale: usize) -> Outcome {
    let mut values = stands_for(lower, used, name, inputs)?;
    if let (Some(Value::Tensor(tensor)), true) = (values.first(), used.has(scale)) {
        values[0] = Value::Tensor(saturated(lower, used, tensor.clone(), scale, scale + 1)?);
    }
    Ok(values)
}

/// The operator `name` on these of the node's inputs.
fn stands_for(lower: &mut Lower, used: Use<'_>, name: &str, inputs: Vec<String>) -> Outcome {
    lower.remark(REMARK.into());
    let node =
        NodeProto { op_type: name.to_owned(), domain: String::new(), input: inputs, ..used.node.clone() };
    lower.outcome(Use { node: &node, opset: used.opset })
}

/// Input `index` under a name of its own, with the numbers that it stands for if it is a constant of whole ones; `scale`
/// and the zero point are inputs as well. The scales are along `axis`.
fn operand(
    lower: &mut Lower,
    used: Use<'_>,
    index: usize,
    scale: Option<Constant>,
    zero: usize,
    axis: i64,
) -> Result<String, Flaw> {
    let name = used.node.input.get(index).cloned().unwrap_or_default();
    let Value::Constant(constant) = lower.value(used, index)?.clone() else { return Ok(name) };
    let zero = lower.optional(used, zero)?;
    // The operators' integers are scaled later; zero points may differ along the axis all the same.
    let count = zero.as_ref().map_or(1, |zero| zero.elements().unwrap_or(1)).max(1);
    let scale = scale.unwrap_or_else(|| {
        let count = usize::try_from(count).unwrap_or(1);
        Constant::floats(vec![count as u64], vec![1.0; count])
    });
    let restored = restored(used, constant, &scale, zero, axis)?;
    let own = format!("{name} restored for {}", used.node.output.first().map_or("", String::as_str));
    lower.values.insert(own.clone(), Value::Constant(restored));
    Ok(own)
}

pub(super) fn conv(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let x = used.node.input.first().cloned().unwrap_or_default();
    let (input, scale) = (lower.constant(used, 1)?, lower.constant(used, 4)?);
    let weight = operand(lower, used, 3, Some(scale.clone()), 5, 0)?;
    let mut inputs = vec![x, weight];
    if used.has(8) {
        let step = step(&input, scale);
        inputs.push(operand(lower, used, 8, Some(step), usize::MAX, 0)?);
    }
    quantised(lower, used, "Conv", inputs, 6)
}

/// What one step of a bias stands for: the product of both scales.
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

/// ONNX Runtime's own quantised operators: `(x, scale, zero)` for each operand, then the output's scale and zero.
pub(super) fn runtime(lower: &mut Lower, used: Use<'_>) -> Option<Outcome> {
    let input = |index: usize| used.node.input.get(index).cloned().unwrap_or_default();
    let (name, scale, inputs) = match used.node.op_type.as_str() {
        "QLinearAdd" => ("Add", 6, vec![input(0), input(3)]),
        "QLinearMul" => ("Mul", 6, vec![input(0), input(3)]),
        "QLinearSigmoid" => ("Sigmoid", 3, vec![input(0)]),
        "QLinearLeakyRelu" => ("LeakyRelu", 3, vec![input(0)]),
        "QLinearGlobalAveragePool" if used.int("channels_last", 0) == 0 => {
            ("GlobalAveragePool", 3, vec![input(0)])
        }
        "QLinearAveragePool" if used.int("channels_last", 0) == 0 => ("AveragePool", 3, vec![input(0)]),
        "QLinearConcat" => ("Concat", 0, (2..used.node.input.len()).step_by(3).map(input).collect()),
        "QGemm" => return Some(gemm(lower, used)),
        _ => return None,
    };
    // A constant operand would need its scale; it is left to be opaque.
    let constant = inputs.iter().any(|name| matches!(lower.values.get(name), Some(Value::Constant(_))));
    (!constant).then(|| quantised(lower, used, name, inputs, scale))
}

/// A, its scale and zero, B, its scale and zero, C in steps of the product of the scales.
fn gemm(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let x = used.node.input.first().cloned().unwrap_or_default();
    let (input, scale) = (lower.constant(used, 1)?, lower.constant(used, 4)?);
    let axis = i64::from(used.int("transB", 0) == 0);
    let mut inputs = vec![x, operand(lower, used, 3, Some(scale.clone()), 5, axis)?];
    if used.has(6) {
        let step = step(&input, scale);
        inputs.push(operand(lower, used, 6, Some(step), usize::MAX, -1)?);
    }
    quantised(lower, used, "Gemm", inputs, 7)
}
