//! The page of `cnnkit params`: a table by block, layer or kind, the totals, and the memory.

use std::collections::HashMap;

use super::{By, ParamsLayer, ParamsSummary, ParamsTensor, ParamsTotals, Sort, View};
use crate::{Block, Cell, Column, Fact, Page, Row, Table, Tone, Value};
use cnnkit_core::analysis::memory::Dtype;
use cnnkit_core::number;
use cnnkit_core::shape::Shape;

/// Returns the page of one network.
pub fn of(summary: &ParamsSummary) -> Page {
    let mut page = Page::default();
    let inputs = summary.layers.iter().filter(|layer| layer.is_input());
    let inputs: Vec<String> = inputs.map(|layer| shown(layer.output_shape.as_ref())).collect();
    let batch = if summary.batch == 1 { String::new() } else { format!(", batch {}", summary.batch) };
    page.title_with(&summary.name, format!("input {}{batch}", inputs.join(" and ")));
    page.table(table(summary));
    totals_block(&mut page, &summary.totals);
    if let Some(import) = &summary.import {
        import.explain(&mut page);
    }
    if let Some(convention) = &summary.convention {
        convention.explain(&mut page);
    }
    page
}

/// One row of the table.
struct Line {
    name: String,
    what: String,
    output: String,
    params: u64,
    macs: u64,
    activations: u64,
    /// Whether it is the sum of the rows below it.
    heading: bool,
}

fn table(summary: &ParamsSummary) -> Table {
    let (view, total) = (&summary.view, &summary.totals);
    let mut table = Table {
        name: "layers",
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
        By::Kind => kinds(&summary.layers),
        By::Layer => summary.layers.iter().map(line).collect(),
        By::Block => blocks(&summary.layers, view),
    };
    let sorted = view.sort != Sort::Order || view.top.is_some();
    if sorted {
        lines.retain(|line| !line.heading);
    }
    match view.sort {
        Sort::Order => {}
        Sort::Params => lines.sort_by_key(|line| std::cmp::Reverse(line.params)),
        Sort::Macs => lines.sort_by_key(|line| std::cmp::Reverse(line.macs)),
        Sort::Memory => lines.sort_by_key(|line| std::cmp::Reverse(line.activations)),
    }
    let hidden = lines.len().saturating_sub(view.top.unwrap_or(usize::MAX));
    lines.truncate(lines.len() - hidden);
    for line in lines {
        let tone = if line.heading { Tone::Strong } else { Tone::Plain };
        let nothing = || Cell { value: Value::Nothing, tone: Tone::Quiet };
        let quiet_zero = |count: u64, cell: Cell| if count == 0 { nothing() } else { cell };
        table.rows.push(Row {
            cells: vec![
                Cell::toned(line.name, if line.heading { Tone::Strong } else { Tone::Name }),
                Cell::toned(line.what, if line.heading { Tone::Quiet } else { Tone::Plain }),
                Cell::text(line.output),
                quiet_zero(line.params, Cell::count(line.params).tone(tone)),
                quiet_zero(line.params, Cell::share(line.params, total.params)),
                quiet_zero(line.macs, Cell::magnitude(line.macs).tone(tone)),
                quiet_zero(line.macs, Cell::share(line.macs, total.macs)),
            ],
            summary: line.heading,
            ..Row::default()
        });
    }
    if hidden > 0 {
        table.rows.push(Row {
            cells: vec![Cell::toned(format!("... {hidden} more"), Tone::Quiet)],
            summary: true,
            ..Row::default()
        });
    }
    let outputs: Vec<String> = summary.outputs.iter().map(|output| shown(output.shape.as_ref())).collect();
    let layers = summary.layers.iter().filter(|layer| !layer.is_input()).count();
    table.rows.push(Row::total(vec![
        Cell::toned("total", Tone::Strong),
        Cell::toned(plural(layers, "layer"), Tone::Quiet),
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

/// Formats a shape: `?` where it is not known.
fn shown(shape: Option<&Shape>) -> String {
    shape.map_or_else(|| "?".to_owned(), Shape::to_string)
}

/// Formats `conv 64 k7 s2 p3`, and the layer whose weights it uses.
fn label(layer: &ParamsLayer) -> String {
    let shared = layer.shares.as_ref().map(|owner| format!(" (weights of {owner})")).unwrap_or_default();
    let text = format!("{} {}", layer.op, layer.settings);
    format!("{}{shared}", text.trim_end())
}

fn line(layer: &ParamsLayer) -> Line {
    Line {
        name: layer.id.clone(),
        what: label(layer),
        output: shown(layer.output_shape.as_ref()),
        params: layer.params,
        macs: layer.macs,
        activations: layer.activations,
        heading: false,
    }
}

/// Returns one row for `layers` together.
fn sum(name: &str, layers: &[&ParamsLayer]) -> Line {
    let total =
        |count: fn(&ParamsLayer) -> u64| layers.iter().map(|layer| count(layer)).fold(0, u64::saturating_add);
    Line {
        name: name.to_owned(),
        what: plural(layers.len(), "layer"),
        output: String::new(),
        params: total(|layer| layer.params),
        macs: total(|layer| layer.macs),
        activations: total(|layer| layer.activations),
        heading: false,
    }
}

/// Returns the rows by kind, in the order in which the kinds first occur.
fn kinds(layers: &[ParamsLayer]) -> Vec<Line> {
    let mut kinds: Vec<(&str, Vec<&ParamsLayer>)> = Vec::new();
    for layer in layers.iter().filter(|layer| !layer.is_input()) {
        match kinds.iter_mut().find(|(kind, _)| *kind == layer.op) {
            Some((_, members)) => members.push(layer),
            None => kinds.push((layer.op, vec![layer])),
        }
    }
    kinds.into_iter().map(|(kind, members)| sum(kind, &members)).collect()
}

/// Returns the first `levels` parts of a dotted id, and whether there are more.
fn prefix(id: &str, levels: usize) -> (&str, bool) {
    match id.match_indices('.').nth(levels.saturating_sub(1)) {
        Some((end, _)) => (&id[..end], true),
        None => (id, false),
    }
}

/// Returns the rows by block: a block below the depth of the view is one row; an expanded one gets a heading
/// with its sum.
fn blocks(layers: &[ParamsLayer], view: &View) -> Vec<Line> {
    let depth = view.depth.unwrap_or(usize::MAX).max(1);
    let mut groups = Groups::of(layers, depth);
    let mut lines: Vec<Line> = Vec::new();
    for layer in layers {
        // An input is in no block, whatever it is called: PyTorch's exporter says `input.1`.
        if layer.is_input() {
            lines.push(line(layer));
            continue;
        }
        // Headings of all expanded blocks that start here.
        let levels = layer.id.matches('.').count();
        for level in 1..=levels.min(depth.saturating_sub(1)) {
            let (block, _) = prefix(&layer.id, level);
            lines.extend(groups.take(block).map(|line| Line { heading: true, ..line }));
        }
        let (row, more) = prefix(&layer.id, depth);
        if more {
            lines.extend(groups.take(row));
        } else {
            lines.push(line(layer));
        }
    }
    lines
}

/// The layers by block: those whose ids begin with the block's.
struct Groups<'a>(HashMap<&'a str, Vec<&'a ParamsLayer>>);

impl<'a> Groups<'a> {
    /// Returns the blocks of the first `levels` levels.
    fn of(layers: &'a [ParamsLayer], levels: usize) -> Self {
        let mut groups: HashMap<&str, Vec<&ParamsLayer>> = HashMap::new();
        for layer in layers {
            for (end, _) in layer.id.match_indices('.').take(levels) {
                groups.entry(&layer.id[..end]).or_default().push(layer);
            }
        }
        Self(groups)
    }

    /// Returns the sum of a block, the first time that it is asked for.
    fn take(&mut self, block: &str) -> Option<Line> {
        let members = self.0.remove(block)?;
        let output = members.last().map(|layer| shown(layer.output_shape.as_ref())).unwrap_or_default();
        Some(Line { output, ..sum(block, &members) })
    }
}

fn totals_block(page: &mut Page, total: &ParamsTotals) {
    let mut facts = vec![
        Fact::new("parameters", Value::Count(total.params)).remark("learnable elements, shared ones once"),
    ];
    if total.buffers > 0 {
        let remark = match total.frozen {
            0 => "kept, not learned: running statistics".to_owned(),
            frozen => format!("kept, not learned; {} of them are fixed weights", number::grouped(frozen)),
        };
        facts.push(Fact::new("buffers", Value::Count(total.buffers)).remark(remark));
    }
    facts.push(Fact::new("MACs", Value::Count(total.macs)));
    if total.sampling_macs > 0 {
        facts.push(
            Fact::new("sampling MACs", Value::Count(total.sampling_macs))
                .remark("bilinear sampling, 4 per position that is sampled; not part of MACs"),
        );
    }
    let ops = total.ops;
    facts.push(Fact::new("other ops", Value::Count(total.other_ops)).remark(format!(
        "{} arithmetic, {} comparisons, {} functions",
        number::magnitude(ops.arithmetic),
        number::magnitude(ops.comparisons),
        number::magnitude(ops.functions)
    )));
    facts.push(Fact::new("FLOPs", Value::Count(total.flops)));
    page.push(Block::Facts(facts));
    page.table(memory_table(total));
    if let Some(step) = &total.memory.peak_step {
        page.note(peak_sentence(step, &total.memory.peak_tensors));
    }
}

fn memory_table(total: &ParamsTotals) -> Table {
    let mut table = Table { name: "memory", columns: vec![Column::text("memory")], rows: vec![] };
    let formats = [(Dtype::F32, "f32"), (Dtype::F16, "f16, bf16"), (Dtype::I8, "i8")];
    table.columns.extend(formats.iter().map(|(_, name)| Column::number(name)));
    for (name, elements) in [
        ("weights", total.params.saturating_add(total.buffers)),
        ("activations, sum", total.memory.activation_elements),
        ("activations, peak", total.memory.peak_elements),
    ] {
        let mut cells = vec![Cell::text(name)];
        cells.extend(formats.iter().map(|(format, _)| Cell::bytes(elements.saturating_mul(format.bytes()))));
        table.rows.push(Row::new(cells));
    }
    table
}

fn peak_sentence(step: &str, alive: &[ParamsTensor]) -> String {
    let name = |tensor: &ParamsTensor| format!("{} {}", tensor.id, tensor.shape);
    let shown: Vec<String> = alive.iter().take(4).map(name).collect();
    let more = alive.len().saturating_sub(shown.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!(
        "The peak is at {step}; alive there: {}{more}. Nothing in place, nothing fused.",
        shown.join(", ")
    )
}
