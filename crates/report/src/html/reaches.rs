//! What every layer reads of its inputs, as data from which the page composes the exact set of any unit.
//!
//! A layer has the same dependence on an input at every unit, so it is stated once per axis; `support.js` composes the
//! sets as [`cnnkit_core::analysis::support`] does. Equal dependences share an entry.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Value, json};

use cnnkit_core::analysis::relation::{Link, Reads, Relation};
use cnnkit_core::analysis::support::{channels_only, padding_mode};
use cnnkit_core::graph::{Graph, Node, Op};
use cnnkit_core::layers::conv::PaddingMode;
use cnnkit_core::layers::rearrange::Rearrangement;
use cnnkit_core::layers::{AxisReach, Io, Role};

/// The largest number that JavaScript represents exactly, with room for sums.
const MOST: i128 = 1 << 50;
/// The longest table of a relation; a longer one makes the unit "not shown here".
const MOST_ENTRIES: usize = 4096;

/// The dependences of all nodes.
#[derive(Debug, Clone, Serialize)]
pub struct Reaches {
    /// The different dependences.
    pub kinds: Vec<Value>,
    /// For each node, what it reads: pairs of an operand's slot and an index into `kinds`.
    pub nodes: Vec<Vec<[usize; 2]>>,
    /// For each node whose first axis has positions among its channels: its index.
    pub mixed: Vec<usize>,
}

impl Reaches {
    /// Returns the dependences of `graph`.
    pub fn of(graph: &Graph) -> Self {
        let mut kinds: Vec<Value> = Vec::new();
        let mut known: HashMap<String, usize> = HashMap::new();
        let mut index = |kind: Value| {
            *known.entry(kind.to_string()).or_insert_with(|| {
                kinds.push(kind);
                kinds.len() - 1
            })
        };
        let nodes = graph
            .nodes()
            .iter()
            .map(|node| reads(graph, node).into_iter().map(|(slot, kind)| [slot, index(kind)]).collect())
            .collect();
        let unmixed = channels_only(graph);
        let mixed = (0..unmixed.len()).filter(|&node| !unmixed[node]).collect();
        Self { kinds, nodes, mixed }
    }
}

/// Returns what a node reads of each operand.
fn reads(graph: &Graph, node: &Node) -> Vec<(usize, Value)> {
    let Op::Layer(layer) = &node.op else { return vec![] };
    let shapes = graph.input_shapes(node);
    let io = Io { inputs: &shapes, output: &node.shape };
    if let Some(rearrangement) = layer.rearrangement(io).filter(|_| !shapes.is_empty()) {
        let kind = match rearrangement {
            Rearrangement::Regroup(runs) => {
                json!({ "regroup": runs.iter().map(|run| (&run.input, &run.output)).collect::<Vec<_>>() })
            }
            Rearrangement::ToSpace(factor) => json!({ "to_space": factor }),
            Rearrangement::ToChannels(factor) => json!({ "to_channels": factor }),
        };
        return vec![(0, kind)];
    }
    let pad = match padding_mode(node) {
        PaddingMode::Zeros => None,
        PaddingMode::Replicate => Some("replicate"),
        PaddingMode::Reflect => Some("reflect"),
        PaddingMode::Circular => Some("circular"),
    };
    graph
        .reach(node)
        .iter()
        .map(|reach| {
            let axes: Option<Vec<Value>> = reach.axes.iter().map(axis).collect();
            let mut kind = json!({ "axes": axes });
            if reach.role == Role::Context {
                kind["context"] = true.into();
            }
            if matches!(reach.role, Role::Sampled(_)) {
                kind["sampled"] = true.into();
            }
            if let Some(pad) = pad {
                kind["pad"] = pad.into();
            }
            (reach.input, kind)
        })
        .collect()
}

/// Returns one axis; `None` if it does not fit.
///
/// A number `n` copies output axis n; `[by, advance, first, step, count]` is a window; everything else has a name.
fn axis(reach: &AxisReach) -> Option<Value> {
    match reach {
        AxisReach::Blocks { by, outputs, inputs } => Some(json!({ "blocks": [by, outputs, inputs] })),
        AxisReach::Shuffle { by, groups, size } => {
            Some(json!({ "shuffle": [by, groups.max(&1), size / groups.max(&1)] }))
        }
        AxisReach::Table { by, indices } if indices.len() <= MOST_ENTRIES => {
            Some(json!({ "table": [by, indices] }))
        }
        AxisReach::Table { .. } | AxisReach::Within { .. } => None,
        _ => match Link::new(reach).ok()? {
            Link::All => Some("all".into()),
            Link::First => Some("first".into()),
            Link::By(relation) => by(&relation),
        },
    }
}

fn by(relation: &Relation) -> Option<Value> {
    let Relation { by, period, advance, reads } = relation;
    let number = |value: i128| (value.abs() < MOST).then_some(value as i64);
    let triple = |reads: &Reads| Some([number(reads.first)?, number(reads.step)?, number(reads.count)?]);
    let (period, advance) = (number(*period)?, number(*advance)?);
    match reads.as_slice() {
        [only] if period == 1 => match (advance, triple(only)?) {
            (1, [0, _, 1]) => Some((*by).into()),
            (advance, [first, step, count]) => Some(json!([by, advance, first, step, count])),
        },
        several if several.len() <= MOST_ENTRIES => {
            let reads: Option<Vec<_>> = several.iter().map(triple).collect();
            Some(json!({ "periodic": [by, period, advance, reads?] }))
        }
        _ => None,
    }
}
