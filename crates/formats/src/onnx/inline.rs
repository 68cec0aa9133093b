//! The nodes of a model as one list in execution order: functions are replaced by their bodies, dead nodes
//! removed.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::proto::{AttributeProto, FunctionProto, GraphProto, NodeProto};
use cnnkit_core::diagnostic::{Code, Problem};

/// Maximum number of nodes after functions are replaced by their bodies. Nested functions that double can
/// reach it in microseconds.
pub const MAX_NODES: usize = 1_000_000;

/// Maximum nesting of function calls.
const MAX_CALLS: usize = 32;

/// A node with the version of the operators it uses.
#[derive(Debug, Clone)]
pub struct Item {
    /// The node.
    pub node: NodeProto,
    /// Version of ONNX's own operators.
    pub opset: i64,
}

/// Returns the text by which a user finds a node: its name and operator, or its output if it has no name.
pub fn title(node: &NodeProto) -> String {
    match (node.name.as_str(), node.output.iter().find(|output| !output.is_empty())) {
        ("", Some(output)) => format!("the {} that makes `{output}`", node.op_type),
        ("", None) => format!("a {} without outputs", node.op_type),
        (name, _) => format!("`{name}` ({})", node.op_type),
    }
}

/// Returns the name of the node in its [`title`], if it has one.
pub fn name_in(title: &str) -> Option<&str> {
    let (name, _) = title.strip_prefix('`')?.rsplit_once("` (")?;
    Some(name)
}

/// Returns the version of ONNX's own operators among `imports`.
pub fn opset(imports: &[super::proto::OperatorSetIdProto]) -> Option<i64> {
    imports.iter().find(|import| import.domain.is_empty() || import.domain == "ai.onnx").map(|i| i.version)
}

/// Returns all nodes on which the outputs depend, with functions replaced by their bodies, each after the
/// nodes that it reads.
///
/// `known` returns whether a name needs no node: inputs and initialisers.
pub fn flatten(
    nodes: Vec<NodeProto>,
    functions: &[FunctionProto],
    opset: i64,
    known: &dyn Fn(&str) -> bool,
    outputs: &[&str],
) -> Result<Vec<Item>, Problem> {
    let table: HashMap<(&str, &str, &str), &FunctionProto> = functions
        .iter()
        .map(|function| {
            ((function.domain.as_str(), function.name.as_str(), function.overload.as_str()), function)
        })
        .collect();
    let mut items = Vec::with_capacity(nodes.len());
    let mut calls = 0;
    for node in nodes {
        expand(Item { node, opset }, &table, 0, &mut calls, &mut items)?;
    }
    once(&items, known)?;
    order(needed(items, outputs), known)
}

type Functions<'a> = HashMap<(&'a str, &'a str, &'a str), &'a FunctionProto>;

fn expand(
    item: Item,
    functions: &Functions<'_>,
    depth: usize,
    calls: &mut usize,
    out: &mut Vec<Item>,
) -> Result<(), Problem> {
    let node = &item.node;
    let key = (node.domain.as_str(), node.op_type.as_str(), node.overload.as_str());
    let Some(function) = functions.get(&key).copied() else {
        out.push(item);
        if out.len() > MAX_NODES {
            let message = format!("the model has more than {MAX_NODES} nodes");
            return Err(
                Problem::new(Code::Limit, message).help("functions count with all nodes of their bodies")
            );
        }
        return Ok(());
    };
    *calls += 1;
    if depth >= MAX_CALLS || *calls > MAX_NODES {
        let message = format!("{}: functions call each other more than {MAX_CALLS} levels deep", title(node));
        return Err(Problem::new(Code::Limit, message).help("a function must not call itself"));
    }
    let inside = opset(&function.opset_import).unwrap_or(item.opset);
    let prefix = format!("{}/{}#{calls}/", node.name, node.op_type);
    let body = Body::new(node, function, &prefix);
    for inner in &function.node {
        expand(Item { node: body.node(inner, node), opset: inside }, functions, depth + 1, calls, out)?;
    }
    Ok(())
}

/// One call of a function.
struct Body<'a> {
    /// The names of the function's inputs and outputs, with the names outside.
    names: HashMap<&'a str, &'a str>,
    attributes: HashMap<&'a str, &'a AttributeProto>,
    /// Prefix that makes the names of the body unique.
    prefix: &'a str,
}

impl<'a> Body<'a> {
    fn new(call: &'a NodeProto, function: &'a FunctionProto, prefix: &'a str) -> Self {
        let missing = function.input.iter().skip(call.input.len()).map(|name| (name.as_str(), ""));
        let inputs = function.input.iter().map(String::as_str).zip(call.input.iter().map(String::as_str));
        let outputs = function.output.iter().map(String::as_str).zip(call.output.iter().map(String::as_str));
        let wanted = outputs.filter(|(_, outside)| !outside.is_empty());
        let attributes = function.attribute_proto.iter().chain(&call.attribute);
        Self {
            names: inputs.chain(missing).chain(wanted).collect(),
            attributes: attributes.map(|attribute| (attribute.name.as_str(), attribute)).collect(),
            prefix,
        }
    }

    fn rename(&self, name: &str) -> String {
        match self.names.get(name) {
            Some(outside) => (*outside).to_owned(),
            None if name.is_empty() => String::new(),
            None => format!("{}{name}", self.prefix),
        }
    }

    fn node(&self, inner: &NodeProto, call: &NodeProto) -> NodeProto {
        let attribute = |attribute: &AttributeProto| {
            if attribute.ref_attr_name.is_empty() {
                let mut own = attribute.clone();
                own.g.iter_mut().chain(&mut own.graphs).for_each(|graph| self.graph(graph));
                return Some(own);
            }
            let given = self.attributes.get(attribute.ref_attr_name.as_str());
            given.map(|given| AttributeProto { name: attribute.name.clone(), ..(*given).clone() })
        };
        let metadata =
            if inner.metadata_props.is_empty() { &call.metadata_props } else { &inner.metadata_props };
        NodeProto {
            input: inner.input.iter().map(|name| self.rename(name)).collect(),
            output: inner.output.iter().map(|name| self.rename(name)).collect(),
            name: if call.name.is_empty() {
                inner.name.clone()
            } else {
                format!("{}/{}", call.name, inner.name)
            },
            op_type: inner.op_type.clone(),
            domain: inner.domain.clone(),
            overload: inner.overload.clone(),
            attribute: inner.attribute.iter().filter_map(attribute).collect(),
            doc_string: String::new(),
            metadata_props: metadata.clone(),
        }
    }

    /// Renames everything in a branch or body; its own names get the prefix as well.
    fn graph(&self, graph: &mut GraphProto) {
        let mut stack = vec![graph];
        while let Some(graph) = stack.pop() {
            let renamed = |name: &mut String| *name = self.rename(name);
            graph.initializer.iter_mut().for_each(|tensor| renamed(&mut tensor.name));
            graph.input.iter_mut().chain(&mut graph.output).for_each(|value| renamed(&mut value.name));
            for node in &mut graph.node {
                node.input.iter_mut().chain(&mut node.output).for_each(renamed);
                let attributes = node.attribute.iter_mut();
                stack.extend(
                    attributes.flat_map(|attribute| attribute.g.iter_mut().chain(&mut attribute.graphs)),
                );
            }
        }
    }
}

/// Returns every name that `node` reads, directly or inside its branches and bodies.
pub fn reads(node: &NodeProto) -> Vec<&str> {
    let mut names: Vec<&str> = node.input.iter().map(String::as_str).collect();
    let mut stack: Vec<&GraphProto> =
        node.attribute.iter().flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs)).collect();
    let mut own: HashSet<&str> = HashSet::new();
    while let Some(graph) = stack.pop() {
        own.extend(graph.initializer.iter().map(|tensor| tensor.name.as_str()));
        own.extend(graph.input.iter().map(|value| value.name.as_str()));
        names.extend(graph.output.iter().map(|value| value.name.as_str()));
        for inner in &graph.node {
            own.extend(inner.output.iter().map(String::as_str));
            names.extend(inner.input.iter().map(String::as_str));
            let attributes = inner.attribute.iter();
            stack.extend(attributes.flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs)));
        }
    }
    names.retain(|name| !name.is_empty() && !own.contains(name));
    names
}

/// Returns an error if two nodes produce the same name.
fn once(items: &[Item], known: &dyn Fn(&str) -> bool) -> Result<(), Problem> {
    let mut made: HashSet<&str> = HashSet::with_capacity(items.len());
    for item in items {
        for output in item.node.output.iter().filter(|output| !output.is_empty()) {
            if known(output) || !made.insert(output) {
                let message =
                    format!("{}: another node, input or constant makes `{output}` too", title(&item.node));
                return Err(Problem::new(Code::Reference, message).help("every name may be made once"));
            }
        }
    }
    Ok(())
}

/// Returns the nodes on which the outputs depend, in their order.
fn needed(items: Vec<Item>, outputs: &[&str]) -> Vec<Item> {
    let mut keep = vec![false; items.len()];
    {
        let makers = makers(&items);
        let mut stack: Vec<&str> = outputs.to_vec();
        while let Some(name) = stack.pop() {
            if let Some(&maker) = makers.get(name)
                && !std::mem::replace(&mut keep[maker], true)
            {
                stack.extend(reads(&items[maker].node));
            }
        }
    }
    let mut keep = keep.into_iter();
    items.into_iter().filter(|_| keep.next().unwrap_or(false)).collect()
}

fn makers(items: &[Item]) -> HashMap<&str, usize> {
    let mut makers = HashMap::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        for output in item.node.output.iter().filter(|output| !output.is_empty()) {
            makers.entry(output.as_str()).or_insert(index);
        }
    }
    makers
}

/// Sorts the nodes so that each follows those that it reads. The format requires this order, but not every
/// file has it.
fn order(items: Vec<Item>, known: &dyn Fn(&str) -> bool) -> Result<Vec<Item>, Problem> {
    let mut waits: Vec<usize> = vec![0; items.len()];
    let mut readers: Vec<Vec<usize>> = vec![vec![]; items.len()];
    let mut sorted = true;
    {
        let makers = makers(&items);
        for (index, item) in items.iter().enumerate() {
            for name in reads(&item.node) {
                match makers.get(name) {
                    Some(&maker) => {
                        waits[index] += 1;
                        readers[maker].push(index);
                        sorted &= maker < index;
                    }
                    None if known(name) => {}
                    None => {
                        let message = format!("{} reads `{name}`, which nothing makes", title(&item.node));
                        return Err(Problem::new(Code::Reference, message)
                            .help("the file is damaged or cut out of a larger model"));
                    }
                }
            }
        }
    }
    if sorted {
        return Ok(items);
    }
    let mut ready: BTreeSet<usize> = (0..items.len()).filter(|&index| waits[index] == 0).collect();
    let mut slots: Vec<Option<Item>> = items.into_iter().map(Some).collect();
    let mut result = Vec::with_capacity(slots.len());
    while let Some(index) = ready.pop_first() {
        result.extend(slots[index].take());
        for &reader in &readers[index] {
            waits[reader] -= 1;
            if waits[reader] == 0 {
                ready.insert(reader);
            }
        }
    }
    match slots.into_iter().flatten().next() {
        None => Ok(result),
        Some(stuck) => {
            let message = format!("{} depends on its own output", title(&stuck.node));
            Err(Problem::new(Code::Reference, message).help("a network must not have cycles"))
        }
    }
}
