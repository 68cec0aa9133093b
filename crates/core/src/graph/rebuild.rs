//! The same network with other layers or input sizes: shapes, weights and costs are inferred again.

use crate::diagnostic::{Code, Problem};
use crate::graph::{Graph, Node, NodeId, Op};
use crate::layers::{Io, Layer};
use crate::shape::Shape;

impl Graph {
    /// Returns the network on inputs of the shapes `inputs` (in the order of [`Graph::inputs`]; an input
    /// without a shape keeps its own). `change` returns each layer's replacement and its sources, given the
    /// new shapes of its inputs.
    pub fn rebuilt(
        &self,
        inputs: &[Shape],
        change: impl Fn(&Node, &Layer, &[Shape]) -> Result<(Layer, Vec<NodeId>), Problem>,
    ) -> Result<Self, Problem> {
        let mut nodes: Vec<Node> = Vec::with_capacity(self.nodes.len());
        let mut given = inputs.iter();
        for node in &self.nodes {
            let mut node = node.clone();
            match &node.op {
                Op::Input => node.shape = given.next().unwrap_or(&node.shape).clone(),
                Op::Layer(layer) => {
                    let (layer, sources) = change(&node, layer, &shapes(&nodes, &node.inputs)?)?;
                    let shapes = shapes(&nodes, &sources)?;
                    let output = layer.infer(&shapes)?;
                    let io = Io { inputs: &shapes, output: &output };
                    (node.weights, node.cost) = (node.as_kept(layer.weights(io)?), layer.cost(io)?);
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
        Ok(Self { nodes, ..self.clone() })
    }
}

/// Returns the shapes of the nodes `sources`, which must stand before the node that reads them.
fn shapes(nodes: &[Node], sources: &[NodeId]) -> Result<Vec<Shape>, Problem> {
    let shape = |source: &NodeId| {
        nodes.get(source.0).map(|node| node.shape.clone()).ok_or_else(|| {
            Problem::new(Code::Reference, "a layer reads a node that does not stand before it")
        })
    };
    sources.iter().map(shape).collect()
}
