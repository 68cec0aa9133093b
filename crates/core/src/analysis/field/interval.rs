//! Boxes: the smallest interval that contains everything a unit reads along one axis.

use super::family::{Content, Family};
use crate::analysis::relation::Reads;

/// An interval of input indices, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Interval {
    /// The first index.
    pub lo: i128,
    /// The last index.
    pub hi: i128,
}

impl Interval {
    /// Returns the number of indices.
    pub fn size(&self) -> i128 {
        self.hi - self.lo + 1
    }

    /// Returns the smallest interval that contains both.
    #[must_use]
    pub fn hull(self, other: Self) -> Self {
        Self { lo: self.lo.min(other.lo), hi: self.hi.max(other.hi) }
    }

    /// Returns the part inside `bounds`, if there are any; returns it unchanged if it lies outside them.
    #[must_use]
    pub fn within(self, bounds: Option<Self>) -> Self {
        let inside = bounds.map(|bounds| Self { lo: self.lo.max(bounds.lo), hi: self.hi.min(bounds.hi) });
        inside.filter(|inside| inside.lo <= inside.hi).unwrap_or(self)
    }

    /// Returns the part inside `0..extent`.
    pub fn clipped(&self, extent: u64) -> Option<Self> {
        let inside = Self { lo: self.lo.max(0), hi: self.hi.min(i128::from(extent) - 1) };
        (inside.lo <= inside.hi).then_some(inside)
    }
}

/// Largest index that is still used in computations: sums of two stay far from 128 bits.
const FAR: i128 = 1 << 100;

impl Content for Interval {
    const IDEMPOTENT: bool = true;

    fn moved(&self, by: i128) -> Option<Self> {
        let moved = Self { lo: self.lo.checked_add(by)?, hi: self.hi.checked_add(by)? };
        (moved.lo > -FAR && moved.hi < FAR).then_some(moved)
    }

    /// Computes the box from the first and the last `period` taps, because tap `t + period` has the content
    /// of tap `t`, moved.
    fn read(family: &Family<Self>, reads: &Reads) -> Option<Option<Self>> {
        let few = reads.count.min(family.period);
        let mut all: Option<Self> = None;
        for t in (0..few).chain(reads.count - few..reads.count) {
            let unit = reads.step.checked_mul(t)?.checked_add(reads.first)?;
            if let Some(span) = family.at(unit)? {
                all = Some(all.map_or(span, |all| all.hull(span)));
            }
        }
        Some(all)
    }
}
