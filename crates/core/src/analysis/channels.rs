//! Channel connectivity: the channels of a source from which each channel of a node can be reached.
//!
//! A stack of grouped convolutions keeps its groups isolated until a shuffle or a dense layer mixes them
//! (Zhang et al. 2018, section 3.1). Neighbouring channels with the same set are stored as one run, so a
//! dense layer costs one union and a network of grouped layers as many sets as it has groups; a set has one
//! bit per channel of the source.
//!
//! Everything on which a channel's value depends counts, gates included. Where channels become positions (a
//! permutation of the axes), [`reached`] counts them as mixed; [`exactly`] follows each of them there, and
//! also where units read only padding.

pub use crate::analysis::channel_sets::{Bits, Run, Runs};

use std::rc::Rc;

use crate::analysis::channel_sets::{either, pulled, too_many};
use crate::analysis::relation::Link;
use crate::analysis::support::each;
use crate::diagnostic::{Code, Problem};
use crate::graph::{Graph, Node, NodeId, Op};
use crate::layers::conv::PaddingMode;
use crate::layers::rearrange::Rearrangement;
use crate::layers::{AxisReach, Io, Layer, Role, WeightRole};

/// Connectivity between the channels of a source and those of a node.
#[derive(Debug, Clone, PartialEq)]
pub struct Connectivity {
    /// The source of the channels.
    pub source: NodeId,
    /// The node that they reach.
    pub node: NodeId,
    /// Channels of the source.
    pub source_channels: u64,
    /// Channels of the node.
    pub channels: u64,
    /// The fewest source channels that a channel of the node depends on.
    pub smallest: u64,
    /// Mean fraction of the source channels that a channel of the node depends on, 0 to 1.
    pub mean_share: f64,
    /// Groups of the node's channels that share no source channel with one another.
    pub isolated_groups: u64,
    /// Channels of the source that no channel of the node depends on.
    pub unread: u64,
    /// Layers with weights between the two that keep groups of channels isolated.
    pub separators: Vec<NodeId>,
}

/// Returns, for each channel of each node, the channels of `source` that can reach it; `None` for nodes that
/// do not depend on it. An error if there are too many different sets.
pub fn reached(
    graph: &Graph,
    source: NodeId,
    last: NodeId,
    gates: bool,
) -> Result<Vec<Option<Runs>>, Problem> {
    let mut all: Vec<Option<Runs>> = vec![None; last.0 + 1];
    let mut budget = 40_000_000u64;
    for (id, node) in graph.iter().take(last.0 + 1).skip(source.0) {
        if id == source {
            all[id.0] = Some(Runs::identity(node.shape.channels())?);
            continue;
        }
        if matches!(node.op, Op::Input) || node.inputs.iter().all(|operand| all[operand.0].is_none()) {
            continue;
        }
        let channels = node.shape.channels();
        let mut sum: Option<Runs> = None;
        for reach in graph.reach(node) {
            if reach.role == Role::Context && !gates {
                continue;
            }
            let Some(operand) = node.inputs.get(reach.input) else { continue };
            let (Some(runs), Some(axis)) = (&all[operand.0], reach.axes.first()) else { continue };
            let more = pulled(runs, axis, graph.node(*operand).shape.channels(), channels)?;
            sum = Some(match sum {
                Some(sum) => sum.union(&more),
                None => more,
            });
        }
        if let Some(runs) = &sum {
            let spent = runs.cost();
            budget = budget.checked_sub(spent).ok_or_else(too_many)?;
        }
        all[id.0] = sum;
    }
    Ok(all)
}

/// Returns the sets of the channels of `node` at the network's own size; `None` if it does not depend on `source`.
/// Where channels become positions, or a map is smaller than the padding around it, each channel is followed
/// separately, element by element, because nothing cheaper is exact. An error means that this is too expensive.
pub fn exactly(graph: &Graph, source: NodeId, node: NodeId, gates: bool) -> Result<Option<Runs>, Problem> {
    let sets = reached(graph, source, node, gates)?;
    let Some(runs) = sets.get(node.0).and_then(Option::as_ref) else { return Ok(None) };
    if !mixes(graph, node) && !blind(graph)? {
        return Ok(Some(runs.clone()));
    }
    one_by_one(graph, source, node, gates, &settled(graph, sets)).map(Some)
}

/// Keeps the sets of nodes up to which no layer turns channels into positions and no unit reads padding alone: there they
/// are exact.
fn settled(graph: &Graph, sets: Vec<Option<Runs>>) -> Vec<Option<Runs>> {
    let mut kept: Vec<Option<Runs>> = Vec::with_capacity(sets.len());
    for (runs, node) in sets.into_iter().zip(graph.nodes()) {
        let before = node.inputs.iter().all(|input| kept.get(input.0).is_some_and(Option::is_some));
        let clean = before && !rearranges(graph, node) && !is_blind(graph, node).unwrap_or(true);
        kept.push(clean.then(|| runs.unwrap_or_default()));
    }
    kept
}

fn one_by_one(
    graph: &Graph,
    source: NodeId,
    node: NodeId,
    gates: bool,
    settled: &[Option<Runs>],
) -> Result<Runs, Problem> {
    let size = graph.node(source).shape.channels();
    let mut out = Runs::default();
    for set in each::channels(graph, source, node, gates, settled)? {
        let indices = set.spans().iter().flat_map(|span| span.lo..=span.hi);
        let bits = indices.filter_map(|c| Some(Rc::new(Bits::one(u64::try_from(c).ok()?, size))));
        out.push(1, bits.fold(None, |all, one| either(all, Some(one))));
    }
    Ok(out)
}

/// Units up to this distance from the ends of a map are checked.
const ENDS: i128 = 1 << 16;

/// Returns whether some unit of some node reads nothing of an operand on some axis, because it reads only
/// padding or lies in a gap of a transposed convolution. Without such units, connectivity follows from the
/// layers alone, whatever the size.
fn blind(graph: &Graph) -> Result<bool, Problem> {
    for node in graph.nodes() {
        if is_blind(graph, node)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether some unit of `node` reads nothing of an operand on some axis.
fn is_blind(graph: &Graph, node: &Node) -> Result<bool, Problem> {
    if matches!(&node.op, Op::Layer(Layer::Conv(conv)) if conv.padding_mode != PaddingMode::Zeros) {
        return Ok(false);
    }
    for reach in graph.reach(node) {
        let Some(operand) = node.inputs.get(reach.input).map(|&id| graph.node(id)) else { continue };
        for (axis, &size) in reach.axes.iter().zip(operand.shape.sizes()).skip(1) {
            if !matches!(axis, AxisReach::Window { .. } | AxisReach::Transposed { .. }) {
                continue;
            }
            let Link::By(relation) = Link::new(axis)? else { continue };
            let units = i128::from(node.shape.sizes().get(relation.by).copied().unwrap_or(1));
            // Units that read only padding lie at the ends; gaps occur in every period.
            let ends = (0..units.min(ENDS)).chain((units - ENDS).max(0)..units);
            if ends.into_iter().any(|u| !relation.at(u).is_some_and(|reads| reads.meets(size))) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Returns whether some layer before `node` turns channels into positions, or positions into channels.
fn mixes(graph: &Graph, node: NodeId) -> bool {
    let mut before = vec![false; graph.nodes.len()];
    before[node.0] = true;
    (0..=node.0).rev().any(|index| {
        let node = &graph.nodes[index];
        if !before[index] {
            return false;
        }
        node.inputs.iter().for_each(|input| before[input.0] = true);
        rearranges(graph, node)
    })
}

/// Whether a layer turns channels into positions, or positions into channels.
fn rearranges(graph: &Graph, node: &Node) -> bool {
    let Op::Layer(layer) = &node.op else { return false };
    let shapes = graph.input_shapes(node);
    match layer.rearrangement(Io { inputs: &shapes, output: &node.shape }) {
        Some(Rearrangement::Regroup(runs)) => runs.iter().any(|run| run.input.len() + run.output.len() > 2),
        Some(_) => true,
        None => crosses(graph, node),
    }
}

/// Whether a layer's channels are positions of an operand, or vice versa.
fn crosses(graph: &Graph, node: &Node) -> bool {
    let crosses = |(axis, reach): (usize, &AxisReach)| reach.by().is_some_and(|by| (by == 0) != (axis == 0));
    graph.reach(node).iter().any(|reach| reach.axes.iter().enumerate().any(crosses))
}

/// Computes the connectivity between each input and each output of the network, through gates as well if
/// `gates` is set.
pub fn connectivity(graph: &Graph, gates: bool) -> Result<Vec<Connectivity>, Problem> {
    let sources: Vec<NodeId> = graph.inputs().map(|(id, _)| id).collect();
    // Where following each channel is too expensive, fall back to what channels can depend on at any size.
    let loose = blind(graph).unwrap_or(false);
    let mut all = Vec::new();
    for source in sources {
        let last = graph.outputs.iter().max().copied().unwrap_or(source);
        let sets = reached(graph, source, last, gates)?;
        let settled = settled(graph, sets.clone());
        for &output in &graph.outputs {
            if let Some(runs) = sets.get(output.0).and_then(Option::as_ref) {
                let exact = (loose || mixes(graph, output))
                    .then(|| one_by_one(graph, source, output, gates, &settled));
                let exact = exact.and_then(Result::ok);
                all.push(summary(graph, source, output, exact.as_ref().unwrap_or(runs)));
            }
        }
    }
    Ok(all)
}

/// Computes the connectivity between two nodes; `None` if the second does not depend on the first. An error
/// if there are too many different sets.
pub fn between(
    graph: &Graph,
    source: NodeId,
    node: NodeId,
    gates: bool,
) -> Result<Option<Connectivity>, Problem> {
    let sets = reached(graph, source, node, gates)?;
    Ok(sets.get(node.0).and_then(Option::as_ref).map(|runs| summary(graph, source, node, runs)))
}

/// Summarises the sets `runs` of `node`.
pub fn summary(graph: &Graph, source: NodeId, node: NodeId, runs: &Runs) -> Connectivity {
    let source_channels = graph.node(source).shape.channels();
    let channels = graph.node(node).shape.channels();
    let seen = |run: &Run| run.set.as_ref().map_or(0, |set| set.count());
    let smallest = runs.iter().map(seen).min().unwrap_or(0);
    let total: f64 = runs.iter().map(|run| run.len as f64 * seen(run) as f64).sum();
    let mean_share = total / (channels as f64 * source_channels as f64);
    let (isolated_groups, read) = runs.components();
    let separators = if isolated_groups > 1 || smallest < source_channels {
        separators(graph, source, node)
    } else {
        vec![]
    };
    Connectivity {
        source,
        node,
        source_channels,
        channels,
        smallest,
        mean_share,
        isolated_groups,
        unread: source_channels - read,
        separators,
    }
}

/// Returns the layers with weights between `source` and `node` whose output channels each read only some of the input
/// channels.
fn separators(graph: &Graph, source: NodeId, node: NodeId) -> Vec<NodeId> {
    let mut before = vec![false; graph.nodes.len()];
    before[source.0] = true;
    for (id, current) in graph.iter().skip(source.0 + 1) {
        before[id.0] = current.inputs.iter().any(|operand| before[operand.0]);
    }
    let mut after = vec![false; graph.nodes.len()];
    after[node.0] = true;
    for index in (source.0..=node.0).rev() {
        if after[index] {
            graph.nodes[index].inputs.iter().for_each(|operand| after[operand.0] = true);
        }
    }
    let on_the_way = |id: NodeId| id != source && before[id.0] && after[id.0];
    graph
        .iter()
        .filter(|(id, current)| {
            on_the_way(*id) && groups(graph, current).is_some_and(|(groups, _)| groups > 1)
        })
        .map(|(id, _)| id)
        .collect()
}

/// Returns the number of groups of a layer with a kernel, and whether each group has a single input channel
/// (depthwise).
pub fn groups(graph: &Graph, node: &Node) -> Option<(u64, bool)> {
    let kernel =
        node.weights.iter().any(|weight| weight.role != WeightRole::Buffer && weight.shape.rank() > 1);
    if !kernel {
        return None;
    }
    graph.reach(node).iter().filter(|reach| reach.role != Role::Context).find_map(|reach| {
        match reach.axes.first() {
            Some(AxisReach::Blocks { by: 0, outputs, inputs }) => {
                Some((node.shape.channels().checked_div(*outputs)?, *inputs == 1))
            }
            _ => None,
        }
    })
}

/// Two consecutive grouped layers between which no channel changes its group.
#[derive(Debug, Clone, PartialEq)]
pub struct Seam {
    /// The first grouped layer.
    pub first: NodeId,
    /// The second.
    pub second: NodeId,
    /// Groups that remain isolated across both.
    pub isolated_groups: u64,
}

/// Maximum number of grouped layers that are compared with their successors.
const MAX_GROUPED: usize = 4096;

/// Returns pairs of consecutive grouped layers (depthwise ones excluded) that keep their groups isolated: a
/// shuffle is missing there. An error if there are too many grouped layers or different sets.
pub fn seams(graph: &Graph) -> Result<Vec<Seam>, Problem> {
    let grouped: Vec<NodeId> = graph
        .iter()
        .filter(|(_, node)| groups(graph, node).is_some_and(|(groups, depthwise)| groups > 1 && !depthwise))
        .map(|(id, _)| id)
        .collect();
    if grouped.len() > MAX_GROUPED {
        let message = format!("not supported: {} grouped layers, more than {MAX_GROUPED}", grouped.len());
        return Err(Problem::new(Code::Limit, message).help("analyse a part of the network"));
    }
    let mut found = Vec::new();
    for (i, &first) in grouped.iter().enumerate() {
        let Some(&source) = graph.node(first).inputs.first() else { continue };
        let mut depends = vec![false; graph.nodes.len()];
        depends[first.0] = true;
        let mut marked = first.0;
        let next = grouped.get(i + 1..).unwrap_or_default().iter().copied().find(|second| {
            for index in marked + 1..=second.0 {
                depends[index] = graph.nodes[index].inputs.iter().any(|operand| depends[operand.0]);
            }
            marked = second.0;
            depends[second.0]
        });
        let Some(second) = next else { continue };
        // Only the part between the two matters: the operand of the first is the source.
        if let Some(joint) = between(graph, source, second, true)?
            && joint.isolated_groups > 1
        {
            found.push(Seam { first, second, isolated_groups: joint.isolated_groups });
        }
    }
    Ok(found)
}
