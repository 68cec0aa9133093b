//! `- {share: enc1}`: repeats a layer, block or group with the weights of the original.

use std::sync::Arc;

use super::Expander;
use super::entry::Item;
use super::level::{Frame, Group, Recipe, State, What};
use crate::diagnostic::{Code, Diagnostic};
use crate::graph::NodeId;
use crate::source::Span;
use crate::spec::grammar::PREVIOUS;

/// Maximum number of bytes of the id of a group: every layer in it repeats them.
const MAX_PREFIX: usize = 500;

impl<'a> Expander<'a> {
    /// Expands a group in a level of its own and records its output.
    pub(super) fn group(
        &mut self,
        frame: Frame,
        recipe: Recipe<'a>,
        start: Option<NodeId>,
    ) -> Option<NodeId> {
        let prefix = frame.prefix.clone();
        if prefix.len() > MAX_PREFIX {
            let span = match &recipe.what {
                What::Block(block, _) => frame.used_at.first().map_or(block.key.span, |(_, span)| *span),
                What::Construct(key, _) => key.span,
                What::Layers(list) => list.span,
            };
            let message = format!("the ids of these layers have more than {MAX_PREFIX} bytes");
            self.report(Code::Limit, message, span, "nest fewer blocks, or give them shorter names");
            self.stopped = true;
            return None;
        }
        let what = recipe.what.clone();
        self.groups.insert(prefix.clone(), Group { state: State::Open, recipe: Some(recipe) });
        self.frames.push(frame);
        let result = match what {
            What::Block(block, _) => self.list(&block.layers, start),
            What::Layers(list) => self.list(list, start),
            What::Construct(key, value) => {
                self.inside(&Item { key, value, id: None, from: vec![], share: None }, start)
            }
        };
        self.frames.pop();
        if let Some(group) = self.groups.get_mut(&prefix) {
            group.state = State::Closed(result);
        }
        result
    }

    /// Expands an item that consists of a `share` only: repeats what it names.
    pub(super) fn again(&mut self, item: Item<'a>, current: Option<NodeId>, broken: bool) -> Option<NodeId> {
        let Some((name, span)) = item.share.clone() else { return current };
        match self.named_group(&name, current) {
            None => self.layer(item, None, current, broken),
            Some(full) if name == PREVIOUS => self.ambiguous(&full, current, span),
            Some(full) => self.group_again(item, &full, current, broken),
        }
    }

    /// Returns the full id of the group that `name` refers to here; none if it refers to a layer, an input or
    /// nothing. `previous` refers to a group if the previous layer is the last of one.
    pub(super) fn named_group(&self, name: &str, current: Option<NodeId>) -> Option<String> {
        if name == PREVIOUS {
            let end = State::Closed(Some(current?));
            let last = self.builder.ids().nth(current?.0)?;
            let ended = self.groups.iter().filter(|(full, group)| {
                group.state == end
                    && last.strip_prefix(full.as_str()).is_some_and(|rest| rest.starts_with('.'))
            });
            return ended.map(|(full, _)| full).min_by_key(|full| full.len()).cloned();
        }
        for frame in self.frames.iter().rev() {
            let full = frame.join(name);
            if frame.inputs.iter().any(|(input, _)| input == name) || self.builder.find(&full).is_some() {
                return None;
            }
            if self.groups.contains_key(&full) {
                return Some(full);
            }
        }
        None
    }

    /// Reports that `previous` is the end of the group `full`, so that it could refer to the group or the
    /// layer.
    fn ambiguous(&mut self, full: &str, current: Option<NodeId>, span: Span) -> Option<NodeId> {
        let here = |id: &str| {
            let prefix = &self.frames[self.frames.len() - 1].prefix;
            id.strip_prefix(prefix.as_str()).map_or(id, |rest| rest.trim_start_matches('.')).to_owned()
        };
        let group = here(full);
        let last = current.and_then(|node| self.builder.ids().nth(node.0)).map(here).unwrap_or_default();
        let message = format!("`{PREVIOUS}` is the last layer of `{group}`");
        let help = format!("write `share: {group}` for all of it, `share: {last}` for that layer alone");
        self.report(Code::Reference, message, span, &help);
        None
    }

    fn group_again(
        &mut self,
        mut item: Item<'a>,
        full: &str,
        current: Option<NodeId>,
        broken: bool,
    ) -> Option<NodeId> {
        let group = self.groups.get(full)?;
        if group.state == State::Open {
            let (name, span) = item.share?;
            // It reports that this is a cycle.
            return self.resolve(&name, span, current);
        }
        // The error in a group that could not be expanded is already reported.
        let recipe = group.recipe.clone()?;
        let start = if item.from.is_empty() { current } else { item.from.first().copied() };
        let base = match &recipe.what {
            What::Block(block, value) => {
                item.key.name.clone_from(&block.key.name);
                item.value = *value;
                // The variables in the arguments are those of the place where the arguments were written.
                let outer = std::mem::replace(&mut self.frame().env, recipe.env);
                let result = self.block(item, block, start, broken);
                self.frame().env = outer;
                return result;
            }
            What::Construct(key, _) => key.name.clone(),
            What::Layers(_) => {
                let last = full.rsplit('.').next().unwrap_or(full);
                last.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned()
            }
        };
        if broken {
            return None;
        }
        if item.from.len() > 1 {
            let message = format!("`{full}` reads one input, {} are given", item.from.len());
            self.report(Code::Reference, message, item.key.span, "join them first: `- concat: [a, b]`");
            return None;
        }
        let prefix = self.name(if base.is_empty() { "group" } else { &base }, item.id.take());
        let mut frame = self.frame().inner(prefix);
        frame.env = Arc::clone(&recipe.env);
        frame.file = recipe.file;
        frame.inputs.clone_from(&recipe.inputs);
        frame.shares = Some(full.to_owned());
        self.group(frame, recipe, start)
    }

    /// Returns the layer at the same position in the group whose weights the current group shares.
    pub(super) fn shared_owner(&self, id: &str) -> Option<NodeId> {
        self.sharing(id).find_map(|(_, theirs)| self.builder.find(&theirs))
    }

    /// Iterates over the sharing groups around `id`, innermost first, each with the full id that `id` would
    /// have in the group whose weights it shares.
    fn sharing(&self, id: &str) -> impl Iterator<Item = (&str, String)> {
        self.frames.iter().rev().filter_map(move |frame| {
            let theirs = frame.shares.as_ref()?;
            let rest = id.strip_prefix(&frame.prefix)?;
            Some((theirs.as_str(), format!("{theirs}{rest}")))
        })
    }

    /// Reports a layer with weights of its own in a group that shares another's: its weights would silently
    /// count twice.
    pub(super) fn own_weights_while_sharing(&mut self, node: NodeId, id: &str, span: Span) {
        if !self.builder.has_weights(node) {
            return;
        }
        let Some((group, theirs)) = self.sharing(id).map(|(group, theirs)| (group.to_owned(), theirs)).next()
        else {
            return;
        };
        let message = format!("`{id}` has weights, and there is no `{theirs}` whose weights it could use");
        let help =
            format!("`share` needs the same layers as in `{group}`: the same block, the same conditions");
        let mut error = Diagnostic::error(Code::Reference, message, span).help(help);
        error.node = Some(id.to_owned());
        self.report_in_block(error);
    }
}
