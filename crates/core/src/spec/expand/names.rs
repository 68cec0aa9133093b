//! Generation of ids, and resolution of `from`, `share` and `outputs`.

use std::sync::Arc;

use super::Expander;
use super::level::State;
use crate::diagnostic::{Code, Diagnostic, suggest};
use crate::graph::NodeId;
use crate::source::Span;
use crate::spec::grammar::{INPUT, PREVIOUS};

/// A name that did not exist when it was referred to.
#[derive(Debug)]
pub(super) struct Unresolved {
    name: String,
    span: Span,
    /// Full ids that the name could refer to, innermost first.
    candidates: Vec<String>,
    /// The node that refers to it.
    pub(super) reader: Option<NodeId>,
    uses: Arc<[(String, Span)]>,
}

impl Expander<'_> {
    /// Returns the full id of a new layer, block or branch: the written `id`, or its kind and the next free number.
    pub(super) fn name(&mut self, kind: &str, written: Option<(String, Span)>) -> String {
        if let Some((name, span)) = written {
            let full = self.frame().join(&name);
            if self.taken(&full) {
                let mut error = Diagnostic::error(Code::Reference, format!("the id `{full}` is taken"), span);
                if let Some(first) = self.builder.find(&full).and_then(|node| self.builder.origin(node).span)
                {
                    error = error.related(first, "by this layer");
                }
                self.report_in_block(error.help("give it another `id`; inside a `repeat`, number it: `a$i`"));
            }
            return full;
        }
        loop {
            let number = self.frame().counters.entry(kind.to_owned()).or_insert(0);
            *number += 1;
            let name = format!("{kind}{number}");
            let full = self.frame().join(&name);
            if !self.taken(&full) {
                return full;
            }
        }
    }

    pub(super) fn taken(&self, full: &str) -> bool {
        self.builder.find(full).is_some() || self.groups.contains_key(full)
    }

    /// Returns the node that `name` refers to here; if there is none (yet), the end of the expansion reports it.
    pub(super) fn resolve(&mut self, name: &str, span: Span, current: Option<NodeId>) -> Option<NodeId> {
        if name == PREVIOUS {
            if current.is_none() {
                let message = "there is no layer before this one".into();
                self.report(Code::Reference, message, span, "name an input or a layer");
            }
            return current;
        }
        let mut candidates = Vec::new();
        for frame in self.frames.iter().rev() {
            if let Some((_, node)) = frame.inputs.iter().find(|(input, _)| input == name) {
                return Some(*node);
            }
            let full = frame.join(name);
            if let Some(node) = self.builder.find(&full) {
                return Some(node);
            }
            match self.groups.get(&full).map(|group| group.state) {
                Some(State::Closed(node)) => return node,
                Some(State::Open) => {
                    let message =
                        format!("`{name}` is the group that this layer is part of: that is a cycle");
                    self.report(Code::Reference, message, span, "read a layer before it, or `input`");
                    return None;
                }
                None => candidates.push(full),
            }
        }
        let uses = Arc::clone(&self.frame().used_at);
        self.unresolved.push(Unresolved { name: name.to_owned(), span, candidates, reader: None, uses });
        None
    }

    /// Records that `reader` refers to the names not found since `mark`.
    pub(super) fn wanted_by(&mut self, mark: usize, reader: NodeId) {
        for unresolved in &mut self.unresolved[mark..] {
            unresolved.reader = Some(reader);
        }
    }

    /// Returns the number of names not found so far.
    pub(super) fn unresolved(&self) -> usize {
        self.unresolved.len()
    }

    /// Reports the names that were not found: those defined later (a cycle, or wrong order) and those never defined.
    pub(super) fn report_unresolved(&mut self) {
        for missing in std::mem::take(&mut self.unresolved) {
            let name = &missing.name;
            let later = missing.candidates.iter().find_map(|full| {
                let group = match self.groups.get(full).map(|group| group.state) {
                    Some(State::Closed(node)) => node,
                    _ => None,
                };
                self.builder.find(full).or(group)
            });
            let mut error = match later {
                Some(target) => {
                    let cycle = missing.reader.is_some_and(|reader| self.builder.depends_on(target, reader));
                    let message = if missing.reader == Some(target) {
                        format!("`{name}` reads itself: that is a cycle")
                    } else if cycle {
                        format!("`{name}` depends on the layer that reads it here: that is a cycle")
                    } else {
                        format!("`{name}` comes later")
                    };
                    let mut error = Diagnostic::error(Code::Reference, message, missing.span);
                    if let Some(span) = self.builder.origin(target).span {
                        error = error.related(span, format!("`{name}` is here"));
                    }
                    error.help(if cycle {
                        "a layer can read only layers before it"
                    } else {
                        "move this layer after it"
                    })
                }
                None => {
                    let error = Diagnostic::error(
                        Code::Reference,
                        format!("there is no layer `{name}`"),
                        missing.span,
                    );
                    let help = self.nearest_id(name, &missing.candidates);
                    error.help(help)
                }
            };
            error.related.extend(
                missing.uses.iter().map(|(block, span)| (*span, format!("in this use of `{block}`"))),
            );
            self.builder.report(error);
        }
    }

    fn nearest_id(&self, name: &str, candidates: &[String]) -> String {
        let ids = || self.builder.ids().chain(self.groups.keys().map(String::as_str));
        let mut groups: Vec<&str> = self.groups.keys().map(String::as_str).collect();
        groups.sort_unstable();
        for full in candidates {
            let close = suggest(full, self.builder.ids()).or_else(|| suggest(full, groups.iter().copied()));
            if let Some(close) = close {
                let prefix = full.strip_suffix(name).unwrap_or("");
                return format!("did you mean `{}`?", close.strip_prefix(prefix).unwrap_or(close));
            }
        }
        if name == INPUT {
            let inputs: Vec<&str> = self.document.inputs.iter().map(|(key, _)| key.name.as_str()).collect();
            return format!("the inputs are {}", inputs.join(", "));
        }
        match ids().find(|id| id.ends_with(&format!(".{name}"))) {
            Some(id) => format!("inside another block there is `{id}`"),
            None => "give an `id` to the layer that it should read; `cnnkit graph` lists all ids".into(),
        }
    }
}
