//! Checkpointing: segments of the network that keep their input only and run again in the backward pass
//! (Chen et al. 2016, `torch.utils.checkpoint`).
//!
//! A network is cut where a single tensor passes from what is before to what is after. Between two cuts, in any
//! distance from each other, a segment is either kept as it is or checkpointed. While the backward pass runs through a
//! segment, everything that the segments before it store is alive, and all that the segment itself keeps. Among all
//! choices of segments, [`plan`] finds one with the fewest recomputed multiply-accumulates whose largest sum stays
//! within a budget.

use super::Training;
use super::kept::{Kept, kept};
use crate::graph::{Graph, NodeId};

/// A choice of segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The checkpointed segments, in order.
    pub segments: Vec<Segment>,
    /// Bytes kept at the moment with the most: what earlier segments store, and all that one segment keeps.
    pub kept: u64,
    /// Bytes that are kept without checkpointing.
    pub without: u64,
    /// Multiply-accumulates of the layers that run twice.
    pub recomputed: u64,
    /// Whether no choice with fewer recomputed multiply-accumulates stays within the budget. If not, the search was
    /// cut off: there may be a better one.
    pub exact: bool,
}

/// A segment that runs again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// The node whose output it reads, which is kept.
    pub input: NodeId,
    /// Its first layer.
    pub first: NodeId,
    /// Its last layer.
    pub last: NodeId,
    /// Bytes that it stores no longer.
    pub saved: u64,
    /// Multiply-accumulates that run twice.
    pub recomputed: u64,
}

/// The network as a chain of cuts. Sums up to a cut do not include what belongs to its output.
struct Chain {
    /// Nodes whose output alone passes on, and the last node.
    cuts: Vec<usize>,
    /// For each cut, the bytes of its output's storage.
    outputs: Vec<u64>,
    /// For each cut, the same bytes if its output is kept without checkpointing, else 0.
    kept: Vec<u64>,
    /// For each cut, the bytes kept of everything before it, without its own output.
    bytes: Vec<u64>,
    /// For each cut, the multiply-accumulates up to it, its own included.
    macs: Vec<u64>,
    /// Whether cuts are left out because there are too many.
    thinned: bool,
}

/// Returns the cuts of the graph: nodes after which no earlier output is read.
fn chain(graph: &Graph, training: &Training, kept: &Kept) -> Chain {
    let nodes = graph.nodes();
    let last = crate::analysis::memory::last_uses(graph);
    let end = nodes.len().saturating_sub(1);
    // A cut lies behind all inputs and before all outputs of the network.
    let first_output = graph.outputs().iter().map(|output| output.index()).min().unwrap_or(0).min(end);
    let last_input = graph.inputs().map(|(id, _)| id.index()).last().unwrap_or(0);
    let (mut cuts, mut furthest) = (Vec::new(), 0);
    for (at, &read) in last.iter().enumerate().take(first_output) {
        let own = kept.outputs[at].is_some_and(|storage| kept.storages[storage].node == at);
        if furthest <= at && own && at >= last_input {
            cuts.push(at);
        }
        furthest = furthest.max(read);
    }
    // Segments of more than two cuts remain possible if some cuts are left out.
    let step = cuts.len().div_ceil(MOST_CUTS).max(1);
    let thinned = step > 1;
    if thinned {
        let mut index = 0;
        cuts.retain(|_| {
            index += 1;
            (index - 1) % step == 0
        });
    }
    cuts.push(end);
    // What lies behind cut `i - 1`, up to cut `i`, has place `i`.
    let place = |node: usize| cuts.partition_point(|&cut| cut < node);
    let storage = |cut: usize| kept.outputs.get(cut).copied().flatten();
    let mut bytes = vec![0u64; cuts.len()];
    let mut macs = vec![0u64; cuts.len()];
    let mut own = vec![0u64; cuts.len()];
    for (index, tensor) in kept.storages.iter().enumerate().filter(|(_, tensor)| tensor.keeper.is_some()) {
        let at = place(tensor.node);
        let is_cut = cuts[at] == tensor.node && storage(tensor.node) == Some(index);
        let sum = if is_cut { &mut own[at] } else { &mut bytes[at] };
        *sum = sum.saturating_add(tensor.bytes);
    }
    for (at, node) in nodes.iter().enumerate() {
        let sum = &mut macs[place(at)];
        *sum = sum.saturating_add(node.cost.macs.saturating_mul(training.batch));
    }
    for at in 1..cuts.len() {
        bytes[at] = bytes[at].saturating_add(bytes[at - 1]).saturating_add(own[at - 1]);
        macs[at] = macs[at].saturating_add(macs[at - 1]);
    }
    let outputs =
        cuts.iter().map(|&cut| storage(cut).map_or(0, |storage| kept.storages[storage].bytes)).collect();
    Chain { outputs, kept: own, bytes, macs, cuts, thinned }
}

/// A way to divide the chain up to a cut.
#[derive(Debug, Clone, Copy)]
struct Way {
    /// Bytes stored by the segments so far.
    stored: u64,
    /// The largest sum so far.
    most: u64,
    /// Multiply-accumulates that run twice.
    macs: u64,
    /// Where the last segment begins: index of the cut and of the way up to it, and whether it is checkpointed.
    from: Option<(usize, usize, bool)>,
}

/// Number of cuts that are considered.
const MOST_CUTS: usize = 600;
/// Number of steps after which the search keeps fewer ways.
const STEPS: usize = 20_000_000;

/// Returns the plan with the fewest recomputed multiply-accumulates that keeps at most `budget` bytes at any moment;
/// without a budget, or if none fits, the plan that keeps the least.
pub fn plan(graph: &Graph, training: &Training, budget: Option<u64>) -> Plan {
    let kept = kept(graph, training);
    if graph.nodes().is_empty() {
        return Plan { segments: vec![], kept: 0, without: 0, recomputed: 0, exact: true };
    }
    // What fits as it is needs no segment, not even one that recomputes nothing that counts.
    if budget.is_some_and(|budget| kept.torch <= budget) {
        return Plan { segments: vec![], kept: kept.torch, without: kept.torch, recomputed: 0, exact: true };
    }
    let chain = chain(graph, training, &kept);
    let least = chain.least();
    let budget = budget.map_or(least, |budget| budget.max(least));
    let (ways, exact) = chain.ways(budget);
    chain.plan(&ways, kept.torch, exact)
}

impl Chain {
    /// Returns the bytes that a segment stores, those at its backward step, and the multiply-accumulates that it
    /// repeats. It begins behind cut `from` and ends with cut `to`; the output of `from` belongs to it.
    fn segment(&self, from: usize, to: usize, checkpointed: bool) -> (u64, u64, u64) {
        let inner = self.bytes[to].saturating_sub(self.bytes[from]).saturating_sub(self.kept[from]);
        if checkpointed {
            let input = self.outputs[from];
            (input, inner.saturating_add(input), self.macs[to].saturating_sub(self.macs[from]))
        } else {
            let full = inner.saturating_add(self.kept[from]);
            (full, full, 0)
        }
    }

    /// Returns the smallest largest sum of any plan: for each bound, the least stored bytes up to each cut decide.
    fn least(&self) -> u64 {
        let feasible = |bound: u64| {
            let mut stored: Vec<Option<u64>> = vec![None; self.cuts.len()];
            stored[0] = Some(self.bytes[0]).filter(|&bytes| bytes <= bound);
            for to in 1..self.cuts.len() {
                for from in 0..to {
                    let Some(before) = stored[from] else { continue };
                    for checkpointed in [false, true] {
                        // A plain segment is a sequence of plain segments between neighbours.
                        if !checkpointed && to - from > 1 {
                            continue;
                        }
                        let (own, full, _) = self.segment(from, to, checkpointed);
                        if before.saturating_add(full) <= bound {
                            let total = before.saturating_add(own);
                            stored[to] = Some(stored[to].map_or(total, |least| least.min(total)));
                        }
                    }
                }
            }
            stored.last().copied().flatten().is_some()
        };
        let (mut low, mut high) = (0u64, u64::MAX);
        while low < high {
            let middle = low + (high - low) / 2;
            if feasible(middle) { high = middle } else { low = middle + 1 }
        }
        low
    }

    /// Returns the ways up to each cut of which none is better than another in both respects, and whether none was
    /// left out.
    fn ways(&self, budget: u64) -> (Vec<Vec<Way>>, bool) {
        let mut exact = !self.thinned;
        let start = Way { stored: self.bytes[0], most: self.bytes[0], macs: 0, from: None };
        let most_ways = (STEPS / self.cuts.len().pow(2).max(1)).clamp(8, 4000);
        let mut ways: Vec<Vec<Way>> = vec![vec![start]];
        for to in 1..self.cuts.len() {
            let mut found: Vec<Way> = Vec::new();
            for (from, before) in ways.iter().enumerate() {
                for checkpointed in [false, true] {
                    if !checkpointed && to - from > 1 {
                        continue;
                    }
                    let (own, full, macs) = self.segment(from, to, checkpointed);
                    found.extend(before.iter().enumerate().filter_map(|(index, way)| {
                        let most = way.stored.saturating_add(full);
                        (most <= budget).then(|| Way {
                            stored: way.stored.saturating_add(own),
                            most: way.most.max(most),
                            macs: way.macs.saturating_add(macs),
                            from: Some((from, index, checkpointed)),
                        })
                    }));
                }
            }
            found.sort_by_key(|way| (way.stored, way.macs, way.most));
            let mut fewest = None;
            found.retain(|way| {
                let better = fewest.is_none_or(|fewest| way.macs < fewest);
                if better {
                    fewest = Some(way.macs);
                }
                better
            });
            if found.len() > most_ways {
                exact = false;
                // The ends stay, so that the least stored bytes and the fewest MACs are never lost.
                let step = found.len().div_ceil(most_ways);
                let end = found.len() - 1;
                let mut index = 0;
                found.retain(|_| {
                    let keep = index % step == 0 || index == end;
                    index += 1;
                    keep
                });
            }
            ways.push(found);
        }
        (ways, exact)
    }

    fn plan(&self, ways: &[Vec<Way>], without: u64, exact: bool) -> Plan {
        let mut segments = Vec::new();
        let end = ways.len() - 1;
        let best = ways[end].iter().enumerate().min_by_key(|(_, way)| (way.macs, way.most));
        let (mut kept, mut recomputed) = (without, 0);
        let mut at = best.map(|(index, way)| {
            (kept, recomputed) = (way.most, way.macs);
            (end, index)
        });
        while let Some((to, index)) = at {
            let Some((from, before, checkpointed)) = ways[to][index].from else { break };
            if checkpointed {
                let (stored, full, macs) = self.segment(from, to, true);
                let plain = self.segment(from, to, false).1.min(full);
                segments.push(Segment {
                    input: NodeId::new(self.cuts[from]),
                    first: NodeId::new(self.cuts[from] + 1),
                    last: NodeId::new(self.cuts[to]),
                    saved: plain.saturating_sub(stored),
                    recomputed: macs,
                });
            }
            at = Some((from, before));
        }
        segments.reverse();
        Plan { segments, kept, without, recomputed, exact }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the fewest multiply-accumulates of all divisions of the chain within the budget, by trying every one.
    fn fewest(chain: &Chain, budget: u64) -> Option<u64> {
        fn from(chain: &Chain, at: usize, stored: u64, budget: u64) -> Option<u64> {
            if at == chain.cuts.len() - 1 {
                return Some(0);
            }
            let ways = (at + 1..chain.cuts.len()).flat_map(|to| [(to, false), (to, true)]);
            let ways = ways.filter_map(|(to, checkpointed)| {
                let (own, full, macs) = chain.segment(at, to, checkpointed);
                (stored + full <= budget).then_some(())?;
                Some(macs + from(chain, to, stored + own, budget)?)
            });
            ways.min()
        }
        from(chain, 0, chain.bytes[0], budget)
    }

    #[test]
    fn no_division_of_a_chain_recomputes_less() {
        let mut state = 7u64;
        let mut next = |limit: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % limit
        };
        for case in 0..200 {
            let count = 2 + case % 7;
            let outputs: Vec<u64> = (0..count).map(|_| 1 + next(9)).collect();
            let kept: Vec<u64> = outputs.iter().map(|&bytes| if next(3) > 0 { bytes } else { 0 }).collect();
            let (mut bytes, mut macs) = (vec![next(3)], vec![0]);
            for at in 1..count {
                bytes.push(bytes[at - 1] + kept[at - 1] + next(20));
                macs.push(macs[at - 1] + next(30));
            }
            let chain = Chain { cuts: (0..count).collect(), outputs, kept, bytes, macs, thinned: false };
            let least = chain.least();
            assert!(least == 0 || fewest(&chain, least - 1).is_none(), "{least} is not the least");
            for budget in [least, least + next(10), least + next(60)] {
                let (ways, exact) = chain.ways(budget);
                let plan = chain.plan(&ways, 0, exact);
                assert!(exact && plan.kept <= budget);
                assert_eq!(Some(plan.recomputed), fewest(&chain, budget), "budget {budget}, least {least}");
            }
        }
    }
}
