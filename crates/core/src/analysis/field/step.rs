//! One step of the forward pass: the field of a node through one of its reaches, and the union of such
//! fields.

use std::collections::BTreeSet;

use super::family::{Content, Family, too_large};
use super::moments::Moments;
use super::{AxisField, Field, Fields, Interval, Options, Piece};
use crate::analysis::relation::{Link, Reads, Relation};
use crate::diagnostic::{Code, Problem};
use crate::graph::{Graph, Node, NodeId};
use crate::layers::{AxisReach, Reach, Role};

/// Maximum number of pieces of one axis; no real network has paths with so many different jumps.
const MAX_PIECES: usize = 32;

/// One reach of a node, ready to apply.
pub(super) struct Step<'a> {
    pub operand: NodeId,
    /// The channels of the operand that are read.
    pub channels: AxisReach,
    links: Vec<Link>,
    /// The links with the boxes widened by the largest sampling offset; `None` without a bound.
    wide: Option<Vec<Link>>,
    sampled: bool,
    input: &'a [u64],
    output: &'a [u64],
    graph: &'a Graph,
}

/// Returns the axes of a node that carry positions of some input.
fn followed(fields: &[Field]) -> BTreeSet<usize> {
    let mut axes = BTreeSet::new();
    for axis in fields.iter().flat_map(|field| &field.axes) {
        axes.extend(axis.union.iter().filter_map(|piece| piece.by));
        axes.extend(axis.smallest.iter().chain(&axis.reachable).flatten().filter_map(|piece| piece.by));
        axes.extend(axis.taps.iter().filter_map(|piece| piece.by));
    }
    axes
}

impl<'a> Step<'a> {
    pub(super) fn new(
        graph: &'a Graph,
        node: &'a Node,
        reach: &Reach,
        fields: &Fields,
        options: Options,
    ) -> Result<Self, Problem> {
        let operand = *node.inputs.get(reach.input).ok_or_else(too_large)?;
        // Other axes are skipped because nothing needs them: the blocks of a flattened map have a period as long as
        // the map.
        let followed = followed(&fields.nodes[operand.0]);
        let sizes = graph.node(operand).shape.sizes();
        let link = |(axis, reach): (usize, &AxisReach)| match reach {
            _ if !followed.contains(&axis) => Ok(Link::All),
            AxisReach::Blocks { inputs, .. } if sizes.get(axis).is_some_and(|size| inputs >= size) => {
                Ok(Link::All)
            }
            _ => Link::new(reach),
        };
        let links = reach.axes.iter().enumerate().map(link).collect::<Result<Vec<_>, _>>()?;
        let (wide, sampled) = match reach.role {
            Role::Sampled(sampling) => {
                (options.max_offset.or(sampling.max_offset).and_then(|offset| widened(&links, offset)), true)
            }
            _ => (Some(links.clone()), false),
        };
        let input = graph.node(operand).shape.sizes();
        let channels = reach.axes.first().cloned().unwrap_or(AxisReach::All);
        Ok(Self { operand, channels, links, wide, sampled, input, output: node.shape.sizes(), graph })
    }

    pub(super) fn pull(&self, field: &Field) -> Result<Field, Problem> {
        let mut axes = Vec::with_capacity(field.axes.len());
        let sizes = self.graph.node(field.input).shape.spatial();
        for (axis, &size) in field.axes.iter().zip(sizes) {
            let union = if axis.whole { None } else { self.boxes(&axis.union, &self.links, size)? };
            let smallest = match &axis.smallest {
                Some(pieces) => self.boxes(pieces, &self.links, size)?,
                None => None,
            };
            let reachable = match (&axis.reachable, &self.wide) {
                (Some(pieces), Some(links)) => self.boxes(pieces, links, size)?,
                _ => None,
            };
            axes.push(AxisField {
                whole: union.is_none(),
                union: union.unwrap_or_default(),
                smallest,
                reachable,
                taps: self.taps(&axis.taps)?,
            });
        }
        Ok(Field { axes, sampled: field.sampled || self.sampled, ..field.clone() })
    }

    /// Returns the boxes of the node's units through `links`; `None` if they cover the whole axis, of `size`
    /// elements.
    fn boxes(
        &self,
        pieces: &[Piece<Interval>],
        links: &[Link],
        size: u64,
    ) -> Result<Option<Vec<Piece<Interval>>>, Problem> {
        let mut out = Vec::with_capacity(pieces.len());
        for piece in pieces {
            let Some(axis) = piece.by else {
                insert(&mut out, piece.clone(), 1, |a, b| a.hull(*b))?;
                continue;
            };
            let next = match links.get(axis) {
                None | Some(Link::All) if self.input[axis] > 1 => match self.left(piece, axis, size)? {
                    Some(left) => left,
                    None => return Ok(None),
                },
                None | Some(Link::All | Link::First) => fixed(&piece.family)?,
                Some(Link::By(relation)) => {
                    let family = piece.family.through(relation, self.output[relation.by])?;
                    let outputs = self.output[relation.by];
                    // The part that remains of what previous cuts left.
                    let cut = match (cuts(relation, self.input[axis], outputs), piece.cut) {
                        (true, before) => all_of(&family, outputs)?.map(|left| left.within(before)),
                        (false, before) => before,
                    };
                    Piece { by: Some(relation.by), family, cut }
                }
            };
            let extent = next.by.map_or(1, |by| self.output[by]);
            insert(&mut out, next, extent, |a, b| a.hull(*b))?;
        }
        Ok(Some(out))
    }

    /// Returns what all units of the operand's axis read together of an axis of `size`; `None` if that is all of it.
    fn left(
        &self,
        piece: &Piece<Interval>,
        axis: usize,
        size: u64,
    ) -> Result<Option<Piece<Interval>>, Problem> {
        let Some(cut) = piece.cut else { return Ok(None) };
        let all = all_of(&piece.family, self.input[axis])?.map(|all| all.within(Some(cut)));
        let whole =
            all.is_some_and(|all| all.clipped(size).is_some_and(|all| all.size() == i128::from(size)));
        Ok((!whole).then(|| Piece { by: None, family: Family::constant(all), cut: Some(cut) }))
    }

    fn taps(&self, pieces: &[Piece<Moments>]) -> Result<Vec<Piece<Moments>>, Problem> {
        let mut out = Vec::with_capacity(pieces.len());
        for piece in pieces {
            let next = match piece.by.map(|axis| (axis, links_at(&self.links, axis))) {
                None => piece.clone(),
                Some((_, Link::First)) => fixed(&piece.family)?,
                Some((axis, Link::All)) => {
                    let reads = Reads { first: 0, step: 1, count: i128::from(self.input[axis]), blend: None };
                    let all = Moments::read(&piece.family, &reads).ok_or_else(too_large)?;
                    Piece { by: None, family: Family::constant(all), cut: None }
                }
                Some((_, Link::By(relation))) => {
                    let family = piece.family.through(relation, self.output[relation.by])?;
                    Piece { by: Some(relation.by), family, cut: None }
                }
            };
            let extent = next.by.map_or(1, |by| self.output[by]);
            insert(&mut out, next, extent, Moments::mix)?;
        }
        Ok(out)
    }
}

/// Returns what all `units` of an axis read together.
fn all_of(family: &Family<Interval>, units: u64) -> Result<Option<Interval>, Problem> {
    let reads = Reads { first: 0, step: 1, count: i128::from(units), blend: None };
    Interval::read(family, &reads).ok_or_else(too_large)
}

/// Returns the piece in which every unit has the content of the operand's unit 0.
fn fixed<T: Content>(family: &Family<T>) -> Result<Piece<T>, Problem> {
    let one = family.at(0).ok_or_else(too_large)?;
    Ok(Piece { by: None, family: Family::constant(one), cut: None })
}

/// Returns whether `outputs` units that read one element each omit a part of an axis of `size`, more than
/// strides do.
fn cuts(relation: &Relation, size: u64, outputs: u64) -> bool {
    let [Reads { first, count: 1, .. }] = relation.reads[..] else { return false };
    let last = relation.advance.saturating_mul(i128::from(outputs.saturating_sub(1))).saturating_add(first);
    first >= relation.advance || last.saturating_add(relation.advance) < i128::from(size)
}

fn links_at(links: &[Link], axis: usize) -> &Link {
    links.get(axis).unwrap_or(&Link::All)
}

/// Returns the links with every read widened by `offset` pixels (rounded up, as bilinear sampling reads both
/// neighbours).
fn widened(links: &[Link], offset: f64) -> Option<Vec<Link>> {
    let far = offset.abs().ceil();
    if far.is_nan() || far > 1e15 {
        return None;
    }
    let far = far as i128;
    let widen = |(axis, link): (usize, &Link)| {
        let mut link = link.clone();
        if axis > 0
            && let Link::By(relation) = &mut link
        {
            for reads in &mut relation.reads {
                if let Some(last) = reads.last() {
                    let count = last - reads.first + 1 + 2 * far;
                    *reads = Reads { first: reads.first - far, step: 1, count, blend: None };
                }
            }
        }
        link
    };
    Some(links.iter().enumerate().map(widen).collect())
}

/// Adds `piece`, joined with the piece that follows the same axis with the same jump.
fn insert<T: Content>(
    pieces: &mut Vec<Piece<T>>,
    piece: Piece<T>,
    extent: u64,
    join: impl Fn(&T, &T) -> T,
) -> Result<(), Problem> {
    let same = pieces.iter().position(|old| old.by == piece.by && old.family.jump == piece.family.jump);
    match same {
        Some(i) => {
            pieces[i].family = pieces[i].family.join(&piece.family, extent, join)?;
            pieces[i].cut = pieces[i].cut.zip(piece.cut).map(|(a, b)| a.hull(b));
        }
        None if pieces.len() >= MAX_PIECES => {
            return Err(Problem::new(
                Code::Limit,
                format!("not supported: paths with more than {MAX_PIECES} different jumps meet here"),
            )
            .help("the paths into a merge need the same strides"));
        }
        None => pieces.push(piece),
    }
    Ok(())
}

/// Returns the field of a node that reads both `a` and `b`.
pub(super) fn union(a: Field, b: Field, shape: &crate::shape::Shape) -> Result<Field, Problem> {
    let extent = |by: Option<usize>| by.map_or(1, |by| shape.sizes()[by]);
    let mut axes = Vec::with_capacity(a.axes.len());
    for (mut one, other) in a.axes.into_iter().zip(b.axes) {
        if one.whole || other.whole {
            one.whole = true;
            one.union.clear();
        } else {
            for piece in other.union {
                let extent = extent(piece.by);
                insert(&mut one.union, piece, extent, |a, b| a.hull(*b))?;
            }
        }
        one.reachable = match (one.reachable, other.reachable) {
            (Some(mut mine), Some(theirs)) => {
                for piece in theirs {
                    let extent = extent(piece.by);
                    insert(&mut mine, piece, extent, |a, b| a.hull(*b))?;
                }
                Some(mine)
            }
            _ => None,
        };
        for piece in other.taps {
            let extent = extent(piece.by);
            insert(&mut one.taps, piece, extent, Moments::mix)?;
        }
        one.smallest = match (one.smallest, other.smallest) {
            (Some(mine), Some(theirs)) => Some(smaller(mine, theirs)),
            (mine, theirs) => mine.or(theirs),
        };
        axes.push(one);
    }
    Ok(Field { axes, sampled: a.sampled || b.sampled, ..a })
}

/// Returns, for each jump, the family whose largest box is smaller.
fn smaller(mut mine: Vec<Piece<Interval>>, theirs: Vec<Piece<Interval>>) -> Vec<Piece<Interval>> {
    let size = |piece: &Piece<Interval>| piece.family.phases.iter().flatten().map(Interval::size).max();
    for piece in theirs {
        let same = mine.iter().position(|old| old.by == piece.by && old.family.jump == piece.family.jump);
        match same.map(|i| &mut mine[i]) {
            Some(old) => {
                if size(&piece) < size(old) {
                    *old = piece;
                }
            }
            None => mine.push(piece),
        }
    }
    mine
}
