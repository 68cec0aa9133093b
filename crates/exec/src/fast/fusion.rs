//! Layer fusion: which layers run as one step. Layers after a product become its epilogue; a norm before it may
//! become its prologue.

use std::sync::Arc;

use super::conv::Prologue;
use super::expanded::{Expanded, Strip};
use super::inverted::Inverted;
use super::inverted_middle::isa_of;
use super::inverted_weights::{Stage, Weights};
use super::kernel::{Kernel, Prepared};
use super::layer_use::{Fold, LayerUse};
use super::padded_input::Frame;
use super::select_kernel::{prepare, running};
use super::{Context, select_gemm};
use crate::network::Network;
use crate::run::at;
use crate::tensor::Tensor;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::{Graph, NodeId, Op};
use cnnkit_core::layers::Layer;
use cnnkit_core::layers::activation::Activation;

/// A layer and the layers fused into it.
#[derive(Debug)]
pub(super) struct Chain {
    /// All layers, in order; the first reads the input, the last gives the result.
    pub members: Vec<NodeId>,
    /// The layer whose kernel runs.
    pub host: NodeId,
    fold: Option<Fold>,
    /// A tensor that is added to the result.
    pub add: Option<NodeId>,
    /// Applied last.
    pub curve: Option<Activation>,
}

impl Chain {
    fn of(host: NodeId) -> Self {
        Self { members: vec![host], host, fold: None, add: None, curve: None }
    }

    pub(super) fn last(&self) -> NodeId {
        self.members[self.members.len() - 1]
    }
}

/// Returns all fused chains of a network, each with its kernel, in execution order.
pub(super) fn all(
    network: &Network<'_, f32>,
    context: &Context,
    sizes: &[Vec<usize>],
) -> Result<Vec<(Chain, Prepared)>, Problem> {
    let graph = network.graph;
    let consumers = graph.consumers();
    let mut taken = vec![false; graph.nodes().len()];
    let mut steps = Vec::new();
    for (id, node) in graph.iter() {
        let Op::Layer(layer) = &node.op else { continue };
        if taken[id.index()] {
            continue;
        }
        let (mut chain, mut prepared) = match normed(network, context, sizes, &consumers, &taken, id)? {
            Some(normed) => normed,
            None => one(network, context, sizes, &consumers, &taken, (id, layer))?,
        };
        if let Some((next, convolution)) = grouped(network, sizes, &consumers, &taken, &chain) {
            let second = one(network, context, sizes, &consumers, &taken, (next, convolution))?;
            let first = (chain, prepared);
            (chain, prepared) =
                match inverted(network, context, sizes, &consumers, &taken, (&first, &second))? {
                    Some(fused) => fused,
                    None => expanded(graph, sizes, convolution, first, second)?,
                };
        }
        extend(graph, &consumers, &mut chain, &mut prepared.kernel);
        chain.members.iter().for_each(|member| taken[member.index()] = true);
        steps.push((chain, prepared));
    }
    steps.sort_by_key(|(chain, _)| chain.last());
    Ok(steps)
}

/// Returns a layer with the layers that it fuses as a product.
fn one(
    network: &Network<'_, f32>,
    context: &Context,
    sizes: &[Vec<usize>],
    consumers: &[Vec<NodeId>],
    taken: &[bool],
    (id, layer): (NodeId, &Layer),
) -> Result<(Chain, Prepared), Problem> {
    let node = network.graph.node(id);
    let inputs: Vec<&[usize]> = node.inputs.iter().map(|input| sizes[input.index()].as_slice()).collect();
    let site = LayerUse {
        layer,
        declared: &node.weights,
        weights: network.weights(id),
        inputs: &inputs,
        output: &sizes[id.index()],
    };
    let prepared =
        |fold: Option<&Fold>| prepare(context, &site, fold).map_err(|problem| at(&node.id, problem));
    if select_gemm::folds(layer) || matches!(layer, Layer::Linear(_)) {
        let chain = product(network, sizes, consumers, taken, id);
        let fused = prepared(chain.fold.as_ref())?;
        if fused.kernel.finishes() {
            return Ok((chain, fused));
        }
    }
    Ok((Chain::of(id), prepared(None)?))
}

/// Fuses the norm before a convolution without padding, and optionally a ReLU between them (DenseNet, pre-activation
/// ResNets).
fn normed(
    network: &Network<'_, f32>,
    context: &Context,
    sizes: &[Vec<usize>],
    consumers: &[Vec<NodeId>],
    taken: &[bool],
    id: NodeId,
) -> Result<Option<(Chain, Prepared)>, Problem> {
    let graph = network.graph;
    let layer = |id: NodeId| match &graph.node(id).op {
        Op::Layer(layer) => Some(layer),
        Op::Input => None,
    };
    let (Some(layer_norm @ Layer::BatchNorm(norm)), Some(mut next)) =
        (layer(id), reader(graph, consumers, id))
    else {
        return Ok(None);
    };
    let mut members = vec![id];
    let relu = layer(next).and_then(activation) == Some(Activation::Ramp) && !taken[next.index()];
    if relu {
        members.push(next);
        let Some(after) = reader(graph, consumers, next) else { return Ok(None) };
        next = after;
    }
    let Some(convolution @ Layer::Conv(_)) = layer(next).filter(|_| !taken[next.index()]) else {
        return Ok(None);
    };
    let (mut chain, mut prepared) = one(network, context, sizes, consumers, taken, (next, convolution))?;
    let Kernel::Convolution(kernel) = &mut prepared.kernel else { return Ok(None) };
    let node = graph.node(id);
    let site = LayerUse {
        layer: layer_norm,
        declared: &node.weights,
        weights: network.weights(id),
        inputs: &[&sizes[id.index()]],
        output: &sizes[id.index()],
    };
    let Some(Fold { scale, shift }) = running(&site, norm.eps).filter(|_| kernel.frame.direct) else {
        return Ok(None);
    };
    kernel.front = Some(Prologue { scale, shift, relu });
    members.append(&mut chain.members);
    Ok(Some((Chain { members, ..chain }, prepared)))
}

/// Returns the convolution in groups, depthwise or not, that alone reads the result of a chain.
fn grouped<'g>(
    network: &Network<'g, f32>,
    sizes: &[Vec<usize>],
    consumers: &[Vec<NodeId>],
    taken: &[bool],
    chain: &Chain,
) -> Option<(NodeId, &'g Layer)> {
    let graph = network.graph;
    let next = reader(graph, consumers, chain.last()).filter(|next| !taken[next.index()])?;
    let node = graph.node(next);
    let Op::Layer(layer @ Layer::Conv(_)) = &node.op else { return None };
    let members = weight(network, next)?.sizes()[1];
    let channels = sizes[chain.last().index()][1];
    (members == 1 || members < channels).then_some((next, layer))
}

/// Returns the weight of a layer that multiplies by one.
fn weight<'n>(network: &'n Network<'_, f32>, id: NodeId) -> Option<&'n Arc<Tensor<f32>>> {
    let place = network.graph.node(id).weights.iter().position(|weight| weight.name == "weight")?;
    network.weights(id).get(place)
}

/// Fuses a convolution, the one in groups that reads its result, optionally squeeze and excitation, and the 1 x 1 convolution
/// that reads that, where the kernel of all supports them.
fn inverted(
    network: &Network<'_, f32>,
    context: &Context,
    sizes: &[Vec<usize>],
    consumers: &[Vec<NodeId>],
    taken: &[bool],
    (first, second): (&(Chain, Prepared), &(Chain, Prepared)),
) -> Result<Option<(Chain, Prepared)>, Problem> {
    let graph = network.graph;
    let next = |last: NodeId| {
        let next = reader(graph, consumers, last).filter(|next| !taken[next.index()])?;
        match &graph.node(next).op {
            Op::Layer(layer) => Some((next, layer)),
            Op::Input => None,
        }
    };
    let (None, None, Some((frame, channels))) = (first.0.add, second.0.add, single(&first.1.kernel)) else {
        return Ok(None);
    };
    let (Some(expansion), Some(middle)) = (weight(network, first.0.host), weight(network, second.0.host))
    else {
        return Ok(None);
    };
    let Some(isa) = isa_of(context.isa, middle.sizes()[1]) else { return Ok(None) };
    let mut found = next(second.0.last());
    let mut gates = None;
    if let Some((id, layer @ Layer::SqueezeExcite(_))) = found {
        gates = Some(one(network, context, sizes, consumers, taken, (id, layer))?);
        found = next(id);
    }
    let Some((id, layer @ Layer::Conv(_))) = found else { return Ok(None) };
    let third = one(network, context, sizes, consumers, taken, (id, layer))?;
    let point = single(&third.1.kernel).is_some_and(|(frame, _)| frame.direct && frame.taps.len() == 1);
    if !point {
        return Ok(None);
    }
    // The input is needed until the end: the step must not take more memory than the layers one by one.
    let elements = |id: NodeId| sizes[id.index()].iter().product::<usize>();
    let source = graph.node(first.0.members[0]).inputs.first().copied();
    let input = source.map_or(0, elements);
    let (between, after, output) =
        (elements(first.0.last()), elements(second.0.last()), elements(third.0.last()));
    let added = source.is_some() && third.0.add == source;
    if output > between && input > after && !added {
        return Ok(None);
    }
    let Some(projection) = weight(network, third.0.host) else { return Ok(None) };
    fn weights<'w>(tensor: &'w Tensor<f32>, chain: &'w Chain) -> Weights<'w> {
        Weights { tensor, scale: chain.fold.as_ref().map(|fold| fold.scale.as_slice()) }
    }
    let stage = |(chain, prepared): &(Chain, Prepared)| Stage {
        bias: prepared.bias.clone().unwrap_or_default(),
        curve: chain.curve,
    };
    let Op::Layer(Layer::Conv(convolution)) = &graph.node(second.0.host).op else { return Ok(None) };
    let space: Vec<u64> = sizes[first.0.last().index()].iter().skip(2).map(|&size| size as u64).collect();
    let windows = convolution.windows(&space)?;
    let outputs = &sizes[second.0.host.index()][2..];
    let kernel = Inverted::new(
        isa,
        (frame, channels),
        ((weights(expansion, &first.0), stage(first)), (weights(middle, &second.0), stage(second))),
        (&windows, convolution.padding_mode, outputs),
        weights(projection, &third.0),
    );
    let Some(mut kernel) = kernel else { return Ok(None) };
    let mut members = [&first.0.members[..], &second.0.members[..]].concat();
    if let Some((chain, prepared)) = gates {
        let Kernel::Gates(gates) = prepared.kernel else { return Ok(None) };
        kernel.gates = Some(gates);
        members.extend(chain.members);
    }
    let (mut chain, prepared) = third;
    members.append(&mut chain.members);
    let kernel = Kernel::Inverted(Box::new(kernel));
    Ok(Some((Chain { members, ..chain }, Prepared { kernel, bias: prepared.bias })))
}

/// Returns the windows of a convolution of a single group that multiplies all of its taps, and its input channels.
fn single(kernel: &Kernel) -> Option<(&Frame, usize)> {
    match kernel {
        Kernel::Convolution(own) if own.weights.groups == 1 && own.live.is_none() && own.front.is_none() => {
            Some((&own.frame, own.channels))
        }
        Kernel::Across(own) if own.groups.len() == 1 => Some((&own.frame, own.channels)),
        _ => None,
    }
}

/// Fuses a convolution and the depthwise `convolution` that reads its result, where that saves memory traffic.
fn expanded(
    graph: &Graph,
    sizes: &[Vec<usize>],
    convolution: &Layer,
    (mut chain, first): (Chain, Prepared),
    (second, after): (Chain, Prepared),
) -> Result<(Chain, Prepared), Problem> {
    let between = &sizes[chain.last().index()];
    let elements = |sizes: &[usize]| sizes.iter().product::<usize>();
    // Its input is needed until the second convolution runs: what lies between must not be the smaller one.
    let input =
        graph.node(chain.members[0]).inputs.first().map_or(0, |input| elements(&sizes[input.index()]));
    let space: Vec<u64> = between.iter().skip(2).map(|&size| size as u64).collect();
    let (Kernel::Convolution(product), Kernel::Depthwise(rows), Layer::Conv(layer), None, true) =
        (&first.kernel, &after.kernel, convolution, chain.add, input <= elements(between))
    else {
        return Ok((chain, first));
    };
    let Some(strips) = Strip::all(product, rows, (&layer.windows(&space)?, layer.padding_mode))? else {
        return Ok((chain, first));
    };
    let Kernel::Convolution(product) = first.kernel else { return Ok((chain, first)) };
    let kernel = Expanded::new(*product, (first.bias, chain.curve), rows, strips);
    chain.members.extend(second.members);
    let chain = Chain { members: chain.members, ..second };
    Ok((chain, Prepared { kernel: Kernel::Expanded(Box::new(kernel)), bias: after.bias }))
}

/// Returns the only reader of the last member, unless that member is an output of the network.
fn reader(graph: &Graph, consumers: &[Vec<NodeId>], last: NodeId) -> Option<NodeId> {
    match consumers[last.index()].as_slice() {
        [only] if !graph.outputs().contains(&last) => Some(*only),
        _ => None,
    }
}

/// Returns the function of one number of a pointwise `layer`.
fn activation(layer: &Layer) -> Option<Activation> {
    layer.pointwise().map(|pointwise| pointwise.activation)
}

/// Returns whether a layer leaves the values unchanged and at most changes their sizes.
fn relabels(layer: &Layer) -> bool {
    matches!(layer, Layer::Identity(_) | Layer::Dropout(_) | Layer::Flatten(_) | Layer::Reshape(_))
}

/// Fuses what a product can absorb: a norm, a sum, an activation, in this order.
fn product(
    network: &Network<'_, f32>,
    sizes: &[Vec<usize>],
    consumers: &[Vec<NodeId>],
    taken: &[bool],
    host: NodeId,
) -> Chain {
    let graph = network.graph;
    let mut chain = Chain::of(host);
    let folds = matches!(&graph.node(host).op, Op::Layer(layer) if select_gemm::folds(layer));
    while let Some(next) = reader(graph, consumers, chain.last()) {
        let node = graph.node(next);
        let Op::Layer(layer) = &node.op else { break };
        let open = chain.curve.is_none() && chain.add.is_none();
        let same = sizes[next.index()] == sizes[host.index()];
        match layer {
            _ if taken[next.index()] => break,
            Layer::BatchNorm(norm) if open && chain.fold.is_none() && folds => {
                let inputs = [sizes[host.index()].as_slice()];
                let site = LayerUse {
                    layer,
                    declared: &node.weights,
                    weights: network.weights(next),
                    inputs: &inputs,
                    output: &sizes[next.index()],
                };
                let fold = running(&site, norm.eps);
                // Infinite and NaN parameters are not folded: multiplied by the zeros of the weights they would give
                // NaN.
                let finite =
                    |fold: &Fold| fold.scale.iter().chain(&fold.shift).all(|value| value.is_finite());
                let Some(fold) = fold.filter(finite) else { break };
                chain.fold = Some(fold);
            }
            Layer::Add(add) if open && same && node.inputs.len() == 2 => {
                let plain =
                    add.weights.as_ref().is_none_or(|weights| weights.iter().all(|&weight| weight == 1.0));
                let others: Vec<NodeId> =
                    node.inputs.iter().copied().filter(|&input| input != chain.last()).collect();
                let [other] = others[..] else { break };
                if !plain || sizes[other.index()] != sizes[host.index()] {
                    break;
                }
                chain.add = Some(other);
            }
            layer => match activation(layer) {
                Some(curve) if chain.curve.is_none() => chain.curve = Some(curve),
                _ if relabels(layer) && same => {}
                _ => break,
            },
        }
        chain.members.push(next);
    }
    chain
}

/// Fuses what any step can absorb: an activation, if its kernel supports it, and layers that only change the sizes.
fn extend(graph: &Graph, consumers: &[Vec<NodeId>], chain: &mut Chain, kernel: &mut Kernel) {
    while let Some(next) = reader(graph, consumers, chain.last()) {
        let Op::Layer(layer) = &graph.node(next).op else { break };
        let takes = relabels(layer) || activation(layer).is_some_and(|curve| kernel.absorb(curve));
        if !takes {
            break;
        }
        chain.members.push(next);
    }
}
