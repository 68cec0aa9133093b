//! Plans of `cnnkit plan` by running them: every built-in network in one arena of exactly the planned size.

use cnnkit::analysis::deployment::patches::{Options, Patches, best};
use cnnkit::analysis::deployment::{Plan, peaks, plan};
use cnnkit::analysis::probe::Sizes;
use cnnkit::analysis::sizes::Fixed;
use cnnkit::exec::fast::Fast;
use cnnkit::exec::network::{Fill, Network, random_inputs};
use cnnkit::exec::run::Reference;
use cnnkit::exec::tile::run;
use cnnkit::graph::Graph;
use cnnkit::zoo::Zoo;
use rayon::prelude::*;

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
    assert_eq!(found.used, plan.arena.bytes, "{name}: every element is used");
    assert_eq!(expected.outputs.len(), found.outputs.len());
    for (expected, found) in expected.outputs.iter().zip(&found.outputs) {
        let bits = |data: &[f32]| data.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(expected.data()), bits(found.data()), "{name}");
    }
}

#[test]
fn built_in_networks_run_in_an_arena_of_the_planned_size() {
    let checked = Zoo::names().into_par_iter().filter_map(|(_, name)| {
        let graph = small(name);
        if cnnkit::analysis::totals::of_graph(&graph).params > 30_000_000 {
            return None;
        }
        let plan = plan(&graph, 1);
        for operator in &plan.operators.operators {
            let heavy = operator.nodes.iter().filter(|&&id| graph.node(id).cost.macs > 0).count();
            assert!(heavy <= 1, "{name}: products of two layers have tensors of their own");
        }
        assert!(plan.arena.bytes >= plan.arena.bound && plan.arena.bound >= plan.ordered.peak, "{name}");
        compare(name, &graph, &plan);
        Some(plan.operators.has_views())
    });
    let views: Vec<bool> = checked.collect();
    let with_views = views.iter().filter(|&&views| views).count();
    assert!(views.len() > 60 && with_views >= 5, "{} networks, {with_views} with views", views.len());
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
    assert_ne!(found.outputs[0].data(), expected.outputs[0].data());
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

/// Runs the stage of a plan patch by patch, each patch in an arena of its planned size, and the rest of the network behind
/// it; compares with the whole network.
fn patched(name: &str, graph: &Graph, per_axis: Option<u64>) -> Patches {
    let arena = plan(graph, 1).arena.bytes;
    let options = Options { width: 1, per_axis, arena, budget: None };
    let patches = best(graph, &options).unwrap_or_else(|| panic!("{name}: patches save memory"));
    assert!(patches.peak() < arena && patches.macs[1] >= patches.macs[0], "{name}");
    let whole = Network::<f32>::seeded(graph, 11, Fill::Generic).expect("small");
    let inputs = random_inputs::<f32>(graph, 1, 11).expect("small");
    let expected = whole.run(inputs.clone(), &Reference, |_| ()).expect("it runs").outputs;
    // Weights are drawn by the names of their layers: the same in the parts.
    let stage = Network::<f32>::seeded(&patches.stage, 11, Fill::Generic).expect("small");
    let trial = Fixed::new(&patches.stage);
    let sizes = Sizes::new(&trial, None).expect("sizes");
    let axes = &patches.tiling.axes;
    let stitched = run(&stage, &sizes, axes, &patches.spans, &inputs, &Reference).expect("patches run");
    let rest = Network::<f32>::seeded(&patches.rest, 11, Fill::Generic).expect("small");
    let planned = plan(&patches.rest, 1);
    assert_eq!(planned.arena.bytes, patches.rest_peak, "{name}");
    let found = rest.run_in_arena(&stitched, &planned, &Reference).expect("it runs").outputs;
    for (expected, found) in expected.iter().zip(&found) {
        assert_eq!(expected.data(), found.data(), "{name}");
    }
    // No patch needs more than is planned, and one needs as much.
    let mut most = 0;
    for rows in &patches.spans[0] {
        for columns in patches.spans.get(1).map_or(&[] as &[_], |spans| spans) {
            let part = sizes.at(&[rows.length(), columns.length()]).expect("a patch");
            let planned = plan(&part, 1);
            let images = random_inputs::<f32>(&part, 1, 3).expect("small");
            let network = stage.on(&part).expect("the same weights");
            let run = network.run_in_arena(&images, &planned, &Reference).expect("it fits");
            assert!(run.used <= patches.patch, "{name}");
            most = most.max(run.used);
        }
    }
    assert_eq!(most, patches.patch, "{name}");
    let bytes = |graph: &Graph, node| graph.node(node).shape.elements().expect("small");
    let images: u64 = graph.inputs().map(|(id, _)| bytes(graph, id)).sum();
    assert_eq!(patches.stage_peak, images + bytes(graph, patches.last) + patches.patch, "{name}");
    patches
}

#[test]
fn the_first_layers_run_patch_by_patch() {
    for name in ["mobilenet_v2", "mnasnet1_0", "resnet18"] {
        let graph = small(name);
        for per_axis in [None, Some(2), Some(3)] {
            let patches = patched(name, &graph, per_axis);
            let count = patches.count();
            assert!(
                per_axis.map_or(count >= 4, |wanted| count <= wanted * wanted && count > 1),
                "{name}: {count}"
            );
        }
    }
}

#[test]
fn a_budget_takes_the_patches_that_compute_least_again() {
    let graph = super::support::network::zoo("mobilenet_v2");
    let arena = plan(&graph, 1).arena.bytes;
    let of = |budget| best(&graph, &Options { width: 1, per_axis: None, arena, budget }).expect("patches");
    let smallest = of(None);
    let again = |patches: &Patches| patches.macs[1] - patches.macs[0];
    for budget in [512 << 10, 768 << 10] {
        let chosen = of(Some(budget));
        assert!(chosen.peak() <= budget && again(&chosen) < again(&smallest), "{budget}");
    }
    // What nothing fits into gets the smallest peak.
    assert_eq!(of(Some(1000)).peak(), smallest.peak());
}

#[test]
fn patches_of_a_chain_by_hand() {
    // Two maps of 4 x 16 x 16 are the largest; the stage ends at the strided layer, 4 x 8 x 8.
    let graph = parse(
        "input: [1, 16, 16]\nlayers:\n  - conv: {out_channels: 4, kernel: 1}\n  - conv: {out_channels: 4, kernel: 1}\n  - conv: {out_channels: 4, kernel: 2, stride: 2}\n  - conv: {out_channels: 1, kernel: 8}\n",
    );
    let patches = patched("a chain", &graph, Some(2));
    assert_eq!(plan(&graph, 1).arena.bytes, 2 * 4 * 256);
    assert_eq!((patches.input.as_slice(), patches.count()), ([8, 8].as_slice(), 4));
    // A patch: two maps of 4 x 8 x 8 at once.
    assert_eq!((patches.patch, patches.stage_peak), (2 * 4 * 64, 256 + 4 * 64 + 2 * 4 * 64));
    assert_eq!(patches.macs[0], patches.macs[1], "nothing overlaps");
}
