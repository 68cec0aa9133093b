//! Parts and joins: Slice, Split, Concat, DepthToSpace, SpaceToDepth, Tile.

use super::context::{Flaw, Lower, Outcome, Tensor, Use, Value};
use super::elements::{computed, small};
use crate::onnx::constant::{Change, Constant, Values, steps, strided};
use crate::onnx::proto::TensorProto;
use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_core::layers::Layer;
use cnnkit_core::layers::concat::Concat;
use cnnkit_core::layers::learned_tokens::LearnedTokens;
use cnnkit_core::layers::permute::Permute;
use cnnkit_core::layers::pixel_shuffle::PixelShuffle;
use cnnkit_core::layers::pixel_unshuffle::PixelUnshuffle;
use cnnkit_core::layers::slice::Slice;

/// A range along one axis: first index, number of elements, step (which may be negative for constants).
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub(super) axis: usize,
    pub(super) first: u64,
    pub(super) count: u64,
    pub(super) step: i64,
}

/// Returns Python's range `start..end` by `step` on an axis of `size` elements.
pub(super) fn part(axis: usize, size: u64, start: i64, end: i64, step: i64) -> Result<Part, Problem> {
    if step == 0 {
        return Err(Problem::new(Code::InvalidValue, "its step is 0"));
    }
    if size == 0 {
        return Ok(Part { axis, first: 0, count: 0, step });
    }
    let size = i128::from(size);
    let place = |index: i64| if index < 0 { i128::from(index) + size } else { i128::from(index) };
    let (low, high) = if step > 0 { (0, size) } else { (-1, size - 1) };
    let (start, end) = (place(start).clamp(low.max(0), high), place(end).clamp(low, high));
    let step_wide = i128::from(step);
    let distance = if step > 0 { end - start } else { start - end };
    let count = if distance <= 0 { 0 } else { (distance - 1) / step_wide.abs() + 1 };
    let whole = |value: i128| u64::try_from(value).map_err(|_| Problem::overflow("a range"));
    Ok(Part { axis, first: whole(start.max(0))?, count: whole(count)?, step })
}

/// Returns the part of a constant; of one that is stored, as a view of it.
pub(super) fn of_constant(constant: &Constant, part: Part) -> Constant {
    let mut dims = constant.dims.clone();
    let mut moves = steps(&constant.dims);
    let first = (part.first as usize).saturating_mul(moves[part.axis]);
    dims[part.axis] = part.count;
    // Offsets of a negative step count backwards from the first element.
    let backward = part.step < 0;
    moves[part.axis] *= part.step.unsigned_abs() as usize;
    let values = constant.values.as_ref().filter(|_| small(&dims)).map(|values| {
        let mut places = strided(&dims, &moves, first);
        if backward {
            let along = steps(&dims)[part.axis];
            for (index, place) in places.iter_mut().enumerate() {
                let at = (index / along) % part.count.max(1) as usize;
                *place -= 2 * at * moves[part.axis];
            }
        }
        values.pick(&places)
    });
    if part.step == 1 && constant.root.is_some() {
        let change = Change::Slice { axis: part.axis, start: part.first, end: part.first + part.count };
        let mut changed = constant.changed(change, dims);
        changed.values = values;
        return changed;
    }
    Constant { values, ..computed(dims, constant.data_type) }
}

fn of_tensor(lower: &mut Lower, used: Use<'_>, tensor: &Tensor, part: Part) -> Result<Tensor, Flaw> {
    let size = tensor.dims[part.axis];
    if part.first == 0 && part.count == size && part.step == 1 {
        return Ok(tensor.clone());
    }
    let Some(axis) = tensor.axis(part.axis) else {
        return used.unsupported("a part of the batch");
    };
    if part.step < 0 {
        let step = part.step.unsigned_abs();
        let indices = (0..part.count).map(|index| part.first.saturating_sub(index * step)).collect();
        return match super::choice::chosen(lower, used, tensor, part.axis, indices)? {
            Value::Tensor(tensor) => Ok(tensor),
            Value::Constant(_) | Value::Unknown(_) => used.unsupported("a reversed axis"),
        };
    }
    let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let step = part.step.unsigned_abs();
    let end = part.first + (part.count - 1) * step + 1;
    let layer = Slice { start: signed(part.first), end: Some(signed(end)), axis: axis as u64, step };
    let taken = lower.map(used, Layer::Slice(layer), tensor, vec![])?;
    settled(lower, used, taken)
}

/// Returns a tensor without a batch axis whose first axis has become 1 with that axis as its batch: a member
/// of a stack along the batch is an image again.
pub(super) fn settled(lower: &mut Lower, used: Use<'_>, tensor: Tensor) -> Result<Tensor, Flaw> {
    let open = tensor.batch.is_none() && lower.batch == 1 && tensor.dims.len() > 1 && tensor.dims[0] == 1;
    if open && lower.moves(tensor.draft) {
        return lower.viewed(used, &tensor, &tensor.dims.clone(), Some(0));
    }
    Ok(tensor)
}

pub(super) fn taken(lower: &mut Lower, used: Use<'_>, value: &Value, part: Part) -> Result<Value, Flaw> {
    match value {
        // An empty slice becomes an empty constant: a roll by 0 concatenates it again.
        Value::Tensor(tensor) if part.count == 0 => {
            let mut dims = tensor.dims.clone();
            dims[part.axis] = 0;
            Ok(Value::Constant(Constant::floats(dims, vec![])))
        }
        Value::Tensor(tensor) => Ok(Value::Tensor(of_tensor(lower, used, tensor, part)?)),
        Value::Constant(constant) => Ok(Value::Constant(of_constant(constant, part))),
        Value::Unknown(reason) => Err(Flaw::Unsupported(reason.clone())),
    }
}

pub(super) fn dims(value: &Value) -> Result<Vec<u64>, Flaw> {
    match value {
        Value::Tensor(tensor) => Ok(tensor.dims.clone()),
        Value::Constant(constant) => Ok(constant.dims.clone()),
        Value::Unknown(reason) => Err(Flaw::Unsupported(reason.clone())),
    }
}

pub(super) fn slice(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let missing = || Problem::new(Code::Missing, "its range is incomplete");
    let starts = lower.setting(used, "starts", 1)?.ok_or_else(missing)?;
    let ends = lower.setting(used, "ends", 2)?.ok_or_else(missing)?;
    let axes = lower.setting(used, "axes", 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = lower.setting(used, "steps", 4)?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
        return Err(missing().into());
    }
    let mut value = lower.value(used, 0)?.clone();
    for i in 0..starts.len() {
        let dims = dims(&value)?;
        let axis = used.axis(axes[i], dims.len())?;
        value = taken(lower, used, &value, part(axis, dims[axis], starts[i], ends[i], steps[i])?)?;
    }
    Ok(vec![value])
}

pub(super) fn split(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let value = lower.value(used, 0)?.clone();
    let dims = dims(&value)?;
    let axis = used.axis(used.int("axis", 0), dims.len())?;
    let size = dims[axis];
    let lengths: Vec<u64> = match lower.setting(used, "split", 1)? {
        Some(lengths) => crate::onnx::constant::sizes(&lengths)?,
        None => {
            let parts = used.outputs().max(1) as u64;
            let length = size.div_ceil(parts).max(1);
            (0..parts).map(|index| length.min(size.saturating_sub(index * length))).collect()
        }
    };
    let total = lengths.iter().try_fold(0u64, |sum, &length| sum.checked_add(length));
    if total != Some(size) || lengths.len() != used.outputs() {
        let message =
            format!("{size} elements cannot be split into {lengths:?} for {} outputs", used.outputs());
        return Err(Problem::shape(message).into());
    }
    let mut first = 0;
    let mut values = Vec::with_capacity(lengths.len());
    for count in lengths {
        values.push(taken(lower, used, &value, Part { axis, first, count, step: 1 })?);
        first += count;
    }
    Ok(values)
}

pub(super) fn concat(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let values = (0..used.node.input.len())
        .map(|index| lower.value(used, index).cloned())
        .collect::<Result<Vec<_>, _>>()?;
    let Some(first) = values.first() else {
        return Err(Problem::new(Code::Missing, "it has no inputs").into());
    };
    let rank = dims(first)?.len();
    let axis = used.axis(used.int("axis", 1), rank)?;
    let constants: Option<Vec<&Constant>> = values
        .iter()
        .map(|value| match value {
            Value::Constant(constant) => Some(constant),
            _ => None,
        })
        .collect();
    if let Some(constants) = constants {
        let joined = match overwritten(&lower.tensors, &constants, axis) {
            Some(weight) => weight,
            None => joined(&constants, axis)?,
        };
        return Ok(vec![Value::Constant(joined)]);
    }
    let mut batch = values.iter().find_map(|value| match value {
        Value::Tensor(tensor) => tensor.batch,
        _ => None,
    });
    if batch == Some(axis) {
        if lower.batch != 1 {
            return used.unsupported("images joined along the batch");
        }
        // A batch of 1 can be an ordinary axis.
        batch = None;
    }
    let place = match batch {
        Some(batch) if axis > batch => axis - 1,
        _ => axis,
    } as u64;
    let (mut tensors, mut before, mut after) = (Vec::new(), Vec::new(), Vec::new());
    for value in &values {
        match value {
            Value::Tensor(_) if !after.is_empty() => return used.unsupported("a constant between tensors"),
            Value::Tensor(tensor) if tensor.batch == batch => tensors.push(tensor.clone()),
            Value::Tensor(tensor)
                if (tensor.batch.is_none() || batch.is_none())
                    && lower.batch == 1
                    && tensor.dims.len() == rank =>
            {
                tensors.push(lower.viewed(used, tensor, &tensor.dims.clone(), batch)?);
            }
            Value::Constant(constant) if constant.dims.contains(&0) => {}
            Value::Constant(constant) if tensors.is_empty() => before.push(constant.clone()),
            Value::Constant(constant) => after.push(constant.clone()),
            Value::Tensor(_) => return used.unsupported("operands whose batch axes differ"),
            Value::Unknown(reason) => return Err(Flaw::Unsupported(reason.clone())),
        }
    }
    let mut output = match tensors.as_slice() {
        [only] => only.clone(),
        several => {
            let layer = Layer::Concat(Concat { axis: place });
            lower.emit(used, layer, &several.iter().collect::<Vec<_>>(), vec![], batch)?
        }
    };
    // Learned vectors are added one at a time; those in front from the inside out.
    let fronts = before.iter().rev().map(|constant| (constant, false));
    for (constant, after) in fronts.chain(after.iter().map(|constant| (constant, true))) {
        output = tokens(lower, used, &output, constant, axis, place, after)?;
    }
    Ok(vec![Value::Tensor(output)])
}

/// Adds a constant before or after a tensor.
fn tokens(
    lower: &mut Lower,
    used: Use<'_>,
    tensor: &Tensor,
    constant: &Constant,
    axis: usize,
    place: u64,
    after: bool,
) -> Result<Tensor, Flaw> {
    let fits = constant.dims.len() == tensor.dims.len()
        && constant
            .dims
            .iter()
            .zip(&tensor.dims)
            .enumerate()
            .all(|(i, (a, b))| i == axis || a == b || (Some(i) == tensor.batch && *a == 1));
    if !fits
        || constant.is_integer()
        || (lower.batch != 1 && tensor.batch.is_some_and(|batch| constant.dims[batch] != 1))
    {
        return used.unsupported(format!("joining a constant {:?} and {:?}", constant.dims, tensor.dims));
    }
    let sizes = super::context::shape(&constant.dims, tensor.batch).sizes().to_vec();
    let weight = constant.changed(Change::Reshape(sizes.clone()), sizes);
    let learned = lower.is_learned(constant);
    let layer = LearnedTokens { count: constant.dims[axis], axis: place, after, learned };
    let at = super::stored::place_of(lower, used, constant);
    lower.emit_at(
        at,
        crate::onnx::inline::title(used.node),
        Layer::LearnedTokens(layer),
        &[tensor],
        vec![weight],
        tensor.batch,
    )
}

fn joined(constants: &[&Constant], axis: usize) -> Result<Constant, Problem> {
    let mut dims = constants[0].dims.clone();
    let mut total = 0u64;
    for constant in constants {
        let fits = constant.dims.len() == dims.len()
            && constant.dims.iter().zip(&dims).enumerate().all(|(i, (a, b))| i == axis || a == b);
        if !fits {
            return Err(Problem::shape(format!(
                "{:?} and {dims:?} cannot be joined on axis {axis}",
                constant.dims
            )));
        }
        total = total.checked_add(constant.dims[axis]).ok_or_else(|| Problem::overflow("the joined size"))?;
    }
    dims[axis] = total;
    let mut result = computed(dims.clone(), constants[0].data_type);
    let known: Option<Vec<&Values>> = constants.iter().map(|constant| constant.values.as_ref()).collect();
    let Some(known) = known.filter(|_| small(&dims)) else { return Ok(result) };
    let outer: usize = dims[..axis].iter().map(|&size| size as usize).product();
    let row =
        |constant: &Constant| constant.dims[axis..].iter().map(|&size| size as usize).product::<usize>();
    result.values = Some(if known.iter().all(|values| matches!(values, Values::Ints(_))) {
        let mut all = Vec::new();
        for block in 0..outer {
            for (constant, values) in constants.iter().zip(&known) {
                if let Values::Ints(values) = values {
                    all.extend_from_slice(&values[block * row(constant)..(block + 1) * row(constant)]);
                }
            }
        }
        Values::Ints(all)
    } else {
        let lists: Vec<Vec<f64>> = known.iter().map(|values| values.floats()).collect();
        let mut all = Vec::new();
        for block in 0..outer {
            for (constant, values) in constants.iter().zip(&lists) {
                all.extend_from_slice(&values[block * row(constant)..(block + 1) * row(constant)]);
            }
        }
        Values::Floats(all)
    });
    Ok(result)
}

/// Returns the stored weight of which parts along the axis are joined again where they stood, with parts between them that are
/// one number each: what writing into a weight becomes (`bias[16:32].zero_()`).
fn overwritten(tensors: &[TensorProto], parts: &[&Constant], axis: usize) -> Option<Constant> {
    let root = parts.iter().find_map(|part| part.root)?;
    let whole = Constant::of_tensor(tensors.get(root)?, root).ok().filter(|whole| !whole.is_integer())?;
    let size = *whole.dims.get(axis)?;
    let mut weight = whole.clone();
    let (mut start, mut kept) = (0u64, 0);
    for part in parts {
        let others = part.dims.iter().zip(&whole.dims).enumerate().all(|(at, (a, b))| at == axis || a == b);
        if part.dims.len() != whole.dims.len() || !others {
            return None;
        }
        let end = start.checked_add(*part.dims.get(axis)?).filter(|&end| end <= size)?;
        if part.root == Some(root) && part.view == [Change::Slice { axis, start, end }] {
            kept += 1;
        } else {
            // Another stored tensor is no number, even if it is full of one.
            let made = part.root.is_none() && part.sources.is_empty();
            let values = part.values.as_ref().filter(|_| made)?.floats();
            let (&value, rest) = values.split_first()?;
            if rest.iter().any(|&other| other != value) {
                return None;
            }
            weight = weight.changed(Change::Fill { axis, start, end, value }, whole.dims.clone());
        }
        start = end;
    }
    (start == size && kept > 0).then_some(weight)
}

/// The block size and the image of DepthToSpace and SpaceToDepth.
fn blocks(lower: &mut Lower, used: Use<'_>) -> Result<(u64, Tensor), Flaw> {
    let input = super::conv::image(lower, used)?;
    let size = u64::try_from(used.int("blocksize", 0)).ok().filter(|&size| size > 0 && size < 1 << 20);
    let size = size.ok_or_else(|| Problem::new(Code::InvalidValue, "its `blocksize` must be at least 1"))?;
    if input.dims.len() != 4 {
        return Err(Problem::shape(format!("its input {:?} is no image", input.dims)).into());
    }
    Ok((size, input))
}

pub(super) fn depth_to_space(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let (size, input) = blocks(lower, used)?;
    match used.text("mode") {
        None | Some("DCR") => {}
        Some("CRD") => {
            return lower.simple(used, Layer::PixelShuffle(PixelShuffle { upscale_factor: size }), &input);
        }
        Some(other) => return used.unsupported(format!("the order {other}")),
    }
    // DCR: [b, b, C, H, W] -> [C, H, b, W, b]
    let [n, c, h, w] = [input.dims[0], input.dims[1], input.dims[2], input.dims[3]];
    if !c.is_multiple_of(size * size) {
        return Err(Problem::shape(format!("{c} channels are no multiple of {}", size * size)).into());
    }
    let open = [n, size, size, c / (size * size), h, w];
    rearranged(lower, used, &input, &open, &[2, 3, 0, 4, 1], &[n, c / (size * size), h * size, w * size])
}

pub(super) fn space_to_depth(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let (size, input) = blocks(lower, used)?;
    match used.text("mode") {
        None | Some("DCR") => {}
        Some("CRD") => {
            return lower.simple(
                used,
                Layer::PixelUnshuffle(PixelUnshuffle { downscale_factor: size }),
                &input,
            );
        }
        Some(other) => return used.unsupported(format!("the order {other}")),
    }
    let [n, c, h, w] = [input.dims[0], input.dims[1], input.dims[2], input.dims[3]];
    if !h.is_multiple_of(size) || !w.is_multiple_of(size) {
        return Err(Problem::shape(format!("{h}x{w} is no multiple of {size}")).into());
    }
    let channels = size.checked_mul(size).and_then(|area| c.checked_mul(area));
    let channels = channels.ok_or_else(|| Problem::overflow("the number of channels"))?;
    let open = [n, c, h / size, size, w / size, size];
    rearranged(lower, used, &input, &open, &[2, 4, 0, 1, 3], &[n, channels, h / size, w / size])
}

/// Adds a reshape, a permutation of the image's axes and a reshape.
fn rearranged(
    lower: &mut Lower,
    used: Use<'_>,
    input: &Tensor,
    open: &[u64],
    axes: &[u64],
    dims: &[u64],
) -> Outcome {
    let opened = lower.viewed(used, input, open, Some(0))?;
    let moved = lower.map(used, Layer::Permute(Permute { axes: axes.to_vec() }), &opened, vec![])?;
    Ok(vec![Value::Tensor(lower.viewed(used, &moved, dims, Some(0))?)])
}

pub(super) fn tile(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let repeats = lower.known_ints(used, 1)?;
    if repeats.iter().all(|&repeat| repeat == 1) {
        return Ok(vec![lower.value(used, 0)?.clone()]);
    }
    match lower.value(used, 0)? {
        Value::Constant(constant) if constant.dims.len() == repeats.len() => {
            let mut dims = Vec::new();
            for (&size, &repeat) in constant.dims.iter().zip(&repeats) {
                let repeat = u64::try_from(repeat).unwrap_or(0);
                dims.push(size.checked_mul(repeat).ok_or_else(|| Problem::overflow("a repeated axis"))?);
            }
            Ok(vec![Value::Constant(computed(dims, constant.data_type))])
        }
        Value::Tensor(tensor) if tensor.dims.len() == repeats.len() => {
            let mut tensor = tensor.clone();
            for (axis, &repeat) in repeats.iter().enumerate().filter(|(_, repeat)| **repeat != 1) {
                let repeat = u64::try_from(repeat).unwrap_or(0);
                let size = tensor.dims[axis].checked_mul(repeat).filter(|&size| size > 0);
                let size = size.ok_or_else(|| Problem::overflow("a repeated axis"))?;
                tensor = super::choice::repeated(lower, used, &tensor, axis, size)?;
            }
            Ok(vec![Value::Tensor(tensor)])
        }
        _ => used.unsupported("repetition"),
    }
}
