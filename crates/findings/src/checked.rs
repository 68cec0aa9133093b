//! One checked spec.

use std::collections::HashSet;

use crate::{Figures, Located, Meta};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::source::Sources;

/// One spec with the result of its check.
#[derive(Debug)]
pub struct Checked {
    /// The SPEC argument, or the path.
    pub path: String,
    /// The network's name; `None` if it could not be built.
    pub name: Option<String>,
    /// The texts.
    pub sources: Sources,
    /// The result.
    pub outcome: Outcome,
}

/// The result of checking one spec.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Its findings, in the order of their positions.
    pub findings: Vec<Located>,
    /// Findings that a comment with a reason suppresses.
    pub suppressed: Vec<Located>,
    /// Comments that suppress a finding: the text's name, and the first byte of the rule's name.
    pub used: HashSet<(String, usize)>,
    /// The number of findings that the baseline accepts.
    pub accepted: usize,
    /// Figures of the network that may only improve.
    pub figures: Figures,
    /// Rules that could not be applied to this network.
    pub skipped: Vec<Skipped>,
}

/// A rule that could not be applied.
#[derive(Debug)]
pub struct Skipped {
    /// The rule.
    pub rule: &'static Meta,
    /// The reason.
    pub problem: Problem,
}

impl Outcome {
    /// Sorts everything by position.
    pub fn sort(&mut self) {
        let position = |finding: &Located| {
            (finding.span.map(|span| (span.source, span.start, span.end)), finding.rule.id)
        };
        self.findings.sort_by_key(position);
        self.suppressed.sort_by_key(position);
    }
}
