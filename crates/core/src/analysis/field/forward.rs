//! The forward pass: from the fields of a node's operands to its own.

use std::borrow::Cow;
use std::collections::BTreeMap;

use num_rational::Ratio;
use num_traits::{CheckedAdd as _, CheckedSub as _};

use super::channel_groups::{self, Table, asked};
use super::channels::{Channels, Layout, vanishes};
use super::family::{Family, Jump, too_large};
use super::moments::Moments;
use super::step::{Step, union};
use super::{AxisField, Field, Fields, Interval, Misaligned, Options, PathEnd, Piece, Pieces};
use crate::diagnostic::{Code, Problem};
use crate::graph::{Graph, Node, NodeId, Op};
use crate::layers::{AxisReach, Reach, Role};

/// Maximum number of phases over all nodes: bounds the memory of a hostile graph (to about a gigabyte).
const MAX_TOTAL: usize = 1 << 23;

/// Computes the receptive fields of all nodes, with respect to each input. An error if a number exceeds 128
/// bits, or the resizes combine to too many phases, or too many different jumps meet.
pub fn analyse(graph: &Graph, options: Options) -> Result<Fields, Problem> {
    let inputs: Vec<NodeId> = graph.inputs().map(|(id, _)| id).collect();
    let mut fields = Fields { inputs, nodes: Vec::with_capacity(graph.nodes.len()), misaligned: vec![] };
    let mut total = 0usize;
    let asked = asked(graph);
    let mut table: Table = Vec::with_capacity(graph.nodes.len());
    for (id, node) in graph.iter() {
        table.push(vec![]);
        let list = match node.op {
            Op::Input => vec![source(id, node)],
            Op::Layer(_) => merge(graph, id, node, &mut fields, (&asked, &mut table), options)?,
        };
        total = list.iter().flat_map(|field| field.axes.iter()).fold(total + list.len(), |total, axis| {
            total.saturating_add(axis.taps.iter().map(|piece| piece.family.phases.len()).sum())
        });
        if total > MAX_TOTAL {
            return Err(Problem::new(
                Code::Limit,
                "not supported: the resizes of this network combine to too many different phases",
            )
            .help("resize by factors that share a pattern"));
        }
        fields.nodes.push(list);
    }
    Ok(fields)
}

/// Returns the field of an input, whose unit `u` is its own element `u`.
fn source(id: NodeId, node: &Node) -> Field {
    let axes = (1..node.shape.rank()).map(|axis| {
        let piece = Piece { by: Some(axis), family: Family::identity(Interval { lo: 0, hi: 0 }), cut: None };
        let boxes = Pieces::from(vec![piece]);
        AxisField {
            whole: false,
            union: boxes.clone(),
            smallest: Some(boxes.clone()),
            reachable: Some(boxes),
            taps: vec![Piece { by: Some(axis), family: Family::identity(Moments::at(0.0)), cut: None }]
                .into(),
        }
    });
    Field {
        input: id,
        axes: axes.collect(),
        context: false,
        local: true,
        aligned: true,
        sampled: false,
        uniform: true,
        bound: false,
    }
}

fn merge(
    graph: &Graph,
    id: NodeId,
    node: &Node,
    fields: &mut Fields,
    (asked, table): (&[bool], &mut Table),
    options: Options,
) -> Result<Vec<Field>, Problem> {
    let reaches = graph.reach(node);
    let mut steps: Vec<Option<Step<'_>>> = Vec::with_capacity(reaches.len());
    // The operands that are read as more than context.
    let mut beside = vec![false; node.inputs.len()];
    // For each input, the reaches whose operands depend on it: thousands of inputs may meet here. An operand that only
    // determines a size has no reach, and contributes no field.
    let mut reading: BTreeMap<NodeId, Vec<usize>> = BTreeMap::new();
    for (index, reach) in reaches.iter().enumerate() {
        let local = reach.role != Role::Context;
        steps.push(if local { Some(Step::new(graph, node, reach, fields, options)?) } else { None });
        let Some(operand) = node.inputs.get(reach.input) else { continue };
        beside[reach.input] |= local;
        fields.nodes[operand.0].iter().for_each(|field| reading.entry(field.input).or_default().push(index));
    }
    let layout = Layout::of(graph, node, &reaches);
    let some_apart = node.inputs.iter().any(|operand| !table[operand.0].is_empty());
    let mut list = Vec::new();
    for (input, reading) in reading {
        let context = reading.iter().map(|&index| &reaches[index]).any(|reach| {
            let operand = node.inputs[reach.input];
            fields.of(operand, input).is_some_and(|field| {
                let adds = || !beside[reach.input] || widens(reach, field, Some(graph.node(operand)));
                field.context || (reach.role == Role::Context && adds())
            })
        });
        let mut parts: Vec<(NodeId, bool, Cow<'_, Field>)> = Vec::new();
        for step in reading.iter().filter_map(|&index| steps[index].as_ref()) {
            if let Some(field) = fields.of(step.operand, input).filter(|field| field.local) {
                parts.push((step.operand, field.aligned, step.pull(field)?));
            }
        }
        if parts.is_empty() {
            list.extend(context.then(|| only_context(graph, input)));
            continue;
        }
        let clashes = misalignments(id, input, &parts)?;
        let aligned = clashes.is_empty() && parts.iter().all(|(_, aligned, _)| *aligned);
        let has_classes = |operand: NodeId| channel_groups::of(table, operand, input).is_some();
        let read: Vec<&Reach> = reading.iter().map(|&index| &reaches[index]).collect();
        let of = |operand: NodeId| fields.of(operand, input);
        let Channels { mut uniform, mut bound } = layout.channels(graph, node, &read, of, has_classes);
        bound |= vanishes(&parts.iter().map(|(_, _, field)| &**field).collect::<Vec<_>>(), &node.shape)?;
        let several = some_apart && node.inputs.iter().any(|&operand| has_classes(operand));
        let classes = if asked[id.0] || several {
            let of = |step: &Step<'_>| fields.of(step.operand, input).filter(|field| field.local);
            let steps = reading.iter().filter_map(|&index| steps[index].as_ref());
            let read: Vec<_> = steps.map(|step| (step, of(step))).collect();
            let classes = channel_groups::split(graph, node, &read, table, input).unwrap_or_default();
            // There may be too many classes to track.
            uniform &= classes.is_some();
            bound |= several && classes.is_none();
            classes
        } else {
            None
        };
        let Some(mut field) = union(parts.into_iter().map(|(_, _, field)| field), &node.shape)? else {
            continue;
        };
        fields.misaligned.extend(clashes);
        if let Some(classes) = classes {
            let Some(read) = channel_groups::together(&classes, node)? else {
                list.extend(context.then(|| only_context(graph, input)));
                continue;
            };
            field = read;
            if asked[id.0] && (classes.classes.len() > 1 || !classes.runs.is_uniform()) {
                table[id.0].push((input, classes));
            }
        }
        // Where channels are positions of the input, a unit is one channel: boxes that are those of several channels
        // together (of a cell that became channels) are too large for it.
        let positions = || field.axes.iter().flat_map(|axis| &axis.union).any(|piece| piece.by == Some(0));
        bound |= !uniform && positions();
        list.push(Field { context, aligned, uniform, bound, ..field });
    }
    Ok(list)
}

/// Returns the field of a node that depends on `input` through gates only.
fn only_context(graph: &Graph, input: NodeId) -> Field {
    let axes = vec![AxisField::default(); graph.node(input).shape.spatial().len()].into();
    let (context, aligned, uniform) = (true, true, true);
    Field { input, axes, context, local: false, aligned, sampled: false, uniform, bound: false }
}

/// Returns whether the statistics that a node computes over its operand include positions beside its own:
/// those of a map with one position (a group norm after global pooling) do not.
fn widens(reach: &Reach, field: &Field, operand: Option<&Node>) -> bool {
    // A whole axis cannot be widened, unless it is whole only by a bound.
    if field.bound {
        return operand.is_none_or(|node| node.shape.sizes().iter().any(|&size| size > 1));
    }
    let followed = field.axes.iter().filter(|axis| !axis.whole).flat_map(|axis| &axis.union);
    followed.filter_map(|piece| piece.by).any(|by| match reach.axes.get(by) {
        Some(AxisReach::All) => operand.is_none_or(|node| node.shape.sizes()[by] > 1),
        Some(AxisReach::Blocks { inputs, .. }) => *inputs > 1,
        _ => false,
    })
}

/// Returns the axes along which the operands' units are not aligned: their jumps differ, or their centres do. Causal
/// operands are aligned whatever their centres are, because all of them end at the unit's own position.
fn misalignments(
    node: NodeId,
    input: NodeId,
    parts: &[(NodeId, bool, Cow<'_, Field>)],
) -> Result<Vec<Misaligned>, Problem> {
    let mut found = Vec::new();
    let axes = parts.first().map_or(0, |(_, _, field)| field.axes.len());
    for axis in 0..axes {
        if all_alike(axis, parts) {
            continue;
        }
        let mut ends: Vec<(Option<usize>, PathEnd)> = Vec::new();
        let mut causal = true;
        for (operand, _, field) in parts {
            // A path whose field does not move (global, broadcast) cannot be misaligned.
            let moving: Vec<_> = field.axes[axis].union.iter().filter(|piece| piece.by.is_some()).collect();
            if let Some(piece) = moving.first() {
                let centre = centre(&piece.family).ok_or_else(too_large)?;
                let mixed = moving.len() > 1;
                causal &= !mixed && is_causal(&piece.family);
                ends.push((piece.by, PathEnd { node: *operand, jump: piece.family.jump, centre, mixed }));
            }
        }
        let Some((by, first)) = ends.first().cloned() else { continue };
        let same = ends.iter().all(|(other, end)| {
            *other == by && end.jump == first.jump && (causal || end.centre == first.centre)
        });
        if !same {
            let paths = ends.into_iter().map(|(_, end)| end).collect();
            found.push(Misaligned { node, input, axis, paths });
        }
    }
    Ok(found)
}

/// Returns whether all operands obviously agree along `axis`: boxes with one jump and one centre, without phases. This
/// is nearly always so, and takes no fractions.
fn all_alike(axis: usize, parts: &[(NodeId, bool, Cow<'_, Field>)]) -> bool {
    let end = |field: &Field| match &field.axes[axis].union[..] {
        [Piece { by: Some(by), family: Family { jump, phases, .. }, .. }] => match phases.as_slice() {
            [Some(span)] => Some((*by, *jump, span.lo.checked_add(span.hi)?)),
            _ => None,
        },
        _ => None,
    };
    let mut ends = parts.iter().map(|(_, _, field)| end(field));
    let first = ends.next().flatten();
    first.is_some() && ends.all(|end| end == first)
}

/// Returns whether the last position that each unit reads is the one it stands on: unit u stands on `u * jump`, rounded
/// down.
fn is_causal(family: &Family<Interval>) -> bool {
    (0i128..).zip(&family.phases).all(|(phase, span)| {
        let Some(span) = span else { return true };
        let own = phase.checked_mul(*family.jump.numer()).map(|moved| moved.div_euclid(*family.jump.denom()));
        own == Some(span.hi)
    })
}

/// Returns the centre of unit 0: the middle of each unit's box, minus `jump` per unit, averaged over the phases.
fn centre(family: &Family<Interval>) -> Option<Jump> {
    let mut sum = Jump::from_integer(0);
    let mut units = 0i128;
    for (phase, span) in (0i128..).zip(&family.phases) {
        if let Some(span) = span {
            let middle = Ratio::new(span.lo.checked_add(span.hi)?, 2);
            let moved = Ratio::new(phase.checked_mul(*family.jump.numer())?, *family.jump.denom());
            sum = sum.checked_add(&middle)?.checked_sub(&moved)?;
            units += 1;
        }
    }
    Some(if units == 0 { sum } else { sum / Ratio::from_integer(units) })
}
