//! What each operator does with the batch.

use super::super::super::schema::Argument;
use super::super::activation;
use super::super::call::Call;
use super::super::call::values::returned;
use super::super::shapes;
use super::given::{Found, Places, broadcast, own, place, position, tensors};
use super::products::{attention, convolution, product, recurrent};
use super::{Batch, Place, Step, Stop};

/// Operators of several numbers, or none, that compute each element from those at the same position.
const POINTWISE: &[&str] = &[
    "add",
    "__add__",
    "sub",
    "subtract",
    "rsub",
    "mul",
    "multiply",
    "div",
    "true_divide",
    "divide",
    "floor_divide",
    "remainder",
    "pow",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "logical_and",
    "logical_or",
    "logical_xor",
    "bitwise_and",
    "bitwise_or",
    "bitwise_not",
    "bitwise_xor",
    "__and__",
    "__or__",
    "__xor__",
    "maximum",
    "minimum",
    "addcmul",
    "lerp",
    "where",
    "masked_fill",
    "detach",
    "alias",
    "clone",
    "contiguous",
    "lift_fresh",
    "lift_fresh_copy",
    "positive",
    "requires_grad",
    "to",
    "_to_copy",
    "type_as",
    "float",
    "half",
    "zeros_like",
    "ones_like",
    "full_like",
    "empty_like",
    "fill",
    "zero",
    "copy",
    "dropout",
    "feature_dropout",
    "alpha_dropout",
    "feature_alpha_dropout",
    "native_dropout",
];

/// Whether an operator's argument `size` or `shape` is what it returns.
pub(super) fn states_sizes(operator: &str) -> bool {
    matches!(
        operator.strip_prefix("aten.").unwrap_or(operator),
        "view"
            | "reshape"
            | "_unsafe_view"
            | "expand"
            | "broadcast_to"
            | "full"
            | "zeros"
            | "ones"
            | "empty"
            | "new_zeros"
            | "new_ones"
            | "new_full"
            | "new_empty"
    )
}

/// What `call` does with the batch, from where it is in the tensors that it is given.
pub(super) fn step(call: &Call<'_, '_>, places: &Places, batch: Batch) -> Result<Step, Stop> {
    let operator = call.operator.strip_prefix("aten.").unwrap_or(call.operator);
    let count = returned(call.node).len();
    let all = |place: Option<Place>| Step { places: vec![place; count], edits: vec![] };
    match operator {
        "full" | "zeros" | "ones" | "empty" | "new_zeros" | "new_ones" | "new_full" | "new_empty" => {
            return Ok(all(made(call, batch)?));
        }
        "expand" | "expand_as" | "broadcast_to" => return Ok(all(expanded(call, places, batch)?)),
        "repeat" | "tile" => return repeated(call, places, batch),
        _ => {}
    }
    if !tensors(call).iter().any(|(_, name)| places.contains_key(*name)) {
        return Ok(all(None));
    }
    let first = || own(call, places, 0);
    Ok(all(match operator {
        name if POINTWISE.contains(&name) || activation::of_one_number(name) => {
            broadcast(call, places, &tensors(call))?
        }
        "prelu"
        | "batch_norm"
        | "_native_batch_norm_legit_no_training"
        | "instance_norm"
        | "group_norm"
        | "native_group_norm"
        | "upsample_nearest1d"
        | "upsample_nearest2d"
        | "upsample_nearest3d"
        | "upsample_linear1d"
        | "upsample_bilinear2d"
        | "upsample_trilinear3d"
        | "upsample_bicubic2d"
        | "_upsample_nearest_exact1d"
        | "_upsample_nearest_exact2d"
        | "_upsample_nearest_exact3d"
        | "im2col"
        | "col2im"
        | "channel_shuffle"
        | "native_channel_shuffle" => alone(call, places, |axis, _| axis == 0)?,
        "conv1d" | "conv2d" | "conv3d" | "conv_transpose1d" | "conv_transpose2d" | "conv_transpose3d"
        | "convolution" => return convolution(call, places, batch.size),
        name if name.contains("_pool") => {
            let spatial = super::super::bare::of_pool(name).ok_or(Stop::Unknown)?;
            alone(call, places, |axis, rank| axis + spatial < rank)?
        }
        "layer_norm" | "native_layer_norm" | "rms_norm" | "_fused_rms_norm" => {
            let normalised = call.ints("normalized_shape")?.unwrap_or_default().len();
            alone(call, places, |axis, rank| axis + normalised < rank)?
        }
        "linear" => alone(call, places, |axis, rank| axis + 1 < rank)?,
        "pixel_shuffle" | "pixel_unshuffle" => alone(call, places, |axis, rank| axis + 3 < rank)?,
        "tril" | "triu" => alone(call, places, |axis, rank| axis + 2 < rank)?,
        "softmax" | "_softmax" | "log_softmax" | "_log_softmax" | "_safe_softmax" | "cumsum" | "glu" => {
            let dim = call.axis(call.int("dim", -1)?, call.rank()?)?;
            alone(call, places, |axis, _| axis != dim)?
        }
        "roll" | "flip" => {
            let dims = axes(call, "dims")?;
            alone(call, places, |axis, _| !dims.is_empty() && !dims.contains(&axis))?
        }
        "pad" | "constant_pad_nd" | "reflection_pad1d" | "reflection_pad2d" | "reflection_pad3d"
        | "replication_pad1d" | "replication_pad2d" | "replication_pad3d" => {
            let given = call.ints("pad")?.or(call.ints("padding")?).unwrap_or_default().len() / 2;
            alone(call, places, |axis, rank| axis + given < rank)?
        }
        "mean" | "sum" | "amax" | "amin" | "prod" | "linalg_vector_norm" | "norm" | "var" | "std"
        | "var_mean" | "std_mean" => reduced(call, places)?,
        "max" | "min" if call.overload == "other" => broadcast(call, places, &tensors(call))?,
        "max" | "min" | "argmax" | "argmin" => reduced(call, places)?,
        "view" | "reshape" | "_unsafe_view" | "flatten" | "unflatten" | "squeeze" | "unsqueeze"
        | "view_as" | "reshape_as" | "ravel" => viewed(call, first()?.ok_or(Stop::Unknown)?, batch.size)?,
        "permute" | "transpose" | "swapaxes" | "swapdims" | "t" | "numpy_T" | "mT" | "movedim"
        | "moveaxis" => {
            let place = first()?.ok_or(Stop::Unknown)?;
            let axis = shapes::order(call)?.iter().position(|&axis| axis == place.axis as i64);
            Some(Place { axis: axis.ok_or(Stop::Unknown)?, ..place })
        }
        "select" | "unbind" => {
            let dim = call.axis(call.int("dim", 0)?, call.rank()?)?;
            let place = alone(call, places, |axis, _| axis != dim)?.ok_or(Stop::Unknown)?;
            Some(Place { axis: place.axis - usize::from(place.axis > dim), ..place })
        }
        "slice" | "narrow" => {
            let dim = call.axis(call.int("dim", 0)?, call.rank()?)?;
            let whole = call.output_dims(0)?.get(dim) == call.dims()?.get(dim) && operator == "slice";
            alone(call, places, |axis, _| axis != dim || whole)?
        }
        "split" | "split_with_sizes" | "chunk" | "tensor_split" | "unfold" => {
            let name = if operator == "unfold" { "dimension" } else { "dim" };
            let dim = call.axis(call.int(name, 0)?, call.rank()?)?;
            alone(call, places, |axis, _| axis != dim)?
        }
        "cat" | "concat" | "concatenate" => joined(call, places, 0)?,
        "stack" => joined(call, places, 1)?,
        "index_select" => {
            let dim = call.axis(call.int("dim", 0)?, call.rank()?)?;
            alone(call, places, |axis, _| axis != dim)?
        }
        "embedding" => match (first()?, place(call, places, "indices")?) {
            (None, place) => place,
            _ => return Err(Stop::Unknown),
        },
        "index" => indexed(call, places)?,
        "matmul" | "mm" | "bmm" => product(call, places)?,
        "addmm" => match (first()?, own(call, places, 1)?, own(call, places, 2)?) {
            (None, Some(place), None) if place.axis == 0 => Some(place),
            (_, Some(place), _) if place.axis == 1 => return Err(Stop::Mixed),
            _ => return Err(Stop::Unknown),
        },
        "baddbmm" => match (first()?, own(call, places, 1)?, own(call, places, 2)?) {
            (added, Some(a), Some(b)) if a == b && a.axis == 0 && (added.is_none() || added == Some(a)) => {
                Some(a)
            }
            _ => return Err(Stop::Unknown),
        },
        "scaled_dot_product_attention" => attention(call, places)?,
        "lstm" | "gru" | "rnn_tanh" | "rnn_relu" => return recurrent(call, places),
        "repeat_interleave" => {
            let place = first()?.ok_or(Stop::Unknown)?;
            let (Some(Argument::Int(times)), Some(Argument::Int(dim))) =
                (call.argument("repeats"), call.argument("dim"))
            else {
                return Err(Stop::Unknown);
            };
            let within = call.axis(*dim, call.rank()?)? == place.axis;
            let times = if within { *times } else { 1 };
            Some(Place { inside: place.inside.checked_mul(times).ok_or(Stop::Unknown)?, ..place })
        }
        _ => return Err(Stop::Unknown),
    }))
}

/// The axes that the argument `name` lists.
fn axes(call: &Call<'_, '_>, name: &str) -> Result<Vec<usize>, Stop> {
    let rank = call.rank()?;
    let given = call.ints(name)?.unwrap_or_default();
    Ok(given.into_iter().map(|axis| call.axis(axis, rank)).collect::<Result<_, _>>()?)
}

/// Of an operator that reads the batch in its first argument alone, at an axis for which `apart` is true of the axis and the
/// number of axes: that axis.
fn alone(call: &Call<'_, '_>, places: &Places, apart: impl Fn(usize, usize) -> bool) -> Found {
    let Some(Argument::Tensor(name)) = call.node.inputs.first().map(|input| &input.arg) else {
        return Err(Stop::Unknown);
    };
    let place = places.get(name).copied().ok_or(Stop::Unknown)?;
    if tensors(call).iter().skip(1).any(|(_, name)| places.contains_key(*name)) {
        return Err(Stop::Unknown);
    }
    if apart(place.axis, call.rank()?) { Ok(Some(place)) } else { Err(Stop::Mixed) }
}

/// The axis along which something is repeated for every image, of those that are `new`.
fn repeats(batch: Batch, sizes: &[i64], new: impl Fn(usize) -> bool) -> Option<Place> {
    let axis = batch.repeats?.into_iter().find(|&axis| sizes.get(axis) == Some(&batch.size) && new(axis))?;
    Some(Place { axis, inside: 1 })
}

/// A tensor of one number, repeated for every image if it has as many parts.
fn made(call: &Call<'_, '_>, batch: Batch) -> Found {
    Ok(repeats(batch, &call.output_dims(0)?, |_| true))
}

fn expanded(call: &Call<'_, '_>, places: &Places, batch: Batch) -> Found {
    let (from, to) = (call.dims()?, call.output_dims(0)?);
    let more = to.len().checked_sub(from.len()).ok_or(Stop::Unknown)?;
    if let Some(place) = own(call, places, 0)? {
        return Ok(Some(Place { axis: place.axis + more, ..place }));
    }
    Ok(repeats(batch, &to, |axis| axis < more || from.get(axis - more) == Some(&1)))
}

fn repeated(call: &Call<'_, '_>, places: &Places, batch: Batch) -> Result<Step, Stop> {
    let count = returned(call.node).len();
    let name = if call.argument("repeats").is_some() { "repeats" } else { "dims" };
    let mut times = call.ints(name)?.ok_or(Stop::Unknown)?;
    let (from, to) = (call.dims()?, call.output_dims(0)?);
    let more = to.len().checked_sub(from.len()).ok_or(Stop::Unknown)?;
    // Copies stand outside of the images.
    let mut place = own(call, places, 0)?.map(|place| Place { axis: place.axis + more, ..place });
    let mut edits = vec![];
    if place.is_none() && times.len() == to.len() {
        place = repeats(batch, &times, |axis| axis < more || from.get(axis - more) == Some(&1));
        if let Some(place) = place {
            times[place.axis] = 1;
            edits.push((position(call, name)?, Argument::Ints(times)));
        }
    }
    Ok(Step { places: vec![place; count], edits })
}

/// The same elements in the same order with other axes.
fn viewed(call: &Call<'_, '_>, place: Place, batch: i64) -> Found {
    if call.overload == "dtype" {
        return Err(Stop::Unknown);
    }
    let (from, to) = (call.dims()?, call.output_dims(0)?);
    let after = |sizes: &[i64], axis: usize| {
        sizes
            .iter()
            .skip(axis + 1)
            .try_fold(1i64, |product, &size| product.checked_mul(size))
            .ok_or(Stop::Unknown)
    };
    // Distance between neighbouring images, and between groups of all of them.
    let step =
        after(&from, place.axis)?.checked_mul(place.inside).filter(|&step| step > 0).ok_or(Stop::Unknown)?;
    let group = step.checked_mul(batch).ok_or(Stop::Unknown)?;
    for (axis, &size) in to.iter().enumerate() {
        let inner = after(&to, axis)?;
        let whole = inner.checked_mul(size).ok_or(Stop::Unknown)?;
        if inner > 0 && step % inner == 0 && whole % group == 0 {
            return Ok(Some(Place { axis, inside: step / inner }));
        }
    }
    // An image is no block of indices of one axis.
    Err(Stop::Unknown)
}

/// An operator that reads all elements along some axes: `dim`, or all.
fn reduced(call: &Call<'_, '_>, places: &Places) -> Found {
    let dims = axes(call, "dim")?;
    let place =
        alone(call, places, |axis, _| !dims.is_empty() && !dims.contains(&axis))?.ok_or(Stop::Unknown)?;
    let lost = call.output_dims(0)?.len() < call.rank()?;
    let before = dims.iter().filter(|&&axis| axis < place.axis).count();
    Ok(Some(Place { axis: if lost { place.axis - before } else { place.axis }, ..place }))
}

/// A list of tensors, `more` axes of the output being new.
fn joined(call: &Call<'_, '_>, places: &Places, more: usize) -> Found {
    let list = tensors(call);
    let mut found: Option<Place> = None;
    for (index, name) in &list {
        let place = places.get(*name).copied();
        if *index != 0 || place.is_none() || found.is_some_and(|found| Some(found) != place) {
            return Err(Stop::Unknown);
        }
        found = place;
    }
    let place = found.ok_or(Stop::Unknown)?;
    let dim = call.axis(call.int("dim", 0)?, call.output_dims(0)?.len())?;
    match more {
        0 if dim == place.axis => Err(Stop::Unknown),
        0 => Ok(Some(place)),
        _ => Ok(Some(Place { axis: place.axis + usize::from(dim <= place.axis), ..place })),
    }
}

/// Indices along one axis, which are the same for all images; or those of images, of a table.
fn indexed(call: &Call<'_, '_>, places: &Places) -> Found {
    let Some(Argument::Tensors(names)) = call.argument("indices") else { return Err(Stop::Unknown) };
    let given: Vec<(usize, &String)> =
        names.iter().enumerate().filter_map(|(axis, name)| Some((axis, name.as_ref()?))).collect();
    let [(axis, name)] = given.as_slice() else { return Err(Stop::Unknown) };
    let meta = call.values.meta(name).ok_or(Stop::Unknown)?;
    if matches!(meta.dtype, 1 | 12) {
        return Err(Stop::Unknown);
    }
    match (own(call, places, 0)?, places.get(*name)) {
        (Some(place), None) if place.axis == *axis => Err(Stop::Mixed),
        (Some(place), None) if place.axis < *axis => Ok(Some(place)),
        (Some(place), None) => Ok(Some(Place { axis: place.axis + meta.sizes.len() - 1, ..place })),
        (None, Some(place)) => Ok(Some(Place { axis: place.axis + axis, ..*place })),
        _ => Err(Stop::Unknown),
    }
}
