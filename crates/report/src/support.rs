//! The exact support of a unit: its figures and its picture in characters.

use crate::{Cell, Column, Row, StyledText, Table, Tone, Value};
use cnnkit_core::analysis::field::Interval as Range;
use cnnkit_core::analysis::support::{Region, Supports};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::{Graph, NodeId};

/// The exact support of one node's middle unit.
#[derive(Debug)]
pub struct Exact {
    /// The node.
    pub node: NodeId,
    /// The node's id.
    pub id: String,
    /// The input.
    pub input: NodeId,
    /// The input's id.
    pub input_id: String,
    /// The positions.
    pub region: Region,
    /// Its box, one interval per axis.
    pub hull: Vec<Range>,
    /// Number of positions.
    pub positions: i128,
    /// Positions of the box that are not read.
    pub holes: i128,
}

/// Computes the supports of `nodes` with respect to every input that they read.
pub fn exact(graph: &Graph, nodes: &[NodeId]) -> Result<Vec<Exact>, Problem> {
    let supports = Supports::new(graph);
    let mut list = Vec::new();
    for &node in nodes {
        let unit: Vec<i128> =
            graph.node(node).shape.spatial().iter().map(|&size| i128::from(size / 2)).collect();
        for (input, source) in graph.inputs() {
            let region = supports.of(graph, node, input, &unit)?;
            let Some(hull) = region.hull() else { continue };
            let positions = region.positions()?;
            let area = hull.iter().map(Range::size).try_fold(1i128, i128::checked_mul);
            let area = area.ok_or_else(|| Problem::overflow("the area of the receptive field"))?;
            list.push(Exact {
                node,
                id: graph.node(node).id.clone(),
                input,
                input_id: source.id.clone(),
                region,
                hull,
                positions,
                holes: area - positions,
            });
        }
    }
    Ok(list)
}

/// Returns a table with one row per support.
pub fn table(supports: &[Exact]) -> Table {
    let mut table = Table {
        name: "supports",
        columns: vec![
            Column::text("id"),
            Column::text("input"),
            Column::number("box"),
            Column::number("positions"),
            Column::number("holes"),
            Column::number("read"),
        ],
        rows: vec![],
    };
    let count =
        |value: i128| u64::try_from(value).map_or_else(|_| Cell::text(value.to_string()), Cell::count);
    for exact in supports {
        let sizes: Vec<String> = exact.hull.iter().map(|range| range.size().to_string()).collect();
        let area = exact.positions + exact.holes;
        table.rows.push(Row::new(vec![
            Cell::toned(&exact.id, Tone::Name),
            Cell::text(&exact.input_id),
            Cell::text(sizes.join(" x ")),
            count(exact.positions),
            count(exact.holes).tone(if exact.holes == 0 { Tone::Plain } else { Tone::Bad }),
            Value::Share(exact.positions as f64 / area.max(1) as f64).into(),
        ]));
    }
    table
}

/// Cells of a picture's longer side: two columns per cell, so that it fits into 80.
const CELLS: i128 = 38;

/// Draws the support in cells of two columns, so that a square looks square: full, partly read, or a hole.
pub fn drawing(exact: &Exact) -> Vec<Vec<StyledText>> {
    let longest = exact.hull.iter().map(Range::size).max().unwrap_or(1).max(1);
    // One scale for both axes; each side has at least one cell.
    let cells = |range: &Range| {
        let cells = if longest <= CELLS { range.size() } else { (range.size() * CELLS / longest).max(1) };
        cells as usize
    };
    let sides: Vec<usize> = exact.hull.iter().map(cells).collect();
    let (rows, columns) = match *sides.as_slice() {
        [columns] => (1, columns),
        [rows, columns] => (rows, columns),
        _ => return vec![],
    };
    let cells = exact.region.densities(&exact.hull, rows, columns);
    let cell = |share: f64| match share {
        s if s >= 1.0 => StyledText::new("██", Tone::Good),
        s if s > 0.5 => StyledText::new("▓▓", Tone::Warn),
        s if s > 0.0 => StyledText::new("▒▒", Tone::Warn),
        _ => StyledText::new(" ·", Tone::Bad),
    };
    let mut lines: Vec<Vec<StyledText>> =
        cells.iter().map(|row| row.iter().map(|&share| cell(share)).collect()).collect();
    lines.push(vec![StyledText::new("██ all read   ▓▓ ▒▒ partly   · never read", Tone::Quiet)]);
    lines
}
