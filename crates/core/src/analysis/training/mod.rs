//! Memory and work of one training step: tensors kept for the backward pass, gradients, optimiser states, the peak by
//! liveness through forward and backward, multiply-accumulates of the backward pass, and what checkpointing saves.
//!
//! Two conventions state what is kept. `torch` (`saved.rs`) is what PyTorch's autograd keeps: unique storages, so that
//! a view counts as the tensor that it is part of. `cnnkit` (`reads.rs`) is what our own gradients read. Parameters are
//! never part of it. The loss, the workspace of kernels and the fragmentation of an allocator are not modelled.

pub mod checkpoint;
mod kept;
mod layout;
pub mod optimizer;
pub mod peak;
mod reads;
mod saved;
mod work;

pub use kept::{Kept, KeptTensor, LayerKept, Part, inexact, kept};
pub use reads::{Target, reads};
pub use saved::AttentionKernel;
pub use work::backward_macs;

use crate::analysis::memory::Dtype;
use crate::diagnostic::{Code, Problem, suggest};
use crate::graph::{Graph, Node, Op};
use crate::layers::WeightRole;
use optimizer::Optimizer;

/// The settings of a training step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Training {
    /// Batch size.
    pub batch: u64,
    /// Number format of activations, parameters and gradients.
    pub dtype: Dtype,
    /// The optimiser.
    pub optimizer: Optimizer,
    /// How attention is computed.
    pub attention: AttentionKernel,
    /// Ids of layers and blocks that are not trained.
    pub frozen: Vec<String>,
}

impl Default for Training {
    fn default() -> Self {
        Self {
            batch: 1,
            dtype: Dtype::F32,
            optimizer: Optimizer::default(),
            attention: AttentionKernel::default(),
            frozen: vec![],
        }
    }
}

/// Bytes that are the same for every batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fixed {
    /// Parameters, trained or not.
    pub parameters: u64,
    /// Buffers.
    pub buffers: u64,
    /// Copies of the trained parameters in single precision, if they are in another format.
    pub master: u64,
    /// Gradients of the trained parameters.
    pub gradients: u64,
    /// States of the optimiser.
    pub optimizer: u64,
}

impl Fixed {
    /// Returns the sum.
    pub fn total(&self) -> u64 {
        [self.parameters, self.buffers, self.master, self.gradients, self.optimizer]
            .into_iter()
            .fold(0, u64::saturating_add)
    }
}

impl Training {
    /// Checks the settings: an unknown id, or a format that nobody trains in, is an error.
    pub fn check(&self, graph: &Graph) -> Result<(), Problem> {
        if self.dtype == Dtype::I8 {
            return Err(Problem::new(Code::InvalidValue, "not supported: training in 8-bit integers")
                .help("use f32, or bf16 or f16 with master weights"));
        }
        for name in &self.frozen {
            if graph.nodes().iter().any(|node| is_part(&node.id, name)) {
                continue;
            }
            let blocks: Vec<&str> = graph.nodes().iter().flat_map(|node| prefixes(&node.id)).collect();
            let problem = Problem::new(Code::UnknownName, format!("no layer or block is called `{name}`"));
            return Err(match suggest(name, blocks.iter().copied()) {
                Some(close) => problem.help(format!("did you mean `{close}`?")),
                None => problem.help("`cnnkit params SPEC --depth all` lists the ids"),
            });
        }
        Ok(())
    }

    /// Returns the batch of each node: 1 where it depends on no input of the network, so that it is computed once.
    pub fn batches(&self, graph: &Graph) -> Vec<u64> {
        let mut batches: Vec<u64> = Vec::with_capacity(graph.nodes().len());
        for node in graph.nodes() {
            let below = node.sources().iter().map(|source| batches[source.index()]).max();
            batches.push(if node.op == Op::Input { self.batch } else { below.unwrap_or(1) });
        }
        batches
    }

    /// Returns whether the weights of `node` are not trained.
    fn freezes(&self, node: &Node) -> bool {
        self.frozen.iter().any(|name| is_part(&node.id, name))
    }

    /// Returns whether `node` has weights that are trained, shared ones included.
    pub fn trains(&self, graph: &Graph, node: &Node) -> bool {
        let mut owner = node;
        while let Some(next) = owner.shares {
            owner = graph.node(next);
        }
        !self.freezes(owner) && owner.weights.iter().any(|weight| reads::trainable(weight.role))
    }

    /// Returns the bytes of the gradients of the weights that are counted at `node`.
    pub(crate) fn gradient_bytes(&self, node: &Node) -> u64 {
        self.trained(node)
            .map(|(elements, _)| elements.saturating_mul(self.dtype.bytes()))
            .fold(0, u64::saturating_add)
    }

    /// Iterates over the trained weights that are counted at `node`: elements, and bytes of the optimiser's states.
    fn trained<'a>(&'a self, node: &'a Node) -> impl Iterator<Item = (u64, u64)> + 'a {
        let own = node.own_weights().filter(|(_, weight)| reads::trainable(weight.role));
        own.filter(|_| !self.freezes(node)).map(|(index, weight)| {
            let elements = node.counted(index, weight.shape.elements().unwrap_or(u64::MAX));
            (elements, self.optimizer.state(weight, elements))
        })
    }

    /// Returns the bytes that are the same for every batch.
    pub fn fixed(&self, graph: &Graph) -> Fixed {
        let mut fixed = Fixed::default();
        let width = self.dtype.bytes();
        for node in graph.nodes() {
            for (index, weight) in node.own_weights() {
                let elements = node.counted(index, weight.shape.elements().unwrap_or(u64::MAX));
                let place = match weight.role {
                    WeightRole::Parameter => &mut fixed.parameters,
                    WeightRole::Buffer | WeightRole::Fixed => &mut fixed.buffers,
                };
                *place = place.saturating_add(elements.saturating_mul(width));
            }
            for (elements, states) in self.trained(node) {
                fixed.gradients = fixed.gradients.saturating_add(elements.saturating_mul(width));
                fixed.optimizer = fixed.optimizer.saturating_add(states);
                if self.dtype != Dtype::F32 {
                    fixed.master = fixed.master.saturating_add(elements.saturating_mul(Dtype::F32.bytes()));
                }
            }
        }
        fixed
    }
}

/// Returns whether `id` is `name` or lies in the block `name`.
fn is_part(id: &str, name: &str) -> bool {
    id.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Returns `id` and the blocks that contain it.
fn prefixes(id: &str) -> impl Iterator<Item = &str> {
    id.match_indices('.').map(|(end, _)| &id[..end]).chain(std::iter::once(id))
}

/// Returns the largest batch whose peak fits into `memory` bytes, with that peak; none if a single image does not fit.
/// At most 2^20.
pub fn largest_batch(graph: &Graph, training: &Training, memory: u64) -> Option<(u64, u64)> {
    let peak = |batch: u64| peak::of(graph, &Training { batch, ..training.clone() }).bytes;
    let fits = |batch: u64| Some(peak(batch)).filter(|&bytes| bytes <= memory);
    let mut best = (1, fits(1)?);
    let mut above = 2;
    while above <= MOST_IMAGES {
        let Some(bytes) = fits(above) else { break };
        best = (above, bytes);
        above *= 2;
    }
    let mut above = above.min(MOST_IMAGES + 1);
    while above - best.0 > 1 {
        let middle = best.0.midpoint(above);
        match fits(middle) {
            Some(bytes) => best = (middle, bytes),
            None => above = middle,
        }
    }
    Some(best)
}

/// The largest batch that is tried.
pub const MOST_IMAGES: u64 = 1 << 20;
