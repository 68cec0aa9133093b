//! A network as a Python file: one `nn.Module` for it, and one per kind of block.
//!
//! Attributes are the layers' ids, so the names of a `state_dict` are those of `cnnkit run --save-weights`.

mod class;
mod forward;
mod layers;
mod leaf;
mod names;
mod support;
mod windows;

use std::collections::HashSet;

use super::fold::{self, Classes, Face, Param, Slot, Target, Term};
use super::outline::{Child, GroupId, Outline, title};
use cnnkit_core::analysis::totals;
use cnnkit_core::diagnostic::Diagnostic;
use cnnkit_core::graph::{Graph, NodeId, Op};
use cnnkit_core::layers::{Io, Layer};
use cnnkit_core::number;
use leaf::Leaf;

/// Maximum line length of the file.
const WIDTH: usize = 100;

/// Returns the Python file of `graph`, or the layers that PyTorch cannot express.
pub fn write(graph: &Graph) -> Result<String, Vec<Diagnostic>> {
    let mut leaves = Vec::with_capacity(graph.nodes().len());
    let mut refusals = Vec::new();
    for node in graph.nodes() {
        let Op::Layer(layer) = &node.op else {
            leaves.push(Leaf::default());
            continue;
        };
        if super::has_fixed_weights(node) {
            let help = "leave `learned: false` out, and call `.requires_grad_(False)` on the module";
            refusals.push(leaf::refuse("fixed weights", help).in_layer(&node.id, &node.origin));
        }
        match layers::leaf(layer, Io { inputs: &graph.input_shapes(node), output: &node.shape }) {
            Ok(leaf) => leaves.push(leaf),
            Err(problem) => {
                refusals.push(problem.in_layer(&node.id, &node.origin));
                leaves.push(Leaf::default());
            }
        }
    }
    if !refusals.is_empty() {
        return Err(refusals);
    }
    // A group that consists of expressions only needs no module.
    let outline = Outline::of(graph, &|nodes| nodes.iter().any(|node| leaves[node.index()].module.is_some()));
    let classes = fold::fold(&outline, &Python { leaves: &leaves });
    let mut taken: HashSet<String> = support::NAMES.iter().map(|&name| name.to_owned()).collect();
    taken.extend(["F", "OrderedDict"].map(str::to_owned));
    let root = names::unique(names::class(graph.name()), &mut taken);
    let class_names: Vec<String> = classes
        .list
        .iter()
        .zip(&classes.in_place)
        .map(|(class, in_place)| match class.model {
            0 => root.clone(),
            _ if *in_place => String::new(),
            model => names::unique(names::class(&title(&outline, model)), &mut taken),
        })
        .collect();
    let writer = Writer { outline: &outline, leaves: &leaves, classes: &classes, class_names };
    let mut bodies = String::new();
    for &class in classes.order.iter().filter(|&&class| !classes.in_place[class]) {
        bodies += &class::class(&writer, class);
    }
    Ok(file(graph, &root, &bodies))
}

/// Returns the whole file: description, imports, supporting classes, the network's classes, and a line to try it.
fn file(graph: &Graph, root: &str, bodies: &str) -> String {
    let totals = totals::of_graph(graph);
    let inputs: Vec<String> = graph.inputs().map(|(_, node)| node.shape.to_string()).collect();
    let zeros: Vec<String> = graph
        .inputs()
        .map(|(_, node)| format!("torch.zeros(1, {})", node.shape.to_string().trim_matches(['[', ']'])))
        .collect();
    let supporting = support::used(bodies);
    let code = format!("{supporting}{bodies}");
    let mut imports = String::from("import torch\nfrom torch import nn\n");
    if code.contains("F.") {
        imports += "from torch.nn import functional as F\n";
    }
    if code.contains("deform_conv2d(") {
        imports += "from torchvision.ops import deform_conv2d\n";
    }
    let ordered = if code.contains("OrderedDict(") { "from collections import OrderedDict\n\n" } else { "" };
    format!(
        "\"\"\"{name}, written by cnnkit {version}.\n\n{params} parameters and {macs} MACs on {inputs}.\n\
         Weights from `cnnkit run --save-weights` fit by name:\n\n    \
         model.load_state_dict(safetensors.torch.load_file(\"weights.safetensors\"))\n\"\"\"\n\n\
         {ordered}{imports}{code}\n\n\
         if __name__ == \"__main__\":\n    \
         model = {root}().eval()\n    \
         print(sum(parameter.numel() for parameter in model.parameters()), \"parameters\")\n    \
         with torch.no_grad():\n        \
         outputs = model({zeros})\n    \
         for output in outputs if isinstance(outputs, tuple) else [outputs]:\n        \
         print(list(output.shape))\n",
        name = names::described(graph.name()),
        version = env!("CARGO_PKG_VERSION"),
        params = number::grouped(totals.params),
        macs = number::grouped(totals.macs),
        inputs = inputs.join(" and "),
        zeros = zeros.join(", "),
    )
}

struct Python<'a> {
    leaves: &'a [Leaf],
}

impl Target for Python<'_> {
    fn face(&self, node: NodeId) -> Face {
        self.leaves[node.index()].face()
    }

    fn in_place(&self, outline: &Outline<'_>, members: &[GroupId], places: usize) -> bool {
        let group = members[0];
        // Consecutive blocks form a list, however often the same list appears.
        let list = outline.groups[group].children.iter().all(|child| matches!(child, Child::Group(_)));
        group != 0 && (members.len() == 1 || places == 1 || list) && self.is_chain(outline, group)
    }

    fn param_name(
        &self,
        outline: &Outline<'_>,
        slot: &Slot,
        values: &[Option<String>],
        members: &[GroupId],
    ) -> String {
        let channels_of = |pick: &dyn Fn(GroupId) -> Option<NodeId>| -> Vec<Option<String>> {
            members
                .iter()
                .map(|&g| pick(g).map(|node| outline.graph.node(node).shape.channels().to_string()))
                .collect()
        };
        let same = |channels: Vec<Option<String>>| {
            values.iter().zip(channels).all(|(value, channels)| value.is_none() || *value == channels)
        };
        let counts =
            ["in_channels", "out_channels", "num_features", "num_channels", "channels", "normalized_shape"];
        if counts.contains(&slot.name.as_str()) {
            if same(channels_of(&|group| outline.groups[group].inputs.first().copied())) {
                return "in_channels".into();
            }
            if same(channels_of(&|group| outline.groups[group].outputs.first().copied())) {
                return "out_channels".into();
            }
            return "width".into();
        }
        slot.name.clone()
    }

    fn option(&self, outline: &Outline<'_>, inner: GroupId) -> bool {
        // The projection on a shortcut; `nn.Identity` replaces it where it is absent.
        let facts = &outline.groups[inner];
        let siblings =
            facts.parent.map(|parent| outline.groups[parent].children.as_slice()).unwrap_or_default();
        let mut readers = siblings
            .iter()
            .filter(|&&child| outline.inputs(child).iter().any(|input| facts.outputs.contains(input)));
        let sum = |child: &Child| match child {
            Child::Node(node) => matches!(&outline.graph.node(*node).op, Op::Layer(Layer::Add(_))),
            Child::Group(_) => false,
        };
        readers.next().is_some_and(sum) && readers.next().is_none()
    }

    fn builtins(&self, _: &Outline<'_>, _: GroupId) -> Vec<(String, String)> {
        vec![]
    }

    fn flag(&self, value: bool) -> String {
        leaf::truth(value).into()
    }
}

impl Python<'_> {
    /// Returns whether `group` is a sequence of modules, as `nn.Sequential` requires.
    fn is_chain(&self, outline: &Outline<'_>, group: GroupId) -> bool {
        let facts = &outline.groups[group];
        let mut current = match facts.inputs.as_slice() {
            [input] => *input,
            _ => return false,
        };
        for &child in &facts.children {
            let name = outline.name(group, child);
            let module = match child {
                Child::Node(node) => self.leaves[node.index()].is_plain() && outline.owner(node).is_none(),
                Child::Group(inner) => outline.groups[inner].shares.is_none(),
            };
            let outputs = outline.outputs(child);
            if !module
                || !names::is_attribute(name)
                || outline.inputs(child) != [current]
                || outputs.len() != 1
            {
                return false;
            }
            current = outputs[0];
        }
        facts.outputs == [current] && facts.shares.is_none()
    }
}

/// The state that the parts of the writer share.
struct Writer<'a> {
    outline: &'a Outline<'a>,
    leaves: &'a [Leaf],
    classes: &'a Classes,
    class_names: Vec<String>,
}

impl Writer<'_> {
    fn leaf(&self, node: NodeId) -> &Leaf {
        &self.leaves[node.index()]
    }

    /// Returns the content of slot `index` of a child.
    fn term(&self, at: (GroupId, Child), index: usize) -> Option<&Term> {
        self.classes.terms.get(&at)?.get(index)
    }

    /// Returns the parameters of the class whose model is `group`.
    fn params(&self, group: GroupId) -> &[Param] {
        &self.classes.list[self.classes.of[group]].params
    }

    /// Returns whether groups like `group` are written inline where they are used.
    fn is_in_place(&self, group: GroupId) -> bool {
        self.classes.in_place[self.classes.of[group]]
    }

    /// Returns the attribute that stores a parameter for `forward`.
    fn saved(&self, group: GroupId, param: usize) -> String {
        let name = &self.params(group)[param].name;
        let clash = |name: &str| {
            let mut children = self.outline.groups[group].children.iter();
            children.any(|&child| self.outline.name(group, child).split('.').next() == Some(name))
        };
        if !clash(name) && names::is_attribute(name) {
            return name.clone();
        }
        let numbered = (2..).map(|number| format!("{name}_value{number}"));
        let mut free = std::iter::once(format!("{name}_value")).chain(numbered);
        free.find(|name| !clash(name)).unwrap_or_default()
    }

    /// Returns the path of the group `other` inside `group`.
    fn below<'p>(&self, group: GroupId, other: &'p str) -> &'p str {
        match self.outline.groups[group].path.len() {
            0 => other,
            prefix => other.get(prefix + 1..).unwrap_or(other),
        }
    }

    /// Returns the inputs of a group; for the network, all its inputs in their order.
    fn inputs(&self, group: GroupId) -> Vec<NodeId> {
        match group {
            0 => self.outline.graph.inputs().map(|(id, _)| id).collect(),
            group => self.outline.groups[group].inputs.clone(),
        }
    }

    /// Returns the outputs of a group; for the network, its outputs in their order.
    fn returned(&self, group: GroupId) -> Vec<NodeId> {
        match group {
            0 => self.outline.graph.outputs().to_vec(),
            group => self.outline.groups[group].outputs.clone(),
        }
    }

    /// Returns the group's name for its output, which describes it better than the last layer's name.
    fn spoken(&self, group: GroupId, output: NodeId) -> Option<String> {
        let child = self.outline.groups[group].children.iter().find_map(|child| match child {
            Child::Group(inner) if self.outline.groups[*inner].outputs == [output] => Some(*inner),
            _ => None,
        })?;
        Some(names::variable(&self.outline.groups[child].name))
    }
}

/// Formats `4 * width`, `width // 2`.
fn product(name: &str, times: i64, over: i64) -> String {
    let text = if times == 1 { name.to_owned() } else { format!("{times} * {name}") };
    if over == 1 { text } else { format!("{text} // {over}") }
}

/// Indents `line` and puts its arguments on lines of their own if it is too long.
fn indent(line: &str, by: usize) -> String {
    let line = format!("{}{line}", " ".repeat(by));
    if line.len() <= WIDTH {
        return line + "\n";
    }
    let start = line.len() - line.trim_start().len();
    // The outermost bracket whose expansion leaves lines short enough; otherwise the first one.
    let Some(open) = line.find(['(', '[']) else { return line + "\n" };
    let Some(close) = closing(&line, open) else { return line + "\n" };
    let inner = &line[open + 1..close];
    if inner.trim().is_empty() {
        return line + "\n";
    }
    let (head, tail) = (&line[..=open], &line[close..]);
    let pad = " ".repeat(start + 4);
    let mut text = format!("{head}\n");
    let mut row = String::new();
    for part in split(inner) {
        if !row.is_empty() && pad.len() + row.len() + part.len() + 2 > WIDTH {
            text += &format!("{pad}{},\n", row.trim_end_matches(", "));
            row.clear();
        }
        row += &part;
        row += ", ";
    }
    // A trailing comma after a list of arguments; in brackets around one expression it would make a tuple.
    let arguments = line[open..].starts_with('(')
        && line[..open].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | ')' | ']'));
    let comma = if arguments && !row.contains(" for ") { "," } else { "" };
    text += &format!("{pad}{}{comma}\n", row.trim_end_matches(", "));
    text += &format!("{}{tail}\n", " ".repeat(start));
    text
}

/// Returns the bracket that closes the one at `open`.
fn closing(line: &str, open: usize) -> Option<usize> {
    let mut depth = 0;
    for (at, c) in line[open..].char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(open + at);
        }
    }
    None
}

/// Splits an argument list at its own commas.
fn split(list: &str) -> Vec<String> {
    let (mut depth, mut parts, mut part) = (0, Vec::new(), String::new());
    for c in list.chars() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(std::mem::take(&mut part).trim().to_owned());
                continue;
            }
            _ => {}
        }
        part.push(c);
    }
    if !part.trim().is_empty() {
        parts.push(part.trim().to_owned());
    }
    parts
}
