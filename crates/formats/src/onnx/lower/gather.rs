//! Elements by their indices: Gather.

use super::choice::chosen;
use super::context::{Lower, Outcome, Use, Value};
use super::elements::{computed, small};
use super::slice_concat::{Part, dims, of_constant, taken};
use crate::onnx::constant::{Change, Constant};
use cnnkit_core::diagnostic::{Code, Problem};

/// Lowers Gather: a known scalar index selects one part, a run of indices a range.
pub(super) fn gather(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let indices = match lower.value(used, 1)? {
        Value::Constant(indices) => indices.clone(),
        _ => return embedding(lower, used),
    };
    let value = lower.value(used, 0)?.clone();
    let dims = dims(&value)?;
    let axis = used.axis(used.int("axis", 0), dims.len())?;
    let size = dims[axis];
    let Some(known) = indices.as_ints() else { return used.unsupported("indices that are not known") };
    let place = |&index: &i64| {
        let index = if index < 0 { i128::from(index) + i128::from(size) } else { i128::from(index) };
        u64::try_from(index).ok().filter(|&index| index < size).ok_or_else(|| {
            Problem::new(
                Code::InvalidValue,
                format!("its index {index} is not on an axis of {size} elements"),
            )
        })
    };
    let places = known.iter().map(place).collect::<Result<Vec<u64>, _>>()?;
    let value = match value {
        // A table of which elements repeat counts with its stored size.
        Value::Constant(constant) if places.len() as u64 > size && stored(lower, &constant) => {
            Value::Tensor(super::constant_source::tensor(lower, used, &constant)?)
        }
        // A part of a weight that stays in the file.
        Value::Constant(constant) if constant.root.is_some() && is_run(&places) => {
            let part = Part { axis, first: places[0], count: places.len() as u64, step: 1 };
            let mut dims = constant.dims.clone();
            dims.splice(axis..=axis, indices.dims.iter().copied());
            let taken = of_constant(&constant, part);
            return Ok(vec![Value::Constant(taken.changed(Change::Reshape(dims.clone()), dims))]);
        }
        Value::Constant(constant) => {
            return Ok(vec![Value::Constant(picked(&constant, axis, &places, &indices.dims))]);
        }
        other => other,
    };
    let Some(&first) = places.first() else { return used.unsupported("no indices") };
    let taken = if is_run(&places) {
        taken(lower, used, &value, Part { axis, first, count: places.len() as u64, step: 1 })?
    } else if let Value::Tensor(tensor) = &value {
        chosen(lower, used, tensor, axis, places)?
    } else {
        return used.unsupported("a choice of scattered indices");
    };
    let (Value::Tensor(tensor), false) = (&taken, indices.dims.len() == 1) else { return Ok(vec![taken]) };
    // The axes of the indices replace the axis; a single index removes it.
    let mut dims = tensor.dims.clone();
    dims.splice(axis..=axis, indices.dims.iter().copied());
    let batch = match tensor.batch {
        Some(batch) if batch == axis => (lower.batch == 1 && dims.len() > 1 && dims[0] == 1).then_some(0),
        Some(batch) if batch > axis => Some(batch - 1 + indices.dims.len()),
        None if lower.batch == 1 && dims.len() > 1 && dims[0] == 1 => Some(0),
        batch => batch,
    };
    Ok(vec![Value::Tensor(lower.viewed(used, tensor, &dims, batch)?)])
}

/// Lowers GatherND with known indices of the first axes: these axes are joined, then elements are selected.
/// PyTorch's newer exporter writes adaptive pools of uneven windows with it.
pub(super) fn gather_nd(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let tensor = lower.tensor(used, 0)?;
    let indices = lower.constant(used, 1)?;
    let Some(known) = indices.as_ints() else { return used.unsupported("indices that are not known") };
    let Some((&depth, outer)) = indices.dims.split_last() else {
        return Err(Problem::shape("its indices have no axes").into());
    };
    let depth = usize::try_from(depth).unwrap_or(usize::MAX);
    if used.int("batch_dims", 0) != 0 || depth == 0 || depth > tensor.dims.len() {
        return used.unsupported("indices for each image");
    }
    let batch = match tensor.batch {
        Some(batch) if batch >= depth => Some(batch),
        // A batch of 1 can be an ordinary axis.
        _ if lower.batch == 1 => None,
        _ => return used.unsupported("a choice of images"),
    };
    let mut places = Vec::with_capacity(known.len() / depth);
    for index in known.chunks(depth) {
        let mut flat = 0u64;
        for (&index, &size) in index.iter().zip(&tensor.dims) {
            let index = if index < 0 { i128::from(index) + i128::from(size) } else { i128::from(index) };
            let index = u64::try_from(index).ok().filter(|&index| index < size).ok_or_else(|| {
                Problem::new(
                    Code::InvalidValue,
                    format!("its index {index} is not on an axis of {size} elements"),
                )
            })?;
            flat = flat.saturating_mul(size).saturating_add(index);
        }
        places.push(flat);
    }
    let joined = crate::onnx::lower::shape(&tensor.dims[..depth], None).elements()?;
    let rest = &tensor.dims[depth..];
    let open = [&[joined], rest].concat();
    let flat = lower.viewed(used, &tensor, &open, batch.map(|batch| batch + 1 - depth))?;
    let Value::Tensor(taken) = chosen(lower, used, &flat, 0, places)? else {
        return used.unsupported("a choice of scattered indices");
    };
    let dims = [outer, rest].concat();
    let made = lower.viewed(used, &taken, &dims, batch.map(|batch| batch - depth + outer.len()))?;
    Ok(vec![Value::Tensor(super::slice_concat::settled(lower, used, made)?)])
}

/// Returns whether the indices are one or more in a row.
fn is_run(places: &[u64]) -> bool {
    !places.is_empty() && places.windows(2).all(|pair| pair[0] + 1 == pair[1])
}

/// Returns whether `constant` is a complete weight of the file.
fn stored(lower: &Lower, constant: &Constant) -> bool {
    lower.is_learned(constant) && !constant.is_integer()
}

/// Rejects a table of learned vectors that is read by computed indices.
fn embedding(_: &mut Lower, used: Use<'_>) -> Outcome {
    used.unsupported("a look-up by computed indices")
}

fn picked(constant: &Constant, axis: usize, places: &[u64], shape: &[u64]) -> Constant {
    let mut dims = constant.dims.clone();
    dims.splice(axis..=axis, shape.iter().copied());
    let values = constant.values.as_ref().filter(|_| small(&dims)).map(|values| {
        let inner: usize = constant.dims[axis + 1..].iter().map(|&size| size as usize).product();
        let outer: usize = constant.dims[..axis].iter().map(|&size| size as usize).product();
        let size = constant.dims[axis] as usize;
        let mut found = Vec::new();
        for block in 0..outer {
            for &place in places {
                let start = (block * size + place as usize) * inner;
                found.extend(start..start + inner);
            }
        }
        values.pick(&found)
    });
    Constant { values, ..computed(dims, constant.data_type) }
}
