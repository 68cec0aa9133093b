//! Measures by gradients which positions of an input units read: claims about exact sets, and about what
//! gates add.

use crate::dependence_bits::Marks;
use crate::probe::Place;
use crate::rebuild::map_wide;
use crate::sets::{hull, position, raster, set_text};
use crate::trace::trace;
use crate::{Kind, Outcome};
use cnnkit_core::analysis::field::Facts;
use cnnkit_core::analysis::support::{self, Borders};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::{Graph, NodeId, Op};
use cnnkit_core::layers::Role;
use cnnkit_exec::scalar::Scalar as _;
use cnnkit_exec::tensor::{Tensor, batched};

/// Returns, for each input position (over all its channels), the dependence bits of the units that read it. A
/// unit has one index per spatial axis, for all its channels together, or the channel's index first.
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
    "gradients of the network with positive weights, in dependence bits so that nothing cancels";

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

/// Compares whether the gates add anything to the local field.
pub(super) fn context(
    place: &Place,
    marks: &[Marks],
    facts: &Facts,
    outcome: &mut Outcome,
) -> Result<(), Problem> {
    let (_, with_gates) = read(place, true)?;
    // Over all seeded units: the one in the middle may lie in a gap and read nothing.
    if with_gates.iter().all(|gated| *gated == Marks::ZERO) {
        let id = &place.graph.node(place.node).id;
        outcome.notes.push(format!("context of {id}: the units in the middle read nothing"));
        return Ok(());
    }
    let beyond = with_gates.iter().zip(marks).any(|(gated, local)| gated.0 & !local.0 != 0);
    let text = |context: bool| if context { "global context beyond the local field" } else { "local only" };
    let id = &place.graph.node(place.node).id;
    // For these units the exact sets are more precise than the boxes: gates may reach no further than a local field
    // does, or, for a unit that reads only padding, further than the "whole input" of other units.
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
        // A box of the whole input has an axis of one position that is not called whole (the filter of a depthwise layer).
        let whole = facts.seen >= 1.0;
        if facts.global_context {
            further.is_empty().then_some(false)
        } else {
            (!further.is_empty() && (padding || whole)).then_some(true)
        }
    });
    // Where the boxes are a bound, so is what gates add to them; and the sets, where samples move with the data.
    let sampled = facts.sampling.is_some();
    let (ok, most) = match (exact, facts.bound || sampled) {
        (Some(exact), _) if sampled => (exact || !beyond, "at most "),
        (Some(exact), _) => (exact == beyond, ""),
        (None, true) => (facts.global_context || !beyond, "at most "),
        (None, false) => (facts.global_context == beyond, ""),
    };
    let claimed = match exact {
        Some(false) => "gates reach no further than the local field",
        Some(true) => "gates reach further where a unit reads padding",
        None => text(facts.global_context),
    };
    outcome
        .claim(Kind::Context, Some(id), format!("{most}{claimed}"), text(beyond))
        .method(format!("gradients with and without the gates and map-wide statistics; {}", place.how))
        .verdict(ok);
    Ok(())
}

/// Returns whether a gate or statistics of the whole map act on `node`.
fn gated(graph: &Graph, node: NodeId) -> bool {
    let mut before = vec![false; graph.nodes().len()];
    before[node.index()] = true;
    (0..=node.index()).rev().any(|index| {
        let reaches = graph.reach(&graph.nodes()[index]);
        if !before[index] {
            return false;
        }
        for reach in &reaches {
            before[graph.nodes()[index].inputs[reach.input].index()] = true;
        }
        reaches.iter().any(|reach| reach.role == Role::Context)
    })
}

/// Returns whether a gate or statistics of the whole map act before `node`.
pub(super) fn has_gates(graph: &Graph, node: NodeId) -> bool {
    graph.nodes().iter().take(node.index() + 1).any(|node| match &node.op {
        Op::Layer(layer) => {
            map_wide(layer) || graph.reach(node).iter().any(|reach| reach.role == Role::Context)
        }
        Op::Input => false,
    })
}
