//! A list of layers: the network's own, or a block's.

use std::collections::HashMap;
use std::ops::Range;

use super::constructs::{self, Construct, SHORTCUT, result};
use super::emit::Yaml;
use super::names::{Frame, Names, says_nothing};
use super::{Writer, repeat};
use crate::export::fold::Term;
use crate::export::outline::{Child, GroupId};
use cnnkit_core::graph::{NodeId, Op};
use cnnkit_core::layers::{Arity, Layer};
use cnnkit_core::spec::grammar;

/// A body while it is being written.
pub(super) struct Body<'a, 'w> {
    pub(super) writer: &'a Writer<'w>,
    /// The names of the body's inputs.
    pub(super) inputs: HashMap<NodeId, String>,
    pub(super) names: Names,
    /// The paths of the groups that are complete.
    pub(super) groups: HashMap<GroupId, String>,
}

impl Body<'_, '_> {
    /// Writes the layers of `group`; the first one reads `start` by default.
    pub(super) fn group(&mut self, group: GroupId, start: Option<NodeId>) -> Vec<Yaml> {
        self.list(group, 0..self.writer.outline.groups[group].children.len(), start)
    }

    fn list(&mut self, group: GroupId, range: Range<usize>, start: Option<NodeId>) -> Vec<Yaml> {
        let outline = self.writer.outline;
        let mut items = Vec::new();
        let (mut at, mut current) = (range.start, start);
        while at < range.end {
            if let Some(start) = current
                && let Some((item, join)) = self.dense(group, &(at..range.end), start)
            {
                items.push(item);
                current = result(outline, outline.groups[group].children[join]);
                at = join + 1;
                continue;
            }
            let construct =
                current.and_then(|start| constructs::find(outline, group, &(at..range.end), start));
            let written = match (&construct, current) {
                (Some(construct), Some(start)) => {
                    self.construct(group, construct, start).map(|item| (item, construct.join()))
                }
                _ => None,
            };
            let (item, last) = match written {
                Some(written) => written,
                None => (self.child(group, at, current), at),
            };
            items.push(item);
            current = result(outline, outline.groups[group].children[last]);
            at = last + 1;
        }
        repeat::folded(items)
    }

    /// Returns the name of child `at`: `None` if it is the generated one, otherwise the id to write. A layer without
    /// weights whose name carries no information gets the generated name instead.
    fn name(&mut self, group: GroupId, at: usize, kind: &str, keep: bool) -> Option<String> {
        let names = self.writer.names(group);
        let (automatic, number) = self.names.automatic(kind);
        let wanted = &names[at];
        let free = || !names.contains(&automatic) && !keep && says_nothing(wanted, kind);
        if automatic == *wanted || free() {
            self.names.count(kind, number);
            return None;
        }
        Some(wanted.clone())
    }

    /// Writes one layer or group.
    fn child(&mut self, group: GroupId, at: usize, current: Option<NodeId>) -> Yaml {
        match self.writer.outline.groups[group].children[at] {
            Child::Node(node) => self.layer(group, at, node, current),
            Child::Group(inner) => self.inner(group, at, inner, current),
        }
    }

    fn layer(&mut self, group: GroupId, at: usize, node: NodeId, current: Option<NodeId>) -> Yaml {
        let outline = self.writer.outline;
        let facts = outline.graph.node(node);
        let Op::Layer(layer) = &facts.op else { return Yaml::List(vec![]) };
        let kind = layer.doc().name;
        let (automatic, _) = self.names.automatic(kind);
        let id = self.name(group, at, kind, !facts.weights.is_empty());
        let mut entries = Vec::new();
        if let Some(id) = &id {
            entries.push(("id".to_owned(), Yaml::name(id)));
        }
        let joins = layer.doc().inputs == Arity::Many;
        let share = outline.owner(node).and_then(|owner| self.names.name_of(owner));
        if let Some(owner) = &share {
            entries.push(("share".to_owned(), Yaml::name(owner)));
        }
        let args = if share.is_some() { vec![] } else { self.writer.arguments(group, at) };
        let short = joins && args.is_empty() && share.is_none();
        let from = self.from(&facts.inputs, current, joins);
        self.names.write(node, id.as_deref().unwrap_or(&automatic));
        match from {
            Some(from) if short => {
                entries.push((kind.to_owned(), from));
                return Yaml::Map(entries);
            }
            Some(from) => entries.push(("from".to_owned(), from)),
            None => {}
        }
        if share.is_none() {
            if entries.is_empty() && args.is_empty() {
                return Yaml::Plain(kind.to_owned());
            }
            entries.push((kind.to_owned(), Yaml::Map(args)));
        }
        Yaml::Map(entries)
    }

    fn inner(&mut self, group: GroupId, at: usize, inner: GroupId, current: Option<NodeId>) -> Yaml {
        let (writer, outline) = (self.writer, self.writer.outline);
        let facts = &outline.groups[inner];
        let mut entries = Vec::new();
        let block = writer.block_of(inner);
        let wanted = writer.names(group)[at].clone();
        let (name, id) = match block {
            Some(block) => {
                let (automatic, _) = self.names.automatic(block);
                match self.name(group, at, block, true) {
                    None => (automatic, None),
                    Some(id) => (id.clone(), Some(id)),
                }
            }
            None => (wanted.clone(), Some(wanted)),
        };
        if let Some(id) = &id {
            entries.push(("id".to_owned(), Yaml::name(id)));
        }
        // Layers written inline refer by name to everything except the layer before.
        let from = match (block, facts.inputs.as_slice()) {
            (None, [] | [_, _, ..]) => None,
            (_, inputs) => self.from(inputs, current, false),
        };
        let start = match facts.inputs.as_slice() {
            [input] => Some(*input),
            _ => current,
        };
        if let Some(from) = from {
            entries.push(("from".to_owned(), from));
        }
        if let Some(other) = &facts.shares {
            let shared = writer.group_named(other).and_then(|other| {
                let path = self.groups.get(&other)?;
                self.names.visible(path)
            });
            if let Some(shared) = shared {
                entries.push(("share".to_owned(), Yaml::name(&shared)));
            }
        }
        self.names.take(&name);
        let prefix = self.names.full(&name);
        match block {
            Some(block) => {
                writer.place(inner, &prefix, &mut self.names);
                let args = writer.block_arguments(group, at, inner);
                if entries.is_empty() && args.is_empty() {
                    return Yaml::Plain(block.to_owned());
                }
                entries.push((block.to_owned(), Yaml::Map(args)));
            }
            None => {
                let layers = self.level(prefix.clone(), inner, start);
                entries.push(("sequential".to_owned(), Yaml::Layers(layers)));
            }
        }
        self.close(inner, prefix);
        Yaml::Map(entries)
    }

    /// Writes the layers of `inner` in a level of their own.
    fn level(&mut self, prefix: String, inner: GroupId, start: Option<NodeId>) -> Vec<Yaml> {
        self.names.frames.push(Frame::at(prefix));
        let layers = self.group(inner, start);
        self.names.frames.pop();
        layers
    }

    /// Records that from here on the name of the group `inner` refers to its output.
    fn close(&mut self, inner: GroupId, prefix: String) {
        self.groups.insert(inner, prefix.clone());
        if let Some(last) = result(self.writer.outline, Child::Group(inner)) {
            self.names.close(last, prefix);
        }
    }

    /// Returns the value of `from`; `None` if it is the layer before.
    fn from(&mut self, inputs: &[NodeId], current: Option<NodeId>, joins: bool) -> Option<Yaml> {
        match inputs {
            [input] if Some(*input) == current && !joins => None,
            [input] if !joins => Some(Yaml::name(&self.source(*input, current))),
            inputs => Some(Yaml::List(
                inputs.iter().map(|&input| Yaml::name(&self.source(input, current))).collect(),
            )),
        }
    }

    fn source(&mut self, node: NodeId, current: Option<NodeId>) -> String {
        if Some(node) == current {
            return grammar::PREVIOUS.to_owned();
        }
        if let Some(name) = self.inputs.get(&node) {
            return name.clone();
        }
        self.names.name_of(node).unwrap_or_else(|| self.writer.outline.graph.node(node).id.clone())
    }

    /// Writes a construct; returns `None` if the ids that it would generate differ from those of the layers.
    fn construct(&mut self, group: GroupId, construct: &Construct, start: NodeId) -> Option<Yaml> {
        let mark = self.names.mark();
        let item = match construct {
            Construct::Residual { body, shortcut, join } => {
                self.residual(group, body, *shortcut, *join, start)
            }
            Construct::Branches { paths, join } => self.branches(group, paths, *join, start),
        };
        if item.is_none() {
            self.names.undo(mark);
        }
        item
    }

    /// Writes dense connectivity and returns its last layer; `None` if the rounds or their names differ.
    fn dense(&mut self, group: GroupId, range: &Range<usize>, start: NodeId) -> Option<(Yaml, usize)> {
        let outline = self.writer.outline;
        let rounds = constructs::dense(outline, group, range, start);
        let last = rounds.last()?.end;
        let mark = self.names.mark();
        let mut current = start;
        let mut bodies: Vec<Vec<Yaml>> = Vec::new();
        for round in &rounds {
            let list = self.list(group, round.clone(), Some(current));
            bodies.push(list);
            if self.join(group, round.end, "concat").is_none_or(|join| !join.is_empty()) {
                self.names.undo(mark);
                return None;
            }
            current = result(outline, outline.groups[group].children[round.end])?;
        }
        let Some(body) = repeat::one_body(&bodies) else {
            self.names.undo(mark);
            return None;
        };
        let entries = vec![
            ("times".to_owned(), Yaml::Plain(rounds.len().to_string())),
            ("body".to_owned(), Yaml::Layers(body)),
        ];
        Some((Yaml::entry("dense", Yaml::Map(entries)), last))
    }

    fn residual(
        &mut self,
        group: GroupId,
        body: &Range<usize>,
        shortcut: Option<usize>,
        join: usize,
        start: NodeId,
    ) -> Option<Yaml> {
        let first = shortcut.is_some_and(|index| index < body.start);
        let mut entries = Vec::new();
        if first {
            entries.push((SHORTCUT.to_owned(), self.shortcut(group, shortcut?, start)?));
        }
        let list = self.list(group, body.clone(), Some(start));
        entries.push(("body".to_owned(), Yaml::Layers(list)));
        if let Some(index) = shortcut.filter(|_| !first) {
            entries.push((SHORTCUT.to_owned(), self.shortcut(group, index, start)?));
        }
        let join = self.join(group, join, "add")?;
        if entries.len() == 1 && join.is_empty() {
            let (_, list) = entries.pop()?;
            return Some(Yaml::entry("residual", list));
        }
        entries.extend(join);
        Some(Yaml::entry("residual", Yaml::Map(entries)))
    }

    fn shortcut(&mut self, group: GroupId, index: usize, start: NodeId) -> Option<Yaml> {
        let writer = self.writer;
        let Child::Group(inner) = writer.outline.groups[group].children[index] else { return None };
        if self.names.is_taken(SHORTCUT) || writer.block_of(inner).is_some() {
            return None;
        }
        self.names.take(SHORTCUT);
        let prefix = self.names.full(SHORTCUT);
        let layers = self.level(prefix.clone(), inner, Some(start));
        self.close(inner, prefix);
        Some(Yaml::Layers(match writer.flag(group, inner) {
            Some(flag) => vec![Yaml::Map(vec![
                ("if".to_owned(), Yaml::Plain(flag)),
                ("sequential".to_owned(), Yaml::Layers(layers)),
            ])],
            None => layers,
        }))
    }

    fn branches(
        &mut self,
        group: GroupId,
        paths: &[Option<usize>],
        join: usize,
        start: NodeId,
    ) -> Option<Yaml> {
        let writer = self.writer;
        let names = writer.names(group);
        // Either all paths have generated names, or all names are written.
        let (_, first) = self.names.automatic("branch");
        let numbered = paths.iter().zip(first..).all(|(path, number)| {
            let name = format!("branch{number}");
            !self.names.is_taken(&name) && path.is_none_or(|index| names[index] == name)
        });
        let mut list = Vec::new();
        let mut named = Vec::new();
        for (path, number) in paths.iter().zip(first..) {
            let name = match path {
                _ if numbered => format!("branch{number}"),
                Some(index) => names[*index].clone(),
                None => ["identity", "unchanged", "as_it_is"]
                    .into_iter()
                    .find(|name| !self.names.is_taken(name) && !names.contains(&(*name).to_owned()))?
                    .to_owned(),
            };
            if self.names.is_taken(&name) {
                return None;
            }
            if numbered {
                self.names.count("branch", number);
            }
            self.names.take(&name);
            let layers = match path {
                Some(index) => {
                    let Child::Group(inner) = writer.outline.groups[group].children[*index] else {
                        return None;
                    };
                    if writer.block_of(inner).is_some() {
                        return None;
                    }
                    let prefix = self.names.full(&name);
                    let layers = self.level(prefix.clone(), inner, Some(start));
                    self.close(inner, prefix);
                    layers
                }
                None => vec![],
            };
            list.push(Yaml::Layers(layers.clone()));
            named.push((name, Yaml::Layers(layers)));
        }
        let paths = if numbered { Yaml::List(list) } else { Yaml::Map(named) };
        let join = self.join(group, join, "concat")?;
        if join.is_empty() && numbered {
            return Some(Yaml::entry("branches", paths));
        }
        let mut entries = vec![("paths".to_owned(), paths)];
        entries.extend(join);
        Some(Yaml::entry("branches", Yaml::Map(entries)))
    }

    /// Returns how paths are joined, where it is not the construct's default; `None` if the layer cannot be the
    /// construct's join.
    fn join(&mut self, group: GroupId, at: usize, usual: &str) -> Option<Vec<(String, Yaml)>> {
        let outline = self.writer.outline;
        let Child::Node(node) = outline.groups[group].children[at] else { return None };
        let Op::Layer(layer) = &outline.graph.node(node).op else { return None };
        let kind = layer.doc().name;
        let (automatic, _) = self.names.automatic(kind);
        if self.name(group, at, kind, false).is_some() {
            return None;
        }
        self.names.write(node, &automatic);
        let mut args = self.writer.arguments(group, at);
        let mut entries = Vec::new();
        if let Layer::Add(add) = layer
            && usual == "add"
            && let Some(weights) = &add.weights
        {
            // A weighted residual: the factor belongs to the body.
            if !matches!(self.writer.term(group, at, 0), None | Some(Term::Literal(_))) {
                return None;
            }
            args.clear();
            entries.push(("scale".to_owned(), Yaml::Plain(weights.first()?.to_string())));
        }
        if !args.is_empty() {
            entries.push(("join".to_owned(), Yaml::entry(kind, Yaml::Map(args))));
        } else if kind != usual {
            entries.push(("join".to_owned(), Yaml::Plain(kind.to_owned())));
        }
        Some(entries)
    }
}
