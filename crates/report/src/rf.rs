//! What `cnnkit rf` says: receptive fields, layer by layer and for the outputs.

use std::collections::HashMap;

use serde_json::{Map, Value as Json, json};

use crate::support::{self, Exact};
use crate::{Block, Cell, Column, Fact, Page, Report, Row, Table, Tone, Value};
use cnnkit_core::analysis::field::Interval as Range;
use cnnkit_core::analysis::field::family::Jump;
use cnnkit_core::analysis::field::{AxisFacts, Facts, Sampling};
use cnnkit_core::analysis::field::{Fields, Misaligned, Options, PathEnd, analyse};
use cnnkit_core::analysis::support::{Borders, support as read_by};
use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_core::graph::{Graph, NodeId, Op};

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// Only this node.
    pub node: Option<String>,
    /// Every layer, not only those that change the field.
    pub all: bool,
    /// The exact support of the outputs (or of the node).
    pub exact: bool,
    /// The predicted effective field.
    pub effective: bool,
    /// What this very unit reads.
    pub unit: Option<Vec<i128>>,
    /// Largest offset of data-dependent sampling, in pixels.
    pub max_offset: Option<f64>,
}

/// The report, and the supports that can be drawn.
pub fn report(graph: &Graph, question: &Question) -> Result<(Report, Vec<Exact>), Problem> {
    let fields = analyse(graph, Options { max_offset: question.max_offset })?;
    let target = question.node.as_ref().map(|id| find(graph, id)).transpose()?;
    let mut all = Vec::new();
    for (id, node) in graph.iter() {
        if node.op != Op::Input {
            all.extend(fields.facts(graph, id)?);
        }
    }
    let mut page = Page::default();
    let inputs: Vec<String> = graph.inputs().map(|(_, node)| node.shape.to_string()).collect();
    page.title_with(format!("Receptive fields of {}", graph.name), format!("input {}", inputs.join(" and ")));
    let merges = fields.misaligned_at();
    let shown: Vec<&Facts> = match target {
        Some(node) => all.iter().filter(|facts| facts.node == node).collect(),
        None => all
            .iter()
            .filter(|facts| question.all || merges.contains_key(&facts.node) || changes(graph, &all, facts))
            .collect(),
    };
    page.table(table(graph, &shown, question, &merges));
    let hidden = all.len() - shown.len();
    if hidden > 0 && target.is_none() {
        page.note(format!(
            "{hidden} layers that see what their input sees are not shown; `--all` shows them."
        ));
    }
    misalignments(&mut page, graph, &fields.misaligned, target);
    let nodes = targets(graph, &all, target);
    let supports = if question.exact { support::exact(graph, &nodes)? } else { vec![] };
    if question.exact {
        page.title_with(
            "Exact support",
            "the positions themselves, not only their box; input taken as unbounded",
        );
        page.table(support::table(graph, &supports));
        for exact in &supports {
            page.push(Block::Drawing(support::drawing(exact)));
        }
    }
    let unit =
        question.unit.as_ref().map(|unit| one_unit(&mut page, graph, &fields, &nodes, unit)).transpose()?;
    footer(&mut page, &shown, question);
    let layer = |facts: &Facts| {
        facts_json(
            graph,
            facts,
            question,
            supports.iter().find(|e| e.node == facts.node && e.input == facts.input),
        )
    };
    let outputs: Vec<Json> = graph
        .outputs
        .iter()
        .flat_map(|output| all.iter().filter(move |facts| facts.node == *output))
        .map(&layer)
        .collect();
    let layers: Vec<Json> =
        all.iter().filter(|facts| target.is_none_or(|node| facts.node == node)).map(&layer).collect();
    let misaligned: Vec<Json> = fields.misaligned.iter().map(|found| misaligned_json(graph, found)).collect();
    let mut json = json!({"outputs": outputs, "layers": layers, "misaligned": misaligned});
    if let (Some(unit), Json::Object(keys)) = (unit, &mut json) {
        keys.insert("unit".into(), unit);
    }
    Ok((Report { page, json, ok: true }, supports))
}

fn find(graph: &Graph, id: &str) -> Result<NodeId, Problem> {
    graph.find(id).ok_or_else(|| {
        let ids: Vec<&str> = graph.nodes.iter().map(|node| node.id.as_str()).collect();
        let close = cnnkit_core::diagnostic::suggest(id, ids.iter().copied());
        Problem::new(Code::UnknownName, format!("there is no layer `{id}`")).help(
            close.map_or("`cnnkit graph` lists all ids".to_owned(), |close| {
                format!("did you mean `{close}`?")
            }),
        )
    })
}

/// Whether the field differs from that of the layer's first input: a window, an output.
fn changes(graph: &Graph, all: &[Facts], facts: &Facts) -> bool {
    if graph.outputs.contains(&facts.node) {
        return true;
    }
    let before = graph.node(facts.node).inputs.first();
    let before =
        before.and_then(|node| all.iter().find(|other| other.node == *node && other.input == facts.input));
    let same = |other: &Facts| {
        other.global == facts.global
            && other.global_context == facts.global_context
            && other.axes.iter().map(key).eq(facts.axes.iter().map(key))
    };
    !before.is_some_and(same)
}

fn key(axis: &AxisFacts) -> (i128, Option<i128>, Jump, Option<Range>) {
    (axis.size, axis.smallest, axis.jump, axis.first)
}

/// Nodes that `--exact` and `--unit` are about: the one asked for, else the outputs; in place of an output that sees
/// everything, the last feature map that does not.
fn targets(graph: &Graph, all: &[Facts], asked: Option<NodeId>) -> Vec<NodeId> {
    if let Some(node) = asked {
        return vec![node];
    }
    let mut nodes = Vec::new();
    for &output in &graph.outputs {
        let local = |node: NodeId| {
            !graph.node(node).shape.spatial().is_empty()
                && all.iter().any(|facts| {
                    facts.node == node && !facts.global && facts.axes.iter().all(|axis| axis.size > 0)
                })
        };
        let last = (0..=output.0).rev().map(NodeId).find(|&node| local(node));
        nodes.extend(if local(output) { Some(output) } else { last });
    }
    nodes.dedup();
    nodes
}

/// One value for all axes that agree, else one an axis: `427`, `7 x 3`.
fn per_axis<T: PartialEq>(
    axes: &[AxisFacts],
    value: impl Fn(&AxisFacts) -> T,
    show: impl Fn(T) -> String,
) -> String {
    let values: Vec<T> = axes.iter().map(&value).collect();
    if values.windows(2).all(|pair| pair[0] == pair[1]) {
        values.into_iter().next().map(show).unwrap_or_default()
    } else {
        values.into_iter().map(show).collect::<Vec<_>>().join(" x ")
    }
}

fn range(range: Option<Range>) -> String {
    range.map_or("-".into(), |range| format!("{}..{}", range.lo, range.hi))
}

fn table(
    graph: &Graph,
    shown: &[&Facts],
    question: &Question,
    merges: &HashMap<NodeId, Vec<&Misaligned>>,
) -> Table {
    let several = graph.inputs().count() > 1;
    let mut columns = vec![Column::text("id"), Column::text("layer").optional(3)];
    if several {
        columns.push(Column::text("input"));
    }
    columns.extend([
        Column::number("size"),
        Column::number("smallest").optional(2),
        Column::number("jump"),
        Column::number("unit 0 reads"),
        Column::number("of input").optional(1),
    ]);
    if question.effective {
        columns.extend([Column::number("std"), Column::number("effective")]);
    }
    columns.push(Column::text("remarks"));
    let mut table = Table { columns, rows: vec![] };
    for facts in shown {
        let node = graph.node(facts.node);
        let settings = if let Op::Layer(layer) = &node.op { layer.describe() } else { String::new() };
        let tone = if graph.outputs.contains(&facts.node) { Tone::Strong } else { Tone::Plain };
        let mut cells = vec![
            Cell::toned(&node.id, Tone::Name),
            Cell::text(format!("{} {settings}", node.op.name()).trim_end()),
        ];
        if several {
            cells.push(Cell::text(&graph.node(facts.input).id));
        }
        let axes = &facts.axes;
        let whole = |axis: &AxisFacts, text: String| if axis.global { "all".to_owned() } else { text };
        cells.extend([
            Cell::toned(per_axis(axes, |a| whole(a, a.size.to_string()), |text| text), tone),
            Cell::toned(
                per_axis(axes, |a| a.smallest, |s| s.map_or("all".into(), |s| s.to_string())),
                Tone::Quiet,
            ),
            Cell::text(per_axis(axes, |a| whole(a, a.jump.to_string()), |text| text)),
            Cell::text(per_axis(axes, |a| whole(a, range(a.first)), |text| text)),
            Value::Share(facts.seen).into(),
        ]);
        if question.effective {
            let std = |a: &AxisFacts| a.effective.map_or("-".into(), |e| format!("{:.2}", e.std));
            let share =
                |a: &AxisFacts| a.effective.map_or("-".into(), |e| cnnkit_core::number::share(e.share));
            cells.push(Cell::text(per_axis(axes, std, |text| text)));
            cells.push(Cell::text(per_axis(axes, share, |text| text)));
        }
        let (remarks, tone) = remarks(facts, merges.get(&facts.node).map_or(&[], Vec::as_slice));
        cells.push(Cell::toned(remarks, tone));
        table.rows.push(Row::new(cells));
    }
    table
}

/// What is remarkable about a layer. A misaligned merge is remarked on where it happens, not at all that follows.
fn remarks(facts: &Facts, merges: &[&Misaligned]) -> (String, Tone) {
    let mut remarks = Vec::new();
    let mut tone = Tone::Quiet;
    let here = || merges.iter().filter(|merge| merge.input == facts.input);
    if let Some(worst) = here().max_by_key(|merge| (merge.drifts(), merge.offset())) {
        let drifts = worst.drifts();
        remarks.push(if drifts {
            "paths drift apart".into()
        } else {
            format!("misaligned by {}", worst.offset())
        });
        tone = Tone::Warn;
    }
    match (facts.global, facts.bound) {
        (true, true) => remarks.push("at most global".into()),
        (true, false) => remarks.push("global".into()),
        (false, true) => remarks.push("at most".into()),
        (false, false) => {}
    }
    if facts.global_context && !facts.global {
        remarks.push("global context".into());
    }
    if facts.axes.iter().any(|axis| axis.varies) {
        remarks.push("size depends on the unit".into());
    }
    match facts.sampling.as_ref().filter(|_| !facts.global) {
        Some(Sampling::Unbounded) => remarks.push("samples anywhere".into()),
        Some(Sampling::Within(sizes)) => {
            let sizes: Vec<String> = sizes.iter().map(i128::to_string).collect();
            remarks.push(format!("samples within {}", sizes.join(" x ")));
        }
        None => {}
    }
    (remarks.join(", "), tone)
}

fn misalignments(page: &mut Page, graph: &Graph, list: &[Misaligned], target: Option<NodeId>) {
    const SHOWN: usize = 12;
    let list: Vec<&Misaligned> =
        list.iter().filter(|found| target.is_none_or(|node| found.node == node)).collect();
    if list.is_empty() {
        return;
    }
    page.title_with("Misaligned merges", "paths that meet with different centres of unit 0, in input pixels");
    let mut table = Table {
        columns: vec![
            Column::text("merge"),
            Column::number("axis"),
            Column::number("differ by"),
            Column::text("paths, with the centre of unit 0"),
        ],
        rows: vec![],
    };
    for found in list.iter().take(SHOWN) {
        let drifts = found.drifts();
        let end = |end: &PathEnd| {
            let jump = if drifts { format!(", jump {}", end.jump) } else { String::new() };
            format!("{} at {}{jump}", graph.node(end.node).id, end.centre)
        };
        let offset = found.offset().to_string();
        table.rows.push(Row::new(vec![
            Cell::toned(&graph.node(found.node).id, Tone::Name),
            Cell::count(found.axis as u64),
            Cell::toned(if drifts { format!("{offset}, drifting") } else { offset }, Tone::Warn),
            Cell::text(found.paths.iter().map(end).collect::<Vec<_>>().join("; ")),
        ]));
    }
    page.table(table);
    if list.len() > SHOWN {
        page.note(format!("{} more misaligned merges are in the JSON output.", list.len() - SHOWN));
    }
}

fn one_unit(
    page: &mut Page,
    graph: &Graph,
    fields: &Fields,
    nodes: &[NodeId],
    unit: &[i128],
) -> Result<Json, Problem> {
    let mut list = Vec::new();
    for &node in nodes {
        let shape = graph.node(node).shape.spatial();
        if unit.len() != shape.len()
            || unit.iter().zip(shape).any(|(&u, &size)| u < 0 || u >= i128::from(size))
        {
            let sizes: Vec<String> = shape.iter().map(u64::to_string).collect();
            return Err(Problem::new(
                Code::InvalidValue,
                format!("`{}` has no such unit: its map is {}", graph.node(node).id, sizes.join(" x ")),
            )
            .help("give one index an axis, from 0; `--node` chooses another layer"));
        }
        for (input, source) in graph.inputs().filter(|(input, _)| fields.of(node, *input).is_some()) {
            let sizes = source.shape.spatial();
            let boxes = fields.input_box(graph, node, input, unit)?;
            let clipped: Vec<Option<Range>> = boxes
                .iter()
                .zip(sizes)
                .map(|(range, &size)| range.and_then(|range| range.clipped(size)))
                .collect();
            let real = read_by(graph, node, input, unit, Borders::Real)?;
            let positions = real.positions()?;
            page.title_with(
                format!(
                    "Unit {} of {}",
                    unit.iter().map(i128::to_string).collect::<Vec<_>>().join(","),
                    graph.node(node).id
                ),
                format!("of input `{}` {}", source.id, source.shape),
            );
            let mut facts = Vec::new();
            for (axis, (range_, inside)) in boxes.iter().zip(&clipped).enumerate() {
                facts.push(
                    Fact::new(format!("axis {axis}"), Cell::text(range(*inside)))
                        .remark(format!("of the unbounded {}", range(*range_))),
                );
            }
            facts.push(
                Fact::new("positions read", Cell::text(positions.to_string()))
                    .remark("inside the real input"),
            );
            page.push(Block::Facts(facts));
            let pair = |range: &Option<Range>| range.map(|range| [range.lo, range.hi]);
            list.push(json!({
                "node": graph.node(node).id, "input": source.id, "unit": unit,
                "box": boxes.iter().map(pair).collect::<Vec<_>>(),
                "clipped": clipped.iter().map(pair).collect::<Vec<_>>(),
                "positions": positions,
            }));
        }
    }
    Ok(Json::Array(list))
}

fn footer(page: &mut Page, shown: &[&Facts], question: &Question) {
    page.note(
        "Unit u reads u * jump - padding up to u * jump - padding + size - 1, padding positions included; the interval \
         is unit 0's, so its negative start is the effective padding. One number stands for axes that agree. \
         Smallest: over paths.",
    );
    if shown.iter().any(|facts| facts.global_context) {
        page.note("Global context: a gate or statistics over the whole map act on the layer; the size is that of the local field.");
    }
    if shown.iter().any(|facts| facts.bound) {
        page.note(
            "At most: a layer before it mixes positions in a reshape, or tells channels apart that see different positions, \
             so its box is a bound; `--exact` gives the very set.",
        );
    }
    if question.effective {
        page.note(
            "Effective: standard deviation of the taps' positions for uniform weights (Luo et al. 2016), paths weighted by their \
             number, and the share of the field within two of them to each side.",
        );
    }
}

/// A whole number as such, a fraction as text: `"1/2"`.
fn jump_json(jump: Jump) -> Json {
    if jump.is_integer() { json!(jump.to_integer()) } else { json!(jump.to_string()) }
}

fn facts_json(graph: &Graph, facts: &Facts, question: &Question, exact: Option<&Exact>) -> Json {
    let axes = &facts.axes;
    let mut keys = Map::new();
    let mut put = |key: &str, value: Json| {
        keys.insert(key.into(), value);
    };
    put("id", json!(graph.node(facts.node).id));
    put("input", json!(graph.node(facts.input).id));
    put("size", json!(axes.iter().map(|axis| axis.size).collect::<Vec<_>>()));
    put("smallest", json!(axes.iter().map(|axis| axis.smallest).collect::<Vec<_>>()));
    put("jump", Json::Array(axes.iter().map(|axis| jump_json(axis.jump)).collect()));
    put("padding", json!(axes.iter().map(AxisFacts::padding).collect::<Vec<_>>()));
    put(
        "first",
        json!(axes.iter().map(|axis| axis.first.map(|span| [span.lo, span.hi])).collect::<Vec<_>>()),
    );
    put("global", json!(facts.global));
    put("global_context", json!(facts.global_context));
    put("aligned", json!(facts.aligned));
    if facts.bound {
        put("bound", json!(true));
    }
    put("varies", json!(axes.iter().any(|axis| axis.varies)));
    put("seen", json!(facts.seen));
    match &facts.sampling {
        Some(Sampling::Unbounded) => put("sampling", json!("unbounded")),
        Some(Sampling::Within(sizes)) => put("sampling", json!({"within": sizes})),
        None => {}
    }
    if question.effective {
        let effective =
            axes.iter().map(|axis| axis.effective.map(|e| json!({"std": e.std, "share": e.share})));
        put("effective", json!(effective.collect::<Vec<_>>()));
    }
    if let Some(exact) = exact {
        put("positions", json!(exact.positions));
        put("holes", json!(exact.holes));
    }
    Json::Object(keys)
}

fn misaligned_json(graph: &Graph, found: &Misaligned) -> Json {
    let ends = found.paths.iter().map(|end| {
        json!({"id": graph.node(end.node).id, "jump": jump_json(end.jump), "centre": jump_json(end.centre)})
    });
    json!({
        "id": graph.node(found.node).id, "input": graph.node(found.input).id, "axis": found.axis,
        "offset": jump_json(found.offset()), "drifts": found.drifts(), "paths": ends.collect::<Vec<_>>(),
    })
}
