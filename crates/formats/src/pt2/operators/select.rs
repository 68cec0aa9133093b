//! Parts and joins of tensors, and choices of their elements.

use super::super::messages::{int, text};
use super::super::schema::Argument;
use super::call::{Call, Outcome, Unsupported, one, unsupported};
use super::product::along;

/// PyTorch's number of the type of truth values.
const BOOL: i64 = 12;

/// Elements `start..end` of an axis.
fn part(
    call: &mut Call<'_, '_>,
    value: String,
    axis: usize,
    start: String,
    end: String,
    step: i64,
) -> String {
    let (axes, steps) = (call.constant(vec![axis as i64]), call.constant(vec![step]));
    call.emit("Slice", vec![value, start, end, axes, steps], vec![])
}

/// A bound as a list of one: known, or computed from open sizes.
fn bound(call: &mut Call<'_, '_>, argument: Option<&Argument>, default: i64) -> Result<String, Unsupported> {
    match argument {
        None => Ok(call.constant(vec![default])),
        Some(Argument::Int(value)) => Ok(call.constant(vec![*value])),
        Some(argument) => {
            let value = call.operand(argument)?;
            let one = call.constant(vec![1]);
            Ok(call.emit("Reshape", vec![value, one], vec![]))
        }
    }
}

pub(super) fn slice(call: &mut Call<'_, '_>) -> Outcome {
    let rank = call.rank()?;
    let axis = call.axis(call.int("dim", 0)?, rank)?;
    let input = call.first()?;
    if call.operator == "aten.narrow" {
        let (start, length) = (call.int("start", 0)?, call.int("length", 0)?);
        let (start, end) = (call.constant(vec![start]), call.constant(vec![start.saturating_add(length)]));
        return one(part(call, input, axis, start, end, 1));
    }
    let (start, end) = (call.argument("start"), call.argument("end"));
    let (start, end) = (bound(call, start, 0)?, bound(call, end, i64::MAX)?);
    one(part(call, input, axis, start, end, call.int("step", 1)?))
}

pub(super) fn select(call: &mut Call<'_, '_>) -> Outcome {
    let rank = call.rank()?;
    let axis = call.axis(call.int("dim", 0)?, rank)?;
    let index = call.int("index", 0)?;
    let input = call.first()?;
    let index = call.whole(index);
    one(call.emit("Gather", vec![input, index], vec![along(axis)]))
}

/// The sizes of the parts along `axis`, which are those of the outputs.
pub(super) fn lengths(call: &Call<'_, '_>, axis: usize) -> Result<Vec<i64>, Unsupported> {
    let count = super::call::values::returned(call.node).len();
    (0..count).map(|index| call.output_dims(index).map(|dims| dims.get(axis).copied().unwrap_or(0))).collect()
}

pub(super) fn split(call: &mut Call<'_, '_>) -> Outcome {
    let rank = call.rank()?;
    let axis = call.axis(call.int("dim", 0)?, rank)?;
    let lengths = lengths(call, axis)?;
    let input = call.first()?;
    let count = lengths.len();
    let lengths = call.constant(lengths);
    Ok(call.emit_all("Split", vec![input, lengths], count, vec![along(axis)]))
}

pub(super) fn unbind(call: &mut Call<'_, '_>) -> Outcome {
    let rank = call.rank()?;
    let axis = call.axis(call.int("dim", 0)?, rank)?;
    let input = call.first()?;
    let count = super::call::values::returned(call.node).len();
    let parts = (0..count as i64).map(|index| {
        let index = call.whole(index);
        call.emit("Gather", vec![input.clone(), index], vec![along(axis)])
    });
    Ok(parts.collect())
}

/// Number of axes of the first tensor of the list.
fn rank_of_list(call: &Call<'_, '_>) -> Result<usize, Unsupported> {
    let Argument::Tensors(names) = call.at(0)? else { return unsupported("its first argument is no list") };
    let meta =
        names.iter().flatten().filter_map(|name| call.values.meta(name)).map(|meta| meta.sizes.len()).max();
    meta.ok_or_else(|| Unsupported("an empty list".into()))
}

pub(super) fn cat(call: &mut Call<'_, '_>) -> Outcome {
    let rank = rank_of_list(call)?;
    let axis = call.axis(call.int("dim", 0)?, rank)?;
    let list = call.list()?;
    one(call.emit("Concat", list, vec![along(axis)]))
}

/// Differences of neighbours along an axis.
pub(super) fn diff(call: &mut Call<'_, '_>) -> Outcome {
    if call.int("n", 1)? != 1 || call.first_meta()?.dtype == BOOL {
        return unsupported("differences of differences, or of truth values");
    }
    let rank = call.rank()?;
    let axis = call.axis(call.int("dim", -1)?, rank)?;
    let parts = [call.tensor("prepend")?, Some(call.first()?), call.tensor("append")?];
    let mut parts: Vec<String> = parts.into_iter().flatten().collect();
    let whole =
        if parts.len() == 1 { parts.remove(0) } else { call.emit("Concat", parts, vec![along(axis)]) };
    let [first, second, last, end] = [0, 1, -1, i64::MAX].map(|at| call.constant(vec![at]));
    let later = part(call, whole.clone(), axis, second, end, 1);
    let earlier = part(call, whole, axis, first, last, 1);
    one(call.emit("Sub", vec![later, earlier], vec![]))
}

pub(super) fn stack(call: &mut Call<'_, '_>) -> Outcome {
    if call.operator != "aten.stack" {
        return unsupported("no layer for it");
    }
    let rank = rank_of_list(call)?;
    let axis = call.axis(call.int("dim", 0)?, rank + 1)?;
    let axes = call.constant(vec![axis as i64]);
    let mut parts = Vec::new();
    for value in call.list()? {
        parts.push(call.emit("Unsqueeze", vec![value, axes.clone()], vec![]));
    }
    one(call.emit("Concat", parts, vec![along(axis)]))
}

/// Paddings are pairs, the last axis first; negative ones cut off.
pub(super) fn pad(call: &mut Call<'_, '_>) -> Outcome {
    let rank = call.rank()?;
    let given = match call.ints("pad")? {
        Some(given) => given,
        None => call.ints("padding")?.unwrap_or_default(),
    };
    if !given.len().is_multiple_of(2) || given.len() / 2 > rank {
        return unsupported(format!("paddings {given:?} of {rank} axes"));
    }
    let mode = match (call.operator, call.text("mode")) {
        ("aten.constant_pad_nd", _) | ("aten.pad", None | Some("constant")) => "constant",
        ("aten.pad", Some("reflect")) => "reflect",
        ("aten.pad", Some("replicate")) => "edge",
        ("aten.pad", Some("circular")) => "wrap",
        (name, None) if name.contains("reflection") => "reflect",
        (name, None) if name.contains("replication") => "edge",
        (_, other) => return unsupported(format!("padding by {other:?}")),
    };
    let value = call.float("value", 0.0)?;
    let (mut before, mut after) = (vec![0i64; rank], vec![0i64; rank]);
    for (index, pair) in given.chunks(2).enumerate() {
        (before[rank - 1 - index], after[rank - 1 - index]) = (pair[0], pair[1]);
    }
    let mut current = call.first()?;
    for axis in 0..rank {
        let (cut_before, cut_after) = ((-before[axis]).max(0), (-after[axis]).max(0));
        if cut_before > 0 || cut_after > 0 {
            let start = call.constant(vec![cut_before]);
            let end = call.constant(vec![if cut_after > 0 { -cut_after } else { i64::MAX }]);
            current = part(call, current, axis, start, end, 1);
        }
        (before[axis], after[axis]) = (before[axis].max(0), after[axis].max(0));
    }
    let pads = call.constant([before, after].concat());
    let value = call.like_first(value);
    one(call.emit("Pad", vec![current, pads, value], vec![text("mode", mode)]))
}

/// The end of each axis in front of its beginning.
pub(super) fn roll(call: &mut Call<'_, '_>) -> Outcome {
    let dims = call.dims()?;
    let shifts = call.ints("shifts")?.unwrap_or_default();
    let axes = call.ints("dims")?.unwrap_or_default();
    if axes.len() != shifts.len() {
        return unsupported("a shift of all elements");
    }
    let mut current = call.first()?;
    for (&axis, &shift) in axes.iter().zip(&shifts) {
        let axis = call.axis(axis, dims.len())?;
        let Some(shift) = shift.checked_rem_euclid(dims[axis]).filter(|&shift| shift != 0) else { continue };
        let (zero, cut) = (call.constant(vec![0]), call.constant(vec![dims[axis] - shift]));
        let end = call.constant(vec![i64::MAX]);
        let front = part(call, current.clone(), axis, cut.clone(), end, 1);
        let back = part(call, current, axis, zero, cut, 1);
        current = call.emit("Concat", vec![front, back], vec![along(axis)]);
    }
    one(current)
}

/// Indices of one axis.
pub(super) fn index(call: &mut Call<'_, '_>) -> Outcome {
    let Some(Argument::Tensors(names)) = call.argument("indices") else {
        return unsupported("indices that are no tensors");
    };
    let given: Vec<(usize, &String)> =
        names.iter().enumerate().filter_map(|(axis, name)| Some((axis, name.as_ref()?))).collect();
    let input = call.first()?;
    if let [(axis, name)] = given.as_slice() {
        if call.values.meta(name).is_some_and(|meta| matches!(meta.dtype, 1 | 12)) {
            return unsupported("a choice by truth values");
        }
        let index = call.values.read(name)?;
        return one(call.emit("Gather", vec![input, index], vec![along(*axis)]));
    }
    let dims = call.dims()?;
    let front = given.iter().enumerate().all(|(place, (axis, _))| place == *axis);
    if !front || given.is_empty() {
        return unsupported("indices of axes apart");
    }
    // Indices of the first axes together: one list of places.
    let mut parts = Vec::with_capacity(given.len());
    let output = call.output_dims(0)?;
    let rank = (output.len() + given.len()).checked_sub(dims.len());
    let Some(rank) = rank else { return unsupported("indices that do not fit") };
    let sizes = output.get(..rank).unwrap_or_default().to_vec();
    for (_, name) in &given {
        let index = call.values.read(name)?;
        let whole = call.constant(sizes.clone());
        let spread = call.emit("Expand", vec![index, whole], vec![]);
        let axes = call.constant(vec![rank as i64]);
        parts.push(call.emit("Unsqueeze", vec![spread, axes], vec![]));
    }
    let places = call.emit("Concat", parts, vec![along(rank)]);
    one(call.emit("GatherND", vec![input, places], vec![]))
}

pub(super) fn index_select(call: &mut Call<'_, '_>) -> Outcome {
    let rank = call.rank()?;
    let axis = call.axis(call.int("dim", 0)?, rank)?;
    let input = call.first()?;
    let index = call.tensor("index")?.ok_or_else(|| Unsupported("it has no indices".into()))?;
    one(call.emit("Gather", vec![input, index], vec![along(axis)]))
}

pub(super) fn embedding(call: &mut Call<'_, '_>) -> Outcome {
    let table = call.first()?;
    let index = call.tensor("indices")?.ok_or_else(|| Unsupported("it has no indices".into()))?;
    one(call.emit("Gather", vec![table, index], vec![int("axis", 0)]))
}

pub(super) fn choose(call: &mut Call<'_, '_>) -> Outcome {
    let (yes, no) = (call.at(1)?, call.at(2)?);
    let condition = call.first()?;
    let (yes, no) = (number(call, yes)?, number(call, no)?);
    one(call.emit("Where", vec![condition, yes, no], vec![]))
}

/// An operand; a bare number has the type of the output.
fn number(call: &mut Call<'_, '_>, argument: &Argument) -> Result<String, Unsupported> {
    match argument {
        Argument::Int(value) => Ok(call.number(*value as f64)),
        other => call.operand(other),
    }
}

pub(super) fn masked_fill(call: &mut Call<'_, '_>) -> Outcome {
    let input = call.first()?;
    let mask = call.tensor("mask")?.ok_or_else(|| Unsupported("it has no mask".into()))?;
    let value = match call.argument("value") {
        Some(Argument::Int(value)) => call.like_first(*value as f64),
        Some(Argument::Float(value)) => call.like_first(*value),
        Some(other) => call.operand(other)?,
        None => return unsupported("it has no value"),
    };
    one(call.emit("Where", vec![mask, value, input], vec![]))
}

pub(super) fn triangle(call: &mut Call<'_, '_>) -> Outcome {
    let upper = i64::from(call.operator.ends_with("triu"));
    let diagonal = call.int("diagonal", 0)?;
    let input = call.first()?;
    let diagonal = call.whole(diagonal);
    one(call.emit("Trilu", vec![input, diagonal], vec![int("upper", upper)]))
}
