//! Exact sets through layers for which a product of axes is only a bound: flatten, reshape and the pixel shuffles.

use std::collections::HashMap;

use super::{Budget, Region, Set};
use crate::analysis::field::Interval;
use crate::analysis::field::family::too_large;
use crate::diagnostic::Problem;
use crate::layers::rearrange::{Rearrangement, Run};

/// Returns what `region` of the output reads of the input, whose sizes come first in `sizes`.
pub(super) fn before(
    region: &Region,
    rearrangement: &Rearrangement,
    sizes: (&[u64], &[u64]),
    budget: &Budget,
) -> Result<Region, Problem> {
    let mut all = Region::empty(sizes.0.len());
    for product in region.products() {
        let read = match rearrangement {
            Rearrangement::Regroup(runs) => regrouped(&product, runs, sizes, budget)?,
            Rearrangement::ToSpace(factor) => from_channels(&product, *factor, budget)?,
            Rearrangement::ToChannels(factor) => from_space(&product, *factor, budget)?,
        };
        all = all.union(&read, budget)?;
    }
    Ok(all)
}

/// Processes each run of axes separately: an axis that is alone on both sides is copied; the elements of other runs
/// are numbered in row-major order, which only existing elements have.
fn regrouped(
    product: &[Set],
    runs: &[Run],
    (input, output): (&[u64], &[u64]),
    budget: &Budget,
) -> Result<Region, Problem> {
    let nothing = Region::empty(input.len());
    let in_runs = |axis: usize| runs.iter().any(|run| run.output.contains(&axis));
    for (axis, set) in product.iter().enumerate().filter(|(axis, _)| !in_runs(*axis)) {
        if output[axis] == 1 && set.intersection(&Set::interval(0, 0), budget)?.is_empty() {
            return Ok(nothing);
        }
    }
    let mut products: Vec<Vec<Set>> = vec![vec![Set::interval(0, 0); input.len()]];
    for run in runs {
        let parts: Vec<Vec<Set>> = if let ([_], [by]) = (&run.input[..], &run.output[..]) {
            vec![vec![product[*by].clone()]]
        } else {
            let sets: Vec<&Set> = run.output.iter().map(|&axis| &product[axis]).collect();
            let of = |axes: &[usize], sizes: &[u64]| axes.iter().map(|&axis| sizes[axis]).collect::<Vec<_>>();
            let numbers = numbered(&sets, &of(&run.output, output), budget)?;
            placed(&numbers, &of(&run.input, input), budget)?.products()
        };
        budget.spend(products.len().saturating_mul(parts.len()))?;
        let with = |base: &Vec<Set>| {
            let base = base.clone();
            let place = |part: &Vec<Set>| {
                let mut sets = base.clone();
                run.input.iter().zip(part).for_each(|(&axis, set)| sets[axis] = set.clone());
                sets
            };
            parts.iter().map(place).collect::<Vec<_>>()
        };
        products = products.iter().flat_map(with).collect();
    }
    products.iter().try_fold(nothing, |all, sets| all.union(&Region::product(sets), budget))
}

/// Returns the row-major numbers of the elements of a product.
fn numbered(sets: &[&Set], sizes: &[u64], budget: &Budget) -> Result<Set, Problem> {
    let mut numbers = Set::interval(0, 0);
    let mut width = 1i128;
    for (set, &size) in sets.iter().zip(sizes).rev() {
        let set = set.intersection(&Set::below(size), budget)?;
        let mut spans: Vec<Interval> = Vec::new();
        if numbers == Set::interval(0, width - 1) {
            spans.extend(
                set.spans().iter().map(|s| Interval { lo: s.lo * width, hi: s.hi * width + width - 1 }),
            );
        } else {
            budget.spend_wide(set.len().saturating_mul(numbers.spans().len() as i128))?;
            for index in set.spans().iter().flat_map(|span| span.lo..=span.hi) {
                let moved = |s: &Interval| Interval { lo: s.lo + index * width, hi: s.hi + index * width };
                spans.extend(numbers.spans().iter().map(moved));
            }
        }
        numbers = Set::of(spans);
        width = width.checked_mul(i128::from(size)).ok_or_else(too_large)?;
    }
    Ok(numbers)
}

/// Returns the elements with these row-major numbers, on axes of these sizes.
fn placed(numbers: &Set, sizes: &[u64], budget: &Budget) -> Result<Region, Problem> {
    let [_, rest @ ..] = sizes else { return Ok(Region::product(&[])) };
    if rest.is_empty() {
        return Ok(Region::product(std::slice::from_ref(numbers)));
    }
    let width: i128 = rest.iter().map(|&size| i128::from(size)).product();
    // Rows grouped by content; numbers are sorted, so the pieces of one row are consecutive.
    let mut rows: HashMap<Set, Vec<Interval>> = HashMap::new();
    let mut open: Option<(i128, Vec<Interval>)> = None;
    let mut close = |open: &mut Option<(i128, Vec<Interval>)>, next: Option<i128>| {
        if let Some((row, pieces)) = open.take_if(|(row, _)| Some(*row) != next) {
            rows.entry(Set::of(pieces)).or_default().push(Interval { lo: row, hi: row });
        }
    };
    let mut whole = Vec::new();
    for span in numbers.spans() {
        budget.spend(3)?;
        let mut lo = span.lo;
        while lo <= span.hi {
            let (row, from) = (lo.div_euclid(width), lo.rem_euclid(width));
            let count = (span.hi + 1 - lo) / width;
            if from == 0 && count > 0 {
                whole.push(Interval { lo: row, hi: row + count - 1 });
                lo += count * width;
                continue;
            }
            let to = (from + span.hi - lo).min(width - 1);
            close(&mut open, Some(row));
            open.get_or_insert_with(|| (row, vec![])).1.push(Interval { lo: from, hi: to });
            lo += to - from + 1;
        }
    }
    close(&mut open, None);
    if !whole.is_empty() {
        rows.entry(Set::interval(0, width - 1)).or_default().extend(whole);
    }
    let parts = rows.into_iter().map(|(held, rows)| Ok((Set::of(rows), placed(&held, rest, budget)?)));
    Ok(Region::of_parts(sizes.len(), parts.collect::<Result<Vec<_>, Problem>>()?))
}

/// Returns the positions of a cell of `factor` elements on each of `rank` axes, in row-major order.
fn cell(factor: i128, rank: usize) -> Vec<Vec<i128>> {
    let mut places = vec![vec![]];
    for _ in 0..rank {
        let more = |place: Vec<i128>| (0..factor).map(move |p| [place.as_slice(), &[p]].concat());
        places = places.into_iter().flat_map(more).collect();
    }
    places
}

/// Returns what a pixel shuffle reads: the position in the cell determines the channel.
fn from_channels(product: &[Set], factor: u64, budget: &Budget) -> Result<Region, Problem> {
    let factor = i128::from(factor.max(1));
    let (channels, space) = (&product[0], &product[1..]);
    let places = cell(factor, space.len());
    let mut all = Region::empty(product.len());
    for (index, place) in (0i128..).zip(&places) {
        let mut sets = vec![channels.spaced(places.len() as i128, index, budget)?];
        sets.extend(space.iter().zip(place).map(|(set, &p)| set.every(factor, p)));
        all = all.union(&Region::product(&sets), budget)?;
    }
    Ok(all)
}

/// Returns what a pixel unshuffle reads: the channel determines the position in the cell.
fn from_space(product: &[Set], factor: u64, budget: &Budget) -> Result<Region, Problem> {
    let factor = i128::from(factor.max(1));
    let (channels, space) = (&product[0], &product[1..]);
    let places = cell(factor, space.len());
    let picked = |index: i128| channels.every(places.len() as i128, index);
    let first = picked(0);
    if (1..places.len() as i128).all(|index| picked(index) == first) {
        // All positions of every cell: whole cells are read.
        let cells = |set: &Set| {
            Set::of(
                set.spans()
                    .iter()
                    .map(|s| Interval { lo: s.lo * factor, hi: s.hi * factor + factor - 1 })
                    .collect(),
            )
        };
        let sets: Vec<Set> = std::iter::once(first).chain(space.iter().map(cells)).collect();
        return Ok(Region::product(&sets));
    }
    let mut all = Region::empty(product.len());
    for (index, place) in (0i128..).zip(&places) {
        let mut sets = vec![picked(index)];
        for (set, &p) in space.iter().zip(place) {
            sets.push(set.spaced(factor, p, budget)?);
        }
        all = all.union(&Region::product(&sets), budget)?;
    }
    Ok(all)
}
