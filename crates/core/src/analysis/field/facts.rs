//! Figures derived from the families: size, jump, start, share of the input, effective field.

use num_integer::Integer as _;

use super::family::{Family, Jump, too_large};
use super::moments::Moments;
use super::{AxisField, Field, Fields, Interval, Piece};
use crate::diagnostic::Problem;
use crate::graph::{Graph, NodeId};

/// The receptive field of one node with respect to one input.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// The node.
    pub node: NodeId,
    /// The input.
    pub input: NodeId,
    /// One entry per spatial axis of the input.
    pub axes: Vec<AxisFacts>,
    /// Whether the field is the whole input, on every axis.
    pub global: bool,
    /// Whether a gate or statistics over the whole map act on it as well.
    pub global_context: bool,
    /// Whether all merges before it are aligned.
    pub aligned: bool,
    /// The bound on data-dependent sampling before the node; `None` without such sampling.
    pub sampling: Option<Sampling>,
    /// Whether the boxes may be too large: see [`Field::bound`].
    pub bound: bool,
    /// Fraction of the input in the field of the unit in the middle of the map (its box, clipped to the
    /// input), 0 to 1.
    pub seen: f64,
}

/// One spatial axis of a receptive field.
#[derive(Debug, Clone, PartialEq)]
pub struct AxisFacts {
    /// Size of the box, the largest over all units; the input's size if global.
    pub size: i128,
    /// Size of the smallest path's box; `None` if every path reads the whole axis.
    pub smallest: Option<i128>,
    /// Distance in input elements between neighbouring units.
    pub jump: Jump,
    /// The box of unit 0; `None` if unit 0 lies in a gap of a transposed convolution.
    pub first: Option<Interval>,
    /// Whether the field is the whole axis.
    pub global: bool,
    /// Whether the size depends on the unit: on its phase under upsampling, or because paths have different
    /// jumps.
    pub varies: bool,
    /// How far the units read before and after the positions that they stand on, the worst over all units and phases;
    /// `None` if the field is the whole axis or empty. Unit u stands on position `u * jump`, rounded down.
    pub reach: Option<[i128; 2]>,
    /// The box of the unit in the middle of the map, clipped to the input.
    pub middle: Option<Interval>,
    /// The distribution of taps.
    pub effective: Option<Effective>,
}

/// A predicted effective receptive field along one axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effective {
    /// Standard deviation of the taps' positions, in input elements.
    pub std: f64,
    /// Fraction of the box that two standard deviations to each side cover, at most 1.
    pub share: f64,
}

/// How far data-dependent sampling may reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sampling {
    /// Anywhere: no layer declares a bound.
    Unbounded,
    /// Within a box of these sizes, one per axis.
    Within(Vec<i128>),
}

impl AxisFacts {
    /// Returns the effective padding: how far unit 0 starts before the input.
    pub fn padding(&self) -> Option<i128> {
        self.first.map(|span| -span.lo)
    }
}

/// Returns the receptive field that represents a network: that of its first output, or of the last feature map before
/// it whose field is not global; `None` if there is no such map.
pub fn headline(graph: &Graph, fields: &Fields) -> Option<Facts> {
    let input = graph.inputs().next()?.0;
    let output = graph.outputs.first()?;
    (0..=output.0).rev().map(NodeId).find_map(|node| {
        let facts = fields.of(node, input)?.facts(graph, node).ok()?;
        let local = !facts.global && !facts.axes.is_empty() && !graph.node(node).shape.spatial().is_empty();
        local.then_some(facts)
    })
}

impl Fields {
    /// Returns the facts of one node with respect to each of its inputs; an error if a number exceeds 128
    /// bits.
    pub fn facts(&self, graph: &Graph, node: NodeId) -> Result<Vec<Facts>, Problem> {
        self.nodes[node.0].iter().map(|field| field.facts(graph, node)).collect()
    }
}

impl Field {
    /// Returns the facts of this field, which belongs to `node`; an error if a number exceeds 128 bits.
    pub fn facts(&self, graph: &Graph, node: NodeId) -> Result<Facts, Problem> {
        let units = graph.node(node).shape.sizes();
        let sizes = graph.node(self.input).shape.spatial();
        let facts = self.axes.iter().zip(sizes).map(|(axis, &size)| axis.facts(units, size, self.local));
        let mut axes = facts.collect::<Option<Vec<_>>>().ok_or_else(too_large)?;
        // If all units are empty on one axis (a stride that hits only gaps), they are empty altogether.
        if axes.iter().any(|axis| axis.size == 0) && axes.iter().all(|axis| !axis.global) {
            for axis in &mut axes {
                (axis.size, axis.first, axis.middle, axis.reach) = (0, None, None, None);
            }
        }
        let seen = axes
            .iter()
            .zip(sizes)
            .map(|(axis, &size)| axis.middle.map_or(0.0, |span| span.size() as f64 / size as f64));
        let seen = seen.product();
        let sampling = if self.sampled { Some(self.sampling(units).ok_or_else(too_large)?) } else { None };
        let global = !axes.is_empty() && axes.iter().all(|axis| axis.global);
        Ok(Facts {
            node,
            input: self.input,
            global,
            global_context: self.context,
            aligned: self.aligned,
            sampling,
            bound: self.bound,
            seen,
            axes,
        })
    }

    /// Returns the largest box of the unit `unit` (one index per axis of the node, channel first), for any
    /// positions of data-dependent samples; `None` without a bound on them.
    pub fn reachable(&self, unit: &[i128]) -> Option<Vec<Option<Interval>>> {
        self.axes.iter().map(|axis| hull(axis.reachable.as_ref()?, unit)).collect()
    }

    fn sampling(&self, units: &[u64]) -> Option<Sampling> {
        let mut sizes = Vec::with_capacity(self.axes.len());
        for axis in self.axes.iter() {
            match &axis.reachable {
                None => return Some(Sampling::Unbounded),
                Some(pieces) => sizes.push(largest(pieces, units)?.0),
            }
        }
        Some(Sampling::Within(sizes))
    }
}

impl AxisField {
    fn facts(&self, units: &[u64], extent: u64, local: bool) -> Option<AxisFacts> {
        let middle: Vec<i128> = units.iter().map(|&size| i128::from(size / 2)).collect();
        let taps = mixed(&self.taps, &middle)?;
        let sizes = self.smallest.iter().flatten().map(|piece| {
            piece.family.phases.iter().map(|span| span.map_or(0, |span| span.size())).max().unwrap_or(0)
        });
        let smallest = sizes.min();
        let whole = Interval { lo: 0, hi: i128::from(extent) - 1 };
        let (size, varies, first, jump, centre) = if self.whole {
            (i128::from(extent), false, Some(whole), Jump::from_integer(0), Some(whole))
        } else if local {
            let (size, varies) = largest(&self.union, units)?;
            let moving = self.union.iter().find(|piece| piece.by.is_some()).or(self.union.first());
            let jump = moving.map_or(Jump::from_integer(0), |piece| piece.family.jump);
            let origin = vec![0; units.len()];
            (size, varies, self.hull(&origin)?, jump, self.hull(&middle)?)
        } else {
            (0, false, None, Jump::from_integer(0), None)
        };
        let effective = taps.map(|taps| {
            let std = taps.variance.max(0.0).sqrt();
            // A field of one element is fully covered.
            Effective { std, share: ((4.0 * std).max(1.0) / size as f64).min(1.0) }
        });
        let reach = if self.whole || !local { None } else { self.worst(jump, units)? };
        Some(AxisFacts {
            size,
            smallest,
            jump,
            reach,
            first,
            global: self.whole,
            varies,
            middle: centre.and_then(|span| span.clipped(extent)),
            effective,
        })
    }

    /// Returns how far the units read before and after their own positions; the inner option is empty if they read
    /// nothing. One piece repeats with its period; the distance to units with other jumps is largest at an end of
    /// the map.
    fn worst(&self, jump: Jump, units: &[u64]) -> Option<Option<[i128; 2]>> {
        let alone = self.union.len() == 1;
        let mut worst: Option<[i128; 2]> = None;
        for piece in &self.union {
            let period = piece.family.period;
            let extent = piece.by.map_or(1, |by| i128::from(units.get(by).copied().unwrap_or(1)));
            let few = if alone { period } else { period.min(extent) };
            let last = if alone { 0..0 } else { (extent - few).max(few)..extent };
            for unit in (0..few).chain(last) {
                let Some(span) = piece.family.at(unit)? else { continue };
                let own = unit.checked_mul(*jump.numer())?.div_euclid(*jump.denom());
                let reach = [own.checked_sub(span.lo)?, span.hi.checked_sub(own)?];
                worst = Some(worst.map_or(reach, |[a, b]| [a.max(reach[0]), b.max(reach[1])]));
            }
        }
        Some(worst)
    }

    /// Returns the box of the unit at `unit` (one index per axis of the node, channel first); a whole axis has no
    /// extent here.
    pub(super) fn hull(&self, unit: &[i128]) -> Option<Option<Interval>> {
        hull(&self.union, unit)
    }
}

fn hull(pieces: &[Piece<Interval>], unit: &[i128]) -> Option<Option<Interval>> {
    let mut all: Option<Interval> = None;
    for piece in pieces {
        let index = piece.by.map_or(0, |by| unit.get(by).copied().unwrap_or(0));
        if let Some(span) = piece.family.at(index)? {
            all = Some(all.map_or(span, |all| all.hull(span)));
        }
    }
    Some(all)
}

fn mixed(pieces: &[Piece<Moments>], unit: &[i128]) -> Option<Option<Moments>> {
    let mut all: Option<Moments> = None;
    for piece in pieces {
        let index = piece.by.map_or(0, |by| unit.get(by).copied().unwrap_or(0));
        if let Some(one) = piece.family.at(index)? {
            all = Some(all.map_or(one, |all| all.mix(&one)));
        }
    }
    Some(all)
}

/// Returns the largest box over all units, and whether the units differ.
///
/// In a single piece, one of its phases has the largest box. Pieces that follow the same axis with different
/// jumps drift apart steadily, so the extremes are at the ends of the map; pieces that follow different axes
/// are independent of each other.
fn largest(pieces: &[Piece<Interval>], units: &[u64]) -> Option<(i128, bool)> {
    if let [piece] = pieces {
        let sizes = || piece.family.phases.iter().map(|span| span.map_or(0, |span| span.size()));
        let high = sizes().max().unwrap_or(0);
        return Some((high, sizes().min() != Some(high)));
    }
    let mut groups: Vec<(Option<usize>, Vec<Interval>)> = Vec::new();
    for piece in pieces {
        if groups.iter().all(|(by, _)| *by != piece.by) {
            let members: Vec<&Family<Interval>> =
                pieces.iter().filter(|other| other.by == piece.by).map(|other| &other.family).collect();
            let extent = piece.by.map_or(1, |by| units.get(by).copied().unwrap_or(1));
            groups.push((piece.by, ends(&members, i128::from(extent))?));
        }
    }
    let mut size = 0;
    let mut varies = false;
    for (i, (_, spans)) in groups.iter().enumerate() {
        for span in spans {
            varies |= span.size() != spans[0].size();
            size = size.max(span.size());
        }
        for (j, (_, others)) in groups.iter().enumerate() {
            if i != j
                && let (Some(hi), Some(lo)) =
                    (spans.iter().map(|s| s.hi).max(), others.iter().map(|s| s.lo).min())
            {
                size = size.max(hi.checked_sub(lo)?.checked_add(1)?);
            }
        }
    }
    Some((size, varies || groups.len() > 1))
}

/// Returns the joint boxes of the units at both ends of the map, one common period each.
fn ends(families: &[&Family<Interval>], extent: i128) -> Option<Vec<Interval>> {
    const FEW: i128 = 4096;
    let period =
        families.iter().fold(1i128, |all, family| all.lcm(&family.period).min(FEW)).min(extent.max(1));
    let mut spans = Vec::new();
    for unit in (0..period).chain(extent - period..extent) {
        let mut all: Option<Interval> = None;
        for family in families {
            if let Some(span) = family.at(unit)? {
                all = Some(all.map_or(span, |all| all.hull(span)));
            }
        }
        spans.extend(all);
    }
    Some(spans)
}
