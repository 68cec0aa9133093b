//! Quantised models. QuantizeLinear and DequantizeLinear disappear; a weight of 8-bit integers becomes the
//! real weight that it represents, counted once. Operators on quantised numbers become the real operators
//! that they represent.

use super::arithmetic::{add_constant, multiply_constant};
use super::context::{Flaw, Lower, Outcome, Tensor, Use, Value};
use super::control::meant;
use crate::onnx::constant::{Change, Constant, Values};
use crate::onnx::proto::{DataType, NodeProto};
use crate::onnx::quantisation::{Quantised, range};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::Layer;
use cnnkit_core::layers::clip::Clip;
use cnnkit_core::layers::identity::Identity;
use cnnkit_core::layers::relu::Relu;
use cnnkit_core::layers::relu6::Relu6;
use cnnkit_core::layers::rescale::Rescale;

/// Remark about a model whose activations are quantised.
pub(super) const REMARK: &str = "activations are quantised in this model; figures are those of the network, and `run` computes without rounding them";

pub(super) fn quantize(lower: &mut Lower, used: Use<'_>) -> Outcome {
    match lower.value(used, 0)?.clone() {
        Value::Tensor(tensor) => {
            recorded(lower, used, 1)?;
            lower.remark(REMARK.into());
            Ok(vec![Value::Tensor(saturated(lower, used, tensor, 1)?)])
        }
        // A weight that is quantised and dequantised in the file is the same weight, rounded.
        Value::Constant(constant) => Ok(vec![Value::Constant(constant)]),
        Value::Unknown(reason) => Err(Flaw::Unsupported(reason)),
    }
}

pub(super) fn dequantize(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let constant = match lower.value(used, 0)?.clone() {
        Value::Tensor(tensor) => {
            let axis = used.int("axis", 1);
            if used.int("block_size", 0) != 0 && lower.is_whole(tensor.draft) {
                return used.unsupported("inputs of whole numbers with a scale for each block");
            }
            return Ok(vec![Value::Tensor(real(lower, used, 0, tensor, Some(1), 2, axis)?)]);
        }
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

/// The type that the node quantises to; its zero point follows the `scale`.
fn target(lower: &Lower, used: Use<'_>, scale: usize) -> Result<DataType, Flaw> {
    let stated =
        used.attribute("output_dtype").and_then(|attribute| attribute.i).filter(|&wanted| wanted != 0);
    Ok(match (lower.optional(used, scale + 1)?, stated) {
        (Some(zero), _) => zero.data_type,
        (None, Some(wanted)) => {
            i32::try_from(wanted).ok().and_then(|wanted| DataType::try_from(wanted).ok()).unwrap_or_default()
        }
        (None, None) => DataType::Uint8,
    })
}

/// Keeps what the whole numbers of the node's output stand for. Where the model returns them, that must be known.
fn recorded(lower: &mut Lower, used: Use<'_>, scale: usize) -> Result<(), Flaw> {
    let Some(name) = used.node.output.first().cloned() else { return Ok(()) };
    let number = |index: usize| match lower.optional(used, index) {
        Ok(Some(constant)) => constant.scalar(),
        Ok(None) => Some(0.0),
        Err(_) => None,
    };
    let data_type = target(lower, used, scale).unwrap_or_default();
    match (number(scale), number(scale + 1), range(data_type)) {
        (Some(scale), Some(zero), Some(range)) => {
            lower.quantised.insert(name, Quantised { scale, zero, range });
        }
        _ if lower.returned.contains(&name) => {
            return used.unsupported("an output of whole numbers with several scales, or of few bits");
        }
        _ => {}
    }
    Ok(())
}

/// `tensor` after what its quantisation cuts off: where the zero point is the smallest number, all below 0. Quantisers
/// leave a ReLU out because of that, a ReLU6 where the largest number stands for 6, and a hard tanh where the range ends at a
/// whole number on both sides.
fn saturated(lower: &mut Lower, used: Use<'_>, tensor: Tensor, scale: usize) -> Result<Tensor, Flaw> {
    let Some((least, most)) = range(target(lower, used, scale)?) else { return Ok(tensor) };
    let zeros = match lower.optional(used, scale + 1)? {
        Some(zero) => zero.values.map(|values| values.floats()).unwrap_or_default(),
        None => vec![0.0],
    };
    if !zeros.is_empty() && zeros.iter().all(|&zero| zero == least) {
        if starts_at_zero(lower, tensor.draft, 0) {
            return Ok(tensor);
        }
        let top = lower.constant(used, scale)?.scalar().map(|scale| (most - least) * scale);
        let six = top.is_some_and(|top| (top - 6.0).abs() < 0.02);
        let layer = if six { Layer::Relu6(Relu6 {}) } else { Layer::Relu(Relu {}) };
        return lower.map(used, layer, &tensor, vec![]);
    }
    let (&[zero], Some(scale)) = (zeros.as_slice(), lower.constant(used, scale)?.scalar()) else {
        return Ok(tensor);
    };
    let (bottom, top, steps) = ((least - zero) * scale, (most - zero) * scale, most - least);
    // One step more or less on a side: ranges are not symmetrical to the last step.
    let whole =
        |end: f64| (end.abs() - end.abs().round()).abs() <= 1.01 * (top - bottom) / steps && end.abs() > 0.5;
    let deliberate =
        steps > 200.0 && whole(bottom) && whole(top) && (top + bottom).abs() <= 1.01 * scale && top < 8.0;
    if !deliberate || matches!(lower.layer(&tensor), Some(Layer::Clip(_) | Layer::Tanh(_)) | None) {
        return Ok(tensor);
    }
    let layer = Layer::Clip(Clip { min: Some(meant(bottom)), max: Some(meant(top)) });
    lower.map(used, layer, &tensor, vec![])
}

/// Operand `index`, which may be an input of whole numbers, as the numbers that these stand for; or what was quantised, as
/// numbers of another scale. The scales are along `axis`.
fn real(
    lower: &mut Lower,
    used: Use<'_>,
    index: usize,
    tensor: Tensor,
    scale: Option<usize>,
    zero: usize,
    axis: i64,
) -> Result<Tensor, Flaw> {
    let name = used.node.input.get(index).map_or("", String::as_str);
    let before = match lower.quantised.get(name) {
        Some(before) => *before,
        None if lower.is_whole(tensor.draft) => Quantised { scale: 1.0, zero: 0.0, range: (0.0, 0.0) },
        None => return Ok(tensor),
    };
    let numbers = |constant: Option<Constant>, none: f64| match constant {
        Some(constant) => constant.values.map(|values| values.floats()),
        None => Some(vec![none]),
    };
    let scales = numbers(scale.map(|index| lower.constant(used, index)).transpose()?, 1.0);
    let zeros = numbers(lower.optional(used, zero)?, 0.0);
    let (Some(scales), Some(zeros)) = (scales, zeros) else {
        return used.unsupported("whole numbers whose scale or zero point is not known");
    };
    // A number `q` stands for `(q - zero) * scale`, and `q` is `x / before.scale + before.zero`.
    let factors: Vec<f64> = scales.iter().map(|scale| scale / before.scale).collect();
    let shift = |at: usize| {
        let own = |list: &[f64]| if list.len() == 1 { list.first() } else { list.get(at) }.copied();
        Some((before.zero - own(&zeros)?) * own(&scales)?)
    };
    if let (&[factor], [_]) = (factors.as_slice(), zeros.as_slice()) {
        let shift = shift(0).unwrap_or(0.0);
        if (factor - 1.0).abs() < 1e-6 && shift.abs() < 1e-9 {
            // No whole numbers any more: what follows computes as usual.
            return lower.map(used, Layer::Identity(Identity {}), &tensor, vec![]);
        }
        let layer = Layer::Rescale(Rescale { scale: meant(factor), shift: meant(shift) });
        return lower.map(used, layer, &tensor, vec![]);
    }
    let axis = used.axis(axis, tensor.dims.len())?;
    let count = usize::try_from(tensor.dims[axis]).unwrap_or(0);
    let shifts: Option<Vec<f64>> = (0..count).map(shift).collect();
    let fits = |list: &[f64]| list.len() == 1 || list.len() == count;
    let Some(shifts) = shifts.filter(|_| fits(&scales) && fits(&zeros)) else {
        let message = format!(
            "its {} scales and {} zero points do not fit {:?}",
            scales.len(),
            zeros.len(),
            tensor.dims
        );
        return Err(Problem::shape(message).into());
    };
    let sizes = [&[count as u64], vec![1; tensor.dims.len() - axis - 1].as_slice()].concat();
    let factors = if factors.len() == 1 { vec![factors[0]; count] } else { factors };
    let numbers = lower.map(used, Layer::Identity(Identity {}), &tensor, vec![])?;
    let scaled = multiply_constant(lower, used, &numbers, &Constant::floats(sizes.clone(), factors))?;
    let Some(Value::Tensor(scaled)) = scaled.into_iter().next() else {
        return used.unsupported("whole numbers with a scale for each channel");
    };
    if shifts.iter().all(|&shift| shift == 0.0) {
        return Ok(scaled);
    }
    match add_constant(lower, used, &scaled, &Constant::floats(sizes, shifts), 1.0)?.into_iter().next() {
        Some(Value::Tensor(tensor)) => Ok(tensor),
        _ => used.unsupported("whole numbers with a scale for each channel"),
    }
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
    if used.node.output.iter().any(|name| lower.returned.contains(name)) {
        return used.unsupported("an output of whole numbers whose scale depends on the data");
    }
    lower.remark(REMARK.into());
    let zero = Constant { data_type: DataType::Uint8, ..Constant::ints(vec![], vec![0]) };
    Ok(vec![input, Value::Constant(Constant::floats(vec![], vec![1.0])), Value::Constant(zero)])
}

/// Lowers operator `name` on these of the node's inputs; its output's scale is input `scale`, followed by the
/// zero point.
fn quantised(lower: &mut Lower, used: Use<'_>, name: &str, inputs: Vec<String>, scale: usize) -> Outcome {
    let mut values = stands_for(lower, used, name, inputs)?;
    if let (Some(Value::Tensor(tensor)), true) = (values.first(), used.has(scale)) {
        values[0] = Value::Tensor(saturated(lower, used, tensor.clone(), scale)?);
        recorded(lower, used, scale)?;
    }
    Ok(values)
}

/// Lowers operator `name` on these of the node's inputs.
fn stands_for(lower: &mut Lower, used: Use<'_>, name: &str, inputs: Vec<String>) -> Outcome {
    lower.remark(REMARK.into());
    let mut node =
        NodeProto { op_type: name.to_owned(), domain: String::new(), input: inputs, ..used.node.clone() };
    // Attributes of the quantised operators only: of a softmax, the operator set that it follows.
    node.attribute.retain(|attribute| !matches!(attribute.name.as_str(), "channels_last" | "opset"));
    lower.outcome(Use { node: &node, opset: used.int("opset", used.opset) })
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
    let made = used.node.output.first().map_or("", String::as_str);
    let own = format!("{name} restored as input {index} for {made}");
    let constant = match lower.value(used, index)?.clone() {
        Value::Constant(constant) if constant.is_integer() => constant,
        Value::Tensor(tensor) => {
            // The scale is the input before the zero point.
            let scale = scale.is_some().then(|| zero.saturating_sub(1));
            let tensor = real(lower, used, index, tensor, scale, zero, axis)?;
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

/// Returns the numbers times a factor.
fn scaled(values: &Values, factor: f64) -> Values {
    Values::Floats(values.floats().into_iter().map(|value| value * factor).collect())
}

/// Lowers QGemm: A, its scale and zero; B, its scale and zero; C in steps of `alpha` times the product of the scales.
fn gemm(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let alpha = used.float("alpha", 1.0);
    let (input, scale) = (lower.constant(used, 1)?, lower.constant(used, 4)?);
    let x = operand(lower, used, 0, Some(input.clone()), 2, -1)?;
    let axis = i64::from(used.int("transB", 0) == 0);
    let mut inputs = vec![x, operand(lower, used, 3, Some(scale.clone()), 5, axis)?];
    if used.has(6) {
        // The whole numbers of C are added before the factor.
        let input = Constant { values: input.values.as_ref().map(|values| scaled(values, alpha)), ..input };
        let step = step(&input, scale);
        inputs.push(operand(lower, used, 6, Some(step), usize::MAX, -1)?);
    }
    quantised(lower, used, "Gemm", inputs, 7)
}
