//! Parameters, MACs and other operations, layer by layer and in total.
//!
//! Everything here is a sum over the layers' declarations. Counts are for one inference at the given batch; FLOPs are
//! 2 x MACs + other operations.

use crate::graph::{Graph, Node};
use crate::layers::{Ops, WeightRole};

/// FLOPs of one multiply-accumulate.
pub const FLOPS_PER_MAC: u64 = 2;

/// The size and cost of a layer, a group of layers or a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Learnable elements; shared weights count once, at their owner.
    pub params: u64,
    /// Stored but not learned elements (batch norm's running statistics), fixed weights among them.
    pub buffers: u64,
    /// Elements of weights that are not learned (`learned: false`): a part of the buffers.
    pub frozen: u64,
    /// Multiply-accumulates of convolutions and linear maps.
    pub macs: u64,
    /// Multiply-accumulates of bilinear sampling in deformable convolutions.
    pub sampling_macs: u64,
    /// Everything that is not a multiply-accumulate, by kind.
    pub ops: Ops,
    /// Elements of all layer outputs; the network's inputs are not included.
    pub activations: u64,
}

impl Counts {
    /// Returns the sum of `ops`.
    pub fn other_ops(&self) -> u64 {
        self.ops.arithmetic.saturating_add(self.ops.comparisons).saturating_add(self.ops.functions)
    }

    /// Returns 2 x MACs + other operations.
    pub fn flops(&self) -> u64 {
        self.macs.saturating_mul(FLOPS_PER_MAC).saturating_add(self.other_ops())
    }

    /// Adds two counts. Loading rejects networks whose totals exceed 60 bits, so nothing saturates.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            params: self.params.saturating_add(other.params),
            buffers: self.buffers.saturating_add(other.buffers),
            frozen: self.frozen.saturating_add(other.frozen),
            macs: self.macs.saturating_add(other.macs),
            sampling_macs: self.sampling_macs.saturating_add(other.sampling_macs),
            ops: Ops {
                arithmetic: self.ops.arithmetic.saturating_add(other.ops.arithmetic),
                comparisons: self.ops.comparisons.saturating_add(other.ops.comparisons),
                functions: self.ops.functions.saturating_add(other.ops.functions),
            },
            activations: self.activations.saturating_add(other.activations),
        }
    }
}

/// Returns the counts of `node` at batch 1.
pub fn of_node(node: &Node) -> Counts {
    let elements = |role: WeightRole| {
        let own = node.own_weights().filter(|(_, weight)| weight.role == role);
        own.map(|(index, weight)| node.counted(index, weight.shape.elements().unwrap_or(u64::MAX)))
            .fold(0, u64::saturating_add)
    };
    let is_layer = matches!(node.op, crate::graph::Op::Layer(_));
    Counts {
        params: elements(WeightRole::Parameter),
        buffers: elements(WeightRole::Buffer).saturating_add(elements(WeightRole::Fixed)),
        frozen: elements(WeightRole::Fixed),
        macs: node.cost.macs,
        sampling_macs: node.cost.sampling_macs,
        ops: node.cost.ops,
        activations: if is_layer { node.shape.elements().unwrap_or(u64::MAX) } else { 0 },
    }
}

/// Returns the counts of the network at batch 1.
pub fn of_graph(graph: &Graph) -> Counts {
    graph.nodes.iter().map(of_node).fold(Counts::default(), Counts::plus)
}

/// Returns the number of layers with weights on the longest path from an input to an output: the depth that papers
/// count.
pub fn depth(graph: &Graph) -> u64 {
    let mut depths: Vec<u64> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let before = node.inputs.iter().map(|input| depths[input.0]).max().unwrap_or(0);
        // Norms and activations with weights do not add depth: ResNet-50 has 50 convolutions and linear maps.
        depths.push(before + u64::from(node.cost.macs > 0));
    }
    graph.outputs.iter().map(|output| depths[output.0]).max().unwrap_or(0)
}
