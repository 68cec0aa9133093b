//! Convolution with the output channels across a tile, for maps whose positions do not fill vectors: 7 x 7 positions are
//! seven rows of seven, but three vectors of 16 and one more for the last.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::Context;
use super::conv::gather;
use super::finish::Finish;
use super::frame::{Frame, Run};
use super::isa::WIDEST;
use super::scratch::Aligned;
use super::shared::Shared;
use super::tile::{ROWS, Store, VECTORS, balanced, multiply};
use crate::exec::tensor::Tensor;

/// A convolution whose weights lie with the output channels side by side.
#[derive(Debug)]
pub(super) struct Across {
    pub frame: Frame,
    /// Channels of the input.
    pub channels: usize,
    groups: usize,
    /// Output channels of a group, and input channels times taps.
    rows: usize,
    depth: usize,
    /// For each group panels as wide as tiles; in each, a row an input channel and tap. What fills the last up is 0.
    panels: Aligned,
    width: usize,
}

/// Whether positions across waste more than channels across would, for a group of so many output channels.
pub(super) fn pays(lanes: usize, positions: usize, rows: usize) -> bool {
    let width = lanes * VECTORS;
    let used = |of: usize, step: usize| of as f64 / (of.div_ceil(step) * step) as f64;
    lanes > 1 && positions > 3 && used(rows, width) > 1.05 * used(positions, lanes)
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
        let depth = weight.len() / weight.sizes()[0].max(1);
        let width = context.isa.lanes() * VECTORS;
        let blocks = rows.div_ceil(width);
        let mut panels = Aligned::new(groups * blocks * width * depth);
        let fill = |(panel, target): (usize, &mut [f32])| {
            let (group, first) = (panel / blocks, panel % blocks * width);
            for (k, target) in target.chunks_exact_mut(width).enumerate() {
                for (row, target) in (first..rows).zip(target) {
                    let channel = group * rows + row;
                    *target = weight.data()[channel * depth + k] * scale.map_or(1.0, |scale| scale[channel]);
                }
            }
        };
        panels.elements_mut().par_chunks_exact_mut((width * depth).max(1)).enumerate().for_each(fill);
        Self { frame, channels, groups, rows, depth, panels, width }
    }

    /// Multiply-adds for one image, padding included.
    pub(super) fn macs(&self) -> u64 {
        (self.groups * self.rows * self.depth * self.frame.positions()) as u64
    }

    pub(super) fn bytes(&self) -> u64 {
        4 * self.panels.len() as u64
    }

    pub(super) fn run(&self, context: &Context, input: &[f32], out: &mut [f32], finish: Finish<'_>) {
        let outputs = self.groups * self.rows * self.frame.positions();
        let image = input.len() / (out.len() / outputs.max(1)).max(1);
        let out = Shared::new(out);
        for (n, source) in input.chunks_exact(image.max(1)).enumerate() {
            context.scratch.with(self.frame.elements(self.channels), |frame| {
                if !self.frame.direct {
                    self.frame.write_all(source, frame);
                }
                let frame = if self.frame.direct { source } else { frame };
                for group in 0..self.groups {
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
        let positions = self.frame.positions();
        let tiles: Vec<(usize, usize)> = balanced(positions).collect();
        let members = self.channels / self.groups;
        let source = &frame[group * members * self.frame.plane..];
        // What the windows of all tiles read, each with room for the last whole vector.
        let room = self.depth * ROWS + WIDEST;
        context.scratch.with(tiles.len() * room, |all| {
            let each = |(columns, &(first, height)): (&mut [f32], &(usize, usize))| {
                let mut runs: Vec<Run> = Vec::new();
                self.frame.runs(first, first + height, &mut runs);
                gather(source, self.frame.plane, members, &self.frame.taps, &runs, height, columns);
            };
            all.par_chunks_exact_mut(room).zip(&tiles).for_each(each);
            let all = &*all;
            let panel = self.width * self.depth;
            let blocks = self.rows.div_ceil(self.width);
            let weights = &self.panels.elements()[group * blocks * panel..(group + 1) * blocks * panel];
            weights.par_chunks_exact(panel.max(1)).enumerate().for_each(|(block, weights)| {
                let start = block * self.width;
                let count = self.width.min(self.rows - start);
                let channel = group * self.rows + start;
                let place = Place { out, image, positions, channel, count };
                context.isa.run(Panel {
                    weights,
                    all,
                    room,
                    depth: self.depth,
                    tiles: &tiles,
                    place,
                    finish,
                });
            });
        });
    }
}

/// Where a panel's outputs go.
#[derive(Clone, Copy)]
struct Place<'a> {
    out: Shared<'a>,
    /// Where the image starts.
    image: usize,
    positions: usize,
    /// The first channel, and how many.
    channel: usize,
    count: usize,
}

/// All positions of some output channels.
struct Panel<'a> {
    weights: &'a [f32],
    all: &'a [f32],
    room: usize,
    depth: usize,
    tiles: &'a [(usize, usize)],
    place: Place<'a>,
    finish: Finish<'a>,
}

/// The sums of a tile.
struct Sums([[f32; VECTORS * WIDEST]; ROWS]);

impl<S: Simd> Store<S> for Sums {
    #[inline(always)]
    fn row(&mut self, _: S, row: usize, sums: &[S::f32s]) {
        S::as_mut_simd_f32s(&mut self.0[row]).0[..sums.len()].copy_from_slice(sums);
    }
}

impl WithSimd for Panel<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Place { out, image, positions, channel, count } = self.place;
        let mut sums = Sums([[0.0; VECTORS * WIDEST]; ROWS]);
        for (columns, &(first, height)) in self.all.chunks_exact(self.room).zip(self.tiles) {
            let columns = &columns[..self.depth * height];
            multiply(simd, (height, VECTORS), columns, self.weights, &mut sums);
            for i in 0..count {
                let mut row = [0.0; ROWS];
                for (value, sums) in row.iter_mut().zip(&sums.0) {
                    *value = sums[i];
                }
                let at = image + (channel + i) * positions + first;
                #[expect(unsafe_code, reason = "see `Shared`")]
                // SAFETY: each task has channels of its own.
                let out = unsafe { out.part(at, height) };
                self.finish.row(channel + i, at, &row[..height], out);
            }
        }
    }
}
