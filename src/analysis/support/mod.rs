//! The exact set of input positions that one unit reads.
//!
//! The set is followed backwards, from the unit through every reach to the input, as a [`Region`]: a union of few
//! products. Cost: one union an edge; a region of `n` products whose sets have `i` intervals costs `n^2 i` there.
//! Networks of boxes (VGG, ResNet, DenseNet) keep one product of one interval throughout, whatever their depth;
//! Inception v3 needs a handful. A stack whose rates share a divisor has one interval a position, so a line of a
//! million holes costs millions of steps. A [`Budget`] ends the work with an error where a graph is built to defeat this.

mod region;
mod set;

pub use region::Region;
pub use set::Set;

use std::cell::Cell;

use crate::analysis::field::relation::Link;
use crate::diagnostic::{Code, Problem};
use crate::graph::{Graph, NodeId, Op};
use crate::layers::Role;

/// Whether borders count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Borders {
    /// Windows ignore them: padding positions count as input positions. The definition of a receptive field.
    Ignored,
    /// Only elements that exist are read: padding at any depth reads nothing. What a unit near the border really sees.
    Real,
}

/// Steps that may still be taken.
#[derive(Debug)]
pub struct Budget(Cell<u64>);

impl Default for Budget {
    /// About a few seconds of work.
    fn default() -> Self {
        Self(Cell::new(150_000_000))
    }
}

impl Budget {
    fn spend(&self, steps: usize) -> Result<(), Problem> {
        self.spend_wide(steps as i128)
    }

    fn spend_wide(&self, steps: i128) -> Result<(), Problem> {
        let left = u64::try_from(steps.max(1)).ok().and_then(|steps| self.0.get().checked_sub(steps));
        self.0.set(left.ok_or_else(|| {
            Problem::new(
                Code::Limit,
                "not supported: the exact support of this unit is made of too many pieces",
            )
            .help("ask for a node nearer to the input, or for the box only (without `--exact`)")
        })?);
        Ok(())
    }
}

/// The positions of `input` that the unit `unit` of `node` reads (one index a spatial axis of the node).
///
/// Gates and statistics over the whole map are left out, as they are from the local receptive field; sampling at
/// data-dependent positions counts with its regular grid.
pub fn support(
    graph: &Graph,
    node: NodeId,
    input: NodeId,
    unit: &[i128],
    borders: Borders,
) -> Result<Region, Problem> {
    let rank = graph.node(node).shape.spatial().len();
    if unit.len() != rank {
        let id = &graph.node(node).id;
        return Err(Problem::new(
            Code::InvalidValue,
            format!("`{id}` has {rank} spatial axes, the unit has {} indices", unit.len()),
        )
        .help("give one index for each spatial axis"));
    }
    let budget = Budget::default();
    let drivers = drivers(graph, input)?;
    // A channel axis that carries positions (after a permutation) is taken whole, like all channels are.
    let channels = i128::from(graph.node(node).shape.channels());
    let mut start =
        vec![if drivers[node.0].contains(&0) { Set::interval(0, channels - 1) } else { Set::interval(0, 0) }];
    start.extend((1..).zip(unit).map(|(axis, &u)| {
        let u = if drivers[node.0].contains(&axis) { u } else { 0 };
        Set::interval(u, u)
    }));
    let useful = descendants(graph, input);
    let mut regions: Vec<Option<Region>> = vec![None; node.0 + 1];
    regions[node.0] = Some(Region::product(&start));
    for index in (input.0 + 1..=node.0).rev() {
        let Some(region) = regions[index].take() else { continue };
        let current = &graph.nodes[index];
        if matches!(current.op, Op::Input) {
            continue;
        }
        for reach in graph.reach(current).iter().filter(|reach| reach.role != Role::Context) {
            let Some(&operand) = current.inputs.get(reach.input) else { continue };
            if !useful[operand.0] {
                continue;
            }
            let links = reach.axes.iter().map(Link::new).collect::<Result<Vec<_>, _>>()?;
            let sizes = graph.node(operand).shape.sizes();
            let read = image(&region, &links, sizes, &drivers[operand.0], borders, &budget)?;
            let slot = &mut regions[operand.0];
            *slot = Some(match slot.take() {
                Some(old) => old.union(&read, &budget)?,
                None => read,
            });
        }
    }
    let rank = graph.node(input).shape.spatial().len();
    Ok(regions[input.0].take().map_or_else(|| Region::empty(rank), |region| region.without_first(rank)))
}

/// For each node, the axes that are followed: those along which positions of `input` are told apart, and all spatial ones,
/// because a unit in the gap of a transposed convolution, or on padding only, reads nothing even of a global average.
fn drivers(graph: &Graph, input: NodeId) -> Result<Vec<Vec<usize>>, Problem> {
    let mut drivers: Vec<Vec<usize>> = vec![vec![]; graph.nodes.len()];
    for (id, node) in graph.iter() {
        if id == input {
            drivers[id.0] = (1..node.shape.rank()).collect();
            continue;
        }
        let depends = node.inputs.iter().any(|operand| !drivers[operand.0].is_empty());
        let mut own: Vec<usize> = if depends { (1..node.shape.rank()).collect() } else { vec![] };
        for reach in graph.reach(node).iter().filter(|reach| reach.role != Role::Context) {
            let Some(operand) = node.inputs.get(reach.input) else { continue };
            for &axis in &drivers[operand.0] {
                if let Some(Link::By(relation)) = reach.axes.get(axis).map(Link::new).transpose()?
                    && !own.contains(&relation.by)
                {
                    own.push(relation.by);
                }
            }
        }
        drivers[id.0] = own;
    }
    Ok(drivers)
}

/// Nodes that depend on `input`.
fn descendants(graph: &Graph, input: NodeId) -> Vec<bool> {
    let mut useful = vec![false; graph.nodes.len()];
    for (id, node) in graph.iter() {
        useful[id.0] = id == input || node.inputs.iter().any(|operand| useful[operand.0]);
    }
    useful
}

/// What `region` reads of an operand with these sizes.
fn image(
    region: &Region,
    links: &[Link],
    sizes: &[u64],
    followed: &[usize],
    borders: Borders,
    budget: &Budget,
) -> Result<Region, Problem> {
    let mut all = Region::empty(sizes.len());
    for product in region.products() {
        let mut sets = Vec::with_capacity(sizes.len());
        for (axis, (link, &size)) in links.iter().zip(sizes).enumerate() {
            if !followed.contains(&axis) {
                sets.push(Set::interval(0, 0));
                continue;
            }
            let by = match link {
                Link::By(relation) => product.get(relation.by),
                _ => None,
            };
            let empty = Set::default();
            let mut set = by.unwrap_or(&empty).image(link, size, budget)?;
            if borders == Borders::Real {
                set = set.intersection(&Set::interval(0, i128::from(size) - 1), budget)?;
            }
            sets.push(set);
        }
        all = all.union(&Region::product(&sets), budget)?;
    }
    Ok(all)
}
