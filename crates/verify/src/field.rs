//! Claims about receptive fields: which input positions a unit depends on, from gradients of the network itself.
//!
//! Two situations are measured. *On the network's own input*, the units in the middle and in the corner: the exact set
//! of elements that they read, borders included. *On an input so large that nothing clips*, the unit in the middle and
//! its neighbour: box, start, jump, positions and holes, as the definition of a receptive field has them.

use crate::dependence_bits::Marks;
use crate::global_field::whole;
use crate::perturb;
use crate::predict::Predict;
use crate::probe::{MOST_OUTPUTS, Place, Wide, by_channel, chosen, costs, facts_of, own_place, wide_place};
use crate::progress::Bar;
use crate::rebuild::{map_wide, slim};
use crate::sets::{field_text, hull, position, raster, set_text, spans_text};
use crate::trace::trace;
use crate::{Kind, Options, Outcome};
use cnnkit_core::analysis::field::{self, Facts, Interval, Jump};
use cnnkit_core::analysis::support::{self, Borders, Region, from_all};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::{Graph, NodeId};
use cnnkit_core::number;
use cnnkit_exec::scalar::Scalar as _;
use cnnkit_exec::tensor::{Tensor, batched};

pub(super) fn measure(
    graph: &Graph,
    predict: &(dyn Predict + Sync),
    options: &Options,
    outcome: &mut Outcome,
    bar: &Bar<'_>,
) -> Result<(), Problem> {
    let wanted = [Kind::ReceptiveField, Kind::Support, Kind::Context, Kind::Perturbation];
    if !wanted.into_iter().any(|kind| options.wants(kind)) {
        return Ok(());
    }
    let fields = field::analyse(graph, field::Options::default())?;
    let slim = slim(graph);
    if graph.outputs.len() > MOST_OUTPUTS && options.nodes.is_empty() {
        let left = graph.outputs.len() - MOST_OUTPUTS;
        outcome.notes.push(format!("receptive fields of {left} more outputs: --node ID measures one"));
    }
    let nodes = chosen(graph, &fields, options);
    let part = bar.part(300, 4 * nodes.iter().map(|node| fields.nodes[node.0].len()).sum::<usize>());
    for node in nodes {
        if options.wants(Kind::ReceptiveField) {
            sources(&slim.graph, predict, node, options, outcome)?;
        }
        for field in &fields.nodes[node.0] {
            if field.axes.is_empty() {
                continue;
            }
            let id = &graph.node(node).id;
            // What is beyond the analysis (sets of too many pieces) is not measured, and no reason to measure nothing.
            let own = match own_place(&slim.graph, &slim.how, predict, node, field) {
                Ok(own) => Some(own),
                Err(problem) => {
                    outcome.notes.push(format!("support of {id}: {problem}"));
                    None
                }
            };
            let own = own.filter(|own| {
                let fits = costs(&own.graph) <= options.effort.budget();
                if !fits {
                    outcome.notes.push(format!("support of {id}: too expensive for this effort; --thorough"));
                }
                fits
            });
            if let Some(place) = &own {
                support(place, options, outcome)?;
            }
            part.step();
            let wide = if field.local && field.axes.iter().all(|axis| !axis.whole) {
                wide_place(&slim.graph, &slim.how, predict, node, field, options)
                    .unwrap_or_else(|problem| Wide::None(problem.to_string()))
            } else {
                Wide::Global
            };
            part.step();
            match (&wide, &own) {
                (Wide::Place(place, step), _) => {
                    unclipped(graph, predict, place, *step, options, outcome)?;
                    part.step();
                    // A few runs in full precision: where the large input is too much for them, the own one.
                    let dear = costs(&place.graph).saturating_mul(4) > options.effort.budget();
                    let place = own.as_ref().filter(|_| dear).unwrap_or(place);
                    perturb::measure(predict, place, options, outcome)?;
                }
                (Wide::Global, Some(place)) => {
                    whole(predict, place, options, outcome)?;
                    perturb::measure(predict, place, options, outcome)?;
                }
                (Wide::Global, None) => outcome
                    .notes
                    .push(format!("receptive field of {id}: global, and too expensive for this effort")),
                (Wide::None(why), _) => outcome.notes.push(format!("receptive field of {id}: {why}")),
            }
            part.step();
        }
    }
    Ok(())
}

/// Which inputs a node depends on at all, gates included, where there is a choice or the analysis forgets one.
fn sources(
    slim: &Graph,
    predict: &(dyn Predict + Sync),
    node: NodeId,
    options: &Options,
    outcome: &mut Outcome,
) -> Result<(), Problem> {
    // At this size: where a map is smaller than the padding around it, a unit may read nothing of an input.
    let read = from_all(slim, &[node], true)?;
    let something = |input: &NodeId| read[input.0].as_ref().is_none_or(|region| !region.is_empty());
    let facts = predict.facts(slim, node)?;
    let predicted: Vec<NodeId> = facts.iter().map(|facts| facts.input).filter(something).collect();
    let reads = |predicted: &[NodeId]| -> String {
        let read = slim.inputs().filter(|(id, _)| predicted.contains(id));
        let ids: Vec<&str> = read.map(|(_, input)| input.id.as_str()).collect();
        if ids.is_empty() { "reads no input".into() } else { format!("reads {}", ids.join(", ")) }
    };
    let alone = slim.inputs().count() == 1 && !facts.is_empty();
    if alone || costs(slim) > options.effort.budget() {
        return Ok(());
    }
    let shape = &slim.node(node).shape;
    let seed = Tensor::from_fn(&batched(1, shape)?, |_| Marks::ONE);
    let trace = trace(slim, vec![(node, seed)], true)?;
    let found: Vec<NodeId> = trace.inputs.iter().map(|(id, _)| *id).collect();
    outcome
        .claim(Kind::ReceptiveField, Some(&slim.node(node).id), reads(&predicted), reads(&found))
        .method("gradients of the whole node, gates included");
    Ok(())
}

/// For each place on the input (all its channels), the marks of the units that read it: units of all channels, one index
/// a spatial axis, or of one channel, which comes before them.
pub(super) fn read(place: &Place, gates: bool) -> Result<(Vec<u64>, Vec<Marks>), Problem> {
    let sizes = batched(1, &place.graph.node(place.node).shape)?;
    let plane: usize = sizes[2..].iter().product::<usize>().max(1);
    let mut bits = vec![Marks::ZERO; sizes.iter().product::<usize>().max(1)];
    for (bit, unit) in place.units.iter().enumerate() {
        let all = unit.len() + 2 == sizes.len();
        let axes = if all { &sizes[2..] } else { &sizes[1..] };
        let flat = unit.iter().zip(axes).try_fold(0usize, |flat, (&index, &size)| {
            usize::try_from(index).ok().filter(|&index| index < size).map(|index| flat * size + index)
        });
        if let Some(flat) = flat {
            let last = if all { bits.len() } else { flat + 1 };
            bits[flat..last].iter_mut().step_by(plane).for_each(|marks| *marks += Marks::bit(bit));
        }
    }
    let seed = Tensor::from_fn(&sizes, |flat| bits[flat]);
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

pub(super) const GRADIENTS: &str =
    "gradients of the network with positive weights, marked so that nothing cancels";

/// The exact sets on the network's own input.
fn support(place: &Place, options: &Options, outcome: &mut Outcome) -> Result<(), Problem> {
    if !options.wants(Kind::Support) {
        return Ok(());
    }
    let (sizes, marks) = read(place, false)?;
    compare(place, &sizes, &marks, outcome);
    Ok(())
}

pub(super) fn compare(place: &Place, sizes: &[u64], marks: &[Marks], outcome: &mut Outcome) {
    let id = &place.graph.node(place.node).id;
    for (bit, (unit, region)) in place.units.iter().zip(&place.regions).enumerate().take(2) {
        let predicted = raster(region, sizes);
        let (spans, count) = hull(sizes, |flat| marks[flat].has(bit));
        let (claimed, claims) = hull(sizes, |flat| predicted[flat]);
        let wrong = predicted.iter().zip(marks).position(|(&p, m)| p != m.has(bit));
        let unit = unit.iter().map(i128::to_string).collect::<Vec<_>>().join(", ");
        let unit = if unit.is_empty() { String::new() } else { format!(" of unit ({unit})") };
        let grid = if place.sampled { ", data-dependent samples at their regular grid" } else { "" };
        let mut found = set_text(sizes, spans.as_deref(), count);
        if let Some(flat) = wrong {
            let not = if predicted[flat] { " not" } else { "" };
            found += &format!("; {} is{not} read", position(flat, sizes));
        }
        outcome
            .claim(Kind::Support, Some(id), set_text(sizes, claimed.as_deref(), claims), found)
            .method(format!("{GRADIENTS}{unit}{grid}, {}", place.how))
            .verdict(wrong.is_none());
    }
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
    let (sizes, marks) = read(place, false)?;
    let Some(facts) = facts_of(predict, &place.graph, place.node, place.input)? else { return Ok(()) };
    if options.wants(Kind::ReceptiveField) {
        field_claim(original, predict, place, step, (&sizes, &marks, &facts), outcome)?;
    }
    if options.wants(Kind::Support) {
        compare(place, &sizes, &marks, outcome);
    }
    if options.wants(Kind::Context) && (facts.global_context || has_gates(&place.graph, place.node)) {
        context(place, &marks, &facts, outcome)?;
    }
    Ok(())
}

/// Size, start and jump, and what the unit in the middle of the map sees.
fn field_claim(
    original: &Graph,
    predict: &(dyn Predict + Sync),
    place: &Place,
    step: i128,
    (sizes, marks, facts): (&[u64], &[Marks], &Facts),
    outcome: &mut Outcome,
) -> Result<(), Problem> {
    let id = place.graph.node(place.node).id.clone();
    let last = place.units.len() - 1;
    let seen = |bit: usize| hull(sizes, |flat| marks[flat].has(bit)).0;
    // What unit 0 would see, from the unit in the middle, as far as one axis of the node moves each axis of the input.
    let fields = field::analyse(&place.graph, field::Options::default())?;
    let moving = |axis: &field::AxisField| match &axis.union[..] {
        [piece] => piece.by.filter(|&by| by > 0).map(|by| by - 1),
        _ => None,
    };
    let by: Option<Vec<usize>> =
        fields.of(place.node, place.input).and_then(|field| field.axes.iter().map(moving).collect());
    let varies = facts.axes.iter().any(|axis| axis.varies);
    let mut method = format!("{GRADIENTS}; {}", place.how);
    let own = facts_of(predict, original, place.node, place.input)?;
    let key =
        |facts: &Facts| facts.axes.iter().map(|axis| (axis.size, axis.jump, axis.first)).collect::<Vec<_>>();
    if own.is_some_and(|own| key(&own) != key(facts)) {
        method += "; a layer adapts to the input's size, so the prediction is the one for this size";
    }
    let grid = if place.sampled { " or more (samples move with the data)" } else { "" };
    let size: Vec<i128> = facts.axes.iter().map(|axis| axis.size).collect();
    match (seen(0), seen(1), &by) {
        // Their sizes are not told by two units then; what the middle one reads must lie inside.
        _ if facts.bound => {}
        (None, _, _) | (_, None, _) if !varies => {
            // A gap on one axis is one on all.
            // So is one on an axis that carries no position; the exact sets know it.
            let gap = size.contains(&0) || place.regions.iter().take(2).any(Region::is_empty);
            let claimed = if gap { "nothing".into() } else { field_text(&size, None, None) };
            outcome.claim(Kind::ReceptiveField, Some(&id), claimed, "nothing").method(method);
        }
        (first, second, Some(by)) if !varies || place.units.len() > 3 => {
            let phases: Vec<Vec<Interval>> = (0..last).filter_map(seen).collect();
            let axes = 0..facts.axes.len();
            let found: Vec<i128> =
                axes.clone().map(|axis| phases.iter().map(|spans| spans[axis].size()).max().unwrap_or(0)).collect();
            let jumps: Option<Vec<Jump>> = first.as_ref().zip(second.as_ref()).map(|(first, second)| {
                first.iter().zip(second).map(|(a, b)| Jump::new(b.lo - a.lo, step)).collect()
            });
            let at_zero = |axis: usize| {
                let (span, jump) = (first.as_ref()?[axis], jumps.as_ref()?[axis]);
                let unit = place.units[0].get(by[axis]).copied().unwrap_or(0);
                let moved = (jump * unit).to_integer();
                Some(Interval { lo: span.lo - moved, hi: span.hi - moved })
            };
            let starts: Vec<Option<Interval>> = axes.map(at_zero).collect();
            let claimed = nothing_at_all(facts.axes.iter().map(|axis| axis.first).collect());
            // A unit in a gap of a transposed convolution sees nothing, and tells no jump.
            let jump: Option<Vec<Jump>> = jumps.as_ref().map(|_| facts.axes.iter().map(|axis| axis.jump).collect());
            let global = if facts.global { "the whole input, " } else { "" };
            let most = if varies { "at most " } else { "" };
            outcome
                .claim(
                    Kind::ReceptiveField,
                    Some(&id),
                    format!("{global}{most}{}{grid}", field_text(&size, Some(&claimed), jump.as_deref())),
                    format!("{most}{}{grid}", field_text(&found, Some(&starts), jumps.as_deref())),
                )
                .method(format!("{method}; start and jump from two units {step} apart"));
        }
        _ => outcome.notes.push(format!(
            "box of {id}: its paths have different jumps, or follow its channels, so it varies; the exact sets are \
             compared instead"
        )),
    }
    let mut claimed = nothing_at_all(facts.axes.iter().map(|axis| axis.middle).collect());
    let mut share_claimed = facts.seen;
    // A gap on an axis that carries no position is known to the exact sets alone.
    if place.regions.last().is_some_and(Region::is_empty) && place.regions.len() == place.units.len() {
        (claimed, share_claimed) = (vec![None; sizes.len()], 0.0);
    }
    // Behind a permutation each channel sees something else: the prediction is about the one in the middle.
    let middle = if fields.of(place.node, place.input).is_some_and(by_channel) {
        let unit =
            place.graph.node(place.node).shape.sizes().iter().map(|&size| i128::from(size / 2)).collect();
        let place = Place {
            graph: place.graph.clone(),
            how: String::new(),
            units: vec![unit],
            regions: vec![],
            ..*place
        };
        let (_, marks) = read(&place, false)?;
        hull(sizes, |flat| marks[flat].has(0)).0
    } else {
        seen(last)
    };
    let found: Vec<Option<Interval>> =
        middle.map_or(vec![None; sizes.len()], |spans| spans.into_iter().map(Some).collect());
    let area: i128 = sizes.iter().map(|&size| i128::from(size)).product();
    let share =
        found.iter().map(|span| span.map_or(0, |span| span.size())).product::<i128>() as f64 / area as f64;
    let bound = facts.bound;
    let ok = if bound {
        claimed.iter().zip(&found).all(|pair| match pair {
            (Some(claimed), Some(found)) => claimed.lo <= found.lo && found.hi <= claimed.hi,
            (claimed, found) => found.is_none() || claimed == found,
        })
    } else {
        claimed == found && (share_claimed - share).abs() < 1e-9
    };
    let text = |most: &str, spans: &[Option<Interval>], share: f64| {
        // All digits where the rounded ones may be the same.
        let seen = if ok { number::share(share) } else { format!("{} %", share * 100.0) };
        format!("the middle unit {most}at {}, {seen} of the input", spans_text(spans))
    };
    let most = if bound { "at most " } else { "" };
    outcome
        .claim(Kind::ReceptiveField, Some(&id), text(most, &claimed, share_claimed), text("", &found, share))
        .method(format!("{GRADIENTS}; {}", place.how))
        .verdict(ok);
    Ok(())
}

/// A unit that falls into a gap on one axis reads nothing on the others either.
fn nothing_at_all(spans: Vec<Option<Interval>>) -> Vec<Option<Interval>> {
    if spans.iter().any(Option::is_none) { vec![None; spans.len()] } else { spans }
}

/// Whether the gates add anything to what is read locally.
pub(super) fn context(
    place: &Place,
    marks: &[Marks],
    facts: &Facts,
    outcome: &mut Outcome,
) -> Result<(), Problem> {
    let (_, with_gates) = read(place, true)?;
    // Of all units that are marked: the one in the middle may fall into a gap, and read nothing at all.
    if with_gates.iter().all(|gated| *gated == Marks::ZERO) {
        let id = &place.graph.node(place.node).id;
        outcome.notes.push(format!("context of {id}: the units in the middle read nothing"));
        return Ok(());
    }
    let beyond = with_gates.iter().zip(marks).any(|(gated, local)| gated.0 & !local.0 != 0);
    let text = |context: bool| if context { "global context beyond the local field" } else { "local only" };
    let id = &place.graph.node(place.node).id;
    // Of these units the exact sets tell more than the boxes: gates may reach no further than a local field does, and
    // reach further than the whole input of other units where one meets nothing but padding.
    let reads = |unit: &Vec<i128>| -> Result<(i128, i128), Problem> {
        let (graph, node, input) = (&place.graph, place.node, place.input);
        let local = support::support(graph, node, input, unit, Borders::Real)?.positions()?;
        Ok((local, support::support_and_context(graph, node, input, unit)?.positions()?))
    };
    let units = gated(&place.graph, place.node)
        .then(|| place.units.iter().map(reads).collect::<Result<Vec<_>, _>>().ok())
        .flatten();
    let exact = units.and_then(|units| {
        let further: Vec<_> = units.into_iter().filter(|(local, all)| all > local).collect();
        let padding = further.iter().all(|(local, _)| *local == 0);
        if facts.global_context {
            further.is_empty().then_some(false)
        } else {
            (!further.is_empty() && (padding || facts.global)).then_some(true)
        }
    });
    // Where boxes are a bound, so is what gates add to them.
    let (ok, most) = match (exact, facts.bound) {
        (Some(exact), _) => (exact == beyond, ""),
        (None, true) => (facts.global_context || !beyond, "at most "),
        (None, false) => (facts.global_context == beyond, ""),
    };
    let claimed = match exact {
        Some(false) => "gates reach no further than the local field",
        Some(true) => "gates reach further where padding is met",
        None => text(facts.global_context),
    };
    outcome
        .claim(Kind::Context, Some(id), format!("{most}{claimed}"), text(beyond))
        .method(format!("gradients with the gates and map-wide statistics cut, and with them; {}", place.how))
        .verdict(ok);
    Ok(())
}

/// Whether a gate or statistics over the whole map act on `node`.
fn gated(graph: &Graph, node: NodeId) -> bool {
    let mut before = vec![false; graph.nodes.len()];
    before[node.0] = true;
    (0..=node.0).rev().any(|index| {
        let reaches = graph.reach(&graph.nodes[index]);
        if !before[index] {
            return false;
        }
        for reach in &reaches {
            before[graph.nodes[index].inputs[reach.input].0] = true;
        }
        reaches.iter().any(|reach| reach.role == cnnkit_core::layers::Role::Context)
    })
}

/// Whether a gate or statistics act before `node`.
pub(super) fn has_gates(graph: &Graph, node: NodeId) -> bool {
    graph.nodes.iter().take(node.0 + 1).any(|node| match &node.op {
        cnnkit_core::graph::Op::Layer(layer) => {
            map_wide(layer)
                || graph.reach(node).iter().any(|reach| reach.role == cnnkit_core::layers::Role::Context)
        }
        cnnkit_core::graph::Op::Input => false,
    })
}
