//! Claims about receptive fields: which input positions a unit depends on, from gradients of the network itself.
//!
//! Two situations are measured. *On the network's own input*, the units in the middle and in the corner: the exact set
//! of elements that they read, borders included. *On an input so large that nothing clips*, the unit in the middle and
//! its neighbour: box, start, jump, positions and holes, as the definition of a receptive field has them.

use crate::analysis::field::{self, Facts, Jump, Span};
use crate::diagnostic::Problem;
use crate::exec::scalar::Scalar as _;
use crate::exec::tensor::{Tensor, batched};
use crate::graph::{Graph, NodeId};
use crate::render::number;
use crate::verify::marks::Marks;
use crate::verify::perturb;
use crate::verify::place::{
    MOST_OUTPUTS, PHASES, Place, Wide, chosen, costs, crops, enlarged, facts_of, own_place, size_bound,
    wide_place,
};
use crate::verify::predict::Predict;
use crate::verify::rebuild::{map_wide, slim};
use crate::verify::sets::{field_text, hull, position, raster, set_text, spans_text};
use crate::verify::trace::trace;
use crate::verify::{Kind, Options, Outcome, inputs};

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
    if graph.outputs.len() > MOST_OUTPUTS && options.nodes.is_empty() {
        let left = graph.outputs.len() - MOST_OUTPUTS;
        outcome.notes.push(format!("receptive fields of {left} more outputs: --node ID measures one"));
    }
    for node in chosen(graph, &fields, options) {
        if options.wants(Kind::ReceptiveField) {
            sources(&slim.graph, predict, node, options, outcome)?;
        }
        for field in &fields.nodes[node.0] {
            if field.axes.is_empty() {
                continue;
            }
            let id = &graph.node(node).id;
            let own = own_place(&slim.graph, &slim.how, predict, node, field)?;
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
            let wide = if field.local && field.axes.iter().all(|axis| !axis.whole) {
                wide_place(&slim.graph, &slim.how, predict, node, field, options)?
            } else {
                Wide::Global
            };
            match (&wide, &own) {
                (Wide::Place(place, step), _) => {
                    unclipped(graph, predict, place, *step, options, outcome)?;
                    // A few runs in full precision: where the large input is too much for them, the own one.
                    let dear = costs(&place.graph).saturating_mul(4) > options.effort.budget();
                    perturb::measure(own.as_ref().filter(|_| dear).unwrap_or(place), options, outcome)?;
                }
                (Wide::Global, Some(place)) => {
                    whole(predict, place, options, outcome)?;
                    perturb::measure(place, options, outcome)?;
                }
                (Wide::Global, None) => outcome.notes.push(format!(
                    "receptive field of {id}: global behind mirrored padding, or too expensive for this effort"
                )),
                (Wide::None(why), _) => outcome.notes.push(format!("receptive field of {id}: {why}")),
            }
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
    let predicted: Vec<NodeId> = predict.facts(slim, node)?.iter().map(|facts| facts.input).collect();
    let reads = |predicted: &[NodeId]| -> String {
        let read = slim.inputs().filter(|(id, _)| predicted.contains(id));
        let ids: Vec<&str> = read.map(|(_, input)| input.id.as_str()).collect();
        if ids.is_empty() { "reads no input".into() } else { format!("reads {}", ids.join(", ")) }
    };
    let alone = slim.inputs().count() == 1 && !predicted.is_empty();
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
    for (bit, (unit, region)) in place.units.iter().zip(&place.regions).enumerate().take(2) {
        let predicted = raster(region, sizes);
        let (spans, count) = hull(sizes, |flat| marks[flat].has(bit));
        let (claimed, claims) = hull(sizes, |flat| predicted[flat]);
        let bound = place.bound();
        let differs = |(&p, m): (&bool, &Marks)| if bound { m.has(bit) && !p } else { p != m.has(bit) };
        let wrong = predicted.iter().zip(marks).position(differs);
        let unit = unit.iter().map(i128::to_string).collect::<Vec<_>>().join(", ");
        let unit = if unit.is_empty() { String::new() } else { format!(" of unit ({unit})") };
        let grid = if place.sampled { ", data-dependent samples at their regular grid" } else { "" };
        let mut found = set_text(sizes, spans.as_deref(), count);
        if let Some(flat) = wrong {
            let not = if predicted[flat] { " not" } else { "" };
            found += &format!("; {} is{not} read", position(flat, sizes));
        }
        outcome
            .claim(
                Kind::Support,
                Some(id),
                format!(
                    "{}{}",
                    if bound { "at most " } else { "" },
                    set_text(sizes, claimed.as_deref(), claims)
                ),
                found,
            )
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
        (None, _, _) | (_, None, _) if !varies => {
            outcome.claim(Kind::ReceptiveField, Some(&id), field_text(&size, None, None), "nothing").method(method);
        }
        (first, second, Some(by)) if !varies || step < PHASES => {
            let phases: Vec<Vec<Span>> = (0..last).filter_map(seen).collect();
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
                Some(Span { lo: span.lo - moved, hi: span.hi - moved })
            };
            let starts: Vec<Option<Span>> = axes.map(at_zero).collect();
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
            "box of {id}: its paths have different jumps, so it varies along the map; the exact sets are compared instead"
        )),
    }
    // Behind a permutation each channel sees something else; what is measured is the unit with all its channels.
    let by_channel = |field: &field::Field| {
        field.axes.iter().flat_map(|axis| &axis.union).any(|piece| piece.by == Some(0))
    };
    if place.bound() || fields.of(place.node, place.input).is_some_and(by_channel) {
        return Ok(());
    }
    let claimed = nothing_at_all(facts.axes.iter().map(|axis| axis.middle).collect());
    let found: Vec<Option<Span>> =
        seen(last).map_or(vec![None; sizes.len()], |spans| spans.into_iter().map(Some).collect());
    let area: i128 = sizes.iter().map(|&size| i128::from(size)).product();
    let share =
        found.iter().map(|span| span.map_or(0, |span| span.size())).product::<i128>() as f64 / area as f64;
    let ok = claimed == found && (facts.seen - share).abs() < 1e-9;
    let text = |spans: &[Option<Span>], share: f64| {
        // All digits where the rounded ones may be the same.
        let seen = if ok { number::share(share) } else { format!("{} %", share * 100.0) };
        format!("the middle unit at {}, {seen} of the input", spans_text(spans))
    };
    outcome
        .claim(Kind::ReceptiveField, Some(&id), text(&claimed, facts.seen), text(&found, share))
        .method(format!("{GRADIENTS}; {}", place.how))
        .verdict(ok);
    Ok(())
}

/// A unit that falls into a gap on one axis reads nothing on the others either.
fn nothing_at_all(spans: Vec<Option<Span>>) -> Vec<Option<Span>> {
    if spans.iter().any(Option::is_none) { vec![None; spans.len()] } else { spans }
}

/// The axes that the unit in the middle sees whole, and whether it sees more through gates, where a field is global.
fn whole(
    predict: &(dyn Predict + Sync),
    own: &Place,
    options: &Options,
    outcome: &mut Outcome,
) -> Result<(), Problem> {
    let id = own.graph.node(own.node).id.clone();
    let Some(facts) = facts_of(predict, &own.graph, own.node, own.input)? else { return Ok(()) };
    if own.bound() {
        outcome.notes.push(format!(
            "whether the field of {id} is global: a layer before it rearranges axes, the analysis gives a bound"
        ));
        return Ok(());
    }
    if !facts.global && size_bound(&own.graph, own.node) {
        outcome.notes.push(format!(
            "whether the field of {id} is global: a map of fixed size before it, or a map of one channel laid out as a \
             vector, says nothing about other sizes"
        ));
        return Ok(());
    }
    // Axes that are not whole need room to show it.
    let space = own.graph.node(own.input).shape.spatial();
    let room = |(axis, &size): (&field::AxisFacts, &u64)| {
        if axis.global { size } else { size.max(u64::try_from(axis.size).unwrap_or(size).saturating_add(4)) }
    };
    let wanted: Vec<u64> = facts.axes.iter().zip(space).map(room).collect();
    let larger: Vec<u64> = wanted.iter().map(|&size| size + (size / 2).max(8)).collect();
    let middle = |graph: Graph| {
        let space = graph.node(own.node).shape.spatial();
        let units = spread(space);
        let how = format!("on inputs of {}", inputs(&graph));
        Place { graph, how, units, regions: vec![], node: own.node, input: own.input, sampled: own.sampled }
    };
    let fits = |graph: &Graph| costs(graph) <= options.effort.budget();
    let place = middle(enlarged(&own.graph, &wanted).filter(fits).unwrap_or_else(|| own.graph.clone()));
    let (sizes, marks) = read(&place, false)?;
    let spans = widest(&place, &sizes, &marks);
    // At the network's own size a map of one position may be all that there is to pool.
    let Some(facts) = facts_of(predict, &place.graph, own.node, own.input)? else { return Ok(()) };
    let mut how = format!("{GRADIENTS}; {}", place.how);
    // Strides without padding may leave a border unread, so "the whole input" is told by its growth: a field of any
    // fixed size stays as it is when the input grows.
    let found: Vec<bool> = match (&spans, enlarged(&own.graph, &larger).filter(fits).map(middle)) {
        (None, _) => vec![false; sizes.len()],
        (Some(spans), None) => {
            how += " only (it takes no other, or at too great a cost): axes called whole are read to three quarters";
            let covers = |((axis, span), &size): ((&field::AxisFacts, &Span), &u64)| {
                axis.global && span.size() * 4 >= i128::from(size) * 3
            };
            facts.axes.iter().zip(spans).zip(&sizes).map(covers).collect()
        }
        (Some(spans), Some(larger)) => {
            how += &format!(" and {}: what is whole grows with the input", inputs(&larger.graph));
            let (more, marks) = read(&larger, false)?;
            let grown = widest(&larger, &more, &marks).unwrap_or_else(|| spans.clone());
            let axes = spans.iter().zip(&grown).zip(sizes.iter().zip(&more));
            axes.map(|((before, after), (&old, &new))| {
                (after.size() - before.size()) * 4 >= i128::from(new.saturating_sub(old)) * 3
            })
            .collect()
        }
    };
    let text = |whole: &[bool], any: bool| match whole.iter().filter(|whole| **whole).count() {
        _ if !any => "nothing but through gates".to_owned(),
        count if count == whole.len() => "the whole input".to_owned(),
        count => format!("{count} of {} axes whole: {whole:?}", whole.len()),
    };
    if options.wants(Kind::ReceptiveField) {
        let claimed: Vec<bool> = facts.axes.iter().map(|axis| axis.global).collect();
        let any = facts.axes.iter().any(|axis| axis.global || axis.size > 0);
        // All of what a crop left is called the whole input.
        let cropped = crops(&place.graph, place.node);
        let ok = if cropped {
            claimed.iter().zip(&found).all(|(&claimed, &found)| claimed || !found)
        } else {
            claimed == found && facts.global == found.iter().all(|&whole| whole) && any == spans.is_some()
        };
        let mut predicted = format!("{}{}", if cropped { "at most " } else { "" }, text(&claimed, any));
        if facts.global != claimed.iter().all(|&whole| whole) {
            predicted += if facts.global { ", called global" } else { ", not called global" };
        }
        outcome
            .claim(Kind::ReceptiveField, Some(&id), predicted, text(&found, spans.is_some()))
            .method(how)
            .verdict(ok);
    }
    if options.wants(Kind::Context)
        && has_gates(&place.graph, place.node)
        && found.iter().any(|&whole| !whole)
    {
        context(&place, &marks, &facts, outcome)?;
    }
    Ok(())
}

/// The unit in the middle and, for where that reads nothing (a gap, or padding only), others all over the map.
fn spread(space: &[u64]) -> Vec<Vec<i128>> {
    let mut units = vec![space.iter().map(|&size| i128::from(size / 2)).collect::<Vec<_>>()];
    let count = space.iter().fold(1u64, |all, &size| all.saturating_mul(size.max(1)));
    let step = usize::try_from(count.div_ceil(60)).unwrap_or(usize::MAX);
    units.extend((0..count).step_by(step).map(|mut flat| {
        let mut unit: Vec<i128> = Vec::new();
        for &size in space.iter().rev() {
            unit.push(i128::from(flat % size.max(1)));
            flat /= size.max(1);
        }
        unit.reverse();
        unit
    }));
    units
}

/// What the unit in the middle reads, or, if nothing, the one that reads most.
fn widest(place: &Place, sizes: &[u64], marks: &[Marks]) -> Option<Vec<Span>> {
    let read = |bit: usize| hull(sizes, |flat| marks[flat].has(bit)).0;
    let area = |spans: &Vec<Span>| spans.iter().map(Span::size).product::<i128>();
    read(0).or_else(|| (1..place.units.len()).filter_map(read).max_by_key(area))
}

/// Whether the gates add anything to what is read locally.
fn context(place: &Place, marks: &[Marks], facts: &Facts, outcome: &mut Outcome) -> Result<(), Problem> {
    let (_, with_gates) = read(place, true)?;
    let beyond = with_gates.iter().zip(marks).any(|(gated, local)| gated.has(0) && !local.has(0));
    let text = |context: bool| if context { "global context beyond the local field" } else { "local only" };
    let id = &place.graph.node(place.node).id;
    outcome.claim(Kind::Context, Some(id), text(facts.global_context), text(beyond)).method(format!(
        "gradients with the gates and map-wide statistics cut, and with them; {}",
        place.how
    ));
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
