//! A set of sizes: irregular at first, periodic from some size on.

/// A set of sizes: ranges below `from`, and from there on the `residues` modulo `modulus`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SizeSet {
    /// The smallest size of the set.
    pub smallest: Option<u64>,
    /// The set is periodic from this size on.
    pub from: u64,
    /// The smallest period.
    pub modulus: u64,
    /// Members modulo `modulus`, ascending; empty if no large size fits.
    pub residues: Vec<u64>,
    /// Members below `from`: first and last of each run.
    below: Vec<(u64, u64)>,
}

impl SizeSet {
    /// Returns the set with `members` (ascending) below `from`, and with the sizes that have a residue in
    /// `residues` from there on.
    pub(super) fn new(members: &[u64], mut from: u64, modulus: u64, residues: &[u64]) -> Self {
        let (modulus, residues) = smallest_period(modulus, residues);
        // Members that the period also covers need no separate runs.
        let periodic = |n: u64| residues.binary_search(&(n % modulus)).is_ok();
        while from > 1 && members.binary_search(&(from - 1)).is_ok() == periodic(from - 1) {
            from -= 1;
        }
        let mut below: Vec<(u64, u64)> = Vec::new();
        for &member in members.iter().take_while(|&&member| member < from) {
            match below.last_mut() {
                Some((_, last)) if *last + 1 == member => *last = member,
                _ => below.push((member, member)),
            }
        }
        let first = (from..from.saturating_add(modulus)).find(|&n| periodic(n));
        let smallest = below.first().map(|&(first, _)| first).or(first);
        Self { smallest, from, modulus, residues, below }
    }

    /// Returns whether `size` is in the set.
    pub fn contains(&self, size: u64) -> bool {
        if size >= self.from {
            return self.residues.binary_search(&(size % self.modulus)).is_ok();
        }
        let at = self.below.partition_point(|&(_, last)| last < size);
        self.below.get(at).is_some_and(|&(first, _)| first <= size)
    }

    /// Returns all members as runs of first and last, if the set is finite.
    pub fn finite(&self) -> Option<&[(u64, u64)]> {
        self.residues.is_empty().then_some(self.below.as_slice())
    }

    /// Returns the residues as runs of first and last.
    pub fn runs(&self) -> Vec<(u64, u64)> {
        let mut runs: Vec<(u64, u64)> = Vec::new();
        for &residue in &self.residues {
            match runs.last_mut() {
                Some((_, last)) if *last + 1 == residue => *last = residue,
                _ => runs.push((residue, residue)),
            }
        }
        runs
    }

    /// Returns the largest member up to `size` and the smallest from `size` on.
    pub fn around(&self, size: u64) -> (Option<u64>, Option<u64>) {
        let periodic = |n: &u64| self.contains(*n);
        let lowest = self.from.max(size.saturating_sub(self.modulus));
        let low = (lowest..=size).rev().find(periodic).or_else(|| {
            let run = self.below.iter().rev().find(|&&(first, _)| first <= size);
            run.map(|&(_, last)| last.min(size))
        });
        let start = size.max(self.from);
        let run = self.below.iter().find(|&&(_, last)| last >= size);
        let high = run
            .map(|&(first, _)| first.max(size))
            .or_else(|| (start..start.saturating_add(self.modulus)).find(periodic));
        (low, high)
    }
}

/// Returns the smallest divisor of the modulus that describes the same set, with its residues.
fn smallest_period(modulus: u64, residues: &[u64]) -> (u64, Vec<u64>) {
    let divisors = (1..=modulus).filter(|divisor| modulus.is_multiple_of(*divisor));
    let said = |divisor: u64| {
        let mut classes: Vec<u64> = residues.iter().map(|r| r % divisor).collect();
        classes.sort_unstable();
        classes.dedup();
        (classes.len() as u64 * (modulus / divisor) == residues.len() as u64).then_some((divisor, classes))
    };
    divisors.into_iter().find_map(said).unwrap_or((modulus, residues.to_vec()))
}
