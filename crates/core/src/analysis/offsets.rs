//! The exact set of offsets that a stack of combs of taps reaches on one axis.
//!
//! A convolution with `taps` taps, `step` input positions apart, is a comb. A stack reaches every sum of one
//! tap of each comb, so the reach is a sum of sets and does not depend on their order. This freedom keeps it
//! small: combs are processed in ascending order of step, combs of equal step are joined, and the common
//! divisor of all steps is divided out. The result is stored as a list of runs. An interval at least as long
//! as the next step only grows, so stacks without holes cost nothing, however wide they are. If there are too
//! many runs, a bit set replaces them; if that would be too large as well, the result is an error instead of
//! exhausted memory.

use num_integer::Integer as _;

use crate::analysis::bits::Bits;
use crate::analysis::taps::Taps;
use crate::diagnostic::{Code, Problem};

/// Maximum number of runs written while a reach is computed (16 bytes each, at most two lists alive).
const MOST_RUNS: usize = 1 << 22;

/// The set of offsets that a stack of combs reaches on one axis. The smallest is 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offsets {
    size: u64,
    covered: u64,
    max_gap: u64,
    /// The common divisor of all offsets; the set below is in this unit.
    unit: u64,
    set: Set,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Set {
    /// Ascending, disjoint and not touching.
    Runs(Vec<Run>),
    Bits(Bits),
}

/// The offsets `start..end`.
type Run = (u64, u64);

impl Offsets {
    /// Computes the reach of `combs`, in any order; an error beyond 2^62 positions or beyond the memory
    /// limit.
    pub fn of(combs: &[Taps]) -> Result<Self, Problem> {
        let size = extent(combs)?;
        let mut joined = join(combs);
        let unit = joined.iter().fold(0, |unit: u64, comb| unit.gcd(&comb.step)).max(1);
        for comb in &mut joined {
            comb.step /= unit;
        }
        let set = match runs(&joined) {
            Some(runs) => Set::Runs(runs),
            None => Set::Bits(Bits::of(&joined, (size - 1) / unit + 1)?),
        };
        let (covered, gap) = match &set {
            Set::Runs(runs) => {
                let between = runs.windows(2).map(|pair| pair[1].0 - pair[0].1 + 1).max();
                let inside = u64::from(runs.iter().any(|run| run.1 - run.0 > 1));
                (runs.iter().map(|run| run.1 - run.0).sum(), between.unwrap_or(0).max(inside))
            }
            Set::Bits(bits) => (bits.count(), bits.max_gap()),
        };
        Ok(Self { size, covered, max_gap: (gap * unit).max(1), unit, set })
    }

    /// Returns the width of the bounding box, in input positions.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns how many offsets are reached.
    pub fn covered(&self) -> u64 {
        self.covered
    }

    /// Returns the largest distance between neighbouring reached offsets; 1 if there is no hole (or a single offset).
    pub fn max_gap(&self) -> u64 {
        self.max_gap
    }

    /// Returns whether every offset of the box is reached.
    pub fn hole_free(&self) -> bool {
        self.covered == self.size
    }

    /// Returns how many offsets of `start..end` are reached.
    pub fn covered_in(&self, start: u64, end: u64) -> u64 {
        let (start, end) = (start.div_ceil(self.unit), end.div_ceil(self.unit));
        match &self.set {
            Set::Runs(runs) => {
                let first = runs.partition_point(|run| run.1 <= start);
                let inside = runs[first..].iter().take_while(|run| run.0 < end);
                inside.map(|run| run.1.min(end) - run.0.max(start)).sum()
            }
            Set::Bits(bits) => bits.count_in(start, end),
        }
    }

    /// Returns the greatest common divisor of those `d > 0` for which `middle + d * jump` is reached; 0 if there are
    /// none.
    pub(crate) fn divisor_of_multiples(&self, middle: u64, jump: u64) -> u64 {
        // In units: d * jump is a multiple of the unit exactly if d is a multiple of `every`.
        let common = self.unit.gcd(&jump);
        let (middle, jump, every) = (middle / self.unit, jump / common, self.unit / common);
        let mut divisor = 0u64;
        let mut meet = |start: u64, end: u64| {
            let (start, end) = (start.max(middle + 1), end.max(middle + 1));
            let (first, last) = ((start - middle).div_ceil(jump), (end - 1 - middle) / jump);
            if start < end && first <= last {
                // Two consecutive multiples have the divisor 1.
                divisor = if first < last { 1 } else { divisor.gcd(&first) };
            }
        };
        match &self.set {
            Set::Runs(runs) => runs.iter().for_each(|run| meet(run.0, run.1)),
            Set::Bits(bits) => bits.for_each(|offset| meet(offset, offset + 1)),
        }
        divisor.saturating_mul(every)
    }

    /// Visits the reached offsets in ascending order.
    fn for_each(&self, mut visit: impl FnMut(u64)) {
        match &self.set {
            Set::Runs(runs) => {
                runs.iter().flat_map(|run| run.0..run.1).for_each(|offset| visit(offset * self.unit));
            }
            Set::Bits(bits) => bits.for_each(|offset| visit(offset * self.unit)),
        }
    }

    /// Returns the reached offsets in ascending order, for small sets and tests.
    pub fn to_vec(&self) -> Vec<u64> {
        let mut all = Vec::new();
        self.for_each(|offset| all.push(offset));
        all
    }
}

/// Returns the width of the box that `combs` span: 1 + sum of (taps - 1) * step; an error beyond 2^62
/// positions.
pub fn extent(combs: &[Taps]) -> Result<u64, Problem> {
    let reach = combs.iter().try_fold(0u64, |sum, comb| {
        comb.taps.saturating_sub(1).checked_mul(comb.step).and_then(|reach| sum.checked_add(reach))
    });
    // One bit stays free so that no position of a shifted set can overflow.
    reach.filter(|&reach| reach < 1 << 62).map(|reach| reach + 1).ok_or_else(|| {
        Problem::new(Code::Overflow, "not supported: a receptive field wider than 2^62 positions")
            .help("use smaller rates, strides or kernels, or fewer layers")
    })
}

/// Returns the combs with more than one tap, ascending by step, with combs of equal step joined.
pub(crate) fn join(combs: &[Taps]) -> Vec<Taps> {
    let mut sorted: Vec<Taps> = combs.iter().copied().filter(|comb| comb.taps > 1 && comb.step > 0).collect();
    sorted.sort_unstable();
    let mut joined: Vec<Taps> = Vec::new();
    for comb in sorted {
        match joined.last_mut() {
            Some(last) if last.step == comb.step => last.taps += comb.taps - 1,
            _ => joined.push(comb),
        }
    }
    joined
}

/// Computes the reach as runs; `None` if there are too many of them.
fn runs(combs: &[Taps]) -> Option<Vec<Run>> {
    let mut runs: Vec<Run> = vec![(0, 1)];
    let mut written = 0;
    for comb in combs {
        if let [(_, end)] = runs.as_mut_slice()
            && *end >= comb.step
        {
            *end += (comb.taps - 1) * comb.step;
            continue;
        }
        // n taps are the union of m taps and the same m taps shifted by n - m, for any m of at least half n.
        let mut taps = 1;
        while taps < comb.taps {
            let more = taps.min(comb.taps - taps);
            runs = union_with_shifted(&runs, more * comb.step);
            taps += more;
            written += runs.len();
            if written > MOST_RUNS {
                return None;
            }
        }
    }
    Some(runs)
}

fn union_with_shifted(runs: &[Run], shift: u64) -> Vec<Run> {
    let mut out: Vec<Run> = Vec::with_capacity(runs.len() * 2);
    let (mut left, mut right) = (runs.iter().peekable(), runs.iter().peekable());
    loop {
        let next = match (left.peek(), right.peek()) {
            (Some(a), Some(b)) if a.0 <= b.0 + shift => left.next().copied(),
            (Some(_), None) => left.next().copied(),
            (_, Some(_)) => right.next().map(|run| (run.0 + shift, run.1 + shift)),
            (None, None) => return out,
        };
        let Some(run) = next else { return out };
        match out.last_mut() {
            Some(last) if run.0 <= last.1 => last.1 = last.1.max(run.1),
            _ => out.push(run),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(pairs: &[(u64, u64)]) -> Offsets {
        let combs: Vec<Taps> = pairs.iter().map(|&(step, taps)| Taps { step, taps }).collect();
        Offsets::of(&combs).expect("small")
    }

    #[test]
    fn the_seed_picture() {
        let set = offsets(&[(2, 3), (2, 3), (2, 3)]);
        assert_eq!((set.size(), set.covered(), set.max_gap(), set.hole_free()), (13, 7, 2, false));
        assert_eq!(set.to_vec(), [0, 2, 4, 6, 8, 10, 12]);
        assert_eq!(set.covered_in(1, 5), 2);
        assert_eq!(set.covered_in(0, 13), 7);
    }

    #[test]
    fn a_single_position_has_no_hole() {
        let set = offsets(&[(7, 1)]);
        assert_eq!((set.size(), set.covered(), set.max_gap(), set.hole_free()), (1, 1, 1, true));
        assert_eq!(offsets(&[]).to_vec(), [0]);
    }

    #[test]
    fn runs_and_bits_say_the_same() {
        for pairs in [
            vec![(2, 3), (3, 3)],
            vec![(5, 3), (9, 3), (17, 3)],
            vec![(4, 2), (6, 5), (9, 3), (31, 2)],
            vec![(64, 3), (65, 3), (129, 4)],
        ] {
            let set = offsets(&pairs);
            let combs: Vec<Taps> = pairs.iter().map(|&(step, taps)| Taps { step, taps }).collect();
            let bits = Bits::of(&join(&combs), set.size()).expect("small");
            assert_eq!(bits.count(), set.covered(), "{pairs:?}");
            assert_eq!(bits.max_gap(), set.max_gap(), "{pairs:?}");
            let mut listed = Vec::new();
            bits.for_each(|offset| listed.push(offset));
            assert_eq!(listed, set.to_vec(), "{pairs:?}");
            for (start, end) in [(0, 1), (3, 70), (63, 64), (60, 200), (128, 129), (5, 5)] {
                assert_eq!(bits.count_in(start, end), set.covered_in(start, end), "{pairs:?} {start}..{end}");
            }
        }
    }

    #[test]
    fn the_sparse_and_huge_stays_small() {
        let set = offsets(&[(1, 3), (1_000_000_000_000, 3)]);
        assert_eq!((set.size(), set.covered()), (2_000_000_000_003, 9));
        assert_eq!(set.max_gap(), 999_999_999_998);
    }

    #[test]
    fn what_cannot_be_held_is_an_error() {
        let combs = [Taps { step: 1, taps: 2 }, Taps { step: 3, taps: 1_000_000_000 }];
        assert!(Offsets::of(&combs).is_err());
        let wide = [Taps { step: u64::MAX, taps: 3 }];
        assert!(Offsets::of(&wide).is_err());
    }
}
