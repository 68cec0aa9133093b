//! Detects constructs of the spec language in the connections: residual sums and branches.

use std::collections::HashSet;
use std::ops::Range;

use crate::export::outline::{Child, GroupId, Outline};
use cnnkit_core::graph::{NodeId, Op};
use cnnkit_core::layers::{Arity, Layer};

/// The name of a residual's projection, which is the level of ids that the construct creates.
pub(super) const SHORTCUT: &str = "shortcut";

/// A construct that begins at a child of a group. Numbers are indices of children.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Construct {
    /// A body, and the value it is added to.
    Residual {
        /// The body.
        body: Range<usize>,
        /// The projection; `None` for the value that the body reads.
        shortcut: Option<usize>,
        /// The layer that merges them.
        join: usize,
    },
    /// Parallel groups that read the same value.
    Branches {
        /// One group each; `None` for an identity path.
        paths: Vec<Option<usize>>,
        /// The layer that merges them.
        join: usize,
    },
}

impl Construct {
    /// Returns the layer that merges the paths.
    pub(super) fn join(&self) -> usize {
        match self {
            Self::Residual { join, .. } | Self::Branches { join, .. } => *join,
        }
    }

    /// Returns the inner groups that are its paths.
    pub(super) fn paths(&self) -> Vec<usize> {
        match self {
            Self::Residual { shortcut, .. } => shortcut.iter().copied().collect(),
            Self::Branches { paths, .. } => paths.iter().flatten().copied().collect(),
        }
    }
}

/// Returns the output of the list of children up to and including `child`: its last layer.
pub(super) fn result(outline: &Outline<'_>, child: Child) -> Option<NodeId> {
    match child {
        Child::Node(node) => Some(node),
        Child::Group(group) => outline.groups[group].children.last().and_then(|&last| result(outline, last)),
    }
}

/// Returns the largest construct among the children `range` of `group` that begins with the first of them, where
/// `start` is the output of the layer before.
pub(super) fn find(
    outline: &Outline<'_>,
    group: GroupId,
    range: &Range<usize>,
    start: NodeId,
) -> Option<Construct> {
    let children = &outline.groups[group].children;
    let joins = range.clone().skip(1).rev().filter(|&index| joins(outline, children[index]));
    joins.into_iter().find_map(|join| {
        residual(outline, group, range.start, join, start)
            .or_else(|| branches(outline, group, range.start, join, start))
    })
}

/// Returns the inner groups of `group` that are paths of constructs.
pub(super) fn paths(outline: &Outline<'_>, group: GroupId) -> HashSet<GroupId> {
    fn walk(
        outline: &Outline<'_>,
        group: GroupId,
        range: Range<usize>,
        start: Option<NodeId>,
        found: &mut HashSet<GroupId>,
    ) {
        let children = &outline.groups[group].children;
        let (mut at, mut current) = (range.start, start);
        while at < range.end {
            let construct = current.and_then(|start| find(outline, group, &(at..range.end), start));
            let Some(construct) = construct else {
                current = result(outline, children[at]);
                at += 1;
                continue;
            };
            for path in construct.paths() {
                if let Child::Group(inner) = children[path] {
                    found.insert(inner);
                }
            }
            if let Construct::Residual { body, .. } = &construct {
                walk(outline, group, body.clone(), current, found);
            }
            current = result(outline, children[construct.join()]);
            at = construct.join() + 1;
        }
    }
    let mut found = HashSet::new();
    let start = outline.groups[group].inputs.first().copied();
    walk(outline, group, 0..outline.groups[group].children.len(), start, &mut found);
    found
}

fn joins(outline: &Outline<'_>, child: Child) -> bool {
    let Child::Node(node) = child else { return false };
    match &outline.graph.node(node).op {
        Op::Layer(layer) => layer.doc().inputs == Arity::Many,
        Op::Input => false,
    }
}

/// Returns the rounds of dense connectivity among the children `range` of `group`: each is a body, and a
/// concatenation of the first input and all outputs so far. At least two.
pub(super) fn dense(
    outline: &Outline<'_>,
    group: GroupId,
    range: &Range<usize>,
    start: NodeId,
) -> Vec<Range<usize>> {
    let children = &outline.groups[group].children;
    let mut features = vec![start];
    let mut rounds = Vec::new();
    let (mut first, mut at) = (range.start, range.start);
    while at < range.end {
        let inputs = outline.inputs(children[at]);
        let before =
            at.checked_sub(1).filter(|&last| last >= first).and_then(|last| result(outline, children[last]));
        let joins = is_plain_concat(outline, children[at]) && inputs.len() == features.len() + 1;
        if let Some(last) = before
            && joins
            && inputs[..features.len()] == features
            && inputs[features.len()] == last
        {
            features.push(last);
            rounds.push(first..at);
            first = at + 1;
        }
        // A round has few layers; a long one is something else.
        if at >= first + 64 {
            break;
        }
        at += 1;
    }
    if rounds.len() < 2 { vec![] } else { rounds }
}

fn is_plain_concat(outline: &Outline<'_>, child: Child) -> bool {
    let Child::Node(node) = child else { return false };
    matches!(&outline.graph.node(node).op, Op::Layer(Layer::Concat(concat)) if concat.axis == 0)
}

/// Returns `child` if it is a group that reads only `start` and can be written as a list of layers of its own.
fn path_of(outline: &Outline<'_>, child: Child, start: NodeId) -> Option<GroupId> {
    let Child::Group(group) = child else { return None };
    let facts = &outline.groups[group];
    let dotted = facts.name.contains('.');
    (facts.inputs == [start] && facts.shares.is_none() && !dotted).then_some(group)
}

fn residual(
    outline: &Outline<'_>,
    group: GroupId,
    first: usize,
    join: usize,
    start: NodeId,
) -> Option<Construct> {
    let children = &outline.groups[group].children;
    let Child::Node(node) = children[join] else { return None };
    let layer = match &outline.graph.node(node).op {
        Op::Layer(layer @ (Layer::Add(_) | Layer::Multiply(_))) => layer,
        Op::Layer(_) | Op::Input => return None,
    };
    // `scale` weights the body; a residual cannot express other weights.
    if let Layer::Add(add) = layer
        && add.weights.as_ref().is_some_and(|weights| weights.len() != 2 || weights[1] != 1.0)
    {
        return None;
    }
    let &[a, b] = outline.inputs(children[join]) else { return None };
    let projection = |index: usize| {
        path_of(outline, children[index], start)
            .filter(|&inner| outline.groups[inner].name == SHORTCUT)
            .filter(|_| result(outline, children[index]) == Some(b))
    };
    let (body, shortcut) = if b == start {
        (first..join, None)
    } else if projection(join - 1).is_some() {
        (first..join - 1, Some(join - 1))
    } else if projection(first).is_some() {
        (first + 1..join, Some(first))
    } else {
        return None;
    };
    let ends = body.clone().next_back().is_some_and(|last| result(outline, children[last]) == Some(a));
    let begins = body.clone().next().is_some_and(|first| outline.inputs(children[first]).contains(&start));
    (ends && begins && a != b).then_some(Construct::Residual { body, shortcut, join })
}

fn branches(
    outline: &Outline<'_>,
    group: GroupId,
    first: usize,
    join: usize,
    start: NodeId,
) -> Option<Construct> {
    let children = &outline.groups[group].children;
    let mut paths = Vec::new();
    let mut next = first;
    for &input in outline.inputs(children[join]) {
        if input == start {
            paths.push(None);
            continue;
        }
        if next >= join || result(outline, children[next]) != Some(input) {
            return None;
        }
        path_of(outline, children[next], start)?;
        paths.push(Some(next));
        next += 1;
    }
    // A value next to a single path is an ordinary sum or concatenation.
    let groups = paths.iter().flatten().count();
    (next == join && groups > 1).then_some(Construct::Branches { paths, join })
}
