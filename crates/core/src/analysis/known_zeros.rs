//! Elements that are zero for every input of the network: those that a `pad` layer writes, tracked through
//! later layers.
//!
//! A convolution after them multiplies its weights by these zeros as by those of its own padding. They are
//! tracked through layers that move elements along axes, and through functions of one element that map 0 to
//! 0; the output of every other layer counts as nonzero.

use crate::analysis::support::{Budget, Region, Set};
use crate::diagnostic::Problem;
use crate::graph::{Graph, Node, Op};
use crate::layers::{AxisReach, Layer, Reach, Values};

/// How a layer treats zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carries {
    /// Its elements are those of its operands, moved, or zeros of its own.
    Moves,
    /// Each of its elements is a function of one element, and 0 at 0.
    Maps,
    /// Its output may be nonzero.
    Nothing,
}

/// Returns how `layer`, with the dependences `reaches`, treats zeros: the layer states whether it moves
/// elements, its reaches whether along axes, one by one.
pub fn carries(layer: &Layer, reaches: &[Reach]) -> Carries {
    let one = |axis: &AxisReach| matches!(axis, AxisReach::Window { window, .. } if window.kernel == 1);
    match layer.values() {
        Values::Moved if reaches.iter().flat_map(|reach| &reach.axes).all(one) => Carries::Moves,
        Values::Mapped { zero: true, .. } => Carries::Maps,
        Values::Moved | Values::Mapped { zero: false, .. } | Values::Computed { .. } => Carries::Nothing,
    }
}

/// Returns, for each node, the elements that may differ from zero; `None` where no element is known to be zero.
pub fn nonzero(graph: &Graph, budget: &Budget) -> Result<Vec<Option<Region>>, Problem> {
    let mut all: Vec<Option<Region>> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let region = match &node.op {
            // It has no zeros of its own, and may have thousands of operands.
            Op::Layer(Layer::Concat(_)) if node.inputs.iter().all(|input| all[input.0].is_none()) => None,
            Op::Layer(layer) => match carries(layer, &graph.reach(node)) {
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

/// Returns all elements of `node`.
pub fn whole(node: &Node) -> Vec<Set> {
    node.shape.sizes().iter().map(|&size| Set::below(size)).collect()
}

/// Returns the elements of a data-moving layer that read an element which may differ from zero.
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
