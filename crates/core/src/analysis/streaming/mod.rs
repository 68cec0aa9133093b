//! Streams: how a network runs on a sequence that arrives in chunks, with the same result as on the whole sequence.
//!
//! Along the time axis, every layer computes the units of which it has all inputs, and keeps of its inputs what later units
//! still need: `dilation * (kernel - 1)` elements of a convolution, less what its stride passes over; the elements by which
//! one operand of a merge is ahead of the other (the delay that aligns a residual path). A network streams if no layer
//! needs the whole axis. It is causal if no unit reads beyond the position that it stands on.

pub mod progress;

use crate::analysis::along::{Along, Blocker};
use crate::analysis::field::{self, Fields};
use crate::analysis::probe::Sizes;
use crate::analysis::sizes::Trial;
use crate::diagnostic::{Code, Problem};
use crate::graph::{Graph, NodeId, Op};
use progress::{Ends, ends, needed, ready};

/// How a network streams along an axis. Positions are input positions along it, units those of a node.
#[derive(Debug, Clone)]
pub struct Streaming {
    /// The network at a size of its pattern.
    pub graph: Graph,
    /// The spatial axis, from 0.
    pub axis: usize,
    /// The axis through the network.
    pub along: Along,
    /// Layers that need the whole axis.
    pub blockers: Vec<Blocker>,
    /// For each node, how far its units read beyond the positions that they stand on; none where it does not follow.
    pub look_ahead: Vec<Option<u64>>,
    /// Layers that look further ahead than their operands, with the positions that they add.
    pub breaks: Vec<(NodeId, u64)>,
    /// How it streams; none if it does not.
    pub plan: Option<Plan>,
}

/// Figures of a stream in its steady state.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The smallest chunk that always yields the same number of outputs; a multiple of it does, too.
    pub hop: u64,
    /// Units of the first output per hop.
    pub outputs: u64,
    /// The furthest position that an output reads beyond its own.
    pub look_ahead: u64,
    /// What every node keeps between chunks.
    pub kept: Vec<Buffer>,
    /// Multiply-accumulates of `span` positions.
    pub macs: u64,
    /// See `macs`.
    pub span: u64,
    /// Lengths of sequences are `base + k * step`.
    pub base: u64,
    /// See `base`.
    pub step: u64,
    ends: Vec<Vec<Ends>>,
}

/// What is kept of the output of a node between chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buffer {
    /// Whose output is kept.
    pub node: NodeId,
    /// The reader that needs the oldest of it; others read the same buffer.
    pub reader: NodeId,
    /// Units along the axis.
    pub units: u64,
    /// Elements.
    pub elements: u64,
}

/// Returns the default time axis: the last of one or two axes, the first of three (`[C, T, H, W]`).
fn time_axis(rank: usize) -> usize {
    if rank == 3 { 0 } else { rank.saturating_sub(1) }
}

/// Computes how the network of `trial` streams along spatial axis `axis` (none: the time axis). An error if there is no
/// such axis, or if the network does not run near its own size.
pub fn analyse(trial: &dyn Trial, axis: Option<usize>) -> Result<Streaming, Problem> {
    let sizes = Sizes::new(trial, None)?;
    let axis = axis.unwrap_or_else(|| time_axis(sizes.rank()));
    if axis >= sizes.rank() {
        return Err(Problem::new(
            Code::InvalidValue,
            format!("there is no spatial axis {axis}: the input has {}", sizes.rank()),
        )
        .help("axes are counted from 0"));
    }
    let own = sizes.own();
    let mut probe = sizes.probe(&own, axis)?;
    let at = |size: u64| {
        let mut input = own.clone();
        input[axis] = size;
        sizes.at(&input)
    };
    let graph = at(probe.base).ok_or_else(|| Problem::shape("the network does not run at its own size"))?;
    // A sequence has no length of which a layer could keep a part. A share may grow with it at two sizes by chance.
    for more in [probe.step, probe.step.saturating_mul(5)] {
        if let Some(longer) = at(probe.base.saturating_add(more)) {
            probe.along.growing(&sizes.along(&longer, axis), more);
        }
    }
    let fields = field::analyse(&graph, field::Options::default())?;
    let look_ahead = look_ahead(&graph, &fields, &probe.along, axis)?;
    let breaks = breaks(&graph, &probe.along, &look_ahead);
    let blockers = probe.along.blockers.clone();
    let streams = graph.outputs().iter().all(|&output| probe.along.follows(output));
    let mut plan = None;
    if streams {
        let kept = steady(&graph, &probe.along, probe.lattice)?;
        let (near, far) = (probe.base.saturating_add(probe.step), probe.base.saturating_add(2 * probe.step));
        let macs = |size: u64| {
            let graph = at(size)?;
            Some(graph.nodes().iter().map(|node| node.cost.macs).fold(0, u64::saturating_add))
        };
        let macs = macs(far).zip(macs(near)).map_or(0, |(far, near)| far.saturating_sub(near));
        let outputs = graph.outputs().first().and_then(|&output| probe.along.scale(output));
        let outputs = outputs.map_or(0, |scale| (scale * i128::from(probe.lattice)).to_integer());
        let ahead = graph.outputs().iter().filter_map(|output| look_ahead[output.index()]).max();
        plan = Some(Plan {
            hop: probe.lattice,
            outputs: u64::try_from(outputs).unwrap_or(0),
            look_ahead: ahead.unwrap_or(0),
            kept,
            macs,
            span: probe.step,
            base: probe.base,
            step: probe.step,
            ends: all_ends(&graph, &probe.along).ok_or_else(too_large)?,
        });
    }
    Ok(Streaming { graph, axis, along: probe.along, blockers, look_ahead, breaks, plan })
}

impl Streaming {
    /// Returns whether the network streams and no output reads beyond the position that it stands on.
    pub fn causal(&self) -> bool {
        self.plan.as_ref().is_some_and(|plan| plan.look_ahead == 0)
    }

    /// Returns for each node how many of its units can be computed from the first `positions` of the input.
    pub fn computed(&self, positions: u64) -> Vec<i128> {
        let Some(plan) = &self.plan else { return vec![] };
        progress_of(&self.along, &plan.ends, i128::from(positions))
    }

    /// Returns the algorithmic latency with chunks of `chunk` positions, a multiple of the hop: the most positions that
    /// arrive after the one that an output stands on, until the chunk is complete that releases the output. `None` if the
    /// network does not stream.
    pub fn latency(&self, chunk: u64) -> Option<u64> {
        let plan = self.plan.as_ref()?;
        let chunks = FAR / i128::from(chunk.max(1));
        let ends = [chunks, chunks + 1].map(|count| count * i128::from(chunk));
        let [before, after] = ends.map(|end| progress_of(&self.along, &plan.ends, end));
        let mut latency = 0;
        for output in self.graph.outputs() {
            let scale = self.along.scale(*output)?;
            // The oldest unit of a chunk waits longest.
            let first = before[output.index()];
            if first < after[output.index()] {
                // Units of one position are released in order: the first of the chunk stands on the oldest.
                let own = (num_rational::Ratio::from_integer(first) / scale).floor().to_integer();
                latency = latency.max(ends[1] - 1 - own);
            }
        }
        u64::try_from(latency.max(0)).ok()
    }

    /// Returns the elements that are kept between chunks, in the steady state.
    pub fn state(&self) -> u64 {
        let kept = self.plan.iter().flat_map(|plan| &plan.kept);
        kept.map(|buffer| buffer.elements).fold(0, u64::saturating_add)
    }
}

/// A position far behind the start of the sequence: the stream is steady there.
const FAR: i128 = 1 << 60;

fn too_large() -> Problem {
    Problem::overflow("the state of the stream")
}

fn look_ahead(
    graph: &Graph,
    fields: &Fields,
    along: &Along,
    axis: usize,
) -> Result<Vec<Option<u64>>, Problem> {
    let mut all = Vec::with_capacity(graph.nodes().len());
    for (id, node) in graph.iter() {
        if !along.follows(id) {
            all.push(None);
            continue;
        }
        let mut furthest = 0;
        for field in &fields.nodes[id.index()] {
            // The field of an input is itself.
            if node.op == Op::Input {
                continue;
            }
            let facts = field.facts(graph, id)?;
            if let Some([_, after]) = facts.axes.get(axis).and_then(|axis| axis.reach) {
                furthest = furthest.max(after);
            }
        }
        all.push(Some(u64::try_from(furthest).map_err(|_| too_large())?));
    }
    Ok(all)
}

/// Returns the layers that look further ahead than their operands.
fn breaks(graph: &Graph, along: &Along, look_ahead: &[Option<u64>]) -> Vec<(NodeId, u64)> {
    let adds = |(id, _): (NodeId, &crate::graph::Node)| {
        let own = look_ahead[id.index()]?;
        let before =
            along.edges[id.index()].iter().filter_map(|edge| look_ahead[edge.operand.index()]).max()?;
        (own > before).then(|| (id, own - before))
    };
    graph.iter().filter_map(adds).collect()
}

fn all_ends(graph: &Graph, along: &Along) -> Option<Vec<Vec<Ends>>> {
    let of = |(id, _): (NodeId, &crate::graph::Node)| {
        let edges = along.edges[id.index()].iter();
        edges.map(|edge| ends(edge, along.units[edge.operand.index()], along.units[id.index()])).collect()
    };
    graph.iter().map(of).collect()
}

/// Returns for each node how many of its units can be computed from `positions` positions of the input.
fn progress_of(along: &Along, ends: &[Vec<Ends>], positions: i128) -> Vec<i128> {
    let mut computed: Vec<i128> = Vec::with_capacity(along.tracks.len());
    for (index, edges) in along.edges.iter().enumerate() {
        let one = |(edge, &ends): (&crate::analysis::along::Edge, &Ends)| {
            ready(edge, ends, computed[edge.operand.index()])
        };
        let least = edges.iter().zip(&ends[index]).map(one).min();
        let follows = along.follows(NodeId::new(index));
        computed.push(match least {
            Some(least) => least,
            None if follows => positions,
            None => 0,
        });
    }
    computed
}

/// Returns what is kept between chunks of whole hops, far behind the start.
fn steady(graph: &Graph, along: &Along, hop: u64) -> Result<Vec<Buffer>, Problem> {
    let ends = all_ends(graph, along).ok_or_else(too_large)?;
    let far = FAR / i128::from(hop) * i128::from(hop);
    let computed = progress_of(along, &ends, far);
    let readers = graph.consumers();
    let mut kept = Vec::new();
    for (id, node) in graph.iter().filter(|(id, _)| along.follows(*id)) {
        let known = computed[id.index()];
        let mut oldest: Option<(i128, NodeId)> = None;
        for &reader in &readers[id.index()] {
            let edges = along.edges[reader.index()].iter().zip(&ends[reader.index()]);
            for (edge, &ends) in edges.filter(|(edge, _)| edge.operand == id) {
                let first = needed(edge, ends, computed[reader.index()], known);
                if oldest.is_none_or(|(other, _)| first < other) {
                    oldest = Some((first, reader));
                }
            }
        }
        let Some((first, reader)) = oldest.filter(|(first, _)| *first < known) else { continue };
        let units = u64::try_from(known - first).map_err(|_| too_large())?;
        let each = node.shape.elements()? / along.units[id.index()].max(1);
        kept.push(Buffer {
            node: id,
            reader,
            units,
            elements: units.checked_mul(each).ok_or_else(too_large)?,
        });
    }
    Ok(kept)
}
