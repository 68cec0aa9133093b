//! The summary of `cnnkit run`: outputs, and measured time, multiply-adds and memory beside the predictions.

mod page;

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use crate::imported::{Import, StatusAndImport};
use crate::{Page, Summary};
use cnnkit_core::analysis::memory;
use cnnkit_core::analysis::totals::{self, FLOPS_PER_MAC};
use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_core::graph::Graph;
use cnnkit_core::shape::Shape;
use cnnkit_exec::fast::Plan;
use cnnkit_exec::network::Network;
use cnnkit_exec::run::{Run, Step};
use cnnkit_exec::tensor::Tensor;

/// Measurements of running a network on this machine, beside the predictions.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RunSummary {
    /// Batch size.
    pub batch: u64,
    /// Number format of the computation.
    pub dtype: &'static str,
    /// The kernels that computed the layers: `fast` or `definition`.
    pub kernels: &'static str,
    /// The vector instructions that were used.
    pub instructions: &'static str,
    /// Number of threads.
    pub threads: usize,
    /// Time to pack weights and plan buffers, once.
    #[schemars(extend("unit" = "seconds"))]
    pub planning_seconds: f64,
    /// FLOPs of one multiply-accumulate: 2.
    pub flops_per_mac: u64,
    /// Statistics of the network's outputs.
    pub outputs: Vec<RunOutput>,
    /// Time of each run.
    #[schemars(extend("unit" = "seconds"))]
    pub seconds: Vec<f64>,
    /// Multiply-accumulates of one run.
    pub macs: RunMacs,
    /// Memory.
    pub memory: RunMemory,
    /// Every step of the fastest run.
    pub layers: Vec<RunLayer>,
    /// What is not analysed.
    #[serde(flatten)]
    pub import: Option<StatusAndImport>,
    /// The network's name.
    #[serde(skip)]
    pub name: String,
    /// The shapes of its inputs.
    #[serde(skip)]
    pub inputs: Vec<Shape>,
    /// Elements of the weights.
    #[serde(skip)]
    pub elements: u64,
    /// The largest elements of an output that resembles class scores.
    #[serde(skip)]
    pub scores: Vec<RunScore>,
    /// Whether the page shows the layers.
    #[serde(skip)]
    pub profile: bool,
}

/// Statistics of an output, over its finite elements.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RunOutput {
    /// Its id.
    pub id: String,
    /// Its shape, with the batch.
    pub shape: Vec<usize>,
    /// The smallest element; null if none is finite.
    #[schemars(with = "Option<f64>")]
    pub min: f64,
    /// The mean.
    pub mean: f64,
    /// The largest element; null if none is finite.
    #[schemars(with = "Option<f64>")]
    pub max: f64,
    /// The standard deviation.
    pub std: f64,
    /// Number of elements that are infinite or not a number.
    #[schemars(extend("unit" = "elements"))]
    pub not_finite: u64,
}

/// Multiply-accumulates of one run.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct RunMacs {
    /// Counted while the network ran, taps on padding included.
    #[schemars(extend("unit" = "MACs"))]
    pub measured: u64,
    /// Multiply-accumulates on padding, which the kernels skip.
    #[schemars(extend("unit" = "MACs"))]
    pub on_padding: u64,
    /// The prediction of `cnnkit params`.
    #[schemars(extend("unit" = "MACs"))]
    pub predicted: u64,
}

/// Memory of one run.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct RunMemory {
    /// Weights: parameters and buffers.
    pub weights: RunBytes,
    /// Peak of the activations.
    pub peak: RunBytes,
    /// Buffers of the activations.
    #[schemars(extend("unit" = "bytes"))]
    pub buffers: u64,
    /// The kernels' packed copies of the weights.
    #[schemars(extend("unit" = "bytes"))]
    pub packed_weights: u64,
    /// Scratch memory of the kernels.
    #[schemars(extend("unit" = "bytes"))]
    pub scratch: u64,
    /// Peak resident memory of the process; null where the system does not report it.
    #[schemars(extend("unit" = "bytes"))]
    pub process: Option<u64>,
}

/// A figure, measured and predicted.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct RunBytes {
    /// The measured value.
    #[schemars(extend("unit" = "bytes"))]
    pub measured: u64,
    /// The prediction of `cnnkit params`.
    #[schemars(extend("unit" = "bytes"))]
    pub predicted: u64,
}

/// One step of a run.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RunLayer {
    /// The node's id.
    pub id: String,
    /// The layer's name in the spec language.
    pub op: &'static str,
    /// The kernel that computed it.
    pub kernel: &'static str,
    /// Id of the layer into which this one is fused; null if it is computed separately.
    pub with: Option<String>,
    /// Its time; 0 if it is fused into another layer.
    #[schemars(extend("unit" = "seconds"))]
    pub seconds: f64,
    /// Multiply-accumulates, taps on padding included.
    #[schemars(extend("unit" = "MACs"))]
    pub macs: u64,
    /// Multiply-accumulates on padding.
    #[schemars(extend("unit" = "MACs"))]
    pub padding_macs: u64,
    /// Multiply-accumulates of bilinear sampling.
    #[schemars(extend("unit" = "MACs"))]
    pub sampling_macs: u64,
    /// Activations alive during the step.
    #[schemars(extend("unit" = "bytes"))]
    pub alive: u64,
}

/// An element of an output that resembles class scores.
#[derive(Debug, Clone, Copy)]
pub struct RunScore {
    /// Its index.
    pub index: usize,
    /// Its value.
    pub value: f64,
    /// Its softmax probability.
    pub share: f64,
}

/// Several runs of one network; the fastest is shown.
#[derive(Debug, Default)]
pub struct Measured {
    /// The fastest run.
    pub fastest: Option<Run<f32>>,
    /// Time of each run.
    pub times: Vec<Duration>,
}

/// The kernels and settings that computed the network.
#[derive(Debug, Clone)]
pub struct Engine {
    /// `fast` or `definition`.
    pub kernels: &'static str,
    /// Name of the vector instructions.
    pub instructions: &'static str,
    /// Number of threads.
    pub threads: usize,
    /// Time to pack weights and plan buffers, once.
    pub planning: Duration,
    /// Bytes of the activation buffers.
    pub buffers: u64,
    /// Bytes of the packed weights.
    pub packed: u64,
    /// Bytes of the kernels' scratch memory.
    pub scratch: u64,
}

impl Engine {
    /// Returns the engine of the reference implementation.
    pub fn definition() -> Self {
        Self {
            kernels: "definition",
            instructions: "plain code",
            threads: 1,
            planning: Duration::ZERO,
            buffers: 0,
            packed: 0,
            scratch: 0,
        }
    }

    /// Returns the engine of the fast kernels, after they ran.
    pub fn fast(plan: &Plan<'_>, threads: usize, planning: Duration) -> Self {
        Self {
            kernels: "fast",
            instructions: plan.isa().name(),
            threads,
            planning,
            buffers: plan.buffer_bytes(),
            packed: plan.packed_bytes(),
            scratch: plan.scratch_bytes(),
        }
    }
}

impl Measured {
    /// Adds a run and its time.
    pub fn add(&mut self, run: Run<f32>, time: Duration) {
        if self.times.iter().all(|&other| time < other) {
            self.fastest = Some(run);
        }
        self.times.push(time);
    }
}

/// Returns the predicted bytes of the weights and of the activation peak, in f32.
fn predicted(graph: &Graph, batch: u64) -> (u64, u64) {
    let counts = totals::of_graph(graph);
    let peak = memory::peak(graph).map_or(0, |peak| peak.elements).saturating_mul(batch).saturating_mul(4);
    (counts.params.saturating_add(counts.buffers).saturating_mul(4), peak)
}

/// Returns an error if `available` bytes of memory are not enough: a failed allocation would end the program.
pub fn affordable(graph: &Graph, batch: u64, available: u64) -> Result<(), Problem> {
    let (weights, peak) = predicted(graph, batch);
    // The kernels pack the weights again, keep the inputs for repetitions, and need scratch memory.
    let needed = weights.saturating_mul(2).saturating_add(peak.saturating_mul(3));
    if needed > available {
        let message = format!(
            "running `{}` needs about {} of memory, {} is free",
            graph.name(),
            cnnkit_core::number::bytes(needed),
            cnnkit_core::number::bytes(available)
        );
        return Err(Problem::new(Code::Limit, message).help("use a smaller --input or --batch"));
    }
    Ok(())
}

/// The context of a run, besides its measurements.
#[derive(Debug, Clone)]
pub struct Context {
    /// Batch size.
    pub batch: u64,
    /// Peak resident memory of the process, where the system reports it.
    pub process: Option<u64>,
    /// Whether the page shows the layers.
    pub profile: bool,
}

/// Returns the summary of the fastest of the runs of `network`; an error if there was none.
pub fn summary(
    network: &Network<'_, f32>,
    measured: &Measured,
    engine: &Engine,
    context: &Context,
    import: Option<Import>,
) -> Result<RunSummary, Problem> {
    let graph = network.graph;
    let Some(run) = &measured.fastest else {
        let message = format!("`{}` was not run", graph.name());
        return Err(Problem::new(Code::InvalidValue, message).help("run it at least once"));
    };
    let (weights, peak) = predicted(graph, context.batch);
    let outputs = graph.outputs().iter().zip(&run.outputs);
    Ok(RunSummary {
        batch: context.batch,
        dtype: "f32",
        kernels: engine.kernels,
        instructions: engine.instructions,
        threads: engine.threads,
        planning_seconds: engine.planning.as_secs_f64(),
        flops_per_mac: FLOPS_PER_MAC,
        outputs: outputs.map(|(&id, tensor)| output(&graph.node(id).id, tensor)).collect(),
        seconds: measured.times.iter().map(Duration::as_secs_f64).collect(),
        macs: RunMacs {
            measured: run.steps.iter().map(|step| step.counter.total()).sum(),
            on_padding: run.steps.iter().map(|step| step.counter.padding).sum(),
            predicted: totals::of_graph(graph).macs.saturating_mul(context.batch),
        },
        memory: RunMemory {
            weights: RunBytes { measured: network.bytes(), predicted: weights },
            peak: RunBytes { measured: run.peak, predicted: peak },
            buffers: engine.buffers,
            packed_weights: engine.packed,
            scratch: engine.scratch,
            process: context.process,
        },
        layers: run.steps.iter().map(|step| layer(graph, step)).collect(),
        import: import.map(StatusAndImport::from),
        name: graph.name().to_owned(),
        inputs: graph.inputs().map(|(_, node)| node.shape.clone()).collect(),
        elements: network.elements(),
        scores: run.outputs.first().map(scores).unwrap_or_default(),
        profile: context.profile,
    })
}

fn output(id: &str, tensor: &Tensor<f32>) -> RunOutput {
    let finite = || tensor.data().iter().map(|&value| f64::from(value)).filter(|value| value.is_finite());
    let count = finite().count();
    let mean = finite().sum::<f64>() / count.max(1) as f64;
    let variance = finite().map(|value| (value - mean) * (value - mean)).sum::<f64>() / count.max(1) as f64;
    RunOutput {
        id: id.to_owned(),
        shape: tensor.sizes().to_vec(),
        min: finite().fold(f64::INFINITY, f64::min),
        mean,
        max: finite().fold(f64::NEG_INFINITY, f64::max),
        std: variance.sqrt(),
        not_finite: (tensor.len() - count) as u64,
    }
}

fn layer(graph: &Graph, step: &Step) -> RunLayer {
    let node = graph.node(step.node);
    RunLayer {
        id: node.id.clone(),
        op: node.op.name(),
        kernel: step.kernel,
        with: step.host.map(|host| graph.node(host).id.clone()),
        seconds: step.time.as_secs_f64(),
        macs: step.counter.total(),
        padding_macs: step.counter.padding,
        sampling_macs: step.counter.sampling,
        alive: step.alive,
    }
}

/// Returns the largest elements of an output that resembles class scores: one row of at least 10.
fn scores(tensor: &Tensor<f32>) -> Vec<RunScore> {
    let scores = tensor.image(0);
    let row = tensor.image_sizes().first() == Some(&scores.len());
    if !row || scores.len() < 10 || scores.iter().any(|score| !score.is_finite()) {
        return vec![];
    }
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
    let most = f64::from(scores[order[0]]);
    let sum: f64 = scores.iter().map(|&score| (f64::from(score) - most).exp()).sum();
    let score = |&index: &usize| {
        let value = f64::from(scores[index]);
        RunScore { index, value, share: (value - most).exp() / sum }
    };
    order[..5].iter().map(score).collect()
}

impl Summary for RunSummary {
    const COMMAND: &'static str = "run";

    fn page(&self) -> Page {
        page::of(self)
    }

    fn partial(&self) -> bool {
        self.import.as_ref().is_some_and(StatusAndImport::partial)
    }
}
