//! The same network with concatenations that continue earlier ones.
//!
//! Layer `l` of a dense block reads the concatenation of `l` maps, so that a block of `n` layers has `n^2 / 2`
//! connections. All but the last map are joined for the layer before as well: a concatenation that reads that one, and the
//! last map, is the same tensor, and the block has `2 n` connections.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::graph::{Graph, Node, NodeId, Op};
use crate::layers::Layer;

/// Fewest maps that are read from an earlier concatenation instead of one by one.
const FEWEST: usize = 4;

impl Graph {
    /// Returns the network in which a concatenation reads an earlier one whose operands are the first of its own: node for
    /// node the same tensors, from fewer connections. For analyses that follow values from the inputs of the network to its
    /// outputs; what a node reads is not what it says.
    pub fn joined(&self) -> Cow<'_, Self> {
        let mut changed: Vec<(usize, Vec<NodeId>)> = Vec::new();
        // By axis, number and hash of the operands; a hash may be another list's, which is compared then.
        let mut known: HashMap<(u64, usize, u64), NodeId> = HashMap::new();
        for (id, node) in self.iter() {
            let Some(axis) = axis(node).filter(|_| node.inputs.len() >= FEWEST) else { continue };
            let mut hash = 0;
            let mut longest = None;
            for (index, input) in node.inputs.iter().enumerate() {
                hash = mixed(hash, input.0 as u64);
                let count = index + 1;
                if count >= FEWEST && count < node.inputs.len() {
                    let found = known.get(&(axis, count, hash));
                    longest = found.map(|&found| (found, count)).or(longest);
                }
            }
            known.entry((axis, node.inputs.len(), hash)).or_insert(id);
            if let Some((first, count)) = longest
                && self.nodes[first.0].inputs == node.inputs[..count]
            {
                changed.push((
                    id.0,
                    std::iter::once(first).chain(node.inputs[count..].iter().copied()).collect(),
                ));
            }
        }
        if changed.is_empty() {
            return Cow::Borrowed(self);
        }
        // Not by cloning the lists that are replaced: they are nearly all of the memory.
        let mut changed = changed.into_iter().peekable();
        let nodes = self.nodes.iter().enumerate().map(|(index, node)| {
            let inputs = match changed.next_if(|(at, _)| *at == index) {
                Some((_, inputs)) => inputs,
                None => node.inputs.clone(),
            };
            Node {
                id: node.id.clone(),
                op: node.op.clone(),
                inputs,
                shape: node.shape.clone(),
                weights: node.weights.clone(),
                cost: node.cost,
                shares: node.shares,
                tied: node.tied.clone(),
                computed: node.computed.clone(),
                frozen: node.frozen,
                counts: node.counts.clone(),
                origin: node.origin.clone(),
            }
        });
        Cow::Owned(Self { name: self.name.clone(), nodes: nodes.collect(), outputs: self.outputs.clone() })
    }
}

/// Returns the axis of a concatenation.
fn axis(node: &Node) -> Option<u64> {
    let Op::Layer(Layer::Concat(concat)) = &node.op else { return None };
    Some(concat.axis)
}

/// Adds `value` to the hash of a list.
fn mixed(hash: u64, value: u64) -> u64 {
    let mixed = (hash ^ value.wrapping_add(1)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Builder;
    use crate::layers::concat::Concat;
    use crate::layers::relu::Relu;
    use crate::shape::Shape;
    use crate::source::Origin;

    #[test]
    fn a_dense_block_has_few_connections() {
        let mut builder = Builder::new();
        let mut maps = vec![builder.input("x", Shape::from([2, 4]), Origin::default())];
        let mut joined = Vec::new();
        for round in 0..12 {
            let last = *maps.last().expect("an input");
            let map = builder.layer(
                &format!("r{round}"),
                Layer::Relu(Relu {}),
                vec![last],
                None,
                Origin::default(),
            );
            maps.push(map);
            let concat = Layer::Concat(Concat { axis: u64::from(round == 9) });
            joined.push(builder.layer(&format!("c{round}"), concat, maps.clone(), None, Origin::default()));
        }
        let graph = builder.finish("net", joined.clone()).expect("valid");
        let fewer = graph.joined();
        assert_eq!(
            fewer.node(joined[2]).inputs,
            graph.node(joined[2]).inputs,
            "nothing long enough before it"
        );
        assert_eq!(fewer.node(joined[8]).inputs, [joined[7], maps[9]]);
        assert_eq!(fewer.node(joined[9]).inputs, graph.node(joined[9]).inputs, "another axis");
        assert_eq!(fewer.node(joined[10]).inputs, [joined[8], maps[10], maps[11]]);
        let shapes = |graph: &Graph| graph.reinfer(&[Shape::from([2, 4])]).expect("valid");
        assert_eq!(shapes(&fewer), shapes(&graph));
    }
}
