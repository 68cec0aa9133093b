//! One spatial axis of the inputs, followed through a network: which axis of each node carries its positions, which
//! positions each node reads of its operands, and where this ends because a layer reads the whole axis.
//!
//! Tiles and chunks of time both cut a network along such axes. A cut at input position `a` falls at unit `a * scale` of
//! a node; it is possible where this is a whole number for every node, so `a` must be a multiple of the
//! [`Along::lattice`].

use num_integer::Integer as _;
use num_rational::Ratio;
use num_traits::CheckedMul as _;

use crate::analysis::relation::{Link, Reads, Relation};
use crate::graph::{Graph, Node, NodeId, Op};
use crate::layers::conv::PaddingMode;
use crate::layers::{AxisReach, Layer, Reach, Role};

/// Units per input position.
pub type Scale = Ratio<i128>;

/// How a node depends on the positions of the axis.
#[derive(Debug, Clone, PartialEq)]
pub enum Track {
    /// Not at all: a learned tensor, another input without this axis.
    Fixed,
    /// Its units follow the positions.
    Follows {
        /// The node's axis, 0 for channels.
        axis: usize,
        /// Units per input position.
        scale: Scale,
    },
    /// On the whole axis: a layer before it, or itself, is a blocker.
    Whole,
}

/// The elements that a layer reads beyond the border of its operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Border {
    /// Constants, or nothing.
    Padding,
    /// Elements of the operand, as far inside as the padding is wide.
    Mirrored,
    /// The element at the border.
    Repeated,
}

/// A dependence of a node on an operand that follows the axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Edge {
    /// The operand.
    pub operand: NodeId,
    /// The units that are read.
    pub relation: Relation,
    /// What is read beyond the border.
    pub border: Border,
}

/// Why a node depends on the whole axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It reads the whole axis: a global pool, a linear layer, attention.
    Whole,
    /// Statistics or a gate of the whole axis act on it.
    Context,
    /// It samples at positions that depend on the data, without a bound.
    Sampled,
    /// Its windows depend on the size of the input.
    Size,
    /// It keeps a share of the axis, or a fixed part.
    Part,
    /// Its weights fit one size of the input.
    Weights,
    /// Its padding reads the opposite end.
    Wraps,
    /// Its operands have different jumps or other axes.
    Jumps,
    /// It is an operator of an imported model that is not analysed.
    Opaque,
}

/// A node that depends on the whole axis by itself, not only through its operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocker {
    /// The node.
    pub node: NodeId,
    /// The reason.
    pub reason: Reason,
}

/// One axis, followed through a network of certain sizes.
#[derive(Debug, Clone)]
pub struct Along {
    /// One entry per node.
    pub tracks: Vec<Track>,
    /// Units of each node along the axis; 1 where it does not follow.
    pub units: Vec<u64>,
    /// The dependences of each node on operands that follow.
    pub edges: Vec<Vec<Edge>>,
    /// Nodes that depend on the whole axis by themselves, in order.
    pub blockers: Vec<Blocker>,
}

impl Reason {
    /// Returns what the layer does, as a phrase that follows its id.
    pub fn describe(self, layer: &str) -> String {
        match (self, layer) {
            (Self::Context, "squeeze_excite") => "its gate depends on the mean of the whole map".into(),
            (Self::Context, _) => "its statistics are those of the whole map".into(),
            (Self::Whole, "attention" | "matmul") => "every position reads every other".into(),
            (Self::Whole, _) => "it reads the whole axis".into(),
            (Self::Sampled, _) => "it samples at positions without a bound (--max-offset gives one)".into(),
            (Self::Size, _) => "its windows depend on the size of the input".into(),
            (Self::Part, _) => "it keeps a part of the axis that does not grow with the input".into(),
            (Self::Weights, _) => "its weights fit one input size".into(),
            (Self::Wraps, _) => "its padding reads the opposite border".into(),
            (Self::Jumps, _) => "its operands have different jumps".into(),
            (Self::Opaque, _) => "the operator is not analysed".into(),
        }
    }
}

/// What a reach of a node contributes.
enum Part {
    Nothing,
    Whole,
    Blocked(Reason),
    Edge(usize, Scale, Edge),
}

impl Along {
    /// Follows spatial axis `axis` (from 0) of the inputs with `rank` spatial axes through `graph`, whose data-dependent
    /// sampling moves by at most `max_offset` positions (none: what the layers declare).
    pub fn new(graph: &Graph, axis: usize, rank: usize, max_offset: Option<f64>) -> Self {
        let count = graph.nodes().len();
        let mut along = Self {
            tracks: Vec::with_capacity(count),
            units: Vec::with_capacity(count),
            edges: Vec::with_capacity(count),
            blockers: Vec::new(),
        };
        for (id, node) in graph.iter() {
            let (track, edges) = match &node.op {
                Op::Input if node.shape.spatial().len() == rank => {
                    (Track::Follows { axis: axis + 1, scale: Scale::from_integer(1) }, vec![])
                }
                Op::Input => (Track::Fixed, vec![]),
                Op::Layer(layer) => along.step(graph, id, node, layer, max_offset),
            };
            let units = match track {
                Track::Follows { axis, .. } => node.shape.sizes().get(axis).copied().unwrap_or(1),
                Track::Fixed | Track::Whole => 1,
            };
            along.tracks.push(track);
            along.edges.push(edges);
            along.units.push(units);
        }
        along
    }

    fn step(
        &mut self,
        graph: &Graph,
        id: NodeId,
        node: &Node,
        layer: &Layer,
        max_offset: Option<f64>,
    ) -> (Track, Vec<Edge>) {
        if node.sources().is_empty() {
            return (Track::Fixed, vec![]);
        }
        let follows = |input: &NodeId| matches!(self.tracks[input.index()], Track::Follows { .. });
        if let Layer::Opaque(_) = layer {
            if node.inputs.iter().any(follows) {
                self.blockers.push(Blocker { node: id, reason: Reason::Opaque });
                return (Track::Whole, vec![]);
            }
            let whole = node.inputs.iter().any(|input| self.tracks[input.index()] == Track::Whole);
            return (if whole { Track::Whole } else { Track::Fixed }, vec![]);
        }
        let parts: Vec<Part> =
            graph.reach(node).iter().map(|reach| self.part(node, layer, reach, max_offset)).collect();
        let mut blocked =
            parts.iter().find_map(|part| if let Part::Blocked(why) = part { Some(*why) } else { None });
        let whole = parts.iter().any(|part| matches!(part, Part::Whole));
        let mut edges = Vec::new();
        let mut track: Option<(usize, Scale)> = None;
        for part in parts {
            if let Part::Edge(axis, scale, edge) = part {
                if track.is_some_and(|known| known != (axis, scale)) {
                    blocked = blocked.or(Some(Reason::Jumps));
                }
                track = Some((axis, scale));
                edges.push(edge);
            }
        }
        if let Some(reason) = blocked {
            self.blockers.push(Blocker { node: id, reason });
        }
        match track {
            _ if whole || blocked.is_some() => (Track::Whole, vec![]),
            Some((axis, scale)) => (Track::Follows { axis, scale }, edges),
            None => (Track::Fixed, vec![]),
        }
    }

    fn part(&self, node: &Node, layer: &Layer, reach: &Reach, max_offset: Option<f64>) -> Part {
        let Some(&operand) = node.inputs.get(reach.input) else { return Part::Blocked(Reason::Whole) };
        let (from, before) = match &self.tracks[operand.index()] {
            Track::Fixed => return Part::Nothing,
            Track::Whole => return Part::Whole,
            Track::Follows { axis, scale } => (*axis, *scale),
        };
        let whole = if reach.role == Role::Context { Reason::Context } else { Reason::Whole };
        let Some(how) = reach.axes.get(from) else { return Part::Blocked(whole) };
        let mut relation = match Link::new(how) {
            Ok(Link::By(relation)) => relation,
            Ok(Link::All | Link::First) => {
                let by_size = matches!(how, AxisReach::Resize { .. } | AxisReach::Adaptive { .. });
                return Part::Blocked(if by_size && layer.doc().name == "upsample" {
                    Reason::Size
                } else {
                    whole
                });
            }
            Err(_) => return Part::Blocked(Reason::Size),
        };
        // A map that is flattened has no positions any more.
        if node.shape.spatial().is_empty() && relation.by == 0 {
            return Part::Blocked(whole);
        }
        if let Role::Sampled(sampling) = reach.role {
            let Some(far) = max_offset.or(sampling.max_offset).filter(|far| far.abs() < 1e15) else {
                return Part::Blocked(Reason::Sampled);
            };
            widen(&mut relation, far.abs().ceil() as i128);
        }
        let scale = before.checked_mul(&Scale::new(relation.period, relation.advance));
        let Some(scale) = scale else { return Part::Blocked(Reason::Size) };
        let units = |node: &Node, axis: usize| node.shape.sizes().get(axis).copied().map_or(1, i128::from);
        let padded = relation.at(0).is_some_and(|reads| reads.first < 0)
            || relation
                .at(units(node, relation.by) - 1)
                .and_then(|reads| reads.last())
                .is_some_and(|last| last >= i128::from(self.units[operand.index()]));
        let border = match mode(layer) {
            PaddingMode::Circular if padded => return Part::Blocked(Reason::Wraps),
            PaddingMode::Reflect => Border::Mirrored,
            PaddingMode::Replicate => Border::Repeated,
            PaddingMode::Zeros | PaddingMode::Circular => Border::Padding,
        };
        Part::Edge(relation.by, scale, Edge { operand, relation, border })
    }

    /// Compares with `other`, the same network at another size that should differ in the number of units only: a
    /// node whose windows differ becomes a blocker, and what depends on it does not follow.
    pub fn restrict(&mut self, other: &Self) {
        self.block(Reason::Size, |along, index, _| {
            other.tracks.get(index) == Some(&along.tracks[index])
                && other.edges.get(index) == Some(&along.edges[index])
        });
    }

    /// Compares the numbers of units with those of `longer`, the same network on `more` positions: a node that keeps a share
    /// of the axis, or a fixed part, becomes a blocker.
    pub fn growing(&mut self, longer: &Self, more: u64) {
        self.block(Reason::Part, |along, index, scale| {
            let grown =
                longer.units.get(index).map(|&units| i128::from(units) - i128::from(along.units[index]));
            grown.map(Scale::from_integer) == scale.checked_mul(&Scale::from_integer(i128::from(more)))
        });
    }

    /// Makes each node that follows the axis and is not `steady` a blocker; what depends on one does not follow either.
    fn block(&mut self, reason: Reason, steady: impl Fn(&Self, usize, Scale) -> bool) {
        for index in 0..self.tracks.len() {
            let Track::Follows { scale, .. } = self.tracks[index] else { continue };
            let tainted =
                self.edges[index].iter().any(|edge| self.tracks[edge.operand.index()] == Track::Whole);
            let steady = steady(self, index, scale);
            if tainted || !steady {
                self.tracks[index] = Track::Whole;
                self.edges[index].clear();
            }
            if !tainted && !steady {
                self.blockers.push(Blocker { node: NodeId::new(index), reason });
            }
        }
        self.blockers.sort_by_key(|blocker| blocker.node);
    }

    /// Returns the smallest number of input positions of which every cut must be a multiple; `None` if it exceeds 32
    /// bits.
    pub fn lattice(&self) -> Option<i128> {
        let mut lattice = 1i128;
        for edge in self.edges.iter().flatten() {
            let Track::Follows { scale, .. } = &self.tracks[edge.operand.index()] else { continue };
            let advance = edge.relation.advance;
            let step = scale.denom().checked_mul(&(advance / scale.numer().gcd(&advance)))?;
            lattice = lattice.lcm(&step);
            if lattice > i128::from(u32::MAX) {
                return None;
            }
        }
        Some(lattice)
    }

    /// Returns the units of `node` per input position; `None` if it does not follow.
    pub fn scale(&self, node: NodeId) -> Option<Scale> {
        match self.tracks.get(node.index())? {
            Track::Follows { scale, .. } => Some(*scale),
            Track::Fixed | Track::Whole => None,
        }
    }

    /// Returns whether the units of `node` follow the axis.
    pub fn follows(&self, node: NodeId) -> bool {
        self.scale(node).is_some()
    }

    /// Returns where the part of the network that can be cut ends: outputs that follow, and nodes that follow but are
    /// read by one that does not.
    pub fn ends(&self, graph: &Graph) -> Vec<NodeId> {
        let readers = graph.consumers();
        let ends = |id: NodeId| {
            self.follows(id)
                && graph.node(id).op != Op::Input
                && (graph.outputs().contains(&id)
                    || readers[id.index()].iter().any(|&reader| !self.follows(reader)))
        };
        graph.iter().map(|(id, _)| id).filter(|&id| ends(id)).collect()
    }
}

/// Returns how a layer fills its padding. Only convolutions and pads have another choice than constants.
fn mode(layer: &Layer) -> PaddingMode {
    if let Layer::Conv(conv) = layer {
        conv.padding_mode
    } else if let Layer::Pad(pad) = layer {
        pad.mode
    } else {
        PaddingMode::Zeros
    }
}

/// Widens every read by `far` units to each side.
fn widen(relation: &mut Relation, far: i128) {
    for reads in &mut relation.reads {
        if let Some(last) = reads.last() {
            *reads = Reads {
                first: reads.first - far,
                step: 1,
                count: last - reads.first + 1 + 2 * far,
                blend: None,
            };
        }
    }
}
