//! Counts how often the published rule and the exact coverage agree, over all schedules of a length up to a largest
//! rate.
//!
//! The rule treats each schedule as one group. Nothing is sampled: all schedules are counted, but the values of `r_1`
//! are never tried one by one, because `r_1` enters the rule only through the gcd and the exact verdict only through
//! the criterion. With `r_2 .. r_n` fixed and sorted, let b_v < s_v be the first bound that fails: `r_1` closes the
//! holes if and only if it is at most b_v and at least what the later bounds lack, a range. So the cost is that of n
//! - 1 layers.

use num_integer::Integer as _;

use crate::analysis::parallel;
use crate::diagnostic::{Code, Problem};

/// Maximum number of schedules `r_2 .. r_n` visited.
const MOST_VISITS: u64 = 1 << 33;
/// Number of counterexamples kept per kind.
const MOST_EXAMPLES: usize = 5;
/// With more layers, even two rates exceed [`MOST_VISITS`] and the range of the sums.
const MOST_LAYERS: usize = 40;

/// The counts of a survey.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Survey {
    /// All schedules.
    pub schedules: u64,
    /// The rule passes and there is no hole.
    pub both: u64,
    /// The rule passes, yet there are holes.
    pub rule_only: u64,
    /// The rule fails, yet there is no hole.
    pub exact_only: u64,
    /// The rule fails and there are holes.
    pub neither: u64,
    /// `M_2 <= K` (the gcd is ignored), yet there are holes.
    pub m2_only: u64,
    /// Schedules whose rates rise from `r_1 = 1`, and for how many of them the rule is wrong.
    pub rising: (u64, u64),
    /// The smallest schedules (by the sum of the rates, then in order) where only the rule passes.
    pub rule_only_smallest: Vec<Vec<u64>>,
    /// The smallest schedules where only the exact verdict passes.
    pub exact_only_smallest: Vec<Vec<u64>>,
}

/// Counts all schedules of `layers` layers with kernel K = `kernel` and rates `1..=largest`.
///
/// Calls `progress` with the completed part in thousandths. An error if an argument is too small or there are
/// too many schedules.
pub fn survey(
    kernel: u64,
    layers: usize,
    largest: u64,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Survey, Problem> {
    let limit = |message: String| {
        Problem::new(Code::Limit, message).help("survey fewer layers or a smaller largest rate")
    };
    if layers == 0 || largest == 0 || kernel < 2 {
        let message = format!("a survey of {layers} layers, rates up to {largest} and kernel {kernel}");
        return Err(Problem::new(Code::InvalidValue, message)
            .help("give at least 1 layer, a largest rate of at least 1 and a kernel of at least 2"));
    }
    let power = |exponent: usize| largest.checked_pow(u32::try_from(exponent).ok()?);
    let schedules = power(layers).filter(|_| layers <= MOST_LAYERS && largest < 1 << 40 && kernel < 1 << 16);
    let visits = power(layers - 1).filter(|&visits| visits <= MOST_VISITS);
    let (Some(schedules), Some(_)) = (schedules, visits) else {
        return Err(limit(format!("not supported: a survey of {largest}^{layers} schedules")));
    };
    // One task per pair of last rates: balanced enough for a few cores, and merged in order, so deterministic.
    let chosen = (layers - 1).min(2);
    let tasks: Vec<Vec<u64>> = match chosen {
        0 => vec![vec![]],
        1 => (1..=largest).map(|a| vec![a]).collect(),
        _ => (1..=largest).flat_map(|a| (1..=largest).map(move |b| vec![a, b])).collect(),
    };
    if tasks.len() > 1 << 22 {
        return Err(limit(format!("not supported: a survey of rates up to {largest}")));
    }
    let done = std::sync::atomic::AtomicU64::new(0);
    let whole = tasks.len() as u64;
    let parts: Vec<Survey> = parallel::map(&tasks, |last| {
        let mut walk = Walk { kernel, largest, found: Survey::default(), rates: vec![0; layers] };
        let mut levels = vec![Suffix::default(); layers];
        for (i, &rate) in last.iter().enumerate() {
            walk.rates[layers - 1 - i] = rate;
            let (below, above) = levels.split_at_mut(i + 1);
            below[i].extend_into(rate, &mut above[0]);
        }
        walk.descend(&mut levels[last.len()..]);
        progress(1000 * (1 + done.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) / whole);
        walk.found
    });
    let mut sum = parts.into_iter().fold(Survey::default(), Survey::merged);
    sum.schedules = schedules;
    Ok(sum)
}

impl Survey {
    /// Returns the fraction of the schedules on which the rule and the exact verdict agree, 0 to 1.
    pub fn agreement(&self) -> f64 {
        (self.both + self.neither) as f64 / self.schedules.max(1) as f64
    }

    fn merged(mut self, other: Self) -> Self {
        self.both += other.both;
        self.rule_only += other.rule_only;
        self.exact_only += other.exact_only;
        self.neither += other.neither;
        self.m2_only += other.m2_only;
        self.rising = (self.rising.0 + other.rising.0, self.rising.1 + other.rising.1);
        for rates in other.rule_only_smallest {
            keep(&mut self.rule_only_smallest, &rates);
        }
        for rates in other.exact_only_smallest {
            keep(&mut self.exact_only_smallest, &rates);
        }
        self
    }
}

/// Inserts `rates` if they are among the smallest.
fn keep(smallest: &mut Vec<Vec<u64>>, rates: &[u64]) {
    let key = |rates: &[u64]| (rates.iter().sum::<u64>(), rates.to_vec());
    let place = smallest.partition_point(|other| key(other) < key(rates));
    if place < MOST_EXAMPLES {
        smallest.insert(place, rates.to_vec());
        smallest.truncate(MOST_EXAMPLES);
    }
}

/// The rates chosen so far, from the last layer down.
#[derive(Debug, Clone, Default)]
struct Suffix {
    sorted: Vec<u64>,
    m: u64,
    gcd: u64,
    /// Whether they rise from the input to the output.
    rising: bool,
    first: u64,
}

impl Suffix {
    /// Writes these rates and one more before them into `next`, reusing its memory.
    fn extend_into(&self, rate: u64, next: &mut Self) {
        let place = self.sorted.iter().position(|&other| other >= rate).unwrap_or(self.sorted.len());
        next.sorted.clear();
        next.sorted.extend_from_slice(&self.sorted[..place]);
        next.sorted.push(rate);
        next.sorted.extend_from_slice(&self.sorted[place..]);
        let empty = self.sorted.is_empty();
        next.m = if empty { rate } else { rate.max(self.m.abs_diff(2 * rate)) };
        next.rising = empty || (self.rising && rate <= self.first);
        next.gcd = self.gcd.gcd(&rate);
        next.first = rate;
    }

    /// Returns the range of rates whose addition leaves no hole; empty if there is none.
    fn mended_by(&self, kernel: u64, largest: u64) -> std::ops::RangeInclusive<u64> {
        let (mut bound, mut top, mut lacking) = (1, None, 0);
        for &rate in &self.sorted {
            if rate > bound {
                top.get_or_insert(bound);
                lacking = lacking.max(rate - bound);
            }
            bound += (kernel - 1) * rate;
        }
        let low = lacking.div_ceil(kernel - 1).max(1);
        low..=top.unwrap_or(bound).min(largest)
    }
}

struct Walk {
    kernel: u64,
    largest: u64,
    found: Survey,
    rates: Vec<u64>,
}

impl Walk {
    /// Chooses the remaining rates; `levels` contains the chosen ones, and space for one level per rate.
    fn descend(&mut self, levels: &mut [Suffix]) {
        let left = levels.len();
        let Some((suffix, rest)) = levels.split_first_mut() else { return };
        if rest.is_empty() {
            return self.count(suffix);
        }
        for rate in 1..=self.largest {
            self.rates[left - 1] = rate;
            suffix.extend_into(rate, &mut rest[0]);
            self.descend(rest);
        }
    }

    /// Counts all choices of `r_1`.
    fn count(&mut self, suffix: &Suffix) {
        let single = suffix.sorted.is_empty();
        let mended = suffix.mended_by(self.kernel, self.largest);
        let exact = if mended.is_empty() { 0 } else { mended.end() - mended.start() + 1 };
        // A single layer has no M_2: the rule uses M_1 = r_1, and the gcd is r_1 itself.
        let m2_passes = single || suffix.m <= self.kernel;
        let m2 = match (single, m2_passes) {
            (true, _) => self.kernel.min(self.largest),
            (false, true) => self.largest,
            (false, false) => 0,
        };
        let coprime = |rate: u64| suffix.gcd.gcd(&rate) == 1;
        let rule = match (single, m2_passes) {
            (true, _) => 1,
            (false, true) if suffix.gcd == 1 => self.largest,
            (false, true) => (1..=self.largest).filter(|&rate| coprime(rate)).count() as u64,
            (false, false) => 0,
        };
        // Without holes the gcd is 1, so M_2 alone decides whether both pass.
        let both = if m2_passes { exact } else { 0 };
        self.found.both += both;
        self.found.rule_only += rule - both;
        self.found.exact_only += exact - both;
        self.found.neither += self.largest + both - rule - exact;
        self.found.m2_only += m2 - both;
        if single || suffix.rising {
            self.found.rising.0 += 1;
            let rising_ok =
                single || (m2_passes && mended.contains(&1)) || (!m2_passes && !mended.contains(&1));
            self.found.rising.1 += u64::from(!rising_ok);
        }
        self.remember(suffix, rule > both, exact > both, &mended);
    }

    /// Inserts the counterexamples that may be among the smallest.
    fn remember(
        &mut self,
        suffix: &Suffix,
        rule_only: bool,
        exact_only: bool,
        mended: &std::ops::RangeInclusive<u64>,
    ) {
        let sum: u64 = suffix.sorted.iter().sum();
        let worst = |list: &[Vec<u64>]| match list {
            full if full.len() == MOST_EXAMPLES => full.last().map_or(u64::MAX, |last| last.iter().sum()),
            _ => u64::MAX,
        };
        if exact_only {
            for rate in mended.clone() {
                if sum + rate > worst(&self.found.exact_only_smallest) {
                    break;
                }
                self.rates[0] = rate;
                keep(&mut self.found.exact_only_smallest, &self.rates);
            }
        }
        if rule_only {
            for rate in 1..=self.largest {
                if sum + rate > worst(&self.found.rule_only_smallest) {
                    break;
                }
                if suffix.gcd.gcd(&rate) == 1 && !mended.contains(&rate) {
                    self.rates[0] = rate;
                    keep(&mut self.found.rule_only_smallest, &self.rates);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::hdc::{Grouping, Rule};
    use crate::analysis::offsets::Offsets;
    use crate::analysis::taps::Taps;

    fn of(kernel: u64, layers: usize, largest: u64) -> Survey {
        survey(kernel, layers, largest, &|_| ()).expect("small")
    }

    #[test]
    fn the_counts_are_those_of_an_independent_enumeration() {
        // Exhaustive enumeration by brute force, K = 3, rates 1..=12: schedules that pass M_2 <= 3 with holes, those
        // of them with gcd 1, and schedules that fail it without holes.
        for (layers, schedules, m2_only, rule_only, exact_only, rising) in
            [(2, 144, 31, 21, 0, 12), (3, 1_728, 181, 151, 38, 78), (4, 20_736, 1_571, 1_441, 1_676, 364)]
        {
            let found = of(3, layers, 12);
            assert_eq!(found.schedules, schedules);
            assert_eq!((found.m2_only, found.rule_only, found.exact_only), (m2_only, rule_only, exact_only));
            assert_eq!(found.rising, (rising, 0));
            assert_eq!(found.both + found.rule_only + found.exact_only + found.neither, schedules);
        }
    }

    #[test]
    fn every_count_agrees_with_trying_each_schedule() {
        for (kernel, layers, largest) in [(2, 3, 7), (3, 3, 9), (3, 4, 5), (5, 3, 8), (4, 2, 15), (3, 1, 6)] {
            let mut expected = Survey { schedules: 0, ..Survey::default() };
            let mut rates = vec![1u64; layers];
            loop {
                let combs: Vec<Taps> = rates.iter().map(|&step| Taps { step, taps: kernel }).collect();
                let exact = Offsets::of(&combs).expect("small").hole_free();
                let rule = Rule::of_groups(kernel, vec![rates.clone()], Grouping::Single);
                expected.schedules += 1;
                expected.m2_only += u64::from(rule.groups[0].m2_ok && !exact);
                match (rule.ok, exact) {
                    (true, true) => expected.both += 1,
                    (true, false) => {
                        expected.rule_only += 1;
                        keep(&mut expected.rule_only_smallest, &rates);
                    }
                    (false, true) => {
                        expected.exact_only += 1;
                        keep(&mut expected.exact_only_smallest, &rates);
                    }
                    (false, false) => expected.neither += 1,
                }
                if rates[0] == 1 && rates.is_sorted() {
                    expected.rising.0 += 1;
                    expected.rising.1 += u64::from(rule.ok != exact);
                }
                let Some(place) = rates.iter().rposition(|&rate| rate < largest) else { break };
                rates[place] += 1;
                rates[place + 1..].fill(1);
            }
            assert_eq!(
                of(kernel, layers, largest),
                expected,
                "K = {kernel}, {layers} layers up to {largest}"
            );
        }
    }

    #[test]
    fn what_would_take_for_ever_is_an_error() {
        for (layers, largest) in [(0, 5), (5, 0), (40, 40), (2, u64::MAX), (usize::MAX, 1), (100, 2)] {
            assert!(survey(3, layers, largest, &|_| ()).is_err(), "{layers} layers up to {largest}");
        }
    }
}
