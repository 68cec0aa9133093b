//! Positions of feature maps that no layer reads: gaps between windows whose stride exceeds their extent, and
//! rows and columns at the border that remain because sizes do not divide evenly.
//!
//! The analysis is exact: each reader marks its rows on each axis, and positions are counted by the readers
//! that mark them. A reader that cannot be described by rows (a resize, a gate, a linear layer) counts as
//! reading everything, and so does one that is meant to cut (a crop, a slice).

use std::collections::{BTreeMap, HashSet};

use crate::diagnostic::{Code, Problem};
use crate::graph::{Graph, NodeId, Op};
use crate::layers::window::Window;
use crate::layers::{AxisReach, Category, Layer, Reach};

/// A feature map with positions that no layer reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// The map.
    pub node: NodeId,
    /// Its readers, in execution order.
    pub readers: Vec<NodeId>,
    /// Its number of positions (channels not counted).
    pub positions: u64,
    /// The number of positions that some reader reads.
    pub read: u64,
    /// Per spatial axis: rows before the first and after the last that is read.
    pub border: Vec<(u64, u64)>,
    /// Per spatial axis: the most unread rows between two that are read.
    pub gap: Vec<u64>,
}

impl Unread {
    /// Returns whether positions between read ones are skipped, on some axis or because readers read
    /// different rows.
    pub fn skips(&self, sizes: &[u64]) -> bool {
        let inside: u64 =
            sizes.iter().zip(&self.border).map(|(size, (before, after))| size - before - after).product();
        inside > self.read
    }
}

/// Maximum axis length that is marked row by row, number of taps, and number of readers; beyond them a reader counts
/// as reading everything.
const MAX_ROWS: u64 = 1 << 16;
const MAX_TAPS: u64 = 1 << 10;
const MAX_READERS: usize = 64;

/// Returns all maps with unread positions; `consumers` are the readers of each node. An error if the maps are
/// too many and too large to mark.
pub fn unread(graph: &Graph, consumers: &[Vec<NodeId>]) -> Result<Vec<Unread>, Problem> {
    let mut found = Vec::new();
    let mut budget = BUDGET;
    let outputs: HashSet<NodeId> = graph.outputs.iter().copied().collect();
    for (id, node) in graph.iter() {
        let readers = &consumers[id.0];
        let sizes = node.shape.spatial();
        if readers.is_empty() || sizes.is_empty() || outputs.contains(&id) {
            continue;
        }
        match of_map(graph, id, sizes, readers, &mut budget) {
            Ok(map) => found.extend(map),
            Err(TooMuch) => {
                let message = "not supported: unread positions of so many large maps";
                return Err(Problem::new(Code::Limit, message).help("analyse a part of the network"));
            }
        }
    }
    Ok(found)
}

/// Rows and taps that may be marked in total.
const BUDGET: u64 = 100_000_000;

/// The budget is exhausted.
struct TooMuch;

fn of_map(
    graph: &Graph,
    id: NodeId,
    sizes: &[u64],
    readers: &[NodeId],
    budget: &mut u64,
) -> Result<Option<Unread>, TooMuch> {
    // For each pattern of reading, the rows read on each axis; `None` where all are read.
    let mut ways: Vec<Vec<Option<Vec<bool>>>> = Vec::new();
    let mut distinct: Vec<NodeId> = readers.to_vec();
    distinct.dedup();
    for &reader in &distinct {
        let node = graph.node(reader);
        if matches!(&node.op, Op::Layer(layer) if layer.doc().category == Category::Shape) {
            return Ok(None);
        }
        // These read all of every operand, and may have thousands.
        if matches!(&node.op, Op::Layer(Layer::Concat(_) | Layer::Add(_) | Layer::Multiply(_))) {
            return Ok(None);
        }
        for reach in graph.reach(node) {
            if node.inputs.get(reach.input) != Some(&id) {
                continue;
            }
            let rows = rows(&reach, sizes, node.shape.sizes(), budget)?;
            if rows.iter().all(Option::is_none) {
                return Ok(None);
            }
            ways.push(rows);
        }
    }
    if ways.is_empty() || ways.len() > MAX_READERS {
        return Ok(None);
    }
    let all = u64::MAX >> (64 - ways.len());
    // Classes of rows by the readers that read them, with their sizes, axis by axis.
    let mut classes: Vec<BTreeMap<u64, u64>> = Vec::new();
    let (mut border, mut gap) = (Vec::new(), Vec::new());
    for (axis, &size) in sizes.iter().enumerate() {
        if ways.iter().all(|way| way[axis].is_none()) {
            classes.push(BTreeMap::from([(all, size)]));
            border.push((0, 0));
            gap.push(0);
            continue;
        }
        let mask = |row: usize| {
            ways.iter().enumerate().fold(0u64, |mask, (i, way)| {
                let read = way[axis].as_ref().is_none_or(|rows| rows[row]);
                mask | u64::from(read) << i
            })
        };
        let masks: Vec<u64> = (0..size as usize).map(mask).collect();
        let (Some(first), Some(last)) =
            (masks.iter().position(|&mask| mask != 0), masks.iter().rposition(|&mask| mask != 0))
        else {
            return Ok(None);
        };
        let widest = masks[first..=last].split(|&mask| mask != 0).map(<[u64]>::len).max().unwrap_or(0);
        border.push((first as u64, size - 1 - last as u64));
        gap.push(widest as u64);
        let mut counts = BTreeMap::new();
        masks.iter().for_each(|&mask| *counts.entry(mask).or_insert(0) += 1);
        classes.push(counts);
    }
    let mut joint = BTreeMap::from([(all, 1u64)]);
    for counts in &classes {
        let mut next = BTreeMap::new();
        for (&a, &n) in &joint {
            for (&b, &m) in counts {
                *next.entry(a & b).or_insert(0u64) += n * m;
            }
        }
        joint = next;
    }
    let positions = sizes.iter().product();
    let read = joint.iter().filter(|(mask, _)| **mask != 0).map(|(_, n)| n).sum();
    Ok((read < positions).then_some(Unread { node: id, readers: distinct, positions, read, border, gap }))
}

/// Returns the rows that `reach` reads on each axis of a map with these sizes; `None` where all are read.
fn rows(
    reach: &Reach,
    sizes: &[u64],
    outputs: &[u64],
    budget: &mut u64,
) -> Result<Vec<Option<Vec<bool>>>, TooMuch> {
    let axes = reach.axes.iter().skip(1).zip(sizes);
    axes.map(|(axis, &size)| match axis {
        AxisReach::Window { by, window } => {
            marked(window, size, outputs.get(*by).copied().unwrap_or(1), budget)
        }
        _ => Ok(None),
    })
    .collect()
}

fn marked(window: &Window, size: u64, outputs: u64, budget: &mut u64) -> Result<Option<Vec<bool>>, TooMuch> {
    if size > MAX_ROWS || window.kernel > MAX_TAPS || outputs > MAX_ROWS {
        return Ok(None);
    }
    let last = i128::from(outputs - 1) * i128::from(window.stride) - i128::from(window.before)
        + i128::from(window.kernel - 1);
    let dense = window.dilation == 1 && window.stride <= window.kernel && window.before >= 0;
    if dense && last >= i128::from(size) - 1 {
        return Ok(None);
    }
    *budget = budget.checked_sub(size + outputs * window.kernel).ok_or(TooMuch)?;
    let mut rows = vec![false; size as usize];
    for unit in 0..outputs {
        for tap in 0..window.kernel {
            let row = i128::from(unit) * i128::from(window.stride) - i128::from(window.before)
                + i128::from(tap) * i128::from(window.dilation);
            if let Some(row) = usize::try_from(row).ok().and_then(|row| rows.get_mut(row)) {
                *row = true;
            }
        }
    }
    Ok(if rows.iter().all(|&read| read) { None } else { Some(rows) })
}
