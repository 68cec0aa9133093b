//! `cnnkit check`: rules run over specs, their findings brought to places in the text.
//!
//! ```text
//! spec -> graph, document -> facts -> rules -> findings -> places, uses counted -> levels, suppressions -> outcome
//! ```
//!
//! One flaw in a block that is used sixteen times is one finding, at the block's definition.

mod located;
mod selection;
mod suppress;

pub use located::{Located, locate, places};
pub use selection::{Active, Selection};
pub use suppress::Suppressions;

use crate::diagnostic::{Diagnostic, Problem};
use crate::rules::{Context, Facts, Finding, Meta, of_code};
use crate::source::Sources;
use crate::spec::Loaded;

/// What is to be said of one spec.
#[derive(Debug)]
pub struct Outcome {
    /// Its findings, in the order of their places.
    pub findings: Vec<Located>,
    /// Findings that a comment with a reason suppresses.
    pub suppressed: Vec<Located>,
    /// Rules that could not judge this network.
    pub skipped: Vec<Skipped>,
}

/// A rule that could not judge.
#[derive(Debug)]
pub struct Skipped {
    /// The rule.
    pub rule: &'static Meta,
    /// Why.
    pub problem: Problem,
}

/// Runs the rules of `selection` over a network.
pub fn network(loaded: &Loaded, selection: &Selection) -> Outcome {
    let facts = Facts::new(&loaded.graph, Some(&loaded.document), &loaded.sources);
    let comments: Vec<Suppressions> =
        loaded.document.files.iter().map(|file| Suppressions::read(&loaded.sources, file.source)).collect();
    let (mut findings, mut suppressed, mut skipped) = (Vec::new(), Vec::new(), Vec::new());
    for active in &selection.rules {
        let mut found: Vec<Finding> = Vec::new();
        let meta = active.rule.meta();
        let context = Context { facts: &facts, settings: &active.settings, meta };
        if let Err(problem) = active.rule.check(&context, &mut found) {
            skipped.push(Skipped { rule: meta, problem });
        }
        let (hidden, shown): (Vec<_>, Vec<_>) = found.into_iter().partition(|finding| {
            let places = places(&facts, finding);
            // Every comment that covers it is in use.
            comments.iter().filter(|comments| comments.cover(&loaded.sources, meta, &places)).count() > 0
        });
        findings.extend(locate(&facts, meta, active.severity, shown));
        suppressed.extend(locate(&facts, meta, active.severity, hidden));
    }
    // An included file serves other specs as well: what is unused here may be used there.
    let ran = |meta: &Meta| selection.rules.iter().any(|active| active.rule.meta().id == meta.id);
    findings.extend(comments.first().map(|own| own.unused(ran)).unwrap_or_default());
    findings.extend(comments.into_iter().flat_map(|comments| comments.malformed));
    sort(&mut findings);
    sort(&mut suppressed);
    Outcome { findings, suppressed, skipped }
}

/// The findings of a spec that could not be built.
pub fn rejected(errors: Vec<Diagnostic>) -> Outcome {
    let mut findings: Vec<Located> =
        errors.into_iter().map(|error| Located::of_error(of_code(error.code), error)).collect();
    sort(&mut findings);
    Outcome { findings, suppressed: vec![], skipped: vec![] }
}

fn sort(findings: &mut [Located]) {
    findings.sort_by_key(|finding| {
        (finding.span.map(|span| (span.source, span.start, span.end)), finding.rule.id)
    });
}

/// The text with all `edits` of one source applied; nothing if two of them touch.
pub fn apply(sources: &Sources, edits: &[crate::rules::Edit]) -> Option<String> {
    let source = edits.first()?.span.source;
    let mut sorted: Vec<_> = edits.iter().filter(|edit| edit.span.source == source).collect();
    sorted.sort();
    sorted.dedup();
    let text = &*sources.get(source).text;
    let (mut out, mut at, mut last) = (String::new(), 0, None);
    for edit in sorted {
        // Two insertions at one place have no order.
        if edit.span.start < at || last.replace(edit.span.start) == Some(edit.span.start) {
            return None;
        }
        out += text.get(at..edit.span.start)?;
        out += &edit.text;
        at = edit.span.end;
    }
    out += text.get(at..)?;
    Some(out)
}
