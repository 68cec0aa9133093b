//! Squeeze and excitation: the channel means pass through two small linear maps and become factors of the channels.

use std::sync::Arc;

use super::Context;
use super::elementwise::{Join, Joining, global};
use super::epilogue::Finish;
use super::linear::Linear;
use crate::tensor::Tensor;
use cnnkit_core::layers::activation::Activation;

/// The layer, prepared.
#[derive(Debug)]
pub(super) struct Gates {
    pub plane: usize,
    pub first: Linear,
    pub first_bias: Option<Arc<Tensor<f32>>>,
    pub activation: Activation,
    pub second: Linear,
    pub second_bias: Option<Arc<Tensor<f32>>>,
    pub gate: Activation,
}

impl Gates {
    /// Returns the multiply-adds of one image.
    pub(super) fn macs(&self) -> u64 {
        [&self.first, &self.second].map(|map| map.features as u64 * map.outputs as u64).iter().sum()
    }

    /// Replaces the means of the channels by their gates.
    pub(super) fn factors(&self, context: &Context, means: &mut [f32]) {
        let batch = means.len() / self.second.outputs.max(1);
        let mut inner = vec![0.0; batch * self.first.outputs];
        let bias = |bias: &Option<Arc<Tensor<f32>>>| bias.clone();
        let (first, second) = (bias(&self.first_bias), bias(&self.second_bias));
        let finish = Finish { bias: first.as_ref().map(|bias| bias.data()), ..Finish::default() };
        self.first.run(context, means, &mut inner, finish);
        context.activate(Some(self.activation), &mut inner);
        let finish = Finish { bias: second.as_ref().map(|bias| bias.data()), ..Finish::default() };
        self.second.run(context, &inner, means, finish);
        context.activate(Some(self.gate), means);
    }

    pub(super) fn run(&self, context: &Context, input: &[f32], out: &mut [f32]) {
        let channels = self.second.outputs;
        let batch = input.len() / (channels * self.plane).max(1);
        let mut means = vec![0.0; batch * channels];
        global(context, false, self.plane, input, &mut means);
        self.factors(context, &mut means);
        let repeats = vec![1, self.plane];
        Joining { join: Join::Product, repeats, curve: None }.run(context, &[input, &means], out);
    }
}
