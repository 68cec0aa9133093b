//! Runs a whole graph: nodes in order, tensors freed after their last use, everything measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::network::Network;
use crate::reference::{self, Call, Counter};
use crate::scalar::Scalar;
use crate::tensor::Tensor;
use cnnkit_core::analysis::memory;
use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_core::graph::{Graph, NodeId, Op};
use cnnkit_core::layers::Layer;
use cnnkit_core::number::counted;

/// A way to compute layers: the reference, or kernels that are checked against it.
pub trait Kernels<S: Scalar> {
    /// Computes the output of `layer`.
    fn forward(&self, layer: &Layer, call: Call<'_, S>, counter: &mut Counter) -> Result<Tensor<S>, Problem>;

    /// Returns whether the kernel of `layer` adds products of different taps that cancel later (Winograd).
    /// Rounding errors are then larger than those of any sum of the reference's products.
    fn mixes_taps(&self, layer: &Layer, call: Call<'_, S>) -> Result<bool, Problem> {
        let _ = (layer, call);
        Ok(false)
    }

    /// Returns the peak bytes that the kernels allocate for themselves, beyond inputs, weights and outputs.
    fn scratch_bytes(&self) -> u64 {
        0
    }
}

/// The reference implementation of every layer, in any number type.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reference;

impl<S: Scalar> Kernels<S> for Reference {
    fn forward(&self, layer: &Layer, call: Call<'_, S>, counter: &mut Counter) -> Result<Tensor<S>, Problem> {
        reference::forward(layer, call, counter)
    }
}

/// Measurements of one node.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// The node.
    pub node: NodeId,
    /// Its run time.
    pub time: Duration,
    /// Multiply-adds done.
    pub counter: Counter,
    /// Bytes of tensors alive while it ran, its output included.
    pub alive: u64,
    /// The kernel that computed it; empty if it was fused into another node.
    pub kernel: &'static str,
    /// The node that it was fused into, whose time and multiply-adds include its own.
    pub host: Option<NodeId>,
}

impl Step {
    fn alone(node: NodeId, time: Duration, counter: Counter, alive: u64) -> Self {
        Self { node, time, counter, alive, kernel: "definition", host: None }
    }
}

/// The result of a run.
#[derive(Debug)]
pub struct Run<S> {
    /// The network's outputs, in order.
    pub outputs: Vec<Tensor<S>>,
    /// One per layer, in order.
    pub steps: Vec<Step>,
    /// Peak bytes of inputs and activations alive at once.
    pub peak: u64,
}

/// Counts the bytes of tensors alive: each tensor adds its bytes when it is created and subtracts them when it is
/// dropped.
#[derive(Debug, Default)]
struct Meter {
    alive: AtomicU64,
    peak: AtomicU64,
}

impl Meter {
    fn hold<S: Scalar>(self: &Arc<Self>, tensor: Tensor<S>) -> Held<S> {
        let bytes = tensor.bytes();
        let alive = self.alive.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.peak.fetch_max(alive, Ordering::Relaxed);
        Held { tensor, bytes, meter: Arc::clone(self) }
    }

    fn alive(&self) -> u64 {
        self.alive.load(Ordering::Relaxed)
    }
}

/// A tensor that the meter counts.
#[derive(Debug)]
struct Held<S> {
    tensor: Tensor<S>,
    bytes: u64,
    meter: Arc<Meter>,
}

impl<S> Drop for Held<S> {
    fn drop(&mut self) {
        self.meter.alive.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// All values of a run, for gradients and for inspecting inner nodes.
#[derive(Debug)]
pub struct Trace<S> {
    /// One per node.
    pub values: Vec<Tensor<S>>,
    /// One per layer, in order.
    pub steps: Vec<Step>,
}

impl<S: Scalar> Network<'_, S> {
    /// Runs the network on one tensor per input, batch axis first. Calls `progress` with each node before it runs.
    pub fn run(
        &self,
        inputs: Vec<Tensor<S>>,
        kernels: &impl Kernels<S>,
        mut progress: impl FnMut(NodeId),
    ) -> Result<Run<S>, Problem> {
        checked(self.graph, &inputs)?;
        let meter = Arc::new(Meter::default());
        let last = memory::last_uses(self.graph);
        let mut freed: Vec<Vec<usize>> = vec![Vec::new(); self.graph.nodes().len() + 1];
        for (node, &step) in last.iter().enumerate() {
            freed[step].push(node);
        }
        let mut values: Vec<Option<Held<S>>> = (0..self.graph.nodes().len()).map(|_| None).collect();
        // A learned tensor takes its batch size from this stand-in, because the inputs may already be freed.
        let images = Tensor::zeros(&[inputs.first().map_or(1, Tensor::batch), 1]);
        for ((id, _), tensor) in self.graph.inputs().zip(inputs) {
            values[id.index()] = Some(meter.hold(tensor));
        }
        let mut steps = Vec::new();
        for (id, node) in self.graph.iter() {
            if let Op::Layer(layer) = &node.op {
                progress(id);
                let sources: Option<Vec<&Tensor<S>>> = if node.sources().is_empty() {
                    Some(vec![&images])
                } else {
                    let value = |input: &NodeId| values[input.index()].as_ref().map(|held| &held.tensor);
                    node.inputs.iter().map(value).collect()
                };
                let (output, time, counter) =
                    self.step(id, layer, sources.ok_or_else(gone)?.as_slice(), kernels)?;
                values[id.index()] = Some(meter.hold(output));
                steps.push(Step::alone(id, time, counter, meter.alive()));
            }
            for &node in &freed[id.index()] {
                values[node] = None;
            }
        }
        let peak = meter.peak.load(Ordering::Relaxed);
        let mut outputs = Vec::with_capacity(self.graph.outputs().len());
        for &id in self.graph.outputs() {
            // A node can appear several times among the outputs.
            outputs.push(values[id.index()].as_ref().ok_or_else(gone)?.tensor.clone());
        }
        Ok(Run { outputs, steps, peak })
    }

    /// Runs the network and keeps the value of every node.
    pub fn trace(&self, inputs: Vec<Tensor<S>>, kernels: &impl Kernels<S>) -> Result<Trace<S>, Problem> {
        checked(self.graph, &inputs)?;
        let mut given = inputs.into_iter();
        let mut values: Vec<Tensor<S>> = Vec::with_capacity(self.graph.nodes().len());
        let mut steps = Vec::new();
        for (id, node) in self.graph.iter() {
            let value = match &node.op {
                Op::Input => given.next().ok_or_else(gone)?,
                Op::Layer(layer) => {
                    let sources: Vec<&Tensor<S>> =
                        node.inputs.iter().map(|input| &values[input.index()]).collect();
                    let (output, time, counter) = self.step(id, layer, &sources, kernels)?;
                    steps.push(Step::alone(id, time, counter, 0));
                    output
                }
            };
            values.push(value);
        }
        Ok(Trace { values, steps })
    }

    fn step(
        &self,
        id: NodeId,
        layer: &Layer,
        sources: &[&Tensor<S>],
        kernels: &impl Kernels<S>,
    ) -> Result<(Tensor<S>, Duration, Counter), Problem> {
        let node = self.graph.node(id);
        let call = Call { inputs: sources, declared: &node.weights, weights: self.weights(id) };
        let mut counter = Counter::default();
        let start = Instant::now();
        let output = kernels.forward(layer, call, &mut counter).map_err(|problem| at(&node.id, problem))?;
        let time = start.elapsed();
        if output.shape() != node.shape {
            let message =
                format!("`{}` produced {}, but {} was inferred", node.id, output.shape(), node.shape);
            return Err(Problem::shape(message).help("this is an error of cnnkit; please report it"));
        }
        if let Some(failure) = output.data().iter().find_map(|value| value.failure()) {
            let message =
                format!("not supported: `{}` ({}) in exact integers: {failure}", node.id, node.op.name());
            return Err(Problem::new(Code::InvalidValue, message));
        }
        Ok((output, time, counter))
    }
}

/// Checks that the inputs match the graph and have the same batch size.
pub(super) fn checked<S: Scalar>(graph: &Graph, inputs: &[Tensor<S>]) -> Result<(), Problem> {
    let wanted: Vec<_> = graph.inputs().collect();
    if wanted.len() != inputs.len() {
        let has = counted(wanted.len() as u64, "input");
        let given = if inputs.len() == 1 { "is" } else { "are" };
        let message =
            format!("the network has {has}, {} {given} given", counted(inputs.len() as u64, "tensor"));
        return Err(Problem::shape(message));
    }
    if inputs.iter().any(|tensor| tensor.batch() == 0) {
        return Err(Problem::shape("a batch of 0 images").help("give at least one image"));
    }
    for ((_, node), tensor) in wanted.iter().zip(inputs) {
        if tensor.shape() != node.shape || tensor.batch() != inputs[0].batch() {
            let message = format!(
                "the input `{}` is [batch, {}, the tensor is {:?}",
                node.id,
                node.shape.to_string().trim_start_matches('['),
                tensor.sizes()
            );
            return Err(
                Problem::shape(message).help("all inputs need the same batch; --input changes the shape")
            );
        }
    }
    Ok(())
}

fn gone() -> Problem {
    Problem::shape("a tensor is needed after its last use")
}

pub(super) fn at(id: &str, problem: Problem) -> Problem {
    Problem { message: format!("in `{id}`: {}", problem.message), ..problem }
}
