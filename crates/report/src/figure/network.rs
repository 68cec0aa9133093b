//! A network as a drawing: layers and blocks from top to bottom, equal blocks in a row drawn once.

use std::collections::HashMap;

use crate::figure::font::{self, Weight};
use crate::figure::kind::{self, KINDS};
use crate::figure::scene::{Anchor, Item, Path, Rect, Scene, Step, Stroke, Text};
use crate::figure::theme::Paint;
use crate::layout::{Block, Drawing, Placed, Shown, Slot, Spacing, Tree, Wire, place};
use cnnkit_core::analysis::totals;
use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_core::graph::{Graph, Node, Op};
use cnnkit_core::number::{counted, magnitude};

const MARGIN: f64 = 16.0;
/// Without a depth, as many levels of blocks are open as give no more boxes than this.
const READABLE: usize = 48;
/// The most boxes; a drawing with more of them shows nothing.
const MOST_BOXES: usize = 10_000;
/// The widest name or setting.
const WIDEST: f64 = 260.0;
const SMALL: f64 = 11.0;
/// How far the sheets of equal blocks stand out behind the first.
const SHEET: f64 = 4.0;

/// Returns the figure of `graph`, with `depth` levels of blocks open, or as many as a reader can take in.
///
/// # Errors
/// If there are too many boxes or connections to be drawn.
pub fn of(graph: &Graph, depth: Option<usize>) -> Result<Scene, Problem> {
    let too_many = |what: &str| {
        Problem::new(Code::Limit, format!("not supported: a drawing of {what}"))
            .help("open fewer levels of blocks: `--depth 2`")
    };
    let mut tree = Tree::of(graph).ok_or_else(|| too_many("so many connections"))?;
    let times = join_equal(&mut tree, graph);
    let page = Page { graph, tree: &tree, times: &times };
    let drawing = page.drawn(depth.unwrap_or_else(|| page.readable()));
    let drawing = drawing.ok_or_else(|| too_many(&format!("more than {MOST_BOXES} boxes")))?;
    let counts = totals::of_graph(graph);
    let inputs: Vec<String> = graph.inputs().map(|(_, node)| shape(node)).collect();
    let remark = format!(
        "{}, {} MACs, input {}",
        counted(counts.params, "parameter"),
        magnitude(counts.macs),
        inputs.join(" and ")
    );
    let mut scene = Scene::new(graph.name(), &remark);
    let top = scene.heading(MARGIN, MARGIN, graph.name(), &remark) + 4.0;
    scene.width = drawing.size[0] + 2.0 * MARGIN;
    scene.widen(MARGIN);
    // A narrow drawing stands in the middle below its title.
    let left = (scene.width - drawing.size[0]) / 2.0;
    page.draw(&mut scene, &drawing, [left.max(MARGIN), top]);
    let bottom = top + drawing.size[1] + 22.0;
    scene.height = page.legend(&mut scene, &drawing, bottom) + MARGIN;
    scene.widen(MARGIN);
    Ok(scene)
}

fn shape(node: &Node) -> String {
    node.known_shape().map_or_else(
        || "?".to_owned(),
        |shape| shape.sizes().iter().map(u64::to_string).collect::<Vec<_>>().join("×"),
    )
}

struct Page<'a> {
    graph: &'a Graph,
    tree: &'a Tree,
    /// For each block, the number of equal blocks that it stands for.
    times: &'a [usize],
}

impl Page<'_> {
    /// Returns the drawing with `depth` levels open; none if it would have too many boxes.
    fn drawn(&self, depth: usize) -> Option<Drawing> {
        let open = self.tree.open_to(depth);
        (self.boxes(&open, 0) <= MOST_BOXES).then(|| self.place(&open))
    }

    /// Returns how many levels can be open in a drawing that is read at a glance; at least one.
    fn readable(&self) -> usize {
        let mut depth = 1;
        while self.tree.open_to(depth) != self.tree.open_to(depth + 1)
            && self.boxes(&self.tree.open_to(depth + 1), 0) <= READABLE
        {
            depth += 1;
        }
        depth
    }

    /// Returns the number of boxes of a block's drawing.
    fn boxes(&self, open: &[bool], block: usize) -> usize {
        let Some(block) = self.tree.blocks.get(block) else { return 0 };
        let drawn = block.ranks.iter().flatten().filter_map(|slot| match slot {
            Slot::Child(child) => block.children.get(*child),
            Slot::Lane(_) => None,
        });
        let of = |item: &Shown| match *item {
            Shown::Block(inner) if open[inner] => 1 + self.boxes(open, inner),
            _ => 1,
        };
        drawn.map(of).sum()
    }

    /// Returns the lines of a box: its name, and what it is.
    fn words(&self, item: Shown) -> (String, String) {
        let name = self.tree.label(self.graph, item).to_owned();
        match item {
            Shown::Node(index) => {
                let node = &self.graph.nodes()[index];
                let kind = match &node.op {
                    Op::Input => String::new(),
                    Op::Layer(layer) => format!("{} {}", node.op.name(), layer.describe()),
                };
                let arrow = if kind.is_empty() { "" } else { " → " };
                (name, format!("{}{arrow}{}", kind.trim_end(), shape(node)))
            }
            Shown::Block(index) => {
                let nodes = &self.tree.blocks[index].nodes;
                let output = nodes.clone().last().map(|last| shape(&self.graph.nodes()[last]));
                (name, format!("{} → {}", counted(nodes.len() as u64, "layer"), output.unwrap_or_default()))
            }
        }
    }

    fn repeated(&self, item: Shown) -> usize {
        match item {
            Shown::Block(index) => self.times.get(index).copied().unwrap_or(1),
            Shown::Node(_) => 1,
        }
    }

    /// Returns the width of the boxes of each block: they are equally wide, so that lines beside them are straight.
    fn widths(&self) -> Vec<f64> {
        let widest = |block: &Block| {
            let boxes = block.children.iter().filter(|item| !self.is_input(**item));
            boxes.map(|&item| self.width(item)).fold(0.0, f64::max).ceil()
        };
        self.tree.blocks.iter().map(widest).collect()
    }

    fn is_input(&self, item: Shown) -> bool {
        matches!(item, Shown::Node(index) if self.graph.nodes()[index].op == Op::Input)
    }

    fn size(&self, item: Shown, places: &HashMap<Shown, f64>) -> [f64; 2] {
        let width = places.get(&item).copied().filter(|_| !self.is_input(item));
        [width.unwrap_or_else(|| self.width(item).ceil()), 40.0]
    }

    /// Returns the drawing with these blocks open.
    fn place(&self, open: &[bool]) -> Drawing {
        let mut places = HashMap::new();
        for (block, width) in self.tree.blocks.iter().zip(self.widths()) {
            places.extend(block.children.iter().map(|&item| (item, width)));
        }
        place(self.tree, open, &|item| self.size(item, &places), &Spacing::default())
    }

    fn width(&self, item: Shown) -> f64 {
        let (name, words) = self.words(item);
        let times = self.repeated(item);
        let name = font::width(&name, 12.0, Weight::Bold).min(WIDEST);
        let repeated =
            if times > 1 { 8.0 + font::width(&format!("× {times}"), 12.0, Weight::Bold) } else { 0.0 };
        let words = font::width(&words, SMALL, Weight::Regular).min(WIDEST);
        (name + repeated).max(words) + 20.0
    }

    fn draw(&self, scene: &mut Scene, drawing: &Drawing, [left, top]: [f64; 2]) {
        let moved = |at: [f64; 2]| [left + at[0], top + at[1]];
        let (open, closed): (Vec<&Placed>, Vec<&Placed>) =
            drawing.boxes.iter().partition(|placed| placed.open);
        for placed in &open {
            self.opened(scene, placed, moved(placed.at));
        }
        for wire in &drawing.wires {
            connection(scene, wire, moved);
        }
        for placed in open {
            self.title(scene, placed, moved(placed.at));
        }
        for placed in closed {
            let item = self.closed(placed, moved(placed.at));
            scene.push(item);
        }
    }

    /// Draws the frame of an open block.
    fn opened(&self, scene: &mut Scene, placed: &Placed, [x, y]: [f64; 2]) {
        let [width, height] = placed.size;
        let times = self.repeated(placed.item);
        let frame = |x: f64, y: f64, fill: Paint| Rect {
            radius: 6.0,
            fill: Some(fill),
            ..Rect::outline([x, y, width, height], Stroke::new(Paint::Rule, 1.0))
        };
        if times > 1 {
            scene.push(frame(x + 2.0 * SHEET, y + 2.0 * SHEET, Paint::Paper));
            scene.push(frame(x + SHEET, y + SHEET, Paint::Paper));
        }
        scene.push(frame(x, y, Paint::Paper));
    }

    /// Draws the name of an open block, on a ground of its own where a line passes behind it.
    fn title(&self, scene: &mut Scene, placed: &Placed, [x, y]: [f64; 2]) {
        let times = self.repeated(placed.item);
        let name = self.tree.label(self.graph, placed.item);
        let title = font::cut(name, 12.0, Weight::Bold, placed.size[0] - 16.0).unwrap_or_default();
        let words = Text::new(x + 9.0, y + 16.0, title).bold().paint(Paint::Quiet);
        let end = words.ends().1;
        let repeated = (times > 1).then(|| Text::new(end + 7.0, y + 16.0, format!("× {times}")).bold());
        for words in std::iter::once(words).chain(repeated) {
            let (left, right) = words.ends();
            scene.push(Rect::filled([left - 2.0, y + 5.0, right - left + 4.0, 14.0], Paint::Paper));
            scene.push(words);
        }
    }

    /// Returns the box of a layer or of a folded block.
    fn closed(&self, placed: &Placed, [x, y]: [f64; 2]) -> Item {
        let [width, height] = placed.size;
        let (name, words) = self.words(placed.item);
        let times = self.repeated(placed.item);
        let (fill, stroke, radius) = match placed.item {
            Shown::Node(index) => match &self.graph.nodes()[index].op {
                Op::Input => (Paint::Paper, Stroke::new(Paint::Ink, 1.25), height / 2.0),
                op @ Op::Layer(_) => {
                    (Paint::Tint(KINDS[kind::of(op.name())].1), Stroke::new(Paint::Rule, 1.0), 3.0)
                }
            },
            Shown::Block(_) => (Paint::Paper, Stroke::new(Paint::Ink, 1.25), 3.0),
        };
        let output = matches!(placed.item, Shown::Node(index)
            if self.graph.outputs().iter().any(|output| output.index() == index));
        let stroke = if output { Stroke::new(Paint::Ink, 2.25) } else { stroke };
        let sheet = |x: f64, y: f64| -> Item {
            Rect { radius, fill: Some(fill), ..Rect::outline([x, y, width, height], stroke) }.into()
        };
        let mut items = Vec::new();
        if times > 1 {
            items.extend([sheet(x + 2.0 * SHEET, y + 2.0 * SHEET), sheet(x + SHEET, y + SHEET)]);
        }
        items.push(sheet(x, y));
        let room = width - 12.0;
        let times_words = if times > 1 { format!("× {times}") } else { String::new() };
        let beside = if times > 1 { font::width(&times_words, 12.0, Weight::Bold) + 8.0 } else { 0.0 };
        let first = font::cut(&name, 12.0, Weight::Bold, room - beside).unwrap_or_default();
        let start = x + (width - font::width(&first, 12.0, Weight::Bold) - beside) / 2.0;
        let first = Text::new(start, y + 16.5, first).bold();
        let end = first.ends().1;
        items.push(first.into());
        if times > 1 {
            items.push(Text::new(end + 8.0, y + 16.5, times_words).bold().paint(Paint::Quiet).into());
        }
        let second = font::cut(&words, SMALL, Weight::Regular, room).unwrap_or_default();
        let second = Text::new(x + width / 2.0, y + 31.5, second).size(SMALL).anchor(Anchor::Middle);
        items.push(second.paint(Paint::Ink).into());
        let id = match placed.item {
            Shown::Node(index) => &self.graph.nodes()[index].id,
            Shown::Block(index) => &self.tree.blocks[index].name,
        };
        Item::Group(format!("{id}: {words}"), items)
    }

    /// Draws what the colours of the boxes mean; returns the y below.
    fn legend(&self, scene: &mut Scene, drawing: &Drawing, top: f64) -> f64 {
        let mut found = [false; KINDS.len()];
        let (mut folded, mut repeated) = (false, false);
        for placed in &drawing.boxes {
            repeated |= self.repeated(placed.item) > 1;
            match placed.item {
                Shown::Node(index) => {
                    let op = &self.graph.nodes()[index].op;
                    found[kind::of(op.name())] |= *op != Op::Input;
                }
                Shown::Block(_) => folded |= !placed.open,
            }
        }
        let mut entries: Vec<(Paint, &str)> = KINDS
            .iter()
            .zip(found)
            .filter(|(_, found)| *found)
            .map(|((name, tint), _)| (Paint::Tint(*tint), *name))
            .collect();
        if folded {
            entries.push((Paint::Paper, "blocks, folded"));
        }
        let right = scene.width.max(420.0) - MARGIN;
        let (mut x, mut y) = (MARGIN, top);
        for (paint, name) in entries {
            let words = Text::new(x + 18.0, y + 10.0, name).size(SMALL);
            let words = if words.ends().1 > right && x > MARGIN {
                (x, y) = (MARGIN, y + 18.0);
                Text { x: x + 18.0, y: y + 10.0, ..words }
            } else {
                words
            };
            let ink = if paint == Paint::Paper { Paint::Ink } else { Paint::Rule };
            let swatch = Rect {
                radius: 2.0,
                fill: Some(paint),
                ..Rect::outline([x, y, 12.0, 12.0], Stroke::new(ink, 1.0))
            };
            scene.push(swatch);
            x = words.ends().1 + 18.0;
            scene.push(words);
        }
        y += 12.0;
        if repeated {
            y += 18.0;
            let words = "× n: n equal blocks, each reading the one before it";
            scene.push(Text::new(MARGIN, y, words).size(SMALL).paint(Paint::Quiet));
        }
        y
    }
}

/// Draws a piece of a connection: vertical, with a bend between ranks, and an arrow where it is read.
fn connection(scene: &mut Scene, wire: &Wire, moved: impl Fn([f64; 2]) -> [f64; 2]) {
    const HEAD: f64 = 5.0;
    let points: Vec<[f64; 2]> = wire.points.iter().copied().map(moved).collect();
    let (Some(&first), Some(&last)) = (points.first(), points.last()) else { return };
    let mut steps = vec![Step::Move(first[0], first[1])];
    let mut before = first;
    for &point in &points[1..] {
        if (point[0] - before[0]).abs() < 0.01 {
            steps.push(Step::Line(point[0], point[1]));
        } else {
            let middle = f64::midpoint(before[1], point[1]);
            steps.push(Step::Curve([before[0], middle], [point[0], middle], point));
        }
        before = point;
    }
    scene.push(Path { steps, fill: None, stroke: Some(Stroke::new(Paint::Rule, 1.25)) });
    if wire.ends {
        let [x, y] = last;
        let corners = [(x, y - 0.5), (x - HEAD * 0.6, y - HEAD - 1.5), (x + HEAD * 0.6, y - HEAD - 1.5)];
        scene.area(&corners, Paint::Rule);
    }
}

/// Draws equal blocks in a row as one: keeps the first, connects it to what reads the last, and returns for each block
/// the number of blocks that it stands for.
fn join_equal(tree: &mut Tree, graph: &Graph) -> Vec<usize> {
    let mut times = vec![1usize; tree.blocks.len()];
    for index in 0..tree.blocks.len() {
        let mut row = 0;
        while row < tree.blocks[index].ranks.len() {
            let Some(first) = alone(tree, index, row) else {
                row += 1;
                continue;
            };
            let mut last = first;
            let mut end = row + 1;
            while let Some(next) =
                alone(tree, index, end).filter(|&next| follows(tree, graph, index, last, next))
            {
                last = next;
                end += 1;
            }
            if end > row + 1 {
                times[block_of(tree, index, first)] = end - row;
                join_run(tree, index, first, last);
                tree.blocks[index].ranks.drain(row + 1..end);
            }
            row += 1;
        }
    }
    times
}

/// Returns the child that is alone in a rank of a block, if it is a block.
fn alone(tree: &Tree, index: usize, row: usize) -> Option<usize> {
    let block = &tree.blocks[index];
    let [Slot::Child(child)] = *block.ranks.get(row)?.as_slice() else { return None };
    matches!(block.children.get(child), Some(Shown::Block(_))).then_some(child)
}

fn block_of(tree: &Tree, index: usize, child: usize) -> usize {
    match tree.blocks[index].children.get(child) {
        Some(Shown::Block(block)) => *block,
        _ => 0,
    }
}

/// Returns whether child `b` reads nothing but the output of child `a`, is the only one to do so, and equals it.
fn follows(tree: &Tree, graph: &Graph, index: usize, a: usize, b: usize) -> bool {
    let nets = &tree.blocks[index].nets;
    let mut into = nets.iter().filter(|net| net.to.contains(&b));
    let mut from = nets.iter().filter(|net| net.from == Some(a));
    let (Some(wire), None, Some(only), None) = (into.next(), into.next(), from.next(), from.next()) else {
        return false;
    };
    let reads_one = nets.iter().filter(|net| net.to.contains(&a)).count() == 1;
    let chained = wire.from == Some(a) && only.to == [b] && !only.leaves && reads_one;
    chained
        && equal(
            graph,
            &tree.blocks[block_of(tree, index, a)].nodes,
            &tree.blocks[block_of(tree, index, b)].nodes,
        )
}

/// Returns whether two ranges of nodes are the same layers in the same connections.
fn equal(graph: &Graph, a: &std::ops::Range<usize>, b: &std::ops::Range<usize>) -> bool {
    let inside = |range: &std::ops::Range<usize>, node: &Node| -> Vec<Option<usize>> {
        node.inputs.iter().map(|input| input.index().checked_sub(range.start)).collect()
    };
    a.len() == b.len()
        && a.clone().zip(b.clone()).all(|(x, y)| {
            let (x, y) = (&graph.nodes()[x], &graph.nodes()[y]);
            let own = x.shares.is_none() && y.shares.is_none() && x.tied.is_empty() && y.tied.is_empty();
            own && x.op == y.op && x.shape == y.shape && inside(a, x) == inside(b, y)
        })
}

/// Connects the first of equal children to what reads the last, and takes the others off the drawing.
fn join_run(tree: &mut Tree, index: usize, first: usize, last: usize) {
    let kept = block_of(tree, index, first);
    let within = tree.blocks[kept].nodes.clone();
    let nets = &mut tree.blocks[index].nets;
    let inner = nets.iter().find(|net| net.from == Some(first)).map(|net| net.node);
    let outer = nets.iter().find(|net| net.from == Some(last)).map(|net| net.node);
    for net in nets.iter_mut() {
        match net.from {
            Some(from) if from == last => net.from = Some(first),
            Some(from) if (first..last).contains(&from) => {
                net.to.clear();
                net.from = None;
            }
            _ => {}
        }
    }
    // Inside the block that stays, the output is that of the last one: so its line meets the border where it goes on.
    if let (Some(inner), Some(outer)) = (inner, outer) {
        let below = tree
            .blocks
            .iter_mut()
            .filter(|block| block.nodes.start >= within.start && block.nodes.end <= within.end);
        below
            .flat_map(|block| &mut block.nets)
            .filter(|net| net.node == inner)
            .for_each(|net| net.node = outer);
    }
}
