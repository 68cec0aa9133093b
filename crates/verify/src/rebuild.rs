//! Variants of a network that are cheaper to run or easier to inspect: other input sizes, fewer channels, no gates.
//!
//! A slim network has the same nodes, edges and spatial sizes as the original; this is checked.

use num_integer::Integer as _;

use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::{Graph, Node, NodeId, Op};
use cnnkit_core::layers::args::Groups;
use cnnkit_core::layers::conv::Conv;
use cnnkit_core::layers::conv_transpose::ConvTranspose;
use cnnkit_core::layers::deform_conv::DeformConv;
use cnnkit_core::layers::gather::Gather;
use cnnkit_core::layers::group_norm::GroupNorm;
use cnnkit_core::layers::layer_norm::NormAxis;
use cnnkit_core::layers::linear::Linear;
use cnnkit_core::layers::prelu::Prelu;
use cnnkit_core::layers::slice::Slice;
use cnnkit_core::layers::squeeze_excite::SqueezeExcite;
use cnnkit_core::layers::{Arithmetic as A, Layer, Role};
use cnnkit_core::shape::Shape;

/// Returns the network on inputs of other shapes; a linear layer after a `flatten` gets the size that it then needs.
pub fn resized(graph: &Graph, inputs: &[Shape]) -> Result<Graph, Problem> {
    graph.rebuilt(inputs, |node, layer, _| Ok((layer.clone(), node.inputs.clone())))
}

/// Returns the shapes of the inputs, with `size` as their spatial sizes.
pub fn with_space(graph: &Graph, size: impl Fn(usize, u64) -> u64) -> Vec<Shape> {
    let one = |shape: &Shape| {
        let space = shape.spatial().iter().enumerate().map(|(axis, &old)| size(axis, old));
        Shape::new([shape.channels()].into_iter().chain(space).collect::<Vec<_>>())
    };
    graph.inputs().map(|(_, node)| one(&node.shape)).collect()
}

/// A network with fewer channels.
#[derive(Debug)]
pub struct Slim {
    /// The network.
    pub graph: Graph,
    /// How it was made, for the method's text.
    pub how: String,
}

/// Returns the network with as few channels as its structure allows, and the same spatial sizes at every node.
pub fn slim(graph: &Graph) -> Slim {
    let least = least_channels(graph);
    let even = graph.nodes().iter().filter_map(stated).fold(0, |all: u64, channels| all.gcd(&channels));
    let divisors = (2..=even.min(4096)).rev().filter(|d| even.is_multiple_of(*d));
    let uniform = |_: u64| least;
    let how = match least {
        1 => "channels of every layer reduced to 1".to_owned(),
        least => format!("channels of every layer reduced to {least}"),
    };
    if let Ok(graph) = narrowed(graph, &uniform, true).or_else(|_| narrowed(graph, &uniform, false)) {
        return Slim { graph, how };
    }
    for divisor in divisors {
        if let Ok(graph) = narrowed(graph, &|channels| channels / divisor, false) {
            return Slim { graph, how: format!("channels divided by {divisor}") };
        }
    }
    Slim { graph: graph.clone(), how: "all channels".into() }
}

/// Returns the network with its channels divided by the largest number that keeps every ratio exact, groups included.
pub fn divided(graph: &Graph) -> Option<Slim> {
    let even = graph.nodes().iter().filter_map(stated).fold(0, |all: u64, channels| all.gcd(&channels));
    let divisors = (2..=even.min(4096)).rev().filter(|d| even.is_multiple_of(*d));
    divisors
        .filter_map(|divisor| Some((narrowed(graph, &|channels| channels / divisor, false).ok()?, divisor)))
        .map(|(graph, divisor)| Slim { graph, how: format!("channels divided by {divisor}") })
        .next()
}

/// Returns the channels that a layer declares itself.
fn stated(node: &Node) -> Option<u64> {
    let Op::Layer(layer) = &node.op else { return None };
    match layer.arithmetic() {
        A::Conv(conv) if conv.groups == Groups::Depthwise => None,
        A::Conv(conv) => Some(conv.out_channels),
        A::ConvTranspose(conv) => Some(conv.out_channels),
        A::DeformConv(conv) => Some(conv.out_channels),
        #[rustfmt::skip]
        A::Pointwise(_) | A::DeformSample(_) | A::Linear(_) | A::DynamicConv(_) | A::Matmul(_) | A::Attention(_)
        | A::MaxPool(_) | A::AvgPool(_) | A::AdaptiveAvgPool(_) | A::AdaptiveMaxPool(_)
        | A::GlobalAvgPool(_) | A::GlobalMaxPool(_) | A::Reduce(_) | A::BatchNorm(_) | A::LayerNorm(_)
        | A::GroupNorm(_) | A::InstanceNorm(_) | A::LocalResponseNorm(_) | A::Dropout(_) | A::Prelu(_)
        | A::Softmax(_) | A::Glu(_) | A::Identity(_) | A::ChannelShuffle(_) | A::PixelShuffle(_)
        | A::PixelUnshuffle(_) | A::Upsample(_) | A::Pad(_) | A::Crop(_) | A::Slice(_) | A::Gather(_)
        | A::Chunk(_) | A::Flatten(_) | A::Reshape(_) | A::Permute(_) | A::Add(_) | A::Multiply(_)
        | A::Divide(_) | A::Concat(_) | A::LayerScale(_) | A::LearnedScale(_) | A::LearnedBias(_)
        | A::LearnedTokens(_) | A::LearnedTensor(_) | A::SqueezeExcite(_) | A::Opaque(_) => None,
    }
}

/// Returns the number of which every channel count must be a multiple.
fn least_channels(graph: &Graph) -> u64 {
    let mut least = 1u64;
    for node in graph.nodes() {
        let Op::Layer(layer) = &node.op else { continue };
        let inputs = node.inputs.first().map_or(1, |input| graph.node(*input).shape.channels());
        let axes = u32::try_from(node.shape.spatial().len()).unwrap_or(1);
        let grouped = |groups: Groups| match groups {
            Groups::Number(groups) if groups != inputs => groups,
            _ => 1,
        };
        let factor = match layer.arithmetic() {
            A::Conv(conv) => grouped(conv.groups),
            A::ConvTranspose(conv) => grouped(conv.groups),
            A::DeformConv(conv) => grouped(conv.groups).lcm(&conv.offset_groups.max(1)),
            A::GroupNorm(norm) if norm.num_groups != inputs => norm.num_groups,
            A::ChannelShuffle(shuffle) => shuffle.groups,
            A::Chunk(chunk) if chunk.axis == 0 => chunk.chunks,
            A::Glu(_) => 2,
            A::PixelShuffle(shuffle) => shuffle.upscale_factor.saturating_pow(axes),
            #[rustfmt::skip]
            A::Pointwise(_) | A::DeformSample(_) | A::Linear(_) | A::DynamicConv(_) | A::Matmul(_) | A::Attention(_)
            | A::MaxPool(_) | A::AvgPool(_) | A::AdaptiveAvgPool(_) | A::AdaptiveMaxPool(_)
            | A::GlobalAvgPool(_) | A::GlobalMaxPool(_) | A::Reduce(_) | A::BatchNorm(_)
            | A::LayerNorm(_) | A::GroupNorm(_) | A::InstanceNorm(_) | A::LocalResponseNorm(_)
            | A::Dropout(_) | A::Prelu(_) | A::Softmax(_) | A::Identity(_) | A::PixelUnshuffle(_)
            | A::Upsample(_) | A::Pad(_) | A::Crop(_) | A::Slice(_) | A::Gather(_) | A::Chunk(_)
            | A::Flatten(_) | A::Reshape(_) | A::Permute(_) | A::Add(_) | A::Multiply(_) | A::Divide(_)
            | A::Concat(_) | A::LayerScale(_) | A::LearnedScale(_) | A::LearnedBias(_)
            | A::LearnedTokens(_) | A::LearnedTensor(_) | A::SqueezeExcite(_) | A::Opaque(_) => 1,
        };
        least = least.lcm(&factor.clamp(1, 4096)).min(4096);
    }
    least
}

/// Returns the network with `width` channels; its inputs are narrowed too if `inputs` is set.
fn narrowed(graph: &Graph, width: &dyn Fn(u64) -> u64, inputs: bool) -> Result<Graph, Problem> {
    let own = |shape: &Shape| match shape.channels() {
        wide if inputs && wide > 4 => Shape::new(
            [width(wide).max(1)].into_iter().chain(shape.spatial().iter().copied()).collect::<Vec<_>>(),
        ),
        _ => shape.clone(),
    };
    let inputs: Vec<Shape> = graph.inputs().map(|(_, node)| own(&node.shape)).collect();
    let slim = graph.rebuilt(&inputs, |node, layer, shapes| {
        let before = graph.node(node.inputs[0]).shape.channels();
        let flat = shapes[0].rank() == 1;
        Ok((narrow(layer, before, shapes[0].channels(), flat, width), node.inputs.clone()))
    })?;
    let same = graph.nodes().iter().zip(slim.nodes()).all(|(a, b)| a.shape.spatial() == b.shape.spatial());
    if same { Ok(slim) } else { Err(Problem::shape("the slim network has other spatial sizes")) }
}

/// Returns `layer` with fewer channels, now that its input has `after` channels instead of `before`.
fn narrow(layer: &Layer, before: u64, after: u64, flat: bool, width: &dyn Fn(u64) -> u64) -> Layer {
    let grouped = |groups: Groups, outputs: u64| match groups {
        Groups::Number(groups) if groups != before || groups == 1 => (Groups::Number(groups), width(outputs)),
        _ => (Groups::Number(after), (outputs / before.max(1)).max(1) * after),
    };
    match layer.arithmetic() {
        A::Conv(conv) => {
            let (groups, out_channels) = grouped(conv.groups, conv.out_channels);
            Layer::Conv(Conv { groups, out_channels, in_channels: None, ..conv.clone() })
        }
        A::ConvTranspose(conv) => {
            let (groups, out_channels) = grouped(conv.groups, conv.out_channels);
            Layer::ConvTranspose(ConvTranspose { groups, out_channels, in_channels: None, ..conv.clone() })
        }
        A::DeformConv(conv) => {
            let (groups, out_channels) = grouped(conv.groups, conv.out_channels);
            let offset_groups = if conv.offset_groups == before { after } else { conv.offset_groups };
            Layer::DeformConv(DeformConv {
                groups,
                out_channels,
                in_channels: None,
                offset_groups,
                ..conv.clone()
            })
        }
        A::Linear(linear) if flat => {
            let out_features = width(linear.out_features).max(1);
            Layer::Linear(Linear { out_features, in_features: None, ..linear.clone() })
        }
        A::SqueezeExcite(gate) => Layer::SqueezeExcite(SqueezeExcite { squeeze: Some(1), ..gate.clone() }),
        A::Prelu(prelu) if prelu.num_parameters > 1 => {
            Layer::Prelu(Prelu { num_parameters: after, ..prelu.clone() })
        }
        A::GroupNorm(norm) if norm.num_groups == before => {
            Layer::GroupNorm(GroupNorm { num_groups: after, ..norm.clone() })
        }
        A::Slice(slice) if slice.axis == 0 => {
            let (old, new) = (i64::try_from(before).unwrap_or(1).max(1), i64::try_from(after).unwrap_or(1));
            let (start, end) = (slice.start * new / old, slice.end.map(|end| end * new / old));
            Layer::Slice(Slice { start, end, ..slice.clone() })
        }
        #[rustfmt::skip]
        A::Pointwise(_) | A::DeformSample(_) | A::Linear(_) | A::DynamicConv(_) | A::Matmul(_) | A::Attention(_)
        | A::MaxPool(_) | A::AvgPool(_) | A::AdaptiveAvgPool(_) | A::AdaptiveMaxPool(_)
        | A::GlobalAvgPool(_) | A::GlobalMaxPool(_) | A::Reduce(_) | A::BatchNorm(_) | A::LayerNorm(_)
        | A::GroupNorm(_) | A::InstanceNorm(_) | A::LocalResponseNorm(_) | A::Dropout(_) | A::Prelu(_)
        | A::Softmax(_) | A::Glu(_) | A::Identity(_) | A::ChannelShuffle(_) | A::PixelShuffle(_)
        | A::PixelUnshuffle(_) | A::Upsample(_) | A::Pad(_) | A::Crop(_) | A::Slice(_) | A::Gather(_)
        | A::Chunk(_) | A::Flatten(_) | A::Reshape(_) | A::Permute(_) | A::Add(_) | A::Multiply(_)
        | A::Divide(_) | A::Concat(_) | A::LayerScale(_) | A::LearnedScale(_) | A::LearnedBias(_)
        | A::LearnedTokens(_) | A::LearnedTensor(_) | A::Opaque(_) => layer.clone(),
    }
}

/// Returns the network without gates and map-wide statistics, which leaves the local field. `None` if a join has
/// gates only, or if a gate stretches the other operands along several axes.
pub fn without_gates(graph: &Graph) -> Result<Option<Graph>, Problem> {
    let inputs: Vec<Shape> = graph.inputs().map(|(_, node)| node.shape.clone()).collect();
    let only_gates = graph.nodes().iter().any(|node| {
        let reaches = graph.reach(node);
        !reaches.is_empty() && reaches.iter().all(|reach| reach.role == Role::Context)
    });
    if only_gates {
        return Ok(None);
    }
    // The operands of a product or quotient that are not gates.
    let kept = |node: &Node| -> Vec<NodeId> {
        let reaches = graph.reach(node);
        let read = |index: usize| reaches.iter().any(|r| r.input == index && r.role != Role::Context);
        (0..).zip(&node.inputs).filter(|(index, _)| read(*index)).map(|(_, &input)| input).collect()
    };
    // A gate may have more elements along an axis than what it multiplies, which then is repeated without it.
    let stretched = |node: &Node, kept: &[NodeId]| -> Vec<usize> {
        let of = |input: NodeId, axis: usize| graph.node(input).shape.sizes().get(axis).copied().unwrap_or(1);
        let size = |axis: usize| kept.iter().map(|&input| of(input, axis)).max();
        (0..node.shape.rank()).filter(|&axis| size(axis) != Some(node.shape.sizes()[axis])).collect()
    };
    let joins = |node: &Node| matches!(node.op, Op::Layer(Layer::Multiply(_) | Layer::Divide(_)));
    let too_many = graph.nodes().iter().filter(|node| joins(node)).any(|node| {
        let kept = kept(node);
        stretched(node, &kept).len() > usize::from(kept.len() == 1)
    });
    if too_many {
        return Ok(None);
    }
    let identity = || Layer::Identity(cnnkit_core::layers::identity::Identity {});
    let open = graph.rebuilt(&inputs, |node, layer, _| {
        if joins(node) {
            let kept = kept(node);
            let layer = match (kept.len(), stretched(node, &kept).as_slice()) {
                (1, &[axis]) => {
                    let indices = vec![0; usize::try_from(node.shape.sizes()[axis]).unwrap_or(0)];
                    Layer::Gather(Gather { indices, axis: axis as u64 })
                }
                (1, _) => identity(),
                _ => layer.clone(),
            };
            return Ok((layer, kept));
        }
        Ok((if map_wide(layer) { identity() } else { layer.clone() }, node.inputs.clone()))
    })?;
    Ok(Some(open))
}

/// Returns whether a layer multiplies or normalises by statistics of the whole map.
pub fn map_wide(layer: &Layer) -> bool {
    match layer.arithmetic() {
        A::SqueezeExcite(_) | A::GroupNorm(_) => true,
        A::InstanceNorm(norm) => !norm.track_running_stats,
        A::LayerNorm(norm) => matches!(norm.axis, NormAxis::Space | NormAxis::All),
        #[rustfmt::skip]
        A::Pointwise(_) | A::Conv(_) | A::ConvTranspose(_) | A::DeformConv(_) | A::DeformSample(_)
        | A::Linear(_) | A::DynamicConv(_) | A::Matmul(_) | A::Attention(_) | A::MaxPool(_) | A::AvgPool(_)
        | A::AdaptiveAvgPool(_) | A::AdaptiveMaxPool(_) | A::GlobalAvgPool(_) | A::GlobalMaxPool(_)
        | A::Reduce(_) | A::BatchNorm(_) | A::LocalResponseNorm(_) | A::Dropout(_) | A::Prelu(_)
        | A::Softmax(_) | A::Glu(_) | A::Identity(_) | A::ChannelShuffle(_) | A::PixelShuffle(_)
        | A::PixelUnshuffle(_) | A::Upsample(_) | A::Pad(_) | A::Crop(_) | A::Slice(_) | A::Gather(_)
        | A::Chunk(_) | A::Flatten(_) | A::Reshape(_) | A::Permute(_) | A::Add(_) | A::Multiply(_)
        | A::Divide(_) | A::Concat(_) | A::LayerScale(_) | A::LearnedScale(_) | A::LearnedBias(_)
        | A::LearnedTokens(_) | A::LearnedTensor(_) | A::Opaque(_) => false,
    }
}
