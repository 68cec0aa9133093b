//! Finds weights that receive no gradient, because every path to an output passes through a layer whose value
//! does not depend on its input.

use crate::graph::{Graph, Node, NodeId, Op};
use crate::layers::layer_norm::NormAxis;
use crate::layers::softmax::SoftmaxAxis;
use crate::layers::{Arithmetic as A, WeightRole};

/// A layer that cuts weights off from the gradient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Severed {
    /// The layer.
    pub at: NodeId,
    /// Why it is constant.
    pub why: Why,
    /// Layers with weights that receive no gradient, nearest last; each is listed at one cut only.
    pub weights: Vec<NodeId>,
}

/// Why a layer is constant in an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// A softmax over one element is 1.
    Softmax,
    /// A norm over one element is 0 (or its learned shift).
    Norm,
    /// The operand's constant factor is 0.
    Factor,
    /// A dropout with probability 1 drops everything.
    Dropout,
}

impl Why {
    /// Returns the effect of the layer, as the rest of a sentence.
    pub fn phrase(self) -> &'static str {
        match self {
            Self::Softmax => "gives 1 for a single element",
            Self::Norm => "normalises single elements, which leaves 0",
            Self::Factor => "multiplies an operand by 0",
            Self::Dropout => "drops every element in training",
        }
    }

    /// Returns the remedy.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Softmax => "use `sigmoid` for a single logit, two channels, or another `axis`",
            Self::Norm => "leave the norm out where a single element is left, or use `batch_norm`",
            Self::Factor => "remove the operand, or give it a factor",
            Self::Dropout => "use a probability below 1",
        }
    }
}

/// Returns why `node` is constant in its input `index`, if it is.
fn constant(graph: &Graph, node: &Node, index: usize) -> Option<Why> {
    let Op::Layer(layer) = &node.op else { return None };
    let input = &graph.node(*node.inputs.get(index)?).shape;
    let space: u64 = input.spatial().iter().product();
    let last = input.sizes().last().copied().unwrap_or(1);
    match layer.arithmetic() {
        A::Softmax(softmax) => {
            let together = match softmax.axis {
                SoftmaxAxis::Channels => input.channels(),
                SoftmaxAxis::Last => last,
                SoftmaxAxis::Space => space,
            };
            (together == 1).then_some(Why::Softmax)
        }
        A::LayerNorm(norm) => {
            let together = match norm.axis {
                NormAxis::Channels => input.channels(),
                NormAxis::Last => last,
                NormAxis::Space => space,
                NormAxis::All => input.elements().unwrap_or(u64::MAX),
            };
            (together == 1).then_some(Why::Norm)
        }
        A::InstanceNorm(norm) => (space == 1 && !norm.track_running_stats).then_some(Why::Norm),
        A::GroupNorm(norm) => (input.channels() == norm.num_groups && space == 1).then_some(Why::Norm),
        A::Add(add) => {
            let factor = add.weights.as_ref().and_then(|weights| weights.get(index));
            (factor == Some(&0.0)).then_some(Why::Factor)
        }
        A::Dropout(dropout) => (dropout.p >= 1.0).then_some(Why::Dropout),
        #[rustfmt::skip]
        A::Pointwise(_) | A::Conv(_) | A::ConvTranspose(_) | A::DeformConv(_) | A::DeformSample(_)
        | A::Linear(_) | A::DynamicConv(_) | A::Matmul(_) | A::Attention(_) | A::MaxPool(_) | A::AvgPool(_)
        | A::AdaptiveAvgPool(_) | A::AdaptiveMaxPool(_) | A::GlobalAvgPool(_) | A::GlobalMaxPool(_)
        | A::Reduce(_) | A::BatchNorm(_) | A::LocalResponseNorm(_) | A::Prelu(_) | A::Glu(_)
        | A::Identity(_) | A::ChannelShuffle(_) | A::PixelShuffle(_) | A::PixelUnshuffle(_)
        | A::Upsample(_) | A::Pad(_) | A::Crop(_) | A::Slice(_) | A::Gather(_) | A::Chunk(_)
        | A::Flatten(_) | A::Reshape(_) | A::Permute(_) | A::Multiply(_) | A::Divide(_) | A::Concat(_)
        | A::LayerScale(_) | A::LearnedScale(_) | A::LearnedBias(_) | A::LearnedTokens(_)
        | A::LearnedTensor(_) | A::SqueezeExcite(_) | A::Opaque(_) => None,
    }
}

/// Returns all cuts, in execution order.
pub fn severed(graph: &Graph) -> Vec<Severed> {
    let size = graph.nodes.len();
    // For each node, whether a gradient arrives at its output, and the cut that stops it otherwise.
    let (mut reached, mut cut): (Vec<bool>, Vec<Option<(usize, Why)>>) =
        (vec![false; size], vec![None; size]);
    for output in &graph.outputs {
        reached[output.0] = true;
    }
    for (id, node) in graph.iter().collect::<Vec<_>>().into_iter().rev() {
        for (index, input) in node.inputs.iter().enumerate() {
            match constant(graph, node, index) {
                None if reached[id.0] => reached[input.0] = true,
                Some(why) if reached[id.0] => cut[input.0] = cut[input.0].or(Some((id.0, why))),
                _ => cut[input.0] = cut[input.0].or(cut[id.0]),
            }
        }
    }
    // Shared weights receive a gradient if any of their users does.
    let mut learns = reached.clone();
    for (id, node) in graph.iter() {
        let mut owner = node;
        while let Some(next) = owner.shares {
            learns[next.0] |= reached[id.0];
            owner = graph.node(next);
        }
    }
    let mut found: Vec<Severed> = Vec::new();
    for (id, node) in graph.iter() {
        let owns =
            node.shares.is_none() && node.weights.iter().any(|weight| weight.role == WeightRole::Parameter);
        let (true, false, Some((at, why))) = (owns, learns[id.0], cut[id.0]) else { continue };
        match found.iter_mut().find(|severed| severed.at.0 == at && severed.why == why) {
            Some(severed) => severed.weights.push(id),
            None => found.push(Severed { at: NodeId(at), why, weights: vec![id] }),
        }
    }
    found.sort_by_key(|severed| severed.at);
    found
}
