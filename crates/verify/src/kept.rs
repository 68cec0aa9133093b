//! Claims about what our own gradients read: the convention `cnnkit` of `cnnkit train`.
//!
//! The values of all tensors that are not listed are changed at once, after the forward pass: the gradients of the weights
//! must stay the same, bit for bit. The listed ones are changed one by one, and counted where a gradient changes: not all
//! must, as a max pool of single elements has no choice to make and a norm of one position returns zeros.

use crate::predict::Predict;
use crate::rebuild::slim;
use crate::run::Seed;
use crate::tiles::is_opaque;
use crate::{Kind, Options, Outcome};
use cnnkit_core::analysis::totals;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::{Graph, NodeId};
use cnnkit_core::layers::WeightRole;
use cnnkit_exec::network::{Fill, Network, random_inputs};
use cnnkit_exec::run::{Reference, Trace};
use cnnkit_exec::tensor::Tensor;

pub(super) fn measure(
    graph: &Graph,
    predict: &(dyn Predict + Sync),
    options: &Options,
    outcome: &mut Outcome,
) -> Result<(), Problem> {
    if !options.wants(Kind::Kept) || is_opaque(graph) {
        return Ok(());
    }
    let slim = slim(graph);
    let counts = totals::of_graph(&slim.graph);
    let steps = counts.macs.saturating_mul(2).saturating_add(counts.activations.saturating_mul(16)).max(1);
    let runs = options.effort.budget() / 8 / steps;
    if runs < 4 {
        outcome.notes.push("kept: too expensive for this effort; --thorough measures it".into());
        return Ok(());
    }
    let read = predict.read_by_gradients(&slim.graph);
    let case = Case::new(&slim.graph, options)?;
    let listed: Vec<usize> = (0..read.len()).filter(|&node| read[node]).collect();
    let expected = case.gradients(&case.trace)?;
    let changed = case.changed(|node| !read.get(node).copied().unwrap_or(false))?;
    let others = case.gradients(&changed)? != expected;
    // Evenly spread, as many as the effort allows.
    let tried: Vec<usize> = match usize::try_from(runs).unwrap_or(usize::MAX) {
        many if many >= listed.len() => listed.clone(),
        few => (0..few).map(|at| listed[at * listed.len() / few]).collect(),
    };
    let mut seen = 0;
    for &node in &tried {
        seen += usize::from(case.gradients(&case.changed(|other| other == node)?)? != expected);
    }
    let all = read.len();
    let predicted = format!("at most {} of {all} tensors are read", listed.len());
    let measured = match tried.len() {
        _ if others => format!("others than these {} of {all} are read", listed.len()),
        tried if tried == listed.len() => format!("{seen} of {all} are read, no others"),
        tried => format!("{seen} of {tried} that were tried are read, no others"),
    };
    outcome.claim(Kind::Kept, None, predicted, measured).verdict(!others).method(format!(
        "tensors changed between the forward and the backward pass: all others at once, and {} of those that are read \
         one by one, {}",
        tried.len(),
        slim.how
    ));
    Ok(())
}

struct Case<'g> {
    network: Network<'g, f64>,
    trace: Trace<f64>,
    vectors: Vec<(NodeId, Tensor<f64>)>,
    seed: u64,
}

impl<'g> Case<'g> {
    fn new(graph: &'g Graph, options: &Options) -> Result<Self, Problem> {
        let network = Network::<f64>::seeded(graph, options.seed, Fill::Generic)?;
        let trace = network.trace(random_inputs::<f64>(graph, 1, options.seed)?, &Reference)?;
        let mut seed = Seed(options.seed ^ 0x6b65);
        let vector = |&output: &NodeId| (output, seed.tensor(trace.values[output.index()].sizes()));
        let vectors = graph.outputs().iter().map(vector).collect();
        Ok(Self { network, trace, vectors, seed: options.seed })
    }

    /// Returns the trace with other values of the nodes that `which` chooses.
    fn changed(&self, which: impl Fn(usize) -> bool) -> Result<Trace<f64>, Problem> {
        let mut seed = Seed(self.seed ^ 0x6368);
        let values = self.trace.values.iter().enumerate().map(|(node, value)| {
            if !which(node) {
                return value.clone();
            }
            // Wide enough for the bends of every activation.
            let mut other = seed.tensor::<f64>(value.sizes());
            other.data_mut().iter_mut().for_each(|value| *value *= 5.0);
            other
        });
        Ok(Trace { values: values.collect(), steps: vec![] })
    }

    /// Returns the bits of the gradients of all weights that are learned.
    fn gradients(&self, trace: &Trace<f64>) -> Result<Vec<u64>, Problem> {
        let found = self.network.backward(trace, self.vectors.clone(), false)?;
        let mut bits = Vec::new();
        for (node, list) in self.network.graph.nodes().iter().zip(&found.weights) {
            for (weight, tensor) in node.weights.iter().zip(list.iter().flatten()) {
                if weight.role == WeightRole::Parameter {
                    bits.extend(tensor.data().iter().map(|value| (value + 0.0).to_bits()));
                }
            }
        }
        Ok(bits)
    }
}
