//! What the gradients of each layer read, by changing it: the convention `cnnkit` of `cnnkit train`.

use cnnkit::analysis::training::{Target, Training, kept, reads};
use cnnkit::exec::network::{Fill, Network};
use cnnkit::exec::reference::{Call, Gradients, backward};
use cnnkit::exec::run::Reference;
use cnnkit::exec::tensor::Tensor;
use cnnkit::graph::NodeId;
use cnnkit::layers::WeightRole;

use super::support::network::network;
use super::{Numbers, Use, examples};

fn gradients(case: &Use, inputs: &[Tensor<f64>], vector: &Tensor<f64>) -> Gradients<f64> {
    let inputs: Vec<&Tensor<f64>> = inputs.iter().collect();
    let call = Call { inputs: &inputs, declared: &case.declared, weights: &case.weights };
    backward(&case.layer, call, vector).unwrap_or_else(|e| panic!("{}: {e}", case.label))
}

#[test]
fn gradients_read_the_inputs_that_the_facet_lists() {
    let mut numbers = Numbers(99);
    for case in examples(2) {
        let vector = numbers.tensor(2, &case.output);
        let before = gradients(&case, &case.inputs, &vector);
        for read in 0..case.inputs.len() {
            let mut inputs = case.inputs.clone();
            inputs[read] = numbers.tensor(2, &case.shapes[read]);
            let after = gradients(&case, &inputs, &vector);
            let count = case.inputs.len();
            for target in 0..count {
                let changed = before.inputs[target].data() != after.inputs[target].data();
                let stated = reads(&case.layer, count, Target::Input(target)).contains(&read);
                assert_eq!(changed, stated, "{}: gradient of input {target} and input {read}", case.label);
            }
            let learned: Vec<usize> = (0..case.declared.len())
                .filter(|&index| case.declared[index].role == WeightRole::Parameter)
                .collect();
            if !learned.is_empty() {
                let changed = learned.iter().any(|&w| before.weights[w].data() != after.weights[w].data());
                let stated = reads(&case.layer, count, Target::Weights).contains(&read);
                assert_eq!(changed, stated, "{}: gradient of the weights and input {read}", case.label);
            }
        }
    }
}

/// Networks with what networks have: branches that join, gates, shared tensors, frozen parts.
const NETWORKS: &[&str] = &[
    "input: [3, 8, 8]\nlayers:\n  - conv: {out_channels: 4, kernel: 3, padding: 1}\n  - batch_norm\n  - relu\n  - residual:\n      body:\n        - conv: {out_channels: 4, kernel: 3, padding: 1}\n        - batch_norm\n        - relu6\n  - max_pool: {kernel: 2, stride: 2}\n  - squeeze_excite: {squeeze: 2}\n  - global_avg_pool\n  - linear: {out_features: 5}\n",
    "input: [4, 6, 6]\nlayers:\n  - relu\n  - branches:\n      - [conv: {out_channels: 3, kernel: 1}, sigmoid]\n      - [avg_pool: {kernel: 3, stride: 1, padding: 1}, silu]\n      - [conv: {out_channels: 2, kernel: 1, learned: false}, batch_norm]\n  - channel_shuffle: {groups: 3}\n  - group_norm: {num_groups: 3}\n  - flatten\n  - dropout\n  - linear: {out_features: 3}\n  - softmax\n",
];

#[test]
fn a_network_needs_what_is_kept_and_nothing_else() {
    for text in NETWORKS {
        let graph = network(text);
        let kept = kept(&graph, &Training::default());
        let net: Network<'_, f64> = Network::seeded(&graph, 3, Fill::Generic).expect("weights");
        let mut numbers = Numbers(5);
        let inputs = graph.inputs().map(|(_, node)| numbers.tensor(1, &node.shape)).collect();
        let trace = net.trace(inputs, &Reference).expect("it runs");
        let output = *graph.outputs().first().expect("an output");
        let vector = numbers.tensor(1, &graph.node(output).shape);
        let weights = |trace: &_| {
            let found = net.backward(trace, vec![(output, vector.clone())], false).expect("gradients");
            let role = |node: usize, index: usize| graph.nodes()[node].weights[index].role;
            let mut flat: Vec<f64> = vec![];
            for (node, list) in found.weights.iter().enumerate() {
                for (index, tensor) in list.iter().flatten().enumerate() {
                    if role(node, index) == WeightRole::Parameter {
                        flat.extend(tensor.data());
                    }
                }
            }
            flat
        };
        let expected = weights(&trace);
        for node in 0..graph.nodes().len() {
            let mut changed = net
                .trace(graph.inputs().map(|(id, _)| trace.values[id.index()].clone()).collect(), &Reference)
                .expect("it runs");
            changed.values[node] = numbers.tensor(1, &graph.node(NodeId::new(node)).shape);
            assert_eq!(weights(&changed) != expected, kept.read[node], "{}", graph.nodes()[node].id);
        }
    }
}
