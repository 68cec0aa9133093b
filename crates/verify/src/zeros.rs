//! Measures zeros that a `pad` layer writes: the executor's own kernels move dependence bits and write zeros beside
//! them.

use crate::dependence_bits::Marks;
use cnnkit_core::analysis::known_zeros::{Carries, carries};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::{Graph, Op};
use cnnkit_core::layers::Layer;
use cnnkit_exec::reference::{self, Call, Counter};
use cnnkit_exec::scalar::Scalar as _;
use cnnkit_exec::tensor::{Tensor, batched};

/// Returns, for each node, dependence bits where its elements may differ from zero; `None` where no earlier layer
/// writes zeros, or where a layer computed something from them.
pub(super) fn masks(graph: &Graph) -> Result<Vec<Option<Tensor<Marks>>>, Problem> {
    let mut all: Vec<Option<Tensor<Marks>>> = Vec::with_capacity(graph.nodes().len());
    for node in graph.nodes() {
        let Op::Layer(layer) = &node.op else {
            all.push(None);
            continue;
        };
        let known = node.inputs.iter().any(|input| all[input.index()].is_some());
        let mask = match carries(layer, &graph.reach(node)) {
            Carries::Moves if known || matches!(layer, Layer::Pad(_)) => {
                let mut operands = Vec::new();
                for input in &node.inputs {
                    operands.push(match &all[input.index()] {
                        Some(mask) => mask.clone(),
                        None => Tensor::from_fn(&batched(1, &graph.node(*input).shape)?, |_| Marks::ONE),
                    });
                }
                let operands: Vec<&Tensor<Marks>> = operands.iter().collect();
                let call = Call { inputs: &operands, declared: &[], weights: &[] };
                Some(reference::forward(layer, call, &mut Counter::default())?)
            }
            Carries::Maps => node.inputs.first().and_then(|input| all[input.index()].clone()),
            _ => None,
        };
        all.push(mask);
    }
    Ok(all)
}
