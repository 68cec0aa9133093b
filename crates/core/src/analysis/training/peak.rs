//! The peak of a training step by liveness, through the forward and the backward pass.
//!
//! Activations live until their last reader has run, or until the backward step of the layer that keeps them.
//! Gradients of activations live from the backward step of their last reader to that of the layer that computed them;
//! the gradient of a view is a view. Gradients of parameters are created by the backward pass and stay. Parameters,
//! buffers, master weights and optimiser states exist throughout.

use super::Training;
use super::kept::{Kept, kept};
use crate::graph::{Graph, NodeId, Op};

/// The step of a training step with the largest memory use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrainingPeak {
    /// Bytes alive at that step.
    pub bytes: u64,
    /// The layer that runs at that step; none for an empty network.
    pub step: Option<NodeId>,
    /// Whether it runs backward.
    pub backward: bool,
    /// The largest number of bytes, at any step, of activations and their gradients that are not kept.
    pub temporary: u64,
}

/// Computes the peak of `graph`.
pub fn of(graph: &Graph, training: &Training) -> TrainingPeak {
    at(graph, training, &kept(graph, training))
}

/// Bytes that live from one moment to another, both included.
struct Lives {
    /// Bytes that begin at each moment, and those that ended just before it.
    changes: Vec<(u64, u64)>,
}

impl Lives {
    fn new(moments: usize) -> Self {
        Self { changes: vec![(0, 0); moments + 1] }
    }

    fn add(&mut self, first: usize, last: usize, bytes: u64) {
        let end = last.saturating_add(1).min(self.changes.len() - 1);
        let begin = &mut self.changes[first].0;
        *begin = begin.saturating_add(bytes);
        let ended = &mut self.changes[end].1;
        *ended = ended.saturating_add(bytes);
    }

    /// Returns the bytes alive at each moment.
    fn alive(&self) -> Vec<u64> {
        let mut alive = 0u128;
        let moment = |&(begun, ended): &(u64, u64)| {
            alive = (alive + u128::from(begun)).saturating_sub(u128::from(ended));
            u64::try_from(alive).unwrap_or(u64::MAX)
        };
        self.changes.iter().take(self.changes.len() - 1).map(moment).collect()
    }
}

/// Computes the peak, given what is kept.
pub fn at(graph: &Graph, training: &Training, kept: &Kept) -> TrainingPeak {
    let count = graph.nodes().len();
    // Moment `i` is the forward step of node `i`, moment `2 n - 1 - i` its backward step.
    let moments = 2 * count;
    let back = |node: usize| moments - 1 - node;
    let (mut lasting, mut passing) = (Lives::new(moments), Lives::new(moments));
    for storage in &kept.storages {
        let birth = if graph.nodes()[storage.birth].op == Op::Input { 0 } else { storage.birth };
        match storage.keeper {
            Some(keeper) => lasting.add(birth, back(keeper).max(storage.last), storage.bytes),
            None => passing.add(birth, storage.last, storage.bytes),
        }
    }
    for (first, last, bytes) in gradients(graph, training, kept) {
        passing.add(first, last, bytes);
    }
    // A shared weight has its first gradient from its last use.
    let mut last_use: Vec<usize> = (0..count).collect();
    for (id, node) in graph.iter() {
        if let Some(owner) = node.shares {
            last_use[owner.index()] = id.index();
        }
    }
    for (id, node) in graph.iter() {
        let bytes = training.gradient_bytes(node);
        if bytes > 0 {
            lasting.add(back(last_use[id.index()]), moments - 1, bytes);
        }
    }
    let fixed = training.fixed(graph);
    let always = fixed.total().saturating_sub(fixed.gradients);
    let (lasting, passing) = (lasting.alive(), passing.alive());
    let mut best = TrainingPeak { bytes: always, step: None, backward: false, temporary: 0 };
    for (moment, (&lasting, &passing)) in lasting.iter().zip(&passing).enumerate() {
        best.temporary = best.temporary.max(passing);
        let bytes = always.saturating_add(lasting).saturating_add(passing);
        if bytes > best.bytes || best.step.is_none() {
            best.bytes = bytes;
            best.backward = moment >= count;
            best.step = Some(NodeId::new(if best.backward { back(moment) } else { moment }));
        }
    }
    best
}

/// Returns the gradients of activations: first moment, last moment, bytes.
fn gradients(graph: &Graph, training: &Training, kept: &Kept) -> Vec<(usize, usize, u64)> {
    let count = graph.nodes().len();
    let moments = 2 * count;
    let back = |node: usize| moments - 1 - node;
    let last = crate::analysis::memory::last_uses(graph);
    let batches = training.batches(graph);
    let size = |node: usize| {
        let elements = graph.nodes()[node].shape.elements().unwrap_or(u64::MAX);
        elements.saturating_mul(training.dtype.bytes()).saturating_mul(batches[node])
    };
    // A node that is a view of all of its input passes its gradient on as a view: both are one interval.
    let whole_view = |node: usize| {
        let input = graph.nodes()[node].inputs.first()?.index();
        let same = kept.outputs[node].is_some() && kept.outputs[node] == kept.outputs[input];
        let viewed = kept.outputs[node].is_some_and(|storage| kept.storages[storage].node != node);
        (same && viewed && size(node) == size(input)).then_some(input)
    };
    let mut found: Vec<Option<(usize, usize, u64)>> = (0..count)
        .map(|node| {
            // The gradient of an output of the network exists before the backward pass begins.
            let first = if last[node] >= count { count } else { back(last[node]) };
            (kept.gradients[node] && last[node] > node).then(|| (first, back(node), size(node)))
        })
        .collect();
    for node in (0..count).rev() {
        if let Some(input) = whole_view(node)
            && let Some((first, _, _)) = found[node]
            && let Some(below) = &mut found[input]
        {
            below.0 = below.0.min(first);
            found[node] = None;
        }
    }
    found.into_iter().flatten().collect()
}
