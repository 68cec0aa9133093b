//! Ids in a spec: which of them the language generates, and which must be written.

use std::collections::{HashMap, HashSet};

use super::constructs::result;
use crate::export::outline::{Child, GroupId, Outline};
use cnnkit_core::graph::{Graph, Node, NodeId};
use cnnkit_core::layers;
use cnnkit_core::spec::grammar;
use cnnkit_core::spec::identifier::Kind;

/// A level of ids, as the reader of a spec numbers them.
#[derive(Debug, Clone, Default)]
pub(super) struct Frame {
    /// The path of the level inside the block; empty at its top.
    pub(super) prefix: String,
    counters: HashMap<String, u64>,
}

/// The ids of one body: the network's own list of layers, or a block's.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// The levels around the current position, the innermost last.
    pub(super) frames: Vec<Frame>,
    /// The path of each layer written so far.
    written: Vec<(NodeId, String)>,
    paths: HashMap<NodeId, String>,
    taken: HashSet<String>,
    /// The closed groups whose output is a layer's output; the outermost last.
    groups: HashMap<NodeId, Vec<String>>,
    closed: Vec<NodeId>,
    /// Layers that cannot be named where they are read, because a nearer layer shadows their name.
    pub(super) hidden: Vec<NodeId>,
}

/// A snapshot of a body, to return to.
#[derive(Debug)]
pub(super) struct Mark {
    frame: Option<Frame>,
    written: usize,
    closed: usize,
    taken: HashSet<String>,
}

impl Frame {
    /// Returns the level `prefix`.
    pub(super) fn at(prefix: String) -> Self {
        Self { prefix, counters: HashMap::new() }
    }

    fn join(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_owned() } else { format!("{}.{name}", self.prefix) }
    }
}

impl Names {
    /// Returns the names of a body before its first layer.
    pub(super) fn at_the_top() -> Self {
        Self { frames: vec![Frame::default()], ..Self::default() }
    }

    /// Returns the path of `name` in the innermost level.
    pub(super) fn full(&self, name: &str) -> String {
        self.frames.last().map_or_else(|| name.to_owned(), |frame| frame.join(name))
    }

    /// Returns whether the innermost level contains the name `name`.
    pub(super) fn is_taken(&self, name: &str) -> bool {
        self.taken.contains(&self.full(name))
    }

    /// Returns the name that the language would generate now, and its number.
    pub(super) fn automatic(&self, kind: &str) -> (String, u64) {
        let last = self.frames.last().and_then(|frame| frame.counters.get(kind)).copied().unwrap_or(0);
        let numbered = (last + 1..).map(|number| (format!("{kind}{number}"), number));
        numbered.into_iter().find(|(name, _)| !self.is_taken(name)).unwrap_or_default()
    }

    /// Takes the generated name.
    pub(super) fn count(&mut self, kind: &str, number: u64) {
        if let Some(frame) = self.frames.last_mut() {
            frame.counters.insert(kind.to_owned(), number);
        }
    }

    /// Records a group `name` in the innermost level.
    pub(super) fn take(&mut self, name: &str) {
        let full = self.full(name);
        self.taken.insert(full);
    }

    /// Records that `node` has the name `name` in the innermost level.
    pub(super) fn write(&mut self, node: NodeId, name: &str) {
        let full = self.full(name);
        self.put(node, full);
    }

    /// Records the path of `node`.
    pub(super) fn put(&mut self, node: NodeId, path: String) {
        self.taken.insert(path.clone());
        self.written.push((node, path.clone()));
        self.paths.insert(node, path);
    }

    /// Returns the path of `node` in the body.
    pub(super) fn path(&self, node: NodeId) -> Option<&str> {
        self.paths.get(&node).map(String::as_str)
    }

    /// Records that the group at `path` is complete, and that its output is `node`.
    pub(super) fn close(&mut self, node: NodeId, path: String) {
        self.groups.entry(node).or_default().push(path);
        self.closed.push(node);
    }

    /// Returns the name of `node` at the current position: the name of the largest group with its output, or its own.
    pub(super) fn name_of(&mut self, node: NodeId) -> Option<String> {
        let path = self.paths.get(&node)?;
        let groups = self.groups.get(&node).into_iter().flatten().rev();
        if let Some(name) = groups.chain([path]).find_map(|path| self.visible(path)) {
            return Some(name);
        }
        let path = path.clone();
        self.hidden.push(node);
        Some(path)
    }

    /// Returns how `path` is written here; `None` if a nearer name shadows it.
    pub(super) fn visible(&self, path: &str) -> Option<String> {
        let levels = self.frames.iter().enumerate().rev();
        levels.into_iter().find_map(|(depth, frame)| {
            let name = match frame.prefix.as_str() {
                "" => path,
                prefix => path.strip_prefix(prefix)?.strip_prefix('.')?,
            };
            // Names resolve from the inside out.
            let nearer = self.frames[depth + 1..].iter().any(|frame| self.taken.contains(&frame.join(name)));
            (!nearer).then(|| name.to_owned())
        })
    }

    /// Takes a snapshot.
    pub(super) fn mark(&self) -> Mark {
        Mark {
            frame: self.frames.last().cloned(),
            written: self.written.len(),
            closed: self.closed.len(),
            taken: self.taken.clone(),
        }
    }

    /// Returns to a snapshot.
    pub(super) fn undo(&mut self, mark: Mark) {
        for (node, _) in self.written.drain(mark.written..) {
            self.paths.remove(&node);
        }
        for node in self.closed.drain(mark.closed..) {
            self.groups.entry(node).or_default().pop();
        }
        self.taken = mark.taken;
        if let (Some(last), Some(frame)) = (self.frames.last_mut(), mark.frame) {
            *last = frame;
        }
    }
}

/// Returns the names of a group's children as a spec can contain them; `renamed` ones get so many
/// underscores: two that hide each other need different names.
pub(super) fn children(
    outline: &Outline<'_>,
    group: GroupId,
    renamed: &HashMap<NodeId, usize>,
) -> Vec<String> {
    let mut taken = HashSet::new();
    let name = |&child: &Child| {
        // A use of a block cannot rename the layers in it, but it has a name of its own.
        let again = result(outline, child).and_then(|last| renamed.get(&last)).copied().unwrap_or(0);
        let name = valid(outline.name(group, child)) + &"_".repeat(again);
        let numbered = (2..).map(|number| format!("{name}_{number}"));
        let free = std::iter::once(name.clone()).chain(numbered).find(|name| !taken.contains(name));
        let free = free.unwrap_or(name);
        taken.insert(free.clone());
        free
    };
    outline.groups[group].children.iter().map(name).collect()
}

/// Replaces the characters of `name` that an id cannot have.
fn valid(name: &str) -> String {
    let text = allowed(name, Kind::Id);
    if text.is_empty() || [grammar::PREVIOUS, grammar::INPUT].contains(&text.as_str()) {
        format!("{text}_")
    } else {
        text
    }
}

/// Replaces the characters of `name` that a name of kind `kind` cannot have, and cuts it so that there is room for a
/// number.
fn allowed(name: &str, kind: Kind) -> String {
    let most = kind.max_length() - ROOM;
    name.chars().take(most).map(|c| if kind.allows(c) { c } else { '_' }).collect()
}

/// Room for what makes a name unique.
const ROOM: usize = 12;

/// Returns the names of the network's inputs as a spec can contain them.
pub(super) fn inputs(graph: &Graph) -> Vec<String> {
    let mut taken = HashSet::new();
    let name = |(_, node): (NodeId, &Node)| {
        let name = allowed(&node.id, Kind::Input);
        let name = if name.is_empty() { "x".to_owned() } else { name };
        let numbered = (2..).map(|number| format!("{name}_{number}"));
        let free = std::iter::once(name.clone()).chain(numbered).find(|name| !taken.contains(name));
        let free = free.unwrap_or(name);
        taken.insert(free.clone());
        free
    };
    graph.inputs().map(name).collect()
}

/// Whether a name contains only the kind of layer, so that the generated name is as informative: `relu_1`, an
/// exporter's `MaxPool` or `cat`. With an underscore at the end it keeps apart what a generated name would hide.
pub(super) fn says_nothing(name: &str, kind: &str) -> bool {
    if name.ends_with('_') {
        return false;
    }
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit() || "_-".contains(c));
    let known = |word: &str| layers::find(word).is_some_and(|(found, _)| found.doc.name == kind);
    let operator = stem.starts_with(char::is_uppercase) || ["cat", "mul"].contains(&stem);
    stem == kind || (operator && known(stem)) || (known(name) && name.starts_with(kind))
}

/// Returns a name for a block that differs from the language's own words.
pub(super) fn block(title: &str, taken: &mut HashSet<String>) -> String {
    let text = allowed(title, Kind::Block).replace('-', "_");
    let own = |name: &str| layers::find(name).is_some() || grammar::construct(name).is_some();
    let modifier = |name: &str| grammar::MODIFIERS.iter().any(|field| field.name == name);
    let name =
        if text.is_empty() || own(&text) || modifier(&text) || text.starts_with(|c: char| c.is_ascii_digit())
        {
            format!("{text}_block").trim_start_matches('_').to_owned()
        } else {
            text
        };
    let numbered = (2..).map(|number| format!("{name}_{number}"));
    let free = std::iter::once(name.clone()).chain(numbered).find(|name| !taken.contains(name) && !own(name));
    let free = free.unwrap_or(name);
    taken.insert(free.clone());
    free
}
