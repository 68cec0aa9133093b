//! The paths through a network: their number, their lengths, and their receptive fields.
//!
//! A residual network of `n` modules is an ensemble of `2^n` paths whose lengths follow a binomial distribution
//! (Veit, Wilber & Belongie 2016). Counts are exact at any size: a path is a sequence of nodes and operand slots from
//! an input to an output, so a node that reads the same operand twice doubles the paths. One pass in execution order
//! adds up the operands' distributions; its work is the number of edges times the number of different lengths.

mod dense;

pub use dense::{DenseBlock, dense_blocks};

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use num_bigint::BigUint;
use num_traits::{ToPrimitive as _, Zero as _};

use crate::analysis::field::{Fields, Options, analyse};
use crate::analysis::relation::Link;
use crate::diagnostic::Problem;
use crate::graph::{Graph, Node, NodeId, Op};
use crate::layers::{AxisReach, Reach, Role, WeightRole};

/// Number of paths by label.
pub type Distribution<K> = BTreeMap<K, BigUint>;

/// The paths from all inputs to one output.
#[derive(Debug, Clone)]
pub struct Paths {
    /// The output.
    pub output: NodeId,
    /// Number of paths.
    pub count: BigUint,
    /// Paths by the number of layers with weights that they cross (convolutions and linear layers); `None` if
    /// there are too many different lengths.
    pub lengths: Option<Distribution<u64>>,
    /// Paths by the number of residual modules whose branch they take.
    pub modules: Option<Distribution<u64>>,
    /// Paths by the size of the receptive field, one entry per spatial axis; `None` if there are too many
    /// different sizes, or if upsampling or misaligned merges lie before the output, where a path has no
    /// single size.
    pub fields: Option<Distribution<Vec<Seen>>>,
    /// Number of residual modules before the output: merges of a short and a long path.
    pub residual_modules: u64,
}

/// The receptive field of a path along one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Seen {
    /// This many input elements.
    Size(i128),
    /// The whole axis.
    Whole,
}

/// Maximum number of steps over all distributions of a network.
const MAX_STEPS: usize = 20_000_000;

/// Computes the paths to each output; errors as for the receptive fields ([`analyse`]).
pub fn paths(graph: &Graph) -> Result<Vec<Paths>, Problem> {
    // A path into a concatenation continues through those that it continues: in one way each.
    let graph = &*graph.joined();
    let deepest = deepest(graph);
    let residual: Vec<Option<Vec<bool>>> =
        graph.iter().map(|(_, node)| residual(graph, node, &deepest)).collect();
    let weighted: Vec<bool> = graph.nodes.iter().map(is_weighted).collect();
    let counts = distribution(graph, |_, _| Some(()), |(), _, _, _| Some(()));
    let lengths = distribution(
        graph,
        |_, _| Some(0u64),
        |length, node, _, _| Some(length + u64::from(weighted[node.0])),
    );
    let modules = distribution(
        graph,
        |_, _| Some(0u64),
        |length, node, slot, _| {
            let branch = residual[node.0].as_ref().is_some_and(|branches| branches.get(slot) == Some(&true));
            Some(length + u64::from(branch))
        },
    );
    // A path has one size only if it has one input.
    let single = graph.inputs().count() == 1;
    let fields = if single { analyse(graph, Options::default()).ok() } else { None };
    let seen = fields.as_ref().and_then(|fields| {
        // Of one node at a time: those of all take as much memory as the graph has connections.
        let current: RefCell<Option<(NodeId, Vec<Option<Reach>>)>> = RefCell::default();
        distribution(
            graph,
            |_, node| Some(vec![Seen::Size(1); node.shape.spatial().len()]),
            |sizes, node, slot, operand| {
                if current.borrow().as_ref().is_none_or(|(id, _)| *id != node) {
                    current.replace(Some((node, by_slot(graph, graph.node(node)))));
                }
                let current = current.borrow();
                let reach = current.as_ref().and_then(|(_, reaches)| reaches.get(slot)?.as_ref())?;
                widened(graph, fields, reach, sizes, operand)
            },
        )
    });
    let modules_before = modules_before(graph, &residual);
    Ok(graph
        .outputs
        .iter()
        .enumerate()
        .map(|(i, &output)| {
            let count = counts.as_ref().and_then(|all| all[i].get(&()).cloned()).unwrap_or_default();
            let pick = |list: &Option<Vec<Distribution<u64>>>| list.as_ref().map(|all| all[i].clone());
            Paths {
                output,
                count,
                lengths: pick(&lengths),
                modules: pick(&modules),
                fields: seen.as_ref().map(|all| all[i].clone()),
                residual_modules: modules_before[output.0],
            }
        })
        .collect())
}

impl Paths {
    /// Returns the number of layers with weights on the longest path.
    pub fn depth(&self) -> Option<u64> {
        self.lengths.as_ref()?.keys().next_back().copied()
    }

    /// Returns the fraction of paths that cross fewer than half of the layers of the longest, 0 to 1.
    pub fn short_share(&self) -> Option<f64> {
        let depth = self.depth()?;
        let short = self.lengths.as_ref()?.iter().filter(|(length, _)| 2 * **length < depth);
        Some(share(&short.map(|(_, count)| count).sum(), &self.count))
    }

    /// Returns the mean number of layers with weights.
    pub fn mean_length(&self) -> Option<f64> {
        let lengths = self.lengths.as_ref()?;
        Some(lengths.iter().map(|(length, count)| *length as f64 * share(count, &self.count)).sum())
    }
}

/// Computes `part / whole`, exact to 18 digits for integers of any size.
pub fn share(part: &BigUint, whole: &BigUint) -> f64 {
    if whole.is_zero() {
        return 0.0;
    }
    let scaled = part * BigUint::from(10u64).pow(18) / whole;
    scaled.to_f64().unwrap_or(0.0) / 1e18
}

/// Returns whether a layer multiplies and accumulates with weights, learned or fixed.
pub fn is_weighted(node: &Node) -> bool {
    node.cost.macs > 0 && node.weights.iter().any(|weight| weight.role != WeightRole::Buffer)
}

/// Computes the distribution of labels over the paths to each output: a path starts with the label `start`,
/// and every edge changes it. `None` if a step has no label, or if there are too many steps.
fn distribution<K: Ord + Clone>(
    graph: &Graph,
    start: impl Fn(NodeId, &Node) -> Option<K>,
    step: impl Fn(&K, NodeId, usize, NodeId) -> Option<K>,
) -> Option<Vec<Distribution<K>>> {
    let mut readers: Vec<usize> = graph.consumers().iter().map(Vec::len).collect();
    graph.outputs.iter().for_each(|output| readers[output.0] += 1);
    let useful = ancestors(graph);
    let mut all: Vec<Distribution<K>> = Vec::with_capacity(graph.nodes.len());
    let mut steps = 0usize;
    for (id, node) in graph.iter() {
        let mut sum = Distribution::new();
        if !useful[id.0] {
            all.push(sum);
            continue;
        }
        if matches!(node.op, Op::Input) {
            sum.insert(start(id, node)?, BigUint::from(1u8));
        }
        for (slot, operand) in node.sources().iter().enumerate() {
            for (label, count) in &all[operand.0] {
                steps += 1 + usize::try_from(count.bits() / 512).unwrap_or(usize::MAX);
                *sum.entry(step(label, id, slot, *operand)?).or_default() += count;
            }
        }
        if steps > MAX_STEPS {
            return None;
        }
        all.push(sum);
        for operand in &node.inputs {
            readers[operand.0] = readers[operand.0].saturating_sub(1);
            if readers[operand.0] == 0 {
                all[operand.0] = Distribution::new();
            }
        }
    }
    Some(graph.outputs.iter().map(|output| all[output.0].clone()).collect())
}

/// Returns, for each node, whether some output depends on it.
fn ancestors(graph: &Graph) -> Vec<bool> {
    let mut used = graph.returned();
    for index in (0..used.len()).rev() {
        if used[index] {
            graph.nodes[index].sources().iter().for_each(|operand| used[operand.0] = true);
        }
    }
    used
}

/// Returns, for each output, the number of residual modules on which it depends; 0 for other nodes.
fn modules_before(graph: &Graph, residual: &[Option<Vec<bool>>]) -> Vec<u64> {
    let returned = graph.returned();
    let mut readers: Vec<usize> = graph.consumers().iter().map(Vec::len).collect();
    let words = residual.iter().flatten().count().div_ceil(64);
    // One bit for each module; nodes that depend on the same ones share a set.
    let mut sets: Vec<Rc<Vec<u64>>> = Vec::with_capacity(graph.nodes.len());
    let (nothing, mut next) = (Rc::new(vec![0; words]), 0);
    let mut counts = vec![0; graph.nodes.len()];
    for (index, node) in graph.nodes.iter().enumerate() {
        let mut set: Option<Rc<Vec<u64>>> = None;
        for operand in node.sources() {
            let other = &sets[operand.0];
            match &mut set {
                None => set = Some(Rc::clone(other)),
                Some(set) if Rc::ptr_eq(set, other) => {}
                Some(set) => {
                    Rc::make_mut(set).iter_mut().zip(other.iter()).for_each(|(own, more)| *own |= more);
                }
            }
        }
        let mut set = set.unwrap_or_else(|| Rc::clone(&nothing));
        if residual[index].is_some() {
            Rc::make_mut(&mut set)[next / 64] |= 1 << (next % 64);
            next += 1;
        }
        if returned[index] {
            counts[index] = set.iter().map(|word| u64::from(word.count_ones())).sum();
        }
        sets.push(set);
        for operand in &node.inputs {
            readers[operand.0] = readers[operand.0].saturating_sub(1);
            if readers[operand.0] == 0 {
                sets[operand.0] = Rc::clone(&nothing);
            }
        }
    }
    counts
}

/// Returns the largest number of layers with weights on any path to each node.
fn deepest(graph: &Graph) -> Vec<u64> {
    let mut deepest = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let before = node.sources().iter().map(|operand| deepest[operand.0]).max().unwrap_or(0);
        deepest.push(before + u64::from(is_weighted(node)));
    }
    deepest
}

/// Returns, for each operand of `node`, whether it is the long path; none unless `node` adds a short and a
/// long path element by element.
fn residual(graph: &Graph, node: &Node, deepest: &[u64]) -> Option<Vec<bool>> {
    let reaches = graph.reach(node);
    let own_place = |reach: &Reach| {
        reach.role == Role::Local
            && reach.axes.iter().enumerate().all(|(axis, reach)| *reach == AxisReach::same(axis))
    };
    if node.inputs.len() < 2 || reaches.len() != node.inputs.len() || !reaches.iter().all(own_place) {
        return None;
    }
    let depths = || node.inputs.iter().map(|operand| deepest[operand.0]);
    let shortest = depths().min()?;
    (depths().max()? > shortest).then(|| depths().map(|depth| depth > shortest).collect())
}

/// Returns how `node` reads each of its operands; of one that it reads both locally and as context, the local path counts.
fn by_slot(graph: &Graph, node: &Node) -> Vec<Option<Reach>> {
    let mut slots: Vec<Option<Reach>> = vec![None; node.inputs.len()];
    for reach in graph.reach(node) {
        let Some(slot) = slots.get_mut(reach.input) else { continue };
        if slot.as_ref().is_none_or(|old| old.role == Role::Context && reach.role != Role::Context) {
            *slot = Some(reach);
        }
    }
    slots
}

/// Returns the receptive field of a path that continues from `operand` through `reach`: larger by `(k - 1) *
/// d * jump`.
fn widened(
    graph: &Graph,
    fields: &Fields,
    reach: &Reach,
    sizes: &[Seen],
    operand: NodeId,
) -> Option<Vec<Seen>> {
    let extents = graph.node(operand).shape.sizes();
    let field = fields.of(operand, *fields.inputs.first()?)?;
    let mut out = Vec::with_capacity(sizes.len());
    for (seen, axis) in sizes.iter().zip(field.axes.iter()) {
        let Seen::Size(size) = *seen else {
            out.push(Seen::Whole);
            continue;
        };
        let piece = match &axis.union[..] {
            [piece] => piece,
            [] if axis.whole => {
                // Other paths cover the whole axis; this path's jump is then that of the smallest path.
                match axis.smallest.as_deref() {
                    Some([piece]) => piece,
                    _ => return None,
                }
            }
            _ => return None,
        };
        let Some(by) = piece.by else {
            out.push(Seen::Size(size));
            continue;
        };
        out.push(match Link::new(reach.axes.get(by)?).ok()? {
            Link::All if extents[by] > 1 => Seen::Whole,
            Link::All | Link::First => Seen::Size(size),
            Link::By(relation) => match relation.reads[..] {
                [reads] if piece.family.jump.is_integer() => {
                    let more = reads
                        .step
                        .checked_mul(reads.count - 1)?
                        .checked_mul(piece.family.jump.to_integer())?;
                    Seen::Size(size.checked_add(more)?)
                }
                _ => return None,
            },
        });
    }
    Some(out)
}
