//! What other counters print for the same network, because users first ask why their tool prints a different number.
//!
//! Every rule was measured by running the tool on single layers and on torchvision's networks (`tests/data/peers`):
//! fvcore 0.1.5, thop 0.1.1, ptflops 0.7.5, torchinfo 1.8.0, and the counter of torchvision's own tests, with PyTorch
//! 2.2. A tool's mistakes are reproduced on purpose. Layers that a tool does not detect count 0.

use crate::analysis::totals;
use crate::diagnostic::{Code, Problem};
use crate::graph::{Graph, Node, Op};
use crate::layers::args::Padding;
use crate::layers::conv::PaddingMode;
use crate::layers::layer_norm::NormAxis;
use crate::layers::softmax::{Softmax, SoftmaxAxis};
use crate::layers::upsample::Interpolation;
use crate::layers::{Arithmetic as A, Layer, Weight, WeightRole};
use crate::shape::{Shape, product};

/// The counter whose convention applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "snake_case")]
pub enum Convention {
    /// fvcore 0.1.5: its "flops" are MACs, plus norms, adaptive pools and resizing
    Fvcore,
    /// thop 0.1.1: "MACs" with norms, pools and softmax; transposed convolutions by their output
    Thop,
    /// ptflops 0.7.5: "MACs" with biases, norms, activations and pools
    Ptflops,
    /// torchinfo 1.8.0: "mult-adds", parameters times output positions
    Torchinfo,
    /// torchvision's documented `_ops`: convolutions and linear maps
    Torchvision,
    /// Papers (ResNet, MobileNet): multiply-adds of convolutions and linear maps
    Paper,
}

impl Convention {
    /// Returns the tool's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fvcore => "fvcore",
            Self::Thop => "thop",
            Self::Ptflops => "ptflops",
            Self::Torchinfo => "torchinfo",
            Self::Torchvision => "torchvision",
            Self::Paper => "paper",
        }
    }

    /// Returns the tool's name for its unit, and what the unit means.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Fvcore => "flops (1 for a multiply-accumulate)",
            Self::Thop | Self::Ptflops => "MACs (with other operations among them)",
            Self::Torchinfo => "mult-adds",
            Self::Torchvision => "GFLOPS (multiply-accumulates)",
            Self::Paper => "multiply-adds",
        }
    }

    /// Returns the tool's count for `node`, one image; an error if the count exceeds 64 bits or is not known
    /// for this layer.
    pub fn count(self, graph: &Graph, node: &Node) -> Result<u64, Problem> {
        let Op::Layer(layer) = &node.op else { return Ok(0) };
        let inputs = graph.input_shapes(node);
        let Some(input) = inputs.first() else { return Ok(0) };
        let seen = Seen { layer, input, output: &node.shape, weights: &node.weights, macs: node.cost.macs };
        match self {
            Self::Paper => Ok(seen.macs),
            Self::Torchvision => seen.without_sampled_taps(),
            Self::Fvcore => seen.fvcore(),
            Self::Thop => seen.thop(),
            Self::Ptflops => seen.ptflops(),
            Self::Torchinfo => seen.torchinfo(),
        }
    }

    /// Returns the tool's count for the network, one image; errors as for [`count`](Self::count).
    pub fn total(self, graph: &Graph) -> Result<u64, Problem> {
        graph.nodes.iter().try_fold(0u64, |sum, node| {
            sum.checked_add(self.count(graph, node)?).ok_or_else(|| Problem::overflow("the total"))
        })
    }

    /// Returns the kinds of layers for which its count differs from our MACs, as (kind, ours, theirs).
    pub fn differences(self, graph: &Graph) -> Result<Vec<(&'static str, u64, u64)>, Problem> {
        let mut kinds: Vec<(&'static str, u64, u64)> = Vec::new();
        for node in &graph.nodes {
            let (ours, theirs) = (totals::of_node(node).macs, self.count(graph, node)?);
            match kinds.iter_mut().find(|(kind, _, _)| *kind == node.op.name()) {
                Some((_, sum, other)) => {
                    (*sum, *other) = (sum.saturating_add(ours), other.saturating_add(theirs));
                }
                None => kinds.push((node.op.name(), ours, theirs)),
            }
        }
        kinds.retain(|(_, ours, theirs)| ours != theirs);
        kinds.sort_by_key(|&(_, ours, theirs)| std::cmp::Reverse(ours.abs_diff(theirs)));
        Ok(kinds)
    }
}

/// One use of a layer.
struct Seen<'a> {
    layer: &'a Layer,
    input: &'a Shape,
    output: &'a Shape,
    weights: &'a [Weight],
    macs: u64,
}

fn times(factors: &[u64]) -> Result<u64, Problem> {
    product(factors).ok_or_else(|| Problem::overflow("the count"))
}

impl Seen<'_> {
    fn inputs(&self) -> Result<u64, Problem> {
        self.input.elements()
    }

    fn outputs(&self) -> Result<u64, Problem> {
        self.output.elements()
    }

    fn weight(&self, name: &str) -> Option<&Weight> {
        self.weights.iter().find(|weight| weight.name == name)
    }

    fn has(&self, name: &str) -> bool {
        self.weight(name).is_some()
    }

    fn params(&self) -> Result<u64, Problem> {
        self.weights
            .iter()
            .filter(|weight| weight.role == WeightRole::Parameter)
            .try_fold(0u64, |sum, weight| Ok(sum + weight.shape.elements()?))
    }

    fn positions(&self) -> Result<u64, Problem> {
        times(self.output.spatial())
    }

    /// Returns whether there are two spatial axes: some of fvcore's rules apply to images only.
    fn image(&self) -> bool {
        self.input.rank() == 3
    }

    /// Returns our MACs without the main part of a deformable convolution, which these tools do not count.
    fn without_sampled_taps(&self) -> Result<u64, Problem> {
        match (self.layer, self.weight("weight")) {
            (Layer::DeformConv(_), Some(weight)) => {
                let taps = times(&weight.shape.sizes()[1..])?;
                Ok(self.macs.saturating_sub(times(&[self.outputs()?, taps])?))
            }
            _ => Ok(self.macs),
        }
    }

    fn fvcore(&self) -> Result<u64, Problem> {
        match self.layer.arithmetic() {
            // `aten::_convolution_mode` is not in its table: with `padding="same"` the layer is 0.
            A::Conv(conv)
                if conv.padding == Padding::Same
                    && conv.padding_mode == PaddingMode::Zeros
                    && conv.stride.is(1) =>
            {
                Ok(0)
            }
            A::BatchNorm(_) => times(&[self.inputs()?, if self.has("weight") { 2 } else { 1 }]),
            A::LayerNorm(_) | A::GroupNorm(_) | A::InstanceNorm(_) => {
                times(&[self.inputs()?, if self.has("weight") { 5 } else { 4 }])
            }
            // None of these tools supports PyTorch's fused function.
            A::Attention(_) => Ok(0),
            A::AdaptiveAvgPool(_) | A::GlobalAvgPool(_) if self.image() => self.inputs(),
            A::SqueezeExcite(_) if self.image() => Ok(self.macs + self.inputs()?),
            A::Upsample(resize) if self.image() => {
                let each = match resize.mode {
                    Interpolation::Nearest => 1,
                    Interpolation::Linear | Interpolation::Bilinear | Interpolation::Trilinear => 4,
                    // The tool has no handler for it.
                    Interpolation::Bicubic => 0,
                };
                times(&[self.outputs()?, each])
            }
            #[rustfmt::skip]
            A::Pointwise(_) | A::Conv(_) | A::ConvTranspose(_) | A::DeformConv(_) | A::DeformSample(_)
            | A::Linear(_) | A::DynamicConv(_) | A::Matmul(_) | A::MaxPool(_) | A::AvgPool(_) | A::AdaptiveAvgPool(_)
            | A::AdaptiveMaxPool(_) | A::GlobalAvgPool(_) | A::GlobalMaxPool(_) | A::Reduce(_)
            | A::LocalResponseNorm(_) | A::Dropout(_) | A::Prelu(_) | A::Softmax(_) | A::Glu(_)
            | A::Identity(_) | A::ChannelShuffle(_) | A::PixelShuffle(_) | A::PixelUnshuffle(_)
            | A::Upsample(_) | A::Pad(_) | A::Crop(_) | A::Slice(_) | A::Gather(_) | A::Chunk(_)
            | A::Flatten(_) | A::Reshape(_) | A::Permute(_) | A::Add(_) | A::Multiply(_) | A::Divide(_)
            | A::Concat(_) | A::LayerScale(_) | A::LearnedScale(_) | A::LearnedBias(_)
            | A::LearnedTokens(_) | A::LearnedTensor(_) | A::SqueezeExcite(_) | A::Opaque(_) => self.without_sampled_taps(),
        }
    }

    fn thop(&self) -> Result<u64, Problem> {
        match self.layer.arithmetic() {
            // Output elements times taps, as for an ordinary convolution: too many by the product of the strides.
            A::ConvTranspose(_) => {
                let Some(weight) = self.weight("weight") else { return Ok(0) };
                // The weight is [in, out / groups, kernel...]; each output is charged with in / groups of it.
                let groups = self.output.channels() / weight.shape.sizes()[1].max(1);
                let taps = times(&weight.shape.sizes()[2..])?;
                times(&[self.outputs()?, self.input.channels() / groups.max(1), taps])
            }
            A::BatchNorm(_) | A::InstanceNorm(_) => {
                times(&[self.inputs()?, if self.has("weight") { 4 } else { 2 }])
            }
            // PyTorch computes a norm over the channels of an image by a function call, which the tool does not
            // detect.
            A::LayerNorm(_) if self.channel_norm() => Ok(0),
            A::LayerNorm(_) => times(&[self.inputs()?, if self.has("weight") { 4 } else { 2 }]),
            // The tool does not detect function calls.
            A::Attention(_) | A::DynamicConv(_) | A::Matmul(_) => Ok(0),
            A::Prelu(_) => self.inputs(),
            A::AvgPool(_) => self.outputs(),
            A::AdaptiveAvgPool(_) | A::GlobalAvgPool(_) => Ok(self.inputs()? + self.outputs()?),
            A::SqueezeExcite(_) => Ok(self.macs + self.inputs()? + self.input.channels()),
            A::Softmax(softmax) => {
                let over = self.softmax_size(softmax)?;
                times(&[self.inputs()? / over.max(1), 3 * over - 1])
            }
            A::Upsample(resize) => {
                let per_output = match (resize.mode, self.input.rank()) {
                    (Interpolation::Nearest, _) => 1,
                    (Interpolation::Bicubic, _) => 259,
                    (_, 2) => 5,
                    (_, 3) => 11,
                    (_, _) => 0,
                };
                times(&[self.outputs()?, per_output])
            }
            #[rustfmt::skip]
            A::Pointwise(_) | A::Conv(_) | A::DeformConv(_) | A::DeformSample(_) | A::Linear(_)
            | A::MaxPool(_) | A::AdaptiveMaxPool(_) | A::GlobalMaxPool(_) | A::Reduce(_)
            | A::GroupNorm(_) | A::LocalResponseNorm(_) | A::Dropout(_) | A::Glu(_) | A::Identity(_)
            | A::ChannelShuffle(_) | A::PixelShuffle(_) | A::PixelUnshuffle(_) | A::Pad(_) | A::Crop(_)
            | A::Slice(_) | A::Gather(_) | A::Chunk(_) | A::Flatten(_) | A::Reshape(_) | A::Permute(_)
            | A::Add(_) | A::Multiply(_) | A::Divide(_) | A::Concat(_) | A::LayerScale(_)
            | A::LearnedScale(_) | A::LearnedBias(_) | A::LearnedTokens(_) | A::LearnedTensor(_)
            | A::Opaque(_) => self.without_sampled_taps(),
        }
    }

    /// Returns whether a layer norm runs over the channels of a map, not over a last axis.
    fn channel_norm(&self) -> bool {
        self.input.rank() > 1
            && matches!(self.layer, Layer::LayerNorm(norm) if norm.axis == NormAxis::Channels)
    }

    /// Returns the elements that one softmax runs over.
    fn softmax_size(&self, softmax: &Softmax) -> Result<u64, Problem> {
        match softmax.axis {
            SoftmaxAxis::Space => times(self.input.spatial()),
            SoftmaxAxis::Last => Ok(self.input.sizes().last().copied().unwrap_or(1)),
            SoftmaxAxis::Channels => Ok(self.input.channels()),
        }
    }

    fn ptflops(&self) -> Result<u64, Problem> {
        let bias = |name: &str, count: u64| if self.has(name) { count } else { 0 };
        match self.layer.arithmetic() {
            A::Conv(_) | A::ConvTranspose(_) | A::Linear(_) => Ok(self.macs + bias("bias", self.outputs()?)),
            A::Attention(_) => Ok(0),
            // 24 operations per sampled position (25 with a mask), and all biases.
            A::DeformConv(deform) => {
                let Some(weight) = self.weight("weight") else { return Ok(self.macs) };
                let taps = times(&weight.shape.sizes()[2..])?;
                let each = if deform.modulated { 25 } else { 24 };
                let offset = self.weight("offset.weight").map_or(0, |weight| weight.shape.sizes()[0]);
                let sampling = times(&[self.positions()?, taps, each])?;
                let offset_bias = bias("offset.bias", times(&[offset, self.positions()?])?);
                Ok(self.macs + bias("bias", self.outputs()?) + offset_bias + sampling)
            }
            A::BatchNorm(_) | A::GroupNorm(_) | A::InstanceNorm(_) => {
                times(&[self.inputs()?, if self.has("weight") { 2 } else { 1 }])
            }
            A::LayerNorm(_) if self.channel_norm() => Ok(0),
            A::LayerNorm(_) | A::Softmax(_) => self.inputs(),
            A::Pointwise(function) => times(&[self.inputs()?, function.ptflops]),
            // Both the module and the function that it calls are counted.
            A::Prelu(_) => times(&[self.inputs()?, 2]),
            A::MaxPool(_)
            | A::AvgPool(_)
            | A::AdaptiveAvgPool(_)
            | A::AdaptiveMaxPool(_)
            | A::GlobalAvgPool(_)
            | A::GlobalMaxPool(_) => times(&[self.inputs()?, 2]),
            A::Upsample(_) => times(&[self.outputs()?, 2]),
            A::SqueezeExcite(gate) => {
                let squeezed = self.weight("fc1.weight").map_or(0, |weight| weight.shape.sizes()[0]);
                let biases = if self.has("fc1.bias") { squeezed + self.input.channels() } else { 0 };
                let activation = gate.activation.pointwise().ptflops;
                Ok(self.macs + 2 * self.inputs()? + biases + activation * squeezed)
            }
            A::LocalResponseNorm(_) => Err(Problem::new(
                Code::InvalidValue,
                "not supported: what ptflops counts for local_response_norm",
            )
            .help("it depends on how PyTorch composes the layer; use another convention")),
            #[rustfmt::skip]
            A::DeformSample(_) | A::DynamicConv(_) | A::Matmul(_) | A::Reduce(_) | A::Dropout(_) | A::Glu(_)
            | A::Identity(_) | A::ChannelShuffle(_) | A::PixelShuffle(_) | A::PixelUnshuffle(_)
            | A::Pad(_) | A::Crop(_) | A::Slice(_) | A::Gather(_) | A::Chunk(_) | A::Flatten(_)
            | A::Reshape(_) | A::Permute(_) | A::Add(_) | A::Multiply(_) | A::Divide(_) | A::Concat(_)
            | A::LayerScale(_) | A::LearnedScale(_) | A::LearnedBias(_) | A::LearnedTokens(_)
            | A::LearnedTensor(_) | A::Opaque(_) => Ok(self.macs),
        }
    }

    fn torchinfo(&self) -> Result<u64, Problem> {
        match self.layer.arithmetic() {
            // Every parameter counts once per output position, the bias too; for a transposed convolution that is too
            // many by the product of the strides.
            A::Conv(_) | A::ConvTranspose(_) | A::DeformConv(_) => {
                times(&[self.params()?, self.positions()?])
            }
            // Parameters outside a leaf module are not detected.
            A::LayerScale(_) => Ok(0),
            // Linear layers and norms count once, for any input size.
            #[rustfmt::skip]
            A::Pointwise(_) | A::DeformSample(_) | A::Linear(_) | A::DynamicConv(_) | A::Matmul(_) | A::Attention(_)
            | A::MaxPool(_) | A::AvgPool(_) | A::AdaptiveAvgPool(_) | A::AdaptiveMaxPool(_)
            | A::GlobalAvgPool(_) | A::GlobalMaxPool(_) | A::Reduce(_) | A::BatchNorm(_)
            | A::LayerNorm(_) | A::GroupNorm(_) | A::InstanceNorm(_) | A::LocalResponseNorm(_)
            | A::Dropout(_) | A::Prelu(_) | A::Softmax(_) | A::Glu(_) | A::Identity(_)
            | A::ChannelShuffle(_) | A::PixelShuffle(_) | A::PixelUnshuffle(_) | A::Upsample(_)
            | A::Pad(_) | A::Crop(_) | A::Slice(_) | A::Gather(_) | A::Chunk(_) | A::Flatten(_)
            | A::Reshape(_) | A::Permute(_) | A::Add(_) | A::Multiply(_) | A::Divide(_) | A::Concat(_)
            | A::LearnedScale(_) | A::LearnedBias(_) | A::LearnedTokens(_) | A::LearnedTensor(_)
            | A::SqueezeExcite(_) | A::Opaque(_) => self.params(),
        }
    }
}
