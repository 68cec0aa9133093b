//! Graphs inside of nodes, which run once: their nodes take the place of the node.
//!
//! PyTorch writes a part of `forward` as a graph of its own where something is different in it: `torch.autocast`,
//! `torch.no_grad`, a checkpoint.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::schema::{Argument, Graph, Metadata, NamedArgument, Node, Size, TensorMeta};
use crate::onnx::inline::MAX_NODES;

/// Operators that run their only graph once, with the arguments that stand behind it.
const RUNS_ONCE: &[&str] = &[
    "torch.ops.higher_order.wrap_with_autocast",
    "torch.ops.higher_order.wrap_with_set_grad_enabled",
    "torch.ops.higher_order.tag_activation_checkpoint",
    "torch.ops.higher_order.wrap_activation_checkpoint",
    "torch.ops.higher_order.invoke_subgraph",
    "torch.ops.higher_order.wrap",
];

/// Puts the nodes of graphs inside of nodes in their place, as far as `graph` stays below the limit of nodes.
pub(super) fn inline(graph: &mut Graph) {
    let nodes = std::mem::take(&mut graph.nodes);
    let mut room = MAX_NODES.saturating_sub(nodes.len());
    place(nodes, &mut graph.tensor_values, &mut graph.nodes, &mut room);
}

/// Adds `nodes` to `made`, with the nodes of their graphs, which may have graphs themselves: the format bounds how deep.
fn place(
    nodes: Vec<Node>,
    values: &mut BTreeMap<String, TensorMeta>,
    made: &mut Vec<Node>,
    room: &mut usize,
) {
    for node in nodes {
        let inner = match parts(&node) {
            Some((inner, given)) if inner.nodes.len() < *room => {
                *room -= inner.nodes.len();
                replaced(inner, given, &node, values)
            }
            _ => {
                made.push(node);
                continue;
            }
        };
        place(inner, values, made, room);
    }
}

/// The graph that a node runs once, and what it is given.
fn parts(node: &Node) -> Option<(&Graph, &[NamedArgument])> {
    if !RUNS_ONCE.contains(&node.target.as_str()) {
        return None;
    }
    let at = node.inputs.iter().position(|input| matches!(input.arg, Argument::Graph(_)))?;
    let Argument::Graph(inner) = &node.inputs[at].arg else { return None };
    let given = &node.inputs[at + 1..];
    // A name of the graph may stand before its arguments.
    let given = given.get(given.len().checked_sub(inner.inputs.len())?..)?;
    let fits =
        |(inner, given): (&Argument, &NamedArgument)| name(inner).is_some() && name(&given.arg).is_some();
    let returned = outputs(node).len() == inner.outputs.len()
        && inner.outputs.iter().all(|output| name(output).is_some());
    (returned && inner.inputs.iter().zip(given).all(fits)).then_some((inner, given))
}

fn name(argument: &Argument) -> Option<&str> {
    match argument {
        Argument::Tensor(name) | Argument::Size(Size::Name(name)) => Some(name),
        _ => None,
    }
}

/// The names of what a node returns.
fn outputs(node: &Node) -> Vec<&str> {
    let mut names = Vec::with_capacity(node.outputs.len());
    for output in &node.outputs {
        match output {
            Argument::Tensors(list) => names.extend(list.iter().flatten().map(String::as_str)),
            other => names.extend(name(other)),
        }
    }
    names
}

/// The nodes of `inner` with the names that they have outside.
fn replaced(
    inner: &Graph,
    given: &[NamedArgument],
    node: &Node,
    values: &mut BTreeMap<String, TensorMeta>,
) -> Vec<Node> {
    let mut names: HashMap<String, String> = HashMap::new();
    for (own, given) in inner.inputs.iter().zip(given) {
        if let (Some(own), Some(given)) = (name(own), name(&given.arg)) {
            names.insert(own.to_owned(), given.to_owned());
        }
    }
    let outside: HashSet<&str> = outputs(node).into_iter().collect();
    // No name of the file: a long one would be copied for every value.
    let suffix = values.len();
    let mut rename = |own: &str, meta: Option<&TensorMeta>| {
        if names.contains_key(own) {
            return;
        }
        // Sizes have no entry among the values.
        let mut free = if meta.is_some() { own.to_owned() } else { format!("{own}.{suffix}") };
        if values.contains_key(&free) || outside.contains(free.as_str()) {
            free = format!("{own}.{suffix}");
        }
        while values.contains_key(&free) || outside.contains(free.as_str()) {
            free.push('_');
        }
        if let Some(meta) = meta {
            values.insert(free.clone(), meta.clone());
        }
        names.insert(own.to_owned(), free);
    };
    for (own, meta) in &inner.tensor_values {
        rename(own, Some(meta));
    }
    for own in inner.nodes.iter().flat_map(outputs) {
        rename(own, None);
    }
    let mut nodes: Vec<Node> = inner.nodes.iter().map(|node| renamed(node, &names)).collect();
    for (own, outer) in inner.outputs.iter().zip(outputs(node)) {
        let own = name(own).unwrap_or_default();
        let own = names.get(own).cloned().unwrap_or_else(|| own.to_owned());
        nodes.push(Node {
            target: "torch.ops.aten.alias.default".into(),
            inputs: vec![NamedArgument { name: "self".into(), arg: Argument::Tensor(own) }],
            outputs: vec![Argument::Tensor(outer.to_owned())],
            metadata: Metadata::default(),
        });
    }
    nodes
}

fn renamed(node: &Node, names: &HashMap<String, String>) -> Node {
    let new = |name: &String| names.get(name).unwrap_or(name).clone();
    let size = |size: &Size| match size {
        Size::Name(name) => Size::Name(new(name)),
        Size::Known(size) => Size::Known(*size),
    };
    let argument = |argument: &Argument| match argument {
        Argument::Tensor(name) => Argument::Tensor(new(name)),
        Argument::Tensors(list) => {
            Argument::Tensors(list.iter().map(|name| name.as_ref().map(new)).collect())
        }
        Argument::Size(given) => Argument::Size(size(given)),
        Argument::Sizes(list) => Argument::Sizes(list.iter().map(size).collect()),
        other => other.clone(),
    };
    Node {
        target: node.target.clone(),
        inputs: node
            .inputs
            .iter()
            .map(|given| NamedArgument { name: given.name.clone(), arg: argument(&given.arg) })
            .collect(),
        outputs: node.outputs.iter().map(argument).collect(),
        metadata: node.metadata.clone(),
    }
}
