//! The same elements with other axes or of another type.

use super::super::messages::{data_type, int, ints, text};
use super::super::schema::Argument;
use super::bare;
use super::call::{Call, Outcome, Unsupported, one, unsupported};

/// What does nothing at inference.
pub(super) fn same(call: &mut Call<'_, '_>) -> Outcome {
    let mut outputs = vec![call.first()?];
    outputs.resize(super::call::values::returned(call.node).len().max(1), String::new());
    Ok(outputs)
}

/// A cast; between types of floating-point numbers it only rounds.
pub(super) fn cast(call: &mut Call<'_, '_>) -> Outcome {
    let from = data_type(call.first_meta()?.dtype);
    let names = super::call::values::returned(call.node);
    let meta = names.first().and_then(|name| call.values.meta(name.as_ref()?));
    let Some(meta) = meta else { return unsupported("the type of its output is not stated") };
    let to = data_type(meta.dtype);
    let input = call.first()?;
    if from == to {
        return one(input);
    }
    one(call.emit("Cast", vec![input], vec![int("to", to as i64)]))
}

pub(super) fn reshape(call: &mut Call<'_, '_>) -> Outcome {
    if call.overload == "dtype" {
        return unsupported("the bits of a tensor as another type");
    }
    let name = if call.argument("size").is_some() { "size" } else { "shape" };
    let sizes = call.sizes(name)?;
    let input = call.first()?;
    one(call.emit("Reshape", vec![input, sizes], vec![int("allowzero", 1)]))
}

/// Sizes that are known only from the shape of the output, one of which may be open.
pub(super) fn to_output(call: &mut Call<'_, '_>, index: usize) -> Result<String, Unsupported> {
    let names = super::call::values::returned(call.node);
    let meta = names.get(index).and_then(|name| call.values.meta(name.as_ref()?));
    let Some(meta) = meta else { return unsupported("the shape of its output is not stated") };
    to_meta(call, meta)
}

/// The sizes of a tensor as a constant list: one that is open is what is left.
pub(super) fn to_meta(
    call: &mut Call<'_, '_>,
    meta: &super::super::schema::TensorMeta,
) -> Result<String, Unsupported> {
    use super::super::schema::Dimension;
    let open = meta.sizes.iter().filter(|size| matches!(size, Dimension::Expression(_))).count();
    if open > 1 {
        return unsupported("a shape with several open sizes");
    }
    let size = |size: &Dimension| if let Dimension::Known(size) = size { *size } else { -1 };
    Ok(call.constant(meta.sizes.iter().map(size).collect()))
}

/// Operators whose output's shape says all.
pub(super) fn by_shape(call: &mut Call<'_, '_>) -> Outcome {
    let sizes = to_output(call, 0)?;
    let input = call.first()?;
    one(call.emit("Reshape", vec![input, sizes], vec![int("allowzero", 1)]))
}

fn permuted(call: &mut Call<'_, '_>, order: Vec<i64>) -> Outcome {
    let input = call.first()?;
    one(call.emit("Transpose", vec![input], vec![ints("perm", order)]))
}

/// For each axis of the output, the axis of the input that it is.
pub(super) fn order(call: &Call<'_, '_>) -> Result<Vec<i64>, Unsupported> {
    let rank = call.rank()?;
    let mut order: Vec<i64> = (0..rank as i64).collect();
    let at = |argument: &Argument| match argument {
        Argument::Int(axis) => call.axis(*axis, rank),
        _ => unsupported("an axis that is not known"),
    };
    match call.operator {
        "aten.permute" => {
            let given = call.ints("dims")?.unwrap_or_default();
            order = given
                .into_iter()
                .map(|axis| call.axis(axis, rank).map(|axis| axis as i64))
                .collect::<Result<_, _>>()?;
        }
        "aten.transpose" | "aten.swapaxes" | "aten.swapdims" => {
            let (a, b) = (at(call.at(1)?)?, at(call.at(2)?)?);
            if rank > 0 {
                order.swap(a, b);
            }
        }
        "aten.numpy_T" => order.reverse(),
        "aten.movedim" | "aten.moveaxis" => {
            let axes = |name: &str| {
                let given = call.ints(name)?.unwrap_or_default();
                given.into_iter().map(|axis| call.axis(axis, rank)).collect::<Result<Vec<_>, _>>()
            };
            let (from, to) = (axes("source")?, axes("destination")?);
            let mut places: Vec<(usize, usize)> = to.into_iter().zip(from.iter().copied()).collect();
            places.sort_unstable();
            order.retain(|axis| !from.contains(&(*axis as usize)));
            for (place, axis) in places {
                order.insert(place.min(order.len()), axis as i64);
            }
        }
        _ if rank > 1 => order.swap(rank - 1, rank - 2),
        _ => {}
    }
    Ok(order)
}

pub(super) fn permute(call: &mut Call<'_, '_>) -> Outcome {
    let order = order(call)?;
    permuted(call, order)
}

pub(super) fn transpose(call: &mut Call<'_, '_>) -> Outcome {
    permute(call)
}

pub(super) fn movedim(call: &mut Call<'_, '_>) -> Outcome {
    permute(call)
}

pub(super) fn expand(call: &mut Call<'_, '_>) -> Outcome {
    let sizes = call.output_dims(0)?;
    let input = call.first()?;
    let sizes = call.constant(sizes);
    one(call.emit("Expand", vec![input, sizes], vec![]))
}

pub(super) fn repeat(call: &mut Call<'_, '_>) -> Outcome {
    let name = if call.argument("repeats").is_some() { "repeats" } else { "dims" };
    let Some(mut repeats) = call.ints(name)? else { return unsupported("it has no numbers of repetitions") };
    let rank = call.rank()?;
    let mut input = call.first()?;
    if repeats.len() > rank {
        let axes = call.constant((0..(repeats.len() - rank) as i64).collect());
        input = call.emit("Unsqueeze", vec![input, axes], vec![]);
    }
    while repeats.len() < rank {
        repeats.insert(0, 1);
    }
    let repeats = call.constant(repeats);
    one(call.emit("Tile", vec![input, repeats], vec![]))
}

/// Every element several times: a new axis, repeated, and joined with the one before it.
pub(super) fn repeat_interleave(call: &mut Call<'_, '_>) -> Outcome {
    let Some(Argument::Int(times)) = call.argument("repeats") else {
        return unsupported("numbers of repetitions that differ");
    };
    let (Some(Argument::Int(axis)), times) = (call.argument("dim"), *times) else {
        return unsupported("repetitions of all elements");
    };
    let dims = call.dims()?;
    let axis = call.axis(*axis, dims.len())?;
    let input = call.first()?;
    let mut open = dims.clone();
    open.insert(axis + 1, 1);
    let open = call.constant(open);
    let opened = call.emit("Reshape", vec![input, open], vec![]);
    let mut repeats = vec![1; dims.len() + 1];
    repeats[axis + 1] = times;
    let repeats = call.constant(repeats);
    let tiled = call.emit("Tile", vec![opened, repeats], vec![]);
    let mut joined = dims;
    joined[axis] = joined[axis].saturating_mul(times);
    let joined = call.constant(joined);
    one(call.emit("Reshape", vec![tiled, joined], vec![]))
}

pub(super) fn size(call: &mut Call<'_, '_>) -> Outcome {
    let rank = call.rank()?;
    let axis = match call.at(1)? {
        Argument::Int(axis) => call.axis(*axis, rank)?,
        _ => return unsupported("an axis that is not known"),
    };
    let input = call.first()?;
    let shape = call.emit("Shape", vec![input], vec![]);
    let index = call.whole(axis as i64);
    one(call.emit("Gather", vec![shape, index], vec![int("axis", 0)]))
}

pub(super) fn pixel_shuffle(call: &mut Call<'_, '_>) -> Outcome {
    let factor = call.int("upscale_factor", 1)?;
    let (input, is_bare) = bare::image(call, 2)?;
    let made = call.emit("DepthToSpace", vec![input], vec![int("blocksize", factor), text("mode", "CRD")]);
    one(bare::returned(call, made, is_bare))
}

pub(super) fn pixel_unshuffle(call: &mut Call<'_, '_>) -> Outcome {
    let factor = call.int("downscale_factor", 1)?;
    let (input, is_bare) = bare::image(call, 2)?;
    let made = call.emit("SpaceToDepth", vec![input], vec![int("blocksize", factor), text("mode", "CRD")]);
    one(bare::returned(call, made, is_bare))
}

/// As the reshapes and the transposition that the importer recognises.
pub(super) fn channel_shuffle(call: &mut Call<'_, '_>) -> Outcome {
    let dims = call.dims()?;
    let groups = call.int("groups", 1)?;
    if dims.len() < 3 || groups < 1 || dims[1] % groups != 0 {
        return unsupported(format!("{groups} groups of {dims:?}"));
    }
    let input = call.first()?;
    let open = call.constant([&[dims[0], groups, dims[1] / groups], &dims[2..]].concat());
    let opened = call.emit("Reshape", vec![input, open], vec![]);
    let order = [vec![0, 2, 1], (3..=dims.len() as i64).collect()].concat();
    let moved = call.emit("Transpose", vec![opened], vec![ints("perm", order)]);
    let dims = call.constant(dims);
    one(call.emit("Reshape", vec![moved, dims], vec![]))
}
