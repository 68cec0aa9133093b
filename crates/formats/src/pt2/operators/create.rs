//! Tensors that are made of nothing: constants, which vanish.

use super::super::messages::{data_type, int};
use super::call::values::returned;
use super::call::{Call, Outcome, Unsupported, one, unsupported};
use crate::onnx::constant::is_integer;
use crate::onnx::proto::DataType;

/// Whether the output has whole numbers.
fn makes_whole(call: &Call<'_, '_>) -> bool {
    let names = returned(call.node);
    let meta = names.first().and_then(|name| call.values.meta(name.as_ref()?));
    meta.is_some_and(|meta| is_integer(data_type(meta.dtype)))
}

/// A constant in the shape and type of the output.
fn made(call: &mut Call<'_, '_>, value: f64) -> Outcome {
    let sizes = call.output_dims(0)?;
    let whole = makes_whole(call);
    let sizes = call.constant(sizes);
    one(call.filled(sizes, value, whole))
}

/// The value that fills: zero, one, or the argument.
fn value(call: &Call<'_, '_>) -> Result<f64, Unsupported> {
    match call.operator {
        name if name.contains("ones") => Ok(1.0),
        name if name.contains("zero") || name.contains("empty") => Ok(0.0),
        "aten.scalar_tensor" => call.float("s", 0.0),
        _ => match call.argument("fill_value") {
            Some(_) => call.float("fill_value", 0.0),
            None => unsupported("the value that fills it is missing"),
        },
    }
}

pub(super) fn full(call: &mut Call<'_, '_>) -> Outcome {
    let value = value(call)?;
    made(call, value)
}

pub(super) fn like(call: &mut Call<'_, '_>) -> Outcome {
    let value = value(call)?;
    made(call, value)
}

/// `fill_(value)` and `zero_()`: nothing of what was there is left.
pub(super) fn fill(call: &mut Call<'_, '_>) -> Outcome {
    if call.operator == "aten.zero" {
        return made(call, 0.0);
    }
    if let Some(tensor @ super::super::schema::Argument::Tensor(_)) = call.argument("value") {
        let value = call.operand(tensor)?;
        let sizes = call.output_dims(0)?;
        let sizes = call.constant(sizes);
        return one(call.emit("Expand", vec![value, sizes], vec![]));
    }
    let value = call.float("value", 0.0)?;
    made(call, value)
}

/// `copy_(source)`: the source in the shape of the target.
pub(super) fn copy(call: &mut Call<'_, '_>) -> Outcome {
    let source = call.tensor("src")?.ok_or_else(|| Unsupported("it has no source".into()))?;
    let sizes = call.output_dims(0)?;
    let sizes = call.constant(sizes);
    one(call.emit("Expand", vec![source, sizes], vec![]))
}

pub(super) fn arange(call: &mut Call<'_, '_>) -> Outcome {
    let whole = makes_whole(call);
    let mut bounds = Vec::with_capacity(3);
    for (name, default) in [("start", 0.0), ("end", 0.0), ("step", 1.0)] {
        let number = match call.argument(name) {
            None => Some(default),
            Some(super::super::schema::Argument::Int(value)) => Some(*value as f64),
            Some(super::super::schema::Argument::Float(value)) => Some(*value),
            Some(_) => None,
        };
        let value = match (number, call.argument(name)) {
            (Some(number), _) if whole => call.whole(number as i64),
            (Some(number), _) => call.number(number),
            (None, Some(argument)) => call.operand(argument)?,
            (None, None) => return unsupported("its bounds are missing"),
        };
        bounds.push(value);
    }
    one(call.emit("Range", bounds, vec![]))
}

/// `start + i * (end - start) / (steps - 1)`.
pub(super) fn linspace(call: &mut Call<'_, '_>) -> Outcome {
    let (start, end) = (call.float("start", 0.0)?, call.float("end", 0.0)?);
    let steps = call.int("steps", 0)?;
    let step = if steps > 1 { (end - start) / (steps - 1) as f64 } else { 0.0 };
    let bounds = [0.0, steps as f64, 1.0].map(|bound| call.number(bound));
    let indices = call.emit("Range", bounds.to_vec(), vec![]);
    let (step, start) = (call.number(step), call.number(start));
    let scaled = call.emit("Mul", vec![indices, step], vec![]);
    one(call.emit("Add", vec![scaled, start], vec![]))
}

/// Ones where row and column are the same.
pub(super) fn eye(call: &mut Call<'_, '_>) -> Outcome {
    let dims = call.output_dims(0)?;
    let &[rows, columns] = dims.as_slice() else { return unsupported("an identity that is no matrix") };
    let names = returned(call.node);
    let meta = names.first().and_then(|name| call.values.meta(name.as_ref()?));
    let to = meta.map_or(DataType::Float, |meta| data_type(meta.dtype));
    let indices = |call: &mut Call<'_, '_>, count: i64, sizes: [i64; 2]| {
        let bounds = [0, count, 1].map(|bound| call.whole(bound));
        let list = call.emit("Range", bounds.to_vec(), vec![]);
        let sizes = call.constant(sizes.to_vec());
        call.emit("Reshape", vec![list, sizes], vec![])
    };
    let (down, right) = (indices(call, rows, [-1, 1]), indices(call, columns, [1, -1]));
    let same = call.emit("Equal", vec![down, right], vec![]);
    one(call.emit("Cast", vec![same], vec![int("to", to as i64)]))
}

/// Each list along an axis of its own, repeated along the others.
pub(super) fn meshgrid(call: &mut Call<'_, '_>) -> Outcome {
    let swapped = call.text("indexing") == Some("xy");
    let list = call.list()?;
    let dims = call.output_dims(0)?;
    if dims.len() != list.len() {
        return unsupported("a grid of scalars");
    }
    let mut made = Vec::with_capacity(list.len());
    for (index, value) in list.into_iter().enumerate() {
        let axis = match index {
            0 | 1 if swapped && dims.len() > 1 => 1 - index,
            other => other,
        };
        let mut open = vec![1; dims.len()];
        open[axis] = dims[axis];
        let (open, whole) = (call.constant(open), call.constant(dims.clone()));
        let opened = call.emit("Reshape", vec![value, open], vec![int("allowzero", 1)]);
        made.push(call.emit("Expand", vec![opened, whole], vec![]));
    }
    Ok(made)
}
