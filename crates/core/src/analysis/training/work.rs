//! Multiply-accumulates of the backward pass.

use super::Training;
use super::kept::Kept;
use crate::graph::{Graph, Node, Op};
use crate::layers::attention::OPERANDS;
use crate::layers::conv::Conv;
use crate::layers::{Io, Layer, LayerKind as _};
use crate::shape::Shape;

/// Returns, for each node, the multiply-accumulates of its gradients for the batch: one product for the gradient of
/// the weights, and one for that of the inputs if something below is trained. A product of two computed matrices has
/// one gradient for each. Nothing is recomputed; a fused attention kernel, which recomputes its weights, does more.
pub fn backward_macs(graph: &Graph, training: &Training, kept: &Kept) -> Vec<u64> {
    let batches = training.batches(graph);
    let of = |(node, &batch): (&Node, &u64)| {
        let Op::Layer(layer) = &node.op else { return 0 };
        let below: Vec<bool> = node.inputs.iter().map(|input| kept.gradients[input.index()]).collect();
        let shapes = graph.input_shapes(node);
        let io = Io { inputs: &shapes, output: &node.shape };
        of_layer(layer, io, node.cost.macs, &below, training.trains(graph, node)).saturating_mul(batch)
    };
    graph.nodes().iter().zip(&batches).map(of).collect()
}

/// Returns the multiply-accumulates of the gradients of a layer for one image.
fn of_layer(layer: &Layer, io: Io<'_>, macs: u64, below: &[bool], trained: bool) -> u64 {
    if macs == 0 || !(trained || below.contains(&true)) {
        return 0;
    }
    let weights = if trained { macs } else { 0 };
    let any = if below.contains(&true) { macs } else { 0 };
    if let Layer::Attention(_) = layer {
        return attended(io, macs, below, trained);
    }
    if matches!(layer, Layer::Matmul(_) | Layer::DynamicConv(_)) {
        return macs.saturating_mul(below.iter().filter(|&&trained| trained).count() as u64);
    }
    if let Layer::SqueezeExcite(_) = layer {
        // The second of its two equal products has an input that is trained anyway.
        return if any > 0 { weights.saturating_add(macs) } else { weights.saturating_add(macs / 2) };
    }
    if let Layer::DeformConv(deform) = layer
        && any == 0
    {
        // The gradient of the samples is needed for the offsets, that of the offsets' input is not.
        return weights.saturating_add(main_macs(&deform.main(), io).unwrap_or(macs));
    }
    weights.saturating_add(any)
}

fn main_macs(conv: &Conv, io: Io<'_>) -> Option<u64> {
    let input: &[Shape] = &io.inputs[..1];
    let output = conv.infer(input).ok()?;
    conv.cost(Io { inputs: input, output: &output }).ok().map(|cost| cost.macs)
}

/// Returns the gradients of the two products of attention: scores, and weighted values.
fn attended(io: Io<'_>, macs: u64, below: &[bool], trained: bool) -> u64 {
    let last = |index: usize| io.inputs[index].sizes().last().copied().unwrap_or(1);
    let (features, values) = (u128::from(last(0)), u128::from(last(2)));
    let share = u128::from(macs) * features / (features + values).max(1);
    let scores = u64::try_from(share).unwrap_or(u64::MAX);
    let weighted = macs.saturating_sub(scores);
    let [query, key, value] = [0, 1, 2].map(|index| below.get(index).copied().unwrap_or(false));
    let terms = trained || below.iter().skip(OPERANDS).any(|&term| term);
    let count = |parts: &[(bool, u64)]| {
        parts.iter().filter(|(needed, _)| *needed).map(|&(_, macs)| macs).fold(0, u64::saturating_add)
    };
    count(&[(query, scores), (key, scores), (value, weighted), (query || key || terms, weighted)])
}
