//! Gradients through a whole graph, by the layers' vector-Jacobian products in reverse order.

use crate::network::Network;
use crate::reference::{self, Call};
use crate::run::{Trace, at};
use crate::scalar::Scalar;
use crate::tensor::Tensor;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::{NodeId, Op};

/// Gradients with respect to nodes and weights.
#[derive(Debug)]
pub struct GraphGradients<S> {
    /// For each node, its gradient; `None` if no requested gradient depends on it.
    pub nodes: Vec<Option<Tensor<S>>>,
    /// For each node, the gradients of the weights it owns (summed over all uses of shared ones); `None` if none
    /// reaches them.
    pub weights: Vec<Option<Vec<Tensor<S>>>>,
}

fn accumulate<S: Scalar>(sum: &mut Option<Tensor<S>>, more: Tensor<S>) {
    match sum {
        None => *sum = Some(more),
        Some(sum) => sum.data_mut().iter_mut().zip(more.data()).for_each(|(sum, &value)| *sum += value),
    }
}

impl<S: Scalar> Network<'_, S> {
    /// Computes the gradient of the sum over `seeds` of (node . vector), at the values of `trace`. With `keep`, the
    /// result contains the gradients of inner nodes; otherwise only those of the network's inputs.
    pub fn backward(
        &self,
        trace: &Trace<S>,
        seeds: Vec<(NodeId, Tensor<S>)>,
        keep: bool,
    ) -> Result<GraphGradients<S>, Problem> {
        let graph = self.graph;
        let mut nodes: Vec<Option<Tensor<S>>> = graph.nodes().iter().map(|_| None).collect();
        let mut weights: Vec<Option<Vec<Tensor<S>>>> = graph.nodes().iter().map(|_| None).collect();
        for (id, vector) in seeds {
            if vector.sizes() != trace.values[id.index()].sizes() {
                let message =
                    format!("the gradient of `{}` has other sizes than its value", graph.node(id).id);
                return Err(Problem::shape(message));
            }
            accumulate(&mut nodes[id.index()], vector);
        }
        for (index, node) in graph.nodes().iter().enumerate().rev() {
            let Op::Layer(layer) = &node.op else { continue };
            let Some(vector) = nodes[index].take() else { continue };
            let sources: Vec<&Tensor<S>> =
                node.inputs.iter().map(|input| &trace.values[input.index()]).collect();
            let id = NodeId::new(index);
            let call = Call { inputs: &sources, declared: &node.weights, weights: self.weights(id) };
            let gradients =
                reference::backward(layer, call, &vector).map_err(|problem| at(&node.id, problem))?;
            for (input, gradient) in node.inputs.iter().zip(gradients.inputs) {
                accumulate(&mut nodes[input.index()], gradient);
            }
            let place = &mut weights[self.owner(id).index()];
            match place {
                None => *place = Some(gradients.weights),
                Some(sums) => {
                    for (sum, more) in sums.iter_mut().zip(gradients.weights) {
                        sum.data_mut().iter_mut().zip(more.data()).for_each(|(sum, &value)| *sum += value);
                    }
                }
            }
            if keep {
                nodes[index] = Some(vector);
            }
        }
        Ok(GraphGradients { nodes, weights })
    }
}
