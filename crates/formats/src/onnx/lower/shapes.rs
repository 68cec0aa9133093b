//! The same elements with other axes: Reshape, Flatten, Squeeze, Unsqueeze, Transpose.

use super::context::{Flaw, Lower, Outcome, Tensor, Use, Value};
use crate::onnx::constant::{Change, Constant};
use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_core::layers::Layer;
use cnnkit_core::layers::flatten::Flatten;
use cnnkit_core::layers::permute::Permute;
use cnnkit_core::shape::product;

/// Returns the constant with other sizes.
fn reshaped(constant: &Constant, dims: Vec<u64>) -> Value {
    Value::Constant(constant.changed(Change::Reshape(dims.clone()), dims))
}

/// Resolves the sizes of a reshape: 0 keeps an axis, -1 takes the remaining elements.
pub(super) fn resolved(dims: &[u64], wanted: &[i64], zero_is_zero: bool) -> Result<Vec<u64>, Problem> {
    let wrong = |what: &str| Problem::shape(format!("{dims:?} cannot be reshaped to {wanted:?}: {what}"));
    let elements = product(dims).ok_or_else(|| wrong("too many elements"))?;
    let mut sizes = Vec::with_capacity(wanted.len());
    let mut open = None;
    for (axis, &size) in wanted.iter().enumerate() {
        sizes.push(match size {
            0 if !zero_is_zero => *dims.get(axis).ok_or_else(|| wrong("there is no such axis to keep"))?,
            -1 if open.is_some() => return Err(wrong("-1 more than once")),
            -1 => {
                open = Some(axis);
                1
            }
            _ => u64::try_from(size).map_err(|_| wrong("a negative size"))?,
        });
    }
    let known = product(&sizes).ok_or_else(|| wrong("too many elements"))?;
    match open {
        Some(axis) if known > 0 && elements.is_multiple_of(known) => sizes[axis] = elements / known,
        None if known == elements => {}
        _ => return Err(wrong(&format!("{elements} elements"))),
    }
    Ok(sizes)
}

/// Returns the batch axis after a reshape to `dims`; an error if the reshape mixes it with other axes.
fn batch_after(lower: &Lower, used: Use<'_>, tensor: &Tensor, dims: &[u64]) -> Result<Option<usize>, Flaw> {
    if lower.batch == 1 {
        // A leading axis of size 1 is the batch; without one, there is no batch axis.
        return Ok((dims.first() == Some(&1) && dims.len() > 1).then_some(0));
    }
    match tensor.batch {
        Some(0) if dims.first() == Some(&lower.batch) => Ok(Some(0)),
        None => Ok(None),
        _ => used.unsupported(format!(
            "a reshape to {dims:?} that does not keep the batch of {} apart",
            lower.batch
        )),
    }
}

fn to(lower: &mut Lower, used: Use<'_>, tensor: &Tensor, dims: &[u64]) -> Outcome {
    let batch = batch_after(lower, used, tensor, dims)?;
    // A reshape to one axis is a flatten.
    let (from, into) = (lower.drafts[tensor.draft].shape.clone(), super::context::shape(dims, batch));
    if from.rank() > 1 && into.rank() == 1 {
        let flat = Layer::Flatten(Flatten { start_axis: 0, end_axis: None });
        let made = lower.emit(used, flat, &[tensor], vec![], batch)?;
        return Ok(vec![Value::Tensor(Tensor { draft: made.draft, dims: dims.to_vec(), batch })]);
    }
    Ok(vec![Value::Tensor(lower.viewed(used, tensor, dims, batch)?)])
}

fn apply(lower: &mut Lower, used: Use<'_>, dims: impl Fn(&[u64]) -> Result<Vec<u64>, Problem>) -> Outcome {
    match lower.value(used, 0)?.clone() {
        Value::Tensor(tensor) => {
            let dims = dims(&tensor.dims)?;
            to(lower, used, &tensor, &dims)
        }
        Value::Constant(constant) => {
            let dims = dims(&constant.dims)?;
            Ok(vec![reshaped(&constant, dims)])
        }
        Value::Unknown(reason) => Err(Flaw::Unsupported(reason)),
    }
}

pub(super) fn reshape(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let wanted = lower.setting(used, "shape", 1)?;
    let Some(wanted) = wanted else { return Err(Problem::new(Code::Missing, "it has no new shape").into()) };
    let zero_is_zero = used.int("allowzero", 0) != 0;
    apply(lower, used, |dims| resolved(dims, &wanted, zero_is_zero))
}

pub(super) fn flatten(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let axis = used.int("axis", 1);
    apply(lower, used, |dims| {
        let rank = dims.len() as i64;
        let place =
            usize::try_from(if axis < 0 { axis + rank } else { axis }).ok().filter(|&at| at <= dims.len());
        let place =
            place.ok_or_else(|| Problem::new(Code::InvalidValue, format!("axis {axis} does not exist")))?;
        let part = |sizes: &[u64]| product(sizes).ok_or_else(|| Problem::overflow("the joined axis"));
        Ok(vec![part(&dims[..place])?, part(&dims[place..])?])
    })
}

/// Returns `axes` as axes of a tensor with `rank` axes, in order.
fn axes(used: Use<'_>, axes: &[i64], rank: usize) -> Result<Vec<usize>, Problem> {
    let mut places = axes.iter().map(|&axis| used.axis(axis, rank)).collect::<Result<Vec<_>, _>>()?;
    places.sort_unstable();
    places.dedup();
    if places.len() != axes.len() {
        return Err(Problem::new(Code::InvalidValue, format!("its axes {axes:?} name one twice")));
    }
    Ok(places)
}

pub(super) fn squeeze(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let given = lower.setting(used, "axes", 1)?;
    squeeze_axes(lower, used, given.as_deref())
}

fn squeeze_axes(lower: &mut Lower, used: Use<'_>, given: Option<&[i64]>) -> Outcome {
    apply(lower, used, |dims| {
        let places = match given {
            Some(given) => axes(used, given, dims.len())?,
            None => (0..dims.len()).filter(|&axis| dims[axis] == 1).collect(),
        };
        if let Some(&wrong) = places.iter().find(|&&axis| dims[axis] != 1) {
            return Err(Problem::shape(format!("axis {wrong} of {dims:?} cannot be squeezed: it is not 1")));
        }
        let kept = dims.iter().enumerate().filter(|(axis, _)| !places.contains(axis));
        Ok(kept.map(|(_, &size)| size).collect())
    })
}

pub(super) fn unsqueeze(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let given = lower.setting(used, "axes", 1)?.unwrap_or_default();
    apply(lower, used, |dims| {
        let places = axes(used, &given, dims.len() + given.len())?;
        let mut result = dims.to_vec();
        for place in places {
            result.insert(place, 1);
        }
        Ok(result)
    })
}

pub(super) fn transpose(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let value = lower.value(used, 0)?.clone();
    let rank = match &value {
        Value::Tensor(tensor) => tensor.dims.len(),
        Value::Constant(constant) => constant.dims.len(),
        Value::Unknown(reason) => return Err(Flaw::Unsupported(reason.clone())),
    };
    let order: Vec<usize> = match used.ints("perm") {
        Some(perm) => {
            let order = perm.iter().map(|&axis| used.axis(axis, rank)).collect::<Result<Vec<_>, _>>()?;
            let mut sorted = order.clone();
            sorted.sort_unstable();
            if !sorted.into_iter().eq(0..rank) {
                let message = format!("its `perm` {perm:?} does not name each of the {rank} axes once");
                return Err(Problem::new(Code::InvalidValue, message).into());
            }
            order
        }
        None => (0..rank).rev().collect(),
    };
    match value {
        Value::Tensor(tensor) => Ok(vec![Value::Tensor(permuted(lower, used, &tensor, &order)?)]),
        Value::Constant(constant) => {
            let dims: Vec<u64> = order.iter().map(|&axis| constant.dims[axis]).collect();
            let changed = constant.changed(Change::Transpose(order), dims);
            Ok(vec![Value::Constant(changed)])
        }
        Value::Unknown(reason) => Err(Flaw::Unsupported(reason)),
    }
}

/// Returns `tensor` with axis `order[i]` as its axis `i`.
pub(super) fn permuted(
    lower: &mut Lower,
    used: Use<'_>,
    tensor: &Tensor,
    order: &[usize],
) -> Result<Tensor, Flaw> {
    let dims: Vec<u64> = order.iter().map(|&axis| tensor.dims[axis]).collect();
    let batch = tensor.batch.and_then(|batch| order.iter().position(|&axis| axis == batch));
    let axes: Vec<u64> = order.iter().filter_map(|&axis| tensor.axis(axis)).map(|axis| axis as u64).collect();
    if axes.iter().copied().eq(0..axes.len() as u64) {
        return Ok(Tensor { draft: tensor.draft, dims, batch });
    }
    let made = lower.emit(used, Layer::Permute(Permute { axes }), &[tensor], vec![], batch)?;
    Ok(Tensor { draft: made.draft, dims, batch })
}
