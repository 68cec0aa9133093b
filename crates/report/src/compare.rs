//! The summary of `cnnkit compare`: networks side by side, with ratios against the first.

use schemars::JsonSchema;
use serde::Serialize;

use super::imported::{Import, Status};
use super::{Block, Cell, Column, Page, Row, StyledText, Summary, Table, Tone};
use cnnkit_core::analysis::field::{Options, analyse, headline};
use cnnkit_core::analysis::memory::{self, Dtype};
use cnnkit_core::analysis::totals;
use cnnkit_core::graph::Graph;
use cnnkit_core::number;
use cnnkit_core::shape::Shape;

/// Networks side by side, with ratios against the first.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct CompareSummary {
    /// The networks, in the order of the call.
    pub networks: Vec<ComparedNetwork>,
    /// Ratios of each network against the first, in the same order.
    pub ratios: Vec<Ratios>,
    /// `partial` if a figure of some network depends on an operator that is not analysed, else absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// Remarks about each imported network.
    #[serde(skip)]
    pub imports: Vec<Import>,
}

/// The figures of one network.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ComparedNetwork {
    /// The network's name.
    pub name: String,
    /// Learnable elements; shared weights count once.
    #[schemars(extend("unit" = "elements"))]
    pub params: u64,
    /// Stored elements that are not learned: running statistics.
    #[schemars(extend("unit" = "elements"))]
    pub buffers: u64,
    /// Multiply-accumulates of one image.
    #[schemars(extend("unit" = "MACs"))]
    pub macs: u64,
    /// Operations that are not multiply-accumulates: bias, norm, activation, pooling, interpolation, merges.
    #[schemars(extend("unit" = "operations"))]
    pub other_ops: u64,
    /// 2 x MACs + other ops.
    #[schemars(extend("unit" = "FLOPs"))]
    pub flops: u64,
    /// Layers with MACs on the longest path.
    #[schemars(extend("unit" = "layers"))]
    pub depth: u64,
    /// Number of layers, without inputs.
    #[schemars(extend("unit" = "layers"))]
    pub layers: usize,
    /// Receptive field of the output, or of the last feature map whose units do not depend on the whole
    /// input; one size per axis, null if there is none.
    #[schemars(extend("unit" = "input positions"))]
    pub rf: Option<Vec<i128>>,
    /// Shapes of the inputs, without the batch.
    pub inputs: Vec<Shape>,
    /// Shapes of the outputs, without the batch.
    pub outputs: Vec<Shape>,
    /// Sum of all layer outputs in f32.
    #[schemars(extend("unit" = "bytes"))]
    pub activations: u64,
    /// Peak of the activations, in f32.
    #[schemars(extend("unit" = "bytes"))]
    pub peak: u64,
    /// Remarks about the whole model; only for imported models.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

/// Ratios of a network against the first; null where the first has zero.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Ratios {
    /// The network's name.
    pub name: String,
    /// Ratio of the parameters.
    pub params: Option<f64>,
    /// Ratio of the MACs.
    pub macs: Option<f64>,
    /// Ratio of the FLOPs.
    pub flops: Option<f64>,
    /// Ratio of the sums of all layer outputs.
    pub activations: Option<f64>,
    /// Ratio of the peaks.
    pub peak: Option<f64>,
}

/// Computes the figures of `graph`.
fn figures(graph: &Graph) -> ComparedNetwork {
    let counts = totals::of_graph(graph);
    let bytes = |elements: u64| elements.saturating_mul(Dtype::F32.bytes());
    ComparedNetwork {
        name: graph.name().to_owned(),
        params: counts.params,
        buffers: counts.buffers,
        macs: counts.macs,
        other_ops: counts.other_ops(),
        flops: counts.flops(),
        depth: totals::depth(graph),
        layers: graph.nodes().len() - graph.inputs().count(),
        rf: field_sizes(graph),
        inputs: graph.inputs().map(|(_, node)| node.shape.clone()).collect(),
        outputs: graph.outputs().iter().map(|&id| graph.node(id).shape.clone()).collect(),
        activations: bytes(counts.activations),
        peak: memory::peak(graph).map_or(0, |peak| bytes(peak.elements)),
        remarks: vec![],
    }
}

/// The receptive field that stands for a network; one size per axis.
fn field_sizes(graph: &Graph) -> Option<Vec<i128>> {
    let fields = analyse(graph, Options::default()).ok()?;
    Some(headline(graph, &fields)?.axes.iter().map(|axis| axis.size).collect())
}

/// Compares `graphs` with the first of them; `imports` tells what the imported ones leave out.
pub fn summary<'a>(graphs: impl Iterator<Item = &'a Graph>, imports: Vec<Option<Import>>) -> CompareSummary {
    let mut networks: Vec<ComparedNetwork> = graphs.map(figures).collect();
    for (network, import) in networks.iter_mut().zip(&imports) {
        network.remarks = import.as_ref().map_or_else(Vec::new, |import| import.remarks.clone());
    }
    let against = |value: u64, first: u64| (first > 0).then(|| value as f64 / first as f64);
    let ratios = networks.iter().map(|network| Ratios {
        name: network.name.clone(),
        params: against(network.params, networks[0].params),
        macs: against(network.macs, networks[0].macs),
        flops: against(network.flops, networks[0].flops),
        activations: against(network.activations, networks[0].activations),
        peak: against(network.peak, networks[0].peak),
    });
    let imports: Vec<Import> = imports.into_iter().flatten().collect();
    let partial = imports.iter().any(|import| import.partial);
    CompareSummary { ratios: ratios.collect(), networks, status: partial.then_some(Status::Partial), imports }
}

impl Summary for CompareSummary {
    const COMMAND: &'static str = "compare";

    fn page(&self) -> Page {
        let mut page = page(&self.networks);
        self.imports.iter().for_each(|import| import.explain(&mut page));
        page
    }

    fn partial(&self) -> bool {
        self.status == Some(Status::Partial)
    }
}

fn page(networks: &[ComparedNetwork]) -> Page {
    let Some(first) = networks.first() else { return Page::default() };
    let mut table = Table {
        name: "networks",
        columns: vec![
            Column::text("network"),
            Column::number("params"),
            Column::number("ratio").key("params ratio"),
            Column::number("MACs"),
            Column::number("ratio").key("MACs ratio"),
            Column::number("depth"),
            Column::number("RF").optional(1),
            Column::number("peak f32").optional(2),
            Column::text("output").optional(3),
        ],
        rows: vec![],
    };
    for network in networks {
        let outputs: Vec<String> = network.outputs.iter().map(Shape::to_string).collect();
        table.rows.push(Row::new(vec![
            Cell::toned(&network.name, Tone::Name),
            Cell::count(network.params),
            ratio(network.params, first.params),
            Cell::magnitude(network.macs),
            ratio(network.macs, first.macs),
            Cell::count(network.depth),
            field(network),
            Cell::bytes(network.peak),
            Cell::text(outputs.join(" ")),
        ]));
    }
    let mut page = Page::default();
    page.table(table);
    for network in &networks[1..] {
        page.push(Block::Text(sentence(first, network)));
    }
    page.note("Ratios are against the first network. Depth: layers with MACs on the longest path. RF: receptive field of the output, or of the last feature map that does not see everything. Peak: activations alive at the worst step.");
    page
}

/// `427` if the axes agree, else `7 x 3`.
fn field(network: &ComparedNetwork) -> Cell {
    let mut sizes: Vec<i128> = network.rf.iter().flatten().copied().collect();
    sizes.dedup();
    match sizes.as_slice() {
        [] => Cell::missing(),
        [only] => u64::try_from(*only).map_or_else(|_| Cell::text(only.to_string()), Cell::count),
        several => Cell::text(several.iter().map(i128::to_string).collect::<Vec<_>>().join(" x ")),
    }
}

fn ratio(value: u64, first: u64) -> Cell {
    let tone = match value.cmp(&first) {
        std::cmp::Ordering::Less => Tone::Good,
        std::cmp::Ordering::Equal => Tone::Quiet,
        std::cmp::Ordering::Greater => Tone::Warn,
    };
    Cell::factor(value, first).tone(tone)
}

/// Formats `bottleneck has 69,632 parameters against 589,824: 8.47 times fewer, and 8.47 times fewer MACs`.
fn sentence(first: &ComparedNetwork, other: &ComparedNetwork) -> Vec<StyledText> {
    vec![
        StyledText::new(other.name.as_str(), Tone::Name),
        StyledText::plain(format!(
            " has {} parameters against {}{}, and {} MACs against {}{}.",
            number::grouped(other.params),
            number::grouped(first.params),
            times(other.params, first.params),
            number::magnitude(other.macs),
            number::magnitude(first.macs),
            times(other.macs, first.macs),
        )),
    ]
}

fn times(value: u64, first: u64) -> String {
    let (small, large) = (value.min(first), value.max(first));
    let (word, times) = if value <= first { ("fewer", "times fewer") } else { ("more", "times as many") };
    match (small, large) {
        (0, 0) => String::new(),
        (0, _) => format!(" (all {word})"),
        _ if small == large => " (equal)".into(),
        _ => {
            let factor = large as f64 / small as f64;
            if factor < 1.1 {
                format!(" ({} {word})", number::share((large - small) as f64 / first as f64))
            } else {
                format!(" ({} {times})", number::factor(factor).trim_end_matches('x'))
            }
        }
    }
}
