//! Plans of `cnnkit plan` by running them: every built-in network in one arena of exactly the planned size.

use cnnkit::analysis::deployment::{Plan, peaks, plan};
use cnnkit::exec::fast::Fast;
use cnnkit::exec::network::{Fill, Network, random_inputs};
use cnnkit::exec::run::Reference;
use cnnkit::graph::Graph;
use cnnkit::zoo::Zoo;

use super::plan::small;
use super::support::network::network as parse;

/// Runs the network both ways and compares every bit.
fn compare(name: &str, graph: &Graph, plan: &Plan) {
    let network = Network::<f32>::seeded(graph, 11, Fill::Generic).expect("small");
    let inputs = random_inputs::<f32>(graph, 1, 11).expect("small");
    let macs: u64 = graph.nodes().iter().map(|node| node.cost.macs).sum();
    // Large ones with other kernels: what is compared is where the values lie.
    let (expected, found) = if macs < 10_000_000 {
        (network.run(inputs.clone(), &Reference, |_| ()), network.run_in_arena(&inputs, plan, &Reference))
    } else {
        let kernels = Fast::default();
        (network.run(inputs.clone(), &kernels, |_| ()), network.run_in_arena(&inputs, plan, &kernels))
    };
    let expected = expected.unwrap_or_else(|problem| panic!("{name}: {}", problem.message));
    let found = found.unwrap_or_else(|problem| panic!("{name}: {}", problem.message));
    assert_eq!(expected.outputs.len(), found.len());
    for (expected, found) in expected.outputs.iter().zip(&found) {
        let bits = |data: &[f32]| data.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(expected.data()), bits(found.data()), "{name}");
    }
}

#[test]
fn built_in_networks_run_in_an_arena_of_the_planned_size() {
    let (mut checked, mut views) = (0, 0);
    for (_, name) in Zoo::names() {
        let graph = small(name);
        if cnnkit::analysis::totals::of_graph(&graph).params > 30_000_000 {
            continue;
        }
        let plan = plan(&graph, 1);
        for operator in &plan.operators.operators {
            let heavy = operator.nodes.iter().filter(|&&id| graph.node(id).cost.macs > 0).count();
            assert!(heavy <= 1, "{name}: products of two layers have tensors of their own");
        }
        assert!(plan.arena.bytes >= plan.arena.bound && plan.arena.bound >= plan.ordered.peak, "{name}");
        compare(name, &graph, &plan);
        checked += 1;
        views += usize::from(plan.operators.has_views());
    }
    assert!(checked > 60 && views >= 5, "{checked} networks, {views} with views");
}

#[test]
fn an_arena_that_is_too_small_is_noticed() {
    let graph = parse(
        "input: [4, 8, 8]\nlayers:\n  - conv: {out_channels: 8, kernel: 3, padding: 1}\n  - relu\n  - residual: [conv: {out_channels: 8, kernel: 3, padding: 1}]\n  - concat: [conv1, previous]\n",
    );
    let good = plan(&graph, 1);
    compare("a small network", &graph, &good);
    let network = Network::<f32>::seeded(&graph, 1, Fill::Generic).expect("small");
    let inputs = random_inputs::<f32>(&graph, 1, 1).expect("small");
    let expected = network.run(inputs.clone(), &Reference, |_| ()).expect("it runs");
    let mut short = good.clone();
    short.arena.bytes -= 1;
    let outside = network.run_in_arena(&inputs, &short, &Reference);
    assert!(outside.is_err(), "the last element of the largest tensor changes a canary");
    // Two tensors that live together at the same place: values are lost.
    let mut overlapping = good.clone();
    overlapping.arena.tensors.iter_mut().for_each(|tensor| tensor.offset = 0);
    let found = network.run_in_arena(&inputs, &overlapping, &Reference).expect("it stays inside");
    assert_ne!(found[0].data(), expected.outputs[0].data());
}

#[test]
fn mobilenet_v2_in_bytes_of_8_bit_integers() {
    let peaks = peaks(&super::support::network::zoo("mobilenet_v2"), 1);
    // The expansion of the second block: 16 and 96 planes of 112 x 112.
    assert_eq!(peaks.in_place, 16 * 112 * 112 + 96 * 112 * 112);
    assert_eq!(peaks.in_place, 1_404_928);
    // Its depthwise convolution: 96 planes of 112 x 112 to 56 x 56.
    assert_eq!(peaks.fused, 96 * 112 * 112 + 96 * 56 * 56);
    assert_eq!(peaks.fused, 1_505_280);
    assert_eq!((peaks.reordered, peaks.reordered_bound), (peaks.fused, peaks.fused));
    assert_eq!(peaks.arena, peaks.fused);
}
