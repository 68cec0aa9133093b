//! One finding with its position, as reports show it.

use std::sync::Arc;

use cnnkit_core::source::{Sources, Span};
use cnnkit_findings::{Checked, Edit, Located, Meta, Severity};

/// One finding.
#[derive(Debug, Clone)]
pub struct Item {
    /// The rule.
    pub rule: &'static Meta,
    /// Its severity.
    pub severity: Severity,
    /// The flaw with its numbers.
    pub message: String,
    /// The spec in which it was found, as the call named it.
    pub spec: String,
    /// Its position.
    pub spot: Option<Spot>,
    /// The id of the layer.
    pub node: Option<String>,
    /// Other layers written at the same position with the same flaw.
    pub also: Vec<String>,
    /// Other specs with the same finding, from the same file.
    pub specs: Vec<String>,
    /// Other relevant positions.
    pub related: Vec<(Spot, String)>,
    /// Remedies.
    pub help: Vec<String>,
    /// The fix.
    pub fix: Option<Change>,
    /// Identifies the finding; it does not change when lines are added elsewhere.
    pub fingerprint: String,
}

impl Item {
    pub(crate) fn new(spec: &Checked, finding: &Located, fingerprint: String) -> Self {
        let spot = |span: Span| Spot::new(&spec.sources, span);
        let edit = |edit: &Edit| (spot(edit.span), edit.text.clone());
        Self {
            rule: finding.rule,
            severity: finding.severity,
            message: finding.message.clone(),
            spec: spec.path.clone(),
            spot: finding.span.map(spot),
            node: finding.node.clone(),
            also: finding.also.clone(),
            specs: vec![],
            related: finding.related.iter().map(|(span, remark)| (spot(*span), remark.clone())).collect(),
            help: finding.help.clone(),
            fix: finding.fix.as_ref().map(|fix| Change {
                title: fix.title.clone(),
                safe: fix.safe,
                edits: fix.edits.iter().map(edit).collect(),
            }),
            fingerprint,
        }
    }

    /// Returns the file that contains the flaw.
    pub fn file(&self) -> &str {
        self.spot.as_ref().map_or(&self.spec, |spot| &spot.file)
    }

    /// Returns line and column, from 1; the start of the file if there is no position.
    pub fn start(&self) -> (usize, usize) {
        self.spot.as_ref().map_or((1, 1), |spot| spot.from)
    }

    /// Returns line and column after its end.
    pub fn end(&self) -> (usize, usize) {
        self.spot.as_ref().map_or((1, 1), |spot| spot.to)
    }

    /// Formats the other layers and specs that have the flaw: `the same in 15 more layers: a, b, ...`.
    pub fn others(&self) -> Option<String> {
        const SHOWN: usize = 3;
        let list = |names: &[String]| {
            let more = if names.len() > SHOWN { ", ..." } else { "" };
            let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
            format!("{}{more}", shown.join(", "))
        };
        let parts: Vec<String> = [(&self.also, "layer"), (&self.specs, "spec")]
            .into_iter()
            .filter(|(names, _)| !names.is_empty())
            .map(|(names, word)| {
                format!(
                    "{} more {word}{} ({})",
                    names.len(),
                    if names.len() == 1 { "" } else { "s" },
                    list(names)
                )
            })
            .collect();
        (!parts.is_empty()).then(|| format!("the same in {}", parts.join(" and in ")))
    }
}

/// A range of a text.
#[derive(Debug, Clone)]
pub struct Spot {
    /// The file as the user named it.
    pub file: String,
    /// Its text.
    pub text: Arc<str>,
    /// First byte of its line.
    pub line: usize,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
    /// Line and column of the first character, from 1.
    pub from: (usize, usize),
    /// Line and column after the last character.
    pub to: (usize, usize),
}

impl Spot {
    /// Returns the range `span` of `sources`.
    pub fn new(sources: &Sources, span: Span) -> Self {
        let (source, span) = (sources.get(span.source), sources.whole(span));
        Self {
            file: source.name.clone(),
            text: Arc::clone(&source.text),
            line: sources.line_start(span.source, span.start),
            start: span.start,
            end: span.end,
            from: sources.line_column(span.source, span.start),
            to: sources.line_column(span.source, span.end),
        }
    }
}

/// A fix with its positions.
#[derive(Debug, Clone)]
pub struct Change {
    /// What it does.
    pub title: String,
    /// Whether it may be applied without review.
    pub safe: bool,
    /// The replacements.
    pub edits: Vec<(Spot, String)>,
}
