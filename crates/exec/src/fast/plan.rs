//! An execution plan of a whole network: layers around a product are fused into it (`fusion`), weights are packed
//! once, and tensors share buffers (`memory_plan`).
//!
//! A step is a layer with the layers fused into it. A layer is fused only if it is the sole reader of its input and
//! that input is no output of the network. The step runs at the position of its last layer.

use std::time::Instant;

use super::fusion::{self, Chain};
use super::kernel::Prepared;
use super::memory_plan::{Arrangement, Place};
use super::scratch::Aligned;
use super::spin_workers::Awake;
use super::{Context, Isa, Scratch, data_movement};
use crate::network::Network;
use crate::reference::Counter;
use crate::run::{Run, Step, at, checked};
use crate::tensor::{Tensor, batched};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::{Graph, NodeId};

/// A fused chain, ready to run.
#[derive(Debug)]
struct Planned {
    chain: Chain,
    prepared: Prepared,
    /// Elements of its output.
    elements: usize,
    /// The nodes whose values are not needed after this step: see [`Arrangement`].
    done: Vec<NodeId>,
    copies: Option<Vec<(NodeId, usize)>>,
}

/// A network, ready to run fast on batches of one size.
#[derive(Debug)]
pub struct Plan<'g> {
    graph: &'g Graph,
    context: Context,
    /// Sizes of all nodes, batch first.
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

    /// As [`Plan::new`], with the given vector instructions.
    pub fn with(network: &Network<'g, f32>, batch: usize, isa: Isa) -> Result<Self, Problem> {
        let graph = network.graph;
        let context = Context { isa, scratch: Scratch::default() };
        let sizes: Vec<Vec<usize>> =
            graph.nodes().iter().map(|node| batched(batch, &node.shape)).collect::<Result<_, _>>()?;
        let chains = fusion::all(network, &context, &sizes)?;
        let Arrangement { places, lengths, done, copies } = Arrangement::new(graph, &sizes, &chains);
        let steps = chains.into_iter().zip(done.into_iter().zip(copies));
        let steps = steps.map(|((chain, prepared), (done, copies))| {
            let elements = sizes[chain.last().index()].iter().product();
            Planned { chain, prepared, elements, done, copies }
        });
        let steps = steps.collect();
        Ok(Self { graph, context, sizes, steps, places, lengths, buffers: Vec::new() })
    }

    /// Returns the bytes of all activation buffers.
    pub fn buffer_bytes(&self) -> u64 {
        4 * self.lengths.iter().map(|&length| length as u64).sum::<u64>()
    }

    /// Returns the bytes of the kernels' own copies of the weights.
    pub fn packed_bytes(&self) -> u64 {
        self.steps.iter().map(|step| step.prepared.kernel.bytes()).sum()
    }

    /// Returns the peak bytes of the kernels' scratch memory so far.
    pub fn scratch_bytes(&self) -> u64 {
        self.context.scratch.bytes()
    }

    /// Returns the vector instructions that it uses.
    pub fn isa(&self) -> Isa {
        self.context.isa
    }

    /// Runs it on one tensor per input. Calls `progress` with each node that begins a step.
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
        let _awake = Awake::new();
        let mut steps = Vec::with_capacity(self.graph.nodes().len());
        let bytes = |elements: usize| 4 * elements as u64;
        let mut alive: u64 = inputs.iter().map(Tensor::bytes).sum();
        let mut peak = alive;
        for number in 0..self.steps.len() {
            let step = &self.steps[number];
            let host = step.chain.host;
            progress(host);
            let start = Instant::now();
            let mut counter = Counter::default();
            self.step(number, inputs, &mut counter)
                .map_err(|problem| at(&self.graph.node(host).id, problem))?;
            let step = &self.steps[number];
            alive += bytes(step.elements);
            peak = peak.max(alive);
            steps.push(Step {
                node: host,
                time: start.elapsed(),
                counter,
                alive,
                kernel: step.kernel(),
                host: None,
            });
            for &node in step.chain.members.iter().filter(|&&node| node != host) {
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
                alive = alive.saturating_sub(bytes(self.sizes[node.index()].iter().product()));
            }
        }
        steps.sort_by_key(|step| step.node);
        let output = |&id: &NodeId| {
            let elements: usize = self.sizes[id.index()].iter().product();
            match self.places[id.index()] {
                Place::Input(number) => Ok(inputs[number].clone()),
                Place::Buffer(buffer, start) => {
                    let value = &self.buffers[buffer].elements()[start..start + elements];
                    Tensor::new(&self.sizes[id.index()], value.to_vec())
                }
                Place::Nowhere => Err(Problem::shape("an output was not computed")),
            }
        };
        let outputs = self.graph.outputs().iter().map(output).collect::<Result<_, _>>()?;
        Ok(Run { outputs, steps, peak })
    }
}

impl Plan<'_> {
    /// Runs one step.
    fn step(&mut self, number: usize, inputs: &[Tensor<f32>], counter: &mut Counter) -> Result<(), Problem> {
        let gone = || Problem::shape("a tensor is needed after its last use");
        let Planned { chain, prepared, elements, copies, .. } = &self.steps[number];
        let Place::Buffer(buffer, start) = self.places[chain.last().index()] else { return Err(gone()) };
        let mut home = std::mem::take(&mut self.buffers[buffer]);
        let end = start + elements;
        let (before, rest) = home.elements_mut().split_at_mut_checked(start).ok_or_else(gone)?;
        let (output, after) = rest.split_at_mut_checked(*elements).ok_or_else(gone)?;
        // Other values may lie in the same buffer, before and after the output.
        let value = |node: NodeId| {
            let elements: usize = self.sizes[node.index()].iter().product();
            let value = match self.places[node.index()] {
                Place::Input(number) => inputs[number].data().get(..elements),
                Place::Buffer(other, at) if other != buffer => {
                    self.buffers[other].elements().get(at..at + elements)
                }
                Place::Buffer(_, at) if at < start => before.get(at..at + elements),
                Place::Buffer(_, at) => at.checked_sub(end).and_then(|at| after.get(at..at + elements)),
                Place::Nowhere => None,
            };
            value.ok_or_else(gone)
        };
        if let Some(copies) = copies {
            for &(input, at) in copies {
                let elements: usize = self.sizes[input.index()].iter().product();
                match self.places[input.index()] {
                    // The same value appears twice.
                    Place::Buffer(other, from) if other == buffer && (start..end).contains(&from) => {
                        output.copy_within(from - start..from - start + elements, at);
                    }
                    _ => data_movement::copy_all(&mut output[at..at + elements], value(input)?),
                }
            }
        } else {
            let sources: Vec<(&[usize], &[f32])> = (self.graph.node(chain.members[0]).inputs.iter())
                .map(|&node| Ok((self.sizes[node.index()].as_slice(), value(node)?)))
                .collect::<Result<_, Problem>>()?;
            let add = chain.add.map(value).transpose()?;
            prepared.run(&self.context, &sources, output, (add, chain.curve), counter)?;
        }
        self.buffers[buffer] = home;
        Ok(())
    }
}

impl Planned {
    /// Returns the display name of the kernel.
    fn kernel(&self) -> &'static str {
        match &self.copies {
            Some(copies) if copies.is_empty() => "in place",
            _ => self.prepared.kernel.name(),
        }
    }
}
