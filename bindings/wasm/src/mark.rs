//! Errors and findings at their places in the text of the editor.

use serde::Serialize;

use cnnkit_core::diagnostic::Diagnostic;
use cnnkit_core::source::{Sources, Span};
use cnnkit_report::item::{Item, Spot};

/// A flaw and its place.
#[derive(Debug, Serialize)]
pub struct Mark {
    /// `error`, `warning` or `note`.
    severity: &'static str,
    /// The stable code: `CK005`.
    code: &'static str,
    /// The name of the rule; none for an error of the spec language.
    rule: Option<&'static str>,
    message: String,
    help: Vec<String>,
    node: Option<String>,
    /// Where it is; none for a flaw of the whole input.
    place: Option<Place>,
    /// Other places, each with a remark.
    related: Vec<(Place, String)>,
    /// The edit that removes it.
    fix: Option<Fix>,
}

/// A range of a text.
#[derive(Debug, Serialize)]
struct Place {
    /// The text as messages call it.
    file: String,
    /// First UTF-16 unit, as JavaScript counts.
    from: usize,
    /// One past the last.
    to: usize,
    /// From 1.
    line: usize,
    /// From 1, in characters.
    column: usize,
}

/// An edit that removes a flaw.
#[derive(Debug, Serialize)]
struct Fix {
    title: String,
    safe: bool,
    edits: Vec<(Place, String)>,
}

impl Place {
    fn new(spot: &Spot) -> Self {
        let units = |text: &str| text.encode_utf16().count();
        let before = spot.text.get(..spot.start).map_or(0, units);
        let inside = spot.text.get(spot.start..spot.end).map_or(0, units);
        let (line, column) = spot.from;
        Self { file: spot.file.clone(), from: before, to: before + inside, line, column }
    }

    fn of(sources: &Sources, span: Span) -> Self {
        Self::new(&Spot::new(sources, span))
    }
}

impl Mark {
    /// Returns the mark of an error.
    pub fn of_error(flaw: &Diagnostic, sources: &Sources) -> Self {
        Self {
            severity: "error",
            code: flaw.code.id(),
            rule: None,
            message: flaw.message.clone(),
            help: flaw.help.clone(),
            node: flaw.node.clone(),
            place: flaw.span.map(|span| Place::of(sources, span)),
            related: flaw
                .related
                .iter()
                .map(|(span, remark)| (Place::of(sources, *span), remark.clone()))
                .collect(),
            fix: None,
        }
    }

    /// Returns the mark of a finding.
    pub fn of_finding(item: &Item) -> Self {
        let fix = item.fix.as_ref().map(|change| Fix {
            title: change.title.clone(),
            safe: change.safe,
            edits: change.edits.iter().map(|(spot, text)| (Place::new(spot), text.clone())).collect(),
        });
        Self {
            severity: item.severity.name(),
            code: item.rule.id,
            rule: Some(item.rule.name),
            message: item.message.clone(),
            help: item.help.clone(),
            node: item.node.clone(),
            place: item.spot.as_ref().map(Place::new),
            related: item.related.iter().map(|(spot, remark)| (Place::new(spot), remark.clone())).collect(),
            fix,
        }
    }
}
