//! The forward pass: from the fields of a node's operands to its own.

use std::collections::BTreeSet;

use num_rational::Ratio;
use num_traits::{CheckedAdd as _, CheckedSub as _};

use super::family::{Content, Family, Jump, too_large};
use super::moments::Moments;
use super::relation::{Link, Reads};
use super::{AxisField, Field, Fields, Misaligned, Options, PathEnd, Piece, Span};
use crate::diagnostic::{Code, Problem};
use crate::graph::{Graph, Node, NodeId, Op};
use crate::layers::{Reach, Role};

/// Most pieces of one axis: paths with so many different jumps are not a network.
const MAX_PIECES: usize = 32;
/// Most phases over all nodes: keeps the memory of a hostile graph bounded (about a gigabyte).
const MAX_TOTAL: usize = 1 << 23;

/// The receptive fields of all nodes.
pub fn analyse(graph: &Graph, options: Options) -> Result<Fields, Problem> {
    let inputs: Vec<NodeId> = graph.inputs().map(|(id, _)| id).collect();
    let mut fields = Fields { inputs, nodes: Vec::with_capacity(graph.nodes.len()), misaligned: vec![] };
    let mut total = 0usize;
    for (id, node) in graph.iter() {
        let list = match node.op {
            Op::Input => vec![source(id, node)],
            Op::Layer(_) => merge(graph, id, node, &mut fields, options)?,
        };
        total = list.iter().flat_map(|field| &field.axes).fold(total + list.len(), |total, axis| {
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

/// Unit `u` of an input is its own element `u`.
fn source(id: NodeId, node: &Node) -> Field {
    let axes = (1..node.shape.rank()).map(|axis| {
        let piece = Piece { by: Some(axis), family: Family::identity(Span { lo: 0, hi: 0 }) };
        AxisField {
            whole: false,
            union: vec![piece.clone()],
            smallest: Some(vec![piece.clone()]),
            reachable: Some(vec![piece]),
            taps: vec![Piece { by: Some(axis), family: Family::identity(Moments::at(0.0)) }],
        }
    });
    Field { input: id, axes: axes.collect(), context: false, local: true, aligned: true, sampled: false }
}

/// One reach of a node, ready to be applied.
struct Step<'a> {
    operand: NodeId,
    links: Vec<Link>,
    /// The links with the boxes widened by the largest sampling offset; none without a bound.
    wide: Option<Vec<Link>>,
    sampled: bool,
    input: &'a [u64],
    output: &'a [u64],
}

fn merge(
    graph: &Graph,
    id: NodeId,
    node: &Node,
    fields: &mut Fields,
    options: Options,
) -> Result<Vec<Field>, Problem> {
    let reaches = graph.reach(node);
    let mut steps = Vec::new();
    for reach in reaches.iter().filter(|reach| reach.role != Role::Context) {
        steps.push(Step::new(graph, node, reach, options)?);
    }
    let mut list = Vec::new();
    let seen = node.inputs.iter().flat_map(|operand| &fields.nodes[operand.0]).map(|field| field.input);
    for input in seen.collect::<BTreeSet<_>>() {
        let context = node.inputs.iter().any(|&operand| fields.of(operand, input).is_some_and(|f| f.context))
            || reaches.iter().filter(|reach| reach.role == Role::Context).any(|reach| {
                node.inputs.get(reach.input).is_some_and(|&operand| fields.of(operand, input).is_some())
            });
        let mut parts = Vec::new();
        for step in &steps {
            if let Some(field) = fields.of(step.operand, input).filter(|field| field.local) {
                parts.push((step.operand, field.aligned, step.pull(field)?));
            }
        }
        if parts.is_empty() {
            if context {
                let axes = vec![AxisField::default(); graph.node(input).shape.spatial().len()];
                list.push(Field { input, axes, context, local: false, aligned: true, sampled: false });
            }
            continue;
        }
        let clashes = misalignments(id, input, &parts)?;
        let aligned = clashes.is_empty() && parts.iter().all(|(_, aligned, _)| *aligned);
        fields.misaligned.extend(clashes);
        let mut rest = parts.into_iter().map(|(_, _, field)| field);
        let Some(mut field) = rest.next() else { continue };
        for other in rest {
            field = union(field, other, &node.shape)?;
        }
        list.push(Field { context, aligned, ..field });
    }
    Ok(list)
}

impl<'a> Step<'a> {
    fn new(graph: &'a Graph, node: &'a Node, reach: &Reach, options: Options) -> Result<Self, Problem> {
        let operand = *node.inputs.get(reach.input).ok_or_else(too_large)?;
        let links = reach.axes.iter().map(Link::new).collect::<Result<Vec<_>, _>>()?;
        let (wide, sampled) = match reach.role {
            Role::Sampled(sampling) => {
                (options.max_offset.or(sampling.max_offset).and_then(|offset| widened(&links, offset)), true)
            }
            _ => (Some(links.clone()), false),
        };
        let input = graph.node(operand).shape.sizes();
        Ok(Self { operand, links, wide, sampled, input, output: node.shape.sizes() })
    }

    fn pull(&self, field: &Field) -> Result<Field, Problem> {
        let mut axes = Vec::with_capacity(field.axes.len());
        for axis in &field.axes {
            let union = if axis.whole { None } else { self.boxes(&axis.union, &self.links)? };
            let smallest = match &axis.smallest {
                Some(pieces) => self.boxes(pieces, &self.links)?,
                None => None,
            };
            let reachable = match (&axis.reachable, &self.wide) {
                (Some(pieces), Some(links)) => self.boxes(pieces, links)?,
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

    /// The boxes of the node's units through `links`; none if they see the whole axis.
    fn boxes(&self, pieces: &[Piece<Span>], links: &[Link]) -> Result<Option<Vec<Piece<Span>>>, Problem> {
        let mut out = Vec::with_capacity(pieces.len());
        for piece in pieces {
            let Some(axis) = piece.by else {
                insert(&mut out, piece.clone(), 1, |a, b| a.hull(*b))?;
                continue;
            };
            let next = match links.get(axis) {
                None | Some(Link::All) if self.input[axis] > 1 => return Ok(None),
                None | Some(Link::All | Link::First) => fixed(&piece.family)?,
                Some(Link::By(relation)) => {
                    let family = piece.family.through(relation, self.output[relation.by])?;
                    Piece { by: Some(relation.by), family }
                }
            };
            let extent = next.by.map_or(1, |by| self.output[by]);
            insert(&mut out, next, extent, |a, b| a.hull(*b))?;
        }
        Ok(Some(out))
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
                    Piece { by: None, family: Family::constant(all) }
                }
                Some((_, Link::By(relation))) => {
                    let family = piece.family.through(relation, self.output[relation.by])?;
                    Piece { by: Some(relation.by), family }
                }
            };
            let extent = next.by.map_or(1, |by| self.output[by]);
            insert(&mut out, next, extent, Moments::mix)?;
        }
        Ok(out)
    }
}

/// Every unit sees what unit 0 of the operand sees.
fn fixed<T: Content>(family: &Family<T>) -> Result<Piece<T>, Problem> {
    let one = family.at(0).ok_or_else(too_large)?;
    Ok(Piece { by: None, family: Family::constant(one) })
}

fn links_at(links: &[Link], axis: usize) -> &Link {
    links.get(axis).unwrap_or(&Link::All)
}

/// The links with every read stretched by `offset` pixels (rounded up, as bilinear sampling reads both neighbours).
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

/// Adds `piece`, joined with the one that follows the same axis with the same jump.
fn insert<T: Content>(
    pieces: &mut Vec<Piece<T>>,
    piece: Piece<T>,
    extent: u64,
    join: impl Fn(&T, &T) -> T,
) -> Result<(), Problem> {
    let same = pieces.iter().position(|old| old.by == piece.by && old.family.jump == piece.family.jump);
    match same {
        Some(i) => pieces[i].family = pieces[i].family.join(&piece.family, extent, join)?,
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

fn union(a: Field, b: Field, shape: &crate::shape::Shape) -> Result<Field, Problem> {
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

/// For each jump, the family whose largest box is the smaller one.
fn smaller(mut mine: Vec<Piece<Span>>, theirs: Vec<Piece<Span>>) -> Vec<Piece<Span>> {
    let size = |piece: &Piece<Span>| piece.family.phases.iter().flatten().map(Span::size).max();
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

/// The axes along which the operands' units do not lie on each other.
fn misalignments(
    node: NodeId,
    input: NodeId,
    parts: &[(NodeId, bool, Field)],
) -> Result<Vec<Misaligned>, Problem> {
    let mut found = Vec::new();
    let axes = parts.first().map_or(0, |(_, _, field)| field.axes.len());
    for axis in 0..axes {
        let mut ends: Vec<(Option<usize>, PathEnd)> = Vec::new();
        for (operand, _, field) in parts {
            // A path that sees the same from everywhere (global, broadcast) cannot be out of step.
            let moving: Vec<_> = field.axes[axis].union.iter().filter(|piece| piece.by.is_some()).collect();
            if let Some(piece) = moving.first() {
                let centre = centre(&piece.family).ok_or_else(too_large)?;
                let mixed = moving.len() > 1;
                ends.push((piece.by, PathEnd { node: *operand, jump: piece.family.jump, centre, mixed }));
            }
        }
        let Some((by, first)) = ends.first().cloned() else { continue };
        let same = ends
            .iter()
            .all(|(other, end)| *other == by && end.jump == first.jump && end.centre == first.centre);
        if !same {
            let paths = ends.into_iter().map(|(_, end)| end).collect();
            found.push(Misaligned { node, input, axis, paths });
        }
    }
    Ok(found)
}

/// The centre of unit 0: where the units' boxes have their middles, less `jump` a unit, averaged over the phases.
fn centre(family: &Family<Span>) -> Option<Jump> {
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
