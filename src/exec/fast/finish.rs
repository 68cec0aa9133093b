//! What follows a product while its result is still in the cache: bias, a sum with another tensor, an activation.

use super::curves;
use crate::exec::reference::Curve;

/// What is done to each output of a product, in this order.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Finish<'a> {
    /// Added, one value an output channel.
    pub bias: Option<&'a [f32]>,
    /// Added, one value an output element of the whole batch.
    pub add: Option<&'a [f32]>,
    /// Applied at last.
    pub curve: Option<Curve>,
}

impl Finish<'_> {
    /// Finishes the outputs of channel `channel` that begin at element `at` of the output.
    #[inline(always)]
    pub(super) fn row(&self, channel: usize, at: usize, sums: &[f32], out: &mut [f32]) {
        let bias = self.bias.map_or(0.0, |bias| bias[channel]);
        let relu = self.curve == Some(Curve::Relu);
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
            curves::apply(curve, out);
        }
    }

    /// As [`Finish::row`] for neighbouring channels of one position.
    #[inline(always)]
    pub(super) fn across(&self, channel: usize, at: usize, sums: &[f32], out: &mut [f32]) {
        out.copy_from_slice(sums);
        if let Some(bias) = self.bias {
            out.iter_mut().zip(&bias[channel..]).for_each(|(out, &bias)| *out += bias);
        }
        if let Some(add) = self.add {
            out.iter_mut().zip(&add[at..]).for_each(|(out, &other)| *out += other);
        }
        if let Some(curve) = self.curve {
            curves::apply(curve, out);
        }
    }

    /// As [`Finish::row`] for sums that are in their place already.
    #[inline(always)]
    pub(super) fn in_place(&self, channel: usize, at: usize, out: &mut [f32]) {
        if let Some(bias) = self.bias {
            out.iter_mut().for_each(|out| *out += bias[channel]);
        }
        if let Some(add) = self.add {
            out.iter_mut().zip(&add[at..]).for_each(|(out, &other)| *out += other);
        }
        if let Some(curve) = self.curve {
            curves::apply(curve, out);
        }
    }
}
