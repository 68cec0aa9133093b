//! The summary of `cnnkit sizes`: which input sizes fit a network.

use schemars::JsonSchema;
use serde::Serialize;

use super::imported::{Import, StatusAndImport};
use super::{Block, Cell, Column, Page, Row, StyledText, Summary, Table, Tone};
use cnnkit_core::analysis::sizes::{AxisSizes, SizeSet, Slot};
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
    /// Its inputs with their shapes.
    #[serde(skip)]
    pub inputs: Vec<(String, Shape)>,
    /// The reason why the network does not fit its own size; none if it does.
    #[serde(skip)]
    pub unfit: Option<Unfit>,
}

/// The reason why a network does not fit its own size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// The flaw at that size.
    pub flaw: String,
    /// Whether the weights depend on the size.
    pub varies: bool,
}

/// The sizes of one axis.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SizesAxis {
    /// Id of the input.
    pub input: String,
    /// Index of the axis among the spatial axes, from 0.
    pub axis: usize,
    /// Other axes that must have the same size.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub with: Vec<SizesSlot>,
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
    /// The sets of sizes.
    #[serde(skip)]
    pub sizes: AxisSizes,
}

/// A spatial axis of an input.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SizesSlot {
    /// Id of the input.
    pub input: String,
    /// Index of the axis among the spatial axes, from 0.
    pub axis: usize,
}

/// A set of sizes: those from `from` on whose remainder after division by `modulus` is one of `residues`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SizesSet {
    /// Whether the current size is in the set.
    pub contains_current: bool,
    /// The smallest size of the set; null if it is empty.
    #[schemars(extend("unit" = "positions"))]
    pub smallest: Option<u64>,
    /// The pattern repeats from this size on.
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
    /// The nearest sizes below and above that work, the size itself included; null if there is none.
    #[schemars(extend("unit" = "positions"))]
    pub works: [Option<u64>; 2],
    /// The nearest sizes below and above that lose no position, the size itself included; null if there is none.
    #[schemars(extend("unit" = "positions"))]
    pub lossless: [Option<u64>; 2],
}

/// Returns the summary of the sizes `axes` of the network `name`; `near` has a size of interest for each
/// axis.
pub fn summary(
    name: &str,
    inputs: &[(String, Shape)],
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
    let other = |slot: &Slot| SizesSlot { input: inputs[slot.input].0.clone(), axis: slot.axis };
    let axis = |(place, sizes): (usize, AxisSizes)| SizesAxis {
        input: sizes.input.clone(),
        axis: sizes.axis,
        with: sizes.slots[1..].iter().map(other).collect(),
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
        name: name.to_owned(),
        inputs: inputs.to_vec(),
        unfit: None,
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

/// Returns the names of spatial axes in formulas.
pub(crate) fn axis_name(axes: usize, axis: usize) -> &'static str {
    match (axes, axis) {
        (1, _) => "L",
        (2, 0) | (3, 1) => "H",
        (2, _) | (3, 2) => "W",
        _ => "D",
    }
}

/// Formats `H`, `left H` if there are several inputs, `H = W` for axes that must agree.
fn label(inputs: &[(String, Shape)], sizes: &AxisSizes) -> String {
    let one = |slot: &Slot| {
        let (input, shape) = &inputs[slot.input];
        let axis = axis_name(shape.spatial().len(), slot.axis);
        if inputs.len() > 1 { format!("{input} {axis}") } else { axis.to_owned() }
    };
    sizes.slots.iter().map(one).collect::<Vec<_>>().join(" = ")
}

fn pair((low, high): (Option<u64>, Option<u64>)) -> [Option<u64>; 2] {
    [low, high]
}

fn page(summary: &SizesSummary) -> Page {
    let axes = &summary.axes;
    let mut page = Page::default();
    let inputs = summary.inputs.as_slice();
    let shapes: Vec<String> = inputs.iter().map(|(_, shape)| shape.to_string()).collect();
    page.title_with(&summary.name, format!("input {}", shapes.join(" and ")));
    let mut table = Table {
        name: "axes",
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
    if axes.iter().any(|axis| axis.near.is_some()) {
        page.table(near_table(inputs, axes));
    }
    let dropped: Vec<String> = axes
        .iter()
        .filter(|axis| axis.works.contains_current && !axis.lossless.contains_current)
        .map(|axis| label(inputs, &axis.sizes))
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
    if let Some(Unfit { flaw, varies }) = &summary.unfit {
        let mut text = format!(": the network cannot be built at its own size: {flaw}.");
        if *varies {
            text += " Its weights depend on the size: each size that works is a network of its own.";
        }
        page.push(Block::Text(vec![StyledText::new("note", Tone::Warn), StyledText::plain(text)]));
    }
    page
}

/// Formats `H >= 29`, `H % 32 == 0, from 32`, `H % 4 == 1 or 3`, `L % 1024 in {340..343}`.
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

fn near_table(inputs: &[(String, Shape)], axes: &[SizesAxis]) -> Table {
    let mut table = Table {
        name: "near",
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
    let cell = |size: Option<u64>| size.map_or_else(Cell::missing, Cell::count);
    for axis in axes {
        let Some(SizesNear { size, works: [works_low, works_high], lossless: [low, high] }) = axis.near
        else {
            continue;
        };
        table.rows.push(Row::new(vec![
            Cell::toned(label(inputs, &axis.sizes), Tone::Name),
            Cell::count(size),
            cell(works_low),
            cell(works_high),
            cell(low).tone(Tone::Good),
            cell(high).tone(Tone::Good),
        ]));
    }
    table
}
