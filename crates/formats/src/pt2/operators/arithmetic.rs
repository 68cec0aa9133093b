//! Arithmetic between tensors and with numbers, and reductions.

use super::super::messages::{data_type, int};
use super::super::schema::Argument;
use super::call::{Call, Outcome, Unsupported, one, unsupported};
use crate::onnx::constant::is_integer;
use crate::onnx::proto::AttributeProto;

/// An operand; a number has the type of the other operand, so that a tensor stays what it is.
fn operand(call: &mut Call<'_, '_>, index: usize) -> Result<String, Unsupported> {
    let argument = call.at(index)?;
    let other = call.at(1 - index)?;
    let floating = matches!(other, Argument::Tensor(_))
        && call.meta_of(other).is_ok_and(|meta| !is_integer(data_type(meta.dtype)));
    match argument {
        Argument::Int(value) if floating => Ok(call.number(*value as f64)),
        Argument::Bool(value) if floating => Ok(call.number(f64::from(u8::from(*value)))),
        Argument::Tensor(_)
            if floating && call.meta_of(argument).is_ok_and(|meta| is_integer(data_type(meta.dtype))) =>
        {
            let value = call.operand(argument)?;
            Ok(call.as_float(value))
        }
        _ => call.operand(argument),
    }
}

fn operands(call: &mut Call<'_, '_>) -> Result<[String; 2], Unsupported> {
    Ok([operand(call, 0)?, operand(call, 1)?])
}

/// The second operand times `alpha`, if that is given.
fn scaled(call: &mut Call<'_, '_>, value: String) -> Result<String, Unsupported> {
    let alpha = call.float("alpha", 1.0)?;
    if alpha == 1.0 {
        return Ok(value);
    }
    let factor = call.like_first(alpha);
    Ok(call.emit("Mul", vec![value, factor], vec![]))
}

pub(super) fn add(call: &mut Call<'_, '_>) -> Outcome {
    let [a, b] = operands(call)?;
    let b = scaled(call, b)?;
    one(call.emit("Add", vec![a, b], vec![]))
}

pub(super) fn sub(call: &mut Call<'_, '_>) -> Outcome {
    let [a, b] = operands(call)?;
    let b = scaled(call, b)?;
    one(call.emit("Sub", vec![a, b], vec![]))
}

/// `other - alpha * self`.
pub(super) fn rsub(call: &mut Call<'_, '_>) -> Outcome {
    let [a, b] = operands(call)?;
    let a = scaled(call, a)?;
    one(call.emit("Sub", vec![b, a], vec![]))
}

pub(super) fn mul(call: &mut Call<'_, '_>) -> Outcome {
    let operands = operands(call)?;
    if let Some(dropped) = super::random::product(call, &operands) {
        return dropped;
    }
    one(call.emit("Mul", operands.into(), vec![]))
}

/// A quotient of whole numbers is none; of tensors it is a floating-point number.
pub(super) fn div(call: &mut Call<'_, '_>) -> Outcome {
    match call.text("rounding_mode") {
        None => {}
        Some("floor" | "trunc") if whole_operands(call) => return floor_divide(call),
        Some("floor") => return floor_divide(call),
        Some(mode) => return unsupported(format!("a quotient that is rounded ({mode})")),
    }
    let [mut a, mut b] = operands(call)?;
    if super::random::is_mask(call, &a) {
        return one(a);
    }
    if whole_operands(call) {
        a = call.as_float(a);
        b = call.as_float(b);
    }
    one(call.emit("Div", vec![a, b], vec![]))
}

fn whole_operands(call: &Call<'_, '_>) -> bool {
    let whole = |index: usize| match call.at(index) {
        Ok(tensor @ Argument::Tensor(_)) => {
            call.meta_of(tensor).is_ok_and(|meta| is_integer(data_type(meta.dtype)))
        }
        Ok(Argument::Float(_)) | Err(_) => false,
        Ok(_) => true,
    };
    whole(0) && whole(1)
}

/// Of sizes and positions, which are not negative: only then rounding down is rounding towards zero.
pub(super) fn floor_divide(call: &mut Call<'_, '_>) -> Outcome {
    let [a, b] = operands(call)?;
    if !whole_operands(call) {
        let quotient = call.emit("Div", vec![a, b], vec![]);
        return one(call.emit("Floor", vec![quotient], vec![]));
    }
    let rest = call.emit("Mod", vec![a.clone(), b.clone()], vec![]);
    let even = call.emit("Sub", vec![a, rest], vec![]);
    one(call.emit("Div", vec![even, b], vec![]))
}

pub(super) fn remainder(call: &mut Call<'_, '_>) -> Outcome {
    let [a, b] = operands(call)?;
    one(call.emit("Mod", vec![a, b], vec![]))
}

pub(super) fn pow(call: &mut Call<'_, '_>) -> Outcome {
    let [a, b] = operands(call)?;
    one(call.emit("Pow", vec![a, b], vec![]))
}

pub(super) fn compare(call: &mut Call<'_, '_>) -> Outcome {
    let name = call.operator.rsplit('.').next().unwrap_or_default();
    // Operators of Python: `a & b`.
    let is_python = name.starts_with("__");
    let name = name.trim_matches('_');
    let operator = match name {
        "eq" | "ne" => "Equal",
        "lt" => "Less",
        "le" => "LessOrEqual",
        "gt" => "Greater",
        "ge" => "GreaterOrEqual",
        "logical_and" | "bitwise_and" | "and" => "And",
        "logical_or" | "bitwise_or" | "or" => "Or",
        "logical_xor" | "bitwise_xor" | "xor" => "Xor",
        _ => "Not",
    };
    let bits = is_python || name.starts_with("bitwise");
    if bits && call.first_meta()?.dtype != 12 {
        return unsupported("logic of bits");
    }
    if operator == "Not" {
        let input = call.first()?;
        return one(call.emit("Not", vec![input], vec![]));
    }
    let [a, b] = operands(call)?;
    let made = call.emit(operator, vec![a, b], vec![]);
    one(if name == "ne" { call.emit("Not", vec![made], vec![]) } else { made })
}

pub(super) fn extreme(call: &mut Call<'_, '_>) -> Outcome {
    let operator = if call.operator.ends_with("maximum") { "Max" } else { "Min" };
    let [a, b] = operands(call)?;
    one(call.emit(operator, vec![a, b], vec![]))
}

/// The axes of a reduction; all if none are given.
fn axes(call: &mut Call<'_, '_>) -> Result<(String, AttributeProto), Unsupported> {
    let rank = call.rank()?;
    let given = call.ints("dim")?.filter(|axes| !axes.is_empty());
    let axes = match given {
        Some(axes) => axes
            .into_iter()
            .map(|axis| call.axis(axis, rank).map(|axis| axis as i64))
            .collect::<Result<Vec<_>, _>>()?,
        None => (0..rank as i64).collect(),
    };
    let keep = int("keepdims", i64::from(call.flag("keepdim", false)));
    Ok((call.constant(axes), keep))
}

pub(super) fn mean(call: &mut Call<'_, '_>) -> Outcome {
    let operator = match call.operator {
        "aten.mean" => "ReduceMean",
        "aten.sum" => "ReduceSum",
        "aten.prod" => "ReduceProd",
        "aten.amax" => "ReduceMax",
        _ => "ReduceMin",
    };
    let (axes, keep) = axes(call)?;
    let input = call.first()?;
    one(call.emit(operator, vec![input, axes], vec![keep]))
}

/// Truth values and whole numbers are summed in the type of the output.
pub(super) fn cumulative_sum(call: &mut Call<'_, '_>) -> Outcome {
    let rank = call.rank()?;
    let axis = call.axis(call.int("dim", 0)?, rank)?;
    let given = call.first_meta()?.dtype;
    let made = match call.argument("dtype") {
        Some(Argument::ScalarType(made)) => *made,
        _ if is_integer(data_type(given)) => 5, // 64-bit integers
        _ => given,
    };
    let mut input = call.first()?;
    if made != given {
        input = call.emit("Cast", vec![input], vec![int("to", data_type(made) as i64)]);
    }
    let axis = call.whole(axis as i64);
    one(call.emit("CumSum", vec![input, axis], vec![]))
}

/// `max` and `min`: of a tensor, along an axis, or of two tensors.
pub(super) fn greatest(call: &mut Call<'_, '_>) -> Outcome {
    let largest = call.operator.ends_with("max");
    if call.overload == "other" {
        let [a, b] = operands(call)?;
        return one(call.emit(if largest { "Max" } else { "Min" }, vec![a, b], vec![]));
    }
    let (axes, keep) = axes(call)?;
    let input = call.first()?;
    let made = call.emit(if largest { "ReduceMax" } else { "ReduceMin" }, vec![input, axes], vec![keep]);
    // Where it is is not followed.
    Ok(vec![made, String::new()])
}

pub(super) fn vector_norm(call: &mut Call<'_, '_>) -> Outcome {
    let order = match (call.argument("ord"), call.argument("p")) {
        (Some(_), _) => call.float("ord", 2.0)?,
        (None, Some(_)) => call.float("p", 2.0)?,
        (None, None) => 2.0,
    };
    if order != 2.0 {
        return unsupported(format!("a norm of order {order}"));
    }
    let (axes, keep) = axes(call)?;
    let input = call.first()?;
    one(call.emit("ReduceL2", vec![input, axes], vec![keep]))
}

/// The mean of the squared distances from the mean, with Bessel's correction, as the layers that it is made of.
pub(super) fn variance(call: &mut Call<'_, '_>) -> Outcome {
    let dims = call.dims()?;
    let axes_given = call.ints("dim")?.filter(|axes| !axes.is_empty());
    let count = match &axes_given {
        None => dims.iter().product::<i64>(),
        Some(given) => {
            let mut count = 1i64;
            for &axis in given {
                count = count.saturating_mul(dims[call.axis(axis, dims.len())?]);
            }
            count
        }
    };
    let correction = match call.argument("correction") {
        Some(_) => call.float("correction", 1.0)?,
        None => f64::from(u8::from(call.flag("unbiased", true))),
    };
    let (axes, keep) = axes(call)?;
    let input = call.first()?;
    let mean = call.emit("ReduceMean", vec![input.clone(), axes.clone()], vec![int("keepdims", 1)]);
    let distance = call.emit("Sub", vec![input.clone(), mean], vec![]);
    let two = call.number(2.0);
    let squares = call.emit("Pow", vec![distance, two], vec![]);
    let mut made = call.emit("ReduceMean", vec![squares, axes.clone()], vec![keep.clone()]);
    let factor = count as f64 / (count as f64 - correction);
    if factor != 1.0 {
        let factor = call.number(factor);
        made = call.emit("Mul", vec![made, factor], vec![]);
    }
    if call.operator.starts_with("aten.std") {
        made = call.emit("Sqrt", vec![made], vec![]);
    }
    if !call.operator.ends_with("_mean") {
        return one(made);
    }
    let mean = call.emit("ReduceMean", vec![input, axes], vec![keep]);
    Ok(vec![made, mean])
}

/// `self + value * a * b`.
pub(super) fn addcmul(call: &mut Call<'_, '_>) -> Outcome {
    let factor = call.float("value", 1.0)?;
    let (a, b) = (call.at(1)?, call.at(2)?);
    let input = call.first()?;
    let (a, b) = (call.operand(a)?, call.operand(b)?);
    let mut product = call.emit("Mul", vec![a, b], vec![]);
    if factor != 1.0 {
        let factor = call.number(factor);
        product = call.emit("Mul", vec![product, factor], vec![]);
    }
    one(call.emit("Add", vec![input, product], vec![]))
}

/// `self + weight * (end - self)`.
pub(super) fn lerp(call: &mut Call<'_, '_>) -> Outcome {
    let (end, weight) = (call.at(1)?, call.at(2)?);
    let input = call.first()?;
    let (end, weight) = (call.operand(end)?, call.operand(weight)?);
    let way = call.emit("Sub", vec![end, input.clone()], vec![]);
    let part = call.emit("Mul", vec![way, weight], vec![]);
    one(call.emit("Add", vec![input, part], vec![]))
}
