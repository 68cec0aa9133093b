//! What a call is given, and where the batch is in it.

use std::collections::HashMap;

use super::super::call::{Call, known};
use super::{Place, Stop};
use crate::pt2::schema::Argument;

/// Where the batch is, by the names of tensors.
pub(super) type Places = HashMap<String, Place>;
/// Where the batch is in what a call returns.
pub(super) type Found = Result<Option<Place>, Stop>;

/// The tensors that a call is given, each with the position of its argument.
pub(super) fn tensors<'p>(call: &Call<'_, 'p>) -> Vec<(usize, &'p String)> {
    let mut found = Vec::new();
    for (index, input) in call.node.inputs.iter().enumerate() {
        match &input.arg {
            Argument::Tensor(name) => found.push((index, name)),
            Argument::Tensors(names) => found.extend(names.iter().flatten().map(|name| (index, name))),
            _ => {}
        }
    }
    found
}

/// The batch of argument number `index`, if it is a tensor that has one.
pub(super) fn own(call: &Call<'_, '_>, places: &Places, index: usize) -> Found {
    match call.node.inputs.get(index).map(|input| &input.arg) {
        Some(Argument::Tensor(name)) => Ok(places.get(name).copied()),
        Some(Argument::Tensors(_)) => Err(Stop::Unknown),
        _ => Ok(None),
    }
}

pub(super) fn place(call: &Call<'_, '_>, places: &Places, name: &str) -> Found {
    match call.argument(name) {
        Some(Argument::Tensor(name)) => Ok(places.get(name).copied()),
        _ => Ok(None),
    }
}

fn sizes(call: &Call<'_, '_>, name: &str) -> Result<Vec<i64>, Stop> {
    Ok(known(call.values.meta(name).ok_or(Stop::Unknown)?)?)
}

/// The position of the argument `name`.
pub(super) fn position(call: &Call<'_, '_>, name: &str) -> Result<usize, Stop> {
    call.node.inputs.iter().position(|input| input.name == name).ok_or(Stop::Unknown)
}

/// Tensors whose axes are aligned from the last one.
pub(super) fn broadcast(call: &Call<'_, '_>, places: &Places, given: &[(usize, &String)]) -> Found {
    let rank = call.output_dims(0)?.len();
    let mut found: Option<Place> = None;
    for (_, name) in given {
        let Some(place) = places.get(*name) else { continue };
        let axis = (place.axis + rank).checked_sub(sizes(call, name)?.len()).ok_or(Stop::Unknown)?;
        let place = Place { axis, ..*place };
        if found.is_some_and(|found| found != place) {
            return Err(if found.is_some_and(|found| found.axis != axis) {
                Stop::Mixed
            } else {
                Stop::Unknown
            });
        }
        found = Some(place);
    }
    let Some(place) = found else { return Ok(None) };
    for (_, name) in given {
        let sizes = sizes(call, name)?;
        let at = (place.axis + sizes.len()).checked_sub(rank).and_then(|axis| sizes.get(axis));
        // What differs along the batch belongs to single images.
        if !places.contains_key(*name) && at.is_some_and(|&size| size != 1) {
            return Err(Stop::Unknown);
        }
    }
    Ok(Some(place))
}
