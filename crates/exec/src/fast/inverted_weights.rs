//! Weights of the convolutions of an inverted residual, and what follows each of the first two.

use super::blocked::Matrix;
use super::epilogue::straight;
use crate::tensor::Tensor;
use cnnkit_core::layers::activation::Activation;

/// The weights of a convolution, `[outputs, inputs, ...]`, with what is folded into them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weights<'a> {
    pub tensor: &'a Tensor<f32>,
    /// One factor per output channel.
    pub scale: Option<&'a [f32]>,
}

impl Weights<'_> {
    /// Returns the elements of one output channel.
    pub(super) fn depth(self) -> usize {
        self.tensor.len() / self.tensor.sizes()[0].max(1)
    }

    /// Returns element `k` of output channel `row`.
    pub(super) fn at(self, row: usize, k: usize) -> f32 {
        let weight = self.tensor.data()[row * self.depth() + k];
        self.scale.map_or(weight, |scale| weight * scale[row])
    }

    /// Packs them for `depth` inputs of which the last may not exist.
    pub(super) fn packed(self, lanes: usize, depth: Option<usize>) -> Matrix {
        let own = self.depth();
        Matrix::new(lanes, self.tensor.sizes()[0], depth.unwrap_or(own), |row, k| {
            if k < own { self.at(row, k) } else { 0.0 }
        })
    }
}

/// What follows one of the first two convolutions.
#[derive(Debug)]
pub(super) struct Stage {
    /// One value per channel, up to whole vectors.
    pub bias: Vec<f32>,
    pub curve: Option<Activation>,
}

impl Stage {
    /// Returns it for `channels` channels of which the last may not exist.
    pub(super) fn whole(mut self, channels: usize) -> Self {
        self.bias.resize(channels, 0.0);
        self
    }

    /// Returns the activation as part of storing a vector, or what is left to do afterwards.
    pub(super) fn split(&self) -> (Option<Activation>, Option<Activation>) {
        let fits = straight(self.curve);
        (self.curve.filter(|_| fits), self.curve.filter(|_| !fits))
    }
}
