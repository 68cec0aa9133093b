//! An inverted residual in one step against the definition in f64, bounded as in `expanded`.
//!
//! A gate multiplies by a number up to 1 that sums over all channels at all positions: with one, an error is compared with the
//! largest bound of any element.

use std::cell::Cell;
use std::sync::Arc;

use cnnkit::exec::fast::{Isa, Plan};
use cnnkit::exec::network::{Fill, Network, random_inputs};
use cnnkit::exec::run::Step;
use cnnkit::graph::Graph;
use cnnkit::shape::Shape;

use super::expanded::Chain;
use super::fast::generated::Draw;

const KERNELS: [&str; 2] = ["product, rows, product", "product, rows, gates, product"];

/// Draws three convolutions, the second of which is depthwise, or has groups of which each fills vectors of some machine.
fn drawn(numbers: &Draw) -> Chain {
    let inputs = 1 + numbers.below(40);
    let (height, width) = match numbers.below(6) {
        0 => (40 + numbers.below(40), 30 + numbers.below(50)),
        1 => (2 + numbers.below(5), 100 + numbers.below(100)),
        _ => (1 + numbers.below(20), 1 + numbers.below(20)),
    };
    let members = if numbers.below(3) == 0 { [4, 8, 16, 32][numbers.below(4) as usize] } else { 1 };
    let (middle, outputs) = (members * (1 + numbers.below(70 / members)), 1 + numbers.below(40));
    let bias = || numbers.pick(&["true", "false"]).to_owned();
    let curve = || numbers.pick(&["relu", "relu6", "hardswish", "silu", "sigmoid", "identity"]).to_owned();
    let first = match numbers.below(5) {
        0 => "kernel: 3, padding: 1, stride: 2",
        1 => "kernel: [1, 3]",
        _ => "kernel: 1",
    };
    let (kernel, padding) = match if members == 1 { numbers.below(5) } else { 2 } {
        0 => (5, numbers.sides(2, 3)),
        1 => (7, "3".to_owned()),
        _ => (3, numbers.pick(&["0", "1", "1", "[[0, 1], [0, 1]]"]).to_owned()),
    };
    let windows = format!("kernel: {kernel}, stride: {}, padding: {padding}", 1 + numbers.below(2));
    let conv = |args: String| ("conv".to_owned(), format!("{{{args}}}"));
    let plain = |name: String| (name, "{}".to_owned());
    let mut layers = vec![
        conv(format!("out_channels: {middle}, {first}, bias: {}", bias())),
        plain(curve()),
        conv(format!("out_channels: {middle}, {windows}, groups: {}, bias: {}", middle / members, bias())),
        plain(curve()),
    ];
    if numbers.below(4) == 0 {
        layers.push(("squeeze_excite".into(), "{squeeze: 3}".into()));
    }
    layers.push(conv(format!("out_channels: {outputs}, kernel: 1, bias: {}", bias())));
    let branch = first == "kernel: 1" && numbers.below(2) == 0;
    layers.push(plain(if branch { "identity" } else { numbers.pick(&["relu6", "identity"]) }.to_owned()));
    let branch = branch.then(|| format!("{{out_channels: {outputs}, {windows}}}"));
    Chain { input: Shape::new([inputs, height, width]), layers, branch }
}

#[test]
fn inverted_residuals_are_the_definition() {
    let numbers = Draw::new(23);
    let counts: [Cell<usize>; 4] = [const { Cell::new(0) }; 4];
    let mut checked = 0;
    while checked < 150 {
        let chain = drawn(&numbers);
        let gated = chain.layers.iter().any(|(name, _)| name == "squeeze_excite");
        let ran = |graph: &Graph, steps: &[Step]| {
            let mut weights = graph.nodes().iter().flat_map(|node| &node.weights);
            let grouped = weights.any(|weight| matches!(weight.shape.sizes(), [_, 4 | 8 | 16, 3, 3]));
            let fused = steps.iter().any(|step| KERNELS.contains(&step.kernel));
            let facts = [fused, fused && gated, fused && chain.branch.is_some(), fused && grouped];
            counts.iter().zip(facts).for_each(|(count, fact)| count.set(count.get() + usize::from(fact)));
        };
        let parts = |size: f64, largest: f64| 8.0 * if gated { 4.0 * largest } else { size };
        checked += u64::from(chain.check((&numbers, checked + 1), parts, ran));
    }
    let vectors = Isa::all().iter().filter(|isa| isa.name() != "plain code").count();
    let counts = counts.map(|count| count.get());
    let least = [80, 20, 20, 5].map(|count| count * vectors);
    assert!(counts.iter().zip(least).all(|(&count, least)| count >= least), "{counts:?} of {checked}");
}

/// An inverted residual with many strips, or with few positions and many channels.
fn residual(large: bool, gated: bool, stride: u64) -> Graph {
    let (inputs, middle, side) = if large { (8, 32, 90) } else { (40, 240, 7) };
    let conv = |args: String| ("conv".to_owned(), format!("{{{args}, bias: false}}"));
    let mut layers = vec![
        conv(format!("out_channels: {middle}, kernel: 1")),
        ("hardswish".into(), "{}".into()),
        conv(format!("out_channels: {middle}, kernel: 3, stride: {stride}, padding: 1, groups: depthwise")),
        ("relu6".into(), "{}".into()),
    ];
    if gated {
        layers.push(("squeeze_excite".into(), "{}".into()));
    }
    layers.push(conv("out_channels: 24, kernel: 1".into()));
    Chain { input: Shape::new([inputs, side, side]), layers, branch: None }.graph(false).expect("it fits")
}

#[test]
fn inverted_residuals_do_not_depend_on_threads() {
    for (large, gated, stride) in
        [(true, false, 1), (true, false, 2), (true, true, 1), (false, false, 1), (false, true, 2)]
    {
        let graph = residual(large, gated, stride);
        let network = Network::<f32>::seeded(&graph, 5, Fill::Generic).expect("small");
        let inputs = random_inputs::<f32>(&graph, 2, 5).expect("small");
        let bits = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            let run = pool
                .install(|| Plan::new(&network, 2).expect("a plan").run(&inputs, |_| ()).expect("it runs"));
            assert!(
                Isa::best().name() == "plain code"
                    || run.steps.iter().any(|step| KERNELS.contains(&step.kernel))
            );
            run.outputs[0].data().iter().map(|value| value.to_bits()).collect::<Arc<[u32]>>()
        };
        let alone = bits(1);
        assert!([2, 3, 8].into_iter().all(|threads| bits(threads) == alone), "{large} {gated} {stride}");
    }
}
