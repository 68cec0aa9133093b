//! Where a receptive field is measured: on the network's own input, borders included, or on one so large that nothing
//! clips.

use crate::predict::Predict;
use crate::rebuild::{resized, with_space};
use crate::{Options, inputs};
use cnnkit_core::analysis::field::{self, Facts, Field};
use cnnkit_core::analysis::support::{Borders, Region};
use cnnkit_core::analysis::totals;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::{Graph, NodeId, Op};
use cnnkit_core::layers::Layer;

/// Outputs that are measured unasked.
pub(super) const MOST_OUTPUTS: usize = 4;

/// Where a field is measured.
pub(super) struct Place {
    /// The network as it is run.
    pub graph: Graph,
    /// How it differs from the network itself.
    pub how: String,
    /// The node.
    pub node: NodeId,
    /// The input.
    pub input: NodeId,
    /// The units, one index a spatial axis (all channels), or one an axis.
    pub units: Vec<Vec<i128>>,
    /// What the analysis says each of them reads.
    pub regions: Vec<Region>,
    /// Data-dependent sampling on the way: what is measured is the regular grid.
    pub sampled: bool,
}

/// Whether the units of a field move with their channel.
pub(super) fn by_channel(field: &Field) -> bool {
    field.axes.iter().flat_map(|axis| &axis.union).any(|piece| piece.by == Some(0))
}

/// Whether the field of `node` cannot be followed to other input sizes: behind an adaptive pool or a resize to several positions,
/// whose windows grow with the input, or where a map of one channel became a vector, whose elements then are positions.
pub(super) fn size_bound(graph: &Graph, node: NodeId) -> bool {
    graph.nodes.iter().take(node.0 + 1).any(|node| {
        let several = || node.shape.spatial().iter().any(|&size| size > 1);
        match &node.op {
            Op::Layer(Layer::AdaptiveAvgPool(_) | Layer::AdaptiveMaxPool(_)) => several(),
            Op::Layer(Layer::Upsample(resize)) => resize.size.is_some() && several(),
            Op::Layer(Layer::Flatten(_) | Layer::Reshape(_)) => {
                let input = &graph.node(node.inputs[0]).shape;
                let map = input.channels() == 1 && input.spatial().iter().any(|&size| size > 1);
                node.shape.rank() == 1 && map
            }
            _ => false,
        }
    })
}

/// The outputs, the last node with a local field where an output is global, and what was asked for.
pub(super) fn chosen(graph: &Graph, fields: &field::Fields, options: &Options) -> Vec<NodeId> {
    let local = |node: NodeId| {
        graph.node(node).shape.rank() > 1
            && !fields.nodes[node.0].is_empty()
            && fields.nodes[node.0]
                .iter()
                .all(|field| field.local && field.axes.iter().all(|axis| !axis.whole))
    };
    let mut nodes = options.nodes.clone();
    let mut before = vec![false; graph.nodes.len()];
    for &output in graph.outputs.iter().take(MOST_OUTPUTS) {
        nodes.push(output);
        if local(output) {
            continue;
        }
        before.fill(false);
        before[output.0] = true;
        for index in (0..=output.0).rev().filter(|&index| graph.nodes[index].op != Op::Input) {
            if before[index] {
                if local(NodeId(index)) {
                    nodes.push(NodeId(index));
                    break;
                }
                graph.nodes[index].inputs.iter().for_each(|input| before[input.0] = true);
            }
        }
    }
    nodes.sort_unstable();
    nodes.dedup();
    nodes
}

/// About how many steps a run takes.
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

/// Fewer phases than marks.
pub(super) const PHASES: i128 = 60;

/// Whether a unit can be seen whole.
pub(super) enum Wide {
    /// Here, with so many units between the two.
    Place(Place, i128),
    /// It sees all there is.
    Global,
    /// Not, for this reason.
    None(String),
}

/// The network with an input so large that no window of the middle unit's field touches padding.
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
        // An adaptive pool repeats itself soon at some sizes only: where its map divides evenly.
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
            // A map of one position at the network's own size may be one of several here, of which a later layer sees all.
            let local = |field: &&Field| field.local && field.axes.iter().all(|axis| !axis.whole);
            let Some(field) = fields.of(node, field.input).filter(local) else { return Ok(Wide::Global) };
            let space = graph.node(node).shape.spatial();
            // A multiple of every period: the first phase says where unit 0 starts.
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

/// Two units in the middle of a map, a `step` apart; for a field that `varies`, if marks suffice, with the phases between
/// them: those on the diagonal, or all if there are `gaps`, in which a unit reads nothing whatever its other axes; last,
/// the unit in the middle itself.
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

/// What the units read; none if a border takes something away from one of them.
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

/// The network with inputs of at least `wanted` elements an axis, at the first size that it takes.
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
