//! Convolution with the output channels across the lanes of a tile, for maps whose positions do not fill whole
//! vectors: 7 x 7 positions are seven rows of seven, but three vectors of 16 and one more for the last position.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::Context;
use super::activations;
use super::conv::gather;
use super::data_movement::transpose;
use super::disjoint_slices::Shared;
use super::epilogue::{Finish, clipped, straight};
use super::isa::WIDEST;
use super::microkernel::{ROWS, Store, VECTORS, balanced, multiply};
use super::padded_input::{Frame, Run};
use super::scratch::Aligned;
use crate::tensor::Tensor;
use cnnkit_core::layers::activation::Activation;

/// A convolution whose weights are stored with neighbouring output channels side by side.
#[derive(Debug)]
pub(super) struct Across {
    pub frame: Frame,
    /// Number of input channels.
    pub channels: usize,
    groups: usize,
    /// Output channels of a group, and input channels times taps.
    rows: usize,
    depth: usize,
    /// Per group, panels as wide as tiles, with one row per input channel and tap; the last panel is padded with
    /// zeros.
    panels: Aligned,
    width: usize,
}

/// Returns whether vectorising over positions wastes more lanes than vectorising over channels, for groups of
/// `rows` output channels.
pub(super) fn pays(lanes: usize, positions: usize, rows: usize) -> bool {
    let width = lanes * VECTORS;
    let used = |of: usize, step: usize| of as f64 / (of.div_ceil(step) * step) as f64;
    lanes > 1 && positions > 3 && used(rows, width) > 1.1 * used(positions, lanes)
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
            let (channel, count) = (group * rows + first, width.min(rows - first));
            transpose(&weight.data()[channel * depth..], depth, target, (width, count));
            if let Some(scale) = scale {
                for target in target.chunks_exact_mut(width) {
                    target
                        .iter_mut()
                        .zip(&scale[channel..channel + count])
                        .for_each(|(to, scale)| *to *= scale);
                }
            }
        };
        panels.elements_mut().par_chunks_exact_mut((width * depth).max(1)).enumerate().for_each(fill);
        Self { frame, channels, groups, rows, depth, panels, width }
    }

    /// Returns the multiply-adds of one image, padding included.
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
        // The elements that the windows of all tiles read, each followed by room for a last whole vector.
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

/// Destination of a panel's outputs.
#[derive(Clone, Copy)]
struct Place<'a> {
    out: Shared<'a>,
    /// Offset of the image.
    image: usize,
    positions: usize,
    /// The first channel, and the number of channels.
    channel: usize,
    count: usize,
}

/// All positions of a range of output channels.
struct Panel<'a> {
    weights: &'a [f32],
    all: &'a [f32],
    room: usize,
    depth: usize,
    tiles: &'a [(usize, usize)],
    place: Place<'a>,
    finish: Finish<'a>,
}

/// The sums of a tile, plus one value per channel, with an activation of few instructions.
struct Sums<'a> {
    rows: [[f32; VECTORS * WIDEST]; ROWS],
    bias: &'a [f32; VECTORS * WIDEST],
    clip: Option<Activation>,
}

impl<S: Simd> Store<S> for Sums<'_> {
    #[inline(always)]
    fn row(&mut self, simd: S, row: usize, sums: &[S::f32s]) {
        let bias = S::as_simd_f32s(self.bias).0;
        let to = S::as_mut_simd_f32s(&mut self.rows[row]).0;
        for ((to, &sum), &bias) in to.iter_mut().zip(sums).zip(bias) {
            *to = clipped(simd, self.clip, simd.add_f32s(sum, bias));
        }
    }
}

impl WithSimd for Panel<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Place { channel, count, .. } = self.place;
        let mut bias = [0.0; VECTORS * WIDEST];
        if let Some(all) = self.finish.bias {
            bias[..count].copy_from_slice(&all[channel..channel + count]);
        }
        // Unless a tensor is added first, the activation is computed in whole vectors, before the tile is turned.
        let curve = self.finish.curve.filter(|_| self.finish.add.is_none());
        let finish =
            Finish { bias: None, curve: self.finish.curve.filter(|_| curve.is_none()), ..self.finish };
        let clip = curve.filter(|_| straight(curve));
        let mut sums = Sums { rows: [[0.0; VECTORS * WIDEST]; ROWS], bias: &bias, clip };
        for (columns, &(first, height)) in self.all.chunks_exact(self.room).zip(self.tiles) {
            let columns = &columns[..self.depth * height];
            multiply(simd, (height, VECTORS), columns, self.weights, &mut sums);
            if let Some(curve) = curve.filter(|_| clip.is_none()) {
                for row in &mut sums.rows[..height] {
                    activations::apply(simd, curve, &mut row[..VECTORS * S::F32_LANES]);
                }
            }
            // A constant height lets the compiler unroll the small loops.
            match height {
                8 => turned::<S, 8>(simd, &sums.rows, first, self.place, finish),
                7 => turned::<S, 7>(simd, &sums.rows, first, self.place, finish),
                6 => turned::<S, 6>(simd, &sums.rows, first, self.place, finish),
                5 => turned::<S, 5>(simd, &sums.rows, first, self.place, finish),
                4 => turned::<S, 4>(simd, &sums.rows, first, self.place, finish),
                3 => turned::<S, 3>(simd, &sums.rows, first, self.place, finish),
                2 => turned::<S, 2>(simd, &sums.rows, first, self.place, finish),
                _ => turned::<S, 1>(simd, &sums.rows, first, self.place, finish),
            }
        }
    }
}

/// Writes the columns of a tile: each is one channel at `H` positions from `first` on.
#[inline(always)]
fn turned<S: Simd, const H: usize>(
    simd: S,
    sums: &[[f32; VECTORS * WIDEST]; ROWS],
    first: usize,
    Place { out, image, positions, channel, count }: Place<'_>,
    finish: Finish<'_>,
) {
    let curve = finish.curve.filter(|_| straight(finish.curve));
    let limit = match curve {
        #[expect(clippy::cast_possible_truncation, reason = "as the definition does in f32")]
        Some(Activation::BoundedRamp(limit)) => limit as f32,
        _ => f32::INFINITY,
    };
    for i in 0..count {
        let at = image + (channel + i) * positions + first;
        #[expect(unsafe_code, reason = "see `Shared`")]
        // SAFETY: each task writes channels of its own.
        let Some(out) = unsafe { out.part(at, H) }.first_chunk_mut::<H>() else { return };
        // Straight to memory: wide loads of a row that was just put together would wait for its parts.
        let Some(add) = finish.add.and_then(|add| add[at..].first_chunk::<H>()) else {
            out.iter_mut().zip(sums).for_each(|(out, sums)| *out = sums[i]);
            continue;
        };
        for ((out, sums), other) in out.iter_mut().zip(sums).zip(add) {
            let value = sums[i] + other;
            // Comparisons as in the reference: NaN stays NaN.
            let value = if curve.is_some() && value <= 0.0 { 0.0 } else { value };
            *out = if value >= limit { limit } else { value };
        }
        if let Some(curve) = finish.curve.filter(|_| curve.is_none()) {
            activations::apply(simd, curve, out);
        }
    }
}
