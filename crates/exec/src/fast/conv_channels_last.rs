//! Convolution with the output channels across the lanes of a tile, for maps whose positions do not fill whole
//! vectors: 7 x 7 positions are nine rows of five or six, but three vectors of 16 and one more for the last position.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::Context;
use super::blocked::{ACROSS, Matrix, Planes, multiply, split, tallest_of};
use super::conv::gather;
use super::disjoint_slices::Shared;
use super::epilogue::Finish;
use super::isa::{Isa, WIDEST};
use super::padded_input::{Frame, Run};
use crate::tensor::Tensor;

/// Output channels of a group from which on this is faster on any small map where a vector has few elements: with fewer,
/// gathering takes too large a part.
const MANY: usize = 192;
/// Positions of a small map.
const SMALL: usize = 256;

/// A convolution whose weights are stored with neighbouring output channels side by side.
#[derive(Debug)]
pub(super) struct Across {
    pub frame: Frame,
    /// Number of input channels.
    pub channels: usize,
    /// The weights of each group.
    pub groups: Vec<Matrix>,
}

/// Returns whether vectorising over positions wastes more lanes than vectorising over channels, for groups of
/// `rows` output channels; `single` if the windows are of one element.
pub(super) fn pays(isa: Isa, positions: usize, rows: usize, single: bool) -> bool {
    let lanes = isa.lanes();
    let used = |of: usize, step: usize| of as f64 / (of.div_ceil(step) * step) as f64;
    let few = lanes < WIDEST && single && positions <= SMALL && rows >= MANY;
    lanes > 1 && positions > 3 && (few || used(rows, lanes * ACROSS) > 1.1 * used(positions, lanes))
}

impl Across {
    pub(super) fn new(
        context: &Context,
        frame: Frame,
        channels: usize,
        weight: &Tensor<f32>,
        scale: Option<&[f32]>,
    ) -> Self {
        let groups = (channels / weight.sizes()[1].max(1)).max(1);
        let rows = weight.sizes()[0] / groups;
        let (depth, data) = (weight.len() / weight.sizes()[0].max(1), weight.data());
        let groups = (0..groups).map(|group| {
            Matrix::new(context.isa.lanes(), rows, depth, |row, k| {
                let row = group * rows + row;
                let weight = data[row * depth + k];
                scale.map_or(weight, |scale| weight * scale[row])
            })
        });
        Self { frame, channels, groups: groups.collect() }
    }

    /// Returns the output channels of all groups.
    fn rows(&self) -> usize {
        self.groups.iter().map(|weights| weights.rows).sum()
    }

    /// Returns the multiply-adds of one image, padding included.
    pub(super) fn macs(&self) -> u64 {
        let depth = self.groups.first().map_or(0, |weights| weights.depth);
        (self.rows() * depth * self.frame.positions()) as u64
    }

    pub(super) fn bytes(&self) -> u64 {
        self.groups.iter().map(Matrix::bytes).sum()
    }

    pub(super) fn run(&self, context: &Context, input: &[f32], out: &mut [f32], finish: Finish<'_>) {
        let outputs = self.rows() * self.frame.positions();
        let image = input.len() / (out.len() / outputs.max(1)).max(1);
        let out = Shared::new(out);
        for (n, source) in input.chunks_exact(image.max(1)).enumerate() {
            context.scratch.with(self.frame.elements(self.channels), |frame| {
                if !self.frame.direct {
                    self.frame.write_all(source, frame);
                }
                let frame = if self.frame.direct { source } else { frame };
                for group in 0..self.groups.len() {
                    self.group(context, frame, group, (out, n * outputs), finish);
                }
            });
        }
    }

    fn group(
        &self,
        context: &Context,
        frame: &[f32],
        group: usize,
        (out, image): (Shared<'_>, usize),
        finish: Finish<'_>,
    ) {
        let (weights, plane) = (&self.groups[group], self.frame.positions());
        let most = tallest_of(context.isa);
        let tiles: Vec<(usize, usize)> = split(plane, most).collect();
        let members = self.channels / self.groups.len();
        let source = &frame[group * members * self.frame.plane..];
        // The elements that the windows of all tiles read, each followed by room for a last whole vector.
        let room = (weights.depth * most + WIDEST).next_multiple_of(WIDEST);
        context.scratch.with(tiles.len() * room, |all| {
            let each = |(columns, &(first, height)): (&mut [f32], &(usize, usize))| {
                let mut runs: Vec<Run> = Vec::new();
                self.frame.runs(first, first + height, &mut runs);
                gather(source, self.frame.plane, members, &self.frame.taps, &runs, height, columns);
            };
            all.par_chunks_exact_mut(room).zip(&tiles).with_min_len((65_536 / room).max(1)).for_each(each);
            let all = &*all;
            let width = ACROSS * context.isa.lanes();
            // Enough work to be worth waking a thread.
            let least = (500_000 / (plane * weights.depth * width).max(1)).max(1);
            (0..weights.panels()).into_par_iter().with_min_len(least).for_each(|panel| {
                let first = panel * width;
                let channel = group * weights.rows + first;
                let channels = width.min(weights.rows - first);
                let to = Planes { out, at: image + channel * plane, plane, channel, channels, finish };
                let weights = (weights.panel(panel), weights.depth);
                context.isa.run(Panel { weights, columns: (all, room), positions: plane, to });
            });
        });
    }
}

/// All positions of a panel of output channels.
struct Panel<'a> {
    weights: (&'a [f32], usize),
    columns: (&'a [f32], usize),
    positions: usize,
    to: Planes<'a>,
}

impl WithSimd for Panel<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        assert!(!S::IS_SCALAR, "`pays` refuses plain code: this spares the compiler its tiles");
        multiply(simd, self.columns, self.weights, self.positions, self.to);
    }
}
