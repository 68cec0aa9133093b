//! The distribution of taps over the input: mass, mean and variance, propagated exactly.
//!
//! Luo et al. 2016 predict the effective receptive field of a chain of uniform kernels as a distribution with
//! variance `sum j^2 d^2 (k^2 - 1) / 12`. Here the taps of every window share the mass 1 equally, so one path through
//! the network has mass 1, and a merge mixes its operands in proportion to the number of paths behind each. Different
//! means add to a mixture's variance: branches that read different positions widen the field.

use super::family::{Content, Family};
use crate::analysis::relation::Reads;

/// Moments along one axis, with the logarithm of the number of paths.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moments {
    /// Natural logarithm of the mass (paths); a network of a thousand modules has 2^1000.
    pub log_mass: f64,
    /// Mean position, in input elements.
    pub mean: f64,
    /// Variance, in squared input elements.
    pub variance: f64,
}

impl Moments {
    /// Returns a distribution with all mass at `position`.
    pub fn at(position: f64) -> Self {
        Self { log_mass: 0.0, mean: position, variance: 0.0 }
    }

    /// Returns the mixture of both distributions, weighted by mass.
    #[must_use]
    pub fn mix(&self, other: &Self) -> Self {
        let top = self.log_mass.max(other.log_mass);
        let (a, b) = ((self.log_mass - top).exp(), (other.log_mass - top).exp());
        let share = b / (a + b);
        let apart = other.mean - self.mean;
        Self {
            log_mass: top + (a + b).ln(),
            mean: self.mean + share * apart,
            variance: (1.0 - share) * self.variance
                + share * other.variance
                + share * (1.0 - share) * apart * apart,
        }
    }

    fn scaled(mut self, weight: f64) -> Self {
        self.log_mass += weight.ln();
        self
    }
}

/// Maximum number of taps that are visited one by one (only where the units differ by phase).
const MAX_TAPS: i128 = 1 << 16;

impl Content for Moments {
    const IDEMPOTENT: bool = false;

    fn moved(&self, by: i128) -> Option<Self> {
        Some(Self { mean: self.mean + by as f64, ..*self })
    }

    fn read(family: &Family<Self>, reads: &Reads) -> Option<Option<Self>> {
        if reads.count == 0 {
            return Some(None);
        }
        if family.period == 1 {
            // Equal taps `step * jump` apart: a discrete uniform distribution, whose variance is (k^2 - 1) / 12.
            let Some(first) = family.at(reads.first)? else { return Some(None) };
            let (k, apart) = (reads.count as f64, reads.step as f64 * family.shift as f64);
            let (centre, spread) = match reads.weights() {
                Some(weights) => {
                    let places = || weights.iter().enumerate().map(|(place, weight)| (place as f64, weight));
                    let centre: f64 = places().map(|(place, weight)| weight * place).sum();
                    (centre, places().map(|(place, weight)| weight * (place - centre).powi(2)).sum())
                }
                None => ((k - 1.0) / 2.0, (k * k - 1.0) / 12.0),
            };
            let mean = first.mean + apart * centre;
            return Some(Some(Self { mean, variance: first.variance + apart * apart * spread, ..first }));
        }
        if reads.count > MAX_TAPS {
            return None;
        }
        let mut all: Option<Self> = None;
        let weights = reads.weights();
        for t in 0..reads.count {
            let own = weights.as_ref().and_then(|weights| weights.get(usize::try_from(t).ok()?).copied());
            let weight = own.unwrap_or(1.0 / reads.count as f64);
            let unit = reads.step.checked_mul(t)?.checked_add(reads.first)?;
            if let Some(one) = family.at(unit)? {
                let one = one.scaled(weight);
                all = Some(all.map_or(one, |all| all.mix(&one)));
            }
        }
        Some(all)
    }
}
