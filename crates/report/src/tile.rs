//! The summary of `cnnkit tile`: how a network runs on a large image piece by piece.

use schemars::JsonSchema;
use serde::Serialize;

use crate::blocker::{self, Blocker};
use crate::imported::{Import, StatusAndImport};
use crate::sizes::axis_name;
use crate::{Block, Cell, Column, Fact, Page, Row, StyledText, Summary, Table, Tone, Value};
use cnnkit_core::analysis::memory::Dtype;
use cnnkit_core::analysis::tiling::{Blocked, Schedule, Tiling};
use cnnkit_core::graph::NodeId;
use cnnkit_core::number::{bytes, counted, grouped};

/// Maximum number of tiles along an axis that the JSON lists.
const MOST_SPANS: usize = 4096;

/// How a network runs on an image tile by tile, with the same result. Arrays have one entry per spatial axis.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TileSummary {
    /// Whether every output unit has a bounded field, so that all axes can be cut.
    pub tileable: bool,
    /// Ids of the layers that need a whole axis.
    pub blockers: Vec<String>,
    /// The same layers, with reasons.
    pub reasons: Vec<Blocker>,
    /// How far the outputs read before and after the positions that they stand on, the worst over all units; of the
    /// ends of `part` if the network is not tileable. Null if nothing can be tiled.
    #[schemars(extend("unit" = "input positions"))]
    pub halo: Vec<Option<[u64; 2]>>,
    /// Tiles begin at multiples of it.
    #[schemars(extend("unit" = "input positions"))]
    pub lattice: Vec<u64>,
    /// What a tile that begins on the lattice needs before and after the part that is kept; null if there is no such tile.
    #[schemars(extend("unit" = "input positions"))]
    pub margin: Vec<Option<[u64; 2]>>,
    /// Sizes of tiles differ by multiples of it.
    #[schemars(extend("unit" = "input positions"))]
    pub step: Vec<u64>,
    /// The layers of which no unit needs a whole axis.
    pub part: TilePart,
    /// Spatial sizes of the image; null if nothing can be cut, as are all keys below.
    #[schemars(extend("unit" = "input positions"))]
    pub image: Option<Vec<u64>>,
    /// The largest tile.
    pub tile: Option<TileSize>,
    /// Number of tiles.
    pub tiles: Option<u64>,
    /// What tiles cost beyond the whole image at once.
    pub overhead: Option<TileOverhead>,
    /// Peak bytes of a tile: activations by liveness, and weights.
    #[schemars(extend("unit" = "bytes"))]
    pub peak: Option<u64>,
    /// Peak bytes of the whole image at once.
    #[schemars(extend("unit" = "bytes"))]
    pub peak_whole: Option<u64>,
    /// Bytes of the weights, a part of both peaks.
    #[schemars(extend("unit" = "bytes"))]
    pub weights: Option<u64>,
    /// The tiles along each axis: every combination is a tile. The first 4096 of each axis.
    pub schedule: Option<Vec<Vec<TileSpan>>>,
    /// Fields for the description of a model at bioimage.io; null if the output has another size than the input.
    pub bioimage: Option<TileBioimage>,
    /// Number format of activations and weights.
    pub dtype: Dtype,
    /// What is not analysed.
    #[serde(flatten)]
    pub import: Option<StatusAndImport>,
    /// The network's name.
    #[serde(skip)]
    pub name: String,
}

/// The layers of which no unit needs a whole axis.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TilePart {
    /// Ids of its last layers.
    pub ends: Vec<String>,
    /// Number of its layers.
    pub layers: u64,
    /// Number of layers of the network.
    pub of_layers: u64,
    /// Its multiply-accumulates.
    #[schemars(extend("unit" = "MACs"))]
    pub macs: u64,
    /// Multiply-accumulates of the network.
    #[schemars(extend("unit" = "MACs"))]
    pub of_macs: u64,
}

/// Sizes of a tile.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TileSize {
    /// What the largest tile reads, margins included.
    #[schemars(extend("unit" = "input positions"))]
    pub input: Vec<u64>,
    /// What a tile away from the borders contributes to the first output.
    #[schemars(extend("unit" = "positions"))]
    pub output: Vec<u64>,
}

/// What tiles cost beyond the whole image at once.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TileOverhead {
    /// Multiply-accumulates of all tiles over those of the whole image, minus 1.
    #[schemars(extend("unit" = "share"))]
    pub macs_share: f64,
    /// Multiply-accumulates of all tiles.
    #[schemars(extend("unit" = "MACs"))]
    pub macs: u64,
    /// Multiply-accumulates of the whole image.
    #[schemars(extend("unit" = "MACs"))]
    pub macs_whole: u64,
    /// Input bytes that all tiles read over those of the whole image, minus 1.
    #[schemars(extend("unit" = "share"))]
    pub bytes_share: f64,
    /// Input bytes that all tiles read.
    #[schemars(extend("unit" = "bytes"))]
    pub bytes: u64,
    /// Input bytes of the whole image.
    #[schemars(extend("unit" = "bytes"))]
    pub bytes_whole: u64,
}

/// A tile along one axis.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TileSpan {
    /// The part whose outputs are kept: first position, and the one behind the last.
    #[schemars(extend("unit" = "input positions"))]
    pub keep: [u64; 2],
    /// The part that the network reads: first position, and the one behind the last.
    #[schemars(extend("unit" = "input positions"))]
    pub read: [u64; 2],
}

/// Fields of a model's description at bioimage.io.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TileBioimage {
    /// Output positions to crop at each side of a tile that begins on the lattice.
    #[schemars(extend("unit" = "positions"))]
    pub halo: Vec<u64>,
    /// The smallest tile that keeps something.
    #[schemars(extend("unit" = "input positions"))]
    pub min: Vec<u64>,
    /// Sizes of tiles differ by multiples of it.
    #[schemars(extend("unit" = "input positions"))]
    pub step: Vec<u64>,
}

/// Returns the summary of `tiling` of the network `name`.
pub fn summary(name: &str, tiling: &Tiling, dtype: Dtype, import: Option<Import>) -> TileSummary {
    let graph = &tiling.graph;
    let id = |node: NodeId| graph.node(node).id.clone();
    let blocker = |blocked: &Blocked| Blocker::of(graph, blocked.node, blocked.reason, blocked.axes.clone());
    let part = &tiling.part;
    let schedule = tiling.schedule.as_ref();
    let share = |all: u64, whole: u64| if whole == 0 { 0.0 } else { all as f64 / whole as f64 - 1.0 };
    TileSummary {
        tileable: tiling.tileable(),
        blockers: tiling.blockers.iter().map(|blocked| id(blocked.node)).collect(),
        reasons: tiling.blockers.iter().map(blocker).collect(),
        halo: tiling.axes.iter().map(|axis| axis.halo).collect(),
        lattice: tiling.axes.iter().map(|axis| axis.lattice).collect(),
        margin: tiling.axes.iter().map(|axis| axis.margin).collect(),
        step: tiling.axes.iter().map(|axis| axis.step).collect(),
        part: TilePart {
            ends: part.ends.iter().map(|&end| id(end)).collect(),
            layers: part.layers,
            of_layers: part.of_layers,
            macs: part.macs,
            of_macs: part.of_macs,
        },
        image: schedule.map(|schedule| schedule.image.clone()),
        tile: schedule
            .map(|schedule| TileSize { input: schedule.input.clone(), output: schedule.output.clone() }),
        tiles: schedule.map(|schedule| schedule.tiles),
        overhead: schedule.map(|schedule| TileOverhead {
            macs_share: share(schedule.macs, schedule.macs_whole),
            macs: schedule.macs,
            macs_whole: schedule.macs_whole,
            bytes_share: share(schedule.bytes, schedule.bytes_whole),
            bytes: schedule.bytes,
            bytes_whole: schedule.bytes_whole,
        }),
        peak: schedule.map(|schedule| schedule.peak),
        peak_whole: schedule.map(|schedule| schedule.peak_whole),
        weights: schedule.map(|schedule| schedule.weights),
        schedule: schedule.map(spans),
        bioimage: bioimage(tiling),
        dtype,
        import: import.map(StatusAndImport::from),
        name: name.to_owned(),
    }
}

fn spans(schedule: &Schedule) -> Vec<Vec<TileSpan>> {
    let axis = |spans: &Vec<cnnkit_core::analysis::tiling::Span>| {
        spans.iter().take(MOST_SPANS).map(|span| TileSpan { keep: span.core, read: span.read }).collect()
    };
    schedule.spans.iter().map(axis).collect()
}

/// Returns the fields for bioimage.io, where a tile's output has the size of its input, up to a whole factor.
fn bioimage(tiling: &Tiling) -> Option<TileBioimage> {
    let graph = &tiling.graph;
    let &output = graph.outputs().first()?;
    let mut fields = TileBioimage { halo: vec![], min: vec![], step: vec![] };
    for axis in tiling.axes.iter().filter(|_| tiling.tileable()) {
        let [before, after] = axis.margin?;
        let scale = axis.along.scale(output)?;
        let input = graph
            .inputs()
            .find(|(id, _)| axis.along.follows(*id))
            .map(|(id, _)| axis.along.units[id.index()])?;
        let same = scale * i128::from(input) == i128::from(axis.along.units[output.index()]).into();
        if !same {
            return None;
        }
        let margin = before.max(after);
        fields.halo.push(u64::try_from((scale * i128::from(margin)).ceil().to_integer()).ok()?);
        fields.min.push(
            (2 * margin + axis.lattice).next_multiple_of(axis.step.max(1)) + axis.base % axis.step.max(1),
        );
        fields.step.push(axis.step);
    }
    (!fields.halo.is_empty()).then_some(fields)
}

impl Summary for TileSummary {
    const COMMAND: &'static str = "tile";

    fn page(&self) -> Page {
        page(self)
    }

    fn partial(&self) -> bool {
        self.import.as_ref().is_some_and(StatusAndImport::partial)
    }
}

fn times(sizes: &[u64]) -> String {
    sizes.iter().map(|&size| grouped(size)).collect::<Vec<_>>().join(" x ")
}

fn page(summary: &TileSummary) -> Page {
    let mut page = Page::default();
    let image = summary.image.as_ref().map(|image| format!("image {}", times(image)));
    page.title_with(format!("Tiles of {}", summary.name), image.unwrap_or_else(|| "not tileable".into()));
    page.table(axes(summary));
    if let (Some(tile), Some(tiles), Some(overhead), Some(peak), Some(peak_whole), Some(weights)) =
        (&summary.tile, summary.tiles, &summary.overhead, summary.peak, summary.peak_whole, summary.weights)
    {
        page.push(Block::Facts(vec![
            Fact::new("tiles", Cell::count(tiles))
                .remark(format!("of {}, margins included", times(&tile.input))),
            Fact::new("kept of each", Cell::text(times(&tile.output)))
                .remark("positions of the first output"),
            Fact::new("MACs", Cell::magnitude(overhead.macs))
                .remark(format!("{} more than the whole image", percent(overhead.macs_share))),
            Fact::new("input read", Cell::bytes(overhead.bytes))
                .remark(format!("{} more than the image", percent(overhead.bytes_share))),
            Fact::new("peak of a tile", Cell::bytes(peak)).remark(format!(
                "{} of it weights; the whole image at once: {}",
                bytes(weights),
                bytes(peak_whole)
            )),
        ]));
    }
    if let Some(fields) = &summary.bioimage {
        page.push(Block::Definitions(vec![Fact::new(
            "bioimage.io",
            Cell::text(format!(
                "halo {}, min {}, step {}",
                times(&fields.halo),
                times(&fields.min),
                times(&fields.step)
            )),
        )]));
    }
    blockers(&mut page, summary);
    page.note(
        "Halo: how far outputs read beyond the positions that they stand on, the worst over all units. Lattice: tiles begin at \
         its multiples. Margin: what such a tile needs around the part that is kept; none at a border of the image. Stitched \
         tiles equal the whole image bit for bit with cnnkit's reference kernels, except that linear resizes by a factor other \
         than a power of 2 may round differently. Peak: activations by liveness, and weights; the image itself not included.",
    );
    if let Some(import) = &summary.import {
        import.explain(&mut page);
    }
    page
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn axes(summary: &TileSummary) -> Table {
    let count = summary.lattice.len();
    let mut table = Table {
        name: "axes",
        columns: vec![
            Column::text("axis"),
            Column::number("halo before").key("halo_before"),
            Column::number("after").key("halo_after"),
            Column::number("lattice"),
            Column::number("margin before").key("margin_before"),
            Column::number("after").key("margin_after"),
            Column::number("tile"),
            Column::number("tiles"),
        ],
        rows: vec![],
    };
    let pair =
        |pair: Option<[u64; 2]>, side: usize| pair.map_or_else(Cell::missing, |pair| Cell::count(pair[side]));
    for axis in 0..count {
        let (halo, margin) = (summary.halo[axis], summary.margin[axis]);
        let tile = summary.tile.as_ref().and_then(|tile| tile.input.get(axis)).copied();
        let tiles = summary.schedule.as_ref().and_then(|all| all.get(axis)).map(|spans| spans.len() as u64);
        table.rows.push(Row::new(vec![
            Cell::toned(axis_name(count, axis), Tone::Name),
            pair(halo, 0).tone(Tone::Strong),
            pair(halo, 1).tone(Tone::Strong),
            Cell::count(summary.lattice[axis]),
            pair(margin, 0),
            pair(margin, 1),
            tile.map_or_else(Cell::missing, Cell::count),
            tiles.map_or_else(Cell::missing, Cell::count),
        ]));
    }
    table
}

fn blockers(page: &mut Page, summary: &TileSummary) {
    if summary.tileable {
        return;
    }
    page.push(Block::Text(vec![
        StyledText::new("Not tileable", Tone::Warn),
        StyledText::plain(": outputs depend on a whole axis, because of"),
    ]));
    blocker::list(page, &summary.reasons, summary.lattice.len());
    let part = &summary.part;
    if part.ends.is_empty() {
        page.text("No layer can be tiled on all axes.");
        return;
    }
    let share = Value::Share(if part.of_macs == 0 { 0.0 } else { part.macs as f64 / part.of_macs as f64 });
    page.push(Block::Facts(vec![
        Fact::new("part that can be tiled", Cell::count(part.layers)).remark(format!(
            "of {}, up to {}",
            counted(part.of_layers, "layer"),
            some(&part.ends)
        )),
        Fact::new("of the MACs", share),
    ]));
}

/// Formats the first of some ids.
fn some(ids: &[String]) -> String {
    let shown: Vec<&str> = ids.iter().take(3).map(String::as_str).collect();
    let more = if ids.len() > 3 { format!(" and {} more", ids.len() - 3) } else { String::new() };
    format!("{}{more}", shown.join(", "))
}
