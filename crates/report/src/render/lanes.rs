//! A layer graph in a terminal, from top to bottom in execution order, as `git log --graph` draws commits.
//!
//! A lane carries one value from the node that computes it to the last node that reads it. A node is drawn in the
//! lane of an input that ends there, or opens its own lane; a row of connectors above it shows what it reads.

use std::collections::{BTreeSet, HashMap};

use unicode_width::UnicodeWidthStr as _;

use crate::Tone;
use crate::network::{Network, Node, Part};
use crate::render::Canvas;
use crate::render::fit::broken;
use crate::render::paint::paint;

/// Most lanes that are drawn: more cannot be told apart, and a join of thousands of branches has one for each.
const MOST: usize = 160;
/// Most layers of a chain that are looked through for the place of a lane.
const FAR: usize = 4096;

/// The lanes that are in use.
#[derive(Default)]
struct Lanes {
    /// For each lane, the index of the node whose output it carries, if it is in use; the last one is.
    carried: Vec<Option<usize>>,
    /// The lanes of each output.
    of: HashMap<usize, Vec<usize>>,
    /// The lanes to the left of the last that are not in use.
    free: BTreeSet<usize>,
}

impl Lanes {
    fn get(&self, lane: usize) -> Option<usize> {
        self.carried.get(lane).copied().flatten()
    }

    /// Sets what a lane carries.
    fn set(&mut self, lane: usize, value: Option<usize>) {
        while self.carried.len() <= lane {
            self.free.insert(self.carried.len());
            self.carried.push(None);
        }
        if let Some(old) = self.carried[lane]
            && let Some(lanes) = self.of.get_mut(&old)
        {
            lanes.retain(|&other| other != lane);
            if lanes.is_empty() {
                self.of.remove(&old);
            }
        }
        self.carried[lane] = value;
        match value {
            Some(value) => {
                self.free.remove(&lane);
                self.of.entry(value).or_default().push(lane);
            }
            None => {
                self.free.insert(lane);
            }
        }
    }

    /// Forgets the lanes to the right of the last that is in use.
    fn trim(&mut self) {
        while self.carried.last() == Some(&None) {
            self.carried.pop();
            self.free.remove(&self.carried.len());
        }
    }

    /// Returns the lanes of the values `read`, from left to right.
    fn reading(&self, read: &[usize]) -> Vec<usize> {
        let mut lanes: Vec<usize> =
            read.iter().filter_map(|value| self.of.get(value)).flatten().copied().collect();
        lanes.sort_unstable();
        lanes.dedup();
        lanes
    }

    /// Returns the first lane from `from` on that is not in use.
    fn free(&self, from: usize) -> usize {
        self.free.range(from..).next().copied().unwrap_or(self.carried.len().max(from))
    }

    /// Returns which of the lanes that are drawn are in use, and how many there are with those that are not drawn.
    fn used(&self) -> Used {
        let shown = self.carried.iter().take(MOST).map(Option::is_some).collect();
        Used { shown, count: self.carried.len() }
    }
}

/// Which lanes are in use at one place of the drawing.
struct Used {
    shown: Vec<bool>,
    count: usize,
}

impl Used {
    fn get(&self, lane: usize) -> bool {
        self.shown.get(lane).copied().unwrap_or(false)
    }
}

/// One line of the drawing: the lanes, and its node.
struct Line {
    lanes: String,
    node: Option<usize>,
    /// The lanes that go on below it.
    below: String,
}

/// Draws `network` as lines, no wider than the canvas if possible.
pub fn render(network: &Network, canvas: Canvas) -> String {
    let widest = |pitch: usize| {
        let mut widest = 0;
        lay_out(network, pitch, &mut |line| widest = widest.max(line.lanes.width()));
        widest
    };
    let (mut pitch, mut indent) = (2, widest(2));
    if indent > canvas.width / 3 {
        // Many lanes (dense connectivity) are drawn without gaps.
        (pitch, indent) = (1, widest(1));
    }
    let room = canvas.width.saturating_sub(indent.min(canvas.width / 2) + 2);
    let room = if canvas.tables { room } else { usize::MAX };
    let columns = Columns::fit(network, room);
    let blanks = " ".repeat(indent + 2);
    let (mut out, mut more) = (String::new(), false);
    lay_out(network, pitch, &mut |line| {
        let lanes = line.lanes.trim_end();
        more |= lanes.contains(MORE);
        let Some(node) = line.node.map(|index| &network.nodes[index]) else {
            out += &paint(lanes, Tone::Quiet, canvas);
            out.push('\n');
            return;
        };
        for (position, text) in columns.draw(node, canvas).iter().enumerate() {
            let lanes = if position == 0 { lanes } else { line.below.trim_end() };
            out += &if position == 0 { marks(lanes, canvas) } else { paint(lanes, Tone::Quiet, canvas) };
            out += &blanks[lanes.width().min(indent + 2)..];
            out += text;
            out.push('\n');
        }
    });
    if more {
        let note = format!("{MORE} more than {MOST} lanes; `--format json` has every connection");
        out += &paint(&note, Tone::Quiet, canvas);
        out.push('\n');
    }
    out
}

/// Draws the lanes of a node's line, with its own mark highlighted.
fn marks(lanes: &str, canvas: Canvas) -> String {
    let mut out = String::new();
    for part in lanes.split_inclusive(['●', '○', '◇']) {
        let mark = part.char_indices().last().filter(|(_, c)| ['●', '○', '◇'].contains(c));
        let at = mark.map_or(part.len(), |(at, _)| at);
        out += &paint(&part[..at], Tone::Quiet, canvas);
        out += &paint(&part[at..], Tone::Strong, canvas);
    }
    out
}

struct Columns {
    id: usize,
    label: usize,
    shape: usize,
}

impl Columns {
    /// Returns the widths of the columns in `room`: ids are broken first, then settings; the shape stays.
    fn fit(network: &Network, room: usize) -> Self {
        let widest =
            |text: fn(&Node) -> String| network.nodes.iter().map(|n| text(n).width()).max().unwrap_or(0);
        let shape = widest(Node::shape_text);
        let (mut id, mut label) = (widest(|node| node.id.clone()), widest(Node::label));
        let excess = |id: usize, label: usize| (id + label + shape + 4).saturating_sub(room);
        id -= excess(id, label).min(id.saturating_sub(18));
        label -= excess(id, label).min(label.saturating_sub(16));
        id -= excess(id, label).min(id.saturating_sub(10));
        Self { id, label, shape }
    }

    /// The lines of a node beside its lanes.
    fn draw(&self, node: &Node, canvas: Canvas) -> Vec<String> {
        let (ids, labels) = (broken(&node.id, self.id), broken(&node.label(), self.label));
        let gap = |text: &str, width: usize| " ".repeat((width + 2).saturating_sub(text.width()));
        let tone = if node.part == Part::Plain { Tone::Quiet } else { Tone::Plain };
        let shape = node.shape_text();
        let fill = " ".repeat(self.shape.saturating_sub(shape.width()));
        let line = |position: usize| {
            let part = |list: &[String]| list.get(position).cloned().unwrap_or_default();
            let (id, label) = (part(&ids), part(&labels));
            let mut out = paint(&id, Tone::Name, canvas) + &gap(&id, self.id);
            out += &paint(&label, tone, canvas);
            if position > 0 {
                return out.trim_end_matches(' ').to_owned();
            }
            out += &gap(&label, self.label);
            out += &format!("{fill}{}", paint(&shape, Tone::Quiet, canvas));
            if node.output {
                out += &paint("  output", Tone::Good, canvas);
            }
            out
        };
        (0..ids.len().max(labels.len())).map(line).collect()
    }
}

/// Calls `draw` with each line, from top to bottom.
fn lay_out(network: &Network, pitch: usize, draw: &mut impl FnMut(Line)) {
    let uses = uses(network);
    let mut lanes = Lanes::default();
    for (index, node) in network.nodes.iter().enumerate() {
        let before = lanes.used();
        let reads = lanes.reading(&node.inputs);
        let ends = |lanes: &Lanes, lane: usize| {
            lanes.get(lane).is_some_and(|value| uses[value].last() == Some(&index))
        };
        let mut joined = reads.clone();
        let ending: Vec<usize> = reads.iter().copied().filter(|&lane| ends(&lanes, lane)).collect();
        let own = if let Some(&first) = ending.first() {
            ending.iter().for_each(|&lane| lanes.set(lane, None));
            first
        } else {
            let right = reads.last().map_or(0, |last| last + 1);
            let free = lanes.free(right);
            match reads.as_slice() {
                // The value that is read sooner goes to the right, where the next lane opens without a crossing.
                [lane] if waits(network, &uses, index, lanes.get(*lane)) => {
                    lanes.set(free, lanes.get(*lane));
                    joined.push(free);
                    *lane
                }
                _ => free,
            }
        };
        joined.push(own);
        if joined.iter().any(|&lane| lane != joined[0]) {
            let lanes = connectors(&before, &lanes.used(), &joined, own, pitch);
            draw(Line { lanes, node: None, below: String::new() });
        }
        let drawn = row(&lanes.used(), Some((own, mark(node))), pitch);
        lanes.set(own, (!uses[index].is_empty()).then_some(index));
        lanes.trim();
        draw(Line { lanes: drawn, node: Some(index), below: row(&lanes.used(), None, pitch) });
    }
}

/// Returns, for each node, the nodes that read it, in order.
fn uses(network: &Network) -> Vec<Vec<usize>> {
    let mut uses = vec![Vec::new(); network.nodes.len()];
    for (index, node) in network.nodes.iter().enumerate() {
        for &input in &node.inputs {
            uses[input].push(index);
        }
    }
    uses
}

/// Returns whether the chain that starts with `node` reaches a join that is later than the next use of
/// `value`: the branches of an Inception module do, the body of a residual module does not.
fn waits(network: &Network, uses: &[Vec<usize>], node: usize, value: Option<usize>) -> bool {
    let later = value.map_or(&[][..], |value| {
        let users = &uses[value];
        &users[users.partition_point(|&user| user <= node)..]
    });
    let Some(&next) = later.first() else { return false };
    let (mut end, mut forks) = (node, false);
    for _ in 0..FAR {
        forks |= uses[end].len() > 1;
        match uses[end].first() {
            Some(&user) if user < next => end = user,
            // A chain with its own skips (a U-Net) opens lanes to the right: a value that only waits stays out of
            // their way.
            Some(&user) => return user > next && (later.len() > 1 || !forks),
            None => return network.nodes[end].output,
        }
    }
    false
}

fn mark(node: &Node) -> char {
    match node.part {
        Part::Input => '◇',
        Part::Weighted => '●',
        Part::Plain => '○',
    }
}

/// Draws the lanes beside a node, which has its mark in a lane of its own, or below it.
fn row(lanes: &Used, own: Option<(usize, char)>, pitch: usize) -> String {
    let cell = |lane: usize| match own {
        Some((own, mark)) if lane == own => mark,
        _ if lanes.get(lane) => '│',
        _ => ' ',
    };
    let count = lanes.count.max(own.map_or(0, |(own, _)| own + 1));
    let mut out = spread((0..count.min(MOST)).map(|lane| (cell(lane), false)), pitch);
    if count > MOST {
        out.push(MORE);
        out.extend(own.filter(|&(own, _)| own >= MOST).map(|(_, mark)| mark));
    }
    out
}

/// Stands for the lanes that are not drawn.
const MORE: char = '…';

/// Draws the line above a node in lane `own`: the lanes in `joined` are connected, the others pass.
fn connectors(before: &Used, after: &Used, joined: &[usize], own: usize, pitch: usize) -> String {
    let (first, last) = joined.iter().fold((own, own), |(low, high), &lane| (low.min(lane), high.max(lane)));
    let mut meets = [false; MOST];
    joined.iter().filter(|&&lane| lane < MOST).for_each(|&lane| meets[lane] = true);
    let cell = |lane: usize| {
        let (inside, right) = (first <= lane && lane <= last, first <= lane && lane < last);
        let glyph = if meets[lane] {
            let up = before.get(lane);
            let down = lane == own || after.get(lane);
            match (up, down, lane > first, lane < last) {
                (true, true, false, _) => '├',
                (true, true, true, false) => '┤',
                (true, true, true, true) => '┼',
                (true, false, false, _) => '╰',
                (true, false, true, false) => '╯',
                (true, false, true, true) => '┴',
                (false, _, false, _) => '╭',
                (false, _, true, false) => '╮',
                (false, _, true, true) => '┬',
            }
        } else if before.get(lane) {
            '│'
        } else if inside {
            '─'
        } else {
            ' '
        };
        (glyph, right)
    };
    let count = before.count.max(after.count).max(last + 1);
    let mut out = spread((0..count.min(MOST)).map(cell), pitch);
    out.extend((count > MOST).then_some(MORE));
    out
}

/// Draws cells `pitch` columns apart; the gap after a cell is a line where its flag is set.
fn spread(cells: impl Iterator<Item = (char, bool)>, pitch: usize) -> String {
    cells.fold(String::new(), |mut out, (glyph, line)| {
        out.push(glyph);
        (1..pitch).for_each(|_| out.push(if line { '─' } else { ' ' }));
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cnnkit_core::spec::{self, Overrides, files::Text};

    fn lanes(layers: &str) -> Vec<String> {
        let bytes = format!("{{input: [4, 8, 8], layers: [{layers}]}}").into_bytes();
        let loaded = spec::load(&Text { name: "test".into(), bytes }, "test", &Overrides::default());
        let graph = loaded.expect("a valid spec").graph;
        let mut lines = Vec::new();
        let network = Network::of(&graph, usize::MAX);
        lay_out(&network, 2, &mut |line| lines.push(line.lanes.trim_end().to_owned()));
        lines
    }

    #[test]
    fn a_skip_runs_beside_the_body() {
        assert_eq!(lanes("residual: [relu, batch_norm]"), ["◇", "├─╮", "│ ○", "│ ●", "├─╯", "○"]);
    }

    #[test]
    fn branches_open_to_the_right_without_crossings() {
        assert_eq!(
            lanes("branches: {paths: [[relu], [relu], []]}"),
            ["◇", "├─╮", "○ │", "│ ├─╮", "│ │ ○", "├─┴─╯", "○"]
        );
    }

    #[test]
    fn a_join_of_many_branches_stays_narrow() {
        let lines = lanes(&format!("branches: {{paths: [{}]}}", "[relu], ".repeat(3 * MOST)));
        assert!(lines.iter().all(|line| line.width() <= 2 * MOST + 2), "{lines:?}");
        assert!(lines.iter().any(|line| line.ends_with("…○")) && lines.len() > 3 * MOST);
    }

    #[test]
    fn nested_skips_nest() {
        assert_eq!(
            lanes("residual: [relu, residual: [relu], relu]"),
            ["◇", "├─╮", "│ ○", "│ ├─╮", "│ │ ○", "│ ├─╯", "│ ○", "│ ○", "├─╯", "○"]
        );
    }
}
