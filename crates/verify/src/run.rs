//! Runs a whole network by the reference and counts its tensors as they are created and dropped.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::{Graph, Node, NodeId, Op};
use cnnkit_core::layers::{Init, Weight};
use cnnkit_core::shape::Shape;
use cnnkit_exec::reference::{self, Call, Counter};
use cnnkit_exec::scalar::Scalar;
use cnnkit_exec::tensor::{Tensor, batched};

/// A seeded random generator, the same on every machine: SplitMix64 (Steele, Lea & Flood 2014).
#[derive(Debug, Clone)]
pub struct Seed(pub u64);

impl Seed {
    /// Returns the next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a uniform number in -1..1.
    pub fn signed(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    /// Returns an integer below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.bits() % end.max(1)
    }

    /// Returns a tensor of uniform numbers.
    pub fn tensor<S: Scalar>(&mut self, sizes: &[usize]) -> Tensor<S> {
        Tensor::from_fn(sizes, |_| S::from_f64(self.signed()))
    }

    /// Returns the tensors of declared weights, filled as declared.
    pub fn weights<S: Scalar>(&mut self, declared: &[Weight]) -> Result<Vec<Arc<Tensor<S>>>, Problem> {
        declared
            .iter()
            .map(|weight| {
                let sizes = &batched(1, &weight.shape)?[1..];
                let mut value = || match weight.init {
                    Init::FanIn(inputs) => self.signed() / (inputs.max(1) as f64).sqrt(),
                    Init::Zeros => 0.0,
                    Init::Ones => 1.0,
                    Init::Constant(value) => value,
                };
                Ok(Arc::new(Tensor::from_fn(sizes, |_| S::from_f64(value()))))
            })
            .collect()
    }
}

/// The results of a run and its cost.
#[derive(Debug)]
pub struct Run<S> {
    /// Outputs of the requested nodes.
    pub kept: Vec<(NodeId, Tensor<S>)>,
    /// The shape that each node produced.
    pub shapes: Vec<Shape>,
    /// The multiply-adds that each node did.
    pub counters: Vec<Counter>,
    /// Peak elements alive at once, and at which node.
    pub peak: (u64, NodeId),
}

impl<S> Run<S> {
    /// Returns the output of `node`, if it was kept.
    pub fn output(&self, node: NodeId) -> Option<&Tensor<S>> {
        self.kept.iter().find(|(id, _)| *id == node).map(|(_, tensor)| tensor)
    }
}

/// Elements alive now, the peak so far, and when it occurred.
#[derive(Default)]
struct Ledger {
    now: Cell<u64>,
    most: Cell<(u64, usize)>,
}

/// A tensor that reports when it is dropped.
struct Held<S: Scalar> {
    tensor: Tensor<S>,
    ledger: Rc<Ledger>,
}

impl<S: Scalar> Held<S> {
    fn new(tensor: Tensor<S>, ledger: &Rc<Ledger>, step: usize) -> Self {
        ledger.now.set(ledger.now.get() + tensor.len() as u64);
        if ledger.now.get() > ledger.most.get().0 {
            ledger.most.set((ledger.now.get(), step));
        }
        Self { tensor, ledger: Rc::clone(ledger) }
    }
}

impl<S: Scalar> Drop for Held<S> {
    fn drop(&mut self) {
        self.ledger.now.set(self.ledger.now.get().saturating_sub(self.tensor.len() as u64));
    }
}

/// Runs `graph` on `inputs`. A tensor is dropped after its last reader has run. `weights` creates a node's weights;
/// `up_to` stops after that node.
pub fn run<S: Scalar>(
    graph: &Graph,
    inputs: Vec<Tensor<S>>,
    mut weights: impl FnMut(&[Weight]) -> Result<Vec<Arc<Tensor<S>>>, Problem>,
    keep: &[NodeId],
    up_to: Option<NodeId>,
    mut tick: impl FnMut(usize),
) -> Result<Run<S>, Problem> {
    let ledger = Rc::new(Ledger::default());
    let mut waiting = vec![0usize; graph.nodes().len()];
    graph.nodes().iter().flat_map(Node::sources).for_each(|source| waiting[source.index()] += 1);
    // A learned tensor takes its batch size from this stand-in, because the inputs may already be dropped.
    let images = Tensor::zeros(&[inputs.first().map_or(1, Tensor::batch), 1]);
    graph.outputs().iter().for_each(|output| waiting[output.index()] += 1);
    let shared: Vec<bool> = {
        let mut shared = vec![false; graph.nodes().len()];
        graph.nodes().iter().filter_map(|node| node.shares).for_each(|owner| shared[owner.index()] = true);
        shared
    };
    let mut owned: Vec<Option<Vec<Arc<Tensor<S>>>>> = vec![None; graph.nodes().len()];
    let mut held: Vec<Option<Held<S>>> = graph.nodes().iter().map(|_| None).collect();
    for ((id, _), tensor) in graph.inputs().zip(inputs) {
        held[id.index()] = Some(Held::new(tensor, &ledger, 0));
    }
    let mut result = Run { kept: vec![], shapes: vec![], counters: vec![], peak: (0, NodeId::new(0)) };
    for (id, node) in graph.iter().take(up_to.map_or(usize::MAX, |node| node.index() + 1)) {
        let mut counter = Counter::default();
        if let Op::Layer(layer) = &node.op {
            let missing = || Problem::shape(format!("`{}` reads a tensor that is not there", node.id));
            let value =
                |input: &NodeId| held[input.index()].as_ref().map(|held| &held.tensor).ok_or_else(missing);
            let mut operands = node.sources().iter().map(value).collect::<Result<Vec<&Tensor<S>>, _>>()?;
            if operands.is_empty() {
                operands.push(&images);
            }
            let own = match node.shares.and_then(|owner| owned[owner.index()].clone()) {
                Some(own) => own,
                None => weights(&node.weights)?,
            };
            let call = Call { inputs: &operands, declared: &node.weights, weights: &own };
            let output = reference::forward(layer, call, &mut counter)?;
            held[id.index()] = Some(Held::new(output, &ledger, id.index()));
            if shared[id.index()] {
                owned[id.index()] = Some(own);
            }
        }
        let output = held[id.index()].as_ref().map(|held| &held.tensor);
        result.shapes.push(output.map_or_else(|| node.shape.clone(), Tensor::shape));
        result.counters.push(counter);
        if let Some(output) = output.filter(|_| keep.contains(&id)) {
            result.kept.push((id, output.clone()));
        }
        for input in node.sources() {
            waiting[input.index()] = waiting[input.index()].saturating_sub(1);
            if waiting[input.index()] == 0 {
                held[input.index()] = None;
            }
        }
        if waiting[id.index()] == 0 {
            held[id.index()] = None;
        }
        tick(id.index());
    }
    let (most, step) = ledger.most.get();
    result.peak = (most, NodeId::new(step));
    Ok(result)
}
