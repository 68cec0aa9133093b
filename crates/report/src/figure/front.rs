//! The best dilation rates: receptive field against evenness, one line per number of layers, with published schedules.

use crate::design::{DesignEntry, DesignSummary, SearchSummary, Standing, written};
use crate::figure::axis::{Frame, Scale, labelled};
use crate::figure::scene::{Anchor, Circle, Item, Path, Scene, Step, Stroke, Text};
use crate::figure::theme::{Paint, SERIES};

const MARGIN: f64 = 16.0;
const LABELS: f64 = 48.0;
const WIDTH: f64 = 560.0;
/// Heights of the charts of evenness and of variation.
const HEIGHTS: (f64, f64) = (260.0, 120.0);
/// Most labels of points; further ones would hide the points.
const MOST_LABELS: usize = 40;
const SIZE: f64 = 10.5;

/// Returns the figure of `summary`, two charts per kernel.
pub fn of(summary: &DesignSummary) -> Scene {
    let title = "Dilation rates: receptive field, evenness and variation";
    let searches = summary.searches();
    let remark = match searches {
        [only] => only.title(),
        several => format!("{} kernels", several.len()),
    };
    let mut scene = Scene::new(title, &remark);
    let mut top = scene.heading(MARGIN, MARGIN, title, &remark);
    for search in searches {
        if searches.len() > 1 {
            scene.push(Text::new(MARGIN, top + 12.0, search.title()).bold());
            top += 20.0;
        }
        top = charts(&mut scene, search, top + 30.0) + 56.0;
    }
    for words in [
        "Filled: schedules that none with as few layers surpasses in receptive field, evenness and variation. Hollow: published.",
        "Evenness: smallest / largest multiplicity of an axis, better above. Variation: standard deviation / mean, better below.",
    ] {
        scene.push(Text::new(MARGIN, top, words).size(SIZE).paint(Paint::Quiet));
        top += 15.0;
    }
    scene.height = top - 8.0 + MARGIN;
    scene.widen(MARGIN);
    scene
}

/// A point of a chart.
struct Mark<'a> {
    design: &'a DesignEntry,
    at: (f64, f64),
    published: bool,
}

/// What the charts of a search show: the front by layers, and published schedules.
struct Shown<'a> {
    layers: Vec<(usize, Vec<&'a DesignEntry>)>,
    published: Vec<&'a DesignEntry>,
}

impl<'a> Shown<'a> {
    fn of(search: &'a SearchSummary) -> Self {
        // A schedule with holes has an evenness of 0, which has no logarithm.
        let even = |design: &&DesignEntry| design.evenness > 0.0;
        let known = search.known.iter().filter(|known| known.place != Standing::OnTheFront);
        let mut layers: Vec<(usize, Vec<&DesignEntry>)> = Vec::new();
        for design in search.front.iter().filter(even) {
            match layers.iter_mut().find(|(count, _)| *count == design.layers) {
                Some((_, line)) => line.push(design),
                None => layers.push((design.layers, vec![design])),
            }
        }
        layers.sort_by_key(|(count, _)| *count);
        layers.iter_mut().for_each(|(_, line)| line.sort_by_key(|design| design.size));
        Self { layers, published: known.map(|known| &known.design).filter(even).collect() }
    }

    fn bounds(&self, of: impl Fn(&DesignEntry) -> f64) -> (f64, f64) {
        let front = self.layers.iter().flat_map(|(_, line)| line);
        let values = front.chain(&self.published).map(|design| of(design));
        values.fold((f64::MAX, f64::MIN), |(least, most), value| (least.min(value), most.max(value)))
    }
}

/// Draws the charts of one search, one below the other; returns the y below them.
fn charts(scene: &mut Scene, search: &SearchSummary, top: f64) -> f64 {
    let shown = Shown::of(search);
    if shown.layers.is_empty() {
        let words = "No schedule without holes satisfies the requirements.";
        scene.push(Text::new(MARGIN, top - 14.0, words).paint(Paint::Quiet));
        return top - 50.0;
    }
    let left = MARGIN + LABELS;
    let frame = |top: f64, height: f64| Frame { left, right: left + WIDTH, top, bottom: top + height };
    let (upper, lower) = (frame(top, HEIGHTS.0), frame(top + HEIGHTS.0 + 40.0, HEIGHTS.1));
    let (narrow, wide) = shown.bounds(|design| design.size as f64);
    let room = ((wide - narrow) * 0.06).max(1.0);
    let x = Scale::linear(((narrow - room).max(0.0), wide + room), (upper.left, upper.right));
    let (least, most) = shown.bounds(|design| design.evenness);
    let y = Scale::log((least / 1.5, (most * 1.3).min(1.0)), (upper.bottom, upper.top));
    upper.draw_y(scene, &y, &labelled(&y.ticks(5)), "evenness (log)");
    chart(scene, &upper, &shown, |design| (x.at(design.size as f64), y.at(design.evenness)), true);
    let (_, most) = shown.bounds(|design| design.variation);
    let y = Scale::linear((0.0, most * 1.1), (lower.bottom, lower.top));
    lower.draw_y(scene, &y, &labelled(&y.ticks(3)), "variation");
    chart(scene, &lower, &shown, |design| (x.at(design.size as f64), y.at(design.variation)), false);
    lower.draw_x(scene, &x, &labelled(&x.ticks(8)), "receptive field per axis, positions");
    lower.bottom
}

fn chart(
    scene: &mut Scene,
    frame: &Frame,
    shown: &Shown<'_>,
    at: impl Fn(&DesignEntry) -> (f64, f64),
    named: bool,
) {
    let mut marks: Vec<Mark<'_>> = Vec::new();
    let mut ends: Vec<Text> = Vec::new();
    let mut lines: Vec<[f64; 4]> = Vec::new();
    for (n, (count, line)) in shown.layers.iter().enumerate() {
        let points: Vec<(f64, f64)> = line.iter().map(|design| at(design)).collect();
        scene.line(&points, Stroke::new(Paint::Series(n), 1.25));
        lines.extend(points.windows(2).flat_map(along));
        for (design, &at) in line.iter().zip(&points) {
            let shape = symbol(n, at, Some(Paint::Series(n)), Paint::Series(n));
            scene.push(Item::Group(sentence(design), vec![shape]));
            marks.push(Mark { design, at, published: false });
        }
        if let Some(&(end_x, end_y)) = points.last() {
            let words = format!("{count} layer{}", if *count == 1 { "" } else { "s" });
            ends.push(Text::new(end_x, end_y, words).bold().size(11.0).paint(Paint::Series(n)));
        }
    }
    for design in &shown.published {
        let at = at(design);
        let n = shown.layers.iter().position(|(count, _)| *count == design.layers).unwrap_or(0);
        scene.push(Item::Group(
            format!("published: {}", sentence(design)),
            vec![symbol(n, at, Some(Paint::Paper), Paint::Ink)],
        ));
        marks.push(Mark { design, at, published: true });
    }
    if named {
        labels(scene, frame, &marks, ends, lines);
    }
}

/// Returns places along a straight line that labels should leave free.
fn along(ends: &[(f64, f64)]) -> Vec<[f64; 4]> {
    let [(x0, y0), (x1, y1)] = *ends else { return vec![] };
    let steps = (((x1 - x0).hypot(y1 - y0) / 8.0).ceil() as usize).clamp(1, 100);
    let at = |i: usize| i as f64 / steps as f64;
    let boxed = |i: usize| {
        let (x, y) = (x0 + (x1 - x0) * at(i), y0 + (y1 - y0) * at(i));
        [x - 4.0, y - 1.5, x + 4.0, y + 1.5]
    };
    (0..=steps).map(boxed).collect()
}

fn sentence(design: &DesignEntry) -> String {
    format!("{}: {} positions, evenness {:.4}", written(&design.rates), design.size, design.evenness)
}

/// The n-th symbol: a disc, a square, a diamond, a triangle.
fn symbol(n: usize, (x, y): (f64, f64), fill: Option<Paint>, line: Paint) -> Item {
    let stroke = Some(Stroke::new(line, 1.25));
    let corners: &[(f64, f64)] = match n % SERIES {
        0 => return Circle { x, y, radius: 3.25, fill, stroke }.into(),
        1 => &[(-3.0, -3.0), (3.0, -3.0), (3.0, 3.0), (-3.0, 3.0)],
        2 => &[(0.0, -4.5), (4.5, 0.0), (0.0, 4.5), (-4.5, 0.0)],
        3 => &[(0.0, -4.0), (4.0, 3.0), (-4.0, 3.0)],
        4 => &[(0.0, 4.0), (4.0, -3.0), (-4.0, -3.0)],
        _ => &[(-1.5, -4.0), (1.5, -4.0), (1.5, 4.0), (-1.5, 4.0)],
    };
    let mut steps: Vec<Step> = Vec::new();
    for (i, (across, down)) in corners.iter().enumerate() {
        let at = (x + across, y + down);
        steps.push(if i == 0 { Step::Move(at.0, at.1) } else { Step::Line(at.0, at.1) });
    }
    steps.push(Step::Close);
    Path { steps, fill, stroke }.into()
}

/// Places the labels where they hide no point and no other label, or leaves them out: ends of lines and published
/// schedules first, then the rest from both ends inwards.
fn labels(scene: &mut Scene, frame: &Frame, marks: &[Mark<'_>], ends: Vec<Text>, lines: Vec<[f64; 4]>) {
    let mut taken: Vec<[f64; 4]> = marks
        .iter()
        .map(|mark| [mark.at.0 - 5.0, mark.at.1 - 5.0, mark.at.0 + 5.0, mark.at.1 + 5.0])
        .collect();
    taken.extend(lines);
    let mut place = |scene: &mut Scene, words: &Text, (x, y): (f64, f64)| {
        let spots = [
            (8.0, 4.0, Anchor::Start),
            (7.0, -6.0, Anchor::Start),
            (7.0, 14.0, Anchor::Start),
            (0.0, -9.0, Anchor::Middle),
            (0.0, 18.0, Anchor::Middle),
            (-8.0, 4.0, Anchor::End),
            (-7.0, -6.0, Anchor::End),
            (-7.0, 14.0, Anchor::End),
        ];
        for (right, down, anchor) in spots {
            let moved = Text { x: x + right, y: y + down, anchor, ..words.clone() };
            let (start, end) = moved.ends();
            let place = [start - 1.0, moved.y - words.size * 0.8, end + 1.0, moved.y + words.size * 0.2];
            let inside =
                place[0] > frame.left && place[1] > frame.top - 12.0 && place[3] < frame.bottom - 1.0;
            let free = |other: &[f64; 4]| {
                place[2] <= other[0] || place[0] >= other[2] || place[3] <= other[1] || place[1] >= other[3]
            };
            if inside && taken.iter().all(free) {
                taken.push(place);
                scene.push(moved);
                return;
            }
        }
    };
    for words in ends {
        place(scene, &words, (words.x, words.y));
    }
    let mut order: Vec<&Mark<'_>> = marks.iter().filter(|mark| mark.published).collect();
    let rest: Vec<&Mark<'_>> = marks.iter().filter(|mark| !mark.published).collect();
    for i in 0..rest.len().div_ceil(2) {
        order.push(rest[rest.len() - 1 - i]);
        if rest.len() - 1 - i != i {
            order.push(rest[i]);
        }
    }
    for mark in order.into_iter().take(MOST_LABELS) {
        let rates: Vec<String> = mark.design.rates.iter().map(u64::to_string).collect();
        let words = Text::new(0.0, 0.0, rates.join(", ")).size(SIZE);
        let words = if mark.published { words } else { words.paint(Paint::Quiet) };
        place(scene, &words, mark.at);
    }
}
