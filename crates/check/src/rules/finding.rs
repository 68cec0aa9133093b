//! What a rule found, before anyone decided where it is shown and how bad it is.

use cnnkit_core::graph::NodeId;
use cnnkit_core::source::Span;

/// Where a flaw is, as the rule knows it; bytes come later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Location {
    /// A layer: its name in the spec.
    Node(NodeId),
    /// The value of a layer's argument; the layer's name if it was not written.
    Argument(NodeId, &'static str),
    /// A token of the spec, for rules about the way it is written.
    Token(Span),
    /// The network as a whole.
    Network,
}

impl Location {
    /// The layer that it belongs to.
    pub fn node(self) -> Option<NodeId> {
        match self {
            Self::Node(node) | Self::Argument(node, _) => Some(node),
            Self::Token(_) | Self::Network => None,
        }
    }
}

/// A flaw.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// Where it is.
    pub place: Location,
    /// The flaw with its numbers: lower case, no full stop.
    pub message: String,
    /// Remedies, each lower case without a full stop.
    pub help: Vec<String>,
    /// Other places that matter, each with a remark.
    pub related: Vec<(Location, String)>,
    /// How to mend it.
    pub fix: Option<Fix>,
}

impl Finding {
    /// A flaw at `place`.
    pub fn new(place: Location, message: impl Into<String>) -> Self {
        Self { place, message: message.into(), help: vec![], related: vec![], fix: None }
    }

    /// The same finding with a remedy.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// The same finding with another place that matters.
    #[must_use]
    pub fn related(mut self, place: Location, remark: impl Into<String>) -> Self {
        self.related.push((place, remark.into()));
        self
    }

    /// The same finding with a fix, if there is one.
    #[must_use]
    pub fn fix(mut self, fix: Option<Fix>) -> Self {
        self.fix = fix;
        self
    }
}

/// A change of the text that removes a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    /// What it does, in the imperative: `set bias: false`.
    pub title: String,
    /// The replacements; they do not overlap.
    pub edits: Vec<Edit>,
    /// Whether the network computes the same functions afterwards, so that it may be applied unseen.
    pub safe: bool,
    /// By how much the parameters of this layer change; tests hold it against the fixed network.
    pub params: i64,
}

/// A range of the text and what stands there instead.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Edit {
    /// The range; empty for an insertion.
    pub span: Span,
    /// The new text.
    pub text: String,
}
