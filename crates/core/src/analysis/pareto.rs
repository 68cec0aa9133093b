//! Schedules, measured in four respects, and their Pareto front.

#![allow(clippy::cast_possible_truncation, reason = "the search bounds a line to 2^24 positions")]

use crate::analysis::hdc::Rule;

/// A schedule and its figures, per axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Design {
    /// Kernel size.
    pub kernel: u64,
    /// Rates, from the input to the output.
    pub rates: Vec<u64>,
    /// Receptive field.
    pub size: u64,
    /// Whether every position of it is read.
    pub hole_free: bool,
    /// Largest multiplicity of a position.
    pub largest: u64,
    /// Coefficient of variation of the multiplicities over the receptive field, holes counting as zero.
    pub variation: f64,
}

impl Design {
    /// Measures `rates`, whose multiplicities are `line`.
    pub(crate) fn of(kernel: u64, rates: Vec<u64>, line: &Line) -> Self {
        let total = line.total();
        let spread = line.size() as f64 * line.squares() as f64 / (total * total);
        Self {
            kernel,
            rates,
            size: line.size(),
            hole_free: line.counts.iter().all(|&count| count > 0),
            largest: line.largest(),
            variation: (spread - 1.0).max(0.0).sqrt(),
        }
    }

    /// Returns smallest / largest multiplicity: 1 / largest, because the outermost tap is reached once; 0
    /// with a hole.
    pub fn evenness(&self) -> f64 {
        if self.hole_free { 1.0 / self.largest as f64 } else { 0.0 }
    }

    /// Returns the published rule's verdict on the rates in their order, with groups determined by periodicity.
    pub fn rule_ok(&self) -> bool {
        Rule::of(self.kernel, &self.rates).ok
    }

    /// Returns whether this is at least as good as `other` in every respect.
    pub fn covers(&self, other: &Self) -> bool {
        self.at_least(other.rates.len(), other.size, other.floor(), other.variation)
    }

    /// Returns the reciprocal of the evenness: smaller is better.
    pub(crate) fn floor(&self) -> u64 {
        if self.hole_free { self.largest } else { u64::MAX }
    }

    fn at_least(&self, layers: usize, size: u64, floor: u64, variation: f64) -> bool {
        self.rates.len() <= layers
            && self.size >= size
            && self.floor() <= floor
            // Two sums of the same squares may differ in the last bits.
            && self.variation <= variation + 1e-12
    }
}

/// A set of designs none of which covers another.
#[derive(Debug, Clone, Default)]
pub(crate) struct Front {
    designs: Vec<Design>,
}

impl Front {
    /// Returns whether some design is at least as good as anything with these figures.
    pub(crate) fn covers(&self, layers: usize, size: u64, floor: u64, variation: f64) -> bool {
        self.designs.iter().any(|design| design.at_least(layers, size, floor, variation))
    }

    /// Adds `design` unless a design covers it, and removes the designs that it covers.
    pub(crate) fn insert(&mut self, design: Design) {
        if !self.covers(design.rates.len(), design.size, design.floor(), design.variation) {
            self.designs.retain(|other| !design.covers(other));
            self.designs.push(design);
        }
    }

    pub(crate) fn into_designs(self) -> Vec<Design> {
        self.designs
    }
}

/// Multiplicities of one axis in 32 bits: the search is bounded to 2^32 paths.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    counts: Vec<u32>,
}

impl Line {
    /// Returns the line of one tap.
    pub(crate) fn start() -> Self {
        Self { counts: vec![1] }
    }

    /// Returns the line after `uses` more layers of `kernel` taps at `rate`.
    pub(crate) fn spread(&self, kernel: u64, rate: u64, uses: usize) -> Self {
        let mut counts = self.counts.clone();
        for _ in 0..uses {
            let mut next = vec![0; counts.len() + ((kernel - 1) * rate) as usize];
            for tap in 0..kernel {
                let start = (tap * rate) as usize;
                for (sum, count) in next[start..].iter_mut().zip(&counts) {
                    *sum += count;
                }
            }
            counts = next;
        }
        Self { counts }
    }

    pub(crate) fn size(&self) -> u64 {
        self.counts.len() as u64
    }

    pub(crate) fn largest(&self) -> u64 {
        self.counts.iter().max().copied().unwrap_or(0).into()
    }

    /// Returns the sum of the squares; at most 2^64 pairs of paths, hence never too large.
    pub(crate) fn squares(&self) -> u64 {
        self.counts.iter().fold(0, |sum: u64, &count| sum.saturating_add(u64::from(count) * u64::from(count)))
    }

    fn total(&self) -> f64 {
        self.counts.iter().map(|&count| u64::from(count)).sum::<u64>() as f64
    }
}
