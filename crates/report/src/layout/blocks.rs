//! Blocks, nets and ranks: what a layout consists of.

use std::ops::Range;

use serde::Serialize;

/// A box of a drawing: a node, or a block of nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Shown {
    /// The node with this index in the graph.
    Node(usize),
    /// The block with this index in the tree.
    Block(usize),
}

/// What lies in a rank: a child of the block, or the lane of a net.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Slot {
    /// The child with this index.
    Child(usize),
    /// The lane of the net with this index: a connection that passes, enters or leaves.
    Lane(usize),
}

/// The connections of one node's output inside a block.
#[derive(Debug, Clone, Serialize)]
pub struct Net {
    /// The node whose output it carries.
    pub node: usize,
    /// The child that computes it; none if it enters through the top border.
    pub from: Option<usize>,
    /// The children that read it, in order.
    pub to: Vec<usize>,
    /// Whether it leaves through the bottom border.
    pub leaves: bool,
}

/// A block: consecutive nodes whose ids begin alike. The first block of a tree is the whole network.
#[derive(Debug, Clone, Serialize)]
pub struct Block {
    /// Its path; empty for the whole network.
    pub name: String,
    /// The block around it.
    pub parent: Option<usize>,
    /// Its nodes.
    #[serde(serialize_with = "ends")]
    pub nodes: Range<usize>,
    /// Its children, in execution order.
    pub children: Vec<Shown>,
    /// Its nets, by node.
    pub nets: Vec<Net>,
    /// The ranks from top to bottom, each from left to right.
    pub ranks: Vec<Vec<Slot>>,
}

fn ends<S: serde::Serializer>(range: &Range<usize>, serializer: S) -> Result<S::Ok, S::Error> {
    [range.start, range.end].serialize(serializer)
}

/// The blocks of a graph, ranked and ordered.
#[derive(Debug, Clone, Serialize)]
pub struct Tree {
    /// The blocks; the first is the whole network, and every block stands behind the one around it.
    pub blocks: Vec<Block>,
}
