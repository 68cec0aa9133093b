//! Hybrid dilated convolution: the published rule, the exact coverage, and where they disagree.
//!
//! The rule is from Wang et al. 2018, *Understanding Convolution for Semantic Segmentation*, section 3.2 (arXiv
//! 1702.08502), applied as printed: for each group `r_1 .. r_n` with kernel K, the gcd must be 1, and with `M_n =
//! r_n`, `M_i = max[ M_{i+1} - 2 r_i, M_{i+1} - 2 (M_{i+1} - r_i), r_i ]` the goal is `M_2 <= K`. Its factor 2 is K -
//! 1 for K = 3 only. The exact coverage is the computed reach, see [`gridding`](crate::analysis::gridding).

use num_integer::Integer as _;

use crate::analysis::gridding::{Bound, Gridding, Stack, criterion};
use crate::diagnostic::Problem;

/// The verdict of the published rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The kernel size K.
    pub kernel: u64,
    /// The groups that the rule is applied to, in order.
    pub groups: Vec<Group>,
    /// How the groups were determined.
    pub grouping: Grouping,
    /// Greatest common divisor of all rates.
    pub gcd: u64,
    /// Whether the gcd of every group is 1.
    pub gcd_ok: bool,
    /// Whether the gcd and `M_2` of every group pass.
    pub ok: bool,
}

/// How the groups of a sawtooth were determined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grouping {
    /// The whole list is one group.
    Single,
    /// The rates repeat after this many layers.
    Periodic(usize),
    /// The caller gave them.
    Given,
}

/// The rule, applied to one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The rates `r_1 .. r_n`.
    pub rates: Vec<u64>,
    /// `M_1 .. M_n`, each with the terms of its maximum.
    pub distances: Vec<Distance>,
    /// `M_2`; `M_1` in a group of one layer, which has no `M_2`.
    pub m2: u64,
    /// Whether `m2` is at most K.
    pub m2_ok: bool,
    /// Greatest common divisor of the group's rates.
    pub gcd: u64,
}

/// `M_i`: the rule's bound on the distance between two nonzero values, in positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Distance {
    /// Its value.
    pub m: u64,
    /// `M_{i+1} - 2 r_i`, `M_{i+1} - 2 (M_{i+1} - r_i)` and `r_i`; `None` for `M_n = r_n`.
    pub terms: Option<[i128; 3]>,
}

/// The published rule and the exact coverage, side by side.
#[derive(Debug, Clone)]
pub struct Check {
    /// All rates, in order.
    pub rates: Vec<u64>,
    /// The published rule.
    pub rule: Rule,
    /// The exact facts.
    pub exact: Gridding,
    /// The exact criterion, rate by rate, ascending.
    pub bounds: Vec<Bound>,
}

impl Check {
    /// Computes both verdicts on `groups` (one list of all rates, or a sawtooth's groups as given) with K =
    /// `kernel` over `axes` axes; an error for an empty list, zeros, or numbers that are too large.
    pub fn of(kernel: u64, groups: &[Vec<u64>], axes: usize) -> Result<Self, Problem> {
        let rates: Vec<u64> = groups.concat();
        let exact = Gridding::of(&Stack::uniform(kernel, &rates, axes)?)?;
        let bounds = exact.axes.first().map(|axis| criterion(&axis.combs)).transpose()?.unwrap_or_default();
        let rule = match groups {
            [single] => Rule::of(kernel, single),
            several => Rule::of_groups(kernel, several.to_vec(), Grouping::Given),
        };
        Ok(Self { rates, rule, exact, bounds })
    }

    /// Returns whether the rule and the exact coverage give the same verdict.
    pub fn agrees(&self) -> bool {
        self.rule.ok == self.exact.hole_free()
    }

    /// Returns the smallest rate that leaves a hole, with the largest that would fit in its place.
    pub fn breaks(&self) -> Option<Bound> {
        self.bounds.iter().copied().find(|bound| !bound.holds())
    }

    /// Returns the positions of one axis that are never read, and the size of that axis.
    pub fn missed(&self) -> (u64, u64) {
        self.exact
            .axes
            .first()
            .map_or((0, 0), |axis| (axis.offsets.size() - axis.offsets.covered(), axis.offsets.size()))
    }
}

impl Rule {
    /// Applies the rule to `rates`, whose groups are determined by periodicity.
    pub fn of(kernel: u64, rates: &[u64]) -> Self {
        match period(rates) {
            Some(period) => {
                let groups = rates.chunks(period).map(<[u64]>::to_vec).collect();
                Self::of_groups(kernel, groups, Grouping::Periodic(period))
            }
            None => Self::of_groups(kernel, vec![rates.to_vec()], Grouping::Single),
        }
    }

    /// Applies the rule to `groups`.
    pub fn of_groups(kernel: u64, groups: Vec<Vec<u64>>, grouping: Grouping) -> Self {
        let groups: Vec<Group> = groups.into_iter().map(|rates| Group::of(kernel, rates)).collect();
        let gcd_ok = groups.iter().all(|group| group.gcd == 1);
        let ok = gcd_ok && groups.iter().all(|group| group.m2_ok);
        let gcd = groups.iter().fold(0, |gcd: u64, group| gcd.gcd(&group.gcd));
        Self { kernel, groups, grouping, gcd, gcd_ok, ok }
    }
}

impl Group {
    fn of(kernel: u64, rates: Vec<u64>) -> Self {
        let distances = distances(&rates);
        let m2 = distances.get(1).or(distances.first()).map_or(0, |distance| distance.m);
        let gcd = rates.iter().fold(0, |gcd: u64, rate| gcd.gcd(rate));
        Self { rates, distances, m2, m2_ok: m2 <= kernel, gcd }
    }
}

/// Computes `M_1 .. M_n` of `rates`.
pub fn distances(rates: &[u64]) -> Vec<Distance> {
    let mut out: Vec<Distance> = Vec::with_capacity(rates.len());
    for &rate in rates.iter().rev() {
        out.push(match out.last() {
            None => Distance { m: rate, terms: None },
            Some(above) => {
                let (m, r) = (i128::from(above.m), i128::from(rate));
                let terms = [m - 2 * r, m - 2 * (m - r), r];
                // A distance is at most twice the largest rate: only absurd rates exceed 64 bits.
                let largest = terms[0].max(terms[1]).max(terms[2]);
                Distance { m: u64::try_from(largest).unwrap_or(u64::MAX), terms: Some(terms) }
            }
        });
    }
    out.reverse();
    out
}

/// Returns the length of the group that `rates` repeat: at least two layers with different rates, repeated in
/// full at least twice; the last group may be incomplete. A repeated single rate is one group, because its
/// rates do not rise.
pub fn period(rates: &[u64]) -> Option<usize> {
    (2..=rates.len() / 2).find(|&period| {
        rates[period..].iter().zip(rates).all(|(a, b)| a == b)
            && rates[1..period].iter().any(|r| *r != rates[0])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kernel: u64, rates: &[u64]) -> Check {
        Check::of(kernel, &[rates.to_vec()], 2).expect("valid")
    }

    fn m(rates: &[u64]) -> Vec<u64> {
        distances(rates).iter().map(|distance| distance.m).collect()
    }

    #[test]
    fn the_terms_of_the_max_are_those_of_the_paper() {
        // Wang et al. 2018, section 3.2: r = [1,2,9] fails with M_2 = 5.
        let distances = distances(&[1, 2, 9]);
        assert_eq!(distances[2], Distance { m: 9, terms: None });
        assert_eq!(distances[1], Distance { m: 5, terms: Some([5, -5, 2]) });
        assert_eq!(m(&[1, 2, 9]), [3, 5, 9]);
    }

    #[test]
    fn a_sawtooth_is_judged_by_its_group() {
        let rule = check(3, &[1, 2, 5, 1, 2, 5]).rule;
        assert_eq!(rule.grouping, Grouping::Periodic(3));
        assert_eq!(rule.groups.iter().map(|group| group.m2).collect::<Vec<_>>(), [2, 2]);
        assert!(rule.ok);
        // As a single group, the same good design would fail.
        assert_eq!(m(&[1, 2, 5, 1, 2, 5])[1], 5);
        let given = Check::of(3, &[vec![1, 2, 5], vec![1, 2, 5]], 2).expect("valid").rule;
        assert_eq!(given.groups, rule.groups);
    }

    #[test]
    fn periods_are_found_only_where_rates_start_over() {
        assert_eq!(period(&[1, 2, 5, 1, 2, 5, 1]), Some(3));
        assert_eq!(period(&[1, 2, 1, 2]), Some(2));
        for rates in [&[2, 2, 2][..], &[2, 2, 2, 2], &[1, 3, 1], &[1, 4, 2], &[1], &[1, 2, 5, 9, 1, 2, 5]] {
            assert_eq!(period(rates), None, "{rates:?}");
        }
    }

    #[test]
    fn rule_and_truth_part_both_ways() {
        let passes = check(3, &[2, 2, 3]);
        assert!(passes.rule.ok && !passes.exact.hole_free() && !passes.agrees());
        assert_eq!(passes.missed(), (2, 15));
        let fails = check(3, &[1, 4, 2]);
        assert_eq!(fails.rule.groups[0].m2, 6);
        assert!(!fails.rule.ok && fails.exact.hole_free() && !fails.agrees());
        assert_eq!(fails.breaks(), None);
    }

    #[test]
    fn the_two_is_k_minus_one_for_three_only() {
        for (kernel, rates, m2) in [(5, [1, 5, 25], 15), (7, [1, 7, 49], 35)] {
            let check = check(kernel, &rates);
            assert_eq!(check.rule.groups[0].m2, m2);
            assert!(check.exact.hole_free() && !check.rule.ok);
        }
    }

    #[test]
    fn absurd_rates_do_not_overflow() {
        assert_eq!(m(&[u64::MAX, u64::MAX, 1])[0], u64::MAX);
    }
}
