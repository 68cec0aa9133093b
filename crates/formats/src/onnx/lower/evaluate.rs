//! Operators on known constants beyond plain arithmetic: reductions, cumulative sums, selections of elements,
//! patterned tensors. Exporters write sizes, paddings and masks with them.

use super::context::Use;
use super::elements::{broadcast, computed, places, small};
use crate::onnx::constant::{Constant, Values, is_integer, steps};
use crate::onnx::proto::DataType;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::shape::product;

/// Computes the output of the node; none if the operator is not one of these, or the values are unknown.
pub(super) fn evaluated(used: Use<'_>, inputs: &[Option<&Constant>]) -> Option<Constant> {
    let at = |index: usize| inputs.get(index).copied().flatten();
    let first = at(0)?;
    match used.node.op_type.as_str() {
        "Clip" => clipped(used, first, at(1), at(2)),
        "CumSum" => summed(used, first, at(1)?),
        "EyeLike" => diagonal(used, first),
        "Mean" => mean(inputs),
        "ArgMax" | "ArgMin" => best(used, first),
        "Tile" => tiled(first, at(1)?.as_ints()?),
        "OneHot" => one_hot(used, first, at(1)?, at(2)?),
        "GatherElements" => gathered(used, first, at(1)?),
        "GatherND" => looked_up(used, first, at(1)?),
        "ScatterElements" => scattered(used, first, at(1)?, at(2)?),
        "BatchNormalization" => normalised(used, first, [at(1)?, at(2)?, at(3)?, at(4)?]),
        "NonZero" => non_zero(first),
        "Pad" => padded(used, first, at(1), at(2), at(3)),
        _ => None,
    }
}

/// Converts numbers to the element type.
fn typed(data_type: DataType, values: Vec<f64>) -> Values {
    if is_integer(data_type) {
        Values::Ints(values.into_iter().map(|value| value as i64).collect())
    } else {
        Values::Floats(values)
    }
}

fn with(constant: Constant, values: Values) -> Constant {
    Constant { values: Some(values), ..constant }
}

fn clipped(
    used: Use<'_>,
    data: &Constant,
    min: Option<&Constant>,
    max: Option<&Constant>,
) -> Option<Constant> {
    let values = data.values.as_ref()?.floats();
    let bound = |given: Option<&Constant>, name: &str, none: f64| match given {
        Some(constant) => constant.scalar(),
        None => Some(used.float(name, none)),
    };
    let (least, most) = (bound(min, "min", f64::NEG_INFINITY)?, bound(max, "max", f64::INFINITY)?);
    let values = values.into_iter().map(|value| value.max(least).min(most)).collect();
    Some(with(computed(data.dims.clone(), data.data_type), typed(data.data_type, values)))
}

/// Returns the products of the sizes before an axis, of the axis, and after it.
fn around(dims: &[u64], axis: usize) -> (usize, usize, usize) {
    let count = |sizes: &[u64]| sizes.iter().fold(1usize, |count, &size| count.saturating_mul(size as usize));
    (count(&dims[..axis]), dims[axis] as usize, count(&dims[axis + 1..]))
}

fn summed(used: Use<'_>, data: &Constant, axis: &Constant) -> Option<Constant> {
    let mut values = data.values.as_ref()?.floats();
    let axis = used.axis(*axis.as_ints()?.first()?, data.dims.len()).ok()?;
    let (outer, size, inner) = around(&data.dims, axis);
    if values.is_empty() {
        return Some(data.clone());
    }
    let (exclusive, reverse) = (used.int("exclusive", 0) != 0, used.int("reverse", 0) != 0);
    for block in 0..outer {
        for lane in 0..inner {
            let mut sum = 0.0;
            for step in 0..size {
                let along = if reverse { size - 1 - step } else { step };
                let value = values.get_mut((block * size + along) * inner + lane)?;
                let before = sum;
                sum += *value;
                *value = if exclusive { before } else { sum };
            }
        }
    }
    Some(with(computed(data.dims.clone(), data.data_type), typed(data.data_type, values)))
}

fn diagonal(used: Use<'_>, like: &Constant) -> Option<Constant> {
    let &[rows, columns] = like.dims.as_slice() else { return None };
    let data_type = match used.attribute("dtype").and_then(|attribute| attribute.i) {
        Some(wanted) => DataType::try_from(i32::try_from(wanted).ok()?).ok()?,
        None => like.data_type,
    };
    if !small(&like.dims) {
        return None;
    }
    let offset = used.int("k", 0);
    let one = |flat: u64| {
        f64::from(u8::from(i128::from(flat % columns) - i128::from(flat / columns) == i128::from(offset)))
    };
    let values = (0..rows * columns).map(one).collect();
    Some(with(computed(like.dims.clone(), data_type), typed(data_type, values)))
}

fn mean(inputs: &[Option<&Constant>]) -> Option<Constant> {
    let all: Vec<&Constant> = inputs.iter().copied().collect::<Option<_>>()?;
    let dims = all.iter().try_fold(vec![], |dims, next| broadcast(&dims, &next.dims)).ok()?;
    let mut sums = vec![0.0; usize::try_from(product(&dims)?).ok().filter(|_| small(&dims))?];
    for constant in &all {
        let values = constant.values.as_ref()?.floats();
        for (sum, place) in sums.iter_mut().zip(places(&constant.dims, &dims)) {
            *sum += values.get(place)? / all.len() as f64;
        }
    }
    Some(with(computed(dims, all[0].data_type), Values::Floats(sums)))
}

fn best(used: Use<'_>, data: &Constant) -> Option<Constant> {
    let values = data.values.as_ref()?.floats();
    let axis = used.axis(used.int("axis", 0), data.dims.len()).ok()?;
    let (outer, size, inner) = around(&data.dims, axis);
    if values.is_empty() {
        return None;
    }
    let (least, last) = (used.node.op_type == "ArgMin", used.int("select_last_index", 0) != 0);
    let mut found = Vec::with_capacity(outer * inner);
    for block in 0..outer {
        for lane in 0..inner {
            let at =
                |index: usize| values[(block * size + index) * inner + lane] * if least { -1.0 } else { 1.0 };
            let mut most = 0;
            for index in 1..size {
                if at(index) > at(most) || (last && at(index) == at(most)) {
                    most = index;
                }
            }
            found.push(most as i64);
        }
    }
    let mut dims = data.dims.clone();
    if used.int("keepdims", 1) != 0 {
        dims[axis] = 1;
    } else {
        dims.remove(axis);
    }
    (size > 0).then(|| Constant::ints(dims, found))
}

/// Returns the element of `data` for each index of `dims`, at the position that `place` returns.
fn chosen(data: &Constant, dims: Vec<u64>, place: impl Fn(&[u64]) -> Option<usize>) -> Option<Constant> {
    let values = data.values.as_ref()?;
    let count = usize::try_from(product(&dims)?).ok().filter(|_| small(&dims))?;
    let steps = steps(&dims);
    let index = |flat: usize| -> Vec<u64> {
        steps.iter().zip(&dims).map(|(step, &size)| (flat / step) as u64 % size.max(1)).collect()
    };
    let places: Vec<usize> = (0..count).map(|flat| place(&index(flat))).collect::<Option<_>>()?;
    let inside = places.iter().all(|&place| (place as u64) < product(&data.dims).unwrap_or(0));
    inside.then(|| with(computed(dims, data.data_type), values.pick(&places)))
}

fn tiled(data: &Constant, times: &[i64]) -> Option<Constant> {
    if times.len() != data.dims.len() {
        return None;
    }
    let size = |(&size, &times): (&u64, &i64)| size.checked_mul(u64::try_from(times).ok()?);
    let dims: Vec<u64> = data.dims.iter().zip(times).map(size).collect::<Option<_>>()?;
    let steps = steps(&data.dims);
    chosen(data, dims, |index| {
        Some(
            index
                .iter()
                .zip(&steps)
                .zip(&data.dims)
                .map(|((&at, step), &size)| (at % size.max(1)) as usize * step)
                .sum(),
        )
    })
}

fn one_hot(used: Use<'_>, indices: &Constant, depth: &Constant, values: &Constant) -> Option<Constant> {
    let places = indices.values.as_ref()?.floats();
    let depth = depth.scalar().filter(|depth| (1.0..1e6).contains(depth))? as u64;
    let colours = values.values.as_ref()?.floats();
    let &[off, on] = colours.as_slice() else { return None };
    let mut dims = indices.dims.clone();
    let axis = used.axis(used.int("axis", -1), dims.len() + 1).ok()?;
    dims.insert(axis, depth);
    if !small(&dims) {
        return None;
    }
    let (outer, size, inner) = around(&dims, axis);
    let mut result = vec![off; outer * size * inner];
    for (flat, &place) in places.iter().enumerate() {
        let wanted = if place < 0.0 { place + depth as f64 } else { place };
        if (0.0..depth as f64).contains(&wanted) {
            result[(flat / inner * size + wanted as usize) * inner + flat % inner] = on;
        }
    }
    Some(with(computed(dims, values.data_type), typed(values.data_type, result)))
}

/// Resolves an index that may count from the end.
fn inside(index: i64, size: u64) -> Option<usize> {
    let place = if index < 0 { index.checked_add(i64::try_from(size).ok()?)? } else { index };
    usize::try_from(place).ok().filter(|&place| (place as u64) < size)
}

fn gathered(used: Use<'_>, data: &Constant, indices: &Constant) -> Option<Constant> {
    let wanted = indices.as_ints()?;
    let axis = used.axis(used.int("axis", 0), data.dims.len()).ok()?;
    let (from, to) = (steps(&data.dims), steps(&indices.dims));
    (indices.dims.len() == data.dims.len()).then_some(())?;
    chosen(data, indices.dims.clone(), |index| {
        let flat: usize = index.iter().zip(&to).map(|(&at, step)| at as usize * step).sum();
        let mut place = 0;
        for (other, (&at, step)) in index.iter().zip(&from).enumerate() {
            place +=
                step * if other == axis { inside(*wanted.get(flat)?, data.dims[axis])? } else { at as usize };
        }
        Some(place)
    })
}

fn looked_up(used: Use<'_>, data: &Constant, indices: &Constant) -> Option<Constant> {
    let wanted = indices.as_ints()?;
    let (&depth, outer) = indices.dims.split_last()?;
    let (depth, shared) = (usize::try_from(depth).ok()?, usize::try_from(used.int("batch_dims", 0)).ok()?);
    let rest = data.dims.get(shared.checked_add(depth)?..)?;
    let (from, to) = (steps(&data.dims), steps(&indices.dims));
    chosen(data, [outer, rest].concat(), |index| {
        let (front, back) = index.split_at(outer.len());
        let row: usize = front.iter().zip(&to).map(|(&at, step)| at as usize * step).sum();
        let mut place: usize =
            front.iter().zip(&from).take(shared).map(|(&at, step)| at as usize * step).sum();
        for axis in 0..depth {
            place += from[shared + axis] * inside(*wanted.get(row + axis)?, data.dims[shared + axis])?;
        }
        place +=
            back.iter().zip(&from[shared + depth..]).map(|(&at, step)| at as usize * step).sum::<usize>();
        Some(place)
    })
}

fn scattered(used: Use<'_>, data: &Constant, indices: &Constant, updates: &Constant) -> Option<Constant> {
    if used.text("reduction").unwrap_or("none") != "none" || indices.dims.len() != data.dims.len() {
        return None;
    }
    let (mut values, wanted, new) =
        (data.values.as_ref()?.floats(), indices.as_ints()?, updates.values.as_ref()?.floats());
    let axis = used.axis(used.int("axis", 0), data.dims.len()).ok()?;
    let (from, to) = (steps(&data.dims), steps(&indices.dims));
    for (flat, &index) in wanted.iter().enumerate() {
        let mut place = 0;
        for (other, step) in from.iter().enumerate() {
            let at = flat / to[other] % (indices.dims[other] as usize).max(1);
            place += step * if other == axis { inside(index, data.dims[axis])? } else { at };
        }
        *values.get_mut(place)? = *new.get(flat)?;
    }
    Some(with(computed(data.dims.clone(), data.data_type), typed(data.data_type, values)))
}

/// Computes a batch norm in training mode over a weight, which standardises it: NFNet, BiT.
/// A batch norm of a known tensor, by its own statistics or by those that it is given.
fn normalised(used: Use<'_>, data: &Constant, given: [&Constant; 4]) -> Option<Constant> {
    let mut values = data.values.as_ref()?.floats();
    if data.dims.len() < 2 || values.is_empty() {
        return None;
    }
    let own = used.int("training_mode", 0) != 0;
    let known = |index: usize| given[index].values.as_ref().map(Values::floats);
    let (scale, shift) = (known(0)?, known(1)?);
    let (means, variances) = if own { (vec![], vec![]) } else { (known(2)?, known(3)?) };
    let (outer, channels, inner) = around(&data.dims, 1);
    let eps = used.float("epsilon", 1e-5);
    for channel in 0..channels {
        let places: Vec<usize> =
            (0..outer * inner).map(|at| (at / inner * channels + channel) * inner + at % inner).collect();
        let count = places.len() as f64;
        let (mean, variance) = if own {
            let mean = places.iter().map(|&at| values[at]).sum::<f64>() / count;
            (mean, places.iter().map(|&at| (values[at] - mean).powi(2)).sum::<f64>() / count)
        } else {
            (*means.get(channel)?, *variances.get(channel)?)
        };
        for at in places {
            values[at] =
                (values[at] - mean) / (variance + eps).sqrt() * scale.get(channel)? + shift.get(channel)?;
        }
    }
    Some(with(computed(data.dims.clone(), data.data_type), Values::Floats(values)))
}

fn non_zero(data: &Constant) -> Option<Constant> {
    let values = data.values.as_ref()?.floats();
    let found: Vec<usize> = (0..values.len()).filter(|&flat| values[flat] != 0.0).collect();
    let steps = steps(&data.dims);
    let row = |axis: usize| {
        found.iter().map(move |flat| flat / steps_at(data, axis) % (data.dims[axis] as usize).max(1))
    };
    let list = (0..steps.len()).flat_map(row).map(|index| index as i64).collect();
    Some(Constant::ints(vec![steps.len() as u64, found.len() as u64], list))
}

fn steps_at(data: &Constant, axis: usize) -> usize {
    steps(&data.dims).get(axis).copied().unwrap_or(1).max(1)
}

/// Pads by a constant; negative paddings crop.
fn padded(
    used: Use<'_>,
    data: &Constant,
    pads: Option<&Constant>,
    value: Option<&Constant>,
    axes: Option<&Constant>,
) -> Option<Constant> {
    if used.text("mode").unwrap_or("constant") != "constant" {
        return None;
    }
    let rank = data.dims.len();
    let pads = match pads {
        Some(pads) => pads.as_ints()?.to_vec(),
        None => used.ints("pads")?.to_vec(),
    };
    let axes: Vec<usize> = match axes {
        Some(axes) => {
            axes.as_ints()?.iter().map(|&axis| used.axis(axis, rank).ok()).collect::<Option<_>>()?
        }
        None => (0..rank).collect(),
    };
    let filler = match value {
        Some(value) => value.scalar()?,
        None => used.float("value", 0.0),
    };
    let (mut dims, mut before) = (data.dims.clone(), vec![0i64; rank]);
    for (index, &axis) in axes.iter().enumerate() {
        let (front, back) = (*pads.get(index)?, *pads.get(index + axes.len())?);
        before[axis] = front;
        dims[axis] = dims[axis].checked_add_signed(front)?.checked_add_signed(back)?;
    }
    let count = usize::try_from(product(&dims)?).ok().filter(|_| small(&dims))?;
    let values = data.values.as_ref()?.floats();
    let (from, to) = (steps(&data.dims), steps(&dims));
    let element = |flat: usize| {
        let mut place = 0usize;
        for axis in 0..rank {
            let at = i64::try_from(flat / to[axis] % (dims[axis] as usize).max(1))
                .ok()?
                .checked_sub(before[axis])?;
            let at = usize::try_from(at).ok().filter(|&at| (at as u64) < data.dims[axis])?;
            place += at * from[axis];
        }
        values.get(place).copied()
    };
    let result = (0..count).map(|flat| element(flat).unwrap_or(filler)).collect();
    Some(with(computed(dims, data.data_type), typed(data.data_type, result)))
}

/// Computes a reduction along `axes`, which all exist; none for an unknown kind, or if the values are
/// unknown.
pub(super) fn reduced(
    name: &str,
    data: &Constant,
    axes: &[usize],
    keepdim: bool,
) -> Result<Option<Constant>, Problem> {
    let dims: Vec<u64> = (0..data.dims.len())
        .filter(|axis| keepdim || !axes.contains(axis))
        .map(|axis| if axes.contains(&axis) { 1 } else { data.dims[axis] })
        .collect();
    let kept: Vec<u64> =
        (0..data.dims.len()).map(|axis| if axes.contains(&axis) { 1 } else { data.dims[axis] }).collect();
    let overflow = || Problem::overflow("a reduction of whole numbers");
    if !small(&dims) {
        return Ok(None);
    }
    let count = product(&dims).ok_or_else(overflow)? as usize;
    let targets = places(&kept, &data.dims);
    let result = match &data.values {
        None => return Ok(None),
        Some(Values::Ints(values)) => {
            let step: fn(i64, i64) -> Option<i64> = match name {
                "ReduceSum" => i64::checked_add,
                "ReduceProd" => i64::checked_mul,
                "ReduceMax" => |a, b| Some(a.max(b)),
                "ReduceMin" => |a, b| Some(a.min(b)),
                _ => return Ok(None),
            };
            let start = match name {
                "ReduceSum" => Some(0),
                "ReduceProd" => Some(1),
                _ => None,
            };
            let mut result: Vec<Option<i64>> = vec![start; count];
            for (&value, &target) in values.iter().zip(&targets) {
                result[target] = Some(match result[target] {
                    Some(before) => step(before, value).ok_or_else(overflow)?,
                    None => value,
                });
            }
            match result.into_iter().collect::<Option<Vec<i64>>>() {
                Some(values) => Values::Ints(values),
                None => return Ok(None),
            }
        }
        Some(Values::Floats(values)) => {
            let (start, step): (f64, fn(f64, f64) -> f64) = match name {
                "ReduceSum" | "ReduceMean" | "ReduceLogSum" => (0.0, |a, b| a + b),
                "ReduceProd" => (1.0, |a, b| a * b),
                "ReduceMax" => (f64::NEG_INFINITY, f64::max),
                "ReduceMin" => (f64::INFINITY, f64::min),
                "ReduceL1" => (0.0, |a, b| a + b.abs()),
                "ReduceL2" | "ReduceSumSquare" => (0.0, |a, b| a + b * b),
                "ReduceLogSumExp" => (0.0, |a, b| a + libm::exp(b)),
                _ => return Ok(None),
            };
            let mut result = vec![start; count];
            for (&value, &target) in values.iter().zip(&targets) {
                result[target] = step(result[target], value);
            }
            let share = values.len() as f64 / count.max(1) as f64;
            let finish: fn(f64) -> f64 = match name {
                "ReduceL2" => f64::sqrt,
                "ReduceLogSum" | "ReduceLogSumExp" => libm::log,
                _ => |value| value,
            };
            let mean = if name == "ReduceMean" { share } else { 1.0 };
            Values::Floats(result.into_iter().map(|value| finish(value) / mean).collect())
        }
    };
    Ok(Some(with(computed(dims, data.data_type), result)))
}
