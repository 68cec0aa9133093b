//! Runs rules over specs and locates their findings in the text: the library behind `cnnkit check`.
//!
//! ```text
//! spec -> graph, document -> facts -> rules -> findings -> positions, uses counted -> levels, suppressions -> outcome
//! ```
//!
//! One flaw in a block that is used sixteen times is one finding, at the block's definition.

mod baseline;
mod budget;
mod comments;
mod config;
mod files;
mod idle;
pub mod rules;
mod run;
mod selection;
mod suppress;
mod toml;
mod verified;

pub use baseline::{Accepted, Baseline};
pub use budget::judge;
pub use cnnkit_findings::{
    Checked, Condition, Figures, Located, Outcome, PROJECT_FILE, Rewrite, Skipped, apply, fingerprints,
    in_project, is_project_file, locate, places, rewrites,
};
pub use config::{Budget, Choices, Object, Project};
pub use files::{Targets, looks_like_spec, targets};
pub use idle::idle_budgets;
pub use run::{Plan, Subject, run};
pub use selection::{Active, Selection, Selector};
pub use suppress::Suppressions;

use std::collections::HashSet;

use crate::rules::{Context, Facts, Finding, Meta, OTHERS, Severity, UNUSED_SUPPRESSION, of_code};
use cnnkit_core::diagnostic::{Code, Diagnostic, Problem};
use cnnkit_core::source::{SourceId, Sources, Span};
use cnnkit_core::spec::Loaded;

/// Results in addition to those of the rules.
#[derive(Debug, Default)]
pub struct Extra {
    /// Findings that come from no rule.
    pub findings: Vec<(&'static Meta, Finding)>,
    /// Figures that may only improve.
    pub figures: Figures,
    /// Checks that could not be applied.
    pub skipped: Vec<Skipped>,
}

/// Maximum number of findings of one rule that are listed for one spec; that there are more is said.
const MAX_FINDINGS: usize = 1000;

/// Runs the rules of `selection` over the network of a spec.
pub fn network(loaded: &Loaded, selection: &Selection) -> Outcome {
    let facts = Facts::new(&loaded.graph, Some(&loaded.document), &loaded.sources);
    judge_all(&facts, selection, &|_| Extra::default())
}

/// Runs the rules of `selection`, and `extra`, over a network.
pub fn judge_all(facts: &Facts<'_>, selection: &Selection, extra: &dyn Fn(&Facts<'_>) -> Extra) -> Outcome {
    let comments: Vec<Suppressions> =
        facts.texts().into_iter().map(|source| Suppressions::read(facts.sources, source)).collect();
    let (mut findings, mut suppressed, mut skipped) = (Vec::new(), Vec::new(), Vec::new());
    let mut sort_out =
        |skipped: &mut Vec<Skipped>, meta: &'static Meta, severity: Severity, mut found: Vec<Finding>| {
            if found.len() > MAX_FINDINGS {
                let message = format!("it has {} findings, the first {MAX_FINDINGS} are listed", found.len());
                let problem = Problem::new(Code::Limit, message).help("fix these first");
                skipped.push(Skipped { rule: meta, problem });
                found.truncate(MAX_FINDINGS);
            }
            let (hidden, shown): (Vec<_>, Vec<_>) = found.into_iter().partition(|finding| {
                let places = places(facts, finding);
                // Every comment that covers the finding counts as used.
                comments.iter().filter(|comments| comments.cover(facts.sources, meta, &places)).count() > 0
            });
            findings.extend(locate(facts, meta, severity, shown));
            suppressed.extend(locate(facts, meta, severity, hidden));
        };
    for active in &selection.rules {
        let mut found: Vec<Finding> = Vec::new();
        let meta = active.rule.meta();
        let context = Context { facts, settings: &active.settings, meta };
        if let Err(problem) = active.rule.check(&context, &mut found) {
            skipped.push(Skipped { rule: meta, problem });
        }
        sort_out(&mut skipped, meta, active.severity, found);
    }
    let extra = extra(facts);
    for (meta, finding) in extra.findings {
        sort_out(&mut skipped, meta, meta.severity, vec![finding]);
    }
    skipped.extend(extra.skipped);
    let errors = facts.document.into_iter().flat_map(|document| &document.expectation_errors);
    findings.extend(errors.map(|error| Located::of_error(of_code(error.code), error.clone())));
    let ran = |meta: &Meta| selection.runs(meta.id) || OTHERS.iter().any(|other| other.id == meta.id);
    let concerns = |source: SourceId, line: Option<usize>| facts.concerns(source, line);
    findings.extend(comments.iter().flat_map(|comments| comments.unused(ran, concerns)));
    let used =
        comments.iter().flat_map(Suppressions::used).map(|token| place(facts.sources, token)).collect();
    findings.extend(comments.into_iter().flat_map(|comments| comments.malformed));
    let mut outcome = Outcome { findings, suppressed, used, accepted: 0, figures: extra.figures, skipped };
    outcome.sort();
    outcome
}

/// Returns the findings of a spec that could not be built.
pub fn rejected(errors: Vec<Diagnostic>) -> Outcome {
    let findings = errors.into_iter().map(|error| Located::of_error(of_code(error.code), error)).collect();
    let mut outcome = Outcome { findings, ..Outcome::default() };
    outcome.sort();
    outcome
}

/// Returns a position that is the same for all networks that read a text.
fn place(sources: &Sources, span: Span) -> (String, usize) {
    (sources.get(span.source).name.clone(), span.start)
}

/// Removes the findings about comments that suppress nothing in one network, but something in another one of `checked`.
fn settle(checked: &mut [Checked]) {
    let used: HashSet<(String, usize)> =
        checked.iter_mut().flat_map(|spec| std::mem::take(&mut spec.outcome.used)).collect();
    for Checked { sources, outcome, .. } in checked {
        let elsewhere = |finding: &Located| {
            finding.rule.id == UNUSED_SUPPRESSION.id
                && finding.span.is_some_and(|span| used.contains(&place(sources, span)))
        };
        outcome.findings.retain(|finding| !elsewhere(finding));
    }
}
