//! Claims about receptive fields: which input positions a unit depends on, from gradients of the network itself.
//!
//! Fields are measured in two situations. *On the network's own input*, the units in the middle and in the corner:
//! the exact set of elements that they read, borders included. *On an input so large that nothing clips*, the unit in
//! the middle and its neighbour: box, start, jump, positions and holes, by the definition of a receptive field.

use crate::dependence_bits::Marks;
use crate::global_field::whole;
use crate::perturb;
use crate::predict::Predict;
use crate::probe::{MOST_OUTPUTS, Place, Wide, by_channel, chosen, costs, facts_of, own_place, wide_place};
use crate::progress::Bar;
use crate::read_positions::{GRADIENTS, compare, context, has_gates, read};
use crate::rebuild::slim;
use crate::sets::{field_text, hull, spans_text};
use crate::trace::trace;
use crate::{Kind, Options, Outcome};
use cnnkit_core::analysis::field::{self, Facts, Interval, Jump};
use cnnkit_core::analysis::support::{Region, from_all};
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
    if graph.outputs().len() > MOST_OUTPUTS && options.nodes.is_empty() {
        let left = graph.outputs().len() - MOST_OUTPUTS;
        outcome.notes.push(format!("receptive fields of {left} more outputs: --node ID measures one"));
    }
    let nodes = chosen(graph, &fields, options);
    let part = bar.part(300, 4 * nodes.iter().map(|node| fields.nodes[node.index()].len()).sum::<usize>());
    for node in nodes {
        if options.wants(Kind::ReceptiveField) {
            sources(&slim.graph, predict, node, options, outcome)?;
        }
        for field in &fields.nodes[node.index()] {
            if field.axes.is_empty() {
                continue;
            }
            let id = &graph.node(node).id;
            // A support beyond the analysis (sets of too many pieces) is skipped; everything else is still measured.
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
                    // Several runs in full precision: if the large input is too expensive, use the network's
                    // own.
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

/// Compares which inputs a node depends on, gates included, if there are several or the analysis finds none.
fn sources(
    slim: &Graph,
    predict: &(dyn Predict + Sync),
    node: NodeId,
    options: &Options,
    outcome: &mut Outcome,
) -> Result<(), Problem> {
    // At this size: where a map is smaller than the padding around it, a unit may read nothing of an input.
    let read = from_all(slim, &[node], true)?;
    let something = |input: &NodeId| read[input.index()].as_ref().is_none_or(|region| !region.is_empty());
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

/// Compares the exact sets on the network's own input.
fn support(place: &Place, options: &Options, outcome: &mut Outcome) -> Result<(), Problem> {
    if !options.wants(Kind::Support) {
        return Ok(());
    }
    let (sizes, marks) = read(place, false)?;
    compare(place, &sizes, &marks, outcome);
    Ok(())
}

/// Compares box, start, jump, set and context where nothing clips.
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

/// Compares size, start and jump, and the field of the unit in the middle of the map.
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
    // The field of unit 0, extrapolated from the unit in the middle, where one axis of the node moves each input
    // axis.
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
        // Two units do not determine the size then; the field of the middle unit must lie inside the bound.
        _ if facts.bound => {}
        (None, _, _) | (_, None, _) if !varies => {
            // A gap on one axis is a gap on all. A gap on an axis that carries no position is one too, which only the
            // exact sets show.
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
            // A unit in a gap of a transposed convolution has an empty field, which gives no jump.
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
    // Only the exact sets show a gap on an axis that carries no position.
    if place.regions.last().is_some_and(Region::is_empty) && place.regions.len() == place.units.len() {
        (claimed, share_claimed) = (vec![None; sizes.len()], 0.0);
    }
    // After a permutation each channel has its own field: the prediction is for the channel in the middle.
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
        // All digits where the rounded ones may be equal.
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

/// Empties all axes if one is empty: a unit in a gap on one axis reads nothing on the others either.
fn nothing_at_all(spans: Vec<Option<Interval>>) -> Vec<Option<Interval>> {
    if spans.iter().any(Option::is_none) { vec![None; spans.len()] } else { spans }
}
