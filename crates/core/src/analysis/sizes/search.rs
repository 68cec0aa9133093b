//! The search for the sizes that fit, by trying them.
//!
//! Modulo the product of the strides, every layer's size is an affine function of the input's, so that each
//! class of sizes either fits from some size on, or in one range, or never; small sizes are irregular (an
//! axis of size 1 broadcasts). So the search tries all small sizes, then a large one of each class, and finds
//! the end of its range by bisection. It checks the result at sizes that were not used, and tries a longer
//! period if one of them contradicts it.

use std::cell::RefCell;
use std::collections::HashMap;

use num_integer::Integer as _;

use super::set::SizeSet;
use super::trial::{Trial, judge};
use super::{Slot, Unsupported, Verdict};
use crate::graph::{Graph, Op};
use crate::layers::{AxisReach, Layer};
use crate::shape::Shape;

/// Largest modulus that is searched.
const MAX_MODULUS: u64 = 65_536;
/// Maximum size up to which all sizes are tried.
const MAX_DENSE: u64 = 8192;
/// A size large enough that a class which fits from some size on fits there.
const FAR: u64 = 1 << 20;
/// Sizes in a row that are checked in the end.
const STRETCH: u64 = 128;
/// Factors of the period that are tried in turn if a check contradicts it.
const LONGER: [u64; 6] = [1, 2, 3, 4, 6, 8];

/// Axes that change together.
pub(super) struct Search<'a> {
    trial: &'a dyn Trial,
    /// Input shapes that fit; the axes that do not change have these sizes.
    base: &'a [Shape],
    slots: &'a [Slot],
    axes: Vec<usize>,
    known: RefCell<HashMap<u64, Verdict>>,
}

/// The members of one class of sizes above the small ones: the first and the last that fit; without a last,
/// all from the first on.
#[derive(Debug, Clone, Copy)]
struct Range {
    first: u64,
    last: Option<u64>,
}

impl<'a> Search<'a> {
    pub(super) fn new(trial: &'a dyn Trial, base: &'a [Shape], slots: &'a [Slot]) -> Self {
        let mut axes: Vec<usize> = slots.iter().map(|slot| slot.axis + 1).collect();
        axes.dedup();
        Self { trial, base, slots, axes, known: RefCell::default() }
    }

    /// Returns the verdict on `size`, from the cache if it was tried before.
    fn judge(&self, size: u64) -> Verdict {
        if let Some(known) = self.known.borrow().get(&size) {
            return *known;
        }
        let verdict =
            if size == 0 { Verdict::default() } else { judge(self.trial, &self.inputs(size), &self.axes) };
        self.known.borrow_mut().insert(size, verdict);
        verdict
    }

    fn inputs(&self, size: u64) -> Vec<Shape> {
        let mut inputs: Vec<Vec<u64>> = self.base.iter().map(|shape| shape.sizes().to_vec()).collect();
        for slot in self.slots {
            if let Some(axis) = inputs.get_mut(slot.input).and_then(|sizes| sizes.get_mut(slot.axis + 1)) {
                *axis = size;
            }
        }
        inputs.into_iter().map(Shape::new).collect()
    }

    /// Returns the sizes that work, and those that lose no pixel; `current` is one that works.
    pub(super) fn run(&self, current: u64) -> Result<(SizeSet, SizeSet), Unsupported> {
        let network =
            self.trial.at(self.base).ok_or_else(|| Unsupported("the network fits no size".into()))?;
        let mut first = 1u64;
        for &axis in &self.axes {
            first = first.lcm(&modulus(network.graph(), axis)?);
        }
        for factor in LONGER {
            let modulus = first.saturating_mul(factor);
            if modulus > MAX_MODULUS {
                break;
            }
            let dense = (4 * modulus + 64).min(MAX_DENSE.max(modulus));
            let works = self.set(modulus, dense, current, |verdict| verdict.works);
            let lossless = self.set(modulus, dense, current, |verdict| verdict.lossless);
            if self.holds(&works, &lossless, modulus, current) {
                return Ok((works, lossless));
            }
        }
        Err(Unsupported(format!(
            "no pattern of period {first}, or a small multiple of it, holds for all sizes that were tried"
        )))
    }

    /// Returns the sizes that satisfy `member`, provided that those of each class above `dense` form one
    /// range.
    fn set(&self, modulus: u64, dense: u64, current: u64, member: fn(Verdict) -> bool) -> SizeSet {
        let is = |size: u64| member(self.judge(size));
        let mut members: Vec<u64> = (1..=dense).filter(|&size| is(size)).collect();
        let ranges: Vec<(u64, Range)> = (0..modulus)
            .filter_map(|class| Some((class, self.range(class, modulus, dense, current, &is)?)))
            .collect();
        let ends = ranges.iter().map(|(_, range)| range.last.map_or(range.first, |last| last + 1));
        let from = ends.max().unwrap_or(0).max(dense + 1);
        for (_, range) in &ranges {
            let end = range.last.map_or(from, |last| last + 1);
            members.extend((range.first..end).step_by(usize::try_from(modulus).unwrap_or(usize::MAX)));
        }
        members.sort_unstable();
        let residues: Vec<u64> =
            ranges.iter().filter(|(_, range)| range.last.is_none()).map(|&(class, _)| class).collect();
        SizeSet::new(&members, from, modulus, &residues)
    }

    /// Returns the members of one class above `dense`.
    fn range(
        &self,
        class: u64,
        modulus: u64,
        dense: u64,
        current: u64,
        is: &dyn Fn(u64) -> bool,
    ) -> Option<Range> {
        // Size number `k` of the class.
        let start = {
            let least = dense + 1;
            least + (class + modulus - least % modulus) % modulus
        };
        let size = |k: u64| start + k * modulus;
        let beyond = |least: u64| least.saturating_sub(start).div_ceil(modulus);
        let far = [beyond((4 * current).max(16 * modulus).max(dense)), beyond(FAR)];
        if let Some(&k) = far.iter().find(|&&k| is(size(k)) && is(size(k + 1))) {
            return Some(Range { first: size(bisect(0, k, |k| is(size(k)))), last: None });
        }
        // A range with an end: around a size that works, if there is any.
        let near = beyond(current.saturating_sub(modulus))..=beyond(current) + 1;
        let inside = near.into_iter().find(|&k| is(size(k)))?;
        let (mut outside, mut step) = (inside + 1, 1);
        while is(size(outside)) && size(outside) < FAR {
            outside += step;
            step *= 2;
        }
        let last = bisect(inside, outside, |k| !is(size(k))) - 1;
        Some(Range { first: size(bisect(0, inside, |k| is(size(k)))), last: Some(size(last)) })
    }

    /// Returns whether the sets agree with trying the sizes, for sizes of every magnitude.
    fn holds(&self, works: &SizeSet, lossless: &SizeSet, modulus: u64, current: u64) -> bool {
        // SplitMix64, a deterministic generator, so that every run tries the same sizes.
        let mut state = current ^ modulus;
        let mut random = |below: u64| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (mixed ^ (mixed >> 31)) % below.max(1)
        };
        let edges = [current, works.from, lossless.from, 4 * current];
        let mut sizes: Vec<u64> = Vec::new();
        for edge in edges {
            let reach = (2 * modulus).clamp(8, 4096);
            sizes.extend((0..24).map(|_| (edge + random(2 * reach)).saturating_sub(reach).max(1)));
            sizes.extend([edge.saturating_sub(1).max(1), edge.max(1), edge + 1]);
        }
        sizes.extend(
            (6..15).flat_map(|bits| [1 + random(1 << bits), 1 + random(1 << bits), 1 + random(1 << bits)]),
        );
        // A longer pattern shows in some stretch of this length.
        let far = works.from.max(lossless.from).max(4 * current);
        sizes.extend(far..far + STRETCH);
        sizes.into_iter().all(|size| {
            let verdict = self.judge(size);
            (verdict.works, verdict.lossless) == (works.contains(size), lossless.contains(size))
        })
    }
}

/// Returns the smallest index above `low` that satisfies `holds`, if `low` does not and `high` does; `low` if
/// it does.
fn bisect(low: u64, high: u64, holds: impl Fn(u64) -> bool) -> u64 {
    if holds(low) {
        return low;
    }
    let (mut low, mut high) = (low, high);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if holds(middle) { high = middle } else { low = middle }
    }
    high
}

/// Computes the period of the axis: the least common multiple of the denominators of all nodes' scales
/// relative to the input.
pub(crate) fn modulus(graph: &Graph, axis: usize) -> Result<u64, Unsupported> {
    // Scale of each node's axis relative to the input, as numerator and denominator.
    let mut scales: Vec<(u64, u64)> = Vec::with_capacity(graph.nodes.len());
    let mut modulus = 1u64;
    for node in &graph.nodes {
        let mut scale = (1, 1);
        // A resize to a size, or to that of another map, has no scale.
        let by_size = matches!(&node.op, Op::Layer(Layer::Upsample(resize)) if resize.scale_factor.is_none());
        for reach in graph.reach(node) {
            let (num, den) = scales[node.inputs[reach.input].0];
            for how in &reach.axes {
                let (times, over) = match how {
                    AxisReach::Window { by, window } if *by == axis => (1, window.stride),
                    AxisReach::Transposed { by, window } if *by == axis => (window.stride, 1),
                    AxisReach::Reflected { by, .. } if *by == axis => (1, 1),
                    AxisReach::Resize { by, input, output, .. } if *by == axis && !by_size => {
                        (*output, *input)
                    }
                    _ => continue,
                };
                let (Some(num), Some(den)) = (num.checked_mul(times), den.checked_mul(over)) else {
                    return Err(Unsupported("the strides multiply to more than 64 bits".into()));
                };
                let common = num.gcd(&den).max(1);
                let candidate = (num / common, den / common);
                if candidate.1 > scale.1 || scale == (1, 1) {
                    scale = candidate;
                }
            }
        }
        if scale.1 > MAX_MODULUS {
            return Err(Unsupported(format!("the strides multiply to more than {MAX_MODULUS}")));
        }
        modulus = modulus.lcm(&scale.1);
        if modulus > MAX_MODULUS {
            return Err(Unsupported(format!("the strides multiply to more than {MAX_MODULUS}")));
        }
        scales.push(scale);
    }
    Ok(modulus)
}
