//! What `cnnkit channels` says: which input channels can reach an output channel, and what keeps groups apart.

use serde_json::{Value as Json, json};

use crate::{Block, Cell, Column, Page, Report, Row, StyledText, Table, Tone, Value};
use cnnkit_core::analysis::channels::{Connectivity, Seam, connectivity, reached, seams, summary};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::{Graph, NodeId};
use cnnkit_core::layers::AxisReach;

/// The point at which every channel sees every input channel.
struct Mixed {
    node: NodeId,
    shuffles: usize,
}

/// The report.
pub fn report(graph: &Graph) -> Result<Report, Problem> {
    let all = connectivity(graph, true)?;
    let seams = seams(graph)?;
    let mut page = Page::default();
    let inputs: Vec<String> = graph.inputs().map(|(_, node)| node.shape.to_string()).collect();
    page.title_with(format!("Channels of {}", graph.name), format!("input {}", inputs.join(" and ")));
    let mut table = Table {
        columns: vec![
            Column::text("output"),
            Column::text("input"),
            Column::number("channels"),
            Column::number("sees at least"),
            Column::number("smallest share"),
            Column::number("mean share"),
            Column::number("isolated groups"),
            Column::number("unread").optional(1),
        ],
        rows: vec![],
    };
    for found in &all {
        table.rows.push(row(graph, found));
    }
    page.table(table);
    let mut points = Vec::new();
    for found in &all {
        let mixed = mixed(graph, found)?;
        page.push(Block::Text(sentence(graph, found, mixed.as_ref())));
        points.push(mixed);
    }
    if !seams.is_empty() {
        page.title_with(
            "Grouped layers that keep their groups apart",
            "no shuffle or dense layer stands between them",
        );
        page.table(seam_table(graph, &seams));
    }
    page.note(
        "Everything that a channel's value depends on counts, gates included. Isolated groups: sets of output channels that \
         share no input channel with one another.",
    );
    let outputs: Vec<Json> =
        all.iter().zip(&points).map(|(found, mixed)| to_json(graph, found, mixed.as_ref())).collect();
    let seams: Vec<Json> = seams
        .iter()
        .map(|seam| {
            json!({
                "first": graph.node(seam.first).id, "second": graph.node(seam.second).id,
                "isolated_groups": seam.isolated_groups,
            })
        })
        .collect();
    Ok(Report { page, json: json!({"outputs": outputs, "seams": seams}), ok: true })
}

fn row(graph: &Graph, found: &Connectivity) -> Row {
    let apart = found.isolated_groups > 1;
    let tone = if apart { Tone::Bad } else { Tone::Plain };
    Row::new(vec![
        Cell::toned(&graph.node(found.node).id, Tone::Name),
        Cell::text(&graph.node(found.source).id),
        Cell::count(found.channels),
        Cell::text(format!("{} of {}", found.smallest, found.source_channels)).tone(tone),
        Cell::share(found.smallest, found.source_channels).tone(tone),
        Value::Share(found.mean_share).into(),
        Cell::count(found.isolated_groups).tone(tone),
        Cell::count(found.unread),
    ])
}

/// The first layer all of whose channels see all input channels, and the shuffles up to there.
fn mixed(graph: &Graph, found: &Connectivity) -> Result<Option<Mixed>, Problem> {
    let sets = reached(graph, found.source, found.node, true)?;
    let mut shuffles = 0;
    for (id, node) in graph.iter().take(found.node.0 + 1).skip(found.source.0 + 1) {
        let Some(runs) = sets.get(id.0).and_then(Option::as_ref) else { continue };
        let shuffled = |axis: &AxisReach| matches!(axis, AxisReach::Shuffle { .. });
        shuffles +=
            usize::from(graph.reach(node).iter().any(|reach| reach.axes.first().is_some_and(shuffled)));
        if summary(graph, found.source, id, runs).smallest == found.source_channels {
            return Ok(Some(Mixed { node: id, shuffles }));
        }
    }
    Ok(None)
}

fn sentence(graph: &Graph, found: &Connectivity, mixed: Option<&Mixed>) -> Vec<StyledText> {
    let output = StyledText::new(&graph.node(found.node).id, Tone::Name);
    if found.isolated_groups > 1 {
        let layers: Vec<&str> =
            found.separators.iter().take(4).map(|&node| graph.node(node).id.as_str()).collect();
        let more = found.separators.len().saturating_sub(layers.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let text = format!(
            ": {} groups of channels never meet; {}{more} keep them apart. A channel shuffle between grouped layers joins them.",
            found.isolated_groups,
            layers.join(", ")
        );
        return vec![output, StyledText::plain(text)];
    }
    match mixed {
        Some(Mixed { node, shuffles: 0 }) => {
            let text = format!(": every channel sees every input channel from {} on.", graph.node(*node).id);
            vec![output, StyledText::plain(text)]
        }
        Some(Mixed { node, shuffles }) => {
            let text = format!(
                ": every channel sees every input channel from {} on, after {shuffles} shuffle{}.",
                graph.node(*node).id,
                if *shuffles == 1 { "" } else { "s" }
            );
            vec![output, StyledText::plain(text)]
        }
        None => vec![
            output,
            StyledText::plain(": no group is isolated, yet not every channel sees every input channel."),
        ],
    }
}

fn seam_table(graph: &Graph, seams: &[Seam]) -> Table {
    let mut table = Table {
        columns: vec![
            Column::text("grouped layer"),
            Column::text("next grouped layer"),
            Column::number("isolated groups"),
        ],
        rows: vec![],
    };
    for seam in seams {
        table.rows.push(Row::new(vec![
            Cell::toned(&graph.node(seam.first).id, Tone::Name),
            Cell::toned(&graph.node(seam.second).id, Tone::Name),
            Cell::count(seam.isolated_groups),
        ]));
    }
    table
}

fn to_json(graph: &Graph, found: &Connectivity, mixed: Option<&Mixed>) -> Json {
    json!({
        "id": graph.node(found.node).id,
        "input": graph.node(found.source).id,
        "channels": found.channels,
        "input_channels": found.source_channels,
        "smallest": found.smallest,
        "smallest_share": found.smallest as f64 / found.source_channels.max(1) as f64,
        "mean_share": found.mean_share,
        "isolated_groups": found.isolated_groups,
        "unread": found.unread,
        "separators": found.separators.iter().map(|&node| graph.node(node).id.as_str()).collect::<Vec<_>>(),
        "mixed_at": mixed.map(|mixed| graph.node(mixed.node).id.as_str()),
        "shuffles": mixed.map(|mixed| mixed.shuffles),
    })
}
