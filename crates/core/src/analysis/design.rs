//! Searches for schedules: the Pareto front of receptive field, layers and evenness.
//!
//! The reach and the multiplicities do not depend on the order of the layers, so the search runs over multisets in
//! ascending order, and looks for an order that passes the published rule only for candidates that would enter the
//! front. It is a branch and bound: a branch is pruned only if a schedule already found is at least as good in all
//! four respects as anything in it could be. The bounds, with L the reach so far and m the multiplicities so far:
//!
//! - receptive field: every further rate is at most the largest allowed and, if holes are forbidden, at most the
//!   reach before it;
//! - largest multiplicity: at least the largest so far (further layers add nonnegative terms), and at least the mean
//!   over the widest possible receptive field;
//! - variation: sum m^2 grows at least by the factor K per layer, for the same reason.
//!
//! Work is distributed in rounds whose results are merged in order: the outcome and every count are the same on any
//! number of cores.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a mean of at most 2^32 paths, not negative"
)]

use num_bigint::BigUint;

use crate::analysis::hdc::{Grouping, Rule};
use crate::analysis::parallel;
use crate::analysis::pareto::{Design, Front, Line};
use crate::diagnostic::{Code, Problem};

/// Maximum number of additions of a search: a minute or two.
const MOST_WORK: u64 = 1 << 35;
/// Branches processed between two merges.
const ROUND: usize = 64;

/// What a schedule must satisfy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Require {
    /// The published rule.
    Rule,
    /// No hole.
    Exact,
    /// Both.
    Both,
}

/// The search space and its constraints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// Numbers of layers, from the first to the last.
    pub layers: (usize, usize),
    /// Kernel size K.
    pub kernel: u64,
    /// Largest rate.
    pub max_rate: u64,
    /// Smallest receptive field, per axis.
    pub min_size: u64,
    /// The schedule repeats a group of this many layers.
    pub period: Option<usize>,
    /// The required property.
    pub require: Require,
}

/// The result of a search.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The Pareto front, by layers, then by receptive field. One schedule stands for all with the same figures.
    pub front: Vec<Design>,
    /// The number of schedules, counting different orders; all of them are accounted for.
    pub schedules: BigUint,
    /// The number of branches and multisets visited; bounds rule out the rest.
    pub visited: u64,
}

impl Search {
    /// Runs the search; calls `progress` with the completed part in thousandths. An error if the search space
    /// is invalid or too large.
    pub fn run(&self, progress: &(dyn Fn(u64) + Sync)) -> Result<Outcome, Problem> {
        self.validate()?;
        let mut front = Front::default();
        let (mut visited, mut work, mut schedules) = (0, 0u64, BigUint::ZERO);
        let depths = (self.layers.0..=self.layers.1)
            .filter(|layers| self.period.is_none_or(|period| layers % period == 0))
            .collect::<Vec<_>>();
        for (i, &layers) in depths.iter().enumerate() {
            let group = self.period.unwrap_or(layers);
            schedules += BigUint::from(self.max_rate).pow(u32::try_from(group).unwrap_or(u32::MAX));
            let mut branches = self.branches(layers, group);
            // The widest branches first, because their schedules dominate most others.
            branches.sort_by_key(|branch| std::cmp::Reverse(branch.widest()));
            let rounds = branches.len().div_ceil(ROUND) as u64;
            for (j, round) in branches.chunks(ROUND).enumerate() {
                let left = MOST_WORK.saturating_sub(work);
                let parts: Vec<Walk> = parallel::map(round, |branch| {
                    let mut walk = Walk::new(front.clone(), left);
                    walk.descend(branch);
                    walk
                });
                for part in parts {
                    visited += part.visited;
                    work += part.work;
                    for design in part.front.into_designs() {
                        front.insert(design);
                    }
                }
                if work >= MOST_WORK {
                    let message = format!("not supported: this search is too large at {layers} layers");
                    return Err(Problem::new(Code::Limit, message)
                        .help("lower --max-rate or --layers, or give a --period"));
                }
                let share = (i as u64 * rounds + j as u64 + 1) * 1000;
                progress(share / (rounds * depths.len() as u64));
            }
        }
        let mut front = front.into_designs();
        front.sort_by(|a, b| (a.rates.len(), a.size, &a.rates).cmp(&(b.rates.len(), b.size, &b.rates)));
        Ok(Outcome { front, schedules, visited })
    }

    /// Returns the same search over the fewest layers that can reach the smallest receptive field, and up to
    /// two more (with a period, one period more).
    #[must_use]
    pub fn with_enough_layers(mut self) -> Self {
        if self.min_size > 1 {
            let period = self.period.unwrap_or(1).max(1);
            let (mut size, mut layers) = (1u64, 0usize);
            while size < self.min_size && layers < 64 {
                // With holes the largest rate is allowed at once; without them no rate exceeds the reach before it.
                let rate =
                    if self.require == Require::Rule { self.max_rate } else { self.max_rate.min(size) };
                size = size.saturating_add(self.kernel.saturating_sub(1).saturating_mul(rate));
                layers += 1;
            }
            let first = layers.next_multiple_of(period);
            self.layers = (first, first + if period > 1 { period } else { 2 });
        }
        self
    }

    /// Measures the user's own schedule as the search does; `None` if it is outside the search space.
    pub fn place(&self, rates: &[u64]) -> Option<Design> {
        let layers = rates.len();
        let inside = (self.layers.0..=self.layers.1).contains(&layers)
            && rates.iter().all(|&rate| (1..=self.max_rate).contains(&rate))
            && self.period.is_none_or(|period| layers.is_multiple_of(period));
        if !inside || self.validate().is_err() {
            return None;
        }
        let line = rates.iter().fold(Line::start(), |line, &rate| line.spread(self.kernel, rate, 1));
        Some(Design::of(self.kernel, rates.to_vec(), &line))
    }

    fn validate(&self) -> Result<(), Problem> {
        let invalid = |message: String, help: &str| Err(Problem::new(Code::InvalidValue, message).help(help));
        let (first, last) = self.layers;
        if first == 0 || first > last {
            return invalid(
                format!("no number of layers from {first} to {last}"),
                "give for example 3, or 2..5",
            );
        }
        if self.kernel < 2 {
            return invalid(
                format!("kernel {} has no rate to choose", self.kernel),
                "give a kernel of at least 2",
            );
        }
        if !(1..=1 << 16).contains(&self.max_rate) {
            return invalid(format!("a largest rate of {}", self.max_rate), "give one from 1 to 65536");
        }
        if self.period.is_some_and(|period| period == 0 || !(first..=last).any(|n| n % period == 0)) {
            return invalid(
                format!("no number of layers from {first} to {last} is a multiple of the period"),
                "give a --period that divides --layers",
            );
        }
        let width = self.kernel.saturating_mul(self.max_rate).saturating_mul(last as u64);
        if width > 1 << 24 {
            let message = format!("not supported: receptive fields up to {width} positions");
            return Err(Problem::new(Code::Limit, message).help("lower --max-rate, --kernel or --layers"));
        }
        let paths = u32::try_from(last).ok().and_then(|last| self.kernel.checked_pow(last));
        if paths.is_none_or(|paths| paths > 1 << 32) {
            let message = format!("not supported: {last} layers with kernel {}", self.kernel);
            return Err(Problem::new(Code::Limit, message).help(
                "the search counts up to 2^32 paths per line: at most 20 layers at kernel 3, 13 at kernel 5",
            ));
        }
        Ok(())
    }

    /// Returns the branches of `layers` layers, a few rates deep, for distribution to threads.
    fn branches(&self, layers: usize, group: usize) -> Vec<Branch<'_>> {
        let uses = layers / group;
        let root = Branch { search: self, group, uses, rates: vec![], line: Line::start() };
        let mut branches = vec![root];
        while branches.len() < 4 * ROUND && branches.iter().any(|branch| branch.rates.len() + 1 < group) {
            let deeper = branches.iter().flat_map(|branch| {
                let open = branch.rates.len() + 1 < group;
                let children =
                    if open { branch.choices().map(|rate| branch.with(rate)).collect() } else { vec![] };
                let itself = (!open).then(|| branch.clone());
                children.into_iter().chain(itself)
            });
            let deeper: Vec<Branch> = deeper.collect();
            if deeper.len() > 1 << 16 {
                break;
            }
            branches = deeper;
        }
        branches
    }
}

/// A group's rates so far, ascending, and the multiplicities of the schedule that repeats them.
#[derive(Debug, Clone)]
struct Branch<'a> {
    search: &'a Search,
    /// Rates of the complete group.
    group: usize,
    /// How often the schedule repeats the group.
    uses: usize,
    rates: Vec<u64>,
    line: Line,
}

impl Branch<'_> {
    /// Returns the rates that may come next: not smaller than the last, and, if holes are forbidden, no larger than
    /// the reach.
    fn choices(&self) -> std::ops::RangeInclusive<u64> {
        let largest = match self.search.require {
            Require::Rule => self.search.max_rate,
            Require::Exact | Require::Both => self.search.max_rate.min(self.line.size()),
        };
        self.rates.last().copied().unwrap_or(1)..=largest
    }

    fn with(&self, rate: u64) -> Self {
        let mut rates = self.rates.clone();
        rates.push(rate);
        let line = self.line.spread(self.search.kernel, rate, self.uses);
        Self { rates, line, ..*self }
    }

    /// Returns how much a rate widens the receptive field.
    fn growth(&self, rate: u64) -> u64 {
        (self.search.kernel - 1) * rate * self.uses as u64
    }

    /// Returns the widest receptive field that this branch can still reach.
    fn widest(&self) -> u64 {
        (self.rates.len()..self.group).fold(self.line.size(), |size, _| {
            let rate = match self.search.require {
                Require::Rule => self.search.max_rate,
                Require::Exact | Require::Both => self.search.max_rate.min(size),
            };
            size + self.growth(rate)
        })
    }

    /// Returns the best figures that the branch could contain if its next rate were `rate`, in every respect at once.
    fn bound(&self, rate: u64) -> Bounds {
        let left = self.group - self.rates.len();
        let next = self.line.size() + self.growth(rate);
        let widest = (1..left).fold(next, |size, _| {
            let rate = match self.search.require {
                Require::Rule => self.search.max_rate,
                Require::Exact | Require::Both => self.search.max_rate.min(size),
            };
            size + self.growth(rate)
        });
        let narrowest =
            (self.line.size() + self.growth(rate) * left as u64).max(self.search.min_size.min(widest));
        let kernel = self.search.kernel as f64;
        let paths = kernel.powi(i32::try_from(self.group * self.uses).unwrap_or(i32::MAX));
        let grown = kernel.powi(i32::try_from(left * self.uses).unwrap_or(i32::MAX));
        let squares = self.line.squares() as f64 * grown;
        // Slightly below the true bound, so that rounding never rules out an equal schedule.
        let variation = (narrowest as f64 * squares / (paths * paths) * (1.0 - 1e-12) - 1.0).max(0.0).sqrt();
        let mean = (paths / widest as f64 * (1.0 - 1e-12)).ceil();
        Bounds { widest, largest: self.line.largest().max(mean as u64), variation }
    }
}

struct Bounds {
    widest: u64,
    largest: u64,
    variation: f64,
}

struct Walk {
    front: Front,
    visited: u64,
    work: u64,
    budget: u64,
}

impl Walk {
    fn new(front: Front, budget: u64) -> Self {
        Self { front, visited: 0, work: 0, budget }
    }

    fn descend(&mut self, branch: &Branch) {
        let search = branch.search;
        let last = branch.rates.len() + 1 == branch.group;
        for rate in branch.choices().rev() {
            let bounds = branch.bound(rate);
            self.visited += 1;
            // The comparison with the front, which is expensive next to the few additions of a narrow line.
            self.work += 256;
            if bounds.widest < search.min_size {
                // Smaller rates reach even less.
                break;
            }
            if self.work > self.budget {
                return;
            }
            let layers = branch.group * branch.uses;
            if self.front.covers(layers, bounds.widest, bounds.largest, bounds.variation) {
                continue;
            }
            let next = branch.with(rate);
            self.work += next.line.size() * search.kernel * branch.uses as u64;
            if last {
                self.offer(&next);
            } else {
                self.descend(&next);
            }
        }
    }

    /// Adds a complete schedule to the front if it belongs there and passes the rule in some order.
    fn offer(&mut self, branch: &Branch) {
        let search = branch.search;
        let mut design = Design::of(search.kernel, branch.rates.repeat(branch.uses), &branch.line);
        let layers = design.rates.len();
        if self.front.covers(layers, design.size, design.floor(), design.variation) {
            return;
        }
        if search.require != Require::Exact {
            let Some(order) = passing_order(search.kernel, &branch.rates) else { return };
            design.rates = order.repeat(branch.uses);
        }
        self.front.insert(design);
    }
}

/// Returns an order of `rates` that passes the published rule: the ascending one if it does.
fn passing_order(kernel: u64, rates: &[u64]) -> Option<Vec<u64>> {
    let passes = |rates: &[u64]| Rule::of_groups(kernel, vec![rates.to_vec()], Grouping::Single).ok;
    if passes(rates) {
        return Some(rates.to_vec());
    }
    let rule = Rule::of_groups(kernel, vec![rates.to_vec()], Grouping::Single);
    if !rule.gcd_ok || rates.len() < 2 {
        return None;
    }
    let (mut left, mut order) = (rates.to_vec(), Vec::new());
    if !place(kernel, &mut left, None, &mut order) {
        return None;
    }
    order.extend(left);
    order.reverse();
    Some(order)
}

/// Orders the remaining rates, from the last layer to the second: M_2 depends on nothing else.
fn place(kernel: u64, left: &mut Vec<u64>, m: Option<u64>, order: &mut Vec<u64>) -> bool {
    if left.len() == 1 {
        return m.is_some_and(|m| m <= kernel);
    }
    for i in 0..left.len() {
        if i > 0 && left[i] == left[i - 1] {
            continue;
        }
        let rate = left.remove(i);
        order.push(rate);
        let next = m.map_or(rate, |m| rate.max(m.abs_diff(2 * rate)));
        // M shrinks by at most a factor of three per layer.
        let layers = u32::try_from(left.len()).unwrap_or(u32::MAX);
        let hopeless = next > kernel.saturating_mul(3u64.saturating_pow(layers - 1));
        if !hopeless && place(kernel, left, Some(next), order) {
            return true;
        }
        order.pop();
        left.insert(i, rate);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::hdc::Check;
    use crate::analysis::multiplicity::Multiplicity;

    fn search(layers: (usize, usize), kernel: u64, max_rate: u64, require: Require) -> Search {
        Search { layers, kernel, max_rate, min_size: 1, period: None, require }
    }

    /// Computes the front by trying every schedule: sizes, layers and evenness, without any code of the search.
    fn exhaustive(search: &Search) -> Vec<(usize, u64, u64, f64)> {
        let mut all: Vec<(usize, u64, u64, f64)> = Vec::new();
        for layers in search.layers.0..=search.layers.1 {
            let mut rates = vec![1u64; layers];
            loop {
                let check = Check::of(search.kernel, &[rates.clone()], 1).expect("valid");
                let single = Rule::of_groups(search.kernel, vec![rates.clone()], Grouping::Single);
                let exact = check.exact.hole_free();
                let line = Multiplicity::of(&check.exact.axes[0].combs).expect("small");
                let fits = match search.require {
                    Require::Rule => single.ok,
                    Require::Exact => exact,
                    Require::Both => single.ok && exact,
                } && line.size() >= search.min_size;
                if fits {
                    let largest = u64::try_from(line.largest()).expect("small");
                    all.push((layers, line.size(), if exact { largest } else { u64::MAX }, line.variation()));
                }
                let Some(place) = rates.iter().rposition(|&rate| rate < search.max_rate) else { break };
                rates[place] += 1;
                rates[place + 1..].fill(1);
            }
        }
        let better = |a: &(usize, u64, u64, f64), b: &(usize, u64, u64, f64)| {
            let no_worse = a.0 <= b.0 && a.1 >= b.1 && a.2 <= b.2 && a.3 <= b.3 + 1e-9;
            no_worse && (a.0 < b.0 || a.1 > b.1 || a.2 < b.2 || a.3 < b.3 - 1e-9)
        };
        let mut front: Vec<_> = all.iter().filter(|b| !all.iter().any(|a| better(a, b))).copied().collect();
        front.sort_by(|a, b| (a.0, a.1, a.2).cmp(&(b.0, b.1, b.2)).then(a.3.total_cmp(&b.3)));
        front.dedup_by(|a, b| (a.0, a.1, a.2) == (b.0, b.1, b.2) && (a.3 - b.3).abs() < 1e-9);
        front
    }

    #[test]
    fn pruning_loses_nothing() {
        for require in [Require::Rule, Require::Exact, Require::Both] {
            for (layers, kernel, max_rate) in [((1, 3), 3, 7), ((2, 4), 3, 5), ((3, 3), 5, 9), ((1, 3), 2, 6)]
            {
                let search = search(layers, kernel, max_rate, require);
                let outcome = search.run(&|_| ()).expect("small");
                let mut found: Vec<_> = outcome
                    .front
                    .iter()
                    .map(|d| {
                        (d.rates.len(), d.size, if d.hole_free { d.largest } else { u64::MAX }, d.variation)
                    })
                    .collect();
                found.sort_by(|a, b| (a.0, a.1, a.2).cmp(&(b.0, b.1, b.2)).then(a.3.total_cmp(&b.3)));
                let expected = exhaustive(&search);
                assert_eq!(found.len(), expected.len(), "{search:?}: {found:?} against {expected:?}");
                for (a, b) in found.iter().zip(&expected) {
                    assert_eq!((a.0, a.1, a.2), (b.0, b.1, b.2), "{search:?}");
                    assert!((a.3 - b.3).abs() < 1e-9, "{search:?}");
                }
            }
        }
    }

    #[test]
    fn with_rates_to_spare_powers_of_the_kernel_are_all_there_is() {
        let outcome = search((3, 3), 3, 20, Require::Both).run(&|_| ()).expect("small");
        assert_eq!(outcome.front.iter().map(|design| design.rates.clone()).collect::<Vec<_>>(), [[1, 3, 9]]);
        assert_eq!(outcome.schedules, 8000u32.into());
    }

    #[test]
    #[cfg(feature = "parallel")]
    fn the_outcome_does_not_depend_on_the_number_of_threads() {
        let search = search((5, 6), 3, 9, Require::Both);
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            let outcome = pool.install(|| search.run(&|_| ())).expect("small");
            (outcome.front, outcome.visited)
        };
        assert_eq!(on(1), on(4));
    }

    #[test]
    fn nonsense_is_an_error() {
        assert!(search((0, 3), 3, 5, Require::Both).run(&|_| ()).is_err());
        assert!(search((4, 3), 3, 5, Require::Both).run(&|_| ()).is_err());
        assert!(search((1, 3), 1, 5, Require::Both).run(&|_| ()).is_err());
        assert!(search((1, 21), 3, 5, Require::Both).run(&|_| ()).is_err());
        assert!(search((1, 3), 3, u64::MAX, Require::Both).run(&|_| ()).is_err());
        let period = Search { period: Some(2), ..search((3, 3), 3, 5, Require::Both) };
        assert!(period.run(&|_| ()).is_err());
    }
}
