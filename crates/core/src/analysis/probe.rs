//! A network at several sizes: which layers follow an axis whatever its size, and in which steps the size may change.

use num_integer::Integer as _;

use crate::analysis::along::{Along, Blocker, Reason, Track};
use crate::analysis::sizes::{Trial, fitting, modulus};
use crate::diagnostic::{Code, Problem};
use crate::graph::{Graph, NodeId};
use crate::shape::Shape;

/// Largest step between sizes that is tried.
const MAX_STEP: i128 = 1 << 20;

/// One spatial axis of a network.
#[derive(Debug, Clone)]
pub struct Probe {
    /// The axis, as it is at all sizes `base + k * step`.
    pub along: Along,
    /// A size at which the network runs.
    pub base: u64,
    /// The step between sizes at which all layers have the same windows; a multiple of the lattice.
    pub step: u64,
    /// The number of input positions of which every cut must be a multiple.
    pub lattice: u64,
}

/// A network that can be built at any size.
pub struct Sizes<'a> {
    trial: &'a dyn Trial,
    /// Its inputs at the network's own sizes.
    own: Vec<Shape>,
    /// Number of spatial axes.
    rank: usize,
    max_offset: Option<f64>,
}

impl<'a> Sizes<'a> {
    /// Returns the network of `trial`, near its own sizes if it does not run there; an error if it runs nowhere near, or
    /// if its inputs have no spatial axes, or different sizes.
    pub fn new(trial: &'a dyn Trial, max_offset: Option<f64>) -> Result<Self, Problem> {
        let mut own: Vec<Shape> = trial.inputs().iter().map(|(_, shape)| shape.clone()).collect();
        if trial.at(&own).is_none() {
            own = fitting(trial, &own).map_err(|error| Problem::shape(error.0))?;
        }
        let rank = own.iter().map(|shape| shape.spatial().len()).max().unwrap_or(0);
        if rank == 0 {
            return Err(Problem::shape("not supported: a network whose inputs have no spatial axes")
                .help("there is nothing to cut: every input is a vector"));
        }
        let mut spatial = own.iter().map(Shape::spatial).filter(|sizes| sizes.len() == rank);
        let first = spatial.next();
        if spatial.any(|sizes| Some(sizes) != first) {
            return Err(Problem::shape("not supported: inputs of different sizes")
                .help("the inputs must have the same spatial sizes, so that one cut fits all"));
        }
        Ok(Self { trial, own, rank, max_offset })
    }

    /// Returns the number of spatial axes.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Returns the spatial sizes of the network's own inputs.
    pub fn own(&self) -> Vec<u64> {
        let shape = self.own.iter().find(|shape| shape.spatial().len() == self.rank);
        shape.map(|shape| shape.spatial().to_vec()).unwrap_or_default()
    }

    /// Returns the input shapes with these spatial sizes.
    pub fn inputs(&self, sizes: &[u64]) -> Vec<Shape> {
        let resized = |shape: &Shape| {
            if shape.spatial().len() != self.rank {
                return shape.clone();
            }
            Shape::new([&[shape.channels()], sizes].concat())
        };
        self.own.iter().map(resized).collect()
    }

    /// Returns the network on inputs of these spatial sizes; `None` if it does not run there with its weights.
    pub fn at(&self, sizes: &[u64]) -> Option<Graph> {
        self.trial.at(&self.inputs(sizes))?.into_graph()
    }

    /// Follows spatial axis `axis` through `graph`.
    pub fn along(&self, graph: &Graph, axis: usize) -> Along {
        Along::new(graph, axis, self.rank, self.max_offset)
    }

    /// Returns how `axis` runs through the network at all sizes; the other axes have the sizes `sizes`.
    pub fn probe(&self, sizes: &[u64], axis: usize) -> Result<Probe, Problem> {
        let own = self.at(sizes).ok_or_else(|| {
            Problem::shape("the network does not run at its own size")
                .help("`cnnkit sizes` lists sizes that fit")
        })?;
        let strides = modulus(&own, axis + 1).map_err(|error| Problem::new(Code::Limit, error.0))?;
        let size = sizes[axis];
        let mut best: Option<Probe> = None;
        let rounded = size.div_ceil(strides).saturating_mul(strides);
        // On a map of few elements, a resize cannot be told from a broadcast: larger sizes, too.
        let far = strides.saturating_mul(4);
        for base in [rounded, size, rounded.saturating_add(far), size.saturating_add(far)] {
            if best.as_ref().is_some_and(|best| best.along.blockers.is_empty()) {
                break;
            }
            let found = self.at_base(sizes, axis, base, strides);
            let better = |found: &Probe| {
                best.as_ref().is_none_or(|best| best.along.blockers.len() > found.along.blockers.len())
            };
            if let Some(found) = found.filter(better) {
                best = Some(found);
            }
        }
        match best {
            Some(best) => Ok(best),
            None => self.one_size(&own, sizes, axis, strides),
        }
    }

    fn at_base(&self, sizes: &[u64], axis: usize, base: u64, strides: u64) -> Option<Probe> {
        let at = |size: u64| {
            let mut sizes = sizes.to_vec();
            sizes[axis] = size;
            Some(self.along(&self.at(&sizes)?, axis))
        };
        let mut along = at(base)?;
        let whole = along.lattice().filter(|lattice| *lattice <= MAX_STEP).unwrap_or(1);
        let step =
            u64::try_from(whole.lcm(&i128::from(strides))).ok().filter(|step| i128::from(*step) <= MAX_STEP);
        let step = step.unwrap_or(strides);
        along.restrict(&at(base.checked_add(step)?)?);
        // Once more, farther away: a pattern may hold for two sizes by chance.
        along.restrict(&at(base.checked_add(step.checked_mul(5)?)?)?);
        let lattice = u64::try_from(along.lattice()?).ok()?;
        Some(Probe { along, base, step: step.lcm(&lattice), lattice })
    }

    /// Returns the axis of a network that runs at one size only, up to the node that rejects others.
    fn one_size(&self, own: &Graph, sizes: &[u64], axis: usize, strides: u64) -> Result<Probe, Problem> {
        let mut along = self.along(own, axis);
        let mut larger = sizes.to_vec();
        larger[axis] = larger[axis].saturating_add(strides.saturating_mul(2));
        if let Err(misfit) = own.reinfer(&self.inputs(&larger)) {
            let first = misfit.node.index();
            for index in first..along.tracks.len() {
                let reads = |input: &NodeId| along.tracks[input.index()] == Track::Whole;
                if index == first || own.nodes()[index].inputs.iter().any(reads) {
                    along.tracks[index] = Track::Whole;
                    along.edges[index].clear();
                }
            }
            if along.blockers.iter().all(|blocker| blocker.node.index() != first) {
                along.blockers.push(Blocker { node: misfit.node, reason: Reason::Weights });
            }
        }
        let lattice = along.lattice().and_then(|lattice| u64::try_from(lattice).ok()).unwrap_or(strides);
        Ok(Probe { along, base: sizes[axis], step: lattice.max(1).lcm(&strides), lattice })
    }
}
