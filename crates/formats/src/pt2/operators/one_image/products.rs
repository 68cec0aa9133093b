//! What convolutions, matrix products, attention and recurrent layers do with the batch.

use super::super::call::values::returned;
use super::super::call::{Call, known};
use super::given::{Found, Places, broadcast, own, place, position, tensors};
use super::{Place, Step, Stop};
use crate::pt2::schema::Argument;

/// A convolution of all images; or one whose groups are those of all images, each with a weight of its own.
pub(super) fn convolution(call: &Call<'_, '_>, places: &Places, batch: i64) -> Result<Step, Stop> {
    let dims = call.dims()?;
    let kernel = known(call.meta_of(call.argument("weight").ok_or(Stop::Unknown)?)?)?;
    let input = own(call, places, 0)?;
    let (weight, bias) = (place(call, places, "weight")?, place(call, places, "bias")?);
    let single = |place: Place, axis: usize, dims: &[i64]| {
        place.axis == axis && place.inside.checked_mul(batch) == dims.get(axis).copied()
    };
    match (input, weight) {
        (Some(place), None) if bias.is_none() && dims.len() == kernel.len() => {
            let place = if place.axis == 0 { place } else { return Err(Stop::Mixed) };
            Ok(Step { places: vec![Some(place)], edits: vec![] })
        }
        (Some(place), Some(weight)) if single(place, 1, &dims) && single(weight, 0, &kernel) => {
            let groups = call.int("groups", 1)?;
            let transposed = call.operator.contains("transpose") || call.flag("transposed", false);
            let own_bias = call.argument("bias").is_none() || bias == Some(weight);
            if groups % batch != 0 || transposed || !own_bias {
                return Err(Stop::Unknown);
            }
            let place = Place { axis: 1, inside: weight.inside };
            let edit = (position(call, "groups")?, Argument::Int(groups / batch));
            Ok(Step { places: vec![Some(place)], edits: vec![edit] })
        }
        _ => Err(Stop::Unknown),
    }
}

/// A product of two stacks of matrices.
pub(super) fn product(call: &Call<'_, '_>, places: &Places) -> Found {
    let (a, b) = (call.dims()?, known(call.meta_of(call.at(1)?)?)?);
    let (left, right) = (own(call, places, 0)?, own(call, places, 1)?);
    if a.len() < 2 || b.len() < 2 {
        return Err(Stop::Unknown);
    }
    let rank = a.len().max(b.len());
    let stacked = |place: Option<Place>, dims: &[i64]| place.is_some_and(|place| place.axis + 2 < dims.len());
    if stacked(left, &a) || stacked(right, &b) {
        let both = tensors(call);
        // Matrices of single images are multiplied by those of the same image, or by those of all.
        let mixed = left.is_some() && right.is_some() && !(stacked(left, &a) && stacked(right, &b));
        return if mixed { Err(Stop::Mixed) } else { broadcast(call, places, &both) };
    }
    match (left, right) {
        (Some(place), None) if place.axis + 2 == a.len() => Ok(Some(Place { axis: rank - 2, ..place })),
        (None, Some(place)) if place.axis + 1 == b.len() => Ok(Some(Place { axis: rank - 1, ..place })),
        _ => Err(Stop::Mixed),
    }
}

pub(super) fn attention(call: &Call<'_, '_>, places: &Places) -> Found {
    let query = own(call, places, 0)?.ok_or(Stop::Unknown)?;
    let rank = call.rank()?;
    if query.axis + 2 >= rank {
        return Err(Stop::Mixed);
    }
    broadcast(call, places, &tensors(call))
}

/// A recurrent layer: the batch is the first or the second axis of its input and output, and the second of its states.
pub(super) fn recurrent(call: &Call<'_, '_>, places: &Places) -> Result<Step, Stop> {
    let place = own(call, places, 0)?.ok_or(Stop::Unknown)?;
    let axis = usize::from(!call.flag("batch_first", false));
    if call.rank()? != 3 || place.axis != axis {
        return Err(Stop::Mixed);
    }
    let state = Place { axis: 1, ..place };
    for (index, name) in tensors(call).into_iter().skip(1) {
        let wanted = (call.node.inputs[index].name == "hx").then_some(&state);
        if places.get(name) != wanted {
            return Err(Stop::Unknown);
        }
    }
    let count = returned(call.node).len();
    let places = (0..count).map(|index| Some(if index == 0 { place } else { state })).collect();
    Ok(Step { places, edits: vec![] })
}
