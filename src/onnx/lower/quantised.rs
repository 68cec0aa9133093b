//! Quantised models: QuantizeLinear and DequantizeLinear are seen through; a weight of 8-bit integers is the weight that
//! it stands for, counted once.

use super::scope::{Flaw, Lower, Outcome, Use, Value};
use crate::diagnostic::Problem;
use crate::onnx::constant::{Change, Constant, Values};
use crate::onnx::proto::DataType;

/// Said once of a model whose activations are quantised.
pub(super) const REMARK: &str = "activations are quantised in this model; figures are those of the network, and `run` computes without rounding them";

pub(super) fn quantize(lower: &mut Lower, used: Use<'_>) -> Outcome {
    match lower.value(used, 0)?.clone() {
        Value::Tensor(tensor) => {
            lower.remark(REMARK.into());
            Ok(vec![Value::Tensor(tensor)])
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
    let float = |constant: Constant| Constant { data_type: DataType::Float, ..constant };
    let dims = constant.dims.clone();
    let (Some(scales), true) = (&scale.values, used.int("block_size", 0) == 0) else {
        return Ok(vec![Value::Constant(float(Constant { values: None, root: None, ..constant }))]);
    };
    let scales = scales.floats();
    let zeros = match zero.and_then(|zero| zero.values) {
        Some(values) => values.floats(),
        None => vec![0.0; scales.len()],
    };
    let axis = if scales.len() == 1 { 0 } else { used.axis(used.int("axis", 1), dims.len())? };
    if zeros.len() != scales.len() || (scales.len() != 1 && dims.get(axis) != Some(&(scales.len() as u64))) {
        let message = format!("its {} scales do not fit {dims:?}", scales.len());
        return Err(Problem::shape(message).into());
    }
    let numbers = Constant {
        values: constant.values.as_ref().map(|values| Values::Floats(values.floats())),
        ..constant
    };
    let changed = numbers.changed(Change::Dequantize { axis, scale: scales, zero: zeros }, dims);
    Ok(vec![Value::Constant(float(changed))])
}
