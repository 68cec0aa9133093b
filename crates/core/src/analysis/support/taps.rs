//! Which taps of a weight that is an input meet the map: at a border some fall on padding, and each phase of a
//! transposed convolution uses taps of its own.

use super::{Borders, Budget, Set};
use crate::analysis::field::Interval;
use crate::diagnostic::Problem;
use crate::layers::AxisReach;

/// Returns the taps, of `kernel` along an axis, with which the output positions `units` read an element of the map, of
/// whose `size` elements they read those that `reach` says.
pub(super) fn met(
    reach: &AxisReach,
    units: &Set,
    (size, kernel): (u64, u64),
    borders: Borders,
    budget: &Budget,
) -> Result<Set, Problem> {
    let exists = |place: i128| borders == Borders::Ignored || (0..i128::from(size)).contains(&place);
    let (window, transposed) = match reach {
        AxisReach::Window { window, .. } => (window, false),
        AxisReach::Transposed { window, .. } => (window, true),
        _ => return Ok(Set::below(kernel)),
    };
    let (stride, before) = (i128::from(window.stride), i128::from(window.before));
    let reads = |unit: i128, tap: i128| {
        let tap = tap * i128::from(window.dilation);
        if transposed {
            let place = unit + before - tap;
            place.rem_euclid(stride) == 0 && exists(place.div_euclid(stride))
        } else {
            exists(unit * stride - before + tap)
        }
    };
    let mut taps = Vec::new();
    for tap in 0..i128::from(kernel) {
        budget.spend_wide(units.len())?;
        if units.spans().iter().flat_map(|span| span.lo..=span.hi).any(|unit| reads(unit, tap)) {
            taps.push(Interval { lo: tap, hi: tap });
        }
    }
    Ok(Set::of(taps))
}
