//! The summary of `cnnkit channels`: which input channels can reach an output channel, and which layers
//! isolate groups.

use schemars::JsonSchema;
use serde::Serialize;

use crate::imported::{Import, StatusAndImport};
use crate::{Block, Cell, Column, Page, Row, StyledText, Summary, Table, Tone, Value};
use cnnkit_core::analysis::channels::{Connectivity, connectivity, seams};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::{Graph, NodeId};
use cnnkit_core::shape::Shape;

/// The input channels that can reach an output channel; gates count.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ChannelsSummary {
    /// One entry per output and input.
    pub outputs: Vec<ChannelsOutput>,
    /// Pairs of consecutive grouped layers between which no layer mixes their groups.
    pub seams: Vec<ChannelsSeam>,
    /// What is not analysed.
    #[serde(flatten)]
    pub import: Option<StatusAndImport>,
    /// The network's name.
    #[serde(skip)]
    pub name: String,
    /// The shapes of its inputs.
    #[serde(skip)]
    pub inputs: Vec<Shape>,
}

/// How the channels of an output depend on those of an input.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ChannelsOutput {
    /// Id of the output.
    pub id: String,
    /// Id of the input.
    pub input: String,
    /// Channels of the output.
    #[schemars(extend("unit" = "channels"))]
    pub channels: u64,
    /// Channels of the input.
    #[schemars(extend("unit" = "channels"))]
    pub input_channels: u64,
    /// Input channels that the output channel with the fewest depends on.
    #[schemars(extend("unit" = "channels"))]
    pub smallest: u64,
    /// The same as a fraction of all input channels, from 0 to 1.
    #[schemars(extend("unit" = "share"))]
    pub smallest_share: f64,
    /// Mean fraction of the input channels over all output channels, from 0 to 1.
    #[schemars(extend("unit" = "share"))]
    pub mean_share: f64,
    /// Sets of output channels that share no input channel with one another; 1 if all are connected.
    #[schemars(extend("unit" = "groups"))]
    pub isolated_groups: u64,
    /// Input channels that no output channel depends on.
    #[schemars(extend("unit" = "channels"))]
    pub unread: u64,
    /// Ids of the layers that keep groups isolated.
    pub separators: Vec<String>,
    /// Id of the first layer all of whose channels depend on every input channel; null if there is none.
    pub mixed_at: Option<String>,
    /// Channel shuffles up to that layer; null if there is none.
    #[schemars(extend("unit" = "layers"))]
    pub shuffles: Option<usize>,
}

/// Two consecutive grouped layers whose groups no layer mixes.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ChannelsSeam {
    /// Id of the first grouped layer.
    pub first: String,
    /// Id of the next one.
    pub second: String,
    /// Groups that stay isolated across both.
    #[schemars(extend("unit" = "groups"))]
    pub isolated_groups: u64,
}

/// Computes the channel connectivity of `graph`.
pub fn summary(graph: &Graph, import: Option<Import>) -> Result<ChannelsSummary, Problem> {
    let name = |node: NodeId| graph.node(node).id.clone();
    let all = connectivity(graph, true)?;
    let seams = seams(graph)?;
    Ok(ChannelsSummary {
        outputs: all.iter().map(|found| output(graph, found)).collect(),
        seams: seams
            .iter()
            .map(|seam| ChannelsSeam {
                first: name(seam.first),
                second: name(seam.second),
                isolated_groups: seam.isolated_groups,
            })
            .collect(),
        import: import.map(StatusAndImport::from),
        name: graph.name().to_owned(),
        inputs: graph.inputs().map(|(_, node)| node.shape.clone()).collect(),
    })
}

fn output(graph: &Graph, found: &Connectivity) -> ChannelsOutput {
    let name = |node: NodeId| graph.node(node).id.clone();
    ChannelsOutput {
        id: name(found.node),
        input: name(found.source),
        channels: found.channels,
        input_channels: found.source_channels,
        smallest: found.smallest,
        smallest_share: found.smallest as f64 / found.source_channels.max(1) as f64,
        mean_share: found.mean_share,
        isolated_groups: found.isolated_groups,
        unread: found.unread,
        separators: found.separators.iter().map(|&node| name(node)).collect(),
        mixed_at: found.mixed.map(|mixing| name(mixing.node)),
        shuffles: found.mixed.map(|mixing| mixing.shuffles),
    }
}

impl Summary for ChannelsSummary {
    const COMMAND: &'static str = "channels";

    fn page(&self) -> Page {
        page(self)
    }

    fn partial(&self) -> bool {
        self.import.as_ref().is_some_and(StatusAndImport::partial)
    }
}

fn page(summary: &ChannelsSummary) -> Page {
    let mut page = Page::default();
    let inputs: Vec<String> = summary.inputs.iter().map(Shape::to_string).collect();
    page.title_with(format!("Channels of {}", summary.name), format!("input {}", inputs.join(" and ")));
    let columns = vec![
        Column::text("output"),
        Column::text("input"),
        Column::number("channels"),
        Column::number("sees at least"),
        Column::number("smallest share"),
        Column::number("mean share"),
        Column::number("isolated groups"),
        Column::number("unread").optional(1),
    ];
    page.table(Table { name: "outputs", columns, rows: summary.outputs.iter().map(row).collect() });
    for output in &summary.outputs {
        page.push(Block::Text(sentence(output)));
    }
    if !summary.seams.is_empty() {
        page.title_with(
            "Grouped layers that keep their groups apart",
            "no shuffle or dense layer stands between them",
        );
        page.table(seam_table(&summary.seams));
    }
    page.note(
        "Everything that a channel's value depends on counts, gates included. Isolated groups: sets of output channels that \
         share no input channel with one another.",
    );
    if let Some(import) = &summary.import {
        import.explain(&mut page);
    }
    page
}

fn row(found: &ChannelsOutput) -> Row {
    let apart = found.isolated_groups > 1;
    let tone = if apart { Tone::Bad } else { Tone::Plain };
    Row::new(vec![
        Cell::toned(&found.id, Tone::Name),
        Cell::text(&found.input),
        Cell::count(found.channels),
        Cell::written(format!("{} of {}", found.smallest, found.input_channels), found.smallest).tone(tone),
        Cell::share(found.smallest, found.input_channels).tone(tone),
        Value::Share(found.mean_share).into(),
        Cell::count(found.isolated_groups).tone(tone),
        Cell::count(found.unread),
    ])
}

fn sentence(found: &ChannelsOutput) -> Vec<StyledText> {
    let output = StyledText::new(&found.id, Tone::Name);
    if found.isolated_groups > 1 {
        let layers: Vec<&str> = found.separators.iter().take(4).map(String::as_str).collect();
        let more = found.separators.len().saturating_sub(layers.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let text = format!(
            ": {} groups of channels never meet; {}{more} {} them apart. A channel shuffle between grouped layers joins them.",
            found.isolated_groups,
            layers.join(", "),
            if found.separators.len() == 1 { "keeps" } else { "keep" }
        );
        return vec![output, StyledText::plain(text)];
    }
    let text = match (&found.mixed_at, found.shuffles) {
        (Some(node), None | Some(0)) => format!(": every channel sees every input channel from {node} on."),
        (Some(node), Some(shuffles)) => format!(
            ": every channel sees every input channel from {node} on, after {shuffles} shuffle{}.",
            if shuffles == 1 { "" } else { "s" }
        ),
        (None, _) => ": no group is isolated, yet not every channel sees every input channel.".to_owned(),
    };
    vec![output, StyledText::plain(text)]
}

fn seam_table(seams: &[ChannelsSeam]) -> Table {
    let columns = vec![
        Column::text("grouped layer"),
        Column::text("next grouped layer"),
        Column::number("isolated groups"),
    ];
    let row = |seam: &ChannelsSeam| {
        Row::new(vec![
            Cell::toned(&seam.first, Tone::Name),
            Cell::toned(&seam.second, Tone::Name),
            Cell::count(seam.isolated_groups),
        ])
    };
    Table { name: "seams", columns, rows: seams.iter().map(row).collect() }
}
