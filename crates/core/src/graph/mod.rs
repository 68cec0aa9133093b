//! The typed layer graph: nodes in execution order, each with its layer, inputs, inferred shape and weights.
//!
//! The graph depends on neither YAML nor ONNX. A front end adds nodes through [`Builder`], which infers shapes as it
//! goes, turns every [`Problem`](crate::diagnostic::Problem) into a diagnostic at the node's origin, and does not
//! stop at the first: a failed node silences the nodes that depend on it.

mod builder;
mod joined;
mod rebuild;
mod split;

pub use builder::{Builder, Unbuilt};

use crate::layers::opaque::Opaque;
use crate::layers::{Arithmetic, Cost, Io, Layer, Weight};
use crate::shape::Shape;
use crate::source::Origin;

/// Index of a node in its graph; inputs have smaller indices than the nodes that read them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub(crate) usize);

impl NodeId {
    /// Returns the id of the node at position `index` of [`Graph::nodes`].
    pub const fn new(index: usize) -> Self {
        Self(index)
    }

    /// Returns the position of the node in [`Graph::nodes`].
    pub const fn index(self) -> usize {
        self.0
    }
}

/// A network: nodes in execution order. Only [`Builder`] constructs one, so its shapes, weights and costs
/// always match its layers.
#[derive(Debug, Clone)]
pub struct Graph {
    pub(crate) name: String,
    pub(crate) nodes: Vec<Node>,
    pub(crate) outputs: Vec<NodeId>,
}

/// One node.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its name, unique: a dotted path such as `stage2.bottleneck1.conv2`.
    pub id: String,
    /// The operation.
    pub op: Op,
    /// The nodes that it reads: at least one, unless it is an input of the network.
    pub inputs: Vec<NodeId>,
    /// The shape of its output.
    pub shape: Shape,
    /// The tensors that it owns or shares.
    pub weights: Vec<Weight>,
    /// The cost of one inference.
    pub cost: Cost,
    /// The node whose weights it uses instead of its own.
    pub shares: Option<NodeId>,
    /// Indices of `weights` that are the same tensor as an earlier node's weight and are counted there.
    pub tied: Vec<usize>,
    /// Indices of `weights` that the model computes from stored tensors in every run: weight standardisation, a bias from a
    /// small network of its own.
    pub computed: Vec<usize>,
    /// Whether its weights are not learned (`learned: false`).
    pub frozen: bool,
    /// Weights that count as a number of elements other than their own, as (index, elements): a stored tensor
    /// of which the layer uses a part, or from which the model computes the weight.
    pub counts: Vec<(usize, u64)>,
    /// Where it was written.
    pub origin: Origin,
}

/// The operation of a node.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// An input of the network.
    Input,
    /// A layer.
    Layer(Layer),
}

impl Node {
    /// Returns the inputs whose values it reads: none for a learned tensor, which depends only on the batch
    /// size.
    pub fn sources(&self) -> &[NodeId] {
        let learned = matches!(self.op, Op::Layer(Layer::LearnedTensor(_)));
        let constant = self.opaque().is_some_and(|opaque| opaque.constant);
        if learned || constant { &[] } else { &self.inputs }
    }

    /// Returns what is known of a node that is not analysed; `None` for any other.
    fn opaque(&self) -> Option<&Opaque> {
        if let Op::Layer(Layer::Opaque(opaque)) = &self.op { Some(opaque) } else { None }
    }

    /// Returns the shape of its output; none where an imported model leaves it open.
    pub fn known_shape(&self) -> Option<&Shape> {
        let unknown = self.opaque().is_some_and(|opaque| opaque.unknown);
        (!unknown).then_some(&self.shape)
    }

    /// Returns the shape of its output for people: `?` where it is not known.
    pub fn shown_shape(&self) -> String {
        self.known_shape().map_or_else(|| "?".to_owned(), Shape::to_string)
    }

    /// Returns how many elements weight `index`, which has `elements`, counts as.
    pub fn counted(&self, index: usize, elements: u64) -> u64 {
        self.counts.iter().find(|(at, _)| *at == index).map_or(elements, |&(_, count)| count)
    }

    /// Returns the weights that its layer declares, as this node stores them: fixed if they are not learned.
    pub fn as_kept(&self, weights: Vec<Weight>) -> Vec<Weight> {
        if self.frozen { weights.into_iter().map(Weight::fixed).collect() } else { weights }
    }

    /// Iterates over the weights that are counted at this node, without those of another node.
    pub fn own_weights(&self) -> impl Iterator<Item = (usize, &Weight)> {
        let own = self.weights.iter().enumerate().filter(|(index, _)| !self.tied.contains(index));
        own.filter(|_| self.shares.is_none())
    }
}

impl Op {
    /// Returns the layer's name in a spec, or `input`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Layer(layer) => layer.doc().name,
        }
    }
}

impl Graph {
    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns all nodes; every input of a node precedes it.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Returns what the network returns, in order.
    pub fn outputs(&self) -> &[NodeId] {
        &self.outputs
    }

    /// Returns, for each node, whether the network returns it.
    pub fn returned(&self) -> Vec<bool> {
        let mut returned = vec![false; self.nodes.len()];
        self.outputs.iter().for_each(|output| returned[output.0] = true);
        returned
    }

    /// Returns the node with index `id`.
    ///
    /// # Panics
    /// If `id` belongs to another graph.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// Returns the node named `id`.
    pub fn find(&self, id: &str) -> Option<NodeId> {
        self.nodes.iter().position(|node| node.id == id).map(NodeId)
    }

    /// Iterates over all nodes with their indices, in execution order.
    pub fn iter(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes.iter().enumerate().map(|(i, node)| (NodeId(i), node))
    }

    /// Iterates over the network's inputs.
    pub fn inputs(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.iter().filter(|(_, node)| node.op == Op::Input)
    }

    /// Returns the shapes of the inputs of `node`.
    pub fn input_shapes(&self, node: &Node) -> Vec<Shape> {
        node.inputs.iter().map(|&input| self.node(input).shape.clone()).collect()
    }

    /// Returns, for each node, the nodes that read it.
    pub fn consumers(&self) -> Vec<Vec<NodeId>> {
        let mut consumers = vec![Vec::new(); self.nodes.len()];
        for (id, node) in self.iter() {
            for input in &node.inputs {
                consumers[input.0].push(id);
            }
        }
        consumers
    }

    /// Returns the dependences of `node` on its inputs; empty for an input of the network.
    pub fn reach(&self, node: &Node) -> Vec<crate::layers::Reach> {
        match &node.op {
            Op::Input => vec![],
            Op::Layer(layer) => layer.reach(Io { inputs: &self.input_shapes(node), output: &node.shape }),
        }
    }
}

#[cfg(debug_assertions)]
impl Graph {
    /// Falsifies what the graph states about `node`. Only for tests that prove that `verify` rejects such a
    /// graph, so it is in no release build.
    pub fn falsify(&mut self, node: NodeId, change: impl FnOnce(&mut Shape, &mut Cost)) {
        let node = &mut self.nodes[node.0];
        change(&mut node.shape, &mut node.cost);
    }
}

/// Whether the weights of `layer` depend on nothing but channels, of which `sources` have as many as the input had for
/// which they were made.
fn by_channels(layer: &Layer, sources: &[Shape], input: &Node) -> bool {
    let kind = matches!(layer.arithmetic(), Arithmetic::Conv(_) | Arithmetic::BatchNorm(_));
    kind && sources
        .iter()
        .all(|source| (source.rank(), source.channels()) == (input.shape.rank(), input.shape.channels()))
}

/// The node that rejects other input shapes, with the reason.
#[derive(Debug)]
pub struct Misfit {
    /// The node.
    pub node: NodeId,
    /// The reason.
    pub problem: crate::diagnostic::Problem,
}

impl std::fmt::Display for Misfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.problem.fmt(f)
    }
}

impl std::error::Error for Misfit {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.problem)
    }
}

impl Graph {
    /// Infers the shapes of all nodes for inputs of the shapes `inputs` (in the order of [`Graph::inputs`]),
    /// with the same weights; an error names the node that rejects them. A linear layer after a `flatten`
    /// accepts only the size that it was built for.
    pub fn reinfer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, Misfit> {
        let mut shapes: Vec<Shape> = Vec::with_capacity(self.nodes.len());
        let mut given = inputs.iter();
        for (id, node) in self.iter() {
            let shape = match &node.op {
                Op::Input => given.next().unwrap_or(&node.shape).clone(),
                // It has no weights, and fits every shape.
                Op::Layer(layer) if matches!(layer.arithmetic(), Arithmetic::Pointwise(_)) => {
                    shapes[node.inputs[0].0].clone()
                }
                Op::Layer(layer) => {
                    let sources: Vec<Shape> =
                        node.inputs.iter().map(|input| shapes[input.0].clone()).collect();
                    let misfit = |problem| Misfit { node: id, problem };
                    let output = layer.infer(&sources).map_err(misfit)?;
                    if !node.weights.is_empty() && !by_channels(layer, &sources, self.node(node.inputs[0])) {
                        let weights =
                            layer.weights(Io { inputs: &sources, output: &output }).map_err(misfit)?;
                        let shapes = |weights: &[Weight]| {
                            weights.iter().map(|weight| weight.shape.clone()).collect::<Vec<_>>()
                        };
                        if shapes(&weights) != shapes(&node.weights) {
                            let message = format!("`{}` has weights for one input size only", node.id);
                            return Err(misfit(crate::diagnostic::Problem::shape(message)));
                        }
                    }
                    output
                }
            };
            shapes.push(shape);
        }
        Ok(shapes)
    }
}
