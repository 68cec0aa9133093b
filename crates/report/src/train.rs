//! The summary of `cnnkit train`: memory and work of one training step.

mod page;

use schemars::JsonSchema;
use serde::Serialize;

use crate::imported::{Import, Status};
use crate::{Page, Summary};
use cnnkit_core::analysis::memory::Dtype;
use cnnkit_core::analysis::training::checkpoint;
use cnnkit_core::analysis::training::optimizer::Optimizer;
use cnnkit_core::analysis::training::{
    AttentionKernel, KeptTensor, LayerKept, Part, Training, backward_macs, inexact, kept, largest_batch, peak,
};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::{Graph, Node, NodeId, Op};
use cnnkit_core::layers::Layer;
use cnnkit_core::shape::product;

/// Memory and work of one training step.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TrainSummary {
    /// Batch size.
    pub batch: u64,
    /// Number format of activations, parameters and gradients.
    pub dtype: Dtype,
    /// The optimiser.
    pub algorithm: Optimizer,
    /// How attention is computed.
    pub attention: AttentionKernel,
    /// Ids of layers and blocks that are not trained, as given.
    pub frozen: Vec<String>,
    /// Whether the figures are complete.
    pub status: Status,
    /// The parameters.
    #[schemars(extend("unit" = "bytes"))]
    pub parameters: u64,
    /// Running statistics and fixed weights.
    #[schemars(extend("unit" = "bytes"))]
    pub buffers: u64,
    /// Copies of the trained parameters in single precision, if `dtype` is another format.
    #[schemars(extend("unit" = "bytes"))]
    pub master_weights: u64,
    /// Gradients of the trained parameters.
    #[schemars(extend("unit" = "bytes"))]
    pub gradients: u64,
    /// States of the optimiser.
    #[schemars(extend("unit" = "bytes"))]
    pub optimizer: u64,
    /// Tensors kept for the backward pass.
    pub kept: TrainKept,
    /// Why `kept.torch`, and with it `total` and `peak`, are not exact; empty if they are.
    pub bounds: Vec<TrainBound>,
    /// The most, at any step, of activations and their gradients that are not kept.
    #[schemars(extend("unit" = "bytes"))]
    pub temporary: u64,
    /// Parameters, buffers, master weights, gradients, optimiser states, `kept.torch` and `temporary`.
    #[schemars(extend("unit" = "bytes"))]
    pub total: u64,
    /// The most that is alive at one step, by liveness through the forward and the backward pass.
    #[schemars(extend("unit" = "bytes"))]
    pub peak: u64,
    /// The step with the peak; null for an empty network.
    pub peak_step: Option<TrainStep>,
    /// Multiply-accumulates of the forward pass.
    #[schemars(extend("unit" = "MACs"))]
    pub forward_macs: u64,
    /// Multiply-accumulates of the backward pass, without recomputation.
    #[schemars(extend("unit" = "MACs"))]
    pub backward_macs: u64,
    /// The largest batch that fits, with `--memory`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fit: Option<TrainFit>,
    /// Segments of the network to run again in the backward pass.
    pub checkpoint: TrainCheckpoint,
    /// Every node in execution order, inputs included.
    pub layers: Vec<TrainLayer>,
    /// What is not analysed.
    #[serde(flatten)]
    pub import: Option<Import>,
    /// The network's name.
    #[serde(skip)]
    pub name: String,
    /// Rows of the table that people read.
    #[serde(skip)]
    pub top: usize,
    /// Whether the network computes attention.
    #[serde(skip)]
    pub attends: bool,
    /// `kept.torch` with the other kernel of attention.
    #[serde(skip)]
    pub other_attention: u64,
}

/// Bytes kept for the backward pass, by two conventions.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct TrainKept {
    /// What cnnkit's own gradients read: unique tensors.
    #[schemars(extend("unit" = "bytes"))]
    pub cnnkit: u64,
    /// What PyTorch's autograd keeps: unique storages.
    #[schemars(extend("unit" = "bytes"))]
    pub torch: u64,
}

/// A reason why what PyTorch keeps is not known exactly.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TrainBound {
    /// Id of the layer; null if it is the whole model.
    pub id: Option<String>,
    /// The reason.
    pub reason: String,
}

/// A step of the forward or of the backward pass.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TrainStep {
    /// Id of the layer that runs.
    pub id: String,
    /// The pass.
    pub pass: Pass,
}

/// A half of a training step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pass {
    /// From inputs to outputs.
    Forward,
    /// From outputs to inputs.
    Backward,
}

/// The largest batch that fits into a memory.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TrainFit {
    /// The memory.
    #[schemars(extend("unit" = "bytes"))]
    pub memory: u64,
    /// The largest batch whose peak fits, at most 1,048,576; null if not even one image fits.
    pub batch: Option<u64>,
    /// The peak of that batch; null if not even one image fits.
    #[schemars(extend("unit" = "bytes"))]
    pub peak: Option<u64>,
}

/// Segments that keep their input only and run again in the backward pass.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TrainCheckpoint {
    /// The segments, in order; empty if nothing needs to run again.
    pub segments: Vec<TrainSegment>,
    /// Bytes of activations kept at the moment with the most, of `kept.torch` without checkpointing.
    #[schemars(extend("unit" = "bytes"))]
    pub kept: u64,
    /// `kept.torch` minus `checkpoint.kept`.
    #[schemars(extend("unit" = "bytes"))]
    pub saved: u64,
    /// Multiply-accumulates that run twice.
    #[schemars(extend("unit" = "MACs"))]
    pub recomputed_macs: u64,
    /// Bytes that `kept` may take: what `--memory` leaves; null without it.
    #[schemars(extend("unit" = "bytes"))]
    pub budget: Option<u64>,
    /// Whether `kept` is within the budget; true without one.
    pub fits: bool,
    /// Whether no other choice of segments of this network recomputes less; false if the search was cut off.
    pub exact: bool,
}

/// A segment that runs again.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TrainSegment {
    /// Id of the layer whose output it reads, which is kept.
    pub input: String,
    /// Id of its first layer.
    pub first: String,
    /// Id of its last layer.
    pub last: String,
    /// Bytes that it keeps no longer.
    #[schemars(extend("unit" = "bytes"))]
    pub saved: u64,
    /// Multiply-accumulates that run twice.
    #[schemars(extend("unit" = "MACs"))]
    pub recomputed_macs: u64,
}

/// What is kept because of one node.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TrainLayer {
    /// The node's id.
    pub id: String,
    /// The layer's name in the spec language; `input` for an input.
    pub op: &'static str,
    /// Bytes that this layer keeps and no earlier one (convention `torch`).
    #[schemars(extend("unit" = "bytes"))]
    pub kept: u64,
    /// The tensors that it keeps (convention `torch`), those included that an earlier layer keeps too.
    pub tensors: Vec<TrainTensor>,
    /// Bytes that its own gradients read and no earlier layer's (convention `cnnkit`).
    #[schemars(extend("unit" = "bytes"))]
    pub kept_cnnkit: u64,
    /// Multiply-accumulates of its gradients.
    #[schemars(extend("unit" = "MACs"))]
    pub backward_macs: u64,
    /// Whether it has weights that are trained.
    pub trained: bool,
}

/// A tensor that a layer keeps.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TrainTensor {
    /// What it is: `input`, `output`, `copy of input`, `mask`, `indices`, ...
    pub what: String,
    /// Id of the node whose output it is, or a part of; null for a tensor that only the backward pass needs.
    pub id: Option<String>,
    /// Bytes of its storage.
    #[schemars(extend("unit" = "bytes"))]
    pub bytes: u64,
    /// Whether an earlier layer keeps the same storage, where its bytes are counted.
    pub shared: bool,
}

/// Settings of the summary.
#[derive(Debug, Clone)]
pub struct View {
    /// The training step.
    pub training: Training,
    /// Bytes of the device.
    pub memory: Option<u64>,
    /// Rows of the table that people read.
    pub top: usize,
}

/// Computes the summary of `graph`; an error if the settings do not fit it.
pub fn summary(graph: &Graph, view: &View, import: Option<Import>) -> Result<TrainSummary, Problem> {
    let training = &view.training;
    training.check(graph)?;
    let kept = kept(graph, training);
    let peak = peak::at(graph, training, &kept);
    let fixed = training.fixed(graph);
    let work = backward_macs(graph, training, &kept);
    let sum = |counts: &mut dyn Iterator<Item = u64>| counts.fold(0, u64::saturating_add);
    let total = fixed.total().saturating_add(kept.torch).saturating_add(peak.temporary);
    let other = match training.attention {
        AttentionKernel::Math => AttentionKernel::Fused,
        AttentionKernel::Fused => AttentionKernel::Math,
    };
    let attends = graph.nodes().iter().any(|node| matches!(node.op, Op::Layer(Layer::Attention(_))));
    let other_attention = if attends {
        cnnkit_core::analysis::training::kept(graph, &Training { attention: other, ..training.clone() }).torch
    } else {
        kept.torch
    };
    Ok(TrainSummary {
        batch: training.batch,
        dtype: training.dtype,
        algorithm: training.optimizer,
        attention: training.attention,
        frozen: training.frozen.clone(),
        status: import.as_ref().map(Import::status).unwrap_or_default(),
        parameters: fixed.parameters,
        buffers: fixed.buffers,
        master_weights: fixed.master,
        gradients: fixed.gradients,
        optimizer: fixed.optimizer,
        kept: TrainKept { cnnkit: kept.cnnkit, torch: kept.torch },
        bounds: bounds(graph, &kept.layers, import.is_some()),
        temporary: peak.temporary,
        total,
        peak: peak.bytes,
        peak_step: peak.step.map(|step| TrainStep {
            id: graph.node(step).id.clone(),
            pass: if peak.backward { Pass::Backward } else { Pass::Forward },
        }),
        forward_macs: sum(&mut graph
            .nodes()
            .iter()
            .zip(training.batches(graph))
            .map(|(node, batch)| node.cost.macs.saturating_mul(batch))),
        backward_macs: sum(&mut work.iter().copied()),
        fit: view.memory.map(|memory| {
            let best = largest_batch(graph, training, memory);
            TrainFit { memory, batch: best.map(|(batch, _)| batch), peak: best.map(|(_, peak)| peak) }
        }),
        checkpoint: checkpointed(graph, view, fixed.total().saturating_add(peak.temporary)),
        layers: graph
            .nodes()
            .iter()
            .zip(&kept.layers)
            .zip(&work)
            .map(|((node, layer), &backward_macs)| TrainLayer {
                id: node.id.clone(),
                op: node.op.name(),
                kept: layer.bytes,
                tensors: layer.tensors.iter().map(|tensor| named(graph, node, tensor)).collect(),
                kept_cnnkit: layer.cnnkit,
                backward_macs,
                trained: training.trains(graph, node),
            })
            .collect(),
        import,
        name: graph.name().to_owned(),
        top: view.top,
        attends,
        other_attention,
    })
}

/// Returns why what is kept is not exact.
fn bounds(graph: &Graph, kept: &[LayerKept], imported: bool) -> Vec<TrainBound> {
    let drops = |node: &Node| matches!(&node.op, Op::Layer(Layer::Dropout(_)));
    let evaluated = (imported && !graph.nodes().iter().any(drops)).then(|| TrainBound {
        id: None,
        reason: "a model that was exported in evaluation mode has no dropout and no stochastic depth: their masks are \
                 missing"
            .to_owned(),
    });
    // Exporters that take attention apart leave no trace of how it was written.
    let written_out = |node: &Node| {
        matches!(node.op, Op::Layer(Layer::Attention(_))) && !node.id.contains("scaled_dot_product_attention")
    };
    let written_out =
        graph.nodes().iter().filter(|node| imported && written_out(node)).map(|node| TrainBound {
            id: Some(node.id.clone()),
            reason: "attention that is written out is counted as `scaled_dot_product_attention` keeps it"
                .to_owned(),
        });
    // A copy in another layout is no layer.
    let parts =
        graph.nodes().iter().zip(kept).filter(|(node, kept)| imported && keeps_part(graph, node, kept));
    let parts = parts.map(|(node, _)| TrainBound {
        id: Some(node.id.clone()),
        reason: "it keeps the whole tensor of which it reads a part: a model does not show whether the part was copied \
                 first (`contiguous()`)"
            .to_owned(),
    });
    let of_layers = inexact(graph).into_iter().map(|(node, reason)| TrainBound {
        id: Some(graph.node(node).id.clone()),
        reason: reason.to_owned(),
    });
    evaluated.into_iter().chain(of_layers).chain(written_out).chain(parts).collect()
}

/// Returns whether the layer keeps the storage of a larger tensor than it reads, and may have read a copy: a product, or what
/// reads its input with the axes in another order (tokens as an image).
fn keeps_part(graph: &Graph, node: &Node, kept: &LayerKept) -> bool {
    let elements = |id: NodeId| product(graph.node(id).shape.sizes());
    let multiplies = matches!(node.op, Op::Layer(Layer::Attention(_) | Layer::Matmul(_)));
    let permuted = |input: NodeId, storage: NodeId| {
        let mut views = std::iter::successors(Some(input), |&id| graph.node(id).inputs.first().copied())
            .take_while(|&id| id.index() > storage.index());
        views.any(|id| matches!(graph.node(id).op, Op::Layer(Layer::Permute(_))))
    };
    kept.tensors.iter().any(|tensor| match (tensor.part, tensor.node) {
        (Part::Input(index), Some(storage)) => node.inputs.get(index).is_some_and(|&input| {
            elements(storage) > elements(input) && (multiplies || permuted(input, storage))
        }),
        _ => false,
    })
}

/// Returns the tensor with its name.
fn named(graph: &Graph, node: &Node, tensor: &KeptTensor) -> TrainTensor {
    let what = match tensor.part {
        Part::Output => "output".to_owned(),
        Part::Own(name) => name.to_owned(),
        Part::Input(index) | Part::Copy(index) => {
            let copy = if matches!(tensor.part, Part::Copy(_)) { "copy of " } else { "" };
            let number = if node.inputs.len() > 1 { format!(" {index}") } else { String::new() };
            format!("{copy}input{number}")
        }
    };
    let id = tensor.node.map(|id| graph.node(id).id.clone());
    TrainTensor { what, id, bytes: tensor.bytes, shared: tensor.shared }
}

/// Returns the segments to checkpoint if `other` bytes of the memory are not for what is kept.
fn checkpointed(graph: &Graph, view: &View, other: u64) -> TrainCheckpoint {
    let budget = view.memory.map(|memory| memory.saturating_sub(other));
    let plan = checkpoint::plan(graph, &view.training, budget);
    let id = |node| graph.node(node).id.clone();
    TrainCheckpoint {
        segments: plan
            .segments
            .iter()
            .map(|segment| TrainSegment {
                input: id(segment.input),
                first: id(segment.first),
                last: id(segment.last),
                saved: segment.saved,
                recomputed_macs: segment.recomputed,
            })
            .collect(),
        kept: plan.kept,
        saved: plan.without.saturating_sub(plan.kept),
        recomputed_macs: plan.recomputed,
        budget,
        fits: budget.is_none_or(|budget| plan.kept <= budget),
        exact: plan.exact,
    }
}

impl Summary for TrainSummary {
    const COMMAND: &'static str = "train";

    fn page(&self) -> Page {
        page::of(self)
    }

    fn partial(&self) -> bool {
        self.status == Status::Partial
    }

    fn footer(page: &mut Page) {
        page.note(
            "Kept: unique tensors that the backward pass needs, parameters not included; `torch` is what PyTorch's autograd \
             keeps, `cnnkit` what cnnkit's own gradients read. Bytes in KiB/MiB/GiB = 1024. Not modelled: the loss, \
             workspace of kernels, fragmentation of the allocator, the context of the device.",
        );
    }
}
