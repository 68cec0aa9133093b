//! What `cnnkit params` says: a table by block, layer or kind, the totals, and the memory.

use serde::Serialize;

use super::convention::ConventionJson;
use super::{Block, Cell, Column, Fact, Page, Row, Table, Tone, Value};
use cnnkit_core::analysis::memory::{self, Dtype, Peak};
use cnnkit_core::analysis::totals::{self, Counts, FLOPS_PER_MAC};
use cnnkit_core::graph::{Graph, Node, NodeId, Op};
use cnnkit_core::number;
use cnnkit_core::shape::Shape;

/// What is shown, and how.
#[derive(Debug, Clone)]
pub struct View {
    /// Levels of blocks that are opened; none for all.
    pub depth: Option<usize>,
    /// What a row stands for.
    pub by: By,
    /// Order of the rows.
    pub sort: Sort,
    /// Only so many rows.
    pub top: Option<usize>,
    /// Images at once.
    pub batch: u64,
    /// Number format, for bytes.
    pub dtype: Dtype,
}

/// What a row of the table stands for.
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

/// The JSON of one network, as in the contract.
#[derive(Debug, Serialize)]
pub struct ParamsJson {
    totals: TotalsJson,
    status: &'static str,
    batch: u64,
    dtype: Dtype,
    flops_per_mac: u64,
    layers: Vec<LayerJson>,
    outputs: Vec<OutputJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    convention: Option<ConventionJson>,
}

#[derive(Debug, Serialize)]
struct TotalsJson {
    params: u64,
    buffers: u64,
    macs: u64,
    sampling_macs: u64,
    other_ops: u64,
    ops: cnnkit_core::layers::Ops,
    flops: u64,
    memory: MemoryJson,
}

/// All in bytes.
#[derive(Debug, Serialize)]
struct MemoryJson {
    params: u64,
    buffers: u64,
    activations: u64,
    peak: u64,
    peak_step: Option<String>,
    peak_tensors: Vec<TensorJson>,
}

#[derive(Debug, Serialize)]
struct TensorJson {
    id: String,
    shape: Shape,
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct LayerJson {
    id: String,
    op: &'static str,
    settings: String,
    input_shapes: Vec<Option<Shape>>,
    /// None where an imported model leaves it open.
    output_shape: Option<Shape>,
    params: u64,
    buffers: u64,
    macs: u64,
    sampling_macs: u64,
    other_ops: u64,
    flops: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    shares: Option<String>,
}

#[derive(Debug, Serialize)]
struct OutputJson {
    id: String,
    shape: Option<Shape>,
}

/// The counts of one network in the view's batch.
fn batched(counts: Counts, batch: u64) -> Counts {
    let times = |n: u64| n.saturating_mul(batch);
    Counts {
        macs: times(counts.macs),
        sampling_macs: times(counts.sampling_macs),
        ops: cnnkit_core::layers::Ops {
            arithmetic: times(counts.ops.arithmetic),
            comparisons: times(counts.ops.comparisons),
            functions: times(counts.ops.functions),
        },
        activations: times(counts.activations),
        ..counts
    }
}

/// The facts of `graph` for programs.
pub fn json(graph: &Graph, view: &View, convention: Option<ConventionJson>) -> ParamsJson {
    let counts = batched(totals::of_graph(graph), view.batch);
    let bytes = |elements: u64| elements.saturating_mul(view.dtype.bytes());
    let peak = memory::peak(graph);
    let tensors = peak.iter().flat_map(|peak| &peak.alive).map(|&(id, elements)| TensorJson {
        id: graph.node(id).id.clone(),
        shape: graph.node(id).shape.clone(),
        bytes: bytes(elements.saturating_mul(view.batch)),
    });
    let layer = |node: &Node| {
        let counts = batched(totals::of_node(node), view.batch);
        LayerJson {
            id: node.id.clone(),
            op: node.op.name(),
            settings: settings(node),
            input_shapes: node.inputs.iter().map(|&input| graph.node(input).known_shape().cloned()).collect(),
            output_shape: node.known_shape().cloned(),
            params: counts.params,
            buffers: counts.buffers,
            macs: counts.macs,
            sampling_macs: counts.sampling_macs,
            other_ops: counts.other_ops(),
            flops: counts.flops(),
            shares: node.shares.map(|owner| graph.node(owner).id.clone()),
        }
    };
    ParamsJson {
        totals: TotalsJson {
            params: counts.params,
            buffers: counts.buffers,
            macs: counts.macs,
            sampling_macs: counts.sampling_macs,
            other_ops: counts.other_ops(),
            ops: counts.ops,
            flops: counts.flops(),
            memory: MemoryJson {
                params: bytes(counts.params),
                buffers: bytes(counts.buffers),
                activations: bytes(counts.activations),
                peak: peak.as_ref().map_or(0, |peak| bytes(peak.elements.saturating_mul(view.batch))),
                peak_step: peak.as_ref().map(|peak| graph.node(peak.step).id.clone()),
                peak_tensors: tensors.collect(),
            },
        },
        status: "complete",
        batch: view.batch,
        dtype: view.dtype,
        flops_per_mac: FLOPS_PER_MAC,
        layers: graph.nodes.iter().map(layer).collect(),
        outputs: graph
            .outputs
            .iter()
            .map(|&id| OutputJson {
                id: graph.node(id).id.clone(),
                shape: graph.node(id).known_shape().cloned(),
            })
            .collect(),
        convention,
    }
}

/// The facts of `graph` for people.
pub fn page(graph: &Graph, view: &View) -> Page {
    let mut page = Page::default();
    let inputs: Vec<String> = graph.inputs().map(|(_, node)| node.shape.to_string()).collect();
    let batch = if view.batch == 1 { String::new() } else { format!(", batch {}", view.batch) };
    page.title_with(&graph.name, format!("input {}{batch}", inputs.join(" and ")));
    let total = batched(totals::of_graph(graph), view.batch);
    page.table(table(graph, view, total));
    totals_block(&mut page, graph, view, total);
    page
}

/// The definitions, said once for all networks of a call.
pub fn footer(page: &mut Page) {
    page.note(
        "1 MAC = 2 FLOPs; FLOPs = 2 x MACs + other ops. MACs: convolutions and linear maps, taps on padding included. \
         Other ops: bias, norm, activation, pooling, interpolation, merges. Counts in k/M/G = 1000, bytes in KiB/MiB = 1024.",
    );
}

/// One row before it is drawn.
struct Line {
    name: String,
    what: String,
    output: String,
    counts: Counts,
    /// Stands for its members, which follow it.
    heading: bool,
}

fn table(graph: &Graph, view: &View, total: Counts) -> Table {
    let mut table = Table {
        columns: vec![
            Column::text(match view.by {
                By::Kind => "kind",
                _ => "id",
            }),
            Column::text("layer"),
            Column::text("output").optional(2),
            Column::number("params"),
            Column::number("% params").optional(3),
            Column::number("MACs"),
            Column::number("% MACs").optional(4),
        ],
        rows: vec![],
    };
    let mut lines = match view.by {
        By::Kind => kinds(graph),
        By::Layer => layers(graph),
        By::Block => blocks(graph, view),
    };
    for line in &mut lines {
        line.counts = batched(line.counts, view.batch);
    }
    let sorted = view.sort != Sort::Order || view.top.is_some();
    if sorted {
        lines.retain(|line| !line.heading);
    }
    match view.sort {
        Sort::Order => {}
        Sort::Params => lines.sort_by_key(|line| std::cmp::Reverse(line.counts.params)),
        Sort::Macs => lines.sort_by_key(|line| std::cmp::Reverse(line.counts.macs)),
        Sort::Memory => lines.sort_by_key(|line| std::cmp::Reverse(line.counts.activations)),
    }
    let hidden = lines.len().saturating_sub(view.top.unwrap_or(usize::MAX));
    lines.truncate(lines.len() - hidden);
    for line in lines {
        let tone = if line.heading { Tone::Strong } else { Tone::Plain };
        let quiet_zero =
            |count: u64, cell: Cell| if count == 0 { Cell::toned("-", Tone::Quiet) } else { cell };
        let counts = line.counts;
        table.rows.push(Row {
            cells: vec![
                Cell::toned(line.name, if line.heading { Tone::Strong } else { Tone::Name }),
                Cell::toned(line.what, if line.heading { Tone::Quiet } else { Tone::Plain }),
                Cell::text(line.output),
                quiet_zero(counts.params, Cell::count(counts.params).tone(tone)),
                quiet_zero(counts.params, Cell::share(counts.params, total.params)),
                quiet_zero(counts.macs, Cell::magnitude(counts.macs).tone(tone)),
                quiet_zero(counts.macs, Cell::share(counts.macs, total.macs)),
            ],
            rule_above: false,
            summary: line.heading,
        });
    }
    if hidden > 0 {
        table.rows.push(Row {
            cells: vec![Cell::toned(format!("... {hidden} more"), Tone::Quiet)],
            rule_above: false,
            summary: true,
        });
    }
    let outputs: Vec<String> = graph.outputs.iter().map(|&id| graph.node(id).shown_shape()).collect();
    table.rows.push(Row::total(vec![
        Cell::toned("total", Tone::Strong),
        Cell::toned(plural(graph.nodes.len() - graph.inputs().count(), "layer"), Tone::Quiet),
        Cell::text(outputs.join(" ")),
        Cell::count(total.params).tone(Tone::Strong),
        Cell::default(),
        Cell::magnitude(total.macs).tone(Tone::Strong),
        Cell::default(),
    ]));
    table
}

fn plural(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn settings(node: &Node) -> String {
    match &node.op {
        Op::Input => String::new(),
        Op::Layer(layer) => layer.describe(),
    }
}

/// `conv 64 k7 s2 p3`, and whose weights it uses.
fn label(graph: &Graph, node: &Node) -> String {
    let shared =
        node.shares.map(|owner| format!(" (weights of {})", graph.node(owner).id)).unwrap_or_default();
    let text = format!("{} {}", node.op.name(), settings(node));
    format!("{}{shared}", text.trim_end())
}

fn line(graph: &Graph, node: &Node) -> Line {
    Line {
        name: node.id.clone(),
        what: label(graph, node),
        output: node.shown_shape(),
        counts: totals::of_node(node),
        heading: false,
    }
}

fn layers(graph: &Graph) -> Vec<Line> {
    graph.nodes.iter().map(|node| line(graph, node)).collect()
}

fn kinds(graph: &Graph) -> Vec<Line> {
    let mut lines: Vec<(Line, usize)> = Vec::new();
    for node in graph.nodes.iter().filter(|node| node.op != Op::Input) {
        let counts = totals::of_node(node);
        match lines.iter_mut().find(|(line, _)| line.name == node.op.name()) {
            Some((line, uses)) => {
                line.counts = line.counts.plus(counts);
                *uses += 1;
            }
            None => {
                let name = node.op.name().to_owned();
                lines.push((
                    Line { name, what: String::new(), output: String::new(), counts, heading: false },
                    1,
                ));
            }
        }
    }
    lines.into_iter().map(|(line, uses)| Line { what: plural(uses, "layer"), ..line }).collect()
}

/// The first `levels` parts of a dotted id, and whether there are more.
fn prefix(id: &str, levels: usize) -> (&str, bool) {
    match id.match_indices('.').nth(levels.saturating_sub(1)) {
        Some((end, _)) => (&id[..end], true),
        None => (id, false),
    }
}

/// Rows by block: blocks deeper than the view's depth are one row each; opened ones get a heading with their sum.
fn blocks(graph: &Graph, view: &View) -> Vec<Line> {
    let depth = view.depth.unwrap_or(usize::MAX).max(1);
    let mut lines: Vec<Line> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for node in &graph.nodes {
        // Headings for every opened block that starts here.
        let levels = node.id.matches('.').count();
        for level in 1..=levels.min(depth.saturating_sub(1)) {
            let (block, _) = prefix(&node.id, level);
            if seen.insert(block.to_owned()) {
                lines.push(Line { heading: true, ..group(graph, block) });
            }
        }
        let (row, more) = prefix(&node.id, depth);
        if !more {
            lines.push(line(graph, node));
        } else if seen.insert(row.to_owned()) {
            lines.push(group(graph, row));
        }
    }
    lines
}

/// The sum of all layers whose ids begin with `block`.
fn group(graph: &Graph, block: &str) -> Line {
    let member = |node: &&Node| node.id.strip_prefix(block).is_some_and(|rest| rest.starts_with('.'));
    let members: Vec<&Node> = graph.nodes.iter().filter(member).collect();
    Line {
        name: block.to_owned(),
        what: plural(members.len(), "layer"),
        output: members.last().map(|node| node.shown_shape()).unwrap_or_default(),
        counts: members.iter().map(|node| totals::of_node(node)).fold(Counts::default(), Counts::plus),
        heading: false,
    }
}

fn totals_block(page: &mut Page, graph: &Graph, view: &View, total: Counts) {
    let mut facts = vec![
        Fact::new("parameters", Value::Count(total.params)).remark("learnable elements, shared ones once"),
    ];
    if total.buffers > 0 {
        facts.push(
            Fact::new("buffers", Value::Count(total.buffers)).remark("kept, not learned: running statistics"),
        );
    }
    facts.push(Fact::new("MACs", Value::Count(total.macs)));
    if total.sampling_macs > 0 {
        facts.push(
            Fact::new("sampling MACs", Value::Count(total.sampling_macs))
                .remark("bilinear sampling, 4 a tap, not part of MACs"),
        );
    }
    let ops = total.ops;
    facts.push(Fact::new("other ops", Value::Count(total.other_ops())).remark(format!(
        "{} arithmetic, {} comparisons, {} functions",
        number::magnitude(ops.arithmetic),
        number::magnitude(ops.comparisons),
        number::magnitude(ops.functions)
    )));
    facts.push(Fact::new("FLOPs", Value::Count(total.flops())));
    page.push(Block::Facts(facts));
    page.table(memory_table(graph, view, total));
    if let Some(peak) = memory::peak(graph) {
        page.note(peak_sentence(graph, &peak));
    }
}

fn memory_table(graph: &Graph, view: &View, total: Counts) -> Table {
    let peak = memory::peak(graph).map_or(0, |peak| peak.elements.saturating_mul(view.batch));
    let mut table = Table { columns: vec![Column::text("memory")], rows: vec![] };
    let formats = [(Dtype::F32, "f32"), (Dtype::F16, "f16, bf16"), (Dtype::I8, "i8")];
    table.columns.extend(formats.iter().map(|(_, name)| Column::number(name)));
    for (name, elements) in [
        ("weights", total.params.saturating_add(total.buffers)),
        ("activations, sum", total.activations),
        ("activations, peak", peak),
    ] {
        let mut cells = vec![Cell::text(name)];
        cells.extend(formats.iter().map(|(format, _)| Cell::bytes(elements.saturating_mul(format.bytes()))));
        table.rows.push(Row::new(cells));
    }
    table
}

fn peak_sentence(graph: &Graph, peak: &Peak) -> String {
    let name = |id: NodeId| format!("{} {}", graph.node(id).id, graph.node(id).shape);
    let shown: Vec<String> = peak.alive.iter().take(4).map(|&(id, _)| name(id)).collect();
    let more = peak.alive.len().saturating_sub(shown.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!(
        "The peak is at {}; alive there: {}{more}. Nothing in place, nothing fused.",
        graph.node(peak.step).id,
        shown.join(", ")
    )
}
