//! A layer graph in a terminal, from top to bottom in execution order, as `git log --graph` draws commits.
//!
//! A lane carries one value from the node that computes it to the last node that reads it. A node is drawn in the
//! lane of an input that ends there, or opens its own lane; a row of connectors above it shows what it reads.

use unicode_width::UnicodeWidthStr as _;

use crate::Tone;
use crate::network::{Network, Node, Part};
use crate::render::Canvas;
use crate::render::fit::broken;
use crate::render::paint::paint;

/// A lane: the index of the node whose output it carries, if it is in use.
type Lanes = Vec<Option<usize>>;

/// One line of the drawing: the lanes, and its node.
struct Line {
    lanes: String,
    node: Option<usize>,
    /// The lanes that go on below it.
    below: String,
}

/// Draws `network` as lines, no wider than the canvas if possible.
pub fn render(network: &Network, canvas: Canvas) -> String {
    let lines = lay_out(network, 2);
    let widest = |lines: &[Line]| lines.iter().map(|line| line.lanes.width()).max().unwrap_or(0);
    // Many lanes (dense connectivity) are drawn without gaps.
    let lines = if widest(&lines) > canvas.width / 3 { lay_out(network, 1) } else { lines };
    let room = canvas.width.saturating_sub(widest(&lines).min(canvas.width / 2) + 2);
    let room = if canvas.tables { room } else { usize::MAX };
    let columns = Columns::fit(network, room);
    let indent = widest(&lines);
    let mut out = String::new();
    for line in &lines {
        let lanes = line.lanes.trim_end();
        let Some(node) = line.node.map(|index| &network.nodes[index]) else {
            out += &paint(lanes, Tone::Quiet, canvas);
            out.push('\n');
            continue;
        };
        for (position, text) in columns.draw(node, canvas).iter().enumerate() {
            let lanes = if position == 0 { lanes } else { line.below.trim_end() };
            out += &if position == 0 { marks(lanes, canvas) } else { paint(lanes, Tone::Quiet, canvas) };
            out += &" ".repeat(indent + 2 - lanes.width());
            out += text;
            out.push('\n');
        }
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

fn lay_out(network: &Network, pitch: usize) -> Vec<Line> {
    let uses = uses(network);
    let mut lanes: Lanes = Vec::new();
    let mut lines = Vec::new();
    for (index, node) in network.nodes.iter().enumerate() {
        let before = lanes.clone();
        let reads: Vec<usize> = (0..lanes.len())
            .filter(|&lane| lanes[lane].is_some_and(|value| node.inputs.contains(&value)))
            .collect();
        let ends = |lane: &usize| lanes[*lane].is_some_and(|value| uses[value].last() == Some(&index));
        let mut joined = reads.clone();
        let own = if let Some(lane) = reads.iter().copied().find(ends) {
            for lane in reads.iter().copied().filter(ends).collect::<Vec<_>>() {
                lanes[lane] = None;
            }
            lane
        } else {
            let right = reads.last().map_or(0, |last| last + 1);
            let free = free_lane(&mut lanes, right);
            match reads.as_slice() {
                // The value that is read sooner goes to the right, where the next lane opens without a crossing.
                [lane] if waits(network, &uses, index, lanes[*lane]) => {
                    lanes[free] = lanes[*lane];
                    joined.push(free);
                    *lane
                }
                _ => free,
            }
        };
        joined.push(own);
        if joined.iter().any(|&lane| lane != joined[0]) {
            let lanes = connectors(&before, &lanes, &joined, own, pitch);
            lines.push(Line { lanes, node: None, below: String::new() });
        }
        let drawn = row(&lanes, Some((own, mark(node))), pitch);
        lanes[own] = (!uses[index].is_empty()).then_some(index);
        while lanes.last() == Some(&None) {
            lanes.pop();
        }
        lines.push(Line { lanes: drawn, node: Some(index), below: row(&lanes, None, pitch) });
    }
    lines
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
    let later: Vec<usize> = value
        .map(|value| uses[value].iter().copied().filter(|&user| user > node).collect())
        .unwrap_or_default();
    let Some(&next) = later.first() else { return false };
    let (mut end, mut forks) = (node, false);
    loop {
        forks |= uses[end].len() > 1;
        match uses[end].first() {
            Some(&user) if user < next => end = user,
            // A chain with its own skips (a U-Net) opens lanes to the right: a value that only waits stays out of
            // their way.
            Some(&user) => return user > next && (later.len() > 1 || !forks),
            None => return network.nodes[end].output,
        }
    }
}

fn free_lane(lanes: &mut Lanes, from: usize) -> usize {
    while lanes.len() < from {
        lanes.push(None);
    }
    let found = (from..lanes.len()).find(|&lane| lanes[lane].is_none());
    found.unwrap_or_else(|| {
        lanes.push(None);
        lanes.len() - 1
    })
}

fn mark(node: &Node) -> char {
    match node.part {
        Part::Input => '◇',
        Part::Weighted => '●',
        Part::Plain => '○',
    }
}

/// Draws the lanes beside a node, which has its mark in a lane of its own, or below it.
fn row(lanes: &Lanes, own: Option<(usize, char)>, pitch: usize) -> String {
    let cell = |lane: usize| match (own, lanes.get(lane)) {
        (Some((own, mark)), _) if lane == own => mark,
        (_, Some(Some(_))) => '│',
        _ => ' ',
    };
    let count = lanes.len().max(own.map_or(0, |(own, _)| own + 1));
    spread((0..count).map(|lane| (cell(lane), false)), pitch)
}

/// Draws the line above a node in lane `own`: the lanes in `joined` are connected, the others pass.
fn connectors(before: &Lanes, after: &Lanes, joined: &[usize], own: usize, pitch: usize) -> String {
    let (first, last) = joined.iter().fold((own, own), |(low, high), &lane| (low.min(lane), high.max(lane)));
    let used = |lanes: &Lanes, lane: usize| lanes.get(lane).is_some_and(Option::is_some);
    let cell = |lane: usize| {
        let (inside, right) = (first <= lane && lane <= last, first <= lane && lane < last);
        let glyph = if joined.contains(&lane) {
            let up = used(before, lane);
            let down = lane == own || used(after, lane);
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
        } else if used(before, lane) {
            '│'
        } else if inside {
            '─'
        } else {
            ' '
        };
        (glyph, right)
    };
    spread((0..before.len().max(after.len()).max(last + 1)).map(cell), pitch)
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
        let lines = lay_out(&Network::of(&graph, usize::MAX), 2);
        lines.iter().map(|line| line.lanes.trim_end().to_owned()).collect()
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
    fn nested_skips_nest() {
        assert_eq!(
            lanes("residual: [relu, residual: [relu], relu]"),
            ["◇", "├─╮", "│ ○", "│ ├─╮", "│ │ ○", "│ ├─╯", "│ ○", "│ ○", "├─╯", "○"]
        );
    }
}
