//! Norms that compute their own statistics, and softmax. The elements of a set either lie together or are those of
//! all channels at one position.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::Context;
use super::activations::each;
use super::data_movement::SMALL;
use super::elementwise::{Sum, Vectors};
use super::functions::exp;
use super::isa::WIDEST;

/// Which elements form a set.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sets {
    /// Rows of this many elements.
    Rows(usize),
    /// All channels at one position of `plane`.
    Channels { channels: usize, plane: usize },
}

/// Where the scale and shift of an element lie.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scale {
    /// At the element's index in its row.
    Element,
    /// At its channel: the number of neighbouring elements of one channel, and the number of channels.
    Channel(usize, usize),
}

/// A norm.
#[derive(Debug, Clone)]
pub(super) struct Norm {
    pub sets: Sets,
    pub scale: Scale,
    pub eps: f32,
    pub weight: Vec<f32>,
    pub bias: Vec<f32>,
}

impl Norm {
    pub(super) fn run(&self, context: &Context, input: &[f32], out: &mut [f32]) {
        match self.sets {
            Sets::Rows(len) => {
                let rows = input.par_chunks_exact(len.max(1)).zip(out.par_chunks_exact_mut(len.max(1)));
                rows.enumerate()
                    .with_min_len((SMALL / len.max(1)).max(1))
                    .for_each(|(row, (source, target))| self.row(context, row, source, target));
            }
            Sets::Channels { channels, plane } => {
                let image = channels * plane;
                let images = input.par_chunks_exact(image.max(1)).zip(out.par_chunks_exact_mut(image.max(1)));
                images.for_each(|(source, target)| {
                    context.isa.run(Vectors(
                        #[inline(always)]
                        || self.channels(channels, plane, source, target),
                    ));
                });
            }
        }
    }

    fn row(&self, context: &Context, row: usize, source: &[f32], target: &mut [f32]) {
        let mean = context.isa.run(Sum(source)) / source.len() as f32;
        context.isa.run(Vectors(
            #[inline(always)]
            || {
                for (target, &x) in target.iter_mut().zip(source) {
                    let difference = x - mean;
                    *target = difference * difference;
                }
            },
        ));
        let variance = context.isa.run(Sum(target)) / source.len() as f32;
        let inverse = 1.0 / (variance + self.eps).sqrt();
        context.isa.run(Vectors(
            #[inline(always)]
            || match self.scale {
                Scale::Element => {
                    for (target, &x) in target.iter_mut().zip(source) {
                        *target = (x - mean) * inverse;
                    }
                    if !self.weight.is_empty() {
                        target.iter_mut().zip(&self.weight).for_each(|(target, &weight)| *target *= weight);
                    }
                    if !self.bias.is_empty() {
                        target.iter_mut().zip(&self.bias).for_each(|(target, &bias)| *target += bias);
                    }
                }
                Scale::Channel(plane, channels) => {
                    let first = row * (source.len() / plane.max(1));
                    let maps = source.chunks_exact(plane.max(1)).zip(target.chunks_exact_mut(plane.max(1)));
                    for (map, (source, target)) in maps.enumerate() {
                        let channel = (first + map) % channels;
                        let weight = self.weight.get(channel).copied().unwrap_or(1.0);
                        let bias = self.bias.get(channel).copied().unwrap_or(0.0);
                        for (target, &x) in target.iter_mut().zip(source) {
                            *target = (x - mean) * inverse * weight + bias;
                        }
                    }
                }
            },
        ));
    }

    #[inline(always)]
    fn channels(&self, channels: usize, plane: usize, source: &[f32], target: &mut [f32]) {
        // A block of positions at a time, so that the second and third pass find them in the cache.
        const BLOCK: usize = 128;
        for first in (0..plane).step_by(BLOCK) {
            let len = BLOCK.min(plane - first);
            let part = |channel: usize| &source[channel * plane + first..][..len];
            let (mut means, mut scales) = ([0.0f32; BLOCK], [0.0f32; BLOCK]);
            for channel in 0..channels {
                means.iter_mut().zip(part(channel)).for_each(|(mean, &x)| *mean += x);
            }
            means.iter_mut().for_each(|mean| *mean /= channels as f32);
            for channel in 0..channels {
                for ((scale, &mean), &x) in scales.iter_mut().zip(&means).zip(part(channel)) {
                    *scale += (x - mean) * (x - mean);
                }
            }
            scales.iter_mut().for_each(|scale| *scale = 1.0 / (*scale / channels as f32 + self.eps).sqrt());
            for channel in 0..channels {
                let weight = self.weight.get(channel).copied().unwrap_or(1.0);
                let bias = self.bias.get(channel).copied().unwrap_or(0.0);
                let target = &mut target[channel * plane + first..][..len];
                for (((target, &x), &mean), &scale) in
                    target.iter_mut().zip(part(channel)).zip(&means).zip(&scales)
                {
                    *target = (x - mean) * scale * weight + bias;
                }
            }
        }
    }
}

/// Computes the softmax of every set.
pub(super) fn softmax(context: &Context, sets: Sets, input: &[f32], out: &mut [f32]) {
    let image = match sets {
        Sets::Rows(len) => len,
        Sets::Channels { channels, plane } => channels * plane,
    };
    let each = |(source, target): (&[f32], &mut [f32])| match sets {
        Sets::Rows(_) => {
            target.copy_from_slice(source);
            context.isa.run(Softmax(target));
        }
        Sets::Channels { plane, .. } => context.isa.run(SoftmaxOfChannels { plane, source, target }),
    };
    let images = input.par_chunks_exact(image.max(1)).zip(out.par_chunks_exact_mut(image.max(1)));
    images.with_min_len((SMALL / image.max(1)).max(1)).for_each(each);
}

/// Returns the larger number, as the reference chooses it: a NaN that comes first in its set is the maximum, a later one
/// never is.
#[inline(always)]
fn larger(most: f32, value: f32) -> f32 {
    if value > most { value } else { most }
}

/// Replaces a row by its softmax.
pub(super) struct Softmax<'a>(pub &'a mut [f32]);

impl WithSimd for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self(row) = self;
        let Some(&first) = row.first() else { return };
        let mut maxima = [first; WIDEST];
        let (blocks, rest) = row.as_chunks::<WIDEST>();
        for block in blocks {
            maxima.iter_mut().zip(block).for_each(|(most, &value)| *most = larger(*most, value));
        }
        let most = maxima.iter().chain(rest).fold(first, |most, &value| larger(most, value));
        each(
            row,
            #[inline(always)]
            |x| exp::<S>(x - most),
        );
        let sum = Sum(row).with_simd(simd);
        row.iter_mut().for_each(|power| *power /= sum);
    }
}

/// The softmax over all channels at every position.
struct SoftmaxOfChannels<'a> {
    plane: usize,
    source: &'a [f32],
    target: &'a mut [f32],
}

impl WithSimd for SoftmaxOfChannels<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        // A block of positions at a time, so that the second and third pass find them in the cache.
        const BLOCK: usize = 128;
        let Self { plane, source, target } = self;
        for first in (0..plane).step_by(BLOCK) {
            let range = first..plane.min(first + BLOCK);
            let (mut maxima, mut sums) = ([0.0; BLOCK], [0.0; BLOCK]);
            maxima[..range.len()].copy_from_slice(&source[range.clone()]);
            for map in source.chunks_exact(plane) {
                maxima.iter_mut().zip(&map[range.clone()]).for_each(|(most, &x)| *most = larger(*most, x));
            }
            for (map, target) in source.chunks_exact(plane).zip(target.chunks_exact_mut(plane)) {
                let target = &mut target[range.clone()];
                for ((to, &x), &most) in target.iter_mut().zip(&map[range.clone()]).zip(&maxima) {
                    *to = x - most;
                }
                each(target, exp::<S>);
                sums.iter_mut().zip(&*target).for_each(|(sum, &power)| *sum += power);
            }
            for target in target.chunks_exact_mut(plane) {
                target[range.clone()].iter_mut().zip(&sums).for_each(|(power, &sum)| *power /= sum);
            }
        }
    }
}
