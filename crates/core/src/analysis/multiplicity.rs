//! Multiplicities: how often each offset of one axis is reached; the convolution of combs of taps, in exact integers.
//!
//! One comb costs one pass over the line (a running sum per residue), so a line of width w after n layers costs n * w
//! additions. The counts are 64-bit, 128-bit or big integers, depending on the product of the taps.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a line is bounded to 2^24 positions before its steps become indices"
)]

use std::ops::{AddAssign, SubAssign};

use num_bigint::BigUint;
use num_integer::Integer as _;
use num_traits::{One, ToPrimitive, Zero};

use crate::analysis::offsets::extent;
use crate::analysis::taps::Taps;
use crate::diagnostic::{Code, Problem};

/// Maximum number of 64-bit additions of a line: about a second.
const MOST_WORK: u64 = 1 << 30;
/// Maximum width of a line, in positions that can be reached at all.
const MOST_POSITIONS: u64 = 1 << 24;

/// The multiplicities of one axis, from the first offset of the box to the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Multiplicity {
    size: u64,
    /// The common step: offsets that are not multiples of it are holes.
    unit: u64,
    counts: Counts,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Counts {
    Small(Vec<u64>),
    Wide(Vec<u128>),
    Big(Vec<BigUint>),
}

impl Multiplicity {
    /// Computes the line of `combs`, in any order; an error if it is too long or needs too many additions.
    pub fn of(combs: &[Taps]) -> Result<Self, Problem> {
        let size = extent(combs)?;
        let mut combs: Vec<Taps> = combs.iter().copied().filter(|comb| comb.taps > 1).collect();
        // Short combs first: the line stays short for longer.
        combs.sort_by_key(|comb| (comb.taps - 1).saturating_mul(comb.step));
        let unit = combs.iter().fold(0, |unit: u64, comb| unit.gcd(&comb.step)).max(1);
        for comb in &mut combs {
            comb.step /= unit;
        }
        let bits: f64 = combs.iter().map(|comb| (comb.taps as f64).log2()).sum();
        affordable((size - 1) / unit + 1, &combs)?;
        let counts = if bits < 63.0 {
            Counts::Small(convolve(&combs))
        } else if bits < 127.0 {
            Counts::Wide(convolve(&combs))
        } else {
            Counts::Big(convolve(&combs))
        };
        Ok(Self { size, unit, counts })
    }

    /// Returns the width of the line.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns how often the offset `position` is reached; zero for a hole and outside the box.
    pub fn at(&self, position: u64) -> BigUint {
        let index = usize::try_from(position / self.unit).unwrap_or(usize::MAX);
        if !position.is_multiple_of(self.unit) {
            return BigUint::zero();
        }
        match &self.counts {
            Counts::Small(line) => line.get(index).copied().unwrap_or(0).into(),
            Counts::Wide(line) => line.get(index).copied().unwrap_or(0).into(),
            Counts::Big(line) => line.get(index).cloned().unwrap_or_default(),
        }
    }

    /// Iterates over the whole line, from the first offset to the last.
    pub fn iter(&self) -> impl Iterator<Item = BigUint> + '_ {
        (0..self.size).map(|position| self.at(position))
    }

    /// Returns the largest multiplicity.
    pub fn largest(&self) -> BigUint {
        match &self.counts {
            Counts::Small(line) => line.iter().max().copied().unwrap_or(0).into(),
            Counts::Wide(line) => line.iter().max().copied().unwrap_or(0).into(),
            Counts::Big(line) => line.iter().max().cloned().unwrap_or_default(),
        }
    }

    /// Returns the natural logarithm of the largest multiplicity in `start..end`; `None` if all of it is holes.
    pub fn largest_log(&self, start: u64, end: u64) -> Option<f64> {
        let (start, end) = (start.div_ceil(self.unit), end.div_ceil(self.unit));
        let range = usize::try_from(start).ok()?..usize::try_from(end).ok()?;
        let log = match &self.counts {
            Counts::Small(line) => (*line.get(range)?.iter().max()? as f64).ln(),
            Counts::Wide(line) => (*line.get(range)?.iter().max()? as f64).ln(),
            Counts::Big(line) => log(line.get(range)?.iter().max()?),
        };
        log.is_finite().then_some(log)
    }

    /// Returns the coefficient of variation over the box (standard deviation / mean): 0 where every offset counts the
    /// same.
    pub fn variation(&self) -> f64 {
        let sum =
            |values: &mut dyn Iterator<Item = f64>| values.fold((0.0, 0.0), |(s, q), v| (s + v, q + v * v));
        // Scaled by the largest, so that squares of big integers stay within f64.
        let top = log(&self.largest());
        let (total, squares) = match &self.counts {
            Counts::Small(line) => sum(&mut line.iter().map(|&v| v as f64 / top.exp())),
            Counts::Wide(line) => sum(&mut line.iter().map(|&v| v as f64 / top.exp())),
            Counts::Big(line) => sum(&mut line.iter().map(|v| (log(v) - top).exp())),
        };
        (self.size as f64 * squares / (total * total) - 1.0).max(0.0).sqrt()
    }
}

/// Returns the natural logarithm of a big integer; negative infinity for zero.
pub(crate) fn log(value: &BigUint) -> f64 {
    let excess = value.bits().saturating_sub(1000);
    let head = (value >> excess).to_f64().unwrap_or(f64::MAX);
    head.ln() + excess as f64 * std::f64::consts::LN_2
}

/// Estimates how many 64-bit additions the line of `combs` needs.
pub fn cost(combs: &[Taps]) -> u64 {
    let combs = combs.iter().filter(|comb| comb.taps > 1);
    let (layers, bits, unit, reach) =
        combs.fold((0u64, 0.0, 0u64, 0u64), |(layers, bits, unit, reach), comb| {
            let more = (comb.taps - 1).saturating_mul(comb.step);
            (layers + 1, bits + (comb.taps as f64).log2(), unit.gcd(&comb.step), reach.saturating_add(more))
        });
    (reach / unit.max(1) + 1).saturating_mul(layers).saturating_mul(bits as u64 / 64 + 1)
}

fn affordable(size: u64, combs: &[Taps]) -> Result<(), Problem> {
    if size <= MOST_POSITIONS && cost(combs) <= MOST_WORK {
        return Ok(());
    }
    Err(Problem::new(
        Code::Limit,
        format!("not supported: multiplicities of {size} positions after {} layers", combs.len()),
    )
    .help("omit --multiplicity: size, coverage, gaps and sub-grids are exact at any width"))
}

/// Computes the convolution of `combs`: each pass adds what enters the comb's window and subtracts what leaves it.
fn convolve<T>(combs: &[Taps]) -> Vec<T>
where
    T: Clone + Zero + One + for<'a> AddAssign<&'a T> + for<'a> SubAssign<&'a T>,
{
    let mut line = vec![T::one()];
    for comb in combs {
        let step = comb.step as usize;
        let span = comb.taps as usize * step;
        let width = line.len() + span - step;
        let mut next: Vec<T> = Vec::with_capacity(width);
        for x in 0..width {
            let mut sum = if x >= step { next[x - step].clone() } else { T::zero() };
            if let Some(enters) = line.get(x) {
                sum += enters;
            }
            if let Some(leaves) = x.checked_sub(span).and_then(|i| line.get(i)) {
                sum -= leaves;
            }
            next.push(sum);
        }
        line = next;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(pairs: &[(u64, u64)]) -> Multiplicity {
        let combs: Vec<Taps> = pairs.iter().map(|&(step, taps)| Taps { step, taps }).collect();
        Multiplicity::of(&combs).expect("small")
    }

    #[test]
    fn the_seed_picture() {
        let line = line(&[(2, 3); 3]);
        let counts: Vec<u64> = line.iter().filter_map(|count| count.to_u64()).collect();
        assert_eq!(counts, [1, 0, 3, 0, 6, 0, 7, 0, 6, 0, 3, 0, 1]);
        assert_eq!(line.largest_log(1, 2), None);
        assert_eq!(line.largest_log(0, 3), Some(3f64.ln()));
    }

    #[test]
    fn counts_of_any_size_are_exact() {
        // 200 layers of 3 taps: the counts add up to 3^200, and the middle one has 94 digits.
        let long = line(&[(1, 3); 200]);
        let total: BigUint = long.iter().sum();
        assert_eq!(total, BigUint::from(3u8).pow(200));
        assert_eq!(long.at(200), long.largest());
        // At the border between two integer types, both must agree on the sum.
        for layers in [39, 40, 80, 81] {
            let total: BigUint = line(&vec![(1, 3); layers]).iter().sum();
            assert_eq!(total, BigUint::from(3u8).pow(u32::try_from(layers).expect("small")));
        }
    }

    #[test]
    fn an_even_line_does_not_vary() {
        assert!(line(&[(1, 3), (3, 3), (9, 3)]).variation() < 1e-9);
        let seed = line(&[(1, 3), (1, 3)]); // 1 2 3 2 1: mean 9/5, mean square 19/5
        assert!((seed.variation() - (19.0 / 5.0 / (81.0 / 25.0) - 1.0f64).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn too_wide_a_line_is_an_error() {
        let combs = [Taps { step: 1, taps: 3 }, Taps { step: 1_000_000_000_000, taps: 3 }];
        assert!(Multiplicity::of(&combs).is_err());
    }
}
