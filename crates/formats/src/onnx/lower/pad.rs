//! Padding: Pad.

use super::context::{Flaw, Lower, Outcome, Tensor, Use, Value};
use super::slice_concat::{Part, taken};
use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_core::layers::Layer;
use cnnkit_core::layers::args::Padding;
use cnnkit_core::layers::conv::PaddingMode;
use cnnkit_core::layers::pad::Pad;

pub(super) fn pad(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let mut input = lower.tensor(used, 0)?;
    let rank = input.dims.len();
    let pads =
        lower.setting(used, "pads", 1)?.or(used.ints("paddings").map(<[i64]>::to_vec)).unwrap_or_default();
    let axes: Vec<usize> = match lower.setting(used, "axes", 3)? {
        Some(axes) => axes.iter().map(|&axis| used.axis(axis, rank)).collect::<Result<_, _>>()?,
        None => (0..rank).collect(),
    };
    if pads.len() != 2 * axes.len() {
        let message = format!("its {} paddings do not fit {} axes", pads.len(), axes.len());
        return Err(Problem::new(Code::InvalidValue, message).into());
    }
    let mut sides = vec![(0u64, 0u64); rank];
    for (index, &axis) in axes.iter().enumerate() {
        let (before, after) = (pads[index], pads[index + axes.len()]);
        let side = |value: i64| u64::try_from(value).unwrap_or(0);
        sides[axis] = (side(before), side(after));
        if before < 0 || after < 0 {
            input = cut(lower, used, input, axis, (before, after))?;
        }
    }
    if sides.iter().all(|&side| side == (0, 0)) {
        return Ok(vec![Value::Tensor(input)]);
    }
    if input.batch.is_some_and(|batch| sides[batch] != (0, 0)) {
        return used.unsupported("padding of the batch");
    }
    let mode = match used.text("mode").unwrap_or("constant") {
        "constant" => PaddingMode::Zeros,
        "reflect" => PaddingMode::Reflect,
        "edge" => PaddingMode::Replicate,
        "wrap" => PaddingMode::Circular,
        other => return used.unsupported(format!("padding by {other}")),
    };
    let value = match lower.optional(used, 2)? {
        Some(value) => match value.scalar() {
            Some(value) => super::control::meant(value),
            None => return used.unsupported("a padding value that is not known"),
        },
        None => used.float("value", 0.0),
    };
    let layer = |sides: &[(u64, u64)]| Layer::Pad(Pad { padding: around(sides), mode, value, causal: false });
    if input.batch == Some(0) && sides[1] == (0, 0) && (3..=5).contains(&rank) {
        return lower.simple(used, layer(&sides[2..]), &input);
    }
    // The padded axes last, all others as one before them, and back.
    let order: Vec<usize> = {
        let kept = (0..rank).filter(|&axis| sides[axis] == (0, 0) && Some(axis) != input.batch);
        let padded = (0..rank).filter(|&axis| sides[axis] != (0, 0));
        input.batch.into_iter().chain(kept).chain(padded).collect()
    };
    let moved = super::shapes::permuted(lower, used, &input, &order)?;
    let sides: Vec<(u64, u64)> =
        order.iter().map(|&axis| sides[axis]).filter(|&side| side != (0, 0)).collect();
    if sides.len() > 3 {
        return used.unsupported(format!("padding of {} axes", sides.len()));
    }
    let front = usize::from(moved.batch.is_some());
    let (before, space) = moved.dims.split_at(rank - sides.len());
    let joined =
        cnnkit_core::shape::product(&before[front..]).ok_or_else(|| Problem::overflow("the joined axis"))?;
    let map = lower.viewed(used, &moved, &[&before[..front], &[joined], space].concat(), moved.batch)?;
    let made = lower.map(used, layer(&sides), &map, vec![])?;
    let dims = [before, &made.dims[front + 1..]].concat();
    let open = lower.viewed(used, &made, &dims, moved.batch)?;
    let mut back = vec![0; rank];
    order.iter().enumerate().for_each(|(place, &axis)| back[axis] = place);
    Ok(vec![Value::Tensor(super::shapes::permuted(lower, used, &open, &back)?)])
}

/// Paddings of these sides.
fn around(sides: &[(u64, u64)]) -> Padding {
    if sides.iter().all(|&(before, after)| before == after) {
        Padding::Symmetric(super::conv::per_axis(&sides.iter().map(|side| side.0).collect::<Vec<_>>()))
    } else {
        Padding::Sides(sides.to_vec())
    }
}

/// A tensor without what negative paddings cut off.
fn cut(
    lower: &mut Lower,
    used: Use<'_>,
    tensor: Tensor,
    axis: usize,
    (before, after): (i64, i64),
) -> Result<Tensor, Flaw> {
    if used.text("mode").is_some_and(|mode| mode != "constant") && (before > 0 || after > 0) {
        return used.unsupported("negative paddings beside repeated elements");
    }
    let less = |side: i64| if side < 0 { side.unsigned_abs() } else { 0 };
    let (first, end) = (less(before), tensor.dims[axis].saturating_sub(less(after)));
    let count = end.saturating_sub(first);
    if count == 0 {
        return used.unsupported("negative paddings that leave nothing");
    }
    match taken(lower, used, &Value::Tensor(tensor), Part { axis, first, count, step: 1 })? {
        Value::Tensor(tensor) => Ok(tensor),
        Value::Constant(_) | Value::Unknown(_) => used.unsupported("negative paddings of a constant"),
    }
}
