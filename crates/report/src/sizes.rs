//! What `cnnkit sizes` says: which input sizes fit a network.

use schemars::JsonSchema;
use serde::Serialize;

use super::imported::{Import, StatusAndImport};
use super::{Block, Cell, Column, Page, Row, StyledText, Summary, Table, Tone};
use cnnkit_core::analysis::sizes::{AxisSizes, SizeSet};
use cnnkit_core::graph::Graph;
use cnnkit_core::shape::Shape;

/// The input sizes that fit a network, axis by axis.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SizesSummary {
    /// The spatial axes of the inputs.
    pub axes: Vec<SizesAxis>,
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

/// The sizes of one axis.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SizesAxis {
    /// Id of the input.
    pub input: String,
    /// Index of the axis among the spatial axes, from 0.
    pub axis: usize,
    /// The size that the spec gives.
    #[schemars(extend("unit" = "positions"))]
    pub current: u64,
    /// Sizes for which shape inference succeeds with the spec's own weights.
    pub works: SizesSet,
    /// Sizes for which every strided layer divides its input evenly.
    pub lossless: SizesSet,
    /// The sizes next to the one that `--near` gives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub near: Option<SizesNear>,
    /// The sets themselves.
    #[serde(skip)]
    pub sizes: AxisSizes,
}

/// A set of sizes: those from `from` on whose remainder after division by `modulus` is one of `residues`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SizesSet {
    /// Whether the current size is in the set.
    pub contains_current: bool,
    /// The smallest size of the set; null if it is empty.
    #[schemars(extend("unit" = "positions"))]
    pub smallest: Option<u64>,
    /// From here on the pattern repeats.
    #[schemars(extend("unit" = "positions"))]
    pub from: u64,
    /// The period of the pattern.
    #[schemars(extend("unit" = "positions"))]
    pub modulus: u64,
    /// Remainders of the sizes in the set.
    #[schemars(extend("unit" = "positions"))]
    pub residues: Vec<u64>,
}

/// The sizes next to a wanted one.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SizesNear {
    /// The wanted size.
    #[schemars(extend("unit" = "positions"))]
    pub size: u64,
    /// The largest size up to it and the smallest from it on that work; null if there is none.
    #[schemars(extend("unit" = "positions"))]
    pub works: [Option<u64>; 2],
    /// The same for the sizes that lose no position.
    #[schemars(extend("unit" = "positions"))]
    pub lossless: [Option<u64>; 2],
}

/// Describes the sizes of `graph` that `axes` tells; `near` holds a size of interest for each of them.
pub fn summary(
    graph: &Graph,
    axes: Vec<AxisSizes>,
    near: Option<&[u64]>,
    import: Option<Import>,
) -> SizesSummary {
    let set = |set: &SizeSet, current: u64| SizesSet {
        contains_current: set.contains(current),
        smallest: set.smallest,
        from: set.from,
        modulus: set.modulus,
        residues: set.residues.clone(),
    };
    let axis = |(place, sizes): (usize, AxisSizes)| SizesAxis {
        input: sizes.input.clone(),
        axis: sizes.axis,
        current: sizes.current,
        works: set(&sizes.works, sizes.current),
        lossless: set(&sizes.lossless, sizes.current),
        near: near.and_then(|near| near.get(place)).map(|&size| SizesNear {
            size,
            works: pair(sizes.works.around(size)),
            lossless: pair(sizes.lossless.around(size)),
        }),
        sizes,
    };
    SizesSummary {
        axes: axes.into_iter().enumerate().map(axis).collect(),
        import: import.map(StatusAndImport::from),
        name: graph.name().to_owned(),
        inputs: graph.inputs().map(|(_, node)| node.shape.clone()).collect(),
    }
}

impl Summary for SizesSummary {
    const COMMAND: &'static str = "sizes";

    fn page(&self) -> Page {
        page(self)
    }

    fn partial(&self) -> bool {
        self.import.as_ref().is_some_and(StatusAndImport::partial)
    }
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

fn pair((low, high): (Option<u64>, Option<u64>)) -> [Option<u64>; 2] {
    [low, high]
}

fn page(summary: &SizesSummary) -> Page {
    let axes = &summary.axes;
    let mut page = Page::default();
    let inputs: Vec<String> = summary.inputs.iter().map(Shape::to_string).collect();
    page.title_with(&summary.name, format!("input {}", inputs.join(" and ")));
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
    for SizesAxis { sizes, .. } in axes {
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
    if axes.iter().any(|axis| axis.near.is_some()) {
        page.table(near_table(axes));
    }
    let dropped: Vec<&str> = axes
        .iter()
        .filter(|axis| !axis.lossless.contains_current)
        .map(|axis| axis_name(axes.len(), axis.axis))
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

fn near_table(axes: &[SizesAxis]) -> Table {
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
    for axis in axes {
        let Some(SizesNear { size, works: [works_low, works_high], lossless: [low, high] }) = axis.near
        else {
            continue;
        };
        table.rows.push(Row::new(vec![
            Cell::toned(axis_name(axes.len(), axis.axis), Tone::Name),
            Cell::count(size),
            cell(works_low),
            cell(works_high),
            cell(low).tone(Tone::Good),
            cell(high).tone(Tone::Good),
        ]));
    }
    table
}
