//! Receptive fields of any graph, per node, network input and spatial axis.
//!
//! The input is treated as unbounded: windows ignore borders, so a field may start at a negative index and does not
//! depend on the input's size. One pass in execution order computes, along every axis of every network input, the
//! family of units of each node (see [`family`]): each unit's largest box (the union over all paths) and smallest
//! (the path with the smallest field), how far data-dependent sampling can reach, and the moments of the taps. The
//! work is linear in the edges of the graph, times the phases that upsampling causes (1 without it).
//!
//! All channels share one field: the field of a concat is the union of its operands' fields, and a slice of it has
//! the fields of the channels that it takes (see `channel_groups`). Where channels cannot be separated, boxes are
//! upper bounds and are marked as such (see `channels`).
//!
//! One axis of one node is a list of [`Piece`]s. There is one piece as long as all paths have the same jump and
//! follow the same output axis; paths that differ keep separate pieces, which keeps their union exact for every unit,
//! and make the node misaligned (Araujo, Norris & Sim 2019).

#![expect(clippy::option_option, reason = "outside: an overflow; inside: a unit that sees nothing")]

mod channel_groups;
mod channels;
mod facts;
pub mod family;
mod forward;
pub mod interval;
mod mapping;
pub mod moments;
mod pieces;
mod step;

pub use facts::{AxisFacts, Effective, Facts, Sampling, headline};
pub use family::Jump;
pub use forward::analyse;
pub use interval::Interval;
pub use pieces::Pieces;

use std::collections::HashMap;
use std::sync::Arc;

use crate::graph::NodeId;
use family::Family;
use moments::Moments;

/// Settings of the analysis.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Largest offset of data-dependent sampling, in pixels; overrides what the layers declare.
    pub max_offset: Option<f64>,
}

/// The receptive fields of a graph.
#[derive(Debug, Clone)]
pub struct Fields {
    /// The network's inputs, in order.
    pub inputs: Vec<NodeId>,
    /// For each node, its field with respect to each input that it depends on, in the order of the inputs.
    pub nodes: Vec<Vec<Field>>,
    /// Merges whose operands are not aligned.
    pub misaligned: Vec<Misaligned>,
}

/// The field of one node with respect to one input.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each a key of the JSON")]
pub struct Field {
    /// The input.
    pub input: NodeId,
    /// One entry per spatial axis of the input; layers that only pass a field on share it.
    pub axes: Arc<[AxisField]>,
    /// Whether a gate or statistics over the whole map act on it, in addition to the local field.
    pub context: bool,
    /// Whether it depends on the input locally, not only through a gate.
    pub local: bool,
    /// Whether all merges before it join paths with the same jump and centre; causal paths with the same jump and
    /// end.
    pub aligned: bool,
    /// Whether a layer before it samples at data-dependent positions.
    pub sampled: bool,
    /// Whether all channels have the same boxes.
    pub uniform: bool,
    /// Whether the boxes may be too large: a layer before it separates channels that have different boxes, mixes positions
    /// in a reshape, or joins paths of which one reads nothing at some units.
    pub bound: bool,
}

/// The fields of a node's units along one axis of an input.
#[derive(Debug, Clone, Default)]
pub struct AxisField {
    /// Whether the field is the whole axis: after global pooling, or a linear layer over it.
    pub whole: bool,
    /// The union over all paths.
    pub union: Pieces<Interval>,
    /// The path with the smallest box; `None` if every path reads the whole axis.
    pub smallest: Option<Pieces<Interval>>,
    /// The union if samples move as far as allowed; `None` if there is no bound.
    pub reachable: Option<Pieces<Interval>>,
    /// The distribution of taps.
    pub taps: Pieces<Moments>,
}

/// Units that follow one output axis with one jump.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece<T> {
    /// The output axis that moves the field (0 is the channel axis); `None` if all units have the same field.
    pub by: Option<usize>,
    /// The contents of the units.
    pub family: Family<T>,
    /// An upper bound on what all units together read, where a crop or a slice omitted a part of the axis.
    pub cut: Option<Interval>,
}

/// A merge whose operands are not aligned.
#[derive(Debug, Clone, PartialEq)]
pub struct Misaligned {
    /// The merging node.
    pub node: NodeId,
    /// The affected network input.
    pub input: NodeId,
    /// The spatial axis of that input, from 0.
    pub axis: usize,
    /// The operands.
    pub paths: Vec<PathEnd>,
}

/// One operand of a misaligned merge.
#[derive(Debug, Clone, PartialEq)]
pub struct PathEnd {
    /// The operand.
    pub node: NodeId,
    /// Its jump at the merge.
    pub jump: Jump,
    /// The centre of unit 0 (averaged over phases), in input pixels with pixel centres at whole numbers.
    pub centre: Jump,
    /// Whether the operand is itself a misaligned union, whose other output axes and jumps are omitted.
    pub mixed: bool,
}

impl Misaligned {
    /// Returns the largest distance between two operands' centres at unit 0, in pixels.
    pub fn offset(&self) -> Jump {
        let centres = self.paths.iter().map(|path| path.centre);
        let (low, high) = (centres.clone().min(), centres.max());
        high.zip(low).map_or(Jump::from_integer(0), |(high, low)| high - low)
    }

    /// Returns whether the jumps differ, so that the operands drift apart.
    pub fn drifts(&self) -> bool {
        self.paths.iter().any(|path| path.jump != self.paths[0].jump)
    }
}

impl Fields {
    /// Returns the field of `node` with respect to `input`; `None` if `node` does not depend on `input`.
    pub fn of(&self, node: NodeId, input: NodeId) -> Option<&Field> {
        // One entry per input, in their order: there may be thousands.
        let fields = self.nodes.get(node.0)?;
        fields.binary_search_by_key(&input, |field| field.input).ok().map(|index| &fields[index])
    }

    /// Returns the misaligned merges by node.
    pub fn misaligned_at(&self) -> HashMap<NodeId, Vec<&Misaligned>> {
        let mut map: HashMap<NodeId, Vec<&Misaligned>> = HashMap::new();
        for merge in &self.misaligned {
            map.entry(merge.node).or_default().push(merge);
        }
        map
    }
}
