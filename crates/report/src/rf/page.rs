//! The page of `cnnkit rf`: the fields as a table, misaligned merges, exact supports, and what one unit reads.

use std::collections::HashMap;

use super::{RfLayer, RfMerge, RfPath, RfSummary, ends, unit};
use crate::render::value::readable;
use crate::{Block, Cell, Column, Page, Row, Table, Tone, Value, support};
use cnnkit_core::analysis::field::{AxisFacts, Jump, Sampling};
use cnnkit_core::shape::Shape;

/// Merges by the layer and the input that they refer to.
type Merges<'a> = HashMap<(&'a str, &'a str), Vec<&'a RfMerge>>;

/// Returns the page of one network.
pub fn of(summary: &RfSummary) -> Page {
    let mut page = Page::default();
    let inputs: Vec<String> = summary.inputs.iter().map(Shape::to_string).collect();
    page.title_with(
        format!("Receptive fields of {}", summary.name),
        format!("input {}", inputs.join(" and ")),
    );
    let shown: Vec<&RfLayer> = summary.layers.iter().filter(|layer| layer.shown).collect();
    page.table(table(summary, &shown));
    let hidden = summary.layers.len() - shown.len();
    match hidden {
        0 => {}
        1 => {
            page.note("1 layer has the receptive field of its input and is not shown; `--all` shows it.");
        }
        _ => {
            page.note(format!(
                "{hidden} layers have the receptive fields of their inputs and are not shown; `--all` shows them."
            ));
        }
    }
    misalignments(&mut page, summary);
    if summary.question.exact {
        page.title_with(
            "Exact support",
            "the positions themselves, not only their box; input taken as unbounded",
        );
        page.table(support::table(&summary.supports));
        for exact in &summary.supports {
            page.push(Block::Drawing(support::drawing(exact)));
        }
    }
    summary.unit.iter().flatten().for_each(|found| unit::explain(&mut page, found));
    footer(&mut page, &shown, summary.question.effective);
    if let Some(import) = &summary.import {
        import.explain(&mut page);
    }
    page
}

/// One value for all axes that agree, else one per axis: `427`, `7 x 3`.
fn per_axis(axes: &[AxisFacts], value: impl Fn(&AxisFacts) -> Value) -> Cell {
    let values: Vec<Value> = axes.iter().map(&value).collect();
    match values.as_slice() {
        [] => Cell::default(),
        [first, rest @ ..] if rest.iter().all(|other| other == first) => first.clone().into(),
        several => Cell::text(several.iter().map(readable).collect::<Vec<_>>().join(" x ")),
    }
}

/// A size, which people read without commas.
fn size(value: i128) -> Value {
    Value::Text(value.to_string())
}

/// A jump, which may be a fraction.
fn jump(value: Jump) -> Value {
    let exact = *value.numer() as f64 / *value.denom() as f64;
    Value::Written { shown: value.to_string(), exact: exact.to_string() }
}

fn table(summary: &RfSummary, shown: &[&RfLayer]) -> Table {
    let effective = summary.question.effective;
    let several = summary.inputs.len() > 1;
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
    if effective {
        columns.extend([Column::number("std"), Column::number("effective")]);
    }
    columns.push(Column::text("remarks"));
    let mut merges = Merges::new();
    for merge in &summary.misaligned {
        merges.entry((&merge.id, &merge.input)).or_default().push(merge);
    }
    let row = |layer: &&RfLayer| {
        let facts = &layer.facts;
        let tone = if layer.returned { Tone::Strong } else { Tone::Plain };
        let mut cells = vec![Cell::toned(&layer.id, Tone::Name), Cell::text(&layer.layer)];
        if several {
            cells.push(Cell::text(&layer.input));
        }
        let axes = &facts.axes;
        let all = || Value::Text("all".into());
        // For programs a field without an end is infinite, and has no jump.
        let shown_all = |exact: &str| Value::Written { shown: "all".into(), exact: exact.into() };
        let whole = |axis: &AxisFacts, value: Value| if axis.global { all() } else { value };
        cells.extend([
            per_axis(axes, |a| if a.global { shown_all("inf") } else { size(a.size) }).tone(tone),
            per_axis(axes, |a| a.smallest.map_or_else(|| shown_all("inf"), size)).tone(Tone::Quiet),
            per_axis(axes, |a| if a.global { shown_all("") } else { jump(a.jump) }),
            per_axis(axes, |a| whole(a, Value::Text(unit::range(ends(a.first))))),
            Value::Share(facts.seen).into(),
        ]);
        if effective {
            cells.push(per_axis(axes, |a| a.effective.map_or(Value::Missing, |e| Value::Number(e.std, 2))));
            cells.push(per_axis(axes, |a| a.effective.map_or(Value::Missing, |e| Value::Share(e.share))));
        }
        let here = merges.get(&(layer.id.as_str(), layer.input.as_str()));
        let (remarks, tone) = remarks(layer, here.map_or(&[], Vec::as_slice));
        cells.push(Cell::toned(remarks, tone));
        Row::new(cells)
    };
    Table { name: "layers", columns, rows: shown.iter().map(row).collect() }
}

/// Formats the remarks about a layer. A misaligned merge is reported where it happens, not at the layers
/// after it.
fn remarks(layer: &RfLayer, merges: &[&RfMerge]) -> (String, Tone) {
    let facts = &layer.facts;
    let mut remarks = Vec::new();
    let mut tone = Tone::Quiet;
    if let Some(worst) = merges.iter().max_by_key(|merge| (merge.drifts, merge.offset)) {
        remarks.push(if worst.drifts {
            "paths drift apart".into()
        } else {
            format!("misaligned by {}", worst.offset)
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
    if layer.varies {
        remarks.push(format!("size depends on the unit{}", worst(facts.axes.as_slice())));
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

/// Formats the worst reach over all units: `, at most 52 before and 52 after its position`.
fn worst(axes: &[AxisFacts]) -> String {
    let reaches: Vec<[i128; 2]> = axes.iter().filter_map(|axis| axis.reach).collect();
    let side = |side: usize| {
        let mut values: Vec<String> = reaches.iter().map(|reach| reach[side].to_string()).collect();
        values.dedup();
        values.join(" x ")
    };
    if reaches.is_empty() { String::new() } else { format!(": up to {} before, {} after", side(0), side(1)) }
}

fn misalignments(page: &mut Page, summary: &RfSummary) {
    const SHOWN: usize = 12;
    let asked = |merge: &&RfMerge| summary.question.node.as_ref().is_none_or(|node| merge.id == *node);
    let list: Vec<&RfMerge> = summary.misaligned.iter().filter(asked).collect();
    if list.is_empty() {
        return;
    }
    page.title_with("Misaligned merges", "paths that meet with different centres of unit 0, in input pixels");
    let mut table = Table {
        name: "misaligned",
        columns: vec![
            Column::text("merge"),
            Column::number("axis"),
            Column::number("differ by"),
            Column::text("paths, with the centre of unit 0"),
        ],
        rows: vec![],
    };
    for found in list.iter().take(SHOWN) {
        let end = |end: &RfPath| {
            let jump = if found.drifts { format!(", jump {}", end.jump) } else { String::new() };
            format!("{} at {}{jump}", end.id, end.centre)
        };
        let offset = found.offset.to_string();
        table.rows.push(Row::new(vec![
            Cell::toned(&found.id, Tone::Name),
            Cell::count(found.axis as u64),
            Cell::toned(if found.drifts { format!("{offset}, drifting") } else { offset }, Tone::Warn),
            Cell::text(found.paths.iter().map(end).collect::<Vec<_>>().join("; ")),
        ]));
    }
    page.table(table);
    if list.len() > SHOWN {
        page.note(format!("{} more misaligned merges are in the JSON output.", list.len() - SHOWN));
    }
}

fn footer(page: &mut Page, shown: &[&RfLayer], effective: bool) {
    page.note(
        "Unit u reads u * jump - padding up to u * jump - padding + size - 1, padding positions included; the interval \
         is unit 0's, so its negative start is the effective padding. One number stands for axes that agree. \
         Smallest: over paths.",
    );
    if shown.iter().any(|layer| layer.global_context) {
        page.note("Global context: a gate or statistics over the whole map act on the layer; the size is that of the local field.");
    }
    if shown.iter().any(|layer| layer.bound) {
        page.note(
            "At most: a layer before it mixes positions in a reshape, tells channels apart that see different positions, or joins \
             paths of which one reads nothing at some units, so its box is a bound; `--exact` gives the very set.",
        );
    }
    if effective {
        page.note(
            "Effective: standard deviation of the taps' positions for uniform weights (Luo et al. 2016), paths weighted by their \
             number, and the share of the field within two of them to each side.",
        );
    }
}
