//! Tiles along one axis.

/// A tile along one axis, in input positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The part whose outputs are kept: first position, and the one behind the last.
    pub core: [u64; 2],
    /// The part that the network reads: first position, and the one behind the last.
    pub read: [u64; 2],
}

impl Span {
    /// The number of positions that the network reads.
    pub fn length(&self) -> u64 {
        self.read[1] - self.read[0]
    }
}

/// The division of one axis.
#[derive(Debug, Clone)]
pub(super) struct Division {
    pub(super) spans: Vec<Span>,
    /// Size of the largest tile.
    pub(super) longest: u64,
    /// Positions that all tiles read.
    pub(super) read: u64,
    /// Size of a kept part.
    pub(super) core: u64,
}

impl Division {
    /// Lets the last tile begin further ahead, by multiples of `step`, until it is about as large as the others: what is left
    /// of an image can be too small for the network. None if it is as large already.
    pub(super) fn with_wide_end(mut self, step: u64) -> Option<Self> {
        let last = self.spans.last_mut()?;
        let short = self.longest - last.length();
        let more = short.min(last.read[0]) / step.max(1) * step.max(1);
        last.read[0] -= more;
        self.read += more;
        (more > 0).then_some(self)
    }
}
