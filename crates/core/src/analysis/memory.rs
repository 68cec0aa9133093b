//! Memory of one inference by liveness: a tensor lives from the step that computes it to the last step that
//! reads it.
//!
//! Steps run in the graph's order. Assumes no in-place operations and no fusion, so an engine that does
//! either needs less than these figures. Weights are not part of the peak.

pub use crate::dtype::Dtype;
use crate::graph::{Graph, NodeId};

/// The step with the largest memory use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peak {
    /// Elements alive at that step, including the network's inputs while they are needed.
    pub elements: u64,
    /// The layer that runs at that step.
    pub step: NodeId,
    /// Tensors alive at that step with their elements, largest first.
    pub alive: Vec<(NodeId, u64)>,
}

/// Returns, for each node, the last step at which its output is needed.
pub fn last_uses(graph: &Graph) -> Vec<usize> {
    let mut last: Vec<usize> = (0..graph.nodes.len()).collect();
    for (id, node) in graph.iter() {
        for input in node.sources() {
            last[input.0] = id.0;
        }
    }
    for output in &graph.outputs {
        last[output.0] = graph.nodes.len();
    }
    last
}

/// Returns the peak of one inference at batch 1, in elements; the first of several equal peaks. `None` for an
/// empty graph.
pub fn peak(graph: &Graph) -> Option<Peak> {
    let last = last_uses(graph);
    let elements: Vec<u64> =
        graph.nodes.iter().map(|node| node.shape.elements().unwrap_or(u64::MAX)).collect();
    // Inputs exist before the first step.
    let mut alive: u64 = graph.inputs().map(|(id, _)| elements[id.0]).fold(0, u64::saturating_add);
    let mut freed_at: Vec<Vec<usize>> = vec![Vec::new(); graph.nodes.len() + 1];
    for (node, &step) in last.iter().enumerate() {
        freed_at[step].push(node);
    }
    let mut best: Option<(u64, usize)> = None;
    for (step, node) in graph.nodes.iter().enumerate() {
        if node.op != crate::graph::Op::Input {
            alive = alive.saturating_add(elements[step]);
        }
        if best.is_none_or(|(most, _)| alive > most) {
            best = Some((alive, step));
        }
        for &freed in &freed_at[step] {
            alive = alive.saturating_sub(elements[freed]);
        }
    }
    let (most, step) = best?;
    let is_input = |node: usize| graph.nodes[node].op == crate::graph::Op::Input;
    let mut tensors: Vec<(NodeId, u64)> = (0..graph.nodes.len())
        .filter(|&node| (node <= step || is_input(node)) && last[node] >= step)
        .map(|node| (NodeId(node), elements[node]))
        .collect();
    tensors.sort_by_key(|&(id, size)| (std::cmp::Reverse(size), id));
    Some(Peak { elements: most, step: NodeId(step), alive: tensors })
}
