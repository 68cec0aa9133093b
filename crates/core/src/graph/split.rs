//! A network in two: up to a node, and from its output on.

use crate::graph::{Graph, Node, NodeId, Op};
use crate::layers::Cost;

impl Graph {
    /// Returns the network up to `at`, whose output is then its only one, and the rest, whose only input is that output.
    /// `None` unless the output of `at` alone passes from one to the other, weights included.
    pub fn split(&self, at: NodeId) -> Option<(Self, Self)> {
        let cut = at.0;
        let end = self.nodes.get(cut + 1..)?;
        let crosses = |node: &Node| {
            node.inputs.iter().any(|input| input.0 < cut)
                || node.shares.is_some_and(|owner| owner.0 <= cut)
                || node.op == Op::Input
        };
        if end.is_empty() || end.iter().any(crosses) || self.outputs.iter().any(|output| output.0 <= cut) {
            return None;
        }
        let first = Self { name: self.name.clone(), nodes: self.nodes[..=cut].to_vec(), outputs: vec![at] };
        let passed = &self.nodes[cut];
        let input = Node {
            op: Op::Input,
            inputs: vec![],
            weights: vec![],
            cost: Cost::FREE,
            shares: None,
            tied: vec![],
            computed: vec![],
            counts: vec![],
            ..passed.clone()
        };
        let moved = |node: &Node| Node {
            inputs: node.inputs.iter().map(|input| NodeId(input.0 - cut)).collect(),
            shares: node.shares.map(|owner| NodeId(owner.0 - cut)),
            ..node.clone()
        };
        let nodes = std::iter::once(input).chain(end.iter().map(moved)).collect();
        let outputs = self.outputs.iter().map(|output| NodeId(output.0 - cut)).collect();
        Some((first, Self { name: self.name.clone(), nodes, outputs }))
    }
}
