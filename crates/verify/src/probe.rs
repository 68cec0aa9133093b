//! Chooses where a receptive field is measured: on the network's own input, borders included, or on an input
//! so large that nothing clips.

use crate::predict::Predict;
use crate::rebuild::{resized, with_space};
use crate::{Options, inputs};
use cnnkit_core::analysis::field::{self, Facts, Field};
use cnnkit_core::analysis::support::{Borders, Region};
use cnnkit_core::analysis::totals;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::{Graph, NodeId, Op};
use cnnkit_core::layers::Arithmetic as A;

/// Number of outputs that are measured by default.
pub(super) const MOST_OUTPUTS: usize = 4;

/// A network, a node, an input and units for which a field is measured.
pub(super) struct Place {
    /// The network as it is run.
    pub graph: Graph,
    /// How it differs from the original network.
    pub how: String,
    /// The node.
    pub node: NodeId,
    /// The input.
    pub input: NodeId,
    /// The units: one index per spatial axis (all channels), or one per axis.
    pub units: Vec<Vec<i128>>,
    /// The predicted set of positions that each unit reads.
    pub regions: Vec<Region>,
    /// Whether a layer before the node samples at data-dependent positions: then only the regular grid is
    /// measured.
    pub sampled: bool,
}

/// Returns whether the fields of units depend on the channel.
pub(super) fn by_channel(field: &Field) -> bool {
    field.axes.iter().flat_map(|axis| &axis.union).any(|piece| piece.by == Some(0))
}

/// Returns whether the field of `node` cannot be extrapolated to other input sizes: after an adaptive pool or
/// a resize to several positions, whose windows grow with the input, or where a map of one channel became a
/// vector, whose elements then are positions.
pub(super) fn size_bound(graph: &Graph, node: NodeId) -> bool {
    graph.nodes().iter().take(node.index() + 1).any(|node| {
        let several = || node.shape.spatial().iter().any(|&size| size > 1);
        let Op::Layer(layer) = &node.op else { return false };
        match layer.arithmetic() {
            A::AdaptiveAvgPool(_) | A::AdaptiveMaxPool(_) => several(),
            A::Upsample(resize) => resize.size.is_some() && several(),
            A::Flatten(_) | A::Reshape(_) => {
                let input = &graph.node(node.inputs[0]).shape;
                let map = input.channels() == 1 && input.spatial().iter().any(|&size| size > 1);
                node.shape.rank() == 1 && map
            }
            #[rustfmt::skip]
            A::Pointwise(_) | A::Conv(_) | A::ConvTranspose(_) | A::DeformConv(_) | A::DeformSample(_)
            | A::Linear(_) | A::DynamicConv(_) | A::Matmul(_) | A::Attention(_) | A::MaxPool(_) | A::AvgPool(_)
            | A::GlobalAvgPool(_) | A::GlobalMaxPool(_) | A::Reduce(_) | A::BatchNorm(_)
            | A::LayerNorm(_) | A::GroupNorm(_) | A::InstanceNorm(_) | A::LocalResponseNorm(_)
            | A::Dropout(_) | A::Prelu(_) | A::Softmax(_) | A::Glu(_) | A::Identity(_)
            | A::ChannelShuffle(_) | A::PixelShuffle(_) | A::PixelUnshuffle(_) | A::Pad(_) | A::Crop(_)
            | A::Slice(_) | A::Gather(_) | A::Chunk(_) | A::Permute(_) | A::Add(_) | A::Multiply(_)
            | A::Divide(_) | A::Concat(_) | A::LayerScale(_) | A::LearnedScale(_) | A::LearnedBias(_)
            | A::LearnedTokens(_) | A::LearnedTensor(_) | A::SqueezeExcite(_) | A::Opaque(_) => false,
        }
    })
}

/// Returns the outputs, the last node with a local field where an output is global, and the requested nodes.
pub(super) fn chosen(graph: &Graph, fields: &field::Fields, options: &Options) -> Vec<NodeId> {
    let local = |node: NodeId| {
        graph.node(node).shape.rank() > 1
            && !fields.nodes[node.index()].is_empty()
            && fields.nodes[node.index()]
                .iter()
                .all(|field| field.local && field.axes.iter().all(|axis| !axis.whole))
    };
    let mut nodes = options.nodes.clone();
    let mut before = vec![false; graph.nodes().len()];
    for &output in graph.outputs().iter().take(MOST_OUTPUTS) {
        nodes.push(output);
        if local(output) {
            continue;
        }
        before.fill(false);
        before[output.index()] = true;
        for index in (0..=output.index()).rev().filter(|&index| graph.nodes()[index].op != Op::Input) {
            if before[index] {
                if local(NodeId::new(index)) {
                    nodes.push(NodeId::new(index));
                    break;
                }
                graph.nodes()[index].inputs.iter().for_each(|input| before[input.index()] = true);
            }
        }
    }
    nodes.sort_unstable();
    nodes.dedup();
    nodes
}

/// Estimates the cost of a run.
pub(super) fn costs(graph: &Graph) -> u64 {
    let counts = totals::of_graph(graph);
    let products = counts.macs.saturating_add(counts.sampling_macs);
    products.saturating_mul(2).saturating_add(counts.activations.saturating_mul(10))
}

pub(super) fn own_place(
    slim: &Graph,
    how: &str,
    predict: &(dyn Predict + Sync),
    node: NodeId,
    field: &Field,
) -> Result<Place, Problem> {
    let space = slim.node(node).shape.spatial();
    let middle: Vec<i128> = space.iter().map(|&size| i128::from(size / 2)).collect();
    let mut units = vec![middle];
    if !space.is_empty() && space.iter().any(|&size| size > 1) {
        units.push(vec![0; space.len()]);
    }
    let regions = units
        .iter()
        .map(|unit| predict.support(slim, node, field.input, unit, Borders::Real))
        .collect::<Result<Vec<_>, _>>()?;
    let how = format!("{how}, at the network's own size");
    Ok(Place { graph: slim.clone(), how, node, input: field.input, units, regions, sampled: field.sampled })
}

/// Maximum number of phases, fewer than the dependence bits.
pub(super) const PHASES: i128 = 60;

/// Whether the field of a unit can be measured without clipping.
pub(super) enum Wide {
    /// It can, with these units; the second number is the distance between the first two.
    Place(Place, i128),
    /// The field is global.
    Global,
    /// It cannot, for this reason.
    None(String),
}

/// Returns the network with an input so large that no window of the middle unit's field touches padding.
pub(super) fn wide_place(
    slim: &Graph,
    how: &str,
    predict: &(dyn Predict + Sync),
    node: NodeId,
    field: &Field,
    options: &Options,
) -> Result<Wide, Problem> {
    let Some(facts) = facts_of(predict, slim, node, field.input)? else { return Ok(Wide::Global) };
    let mut factor = 1.0;
    for _ in 0..8 {
        let room = |axis: &field::AxisFacts| {
            let jump = (*axis.jump.numer() / (*axis.jump.denom()).max(1)).max(1);
            ((axis.size + 4 * jump + 16) as f64 * factor) as u64
        };
        let wanted: Vec<u64> = facts.axes.iter().map(room).collect();
        factor *= 1.5;
        if wanted.iter().any(|&size| size > 1 << 24) {
            break;
        }
        // An adaptive pool is periodic only at some sizes: where its map divides evenly.
        for more in (0..8).chain((1..=32).map(|eighth| 8 * eighth)) {
            let wanted: Vec<u64> = wanted.iter().map(|size| size + more).collect();
            let Some(graph) = enlarged(slim, &wanted) else { continue };
            if costs(&graph) > options.effort.budget() {
                return Ok(Wide::None(format!(
                    "too expensive on inputs of {} for this effort",
                    inputs(&graph)
                )));
            }
            let fields = field::analyse(&graph, field::Options::default())?;
            // A map of one position at the network's own size may have several here, all of which a later layer
            // reads.
            let local = |field: &&Field| field.local && field.axes.iter().all(|axis| !axis.whole);
            let Some(field) = fields.of(node, field.input).filter(local) else { return Ok(Wide::Global) };
            let space = graph.node(node).shape.spatial();
            // A multiple of every period: the first phase determines where unit 0 starts.
            let periods = field.axes.iter().flat_map(|axis| &axis.union).map(|piece| piece.family.period);
            let step = periods.fold(1i128, num_integer::lcm);
            if space.is_empty() || space.iter().any(|&size| i128::from(size) < 2 * step) {
                continue;
            }
            let varies = facts_of(predict, &graph, node, field.input)?
                .is_some_and(|facts| facts.axes.iter().any(|axis| axis.varies));
            let gaps =
                field.axes.iter().flat_map(|axis| &axis.union).any(|p| p.family.phases.contains(&None));
            let units = pair(space, step, varies, gaps);
            let Some(regions) = whole_regions(&graph, predict, node, field.input, &units)? else { break };
            let how = format!("{how}, on inputs of {} so that nothing clips", inputs(&graph));
            let place =
                Place { graph, how, node, input: field.input, units, regions, sampled: field.sampled };
            return Ok(Wide::Place(place, step));
        }
    }
    Ok(Wide::None("no input size was found at which the unit in the middle touches no padding".into()))
}

/// Returns two units in the middle of a map, one `step` apart. For a field that `varies`, adds the phases
/// between them if there are enough dependence bits: those on the diagonal, or all phases if there are `gaps`
/// (a unit in a gap on one axis reads nothing, wherever it is on the others); the last entry is the unit in
/// the middle itself.
fn pair(space: &[u64], step: i128, varies: bool, gaps: bool) -> Vec<Vec<i128>> {
    let middle = |&size: &u64| ((i128::from(size) - step) / 2).div_euclid(step) * step;
    let first: Vec<i128> = space.iter().map(middle).collect();
    let moved = |by: i128| first.iter().map(|unit| unit + by).collect();
    let mut units = vec![first.clone(), moved(step)];
    let phases = if gaps { step.saturating_pow(space.len() as u32) } else { step };
    if varies && phases <= PHASES {
        if gaps {
            let mut all = vec![vec![]];
            for unit in &first {
                let more =
                    |place: Vec<i128>| (0..step).map(move |by| [place.as_slice(), &[unit + by]].concat());
                all = all.into_iter().flat_map(more).collect();
            }
            units.extend(all);
        } else {
            units.extend((1..step).map(moved));
        }
    }
    units.push(space.iter().map(|&size| i128::from(size / 2)).collect());
    units
}

/// Returns what the units read; `None` if a border clips one of them.
fn whole_regions(
    graph: &Graph,
    predict: &(dyn Predict + Sync),
    node: NodeId,
    input: NodeId,
    units: &[Vec<i128>],
) -> Result<Option<Vec<Region>>, Problem> {
    let mut regions = Vec::new();
    for unit in units {
        let region = predict.support(graph, node, input, unit, Borders::Ignored)?;
        if region != predict.support(graph, node, input, unit, Borders::Real)? {
            return Ok(None);
        }
        regions.push(region);
    }
    Ok(Some(regions))
}

/// Returns the network with inputs of at least `wanted` elements per axis, at the first size that it accepts.
pub(super) fn enlarged(graph: &Graph, wanted: &[u64]) -> Option<Graph> {
    if graph.inputs().count() == 1 {
        return (0..=64u64).find_map(|more| {
            resized(graph, &with_space(graph, |axis, old| wanted.get(axis).map_or(old, |w| w + more))).ok()
        });
    }
    // Several inputs keep their ratio.
    let least = graph
        .inputs()
        .flat_map(|(_, node)| node.shape.spatial().iter().zip(wanted).map(|(&old, &w)| w.div_ceil(old)));
    let least = least.max().unwrap_or(1);
    resized(graph, &with_space(graph, |_, old| old * least)).ok()
}

pub(super) fn facts_of(
    predict: &(dyn Predict + Sync),
    graph: &Graph,
    node: NodeId,
    input: NodeId,
) -> Result<Option<Facts>, Problem> {
    Ok(predict.facts(graph, node)?.into_iter().find(|facts| facts.input == input))
}
