//! The taps of one layer along one axis.

/// A comb: `taps` taps, `step` input positions apart, the first at offset 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Taps {
    /// Distance between neighbouring taps, in input positions.
    pub step: u64,
    /// Number of taps, at least 1.
    pub taps: u64,
}
