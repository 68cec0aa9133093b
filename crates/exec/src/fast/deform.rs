//! Deformable convolution: the sampling positions are computed once for all channels that share them; the samples are
//! gathered panel by panel and multiplied like those of any convolution.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::Context;
use super::conv::{Convolution, Rows};
use super::disjoint_slices::Shared;
use super::epilogue::Finish;
use super::microkernel::{VECTORS, multiply};
use super::packing::Packed;
use cnnkit_core::layers::activation::Activation;
use cnnkit_core::layers::sigmoid;
use cnnkit_core::layers::window::Window;

const SIGMOID: Activation = Activation::real(&sigmoid::FUNCTION);

/// A bilinear sample: four elements of a map with their weights; elements outside the map have weight 0.
#[derive(Debug, Clone, Copy, Default)]
struct Sample {
    at: [usize; 4],
    share: [f32; 4],
}

impl Sample {
    /// Returns the neighbours of (y, x) in a map of the given sizes, each weight times `mask`.
    #[inline(always)]
    fn new(y: f32, x: f32, [height, width]: [usize; 2], mask: f32) -> Self {
        let (top, left) = (y.floor(), x.floor());
        let (down, right) = (y - top, x - left);
        let mut sample = Self::default();
        let corners = [
            (top, left, (1.0 - down) * (1.0 - right)),
            (top, left + 1.0, (1.0 - down) * right),
            (top + 1.0, left, down * (1.0 - right)),
            (top + 1.0, left + 1.0, down * right),
        ];
        for (place, (row, column, share)) in corners.into_iter().enumerate() {
            // NaN coordinates must give NaN: they become the weight of the first element.
            let inside = row >= 0.0 && row < height as f32 && column >= 0.0 && column < width as f32;
            if inside {
                sample.at[place] = row as usize * width + column as usize;
                sample.share[place] = share * mask;
            } else if share.is_nan() || mask.is_nan() {
                sample.share[place] = f32::NAN;
            }
        }
        sample
    }

    #[inline(always)]
    fn of(&self, map: &[f32]) -> f32 {
        let mut value = 0.0;
        for (&at, &share) in self.at.iter().zip(&self.share) {
            if share != 0.0 {
                value += share * map[at];
            }
        }
        value
    }
}

/// Layout of the offsets.
#[derive(Debug)]
pub(super) enum Use {
    /// Each tap has its own offsets, and optionally a mask.
    Taps { windows: Vec<Window>, outputs: [usize; 2], weights: Packed, offset_groups: usize, modulated: bool },
    /// Each channel is shifted as a whole and then convolved.
    Channels(Box<Convolution>),
}

/// A deformable convolution with prepared weights.
#[derive(Debug)]
pub(super) struct Deformable {
    /// The convolution that computes the offsets, and its bias.
    pub offsets: Convolution,
    pub offset_bias: Option<Vec<f32>>,
    pub image: [usize; 2],
    pub channels: usize,
    pub samples: Use,
}

impl Deformable {
    /// Returns the multiply-adds of one image, and those of its sampling.
    pub(super) fn macs(&self) -> (u64, u64) {
        let plane = self.image[0] * self.image[1];
        let (main, samples) = match &self.samples {
            Use::Taps { outputs, weights, windows, .. } => {
                let positions = outputs[0] * outputs[1];
                let rows = weights.groups * weights.rows;
                let taps: u64 = windows.iter().map(|window| window.kernel).product();
                ((rows * positions * weights.depth) as u64, (self.channels * positions) as u64 * taps)
            }
            Use::Channels(convolution) => (convolution.macs(), (self.channels * plane) as u64),
        };
        (main + self.offsets.macs(), 4 * samples)
    }

    pub(super) fn bytes(&self) -> u64 {
        let main = match &self.samples {
            Use::Taps { weights, .. } => weights.bytes(),
            Use::Channels(convolution) => convolution.weights.bytes(),
        };
        main + self.offsets.weights.bytes()
    }

    pub(super) fn run(&self, context: &Context, input: &[f32], out: &mut [f32], finish: Finish<'_>) {
        let plane = self.image[0] * self.image[1];
        let batch = input.len() / (self.channels * plane).max(1);
        context.scratch.with(batch * self.offsets.outputs(), |raw| {
            let bias = Finish { bias: self.offset_bias.as_deref(), ..Finish::default() };
            self.offsets.run(context, input, raw, bias);
            match &self.samples {
                Use::Taps { .. } => self.taps(context, input, raw, out, finish),
                Use::Channels(convolution) => context.scratch.with(input.len(), |moved| {
                    let each = |(map, target): (usize, &mut [f32])| {
                        let raw = &raw[2 * map * plane..];
                        let source = &input[map * plane..(map + 1) * plane];
                        for (position, target) in target.iter_mut().enumerate() {
                            let y = (position / self.image[1]) as f32 + raw[position];
                            let x = (position % self.image[1]) as f32 + raw[plane + position];
                            *target = Sample::new(y, x, self.image, 1.0).of(source);
                        }
                    };
                    moved.par_chunks_exact_mut(plane.max(1)).enumerate().for_each(each);
                    convolution.run(context, moved, out, finish);
                }),
            }
        });
    }

    fn taps(&self, context: &Context, input: &[f32], raw: &mut [f32], out: &mut [f32], finish: Finish<'_>) {
        let Use::Taps { windows, outputs, weights, offset_groups, modulated } = &self.samples else { return };
        let positions = outputs[0] * outputs[1];
        let rows = weights.groups * weights.rows;
        let image = self.channels * self.image[0] * self.image[1];
        let per_image = self.offsets.outputs();
        if *modulated {
            // The last third of the channels are the masks.
            for raw in raw.chunks_exact_mut(per_image.max(1)) {
                let first = per_image / 3 * 2;
                raw[first..].par_chunks_mut(4096).for_each(|raw| context.activate(Some(SIGMOID), raw));
            }
        }
        let raw = &*raw;
        let width = context.isa.lanes() * VECTORS;
        let depth = weights.depth * weights.groups;
        let kernel = windows[0].kernel as usize * windows[1].kernel as usize;
        let out = Shared::new(out);
        let blocks = positions.div_ceil(width);
        (0..input.len() / image.max(1) * blocks).into_par_iter().for_each(|task| {
            let (n, first) = (task / blocks, task % blocks * width);
            let count = width.min(positions - first);
            let (source, raw) =
                (&input[n * image..(n + 1) * image], &raw[n * per_image..(n + 1) * per_image]);
            context.scratch.with(depth * width, |columns| {
                let vectors = count.div_ceil(context.isa.lanes());
                let width = vectors * context.isa.lanes();
                let mut samples = vec![Sample::default(); count];
                for group in 0..*offset_groups {
                    for tap in 0..kernel {
                        let plane = (group * kernel + tap) * positions;
                        for (position, sample) in (first..).zip(&mut samples) {
                            let at = [position / outputs[1], position % outputs[1]];
                            let on = [tap / windows[1].kernel as usize, tap % windows[1].kernel as usize];
                            let coordinate = |axis: usize| {
                                let window = &windows[axis];
                                let regular = at[axis] as f64 * window.stride as f64 - window.before as f64
                                    + on[axis] as f64 * window.dilation as f64;
                                regular as f32 + raw[2 * plane + axis * positions + position]
                            };
                            let mask = 2 * offset_groups * kernel * positions + plane + position;
                            let mask = if *modulated { raw[mask] } else { 1.0 };
                            *sample = Sample::new(coordinate(0), coordinate(1), self.image, mask);
                        }
                        let members = self.channels / offset_groups;
                        for channel in group * members..(group + 1) * members {
                            let size = self.image[0] * self.image[1];
                            let map = &source[channel * size..(channel + 1) * size];
                            let row = (channel * kernel + tap) * width;
                            for (column, sample) in columns[row..].iter_mut().zip(&samples) {
                                *column = sample.of(map);
                            }
                        }
                    }
                }
                let at = n * rows * positions;
                context.isa.run(Block { weights, columns, positions, first, count, out, at, finish });
            });
        });
    }
}

/// All output channels at a range of positions.
struct Block<'a> {
    weights: &'a Packed,
    columns: &'a [f32],
    positions: usize,
    first: usize,
    count: usize,
    out: Shared<'a>,
    at: usize,
    finish: Finish<'a>,
}

impl WithSimd for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let vectors = self.count.div_ceil(S::F32_LANES);
        let width = vectors * S::F32_LANES;
        let depth = self.weights.depth;
        for group in 0..self.weights.groups {
            let columns = &self.columns[group * depth * width..(group + 1) * depth * width];
            for &panel in &self.weights.panels {
                // Tasks differ in image or positions, as `Rows` requires.
                let mut store = Rows {
                    out: self.out,
                    finish: self.finish,
                    channel: group * self.weights.rows + panel.first,
                    positions: self.positions,
                    first: self.first,
                    count: self.count,
                    image: self.at,
                };
                let weights = self.weights.panel(group, panel);
                multiply(simd, (panel.rows, vectors), weights, columns, &mut store);
            }
        }
    }
}
