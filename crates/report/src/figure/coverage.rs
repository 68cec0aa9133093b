//! Which positions a stack of dilated convolutions reads, shaded by their multiplicity, and the sub-grids of its outputs.

use std::collections::BTreeMap;

use crate::chains::NetworkGriddingSummary;
use crate::figure::font::{self, Weight};
use crate::figure::scene::{Anchor, Rect, Scene, Stroke, Text};
use crate::figure::theme::{Paint, SERIES};
use crate::gridding::{GriddingSummary, PerAxis};
use crate::render::heatmap;
use crate::{Bin, Map, Panel};
use cnnkit_core::number::{grouped, magnitude, share};

const MARGIN: f64 = 16.0;
/// Distance between panels.
const GAP: f64 = 28.0;
/// The longest side of a panel, and of one of several.
const SIDES: (f64, f64) = (360.0, 250.0);
/// The longest side of a panel in cells; larger maps are scaled down.
const MOST_CELLS: usize = 160;
/// Width of a row of panels.
const ROW: f64 = 840.0;
/// Most chains of a network that are drawn.
const MOST_CHAINS: usize = 12;
/// Most classes of outputs along an axis that are drawn apart.
const MOST_CLASSES: u64 = 4;
/// Levels of the heat scale, so that few colours make a small file.
const LEVELS: f64 = 32.0;

/// What a cell shows.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mark {
    /// All of its positions are read, with this heat from 0 to 1.
    Heat(f64),
    /// Some of them are.
    Partly(f64),
    /// None is.
    Hole,
}

/// Cells of one size, gathered by their colour.
pub(super) struct Tiles {
    side: f64,
    heat: BTreeMap<u64, Vec<[f64; 4]>>,
    holes: Vec<[f64; 4]>,
    marks: Vec<[f64; 4]>,
}

impl Tiles {
    /// Returns no cells, of a size that fits `longest` of them into a panel.
    pub(super) fn new(longest: usize) -> Self {
        Self::of_side(side_of(longest, SIDES.0))
    }

    fn of_side(side: f64) -> Self {
        Self { side, heat: BTreeMap::new(), holes: vec![], marks: vec![] }
    }

    /// The distance between neighbouring cells.
    pub(super) fn side(&self) -> f64 {
        self.side
    }

    /// Adds the cell of a row and column of the panel that begins at (`left`, `top`).
    pub(super) fn put(&mut self, (left, top): (f64, f64), row: usize, column: usize, mark: Mark) {
        let side = self.side;
        let (x, y) = (left + column as f64 * side, top + row as f64 * side);
        let inner = if side > 5.0 { side - 1.0 } else { side };
        let mut heat = |heat: f64, place| {
            self.heat.entry((heat.clamp(0.0, 1.0) * LEVELS).round() as u64).or_default().push(place);
        };
        match mark {
            Mark::Heat(value) => heat(value, [x, y, inner, inner]),
            // The upper left half is read, the rest is marked as a hole is.
            Mark::Partly(value) => {
                self.marks.push([x, y, inner, inner]);
                let half = (inner / 2.0).ceil();
                heat(value, [x, y, half, half]);
            }
            Mark::Hole => {
                self.holes.push([x, y, inner, inner]);
                // A mark in the middle, so that a hole is not just a paler shade.
                let mark = (side / 5.0).max(1.0).round();
                let at = ((inner - mark) / 2.0).floor();
                self.marks.push([x + at, y + at, mark, mark]);
            }
        }
    }

    /// Adds the cells to `scene`: first the marks of cells that are partly read, then the rest.
    pub(super) fn draw(self, scene: &mut Scene) {
        use crate::figure::scene::Item::Cells;
        let mut cells = |cells: Vec<[f64; 4]>, paint: Paint| {
            if !cells.is_empty() {
                scene.push(Cells(runs(cells), paint));
            }
        };
        cells(self.holes, Paint::AlertTint);
        cells(self.marks, Paint::Alert);
        for (level, places) in self.heat {
            cells(places, Paint::Heat(level as f64 / LEVELS));
        }
    }
}

/// Returns the side of a cell, of which `longest` fit into `room`; at least 2.
fn side_of(longest: usize, room: f64) -> f64 {
    (room / longest.max(1) as f64).floor().clamp(2.0, 26.0)
}

/// Joins cells that touch along a row.
fn runs(cells: Vec<[f64; 4]>) -> Vec<[f64; 4]> {
    let mut out: Vec<[f64; 4]> = Vec::with_capacity(cells.len());
    for cell in cells {
        match out.last_mut() {
            Some(last) if last[1] == cell[1] && last[3] == cell[3] && last[0] + last[2] == cell[0] => {
                last[2] += cell[2];
            }
            _ => out.push(cell),
        }
    }
    out
}

/// Returns the figure of one stack.
pub fn of(summary: &GriddingSummary) -> Scene {
    let title = format!("Gridding of {}", summary.name());
    let remark = summary.sentence();
    let mut scene = Scene::new(&title, &remark);
    let top = scene.heading(MARGIN, MARGIN, &title, &remark);
    let bottom = panels(&mut scene, &summary.map, (MARGIN, top), SIDES.0);
    // Beside a single map there is room for the outputs that share no input.
    if let ([panel], Some(classes)) = (summary.map.panels.as_slice(), classes(summary)) {
        let fit = Fit::of(&summary.map, SIDES.0);
        let wide = panel.columns.joined(fit.joined).bins.len() as f64 * fit.side;
        let title = Text::new(0.0, 0.0, &panel.title).size(11.0).width();
        sub_grids(&mut scene, &classes, (MARGIN + wide.max(title) + GAP, top));
    }
    let below = scene.height.max(bottom);
    finish(&mut scene, &[&summary.map], below)
}

/// Returns the figure of the chains of a network.
pub fn of_network(summary: &NetworkGriddingSummary, name: &str) -> Scene {
    let title = format!("Gridding of {name}");
    let count = summary.chains.len();
    let remark = match count {
        0 => "the network has no chain of dilated convolutions".to_owned(),
        1 => "its chain of dilated convolutions".to_owned(),
        _ => format!("its {count} kinds of chains of dilated convolutions"),
    };
    let mut scene = Scene::new(&title, &remark);
    let top = scene.heading(MARGIN, MARGIN, &title, &remark);
    let drawn = &summary.chains[..count.min(MOST_CHAINS)];
    let room = if count > 1 { SIDES.1 } else { SIDES.0 };
    let (mut left, mut top, mut bottom) = (MARGIN, top, top);
    for chain in drawn {
        let gridding = &chain.gridding;
        let alike = if chain.alike > 1 { format!(", {} times", chain.alike) } else { String::new() };
        let from = chain.nodes.first().map(|node| format!("from {node}")).unwrap_or_default();
        let covered = format!("{} of the box read", share(gridding.coverage));
        let words = [
            Text::new(left, top + 12.0, format!("{}{alike}", runs_of_rates(gridding))).bold(),
            Text::new(left, top + 28.0, from).size(11.0).paint(Paint::Quiet),
            Text::new(left, top + 42.0, covered).size(11.0).paint(Paint::Quiet),
        ];
        let used = words.iter().map(Text::width).fold(0.0, f64::max).max(width(&gridding.map, room));
        if left > MARGIN && left + used > MARGIN + ROW {
            (left, top) = (MARGIN, bottom + 22.0);
        }
        for (line, text) in words.into_iter().enumerate() {
            scene.push(Text { x: left, y: top + [12.0, 28.0, 42.0][line], ..text });
        }
        bottom = bottom.max(panels(&mut scene, &gridding.map, (left, top + 52.0), room));
        left += used + GAP;
    }
    let mut top = bottom + 22.0;
    if count > MOST_CHAINS {
        let words = format!("{} more kinds of chains are not drawn", count - MOST_CHAINS);
        scene.push(Text::new(MARGIN, top, words).paint(Paint::Quiet));
        top += 20.0;
    }
    let maps: Vec<&Map> = drawn.iter().map(|chain| &chain.gridding.map).collect();
    finish(&mut scene, &maps, top - 22.0)
}

/// Formats `rates 1 ×4, 2 ×6, 12`.
fn runs_of_rates(summary: &GriddingSummary) -> String {
    const MOST_RUNS: usize = 12;
    let mut runs: Vec<(String, usize)> = Vec::new();
    for rate in summary.rates.iter().map(PerAxis::text) {
        match runs.last_mut() {
            Some((last, count)) if *last == rate => *count += 1,
            _ => runs.push((rate, 1)),
        }
    }
    let more = if runs.len() > MOST_RUNS { ", …" } else { "" };
    let written =
        |(rate, count): &(String, usize)| if *count > 1 { format!("{rate} ×{count}") } else { rate.clone() };
    let shown: Vec<String> = runs.iter().take(MOST_RUNS).map(written).collect();
    format!("rates {}{more}", shown.join(", "))
}

/// Returns the width of the panels of a map in one row.
fn width(map: &Map, room: f64) -> f64 {
    let Fit { joined, side, .. } = Fit::of(map, room);
    let wide = map.panels.len() as f64 * (map.extent().0.div_ceil(joined) as f64 * side + GAP) - GAP;
    wide.min(ROW)
}

/// Draws the legend below everything, and bounds the page.
fn finish(scene: &mut Scene, maps: &[&Map], bottom: f64) -> Scene {
    let hottest = maps.iter().map(|map| map.hottest()).fold(0.0, f64::max);
    let joined = maps.iter().map(|map| Fit::of(map, SIDES.0).positions).max().unwrap_or(1);
    let mut top = bottom + 16.0;
    if maps.len() == 1 && hottest > 0.0 {
        top = bar(scene, hottest, top) + 12.0;
    }
    let mut entries = Vec::new();
    if hottest == 0.0 && !maps.is_empty() {
        entries.push((Mark::Heat(1.0), "read".to_owned()));
    } else if maps.len() > 1 {
        entries.push((Mark::Heat(1.0), "read most often, within each map".to_owned()));
        entries.push((Mark::Heat(0.0), "read once".to_owned()));
    }
    if maps.iter().any(|map| map.has_holes()) {
        entries.push((Mark::Hole, "hole: never read".to_owned()));
    }
    if joined > 1 {
        let words = format!("partly read; a cell is up to {} positions wide and high", grouped(joined));
        entries.push((Mark::Partly(1.0), words));
    }
    scene.height = legend(scene, MARGIN, top, &entries) + MARGIN;
    scene.widen(MARGIN);
    std::mem::take(scene)
}

/// How the panels of a map fit on the page: positions and cells on one scale.
#[derive(Clone, Copy)]
struct Fit {
    /// Bins that share a cell.
    joined: usize,
    /// Side of a cell.
    side: f64,
    /// Most positions of a cell along an axis.
    positions: u64,
}

impl Fit {
    fn of(map: &Map, room: f64) -> Self {
        let (across, down) = map.extent();
        let joined = across.max(down).div_ceil(MOST_CELLS).max(1);
        let side = side_of(across.max(down).div_ceil(joined), room);
        let bins = map.panels.iter().flat_map(|panel| panel.columns.joined(joined).bins);
        Self { joined, side, positions: bins.map(|bin| bin.positions).max().unwrap_or(1) }
    }
}

/// Draws the panels of a map in rows; returns the y below them.
fn panels(scene: &mut Scene, map: &Map, (first, top): (f64, f64), room: f64) -> f64 {
    let fit = Fit::of(map, room);
    let hottest = map.hottest();
    let numbers = fit.positions == 1 && fit.side >= 16.0 && hottest < 999.5f64.ln();
    let (mut left, mut top, mut bottom) = (first, top, top);
    for panel in &map.panels {
        let joined = Panel {
            title: panel.title.clone(),
            rows: panel.rows.as_ref().map(|line| line.joined(fit.joined)),
            columns: panel.columns.joined(fit.joined),
        };
        let wide = joined.columns.bins.len() as f64 * fit.side;
        let title = Text::new(left, top + 10.0, &panel.title).size(11.0).paint(Paint::Quiet);
        let used = wide.max(title.width());
        if left > first && left + used > MARGIN + ROW {
            (left, top) = (first, bottom + 18.0);
        }
        scene.push(Text { x: left, y: top + 10.0, ..title });
        bottom = bottom.max(draw(scene, &joined, (left, top + 18.0), fit, hottest, numbers));
        left += used + GAP;
    }
    bottom
}

fn draw(scene: &mut Scene, panel: &Panel, corner: (f64, f64), fit: Fit, hottest: f64, numbers: bool) -> f64 {
    let rows = panel.down();
    let mut tiles = Tiles::of_side(fit.side);
    let mut words = Vec::new();
    for (y, &row) in rows.iter().enumerate() {
        for (x, &column) in panel.columns.bins.iter().enumerate() {
            let cell = panel.cell(row, column);
            let heat = heatmap::share(cell.log, hottest);
            tiles.put(corner, y, x, mark(cell, heat));
            if numbers && cell.covered > 0 {
                let text = cell.log.exp().round().to_string();
                let size = if text.len() > 2 { fit.side * 0.38 } else { fit.side * 0.46 };
                let middle = (fit.side - 1.0) / 2.0;
                let at = |corner: f64, n: usize| corner + n as f64 * fit.side + middle;
                let level = (heat * LEVELS).round() / LEVELS;
                let text =
                    Text::new(at(corner.0, x), at(corner.1, y) + size * font::CAPITAL / 2.0, text).size(size);
                words.push(text.anchor(Anchor::Middle).paint(Paint::OnHeat(level)));
            }
        }
    }
    tiles.draw(scene);
    words.into_iter().for_each(|text| _ = scene.push(text));
    corner.1 + rows.len() as f64 * fit.side
}

fn mark(cell: Bin, heat: f64) -> Mark {
    match cell.covered {
        0 => Mark::Hole,
        covered if covered < cell.positions => Mark::Partly(heat),
        _ => Mark::Heat(heat),
    }
}

/// Returns the classes of outputs that share no input, per axis, if there are several and few enough to be drawn.
fn classes(summary: &GriddingSummary) -> Option<Vec<u64>> {
    let classes = summary.classes.iter().copied().collect::<Option<Vec<u64>>>()?;
    let fits = (1..=2).contains(&classes.len()) && classes.iter().all(|&count| count <= MOST_CLASSES);
    (fits && classes.iter().any(|&count| count > 1)).then_some(classes)
}

/// Draws neighbouring outputs, those of one class in one colour and with one letter.
fn sub_grids(scene: &mut Scene, classes: &[u64], (left, top): (f64, f64)) {
    const CELL: f64 = 26.0;
    const ACROSS: u64 = 8;
    let [down, across] = match classes {
        [across] => [1, *across],
        [down, across, ..] => [*down, *across],
        [] => return,
    };
    let count = down * across;
    let rows = if classes.len() == 1 { 1 } else { ACROSS };
    let words =
        Text::new(left, top + 10.0, format!("outputs: {count} sub-grids that share no input")).size(11.0);
    scene.push(words.paint(Paint::Quiet));
    for y in 0..rows {
        for x in 0..ACROSS {
            let class = y % down * across + x % across;
            let place = [left + x as f64 * CELL, top + 18.0 + y as f64 * CELL, CELL - 1.0, CELL - 1.0];
            let number = usize::try_from(class).unwrap_or(0);
            scene.push(Rect::filled(place, Paint::Tint(number % SERIES)));
            let letter = char::from(b'a' + u8::try_from(class).unwrap_or(25)).to_string();
            let at = (place[0] + place[2] / 2.0, place[1] + place[3] / 2.0 + 4.0);
            scene.push(Text::new(at.0, at.1, letter).size(11.0).anchor(Anchor::Middle));
        }
    }
    let bottom = top + 18.0 + rows as f64 * CELL;
    let words = "outputs with different letters have no input in common";
    scene.push(Text::new(left, bottom + 14.0, words).size(10.5).paint(Paint::Quiet));
    scene.height = scene.height.max(bottom + 18.0);
}

/// Draws the scale of multiplicities; returns the y below it.
fn bar(scene: &mut Scene, hottest: f64, top: f64) -> f64 {
    const STEP: f64 = 5.0;
    let steps = LEVELS as usize;
    for step in 0..=steps {
        let place = [MARGIN + step as f64 * STEP, top, STEP, 12.0];
        scene.push(Rect::filled(place, Paint::Heat(step as f64 / LEVELS)));
    }
    let most = hottest.exp().round().min(1e19) as u64;
    let most = if most < 100_000 { grouped(most) } else { magnitude(most) };
    let words = format!("read 1 to {most} times; shades by the fourth root");
    let right = MARGIN + (steps + 1) as f64 * STEP + 8.0;
    scene.push(Text::new(right, top + 10.0, words).size(11.0));
    top + 12.0
}

/// Draws what marks mean, one below the other; returns the y below.
pub(super) fn legend(scene: &mut Scene, left: f64, mut top: f64, entries: &[(Mark, String)]) -> f64 {
    for (mark, words) in entries {
        let mut tiles = Tiles::of_side(13.0);
        tiles.put((left, top), 0, 0, *mark);
        tiles.draw(scene);
        scene.push(Rect::outline([left, top, 12.0, 12.0], Stroke::new(Paint::Rule, 0.75)));
        scene.push(Text { weight: Weight::Regular, ..Text::new(left + 20.0, top + 10.0, words).size(11.0) });
        top += 18.0;
    }
    top - if entries.is_empty() { 0.0 } else { 4.0 }
}
