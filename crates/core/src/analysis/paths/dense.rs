//! Dense blocks: layers that read all preceding feature maps (Huang et al. 2017).
//!
//! A block of `L` layers has `L (L + 1) / 2` direct connections: layer `l` reads the block's input and the outputs of
//! the `l - 1` layers before it.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use crate::graph::{Graph, Node, NodeId};
use crate::layers::{AxisReach, Role};

/// A dense block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DenseBlock {
    /// Its first concatenation.
    pub first: NodeId,
    /// Its last concatenation.
    pub last: NodeId,
    /// Number of layers.
    pub layers: u64,
    /// Direct connections between them, the block's input included.
    pub connections: u64,
}

/// Maximum number of tensors that one concatenation is traced back to.
const MAX_SOURCES: usize = 4096;

/// Finds chains of concatenations, each of which joins the operands of the previous one and one tensor
/// computed from them.
pub fn dense_blocks(graph: &Graph) -> Vec<DenseBlock> {
    // What each concatenation joins, sorted.
    let mut sources: HashMap<NodeId, Rc<[NodeId]>> = HashMap::new();
    let mut open: HashMap<Rc<[NodeId]>, DenseBlock> = HashMap::new();
    let mut found: Vec<DenseBlock> = Vec::new();
    for (id, node) in graph.iter().filter(|(_, node)| joins_channels(graph, node)) {
        let mut own: Vec<NodeId> = Vec::with_capacity(node.inputs.len());
        for operand in &node.inputs {
            match sources.get(operand) {
                Some(nested) => own.extend_from_slice(nested),
                None => own.push(*operand),
            }
        }
        own.sort_unstable();
        own.dedup();
        if own.len() > MAX_SOURCES {
            continue;
        }
        // The newest tensor is computed from the operands of the previous concatenation.
        let Some((_, older)) = own.split_last() else { continue };
        let connections = older.len() as u64;
        let block = match open.remove(older) {
            Some(block) => DenseBlock {
                last: id,
                layers: block.layers + 1,
                connections: block.connections + connections,
                ..block
            },
            None => DenseBlock { first: id, last: id, layers: 1, connections },
        };
        found
            .retain(|other| other.last != id && !(other.first == block.first && other.layers < block.layers));
        if block.layers > 1 && block.connections == block.layers * (block.layers + 1) / 2 {
            found.push(block.clone());
        }
        let own: Rc<[NodeId]> = own.into();
        open.insert(Rc::clone(&own), block);
        sources.insert(id, own);
    }
    found
}

/// Returns whether `node` concatenates its operands along the channels.
fn joins_channels(graph: &Graph, node: &Node) -> bool {
    let reaches = graph.reach(node);
    let starts: BTreeSet<i64> = reaches
        .iter()
        .filter(|reach| reach.role == Role::Local)
        .filter_map(|reach| match reach.axes.first() {
            Some(AxisReach::Window { by: 0, window }) if window.kernel == 1 && window.stride == 1 => {
                Some(window.before)
            }
            _ => None,
        })
        .collect();
    node.inputs.len() > 1 && starts.len() == node.inputs.len()
}
