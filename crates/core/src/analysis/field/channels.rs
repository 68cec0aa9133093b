//! Determines where boxes are only upper bounds, because a layer separates channels with different boxes, or joins paths of
//! which some read nothing.
//!
//! Boxes are products of axes. After a pixel unshuffle or a reshape that mixes axes, each channel has positions of
//! its own: a layer that then selects channels has a box that may be too large, and so does one that turns channels
//! with different boxes into positions (a pixel shuffle or a permutation of a concat). The exact support has no such
//! limit.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::step::union;
use super::{AxisField, Field};
use crate::diagnostic::Problem;
use crate::graph::{Graph, Node, NodeId, Op};
use crate::layers::rearrange::Rearrangement;
use crate::layers::{AxisReach, Io, Layer, Reach, Role};
use crate::shape::Shape;

/// Whether all channels of a node have the node's boxes, and whether these may be too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Channels {
    pub uniform: bool,
    pub bound: bool,
}

/// What a node does to the channels and positions of its operands, whichever input they come from.
pub(super) struct Layout {
    places: Vec<Places>,
    rearrangement: Option<Rearrangement>,
    /// The first operand that is read as more than context, with its reach's axes.
    first: Option<(usize, Vec<AxisReach>)>,
}

impl Layout {
    pub(super) fn of(graph: &Graph, node: &Node, reaches: &[Reach]) -> Self {
        let rearrangement = match &node.op {
            Op::Layer(layer) => {
                layer.rearrangement(Io { inputs: &graph.input_shapes(node), output: &node.shape })
            }
            Op::Input => None,
        };
        let first = reaches.iter().find(|reach| reach.role != Role::Context);
        let first = first.map(|reach| (reach.input, reach.axes.clone()));
        Self { places: places(reaches), rearrangement, first }
    }

    /// Returns the facts about `node` with respect to one input, given its operands' fields and the reaches whose operands
    /// have one; `apart` returns which operands have classes of channels with different fields.
    pub(super) fn channels<'a>(
        &self,
        graph: &Graph,
        node: &Node,
        reaches: &[&Reach],
        fields: impl Fn(NodeId) -> Option<&'a Field>,
        apart: impl Fn(NodeId) -> bool,
    ) -> Channels {
        let of = |operand: usize| node.inputs.get(operand).and_then(|&operand| fields(operand));
        let mut all = Channels { uniform: true, bound: false };
        let local = || reaches.iter().filter(|reach| reach.role != Role::Context);
        for reach in local() {
            let Some(field) = of(reach.input).filter(|field| field.local) else { continue };
            let operand = node.inputs[reach.input];
            let size = graph.node(operand).shape.channels();
            let axis = reach.axes.first();
            all.bound |= field.bound;
            all.bound |= apart(operand) && axis.and_then(AxisReach::by).is_some_and(|by| by != 0);
            if !field.uniform {
                all.bound |= !axis.is_some_and(|axis| takes_all(axis, size, node.shape.channels()));
                all.uniform &= joins(axis, size);
            }
        }
        // A table reorders positions, which boxes cannot follow; after a permutation, channels are positions too.
        let chosen = |reach: &Reach| {
            let by_index = |axis: &AxisReach| {
                matches!(
                    axis,
                    AxisReach::Table { .. } | AxisReach::Shuffle { .. } | AxisReach::Within { size: 2.., .. }
                )
            };
            if !reach.axes.iter().any(by_index) {
                return false;
            }
            let moving = of(reach.input).into_iter().flat_map(|field| field.axes.iter());
            let first = usize::from(moving.flat_map(|axis| &axis.union).all(|piece| piece.by != Some(0)));
            reach.axes.iter().skip(first).any(by_index)
        };
        all.bound |= local().any(|reach| chosen(reach));
        all.bound |= local().any(|reach| side_by_side(reach, &self.places, of(reach.input)));
        all.bound |= self.stacked(local().copied(), &of);
        // Of a weight that is an input, "all taps" is a bound where each unit reads those of its phase.
        let phases = matches!(&node.op, Op::Layer(Layer::DynamicConv(conv)) if conv.skips_taps());
        all.bound |= phases && local().any(|reach| reach.input == 1);
        let mixed = node.inputs.first().is_some_and(|&operand| apart(operand));
        if let (Some(rearrangement), Some(field)) = (&self.rearrangement, of(0)) {
            rearranged(rearrangement, field, mixed, &mut all);
        }
        all
    }

    /// Returns whether a layer puts operands with different boxes side by side along an axis other than the
    /// channels (the disparities of a cost volume): a unit belongs to one operand, but the box is that of all of
    /// them.
    fn stacked<'a>(
        &self,
        local: impl Iterator<Item = &'a Reach>,
        of: &impl Fn(usize) -> Option<&'a Field>,
    ) -> bool {
        let boxes = |field: &'a Field| {
            let pieces = field
                .axes
                .iter()
                .map(|axis| (axis.whole, axis.union.iter().map(|piece| (piece.by, &piece.family))));
            pieces.map(|(whole, pieces)| (whole, pieces.collect::<Vec<_>>())).collect::<Vec<_>>()
        };
        let Some((first, axes)) = &self.first else { return false };
        let Some(one) = of(*first).filter(|field| field.local) else { return false };
        let mut rest = local.filter(|other| other.input != *first);
        rest.any(|other| {
            let beside = |axis: usize| match (axes.get(axis), other.axes.get(axis)) {
                (
                    Some(AxisReach::Window { by, window }),
                    Some(AxisReach::Window { by: theirs, window: other }),
                ) => (*by, *theirs) == (axis, axis) && window.kernel == 1 && window.before != other.before,
                _ => false,
            };
            (1..axes.len()).any(beside)
                && of(other.input).is_some_and(|two| two.local && boxes(one) != boxes(two))
        })
    }
}

/// Where operands stand along one axis: for each place, an operand there, and whether others are there too. A sum of
/// thousands of operands has one place, so comparing an operand with the places costs no more than with one of them.
type Places = BTreeMap<i64, (usize, bool)>;

/// Returns the place of an operand along `axis`; `None` if the axis is not copied.
fn place(reach: &Reach, axis: usize) -> Option<i64> {
    match reach.axes.get(axis) {
        Some(AxisReach::Window { by, window }) if *by == axis && window.kernel == 1 => Some(window.before),
        _ => None,
    }
}

/// Returns the places along each axis.
fn places(reaches: &[Reach]) -> Vec<Places> {
    let rank = reaches.iter().map(|reach| reach.axes.len()).max().unwrap_or(0);
    let mut all = vec![Places::new(); rank];
    for reach in reaches {
        for (axis, places) in all.iter_mut().enumerate() {
            if let Some(place) = place(reach, axis) {
                let (operand, several) = places.entry(place).or_insert((reach.input, false));
                *several |= *operand != reach.input;
            }
        }
    }
    all
}

/// Returns whether a layer places operands side by side along an axis that moves their units: the box covers
/// all of them, but each unit belongs to one operand.
fn side_by_side(reach: &Reach, places: &[Places], field: Option<&Field>) -> bool {
    let moving = field.iter().flat_map(|field| field.axes.iter()).flat_map(|axis| &axis.union);
    moving.filter_map(|piece| piece.by).any(|axis| {
        let Some((own, places)) = place(reach, axis).zip(places.get(axis)) else { return false };
        places
            .iter()
            .any(|(other, (operand, several))| *other != own && (*several || *operand != reach.input))
    })
}

/// Returns whether a path adds to boxes at units where it reads nothing: along one axis these units lie in the gaps of a
/// transposed convolution, while the path has a box along another, which other paths do not fill.
pub(super) fn vanishes(parts: &[&Field], shape: &Shape) -> Result<bool, Problem> {
    let gap = |axis: &AxisField| {
        axis.union.iter().any(|piece| piece.by.is_some() && piece.family.phases.iter().any(Option::is_none))
    };
    let [first, others @ ..] = parts else { return Ok(false) };
    if others.is_empty() || !parts.iter().any(|part| part.axes.iter().any(gap)) {
        return Ok(false);
    }
    let differ = |one: &AxisField, two: &AxisField| one.whole != two.whole || *one.union != *two.union;
    let joined = |parts: Vec<&&Field>| union(parts.into_iter().map(|part| Cow::Borrowed(*part)), shape);
    let Some(all) = joined(parts.iter().collect())? else { return Ok(false) };
    for axis in 0..first.axes.len() {
        // All read nothing at the same units, or none does.
        if others.iter().all(|other| !differ(&other.axes[axis], &first.axes[axis])) {
            continue;
        }
        let everywhere: Vec<&&Field> = parts.iter().filter(|part| !gap(&part.axes[axis])).collect();
        if everywhere.len() == parts.len() {
            continue;
        }
        let rest = joined(everywhere)?;
        let filled = |other: usize| {
            other == axis || rest.as_ref().is_some_and(|rest| !differ(&rest.axes[other], &all.axes[other]))
        };
        if !(0..first.axes.len()).all(filled) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Handles layers whose reaches alone are only a bound.
fn rearranged(rearrangement: &Rearrangement, field: &Field, apart: bool, all: &mut Channels) {
    match rearrangement {
        // Its output channels are the positions of a cell.
        Rearrangement::ToChannels(factor) => all.uniform &= *factor == 1,
        // Each position of a cell reads one channel.
        Rearrangement::ToSpace(factor) => {
            // So does a position whose channels are positions of the input, after a permutation.
            let positions = field.axes.iter().flat_map(|axis| &axis.union).any(|piece| piece.by == Some(0));
            all.bound |= apart || !field.uniform || (positions && *factor > 1);
        }
        Rearrangement::Regroup(runs) => {
            let moves = |axis: usize| {
                field.axes.iter().any(|own| own.union.iter().any(|piece| piece.by == Some(axis)))
            };
            for run in runs.iter().filter(|run| run.input.len() + run.output.len() > 2) {
                let positions = run.input.iter().any(|&axis| moves(axis));
                let channels = run.input.contains(&0) && (apart || !field.uniform);
                if positions || channels {
                    all.uniform = false;
                    // A vector of all elements is one unit, unless its elements were positions before.
                    all.bound |= run.output != [0] || moves(0);
                }
            }
        }
    }
}

/// Returns whether the outputs together read all of an operand's `size` channels, and none of them as a
/// position.
pub(super) fn takes_all(axis: &AxisReach, size: u64, outputs: u64) -> bool {
    match axis {
        AxisReach::Window { by: 0, window } => {
            let last = i128::from(outputs.saturating_sub(1)) * i128::from(window.stride)
                - i128::from(window.before)
                + i128::from(window.kernel.saturating_sub(1));
            window.before >= 0 && window.stride <= window.kernel && last + 1 >= i128::from(size)
        }
        AxisReach::Blocks { by: 0, .. } | AxisReach::Shuffle { by: 0, .. } | AxisReach::All => true,
        _ => size == 1,
    }
}

/// Returns whether each output reads all of an operand's `size` channels.
pub(super) fn joins(axis: Option<&AxisReach>, size: u64) -> bool {
    match axis {
        Some(AxisReach::All) => true,
        Some(AxisReach::Blocks { inputs, .. }) => *inputs >= size,
        _ => size == 1,
    }
}
