//! What `cnnkit compare` says: networks side by side, with ratios against the first.

use serde::Serialize;

use super::{Block, Cell, Column, Page, Row, StyledText, Table, Tone};
use cnnkit_core::analysis::field::{Options, analyse, headline};
use cnnkit_core::analysis::memory::{self, Dtype};
use cnnkit_core::analysis::totals;
use cnnkit_core::graph::Graph;
use cnnkit_core::number;
use cnnkit_core::shape::Shape;

/// The figures of one network.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    name: String,
    params: u64,
    buffers: u64,
    macs: u64,
    other_ops: u64,
    flops: u64,
    /// Layers with MACs on the longest path.
    depth: u64,
    layers: usize,
    /// Receptive field of the output, or of the last feature map that does not see everything; one size an axis.
    rf: Option<Vec<i128>>,
    inputs: Vec<Shape>,
    outputs: Vec<Shape>,
    /// Bytes of all layer outputs, f32.
    activations: u64,
    /// Bytes alive at the worst step, f32.
    peak: u64,
}

/// Ratios of a network against the first; none where the first has zero.
#[derive(Debug, Serialize)]
struct Ratios {
    name: String,
    params: Option<f64>,
    macs: Option<f64>,
    flops: Option<f64>,
    activations: Option<f64>,
    peak: Option<f64>,
}

/// The JSON of the comparison.
#[derive(Debug, Serialize)]
pub struct CompareJson {
    networks: Vec<Figures>,
    ratios: Vec<Ratios>,
}

/// The figures of `graph`.
pub fn figures(graph: &Graph) -> Figures {
    let counts = totals::of_graph(graph);
    let bytes = |elements: u64| elements.saturating_mul(Dtype::F32.bytes());
    Figures {
        name: graph.name.clone(),
        params: counts.params,
        buffers: counts.buffers,
        macs: counts.macs,
        other_ops: counts.other_ops(),
        flops: counts.flops(),
        depth: totals::depth(graph),
        layers: graph.nodes.len() - graph.inputs().count(),
        rf: field_sizes(graph),
        inputs: graph.inputs().map(|(_, node)| node.shape.clone()).collect(),
        outputs: graph.outputs.iter().map(|&id| graph.node(id).shape.clone()).collect(),
        activations: bytes(counts.activations),
        peak: memory::peak(graph).map_or(0, |peak| bytes(peak.elements)),
    }
}

/// The receptive field that stands for a network; one size an axis.
fn field_sizes(graph: &Graph) -> Option<Vec<i128>> {
    let fields = analyse(graph, Options::default()).ok()?;
    Some(headline(graph, &fields)?.axes.iter().map(|axis| axis.size).collect())
}

/// The comparison for programs.
pub fn json(networks: Vec<Figures>) -> CompareJson {
    let against = |value: u64, first: u64| (first > 0).then(|| value as f64 / first as f64);
    let ratios = networks.iter().map(|network| Ratios {
        name: network.name.clone(),
        params: against(network.params, networks[0].params),
        macs: against(network.macs, networks[0].macs),
        flops: against(network.flops, networks[0].flops),
        activations: against(network.activations, networks[0].activations),
        peak: against(network.peak, networks[0].peak),
    });
    let ratios = ratios.collect();
    CompareJson { networks, ratios }
}

/// The comparison for people; `networks` holds at least one.
pub fn page(networks: &[Figures]) -> Page {
    let first = &networks[0];
    let mut table = Table {
        columns: vec![
            Column::text("network"),
            Column::number("params"),
            Column::number("ratio"),
            Column::number("MACs"),
            Column::number("ratio "),
            Column::number("depth"),
            Column::number("RF").optional(3),
            Column::number("peak f32").optional(1),
            Column::text("output").optional(2),
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
            Cell::text(field(network)),
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
fn field(network: &Figures) -> String {
    let mut sizes: Vec<String> = network.rf.iter().flatten().map(i128::to_string).collect();
    sizes.dedup();
    sizes.join(" x ")
}

fn ratio(value: u64, first: u64) -> Cell {
    let tone = match value.cmp(&first) {
        std::cmp::Ordering::Less => Tone::Good,
        std::cmp::Ordering::Equal => Tone::Quiet,
        std::cmp::Ordering::Greater => Tone::Warn,
    };
    Cell::factor(value, first).tone(tone)
}

/// `bottleneck has 69,632 parameters against 589,824: 8.47 times fewer, and 8.47 times fewer MACs`.
fn sentence(first: &Figures, other: &Figures) -> Vec<StyledText> {
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
    let (small, large, word) = if value <= first { (value, first, "fewer") } else { (first, value, "more") };
    match (small, large) {
        (0, 0) => String::new(),
        (0, _) => format!(" (all {word})"),
        _ if small == large => " (equal)".into(),
        _ => {
            let factor = large as f64 / small as f64;
            if factor < 1.1 {
                format!(" ({} {word})", number::share((large - small) as f64 / first as f64))
            } else {
                format!(" ({} times {word})", number::factor(factor).trim_end_matches('x'))
            }
        }
    }
}
