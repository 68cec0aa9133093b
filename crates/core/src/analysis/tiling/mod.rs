//! Tiles: how a network runs on an image that does not fit into memory, with the same result.
//!
//! Three numbers per axis decide it. The *halo* is how far the outputs read beyond the positions that they stand on, the
//! worst over all units and phases. The *lattice* is the coarsest jump on the way: tiles begin at its multiples, or pools
//! and strides fall on other elements. The *margin* is what a tile needs around the part that is kept, when tiles begin on
//! the lattice; it can be smaller than the halo, because the phase with the largest reach need not be the first one that is
//! kept, and it is what the schedule uses. A border of the image needs no margin: the tile's padding is the image's.

mod division;
mod kept;
mod place;
mod schedule;

pub use division::Span;
pub use kept::{Kept, Misfit, kept};
pub use schedule::{Schedule, Want};

use crate::analysis::along::{Along, Reason};
use crate::analysis::field::{self, Fields};
use crate::analysis::memory::Dtype;
use crate::analysis::probe::{Probe, Sizes};
use crate::analysis::sizes::Trial;
use crate::diagnostic::{Code, Problem};
use crate::graph::{Graph, NodeId};

/// What is asked.
#[derive(Debug, Clone)]
pub struct Options {
    /// Spatial sizes of the image; none: those of the network's own input.
    pub image: Option<Vec<u64>>,
    /// How tiles are chosen.
    pub want: Want,
    /// The number format of activations and weights.
    pub dtype: Dtype,
    /// Largest offset of data-dependent sampling, in positions; none: what the layers declare.
    pub max_offset: Option<f64>,
}

/// How a network can be tiled.
#[derive(Debug, Clone)]
pub struct Tiling {
    /// The network at a size of its pattern.
    pub graph: Graph,
    /// One entry per spatial axis.
    pub axes: Vec<TileAxis>,
    /// Layers that need a whole axis.
    pub blockers: Vec<Blocked>,
    /// The layers of which no unit needs a whole axis.
    pub part: Part,
    /// The tiles of the image; none if no axis can be cut.
    pub schedule: Option<Schedule>,
}

/// A spatial axis of the input. All numbers are input positions.
#[derive(Debug, Clone)]
pub struct TileAxis {
    /// How far the outputs read before and after the positions that they stand on; for a network that cannot be tiled,
    /// the last layers of the part that can. None if there is no such layer.
    pub halo: Option<[u64; 2]>,
    /// Tiles begin at multiples of it.
    pub lattice: u64,
    /// Sizes of tiles differ by multiples of it.
    pub step: u64,
    /// What a tile needs before and after the part that is kept.
    pub margin: Option<[u64; 2]>,
    /// Whether all outputs follow the axis.
    pub cut: bool,
    /// The axis through the network.
    pub along: Along,
    /// A size at which the network runs.
    pub base: u64,
}

/// A layer that needs a whole axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    /// The layer.
    pub node: NodeId,
    /// The reason.
    pub reason: Reason,
    /// The spatial axes, from 0.
    pub axes: Vec<usize>,
}

/// The layers of which every unit has a bounded field on every axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Where it ends: outputs, and nodes that a layer outside the part reads.
    pub ends: Vec<NodeId>,
    /// Number of its layers.
    pub layers: u64,
    /// Its multiply-accumulates.
    pub macs: u64,
    /// Number of layers of the network.
    pub of_layers: u64,
    /// Multiply-accumulates of the network.
    pub of_macs: u64,
}

/// Computes how the network of `trial` can be tiled. An error if it does not run at its own size or at that of the
/// image, or if no tile satisfies the options.
pub fn analyse(trial: &dyn Trial, options: &Options) -> Result<Tiling, Problem> {
    let sizes = Sizes::new(trial, options.max_offset)?;
    let own = sizes.own();
    let probes: Vec<Probe> =
        (0..sizes.rank()).map(|axis| sizes.probe(&own, axis)).collect::<Result<_, _>>()?;
    let bases: Vec<u64> = probes.iter().map(|probe| probe.base).collect();
    let graph = sizes.at(&bases).or_else(|| sizes.at(&own)).ok_or_else(|| {
        Problem::shape("the network does not run at its own size").help("`cnnkit sizes` lists sizes that fit")
    })?;
    let fields = field::analyse(&graph, field::Options { max_offset: options.max_offset })?;
    let part = part(&graph, &probes);
    let mut axes = Vec::with_capacity(probes.len());
    for (axis, probe) in probes.into_iter().enumerate() {
        axes.push(of_axis(&sizes, &graph, &fields, &part, axis, probe, &bases)?);
    }
    let blockers = blockers(&axes);
    let schedule = if axes.iter().any(|axis| axis.cut) {
        let image = image(options.image.as_deref(), &own)?;
        Some(schedule::plan(&sizes, &graph, &axes, &image, options)?)
    } else {
        None
    };
    Ok(Tiling { graph, axes, blockers, part, schedule })
}

impl Tiling {
    /// Returns whether every output unit has a bounded field on every axis, so that all axes can be cut.
    pub fn tileable(&self) -> bool {
        self.axes.iter().all(|axis| axis.cut)
    }
}

fn image(given: Option<&[u64]>, own: &[u64]) -> Result<Vec<u64>, Problem> {
    match given {
        None => Ok(own.to_vec()),
        Some([size]) => Ok(vec![*size; own.len()]),
        Some(sizes) if sizes.len() == own.len() => Ok(sizes.to_vec()),
        Some(sizes) => Err(Problem::new(
            Code::InvalidValue,
            format!("the image has {} sizes, the network {} spatial axes", sizes.len(), own.len()),
        )
        .help("give one size for all axes, or one per axis: 20000,20000")),
    }
}

fn blockers(axes: &[TileAxis]) -> Vec<Blocked> {
    let mut all: Vec<Blocked> = Vec::new();
    for (index, axis) in axes.iter().enumerate() {
        for blocker in &axis.along.blockers {
            match all.iter_mut().find(|known| known.node == blocker.node && known.reason == blocker.reason) {
                Some(known) => known.axes.push(index),
                None => all.push(Blocked { node: blocker.node, reason: blocker.reason, axes: vec![index] }),
            }
        }
    }
    all.sort_by_key(|blocked| blocked.node);
    all
}

fn part(graph: &Graph, probes: &[Probe]) -> Part {
    let mut ends: Vec<NodeId> = probes.iter().flat_map(|probe| probe.along.ends(graph)).collect();
    ends.sort_unstable();
    ends.dedup();
    let inside = |id: NodeId| probes.iter().all(|probe| probe.along.follows(id));
    ends.retain(|&end| inside(end));
    let layers = || graph.iter().filter(|(_, node)| !node.inputs.is_empty());
    let sum = |part: bool| {
        layers()
            .filter(|&(id, _)| !part || inside(id))
            .fold((0u64, 0u64), |(count, macs), (_, node)| (count + 1, macs.saturating_add(node.cost.macs)))
    };
    let ((layers, macs), (of_layers, of_macs)) = (sum(true), sum(false));
    Part { ends, layers, macs, of_layers, of_macs }
}

fn of_axis(
    sizes: &Sizes<'_>,
    graph: &Graph,
    fields: &Fields,
    part: &Part,
    axis: usize,
    probe: Probe,
    bases: &[u64],
) -> Result<TileAxis, Problem> {
    let cut = graph.outputs().iter().all(|&output| probe.along.follows(output));
    let ends: Vec<NodeId> = if cut { graph.outputs().to_vec() } else { part.ends.clone() };
    let halo = halo(graph, fields, &ends, axis)?;
    let margin = match halo {
        Some(halo) => margin(sizes, &probe, &ends, axis, halo, bases)?,
        None => None,
    };
    let Probe { along, base, step, lattice } = probe;
    Ok(TileAxis { halo, lattice, step, margin, cut, along, base })
}

/// Returns the worst reach of the nodes `ends` along an axis of the inputs.
fn halo(graph: &Graph, fields: &Fields, ends: &[NodeId], axis: usize) -> Result<Option<[u64; 2]>, Problem> {
    let mut worst: Option<[i128; 2]> = None;
    for &end in ends {
        for field in &fields.nodes[end.index()] {
            let facts = field.facts(graph, end)?;
            let Some(reach) = facts.axes.get(axis).and_then(|axis| axis.reach) else { continue };
            let [a, b] = worst.unwrap_or([0, 0]);
            worst = Some([a.max(reach[0]), b.max(reach[1])]);
        }
    }
    let side = |reach: i128| u64::try_from(reach.max(0)).map_err(|_| Problem::overflow("the halo"));
    worst.map(|[before, after]| Ok([side(before)?, side(after)?])).transpose()
}

/// Returns what a tile needs around the part of the nodes `ends` that is kept; `None` if the network has no two sizes
/// that are large enough.
fn margin(
    sizes: &Sizes<'_>,
    probe: &Probe,
    ends: &[NodeId],
    axis: usize,
    halo: [u64; 2],
    bases: &[u64],
) -> Result<Option<[u64; 2]>, Problem> {
    let step = probe.step;
    let needed = halo[0].saturating_add(halo[1]).saturating_mul(2).saturating_add(step.saturating_mul(8));
    let tile =
        probe.base.saturating_add(needed.saturating_sub(probe.base).div_ceil(step).saturating_mul(step));
    let whole = tile.saturating_add(step.saturating_mul(4));
    let at = |size: u64| {
        let mut sizes_at = bases.to_vec();
        sizes_at[axis] = size;
        sizes.at(&sizes_at).map(|graph| sizes.along(&graph, axis))
    };
    let (Some(tile_along), Some(whole_along)) = (at(tile), at(whole)) else { return Ok(None) };
    let Ok(units) = kept(&probe.along, &whole_along, &tile_along, i128::from(step)) else { return Ok(None) };
    let lattice = i128::from(probe.lattice);
    let (mut before, mut end) = (0i128, i128::from(tile));
    for &node in ends {
        let (Some(kept), Some(scale)) = (&units[node.index()], probe.along.scale(node)) else { continue };
        let position = |unit: i128| {
            let scaled = unit.checked_mul(*scale.denom()).ok_or_else(|| Problem::overflow("the margin"))?;
            Ok::<_, Problem>((scaled, *scale.numer()))
        };
        let (low, by) = position(kept.lo)?;
        before = before.max(-(-low).div_euclid(by * lattice) * lattice);
        let (high, by) = position(kept.hi)?;
        end = end.min(high.div_euclid(by * lattice) * lattice);
    }
    let after = i128::from(tile) - end;
    let side = |margin: i128| u64::try_from(margin).map_err(|_| Problem::overflow("the margin"));
    Ok(Some([side(before)?, side(after)?]))
}
