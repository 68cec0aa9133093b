//! Proposes schedules that pass where a given one fails: the nearest, and those with the largest receptive field.

use crate::analysis::gridding::MOST_LAYERS;
use crate::analysis::hdc::{Check, Grouping, Rule};
use crate::diagnostic::Problem;

/// Search nodes after which the nearest schedule found so far is returned: about a second.
const MOST_NODES: u64 = 3_000_000;
/// Maximum number of equally near schedules that are returned.
const MOST_NEAREST: usize = 3;

/// A schedule that passes the rule and has no hole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// Its groups; a single one if the schedule is one group.
    pub groups: Vec<Vec<u64>>,
    /// Receptive field per axis.
    pub size: u64,
    /// The total change of the rates: the sum of the absolute differences.
    pub change: u64,
}

/// Proposed replacements.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proposals {
    /// The nearest schedules of the same length: the smallest change, then the larger receptive field first.
    pub nearest: Vec<Proposal>,
    /// Whether it is proven that no nearer schedule exists; `false` if the search was cut short.
    pub proven: bool,
    /// The largest receptive field with rising rates, none of which exceeds the largest given rate.
    pub widest_within: Option<Proposal>,
    /// The largest receptive field with rising rates in each group.
    pub widest: Option<Proposal>,
}

/// Returns schedules of the length of `check`, with the same groups, that pass both the rule and the exact
/// verdict.
///
/// Equal groups change equally.
pub fn proposals(check: &Check) -> Result<Proposals, Problem> {
    let kernel = check.rule.kernel;
    if kernel < 2 || check.rates.len() > MOST_LAYERS {
        return Ok(Proposals::default());
    }
    let blocks = Blocks::of(&check.rule);
    let largest = check.rates.iter().copied().max().unwrap_or(1);
    let widest_within = blocks.widest(kernel, largest).and_then(|rates| blocks.passing(&rates, check));
    let widest = blocks.widest(kernel, 1 << 40).and_then(|rates| blocks.passing(&rates, check));
    let mut search = Nearest {
        check,
        blocks: &blocks,
        given: blocks.rates.clone(),
        found: vec![],
        // All ones always pass, so schedules farther away are irrelevant.
        best: blocks.change(&vec![1; blocks.rates.len()]).saturating_add(1),
        nodes: 0,
    };
    let mut candidate = blocks.rates.clone();
    search.run(&mut candidate);
    let proven = search.nodes <= MOST_NODES;
    let mut nearest = search.found;
    nearest.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.groups.cmp(&b.groups)));
    nearest.truncate(MOST_NEAREST);
    Ok(Proposals { nearest, proven, widest_within, widest })
}

/// The distinct groups of a schedule, laid end to end, with their uses.
struct Blocks {
    /// The rates that may change.
    rates: Vec<u64>,
    /// The group of each rate: where it starts in `rates`, and how often the schedule repeats it.
    homes: Vec<(usize, u64)>,
    /// For each group of the schedule, its range in `rates`.
    order: Vec<std::ops::Range<usize>>,
}

impl Blocks {
    fn of(rule: &Rule) -> Self {
        let mut distinct: Vec<(&[u64], std::ops::Range<usize>, u64)> = Vec::new();
        let (mut rates, mut order) = (Vec::new(), Vec::new());
        for group in &rule.groups {
            if let Some(known) = distinct.iter_mut().find(|known| known.0 == group.rates) {
                known.2 += 1;
                order.push(known.1.clone());
                continue;
            }
            let range = rates.len()..rates.len() + group.rates.len();
            rates.extend_from_slice(&group.rates);
            order.push(range.clone());
            distinct.push((&group.rates, range, 1));
        }
        let homes = distinct
            .iter()
            .flat_map(|(_, range, uses)| std::iter::repeat_n((range.start, *uses), range.len()))
            .collect();
        Self { rates, homes, order }
    }

    fn groups(&self, rates: &[u64]) -> Vec<Vec<u64>> {
        self.order.iter().map(|range| rates[range.clone()].to_vec()).collect()
    }

    fn change(&self, rates: &[u64]) -> u64 {
        let changes = rates.iter().zip(&self.rates).zip(&self.homes);
        changes.fold(0, |sum: u64, ((new, old), home)| {
            sum.saturating_add(new.abs_diff(*old).saturating_mul(home.1))
        })
    }

    /// Returns rising rates, each the largest that the rule and the exact criterion allow. With rising rates, `M_i >=
    /// r_i` and `M_i >= M_{i+1} / 3`, so `M_2 <= K` bounds r_i by `K * 3^(i-2)`, and the exact criterion bounds it by
    /// the reach of the rates before it; taking the smaller bound each time satisfies both.
    fn widest(&self, kernel: u64, cap: u64) -> Option<Vec<u64>> {
        let mut rates = vec![1u64; self.rates.len()];
        let mut reach = 1u64;
        let mut rule = kernel;
        for (i, &(start, uses)) in self.homes.iter().enumerate() {
            if i == start {
                rule = kernel;
                // The first rate of a group is 1: its gcd must be 1, and the sum must start from 1.
            } else {
                rates[i] = rule.min(reach).min(cap).max(1);
                rule = rule.saturating_mul(3);
            }
            let grown = (kernel - 1).checked_mul(uses)?.checked_mul(rates[i])?;
            reach = reach.checked_add(grown)?;
        }
        Some(rates)
    }

    /// Returns `rates` as a proposal, if they pass both as given and as a plain list.
    fn passing(&self, rates: &[u64], check: &Check) -> Option<Proposal> {
        let groups = self.groups(rates);
        let kernel = check.rule.kernel;
        let grouping = if groups.len() > 1 { Grouping::Given } else { Grouping::Single };
        let exact = exact_size(kernel, &groups.concat())?;
        let passes = Rule::of_groups(kernel, groups.clone(), grouping).ok
            && (groups.len() > 1 || Rule::of(kernel, &groups[0]).ok);
        passes.then(|| Proposal { change: self.change(rates), size: exact, groups })
    }
}

/// Returns the receptive field of `rates`, if it has no hole.
fn exact_size(kernel: u64, rates: &[u64]) -> Option<u64> {
    let mut sorted = rates.to_vec();
    sorted.sort_unstable();
    sorted.iter().try_fold(1u64, |reach, &rate| {
        if rate > reach { None } else { reach.checked_add(rate.checked_mul(kernel - 1)?) }
    })
}

/// Branch and bound over the rates, from the last to the first, in the order in which M is defined.
struct Nearest<'a> {
    check: &'a Check,
    blocks: &'a Blocks,
    given: Vec<u64>,
    found: Vec<Proposal>,
    best: u64,
    nodes: u64,
}

/// A rate that is being chosen, at `at`; those after it are chosen.
struct Choice {
    at: usize,
    /// M of the next layer in the same group (0 if there is none).
    above: u64,
    /// The change of the rates after it.
    change: u64,
    /// The largest rate that the rule or the exact criterion allows.
    allowed: u64,
    /// The allowed rate nearest to the given one.
    nearest: u64,
    /// How far from it the next rates lie that are tried.
    distance: u64,
    /// The rates at the last distance that are still to be tried.
    waiting: [Option<u64>; 2],
    /// Whether a rate at the last distance was near enough.
    any: bool,
}

impl Nearest<'_> {
    /// Tries schedules until none can be nearer. The choices are a list and not calls, because there are as many as
    /// rates: thousands.
    fn run(&mut self, candidate: &mut [u64]) {
        let mut choices: Vec<Choice> = Vec::new();
        choices.extend(self.choice(candidate.len(), 0, 0, candidate));
        while let Some(choice) = choices.last_mut() {
            let (at, allowed) = (choice.at, choice.allowed);
            let (start, uses) = self.blocks.homes[at];
            let Some(rate) = choice.waiting.iter_mut().find_map(Option::take) else {
                if !self.farther(choice) {
                    candidate[at] = self.given[at];
                    choices.pop();
                }
                continue;
            };
            let cost = choice.change.saturating_add(rate.abs_diff(self.given[at]).saturating_mul(uses));
            if cost > self.best {
                continue;
            }
            choice.any = true;
            let group_end = self.blocks.homes.get(at + 1).is_none_or(|next| next.0 != start);
            let m = if group_end {
                rate
            } else {
                let (m, r) = (i128::from(choice.above), i128::from(rate));
                u64::try_from((m - 2 * r).max(2 * r - m).max(r)).unwrap_or(u64::MAX)
            };
            if at > start && m > allowed {
                continue;
            }
            candidate[at] = rate;
            choices.extend(self.choice(at, m, cost, candidate));
        }
    }

    /// Returns the choice of the rate at `i - 1`; none if there is nothing left to choose or to gain.
    fn choice(&mut self, i: usize, above: u64, change: u64, candidate: &[u64]) -> Option<Choice> {
        self.nodes += 1;
        if change > self.best || self.nodes > MOST_NODES {
            return None;
        }
        let Some(at) = i.checked_sub(1) else {
            // Checking a complete schedule costs as much as its length, with every use of its groups.
            self.nodes += self.check.rates.len() as u64;
            if let Some(proposal) = self.blocks.passing(candidate, self.check) {
                if proposal.change < self.best {
                    self.best = proposal.change;
                    self.found.clear();
                }
                self.found.push(proposal);
            }
            return None;
        };
        let kernel = self.check.rule.kernel;
        let place = at - self.blocks.homes[at].0;
        // M shrinks by at most a factor of three per layer, so M_2 <= K bounds every M and rate above it. The first
        // rate of a group is bounded only by the exact criterion: once all others are chosen, by their reach.
        let power = |exponent: usize| 3u64.saturating_pow(u32::try_from(exponent).unwrap_or(u32::MAX));
        let allowed = match (place, at) {
            (0, 0) => {
                self.nodes += candidate.len() as u64;
                let others = candidate.iter().zip(&self.blocks.homes).skip(1);
                let reach =
                    others.fold(0u64, |sum, (rate, home)| sum.saturating_add(rate.saturating_mul(home.1)));
                reach.saturating_mul(kernel - 1).saturating_add(1)
            }
            (0, _) => u64::MAX,
            _ => kernel.saturating_mul(power(place - 1)),
        };
        let nearest = self.given[at].min(allowed);
        Some(Choice { at, above, change, allowed, nearest, distance: 0, waiting: [None; 2], any: true })
    }

    /// Goes one step farther from the given rate; returns whether there are rates to try.
    fn farther(&mut self, choice: &mut Choice) -> bool {
        let (given, uses) = (self.given[choice.at], self.blocks.homes[choice.at].1);
        let (nearest, distance) = (choice.nearest, choice.distance);
        self.nodes += 1;
        let least = (given - nearest).saturating_add(distance).saturating_mul(uses);
        let beyond = choice.change.saturating_add(least) > self.best && distance > given;
        let up = nearest.checked_add(distance).filter(|&rate| rate <= choice.allowed);
        let down = nearest.checked_sub(distance).filter(|&rate| rate >= 1 && distance > 0);
        if !choice.any || beyond || up.is_none() && down.is_none() || self.nodes > MOST_NODES {
            return false;
        }
        choice.waiting = [down, up];
        choice.any = false;
        choice.distance += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kernel: u64, groups: &[Vec<u64>]) -> Proposals {
        proposals(&Check::of(kernel, groups, 2).expect("valid")).expect("valid")
    }

    #[test]
    fn the_papers_failure_is_mended_with_the_least_change() {
        let mended = of(3, &[vec![1, 2, 9]]);
        assert!(mended.proven);
        assert!(mended.nearest.iter().all(|proposal| proposal.change == 1), "{mended:?}");
        assert!(mended.nearest.iter().any(|proposal| proposal.groups == [[1, 3, 9]]));
        assert_eq!(mended.widest.expect("exists").groups, [[1, 3, 9]]);
    }

    #[test]
    fn nothing_nearer_passes() {
        // Plain loops over all schedules, without any code of the search.
        for kernel in [2, 3, 5] {
            for given in [[2, 2, 2], [1, 2, 9], [4, 1, 7], [3, 4, 5], [2, 4, 8]] {
                let mut best = u64::MAX;
                let mut widest = 0;
                for a in 1..=30u64 {
                    for b in 1..=30u64 {
                        for c in 1..=30u64 {
                            let check = Check::of(kernel, &[vec![a, b, c]], 1).expect("valid");
                            if check.rule.ok && check.exact.hole_free() {
                                let change =
                                    a.abs_diff(given[0]) + b.abs_diff(given[1]) + c.abs_diff(given[2]);
                                best = best.min(change);
                                if a <= b && b <= c {
                                    widest = widest.max(check.exact.size()[0]);
                                }
                            }
                        }
                    }
                }
                let mended = of(kernel, &[given.to_vec()]);
                assert!(mended.proven);
                let nearest = mended.nearest.first().map(|proposal| proposal.change);
                assert_eq!(nearest, Some(best), "K = {kernel}, {given:?}");
                assert_eq!(mended.widest.map(|proposal| proposal.size), Some(widest), "K = {kernel}");
            }
        }
    }

    #[test]
    fn a_sawtooth_stays_one() {
        let mended = of(3, &[vec![1, 2, 9, 1, 2, 9]]);
        assert_eq!(mended.nearest[0].groups.len(), 2);
        assert_eq!(mended.nearest[0].groups[0], mended.nearest[0].groups[1]);
    }

    #[test]
    fn absurd_rates_come_back_soon() {
        let mended = of(3, &[vec![1_000_000_000_000, 5]]);
        assert_eq!(mended.widest.expect("exists").groups, [[1, 3]]);
        let long: Vec<u64> = (1..60).map(|i| i * i * 1_000_003).collect();
        of(3, &[long]);
    }

    #[test]
    fn thousands_of_rates_take_no_stack() {
        let long: Vec<u64> = (0..20_000).map(|i| i % 7 + 2).collect();
        assert!(!of(3, &[long]).proven);
    }
}
