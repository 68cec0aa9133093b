//! Layers that need a whole axis: what makes tiles or a stream impossible.

use schemars::JsonSchema;
use serde::Serialize;

use crate::sizes::axis_name;
use crate::{Block, Cell, Fact, Page, StyledText, Tone};
use cnnkit_core::analysis::along::Reason;
use cnnkit_core::graph::{Graph, NodeId};

/// Maximum number of layers that a page lists.
const MOST: usize = 12;

/// A layer that needs a whole axis.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Blocker {
    /// The layer's id.
    pub id: String,
    /// The layer's name in a spec.
    pub op: String,
    /// The reason.
    pub reason: String,
    /// The spatial axes, from 0.
    pub axes: Vec<usize>,
}

impl Blocker {
    /// Returns the layer `node`, which needs the whole of `axes` for this reason.
    pub(crate) fn of(graph: &Graph, node: NodeId, reason: Reason, axes: Vec<usize>) -> Self {
        let node = graph.node(node);
        let op = node.op.name();
        Self { id: node.id.clone(), op: op.to_owned(), reason: reason.describe(op), axes }
    }
}

/// Lists the first of `all`; a layer that does not block each of `axes` axes is listed with those that it blocks.
pub(crate) fn list(page: &mut Page, all: &[Blocker], axes: usize) {
    let lines = all.iter().map(|blocker| {
        let along: Vec<&str> = blocker.axes.iter().map(|&axis| axis_name(axes, axis)).collect();
        let along = if along.len() == axes { String::new() } else { format!(" (axis {})", along.join(", ")) };
        (blocker.id.as_str(), blocker.op.clone(), format!("{}{along}", blocker.reason))
    });
    first(page, lines);
}

/// Adds a line for each of the first layers: its id, what it is, and a remark.
pub(crate) fn first<'a>(page: &mut Page, lines: impl ExactSizeIterator<Item = (&'a str, String, String)>) {
    let more = lines.len().saturating_sub(MOST);
    let facts = lines.take(MOST).map(|(id, what, remark)| Fact::new(id, Cell::text(what)).remark(remark));
    page.push(Block::Facts(facts.collect()));
    if more > 0 {
        let text = format!("and {more} more, all in the JSON");
        page.push(Block::Text(vec![StyledText::new(text, Tone::Quiet)]));
    }
}
