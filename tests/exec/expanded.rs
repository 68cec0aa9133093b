//! A convolution and the depthwise convolution that reads it, computed strip by strip, against the definition in f64.
//!
//! The bound is that of sums of products (`fast`): both convolutions of the absolute values of inputs and weights, without
//! activations, times the roundings on the way. The activations here change a difference at most twofold.

use std::cell::Cell;
use std::sync::Arc;

use cnnkit::exec::fast::{Isa, Plan};
use cnnkit::exec::network::{Fill, Network, random_inputs};
use cnnkit::exec::run::{Reference, Step};
use cnnkit::exec::tensor::Tensor;
use cnnkit::graph::{Builder, Graph};
use cnnkit::shape::Shape;
use cnnkit::source::Origin;

use super::build;
use super::fast::generated::{Draw, U};

const KERNEL: &str = "product, rows";

/// Layers with their arguments, one after another; the last is a sum with the result of a branch where one is given.
pub struct Chain {
    pub input: Shape,
    pub layers: Vec<(String, String)>,
    pub branch: Option<String>,
}

impl Chain {
    /// Returns the network, without activations if only sizes count; `None` if the arguments do not fit the input.
    pub fn graph(&self, sizes_only: bool) -> Option<Graph> {
        let mut builder = Builder::new();
        let input = builder.input("x", self.input.clone(), Origin::default());
        let mut last = input;
        for (i, (name, args)) in self.layers.iter().enumerate() {
            let args = if sizes_only && name != "conv" { ("identity", "{}") } else { (&name[..], &args[..]) };
            let layer = build(args.0, args.1);
            last = builder.layer(&format!("n{i}"), layer, vec![last], None, Origin::default());
        }
        if let Some(args) = &self.branch {
            let branch = builder.layer("branch", build("conv", args), vec![input], None, Origin::default());
            last = builder.layer("sum", build("add", "{}"), vec![branch, last], None, Origin::default());
        }
        builder.finish("net", vec![last]).ok()
    }

    /// Compares the network with its definition on every instruction set: its memory, its multiply-adds, and its output
    /// within `parts` of the bound, for the size of an element and the largest of all. Passes the steps of every run to
    /// `ran`. Returns whether the arguments fit the input.
    pub fn check(
        &self,
        (numbers, seed): (&Draw, u64),
        parts: impl Fn(f64, f64) -> f64,
        ran: impl Fn(&Graph, &[Step]),
    ) -> bool {
        let (Some(graph), Some(plain)) = (self.graph(false), self.graph(true)) else { return false };
        let label = format!("{:?} on {:?}", self.layers, self.input);
        let batch = 1 + numbers.below(2) as usize;
        let network = Network::<f32>::seeded(&graph, seed, Fill::Generic).expect("small");
        let inputs = random_inputs::<f32>(&graph, batch, seed).expect("small");
        let wide: Vec<Tensor<f64>> = inputs.iter().map(Tensor::cast).collect();
        let expected = network.cast::<f64>().run(wide, &Reference, |_| ()).expect("it runs");
        let sizes = sizes(&network, &plain, &inputs);
        let largest = sizes.data().iter().copied().fold(0.0, f64::max);
        let weights = graph.nodes().iter().flat_map(|node| &node.weights);
        let products: u64 = weights.map(|weight| weight.shape.sizes().iter().skip(1).product::<u64>()).sum();
        let rounding = (products + 32) as f64 * U;
        let macs = |steps: &[Step]| steps.iter().map(|step| step.counter.total()).sum::<u64>();
        for isa in Isa::all() {
            let mut plan = Plan::with(&network, batch, isa).expect("it can be planned");
            let run = plan.run(&inputs, |_| ()).expect("it runs");
            assert!(run.peak <= expected.peak, "{label}: more memory");
            assert_eq!(macs(&run.steps), macs(&expected.steps), "{label}: multiply-adds");
            ran(&graph, &run.steps);
            let pairs = run.outputs[0].data().iter().zip(expected.outputs[0].data());
            for (i, ((&found, &expected), &size)) in pairs.zip(sizes.data()).enumerate() {
                let error = (f64::from(found) - expected).abs();
                let bound = parts(size, largest) * rounding + 1e-30;
                let isa = isa.name();
                assert!(
                    error <= bound,
                    "{label} ({isa}): element {i} is {found}, not {expected}: {error:e} > {bound:e}"
                );
            }
        }
        true
    }
}

/// Draws two convolutions with at least 65,536 values between them: the kernel is for maps that leave the L2 cache.
fn drawn(numbers: &Draw) -> Chain {
    let inputs = 1 + numbers.below(7);
    let (height, width) = match numbers.below(3) {
        0 => (40 + numbers.below(20), 40 + numbers.below(20)),
        1 => (5 + numbers.below(20), 70 + numbers.below(100)),
        _ => (100 + numbers.below(60), 9 + numbers.below(15)),
    };
    let channels = 65_536_u64.div_ceil((height - 2) * (width - 2)) + numbers.below(9);
    let first = match numbers.below(4) {
        0 => "kernel: 3, padding: 1".to_owned(),
        1 => "kernel: [1, 3]".to_owned(),
        _ => "kernel: 1".to_owned(),
    };
    let curve = |numbers: &Draw| numbers.pick(&["relu", "relu6", "hardswish", "silu", "identity"]).to_owned();
    let stride = 1 + numbers.below(2);
    let (kernel, padding) = match numbers.below(6) {
        0 => ("5".to_owned(), numbers.sides(2, 3)),
        1 => ("7".to_owned(), "3".to_owned()),
        2 => (numbers.list(2, 1, 5), numbers.sides(2, 2)),
        _ => ("3".to_owned(), numbers.pick(&["0", "1", "1", "[[0, 1], [0, 1]]"]).to_owned()),
    };
    let dilation = if numbers.below(4) == 0 { numbers.list(2, 1, 3) } else { "1".to_owned() };
    let windows = |outputs: String| {
        format!(
            "{{out_channels: {channels}, kernel: {kernel}, stride: {stride}, dilation: {dilation}, padding: {padding}{outputs}}}"
        )
    };
    let second = windows(format!(", groups: depthwise, bias: {}", numbers.pick(&["true", "false"])));
    // The tensor that is added has the same windows, so the same sizes; its own first convolution would change them.
    let branch = first == "kernel: 1" && numbers.below(3) == 0;
    Chain {
        input: Shape::new([inputs, height, width]),
        layers: vec![
            (
                "conv".into(),
                format!("{{out_channels: {channels}, {first}, bias: {}}}", numbers.pick(&["true", "false"])),
            ),
            (curve(numbers), "{}".into()),
            ("conv".into(), second),
            (if branch { "identity".into() } else { curve(numbers) }, "{}".into()),
        ],
        branch: branch.then(|| windows(String::new())),
    }
}

#[test]
fn expanded_maps_are_the_definition() {
    let numbers = Draw::new(21);
    let (found, summed) = (Cell::new(0), Cell::new(0));
    let mut checked = 0;
    while checked < 60 {
        let chain = drawn(&numbers);
        let ran = |_: &Graph, steps: &[Step]| {
            let fused = steps.iter().any(|step| step.kernel == KERNEL);
            found.set(found.get() + usize::from(fused));
            summed.set(summed.get() + usize::from(fused && chain.branch.is_some()));
        };
        checked += u64::from(chain.check((&numbers, checked + 1), |size, _| 4.0 * size, ran));
    }
    let sets = Isa::all().len();
    assert!(found.get() >= 55 * sets, "{} of {checked} on {sets} sets", found.get());
    assert!(summed.get() >= 5 * sets, "{} with a sum", summed.get());
}

/// The network of absolute values without activations.
fn sizes(network: &Network<'_, f32>, plain: &Graph, inputs: &[Tensor<f32>]) -> Tensor<f64> {
    let absolute =
        |tensor: &Tensor<f32>| Tensor::from_fn(tensor.sizes(), |i| f64::from(tensor.data()[i]).abs());
    let mut given = std::collections::HashMap::new();
    for (id, node) in network.graph.iter() {
        // What is not a convolution has none there.
        let layers = node.weights.iter().zip(network.weights(id));
        for (weight, tensor) in layers.take(plain.node(id).weights.len()) {
            given.insert(format!("{}.{}", node.id, weight.name), absolute(tensor));
        }
    }
    let network = Network::<f64>::of_weights(plain, given).expect("the same weights");
    let inputs = inputs.iter().map(absolute).collect();
    let mut run = network.run(inputs, &Reference, |_| ()).expect("it runs");
    run.outputs.swap_remove(0)
}

/// 24 channels of 60 x 70 positions from 5 of the input, then 3 x 3 at stride `stride`.
fn pair(stride: usize, outputs: &[usize]) -> Graph {
    let mut builder = Builder::new();
    let mut nodes = vec![builder.input("x", Shape::new([5, 60, 70]), Origin::default())];
    let second = format!(
        "{{out_channels: 24, kernel: 3, stride: {stride}, padding: 1, groups: depthwise, bias: false}}"
    );
    let layers = [
        ("conv", "{out_channels: 24, kernel: 1, bias: false}"),
        ("batch_norm", "{}"),
        ("relu6", "{}"),
        ("conv", &second),
        ("batch_norm", "{}"),
        ("hardswish", "{}"),
    ];
    for (i, (name, args)) in layers.into_iter().enumerate() {
        nodes.push(builder.layer(
            &format!("n{}", i + 1),
            build(name, args),
            vec![nodes[i]],
            None,
            Origin::default(),
        ));
    }
    builder.finish("net", outputs.iter().map(|&output| nodes[output]).collect()).expect("a valid network")
}

#[test]
fn expanded_maps_are_never_stored() {
    let graph = pair(2, &[6]);
    let network = Network::<f32>::seeded(&graph, 3, Fill::Generic).expect("small");
    let inputs = random_inputs::<f32>(&graph, 1, 3).expect("small");
    let mut plan = Plan::new(&network, 1).expect("it can be planned");
    let run = plan.run(&inputs, |_| ()).expect("it runs");
    // The input and the output; the map between alone has 403,200 bytes.
    assert_eq!(run.peak, 4 * (5 * 60 * 70 + 24 * 30 * 35));
    assert_eq!(plan.buffer_bytes(), 4 * 24 * 30 * 35);
    let fused = run.steps.iter().filter(|step| step.host == Some(run.steps[3].node)).count();
    assert_eq!((run.steps[3].kernel, fused), (KERNEL, 5));
    assert_eq!(run.steps[3].counter.total(), 24 * (5 * 60 * 70 + 9 * 30 * 35));
    // Another reader, or an output of the network, needs it.
    for (outputs, kernels) in [(&[6, 3][..], 0), (&[6, 2], 0)] {
        let graph = pair(1, outputs);
        let network = Network::<f32>::seeded(&graph, 3, Fill::Generic).expect("small");
        let run = Plan::new(&network, 1).expect("a plan").run(&inputs, |_| ()).expect("it runs");
        assert_eq!(run.steps.iter().filter(|step| step.kernel == KERNEL).count(), kernels);
    }
}

#[test]
fn expanded_maps_do_not_depend_on_threads() {
    for stride in [1, 2] {
        let graph = pair(stride, &[6]);
        let network = Network::<f32>::seeded(&graph, 5, Fill::Generic).expect("small");
        let inputs = random_inputs::<f32>(&graph, 2, 5).expect("small");
        let bits = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            let run = pool
                .install(|| Plan::new(&network, 2).expect("a plan").run(&inputs, |_| ()).expect("it runs"));
            run.outputs[0].data().iter().map(|value| value.to_bits()).collect::<Arc<[u32]>>()
        };
        let alone = bits(1);
        assert!([2, 3, 5].into_iter().all(|threads| bits(threads) == alone), "stride {stride}");
    }
}
