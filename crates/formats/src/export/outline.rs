//! Divides a network into groups of layers as a person would, by the dots in their ids.
//!
//! A group is **whole** if it can be a module or block of its own: its layers run consecutively, nothing else between
//! them, and they use no weights from outside, unless the whole group reuses another one. Layers of a group that is
//! not whole belong to the group around it, under a longer name (`a.conv1`).

use std::collections::{HashMap, HashSet};

use cnnkit_core::graph::{Graph, NodeId, Op};

/// Index of a group in its [`Outline`]; 0 is the network.
pub type GroupId = usize;

/// All whole groups of a network.
#[derive(Debug)]
pub struct Outline<'g> {
    /// The network.
    pub graph: &'g Graph,
    /// The groups; a group precedes those inside it.
    pub groups: Vec<Group>,
}

/// A whole group.
#[derive(Debug)]
pub struct Group {
    /// Its id: the prefix of its layers' ids; empty for the network.
    pub path: String,
    /// Its name inside the group around it; contains dots where a group between them is not whole.
    pub name: String,
    /// The group around it.
    pub parent: Option<GroupId>,
    /// Its layers and groups, in execution order.
    pub children: Vec<Child>,
    /// The values it reads from outside, in the order of first use.
    pub inputs: Vec<NodeId>,
    /// Its values that others read, and its network outputs, in order.
    pub outputs: Vec<NodeId>,
    /// The group whose weights it uses, layer by layer: it is a reuse of that group.
    pub shares: Option<String>,
}

/// A part of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Child {
    /// A layer.
    Node(NodeId),
    /// A group.
    Group(GroupId),
}

impl<'g> Outline<'g> {
    /// Returns the groups of `graph` whose layers satisfy `worth`; the layers of other groups belong to the group
    /// around them.
    pub fn of(graph: &'g Graph, worth: &dyn Fn(&[NodeId]) -> bool) -> Self {
        let nodes: Vec<NodeId> =
            graph.iter().filter(|(_, node)| node.op != Op::Input).map(|(id, _)| id).collect();
        let mut outline = Self { graph, groups: vec![] };
        let seen = Seen::of(graph, worth);
        outline.add(&nodes, Place::default(), &seen);
        outline
    }

    /// Returns the name of `child` inside `group`.
    pub fn name(&self, group: GroupId, child: Child) -> &str {
        match child {
            Child::Group(inner) => &self.groups[inner].name,
            Child::Node(node) => self.relative(group, node),
        }
    }

    /// Returns the id of `node` inside its `group`.
    pub fn relative(&self, group: GroupId, node: NodeId) -> &str {
        let id = &self.graph.node(node).id;
        match self.groups[group].path.len() {
            0 => id,
            prefix => id.get(prefix + 1..).unwrap_or(id),
        }
    }

    /// Returns the values that `child` reads.
    pub fn inputs(&self, child: Child) -> &[NodeId] {
        match child {
            Child::Group(inner) => &self.groups[inner].inputs,
            Child::Node(node) => &self.graph.node(node).inputs,
        }
    }

    /// Returns the values of `child` that others read; the output of a layer is itself.
    pub fn outputs(&self, child: Child) -> Vec<NodeId> {
        match child {
            Child::Group(inner) => self.groups[inner].outputs.clone(),
            Child::Node(node) => vec![node],
        }
    }

    /// Returns the levels of groups below `group`; 0 if it has layers only.
    pub fn height(&self, group: GroupId) -> usize {
        let below = self.groups[group].children.iter().filter_map(|child| match child {
            Child::Group(inner) => Some(self.height(*inner) + 1),
            Child::Node(_) => None,
        });
        below.max().unwrap_or(0)
    }

    /// Returns all layers of `group`, including those of its inner groups.
    pub fn nodes(&self, group: GroupId) -> Vec<NodeId> {
        let all = self.groups[group].children.iter().flat_map(|child| match child {
            Child::Group(inner) => self.nodes(*inner),
            Child::Node(node) => vec![*node],
        });
        all.collect()
    }

    fn add(&mut self, nodes: &[NodeId], place: Place, seen: &Seen<'_>) -> GroupId {
        let index = self.groups.len();
        let (inputs, outputs) = self.border(nodes, seen);
        let Place { path, name, parent, shares } = place;
        let depth = if path.is_empty() { 0 } else { path.len() + 1 };
        self.groups.push(Group { path, name, parent, children: vec![], inputs, outputs, shares });
        let mut children = Vec::new();
        let mut at = 0;
        let mut refused: HashSet<String> = HashSet::new();
        while at < nodes.len() {
            match self.whole(&nodes[at..], depth, &mut refused, seen) {
                Some((length, path, shares)) => {
                    let place = Place { name: path[depth..].to_owned(), path, parent: Some(index), shares };
                    children.push(Child::Group(self.add(&nodes[at..at + length], place, seen)));
                    at += length;
                }
                None => {
                    children.push(Child::Node(nodes[at]));
                    at += 1;
                }
            }
        }
        self.groups[index].children = children;
        index
    }

    /// Returns the largest whole group below the level of `depth` bytes that begins with the first of `rest`: its
    /// number of layers, its path, and the group it reuses. `refused` caches paths that are not whole.
    fn whole(
        &self,
        rest: &[NodeId],
        depth: usize,
        refused: &mut HashSet<String>,
        seen: &Seen<'_>,
    ) -> Option<(usize, String, Option<String>)> {
        let graph = self.graph;
        let id = &graph.node(*rest.first()?).id;
        for (dot, _) in id.match_indices('.').filter(|&(dot, _)| dot > depth) {
            let (prefix, dotted) = (&id[..dot], &id[..=dot]);
            if refused.contains(prefix) {
                continue;
            }
            let inside = |node: &&NodeId| graph.node(**node).id.starts_with(dotted);
            let length = rest.iter().take_while(inside).count();
            let together = seen.layers(prefix).filter(|&id| graph.node(id).op != Op::Input).count() == length;
            let taken = seen.ids.contains(prefix);
            if together && !taken && (seen.worth)(&rest[..length]) {
                match self.sharing(&rest[..length], dotted, seen) {
                    Sharing::Own => return Some((length, prefix.to_owned(), None)),
                    Sharing::Mirror(other) => return Some((length, prefix.to_owned(), Some(other))),
                    Sharing::Mixed => {}
                }
            }
            refused.insert(prefix.to_owned());
        }
        None
    }

    /// Returns whose weights the layers of the group `dotted` use.
    fn sharing(&self, nodes: &[NodeId], dotted: &str, seen: &Seen<'_>) -> Sharing {
        let graph = self.graph;
        let from_outside = |&&node: &&NodeId| {
            self.owner(node).is_some_and(|owner| !graph.node(owner).id.starts_with(dotted))
        };
        let Some(&first) = nodes.iter().find(from_outside) else { return Sharing::Own };
        let mirrored = || {
            let relative = graph.node(first).id.strip_prefix(dotted)?;
            let theirs = graph.node(self.owner(first)?).id.strip_suffix(relative)?;
            let other = theirs.strip_suffix('.')?;
            let others: Vec<NodeId> = seen.layers(other).collect();
            let place: HashMap<NodeId, usize> = nodes.iter().enumerate().map(|(i, &n)| (n, i)).collect();
            let place_there: HashMap<NodeId, usize> =
                others.iter().enumerate().map(|(i, &n)| (n, i)).collect();
            let alike = |(&here, &there): (&NodeId, &NodeId)| {
                let (a, b) = (graph.node(here), graph.node(there));
                let wiring = a.inputs.len() == b.inputs.len()
                    && a.inputs.iter().zip(&b.inputs).all(|(x, y)| place.get(x) == place_there.get(y));
                let owned =
                    a.weights.is_empty() || self.owner(here) == Some(self.owner(there).unwrap_or(there));
                a.id.strip_prefix(dotted) == b.id.strip_prefix(theirs) && a.op == b.op && wiring && owned
            };
            let known = self.groups.iter().any(|group| group.path == other && group.shares.is_none());
            let same = known && nodes.len() == others.len() && nodes.iter().zip(&others).all(alike);
            same.then(|| other.to_owned())
        };
        mirrored().map_or(Sharing::Mixed, Sharing::Mirror)
    }

    /// Returns the node whose weights `node` uses, if they are not its own.
    pub fn owner(&self, node: NodeId) -> Option<NodeId> {
        let mut owner = self.graph.node(node).shares?;
        while let Some(next) = self.graph.node(owner).shares {
            owner = next;
        }
        Some(owner)
    }

    fn border(&self, nodes: &[NodeId], seen: &Seen<'_>) -> (Vec<NodeId>, Vec<NodeId>) {
        let inside: HashSet<NodeId> = nodes.iter().copied().collect();
        let (mut inputs, mut known) = (Vec::new(), HashSet::new());
        for input in nodes.iter().flat_map(|&node| &self.graph.node(node).inputs) {
            if !inside.contains(input) && known.insert(*input) {
                inputs.push(*input);
            }
        }
        let outside = |node: &&NodeId| {
            seen.returned[node.index()]
                || seen.consumers[node.index()].iter().any(|reader| !inside.contains(reader))
        };
        (inputs, nodes.iter().filter(outside).copied().collect())
    }
}

/// The state shared while an outline is built.
struct Seen<'a> {
    consumers: Vec<Vec<NodeId>>,
    /// For each node, whether the network returns it.
    returned: Vec<bool>,
    ids: HashSet<&'a str>,
    /// The nodes inside each path, in order.
    inside: HashMap<&'a str, Vec<NodeId>>,
    worth: &'a dyn Fn(&[NodeId]) -> bool,
}

impl<'a> Seen<'a> {
    fn of(graph: &'a Graph, worth: &'a dyn Fn(&[NodeId]) -> bool) -> Self {
        let mut inside: HashMap<&str, Vec<NodeId>> = HashMap::new();
        for (id, node) in graph.iter() {
            for (dot, _) in node.id.match_indices('.') {
                inside.entry(&node.id[..dot]).or_default().push(id);
            }
        }
        Self {
            consumers: graph.consumers(),
            returned: graph.returned(),
            ids: graph.nodes().iter().map(|node| node.id.as_str()).collect(),
            inside,
            worth,
        }
    }

    /// Returns the nodes whose ids begin with `path` and a dot.
    fn layers(&self, path: &str) -> impl Iterator<Item = NodeId> {
        self.inside.get(path).into_iter().flatten().copied()
    }
}

/// The location of a group.
#[derive(Default)]
struct Place {
    path: String,
    name: String,
    parent: Option<GroupId>,
    shares: Option<String>,
}

enum Sharing {
    /// Their own.
    Own,
    /// Those of another group, layer by layer.
    Mirror(String),
    /// Anything else.
    Mixed,
}

/// Returns the name for groups like `group`: the block that they are uses of, or the group's own name without its
/// number. A name that is only a number, as in PyTorch's `nn.Sequential`, is a block of the group around it.
pub fn title(outline: &Outline<'_>, group: GroupId) -> String {
    let used_at = |group: GroupId| {
        outline.groups[group].children.iter().find_map(|child| match child {
            Child::Node(node) => outline.graph.node(*node).origin.used_at.first(),
            Child::Group(_) => None,
        })
    };
    let mut around = outline.groups[group].parent;
    let mut block = used_at(group);
    while let Some(parent) = around {
        // A branch is inside the same use of the same block as the layers around it.
        if block.is_some() && used_at(parent) == block {
            block = None;
        }
        around = outline.groups[parent].parent;
    }
    if let Some((block, _)) = block {
        return block.clone();
    }
    let stem =
        |name: &str| name.trim_end_matches(|c: char| c.is_ascii_digit() || "_-".contains(c)).to_owned();
    let path = &outline.groups[group].path;
    let named = path.rsplit('.').map(stem).enumerate().find(|(_, stem)| !stem.is_empty());
    match named {
        Some((0, stem)) => stem,
        Some((_, stem)) => format!("{stem}_block"),
        None => "block".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cnnkit_core::spec::{self, Overrides, files::Text};

    fn graph(yaml: &str) -> Graph {
        let files = Text { name: "test".into(), bytes: yaml.into() };
        spec::load(&files, "test", &Overrides::default()).expect("a valid spec").graph
    }

    #[test]
    fn groups_follow_the_ids() {
        let graph = graph(
            "{input: [3, 8, 8], blocks: {a: [conv: {out_channels: 3, kernel: 1}, b], b: [relu, tanh]}, layers: [a, a, relu]}",
        );
        let outline = Outline::of(&graph, &|_| true);
        let paths: Vec<&str> = outline.groups.iter().map(|group| group.path.as_str()).collect();
        assert_eq!(paths, ["", "a1", "a1.b1", "a2", "a2.b1"]);
        assert_eq!((outline.height(0), outline.height(1), outline.height(2)), (2, 1, 0));
        assert_eq!(outline.name(1, outline.groups[1].children[0]), "conv1");
    }

    #[test]
    fn a_group_with_weights_from_outside_is_whole_only_as_a_repeat() {
        let twice = "{input: {l: [1, 8], r: [1, 8]}, blocks: {a: [conv: {out_channels: 1, kernel: 1}, relu]}, layers: [\
            {id: x, from: l, a: {}}, {id: y, from: r, share: x, a: {}}, add: [x, y]]}";
        let twice = graph(twice);
        let outline = Outline::of(&twice, &|_| true);
        assert_eq!(outline.groups[2].shares.as_deref(), Some("x"));

        let mixed = "{input: [1, 8], layers: [{id: c, conv: {out_channels: 1, kernel: 1}}, \
            {id: y, sequential: [{share: c}, relu]}]}";
        let mixed = graph(mixed);
        assert_eq!(Outline::of(&mixed, &|_| true).groups.len(), 1);
    }
}
