//! Elementwise layers: activations, per-channel affine maps, sums and products of tensors.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::Context;
use super::activations::Apply;
use super::data_movement::SMALL;
use cnnkit_core::layers::activation::Activation;

/// A closure that is compiled for the machine's vector instructions.
pub(super) struct Vectors<F>(pub F);

impl<F: FnOnce()> WithSimd for Vectors<F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        (self.0)();
    }
}

/// Applies an activation.
pub(super) fn curve(context: &Context, curve: Activation, input: &[f32], out: &mut [f32]) {
    let each = |(source, target): (&[f32], &mut [f32])| {
        target.copy_from_slice(source);
        context.isa.run(Apply { curve, values: target });
    };
    // A few pages at a time, so that the copy stays in the L1 cache.
    input.par_chunks(4096).zip(out.par_chunks_mut(4096)).with_min_len(4).for_each(each);
}

/// `x * scale + shift` with one pair per run of `inner` neighbouring elements, and optionally an activation.
#[derive(Debug, Clone)]
pub(super) struct Affine {
    /// One value per channel.
    pub scale: Vec<f32>,
    /// One value per channel, or empty.
    pub shift: Vec<f32>,
    /// Number of neighbouring elements of one channel.
    pub inner: usize,
    pub curve: Option<Activation>,
}

impl Affine {
    pub(super) fn run(&self, context: &Context, input: &[f32], out: &mut [f32]) {
        let channels = self.scale.len();
        let shift = |channel: usize| self.shift.get(channel).copied().unwrap_or(0.0);
        if self.inner == 1 {
            let each = |(source, target): (&[f32], &mut [f32])| {
                context.isa.run(Vectors(
                    #[inline(always)]
                    || {
                        for (((target, &x), &scale), shift) in
                            target.iter_mut().zip(source).zip(&self.scale).zip((0..).map(shift))
                        {
                            *target = x * scale + shift;
                        }
                    },
                ));
                context.activate(self.curve, target);
            };
            let least = (SMALL / channels.max(1)).max(1);
            let rows = input.par_chunks_exact(channels.max(1));
            rows.zip(out.par_chunks_exact_mut(channels.max(1))).with_min_len(least).for_each(each);
            return;
        }
        let each = |(map, (source, target)): (usize, (&[f32], &mut [f32]))| {
            let (scale, shift) = (self.scale[map % channels], shift(map % channels));
            let relu = self.curve == Some(Activation::Ramp);
            context.isa.run(Vectors(
                #[inline(always)]
                || {
                    for (target, &x) in target.iter_mut().zip(source) {
                        let value = x * scale + shift;
                        *target = if relu && value <= 0.0 { 0.0 } else { value };
                    }
                },
            ));
            context.activate(self.curve.filter(|_| !relu), target);
        };
        let least = (SMALL / self.inner).max(1);
        let maps = input.par_chunks_exact(self.inner).zip(out.par_chunks_exact_mut(self.inner));
        maps.enumerate().with_min_len(least).for_each(each);
    }
}

/// How several tensors are combined.
#[derive(Debug, Clone)]
pub(super) enum Join {
    /// The sum of all tensors, each times its factor.
    Sum(Vec<f32>),
    /// The product of all tensors.
    Product,
}

/// For each input, how often each element is repeated in a row, and how many elements it has: the common forms of
/// broadcasting (one gate value per channel, one tensor like the other).
#[derive(Debug, Clone)]
pub(super) struct Joining {
    pub join: Join,
    /// Number of neighbouring outputs that read the same element of the input.
    pub repeats: Vec<usize>,
    pub curve: Option<Activation>,
}

impl Joining {
    pub(super) fn run(&self, context: &Context, inputs: &[&[f32]], out: &mut [f32]) {
        // Blocks of whole repeats, a few pages long.
        let longest = self.repeats.iter().copied().max().unwrap_or(1);
        let block = if longest > 1 { longest } else { 4096 };
        let each = |(i, target): (usize, &mut [f32])| {
            context.isa.run(Vectors(
                #[inline(always)]
                || {
                    let first = i * block;
                    for (place, (input, &repeats)) in inputs.iter().zip(&self.repeats).enumerate() {
                        if repeats == 1 {
                            let source = &input[first..first + target.len()];
                            self.join(place, target, source.iter().copied());
                        } else {
                            self.join(place, target, std::iter::repeat(input[i]));
                        }
                    }
                },
            ));
            context.activate(self.curve, target);
        };
        out.par_chunks_mut(block).enumerate().with_min_len((SMALL / block).max(1)).for_each(each);
    }

    #[inline(always)]
    fn join(&self, place: usize, target: &mut [f32], source: impl Iterator<Item = f32>) {
        let pairs = target.iter_mut().zip(source);
        match &self.join {
            Join::Sum(factors) => {
                let factor = factors.get(place).copied().unwrap_or(1.0);
                if place == 0 {
                    pairs.for_each(|(target, value)| *target = factor * value);
                } else {
                    pairs.for_each(|(target, value)| *target += factor * value);
                }
            }
            Join::Product if place == 0 => pairs.for_each(|(target, value)| *target = value),
            Join::Product => pairs.for_each(|(target, value)| *target *= value),
        }
    }
}

/// Computes the mean or maximum of each channel.
pub(super) fn global(context: &Context, largest: bool, plane: usize, input: &[f32], out: &mut [f32]) {
    let each = |(source, target): (&[f32], &mut f32)| {
        *target = if largest { most(source) } else { context.isa.run(Sum(source)) / plane as f32 };
    };
    let least = (SMALL / plane.max(1)).max(1);
    input.par_chunks_exact(plane.max(1)).zip(out.par_iter_mut()).with_min_len(least).for_each(each);
}

/// Returns the maximum; NaN wins.
pub(super) fn most(values: &[f32]) -> f32 {
    values
        .iter()
        .fold(f32::NEG_INFINITY, |most, &value| if value > most || value.is_nan() { value } else { most })
}

/// A vectorised sum.
pub(super) struct Sum<'a>(pub &'a [f32]);

impl WithSimd for Sum<'_> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        let (vectors, rest) = S::as_simd_f32s(self.0);
        let (fours, ones) = vectors.as_chunks::<4>();
        let mut sums = [simd.splat_f32s(0.0); 4];
        for vectors in fours {
            for (sum, &vector) in sums.iter_mut().zip(vectors) {
                *sum = simd.add_f32s(*sum, vector);
            }
        }
        for &vector in ones {
            sums[0] = simd.add_f32s(sums[0], vector);
        }
        let [a, b, c, d] = sums;
        let all = simd.reduce_sum_f32s(simd.add_f32s(simd.add_f32s(a, b), simd.add_f32s(c, d)));
        rest.iter().fold(all, |sum, &value| sum + value)
    }
}
