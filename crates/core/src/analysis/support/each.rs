//! The channels of an input that each channel of a node reads, element by element and with borders.
//!
//! Channels are followed one by one. After a layer that mixes them (the head of a classifier) all of them share the
//! rest of the path: the result for each set of pending regions is cached, so that the path is followed once.

use std::collections::{BTreeMap, HashMap};

use super::pullback::{Ground, read_by};
use super::{Borders, Budget, Region, Set, everything};
use crate::diagnostic::Problem;
use crate::graph::{Graph, NodeId, Op};

/// The regions still to be followed, by node.
type Pending = BTreeMap<usize, Region>;

/// Returns, for each channel of `node`, the channels of `source` that it reads at the network's own size; with
/// `gates`, through gates and statistics as well.
pub fn channels(graph: &Graph, source: NodeId, node: NodeId, gates: bool) -> Result<Vec<Set>, Problem> {
    let budget = Budget::default();
    let ground = Ground::new(graph, Borders::Real, gates);
    let mut known: HashMap<Vec<(usize, Region)>, Set> = HashMap::new();
    let mut start = everything(graph, node);
    let mut all = Vec::new();
    for channel in 0..i128::from(graph.node(node).shape.channels()) {
        start[0] = Set::interval(channel, channel);
        let mut pending = Pending::from([(node.0, Region::product(&start))]);
        let mut way = Vec::new();
        let found = loop {
            let key: Vec<(usize, Region)> =
                pending.iter().map(|(&node, region)| (node, region.clone())).collect();
            if let Some(found) = known.get(&key) {
                break found.clone();
            }
            way.push(key);
            // The last node first, so that all that is read of a node is complete when it is processed;
            // inputs remain.
            let next = pending.keys().rev().find(|&&node| graph.nodes[node].op != Op::Input).copied();
            let Some((at, region)) = next.and_then(|at| Some((at, pending.remove(&at)?))) else {
                break match pending.get(&source.0) {
                    Some(region) => region.channels(&budget)?,
                    None => Set::default(),
                };
            };
            for (operand, read) in read_by(graph, &graph.nodes[at], &region, &|_| true, &ground, &budget)? {
                let sum = match pending.remove(&operand.0) {
                    Some(old) => old.union(&read, &budget)?,
                    None => read,
                };
                pending.insert(operand.0, sum);
            }
        };
        budget.spend(way.len())?;
        known.extend(way.into_iter().map(|key| (key, found.clone())));
        all.push(found);
    }
    Ok(all)
}
