//! What our own gradients read of each layer's inputs: the convention `cnnkit`.
//!
//! `tests/exec/training.rs` compares it with the executor, whose gradients must change if and only if a tensor that is
//! listed here does. Our gradients recompute what a layer computes inside, so they read inputs only; and they are those
//! of the network as it runs, with the stored statistics of a batch norm.

use crate::layers::activation::Activation;
use crate::layers::attention::OPERANDS;
use crate::layers::reduce::Reduction;
use crate::layers::{Arithmetic as A, Layer, WeightRole};

/// What a gradient is taken with respect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The input with this index.
    Input(usize),
    /// The layer's own weights.
    Weights,
}

/// Returns the indices of the inputs, out of `inputs`, that the gradient of `layer` with respect to `target` reads.
pub fn reads(layer: &Layer, inputs: usize, target: Target) -> Vec<usize> {
    let nothing = Vec::new;
    let first = || vec![0];
    let all = || (0..inputs).collect::<Vec<_>>();
    let to_weights = |to_input: Vec<usize>| if target == Target::Weights { vec![0] } else { to_input };
    match layer.arithmetic() {
        A::Conv(_) | A::ConvTranspose(_) | A::Linear(_) => to_weights(nothing()),
        A::DynamicConv(_) | A::Matmul(_) => match target {
            Target::Input(0) => vec![1],
            Target::Input(_) => first(),
            Target::Weights => nothing(),
        },
        // The samples, and with them all gradients, depend on where the offsets point.
        A::DeformConv(_) => first(),
        A::DeformSample(_) => match target {
            Target::Input(0) => (1..inputs).collect(),
            Target::Input(2) => vec![0, 1],
            Target::Input(_) | Target::Weights => all(),
        },
        A::Attention(_) => match target {
            // The values are weighted sums: their gradient reads the weights alone.
            Target::Input(2) => all().into_iter().filter(|&index| index != 2).collect(),
            Target::Input(index) if index >= OPERANDS => all(),
            Target::Input(_) | Target::Weights => all(),
        },

        A::MaxPool(_) | A::AdaptiveMaxPool(_) | A::GlobalMaxPool(_) => first(),
        A::AvgPool(_) | A::AdaptiveAvgPool(_) | A::GlobalAvgPool(_) => nothing(),
        A::Reduce(layer) => match layer.reduction {
            Reduction::Mean | Reduction::Sum => nothing(),
            Reduction::Max | Reduction::Min | Reduction::L2 => first(),
        },

        A::BatchNorm(_) => to_weights(nothing()),
        A::InstanceNorm(layer) if layer.track_running_stats => to_weights(nothing()),
        A::InstanceNorm(_) | A::GroupNorm(_) | A::LayerNorm(_) => first(),
        A::LocalResponseNorm(_) => first(),

        A::Pointwise(function) => match function.activation {
            Activation::Affine { .. } => nothing(),
            Activation::Ramp
            | Activation::BoundedRamp(_)
            | Activation::Kinked(_)
            | Activation::Square
            | Activation::Clamp(..)
            | Activation::Exponential { .. }
            | Activation::Real(..) => first(),
        },
        A::Prelu(_) | A::Softmax(_) | A::Glu(_) => first(),

        A::Identity(_)
        | A::Dropout(_)
        | A::ChannelShuffle(_)
        | A::PixelShuffle(_)
        | A::PixelUnshuffle(_)
        | A::Upsample(_)
        | A::Pad(_)
        | A::Crop(_)
        | A::Slice(_)
        | A::Gather(_)
        | A::Chunk(_)
        | A::Flatten(_)
        | A::Reshape(_)
        | A::Permute(_)
        | A::Concat(_)
        | A::Add(_)
        | A::LearnedBias(_)
        | A::LearnedTokens(_)
        | A::LearnedTensor(_)
        | A::Opaque(_) => nothing(),

        A::Multiply(_) => match target {
            Target::Input(index) => (0..inputs).filter(|&other| other != index).collect(),
            Target::Weights => nothing(),
        },
        A::Divide(_) => match target {
            Target::Input(0) => vec![1],
            Target::Input(_) => all(),
            Target::Weights => nothing(),
        },
        A::LayerScale(_) | A::LearnedScale(_) => to_weights(nothing()),
        A::SqueezeExcite(_) => first(),
    }
}

/// Returns whether a weight with this role can be trained.
pub(super) fn trainable(role: WeightRole) -> bool {
    role == WeightRole::Parameter
}
