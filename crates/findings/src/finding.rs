//! A rule's finding, before it is located in the text and its level is applied.

use cnnkit_core::graph::NodeId;
use cnnkit_core::source::Span;

/// The location of a flaw in terms of the network; the position in the text is determined later.
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
    /// Returns the layer that it belongs to.
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
    /// Other relevant locations, each with a remark.
    pub related: Vec<(Location, String)>,
    /// The edit that removes it.
    pub fix: Option<Fix>,
}

impl Finding {
    /// Returns a flaw at `place`.
    pub fn new(place: Location, message: impl Into<String>) -> Self {
        Self { place, message: message.into(), help: vec![], related: vec![], fix: None }
    }

    /// Adds a remedy.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// Adds another relevant location.
    #[must_use]
    pub fn related(mut self, place: Location, remark: impl Into<String>) -> Self {
        self.related.push((place, remark.into()));
        self
    }

    /// Adds a fix, if there is one.
    #[must_use]
    pub fn fix(mut self, fix: Option<Fix>) -> Self {
        self.fix = fix;
        self
    }
}

/// An edit that removes a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    /// What it does, in the imperative: `set bias: false`.
    pub title: String,
    /// The replacements; they do not overlap.
    pub edits: Vec<Edit>,
    /// Whether the network computes the same functions afterwards, so that the fix may be applied without review.
    pub safe: bool,
    /// The change of this layer's number of parameters; tests compare it with the fixed network.
    pub params: i64,
}

/// A range of the text and its replacement.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Edit {
    /// The range; empty for an insertion.
    pub span: Span,
    /// The new text.
    pub text: String,
}
