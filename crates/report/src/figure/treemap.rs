//! Where the parameters, MACs or bytes of a network are: blocks within blocks, each as large as its figure.
//!
//! The rectangles are squarified (Bruls, Huizing & van Wijk 2000), so that they are compared easily.

use std::collections::HashMap;

use crate::figure::font::{self, Weight};
use crate::figure::kind::{self, KINDS};
use crate::figure::scene::{Item, Rect, Scene, Stroke, Text};
use crate::figure::theme::Paint;
use crate::params::{ParamsLayer, ParamsSummary};
use cnnkit_core::number::{bytes, grouped, magnitude, share};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 440.0;
const MARGIN: f64 = 16.0;
/// The deepest nesting of blocks; what lies below is drawn in the last one.
const DEEPEST: usize = 12;
/// Height of the line with a block's name.
const HEADER: f64 = 17.0;
/// Distance between a block's border and what it contains.
const INSET: f64 = 2.0;

/// What the areas show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum Area {
    /// Parameters
    #[default]
    Params,
    /// Multiply-accumulates
    Macs,
    /// Bytes of the layers' outputs
    Bytes,
}

impl Area {
    fn of(self, layer: &ParamsLayer, bytes_each: u64) -> u64 {
        match self {
            Self::Params => layer.params,
            Self::Macs => layer.macs,
            Self::Bytes => layer.activations.saturating_mul(bytes_each),
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Params => "parameters",
            Self::Macs => "MACs",
            Self::Bytes => "of layer outputs",
        }
    }

    fn exactly(self, value: u64) -> String {
        let shown = if self == Self::Bytes { bytes(value) } else { grouped(value) };
        format!("{shown} {}", self.words())
    }

    fn shortly(self, value: u64) -> String {
        if self == Self::Bytes { bytes(value) } else { magnitude(value) }
    }
}

/// A block or a layer.
#[derive(Debug, Default)]
struct Part<'a> {
    name: String,
    layer: Option<&'a ParamsLayer>,
    value: f64,
    parts: Vec<Part<'a>>,
    /// The places of blocks in `parts`, while it grows.
    blocks: HashMap<&'a str, usize>,
}

/// Returns the figure of `summary`.
pub fn of(summary: &ParamsSummary, area: Area) -> Scene {
    let each = summary.dtype.bytes();
    let mut root = Part::default();
    for layer in &summary.layers {
        let value = area.of(layer, each);
        if value > 0 {
            let path: Vec<&str> = layer.id.splitn(DEEPEST, '.').collect();
            insert(&mut root, &path, layer, value as f64);
        }
    }
    join(&mut root);
    sort(&mut root);
    let whole = summary.layers.iter().map(|layer| area.of(layer, each)).fold(0, u64::saturating_add);
    let title = match area {
        Area::Params => format!("Parameters of {}", summary.name),
        Area::Macs => format!("MACs of {}", summary.name),
        Area::Bytes => format!("Bytes of the layer outputs of {}", summary.name),
    };
    let parts = summary.layers.iter().filter(|layer| area.of(layer, each) > 0).count();
    let layers = if parts == 1 { "layer" } else { "layers" };
    let remark =
        format!("{} in {} {layers}; areas are proportional", area.exactly(whole), grouped(parts as u64));
    let mut scene = Scene::new(&title, &remark);
    scene.width = WIDTH;
    let top = scene.heading(MARGIN, MARGIN, &title, &remark);
    let page = [MARGIN, top, WIDTH - 2.0 * MARGIN, HEIGHT];
    if whole == 0 {
        scene.push(
            Text::new(MARGIN, top + 12.0, format!("There are no {}.", area.words())).paint(Paint::Quiet),
        );
        scene.height = top + 12.0 + MARGIN;
        scene.widen(MARGIN);
        return scene;
    }
    let draw = Draw { area, each, whole: root.value };
    let mut items = Vec::new();
    draw.children(&mut items, &root, page, 0);
    scene.items.append(&mut items);
    let bottom = legend(&mut scene, summary, area, top + HEIGHT + 12.0);
    scene.height = bottom + MARGIN;
    scene.widen(MARGIN);
    scene
}

/// Adds a layer below the blocks of its path.
fn insert<'a>(part: &mut Part<'a>, path: &[&'a str], layer: &'a ParamsLayer, value: f64) {
    part.value += value;
    let (block, rest) = match path {
        [] => return,
        // A layer and a block may have the same name; they stay apart.
        [name] => {
            part.parts.push(Part { name: (*name).to_owned(), layer: Some(layer), value, ..Part::default() });
            return;
        }
        [block, rest @ ..] => (*block, rest),
    };
    let at = *part.blocks.entry(block).or_insert_with(|| {
        part.parts.push(Part { name: block.to_owned(), ..Part::default() });
        part.parts.len() - 1
    });
    insert(&mut part.parts[at], rest, layer, value);
}

/// Joins a block with the only part that it has.
fn join(part: &mut Part<'_>) {
    part.parts.iter_mut().for_each(join);
    for child in &mut part.parts {
        if child.layer.is_none()
            && child.parts.len() == 1
            && let Some(mut only) = child.parts.pop()
        {
            only.name = format!("{}.{}", child.name, only.name);
            *child = only;
        }
    }
}

/// Puts the largest part first; of equal ones the first in the network.
fn sort(part: &mut Part<'_>) {
    part.parts.iter_mut().for_each(sort);
    part.parts.sort_by(|a, b| b.value.total_cmp(&a.value));
}

struct Draw {
    area: Area,
    each: u64,
    whole: f64,
}

impl Draw {
    fn children(&self, out: &mut Vec<Item>, part: &Part<'_>, page: [f64; 4], depth: usize) {
        let values: Vec<f64> = part.parts.iter().map(|child| child.value).collect();
        for (child, place) in part.parts.iter().zip(squarify(&values, page)) {
            match child.layer {
                Some(layer) => self.leaf(out, child, layer, place),
                None => self.block(out, child, place, depth),
            }
        }
    }

    fn block(&self, out: &mut Vec<Item>, part: &Part<'_>, place: [f64; 4], depth: usize) {
        let [x, y, width, height] = place;
        let border = Stroke::new(if depth == 0 { Paint::Ink } else { Paint::Rule }, 1.0);
        let [mut inner_x, mut inner_y, mut inner_width, mut inner_height] = place;
        if width > 3.0 * INSET + 8.0 && height > 3.0 * INSET + 8.0 {
            (inner_x, inner_y) = (x + INSET, y + INSET);
            (inner_width, inner_height) = (width - 2.0 * INSET, height - 2.0 * INSET);
        }
        let mut items = Vec::new();
        let (size, weight) = if depth == 0 { (12.0, Weight::Bold) } else { (11.0, Weight::Regular) };
        let roomy = width > 44.0 && height > 2.6 * HEADER;
        if let Some(label) = label(&part.name, size, weight, inner_width - 6.0).filter(|_| roomy) {
            let mut words = Text::new(inner_x + 3.0, inner_y + 12.0, label).size(size);
            words.weight = weight;
            let end = words.ends().1;
            items.push(words.into());
            let share =
                Text::new(end + 6.0, inner_y + 12.0, self.share(part.value)).size(size).paint(Paint::Quiet);
            if share.ends().1 <= inner_x + inner_width - 3.0 {
                items.push(share.into());
            }
            inner_y += HEADER;
            inner_height -= HEADER;
        }
        self.children(&mut items, part, [inner_x, inner_y, inner_width, inner_height], depth + 1);
        if width > 6.0 && height > 6.0 {
            items.push(Rect::outline([x + 0.5, y + 0.5, width - 1.0, height - 1.0], border).into());
        }
        let exact = self.area.exactly(part.value as u64);
        out.push(Item::Group(format!("{}: {exact}, {}", part.name, self.share(part.value)), items));
    }

    fn leaf(
        &self,
        out: &mut Vec<Item>,
        part: &Part<'_>,
        layer: &ParamsLayer,
        [x, y, width, height]: [f64; 4],
    ) {
        let paint = Paint::Tint(KINDS[kind::of(layer.op)].1);
        let mut rect = Rect::filled([x, y, width, height], paint);
        if width > 3.0 && height > 3.0 {
            rect.stroke = Some(Stroke::new(Paint::Paper, 1.0));
        }
        let value = self.area.of(layer, self.each);
        let mut items = vec![rect.into()];
        let room = width - 8.0;
        let (size, weight) = (11.0, Weight::Regular);
        if height > 16.0
            && width > 28.0
            && let Some(label) = label(&part.name, size, weight, room)
        {
            items.push(Text::new(x + 4.0, y + 13.0, label).size(size).into());
            let short = self.area.shortly(value);
            if height > 31.0 && font::width(&short, size, weight) <= room {
                items.push(Text::new(x + 4.0, y + 27.0, short).size(size).paint(Paint::Quiet).into());
            }
        }
        let words = format!("{} {}", layer.op, layer.settings);
        let exact = self.area.exactly(value);
        out.push(Item::Group(
            format!("{}, {}: {exact}, {}", layer.id, words.trim_end(), self.share(part.value)),
            items,
        ));
    }

    fn share(&self, value: f64) -> String {
        share(value / self.whole)
    }
}

/// Returns the name, or the beginning of a dotted one that fits, or a long one cut at its end.
fn label(name: &str, size: f64, weight: Weight, room: f64) -> Option<String> {
    let fits = |text: &str| font::width(text, size, weight) <= room;
    let parts = std::iter::successors(Some(name), |text| Some(text.rsplit_once('.')?.0));
    let whole = parts.into_iter().find(|text| fits(text)).map(str::to_owned);
    whole.or_else(|| font::cut(name, size, weight, room).filter(|cut| cut.chars().count() > 6))
}

/// Draws what the colours mean, with each kind's share; returns the y below.
fn legend(scene: &mut Scene, summary: &ParamsSummary, area: Area, top: f64) -> f64 {
    let mut sums = [0u64; KINDS.len()];
    for layer in &summary.layers {
        let sum = &mut sums[kind::of(layer.op)];
        *sum = sum.saturating_add(area.of(layer, summary.dtype.bytes()));
    }
    let whole: f64 = sums.iter().map(|&sum| sum as f64).sum();
    let mut x = MARGIN;
    for (kind, &sum) in sums.iter().enumerate().filter(|(_, sum)| **sum > 0) {
        let mut swatch = Rect::filled([x, top, 12.0, 12.0], Paint::Tint(KINDS[kind].1));
        swatch.stroke = Some(Stroke::new(Paint::Rule, 1.0));
        scene.push(swatch);
        let words =
            Text::new(x + 18.0, top + 10.0, format!("{} {}", KINDS[kind].0, share(sum as f64 / whole)))
                .size(11.0);
        x = words.ends().1 + 20.0;
        scene.push(words);
    }
    top + 12.0
}

/// Divides `page` into rectangles with areas proportional to `values`, which descend, as square as possible: a row
/// grows along the shorter side as long as its worst ratio of sides gets no worse.
fn squarify(values: &[f64], page: [f64; 4]) -> Vec<[f64; 4]> {
    let whole: f64 = values.iter().sum();
    let [mut x, mut y, mut width, mut height] = page.map(|side| side.max(0.0));
    let scale = if whole > 0.0 { width * height / whole } else { 0.0 };
    let areas: Vec<f64> = values.iter().map(|value| value * scale).collect();
    let mut out = Vec::with_capacity(areas.len());
    let mut rest = areas.as_slice();
    while !rest.is_empty() {
        let side = width.min(height);
        // The worst ratio of a row with this sum, largest and smallest area.
        let worst = |sum: f64, most: f64, least: f64| {
            let square = side * side;
            (square * most / (sum * sum)).max(sum * sum / (square * least.max(f64::MIN_POSITIVE)))
        };
        let (mut taken, mut sum) = (1, rest[0]);
        while let Some(&next) = rest.get(taken) {
            if worst(sum + next, rest[0], next) > worst(sum, rest[0], rest[taken - 1]) {
                break;
            }
            sum += next;
            taken += 1;
        }
        let (row, after) = rest.split_at(taken);
        let depth = if side > 0.0 { sum / side } else { 0.0 };
        let mut along = 0.0;
        for area in row {
            let length = if depth > 0.0 { area / depth } else { 0.0 };
            out.push(if width >= height {
                [x, y + along, depth, length]
            } else {
                [x + along, y, length, depth]
            });
            along += length;
        }
        if width >= height {
            x += depth;
            width = (width - depth).max(0.0);
        } else {
            y += depth;
            height = (height - depth).max(0.0);
        }
        rest = after;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_paper_is_divided_as_printed() {
        // Bruls et al. 2000, figure 4: 6, 6, 4, 3, 2, 2, 1 in 6 x 4. The first row takes both 6 in a column 3 wide.
        let found = squarify(&[6.0, 6.0, 4.0, 3.0, 2.0, 2.0, 1.0], [0.0, 0.0, 6.0, 4.0]);
        let expected = [[0.0, 0.0, 3.0, 2.0], [0.0, 2.0, 3.0, 2.0], [3.0, 0.0, 12.0 / 7.0, 7.0 / 3.0]];
        for (found, expected) in found.iter().zip(expected) {
            for (a, b) in found.iter().zip(expected) {
                assert!((a - b).abs() < 1e-9, "{found:?} {expected:?}");
            }
        }
    }

    #[test]
    fn rectangles_fill_the_page_and_do_not_overlap() {
        let values: Vec<f64> = (1..200).rev().map(|n| f64::from(n * n)).collect();
        let page = [10.0, 20.0, 300.0, 200.0];
        let places = squarify(&values, page);
        let whole: f64 = values.iter().sum();
        for (value, [x, y, width, height]) in values.iter().zip(&places) {
            assert!((width * height - value / whole * 60_000.0).abs() < 1e-6);
            assert!(*x >= 10.0 - 1e-6 && x + width <= 310.0 + 1e-6, "{x} {width}");
            assert!(*y >= 20.0 - 1e-6 && y + height <= 220.0 + 1e-6, "{y} {height}");
        }
        for (i, a) in places.iter().enumerate() {
            for b in &places[..i] {
                let across = (a[0] + a[2]).min(b[0] + b[2]) - a[0].max(b[0]);
                let down = (a[1] + a[3]).min(b[1] + b[3]) - a[1].max(b[1]);
                assert!(across < 1e-6 || down < 1e-6, "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn nothing_has_no_area() {
        assert_eq!(squarify(&[], [0.0, 0.0, 1.0, 1.0]), Vec::<[f64; 4]>::new());
        assert!(squarify(&[0.0, 0.0], [0.0, 0.0, 0.0, 0.0]).iter().flatten().all(|side| *side == 0.0));
    }
}
