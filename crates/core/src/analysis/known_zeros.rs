//! Elements that are zero whatever the network reads: what a `pad` layer writes, as far as it is carried on.
//!
//! A convolution behind them multiplies its weights by these zeros as by those of its own padding. They are followed
//! through layers that move elements along axes, and through functions of one element whose value at 0 is 0; every other
//! layer counts as if it made something of them.

use crate::analysis::support::{Budget, Region, Set};
use crate::diagnostic::Problem;
use crate::graph::{Graph, Node, Op};
use crate::layers::conv::PaddingMode;
use crate::layers::{AxisReach, Layer};

/// What a layer does with zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carries {
    /// Its elements are those of its operands at other places, or zeros of its own.
    Moves,
    /// Each of its elements is a function of one element, and 0 at 0.
    Maps,
    /// It makes something of them.
    Nothing,
}

/// What `layer` does with zeros.
pub fn carries(layer: &Layer) -> Carries {
    match layer {
        Layer::Pad(pad) if pad.mode == PaddingMode::Zeros && pad.value == 0.0 => Carries::Moves,
        Layer::Crop(_) | Layer::Slice(_) | Layer::Chunk(_) | Layer::Concat(_) => Carries::Moves,
        Layer::Identity(_)
        | Layer::Dropout(_)
        | Layer::Relu(_)
        | Layer::Relu6(_)
        | Layer::LeakyRelu(_)
        | Layer::Prelu(_)
        | Layer::Elu(_)
        | Layer::Celu(_)
        | Layer::Selu(_)
        | Layer::Gelu(_)
        | Layer::Silu(_)
        | Layer::Mish(_)
        | Layer::Hardswish(_)
        | Layer::Tanh(_)
        | Layer::LayerScale(_) => Carries::Maps,
        _ => Carries::Nothing,
    }
}

/// For each node, the elements that need not be zero; none where no element is known to be.
pub fn nonzero(graph: &Graph, budget: &Budget) -> Result<Vec<Option<Region>>, Problem> {
    let mut all: Vec<Option<Region>> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let region = match &node.op {
            Op::Layer(layer) => match carries(layer) {
                Carries::Moves => moved(graph, node, &all, budget)?,
                Carries::Maps => node.inputs.first().and_then(|input| all[input.0].clone()),
                Carries::Nothing => None,
            },
            Op::Input => None,
        };
        let everything = Region::product(&whole(node));
        all.push(region.filter(|region| *region != everything));
    }
    Ok(all)
}

/// All elements of `node`.
pub fn whole(node: &Node) -> Vec<Set> {
    node.shape.sizes().iter().map(|&size| Set::below(size)).collect()
}

/// The elements of a layer that moves what it reads, each of which reads an element that need not be zero.
fn moved(
    graph: &Graph,
    node: &Node,
    known: &[Option<Region>],
    budget: &Budget,
) -> Result<Option<Region>, Problem> {
    let mut all = Region::empty(node.shape.rank());
    for reach in graph.reach(node) {
        let Some(&operand) = node.inputs.get(reach.input) else { return Ok(None) };
        let sources = match &known[operand.0] {
            Some(region) => region.products(),
            None => vec![whole(graph.node(operand))],
        };
        for source in sources {
            let mut sets = whole(node);
            for (axis, from) in reach.axes.iter().zip(&source) {
                let AxisReach::Window { by, window } = axis else { return Ok(None) };
                let read = from.every(i128::from(window.stride), -i128::from(window.before));
                let Some(set) = sets.get_mut(*by) else { return Ok(None) };
                *set = set.intersection(&read, budget)?;
            }
            all = all.union(&Region::product(&sets), budget)?;
        }
    }
    Ok(Some(all))
}
