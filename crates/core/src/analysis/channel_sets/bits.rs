//! Sets of channels, one bit each.

use std::rc::Rc;

/// A set of channels.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Bits(Vec<u64>);

impl Bits {
    /// Returns the set of `channel` alone, out of `size`.
    pub fn one(channel: u64, size: u64) -> Self {
        let mut words = vec![0; usize::try_from(size.div_ceil(64)).unwrap_or(0)];
        if let Some(word) = words.get_mut(usize::try_from(channel / 64).unwrap_or(usize::MAX)) {
            *word = 1 << (channel % 64);
        }
        Self(words)
    }

    /// Returns the number of channels in it.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// Returns the union.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(a, b)| a | b).collect())
    }

    /// Iterates over its channels in order.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        self.0.iter().zip(0u64..).flat_map(|(&word, i)| {
            (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| i * 64 + bit)
        })
    }

    /// Returns whether both have a channel in common.
    pub fn meets(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).any(|(a, b)| a & b != 0)
    }

    pub(in crate::analysis) fn words(&self) -> u64 {
        self.0.len() as u64
    }
}

/// Returns the union of two sets, either of which may be missing.
pub(in crate::analysis) fn either(a: Option<Rc<Bits>>, b: Option<Rc<Bits>>) -> Option<Rc<Bits>> {
    match (a, b) {
        (Some(a), Some(b)) if Rc::ptr_eq(&a, &b) || a == b => Some(a),
        (Some(a), Some(b)) => Some(Rc::new(a.union(&b))),
        (a, b) => a.or(b),
    }
}
