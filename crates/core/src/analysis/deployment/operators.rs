//! Operators and tensors of a graph, by an engine's habits.

use std::collections::HashSet;

use crate::graph::{Graph, Node, NodeId, Op};
use crate::layers::{AxisReach, Layer, Role};

/// What an engine does without new memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Habit {
    /// Elementwise layers overwrite their input if nothing else reads it, depthwise convolutions too.
    InPlace,
    /// Elementwise layers are computed by their neighbours, concatenations are views.
    Fused,
    /// Elementwise layers are computed by their neighbours, concatenations are copies.
    FusedWithCopies,
}

/// A tensor in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// The node whose value it is, or a part of.
    pub node: NodeId,
    /// Its bytes.
    pub bytes: u64,
    /// The concatenation that it is a part of, and where in it, in bytes.
    pub inside: Option<(NodeId, u64)>,
    /// The operator that creates it; none for an input of the network.
    pub creator: Option<usize>,
    /// The operators that read or overwrite it, in ascending order, without its creator.
    pub users: Vec<usize>,
    /// Whether it is needed after the last operator.
    pub output: bool,
}

/// One operator: layers that run together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// The layers, in the order of the graph; the value of the last one is stored.
    pub nodes: Vec<NodeId>,
    /// The tensors that it creates: none if it overwrites one, several if it copies parts of a concatenation.
    pub creates: Vec<usize>,
    /// The tensors that it reads or overwrites.
    pub uses: Vec<usize>,
    /// Bytes that it needs for itself.
    pub scratch: u64,
}

/// The operators of a graph, in its order.
#[derive(Debug, Clone)]
pub struct Operators {
    /// The operators.
    pub operators: Vec<Operator>,
    /// The tensors.
    pub tensors: Vec<Tensor>,
    /// For each node, the tensors that have its value, one after the other; none for a value that is never stored.
    pub values: Vec<Vec<usize>>,
    /// For each operator, those that must run before it, in ascending order.
    pub before: Vec<Vec<usize>>,
    /// The bytes of each concatenation that tensors are views of.
    pub whole: Vec<(NodeId, u64)>,
}

impl Operators {
    /// Returns the order of the graph.
    pub fn given(&self) -> Vec<usize> {
        (0..self.operators.len()).collect()
    }

    /// Returns whether some concatenation is a view.
    pub fn has_views(&self) -> bool {
        !self.whole.is_empty()
    }
}

/// Returns whether each element of the node's output depends on the same element of its only input and on nothing
/// else, except for weights.
fn is_elementwise(graph: &Graph, node: &Node) -> bool {
    let [input] = node.inputs.as_slice() else { return false };
    let reaches = graph.reach(node);
    let [reach] = reaches.as_slice() else { return false };
    let same = |(axis, reach): (usize, &AxisReach)| *reach == AxisReach::same(axis);
    graph.node(*input).shape == node.shape
        && node.known_shape().is_some()
        && reach.role == Role::Local
        && reach.axes.iter().enumerate().all(same)
}

/// Returns whether the node only gives its input other axes.
fn is_reshape(node: &Node) -> bool {
    matches!(&node.op, Op::Layer(Layer::Flatten(_) | Layer::Reshape(_)))
}

/// Returns the elements of one output plane of a depthwise convolution whose output fits into its input.
fn depthwise_plane(graph: &Graph, node: &Node) -> Option<u64> {
    let Op::Layer(Layer::Conv(_)) = &node.op else { return None };
    let input = &graph.node(*node.inputs.first()?).shape;
    let own_channel = graph.reach(node).iter().all(|reach| {
        let alone = AxisReach::Blocks { by: 0, outputs: 1, inputs: 1 };
        reach.axes.first().is_some_and(|axis| *axis == AxisReach::same(0) || *axis == alone)
    });
    let plane = crate::shape::product(node.shape.spatial())?;
    let room = crate::shape::product(input.spatial())?;
    (own_channel && input.channels() == node.shape.channels() && plane <= room).then_some(plane)
}

/// Returns whether the node joins its inputs one after the other in memory.
fn is_stacked(node: &Node) -> bool {
    matches!(&node.op, Op::Layer(Layer::Concat(concat)) if concat.axis == 0)
}

/// Returns the operators of `graph` with elements of `width` bytes.
pub(super) fn of(graph: &Graph, habit: Habit, width: u64) -> Operators {
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); graph.nodes().len()];
    for (id, node) in graph.iter() {
        for input in node.sources() {
            if readers[input.index()].last() != Some(&id.index()) {
                readers[input.index()].push(id.index());
            }
        }
    }
    let mut outputs = vec![false; graph.nodes().len()];
    graph.outputs().iter().for_each(|output| outputs[output.index()] = true);
    let context = Context { graph, habit, width, readers, outputs };
    let groups = context.groups();
    let homes = if habit == Habit::Fused { context.homes(&groups) } else { vec![None; graph.nodes().len()] };
    context.build(&groups, &homes)
}

struct Context<'a> {
    graph: &'a Graph,
    habit: Habit,
    width: u64,
    /// For each node, the nodes that read it, in ascending order.
    readers: Vec<Vec<usize>>,
    /// For each node, whether the network returns it.
    outputs: Vec<bool>,
}

impl Context<'_> {
    fn bytes(&self, node: usize) -> u64 {
        self.graph.nodes()[node].shape.elements().unwrap_or(u64::MAX).saturating_mul(self.width)
    }

    /// Returns whether `reader` is the only one that needs the value of `node`.
    fn is_only_reader(&self, node: usize, reader: usize) -> bool {
        !self.outputs[node] && self.readers[node] == [reader]
    }

    /// Returns, for each node, the last node of the operator that it belongs to; itself if it runs alone.
    fn groups(&self) -> Vec<usize> {
        let nodes = self.graph.nodes();
        let mut host: Vec<usize> = (0..nodes.len()).collect();
        if self.habit == Habit::InPlace {
            return host;
        }
        let light = |node: &Node| is_elementwise(self.graph, node) || is_reshape(node);
        let light: Vec<bool> = nodes.iter().map(light).collect();
        // Light layers that follow a heavy one and that alone read it, directly or through others: they belong to it.
        let mut follows = vec![false; nodes.len()];
        for at in (0..nodes.len()).filter(|&at| light[at]) {
            let before = nodes[at].inputs.first().map(|input| input.index());
            follows[at] = before.is_some_and(|before| {
                let heavy = nodes[before].op != Op::Input && !light[before];
                (heavy || follows[before]) && self.is_only_reader(before, at)
            });
        }
        // The last node of each operator is the name of the operator: walk backwards, so that it is known.
        for at in (0..nodes.len()).rev() {
            let is_layer = nodes[at].op != Op::Input;
            if let [reader] = self.readers[at][..]
                && is_layer
                && !self.outputs[at]
            {
                // A light layer that follows no heavy one is computed with the layer that reads it. A concatenation reads
                // tensors only.
                let leads = light[at] && !follows[at] && !is_stacked(&nodes[reader]);
                if follows[reader] || leads {
                    host[at] = host[reader];
                }
            }
        }
        host
    }

    /// Returns, for each node that is stored as a part of a concatenation, the concatenation and the part's offset.
    fn homes(&self, groups: &[usize]) -> Vec<Option<(usize, u64)>> {
        let mut homes: Vec<Option<(usize, u64)>> = vec![None; groups.len()];
        let mut members = vec![0usize; groups.len()];
        groups.iter().for_each(|&group| members[group] += 1);
        for (at, node) in self.graph.nodes().iter().enumerate() {
            // A concatenation that another layer follows in one operator is computed, not viewed.
            let alone = groups[at] == at && members[at] == 1;
            if !(is_stacked(node) && alone) {
                continue;
            }
            let mut offset = 0u64;
            for input in &node.inputs {
                let part = input.index();
                let is_input = self.graph.nodes()[part].op == Op::Input;
                // A part that is joined twice has its home at the first place.
                if homes[part].is_none() && !is_input && !self.outputs[part] {
                    homes[part] = Some((at, offset));
                }
                offset = offset.saturating_add(self.bytes(part));
            }
        }
        homes
    }

    /// Returns the outermost concatenation that contains the value of `node`, and where.
    fn root(homes: &[Option<(usize, u64)>], node: usize) -> Option<(usize, u64)> {
        let (mut at, mut offset) = homes[node]?;
        while let Some((next, more)) = homes[at] {
            (at, offset) = (next, offset.saturating_add(more));
        }
        Some((at, offset))
    }

    fn build(&self, groups: &[usize], homes: &[Option<(usize, u64)>]) -> Operators {
        let nodes = self.graph.nodes();
        let mut found = Operators {
            operators: vec![],
            tensors: vec![],
            values: vec![vec![]; nodes.len()],
            before: vec![],
            whole: vec![],
        };
        let mut members: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
        (0..nodes.len()).for_each(|node| members[groups[node]].push(node));
        for at in 0..nodes.len() {
            if nodes[at].op == Op::Input {
                let tensor = self.tensor(at, None, None);
                found.values[at] = vec![found.tensors.len()];
                found.tensors.push(tensor);
                continue;
            }
            if groups[at] != at {
                continue;
            }
            let viewed = self.habit == Habit::Fused && is_stacked(&nodes[at]) && members[at].len() == 1;
            let inside = |node: usize, offset: u64| match Self::root(homes, node) {
                Some((root, start)) => Some((NodeId::new(root), start.saturating_add(offset))),
                None if viewed => Some((NodeId::new(node), offset)),
                None => None,
            };
            self.operator(at, &members[at], viewed, homes, inside, &mut found);
        }
        let mut roots: Vec<NodeId> =
            found.tensors.iter().filter_map(|tensor| Some(tensor.inside?.0)).collect();
        roots.sort_unstable();
        roots.dedup();
        found.whole = roots.into_iter().map(|root| (root, self.bytes(root.index()))).collect();
        self.finish(&mut found);
        found
    }

    fn tensor(&self, node: usize, inside: Option<(NodeId, u64)>, creator: Option<usize>) -> Tensor {
        let bytes = self.bytes(node);
        Tensor { node: NodeId::new(node), bytes, inside, creator, users: vec![], output: false }
    }

    /// Appends the operator that ends with the node `at`.
    fn operator(
        &self,
        at: usize,
        members: &[usize],
        viewed: bool,
        homes: &[Option<(usize, u64)>],
        inside: impl Fn(usize, u64) -> Option<(NodeId, u64)>,
        found: &mut Operators,
    ) {
        let nodes = self.graph.nodes();
        let number = found.operators.len();
        let mut uses: Vec<usize> = Vec::new();
        let external = members
            .iter()
            .flat_map(|&node| nodes[node].sources())
            .filter(|input| members.binary_search(&input.index()).is_err());
        for input in external {
            uses.extend(&found.values[input.index()]);
        }
        uses.sort_unstable();
        uses.dedup();
        uses.shrink_to_fit();
        let mut operator = Operator {
            nodes: members.iter().map(|&node| NodeId::new(node)).collect(),
            creates: vec![],
            uses,
            scratch: 0,
        };
        if viewed {
            let (mut copied, mut placed) = (Vec::new(), HashSet::new());
            let mut offset = 0u64;
            for input in &nodes[at].inputs {
                let part = input.index();
                // A part without bytes that is joined twice begins at its home again.
                if homes[part] == Some((at, offset)) && placed.insert(part) {
                    let own = found.values[part].clone();
                    found.values[at].extend(own);
                } else {
                    let mut tensor = self.tensor(part, inside(at, offset), Some(number));
                    tensor.node = NodeId::new(at);
                    found.values[at].push(found.tensors.len());
                    operator.creates.push(found.tensors.len());
                    copied.extend(&found.values[part]);
                    found.tensors.push(tensor);
                }
                offset = offset.saturating_add(self.bytes(part));
            }
            if operator.creates.is_empty() {
                // Nothing runs: all parts are where they belong.
                return;
            }
            copied.sort_unstable();
            copied.dedup();
            operator.uses = copied;
        } else if let Some((tensor, scratch)) = self.overwritten(at, found) {
            operator.scratch = scratch;
            found.values[at] = vec![tensor];
        } else {
            found.values[at] = vec![found.tensors.len()];
            operator.creates.push(found.tensors.len());
            found.tensors.push(self.tensor(at, inside(at, 0), Some(number)));
        }
        found.operators.push(operator);
    }

    /// Returns the tensor that the node `at` overwrites, and the bytes that it needs for that.
    fn overwritten(&self, at: usize, found: &Operators) -> Option<(usize, u64)> {
        if self.habit != Habit::InPlace {
            return None;
        }
        let node = &self.graph.nodes()[at];
        let input = node.inputs.first()?.index();
        if !self.is_only_reader(input, at) {
            return None;
        }
        let scratch = if is_elementwise(self.graph, node) || is_reshape(node) {
            0
        } else {
            depthwise_plane(self.graph, node)?.saturating_mul(self.width)
        };
        found.values[input].first().map(|&tensor| (tensor, scratch))
    }

    /// Completes users, outputs and dependences.
    fn finish(&self, found: &mut Operators) {
        let mut creators: Vec<Option<usize>> = vec![None; self.graph.nodes().len()];
        for (number, operator) in found.operators.iter().enumerate() {
            for &tensor in &operator.uses {
                found.tensors[tensor].users.push(number);
            }
            if let Some(last) = operator.nodes.last() {
                creators[last.index()] = Some(number);
            }
        }
        for output in self.graph.outputs() {
            for &tensor in &found.values[output.index()] {
                found.tensors[tensor].output = true;
            }
        }
        for (number, operator) in found.operators.iter().enumerate() {
            let mut before: Vec<usize> =
                operator.uses.iter().filter_map(|&tensor| found.tensors[tensor].creator).collect();
            // Who overwrites a tensor runs before those that read the new value.
            let inputs = operator.nodes.iter().flat_map(|&node| self.graph.node(node).sources());
            before.extend(inputs.filter_map(|input| creators[input.index()]));
            before.retain(|&other| other != number);
            before.sort_unstable();
            before.dedup();
            before.shrink_to_fit();
            found.before.push(before);
        }
    }
}
