//! Sets of indices along one axis, as sorted disjoint intervals.

use num_integer::Integer as _;

use super::Budget;
use crate::analysis::field::Interval;
use crate::analysis::relation::Relation;
use crate::diagnostic::Problem;

/// A set of integers: sorted intervals that neither overlap nor touch. Equal sets are equal values.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Set(Vec<Interval>);

impl Set {
    /// Returns the indices from `lo` to `hi`.
    pub fn interval(lo: i128, hi: i128) -> Self {
        if lo > hi { Self::default() } else { Self(vec![Interval { lo, hi }]) }
    }

    /// Returns the indices of an axis of `size` elements.
    pub fn below(size: u64) -> Self {
        Self::interval(0, i128::from(size) - 1)
    }

    /// Returns the union of `spans`.
    pub fn of(mut spans: Vec<Interval>) -> Self {
        spans.sort_unstable();
        let mut merged: Vec<Interval> = Vec::with_capacity(spans.len().min(64));
        for span in spans {
            match merged.last_mut() {
                Some(last) if span.lo <= last.hi + 1 => last.hi = last.hi.max(span.hi),
                _ => merged.push(span),
            }
        }
        Self(merged)
    }

    /// Returns its intervals, in order.
    pub fn spans(&self) -> &[Interval] {
        &self.0
    }

    /// Returns whether it has no element.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the number of elements.
    pub fn len(&self) -> i128 {
        self.0.iter().map(Interval::size).sum()
    }

    /// Returns the smallest interval that contains it.
    pub fn hull(&self) -> Option<Interval> {
        Some(Interval { lo: self.0.first()?.lo, hi: self.0.last()?.hi })
    }

    /// Returns the union.
    pub fn union(&self, other: &Self, budget: &Budget) -> Result<Self, Problem> {
        budget.spend(self.0.len() + other.0.len())?;
        let mut all = Vec::with_capacity(self.0.len() + other.0.len());
        all.extend_from_slice(&self.0);
        all.extend_from_slice(&other.0);
        Ok(Self::of(all))
    }

    /// Returns the intersection.
    pub fn intersection(&self, other: &Self, budget: &Budget) -> Result<Self, Problem> {
        budget.spend(self.0.len() + other.0.len())?;
        let (mut i, mut j) = (0, 0);
        let mut both = Vec::new();
        while let (Some(a), Some(b)) = (self.0.get(i), other.0.get(j)) {
            let (lo, hi) = (a.lo.max(b.lo), a.hi.min(b.hi));
            if lo <= hi {
                both.push(Interval { lo, hi });
            }
            if a.hi < b.hi { i += 1 } else { j += 1 }
        }
        Ok(Self(both))
    }

    /// Returns the elements of this set that are not in `other`.
    pub fn difference(&self, other: &Self, budget: &Budget) -> Result<Self, Problem> {
        budget.spend(self.0.len() + other.0.len())?;
        let mut rest = Vec::with_capacity(self.0.len());
        let mut j = 0;
        for span in &self.0 {
            let mut lo = span.lo;
            while other.0.get(j).is_some_and(|cut| cut.hi < lo) {
                j += 1;
            }
            let mut k = j;
            while let Some(cut) = other.0.get(k).filter(|cut| cut.lo <= span.hi) {
                if cut.lo > lo {
                    rest.push(Interval { lo, hi: cut.lo - 1 });
                }
                lo = lo.max(cut.hi + 1);
                k += 1;
            }
            if lo <= span.hi {
                rest.push(Interval { lo, hi: span.hi });
            }
        }
        Ok(Self(rest))
    }

    /// Returns the number of elements inside `span`.
    pub fn count_in(&self, span: Interval) -> i128 {
        let start = self.0.partition_point(|own| own.hi < span.lo);
        self.0[start..]
            .iter()
            .take_while(|own| own.lo <= span.hi)
            .map(|own| own.hi.min(span.hi) - own.lo.max(span.lo) + 1)
            .sum()
    }

    /// Returns what the elements of this set read through `relation`.
    pub fn through(&self, relation: &Relation, budget: &Budget) -> Result<Self, Problem> {
        let mut spans = Vec::new();
        for span in &self.0 {
            read(relation, *span, &mut spans, budget)?;
        }
        Ok(Self::of(spans))
    }

    /// Returns the elements that are indices of an axis of `size` elements.
    #[must_use]
    pub fn within(&self, size: u64) -> Self {
        Self(self.0.iter().filter_map(|span| span.clipped(size)).collect())
    }

    /// Returns whether it has an element in common with `other`.
    pub fn meets(&self, other: &Self) -> bool {
        self.0.iter().any(|span| other.count_in(*span) > 0)
    }

    /// Returns all `q` for which `step * q + place` is an element.
    pub fn every(&self, step: i128, place: i128) -> Self {
        let of = |span: &Interval| Interval {
            lo: -(place - span.lo).div_euclid(step),
            hi: (span.hi - place).div_euclid(step),
        };
        Self::of(self.0.iter().map(of).filter(|span| span.lo <= span.hi).collect())
    }

    /// Returns `step * q + place` for each element `q`.
    pub fn spaced(&self, step: i128, place: i128, budget: &Budget) -> Result<Self, Problem> {
        if step == 1 {
            return Ok(Self::of(
                self.0.iter().map(|s| Interval { lo: s.lo + place, hi: s.hi + place }).collect(),
            ));
        }
        budget.spend_wide(self.len())?;
        let elements = self.0.iter().flat_map(|span| span.lo..=span.hi);
        Ok(Self(elements.map(|q| Interval { lo: step * q + place, hi: step * q + place }).collect()))
    }
}

/// Appends what the units of `units` read.
fn read(
    relation: &Relation,
    units: Interval,
    out: &mut Vec<Interval>,
    budget: &Budget,
) -> Result<(), Problem> {
    let overflow = crate::analysis::field::family::too_large;
    if relation.period > 1 {
        // Every phase is one progression: unit by unit, or phase by phase where the run of units is long.
        budget.spend_wide(units.size())?;
        for unit in units.lo..=units.hi {
            let reads = relation.at(unit).ok_or_else(overflow)?;
            progression(reads.first, reads.step, reads.count, 1, out, budget)?;
        }
        return Ok(());
    }
    let reads = relation.at(units.lo).ok_or_else(overflow)?;
    let (advance, n) = (relation.advance, units.size());
    reads.last().and_then(|last| last.checked_add(advance.checked_mul(n)?)).ok_or_else(overflow)?;
    // The sum of two progressions: steps `advance` (n of them) and `step` (count of them). The shorter one is
    // iterated; the longer one is a single run if the shorter one fills its gaps.
    if n.min(reads.count) == 1 || advance == 1 || reads.step == 1 || advance == reads.step {
        let (walk, walked, run, ran) =
            if (advance == 1 && reads.step != 1) || (n >= reads.count && advance <= reads.step) {
                (reads.step, reads.count, advance, n)
            } else {
                (advance, n, reads.step, reads.count)
            };
        return sum(reads.first, (walk, walked), (run, ran), out, budget);
    }
    sum(reads.first, (advance, n), (reads.step, reads.count), out, budget)
}

/// Appends `first + walk * i + run * j` for all `i` and `j`.
fn sum(
    first: i128,
    (walk, walked): (i128, i128),
    (run, ran): (i128, i128),
    out: &mut Vec<Interval>,
    budget: &Budget,
) -> Result<(), Problem> {
    if run == 1 && (walked == 1 || ran >= walk) {
        // Runs that touch each other form one interval.
        out.push(Interval { lo: first, hi: first + walk * (walked - 1) + ran - 1 });
        return Ok(());
    }
    if walk == run || run.is_multiple_of(&walk) && walked >= run / walk {
        return progression(first, walk, walked + run / walk * (ran - 1), 1, out, budget);
    }
    budget.spend_wide(walked)?;
    for i in 0..walked {
        progression(first + walk * i, run, ran, 1, out, budget)?;
    }
    Ok(())
}

/// Appends `count` intervals of `width` elements, `step` apart.
fn progression(
    first: i128,
    step: i128,
    count: i128,
    width: i128,
    out: &mut Vec<Interval>,
    budget: &Budget,
) -> Result<(), Problem> {
    if count == 0 {
        return Ok(());
    }
    if step <= width {
        out.push(Interval { lo: first, hi: first + step * (count - 1) + width - 1 });
        return Ok(());
    }
    budget.spend_wide(count)?;
    out.extend((0..count).map(|t| Interval { lo: first + step * t, hi: first + step * t + width - 1 }));
    Ok(())
}
