//! The exact support of a unit: the positions that it reads, some of, or none of which.

use crate::figure::coverage::{Mark, Tiles};
use crate::figure::scene::{Scene, Text};
use crate::figure::theme::Paint;
use crate::support::Exact;
use cnnkit_core::analysis::field::Interval;
use cnnkit_core::number::group_digits;

const MARGIN: f64 = 16.0;
/// The longest side in cells; a larger support is scaled down.
const MOST_CELLS: usize = 160;
/// Side of the corner that is drawn position by position, in positions.
const CORNER: i128 = 72;

/// Returns the figure of `exact` in the network `name`; none unless it has two axes.
pub fn of(exact: &Exact, name: &str) -> Option<Scene> {
    let [rows, columns] = exact.hull.as_slice() else { return None };
    let count = |number: i128| group_digits(&number.to_string());
    let title = format!("Receptive field of {name}, unit in the middle of {}", exact.id);
    let remark = format!(
        "{} x {}, {} positions read, {} holes",
        count(rows.size()),
        count(columns.size()),
        count(exact.positions),
        count(exact.holes)
    );
    let mut scene = Scene::new(&title, &remark);
    let top = scene.heading(MARGIN, MARGIN, &title, &remark);
    let side = |size: i128| usize::try_from(size).unwrap_or(usize::MAX).min(MOST_CELLS);
    let shares = exact.region.densities(&exact.hull, side(rows.size()), side(columns.size()));
    let scaled = rows.size().max(columns.size()) > MOST_CELLS as i128;
    // With words above each of two maps, a single one needs none.
    let above = if scaled { 18.0 } else { 0.0 };
    if scaled {
        let cells = rows.size().max(columns.size()) as f64 / MOST_CELLS as f64;
        let words = format!("the whole box; a cell is {cells:.1} positions wide and high");
        scene.push(Text::new(MARGIN, top + 10.0, words).size(11.0).paint(Paint::Quiet));
    }
    let [width, height] = map(&mut scene, &shares, (MARGIN, top + above));
    scene.width = MARGIN * 2.0 + width;
    let mut bottom = top + above + height;
    if scaled && exact.holes > 0 {
        // Holes lie at corners first: the upper left one, where each cell is a position.
        let end = |axis: &Interval| Interval { lo: axis.lo, hi: axis.hi.min(axis.lo + CORNER - 1) };
        let corner = [end(rows), end(columns)];
        let cells = exact.region.densities(&corner, side(corner[0].size()), side(corner[1].size()));
        let left = MARGIN + width + 28.0;
        let words = format!("its upper left corner, {} x {} positions", corner[0].size(), corner[1].size());
        scene.push(Text::new(left, top + 10.0, words).size(11.0).paint(Paint::Quiet));
        let [wide, high] = map(&mut scene, &cells, (left, top + 18.0));
        scene.width = scene.width.max(left + wide + MARGIN);
        bottom = bottom.max(top + 18.0 + high);
    }
    let mut legend = vec![(Mark::Heat(0.75), "read".to_owned())];
    let marks: Vec<f64> = shares.iter().flatten().copied().collect();
    if marks.iter().any(|&share| share > 0.0 && share < 1.0) {
        legend.push((Mark::Partly(0.75), "partly read".to_owned()));
    }
    if marks.iter().any(|&share| share <= 0.0) {
        legend.push((Mark::Hole, "never read".to_owned()));
    }
    scene.height = crate::figure::coverage::legend(&mut scene, MARGIN, bottom + 14.0, &legend) + MARGIN;
    scene.widen(MARGIN);
    Some(scene)
}

/// Draws shares of cells as a map; returns its width and height.
fn map(scene: &mut Scene, shares: &[Vec<f64>], at: (f64, f64)) -> [f64; 2] {
    let across = shares.first().map_or(0, Vec::len);
    let mut tiles = Tiles::new(shares.len().max(across).max(1));
    for (row, line) in shares.iter().enumerate() {
        for (column, &share) in line.iter().enumerate() {
            let mark = match share {
                share if share <= 0.0 => Mark::Hole,
                share if share >= 1.0 => Mark::Heat(0.75),
                _ => Mark::Partly(0.75),
            };
            tiles.put(at, row, column, mark);
        }
    }
    let side = tiles.side();
    tiles.draw(scene);
    [side * across as f64, side * shares.len() as f64]
}
