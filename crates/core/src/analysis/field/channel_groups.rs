//! Receptive fields per channel group, tracked while a later layer may still select some of the channels.
//!
//! A box covers all channels together, which is exact wherever all of them are read. After a concat, a slice reads
//! the channels of some operands only (the split of a ShuffleNet v2 or CSP stage without its shuffle): there each
//! class of channels keeps its own field until a layer mixes them.

use std::borrow::Cow;
use std::rc::Rc;

use super::channels::{joins, takes_all};
use super::step::{Step, union};
use super::{Field, NodeId};
use crate::analysis::channel_sets::{Bits, Runs, pulled};
use crate::diagnostic::Problem;
use crate::graph::{Graph, Node, Op};
use crate::layers::rearrange::Rearrangement;
use crate::layers::{Io, Role};

/// Classes of channels with different fields: for each channel, the set of its class, if it depends on the input.
#[derive(Debug, Clone)]
pub(super) struct Apart {
    pub runs: Runs,
    pub classes: Vec<Field>,
}

/// The classes of each node that has several, by input.
pub(super) type Table = Vec<Vec<(NodeId, Apart)>>;

pub(super) fn of(table: &Table, node: NodeId, input: NodeId) -> Option<&Apart> {
    table.get(node.0)?.iter().find(|(id, _)| *id == input).map(|(_, apart)| apart)
}

/// Maximum number of classes of one node; beyond it they are merged.
const MAX_CLASSES: usize = 256;

/// Returns, for each node, whether a later layer selects some of its channels before another mixes them all.
pub(super) fn asked(graph: &Graph) -> Vec<bool> {
    let mut asked = vec![false; graph.nodes.len()];
    for (id, node) in graph.iter().collect::<Vec<_>>().into_iter().rev() {
        let places = places(graph, node);
        for reach in graph.reach(node).iter().filter(|reach| reach.role != Role::Context) {
            let Some(&operand) = node.inputs.get(reach.input) else { continue };
            let size = graph.node(operand).shape.channels();
            let axis = reach.axes.first();
            let picks = places || !axis.is_some_and(|axis| takes_all(axis, size, node.shape.channels()));
            if size > 1 && (picks || asked[id.0] && !joins(axis, size)) {
                asked[operand.0] = true;
            }
        }
    }
    asked
}

/// Returns whether the channels that `node` reads become positions of a map.
fn places(graph: &Graph, node: &Node) -> bool {
    let Op::Layer(layer) = &node.op else { return false };
    let shapes = graph.input_shapes(node);
    match layer.rearrangement(Io { inputs: &shapes, output: &node.shape }) {
        Some(Rearrangement::ToSpace(_)) => true,
        Some(Rearrangement::Regroup(runs)) => {
            runs.iter().any(|run| run.input.contains(&0) && run.output.iter().any(|&axis| axis > 0))
        }
        _ => false,
    }
}

/// Returns the field of each class of the node's channels, from the classes of its operands. `None` if there is only
/// one class, or too many.
pub(super) fn split(
    graph: &Graph,
    node: &Node,
    steps: &[(&Step<'_>, Option<&Field>)],
    table: &Table,
    input: NodeId,
) -> Result<Option<Apart>, Problem> {
    // The sets below contain indices into this list of all operands' classes.
    let mut seen: Vec<Field> = Vec::new();
    let mut read: Vec<(usize, &Step<'_>, Option<&Apart>)> = Vec::new();
    for (step, field) in steps {
        let Some(field) = field else { continue };
        let apart = of(table, step.operand, input);
        read.push((seen.len(), step, apart));
        match apart {
            Some(apart) => {
                for class in &apart.classes {
                    seen.push(step.pull(class)?.into_owned());
                }
            }
            None => seen.push(step.pull(field)?.into_owned()),
        }
    }
    if seen.len() > MAX_CLASSES {
        return Ok(None);
    }
    let (total, channels) = (seen.len() as u64, node.shape.channels());
    let mut all = Runs::default();
    all.push(channels, None);
    for (offset, step, apart) in read {
        let size = graph.node(step.operand).shape.channels();
        let mut own = Runs::default();
        match apart {
            Some(apart) => {
                for run in apart.runs.iter() {
                    let class = run.set.as_ref().and_then(|set| set.iter().next());
                    own.push(run.len, class.map(|class| Rc::new(Bits::one(offset as u64 + class, total))));
                }
            }
            None => own.push(size, Some(Rc::new(Bits::one(offset as u64, total)))),
        }
        all = all.union(&pulled(&own, &step.channels, size, channels)?);
    }
    let mut sets: Vec<Rc<Bits>> = Vec::new();
    let mut runs = Runs::default();
    for run in all.iter() {
        let class = run.set.as_ref().map(|set| {
            sets.iter().position(|other| other == set).unwrap_or_else(|| {
                sets.push(Rc::clone(set));
                sets.len() - 1
            })
        });
        if sets.len() > MAX_CLASSES {
            return Ok(None);
        }
        runs.push(run.len, class.map(|class| Rc::new(Bits::one(class as u64, MAX_CLASSES as u64))));
    }
    let mut classes = Vec::with_capacity(sets.len());
    for set in sets {
        let members = set.iter().filter_map(|member| seen.get(usize::try_from(member).ok()?));
        classes.extend(union(members.map(Cow::Borrowed), &node.shape)?);
    }
    Ok(Some(Apart { runs, classes }))
}

/// Returns the field of all classes together; `None` if no channel depends on the input.
pub(super) fn together(apart: &Apart, node: &Node) -> Result<Option<Field>, Problem> {
    union(apart.classes.iter().map(Cow::Borrowed), &node.shape)
}
