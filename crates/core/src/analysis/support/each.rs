//! The channels of an input that each channel of a node reads, element by element and with borders.
//!
//! Channels are followed one by one, up to nodes whose sets are known: before the first layer that turns channels into
//! positions they follow from the layers alone, wherever on the map they are read. After a layer that mixes them (the
//! head of a classifier) all of them share the rest of the path: the result for each set of few pending regions is cached,
//! so that the path is followed once. A channel that already depends on all channels of the input need not be followed
//! further.

use std::collections::{BTreeMap, HashMap};

use super::pullback::{Ground, read_by};
use super::{Borders, Budget, Region, Set, VISIT, everything};
use crate::analysis::channel_sets::{Runs, Settled};
use crate::analysis::field::Interval;
use crate::diagnostic::Problem;
use crate::graph::{Graph, NodeId, Op};

/// Most pending regions of which the result is cached: where many wait, they rarely come again.
const FEW: usize = 6;

/// The regions still to be followed, by node.
type Pending = BTreeMap<usize, Region>;

/// Returns, for each channel of `node`, the channels of `source` that it reads at the network's own size; with
/// `gates`, through gates and statistics as well. `settled` has the sets of the nodes where they are known.
pub fn channels(
    graph: &Graph,
    source: NodeId,
    node: NodeId,
    gates: bool,
    settled: &Settled<'_>,
    budget: &Budget,
) -> Result<Vec<Set>, Problem> {
    let everything_read = Set::below(graph.node(source).shape.channels());
    let ground = Ground::new(graph, Borders::Real, gates);
    let mut known: HashMap<Vec<(usize, Region)>, Set> = HashMap::new();
    let mut start = everything(graph, node);
    let mut all = Vec::new();
    for channel in 0..i128::from(graph.node(node).shape.channels()) {
        start[0] = Set::interval(channel, channel);
        let mut pending = Pending::from([(node.0, Region::product(&start))]);
        let mut way = Vec::new();
        // What the settled part of the pending regions reads.
        let mut sure = match settled.of(node.0) {
            _ if node == source => start[0].clone(),
            Some(runs) => of_runs(runs, &start[0]),
            None => Set::default(),
        };
        let found = loop {
            if sure == everything_read {
                break sure;
            }
            if pending.len() <= FEW {
                let key: Vec<(usize, Region)> =
                    pending.iter().map(|(&node, region)| (node, region.clone())).collect();
                if let Some(found) = known.get(&key) {
                    break found.clone();
                }
                way.push(key);
            }
            // The last node first, so that everything that is read of a node is known at its turn; inputs and settled
            // nodes remain.
            let open = |node: usize| graph.nodes[node].op != Op::Input && !settled.has(node);
            let next = pending.keys().rev().find(|&&node| open(node)).copied();
            let Some((at, region)) = next.and_then(|at| Some((at, pending.remove(&at)?))) else {
                break sure;
            };
            let reads = read_by(graph, &graph.nodes[at], &region, &|_| true, &ground, budget)?;
            budget.spend(VISIT * reads.len())?;
            for (operand, read) in reads {
                let channels = read.channels(budget)?;
                if operand == source {
                    sure = sure.union(&channels, budget)?;
                } else if let Some(runs) = settled.of(operand.0) {
                    sure = sure.union(&of_runs(runs, &channels), budget)?;
                }
                let sum = match pending.remove(&operand.0) {
                    Some(old) => old.union(&read, budget)?,
                    None => read,
                };
                pending.insert(operand.0, sum);
            }
        };
        budget.spend(VISIT * way.len())?;
        known.extend(way.into_iter().map(|key| (key, found.clone())));
        all.push(found);
    }
    Ok(all)
}

/// Returns the channels of the source that the channels `read` of a node depend on.
fn of_runs(runs: &Runs, read: &Set) -> Set {
    let bound = |index: i128| u64::try_from(index).unwrap_or(0);
    let sets = read.spans().iter().filter_map(|span| {
        let len = bound(span.hi - span.lo).saturating_add(1);
        runs.joined(bound(span.lo), len)
    });
    let channels: Vec<Interval> = sets
        .flat_map(|set| set.iter().map(i128::from).collect::<Vec<_>>())
        .map(|channel| Interval { lo: channel, hi: channel })
        .collect();
    Set::of(channels)
}
