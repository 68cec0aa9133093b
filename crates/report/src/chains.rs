//! `cnnkit gridding SPEC`: every chain of dilated convolutions of a network, the exact coverage of its
//! outputs, and how many taps lie on the actual feature maps.

use schemars::JsonSchema;
use serde::Serialize;

use crate::gridding::{GriddingSummary, Options, PerAxis};
use crate::imported::StatusAndImport;
use crate::summary::Summary;
use crate::verify::Measured;
use crate::{Cell, Column, Page, Row, Table, Tone, Value};
use cnnkit_core::analysis::dilated::{Chain, Chains, TapsValid, taps_valid};
use cnnkit_core::analysis::field::Interval;
use cnnkit_core::analysis::gridding::Gridding;
use cnnkit_core::analysis::support::{Borders, support};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::{Graph, Node, NodeId};

/// Number of chains whose maps are drawn in full.
const DRAWN: usize = 2;
/// Number of rates of a chain that are written out.
const MOST_RATES: usize = 16;

/// What `cnnkit gridding SPEC` computes about a network.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct NetworkGriddingSummary {
    /// The chains of dilated convolutions; chains with the same rates and kernels appear once.
    pub chains: Vec<ChainGridding>,
    /// Whether there are more chains than could be listed.
    pub truncated: bool,
    /// The exact coverage of each output with respect to each input.
    pub outputs: Vec<OutputCoverage>,
    /// The taps of each dilated convolution that lie on its feature map.
    pub taps: Vec<LayerTaps>,
    /// The comparison with runs on an impulse, with `--verify`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify: Option<Measured>,
    /// What is not analysed of an imported model.
    #[serde(flatten)]
    pub import: Option<StatusAndImport>,
    /// The network's name.
    #[serde(skip)]
    name: String,
    /// Number of chains.
    #[serde(skip)]
    count: usize,
    /// Whether the map of every chain is drawn.
    #[serde(skip)]
    drawn: bool,
}

/// The gridding of a chain of dilated convolutions.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ChainGridding {
    /// Ids of its convolutions, in order.
    pub nodes: Vec<String>,
    /// How many chains have the same rates and kernels, this one included.
    pub alike: usize,
    /// Its figures.
    #[serde(flatten)]
    pub gridding: GriddingSummary,
}

/// What a unit in the middle of an output reads of an input, over all paths.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct OutputCoverage {
    /// Id of the output.
    pub id: String,
    /// Id of the input.
    pub input: String,
    /// Its coverage.
    #[serde(flatten)]
    pub coverage: Coverage,
}

/// A coverage, or the reason why there is none.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Coverage {
    /// The coverage was computed.
    Complete {
        /// Size of the box, per axis.
        #[schemars(extend("unit" = "positions"))]
        size: Vec<i128>,
        /// Positions of the box that are read.
        #[schemars(extend("unit" = "positions"))]
        positions: i128,
        /// Positions of the box that are not read.
        #[schemars(extend("unit" = "positions"))]
        holes: i128,
        /// Fraction of the box that is read, from 0 to 1.
        #[schemars(extend("unit" = "share"))]
        coverage: f64,
    },
    /// The support cannot be computed.
    Unavailable {
        /// The reason.
        reason: String,
    },
}

/// The taps of a dilated convolution that lie on its feature map; the others read padding.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct LayerTaps {
    /// Id of the convolution.
    pub id: String,
    /// Its kernel, per axis.
    pub kernel: Vec<u64>,
    /// Its rates, per axis.
    pub rates: Vec<u64>,
    /// Size of the feature map that it reads, per axis.
    #[schemars(extend("unit" = "positions"))]
    pub map: Vec<u64>,
    /// Per axis: the number of output positions by their number of taps on the map, ascending by taps.
    pub classes: Vec<Vec<TapClass>>,
    /// Mean fraction of the taps that lie on the map, from 0 to 1.
    #[schemars(extend("unit" = "share"))]
    pub mean_share: f64,
    /// Fraction of the positions with all taps on the map, from 0 to 1.
    #[schemars(extend("unit" = "share"))]
    pub full_share: f64,
    /// Fraction of the positions with a single tap on the map, from 0 to 1: there the kernel acts as 1x1.
    #[schemars(extend("unit" = "share"))]
    pub single_share: f64,
}

/// Output positions of an axis with the same number of taps on the map.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct TapClass {
    /// Taps on the map.
    #[schemars(extend("unit" = "taps"))]
    pub taps: u64,
    /// Number of positions with this number of taps.
    #[schemars(extend("unit" = "positions"))]
    pub positions: u64,
}

/// Returns the ids of the layers of `chain`.
pub(crate) fn ids(graph: &Graph, chain: &Chain) -> Vec<String> {
    chain.nodes.iter().map(|&node| graph.node(node).id.clone()).collect()
}

/// Formats the ends of a chain: `conv1 ... conv3`.
pub(crate) fn ends(ids: &[String]) -> String {
    match ids {
        [] => String::new(),
        [only] => only.clone(),
        [first, .., last] => format!("{first} ... {last}"),
    }
}

/// Where each chain begins and ends; chains that share both ends are told apart by what they pass between:
/// `res1.conv2 ... aspp.branch2.conv1 ... head.conv1`.
pub(crate) fn labels(chains: &[&[String]]) -> Vec<String> {
    let ends: Vec<String> = chains.iter().map(|ids| ends(ids)).collect();
    let label = |(place, ids): (usize, &&[String])| {
        let rivals: Vec<&[String]> = (0..chains.len())
            .filter(|&other| other != place && ends[other] == ends[place])
            .map(|other| chains[other])
            .collect();
        if rivals.is_empty() {
            return ends[place].clone();
        }
        let (Some(first), Some(last)) = (ids.first(), ids.last()) else { return String::new() };
        // The layer that none of the others has, else those that not all of them have.
        let own = |id: &&String| rivals.iter().all(|rival| !rival.contains(id));
        let some = |id: &&String| rivals.iter().any(|rival| !rival.contains(id));
        let between: Vec<&str> = match ids.iter().find(own) {
            Some(id) => vec![id],
            None => ids.iter().filter(some).map(String::as_str).collect(),
        };
        let parts = std::iter::once(first.as_str()).chain(between).chain([last.as_str()]);
        let mut parts: Vec<&str> = parts.collect();
        parts.dedup();
        parts.join(" ... ")
    };
    chains.iter().enumerate().map(label).collect()
}

/// Rates in order, long runs cut: `1,2,5`.
pub(crate) fn rates(list: &[PerAxis]) -> String {
    let shown: Vec<String> = list.iter().take(MOST_RATES).map(PerAxis::text).collect();
    let more = list.len().saturating_sub(shown.len());
    format!("{}{}", shown.join(","), if more > 0 { format!(",... ({more} more)") } else { String::new() })
}

/// Returns the distinct chains with their counts: WaveNet's filters and gates form 2^n chains of the same
/// rates.
pub(crate) fn distinct(chains: &Chains) -> Vec<(&Chain, usize)> {
    let mut list: Vec<(&Chain, usize)> = Vec::new();
    for chain in &chains.chains {
        match list.iter_mut().find(|(other, _)| other.rates == chain.rates && other.kernels == chain.kernels)
        {
            Some((_, count)) => *count += 1,
            None => list.push((chain, 1)),
        }
    }
    list
}

/// Formats the number of chains in words.
pub(crate) fn counted(count: usize, truncated: bool) -> String {
    let more = if truncated { ", more are not listed" } else { "" };
    match count {
        0 => "no dilated convolution".into(),
        1 => format!("one chain of dilated convolutions{more}"),
        n => format!("{n} chains of dilated convolutions{more}"),
    }
}

impl NetworkGriddingSummary {
    /// Computes the gridding of `graph`, whose chains are `chains`.
    pub fn of(graph: &Graph, chains: &Chains, options: Options) -> Result<Self, Problem> {
        let one = |(chain, alike): (&Chain, usize)| {
            let stack = chain.stack()?;
            let gridding = GriddingSummary::of(&stack, &Gridding::of(&stack)?, options)?;
            Ok(ChainGridding { nodes: ids(graph, chain), alike, gridding })
        };
        let list = distinct(chains).into_iter().map(one).collect::<Result<Vec<_>, Problem>>()?;
        let pairs =
            graph.outputs().iter().flat_map(|&output| graph.inputs().map(move |input| (output, input)));
        let outputs = pairs.filter_map(|(output, input)| OutputCoverage::of(graph, output, input));
        Ok(Self {
            drawn: list.len() <= DRAWN || options.steps,
            chains: list,
            truncated: chains.truncated,
            outputs: outputs.collect(),
            taps: taps_valid(graph).iter().map(|taps| LayerTaps::of(graph, taps)).collect(),
            verify: None,
            import: None,
            name: graph.name().to_owned(),
            count: chains.chains.len(),
        })
    }

    fn chains_table(&self) -> Table {
        let columns = vec![
            Column::text("chain"),
            Column::number("alike").optional(2),
            Column::text("rates"),
            Column::number("box"),
            Column::number("coverage"),
            Column::number("largest gap"),
            Column::number("sub-grids").optional(1),
        ];
        let labels = labels(&self.chains.iter().map(|chain| chain.nodes.as_slice()).collect::<Vec<_>>());
        let row = |(chain, label): (&ChainGridding, String)| {
            let facts = &chain.gridding;
            let tone = if facts.hole_free { Tone::Good } else { Tone::Bad };
            let sub_grids =
                facts.sub_grids.as_ref().map_or_else(Cell::missing, |grids| Cell::integer(grids.0.clone()));
            Row::new(vec![
                Cell::toned(label, Tone::Name),
                Cell::count(chain.alike as u64),
                Cell::text(rates(&facts.rates)),
                Cell::text(facts.size.iter().map(u64::to_string).collect::<Vec<_>>().join(" x ")),
                Cell::from(Value::Share(facts.coverage)).tone(tone),
                Cell::count(facts.max_gap),
                sub_grids,
            ])
        };
        Table { name: "chains", columns, rows: self.chains.iter().zip(labels).map(row).collect() }
    }

    /// Appends the coverage of the outputs, and the outputs for which it cannot be computed.
    fn outputs_section(&self, page: &mut Page) {
        let columns = vec![
            Column::text("output"),
            Column::text("input"),
            Column::number("box"),
            Column::number("positions read"),
            Column::number("holes"),
            Column::number("coverage"),
        ];
        let count =
            |value: i128| u64::try_from(value).map_or_else(|_| Cell::text(value.to_string()), Cell::count);
        let mut rows = Vec::new();
        for output in &self.outputs {
            match &output.coverage {
                Coverage::Unavailable { reason } => {
                    page.note(format!("{}: {reason}", output.id));
                }
                Coverage::Complete { size, positions, holes, coverage } => rows.push(Row::new(vec![
                    Cell::toned(&output.id, Tone::Name),
                    Cell::text(&output.input),
                    Cell::text(size.iter().map(i128::to_string).collect::<Vec<_>>().join(" x ")),
                    count(*positions),
                    count(*holes).tone(if *holes == 0 { Tone::Plain } else { Tone::Bad }),
                    Value::Share(*coverage).into(),
                ])),
            }
        }
        if !rows.is_empty() {
            page.title_with("What the outputs read", "exactly, through all paths");
            page.table(Table { name: "outputs", columns, rows });
        }
    }
}

impl Summary for NetworkGriddingSummary {
    const COMMAND: &'static str = "gridding";

    fn page(&self) -> Page {
        let mut page = Page::default();
        page.title_with(format!("Gridding in {}", self.name), counted(self.count, self.truncated));
        if !self.chains.is_empty() {
            page.table(self.chains_table());
        }
        if self.drawn {
            for chain in &self.chains {
                page.blocks.extend(chain.gridding.page().blocks);
            }
        }
        self.outputs_section(&mut page);
        if !self.taps.is_empty() {
            page.title_with(
                "Taps on the real feature maps",
                "the rest of each kernel reads padding (Chen et al. 2017, figure 4)",
            );
            page.table(taps_table(&self.taps));
        }
        page.note(
            "A chain: stride-1 convolutions of one resolution with nothing but pointwise layers and merges between \
             them. Parallel rates (ASPP) are chains of their own.",
        );
        if let Some(measured) = &self.verify {
            measured.section(&mut page);
        }
        page
    }

    fn passed(&self) -> bool {
        self.verify.as_ref().is_none_or(|measured| measured.ok)
    }

    fn partial(&self) -> bool {
        self.import.as_ref().is_some_and(|import| import.import.partial)
    }
}

impl OutputCoverage {
    /// Computes what `output` reads of `input`; none where it reads nothing, or where the box has too many
    /// positions to count.
    fn of(graph: &Graph, output: NodeId, (input, source): (NodeId, &Node)) -> Option<Self> {
        let node = graph.node(output);
        let (id, name) = (node.id.clone(), source.id.clone());
        // A unit in the middle, with the input treated as unbounded.
        let unit: Vec<i128> = node.shape.spatial().iter().map(|&size| i128::from(size / 2)).collect();
        let region = match support(graph, output, input, &unit, Borders::Ignored) {
            Ok(region) => region,
            Err(problem) => {
                let coverage = Coverage::Unavailable { reason: problem.message };
                return Some(Self { id, input: name, coverage });
            }
        };
        let (Some(hull), Ok(positions)) = (region.hull(), region.positions()) else { return None };
        let size: Vec<i128> = hull.iter().map(Interval::size).collect();
        let area = size.iter().try_fold(1i128, |area, &size| area.checked_mul(size));
        let area = area.filter(|&area| area > 0)?;
        let coverage = Coverage::Complete {
            size,
            positions,
            holes: area - positions,
            coverage: positions as f64 / area as f64,
        };
        Some(Self { id, input: name, coverage })
    }
}

impl LayerTaps {
    fn of(graph: &Graph, taps: &TapsValid) -> Self {
        let class = |&(taps, positions): &(u64, u64)| TapClass { taps, positions };
        Self {
            id: graph.node(taps.node).id.clone(),
            kernel: taps.kernel.clone(),
            rates: taps.rates.clone(),
            map: taps.map.clone(),
            classes: taps.classes.iter().map(|axis| axis.iter().map(class).collect()).collect(),
            mean_share: taps.mean_share,
            full_share: taps.full_share,
            single_share: taps.single_share,
        }
    }

    /// Formats `8 with 1, 40 with 2, 8 with 3`; a single list if the axes are equal.
    fn classes(&self) -> String {
        let class = |class: &TapClass| format!("{} with {}", class.positions, class.taps);
        let axis = |list: &Vec<TapClass>| list.iter().map(class).collect::<Vec<_>>().join(", ");
        let mut texts: Vec<String> = self.classes.iter().map(axis).collect();
        texts.dedup();
        texts.join(" x ")
    }
}

fn taps_table(taps: &[LayerTaps]) -> Table {
    let columns = vec![
        Column::text("layer"),
        Column::text("kernel"),
        Column::text("rate"),
        Column::text("map"),
        Column::number("taps on the map"),
        Column::number("all taps"),
        Column::number("one tap only"),
        Column::text("positions by taps, per axis").optional(1),
    ];
    let cross = |list: &[u64]| list.iter().map(u64::to_string).collect::<Vec<_>>().join("x");
    let row = |layer: &LayerTaps| {
        let tone = if layer.single_share > 0.0 { Tone::Bad } else { Tone::Plain };
        Row::new(vec![
            Cell::toned(&layer.id, Tone::Name),
            Cell::text(cross(&layer.kernel)),
            Cell::text(cross(&layer.rates)),
            Cell::text(cross(&layer.map)),
            Value::Share(layer.mean_share).into(),
            Value::Share(layer.full_share).into(),
            Cell::from(Value::Share(layer.single_share)).tone(tone),
            Cell::text(layer.classes()),
        ])
    };
    Table { name: "taps", columns, rows: taps.iter().map(row).collect() }
}
