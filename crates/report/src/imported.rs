//! Remarks about an imported model: what is not analysed, and the consequence for its figures.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Block, Page, StyledText, Tone};
use cnnkit_core::graph::{Graph, Op};
use cnnkit_core::layers::Layer;
use cnnkit_core::layers::opaque::Opaque;

/// Maximum number of lines on the page.
const MOST_LINES: usize = 12;
/// Maximum number of nodes with the same reason that the page lists one by one.
const MOST_ALIKE: usize = 3;

/// The kind of figures that a command shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figures {
    /// Sums over layers: only operators that may multiply make them partial.
    Counts,
    /// Facts about how layers depend on each other: any operator that is not analysed makes them partial.
    Dependences,
}

/// Whether figures are complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// All operators are included in the figures.
    #[default]
    Complete,
    /// The figures depend on an operator that is not analysed; `not_analysed` lists it.
    Partial,
}

/// An operator of a model that is not analysed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct NotAnalysed {
    /// Id of the node that represents the operator in the graph.
    pub id: String,
    /// The operator's type.
    pub operator: String,
    /// The reason why it is not analysed.
    pub reason: String,
    /// The consequence for the figures.
    pub meaning: String,
}

/// Keys that only imported models have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Import {
    /// Operators that are not analysed; only for imported models.
    pub not_analysed: Vec<NotAnalysed>,
    /// Remarks about the whole model; only for imported models.
    pub remarks: Vec<String>,
    /// Whether the command's figures depend on an operator that is not analysed.
    #[serde(skip)]
    pub partial: bool,
    /// The network's name, where several are reported together.
    #[serde(skip)]
    pub network: Option<String>,
}

/// The same keys, for a command whose `status` is absent if its figures are complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct StatusAndImport {
    /// `partial` if the figures depend on an operator that is not analysed, else absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// What is not analysed.
    #[serde(flatten)]
    pub import: Import,
}

impl From<Import> for StatusAndImport {
    fn from(import: Import) -> Self {
        Self { status: import.partial.then_some(Status::Partial), import }
    }
}

impl StatusAndImport {
    /// Returns whether the command's figures depend on an operator that is not analysed.
    pub fn partial(&self) -> bool {
        self.import.partial
    }

    /// Appends what is not analysed to the page.
    pub fn explain(&self, page: &mut Page) {
        self.import.explain(page);
    }
}

fn opaque(graph: &Graph) -> impl Iterator<Item = (&str, &Opaque)> {
    graph.nodes().iter().filter_map(|node| match &node.op {
        Op::Layer(Layer::Opaque(opaque)) => Some((node.id.as_str(), opaque)),
        _ => None,
    })
}

/// Returns what is not known about the node.
fn meaning(node: &Opaque) -> String {
    let counted = match (node.weights.is_empty(), node.may_multiply()) {
        _ if node.macs.is_some() => "parameters and MACs counted; other ops not",
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

/// Groups the nodes by reason, in the order in which the reasons first occur: a node of unknown shape can
/// have hundreds of successors.
fn alike(nodes: &[NotAnalysed]) -> Vec<Vec<&NotAnalysed>> {
    let mut groups: Vec<Vec<&NotAnalysed>> = Vec::new();
    for node in nodes {
        match groups.iter_mut().find(|group| group[0].reason == node.reason) {
            Some(group) => group.push(node),
            None => groups.push(vec![node]),
        }
    }
    groups
}

impl Import {
    /// Returns what is not analysed of an imported model, and whether `figures` are partial because of it.
    pub fn of(graph: &Graph, remarks: &[String], figures: Figures) -> Self {
        let node = |(id, node): (&str, &Opaque)| NotAnalysed {
            id: id.to_owned(),
            operator: node.operator.clone(),
            reason: node.reason.clone(),
            meaning: meaning(node),
        };
        let needed = |node: &Opaque| figures == Figures::Dependences || node.may_multiply();
        Self {
            not_analysed: opaque(graph).map(node).collect(),
            remarks: remarks.to_vec(),
            partial: opaque(graph).any(|(_, node)| needed(node)),
            network: None,
        }
    }

    /// The same, said of the network `name`.
    #[must_use]
    pub fn said_of(self, name: &str) -> Self {
        Self { network: Some(name.to_owned()), ..self }
    }

    /// Returns whether the figures are complete.
    pub fn status(&self) -> Status {
        if self.partial { Status::Partial } else { Status::Complete }
    }

    /// Appends the remarks to the page; nothing if everything is analysed and there are no remarks.
    pub fn explain(&self, page: &mut Page) {
        if !self.not_analysed.is_empty() {
            let (what, tone) = if self.partial {
                ("Not analysed, so that figures are partial (--strict makes that a failure):", Tone::Warn)
            } else {
                ("Not analysed; these figures are complete without it:", Tone::Plain)
            };
            let of = self.network.as_ref().map(|name| StyledText::new(format!("{name}: "), Tone::Name));
            page.push(Block::Text(of.into_iter().chain([StyledText::new(what, tone)]).collect()));
        }
        let mut lines: Vec<(String, String)> = Vec::new();
        for group in alike(&self.not_analysed) {
            let shown = if group.len() > MOST_ALIKE { 1 } else { group.len() };
            for node in &group[..shown] {
                let text = format!(" ({}): {}; {}", node.operator, node.reason, node.meaning);
                lines.push((node.id.clone(), text));
            }
            if group.len() > shown {
                lines.push((format!("{} more", group.len() - shown), ": for the same reason".to_owned()));
            }
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
        for remark in &self.remarks {
            page.note(match &self.network {
                Some(name) => format!("{name}: {remark}"),
                None => remark.clone(),
            });
        }
    }
}
