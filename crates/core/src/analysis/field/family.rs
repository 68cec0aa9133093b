//! The units along an axis as a periodic family: unit `u + period` has the content of unit `u`, moved by `shift`.
//!
//! Without upsampling the period is 1, and the family is the textbook's jump and start. A transposed convolution or a
//! resize multiplies the period, a stride divides it. The [`Content`] of a unit is a box, or the moments of a
//! distribution of taps.

use num_integer::Integer as _;
use num_rational::Ratio;
use num_traits::CheckedMul as _;

use crate::analysis::relation::{MAX_PHASES, Reads, Relation};
use crate::diagnostic::{Code, Problem};

/// An exact fraction of input elements.
pub type Jump = Ratio<i128>;

/// The content of one unit along one input axis.
pub trait Content: Clone + PartialEq {
    /// Whether equal contents joined are the same content.
    const IDEMPOTENT: bool;

    /// Returns the same content, moved by `by` input elements.
    fn moved(&self, by: i128) -> Option<Self>;

    /// Returns the content of a unit that reads the units `reads` of `family`.
    fn read(family: &Family<Self>, reads: &Reads) -> Option<Option<Self>>;
}

/// The units along one axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Family<T> {
    /// Mean distance in input elements between neighbouring units.
    pub jump: Jump,
    /// Number of units after which the pattern repeats.
    pub period: i128,
    /// Input elements by which the pattern has moved after one period.
    pub shift: i128,
    /// The contents of the first period's units; `None` in the gaps of a transposed convolution.
    pub phases: Vec<Option<T>>,
}

impl<T: Content> Family<T> {
    /// Returns the family in which every unit has the content `one`.
    pub fn constant(one: Option<T>) -> Self {
        Self { jump: Jump::from_integer(0), period: 1, shift: 0, phases: vec![one] }
    }

    /// Returns the family in which unit 0 has the content `one`, and each further unit the same moved by one
    /// element.
    pub fn identity(one: T) -> Self {
        Self { jump: Jump::from_integer(1), period: 1, shift: 1, phases: vec![Some(one)] }
    }

    /// Returns the content of unit `u`; the outer `None` means overflow.
    pub fn at(&self, u: i128) -> Option<Option<T>> {
        let phase = usize::try_from(u.rem_euclid(self.period)).ok()?;
        let moved = u.div_euclid(self.period).checked_mul(self.shift)?;
        match &self.phases[phase] {
            Some(content) => Some(Some(content.moved(moved)?)),
            None => Some(None),
        }
    }

    /// Returns the units of a layer that reads this family through `relation`, on an axis of `extent` units.
    pub fn through(&self, relation: &Relation, extent: u64) -> Result<Self, Problem> {
        self.compose(relation, extent).ok_or_else(too_large)?
    }

    fn compose(&self, relation: &Relation, extent: u64) -> Option<Result<Self, Problem>> {
        let jump = self.jump.checked_mul(&Ratio::new(relation.advance, relation.period))?;
        let rounds = self.period / self.period.gcd(&relation.advance);
        let period = relation.period.checked_mul(rounds)?;
        let shift = self.shift.checked_mul(rounds.checked_mul(relation.advance)? / self.period)?;
        let (period, shift) = match bounded(period, shift, jump, extent)? {
            Ok(pair) => pair,
            Err(problem) => return Some(Err(problem)),
        };
        let taps = relation.reads.iter().map(|reads| reads.count).max().unwrap_or(1).min(self.period);
        if period.checked_mul(taps)? > MAX_WORK {
            return Some(Err(too_fine(period)));
        }
        let phases = (0..period)
            .map(|u| relation.at(u).and_then(|reads| T::read(self, &reads)))
            .collect::<Option<Vec<_>>>()?;
        Some(Ok(Self { jump, period, shift, phases }.reduced()))
    }

    /// Joins `other` to this family phase by phase; they must have the same jump.
    pub fn join(&mut self, other: &Self, extent: u64, join: impl Fn(&T, &T) -> T) -> Result<(), Problem> {
        if T::IDEMPOTENT && self == other {
            return Ok(());
        }
        if self.period == 1 && other.period == 1 && self.shift == other.shift {
            let [one] = &mut self.phases[..] else { return Ok(()) };
            *one = match (one.take(), &other.phases[0]) {
                (Some(a), Some(b)) => Some(join(&a, b)),
                (a, b) => a.or_else(|| b.clone()),
            };
            return Ok(());
        }
        *self = self.joined(other, extent, join)?;
        Ok(())
    }

    fn joined(&self, other: &Self, extent: u64, join: impl Fn(&T, &T) -> T) -> Result<Self, Problem> {
        let pair = || {
            let period = self.period.lcm(&other.period);
            let shift = self.shift.checked_mul(period / self.period)?;
            let (period, shift) = match bounded(period, shift, self.jump, extent)? {
                Ok(pair) => pair,
                Err(problem) => return Some(Err(problem)),
            };
            let phases = (0..period).map(|u| {
                Some(match (self.at(u)?, other.at(u)?) {
                    (Some(a), Some(b)) => Some(join(&a, &b)),
                    (a, b) => a.or(b),
                })
            });
            let phases = phases.collect::<Option<Vec<_>>>()?;
            Some(Ok(Self { jump: self.jump, period, shift, phases }.reduced()))
        };
        pair().ok_or_else(too_large)?
    }

    /// Returns the same family with its smallest period.
    fn reduced(mut self) -> Self {
        let mut divisor = 2;
        while divisor <= self.period {
            let (short, moved) = (self.period / divisor, self.shift / divisor);
            let repeats = || {
                let step = usize::try_from(short).ok()?;
                let same = self.phases.iter().zip(self.phases.get(step..)?).all(|(a, b)| match (a, b) {
                    (Some(a), Some(b)) => a.moved(moved).as_ref() == Some(b),
                    (None, None) => true,
                    _ => false,
                });
                Some(same)
            };
            if self.period % divisor == 0 && self.shift % divisor == 0 && repeats() == Some(true) {
                self.period = short;
                self.shift = moved;
                self.phases.truncate(usize::try_from(short).unwrap_or(usize::MAX));
            } else {
                divisor += 1;
            }
        }
        self
    }
}

/// Maximum number of steps of one composition.
const MAX_WORK: i128 = 1 << 22;

/// Returns `period` and `shift`. If the pattern is too long, returns one that is exact for the `extent` units of the
/// map and rounded to a pixel outside it.
fn bounded(period: i128, shift: i128, jump: Jump, extent: u64) -> Option<Result<(i128, i128), Problem>> {
    if period <= MAX_PHASES {
        return Some(Ok((period, shift)));
    }
    let extent = i128::from(extent.max(1));
    if extent > MAX_PHASES * 16 {
        return Some(Err(too_fine(period)));
    }
    let moved = jump.checked_mul(&Jump::from_integer(extent))?;
    Some(Ok((extent, moved.round().to_integer())))
}

fn too_fine(period: i128) -> Problem {
    Problem::new(
        Code::Limit,
        format!("not supported: a resampling pattern that repeats only after {period} elements"),
    )
    .help("the receptive field needs the resizes of a network to share a pattern")
}

/// Returns the error for numbers beyond 128 bits.
pub fn too_large() -> Problem {
    Problem::new(Code::Overflow, "the receptive field does not fit into 128 bits")
        .help("check the strides and dilations: no real network is this large")
}
