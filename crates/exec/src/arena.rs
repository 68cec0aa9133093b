//! Runs a network with all of its tensors at the planned offsets of one block of memory.
//!
//! This is the witness of a plan of [`cnnkit_core::analysis::deployment`]: if two tensors that are needed at the same
//! time overlapped, the outputs would differ from those of a run with separate tensors.

use crate::network::Network;
use crate::reference::{Call, Counter};
use crate::run::{Kernels, at, checked};
use crate::scalar::Scalar;
use crate::tensor::Tensor;
use cnnkit_core::analysis::deployment::Plan;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::{NodeId, Op};

/// Elements before and behind the arena whose values must not change.
const CANARIES: usize = 64;

/// A block of memory with canaries around it.
struct Memory<S> {
    cells: Vec<S>,
    canary: S,
    /// The end of the last element that was written.
    used: u64,
}

/// The results of a run in an arena.
#[derive(Debug, Clone)]
pub struct InArena<S> {
    /// The network's outputs, in order.
    pub outputs: Vec<Tensor<S>>,
    /// Elements of the arena up to the last one that was written.
    pub used: u64,
}

impl<S: Scalar> Memory<S> {
    fn new(elements: usize) -> Self {
        // Every cell starts as a canary, so that a value that is read before it is written is seen, too.
        let canary = S::from_f64(-1234.5);
        Self { cells: vec![canary; elements.saturating_add(2 * CANARIES)], canary, used: 0 }
    }

    fn read(&self, offset: u64, elements: u64) -> Result<&[S], Problem> {
        let (start, elements) = (place(offset)?, place(elements)?);
        self.cells.get(start + CANARIES..start + CANARIES + elements).ok_or_else(outside)
    }

    fn write(&mut self, offset: u64, values: &[S]) -> Result<(), Problem> {
        let start = place(offset)? + CANARIES;
        let cells = self.cells.get_mut(start..start + values.len()).ok_or_else(outside)?;
        cells.copy_from_slice(values);
        self.used = self.used.max(offset.saturating_add(values.len() as u64));
        let end = self.cells.len() - CANARIES;
        if self.cells[..CANARIES].iter().chain(&self.cells[end..]).all(|&cell| cell == self.canary) {
            Ok(())
        } else {
            Err(outside())
        }
    }
}

fn place(elements: u64) -> Result<usize, Problem> {
    usize::try_from(elements).map_err(|_| Problem::overflow("the arena"))
}

fn outside() -> Problem {
    Problem::shape("a tensor lies outside of the arena").help("this is an error of cnnkit; please report it")
}

impl<S: Scalar> Network<'_, S> {
    /// Runs the network on one image per input in an arena of exactly the planned size. `plan` must be one of this
    /// graph with elements of one byte, so that its offsets are elements.
    pub fn run_in_arena(
        &self,
        inputs: &[Tensor<S>],
        plan: &Plan,
        kernels: &impl Kernels<S>,
    ) -> Result<InArena<S>, Problem> {
        checked(self.graph, inputs)?;
        if inputs.iter().any(|input| input.batch() != 1) {
            return Err(Problem::shape("a plan is for a batch of one image"));
        }
        let mut memory = Memory::new(place(plan.arena.bytes)?);
        for ((id, _), input) in self.graph.inputs().zip(inputs) {
            self.store(&mut memory, plan, id, input)?;
        }
        for &operator in &plan.ordered.order {
            let Some(operator) = plan.operators.operators.get(operator) else { return Err(outside()) };
            let Some((&last, _)) = operator.nodes.split_last() else { continue };
            // Layers of one operator pass their values on without storing them.
            let mut passed: Vec<(NodeId, Tensor<S>)> = Vec::new();
            for &id in &operator.nodes {
                let value = self.value(&memory, plan, id, &passed, inputs, kernels)?;
                passed.push((id, value));
            }
            if let Some((_, value)) = passed.pop() {
                self.store(&mut memory, plan, last, &value)?;
            }
        }
        let outputs = self.graph.outputs().iter().map(|&id| self.load(&memory, plan, id));
        Ok(InArena { outputs: outputs.collect::<Result<_, _>>()?, used: memory.used })
    }

    /// Computes the value of a layer from memory, and from the values that its operator passes on.
    fn value(
        &self,
        memory: &Memory<S>,
        plan: &Plan,
        id: NodeId,
        passed: &[(NodeId, Tensor<S>)],
        images: &[Tensor<S>],
        kernels: &impl Kernels<S>,
    ) -> Result<Tensor<S>, Problem> {
        let node = self.graph.node(id);
        let Op::Layer(layer) = &node.op else { return Err(outside()) };
        let mut sources: Vec<Tensor<S>> = Vec::with_capacity(node.inputs.len());
        for &input in node.sources() {
            let known = passed.iter().find(|(other, _)| *other == input).map(|(_, value)| value.clone());
            sources.push(known.map_or_else(|| self.load(memory, plan, input), Ok)?);
        }
        if sources.is_empty() {
            // A learned tensor reads how many images there are.
            sources.extend(images.first().cloned());
        }
        let sources: Vec<&Tensor<S>> = sources.iter().collect();
        let call = Call { inputs: &sources, declared: &node.weights, weights: self.weights(id) };
        kernels.forward(layer, call, &mut Counter::default()).map_err(|problem| at(&node.id, problem))
    }

    /// Returns the value of a node, from where its tensors lie.
    fn load(&self, memory: &Memory<S>, plan: &Plan, id: NodeId) -> Result<Tensor<S>, Problem> {
        let shape = &self.graph.node(id).shape;
        let mut sizes = vec![1];
        for &size in shape.sizes() {
            sizes.push(place(size)?);
        }
        let mut data = Vec::with_capacity(place(shape.elements()?)?);
        for &tensor in plan.operators.values.get(id.index()).ok_or_else(outside)? {
            let placed = plan.arena.tensors.get(tensor).ok_or_else(outside)?;
            data.extend_from_slice(memory.read(placed.offset, placed.bytes)?);
        }
        Tensor::new(&sizes, data)
    }

    /// Writes the value of a node to where those of its tensors lie that are not there yet.
    fn store(
        &self,
        memory: &mut Memory<S>,
        plan: &Plan,
        id: NodeId,
        value: &Tensor<S>,
    ) -> Result<(), Problem> {
        let mut start = 0;
        for &tensor in plan.operators.values.get(id.index()).ok_or_else(outside)? {
            let placed = plan.arena.tensors.get(tensor).ok_or_else(outside)?;
            let end = start + place(placed.bytes)?;
            // Parts that other nodes computed are in place.
            if placed.node == id {
                memory.write(placed.offset, value.data().get(start..end).ok_or_else(outside)?)?;
            }
            start = end;
        }
        Ok(())
    }
}
