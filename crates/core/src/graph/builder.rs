//! Builds a graph node by node, with shape inference.

use std::collections::{HashMap, HashSet};
use std::fmt;

use crate::diagnostic::{Code, Diagnostic, Problem};
use crate::graph::{Graph, Node, NodeId, Op};
use crate::layers::{Cost, Io, Layer, Weight, WeightRole};
use crate::shape::Shape;
use crate::source::Origin;

/// Maximum number of elements of one tensor, so that no later count comes near 64 bits by accident.
const MAX_ELEMENTS: u64 = 1 << 48;
/// Maximum number of inputs of all layers together: a dense block has as many as the square of its layers.
const MAX_CONNECTIONS: usize = 2_500_000;
/// Maximum number of inputs of one layer: analyses compare the inputs of a sum with each other.
const MAX_INPUTS: usize = 10_000;

/// The reason why a builder returns no graph.
#[derive(Debug)]
pub enum Unbuilt {
    /// All errors found.
    Flaws(Vec<Diagnostic>),
    /// The only errors are those that the front end has already reported: see [`Builder::poisoned`].
    Poisoned,
}

impl Unbuilt {
    /// Returns the flaws that were not reported elsewhere.
    pub fn into_flaws(self) -> Vec<Diagnostic> {
        match self {
            Self::Flaws(flaws) => flaws,
            Self::Poisoned => vec![],
        }
    }
}

impl fmt::Display for Unbuilt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flaws(flaws) => {
                let texts: Vec<String> = flaws.iter().map(ToString::to_string).collect();
                f.write_str(&texts.join("\n"))
            }
            Self::Poisoned => f.write_str("a part of the network could not be built"),
        }
    }
}

impl std::error::Error for Unbuilt {}

/// A graph under construction.
#[derive(Debug, Default)]
pub struct Builder {
    nodes: Vec<Pending>,
    ids: HashMap<String, NodeId>,
    diagnostics: Vec<Diagnostic>,
    /// The number of inputs of all nodes.
    connections: usize,
}

/// A node whose shape may be unknown because an earlier node failed.
#[derive(Debug)]
struct Pending {
    id: String,
    op: Op,
    inputs: Vec<NodeId>,
    shape: Option<Shape>,
    weights: Vec<Weight>,
    cost: Cost,
    shares: Option<NodeId>,
    tied: Vec<usize>,
    computed: Vec<usize>,
    frozen: bool,
    counts: Vec<(usize, u64)>,
    origin: Origin,
}

impl Builder {
    /// Returns an empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an input of the network.
    pub fn input(&mut self, id: &str, shape: Shape, origin: Origin) -> NodeId {
        let checked = match shape.sizes() {
            sizes if sizes.contains(&0) => {
                Err(Problem::shape(format!("the input {shape} has an axis of size 0"))
                    .help("every axis needs at least one element"))
            }
            sizes if sizes.is_empty() || sizes.len() > 4 => {
                Err(Problem::shape(format!("the input {shape} has {} axes", sizes.len()))
                    .help("shapes are [C], [C, L], [C, H, W] or [C, D, H, W]; the batch is not part of them"))
            }
            _ => bounded(&shape).map(|()| shape),
        };
        self.push(id, Op::Input, vec![], origin, checked.map(|shape| (shape, vec![], Cost::FREE)), None)
    }

    /// Adds a layer that reads `inputs`; with `shares`, it uses that node's weights.
    pub fn layer(
        &mut self,
        id: &str,
        layer: Layer,
        inputs: Vec<NodeId>,
        shares: Option<NodeId>,
        origin: Origin,
    ) -> NodeId {
        if inputs.iter().chain(&shares).any(|node| node.0 >= self.nodes.len()) {
            let problem = Problem::new(Code::Reference, "it reads a node that does not stand before it");
            return self.push(id, Op::Layer(layer), vec![], origin, Err(problem), None);
        }
        self.connections += inputs.len();
        if let Some(problem) = self.too_many(inputs.len()) {
            return self.push(id, Op::Layer(layer), vec![], origin, Err(problem), None);
        }
        if self.connections > MAX_CONNECTIONS {
            return self.silent(id, Op::Layer(layer), vec![], origin);
        }
        let shapes: Option<Vec<Shape>> =
            inputs.iter().map(|input| self.nodes[input.0].shape.clone()).collect();
        let Some(shapes) = shapes else {
            return self.silent(id, Op::Layer(layer), inputs, origin);
        };
        let facts = self.infer(&layer, &shapes, shares);
        let node = self.push(id, Op::Layer(layer), inputs, origin, facts, shares);
        if shares.is_some_and(|owner| self.nodes[owner.0].frozen) {
            self.freeze(node);
        }
        node
    }

    /// Returns the limit that a layer with `more` inputs, which are counted already, is the first to exceed.
    fn too_many(&self, more: usize) -> Option<Problem> {
        let before = self.connections - more;
        let message = if more > MAX_INPUTS {
            format!("it reads {more} layers, the limit is {MAX_INPUTS}")
        } else if self.connections > MAX_CONNECTIONS && before <= MAX_CONNECTIONS {
            format!("the network has more than {MAX_CONNECTIONS} connections")
        } else {
            return None;
        };
        Some(Problem::new(Code::Limit, message).help("check the counts of `dense`, `repeat` and `branches`"))
    }

    /// Whether a limit on the connections is exceeded: nothing that follows would count.
    pub fn is_full(&self) -> bool {
        self.connections > MAX_CONNECTIONS
    }

    /// Says that the weights of `node` are not learned.
    pub fn freeze(&mut self, node: NodeId) {
        let node = &mut self.nodes[node.0];
        node.frozen = true;
        node.weights = std::mem::take(&mut node.weights).into_iter().map(Weight::fixed).collect();
    }

    /// Declares that weight number `index` of `node` is the same tensor as a weight of an earlier node.
    pub fn tie(&mut self, node: NodeId, index: usize) {
        if let Some(node) = self.nodes.get_mut(node.0) {
            node.tied.push(index);
        }
    }

    /// Declares that the model computes weight number `index` of `node` in every run.
    pub fn compute(&mut self, node: NodeId, index: usize) {
        if let Some(node) = self.nodes.get_mut(node.0) {
            node.computed.push(index);
        }
    }

    /// Declares that weight number `index` of `node` counts as `elements` elements.
    pub fn count(&mut self, node: NodeId, index: usize, elements: u64) {
        if let Some(node) = self.nodes.get_mut(node.0) {
            node.counts.push((index, elements));
        }
    }

    /// Declares what the weight `name` of `node` counts as: nothing if another node has the same tensor.
    ///
    /// # Errors
    /// The names of its weights if there is none of this name.
    pub fn count_named(&mut self, node: NodeId, name: &str, elements: u64) -> Result<(), Vec<&'static str>> {
        let names: Vec<&'static str> = match self.nodes.get(node.0) {
            Some(node) if node.shape.is_some() => node.weights.iter().map(|weight| weight.name).collect(),
            // What is wrong with it is reported already.
            _ => return Ok(()),
        };
        match names.iter().position(|own| *own == name) {
            Some(index) if elements == 0 => self.tie(node, index),
            Some(index) => self.count(node, index, elements),
            None => return Err(names),
        }
        Ok(())
    }

    /// Declares that weight number `index` of `node` is not learned.
    pub fn fix(&mut self, node: NodeId, index: usize) {
        if let Some(weight) = self.nodes.get_mut(node.0).and_then(|node| node.weights.get_mut(index)) {
            weight.role = WeightRole::Buffer;
        }
    }

    /// Adds a node whose shape is unknown because of an error that was already reported.
    pub fn poisoned(&mut self, id: &str, inputs: Vec<NodeId>) -> NodeId {
        self.silent(id, Op::Input, inputs, Origin::default())
    }

    /// Records an error of the front end.
    pub fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Returns the number of errors so far.
    pub fn errors(&self) -> usize {
        self.diagnostics.len()
    }

    /// Returns the node named `id`.
    pub fn find(&self, id: &str) -> Option<NodeId> {
        self.ids.get(id).copied()
    }

    /// Iterates over all ids, in order.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().map(|node| node.id.as_str())
    }

    /// Returns the layer of a node; `None` for an input.
    pub fn layer_of(&self, node: NodeId) -> Option<&Layer> {
        match &self.nodes[node.0].op {
            Op::Input => None,
            Op::Layer(layer) => Some(layer),
        }
    }

    /// Returns the inferred shape of a node; `None` if it, or something it depends on, failed.
    pub fn shape(&self, node: NodeId) -> Option<&Shape> {
        self.nodes[node.0].shape.as_ref()
    }

    /// Returns whether a node has weights, its own or another's.
    pub fn has_weights(&self, node: NodeId) -> bool {
        !self.nodes[node.0].weights.is_empty()
    }

    /// Returns where a node was written.
    pub fn origin(&self, node: NodeId) -> &Origin {
        &self.nodes[node.0].origin
    }

    /// Returns whether `node` depends on `ancestor`, directly or not.
    pub fn depends_on(&self, node: NodeId, ancestor: NodeId) -> bool {
        let mut stack = vec![node];
        let mut seen = vec![false; self.nodes.len()];
        while let Some(next) = stack.pop() {
            if next == ancestor {
                return true;
            }
            if !std::mem::replace(&mut seen[next.0], true) {
                stack.extend(&self.nodes[next.0].inputs);
            }
        }
        false
    }

    /// Returns the number of nodes so far.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Returns whether there is no node yet.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Returns the graph, or all errors in it.
    pub fn finish(mut self, name: &str, outputs: Vec<NodeId>) -> Result<Graph, Unbuilt> {
        if self.diagnostics.is_empty() {
            self.check_outputs(&outputs);
        }
        if !self.diagnostics.is_empty() {
            return Err(Unbuilt::Flaws(self.diagnostics));
        }
        let mut nodes = Vec::with_capacity(self.nodes.len());
        for pending in self.nodes {
            let Some(shape) = pending.shape else { return Err(Unbuilt::Poisoned) };
            nodes.push(Node {
                id: pending.id,
                op: pending.op,
                inputs: pending.inputs,
                shape,
                weights: pending.weights,
                cost: pending.cost,
                shares: pending.shares,
                tied: pending.tied,
                computed: pending.computed,
                frozen: pending.frozen,
                counts: pending.counts,
                origin: pending.origin,
            });
        }
        Ok(Graph { name: name.to_owned(), nodes, outputs })
    }

    /// Reports outputs that do not exist and ids that two nodes share: errors of the front end.
    fn check_outputs(&mut self, outputs: &[NodeId]) {
        if outputs.iter().any(|output| output.0 >= self.nodes.len()) {
            let message = "an output is not a node of the network";
            self.diagnostics.push(Diagnostic::error(Code::Reference, message, None));
        }
        if self.ids.len() < self.nodes.len() {
            let mut seen = HashSet::new();
            let twice = self.nodes.iter().find(|node| !seen.insert(node.id.as_str()));
            let id = twice.map(|node| node.id.clone()).unwrap_or_default();
            let message = format!("two layers have the id `{id}`");
            self.diagnostics.push(Diagnostic::error(Code::Reference, message, None));
        }
    }

    fn infer(
        &self,
        layer: &Layer,
        inputs: &[Shape],
        shares: Option<NodeId>,
    ) -> Result<(Shape, Vec<Weight>, Cost), Problem> {
        let output = layer.infer(inputs)?;
        bounded(&output)?;
        let io = Io { inputs, output: &output };
        let weights = layer.weights(io)?;
        weights.iter().try_for_each(|weight| bounded(&weight.shape))?;
        if let Some(owner) = shares {
            let theirs = &self.nodes[owner.0];
            let alike = |(a, b): (&Weight, &Weight)| a.name == b.name && a.shape == b.shape;
            let same =
                theirs.weights.len() == weights.len() && theirs.weights.iter().zip(&weights).all(alike);
            if theirs.shape.is_some() && !same {
                let show = |weights: &[Weight]| {
                    let shapes: Vec<String> =
                        weights.iter().map(|w| format!("{} {}", w.name, w.shape)).collect();
                    if shapes.is_empty() { "none".to_owned() } else { shapes.join(", ") }
                };
                return Err(Problem::shape(format!(
                    "the weights of `{}` do not fit here: it has {}, this layer needs {}",
                    theirs.id,
                    show(&theirs.weights),
                    show(&weights)
                ))
                .help("layers that share weights need the same arguments and input channels"));
            }
        }
        let cost = layer.cost(io)?;
        cost.ops.total()?;
        Ok((output, weights, cost))
    }

    fn push(
        &mut self,
        id: &str,
        op: Op,
        inputs: Vec<NodeId>,
        origin: Origin,
        facts: Result<(Shape, Vec<Weight>, Cost), Problem>,
        shares: Option<NodeId>,
    ) -> NodeId {
        let (shape, weights, cost) = match facts {
            Ok((shape, weights, cost)) => (Some(shape), weights, cost),
            Err(problem) => {
                // An input is not a layer, and its position identifies it.
                let name = if op == Op::Input { "" } else { id };
                self.diagnostics.push(problem.in_layer(name, &origin));
                (None, vec![], Cost::FREE)
            }
        };
        self.add(Pending {
            id: id.to_owned(),
            op,
            inputs,
            shape,
            weights,
            cost,
            shares,
            tied: vec![],
            computed: vec![],
            frozen: false,
            counts: vec![],
            origin,
        })
    }

    fn silent(&mut self, id: &str, op: Op, inputs: Vec<NodeId>, origin: Origin) -> NodeId {
        let id = id.to_owned();
        self.add(Pending {
            id,
            op,
            inputs,
            shape: None,
            weights: vec![],
            cost: Cost::FREE,
            shares: None,
            tied: vec![],
            computed: vec![],
            frozen: false,
            counts: vec![],
            origin,
        })
    }

    fn add(&mut self, node: Pending) -> NodeId {
        let index = NodeId(self.nodes.len());
        self.ids.entry(node.id.clone()).or_insert(index);
        self.nodes.push(node);
        index
    }
}

fn bounded(shape: &Shape) -> Result<(), Problem> {
    match shape.elements()? {
        elements if elements > MAX_ELEMENTS => Err(Problem::new(
            Code::Limit,
            format!("the tensor {shape} has {elements} elements, the limit is 2^48"),
        )
        .help("check the sizes: no machine can store such a tensor")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::opaque::Opaque;
    use crate::layers::relu::Relu;

    #[test]
    fn layer_without_inputs_is_an_error() {
        let opaque = Opaque { operator: "LSTM".into(), shape: vec![3], ..Opaque::default() };
        for layer in [Layer::Relu(Relu {}), Layer::Opaque(opaque)] {
            let mut builder = Builder::new();
            builder.input("x", Shape::from([3]), Origin::default());
            let node = builder.layer("a", layer, vec![], None, Origin::default());
            let flaws = builder.finish("net", vec![node]).expect_err("it reads nothing").into_flaws();
            assert!(flaws[0].message.contains("reads nothing"), "{flaws:?}");
        }
    }
}
