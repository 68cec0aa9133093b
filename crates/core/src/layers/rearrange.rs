//! The exact permutation of layers that rearrange elements so that one axis depends on several.
//!
//! A [`Reach`](crate::layers::Reach) is a product of axes; for these layers it can only state a bound.

use std::ops::Range;

use crate::layers::{Io, Layer};

/// Where the elements of an output come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rearrangement {
    /// The same elements in row-major order, with other axes: flatten and reshape. Each run of output axes
    /// has the elements of one run of input axes; axes of size 1 belong to no run.
    Regroup(Vec<Run>),
    /// Pixel shuffle by this factor r: the output at `(c, r * q + p)` is the input at `(c * r^axes + index of p, q)`.
    ToSpace(u64),
    /// Pixel unshuffle by this factor, its inverse.
    ToChannels(u64),
}

/// Input axes and output axes that have the same elements in the same order; the smallest such runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Axes of the input.
    pub input: Vec<usize>,
    /// Axes of the output.
    pub output: Vec<usize>,
}

impl Layer {
    /// Returns the exact dependence of a layer whose reaches state a bound because they are products of axes.
    pub fn rearrangement(&self, io: Io<'_>) -> Option<Rearrangement> {
        match self {
            Self::Flatten(_) | Self::Reshape(_) => {
                Some(Rearrangement::Regroup(runs(io.input().sizes(), io.output.sizes())))
            }
            Self::PixelShuffle(shuffle) => Some(Rearrangement::ToSpace(shuffle.upscale_factor)),
            Self::PixelUnshuffle(shuffle) => Some(Rearrangement::ToChannels(shuffle.downscale_factor)),
            _ => None,
        }
    }
}

/// Returns the smallest runs of axes longer than 1 with equal products on both sides.
pub(super) fn runs(input: &[u64], output: &[u64]) -> Vec<Run> {
    let long = |sizes: &[u64]| -> Vec<(usize, u64)> {
        sizes.iter().copied().enumerate().filter(|&(_, size)| size != 1).collect()
    };
    let (long_in, long_out) = (long(input), long(output));
    let (mut i, mut o) = (0, 0);
    let mut found = Vec::new();
    while i < long_in.len() && o < long_out.len() {
        let (first_in, first_out) = (i, o);
        let (mut left, mut right) = (u128::from(long_in[i].1), u128::from(long_out[o].1));
        (i, o) = (i + 1, o + 1);
        while left != right {
            // The side with the smaller product goes on, also at equal products; no axis has size zero here.
            if left < right && i < long_in.len() {
                left = left.saturating_mul(u128::from(long_in[i].1));
                i += 1;
            } else if right < left && o < long_out.len() {
                right = right.saturating_mul(u128::from(long_out[o].1));
                o += 1;
            } else {
                break;
            }
        }
        let axes =
            |long: &[(usize, u64)], range: Range<usize>| long[range].iter().map(|&(axis, _)| axis).collect();
        found.push(Run { input: axes(&long_in, first_in..i), output: axes(&long_out, first_out..o) });
    }
    found
}
