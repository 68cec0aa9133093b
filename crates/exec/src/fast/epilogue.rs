//! The epilogue of a product, applied while its result is in the cache: bias, sum with another tensor, activation.

use pulp::Simd;

use super::Context;
use super::activations;
use super::isa::WIDEST;
use super::microkernel::VECTORS;
use super::padded_input::copy;
use cnnkit_core::layers::activation::Activation;

/// The operations on each output of a product, in this order.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Finish<'a> {
    /// Added: one value per output channel.
    pub bias: Option<&'a [f32]>,
    /// Added: one value per output element of the whole batch.
    pub add: Option<&'a [f32]>,
    /// Applied last.
    pub curve: Option<Activation>,
}

/// Computes ReLU, with or without a limit, which takes few vector instructions; other activations are not
/// supported here.
#[inline(always)]
pub(super) fn clipped<S: Simd>(simd: S, curve: Option<Activation>, value: S::f32s) -> S::f32s {
    let zero = simd.splat_f32s(0.0);
    let mut value = value;
    // Comparisons as in the reference: NaN stays NaN.
    if curve.is_some() {
        value = simd.select_f32s(simd.less_than_or_equal_f32s(value, zero), zero, value);
    }
    if let Some(Activation::BoundedRamp(limit)) = curve {
        #[expect(clippy::cast_possible_truncation, reason = "as the definition does in f32")]
        let limit = simd.splat_f32s(limit as f32);
        value = simd.select_f32s(simd.greater_than_or_equal_f32s(value, limit), limit, value);
    }
    value
}

/// Returns whether an activation takes only a few vector instructions: see [`clipped`].
pub(super) fn straight(curve: Option<Activation>) -> bool {
    matches!(curve, None | Some(Activation::Ramp | Activation::BoundedRamp(_)))
}

/// Maximum number of elements of a tile row.
const ROW: usize = VECTORS * WIDEST;

impl Finish<'_> {
    /// Applies the epilogue to a tile row and stores it: `out.len()` outputs of channel `channel` from output element
    /// `at` on.
    #[inline(always)]
    pub(super) fn vectors<S: Simd>(
        &self,
        simd: S,
        channel: usize,
        at: usize,
        sums: &[S::f32s],
        out: &mut [f32],
    ) {
        let (vectors, rest) = S::as_mut_simd_f32s(out);
        if !rest.is_empty() || vectors.len() != sums.len() {
            let mut row = [0.0; ROW];
            for (to, &sum) in S::as_mut_simd_f32s(&mut row).0.iter_mut().zip(sums) {
                *to = sum;
            }
            self.row(simd, channel, at, &row, out);
            return;
        }
        let straight = straight(self.curve);
        let clip = self.curve.filter(|_| straight);
        let bias = simd.splat_f32s(self.bias.map_or(0.0, |bias| bias[channel]));
        let add = self.add.map(|add| S::as_simd_f32s(&add[at..]).0);
        for (i, (out, &sum)) in vectors.iter_mut().zip(sums).enumerate() {
            let mut value = simd.add_f32s(sum, bias);
            if let Some(add) = add {
                value = simd.add_f32s(value, add[i]);
            }
            *out = clipped(simd, clip, value);
        }
        if let Some(curve) = self.curve.filter(|_| !straight) {
            activations::apply(simd, curve, out);
        }
    }

    /// Applies the epilogue to the outputs of channel `channel` that begin at output element `at`.
    #[inline(always)]
    pub(super) fn row<S: Simd>(&self, simd: S, channel: usize, at: usize, sums: &[f32], out: &mut [f32]) {
        let bias = self.bias.map_or(0.0, |bias| bias[channel]);
        let relu = self.curve == Some(Activation::Ramp);
        match self.add {
            None if relu => {
                for (out, &sum) in out.iter_mut().zip(sums) {
                    let value = sum + bias;
                    *out = if value <= 0.0 { 0.0 } else { value };
                }
                return;
            }
            None => {
                for (out, &sum) in out.iter_mut().zip(sums) {
                    *out = sum + bias;
                }
            }
            Some(add) => {
                let add = &add[at..at + out.len()];
                for ((out, &sum), &other) in out.iter_mut().zip(sums).zip(add) {
                    *out = sum + bias + other;
                }
            }
        }
        if let Some(curve) = self.curve {
            activations::apply(simd, curve, out);
        }
    }

    /// As [`Finish::row`], for neighbouring channels of one position.
    #[inline(always)]
    pub(super) fn across<S: Simd>(
        &self,
        simd: S,
        channel: usize,
        at: usize,
        sums: &[S::f32s],
        out: &mut [f32],
    ) {
        let others = [self.bias.map(|bias| &bias[channel..]), self.add.map(|add| &add[at..])];
        let (vectors, rest) = S::as_mut_simd_f32s(out);
        if rest.is_empty() && vectors.len() == sums.len() {
            vectors.copy_from_slice(sums);
            for other in others.into_iter().flatten() {
                let other = S::as_simd_f32s(other).0;
                vectors.iter_mut().zip(other).for_each(|(to, &other)| *to = simd.add_f32s(*to, other));
            }
        } else {
            let mut row = [0.0; ROW];
            S::as_mut_simd_f32s(&mut row).0[..sums.len()].copy_from_slice(sums);
            out.copy_from_slice(&row[..out.len()]);
            for other in others.into_iter().flatten() {
                out.iter_mut().zip(other).for_each(|(to, &other)| *to += other);
            }
        }
        if let Some(curve) = self.curve {
            activations::apply(simd, curve, out);
        }
    }

    /// As [`Finish::row`], for sums that are already stored.
    pub(super) fn in_place(&self, context: &Context, channel: usize, at: usize, out: &mut [f32]) {
        if let Some(bias) = self.bias {
            out.iter_mut().for_each(|out| *out += bias[channel]);
        }
        if let Some(add) = self.add {
            out.iter_mut().zip(&add[at..]).for_each(|(out, &other)| *out += other);
        }
        context.activate(self.curve, out);
    }
}

/// The epilogue of one channel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Channel<'a> {
    pub bias: f32,
    /// The tensor to add, from the channel's first output on.
    pub add: Option<&'a [f32]>,
    pub curve: Option<Activation>,
}

impl<'a> Finish<'a> {
    /// Returns the epilogue of channel `channel`, which begins at output element `at`.
    #[inline(always)]
    pub(super) fn of(&self, channel: usize, at: usize) -> Channel<'a> {
        Channel {
            bias: self.bias.map_or(0.0, |bias| bias[channel]),
            add: self.add.map(|add| &add[at..]),
            curve: self.curve,
        }
    }
}

impl Channel<'_> {
    /// Returns whether its activation takes only a few vector instructions.
    #[inline(always)]
    pub(super) fn straight(&self) -> bool {
        straight(self.curve)
    }

    /// Completes outputs from the channel's `at`-th on that already have their bias, and, if nothing is added and the
    /// epilogue is [straight](Self::straight), their activation. Does so only if the epilogue is straight; otherwise
    /// [`last`](Self::last) completes the outputs.
    #[inline(always)]
    pub(super) fn straight_rest<S: Simd>(&self, simd: S, at: usize, sums: &[f32], out: &mut [f32]) {
        copy(out, sums);
        if self.add.is_some() && self.straight() {
            self.from(simd, at, out);
        }
    }

    /// Adds the other tensor to all outputs of the channel and applies the activation.
    #[inline(always)]
    pub(super) fn last<S: Simd>(&self, simd: S, out: &mut [f32]) {
        self.from(simd, 0, out);
    }

    #[inline(always)]
    fn from<S: Simd>(&self, simd: S, at: usize, out: &mut [f32]) {
        if let Some(add) = self.add {
            out.iter_mut().zip(&add[at..]).for_each(|(out, &other)| *out += other);
        }
        if let Some(curve) = self.curve {
            activations::apply(simd, curve, out);
        }
    }
}
