//! The predictions: every figure of the analysis that is measured, behind one trait.

use num_bigint::BigUint;

use cnnkit_core::analysis::deployment::{self, Plan};
use cnnkit_core::analysis::field::{self, Facts, Interval};
use cnnkit_core::analysis::gridding::{self, Gridding, Stack};
use cnnkit_core::analysis::sizes::Trial;
use cnnkit_core::analysis::streaming::{self, Streaming};
use cnnkit_core::analysis::support::{Borders, Region, support};
use cnnkit_core::analysis::tiling::{self, Tiling};
use cnnkit_core::analysis::{channels, dead_weights, memory, totals, training};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::{Graph, NodeId};
use cnnkit_core::shape::Shape;

/// One interval per axis; `None` where nothing is read.
pub type Box = Vec<Option<Interval>>;

/// The coverage of a stack of convolutions along one axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    /// Positions of the box.
    pub size: u64,
    /// Positions that are read.
    pub covered: u64,
    /// The largest distance between neighbouring positions that are read.
    pub max_gap: u64,
    /// Classes of outputs that share no input; `None` if no two outputs share any.
    pub sub_grids: Option<u64>,
}

/// The predictions of the analysis. Tests replace single methods by false ones, which some claim must catch.
pub trait Predict {
    /// Returns the learnable elements and the buffer elements.
    fn parameters(&self, graph: &Graph) -> (u64, u64) {
        let counts = totals::of_graph(graph);
        (counts.params, counts.buffers)
    }

    /// Returns, per node and weight, the elements that some output depends on, along the weight's axes.
    fn used(&self, graph: &Graph) -> Result<Vec<Vec<Region>>, Problem> {
        dead_weights::used(graph)
    }

    /// Returns the shape of every node.
    fn shapes(&self, graph: &Graph) -> Vec<Shape> {
        graph.nodes().iter().map(|node| node.shape.clone()).collect()
    }

    /// Returns the multiply-adds of every node.
    fn macs(&self, graph: &Graph) -> Vec<u64> {
        graph.nodes().iter().map(|node| node.cost.macs).collect()
    }

    /// Returns the multiply-adds of bilinear sampling of every node.
    fn sampling(&self, graph: &Graph) -> Vec<u64> {
        graph.nodes().iter().map(|node| node.cost.sampling_macs).collect()
    }

    /// Returns the elements of all layer outputs together.
    fn activations(&self, graph: &Graph) -> u64 {
        totals::of_graph(graph).activations
    }

    /// Returns the peak activation elements alive at once, and at which node.
    fn peak(&self, graph: &Graph) -> Option<(u64, NodeId)> {
        memory::peak(graph).map(|peak| (peak.elements, peak.step))
    }

    /// Returns the receptive-field figures of `node`, one entry per input that it depends on.
    fn facts(&self, graph: &Graph, node: NodeId) -> Result<Vec<Facts>, Problem> {
        field::analyse(graph, field::Options::default())?.facts(graph, node)
    }

    /// Returns the box of `input` that contains everything the samples of unit `unit` of `node` (channel first) can
    /// reach; `None` if nothing bounds them.
    fn reachable(
        &self,
        graph: &Graph,
        node: NodeId,
        input: NodeId,
        unit: &[i128],
    ) -> Result<Option<Box>, Problem> {
        let fields = field::analyse(graph, field::Options::default())?;
        Ok(fields.of(node, input).and_then(|field| field.reachable(unit)))
    }

    /// Returns the positions of `input` that the unit `unit` of `node` reads.
    fn support(
        &self,
        graph: &Graph,
        node: NodeId,
        input: NodeId,
        unit: &[i128],
        borders: Borders,
    ) -> Result<Region, Problem> {
        support(graph, node, input, unit, borders)
    }

    /// Returns, for each channel of `node`, the channels of `source` that reach it; `None` if none do.
    fn channels(
        &self,
        graph: &Graph,
        source: NodeId,
        node: NodeId,
    ) -> Result<Option<Vec<Vec<u64>>>, Problem> {
        let Some(runs) = channels::exactly(graph, source, node, true)? else { return Ok(None) };
        let mut all = Vec::new();
        for run in runs.iter() {
            let set: Vec<u64> = run.set.as_ref().map(|set| set.iter().collect()).unwrap_or_default();
            all.extend((0..run.len).map(|_| set.clone()));
        }
        Ok(Some(all))
    }

    /// Returns the number of paths from each position of the box to the output, one line per axis.
    fn multiplicities(&self, stack: &Stack) -> Result<Vec<Vec<BigUint>>, Problem> {
        let lines = Gridding::of(stack)?.multiplicities()?;
        Ok(lines.iter().map(|line| line.iter().collect()).collect())
    }

    /// Returns how the network of `trial` is cut into tiles.
    fn tiling(&self, trial: &dyn Trial, options: &tiling::Options) -> Result<Tiling, Problem> {
        tiling::analyse(trial, options)
    }

    /// Returns how the network of `trial` runs on a sequence in chunks.
    fn streaming(&self, trial: &dyn Trial) -> Result<Streaming, Problem> {
        streaming::analyse(trial, None)
    }

    /// Returns the plan of an inference with elements of one byte.
    fn plan(&self, graph: &Graph) -> Plan {
        deployment::plan(graph, 1)
    }

    /// Returns, for each node, whether our gradients read its output.
    fn read_by_gradients(&self, graph: &Graph) -> Vec<bool> {
        training::kept(graph, &training::Training::default()).read
    }

    /// Returns coverage, gaps and sub-grids along each axis.
    fn coverage(&self, stack: &Stack) -> Result<Vec<Coverage>, Problem> {
        let one = |axis: &gridding::Axis| Coverage {
            size: axis.offsets.size(),
            covered: axis.offsets.covered(),
            max_gap: axis.offsets.max_gap(),
            sub_grids: axis.sub_grids,
        };
        Ok(Gridding::of(stack)?.axes.iter().map(one).collect())
    }
}

/// The real analysis.
#[derive(Debug, Clone, Copy, Default)]
pub struct Analysis;

impl Predict for Analysis {}
