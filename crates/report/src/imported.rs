//! What there is to say about an imported model besides its figures: what is not analysed, and what that means for them.

use serde_json::{Map, Value as Json, json};

use super::{Block, Page, StyledText, Tone};
use cnnkit_core::graph::{Graph, Op};
use cnnkit_core::layers::Layer;
use cnnkit_core::layers::opaque::Opaque;

/// Most lines for people.
const MOST_LINES: usize = 12;
/// Most nodes that are listed for people one by one if the reason is the same.
const MOST_ALIKE: usize = 3;

/// Which figures a command shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figures {
    /// Sums over layers: only what may multiply and is left out makes them partial.
    Counts,
    /// What follows from how layers depend on each other: anything left out makes it partial.
    Dependences,
}

fn opaque(graph: &Graph) -> impl Iterator<Item = (&str, &Opaque)> {
    graph.nodes.iter().filter_map(|node| match &node.op {
        Op::Layer(Layer::Opaque(opaque)) => Some((node.id.as_str(), opaque)),
        _ => None,
    })
}

/// Whether something that these figures need is left out.
pub fn partial(graph: &Graph, figures: Figures) -> bool {
    opaque(graph).any(|(_, node)| figures == Figures::Dependences || node.may_multiply())
}

/// What is not known of the node.
fn meaning(node: &Opaque) -> String {
    let counted = match (node.weights.is_empty(), node.may_multiply()) {
        (false, true) => "parameters counted; MACs and other ops not",
        (false, false) => "parameters counted; multiplies nothing",
        (true, true) => "MACs and other ops not counted",
        (true, false) => "multiplies nothing",
    };
    let reads = if node.constant {
        "depends on constants alone"
    } else {
        "depends on everything, as far as is known"
    };
    format!("{counted}; {reads}")
}

/// The keys of an imported model in JSON: `status` where it is partial, `not_analysed`, `remarks`.
pub fn keys(object: &mut Map<String, Json>, graph: &Graph, remarks: &[String], figures: Figures) {
    let entry = |(id, node): (&str, &Opaque)| json!({"id": id, "operator": node.operator, "reason": node.reason, "meaning": meaning(node)});
    let list: Vec<Json> = opaque(graph).map(entry).collect();
    if partial(graph, figures) {
        object.insert("status".into(), "partial".into());
    }
    object.insert("not_analysed".into(), list.into());
    object.insert("remarks".into(), remarks.to_vec().into());
}

/// Nodes that are not analysed for one reason.
struct Alike<'a> {
    nodes: Vec<(&'a str, &'a Opaque)>,
    reason: &'a str,
}

/// The nodes that are not analysed, those of one reason together: behind a node of unknown shape there are hundreds.
fn alike(graph: &Graph) -> Vec<Alike<'_>> {
    let mut groups: Vec<Alike<'_>> = Vec::new();
    for (id, node) in opaque(graph) {
        match groups.iter_mut().find(|group| group.reason == node.reason) {
            Some(group) => group.nodes.push((id, node)),
            None => groups.push(Alike { nodes: vec![(id, node)], reason: &node.reason }),
        }
    }
    groups
}

/// The same for people; nothing if all is analysed and there is nothing to remark.
pub fn blocks(page: &mut Page, graph: &Graph, remarks: &[String], figures: Figures) {
    let mut lines: Vec<(String, String)> = Vec::new();
    for group in alike(graph) {
        let shown = if group.nodes.len() > MOST_ALIKE { 1 } else { group.nodes.len() };
        for (id, node) in &group.nodes[..shown] {
            lines.push((
                (*id).to_owned(),
                format!(" ({}): {}; {}", node.operator, node.reason, meaning(node)),
            ));
        }
        if group.nodes.len() > shown {
            lines.push((format!("{} more", group.nodes.len() - shown), ": for the same reason".to_owned()));
        }
    }
    if !lines.is_empty() {
        let is_partial = partial(graph, figures);
        let (what, tone) = if is_partial {
            ("Not analysed, so that figures are partial (--strict makes that a failure):", Tone::Warn)
        } else {
            ("Not analysed; these figures are complete without it:", Tone::Plain)
        };
        page.push(Block::Text(vec![StyledText::new(what, tone)]));
    }
    let hidden = lines.len().saturating_sub(MOST_LINES);
    lines.truncate(MOST_LINES);
    for (name, text) in lines {
        page.push(Block::Text(vec![
            StyledText::plain("- "),
            StyledText::new(name, Tone::Name),
            StyledText::plain(text),
        ]));
    }
    if hidden > 0 {
        page.push(Block::Text(vec![StyledText::new(
            format!("  and {hidden} more, all in the JSON"),
            Tone::Quiet,
        )]));
    }
    for remark in remarks {
        page.note(remark.clone());
    }
}
