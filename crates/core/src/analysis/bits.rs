//! A dense set of offsets, one bit each: the fallback of [`offsets`](crate::analysis::offsets) for reaches that
//! consist of very many runs.

#![allow(clippy::cast_possible_truncation, reason = "word indices are below 2^19")]

use crate::analysis::taps::Taps;
use crate::diagnostic::{Code, Problem};

/// Maximum width of a set: 4 MiB of bits.
const MOST_BITS: u64 = 1 << 25;
/// Maximum number of words touched in total; a few seconds.
const MOST_WORK: u64 = 1 << 33;

/// A set of offsets below a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bits {
    words: Vec<u64>,
}

impl Bits {
    /// Computes the reach of `combs`, `size` positions wide; an error if it needs too much memory or time.
    pub(crate) fn of(combs: &[Taps], size: u64) -> Result<Self, Problem> {
        let too_much = |what: &str| {
            Problem::new(Code::Limit, format!("not supported: a receptive field this wide with {what}")).help(
                "use smaller rates or kernels, or fewer different rates; hole-free stacks have no limit",
            )
        };
        if size > MOST_BITS {
            return Err(too_much("millions of separate pieces"));
        }
        let length = usize::try_from(size.div_ceil(64)).map_err(|_| too_much("so many positions"))?;
        let mut bits = Self { words: vec![0; length] };
        bits.words[0] = 1;
        let (mut reach, mut work) = (1, 0);
        for comb in combs {
            // Doubling: the set of n taps is the set of m taps united with its copy shifted by n - m, for any
            // m of at least half n.
            let mut taps = 1;
            while taps < comb.taps {
                let more = taps.min(comb.taps - taps);
                reach += more * comb.step;
                taps += more;
                work += reach / 64 + 1;
                if work > MOST_WORK {
                    return Err(too_much("so many different rates"));
                }
                bits.or_shifted(more * comb.step, reach);
            }
        }
        Ok(bits)
    }

    /// Adds the set shifted up by `shift`; no offset at or above `reach` remains.
    fn or_shifted(&mut self, shift: u64, reach: u64) {
        let (words, bits) = ((shift / 64) as usize, (shift % 64) as u32);
        let top = (reach.div_ceil(64) as usize).min(self.words.len());
        // From the top down, so that every word is read before it changes.
        for i in (words..top).rev() {
            let low = self.words[i - words] << bits;
            let carry = if bits > 0 && i > words { self.words[i - words - 1] >> (64 - bits) } else { 0 };
            self.words[i] |= low | carry;
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// Returns how many offsets of `start..end` are in the set.
    pub(crate) fn count_in(&self, start: u64, end: u64) -> u64 {
        let end = end.min(self.words.len() as u64 * 64);
        if start >= end {
            return 0;
        }
        let (first, last) = ((start / 64) as usize, ((end - 1) / 64) as usize);
        let mut count = 0;
        for (i, &word) in self.words.iter().enumerate().take(last + 1).skip(first) {
            let mut word = word;
            if i == first {
                word &= u64::MAX << (start % 64);
            }
            if i == last {
                word &= u64::MAX >> (63 - (end - 1) % 64);
            }
            count += u64::from(word.count_ones());
        }
        count
    }

    /// Returns the largest distance between neighbours; 0 for a single offset.
    pub(crate) fn max_gap(&self) -> u64 {
        let (mut last, mut gap) = (None, 0);
        self.for_each(|offset| {
            if let Some(last) = last {
                gap = gap.max(offset - last);
            }
            last = Some(offset);
        });
        gap
    }

    /// Visits the offsets in ascending order.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(u64)) {
        for (i, &word) in self.words.iter().enumerate() {
            let mut word = word;
            while word != 0 {
                visit(i as u64 * 64 + u64::from(word.trailing_zeros()));
                word &= word - 1;
            }
        }
    }
}
