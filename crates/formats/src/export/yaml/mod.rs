//! A network as a spec, in the form that a person would write.
//!
//! Repeated groups become blocks with arguments, residual sums and branches become constructs, and equal neighbours a
//! `repeat`. Ids are kept wherever the language allows their characters; a layer without weights whose name contains
//! only its kind gets the generated name. Reading the text gives the same network.

mod body;
mod constructs;
mod emit;
mod face;
mod names;
mod repeat;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use super::fold::{self, ClassId, Classes, Face, Param, Slot, Target, Term};
use super::outline::{Child, GroupId, Outline, title};
use body::Body;
use cnnkit_core::diagnostic::{Code, Diagnostic, Problem};
use cnnkit_core::graph::{Graph, Node, NodeId, Op};
use cnnkit_core::layers::Layer;
use cnnkit_core::spec::grammar;
use emit::Yaml;
use face::Faces;
use names::Names;

/// Maximum number of attempts to find names that no other name shadows.
const ATTEMPTS: usize = 8;

/// Returns the spec of `graph`, or the layers that the language cannot express.
pub fn write(graph: &Graph) -> Result<String, Vec<Diagnostic>> {
    let refuse = |node: &Node| match &node.op {
        Op::Layer(Layer::Opaque(layer)) => {
            let message =
                format!("not supported in a spec: the operator {}, which is not analysed", layer.operator);
            let problem = Problem::new(Code::InvalidValue, message);
            Some(
                problem.help("only layers of the vocabulary can be written").in_layer(&node.id, &node.origin),
            )
        }
        Op::Layer(_) | Op::Input => None,
    };
    let refused: Vec<Diagnostic> = graph.nodes().iter().filter_map(refuse).collect();
    if refused.is_empty() { Ok(written(graph)) } else { Err(refused) }
}

fn written(graph: &Graph) -> String {
    let faces = Faces::of(graph);
    let outline = Outline::of(graph, &|_| true);
    let target = Language { faces: &faces, paths: all_paths(&outline) };
    let classes = fold::fold(&outline, &target);
    let mut taken = HashSet::new();
    let blocks = classes
        .list
        .iter()
        .zip(&classes.in_place)
        .map(|(class, &in_place)| match class.model {
            0 => None,
            _ if in_place => None,
            model => Some(names::block(&title(&outline, model), &mut taken)),
        })
        .collect();
    let mut writer = Writer {
        outline: &outline,
        faces: &faces,
        classes: &classes,
        blocks,
        children: vec![],
        spelled: RefCell::default(),
    };
    let mut renamed: HashMap<NodeId, usize> = HashMap::new();
    let mut text = String::new();
    for _ in 0..ATTEMPTS {
        writer.children =
            (0..outline.groups.len()).map(|group| names::children(&outline, group, &renamed)).collect();
        let hidden;
        (text, hidden) = writer.document();
        if hidden.is_empty() {
            break;
        }
        let hidden: HashSet<NodeId> = hidden.into_iter().collect();
        hidden.into_iter().for_each(|node| *renamed.entry(node).or_default() += 1);
    }
    text
}

/// Returns all inner groups that are paths of constructs.
fn all_paths(outline: &Outline<'_>) -> HashSet<GroupId> {
    (0..outline.groups.len()).flat_map(|group| constructs::paths(outline, group)).collect()
}

struct Language<'a> {
    faces: &'a Faces,
    paths: HashSet<GroupId>,
}

impl Target for Language<'_> {
    fn face(&self, node: NodeId) -> Face {
        self.faces.get(node)
    }

    fn in_place(&self, outline: &Outline<'_>, members: &[GroupId], places: usize) -> bool {
        let facts = |group: &GroupId| &outline.groups[*group];
        let shared = |group: &GroupId| {
            facts(group).shares.is_some()
                || outline.groups.iter().any(|other| other.shares.as_ref() == Some(&facts(group).path))
        };
        if members.contains(&0) || members.iter().any(shared) {
            return false;
        }
        let path = members.iter().any(|group| self.paths.contains(group));
        let list = facts(&members[0]).children.iter().all(|child| matches!(child, Child::Group(_)));
        let one_input = facts(&members[0]).inputs.len() == 1;
        path || members.len() == 1 || places == 1 || (list && one_input)
    }

    fn option(&self, outline: &Outline<'_>, inner: GroupId) -> bool {
        self.paths.contains(&inner) && outline.groups[inner].name == constructs::SHORTCUT
    }

    fn param_name(&self, _: &Outline<'_>, slot: &Slot, _: &[Option<String>], _: &[GroupId]) -> String {
        match slot.name.as_str() {
            "out_channels" | "out_features" => "width".into(),
            other => other.to_owned(),
        }
    }

    fn builtins(&self, outline: &Outline<'_>, group: GroupId) -> Vec<(String, String)> {
        let input = outline.groups[group].inputs.first();
        let channels = input.map(|&input| outline.graph.node(input).shape.channels().to_string());
        channels.map(|channels| ("in_channels".to_owned(), channels)).into_iter().collect()
    }

    fn flag(&self, value: bool) -> String {
        value.to_string()
    }
}

/// The state that the parts of the writer share.
struct Writer<'a> {
    outline: &'a Outline<'a>,
    faces: &'a Faces,
    classes: &'a Classes,
    /// The name of each class that is written as a block.
    blocks: Vec<Option<String>>,
    /// The names of each group's children.
    children: Vec<Vec<String>>,
    /// For each block that was written, its layers' ids in the network and in the text, relative to the block.
    spelled: RefCell<HashMap<ClassId, HashMap<String, String>>>,
}

impl Writer<'_> {
    /// Returns the whole text, and the layers that could not be named.
    fn document(&self) -> (String, Vec<NodeId>) {
        let graph = self.outline.graph;
        let mut entries = vec![("name".to_owned(), Yaml::name(graph.name()))];
        let shape = |node: &Node| {
            Yaml::List(node.shape.sizes().iter().map(|size| Yaml::Plain(size.to_string())).collect())
        };
        let inputs: Vec<_> = graph.inputs().map(|(_, node)| node).collect();
        let input_names = names::inputs(graph);
        entries.push((
            "input".to_owned(),
            match inputs.as_slice() {
                [only] if only.id == grammar::INPUT => shape(only),
                several => Yaml::Map(
                    input_names.iter().cloned().zip(several.iter().map(|node| shape(node))).collect(),
                ),
            },
        ));
        if !self.faces.defaults.is_empty() {
            let mut kinds: Vec<(String, Yaml)> = Vec::new();
            for (kind, argument, value) in &self.faces.defaults {
                let entry = (argument.clone(), Yaml::Plain(value.clone()));
                match kinds.last_mut() {
                    Some((last, Yaml::Map(entries))) if last == kind => entries.push(entry),
                    _ => kinds.push((kind.clone(), Yaml::Map(vec![entry]))),
                }
            }
            entries.push(("defaults".to_owned(), Yaml::Map(kinds)));
        }
        let mut hidden = Vec::new();
        let mut blocks = Vec::new();
        for &class in &self.classes.order {
            if let Some(name) = &self.blocks[class] {
                blocks.push((name.clone(), self.block(class, &mut hidden)));
            }
        }
        if !blocks.is_empty() {
            entries.push(("blocks".to_owned(), Yaml::Map(blocks)));
        }
        let inputs: HashMap<NodeId, String> = graph.inputs().map(|(id, _)| id).zip(input_names).collect();
        let mut names = Names::at_the_top();
        for (id, _) in graph.inputs() {
            names.put(id, inputs[&id].clone());
        }
        let mut body = Body { writer: self, inputs, names, groups: HashMap::new() };
        let start = match graph.inputs().map(|(id, _)| id).collect::<Vec<_>>().as_slice() {
            [only] => Some(*only),
            _ => None,
        };
        let layers = body.group(0, start);
        entries.push(("layers".to_owned(), Yaml::Layers(layers)));
        let last =
            self.outline.groups[0].children.last().and_then(|&child| constructs::result(self.outline, child));
        if graph.outputs() != last.or(start).as_slice() {
            let name = |&node: &NodeId| Yaml::name(&body.names.name_of(node).unwrap_or_default());
            entries.push(("outputs".to_owned(), Yaml::List(graph.outputs().iter().map(name).collect())));
        }
        hidden.extend(body.names.hidden);
        (emit::document(&entries), hidden)
    }

    /// Returns the definition of a block.
    fn block(&self, class: usize, hidden: &mut Vec<NodeId>) -> Yaml {
        let facts = &self.classes.list[class];
        let model = &self.outline.groups[facts.model];
        let mut inputs = HashMap::new();
        let mut declared = Vec::new();
        for (index, &input) in model.inputs.iter().enumerate() {
            let name =
                if index == 0 { grammar::INPUT.to_owned() } else { self.input_name(facts.model, index) };
            if model.inputs.len() > 1 {
                declared.push(Yaml::name(&self.input_name(facts.model, index)));
            }
            inputs.insert(input, name);
        }
        let names = Names::at_the_top();
        let mut body = Body { writer: self, inputs, names, groups: HashMap::new() };
        let layers = Yaml::Layers(body.group(facts.model, model.inputs.first().copied()));
        hidden.append(&mut body.names.hidden);
        let own = |node: NodeId| {
            let path = body.names.path(node)?.to_owned();
            Some((self.outline.relative(facts.model, node).to_owned(), path))
        };
        let spelled = self.outline.nodes(facts.model).into_iter().filter_map(own).collect();
        self.spelled.borrow_mut().insert(class, spelled);
        let mut entries = Vec::new();
        let args: Vec<(String, Yaml)> = facts
            .params
            .iter()
            .filter(|param| !param.given)
            .map(|param| {
                (param.name.clone(), Yaml::Plain(param.default.clone().unwrap_or_else(|| "~".into())))
            })
            .collect();
        if !args.is_empty() {
            entries.push(("args".to_owned(), Yaml::Map(args)));
        }
        if !declared.is_empty() {
            entries.push(("inputs".to_owned(), Yaml::List(declared)));
        }
        if entries.is_empty() {
            return layers;
        }
        entries.push(("layers".to_owned(), layers));
        Yaml::Map(entries)
    }

    /// Returns a name for an input of a block that no layer in it has.
    fn input_name(&self, group: GroupId, index: usize) -> String {
        let taken = &self.children[group];
        let known = ["first", "second", "third"].get(index).map(|&name| name.to_owned());
        let numbered = (index + 1..).map(|number| format!("from{number}"));
        let mut names = known.into_iter().chain(numbered);
        names.find(|name| !taken.contains(name)).unwrap_or_default()
    }

    /// Returns the names of a group's children.
    fn names(&self, group: GroupId) -> &[String] {
        &self.children[group]
    }

    /// Returns the block that `group` is a use of; `None` if it is written inline.
    fn block_of(&self, group: GroupId) -> Option<&str> {
        self.blocks[self.classes.of[group]].as_deref()
    }

    fn group_named(&self, path: &str) -> Option<GroupId> {
        self.outline.groups.iter().position(|group| group.path == path)
    }

    /// Records the paths of the layers in a use of a block, so that others can refer to them.
    fn place(&self, group: GroupId, prefix: &str, names: &mut Names) {
        let spelled = self.spelled.borrow();
        let Some(spelled) = spelled.get(&self.classes.of[group]) else { return };
        for node in self.outline.nodes(group) {
            if let Some(own) = spelled.get(self.outline.relative(group, node)) {
                names.put(node, format!("{prefix}.{own}"));
            }
        }
    }

    /// Returns the content of slot `index` of a child.
    fn term(&self, group: GroupId, at: usize, index: usize) -> Option<&Term> {
        self.classes.terms.get(&(group, self.outline.groups[group].children[at]))?.get(index)
    }

    /// Returns a layer's arguments that differ from the default.
    fn arguments(&self, group: GroupId, at: usize) -> Vec<(String, Yaml)> {
        let Child::Node(node) = self.outline.groups[group].children[at] else { return vec![] };
        self.written(group, at, &self.faces.get(node).slots)
    }

    /// Returns the arguments of a use of a block that differ from the default.
    fn block_arguments(&self, group: GroupId, at: usize, inner: GroupId) -> Vec<(String, Yaml)> {
        self.written(group, at, &self.classes.arguments(inner))
    }

    fn written(&self, group: GroupId, at: usize, slots: &[Slot]) -> Vec<(String, Yaml)> {
        let mut list = Vec::new();
        for (index, slot) in slots.iter().enumerate() {
            let value = match self.term(group, at, index) {
                Some(Term::Literal(text)) => text.clone(),
                Some(Term::Param { index, times, over }) => {
                    let text = format!("${}", self.params(group)[*index].name);
                    let text = if *times == 1 { text } else { format!("{times} * {text}") };
                    if *over == 1 { text } else { format!("{text} / {over}") }
                }
                None => slot.value.clone(),
            };
            if slot.default.as_ref() != Some(&value) {
                list.push((slot.name.clone(), Yaml::Plain(value)));
            }
        }
        list
    }

    /// Returns the parameters in scope in `group`: those of the block around it.
    fn params(&self, group: GroupId) -> &[Param] {
        let mut holder = group;
        while self.classes.in_place[self.classes.of[holder]]
            && let Some(parent) = self.outline.groups[holder].parent
        {
            holder = parent;
        }
        &self.classes.list[self.classes.of[holder]].params
    }

    /// Returns the argument that enables `inner`, if it is an option.
    fn flag(&self, group: GroupId, inner: GroupId) -> Option<String> {
        let class = &self.classes.list[self.classes.of[group]];
        class
            .options
            .contains(&inner)
            .then(|| format!("${}", class.params.last().map_or("", |param| &param.name)))
    }
}
