//! What `cnnkit sizes` says: which input sizes fit a network.

use serde::Serialize;

use super::{Block, Cell, Column, Page, Row, StyledText, Table, Tone};
use cnnkit_core::analysis::sizes::{AxisSizes, SizeSet};
use cnnkit_core::graph::Graph;

/// The JSON of one network's sizes.
#[derive(Debug, Serialize)]
pub struct SizesJson {
    axes: Vec<AxisJson>,
}

#[derive(Debug, Serialize)]
struct AxisJson {
    input: String,
    axis: usize,
    current: u64,
    works: SetJson,
    lossless: SetJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    near: Option<NearJson>,
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

/// The sizes for programs; `near` holds a size of interest for each axis.
pub fn json(axes: &[AxisSizes], near: Option<&[u64]>) -> SizesJson {
    let set = |set: &SizeSet, current: u64| SetJson {
        contains_current: set.contains(current),
        smallest: set.smallest,
        from: set.from,
        modulus: set.modulus,
        residues: set.residues.clone(),
    };
    let axis = |sizes: &AxisSizes| AxisJson {
        input: sizes.input.clone(),
        axis: sizes.axis,
        current: sizes.current,
        works: set(&sizes.works, sizes.current),
        lossless: set(&sizes.lossless, sizes.current),
        near: near.and_then(|near| near.get(sizes.axis)).map(|&size| NearJson {
            size,
            works: pair(sizes.works.around(size)),
            lossless: pair(sizes.lossless.around(size)),
        }),
    };
    SizesJson { axes: axes.iter().map(axis).collect() }
}

fn pair((low, high): (Option<u64>, Option<u64>)) -> [Option<u64>; 2] {
    [low, high]
}

/// The sizes for people.
pub fn page(graph: &Graph, axes: &[AxisSizes], near: Option<&[u64]>) -> Page {
    let mut page = Page::default();
    let inputs: Vec<String> = graph.inputs().map(|(_, node)| node.shape.to_string()).collect();
    page.title_with(&graph.name, format!("input {}", inputs.join(" and ")));
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
        let name = axis_name(axes.len(), sizes.axis);
        let lossless = sizes.lossless.contains(sizes.current);
        table.rows.push(Row::new(vec![
            Cell::toned(name, Tone::Name),
            Cell::count(sizes.current).tone(if lossless { Tone::Good } else { Tone::Warn }),
            sizes.works.smallest.map_or_else(Cell::default, Cell::count),
            Cell::text(describe(&sizes.works, name)),
            Cell::text(describe(&sizes.lossless, name)),
        ]));
    }
    page.table(table);
    if let Some(near) = near {
        page.table(near_table(axes, near));
    }
    let dropped: Vec<&str> = axes
        .iter()
        .filter(|sizes| !sizes.lossless.contains(sizes.current))
        .map(|sizes| axis_name(axes.len(), sizes.axis))
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
         evenly. Found by trying every size until the pattern repeats with the product of the strides.",
    );
    page
}

/// `H >= 29`, `H % 32 == 0, from 32`, `H % 4 == 1 or 3`.
fn describe(set: &SizeSet, name: &str) -> String {
    let Some(smallest) = set.smallest else { return "no size".into() };
    if let Some(members) = set.finite() {
        let mut shown: Vec<String> = members.iter().take(4).map(u64::to_string).collect();
        if members.len() > 4 {
            shown.push(format!("... ({} sizes)", members.len()));
        }
        return format!("{name} = {} only", shown.join(" or "));
    }
    if set.modulus == 1 {
        return format!("{name} >= {smallest}");
    }
    let mut residues: Vec<String> = set.residues.iter().take(6).map(u64::to_string).collect();
    if set.residues.len() > 6 {
        residues.push(format!("... ({} of {})", set.residues.len(), set.modulus));
    }
    format!("{name} % {} == {}, from {smallest}", set.modulus, residues.join(" or "))
}

fn near_table(axes: &[AxisSizes], near: &[u64]) -> Table {
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
            Cell::toned(axis_name(axes.len(), sizes.axis), Tone::Name),
            Cell::count(wanted),
            cell(works_low),
            cell(works_high),
            cell(low).tone(Tone::Good),
            cell(high).tone(Tone::Good),
        ]));
    }
    table
}
