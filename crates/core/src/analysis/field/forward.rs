//! The forward pass: from the fields of a node's operands to its own.

use std::collections::BTreeSet;

use num_rational::Ratio;
use num_traits::{CheckedAdd as _, CheckedSub as _};

use super::channel_groups::{self, Table, asked};
use super::channels::{Channels, channels};
use super::family::{Content, Family, Jump, too_large};
use super::moments::Moments;
use super::relation::{Link, Reads, Relation};
use super::{AxisField, Field, Fields, Interval, Misaligned, Options, PathEnd, Piece};
use crate::diagnostic::{Code, Problem};
use crate::graph::{Graph, Node, NodeId, Op};
use crate::layers::{AxisReach, Reach, Role};

/// Most pieces of one axis: paths with so many different jumps are not a network.
const MAX_PIECES: usize = 32;
/// Most phases over all nodes: keeps the memory of a hostile graph bounded (about a gigabyte).
const MAX_TOTAL: usize = 1 << 23;

/// The receptive fields of all nodes.
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
        let piece = Piece { by: Some(axis), family: Family::identity(Interval { lo: 0, hi: 0 }), cut: None };
        AxisField {
            whole: false,
            union: vec![piece.clone()],
            smallest: Some(vec![piece.clone()]),
            reachable: Some(vec![piece]),
            taps: vec![Piece { by: Some(axis), family: Family::identity(Moments::at(0.0)), cut: None }],
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

/// One reach of a node, ready to be applied.
pub(super) struct Step<'a> {
    pub operand: NodeId,
    /// Which channels of the operand are read.
    pub channels: AxisReach,
    links: Vec<Link>,
    /// The links with the boxes widened by the largest sampling offset; none without a bound.
    wide: Option<Vec<Link>>,
    sampled: bool,
    input: &'a [u64],
    output: &'a [u64],
    graph: &'a Graph,
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
    let mut steps = Vec::new();
    for reach in reaches.iter().filter(|reach| reach.role != Role::Context) {
        steps.push(Step::new(graph, node, reach, fields, options)?);
    }
    let mut list = Vec::new();
    let seen = node.inputs.iter().flat_map(|operand| &fields.nodes[operand.0]).map(|field| field.input);
    for input in seen.collect::<BTreeSet<_>>() {
        // An operand that only says how large something is gives nothing on.
        let read = |&(operand, _): &(usize, &NodeId)| reaches.iter().any(|reach| reach.input == operand);
        let operands = node.inputs.iter().enumerate().filter(read).map(|(_, &operand)| operand);
        let context = operands
            .into_iter()
            .any(|operand| fields.of(operand, input).is_some_and(|f| f.context))
            || reaches.iter().filter(|reach| reach.role == Role::Context).any(|reach| {
                let operand = node.inputs.get(reach.input);
                let field = operand.and_then(|&operand| fields.of(operand, input));
                let beside =
                    reaches.iter().any(|other| other.input == reach.input && other.role != Role::Context);
                field.is_some_and(|field| !beside || widens(reach, field, operand.map(|&id| graph.node(id))))
            });
        let mut parts = Vec::new();
        for step in &steps {
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
        let Channels { mut uniform, mut bound } = channels(graph, node, &reaches, fields, input, has_classes);
        let several = node.inputs.iter().any(|&operand| has_classes(operand));
        let classes = if asked[id.0] || several {
            let of = |step: &Step<'_>| fields.of(step.operand, input).filter(|field| field.local);
            let read: Vec<_> = steps.iter().map(|step| (step, of(step))).collect();
            let classes = channel_groups::split(graph, node, &read, table, input).unwrap_or_default();
            // Too many to be kept apart.
            uniform &= classes.is_some();
            bound |= several && classes.is_none();
            classes
        } else {
            None
        };
        fields.misaligned.extend(clashes);
        let mut rest = parts.into_iter().map(|(_, _, field)| field);
        let Some(mut field) = rest.next() else { continue };
        for other in rest {
            field = union(field, other, &node.shape)?;
        }
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
        list.push(Field { context, aligned, uniform, bound, ..field });
    }
    Ok(list)
}

/// The field of a node that depends on `input` through gates only.
fn only_context(graph: &Graph, input: NodeId) -> Field {
    let axes = vec![AxisField::default(); graph.node(input).shape.spatial().len()];
    let (context, aligned, uniform) = (true, true, true);
    Field { input, axes, context, local: false, aligned, sampled: false, uniform, bound: false }
}

/// Whether statistics that a node takes of its operand show it positions beside its own: those of a map of one position
/// (a group norm behind global pooling) do not.
fn widens(reach: &Reach, field: &Field, operand: Option<&Node>) -> bool {
    // Of a whole axis nothing is left to see, unless it is called whole by a bound.
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

/// The axes of a node that carry positions of some input.
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
    fn new(
        graph: &'a Graph,
        node: &'a Node,
        reach: &Reach,
        fields: &Fields,
        options: Options,
    ) -> Result<Self, Problem> {
        let operand = *node.inputs.get(reach.input).ok_or_else(too_large)?;
        // Nobody asks along other axes: the blocks of a flattened map have a period as long as the map.
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

    /// The boxes of the node's units through `links`; none if they see the whole axis, of `size` elements.
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
                    // What is left, of what was left before.
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

    /// What all units of the operand's axis see together of an axis of `size`; none if that is all of it.
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

/// What all `units` of an axis see together.
fn all_of(family: &Family<Interval>, units: u64) -> Result<Option<Interval>, Problem> {
    let reads = Reads { first: 0, step: 1, count: i128::from(units), blend: None };
    Interval::read(family, &reads).ok_or_else(too_large)
}

/// Every unit sees what unit 0 of the operand sees.
fn fixed<T: Content>(family: &Family<T>) -> Result<Piece<T>, Problem> {
    let one = family.at(0).ok_or_else(too_large)?;
    Ok(Piece { by: None, family: Family::constant(one), cut: None })
}

/// Whether `outputs` units that read one element each leave out a part of an axis of `size`: more than what strides miss.
fn cuts(relation: &Relation, size: u64, outputs: u64) -> bool {
    let [Reads { first, count: 1, .. }] = relation.reads[..] else { return false };
    let last = relation.advance.saturating_mul(i128::from(outputs.saturating_sub(1))).saturating_add(first);
    first >= relation.advance || last.saturating_add(relation.advance) < i128::from(size)
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

/// For each jump, the family whose largest box is the smaller one.
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
