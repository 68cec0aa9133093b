//! Arithmetic between tensors, and with constants: Add, Sub, Mul, Div, Pow, Min, Max, Sum, Mean.

use super::context::{Flaw, Lower, Outcome, Tensor, Use, Value};
use super::control::meant;
use super::stored::place_of;
use crate::onnx::constant::{Change, Constant};
use crate::onnx::inline::title;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::Layer;
use cnnkit_core::layers::add::Add;
use cnnkit_core::layers::clip::Clip;
use cnnkit_core::layers::divide::Divide;
use cnnkit_core::layers::function::{Function, FunctionKind};
use cnnkit_core::layers::layer_scale::{LayerScale, ScaleAxis};
use cnnkit_core::layers::learned_bias::LearnedBias;
use cnnkit_core::layers::learned_scale::LearnedScale;
use cnnkit_core::layers::multiply::Multiply;
use cnnkit_core::layers::power::Power;
use cnnkit_core::layers::rescale::Rescale;

/// Returns `constant` as the learned tensor that is merged element by element with `tensor`: its shape
/// without the batch (none if equal to the tensor's) and the weight.
fn learned(
    lower: &Lower,
    used: Use<'_>,
    constant: &Constant,
    tensor: &Tensor,
) -> Result<(Option<Vec<u64>>, Constant, bool), Flaw> {
    if constant.is_integer() {
        return used.unsupported("a constant of whole numbers among computed values");
    }
    if super::elements::broadcast(&constant.dims, &tensor.dims)? != tensor.dims {
        return used.unsupported(format!("stretching {:?} to {:?}", tensor.dims, constant.dims));
    }
    let mut dims = vec![1; tensor.dims.len() - constant.dims.len()];
    dims.extend(&constant.dims);
    if tensor.batch.is_some_and(|batch| dims[batch] != 1) {
        return used.unsupported("a constant that differs from image to image");
    }
    let sizes = super::context::shape(&dims, tensor.batch).sizes().to_vec();
    let weight = constant.changed(Change::Reshape(sizes.clone()), sizes.clone());
    let shape = (sizes != lower.drafts[tensor.draft].shape.sizes()).then_some(sizes);
    Ok((shape, weight, lower.is_learned(constant)))
}

pub(super) fn add_constant(
    lower: &mut Lower,
    used: Use<'_>,
    tensor: &Tensor,
    constant: &Constant,
    sign: f64,
) -> Outcome {
    let (shape, mut weight, learned) = learned(lower, used, constant, tensor)?;
    if sign < 0.0 {
        let dims = weight.dims.clone();
        weight = weight.changed(Change::Scale(sign), dims);
    }
    let place = place_of(lower, used, constant);
    let layer = Layer::LearnedBias(LearnedBias { shape, learned });
    let output = lower.emit_at(place, title(used.node), layer, &[tensor], vec![weight], tensor.batch)?;
    Ok(vec![Value::Tensor(Tensor { dims: tensor.dims.clone(), ..output })])
}

pub(super) fn multiply_constant(
    lower: &mut Lower,
    used: Use<'_>,
    tensor: &Tensor,
    constant: &Constant,
) -> Outcome {
    let place = place_of(lower, used, constant);
    let (layer, weight) = match factors(constant, tensor).filter(|_| lower.is_learned(constant)) {
        Some((weight, axis)) => (Layer::LayerScale(LayerScale { init: 1.0, axis }), weight),
        None => {
            let (shape, weight, learned) = learned(lower, used, constant, tensor)?;
            (Layer::LearnedScale(LearnedScale { shape, learned, mask: false }), weight)
        }
    };
    let output = lower.emit_at(place, title(used.node), layer, &[tensor], vec![weight], tensor.batch)?;
    Ok(vec![Value::Tensor(Tensor { dims: tensor.dims.clone(), ..output })])
}

/// Selects: `tensor` where `mask` is 1, and 0 where it is 0, even if `tensor` is infinite there or not a number.
pub(super) fn select(lower: &mut Lower, used: Use<'_>, tensor: &Tensor, mask: &Constant) -> Outcome {
    let (shape, weight, _) = learned(lower, used, mask, tensor)?;
    let layer = Layer::LearnedScale(LearnedScale { shape, learned: false, mask: true });
    let place = place_of(lower, used, mask);
    let output = lower.emit_at(place, title(used.node), layer, &[tensor], vec![weight], tensor.batch)?;
    Ok(vec![Value::Tensor(Tensor { dims: tensor.dims.clone(), ..output })])
}

/// Returns the operands as tensors with equal numbers of axes and the same batch axis, ready for an
/// element-wise layer; and that axis.
fn aligned(lower: &mut Lower, used: Use<'_>, values: &[Value]) -> Result<(Vec<Tensor>, Option<usize>), Flaw> {
    let dims = |value: &Value| match value {
        Value::Tensor(tensor) => tensor.dims.len(),
        Value::Constant(constant) => constant.dims.len(),
        Value::Unknown(_) => 0,
    };
    let rank = values.iter().map(dims).max().unwrap_or(0);
    let place = |tensor: &Tensor| Some(tensor.batch? + rank - tensor.dims.len());
    let tensors = || {
        values.iter().filter_map(|value| if let Value::Tensor(tensor) = value { Some(tensor) } else { None })
    };
    let mut batch = tensors().find_map(place);
    let apart = tensors().any(|tensor| place(tensor).is_some_and(|place| Some(place) != batch));
    let merged = batch.is_some_and(|batch| {
        let size =
            |tensor: &Tensor| (batch + tensor.dims.len()).checked_sub(rank).map(|axis| tensor.dims[axis]);
        tensors().any(|tensor| tensor.batch.is_none() && size(tensor).is_some_and(|size| size != 1))
    });
    if (apart || merged) && lower.batch != 1 {
        return used.unsupported(if apart {
            "operands whose batch axes differ"
        } else {
            "an operand that differs from image to image"
        });
    }
    if apart || merged {
        // A batch of 1 can be an ordinary axis.
        batch = None;
    }
    let mut tensors = Vec::with_capacity(values.len());
    for value in values {
        tensors.push(match value {
            Value::Tensor(tensor) => {
                let mut padded = vec![1; rank - tensor.dims.len()];
                padded.extend(&tensor.dims);
                lower.viewed(used, tensor, &padded, batch)?
            }
            Value::Constant(_) => return used.unsupported("several constants among the operands"),
            Value::Unknown(reason) => return Err(Flaw::Unsupported(reason.clone())),
        });
    }
    Ok((tensors, batch))
}

fn operands(lower: &Lower, used: Use<'_>) -> Result<Vec<Value>, Flaw> {
    let value = |index: usize| match lower.value(used, index)? {
        Value::Unknown(reason) => Err(Flaw::Unsupported(reason.clone())),
        known => Ok(known.clone()),
    };
    (0..used.node.input.len()).map(value).collect()
}

fn join(lower: &mut Lower, used: Use<'_>, layer: Layer, values: &[Value]) -> Outcome {
    let (tensors, batch) = aligned(lower, used, values)?;
    let output = lower.emit(used, layer, &tensors.iter().collect::<Vec<_>>(), vec![], batch)?;
    Ok(vec![Value::Tensor(output)])
}

/// Returns the number that `value` is, if it is a known constant of one element that does not add axes to `other`
/// and is no parameter.
fn number(lower: &Lower, value: &Value, other: &Value) -> Option<f64> {
    match (value, other) {
        (Value::Constant(constant), _) if lower.is_single_parameter(constant) => None,
        (Value::Constant(constant), Value::Tensor(tensor)) if constant.dims.len() <= tensor.dims.len() => {
            constant.scalar().map(meant)
        }
        _ => None,
    }
}

/// Returns a constant with one number per channel, or per index of the last axis, of `tensor`, reshaped to a
/// list.
fn factors(constant: &Constant, tensor: &Tensor) -> Option<(Constant, ScaleAxis)> {
    if constant.is_integer() || constant.dims.len() > tensor.dims.len() {
        return None;
    }
    let offset = tensor.dims.len() - constant.dims.len();
    let long: Vec<usize> = (0..constant.dims.len()).filter(|&axis| constant.dims[axis] != 1).collect();
    let [axis] = long.as_slice() else { return None };
    let place = tensor.axis(axis + offset)?;
    if tensor.dims[axis + offset] != constant.dims[*axis] {
        return None;
    }
    let rank = tensor.shape().rank();
    let over = match place {
        0 => ScaleAxis::Channels,
        last if last + 1 == rank => ScaleAxis::Last,
        _ => return None,
    };
    let sizes = vec![constant.dims[*axis]];
    Some((constant.changed(Change::Reshape(sizes.clone()), sizes), over))
}

pub(super) fn binary(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let values = operands(lower, used)?;
    let [a, b] = values.as_slice() else {
        let message = format!("it has {} inputs instead of 2", values.len());
        return Err(Problem::new(cnnkit_core::diagnostic::Code::Missing, message).into());
    };
    let name = used.node.op_type.as_str();
    if whole(lower, &values) {
        return used.unsupported("arithmetic of whole numbers, which wraps or rounds");
    }
    let rescale = |scale: f64, shift: f64| Layer::Rescale(Rescale { scale, shift });
    if let (Value::Tensor(tensor), Some(number)) = (a, number(lower, b, a)) {
        let tensor = tensor.clone();
        let layer = match name {
            "Add" => rescale(1.0, number),
            "Sub" => rescale(1.0, -number),
            "Mul" => rescale(number, 0.0),
            "Div" => rescale(1.0 / number, 0.0),
            _ if number == 0.5 => Layer::Function(Function { function: FunctionKind::Sqrt }),
            _ if number == 1.0 => return Ok(vec![Value::Tensor(tensor)]),
            _ => Layer::Power(Power { exponent: number }),
        };
        return lower.simple(used, layer, &tensor);
    }
    if let (Some(number), Value::Tensor(tensor)) = (number(lower, a, b), b) {
        let tensor = tensor.clone();
        match name {
            "Add" => return lower.simple(used, rescale(1.0, number), &tensor),
            "Sub" => return lower.simple(used, rescale(-1.0, number), &tensor),
            "Mul" => return lower.simple(used, rescale(number, 0.0), &tensor),
            "Div" => {
                let reciprocal = Layer::Function(Function { function: FunctionKind::Reciprocal });
                let inverse = lower.map(used, reciprocal, &tensor, vec![])?;
                return if number == 1.0 {
                    Ok(vec![Value::Tensor(inverse)])
                } else {
                    lower.simple(used, rescale(number, 0.0), &inverse)
                };
            }
            _ => return used.unsupported("a power whose exponent is computed"),
        }
    }
    match (a, b) {
        (Value::Tensor(tensor), Value::Constant(constant)) => {
            let tensor = tensor.clone();
            return match name {
                "Add" => add_constant(lower, used, &tensor, constant, 1.0),
                "Sub" => add_constant(lower, used, &tensor, constant, -1.0),
                "Mul" => multiply_constant(lower, used, &tensor, constant),
                "Div" => {
                    let inverse = constant.changed(Change::Invert, constant.dims.clone());
                    multiply_constant(lower, used, &tensor, &inverse)
                }
                _ => used.unsupported("a power whose exponents differ"),
            };
        }
        (Value::Constant(constant), Value::Tensor(tensor)) => {
            let tensor = tensor.clone();
            return match name {
                "Add" => add_constant(lower, used, &tensor, constant, 1.0),
                "Sub" => {
                    let negative = lower.map(used, rescale(-1.0, 0.0), &tensor, vec![])?;
                    add_constant(lower, used, &negative, constant, 1.0)
                }
                "Mul" => multiply_constant(lower, used, &tensor, constant),
                _ => used.unsupported("a constant divided by a tensor"),
            };
        }
        _ => {}
    }
    let layer = match name {
        "Add" => Layer::Add(Add { weights: None }),
        "Sub" => Layer::Add(Add { weights: Some(vec![1.0, -1.0]) }),
        "Mul" => Layer::Multiply(Multiply {}),
        "Div" => Layer::Divide(Divide {}),
        _ => return used.unsupported("a power whose exponent is computed"),
    };
    join(lower, used, layer, &values)
}

/// Returns whether an operand is an input of integers, unchanged.
fn whole(lower: &Lower, values: &[Value]) -> bool {
    values.iter().any(|value| matches!(value, Value::Tensor(tensor) if lower.is_whole(tensor.draft)))
}

pub(super) fn several(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let values = operands(lower, used)?;
    let name = used.node.op_type.as_str();
    if matches!(name, "Sum" | "Mean") && whole(lower, &values) {
        return used.unsupported("arithmetic of whole numbers, which wraps or rounds");
    }
    if let [Value::Tensor(tensor)] = values.as_slice() {
        return Ok(vec![Value::Tensor(tensor.clone())]);
    }
    let layer = match name {
        "Sum" => Layer::Add(Add { weights: None }),
        "Mean" => Layer::Add(Add { weights: Some(vec![1.0 / values.len() as f64; values.len()]) }),
        _ => {
            let bound = match values.as_slice() {
                [a @ Value::Tensor(tensor), b] => number(lower, b, a).map(|bound| (tensor.clone(), bound)),
                [a, b @ Value::Tensor(tensor)] => number(lower, a, b).map(|bound| (tensor.clone(), bound)),
                _ => None,
            };
            let Some((tensor, bound)) = bound else {
                return used.unsupported("an element-wise choice between tensors");
            };
            let clip = match name {
                "Max" => Clip { min: Some(bound), max: None },
                _ => Clip { min: None, max: Some(bound) },
            };
            return lower.simple(used, Layer::Clip(clip), &tensor);
        }
    };
    join(lower, used, layer, &values)
}

/// Lowers broadcasting to given sizes; only if it keeps the sizes does it become a layer.
pub(super) fn expand(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let wanted = crate::onnx::constant::sizes(&lower.known_ints(used, 1)?)?;
    match lower.value(used, 0)?.clone() {
        Value::Tensor(tensor) => {
            let dims = super::elements::broadcast(&tensor.dims, &wanted)?;
            if dims == tensor.dims {
                return Ok(vec![Value::Tensor(tensor)]);
            }
            // New axes are inserted in front; the batch axis stays where it is.
            let more = dims.len() - tensor.dims.len();
            let mut current = if more > 0 {
                let batch = tensor.batch.map(|batch| batch + more);
                lower.viewed(used, &tensor, &[vec![1; more], tensor.dims.clone()].concat(), batch)?
            } else {
                tensor
            };
            for (axis, &size) in dims.iter().enumerate() {
                if current.dims[axis] != size {
                    current = super::choice::repeated(lower, used, &current, axis, size)?;
                }
            }
            Ok(vec![Value::Tensor(current)])
        }
        Value::Constant(constant) => {
            let dims = super::elements::broadcast(&constant.dims, &wanted)?;
            // A learned token that is repeated for each image of the batch is still one token.
            if dims.first() == Some(&lower.batch)
                && dims.get(1..) == constant.dims.get(1..)
                && constant.dims.first() == Some(&1)
            {
                return Ok(vec![Value::Constant(constant)]);
            }
            if dims == constant.dims {
                return Ok(vec![Value::Constant(constant)]);
            }
            let values = constant.values.as_ref().filter(|_| super::elements::small(&dims));
            let values = values.map(|values| values.pick(&super::elements::places(&constant.dims, &dims)));
            Ok(vec![Value::Constant(Constant {
                values,
                ..super::elements::computed(dims, constant.data_type)
            })])
        }
        Value::Unknown(reason) => Err(Flaw::Unsupported(reason)),
    }
}
