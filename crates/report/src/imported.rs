//! What there is to say about an imported model besides its figures: what is not analysed, and what that means for them.

use serde_json::{Map, Value as Json, json};

use super::{Block, Page, StyledText, Tone};
use cnnkit_core::graph::{Graph, Op};
use cnnkit_core::layers::Layer;
use cnnkit_core::layers::opaque::Opaque;

/// Most nodes that are listed for people: what follows one of unknown shape can be hundreds.
const MOST_LINES: usize = 12;

/// Which figures a command shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figures {
    /// Sums over layers: only what may multiply and is left out makes them partial.
    Counts,
    /// What follows from how layers depend on each other: anything left out makes it partial.
    Dependences,
}

/// A node that is in no figure: how people find it, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// `` `/nms/NonMaxSuppression` (NonMaxSuppression) ``.
    pub title: String,
    /// Why.
    pub reason: String,
}

fn opaque(graph: &Graph) -> impl Iterator<Item = (&str, &Opaque)> {
    graph.nodes.iter().filter_map(|node| match &node.op {
        Op::Layer(Layer::Opaque(opaque)) => Some((node.id.as_str(), opaque)),
        _ => None,
    })
}

/// Whether something that these figures need is left out.
pub fn partial(graph: &Graph, left: &[LeftOut], figures: Figures) -> bool {
    !left.is_empty() || opaque(graph).any(|(_, node)| figures == Figures::Dependences || node.may_multiply())
}

/// What is not known of the node.
fn meaning(node: &Opaque) -> &'static str {
    if node.may_multiply() {
        "parameters counted; MACs and other ops not; depends on everything, as far as is known"
    } else {
        "multiplies nothing; depends on everything, as far as is known"
    }
}

/// The keys of an imported model in JSON: `status` where it is partial, `not_analysed`, `remarks`.
pub fn keys(
    object: &mut Map<String, Json>,
    graph: &Graph,
    remarks: &[String],
    left: &[LeftOut],
    figures: Figures,
) {
    let mut list: Vec<Json> = opaque(graph)
        .map(|(id, node)| json!({"id": id, "operator": node.operator, "reason": node.reason, "meaning": meaning(node)}))
        .collect();
    let out = |left: &LeftOut| json!({"id": null, "operator": left.title, "reason": left.reason, "meaning": "in no figure"});
    list.extend(left.iter().map(out));
    if partial(graph, left, figures) {
        object.insert("status".into(), "partial".into());
    }
    object.insert("not_analysed".into(), list.into());
    object.insert("remarks".into(), remarks.to_vec().into());
}

/// The same for people; nothing if all is analysed and there is nothing to remark.
pub fn blocks(page: &mut Page, graph: &Graph, remarks: &[String], left: &[LeftOut], figures: Figures) {
    let mut lines: Vec<(String, String)> = opaque(graph)
        .map(|(id, node)| {
            (id.to_owned(), format!(" ({}): {}; {}", node.operator, node.reason, meaning(node)))
        })
        .collect();
    lines.extend(left.iter().map(|node| (node.title.clone(), format!(": {}; in no figure", node.reason))));
    if !lines.is_empty() {
        let is_partial = partial(graph, left, figures);
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
