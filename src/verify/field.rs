//! Claims about receptive fields: which input positions a unit depends on, from gradients of the network itself.
//!
//! Two situations are measured. *On the network's own input*, the units in the middle and in the corner: the exact set
//! of elements that they read, borders included. *On an input so large that nothing clips*, the unit in the middle and
//! its neighbour: box, start, jump, positions and holes, as the definition of a receptive field has them.

use num_rational::Ratio;

use crate::analysis::field::{self, Facts, Field, Span};
use crate::analysis::support::{Borders, Region};
use crate::analysis::totals;
use crate::diagnostic::Problem;
use crate::exec::scalar::Scalar as _;
use crate::exec::tensor::{Tensor, batched};
use crate::graph::{Graph, NodeId};
use crate::verify::marks::Marks;
use crate::verify::perturb;
use crate::verify::predict::Predict;
use crate::verify::rebuild::{map_wide, mirrors, resized, slim, with_space};
use crate::verify::trace::trace;
use crate::verify::{Kind, Options, Outcome, inputs};

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
    /// The units, one index a spatial axis.
    pub units: Vec<Vec<i128>>,
    /// What the analysis says each of them reads.
    pub regions: Vec<Region>,
    /// Data-dependent sampling on the way: what is measured is the regular grid.
    pub sampled: bool,
}

pub(super) fn measure(
    graph: &Graph,
    predict: &(dyn Predict + Sync),
    options: &Options,
    outcome: &mut Outcome,
) -> Result<(), Problem> {
    let wanted = [Kind::ReceptiveField, Kind::Support, Kind::Context, Kind::Perturbation];
    if !wanted.into_iter().any(|kind| options.wants(kind)) {
        return Ok(());
    }
    let fields = field::analyse(graph, field::Options::default())?;
    let slim = slim(graph);
    for node in chosen(graph, &fields, options) {
        for field in &fields.nodes[node.0] {
            if field.axes.is_empty() {
                continue;
            }
            let own = own_place(graph, &slim.graph, &slim.how, predict, node, field)?;
            let wide = if field.local && field.axes.iter().all(|axis| !axis.whole) {
                wide_place(&slim.graph, &slim.how, predict, node, field, options)?
            } else {
                Wide::Global
            };
            if let Some(place) = &own {
                if costs(&place.graph) > options.effort.budget() {
                    outcome
                        .notes
                        .push(format!("support of {}: too expensive for this effort", graph.node(node).id));
                } else {
                    support(place, options, outcome)?;
                }
            }
            match &wide {
                Wide::Place(place, step) => {
                    unclipped(graph, predict, place, *step, options, outcome)?;
                    perturb::measure(place, options, outcome)?;
                }
                Wide::Global => {
                    if let Some(place) =
                        own.as_ref().filter(|place| costs(&place.graph) <= options.effort.budget())
                    {
                        perturb::measure(place, options, outcome)?;
                    }
                }
                Wide::None(why) => {
                    outcome.notes.push(format!("receptive field of {}: {why}", graph.node(node).id));
                }
            }
        }
    }
    Ok(())
}

/// The outputs, the last node with a local field where an output is global, and what was asked for.
fn chosen(graph: &Graph, fields: &field::Fields, options: &Options) -> Vec<NodeId> {
    let local = |node: NodeId| {
        graph.node(node).shape.rank() > 1
            && !fields.nodes[node.0].is_empty()
            && fields.nodes[node.0]
                .iter()
                .all(|field| field.local && field.axes.iter().all(|axis| !axis.whole))
    };
    let mut nodes = options.nodes.clone();
    let mut before = vec![false; graph.nodes.len()];
    for &output in graph.outputs.iter().take(4) {
        nodes.push(output);
        if local(output) {
            continue;
        }
        before.fill(false);
        before[output.0] = true;
        for index in (0..=output.0).rev().filter(|&index| graph.nodes[index].op != crate::graph::Op::Input) {
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
fn costs(graph: &Graph) -> u64 {
    let counts = totals::of_graph(graph);
    counts.macs.saturating_mul(2).saturating_add(counts.activations.saturating_mul(10))
}

fn own_place(
    graph: &Graph,
    slim: &Graph,
    how: &str,
    predict: &(dyn Predict + Sync),
    node: NodeId,
    field: &Field,
) -> Result<Option<Place>, Problem> {
    if mirrors(graph) || !field.local {
        return Ok(None);
    }
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
    Ok(Some(Place {
        graph: slim.clone(),
        how,
        node,
        input: field.input,
        units,
        regions,
        sampled: field.sampled,
    }))
}

/// Whether a unit can be seen whole.
enum Wide {
    /// Here, with so many units between the two.
    Place(Place, i128),
    /// It sees all there is.
    Global,
    /// Not, for this reason.
    None(String),
}

/// The network with an input so large that no window of the middle unit's field touches padding.
fn wide_place(
    slim: &Graph,
    how: &str,
    predict: &(dyn Predict + Sync),
    node: NodeId,
    field: &Field,
    options: &Options,
) -> Result<Wide, Problem> {
    let mut factor = 1.0;
    for attempt in 0..8 {
        let Some(facts) = facts_of(predict, slim, node, field.input)? else { return Ok(Wide::Global) };
        let wanted: Vec<u64> = facts
            .axes
            .iter()
            .map(|axis| {
                let jump = (*axis.jump.numer() / (*axis.jump.denom()).max(1)).max(1);
                let room = axis.size + 4 * jump + 16;
                (room as f64 * factor) as u64
            })
            .collect();
        factor *= 1.5;
        if attempt > 0 && wanted.iter().any(|&size| size > 1 << 24) {
            break;
        }
        let Some(graph) = enlarged(slim, &wanted) else { continue };
        if costs(&graph) > options.effort.budget() {
            return Ok(Wide::None(format!("too expensive on inputs of {} for this effort", inputs(&graph))));
        }
        let fields = field::analyse(&graph, field::Options::default())?;
        let Some(field) = fields.of(node, field.input) else { return Ok(Wide::Global) };
        let space = graph.node(node).shape.spatial();
        // A multiple of every period: the first phase says where unit 0 starts.
        let periods = field.axes.iter().flat_map(|axis| &axis.union).map(|piece| piece.family.period);
        let step = periods.fold(1i128, num_integer::lcm);
        if space.is_empty() || space.iter().any(|&size| i128::from(size) < 2 * step) {
            continue;
        }
        let middle = |&size: &u64| ((i128::from(size) - step) / 2).div_euclid(step) * step;
        let first: Vec<i128> = space.iter().map(middle).collect();
        let units = vec![first.clone(), first.iter().map(|unit| unit + step).collect()];
        let mut regions = Vec::new();
        let mut whole = true;
        for unit in &units {
            let region = predict.support(&graph, node, field.input, unit, Borders::Ignored)?;
            whole &= region == predict.support(&graph, node, field.input, unit, Borders::Real)?;
            regions.push(region);
        }
        if !whole {
            continue;
        }
        let how = format!("{how}, on inputs of {} so that nothing clips", inputs(&graph));
        let place = Place { graph, how, node, input: field.input, units, regions, sampled: field.sampled };
        return Ok(Wide::Place(place, step));
    }
    Ok(Wide::None("no input size was found at which the unit in the middle touches no padding".into()))
}

/// The network with inputs of at least `wanted` elements an axis, at the first size that it takes.
fn enlarged(graph: &Graph, wanted: &[u64]) -> Option<Graph> {
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

fn facts_of(
    predict: &(dyn Predict + Sync),
    graph: &Graph,
    node: NodeId,
    input: NodeId,
) -> Result<Option<Facts>, Problem> {
    Ok(predict.facts(graph, node)?.into_iter().find(|facts| facts.input == input))
}

/// For each place on the input, the marks of the units that read it (over all channels).
fn read(place: &Place, gates: bool) -> Result<(Vec<u64>, Vec<Marks>), Problem> {
    let shape = &place.graph.node(place.node).shape;
    let sizes = batched(1, shape)?;
    let space = &sizes[2..];
    let plane: usize = space.iter().product();
    let mut bits = vec![Marks::ZERO; plane.max(1)];
    for (bit, unit) in place.units.iter().enumerate() {
        let flat = unit.iter().zip(space).try_fold(0usize, |flat, (&index, &size)| {
            usize::try_from(index).ok().filter(|&index| index < size).map(|index| flat * size + index)
        });
        if let Some(flat) = flat {
            bits[flat] += Marks::bit(bit);
        }
    }
    let seed = Tensor::from_fn(&sizes, |flat| bits[flat % plane.max(1)]);
    let trace = trace(&place.graph, vec![(place.node, seed)], gates)?;
    let input = &place.graph.node(place.input).shape;
    let elements: usize = batched(1, input)?[2..].iter().product();
    let mut marks = vec![Marks::ZERO; elements];
    if let Some(tensor) = trace.on(place.input) {
        for channel in tensor.data().chunks(elements.max(1)) {
            marks.iter_mut().zip(channel).for_each(|(sum, &more)| *sum += more);
        }
    }
    Ok((input.spatial().to_vec(), marks))
}

/// The positions of `region` inside an input of these sizes.
pub(super) fn raster(region: &Region, sizes: &[u64]) -> Vec<bool> {
    let elements = sizes.iter().product::<u64>();
    let mut inside = vec![false; usize::try_from(elements).unwrap_or(0)];
    for product in region.products() {
        let mut flats = vec![0usize];
        for (set, &size) in product.iter().zip(sizes) {
            let size = usize::try_from(size).unwrap_or(0);
            let indices: Vec<usize> = set
                .spans()
                .iter()
                .flat_map(|span| span.lo.max(0)..=span.hi.min(size as i128 - 1))
                .filter_map(|index| usize::try_from(index).ok())
                .collect();
            flats =
                flats.iter().flat_map(|base| indices.iter().map(move |index| base * size + index)).collect();
        }
        flats.into_iter().for_each(|flat| inside[flat] = true);
    }
    inside
}

/// The box and number of the positions that `holds`.
fn hull(sizes: &[u64], holds: impl Fn(usize) -> bool) -> (Option<Vec<Span>>, u64) {
    let mut all: Option<Vec<Span>> = None;
    let mut count = 0;
    let elements = sizes.iter().product::<u64>();
    for flat in (0..usize::try_from(elements).unwrap_or(0)).filter(|&flat| holds(flat)) {
        count += 1;
        let mut rest = flat as u64;
        let mut at = vec![Span { lo: 0, hi: 0 }; sizes.len()];
        for (span, &size) in at.iter_mut().zip(sizes).rev() {
            *span = Span { lo: i128::from(rest % size), hi: i128::from(rest % size) };
            rest /= size;
        }
        all = Some(match all {
            Some(all) => all.into_iter().zip(at).map(|(a, b)| a.hull(b)).collect(),
            None => at,
        });
    }
    (all, count)
}

fn set_text(sizes: &[u64], spans: Option<&[Span]>, count: u64) -> String {
    let Some(spans) = spans else { return "nothing".into() };
    let area: i128 = spans.iter().map(Span::size).product();
    if count == sizes.iter().product::<u64>() {
        return format!("{count} positions, the whole input");
    }
    let bounds: Vec<String> = spans.iter().map(|span| format!("{}..{}", span.lo, span.hi)).collect();
    format!("{count} positions, {} holes, in {}", area - i128::from(count), bounds.join(" x "))
}

const GRADIENTS: &str = "gradients of the network with positive weights, marked so that nothing cancels";

/// The exact sets on the network's own input.
fn support(place: &Place, options: &Options, outcome: &mut Outcome) -> Result<(), Problem> {
    if !options.wants(Kind::Support) {
        return Ok(());
    }
    let (sizes, marks) = read(place, false)?;
    compare(place, &sizes, &marks, outcome);
    Ok(())
}

fn compare(place: &Place, sizes: &[u64], marks: &[Marks], outcome: &mut Outcome) {
    let id = &place.graph.node(place.node).id;
    for (bit, (unit, region)) in place.units.iter().zip(&place.regions).enumerate() {
        let predicted = raster(region, sizes);
        let (spans, count) = hull(sizes, |flat| marks[flat].has(bit));
        let (claimed, claims) = hull(sizes, |flat| predicted[flat]);
        let equal = predicted.iter().zip(marks).all(|(&p, m)| p == m.has(bit));
        let unit = unit.iter().map(i128::to_string).collect::<Vec<_>>().join(", ");
        let unit = if unit.is_empty() { String::new() } else { format!(" of unit ({unit})") };
        let grid = if place.sampled { ", data-dependent samples at their regular grid" } else { "" };
        outcome
            .claim(
                Kind::Support,
                Some(id),
                set_text(sizes, claimed.as_deref(), claims),
                set_text(sizes, spans.as_deref(), count),
            )
            .method(format!("{GRADIENTS}{unit}{grid}, {}", place.how))
            .verdict(equal);
    }
}

/// `427x427 from -197, -197, jump 32x32`.
fn field_text(sizes: &[i128], starts: Option<&[i128]>, jumps: Option<&[Ratio<i128>]>) -> String {
    let join = |list: Vec<String>, by: &str| {
        if list.windows(2).all(|pair| pair[0] == pair[1]) && list.len() > 1 && by == ", " {
            return list[0].clone();
        }
        list.join(by)
    };
    let mut text = join(sizes.iter().map(i128::to_string).collect(), "x");
    if let Some(starts) = starts {
        text += &format!(" from {}", join(starts.iter().map(i128::to_string).collect(), ", "));
    }
    if let Some(jumps) = jumps {
        text += &format!(", jump {}", join(jumps.iter().map(Ratio::to_string).collect(), ", "));
    }
    text
}

/// Box, start, jump, set and context where nothing clips.
fn unclipped(
    original: &Graph,
    predict: &(dyn Predict + Sync),
    place: &Place,
    step: i128,
    options: &Options,
    outcome: &mut Outcome,
) -> Result<(), Problem> {
    let id = place.graph.node(place.node).id.clone();
    let (sizes, marks) = read(place, false)?;
    let Some(facts) = facts_of(predict, &place.graph, place.node, place.input)? else { return Ok(()) };
    if options.wants(Kind::ReceptiveField) {
        let fields = field::analyse(&place.graph, field::Options::default())?;
        let pieces: Vec<Option<usize>> = fields.of(place.node, place.input).map_or_else(Vec::new, |field| {
            let moving = |axis: &field::AxisField| match &axis.union[..] {
                [piece] => piece.by.filter(|&by| by > 0).map(|by| by - 1),
                _ => None,
            };
            field.axes.iter().map(moving).collect()
        });
        let (first, _) = hull(&sizes, |flat| marks[flat].has(0));
        let (second, _) = hull(&sizes, |flat| marks[flat].has(1));
        let varies = facts.axes.iter().any(|axis| axis.varies);
        // One unit says the start and the jump where one path, or several that agree, lead to it.
        let steady = pieces.len() == facts.axes.len() && pieces.iter().all(Option::is_some);
        if let (Some(first), Some(second)) = (first, second)
            && !varies
        {
            let found: Vec<i128> = first.iter().map(Span::size).collect();
            let jumps: Vec<Ratio<i128>> =
                first.iter().zip(&second).map(|(a, b)| Ratio::new(b.lo - a.lo, step)).collect();
            let starts: Vec<i128> = first
                .iter()
                .zip(&jumps)
                .zip(&pieces)
                .map(|((span, jump), by)| {
                    let unit = by.and_then(|by| place.units[0].get(by)).copied().unwrap_or(0);
                    span.lo - (jump * unit).to_integer()
                })
                .collect();
            let size: Vec<i128> = facts.axes.iter().map(|axis| axis.size).collect();
            let start: Option<Vec<i128>> =
                facts.axes.iter().map(|axis| axis.first.map(|span| span.lo)).collect();
            let jump: Vec<Ratio<i128>> = facts.axes.iter().map(|axis| axis.jump).collect();
            let mut method =
                format!("{GRADIENTS}; start and jump from two units {step} apart; {}", place.how);
            let own = facts_of(predict, original, place.node, place.input)?;
            let key = |facts: &Facts| {
                facts.axes.iter().map(|axis| (axis.size, axis.jump, axis.first)).collect::<Vec<_>>()
            };
            if own.is_some_and(|own| key(&own) != key(&facts)) {
                method += "; a layer adapts to the input's size, so the prediction is the one for this size";
            }
            let both = steady && start.is_some();
            outcome
                .claim(
                    Kind::ReceptiveField,
                    Some(&id),
                    field_text(&size, start.as_deref().filter(|_| both), both.then_some(&jump)),
                    field_text(&found, both.then_some(&starts), both.then_some(&jumps)),
                )
                .method(method);
        }
    }
    if options.wants(Kind::Support) {
        compare(place, &sizes, &marks, outcome);
    }
    if options.wants(Kind::Context) && has_gates(&place.graph, place.node) {
        let (_, with_gates) = read(place, true)?;
        let beyond = with_gates.iter().zip(&marks).any(|(gated, local)| gated.has(0) && !local.has(0));
        let text =
            |context: bool| if context { "global context beyond the local field" } else { "local only" };
        outcome.claim(Kind::Context, Some(&id), text(facts.global_context), text(beyond)).method(format!(
            "gradients with the gates and map-wide statistics cut, and with them; {}",
            place.how
        ));
    }
    Ok(())
}

/// Whether a gate or statistics act before `node`.
fn has_gates(graph: &Graph, node: NodeId) -> bool {
    graph.nodes.iter().take(node.0 + 1).any(|node| match &node.op {
        crate::graph::Op::Layer(layer) => {
            map_wide(layer)
                || graph.reach(node).iter().any(|reach| reach.role == crate::layers::Role::Context)
        }
        crate::graph::Op::Input => false,
    })
}
