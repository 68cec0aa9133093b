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

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use crate::analysis::channel_sets::{Settled, either, pulled, too_many};
use crate::analysis::relation::Link;
use crate::analysis::support::{Budget, each};
use crate::diagnostic::{Code, Problem};
use crate::graph::{Graph, Node, NodeId, Op};
use crate::layers::conv::PaddingMode;
use crate::layers::rearrange::Rearrangement;
use crate::layers::window::Window;
use crate::layers::{AxisReach, Io, Layer, Reach, Role, WeightRole};

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
    /// The first node up to this one all of whose channels depend on every channel of the source.
    pub mixed: Option<Mixing>,
}

/// A node all of whose channels depend on every channel of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mixing {
    /// The node.
    pub node: NodeId,
    /// Number of channel shuffles up to it.
    pub shuffles: usize,
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
    let mut budget = BUDGET;
    if let Some(first) = all.get_mut(source.0) {
        *first = Some(Runs::identity(graph.node(source).shape.channels())?);
    }
    for (id, node) in graph.iter().take(last.0 + 1).skip(source.0 + 1) {
        if node.inputs.iter().any(|operand| all[operand.0].is_some()) {
            all[id.0] = step(graph, node, &graph.reach(node), &all, gates, &mut budget)?;
        }
    }
    Ok(all)
}

/// Words of memory that the sets of all nodes may take.
const BUDGET: u64 = 40_000_000;

/// Returns the sets of `node`, which reads its operands through `reaches`, from those of its operands.
fn step(
    graph: &Graph,
    node: &Node,
    reaches: &[Reach],
    sets: &[Option<Runs>],
    gates: bool,
    budget: &mut u64,
) -> Result<Option<Runs>, Problem> {
    let channels = node.shape.channels();
    let mut parts = Vec::new();
    for reach in reaches.iter().filter(|reach| gates || reach.role != Role::Context) {
        let Some(operand) = node.inputs.get(reach.input) else { continue };
        let (Some(runs), Some(axis)) = (&sets[operand.0], reach.axes.first()) else { continue };
        parts.push(pulled(runs, axis, graph.node(*operand).shape.channels(), channels)?);
    }
    let sum = Runs::united(parts);
    if let Some(runs) = &sum {
        *budget = budget.checked_sub(runs.cost()).ok_or_else(too_many)?;
    }
    Ok(sum)
}

/// The sets of one source after another, without looking at what does not depend on it: thousands of inputs may have
/// their own short way to a layer that joins them all.
struct Walk<'g> {
    graph: &'g Graph,
    gates: bool,
    consumers: Vec<Vec<NodeId>>,
    sets: Vec<Option<Runs>>,
    /// The nodes that depend on the source, in order.
    way: Vec<NodeId>,
    /// How layers with many operands read them.
    wide: HashMap<NodeId, Vec<Reach>>,
    /// Number of operands for which `wide` has room.
    room: usize,
}

impl<'g> Walk<'g> {
    fn new(graph: &'g Graph, gates: bool) -> Self {
        let (consumers, sets) = (graph.consumers(), vec![None; graph.nodes.len()]);
        Self { graph, gates, consumers, sets, way: vec![], wide: HashMap::new(), room: 1 << 18 }
    }

    /// Computes the sets of all nodes up to `last` that depend on `source`.
    fn from(&mut self, source: NodeId, last: NodeId) -> Result<(), Problem> {
        const WIDE: usize = 64;
        let graph = self.graph;
        self.way.iter().for_each(|node| self.sets[node.0] = None);
        self.way.clear();
        let mut budget = BUDGET;
        let mut next = BTreeSet::from([source]);
        while let Some(id) = next.pop_first() {
            let node = graph.node(id);
            let set = if id == source {
                Some(Runs::identity(node.shape.channels())?)
            } else if let Some(reaches) = self.wide.get(&id) {
                step(graph, node, reaches, &self.sets, self.gates, &mut budget)?
            } else {
                let reaches = graph.reach(node);
                let set = step(graph, node, &reaches, &self.sets, self.gates, &mut budget)?;
                if (WIDE..self.room).contains(&node.inputs.len()) {
                    self.room -= node.inputs.len();
                    self.wide.insert(id, reaches);
                }
                set
            };
            self.way.push(id);
            if set.is_some() {
                next.extend(self.consumers[id.0].iter().filter(|reader| **reader <= last));
            }
            self.sets[id.0] = set;
        }
        Ok(())
    }
}

/// Returns the sets of the channels of `node` at the network's own size; `None` if it does not depend on `source`.
/// Where channels become positions, or a map is smaller than the padding around it, each channel is followed
/// separately, element by element, because nothing cheaper is exact. An error means that this is too expensive.
pub fn exactly(graph: &Graph, source: NodeId, node: NodeId, gates: bool) -> Result<Option<Runs>, Problem> {
    let sets = reached(graph, source, node, gates)?;
    let Some(runs) = sets.get(node.0).and_then(Option::as_ref) else { return Ok(None) };
    let nature = Nature::of(graph);
    if !nature.mixed[node.0] && !nature.blind()? {
        return Ok(Some(runs.clone()));
    }
    let settled = Settled { sets: &sets, clean: &nature.clean };
    one_by_one(graph, source, node, gates, &settled, &Budget::default()).map(Some)
}

/// What the layers of a graph do to channels.
struct Nature {
    /// For each node, whether some layer up to it turns channels into positions, or positions into channels.
    mixed: Vec<bool>,
    /// For each node, whether no layer up to it does so and no unit reads padding alone.
    clean: Vec<bool>,
    /// Whether some unit of some node reads padding alone; an error if that is not known.
    blind: Result<bool, Problem>,
}

impl Nature {
    fn of(graph: &Graph) -> Self {
        let (mut mixed, mut clean) = (Vec::new(), Vec::new());
        let mut blind = Ok(false);
        for node in graph.nodes() {
            let reaches = graph.reach(node);
            let turns = rearranges(graph, node, &reaches);
            let own = is_blind(graph, node, &reaches);
            mixed.push(turns || node.inputs.iter().any(|input| mixed[input.0]));
            let fine = !turns && matches!(own, Ok(false));
            clean.push(fine && node.inputs.iter().all(|input| clean[input.0]));
            if matches!(blind, Ok(false)) {
                blind = own;
            }
        }
        Self { mixed, clean, blind }
    }

    /// Returns whether some unit of some node reads nothing of an operand on some axis, because it reads only
    /// padding or lies in a gap of a transposed convolution. Without such units, connectivity follows from the
    /// layers alone, whatever the size.
    fn blind(&self) -> Result<bool, Problem> {
        self.blind.clone()
    }
}

fn one_by_one(
    graph: &Graph,
    source: NodeId,
    node: NodeId,
    gates: bool,
    settled: &Settled<'_>,
    budget: &Budget,
) -> Result<Runs, Problem> {
    let size = graph.node(source).shape.channels();
    let mut out = Runs::default();
    for set in each::channels(graph, source, node, gates, settled, budget)? {
        let indices = set.spans().iter().flat_map(|span| span.lo..=span.hi);
        let bits = indices.filter_map(|c| Some(Rc::new(Bits::one(u64::try_from(c).ok()?, size))));
        out.push(1, bits.fold(None, |all, one| either(all, Some(one))));
    }
    Ok(out)
}

/// Units up to this distance from the ends of a map are checked.
const ENDS: i128 = 1 << 16;

/// Whether some unit of `node` reads nothing of an operand on some axis.
fn is_blind(graph: &Graph, node: &Node, reaches: &[Reach]) -> Result<bool, Problem> {
    if matches!(&node.op, Op::Layer(Layer::Conv(conv)) if conv.padding_mode != PaddingMode::Zeros) {
        return Ok(false);
    }
    for reach in reaches {
        let Some(operand) = node.inputs.get(reach.input).map(|&id| graph.node(id)) else { continue };
        for (axis, &size) in reach.axes.iter().zip(operand.shape.sizes()).skip(1) {
            if !matches!(axis, AxisReach::Window { .. } | AxisReach::Transposed { .. }) {
                continue;
            }
            let units = axis.by().and_then(|by| node.shape.sizes().get(by)).copied().unwrap_or(1);
            if let AxisReach::Window { window, .. } = axis
                && let Some(blind) = beyond(window, size, units)
            {
                if blind {
                    return Ok(true);
                }
                continue;
            }
            let Link::By(relation) = Link::new(axis)? else { continue };
            let units = i128::from(units);
            // Units that read only padding lie at the ends; gaps occur in every period.
            let ends = (0..units.min(ENDS)).chain((units - ENDS).max(0)..units);
            if ends.into_iter().any(|u| !relation.at(u).is_some_and(|reads| reads.meets(size))) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Whether some of the `units` windows over an axis of `size` lie beside it. `None` if their taps are so far apart that
/// a window may lie around it: then each unit has to be looked at.
fn beyond(window: &Window, size: u64, units: u64) -> Option<bool> {
    if window.kernel > 1 && window.dilation > size {
        return None;
    }
    // Later windows lie further on, so that the first and the last decide.
    let before = i128::from(window.before);
    let reach = i128::from(window.dilation) * i128::from(window.kernel.saturating_sub(1));
    let last = i128::from(units.saturating_sub(1)) * i128::from(window.stride.max(1)) - before;
    Some(window.kernel == 0 || reach < before || last >= i128::from(size))
}

/// Whether a layer turns channels into positions, or positions into channels.
fn rearranges(graph: &Graph, node: &Node, reaches: &[Reach]) -> bool {
    let Op::Layer(layer) = &node.op else { return false };
    let shapes = graph.input_shapes(node);
    match layer.rearrangement(Io { inputs: &shapes, output: &node.shape }) {
        // Axes of size 1 are in no run: a run of one axis on each side may still make positions of the channels.
        Some(Rearrangement::Regroup(runs)) => runs.iter().any(|run| {
            let moved = (run.input.first() == Some(&0)) != (run.output.first() == Some(&0));
            moved || run.input.len() + run.output.len() > 2
        }),
        Some(_) => true,
        None => crosses(reaches),
    }
}

/// Whether a layer's channels are positions of an operand, or vice versa.
fn crosses(reaches: &[Reach]) -> bool {
    let crosses = |(axis, reach): (usize, &AxisReach)| reach.by().is_some_and(|by| (by == 0) != (axis == 0));
    reaches.iter().any(|reach| reach.axes.iter().enumerate().any(crosses))
}

/// Steps that following channels one by one may take for all outputs together: about a second.
const EACH: u64 = 40_000_000;

/// Computes the connectivity between each input and each output of the network, through gates as well if
/// `gates` is set.
pub fn connectivity(graph: &Graph, gates: bool) -> Result<Vec<Connectivity>, Problem> {
    let graph = &*graph.joined();
    let sources: Vec<NodeId> = graph.inputs().map(|(id, _)| id).collect();
    // Where following each channel is too expensive, fall back to what channels can depend on at any size.
    let nature = Nature::of(graph);
    let loose = nature.blind().unwrap_or(false);
    let grouped = grouped(graph);
    let mut all = Vec::new();
    let mut walk = Walk::new(graph, gates);
    let budget = Budget::of(EACH);
    for source in sources {
        let last = graph.outputs.iter().max().copied().unwrap_or(source);
        walk.from(source, last)?;
        let settled = Settled { sets: &walk.sets, clean: &nature.clean };
        let mixing = mixing(&walk, source);
        for &output in &graph.outputs {
            if let Some(runs) = &walk.sets[output.0] {
                let exact = (loose || nature.mixed[output.0])
                    .then(|| one_by_one(graph, source, output, gates, &settled, &budget));
                let exact = exact.and_then(Result::ok);
                let found = summary(graph, source, output, exact.as_ref().unwrap_or(runs), &grouped);
                let mixed = mixing.filter(|mixing| mixing.node <= output);
                all.push(Connectivity { mixed, ..found });
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
    let runs = sets.get(node.0).and_then(Option::as_ref);
    Ok(runs.map(|runs| summary(graph, source, node, runs, &grouped(graph))))
}

/// Returns the first node after `source` all of whose channels depend on all channels of `source`.
fn mixing(walk: &Walk<'_>, source: NodeId) -> Option<Mixing> {
    let size = walk.graph.node(source).shape.channels();
    let mut shuffles = 0;
    for &id in walk.way.iter().skip(1) {
        let (node, Some(runs)) = (walk.graph.node(id), &walk.sets[id.0]) else { continue };
        if let [_] = node.inputs[..] {
            let shuffled = |axis: &AxisReach| matches!(axis, AxisReach::Shuffle { .. });
            let reaches = walk.graph.reach(node);
            shuffles += usize::from(reaches.iter().any(|reach| reach.axes.first().is_some_and(shuffled)));
        }
        if runs.iter().all(|run| run.set.as_ref().is_some_and(|set| set.count() == size)) {
            return Some(Mixing { node: id, shuffles });
        }
    }
    None
}

/// Summarises the sets `runs` of `node`; `grouped` are the layers with several groups.
fn summary(graph: &Graph, source: NodeId, node: NodeId, runs: &Runs, grouped: &[bool]) -> Connectivity {
    let source_channels = graph.node(source).shape.channels();
    let channels = graph.node(node).shape.channels();
    let seen = |run: &Run| run.set.as_ref().map_or(0, |set| set.count());
    let smallest = runs.iter().map(seen).min().unwrap_or(0);
    let total: f64 = runs.iter().map(|run| run.len as f64 * seen(run) as f64).sum();
    let mean_share = total / (channels as f64 * source_channels as f64);
    let (isolated_groups, read) = runs.components();
    let separators = if isolated_groups > 1 || smallest < source_channels {
        separators(graph, source, node, grouped)
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
        mixed: None,
    }
}

/// Returns the layers with weights between `source` and `node` whose output channels each read only some of the input
/// channels.
fn separators(graph: &Graph, source: NodeId, node: NodeId, grouped: &[bool]) -> Vec<NodeId> {
    if !grouped.contains(&true) {
        return vec![];
    }
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
    (0..graph.nodes.len()).map(NodeId).filter(|&id| grouped[id.0] && on_the_way(id)).collect()
}

/// Returns, for each node, whether it is a layer with a kernel and several groups.
fn grouped(graph: &Graph) -> Vec<bool> {
    graph.nodes.iter().map(|node| groups(graph, node).is_some_and(|(groups, _)| groups > 1)).collect()
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
        let sets = reached(graph, source, second, true)?;
        let runs = sets.get(second.0).and_then(Option::as_ref);
        let isolated_groups = runs.map_or(0, |runs| runs.components().0);
        if isolated_groups > 1 {
            found.push(Seam { first, second, isolated_groups });
        }
    }
    Ok(found)
}
