//! The exact set of input positions that one unit reads.
//!
//! The set is propagated backwards, from the unit (all its channels) through every reach to the input, as a
//! [`Region`]: a union of few products of channels and positions. Each edge costs one union; a region of `n` products
//! whose sets have `i` intervals costs `n^2 i` there. Networks of boxes (VGG, ResNet, DenseNet) need one product of
//! one interval throughout, whatever their depth; Inception v3 needs a handful. A stack whose rates share a divisor
//! has one interval per position, so a line of a million holes costs millions of steps. A [`Budget`] ends the work
//! with an error where a graph is built to defeat this.

pub mod each;
mod pullback;
mod rearrange;
mod region;
mod set;
mod taps;

pub(crate) use pullback::folded;
use pullback::{Ground, read_by as read_of};
pub use pullback::{Way, channels_only, follow, padding_mode};
pub use region::Region;
pub use set::Set;

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::diagnostic::{Code, Problem};
use crate::graph::{Graph, NodeId};

/// Whether borders count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Borders {
    /// Windows ignore them: padding positions count as input positions. This is the definition of a receptive
    /// field.
    Ignored,
    /// Only existing elements are read: padding at any depth reads nothing. This is what a unit near the
    /// border actually reads.
    Real,
}

/// Number of steps that remain.
#[derive(Debug)]
pub struct Budget(Cell<u64>);

impl Default for Budget {
    /// Returns a budget for a few seconds of work.
    fn default() -> Self {
        Self(Cell::new(150_000_000))
    }
}

impl Budget {
    /// Returns a budget of this many steps.
    pub(crate) fn of(steps: u64) -> Self {
        Self(Cell::new(steps))
    }

    pub(crate) fn spend(&self, steps: usize) -> Result<(), Problem> {
        self.spend_wide(steps as i128)
    }

    pub(crate) fn spend_wide(&self, steps: i128) -> Result<(), Problem> {
        let left = u64::try_from(steps.max(1)).ok().and_then(|steps| self.0.get().checked_sub(steps));
        self.0.set(left.ok_or_else(|| {
            Problem::new(
                Code::Limit,
                "not supported: the exact support of this unit consists of too many pieces",
            )
            .help("choose a node nearer to the input, or omit `--exact` for the box only")
        })?);
        Ok(())
    }
}

/// Returns the positions of `input` that the unit `unit` of `node` reads (one index per spatial axis of the
/// node).
///
/// Gates and statistics over the whole map do not count, as in the local receptive field; sampling at
/// data-dependent positions counts with its regular grid. An error if `unit` has the wrong number of indices,
/// or if the set consists of too many pieces.
pub fn support(
    graph: &Graph,
    node: NodeId,
    input: NodeId,
    unit: &[i128],
    borders: Borders,
) -> Result<Region, Problem> {
    read_by(graph, node, input, unit, Way { borders, gates: false, keep: false }, &Budget::default())
}

/// The supports of many units of one network, borders ignored: what the graph alone says is found once, and all together
/// take no more steps than one may.
#[derive(Debug)]
pub struct Supports {
    /// The network from fewer connections, if it has dense blocks.
    joined: Option<Graph>,
    ground: Ground,
    budget: Budget,
    /// The input that was asked for last, with the nodes that depend on it.
    last: RefCell<Option<(NodeId, Rc<[bool]>)>>,
}

impl Supports {
    /// Returns the supports of the units of `graph`.
    pub fn new(graph: &Graph) -> Self {
        let joined = match graph.joined() {
            Cow::Owned(joined) => Some(joined),
            Cow::Borrowed(_) => None,
        };
        let ground = Ground::new(joined.as_ref().unwrap_or(graph), Borders::Ignored, false);
        Self { joined, ground, budget: Budget::default(), last: RefCell::default() }
    }

    /// Returns the positions of the network's input `input` that the unit `unit` of `node` reads, as [`support`] does;
    /// `graph` is the one that this was made of.
    pub fn of(&self, graph: &Graph, node: NodeId, input: NodeId, unit: &[i128]) -> Result<Region, Problem> {
        let graph = self.joined.as_ref().unwrap_or(graph);
        let start = of_unit(graph, node, unit)?;
        let useful = self.descendants(graph, input);
        let mut pending = BTreeMap::from([(node.0, start)]);
        while let Some((index, region)) = pending.pop_last() {
            if index == input.0 {
                return region.without_channels(&self.budget);
            }
            let current = &graph.nodes[index];
            let read =
                read_of(graph, current, &region, &|operand| useful[operand.0], &self.ground, &self.budget)?;
            self.budget.spend(VISIT * read.len() + 4 * current.inputs.len())?;
            for (operand, read) in read {
                let sum = match pending.remove(&operand.0) {
                    Some(old) => old.union(&read, &self.budget)?,
                    None => read,
                };
                pending.insert(operand.0, sum);
            }
        }
        Ok(Region::empty(graph.node(input).shape.spatial().len()))
    }

    fn descendants(&self, graph: &Graph, input: NodeId) -> Rc<[bool]> {
        let mut last = self.last.borrow_mut();
        match &*last {
            Some((known, useful)) if *known == input => Rc::clone(useful),
            _ => {
                let useful: Rc<[bool]> = descendants(graph, input).into();
                *last = Some((input, Rc::clone(&useful)));
                useful
            }
        }
    }
}

/// Steps of the budget that following one connection costs, besides those that its region takes.
const VISIT: usize = 32;

/// Returns the elements of one unit, of all its channels.
fn of_unit(graph: &Graph, node: NodeId, unit: &[i128]) -> Result<Region, Problem> {
    let rank = graph.node(node).shape.spatial().len();
    if unit.len() != rank {
        let id = &graph.node(node).id;
        return Err(Problem::new(
            Code::InvalidValue,
            format!("`{id}` has {rank} spatial axes, the unit has {} indices", unit.len()),
        )
        .help("give one index per spatial axis"));
    }
    let mut start = vec![Set::below(graph.node(node).shape.channels())];
    start.extend(unit.iter().map(|&u| Set::interval(u, u)));
    Ok(Region::product(&start))
}

/// Returns [`support`] at the network's own size, plus what gates and statistics over the whole map read.
pub fn support_and_context(
    graph: &Graph,
    node: NodeId,
    input: NodeId,
    unit: &[i128],
) -> Result<Region, Problem> {
    let way = Way { borders: Borders::Real, gates: true, keep: false };
    read_by(graph, node, input, unit, way, &Budget::default())
}

fn read_by(
    graph: &Graph,
    node: NodeId,
    input: NodeId,
    unit: &[i128],
    way: Way,
    budget: &Budget,
) -> Result<Region, Problem> {
    let mut regions: Vec<Option<Region>> = vec![None; node.0 + 1];
    regions[node.0] = Some(of_unit(graph, node, unit)?);
    let useful = descendants(graph, input);
    let mut read = follow(graph, regions, |operand| useful[operand.0], way, budget)?;
    match read.get_mut(input.0).and_then(Option::take) {
        Some(region) => region.without_channels(budget),
        None => Ok(Region::empty(graph.node(input).shape.spatial().len())),
    }
}

/// Returns, for each input, what all units of all channels of `nodes` read together, at the network's own size; with
/// or without gates and statistics over the whole map.
pub fn from_all(graph: &Graph, nodes: &[NodeId], gates: bool) -> Result<Vec<Option<Region>>, Problem> {
    let whole = |node: &NodeId| (*node, Region::product(&everything(graph, *node)));
    follow_from(graph, nodes.iter().map(whole), Way { borders: Borders::Real, gates, keep: false })
}

/// Returns all elements of `node`.
fn everything(graph: &Graph, node: NodeId) -> Vec<Set> {
    graph.node(node).shape.sizes().iter().map(|&size| Set::below(size)).collect()
}

/// Returns what all outputs of the network read of each node, gates included.
pub fn live(graph: &Graph) -> Result<Vec<Option<Region>>, Problem> {
    let whole = |node: &NodeId| (*node, Region::product(&everything(graph, *node)));
    let way = Way { borders: Borders::Real, gates: true, keep: true };
    follow_from(graph, graph.outputs.iter().map(whole), way)
}

fn follow_from(
    graph: &Graph,
    starts: impl Iterator<Item = (NodeId, Region)>,
    way: Way,
) -> Result<Vec<Option<Region>>, Problem> {
    let mut regions: Vec<Option<Region>> = vec![None; graph.nodes.len()];
    starts.for_each(|(node, region)| regions[node.0] = Some(region));
    follow(graph, regions, |_| true, way, &Budget::default())
}

/// Returns which nodes depend on `input`.
fn descendants(graph: &Graph, input: NodeId) -> Vec<bool> {
    let mut useful = vec![false; graph.nodes.len()];
    for (id, node) in graph.iter() {
        useful[id.0] = id == input || node.inputs.iter().any(|operand| useful[operand.0]);
    }
    useful
}
