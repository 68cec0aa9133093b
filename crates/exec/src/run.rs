//! Running a whole graph: every node in its order, tensors freed after their last use, everything measured.

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

/// What computes a layer: the definition, or kernels that are checked against it.
pub trait Kernels<S: Scalar> {
    /// The output of `layer`.
    fn forward(&self, layer: &Layer, call: Call<'_, S>, counter: &mut Counter) -> Result<Tensor<S>, Problem>;

    /// Whether the kernel of `layer` adds products of different taps, which then cancel: Winograd's way to convolve.
    /// Rounding errors are larger there than those of any sum of the definition's products.
    fn mixes_taps(&self, layer: &Layer, call: Call<'_, S>) -> Result<bool, Problem> {
        let _ = (layer, call);
        Ok(false)
    }

    /// Bytes that the kernels keep or kept at once for themselves, beyond inputs, weights and outputs.
    fn scratch_bytes(&self) -> u64 {
        0
    }
}

/// The definition of every layer, in any number type.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reference;

impl<S: Scalar> Kernels<S> for Reference {
    fn forward(&self, layer: &Layer, call: Call<'_, S>, counter: &mut Counter) -> Result<Tensor<S>, Problem> {
        reference::forward(layer, call, counter)
    }
}

/// What one node really did.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// The node.
    pub node: NodeId,
    /// How long it took.
    pub time: Duration,
    /// Multiply-adds done.
    pub counter: Counter,
    /// Bytes of tensors alive while it ran, its output included.
    pub alive: u64,
    /// What computed it; empty if another node did.
    pub kernel: &'static str,
    /// The node that it was computed with, whose time and multiply-adds include its own.
    pub host: Option<NodeId>,
}

impl Step {
    fn alone(node: NodeId, time: Duration, counter: Counter, alive: u64) -> Self {
        Self { node, time, counter, alive, kernel: "definition", host: None }
    }
}

/// What a run returns.
#[derive(Debug)]
pub struct Run<S> {
    /// The network's outputs, in order.
    pub outputs: Vec<Tensor<S>>,
    /// One a layer, in order.
    pub steps: Vec<Step>,
    /// Most bytes of inputs and activations alive at once.
    pub peak: u64,
}

/// Bytes of tensors alive, kept by the tensors themselves: what is added when one comes is taken off when it is dropped.
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

/// All values of a run, for gradients and for looking at inner nodes.
#[derive(Debug)]
pub struct Trace<S> {
    /// One a node.
    pub values: Vec<Tensor<S>>,
    /// One a layer, in order.
    pub steps: Vec<Step>,
}

impl<S: Scalar> Network<'_, S> {
    /// Runs the network on one tensor for each input, the batch axis first. `progress` is told each node before it runs.
    pub fn run(
        &self,
        inputs: Vec<Tensor<S>>,
        kernels: &impl Kernels<S>,
        mut progress: impl FnMut(NodeId),
    ) -> Result<Run<S>, Problem> {
        checked(self.graph, &inputs)?;
        let meter = Arc::new(Meter::default());
        let last = memory::last_uses(self.graph);
        let mut freed: Vec<Vec<usize>> = vec![Vec::new(); self.graph.nodes.len() + 1];
        for (node, &step) in last.iter().enumerate() {
            freed[step].push(node);
        }
        let mut values: Vec<Option<Held<S>>> = (0..self.graph.nodes.len()).map(|_| None).collect();
        // A learned tensor is told how many images there are, by which values that may be gone.
        let images = Tensor::zeros(&[inputs.first().map_or(1, Tensor::batch), 1]);
        for ((id, _), tensor) in self.graph.inputs().zip(inputs) {
            values[id.0] = Some(meter.hold(tensor));
        }
        let mut steps = Vec::new();
        for (id, node) in self.graph.iter() {
            if let Op::Layer(layer) = &node.op {
                progress(id);
                let sources: Option<Vec<&Tensor<S>>> = if node.sources().is_empty() {
                    Some(vec![&images])
                } else {
                    let value = |input: &NodeId| values[input.0].as_ref().map(|held| &held.tensor);
                    node.inputs.iter().map(value).collect()
                };
                let (output, time, counter) =
                    self.step(id, layer, sources.ok_or_else(gone)?.as_slice(), kernels)?;
                values[id.0] = Some(meter.hold(output));
                steps.push(Step::alone(id, time, counter, meter.alive()));
            }
            for &node in &freed[id.0] {
                values[node] = None;
            }
        }
        let peak = meter.peak.load(Ordering::Relaxed);
        let mut outputs = Vec::with_capacity(self.graph.outputs.len());
        for &id in &self.graph.outputs {
            // A node may be several outputs.
            outputs.push(values[id.0].as_ref().ok_or_else(gone)?.tensor.clone());
        }
        Ok(Run { outputs, steps, peak })
    }

    /// Runs the network and keeps the value of every node.
    pub fn trace(&self, inputs: Vec<Tensor<S>>, kernels: &impl Kernels<S>) -> Result<Trace<S>, Problem> {
        checked(self.graph, &inputs)?;
        let mut given = inputs.into_iter();
        let mut values: Vec<Tensor<S>> = Vec::with_capacity(self.graph.nodes.len());
        let mut steps = Vec::new();
        for (id, node) in self.graph.iter() {
            let value = match &node.op {
                Op::Input => given.next().ok_or_else(gone)?,
                Op::Layer(layer) => {
                    let sources: Vec<&Tensor<S>> = node.inputs.iter().map(|input| &values[input.0]).collect();
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

/// Whether the inputs are what the graph says, all with one batch.
pub(super) fn checked<S: Scalar>(graph: &Graph, inputs: &[Tensor<S>]) -> Result<(), Problem> {
    let wanted: Vec<_> = graph.inputs().collect();
    if wanted.len() != inputs.len() {
        let message = format!("the network has {} inputs, {} tensors are given", wanted.len(), inputs.len());
        return Err(Problem::shape(message));
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
