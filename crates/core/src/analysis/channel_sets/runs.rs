//! One set per channel of a node, with neighbouring equal sets stored as one run.

use std::collections::HashSet;
use std::rc::Rc;

use super::bits::{Bits, either};
use super::too_many;
use crate::diagnostic::Problem;

/// Maximum number of channels of a source: the sets take one bit per pair, 32 MiB.
const MAX_SOURCE: u64 = 1 << 14;

/// Neighbouring channels with the same set.
#[derive(Debug, Clone)]
pub struct Run {
    /// Number of channels.
    pub len: u64,
    /// The source channels that they depend on; `None` if there are none.
    pub set: Option<Rc<Bits>>,
}

/// The sets of all channels of a node, in order.
#[derive(Debug, Clone, Default)]
pub struct Runs {
    runs: Vec<Run>,
    /// End of each run.
    ends: Vec<u64>,
}

impl Runs {
    /// Returns the sets in which each channel depends on itself; an error if there are too many channels.
    pub fn identity(channels: u64) -> Result<Self, Problem> {
        if channels > MAX_SOURCE {
            return Err(too_many());
        }
        let mut out = Self::default();
        (0..channels).for_each(|c| out.push(1, Some(Rc::new(Bits::one(c, channels)))));
        Ok(out)
    }

    /// Iterates over the runs.
    pub fn iter(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter()
    }

    /// Returns whether all channels have the same set.
    pub fn is_uniform(&self) -> bool {
        self.runs.len() <= 1
    }

    pub(in crate::analysis) fn push(&mut self, len: u64, set: Option<Rc<Bits>>) {
        if len == 0 {
            return;
        }
        let end = self.ends.last().copied().unwrap_or(0).saturating_add(len);
        match (self.runs.last_mut(), self.ends.last_mut()) {
            (Some(last), Some(old)) if same(last.set.as_ref(), set.as_ref()) => {
                last.len += len;
                *old = end;
            }
            _ => {
                self.runs.push(Run { len, set });
                self.ends.push(end);
            }
        }
    }

    /// Returns the union of the sets of `len` channels from `start`.
    pub(in crate::analysis) fn joined(&self, start: u64, len: u64) -> Option<Rc<Bits>> {
        let end = start.saturating_add(len);
        let first = self.ends.partition_point(|&last| last <= start);
        let mut all = None;
        for (run, last) in self.runs[first..].iter().zip(&self.ends[first..]) {
            if last - run.len >= end {
                break;
            }
            all = either(all, run.set.clone());
        }
        all
    }

    /// Returns `len` channels from `start`; channels that do not exist have no set.
    pub(super) fn slice(&self, start: u64, len: u64) -> Self {
        let end = start.saturating_add(len);
        let mut out = Self::default();
        let mut at = 0u64;
        for run in &self.runs {
            let (from, to) = (at.max(start), (at + run.len).min(end));
            if from < to {
                out.push(to - from, run.set.clone());
            }
            at += run.len;
        }
        if at < end {
            out.push(end - at.max(start), None);
        }
        out
    }

    /// Returns `channels` channels, of which channel `u` is channel `u - before` of this.
    pub(super) fn shifted(&self, before: i64, channels: u64) -> Self {
        match u64::try_from(before) {
            Ok(before) => {
                let mut out = Self::default();
                out.push(before.min(channels), None);
                for run in self.slice(0, channels.saturating_sub(before)).runs {
                    out.push(run.len, run.set);
                }
                out
            }
            Err(_) => self.slice(before.unsigned_abs(), channels),
        }
    }

    /// Returns the union, channel by channel.
    #[must_use]
    pub(in crate::analysis) fn union(&self, other: &Self) -> Self {
        let mut out = Self::default();
        let (mut a, mut b) = (self.runs.iter(), other.runs.iter());
        let (mut one, mut two) = (a.next().cloned(), b.next().cloned());
        while let (Some(x), Some(y)) = (&mut one, &mut two) {
            let len = x.len.min(y.len);
            out.push(len, either(x.set.clone(), y.set.clone()));
            x.len -= len;
            y.len -= len;
            if x.len == 0 {
                one = a.next().cloned();
            }
            if y.len == 0 {
                two = b.next().cloned();
            }
        }
        out
    }

    /// Returns the union of all, channel by channel: of two at a time, so that thousands of operands side by side cost
    /// little more than their own runs. `None` of none.
    pub(in crate::analysis) fn united(mut all: Vec<Self>) -> Option<Self> {
        while all.len() > 1 {
            let pairs = all.chunks(2).map(|pair| match pair {
                [a, b] => a.union(b),
                rest => rest.first().cloned().unwrap_or_default(),
            });
            all = pairs.collect();
        }
        all.pop()
    }

    /// Returns the memory in words.
    pub(in crate::analysis) fn cost(&self) -> u64 {
        self.runs.iter().map(|run| 1 + run.set.as_ref().map_or(0, |set| set.words())).sum()
    }

    /// Returns the number of classes of channels that share no source channel, and the number of source channels that
    /// are read.
    pub(in crate::analysis) fn components(&self) -> (u64, u64) {
        let mut classes = Classes::default();
        let mut seen: HashSet<&Bits> = HashSet::new();
        for set in self.runs.iter().filter_map(|run| run.set.as_deref()).filter(|set| seen.insert(set)) {
            let mut members = set.iter();
            if let Some(first) = members.next() {
                classes.add(first);
                members.for_each(|member| classes.join(first, member));
            }
        }
        (classes.count, classes.read)
    }
}

/// Disjoint classes of source channels, each a tree.
#[derive(Default)]
struct Classes {
    /// The channel above each; itself at the top, `None` where nobody reads it.
    above: Vec<Option<usize>>,
    /// Number of classes.
    count: u64,
    /// Number of channels in them.
    read: u64,
}

impl Classes {
    /// Adds a channel as a class of its own, unless it is there; returns its place.
    fn add(&mut self, channel: u64) -> usize {
        let channel = usize::try_from(channel).unwrap_or(0);
        if channel >= self.above.len() {
            self.above.resize(channel + 1, None);
        }
        if self.above[channel].is_none() {
            self.above[channel] = Some(channel);
            self.count += 1;
            self.read += 1;
        }
        channel
    }

    fn top(&mut self, mut at: usize) -> usize {
        while let Some(up) = self.above[at].filter(|&up| up != at) {
            // Halves the way for the next search.
            self.above[at] = self.above[up];
            at = up;
        }
        at
    }

    fn join(&mut self, a: u64, b: u64) {
        let (a, b) = (self.add(a), self.add(b));
        let (a, b) = (self.top(a), self.top(b));
        if a != b {
            self.above[b] = Some(a);
            self.count -= 1;
        }
    }
}

fn same(a: Option<&Rc<Bits>>, b: Option<&Rc<Bits>>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => Rc::ptr_eq(a, b) || a == b,
        (None, None) => true,
        _ => false,
    }
}
