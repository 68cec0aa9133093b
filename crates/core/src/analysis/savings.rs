//! Computes the parameters and MACs of layers that could replace a convolution.

use crate::graph::{Graph, NodeId, Op};
use crate::layers::Layer;
use crate::layers::args::Groups;

/// A replacement of one convolution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saving {
    /// Number of layers.
    pub layers: u64,
    /// The kernel of its spatial layers, one entry per axis.
    pub kernel: Vec<u64>,
    /// Its parameters, biases included if the convolution has one.
    pub params: u64,
    /// Its MACs; `None` where the maps between its layers would have other sizes.
    pub macs: Option<u64>,
}

/// The figures of a convolution that can be replaced.
struct Facts {
    inputs: u64,
    outputs: u64,
    groups: u64,
    kernel: Vec<u64>,
    /// Number of positions of its output.
    places: u64,
    bias: bool,
    /// Whether the map keeps its size.
    keeps: bool,
}

/// Returns the figures of a convolution without stride and dilation.
fn facts(graph: &Graph, id: NodeId) -> Option<Facts> {
    let node = graph.node(id);
    let Op::Layer(Layer::Conv(conv)) = &node.op else { return None };
    let input = &graph.node(*node.inputs.first()?).shape;
    let windows = conv.windows(input.spatial()).ok()?;
    if windows.iter().any(|window| window.stride != 1 || window.dilation != 1) {
        return None;
    }
    let (inputs, outputs) = (input.channels(), node.shape.channels());
    Some(Facts {
        inputs,
        outputs,
        groups: conv.groups.resolve(inputs, outputs).ok()?,
        kernel: windows.iter().map(|window| window.kernel).collect(),
        places: node.shape.spatial().iter().product(),
        bias: conv.bias,
        keeps: input.spatial() == node.shape.spatial(),
    })
}

/// Returns the stack of convolutions of kernel 3 with the receptive field of an odd kernel of 5 or more (on some
/// axes; 1 on the others): the first maps the input channels to the output channels, the others keep these; all have
/// the same groups (one per output channel for a depthwise convolution).
pub fn stacked(graph: &Graph, id: NodeId) -> Option<Saving> {
    let conv = facts(graph, id)?;
    let large = conv.kernel.iter().copied().max()?;
    let fits = conv.kernel.iter().all(|&taps| taps == large || taps == 1);
    if large < 5 || large.is_multiple_of(2) || !fits {
        return None;
    }
    let layers = (large - 1) / 2;
    let kernel: Vec<u64> = conv.kernel.iter().map(|&taps| taps.min(3)).collect();
    let taps: u64 = kernel.iter().product();
    let depthwise = conv.groups == conv.inputs && conv.groups > 1;
    let later = if depthwise { 1 } else { conv.outputs / conv.groups };
    let first = (conv.inputs / conv.groups).checked_mul(conv.outputs)?.checked_mul(taps)?;
    let other = later.checked_mul(conv.outputs)?.checked_mul(taps)?;
    let weights = first.checked_add(other.checked_mul(layers - 1)?)?;
    let biases = if conv.bias { layers.checked_mul(conv.outputs)? } else { 0 };
    let macs = if conv.keeps { weights.checked_mul(conv.places) } else { None };
    Some(Saving { layers, kernel, params: weights.checked_add(biases)?, macs })
}

/// Returns a bottleneck of `middle` channels around the kernel of a dense convolution whose kernel is above 1 on
/// every axis: 1x1, the kernel, 1x1.
pub fn bottleneck(graph: &Graph, id: NodeId, middle: u64) -> Option<Saving> {
    let node = graph.node(id);
    let Op::Layer(Layer::Conv(layer)) = &node.op else { return None };
    let input = &graph.node(*node.inputs.first()?).shape;
    let windows = layer.windows(input.spatial()).ok()?;
    let kernel: Vec<u64> = windows.iter().map(|window| window.kernel).collect();
    let dense = matches!(layer.groups, Groups::Number(1));
    if !dense || kernel.iter().any(|&taps| taps < 2) {
        return None;
    }
    let (inputs, outputs) = (input.channels(), node.shape.channels());
    let taps: u64 = kernel.iter().product();
    let core = middle.checked_mul(middle)?.checked_mul(taps)?;
    let weights = inputs.checked_mul(middle)?.checked_add(core)?.checked_add(middle.checked_mul(outputs)?)?;
    let biases = if layer.bias { 2 * middle + outputs } else { 0 };
    let places = |sizes: &[u64]| sizes.iter().product::<u64>();
    let before = places(input.spatial()).checked_mul(inputs)?.checked_mul(middle)?;
    let behind = core.checked_add(middle.checked_mul(outputs)?)?.checked_mul(places(node.shape.spatial()))?;
    Some(Saving { layers: 3, kernel, params: weights.checked_add(biases)?, macs: before.checked_add(behind) })
}
