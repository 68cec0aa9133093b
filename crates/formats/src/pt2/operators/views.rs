//! Which operators return a view of their input, and how a view that was written is put back.

use super::super::messages::{int, ints};
use super::super::schema::{Argument, Dimension, TensorMeta};
use super::call::values::returned;
use super::call::{Call, Unsupported, known, unsupported};
use super::product::along;

/// Most positions of an axis of which a part is written, each with a step.
const MAX_PLACES: i64 = 1 << 20;

/// What an operator returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Makes {
    /// A tensor of its own.
    New,
    /// Part of its input, or its input with other axes.
    View,
    /// Its input.
    Same,
}

/// Whether the tensor's elements lie in row-major order; none if that is not known.
fn contiguous(meta: &TensorMeta) -> Option<bool> {
    if meta.strides.len() != meta.sizes.len() {
        return None;
    }
    let mut step = 1i64;
    for (size, stride) in meta.sizes.iter().zip(&meta.strides).rev() {
        let (Dimension::Known(size), Dimension::Known(stride)) = (size, stride) else { return None };
        if *size != 1 && *stride != step {
            return Some(false);
        }
        step = step.checked_mul(*size)?;
    }
    Some(true)
}

/// What `call` returns.
pub(crate) fn makes(call: &Call<'_, '_>) -> Makes {
    let compact = || call.first_meta().ok().and_then(contiguous).unwrap_or(true);
    match call.operator {
        "aten.detach" | "aten.alias" | "aten.lift_fresh" | "aten.lift" | "aten.positive"
        | "aten.requires_grad" | "aten._conj" | "aten.resolve_conj" | "aten.resolve_neg" => Makes::Same,
        "aten.dropout" | "aten.feature_dropout" | "aten.alpha_dropout" | "aten.feature_alpha_dropout"
            if !super::random::drops(call) =>
        {
            Makes::Same
        }
        "aten.contiguous" if compact() => Makes::Same,
        "aten.to" | "aten.type_as" | "aten.float" | "aten.half"
            if !call.flag("copy", false) && same_type(call) =>
        {
            Makes::Same
        }
        "aten.view"
        | "aten.view_as"
        | "aten.unflatten"
        | "aten.squeeze"
        | "aten.unsqueeze"
        | "aten.permute"
        | "aten.transpose"
        | "aten.swapaxes"
        | "aten.swapdims"
        | "aten.t"
        | "aten.numpy_T"
        | "aten.mT"
        | "aten.matrix_H"
        | "aten.adjoint"
        | "aten.movedim"
        | "aten.moveaxis"
        | "aten.expand"
        | "aten.expand_as"
        | "aten.broadcast_to"
        | "aten.slice"
        | "aten.narrow"
        | "aten.select"
        | "aten.split"
        | "aten.split_with_sizes"
        | "aten.chunk"
        | "aten.tensor_split"
        | "aten.unbind"
        | "aten.unfold"
        | "aten._reshape_alias"
        | "aten._unsafe_view" => Makes::View,
        "aten.reshape" | "aten.flatten" | "aten.ravel" | "aten.reshape_as" if compact() => Makes::View,
        _ => Makes::New,
    }
}

fn same_type(call: &Call<'_, '_>) -> bool {
    let names = returned(call.node);
    let to = names.first().and_then(|name| call.values.meta(name.as_ref()?)).map(|meta| meta.dtype);
    call.first_meta().is_ok_and(|meta| Some(meta.dtype) == to)
}

/// The tensor that `call` took a view of, whose value is `whole`, after its view `name` got the value `value`.
pub(crate) fn put_back(
    call: &mut Call<'_, '_>,
    name: &str,
    whole: String,
    value: String,
) -> Result<String, Unsupported> {
    let meta = call.first_meta()?;
    let rank = meta.sizes.len();
    match call.operator {
        "aten.view"
        | "aten.view_as"
        | "aten.unflatten"
        | "aten.squeeze"
        | "aten.unsqueeze"
        | "aten.reshape"
        | "aten.flatten"
        | "aten.ravel"
        | "aten.reshape_as"
        | "aten._reshape_alias"
        | "aten._unsafe_view"
            if call.overload != "dtype" =>
        {
            let sizes = super::shapes::to_meta(call, meta)?;
            Ok(call.emit("Reshape", vec![value, sizes], vec![int("allowzero", 1)]))
        }
        "aten.permute" | "aten.transpose" | "aten.swapaxes" | "aten.swapdims" | "aten.t" | "aten.numpy_T"
        | "aten.mT" | "aten.movedim" | "aten.moveaxis" => {
            let order = super::shapes::order(call)?;
            let mut back = vec![0; order.len()];
            for (place, axis) in order.iter().enumerate() {
                if let Some(slot) = usize::try_from(*axis).ok().and_then(|axis| back.get_mut(axis)) {
                    *slot = place as i64;
                }
            }
            Ok(call.emit("Transpose", vec![value], vec![ints("perm", back)]))
        }
        "aten.slice" if call.int("step", 1)? > 1 => {
            let dims = known(meta)?;
            let axis = call.axis(call.int("dim", 0)?, rank)?;
            let size = dims.get(axis).copied().unwrap_or(0);
            let (first, end) = bounds(call, size)?;
            let step = call.int("step", 1)?;
            // Elements of the part stand behind those of the whole.
            let is_part = |index: i64| (first..end).contains(&index) && (index - first) % step == 0;
            let from = |index: i64| if is_part(index) { size + (index - first) / step } else { index };
            if size > MAX_PLACES {
                return unsupported(format!("it writes a part of {size} positions"));
            }
            let places = call.constant((0..size).map(from).collect());
            let both = call.emit("Concat", vec![whole, value], vec![along(axis)]);
            Ok(call.emit("Gather", vec![both, places], vec![along(axis)]))
        }
        _ => {
            let dims = known(meta)?;
            let (axis, first, count, lost) = place(call, name, &dims)?;
            let value = if lost {
                let axes = call.constant(vec![axis as i64]);
                call.emit("Unsqueeze", vec![value, axes], vec![])
            } else {
                value
            };
            let size = dims.get(axis).copied().unwrap_or(0);
            let mut parts = Vec::new();
            for (start, end, part) in [(0, first, None), (0, 0, Some(value)), (first + count, size, None)] {
                match part {
                    Some(value) => parts.push(value),
                    None if start < end => {
                        let bounds = [start, end, axis as i64].map(|bound| call.constant(vec![bound]));
                        parts.push(call.emit(
                            "Slice",
                            [vec![whole.clone()], bounds.to_vec()].concat(),
                            vec![],
                        ));
                    }
                    None => {}
                }
            }
            if let ([only], true) = (parts.as_slice(), rank > 0) {
                return Ok(only.clone());
            }
            Ok(call.emit("Concat", parts, vec![along(axis)]))
        }
    }
}

/// Index `index` of an axis of `size` elements, which counts from the end if it is negative.
fn inside(index: i64, size: i64) -> i64 {
    (if index < 0 { index.saturating_add(size) } else { index }).clamp(0, size)
}

/// First index and end of a slice of an axis of `size` elements.
fn bounds(call: &Call<'_, '_>, size: i64) -> Result<(i64, i64), Unsupported> {
    let bound = |name: &str, default: i64| match call.argument(name) {
        Some(Argument::Int(value)) => Ok(inside(*value, size)),
        None => Ok(default),
        Some(_) => unsupported("a part whose bounds are not known"),
    };
    Ok((bound("start", 0)?, bound("end", size)?))
}

/// Axis, first index and number of indices of a part, and whether the part lost the axis.
fn place(call: &Call<'_, '_>, name: &str, dims: &[i64]) -> Result<(usize, i64, i64, bool), Unsupported> {
    let axis = call.axis(call.int("dim", 0)?, dims.len())?;
    let size = dims.get(axis).copied().unwrap_or(0);
    let names = returned(call.node);
    let number = names.iter().position(|output| output.is_some_and(|output| output == name));
    match call.operator {
        "aten.slice" if call.int("step", 1)? == 1 => {
            let (start, end) = bounds(call, size)?;
            Ok((axis, start, (end - start).max(0), false))
        }
        "aten.narrow" => Ok((axis, inside(call.int("start", 0)?, size), call.int("length", 0)?, false)),
        "aten.select" => Ok((axis, inside(call.int("index", 0)?, size), 1, true)),
        "aten.unbind" => Ok((axis, number.unwrap_or(0) as i64, 1, true)),
        "aten.split" | "aten.split_with_sizes" | "aten.chunk" | "aten.tensor_split" => {
            let lengths = super::select::lengths(call, axis)?;
            let number = number.unwrap_or(0).min(lengths.len().saturating_sub(1));
            let first = lengths[..number].iter().sum();
            Ok((axis, first, lengths.get(number).copied().unwrap_or(0), false))
        }
        other => unsupported(format!("it writes into what {other} returned")),
    }
}
