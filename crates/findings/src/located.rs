//! Locates a rule's findings in the text: one finding per position, however often the block around it is used.

use std::collections::{HashMap, HashSet};

use crate::{Facts, Finding, Fix, Location, Meta, Severity};
use cnnkit_core::diagnostic::Diagnostic;
use cnnkit_core::graph::NodeId;
use cnnkit_core::source::Span;

/// A finding with its position.
#[derive(Debug, Clone)]
pub struct Located {
    /// The rule.
    pub rule: &'static Meta,
    /// Its severity.
    pub severity: Severity,
    /// The flaw with its numbers; those of the first use, if there are several.
    pub message: String,
    /// The token; `None` for a flaw of a whole file, or of an imported model.
    pub span: Option<Span>,
    /// The id of the layer.
    pub node: Option<String>,
    /// Ids of the other layers that were written at this position and have the same flaw.
    pub also: Vec<String>,
    /// Other relevant positions, each with a remark.
    pub related: Vec<(Span, String)>,
    /// Remedies.
    pub help: Vec<String>,
    /// The edit that removes it, if it is right for every use of the position.
    pub fix: Option<Fix>,
}

impl Located {
    /// Returns the finding for an error that prevented a spec from being built.
    pub fn of_error(rule: &'static Meta, error: Diagnostic) -> Self {
        Self {
            rule,
            severity: Severity::Error,
            message: error.message,
            span: error.span,
            node: error.node,
            also: vec![],
            related: error.related,
            help: error.help,
            fix: None,
        }
    }
}

/// Locates the findings of one rule, in the order in which they were found.
pub fn locate(
    facts: &Facts<'_>,
    rule: &'static Meta,
    severity: Severity,
    found: Vec<Finding>,
) -> Vec<Located> {
    let mut groups: Vec<(Option<Span>, Vec<Finding>)> = Vec::new();
    let mut known: HashMap<Span, usize> = HashMap::new();
    for finding in found {
        let span = span(facts, finding.place);
        match span.and_then(|span| known.get(&span).copied()) {
            Some(group) => groups[group].1.push(finding),
            None => {
                if let Some(span) = span {
                    known.insert(span, groups.len());
                }
                groups.push((span, vec![finding]));
            }
        }
    }
    // The number of layers written at each position, if it matters.
    let mut written: HashMap<Span, usize> = HashMap::new();
    if groups.iter().any(|(_, group)| group.iter().any(|finding| finding.fix.is_some())) {
        let spans = facts.graph.nodes().iter().filter_map(|node| node.origin.span);
        spans.for_each(|span| *written.entry(span).or_default() += 1);
    }
    let join = |(span, group)| joined(facts, rule, severity, &written, span, group);
    groups.into_iter().filter_map(join).collect()
}

/// Returns the token of a finding, and the uses of the blocks that contain it.
pub fn places(facts: &Facts<'_>, finding: &Finding) -> Vec<Span> {
    let uses = finding.place.node().map(|node| facts.origin(node).used_at.iter().map(|(_, span)| *span));
    span(facts, finding.place).into_iter().chain(uses.into_iter().flatten()).collect()
}

/// Returns the token of a location.
fn span(facts: &Facts<'_>, place: Location) -> Option<Span> {
    match place {
        Location::Node(node) => facts.origin(node).span,
        Location::Argument(node, name) => facts.origin(node).argument(name),
        Location::Token(span) => Some(span),
        Location::Network => facts.whole(),
    }
}

fn joined(
    facts: &Facts<'_>,
    rule: &'static Meta,
    severity: Severity,
    written: &HashMap<Span, usize>,
    span: Option<Span>,
    mut group: Vec<Finding>,
) -> Option<Located> {
    let nodes: Vec<NodeId> = {
        let mut nodes: Vec<NodeId> = group.iter().filter_map(|finding| finding.place.node()).collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    };
    let fix = joint_fix(facts, written, &nodes, &group);
    let first = group.swap_remove(0);
    let mut related: Vec<(Span, String)> = Vec::new();
    for (place, remark) in first.related {
        related
            .extend(self::span(facts, place).filter(|&other| Some(other) != span).map(|span| (span, remark)));
    }
    let node = first.place.node();
    if let Some(node) = node {
        let uses = facts.origin(node).used_at.iter();
        related.extend(uses.map(|(block, span)| (*span, format!("in this use of `{block}`"))));
    }
    let id = |node: NodeId| facts.node(node).id.clone();
    Some(Located {
        rule,
        severity,
        message: first.message,
        span,
        node: node.map(id),
        also: nodes.iter().filter(|&&other| Some(other) != node).map(|&node| id(node)).collect(),
        related,
        help: first.help,
        fix,
    })
}

/// Returns the fix of all findings at one position: only if each has one, and every layer written there has the flaw.
fn joint_fix(
    facts: &Facts<'_>,
    written: &HashMap<Span, usize>,
    nodes: &[NodeId],
    group: &[Finding],
) -> Option<Fix> {
    let mut fixes = group.iter().map(|finding| finding.fix.clone());
    let mut joint = fixes.next()??;
    for fix in fixes {
        let fix = fix?;
        joint.safe &= fix.safe;
        joint.params += fix.params;
        joint.edits.extend(fix.edits);
    }
    joint.edits.sort();
    joint.edits.dedup();
    // A layer without a position cannot be edited.
    let places: HashSet<Span> = nodes.iter().filter_map(|&node| facts.origin(node).span).collect();
    let here: usize = places.iter().filter_map(|place| written.get(place)).sum();
    let placed = nodes.iter().filter(|&&node| facts.origin(node).span.is_some()).count();
    if here != placed {
        return None;
    }
    // Other specs use the file of a block as well, and they were not checked.
    if let Some(document) = facts.document {
        let own = document.files.first().map(|file| file.source);
        joint.safe &= joint.edits.iter().all(|edit| Some(edit.span.source) == own);
    }
    Some(joint)
}
