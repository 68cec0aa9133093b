//! Compares two graphs for equality as networks.

use cnnkit_core::graph::{Graph, Node, NodeId};

/// Returns the first difference between `found` and `wanted`, in words; `None` if they have the same layers in the
/// same order, connected in the same way, with the same shapes, weights and costs. Ids do not matter.
pub fn difference(wanted: &Graph, found: &Graph) -> Option<String> {
    if wanted.nodes().len() != found.nodes().len() {
        return Some(format!("it has {} layers, not {}", found.nodes().len(), wanted.nodes().len()));
    }
    for (a, b) in wanted.nodes().iter().zip(found.nodes()) {
        let what = match () {
            () if a.op.name() != b.op.name() => "is another layer",
            () if a.inputs != b.inputs => "reads other layers",
            () if a.shape != b.shape => "has another shape",
            () if a.weights != b.weights => "has other weights",
            () if counts(a) != counts(b) => "counts its weights in another way",
            () if a.cost != b.cost => "has another cost",
            () if owner(wanted, a) != owner(found, b) => "shares other weights",
            () => continue,
        };
        return Some(format!("`{}` {what} as `{}`", a.id, b.id));
    }
    (wanted.outputs() != found.outputs()).then(|| "it returns other layers".into())
}

/// Returns what each weight of `node` counts as.
fn counts(node: &Node) -> Vec<u64> {
    let own = node.own_weights();
    own.map(|(index, weight)| node.counted(index, weight.shape.elements().unwrap_or(u64::MAX)))
        .filter(|&count| count > 0)
        .collect()
}

/// Returns the node whose weights `node` finally uses, if they are not its own.
fn owner(graph: &Graph, node: &Node) -> Option<NodeId> {
    let mut owner = node.shares?;
    while let Some(next) = graph.node(owner).shares {
        owner = next;
    }
    Some(owner)
}
