//! One step of the forward pass: the field of a node through one of its reaches, and the union of such
//! fields.

use std::borrow::Cow;

use super::family::{Content, Family, too_large};
use super::moments::Moments;
use super::{AxisField, Field, Fields, Interval, Options, Piece, Pieces};
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
    /// Whether it reads the same position along every axis that carries positions: a field passes unchanged.
    still: bool,
    links: Vec<Link>,
    /// For data-dependent sampling, the links with the boxes widened by the largest offset; `None` without a bound.
    wide: Option<Vec<Link>>,
    sampled: bool,
    input: &'a [u64],
    output: &'a [u64],
    graph: &'a Graph,
}

/// Returns, for each of `rank` axes of a node, whether it carries positions of some input.
fn followed(fields: &[Field], rank: usize) -> Vec<bool> {
    let mut axes = vec![false; rank];
    for axis in fields.iter().flat_map(|field| field.axes.iter()) {
        let boxes = axis.union.iter().chain(axis.smallest.iter().chain(&axis.reachable).flatten());
        for by in boxes.filter_map(|piece| piece.by).chain(axis.taps.iter().filter_map(|piece| piece.by)) {
            if let Some(carries) = axes.get_mut(by) {
                *carries = true;
            }
        }
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
        let sizes = graph.node(operand).shape.sizes();
        let output = node.shape.sizes();
        let followed = followed(&fields.nodes[operand.0], sizes.len());
        let channels = reach.axes.first().cloned().unwrap_or(AxisReach::All);
        let same = |axis: usize| {
            reach.axes.get(axis) == Some(&AxisReach::same(axis)) && sizes.get(axis) == output.get(axis)
        };
        let sampled = matches!(reach.role, Role::Sampled(_));
        if !sampled && followed.iter().enumerate().all(|(axis, &carries)| !carries || same(axis)) {
            let (links, wide) = (vec![], None);
            let input = sizes;
            return Ok(Self { operand, channels, still: true, links, wide, sampled, input, output, graph });
        }
        let link = |(axis, reach): (usize, &AxisReach)| match reach {
            _ if !followed.get(axis).copied().unwrap_or(false) => Ok(Link::All),
            AxisReach::Blocks { inputs, .. } if sizes.get(axis).is_some_and(|size| inputs >= size) => {
                Ok(Link::All)
            }
            _ => Link::new(reach),
        };
        let links = reach.axes.iter().enumerate().map(link).collect::<Result<Vec<_>, _>>()?;
        let wide = match reach.role {
            Role::Sampled(sampling) => {
                options.max_offset.or(sampling.max_offset).and_then(|offset| widened(&links, offset))
            }
            _ => None,
        };
        Ok(Self { operand, channels, still: false, links, wide, sampled, input: sizes, output, graph })
    }

    pub(super) fn pull<'f>(&self, field: &'f Field) -> Result<Cow<'f, Field>, Problem> {
        if self.still {
            return Ok(Cow::Borrowed(field));
        }
        let mut axes = Vec::with_capacity(field.axes.len());
        let sizes = self.graph.node(field.input).shape.spatial();
        for (axis, &size) in field.axes.iter().zip(sizes) {
            let union = if axis.whole { None } else { self.boxes(&axis.union, &self.links, size)? };
            // What was the same before is the same behind this layer.
            let known = |pieces: &Pieces<Interval>| !axis.whole && pieces.same(&axis.union);
            let smallest = match &axis.smallest {
                Some(pieces) if known(pieces) => union.clone(),
                Some(pieces) => self.boxes(pieces, &self.links, size)?,
                None => None,
            };
            let wide = if self.sampled { self.wide.as_ref() } else { Some(&self.links) };
            let reachable = match (&axis.reachable, wide) {
                (Some(pieces), Some(_)) if !self.sampled && known(pieces) => union.clone(),
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
        let sampled = field.sampled || self.sampled;
        Ok(Cow::Owned(Field { axes: axes.into(), sampled, ..field.clone() }))
    }

    /// Returns the boxes of the node's units through `links`; `None` if they cover the whole axis, of `size`
    /// elements.
    fn boxes(
        &self,
        pieces: &[Piece<Interval>],
        links: &[Link],
        size: u64,
    ) -> Result<Option<Pieces<Interval>>, Problem> {
        let mut out = Vec::with_capacity(pieces.len());
        for piece in pieces {
            let Some(axis) = piece.by else {
                insert(&mut out, Cow::Borrowed(piece), 1, |a, b| a.hull(*b))?;
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
            insert(&mut out, Cow::Owned(next), extent, |a, b| a.hull(*b))?;
        }
        Ok(Some(out.into()))
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

    fn taps(&self, pieces: &[Piece<Moments>]) -> Result<Pieces<Moments>, Problem> {
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
            insert(&mut out, Cow::Owned(next), extent, Moments::mix)?;
        }
        Ok(out.into())
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
    piece: Cow<'_, Piece<T>>,
    extent: u64,
    join: impl Fn(&T, &T) -> T,
) -> Result<(), Problem> {
    let same = pieces.iter().position(|old| old.by == piece.by && old.family.jump == piece.family.jump);
    match same {
        Some(i) => {
            pieces[i].family.join(&piece.family, extent, join)?;
            pieces[i].cut = pieces[i].cut.zip(piece.cut).map(|(a, b)| a.hull(b));
        }
        None if pieces.len() >= MAX_PIECES => {
            return Err(Problem::new(
                Code::Limit,
                format!("not supported: paths with more than {MAX_PIECES} different jumps meet here"),
            )
            .help("the paths into a merge need the same strides"));
        }
        None => pieces.push(piece.into_owned()),
    }
    Ok(())
}

/// Returns the field of a node that reads `all`; `None` if there is nothing to read.
pub(super) fn union<'f>(
    all: impl IntoIterator<Item = Cow<'f, Field>>,
    shape: &crate::shape::Shape,
) -> Result<Option<Field>, Problem> {
    let mut all = all.into_iter();
    let Some(first) = all.next() else { return Ok(None) };
    let mut all = all.peekable();
    if all.peek().is_none() {
        return Ok(Some(first.into_owned()));
    }
    // Collected in place: thousands of operands may meet.
    let mut axes: Vec<AxisField> = first.axes.to_vec();
    let mut sampled = first.sampled;
    for other in all {
        sampled |= other.sampled;
        for (one, other) in axes.iter_mut().zip(other.axes.iter()) {
            add(one, other, shape)?;
        }
    }
    Ok(Some(Field { axes: axes.into(), sampled, ..first.into_owned() }))
}

/// Adds the field `other` of a node's operand to `one`.
fn add(one: &mut AxisField, other: &AxisField, shape: &crate::shape::Shape) -> Result<(), Problem> {
    let extent = |by: Option<usize>| by.map_or(1, |by| shape.sizes()[by]);
    let hull = |mine: &mut Pieces<Interval>, theirs: &Pieces<Interval>| {
        if mine.same(theirs) {
            return Ok(());
        }
        let mine = mine.to_mut();
        let mut pieces = theirs.iter();
        pieces.try_for_each(|piece| insert(mine, Cow::Borrowed(piece), extent(piece.by), |a, b| a.hull(*b)))
    };
    let regular = |field: &AxisField| {
        !field.whole && field.reachable.as_ref().is_some_and(|reachable| reachable.same(&field.union))
    };
    let shared = regular(one) && regular(other);
    if shared {
        one.reachable = None;
    }
    if one.whole || other.whole {
        one.whole = true;
        one.union = Pieces::default();
    } else {
        hull(&mut one.union, &other.union)?;
    }
    match (&mut one.reachable, &other.reachable) {
        _ if shared => one.reachable = Some(one.union.clone()),
        (Some(mine), Some(theirs)) => hull(mine, theirs)?,
        (mine, _) => *mine = None,
    }
    let taps = one.taps.to_mut();
    for piece in &other.taps {
        insert(taps, Cow::Borrowed(piece), extent(piece.by), Moments::mix)?;
    }
    match (&mut one.smallest, &other.smallest) {
        (Some(mine), Some(theirs)) => smaller(mine, theirs),
        (mine, theirs) => *mine = mine.take().or_else(|| theirs.clone()),
    }
    Ok(())
}

/// Keeps, for each jump, the family whose largest box is smaller.
fn smaller(mine: &mut Pieces<Interval>, theirs: &Pieces<Interval>) {
    if mine.same(theirs) {
        return;
    }
    let size = |piece: &Piece<Interval>| piece.family.phases.iter().flatten().map(Interval::size).max();
    for piece in theirs {
        let same = mine.iter().position(|old| old.by == piece.by && old.family.jump == piece.family.jump);
        match same {
            Some(i) => {
                if size(piece) < size(&mine[i]) {
                    mine.to_mut()[i].clone_from(piece);
                }
            }
            None => mine.to_mut().push(piece.clone()),
        }
    }
}
