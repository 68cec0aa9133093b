//! Variants of a network that are cheaper to run or easier to look into: other input sizes, fewer channels, open gates.
//!
//! What stays is checked, not hoped for: a slim network has the same nodes, edges and spatial sizes as the original.

use num_integer::Integer as _;

use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::{Graph, Node, NodeId, Op};
use cnnkit_core::layers::args::Groups;
use cnnkit_core::layers::layer_norm::NormAxis;
use cnnkit_core::layers::{Io, Layer, Role};
use cnnkit_core::shape::Shape;

/// The network with inputs of the shapes `inputs`; `change` says what each layer becomes, given its new input shapes.
fn rebuild(
    graph: &Graph,
    inputs: &[Shape],
    change: impl Fn(&Node, &Layer, &[Shape]) -> Result<(Layer, Vec<NodeId>), Problem>,
) -> Result<Graph, Problem> {
    let mut nodes: Vec<Node> = Vec::with_capacity(graph.nodes.len());
    let mut given = inputs.iter();
    for node in &graph.nodes {
        let mut node = node.clone();
        match &node.op {
            Op::Input => node.shape = given.next().unwrap_or(&node.shape).clone(),
            Op::Layer(layer) => {
                let all: Vec<Shape> = node.inputs.iter().map(|input| nodes[input.0].shape.clone()).collect();
                let (layer, sources) = change(&node, layer, &all)?;
                let shapes: Vec<Shape> = sources.iter().map(|input| nodes[input.0].shape.clone()).collect();
                let output = layer.infer(&shapes)?;
                let io = Io { inputs: &shapes, output: &output };
                (node.weights, node.cost) = (layer.weights(io)?, layer.cost(io)?);
                node.inputs = sources;
                node.counts.clear();
                node.op = Op::Layer(layer);
                node.shape = output;
            }
        }
        nodes.push(node);
    }
    let shared_fit = nodes.iter().all(|node| {
        node.shares.is_none_or(|owner| {
            let shapes = |node: &Node| node.weights.iter().map(|w| w.shape.clone()).collect::<Vec<_>>();
            shapes(node) == shapes(&nodes[owner.0])
        })
    });
    if !shared_fit {
        return Err(Problem::shape("shared weights fit one input size only"));
    }
    Ok(Graph { nodes, ..graph.clone() })
}

/// The network on inputs of other shapes; a linear layer behind a `flatten` gets the size that it then needs.
pub fn resized(graph: &Graph, inputs: &[Shape]) -> Result<Graph, Problem> {
    rebuild(graph, inputs, |node, layer, _| Ok((layer.clone(), node.inputs.clone())))
}

/// The shapes of the inputs, with the spatial sizes `sizes` on each.
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

/// The network with as few channels as its structure allows, and the same spatial sizes at every node.
pub fn slim(graph: &Graph) -> Slim {
    let least = least_channels(graph);
    let even = graph.nodes.iter().filter_map(stated).fold(0, |all: u64, channels| all.gcd(&channels));
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

/// The network with its channels divided by the largest number that keeps every ratio exact, groups included.
pub fn divided(graph: &Graph) -> Option<Slim> {
    let even = graph.nodes.iter().filter_map(stated).fold(0, |all: u64, channels| all.gcd(&channels));
    let divisors = (2..=even.min(4096)).rev().filter(|d| even.is_multiple_of(*d));
    divisors
        .filter_map(|divisor| Some((narrowed(graph, &|channels| channels / divisor, false).ok()?, divisor)))
        .map(|(graph, divisor)| Slim { graph, how: format!("channels divided by {divisor}") })
        .next()
}

/// The channels that a layer states itself.
fn stated(node: &Node) -> Option<u64> {
    let Op::Layer(layer) = &node.op else { return None };
    match layer {
        Layer::Conv(conv) if conv.groups == Groups::Depthwise => None,
        Layer::Conv(conv) => Some(conv.out_channels),
        Layer::ConvTranspose(conv) => Some(conv.out_channels),
        Layer::DeformConv(conv) => Some(conv.out_channels),
        _ => None,
    }
}

/// What every number of channels must be a multiple of.
fn least_channels(graph: &Graph) -> u64 {
    let mut least = 1u64;
    for node in &graph.nodes {
        let Op::Layer(layer) = &node.op else { continue };
        let inputs = node.inputs.first().map_or(1, |input| graph.node(*input).shape.channels());
        let axes = u32::try_from(node.shape.spatial().len()).unwrap_or(1);
        let grouped = |groups: Groups| match groups {
            Groups::Number(groups) if groups != inputs => groups,
            _ => 1,
        };
        let factor = match layer {
            Layer::Conv(conv) => grouped(conv.groups),
            Layer::ConvTranspose(conv) => grouped(conv.groups),
            Layer::DeformConv(conv) => grouped(conv.groups).lcm(&conv.offset_groups.max(1)),
            Layer::GroupNorm(norm) if norm.num_groups != inputs => norm.num_groups,
            Layer::ChannelShuffle(shuffle) => shuffle.groups,
            Layer::Chunk(chunk) if chunk.axis == 0 => chunk.chunks,
            Layer::Glu(_) => 2,
            Layer::PixelShuffle(shuffle) => shuffle.upscale_factor.saturating_pow(axes),
            _ => 1,
        };
        least = least.lcm(&factor.clamp(1, 4096)).min(4096);
    }
    least
}

/// The network with so many channels; of its inputs too, with `inputs`.
fn narrowed(graph: &Graph, width: &dyn Fn(u64) -> u64, inputs: bool) -> Result<Graph, Problem> {
    let own = |shape: &Shape| match shape.channels() {
        wide if inputs && wide > 4 => Shape::new(
            [width(wide).max(1)].into_iter().chain(shape.spatial().iter().copied()).collect::<Vec<_>>(),
        ),
        _ => shape.clone(),
    };
    let inputs: Vec<Shape> = graph.inputs().map(|(_, node)| own(&node.shape)).collect();
    let slim = rebuild(graph, &inputs, |node, layer, shapes| {
        let before = graph.node(node.inputs[0]).shape.channels();
        let flat = shapes[0].rank() == 1;
        Ok((narrow(layer, before, shapes[0].channels(), flat, width), node.inputs.clone()))
    })?;
    let same = graph.nodes.iter().zip(&slim.nodes).all(|(a, b)| a.shape.spatial() == b.shape.spatial());
    if same { Ok(slim) } else { Err(Problem::shape("the slim network has other spatial sizes")) }
}

/// `layer` with fewer channels, now that its input has `after` instead of `before`.
fn narrow(layer: &Layer, before: u64, after: u64, flat: bool, width: &dyn Fn(u64) -> u64) -> Layer {
    let grouped = |groups: Groups, outputs: u64| match groups {
        Groups::Number(groups) if groups != before || groups == 1 => (Groups::Number(groups), width(outputs)),
        _ => (Groups::Number(after), (outputs / before.max(1)).max(1) * after),
    };
    let mut layer = layer.clone();
    match &mut layer {
        Layer::Conv(conv) => {
            (conv.groups, conv.out_channels) = grouped(conv.groups, conv.out_channels);
            conv.in_channels = None;
        }
        Layer::ConvTranspose(conv) => {
            (conv.groups, conv.out_channels) = grouped(conv.groups, conv.out_channels);
            conv.in_channels = None;
        }
        Layer::DeformConv(conv) => {
            (conv.groups, conv.out_channels) = grouped(conv.groups, conv.out_channels);
            conv.in_channels = None;
            if conv.offset_groups == before {
                conv.offset_groups = after;
            }
        }
        Layer::Linear(linear) if flat => {
            linear.out_features = width(linear.out_features).max(1);
            linear.in_features = None;
        }
        Layer::SqueezeExcite(gate) => gate.squeeze = Some(1),
        Layer::Prelu(prelu) if prelu.num_parameters > 1 => prelu.num_parameters = after,
        Layer::GroupNorm(norm) if norm.num_groups == before => norm.num_groups = after,
        Layer::Slice(slice) if slice.axis == 0 => {
            let (old, new) = (i64::try_from(before).unwrap_or(1).max(1), i64::try_from(after).unwrap_or(1));
            slice.start = slice.start * new / old;
            slice.end = slice.end.map(|end| end * new / old);
        }
        _ => {}
    }
    layer
}

/// The network with its gates and map-wide statistics cut: what is left is local. None if a join has gates only.
pub fn without_gates(graph: &Graph) -> Result<Option<Graph>, Problem> {
    let inputs: Vec<Shape> = graph.inputs().map(|(_, node)| node.shape.clone()).collect();
    let only_gates = graph.nodes.iter().any(|node| {
        let reaches = graph.reach(node);
        !reaches.is_empty() && reaches.iter().all(|reach| reach.role == Role::Context)
    });
    if only_gates {
        return Ok(None);
    }
    let identity = || Layer::Identity(cnnkit_core::layers::identity::Identity {});
    let open = rebuild(graph, &inputs, |node, layer, _| {
        if let Layer::Multiply(_) | Layer::Divide(_) = layer {
            let reaches = graph.reach(node);
            let kept: Vec<NodeId> = (0..)
                .zip(&node.inputs)
                .filter(|(index, _)| reaches.iter().any(|r| r.input == *index && r.role != Role::Context))
                .map(|(_, &input)| input)
                .collect();
            let layer = if kept.len() == 1 { identity() } else { layer.clone() };
            return Ok((layer, kept));
        }
        Ok((if map_wide(layer) { identity() } else { layer.clone() }, node.inputs.clone()))
    })?;
    Ok(Some(open))
}

/// Whether a layer multiplies or normalises by statistics of the whole map.
pub fn map_wide(layer: &Layer) -> bool {
    match layer {
        Layer::SqueezeExcite(_) | Layer::GroupNorm(_) => true,
        Layer::InstanceNorm(norm) => !norm.track_running_stats,
        Layer::LayerNorm(norm) => matches!(norm.axis, NormAxis::Space | NormAxis::All),
        _ => false,
    }
}
