//! The summary of `cnnkit stream`: how a network runs on a sequence that arrives in chunks.

use schemars::JsonSchema;
use serde::Serialize;

use crate::blocker::{self, Blocker};
use crate::imported::{Import, StatusAndImport};
use crate::{Block, Cell, Column, Fact, Page, Row, StyledText, Summary, Table, Tone, Value};
use cnnkit_core::analysis::memory::Dtype;
use cnnkit_core::analysis::streaming::{Buffer, Plan, Streaming};
use cnnkit_core::graph::NodeId;

/// Maximum number of buffers on the page.
const MOST_BUFFERS: usize = 40;

/// How a network runs on a sequence that arrives in chunks. A position is an index along the time axis of the input.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct StreamSummary {
    /// Whether no output needs the whole sequence.
    pub streams: bool,
    /// Whether no output reads beyond the position that it stands on.
    pub causal: bool,
    /// The time axis, counted among the spatial axes from 0.
    pub axis: usize,
    /// Ids of the layers that need the whole sequence.
    pub blockers: Vec<String>,
    /// The same layers, with reasons.
    pub reasons: Vec<Blocker>,
    /// The furthest position that an output reads beyond its own; null if the network does not stream, as are all keys
    /// below.
    #[schemars(extend("unit" = "positions"))]
    pub look_ahead: Option<u64>,
    /// Layers that look further ahead than what they read.
    pub breaks: Vec<StreamBreak>,
    /// The algorithmic latency: the most positions that must arrive after the one that an output stands on, until its
    /// chunk is complete. Computation takes no time.
    #[schemars(extend("unit" = "positions"))]
    pub latency: Option<u64>,
    /// The same in milliseconds; null without `--rate`.
    #[schemars(extend("unit" = "ms"))]
    pub latency_ms: Option<f64>,
    /// The chunk: that of `--chunk`, else the smallest that always yields the same number of outputs.
    pub chunk: Option<StreamChunk>,
    /// What is kept between chunks, all layers together, in the steady state.
    pub state: Option<StreamState>,
    /// One entry per layer that follows the time axis.
    pub layers: Vec<StreamLayer>,
    /// Multiply-accumulates per second of the sequence; null without `--rate`.
    #[schemars(extend("unit" = "MACs per second"))]
    pub macs_per_second: Option<u64>,
    /// Multiply-accumulates of `macs_positions` positions in the steady state, every unit computed once.
    #[schemars(extend("unit" = "MACs"))]
    pub macs: Option<u64>,
    /// See `macs`.
    #[schemars(extend("unit" = "positions"))]
    pub macs_positions: Option<u64>,
    /// Positions per second; null without `--rate`.
    #[schemars(extend("unit" = "positions per second"))]
    pub rate: Option<u64>,
    /// Number format of the state.
    pub dtype: Dtype,
    /// What is not analysed.
    #[serde(flatten)]
    pub import: Option<StatusAndImport>,
    /// The network's name.
    #[serde(skip)]
    pub name: String,
}

/// A layer that looks further ahead than what it reads.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct StreamBreak {
    /// The layer's id.
    pub id: String,
    /// The layer and its settings.
    pub layer: String,
    /// The positions that it adds to the look-ahead of its operands.
    #[schemars(extend("unit" = "positions"))]
    pub adds: u64,
}

/// Sizes of a chunk.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct StreamChunk {
    /// Positions of the input.
    #[schemars(extend("unit" = "positions"))]
    pub input: u64,
    /// Units of the first output.
    pub output: u64,
}

/// What is kept between chunks.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct StreamState {
    /// Elements.
    pub elements: u64,
    /// Bytes.
    #[schemars(extend("unit" = "bytes"))]
    pub bytes: u64,
}

/// A layer in a stream.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct StreamLayer {
    /// The layer's id.
    pub id: String,
    /// Elements of its inputs that are kept for it; a buffer that several layers read counts at the one that needs the
    /// oldest of it.
    pub state: u64,
    /// How far its units read beyond the positions that they stand on.
    #[schemars(extend("unit" = "positions"))]
    pub look_ahead: u64,
    /// The buffers that are kept for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub buffers: Vec<StreamBuffer>,
    /// The layer and its settings.
    #[serde(skip)]
    pub layer: String,
}

/// Kept units of one tensor.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct StreamBuffer {
    /// Id of the node whose output is kept.
    pub of: String,
    /// Units along the time axis.
    pub units: u64,
    /// Elements.
    pub elements: u64,
}

/// The options of a call.
#[derive(Debug, Clone, Copy, Default)]
pub struct Question {
    /// Positions per second.
    pub rate: Option<u64>,
    /// Positions of a chunk, a multiple of the hop; none: the hop.
    pub chunk: Option<u64>,
    /// Number format of the state.
    pub dtype: Dtype,
}

/// Returns the summary of `streaming` of the network `name`.
pub fn summary(
    name: &str,
    streaming: &Streaming,
    question: Question,
    import: Option<Import>,
) -> StreamSummary {
    let graph = &streaming.graph;
    let id = |node: NodeId| graph.node(node).id.clone();
    let plan = streaming.plan.as_ref();
    let chunk = |plan: &Plan| question.chunk.unwrap_or(plan.hop);
    let latency = plan.and_then(|plan| streaming.latency(chunk(plan)));
    let rate = question.rate.filter(|_| plan.is_some());
    let per_second = |plan: &Plan, rate: u64| {
        let macs = u128::from(plan.macs).saturating_mul(u128::from(rate)) / u128::from(plan.span.max(1));
        u64::try_from(macs).unwrap_or(u64::MAX)
    };
    let state = streaming.state();
    StreamSummary {
        streams: plan.is_some(),
        causal: streaming.causal(),
        axis: streaming.axis,
        blockers: streaming.blockers.iter().map(|blocker| id(blocker.node)).collect(),
        reasons: streaming
            .blockers
            .iter()
            .map(|blocker| Blocker::of(graph, blocker.node, blocker.reason, vec![streaming.axis]))
            .collect(),
        look_ahead: plan.map(|plan| plan.look_ahead),
        breaks: streaming
            .breaks
            .iter()
            .map(|&(node, adds)| StreamBreak { id: id(node), layer: described(streaming, node), adds })
            .collect(),
        latency,
        latency_ms: latency.zip(rate).map(|(latency, rate)| latency as f64 * 1000.0 / rate as f64),
        chunk: plan.map(|plan| {
            let input = chunk(plan);
            StreamChunk { input, output: input / plan.hop.max(1) * plan.outputs }
        }),
        state: plan
            .map(|_| StreamState { elements: state, bytes: state.saturating_mul(question.dtype.bytes()) }),
        layers: layers(streaming),
        macs_per_second: plan.zip(rate).map(|(plan, rate)| per_second(plan, rate)),
        macs: plan.map(|plan| plan.macs),
        macs_positions: plan.map(|plan| plan.span),
        rate,
        dtype: question.dtype,
        import: import.map(StatusAndImport::from),
        name: name.to_owned(),
    }
}

fn described(streaming: &Streaming, node: NodeId) -> String {
    let node = streaming.graph.node(node);
    let settings = match &node.op {
        cnnkit_core::graph::Op::Layer(layer) => layer.describe(),
        cnnkit_core::graph::Op::Input => String::new(),
    };
    format!("{} {settings}", node.op.name()).trim_end().to_owned()
}

fn layers(streaming: &Streaming) -> Vec<StreamLayer> {
    let graph = &streaming.graph;
    let kept: &[Buffer] = streaming.plan.as_ref().map_or(&[], |plan| plan.kept.as_slice());
    let layer = |(id, node): (NodeId, &cnnkit_core::graph::Node)| {
        let look_ahead = streaming.look_ahead[id.index()].filter(|_| !node.inputs.is_empty())?;
        let buffers: Vec<StreamBuffer> = kept
            .iter()
            .filter(|buffer| buffer.reader == id)
            .map(|buffer| StreamBuffer {
                of: graph.node(buffer.node).id.clone(),
                units: buffer.units,
                elements: buffer.elements,
            })
            .collect();
        Some(StreamLayer {
            id: node.id.clone(),
            state: buffers.iter().map(|buffer| buffer.elements).sum(),
            look_ahead,
            buffers,
            layer: described(streaming, id),
        })
    };
    graph.iter().filter_map(layer).collect()
}

impl Summary for StreamSummary {
    const COMMAND: &'static str = "stream";

    fn page(&self) -> Page {
        page(self)
    }

    fn partial(&self) -> bool {
        self.import.as_ref().is_some_and(StatusAndImport::partial)
    }
}

fn page(summary: &StreamSummary) -> Page {
    let mut page = Page::default();
    let verdict = match (summary.streams, summary.causal) {
        (true, true) => "streams, causal",
        (true, false) => "streams, with look-ahead",
        (false, _) => "does not stream",
    };
    page.title_with(format!("Stream of {}", summary.name), verdict);
    if let (Some(look_ahead), Some(latency), Some(chunk), Some(state), Some(macs), Some(positions)) = (
        summary.look_ahead,
        summary.latency,
        &summary.chunk,
        &summary.state,
        summary.macs,
        summary.macs_positions,
    ) {
        let mut facts = vec![
            Fact::new("look-ahead", Cell::count(look_ahead)).remark("positions"),
            Fact::new("latency", Cell::count(latency)).remark(match summary.latency_ms {
                Some(ms) => format!("positions: {ms:.3} ms"),
                None => "positions".into(),
            }),
            Fact::new("chunk", Cell::count(chunk.input)).remark(match chunk.output {
                1 => "positions in, 1 unit out".into(),
                output => format!("positions in, {output} units out"),
            }),
            Fact::new("state", Cell::count(state.elements))
                .remark(format!("elements, {}", cnnkit_core::number::bytes(state.bytes))),
        ];
        facts.push(match summary.macs_per_second {
            Some(macs) => Fact::new("MACs per second", Cell::magnitude(macs)),
            None => Fact::new("MACs", Cell::magnitude(macs)).remark(match positions {
                1 => "per position".into(),
                _ => format!("per {positions} positions"),
            }),
        });
        page.push(Block::Facts(facts));
    }
    blockers(&mut page, summary);
    breaks(&mut page, summary);
    if summary.streams {
        buffers(&mut page, summary);
        page.note(
            "Look-ahead: how far outputs read beyond the positions that they stand on. Latency: what must arrive after an \
             output's own position until the chunk is complete that releases it; computation takes no time. State: elements \
             between chunks in the steady state, each buffer once. MACs: every unit computed once.",
        );
    }
    if let Some(import) = &summary.import {
        import.explain(&mut page);
    }
    page
}

fn blockers(page: &mut Page, summary: &StreamSummary) {
    if summary.streams {
        return;
    }
    page.push(Block::Text(vec![
        StyledText::new("Does not stream", Tone::Warn),
        StyledText::plain(": outputs depend on the whole sequence, because of"),
    ]));
    blocker::first(
        page,
        summary.reasons.iter().map(|one| (one.id.as_str(), one.op.clone(), one.reason.clone())),
    );
}

fn breaks(page: &mut Page, summary: &StreamSummary) {
    if summary.breaks.is_empty() {
        return;
    }
    page.push(Block::Text(vec![
        StyledText::new("Not causal", Tone::Warn),
        StyledText::plain(": these layers look further ahead than what they read"),
    ]));
    blocker::first(
        page,
        summary.breaks.iter().map(|one| (one.id.as_str(), one.layer.clone(), format!("{} more", one.adds))),
    );
}

fn buffers(page: &mut Page, summary: &StreamSummary) {
    let mut table = Table {
        name: "buffers",
        columns: vec![
            Column::text("kept for"),
            Column::text("layer").optional(1),
            Column::text("output of"),
            Column::number("units"),
            Column::number("elements"),
            Column::number("look-ahead").key("look_ahead"),
        ],
        rows: vec![],
    };
    let all = summary.layers.iter().flat_map(|layer| layer.buffers.iter().map(move |buffer| (layer, buffer)));
    let count = all.clone().count();
    for (index, (layer, buffer)) in all.enumerate() {
        let mut row = Row::new(vec![
            Cell::toned(&layer.id, Tone::Name),
            Cell::text(&layer.layer),
            Cell::text(&buffer.of),
            Cell::count(buffer.units),
            Cell::count(buffer.elements),
            if layer.look_ahead == 0 { Value::Nothing.into() } else { Cell::count(layer.look_ahead) },
        ]);
        row.hidden = index >= MOST_BUFFERS;
        table.rows.push(row);
    }
    if count == 0 {
        page.text("Nothing is kept between chunks.");
        return;
    }
    page.table(table);
    if count > MOST_BUFFERS {
        page.note(format!("{} more buffers are in the CSV and the JSON.", count - MOST_BUFFERS));
    }
}
