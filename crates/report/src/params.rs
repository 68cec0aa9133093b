//! The summary of `cnnkit params`: parameters, MACs and memory, in total and layer by layer.

mod page;

use schemars::JsonSchema;
use serde::Serialize;

use crate::convention::ConventionSummary;
use crate::imported::{Import, Status};
use crate::{Page, Summary};
use cnnkit_core::analysis::deployment;
use cnnkit_core::analysis::memory::{self, Dtype};
use cnnkit_core::analysis::totals::{self, Counts, FLOPS_PER_MAC};
use cnnkit_core::graph::{Graph, Node, NodeId, Op};
use cnnkit_core::layers::Ops;
use cnnkit_core::shape::Shape;

/// Settings of the page.
#[derive(Debug, Clone)]
pub struct View {
    /// Number of block levels that are expanded; none for all.
    pub depth: Option<usize>,
    /// The rows of the table.
    pub by: By,
    /// The order of the rows.
    pub sort: Sort,
    /// Maximum number of rows.
    pub top: Option<usize>,
    /// Batch size.
    pub batch: u64,
    /// Number format of the bytes.
    pub dtype: Dtype,
}

/// The rows of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum By {
    /// Blocks, opened to the given depth
    #[default]
    Block,
    /// Single layers
    Layer,
    /// All layers of a kind
    Kind,
}

/// Order of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum Sort {
    /// As the network runs
    #[default]
    Order,
    /// Most parameters first
    Params,
    /// Most MACs first
    Macs,
    /// Largest output first
    Memory,
}

/// Parameters, multiply-accumulates and memory of a network.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ParamsSummary {
    /// The figures of the whole network.
    pub totals: ParamsTotals,
    /// Whether the counts are complete.
    pub status: Status,
    /// Batch size of the counts and of the memory.
    pub batch: u64,
    /// Number format of the bytes.
    pub dtype: Dtype,
    /// FLOPs of one multiply-accumulate: 2.
    pub flops_per_mac: u64,
    /// Every node in execution order, inputs included.
    pub layers: Vec<ParamsLayer>,
    /// The network's outputs.
    pub outputs: Vec<ParamsOutput>,
    /// Another tool's count, with `--convention`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub convention: Option<ConventionSummary>,
    /// What is not analysed.
    #[serde(flatten)]
    pub import: Option<Import>,
    /// The network's name.
    #[serde(skip)]
    pub name: String,
    /// Settings of the page.
    #[serde(skip)]
    pub view: View,
}

/// The figures of the whole network.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ParamsTotals {
    /// Learnable elements; shared weights count once.
    #[schemars(extend("unit" = "elements"))]
    pub params: u64,
    /// Elements of weights that training changes: all parameters, because fixed weights are buffers.
    #[schemars(extend("unit" = "elements"))]
    pub trainable: u64,
    /// Elements of weights that training does not change: a part of the buffers.
    #[schemars(extend("unit" = "elements"))]
    pub frozen: u64,
    /// Stored elements that are not learned: running statistics, fixed weights.
    #[schemars(extend("unit" = "elements"))]
    pub buffers: u64,
    /// Multiply-accumulates of convolutions and linear maps, taps on padding included.
    #[schemars(extend("unit" = "MACs"))]
    pub macs: u64,
    /// Multiply-accumulates of bilinear sampling in deformable convolutions, 4 per tap; not part of `macs`.
    #[schemars(extend("unit" = "MACs"))]
    pub sampling_macs: u64,
    /// Operations that are not multiply-accumulates: bias, norm, activation, pooling, interpolation, merges.
    #[schemars(extend("unit" = "operations"))]
    pub other_ops: u64,
    /// The other operations by kind.
    pub ops: ParamsOps,
    /// 2 x MACs + other ops.
    #[schemars(extend("unit" = "FLOPs"))]
    pub flops: u64,
    /// Memory of one inference.
    pub memory: ParamsMemory,
}

/// Operations that are not multiply-accumulates, by kind.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct ParamsOps {
    /// Additions, subtractions, multiplications and divisions.
    #[schemars(extend("unit" = "operations"))]
    pub arithmetic: u64,
    /// Comparisons: ReLU, max pooling.
    #[schemars(extend("unit" = "operations"))]
    pub comparisons: u64,
    /// Exponentials, logarithms, roots, error functions.
    #[schemars(extend("unit" = "operations"))]
    pub functions: u64,
}

/// Memory of one inference in the number format `dtype`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ParamsMemory {
    /// The parameters.
    #[schemars(extend("unit" = "bytes"))]
    pub params: u64,
    /// The buffers.
    #[schemars(extend("unit" = "bytes"))]
    pub buffers: u64,
    /// Sum of all layer outputs.
    #[schemars(extend("unit" = "bytes"))]
    pub activations: u64,
    /// Activations alive at the step with the most; assumes no in-place operations and no fusion.
    #[schemars(extend("unit" = "bytes"))]
    pub peak: u64,
    /// The peak if elementwise layers overwrite their input, and depthwise convolutions do so plane by plane.
    #[schemars(extend("unit" = "bytes"))]
    pub in_place: u64,
    /// The peak if norms with stored statistics and activations produce no tensor and concatenations are views.
    #[schemars(extend("unit" = "bytes"))]
    pub fused: u64,
    /// `fused` in the best order of operators that was found.
    #[schemars(extend("unit" = "bytes"))]
    pub reordered: u64,
    /// An arena with all tensors of that order at offsets of their own (`cnnkit plan`).
    #[schemars(extend("unit" = "bytes"))]
    pub arena: u64,
    /// Id of the layer that runs at that step; null for an empty network.
    pub peak_step: Option<String>,
    /// Tensors alive at that step, largest first.
    pub peak_tensors: Vec<ParamsTensor>,
    /// `activations` in elements.
    #[serde(skip)]
    pub activation_elements: u64,
    /// `peak` in elements.
    #[serde(skip)]
    pub peak_elements: u64,
}

/// A tensor that is alive at the peak.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ParamsTensor {
    /// Id of the layer that writes it, or of the input.
    pub id: String,
    /// Its shape, without the batch.
    pub shape: Shape,
    /// Its size.
    #[schemars(extend("unit" = "bytes"))]
    pub bytes: u64,
}

/// The figures of one node.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ParamsLayer {
    /// The node's id.
    pub id: String,
    /// Name of the model's node from which the layer was made; absent for a spec.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The layer's name in the spec language: `conv`; `input` for an input.
    pub op: &'static str,
    /// Its settings in a few words: `64 k7 s2 p3`.
    pub settings: String,
    /// Shapes of its inputs, without the batch; null where an imported model does not define one.
    pub input_shapes: Vec<Option<Shape>>,
    /// Shape of its output, without the batch; null where an imported model does not define it.
    pub output_shape: Option<Shape>,
    /// Learnable elements; 0 for a layer that uses the weights of another.
    #[schemars(extend("unit" = "elements"))]
    pub params: u64,
    /// Stored elements that are not learned.
    #[schemars(extend("unit" = "elements"))]
    pub buffers: u64,
    /// Multiply-accumulates.
    #[schemars(extend("unit" = "MACs"))]
    pub macs: u64,
    /// Multiply-accumulates of bilinear sampling; not part of `macs`.
    #[schemars(extend("unit" = "MACs"))]
    pub sampling_macs: u64,
    /// Operations that are not multiply-accumulates.
    #[schemars(extend("unit" = "operations"))]
    pub other_ops: u64,
    /// 2 x MACs + other ops.
    #[schemars(extend("unit" = "FLOPs"))]
    pub flops: u64,
    /// Id of the layer whose weights it uses, if it has none of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shares: Option<String>,
    /// Elements of its output; 0 for an input.
    #[serde(skip)]
    pub activations: u64,
}

/// An output of the network.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ParamsOutput {
    /// The node's id.
    pub id: String,
    /// Its shape, without the batch; null where an imported model does not define it.
    pub shape: Option<Shape>,
}

/// Returns the counts of one network for a batch.
fn batched(counts: Counts, batch: u64) -> Counts {
    let times = |n: u64| n.saturating_mul(batch);
    Counts {
        macs: times(counts.macs),
        sampling_macs: times(counts.sampling_macs),
        ops: Ops {
            arithmetic: times(counts.ops.arithmetic),
            comparisons: times(counts.ops.comparisons),
            functions: times(counts.ops.functions),
        },
        activations: times(counts.activations),
        ..counts
    }
}

/// Computes the figures of `graph`; `convention` is another tool's count, `import` has the remarks about an
/// imported model.
pub fn summary(
    graph: &Graph,
    view: View,
    convention: Option<ConventionSummary>,
    import: Option<Import>,
) -> ParamsSummary {
    let counts = batched(totals::of_graph(graph), view.batch);
    ParamsSummary {
        totals: ParamsTotals {
            params: counts.params,
            trainable: counts.params,
            frozen: counts.frozen,
            buffers: counts.buffers,
            macs: counts.macs,
            sampling_macs: counts.sampling_macs,
            other_ops: counts.other_ops(),
            ops: ParamsOps {
                arithmetic: counts.ops.arithmetic,
                comparisons: counts.ops.comparisons,
                functions: counts.ops.functions,
            },
            flops: counts.flops(),
            memory: memory(graph, counts, &view),
        },
        status: import.as_ref().map(Import::status).unwrap_or_default(),
        batch: view.batch,
        dtype: view.dtype,
        flops_per_mac: FLOPS_PER_MAC,
        layers: graph.nodes().iter().map(|node| layer(graph, node, view.batch)).collect(),
        outputs: graph.outputs().iter().map(|&id| output(graph, id)).collect(),
        convention,
        import,
        name: graph.name().to_owned(),
        view,
    }
}

fn memory(graph: &Graph, counts: Counts, view: &View) -> ParamsMemory {
    let bytes = |elements: u64| elements.saturating_mul(view.dtype.bytes());
    let peak = memory::peak(graph);
    let tensors = peak.iter().flat_map(|peak| &peak.alive).map(|&(id, elements)| ParamsTensor {
        id: graph.node(id).id.clone(),
        shape: graph.node(id).shape.clone(),
        bytes: bytes(elements.saturating_mul(view.batch)),
    });
    let deployed = deployment::peaks(graph, view.dtype.bytes());
    let images = |bytes: u64| bytes.saturating_mul(view.batch);
    let peak_elements = peak.as_ref().map_or(0, |peak| peak.elements.saturating_mul(view.batch));
    ParamsMemory {
        params: bytes(counts.params),
        buffers: bytes(counts.buffers),
        activations: bytes(counts.activations),
        peak: bytes(peak_elements),
        in_place: images(deployed.in_place),
        fused: images(deployed.fused),
        reordered: images(deployed.reordered),
        arena: images(deployed.arena),
        peak_step: peak.as_ref().map(|peak| graph.node(peak.step).id.clone()),
        peak_tensors: tensors.collect(),
        activation_elements: counts.activations,
        peak_elements,
    }
}

fn layer(graph: &Graph, node: &Node, batch: u64) -> ParamsLayer {
    let counts = batched(totals::of_node(node), batch);
    ParamsLayer {
        id: node.id.clone(),
        node: None,
        op: node.op.name(),
        settings: match &node.op {
            Op::Input => String::new(),
            Op::Layer(layer) => layer.describe(),
        },
        input_shapes: node.inputs.iter().map(|&input| graph.node(input).known_shape().cloned()).collect(),
        output_shape: node.known_shape().cloned(),
        params: counts.params,
        buffers: counts.buffers,
        macs: counts.macs,
        sampling_macs: counts.sampling_macs,
        other_ops: counts.other_ops(),
        flops: counts.flops(),
        shares: node.shares.map(|owner| graph.node(owner).id.clone()),
        activations: counts.activations,
    }
}

fn output(graph: &Graph, id: NodeId) -> ParamsOutput {
    ParamsOutput { id: graph.node(id).id.clone(), shape: graph.node(id).known_shape().cloned() }
}

impl ParamsSummary {
    /// Returns the same with the names of the nodes in the model's file, one per node of the graph.
    #[must_use]
    pub fn with_nodes(mut self, names: &[Option<String>]) -> Self {
        self.layers.iter_mut().zip(names).for_each(|(layer, name)| layer.node.clone_from(name));
        self
    }
}

impl ParamsLayer {
    /// Returns whether it is an input, not a layer.
    fn is_input(&self) -> bool {
        self.op == Op::Input.name()
    }
}

impl Summary for ParamsSummary {
    const COMMAND: &'static str = "params";

    fn page(&self) -> Page {
        page::of(self)
    }

    fn partial(&self) -> bool {
        self.status == Status::Partial
    }

    fn footer(page: &mut Page) {
        page.note(
            "1 MAC = 2 FLOPs; FLOPs = 2 x MACs + other ops. MACs: convolutions and linear maps, taps on padding included. \
             Other ops: bias, norm, activation, pooling, interpolation, merges. Counts in k/M/G = 1000, bytes in KiB/MiB = 1024.",
        );
    }
}
