//! How the receptive field grows with depth: its size and jump layer by layer, and its boxes over the input.

use std::collections::HashMap;

use crate::figure::axis::{Frame, Scale, labelled};
use crate::figure::font::{self, Weight};
use crate::figure::scene::{Anchor, Item, Path, Rect, Scene, Stroke, Text, polyline};
use crate::figure::theme::Paint;
use crate::rf::{RfLayer, RfSummary};
use cnnkit_core::graph::{Graph, NodeId};

const MARGIN: f64 = 16.0;
/// Room for the labels of the vertical axis.
const LABELS: f64 = 40.0;
const CHART: (f64, f64) = (420.0, 230.0);
/// Height of the chart of jumps.
const JUMPS: f64 = 72.0;
/// Side of the drawing of the input.
const INPUT: f64 = 230.0;
/// Most blocks whose ends are drawn.
const MOST_BANDS: usize = 40;
/// Most boxes over the input.
const MOST_BOXES: usize = 7;

/// The fields at one depth, over all layers there, along one axis.
#[derive(Debug, Clone, Copy)]
struct Level {
    largest: f64,
    smallest: f64,
    jump: f64,
}

/// The fields of a network by depth: the number of layers on the longest way that widen the field or change its jump.
#[derive(Debug)]
struct Growth<'a> {
    /// For each axis, the fields at each depth from 0, the input; none where all are global.
    axes: Vec<Vec<Option<Level>>>,
    /// Id and depth of the first layer that sees the whole input.
    global: Option<(&'a str, usize)>,
    /// Blocks of the top level in order, each with its last depth and its last local layer.
    blocks: Vec<(&'a str, usize, &'a RfLayer)>,
    /// Size of the input, per axis.
    input: Vec<u64>,
    /// Its id.
    input_id: &'a str,
}

/// Returns the figure of `summary`, which has all layers of `graph`; none if no layer has spatial axes.
pub fn of(summary: &RfSummary, graph: &Graph) -> Option<Scene> {
    let growth = Growth::of(summary, graph)?;
    let title = format!("Receptive field of {}", summary.name);
    let remark = growth.sentence(graph.inputs().count() > 1);
    let mut scene = Scene::new(&title, &remark);
    let top = scene.heading(MARGIN, MARGIN, &title, &remark) + 44.0;
    let left = MARGIN + LABELS;
    let bottom = growth.sizes(&mut scene, left, top);
    let bottom = growth.jumps(&mut scene, left, bottom + 34.0);
    let right = left + CHART.0 + 84.0;
    growth.boxes(&mut scene, right, top);
    scene.height = bottom + 44.0 + MARGIN;
    scene.widen(MARGIN);
    Some(scene)
}

impl<'a> Growth<'a> {
    fn of(summary: &'a RfSummary, graph: &'a Graph) -> Option<Self> {
        // The input that most layers read, the first of equals.
        let reads = |input: NodeId| summary.layers.iter().filter(|layer| layer.facts.input == input).count();
        let (input, source) =
            graph.inputs().max_by_key(|(id, _)| (reads(*id), std::cmp::Reverse(id.index())))?;
        let axes = source.shape.spatial().len();
        let mut of_node: Vec<Option<&RfLayer>> = vec![None; graph.nodes().len()];
        for layer in summary.layers.iter().filter(|layer| layer.facts.input == input) {
            of_node[layer.facts.node.index()] = Some(layer);
        }
        let mut depths = vec![0usize; graph.nodes().len()];
        let mut levels: Vec<Vec<Option<Level>>> = vec![vec![Some(POINT)]; axes];
        let mut global = None;
        let mut blocks: Vec<(&str, usize, &RfLayer)> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        for (id, node) in graph.iter() {
            let Some(layer) = of_node[id.index()] else { continue };
            let before = node.inputs.iter().map(|input| depths[input.index()]).max().unwrap_or(0);
            let depth = before + usize::from(widens(layer, &node.inputs, &of_node));
            depths[id.index()] = depth;
            if layer.facts.global {
                global = global.or(Some((layer.id.as_str(), depth)));
                continue;
            }
            if layer.facts.axes.len() != axes {
                continue;
            }
            for (levels, axis) in levels.iter_mut().zip(&layer.facts.axes).filter(|(_, axis)| !axis.global) {
                levels.resize(levels.len().max(depth + 1), None);
                let jump = *axis.jump.numer() as f64 / *axis.jump.denom() as f64;
                let (largest, smallest) = (axis.size as f64, axis.smallest.unwrap_or(axis.size) as f64);
                let here = levels[depth].get_or_insert(Level { largest, smallest, jump });
                here.largest = here.largest.max(largest);
                here.smallest = here.smallest.min(smallest);
                here.jump = here.jump.max(jump);
            }
            let block = layer.id.split('.').next().unwrap_or_default();
            let at = *places.entry(block).or_insert(blocks.len());
            match blocks.get_mut(at) {
                Some(known) if depth >= known.1 => (known.1, known.2) = (depth, layer),
                Some(_) => {}
                None => blocks.push((block, depth, layer)),
            }
        }
        let deepest = levels.iter().map(Vec::len).max().unwrap_or(0);
        if axes == 0 || deepest < 2 {
            return None;
        }
        for levels in &mut levels {
            levels.resize(deepest, None);
            // The shortest path at a depth or below it: within a module the branch is longer than its shortcut.
            let mut least = f64::INFINITY;
            for level in levels.iter_mut().rev().flatten() {
                least = least.min(level.smallest);
                level.smallest = least;
            }
        }
        let input_sizes = source.shape.spatial().to_vec();
        Some(Self { axes: levels, global, blocks, input: input_sizes, input_id: &source.id })
    }

    fn deepest(&self) -> usize {
        self.axes.first().map_or(1, Vec::len) - 1
    }

    /// The axes that are drawn: one if all agree.
    fn series(&self) -> Vec<(usize, String)> {
        let same = |a: &Option<Level>, b: &Option<Level>| match (a, b) {
            (Some(a), Some(b)) => a.largest == b.largest && a.smallest == b.smallest && a.jump == b.jump,
            (None, None) => true,
            _ => false,
        };
        let first = &self.axes[0];
        let alike = self.axes.iter().all(|axis| axis.iter().zip(first).all(|(a, b)| same(a, b)));
        if alike {
            return vec![(0, String::new())];
        }
        let names: &[&str] = match self.axes.len() {
            1 => &["L"],
            2 => &["H", "W"],
            _ => &["D", "H", "W"],
        };
        (0..self.axes.len())
            .map(|axis| (axis, names.get(axis).map_or(String::new(), |&name| name.into())))
            .collect()
    }

    fn last(&self, axis: usize) -> Level {
        self.axes[axis].iter().rev().flatten().next().copied().unwrap_or(POINT)
    }

    fn sentence(&self, several: bool) -> String {
        let extent = |values: Vec<String>| values.join(" x ");
        let sizes = extent((0..self.axes.len()).map(|axis| self.last(axis).largest.to_string()).collect());
        let input = extent(self.input.iter().map(u64::to_string).collect());
        let of = if several { format!(" {}", self.input_id) } else { String::new() };
        let last = format!("the last local field is {sizes}, the input{of} is {input}");
        match self.global {
            Some((id, _)) => format!("{last}; from {id} on, a unit sees the whole input"),
            None => last,
        }
    }

    fn horizontal(&self, left: f64) -> Scale {
        Scale::linear((0.0, self.deepest() as f64), (left, left + CHART.0))
    }

    /// Draws the sizes; returns the y below them.
    fn sizes(&self, scene: &mut Scene, left: f64, top: f64) -> f64 {
        let frame = Frame { left, right: left + CHART.0, top, bottom: top + CHART.1 };
        let x = self.horizontal(left);
        let most = self.axes.iter().flatten().flatten().map(|level| level.largest).fold(1.0, f64::max);
        let inputs = self.input.iter().map(|&size| size as f64);
        // The input's size is drawn where it does not squeeze the curve.
        let largest_input = inputs.clone().fold(0.0, f64::max);
        let shown = largest_input <= 2.5 * most;
        let y = Scale::linear(
            (0.0, if shown { most.max(largest_input) } else { most } * 1.05),
            (frame.bottom, frame.top),
        );
        self.bands(scene, &x, (frame.top - 14.0, frame.bottom + 34.0 + JUMPS));
        let above = Frame { top: frame.top - 18.0, ..frame };
        above.draw_y(scene, &y, &labelled(&y.ticks(5)), "receptive field, input positions");
        if let Some(size) = Some(largest_input).filter(|_| shown) {
            let at = y.at(size);
            scene.line(&[(frame.left, at), (frame.right, at)], Stroke::dashed(Paint::Ink, 1.0, 4.0));
            let name = Text::new(frame.left + 6.0, at - 5.0, format!("input {size}")).size(11.0);
            scene.push(name);
        }
        let series = self.series();
        for (n, (axis, name)) in series.iter().enumerate() {
            let points = |of: fn(&Level) -> f64| -> Vec<(f64, f64)> { stairs(&self.axes[*axis], &x, &y, of) };
            let (upper, lower) = (points(|level| level.largest), points(|level| level.smallest));
            if upper != lower && series.len() == 1 {
                let mut outline = upper.clone();
                outline.extend(lower.iter().rev());
                scene.area(&outline, Paint::Tint(n));
                scene.line(&lower, Stroke::new(Paint::Rule, 1.0));
            }
            scene.push(Path { steps: polyline(&upper), fill: None, stroke: Some(line(n)) });
            let Some(&(end_x, end_y)) = upper.last() else { continue };
            let largest = self.last(*axis).largest;
            let others = &series[n + 1..];
            let alike = |(other, _): &(usize, String)| self.last(*other).largest == largest;
            let names: Vec<&str> = std::iter::once(name)
                .chain(others.iter().map(|(_, name)| name))
                .map(String::as_str)
                .collect();
            let label = match names.as_slice() {
                // The axes differ on the way only.
                several if n == 0 && others.iter().all(alike) => format!("{} {largest}", several.join(", ")),
                _ if series.iter().all(alike) => continue,
                _ => format!("{name} {largest}"),
            };
            let label = label.trim_start().to_owned();
            // Labels of two axes that end close together would overlap.
            let shift = if n > 0 && (end_y - y.at(self.last(series[n - 1].0).largest)).abs() < 13.0 {
                14.0
            } else {
                0.0
            };
            scene.push(Text::new(end_x + 6.0, end_y + 4.0 + shift, label).bold().paint(Paint::Series(n)));
            if upper != lower && n == 0 && series.len() == 1 {
                let end = lower.last().map_or(end_y, |point| point.1);
                if (end - end_y).abs() > 26.0 {
                    let smallest = self.last(*axis).smallest;
                    let words = [format!("{smallest} by the"), "shortest path".to_owned()];
                    for (text, y) in words.into_iter().zip([end - 4.0, end + 8.0]) {
                        scene.push(Text::new(end_x + 6.0, y, text).size(10.0).paint(Paint::Quiet));
                    }
                }
            }
        }
        frame.bottom
    }

    /// Draws where the blocks of the top level end, with their names where there is room for most of them.
    fn bands(&self, scene: &mut Scene, x: &Scale, (top, bottom): (f64, f64)) {
        if self.blocks.len() > MOST_BANDS {
            return;
        }
        let (mut start, mut bands) = (0, 0);
        let mut labels = Vec::new();
        for (name, end, _) in &self.blocks {
            // A block beside the others has no range of its own.
            if *end <= start {
                continue;
            }
            let (left, right) = (x.at(start as f64), x.at(*end as f64));
            if *end < self.deepest() {
                scene.line(&[(right, top), (right, bottom)], Stroke::new(Paint::Grid, 1.0));
            }
            let label = Text::new(f64::midpoint(left, right), top + 8.0, *name).size(10.5);
            if label.width() < right - left - 4.0 {
                labels.push(label.anchor(Anchor::Middle).paint(Paint::Quiet));
            }
            bands += 1;
            start = *end;
        }
        if labels.len() * 2 > bands {
            labels.into_iter().for_each(|label| _ = scene.push(label));
        }
    }

    /// Draws the jumps below the sizes; returns the y of the axis.
    fn jumps(&self, scene: &mut Scene, left: f64, top: f64) -> f64 {
        let frame = Frame { left, right: left + CHART.0, top, bottom: top + JUMPS };
        let x = self.horizontal(left);
        let jumps = || self.axes.iter().flatten().flatten().map(|level| level.jump);
        let (least, most) = (jumps().fold(1.0, f64::min), jumps().fold(2.0, f64::max));
        let y = Scale::log((least, most * 1.15), (frame.bottom, frame.top));
        frame.draw_y(scene, &y, &labelled(&y.ticks(3)), "jump (log)");
        for (n, (axis, _)) in self.series().iter().enumerate() {
            let points = stairs(&self.axes[*axis], &x, &y, |level| level.jump);
            scene.push(Path { steps: polyline(&points), fill: None, stroke: Some(line(n)) });
            if let (Some(&(end_x, end_y)), 0) = (points.last(), n) {
                let label = self.last(*axis).jump.to_string();
                scene.push(Text::new(end_x + 6.0, end_y + 4.0, label).bold().paint(Paint::Series(n)));
            }
        }
        let ticks: Vec<f64> = x.ticks(8).into_iter().filter(|tick| tick.fract() == 0.0).collect();
        frame.draw_x(scene, &x, &labelled(&ticks), "depth: layers that widen the field or change its jump");
        frame.bottom
    }

    /// Draws the fields of the blocks over the input, each centred on the unit in the middle.
    fn boxes(&self, scene: &mut Scene, left: f64, top: f64) {
        let plane = |values: &[f64]| match values {
            [.., high, wide] => [*high, *wide],
            [wide] => [0.0, *wide],
            [] => [0.0, 0.0],
        };
        let size =
            |layer: &RfLayer| -> Vec<f64> { layer.facts.axes.iter().map(|axis| axis.size as f64).collect() };
        let local = |layer: &&(&str, usize, &RfLayer)| layer.2.facts.axes.iter().all(|axis| !axis.global);
        let mut fields: Vec<(&str, [f64; 2])> = Vec::new();
        for (name, _, layer) in self.blocks.iter().filter(local) {
            let field = plane(&size(layer));
            if field[1] > 1.0 && fields.last().is_none_or(|last| last.1 != field) {
                fields.push((name, field));
            }
        }
        fields.sort_by(|a, b| a.1[1].total_cmp(&b.1[1]));
        while fields.len() > MOST_BOXES {
            // The box that is closest to the next one says least.
            let ratio = |i: usize| fields[i + 1].1[1] / fields[i].1[1];
            let closest = (0..fields.len() - 1).min_by(|&a, &b| ratio(a).total_cmp(&ratio(b)));
            fields.remove(closest.unwrap_or(0));
        }
        let input = plane(&self.input.iter().map(|&size| size as f64).collect::<Vec<_>>());
        let widest = fields.iter().map(|(_, field)| *field).chain([input]).flatten().fold(1.0, f64::max);
        let scale = INPUT / widest;
        let (middle_x, middle_y) = (left + INPUT / 2.0, top + INPUT / 2.0);
        let title = "fields over the input, centred".to_owned();
        scene.push(Text::new(left, top - 14.0, title).size(11.0).paint(Paint::Quiet));
        let line_only = self.input.len() == 1;
        let place = |[high, wide]: [f64; 2], row: usize| {
            if line_only {
                [middle_x - wide * scale / 2.0, top + 8.0 + 22.0 * row as f64, wide * scale, 12.0]
            } else {
                [middle_x - wide * scale / 2.0, middle_y - high * scale / 2.0, wide * scale, high * scale]
            }
        };
        let whole = place(input, fields.len());
        scene.push(Rect::filled(whole, Paint::Grid));
        let mut last = top - 4.0;
        let right = left + INPUT + 14.0;
        let label = |scene: &mut Scene, text: String, from: (f64, f64), at: f64| {
            scene.line(&[from, (right - 8.0, at), (right - 3.0, at)], Stroke::new(Paint::Rule, 0.75));
            scene.push(Text::new(right, at + 4.0, text).size(11.0));
        };
        // Largest first, so that the labels follow the corners from the top downwards.
        for (row, (name, field)) in fields.iter().enumerate().rev() {
            let [x, y, width, height] = place(*field, row);
            let heat = if fields.len() > 1 {
                0.35 + 0.65 * (1.0 - row as f64 / (fields.len() - 1) as f64)
            } else {
                1.0
            };
            let beyond = field[0] > input[0] + 0.5 || field[1] > input[1] + 0.5;
            let stroke =
                Stroke { paint: Paint::Heat(heat), width: 1.75, dash: if beyond { 4.0 } else { 0.0 } };
            let name = font::cut(name, 11.0, Weight::Regular, 110.0).unwrap_or_default();
            let text = format!("{name} {}", field[1]);
            let rect = Rect::outline([x, y, width.max(1.0), height.max(1.0)], stroke);
            scene.push(Item::Group(text.clone(), vec![rect.into()]));
            let at = if line_only { y + 6.0 } else { y.max(last + 14.0) };
            label(scene, text, (x + width, if line_only { y + 6.0 } else { y }), at);
            last = at;
        }
        let bottom = whole[1] + whole[3];
        scene.push(Rect::outline(whole, Stroke::new(Paint::Ink, 1.0)));
        let at = if line_only { whole[1] + 6.0 } else { bottom.max(last + 14.0) };
        label(
            scene,
            format!("input {}", input[1]),
            (whole[0] + whole[2], if line_only { at } else { bottom }),
            at,
        );
        let below = if line_only { whole[1] + 34.0 } else { top + INPUT + 18.0 };
        if fields.iter().any(|(_, field)| field[0] > input[0] + 0.5 || field[1] > input[1] + 0.5) {
            let words = Text::new(left, below, "dashed: reaches beyond the input").size(10.5);
            scene.push(words.paint(Paint::Quiet));
        }
    }
}

/// The field of an input: the position itself.
const POINT: Level = Level { largest: 1.0, smallest: 1.0, jump: 1.0 };

/// Returns whether the field of `layer` is wider than those of all its inputs, or has another jump.
fn widens(layer: &RfLayer, inputs: &[NodeId], of_node: &[Option<&RfLayer>]) -> bool {
    let differs = |input: &NodeId| {
        let before = of_node[input.index()].map_or(&[][..], |before| &before.facts.axes);
        layer.facts.axes.iter().enumerate().any(|(i, axis)| match before.get(i) {
            Some(before) => axis.size > before.size || axis.jump != before.jump,
            // The input itself: a position, with a jump of 1.
            None => axis.size > 1 || axis.jump != 1.into(),
        })
    };
    inputs.iter().all(differs)
}

/// The line of the n-th series; dashes tell two of them apart without colour.
fn line(n: usize) -> Stroke {
    Stroke {
        paint: Paint::Series(n),
        width: if n == 0 { 2.0 } else { 1.5 },
        dash: if n == 0 { 0.0 } else { 4.0 },
    }
}

/// Returns the points of a line in which each depth is one step wide and ends at its number, as the blocks' ranges do; a
/// depth without a value keeps the last one.
fn stairs(levels: &[Option<Level>], x: &Scale, y: &Scale, of: fn(&Level) -> f64) -> Vec<(f64, f64)> {
    let mut out: Vec<(f64, f64)> = Vec::new();
    for (depth, level) in levels.iter().enumerate() {
        let Some(level) = level else { continue };
        let (at, value) = (x.at(depth.saturating_sub(1) as f64), y.at(of(level)));
        match out.last() {
            Some(&(_, before)) if before != value => out.extend([(at, before), (at, value)]),
            _ => out.push((at, value)),
        }
    }
    if let Some(&(_, value)) = out.last() {
        out.push((x.at((levels.len() - 1) as f64), value));
    }
    out.dedup();
    out
}
