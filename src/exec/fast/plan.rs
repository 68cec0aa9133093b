//! A network planned as a whole: layers that follow a product become part of it, weights are packed once, and tensors
//! share buffers.
//!
//! A step is a layer with those that it takes over. Only what nobody else reads is taken over: the layer's output has one
//! reader and is no output of the network. The step runs where its last layer stands.

use std::time::Instant;

use super::kernel::{Kernel, Prepared};
use super::prepare::{Fold, Site, prepare, running};
use super::scratch::Aligned;
use super::{Context, Isa, Scratch, products};
use crate::diagnostic::Problem;
use crate::exec::network::Network;
use crate::exec::reference::{Counter, Curve};
use crate::exec::run::{Run, Step, at, checked};
use crate::exec::tensor::{Tensor, batched};
use crate::graph::{Graph, NodeId, Op};
use crate::layers::Layer;

/// A layer and those that become part of it.
#[derive(Debug)]
struct Chain {
    /// All, in order; the first is what runs, the last gives the result.
    members: Vec<NodeId>,
    fold: Option<Fold>,
    /// What is added to the result.
    add: Option<NodeId>,
    curve: Option<Curve>,
}

impl Chain {
    fn of(host: NodeId) -> Self {
        Self { members: vec![host], fold: None, add: None, curve: None }
    }

    fn last(&self) -> NodeId {
        self.members[self.members.len() - 1]
    }
}

/// A chain, ready to run.
#[derive(Debug)]
struct Planned {
    chain: Chain,
    prepared: Prepared,
    /// The buffer of its output, and its elements.
    buffer: usize,
    elements: usize,
    /// Nodes whose values are not needed after it.
    done: Vec<NodeId>,
}

/// Where the value of a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Nowhere,
    /// With this number among the inputs.
    Input(usize),
    Buffer(usize),
}

/// A network, ready to run fast on batches of one size.
#[derive(Debug)]
pub struct Plan<'g> {
    graph: &'g Graph,
    context: Context,
    /// Sizes of all nodes, the batch first.
    sizes: Vec<Vec<usize>>,
    steps: Vec<Planned>,
    places: Vec<Place>,
    /// Elements of each buffer.
    lengths: Vec<usize>,
    buffers: Vec<Aligned>,
}

impl<'g> Plan<'g> {
    /// Plans `network` for batches of `batch` images.
    pub fn new(network: &Network<'g, f32>, batch: usize) -> Result<Self, Problem> {
        Self::with(network, batch, Isa::best())
    }

    /// As [`Plan::new`], with these vector instructions.
    pub fn with(network: &Network<'g, f32>, batch: usize, isa: Isa) -> Result<Self, Problem> {
        let graph = network.graph;
        let context = Context { isa, scratch: Scratch::default() };
        let sizes: Vec<Vec<usize>> =
            graph.nodes.iter().map(|node| batched(batch, &node.shape)).collect::<Result<_, _>>()?;
        let mut taken = vec![false; graph.nodes.len()];
        let consumers = graph.consumers();
        let mut steps: Vec<(Chain, Prepared)> = Vec::new();
        for (id, node) in graph.iter() {
            let Op::Layer(layer) = &node.op else { continue };
            if taken[id.0] {
                continue;
            }
            let inputs: Vec<&[usize]> = node.inputs.iter().map(|input| sizes[input.0].as_slice()).collect();
            let output = sizes[id.0].as_slice();
            let site = Site {
                layer,
                declared: &node.weights,
                weights: network.weights(id),
                inputs: &inputs,
                output,
            };
            let prepared =
                |fold: Option<&Fold>| prepare(&context, &site, fold).map_err(|problem| at(&node.id, problem));
            let mut chain = Chain::of(id);
            let mut kernel = None;
            if products::folds(layer) || matches!(layer, Layer::Linear(_)) {
                chain = product(network, &sizes, &consumers, &taken, id);
                let fused = prepared(chain.fold.as_ref())?;
                if fused.kernel.finishes() {
                    kernel = Some(fused);
                } else {
                    chain = Chain::of(id);
                }
            }
            let mut kernel = kernel.map_or_else(|| prepared(None), Ok)?;
            extend(graph, &consumers, &mut chain, &mut kernel.kernel);
            chain.members.iter().for_each(|member| taken[member.0] = true);
            steps.push((chain, kernel));
        }
        steps.sort_by_key(|(chain, _)| chain.last());
        Ok(Self::arrange(graph, context, sizes, steps))
    }

    /// Gives every value a buffer, so that those which are needed at the same time have different ones.
    fn arrange(
        graph: &'g Graph,
        context: Context,
        sizes: Vec<Vec<usize>>,
        chains: Vec<(Chain, Prepared)>,
    ) -> Self {
        let mut places = vec![Place::Nowhere; graph.nodes.len()];
        for (number, (id, _)) in graph.inputs().enumerate() {
            places[id.0] = Place::Input(number);
        }
        let mut last = vec![None; graph.nodes.len()];
        for (step, (chain, _)) in chains.iter().enumerate() {
            last[chain.last().0] = Some(step);
            for input in graph.node(chain.members[0]).inputs.iter().chain(&chain.add) {
                last[input.0] = Some(step);
            }
        }
        graph.outputs.iter().for_each(|output| last[output.0] = None);
        let mut lengths: Vec<usize> = Vec::new();
        let mut free: Vec<usize> = Vec::new();
        let mut steps = Vec::with_capacity(chains.len());
        for (step, (chain, prepared)) in chains.into_iter().enumerate() {
            let elements = sizes[chain.last().0].iter().product();
            // The smallest that is large enough; else the largest, made larger.
            let fits = (0..free.len()).filter(|&i| lengths[free[i]] >= elements);
            let found = fits
                .min_by_key(|&i| lengths[free[i]])
                .or_else(|| (0..free.len()).max_by_key(|&i| lengths[free[i]]));
            let buffer = found.map_or_else(
                || {
                    lengths.push(0);
                    lengths.len() - 1
                },
                |i| free.swap_remove(i),
            );
            lengths[buffer] = lengths[buffer].max(elements);
            places[chain.last().0] = Place::Buffer(buffer);
            let done: Vec<NodeId> =
                (0..graph.nodes.len()).filter(|&node| last[node] == Some(step)).map(NodeId).collect();
            for node in &done {
                if let Place::Buffer(buffer) = places[node.0] {
                    free.push(buffer);
                }
            }
            steps.push(Planned { chain, prepared, buffer, elements, done });
        }
        Self { graph, context, sizes, steps, places, lengths, buffers: Vec::new() }
    }

    /// Bytes of all buffers of activations.
    pub fn buffer_bytes(&self) -> u64 {
        4 * self.lengths.iter().map(|&length| length as u64).sum::<u64>()
    }

    /// Bytes of the kernels' own copies of the weights.
    pub fn packed_bytes(&self) -> u64 {
        self.steps.iter().map(|step| step.prepared.kernel.bytes()).sum()
    }

    /// Most bytes that kernels used at once for themselves so far.
    pub fn scratch_bytes(&self) -> u64 {
        self.context.scratch.bytes()
    }

    /// The instructions that it runs with.
    pub fn isa(&self) -> Isa {
        self.context.isa
    }

    /// Runs it on one tensor for each input. `progress` is told each node that begins a step.
    pub fn run(
        &mut self,
        inputs: &[Tensor<f32>],
        mut progress: impl FnMut(NodeId),
    ) -> Result<Run<f32>, Problem> {
        checked(self.graph, inputs)?;
        let batch = self.sizes.first().and_then(|sizes| sizes.first()).copied().unwrap_or(1);
        if let Some(input) = inputs.first().filter(|input| input.batch() != batch) {
            let message = format!("the plan is for batches of {batch}, the input has {}", input.batch());
            return Err(Problem::shape(message));
        }
        if self.buffers.is_empty() {
            self.buffers = self.lengths.iter().map(|&length| Aligned::new(length)).collect();
        }
        let mut steps = Vec::with_capacity(self.graph.nodes.len());
        let bytes = |elements: usize| 4 * elements as u64;
        let mut alive: u64 = inputs.iter().map(Tensor::bytes).sum();
        let mut peak = alive;
        for step in &self.steps {
            let host = step.chain.members[0];
            progress(host);
            let start = Instant::now();
            let mut output = std::mem::take(&mut self.buffers[step.buffer]);
            let mut counter = Counter::default();
            let value = |node: NodeId| -> &[f32] {
                match self.places[node.0] {
                    Place::Input(number) => inputs[number].data(),
                    Place::Buffer(buffer) => self.buffers[buffer].elements(),
                    Place::Nowhere => &[],
                }
            };
            let value = |node: NodeId| {
                let elements = self.sizes[node.0].iter().product();
                let value = value(node);
                value.get(..elements).ok_or_else(|| Problem::shape("a tensor is needed after its last use"))
            };
            let sources: Vec<(&[usize], &[f32])> = self
                .graph
                .node(host)
                .inputs
                .iter()
                .map(|&node| Ok((self.sizes[node.0].as_slice(), value(node)?)))
                .collect::<Result<_, Problem>>()?;
            let add = step.chain.add.map(value).transpose()?;
            step.prepared
                .run(
                    &self.context,
                    &sources,
                    &mut output.elements_mut()[..step.elements],
                    (add, step.chain.curve),
                    &mut counter,
                )
                .map_err(|problem| at(&self.graph.node(host).id, problem))?;
            self.buffers[step.buffer] = output;
            alive += bytes(step.elements);
            peak = peak.max(alive);
            steps.push(Step {
                node: host,
                time: start.elapsed(),
                counter,
                alive,
                kernel: step.prepared.kernel.name(),
                host: None,
            });
            for &node in &step.chain.members[1..] {
                let fused = Step {
                    node,
                    time: std::time::Duration::ZERO,
                    counter: Counter::default(),
                    alive,
                    kernel: "",
                    host: Some(host),
                };
                steps.push(fused);
            }
            for node in &step.done {
                alive = alive.saturating_sub(bytes(self.sizes[node.0].iter().product()));
            }
        }
        steps.sort_by_key(|step| step.node);
        let output = |&id: &NodeId| {
            let elements = self.sizes[id.0].iter().product();
            match self.places[id.0] {
                Place::Input(number) => Ok(inputs[number].clone()),
                Place::Buffer(buffer) => {
                    Tensor::new(&self.sizes[id.0], self.buffers[buffer].elements()[..elements].to_vec())
                }
                Place::Nowhere => Err(Problem::shape("an output was not computed")),
            }
        };
        let outputs = self.graph.outputs.iter().map(output).collect::<Result<_, _>>()?;
        Ok(Run { outputs, steps, peak })
    }
}

/// The only reader of the last member, if its value is nobody else's business.
fn reader(graph: &Graph, consumers: &[Vec<NodeId>], last: NodeId) -> Option<NodeId> {
    match consumers[last.0].as_slice() {
        [only] if !graph.outputs.contains(&last) => Some(*only),
        _ => None,
    }
}

/// Layers that change nothing but, perhaps, the sizes.
fn relabels(layer: &Layer) -> bool {
    matches!(layer, Layer::Identity(_) | Layer::Dropout(_) | Layer::Flatten(_) | Layer::Reshape(_))
}

/// What a product takes over: a norm, a sum, an activation, in this order.
fn product(
    network: &Network<'_, f32>,
    sizes: &[Vec<usize>],
    consumers: &[Vec<NodeId>],
    taken: &[bool],
    host: NodeId,
) -> Chain {
    let graph = network.graph;
    let mut chain = Chain::of(host);
    let folds = matches!(&graph.node(host).op, Op::Layer(layer) if products::folds(layer));
    while let Some(next) = reader(graph, consumers, chain.last()) {
        let node = graph.node(next);
        let Op::Layer(layer) = &node.op else { break };
        let open = chain.curve.is_none() && chain.add.is_none();
        let same = sizes[next.0] == sizes[host.0];
        match layer {
            _ if taken[next.0] => break,
            Layer::BatchNorm(norm) if open && chain.fold.is_none() && folds => {
                let inputs = [sizes[host.0].as_slice()];
                let site = Site {
                    layer,
                    declared: &node.weights,
                    weights: network.weights(next),
                    inputs: &inputs,
                    output: &sizes[next.0],
                };
                let fold = running(&site, norm.eps);
                // What is not finite must stay where it is: folded, it would meet zeros.
                let finite =
                    |fold: &Fold| fold.scale.iter().chain(&fold.shift).all(|value| value.is_finite());
                let Some(fold) = fold.filter(finite) else { break };
                chain.fold = Some(fold);
            }
            Layer::Add(add) if open && same && node.inputs.len() == 2 => {
                let plain =
                    add.weights.as_ref().is_none_or(|weights| weights.iter().all(|&weight| weight == 1.0));
                let others: Vec<NodeId> =
                    node.inputs.iter().copied().filter(|&input| input != chain.last()).collect();
                let [other] = others[..] else { break };
                if !plain || sizes[other.0] != sizes[host.0] {
                    break;
                }
                chain.add = Some(other);
            }
            layer => match Curve::of(layer) {
                Some(curve) if chain.curve.is_none() => chain.curve = Some(curve),
                _ if relabels(layer) && same => {}
                _ => break,
            },
        }
        chain.members.push(next);
    }
    chain
}

/// What any step takes over: an activation, if its kernel can; layers that only give other sizes to the same numbers.
fn extend(graph: &Graph, consumers: &[Vec<NodeId>], chain: &mut Chain, kernel: &mut Kernel) {
    while let Some(next) = reader(graph, consumers, chain.last()) {
        let Op::Layer(layer) = &graph.node(next).op else { break };
        let takes = relabels(layer) || Curve::of(layer).is_some_and(|curve| kernel.absorb(curve));
        if !takes {
            break;
        }
        chain.members.push(next);
    }
}
