//! What PyTorch keeps of each layer for its backward pass: the convention `torch`.
//!
//! The rules are those of `tools/autograd/derivatives.yaml`, of the composite functions that call these operators, and
//! of torchvision's deformable convolution, as `torch.autograd.graph.saved_tensors_hooks` shows them (PyTorch 2.15).
//! `docs/training.md` has them as a table. The parameters themselves are not listed: they exist anyway.

use crate::layers::activation::KeptByActivation;
use crate::layers::attention::OPERANDS;
use crate::layers::conv::PaddingMode;
use crate::layers::conv_transpose::ConvTranspose;
use crate::layers::deform_conv::DeformConv;
use crate::layers::dropout::Mask;
use crate::layers::layer_norm::{LayerNorm, NormAxis};
use crate::layers::reduce::Reduction;
use crate::layers::squeeze_excite::SqueezeExcite;
use crate::layers::window::Window;
use crate::layers::{Arithmetic as A, Io, Layer};
use crate::shape::product;

/// A tensor that a layer keeps for its backward pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Saved {
    /// The input with this index, as it is.
    Input(usize),
    /// The input with this index as a matrix with all axes but the last joined: a copy if no view has this form.
    Rows(usize),
    /// The input with this index as a batch of matrices: all axes but the last two joined, after broadcasting to this
    /// many matrices per image. A copy if no view has this form.
    Matrices(usize, u64),
    /// The layer's output.
    Output,
    /// A tensor that only the backward pass needs.
    Own(Own),
}

/// A tensor that only the backward pass needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Own {
    /// What it is, in a few words.
    pub(super) name: &'static str,
    /// Elements for each image.
    pub(super) per_image: u64,
    /// Elements whatever the batch is.
    pub(super) once: u64,
    /// Bytes of an element.
    pub(super) width: Width,
}

/// The bytes of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    /// As the activations.
    Activation,
    /// Single precision, whatever the activations are: statistics.
    Single,
    /// 64-bit indices.
    Index,
}

impl Own {
    fn activation(name: &'static str, per_image: u64) -> Saved {
        Saved::Own(Self { name, per_image, once: 0, width: Width::Activation })
    }

    fn statistics(name: &'static str, per_image: u64, once: u64) -> Saved {
        Saved::Own(Self { name, per_image, once, width: Width::Single })
    }

    fn once(name: &'static str, once: u64) -> Saved {
        Saved::Own(Self { name, per_image: 0, once, width: Width::Activation })
    }
}

/// What of a layer has a gradient.
#[derive(Debug, Clone, Copy)]
pub(super) struct Needs<'a> {
    /// For each input, whether something below it is trained.
    pub(super) inputs: &'a [bool],
    /// Whether its own weights are trained.
    pub(super) weights: bool,
}

impl Needs<'_> {
    /// Returns whether something below input `index` is trained.
    pub(super) fn input(&self, index: usize) -> bool {
        self.inputs.get(index).copied().unwrap_or(false)
    }

    /// Returns whether the layer is part of the backward pass at all.
    pub(super) fn any(&self) -> bool {
        self.weights || self.inputs.contains(&true)
    }
}

/// How attention is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, schemars::JsonSchema)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "snake_case")]
pub enum AttentionKernel {
    /// By separate products and a softmax, which keep the whole matrix of weights
    #[default]
    Math,
    /// By a fused kernel (FlashAttention), which keeps queries, keys, values, the output and one number per query
    Fused,
}

/// Returns what `layer` keeps; empty if nothing below it or in it is trained.
pub(super) fn saved(layer: &Layer, io: Io<'_>, needs: Needs<'_>, attention: AttentionKernel) -> Vec<Saved> {
    if !needs.any() || io.inputs.is_empty() {
        return vec![];
    }
    let input = io.input();
    let channels = input.channels();
    let if_trained = |kept: Saved| if needs.weights { vec![kept] } else { vec![] };
    match layer.arithmetic() {
        A::Conv(conv) => {
            let windows = conv.windows(input.spatial()).unwrap_or_default();
            convolved(conv.padding_mode, &windows, io)
        }
        A::ConvTranspose(ConvTranspose { .. }) => vec![Saved::Input(0)],
        A::DynamicConv(_) => vec![Saved::Input(0), Saved::Input(1)],
        A::DeformConv(layer) => deformed(layer, io),
        A::DeformSample(layer) => {
            // Offsets and a mask that the layer owns are parameters.
            let mut kept: Vec<Saved> = (0..io.inputs.len()).map(Saved::Input).collect();
            if !layer.modulated {
                kept.push(Own::activation("empty mask", 1));
            }
            if !layer.bias {
                kept.push(Own::once("empty bias", layer.out_channels));
            }
            kept
        }
        A::Linear(_) => if_trained(if input.rank() > 1 { Saved::Rows(0) } else { Saved::Input(0) }),
        A::Matmul(_) => {
            let matrices = leading(io.output.sizes());
            let operand =
                |other: usize, own: usize| needs.input(other).then_some(Saved::Matrices(own, matrices));
            operand(1, 0).into_iter().chain(operand(0, 1)).collect()
        }
        A::Attention(_) => attended(io, needs, attention),

        A::MaxPool(_) | A::AdaptiveMaxPool(_) => {
            let indices = io.output.elements().unwrap_or(u64::MAX);
            vec![
                Saved::Input(0),
                Saved::Own(Own { name: "indices", per_image: indices, once: 0, width: Width::Index }),
            ]
        }
        A::GlobalMaxPool(_) => vec![Saved::Input(0), Saved::Output],
        A::AvgPool(_) => vec![Saved::Input(0)],
        // One output per channel is computed as a mean, which keeps sizes only.
        A::AdaptiveAvgPool(_) if io.output.spatial().iter().all(|&size| size == 1) => vec![],
        A::AdaptiveAvgPool(_) => vec![Saved::Input(0)],
        A::GlobalAvgPool(_) => vec![],
        A::Reduce(layer) => match layer.reduction {
            Reduction::Mean | Reduction::Sum => vec![],
            Reduction::Max | Reduction::Min | Reduction::L2 => vec![Saved::Input(0), Saved::Output],
        },

        A::BatchNorm(_) => {
            vec![Saved::Input(0), Own::statistics("mean and deviation", 0, channels.saturating_mul(2))]
        }
        A::InstanceNorm(layer) => {
            // Computed as a batch norm of one image with batch x channels channels: weights are repeated.
            let mut vectors = 2;
            vectors += u64::from(layer.affine);
            vectors += if layer.track_running_stats { 2 } else { 0 };
            let name = "mean, deviation and repeated vectors";
            vec![Saved::Input(0), Own::statistics(name, channels.saturating_mul(vectors), 0)]
        }
        A::GroupNorm(layer) => {
            let statistics = layer.num_groups.saturating_mul(2);
            vec![Saved::Input(0), Own::statistics("mean and deviation", statistics, 0)]
        }
        A::LayerNorm(layer) => {
            let statistics = normalised_sets(layer, io).saturating_mul(2);
            vec![Saved::Input(0), Own::statistics("mean and deviation", statistics, 0)]
        }
        A::LocalResponseNorm(layer) => {
            let elements = input.elements().unwrap_or(u64::MAX);
            let plane = product(input.spatial()).unwrap_or(u64::MAX);
            let padded = plane.saturating_mul(channels.saturating_add(layer.size.saturating_sub(1)));
            vec![
                Saved::Input(0),
                Own::activation("padded squares", padded),
                Own::activation("sums", elements),
                Own::activation("denominators", elements),
            ]
        }

        A::Dropout(layer) if layer.p == 0.0 => vec![],
        A::Dropout(layer) if layer.p >= 1.0 && layer.mask != Mask::Image => vec![Own::once("factor", 1)],
        A::Dropout(layer) => vec![Own::activation("mask", layer.mask_elements(input))],
        A::Pointwise(function) => match function.kept {
            KeptByActivation::Input => vec![Saved::Input(0)],
            KeptByActivation::Output | KeptByActivation::OutputInPlace => vec![Saved::Output],
            KeptByActivation::Nothing => vec![],
        },
        A::Prelu(_) | A::Glu(_) => vec![Saved::Input(0)],
        A::Softmax(_) => vec![Saved::Output],

        A::Pad(layer) => match layer.mode {
            PaddingMode::Reflect | PaddingMode::Replicate => vec![Saved::Input(0)],
            PaddingMode::Zeros | PaddingMode::Circular => vec![],
        },
        A::Gather(layer) => {
            let indices = layer.indices.len() as u64;
            vec![Saved::Own(Own { name: "indices", per_image: 0, once: indices, width: Width::Index })]
        }
        A::Identity(_)
        | A::ChannelShuffle(_)
        | A::PixelShuffle(_)
        | A::PixelUnshuffle(_)
        | A::Upsample(_)
        | A::Crop(_)
        | A::Slice(_)
        | A::Chunk(_)
        | A::Flatten(_)
        | A::Reshape(_)
        | A::Permute(_)
        | A::Add(_)
        | A::Concat(_)
        | A::LearnedBias(_)
        | A::LearnedTokens(_)
        | A::LearnedTensor(_) => vec![],

        A::Multiply(_) => multiplied(io, needs),
        A::Divide(_) => {
            let top = needs.input(1).then_some(Saved::Input(0));
            [Saved::Input(1)].into_iter().chain(top).collect()
        }
        A::LayerScale(_) | A::LearnedScale(_) => if_trained(Saved::Input(0)),
        A::SqueezeExcite(layer) => squeezed(layer, channels),
        A::Opaque(_) => vec![],
    }
}

/// Returns the product of all axes of a matrix but the last two.
fn leading(sizes: &[u64]) -> u64 {
    product(&sizes[..sizes.len().saturating_sub(2)]).unwrap_or(u64::MAX)
}

/// Returns what a convolution keeps: its input, or the padded copy of it where PyTorch pads in an operation of its own.
fn convolved(mode: PaddingMode, windows: &[Window], io: Io<'_>) -> Vec<Saved> {
    let padded = |amount: fn(&Window) -> i64| {
        let sizes = windows.iter().zip(io.input().spatial());
        let sizes = sizes.map(|(window, &size)| size.saturating_add_signed(amount(window)));
        sizes.fold(io.input().channels(), u64::saturating_mul)
    };
    let whole =
        || Own::activation("padded input", padded(|window| window.before.saturating_add(window.after)));
    match mode {
        // The operator pads both sides alike; what one side has more is added before.
        PaddingMode::Zeros if windows.iter().any(|window| window.before != window.after) => {
            vec![Own::activation(
                "padded input",
                padded(|window| window.before.abs_diff(window.after) as i64),
            )]
        }
        PaddingMode::Zeros => vec![Saved::Input(0)],
        _ if windows.iter().all(|window| window.before == 0 && window.after == 0) => vec![Saved::Input(0)],
        PaddingMode::Circular => vec![whole()],
        PaddingMode::Reflect | PaddingMode::Replicate => vec![Saved::Input(0), whole()],
    }
}

/// Returns what a deformable convolution with its own offset convolution keeps.
fn deformed(layer: &DeformConv, io: Io<'_>) -> Vec<Saved> {
    let positions = product(io.output.spatial()).unwrap_or(u64::MAX);
    let kernel = layer.kernel.resolve(2, "kernel", 1).ok().and_then(|kernel| product(&kernel));
    let planes = kernel.unwrap_or(u64::MAX).saturating_mul(layer.offset_groups).saturating_mul(positions);
    let mut kept = vec![Saved::Input(0)];
    if layer.modulated {
        // The split leaves views of one tensor, offsets and mask; the mask's sigmoid is a tensor of its own.
        kept.push(Own::activation("offsets", planes.saturating_mul(3)));
        kept.push(Own::activation("mask", planes));
    } else {
        kept.push(Own::activation("offsets", planes.saturating_mul(2)));
        kept.push(Own::activation("empty mask", 1));
    }
    if !layer.bias {
        kept.push(Own::once("empty bias", layer.out_channels));
    }
    kept
}

/// Returns what attention keeps.
fn attended(io: Io<'_>, needs: Needs<'_>, kernel: AttentionKernel) -> Vec<Saved> {
    let last = |index: usize| io.inputs[index].sizes().last().copied().unwrap_or(1);
    let rows = |sizes: &[u64]| product(&sizes[..sizes.len().saturating_sub(1)]).unwrap_or(u64::MAX);
    let output = io.output.sizes();
    let matrices = leading(output);
    let queries = rows(output);
    let keys = io.inputs[1].sizes().iter().rev().nth(1).copied().unwrap_or(1);
    let [query, key, value] = [0, 1, 2].map(|index| needs.input(index));
    if kernel == AttentionKernel::Fused {
        let operands = (0..OPERANDS).map(Saved::Input);
        return operands
            .chain([Saved::Output, Own::statistics("sums of exponentials", queries, 0)])
            .collect();
    }
    let terms = (OPERANDS..io.inputs.len()).any(|index| needs.input(index));
    let scores = query || key || terms || needs.weights;
    let mut kept = vec![];
    if query {
        kept.push(Own::activation("scaled keys", matrices.saturating_mul(keys).saturating_mul(last(1))));
    }
    if key {
        kept.push(Own::activation("scaled queries", queries.saturating_mul(last(0))));
    }
    if scores || value {
        kept.push(Own::activation("attention weights", queries.saturating_mul(keys)));
    }
    if scores {
        kept.push(Saved::Matrices(2, matrices));
    }
    kept
}

/// Returns the number of sets with a mean and a deviation of their own, per image.
fn normalised_sets(layer: &LayerNorm, io: Io<'_>) -> u64 {
    let sizes = io.input().sizes();
    let set = match layer.axis {
        NormAxis::Channels if sizes.len() > 1 => io.input().channels(),
        NormAxis::Channels | NormAxis::Last => sizes.last().copied().unwrap_or(1),
        NormAxis::Space => product(io.input().spatial()).unwrap_or(u64::MAX),
        NormAxis::All => return 1,
    };
    io.input().elements().unwrap_or(u64::MAX) / set.max(1)
}

/// Returns what a product keeps: each factor that another, trained one is multiplied by. More than two factors are
/// multiplied from left to right.
fn multiplied(io: Io<'_>, needs: Needs<'_>) -> Vec<Saved> {
    let mut kept = vec![];
    let mut sizes = io.input().sizes().to_vec();
    let mut trained = needs.input(0);
    for (index, factor) in io.inputs.iter().enumerate().skip(1) {
        if trained {
            kept.push(Saved::Input(index));
        }
        if needs.input(index) {
            let partial = || Own::activation("partial product", product(&sizes).unwrap_or(u64::MAX));
            kept.push(if index == 1 { Saved::Input(0) } else { partial() });
        }
        trained |= needs.input(index);
        for (size, other) in sizes.iter_mut().zip(factor.sizes()) {
            *size = (*size).max(*other);
        }
    }
    kept
}

/// Returns what squeeze-and-excitation keeps, written as mean, 1x1 convolution, activation, 1x1 convolution, gate and
/// product.
fn squeezed(layer: &SqueezeExcite, channels: u64) -> Vec<Saved> {
    let inner = layer.inner(channels).unwrap_or(u64::MAX);
    let mut kept = vec![
        Saved::Input(0),
        Own::activation("means", channels),
        Own::activation("inner activations", inner),
    ];
    if layer.activation.pointwise().kept == KeptByActivation::Input {
        kept.push(Own::activation("inner values", inner));
    }
    if layer.gate.pointwise().kept == KeptByActivation::Input {
        kept.push(Own::activation("gate values", channels));
    }
    kept.push(Own::activation("gates", channels));
    kept
}
