//! What one unit reads of each input: its box, the part inside the input, and the number of positions.

use schemars::JsonSchema;
use serde::Serialize;

use crate::{Block, Cell, Fact, Page};
use cnnkit_core::analysis::field::{Fields, Interval};
use cnnkit_core::analysis::support::{Borders, Region, Set, support};
use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_core::graph::{Graph, NodeId};
use cnnkit_core::shape::Shape;

/// What one unit reads of one input; arrays have one entry per spatial axis.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RfUnit {
    /// Id of the unit's layer.
    pub node: String,
    /// Id of the input.
    pub input: String,
    /// The unit's index.
    pub unit: Vec<i128>,
    /// First and last index of its box, padding positions included; null if it reads nothing.
    #[schemars(extend("unit" = "input positions"))]
    #[serde(rename = "box")]
    pub hull: Vec<Option<[i128; 2]>>,
    /// The part of the box inside the input; null if there is none.
    #[schemars(extend("unit" = "input positions"))]
    pub clipped: Vec<Option<[i128; 2]>>,
    /// The indices inside the input that it reads along each axis, as first and last of each run.
    #[schemars(extend("unit" = "input positions"))]
    pub rows: Vec<Vec<[i128; 2]>>,
    /// Number of positions inside the input that it reads.
    #[schemars(extend("unit" = "input positions"))]
    pub positions: i128,
    /// The input's shape.
    #[serde(skip)]
    pub shape: Shape,
    /// Whether the box is only a bound.
    #[serde(skip)]
    pub bound: bool,
}

/// Computes what `unit` of each of `nodes` reads.
pub fn read_by(
    graph: &Graph,
    fields: &Fields,
    nodes: &[NodeId],
    unit: &[i128],
) -> Result<Vec<RfUnit>, Problem> {
    let mut list = Vec::new();
    for &node in nodes {
        check(graph, node, unit)?;
        for (input, source) in graph.inputs().filter(|(input, _)| fields.of(node, *input).is_some()) {
            let boxes = fields.input_box(graph, node, input, unit)?;
            let inside =
                |(range, &size): (&Option<Interval>, &u64)| range.and_then(|range| range.clipped(size));
            let clipped = boxes.iter().zip(source.shape.spatial()).map(inside);
            let real = support(graph, node, input, unit, Borders::Real)?;
            list.push(RfUnit {
                node: graph.node(node).id.clone(),
                input: source.id.clone(),
                unit: unit.to_vec(),
                clipped: clipped.map(super::ends).collect(),
                hull: boxes.iter().copied().map(super::ends).collect(),
                rows: (0..boxes.len()).map(|axis| rows_read(&real, axis)).collect(),
                positions: real.positions()?,
                bound: fields.of(node, input).is_some_and(|field| field.bound),
                shape: source.shape.clone(),
            });
        }
    }
    Ok(list)
}

/// Returns an error if the map of `node` has no such unit.
fn check(graph: &Graph, node: NodeId, unit: &[i128]) -> Result<(), Problem> {
    let shape = graph.node(node).shape.spatial();
    let outside = |(&index, &size): (&i128, &u64)| index < 0 || index >= i128::from(size);
    if unit.len() == shape.len() && !unit.iter().zip(shape).any(outside) {
        return Ok(());
    }
    let sizes: Vec<String> = shape.iter().map(u64::to_string).collect();
    let message = format!("`{}` has no such unit: its map is {}", graph.node(node).id, sizes.join(" x "));
    Err(Problem::new(Code::InvalidValue, message)
        .help("give one index per axis, from 0; `--node` chooses another layer"))
}

/// Appends what the unit reads to the page.
pub fn explain(page: &mut Page, unit: &RfUnit) {
    let index: Vec<String> = unit.unit.iter().map(i128::to_string).collect();
    page.title_with(
        format!("Unit {} of {}", index.join(","), unit.node),
        format!("of input `{}` {}", unit.input, unit.shape),
    );
    let mut facts = Vec::new();
    let of = if unit.bound { "of at most" } else { "of the unbounded" };
    for (axis, (&hull, rows)) in unit.hull.iter().zip(&unit.rows).enumerate() {
        facts.push(
            Fact::new(format!("axis {axis}"), Cell::text(runs(rows))).remark(format!("{of} {}", range(hull))),
        );
    }
    facts.push(
        Fact::new("positions read", Cell::text(unit.positions.to_string())).remark("inside the real input"),
    );
    page.push(Block::Facts(facts));
}

/// Returns the indices of `region` along `axis`, as first and last of each run; circular padding reads the
/// border from the opposite end.
fn rows_read(region: &Region, axis: usize) -> Vec<[i128; 2]> {
    let products = region.products();
    let spans = products.iter().filter_map(|sets| sets.get(axis)).flat_map(Set::spans);
    Set::of(spans.copied().collect()).spans().iter().map(|span| [span.lo, span.hi]).collect()
}

/// Formats `0..1, 7`.
fn runs(rows: &[[i128; 2]]) -> String {
    const SHOWN: usize = 8;
    let single = |lo: i128, hi: i128| lo == hi && rows.len() > 1;
    let run = |&[lo, hi]: &[i128; 2]| if single(lo, hi) { lo.to_string() } else { format!("{lo}..{hi}") };
    let mut shown: Vec<String> = rows.iter().take(SHOWN).map(run).collect();
    if rows.len() > SHOWN {
        shown.push(format!("... {} runs in all", rows.len()));
    }
    if shown.is_empty() { "nothing".into() } else { shown.join(", ") }
}

/// Formats `-3..3`; `-` if nothing is read.
pub(super) fn range(range: Option<[i128; 2]>) -> String {
    range.map_or("-".into(), |[first, last]| format!("{first}..{last}"))
}
