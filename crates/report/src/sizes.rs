//! What `cnnkit sizes` says: which input sizes fit a network.

use serde::Serialize;

use super::{Block, Cell, Column, Page, Row, StyledText, Table, Tone};
use cnnkit_core::analysis::sizes::{AxisSizes, SizeSet};
use cnnkit_core::shape::Shape;

/// The JSON of one network's sizes.
#[derive(Debug, Serialize)]
pub struct SizesJson {
    axes: Vec<AxisJson>,
}

#[derive(Debug, Serialize)]
struct AxisJson {
    input: String,
    axis: usize,
    /// Other axes that must have the same size.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    with: Vec<SlotJson>,
    current: u64,
    works: SetJson,
    lossless: SetJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    near: Option<NearJson>,
}

#[derive(Debug, Serialize)]
struct SlotJson {
    input: String,
    axis: usize,
}

#[derive(Debug, Serialize)]
struct SetJson {
    contains_current: bool,
    smallest: Option<u64>,
    from: u64,
    modulus: u64,
    residues: Vec<u64>,
}

#[derive(Debug, Serialize)]
struct NearJson {
    size: u64,
    works: [Option<u64>; 2],
    lossless: [Option<u64>; 2],
}

/// Names of spatial axes as formulas have them.
fn axis_name(axes: usize, axis: usize) -> &'static str {
    match (axes, axis) {
        (1, _) => "L",
        (2, 0) | (3, 1) => "H",
        (2, _) | (3, 2) => "W",
        _ => "D",
    }
}

/// `H`, `left H` if there are several inputs, `H = W` for axes that must agree.
fn label(inputs: &[(String, Shape)], sizes: &AxisSizes) -> String {
    let one = |slot: &cnnkit_core::analysis::sizes::Slot| {
        let (input, shape) = &inputs[slot.input];
        let axis = axis_name(shape.spatial().len(), slot.axis);
        if inputs.len() > 1 { format!("{input} {axis}") } else { axis.to_owned() }
    };
    sizes.slots.iter().map(one).collect::<Vec<_>>().join(" = ")
}

/// The sizes for programs; `near` holds a size of interest for each row.
pub fn json(inputs: &[(String, Shape)], axes: &[AxisSizes], near: Option<&[u64]>) -> SizesJson {
    let set = |set: &SizeSet, current: u64| SetJson {
        contains_current: set.contains(current),
        smallest: set.smallest,
        from: set.from,
        modulus: set.modulus,
        residues: set.residues.clone(),
    };
    let other = |slot: &cnnkit_core::analysis::sizes::Slot| SlotJson {
        input: inputs[slot.input].0.clone(),
        axis: slot.axis,
    };
    let axis = |(row, sizes): (usize, &AxisSizes)| AxisJson {
        input: sizes.input.clone(),
        axis: sizes.axis,
        with: sizes.slots[1..].iter().map(other).collect(),
        current: sizes.current,
        works: set(&sizes.works, sizes.current),
        lossless: set(&sizes.lossless, sizes.current),
        near: near.and_then(|near| near.get(row)).map(|&size| NearJson {
            size,
            works: pair(sizes.works.around(size)),
            lossless: pair(sizes.lossless.around(size)),
        }),
    };
    SizesJson { axes: axes.iter().enumerate().map(axis).collect() }
}

fn pair((low, high): (Option<u64>, Option<u64>)) -> [Option<u64>; 2] {
    [low, high]
}

/// The sizes for people.
pub fn page(name: &str, inputs: &[(String, Shape)], axes: &[AxisSizes], near: Option<&[u64]>) -> Page {
    let mut page = Page::default();
    let shapes: Vec<String> = inputs.iter().map(|(_, shape)| shape.to_string()).collect();
    page.title_with(name, format!("input {}", shapes.join(" and ")));
    let mut table = Table {
        columns: vec![
            Column::text("axis"),
            Column::number("now"),
            Column::number("smallest"),
            Column::text("works for"),
            Column::text("loses no pixel for"),
        ],
        rows: vec![],
    };
    for sizes in axes {
        let name = &label(inputs, sizes);
        let lossless = sizes.lossless.contains(sizes.current);
        table.rows.push(Row::new(vec![
            Cell::toned(name.clone(), Tone::Name),
            Cell::count(sizes.current).tone(if lossless { Tone::Good } else { Tone::Warn }),
            sizes.works.smallest.map_or_else(Cell::default, Cell::count),
            Cell::text(describe(&sizes.works, name)),
            Cell::text(describe(&sizes.lossless, name)),
        ]));
    }
    page.table(table);
    if let Some(near) = near {
        page.table(near_table(inputs, axes, near));
    }
    let dropped: Vec<String> = axes
        .iter()
        .filter(|sizes| sizes.works.contains(sizes.current) && !sizes.lossless.contains(sizes.current))
        .map(|sizes| label(inputs, sizes))
        .collect();
    if !dropped.is_empty() {
        page.push(Block::Text(vec![
            StyledText::new("note", Tone::Warn),
            StyledText::plain(format!(
                ": at the spec's own size, a strided layer does not divide {} evenly, so its last rows are dropped or padded unevenly.",
                dropped.join(" and ")
            )),
        ]));
    }
    page.note(
        "Works: shape inference succeeds with the spec's own weights. Loses no pixel: every strided layer divides its input \
         evenly. Found by trying sizes until the pattern repeats with the product of the strides.",
    );
    page
}

/// Says why the network does not fit its own size, and whether other sizes mean other weights.
pub fn unfit(page: &mut Page, flaw: &str, varies: bool) {
    let mut text = format!(": the network cannot be built at its own size: {flaw}.");
    if varies {
        text += " Its weights depend on the size: each size that works is a network of its own.";
    }
    page.push(Block::Text(vec![StyledText::new("note", Tone::Warn), StyledText::plain(text)]));
}

/// `H >= 29`, `H % 32 == 0, from 32`, `H % 4 == 1 or 3`, `L % 1024 in {340..343}`.
fn describe(set: &SizeSet, name: &str) -> String {
    let Some(smallest) = set.smallest else { return "no size".into() };
    let run = |&(first, last): &(u64, u64)| {
        if first == last { first.to_string() } else { format!("{first}..{last}") }
    };
    let list = |runs: &[(u64, u64)], count: usize| {
        let mut shown: Vec<String> = runs.iter().take(4).map(run).collect();
        if runs.len() > 4 {
            shown.push(format!("... ({count} in all)"));
        }
        shown
    };
    if let Some(members) = set.finite() {
        let count = members.iter().map(|(first, last)| last - first + 1).sum::<u64>();
        return format!(
            "{name} = {} only",
            list(members, usize::try_from(count).unwrap_or(usize::MAX)).join(" or ")
        );
    }
    if set.modulus == 1 {
        return format!("{name} >= {smallest}");
    }
    let runs = set.runs();
    let name = if name.contains(' ') { format!("({name})") } else { name.to_owned() };
    let residues = if runs.len() <= 3 && runs.iter().all(|(first, last)| first == last) {
        format!("== {}", list(&runs, 0).join(" or "))
    } else {
        format!("in {{{}}}", list(&runs, set.residues.len()).join(", "))
    };
    format!("{name} % {} {residues}, from {smallest}", set.modulus)
}

fn near_table(inputs: &[(String, Shape)], axes: &[AxisSizes], near: &[u64]) -> Table {
    let mut table = Table {
        columns: vec![
            Column::text("near"),
            Column::number("wanted"),
            Column::number("works below"),
            Column::number("works above"),
            Column::number("no loss below"),
            Column::number("no loss above"),
        ],
        rows: vec![],
    };
    let cell = |size: Option<u64>| size.map_or_else(|| Cell::toned("-", Tone::Quiet), Cell::count);
    for (sizes, &wanted) in axes.iter().zip(near) {
        let (works_low, works_high) = sizes.works.around(wanted);
        let (low, high) = sizes.lossless.around(wanted);
        table.rows.push(Row::new(vec![
            Cell::toned(label(inputs, sizes), Tone::Name),
            Cell::count(wanted),
            cell(works_low),
            cell(works_high),
            cell(low).tone(Tone::Good),
            cell(high).tone(Tone::Good),
        ]));
    }
    table
}
