//! Squeeze and excitation of a map in blocks of channels.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::Context;
use super::isa::Isa;
use super::squeeze_excite::Gates;

/// Elements that are worth waking a thread.
const LEAST: usize = 65_536;

/// Multiplies each of `channels` channels of a map in blocks of one vector of `isa`, `block` elements each, by its gate.
pub(super) fn apply(
    (context, isa): (&Context, Isa),
    gates: &Gates,
    (map, block): (&mut [f32], usize),
    channels: usize,
) {
    let lanes = isa.lanes();
    let mut means = vec![0.0; channels.div_ceil(lanes) * lanes];
    let least = (LEAST / block.max(1)).max(1);
    let blocks = map.par_chunks_exact(block.max(1)).with_min_len(least);
    blocks.zip(means.par_chunks_exact_mut(lanes)).for_each(|(map, means)| isa.run(Means { map, means }));
    gates.factors(context, &mut means[..channels]);
    let blocks = map.par_chunks_exact_mut(block.max(1)).with_min_len(least);
    blocks.zip(means.par_chunks_exact(lanes)).for_each(|(map, gates)| isa.run(Scaled { map, gates }));
}

/// The mean of each channel of a block.
struct Means<'a> {
    map: &'a [f32],
    means: &'a mut [f32],
}

impl WithSimd for Means<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let vectors = S::as_simd_f32s(self.map).0;
        let (fours, rest) = vectors.as_chunks::<4>();
        let mut sums = [simd.splat_f32s(0.0); 4];
        for four in fours {
            sums.iter_mut().zip(four).for_each(|(sum, &value)| *sum = simd.add_f32s(*sum, value));
        }
        sums.iter_mut().zip(rest).for_each(|(sum, &value)| *sum = simd.add_f32s(*sum, value));
        let [a, b, c, d] = sums;
        let sum = simd.add_f32s(simd.add_f32s(a, b), simd.add_f32s(c, d));
        let count = simd.splat_f32s(vectors.len() as f32);
        S::as_mut_simd_f32s(self.means).0[0] = simd.div_f32s(sum, count);
    }
}

/// A block whose channels are multiplied by one factor each.
struct Scaled<'a> {
    map: &'a mut [f32],
    gates: &'a [f32],
}

impl WithSimd for Scaled<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let gate = S::as_simd_f32s(self.gates).0[0];
        for value in S::as_mut_simd_f32s(self.map).0 {
            *value = simd.mul_f32s(*value, gate);
        }
    }
}
