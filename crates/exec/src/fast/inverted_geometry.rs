//! How the windows of an inverted residual lie on its inner map, and the strips of rows in which it is computed.

use std::ops::Range;

use super::blocked::{Side, split};

/// Positions of the first map that a strip reads, about: with them, a panel of channels takes 64 KiB in AVX2, 128 in AVX-512.
const POSITIONS: usize = 1024;
/// Least rows of outputs of a strip: with fewer, keeping rows takes longer than computing them.
const ROWS: usize = 4;

/// How the depthwise windows lie on the map that the first convolution computes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Geometry {
    /// Rows and columns of that map, and of the outputs.
    pub map: [usize; 2],
    pub outputs: [usize; 2],
    pub side: Side,
    /// Rows and columns of zeros before the map.
    pub before: [usize; 2],
}

impl Geometry {
    /// Returns the columns of the map with zeros around it, as far as windows read it.
    pub(super) fn width(&self) -> usize {
        let read = (self.outputs[1] - 1) * self.side.stride + self.side.taps;
        read.max(self.before[1] + self.map[1])
    }

    /// Returns the rows of the map, zeros included, that these rows of outputs read.
    pub(super) fn reads(&self, outputs: &Range<usize>) -> Range<usize> {
        outputs.start * self.side.stride..(outputs.end - 1) * self.side.stride + self.side.taps
    }

    /// Returns which of these rows, zeros included, are rows of the map.
    pub(super) fn inside(&self, rows: &Range<usize>) -> Range<usize> {
        let row = |row: usize| row.saturating_sub(self.before[0]).min(self.map[0]);
        row(rows.start)..row(rows.end)
    }

    /// Returns the outputs of a channel.
    pub(super) fn positions(&self) -> usize {
        self.outputs.iter().product()
    }

    /// Cuts the rows of outputs into strips.
    pub(super) fn strips(&self) -> Vec<Range<usize>> {
        let rows = (POSITIONS / (self.map[1] * self.side.stride).max(1)).max(ROWS);
        split(self.outputs[0], rows).map(|(first, rows)| first..first + rows).collect()
    }
}
