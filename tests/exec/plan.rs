//! Planned networks against the definition: the whole zoo, and the cases in which a layer must not be fused.

use cnnkit::exec::fast::{Fast, Plan};
use cnnkit::exec::network::{Fill, Network, random_inputs};
use cnnkit::exec::run::{Reference, Run};
use cnnkit::exec::tensor::Tensor;
use cnnkit::graph::{Builder, Graph, NodeId};
use cnnkit::shape::Shape;
use cnnkit::source::Origin;
use cnnkit::spec::{self, Overrides};
use cnnkit::zoo::Zoo;

use super::build;

/// The built-in networks with inputs that a plain loop gets through: small, and a multiple of what they halve to.
pub(super) fn small(name: &str) -> Graph {
    let load = |inputs: Vec<(String, Vec<u64>)>| {
        let overrides = Overrides { inputs, ..Overrides::default() };
        let path = Zoo::path(name).expect("it is built in");
        spec::load(&Zoo, &path, &overrides).map(|loaded| loaded.graph)
    };
    let own = load(vec![]).unwrap_or_else(|_| panic!("{name} is valid"));
    let side = |most: u64| {
        let shrunk = |(_, node): (NodeId, &cnnkit::graph::Node)| {
            let sizes = node.shape.sizes();
            let space = sizes[1..].iter().map(|&size| size.min(most));
            (node.id.clone(), sizes[..1].iter().copied().chain(space).collect())
        };
        own.inputs().map(shrunk).collect::<Vec<_>>()
    };
    // Some end in layers that fit one input size only.
    [32, 64, 96].into_iter().find_map(|most| load(side(most)).ok()).unwrap_or(own)
}

#[test]
fn planned_networks_are_the_definition() {
    let mut checked = 0;
    let (mut fused, mut defined, mut in_place) = (0, 0, 0);
    for (_, name) in Zoo::names() {
        let graph = small(name);
        // The largest have no layers that others lack, and hundreds of millions of weights to draw.
        let params = cnnkit::analysis::totals::of_graph(&graph).params;
        if params > 30_000_000 {
            continue;
        }
        let network = Network::<f32>::seeded(&graph, 7, Fill::Generic).expect("small");
        let inputs = random_inputs::<f32>(&graph, 2, 7).expect("small");
        // Other tests check each kernel against the definition; here kernels replace it where it would be slow.
        let macs: u64 = graph.nodes().iter().map(|node| node.cost.macs).sum();
        let expected = match macs {
            0..25_000_000 => network.run(inputs.clone(), &Reference, |_| ()),
            _ => network.run(inputs.clone(), &Fast::default(), |_| ()),
        };
        let expected = expected.unwrap_or_else(|error| panic!("{name}: {error}"));
        defined += usize::from(macs < 25_000_000);
        // Alone, an image has its concatenations in place.
        let alone: Vec<Tensor<f32>> = inputs.iter().map(first).collect();
        let mut plan = Plan::new(&network, 1).unwrap_or_else(|error| panic!("{name}: {error}"));
        for _ in 0..2 {
            let found = plan.run(&alone, |_| ()).unwrap_or_else(|error| panic!("{name}: {error}"));
            in_place += found.steps.iter().filter(|step| step.kernel == "in place").count();
            for (found, expected) in found.outputs.iter().zip(&expected.outputs) {
                let most = expected.data().iter().fold(0.0f32, |most, x| most.max(x.abs()));
                for (i, (a, b)) in found.data().iter().zip(expected.data()).enumerate() {
                    assert!((a - b).abs() <= 1e-4 * most, "{name}: element {i} is {a}, not {b}, of {most}");
                }
            }
        }
        let mut plan = Plan::new(&network, 2).unwrap_or_else(|error| panic!("{name}: {error}"));
        for _ in 0..2 {
            // In the second run, buffers contain the values of the first.
            let found = plan.run(&inputs, |_| ()).unwrap_or_else(|error| panic!("{name}: {error}"));
            for (found, expected) in found.outputs.iter().zip(&expected.outputs) {
                assert_eq!(found.sizes(), expected.sizes(), "{name}");
                let most = expected.data().iter().fold(0.0f32, |most, x| most.max(x.abs()));
                for (i, (a, b)) in found.data().iter().zip(expected.data()).enumerate() {
                    assert!((a - b).abs() <= 1e-4 * most, "{name}: element {i} is {a}, not {b}, of {most}");
                }
            }
            let macs = |run: &Run<f32>| run.steps.iter().map(|step| step.counter.total()).sum::<u64>();
            assert_eq!(macs(&found), macs(&expected), "{name}: multiply-adds");
            let nodes: Vec<NodeId> = found.steps.iter().map(|step| step.node).collect();
            assert_eq!(nodes, expected.steps.iter().map(|step| step.node).collect::<Vec<_>>(), "{name}");
            assert!(found.peak <= expected.peak, "{name}: fusing needs more memory");
            fused += found.steps.iter().filter(|step| step.host.is_some()).count();
        }
        checked += 1;
    }
    assert!(checked > 60 && defined >= 15, "{checked} networks, {defined} of them by the definition");
    assert!(fused > 2000, "{fused} layers taken over");
    assert!(in_place > 200, "{in_place} concatenations in place");
}

/// The first image of a batch of two.
fn first(batch: &Tensor<f32>) -> Tensor<f32> {
    let sizes: Vec<usize> = [1].into_iter().chain(batch.sizes()[1..].iter().copied()).collect();
    Tensor::new(&sizes, batch.data()[..batch.len() / 2].to_vec()).expect("half of it")
}

/// A network of layers, each with the numbers of the nodes it reads; 0 is the input.
fn net(layers: &[(&str, &str, &[usize])], outputs: &[usize]) -> Graph {
    let mut builder = Builder::new();
    let mut nodes = vec![builder.input("x", Shape::new([4, 9, 9]), Origin::default())];
    for (i, (name, args, inputs)) in layers.iter().enumerate() {
        let inputs = inputs.iter().map(|&input| nodes[input]).collect();
        nodes.push(builder.layer(&format!("n{}", i + 1), build(name, args), inputs, None, Origin::default()));
    }
    builder.finish("net", outputs.iter().map(|&output| nodes[output]).collect()).expect("a valid network")
}

/// Checks the outputs, and which layers are computed with others.
fn check(graph: &Graph, taken_over: &[&str]) {
    let network = Network::<f32>::seeded(graph, 3, Fill::Generic).expect("small");
    let inputs = random_inputs::<f32>(graph, 2, 3).expect("small");
    let expected = network.run(inputs.clone(), &Reference, |_| ()).expect("it runs");
    let mut plan = Plan::new(&network, 2).expect("it can be planned");
    let found = plan.run(&inputs, |_| ()).expect("it runs");
    let names =
        found.steps.iter().filter(|step| step.host.is_some()).map(|step| graph.node(step.node).id.as_str());
    assert_eq!(names.collect::<Vec<_>>(), taken_over);
    for (found, expected) in found.outputs.iter().zip(&expected.outputs) {
        assert_eq!(found.sizes(), expected.sizes());
        for (a, b) in found.data().iter().zip(expected.data()) {
            assert!((a - b).abs() <= 1e-5 * b.abs().max(1.0), "{a} and {b}");
        }
    }
}

/// Checks the outputs for one image, and which concatenations need no copy at all.
fn check_places(graph: &Graph, in_place: &[&str]) {
    let network = Network::<f32>::seeded(graph, 5, Fill::Generic).expect("small");
    let inputs = random_inputs::<f32>(graph, 1, 5).expect("small");
    let expected = network.run(inputs.clone(), &Reference, |_| ()).expect("it runs");
    let mut plan = Plan::new(&network, 1).expect("it can be planned");
    for _ in 0..2 {
        let found = plan.run(&inputs, |_| ()).expect("it runs");
        let names = found.steps.iter().filter(|step| step.kernel == "in place");
        assert_eq!(names.map(|step| graph.node(step.node).id.as_str()).collect::<Vec<_>>(), in_place);
        for (found, expected) in found.outputs.iter().zip(&expected.outputs) {
            for (a, b) in found.data().iter().zip(expected.data()) {
                assert!((a - b).abs() <= 1e-5 * b.abs().max(1.0), "{a} and {b}");
            }
        }
    }
}

#[test]
fn concatenations_are_in_place() {
    // A dense block: what is joined is read on the way, by what is joined later.
    let dense: &[(&str, &str, &[usize])] = &[
        ("conv", CONV, &[0]),
        ("conv", CONV, &[1]),
        ("concat", "{}", &[1, 2]),
        ("relu", "{}", &[3]),
        ("conv", CONV, &[4]),
        ("concat", "{}", &[3, 5]),
        ("conv", CONV, &[6]),
        ("concat", "{}", &[6, 7]),
        ("sigmoid", "{}", &[8]),
    ];
    check_places(&net(dense, &[9]), &["n3", "n6", "n8"]);
    check_places(&net(dense, &[9, 6, 2]), &["n3", "n6", "n8"]);
    // Each concatenation names all that came before.
    let all: &[(&str, &str, &[usize])] = &[
        ("conv", CONV, &[0]),
        ("conv", CONV, &[1]),
        ("concat", "{}", &[1, 2]),
        ("conv", CONV, &[3]),
        ("concat", "{}", &[1, 2, 4]),
        ("conv", CONV, &[5]),
        ("add", "{}", &[6, 2]),
        ("concat", "{}", &[7, 6]),
    ];
    check_places(&net(all, &[5, 8]), &["n3", "n5", "n8"]);
    // In another order, twice, an input of the network: copies.
    let copied: &[(&str, &str, &[usize])] = &[
        ("conv", CONV, &[0]),
        ("conv", CONV, &[1]),
        ("concat", "{}", &[1, 2]),
        ("concat", "{}", &[2, 1]),
        ("concat", "{}", &[2, 2]),
        ("concat", "{}", &[0, 2]),
        ("concat", "{}", &[3, 4, 5, 6]),
    ];
    check_places(&net(copied, &[7]), &["n7"]);
    let twice: &[(&str, &str, &[usize])] = &[("conv", CONV, &[0]), ("concat", "{}", &[1, 1])];
    check_places(&net(twice, &[2, 1]), &[]);
    // Not along the outermost axis.
    let rows: &[(&str, &str, &[usize])] =
        &[("conv", CONV, &[0]), ("conv", CONV, &[1]), ("concat", "{axis: 1}", &[1, 2])];
    check_places(&net(rows, &[3]), &[]);
}

const CONV: &str = "{out_channels: 4, kernel: 3, padding: 1}";

#[test]
fn a_product_takes_over_norm_sum_and_activation() {
    let residual: &[(&str, &str, &[usize])] = &[
        ("conv", CONV, &[0]),
        ("batch_norm", "{}", &[1]),
        ("add", "{}", &[2, 0]),
        ("relu", "{}", &[3]),
        ("flatten", "{}", &[4]),
        ("linear", "{out_features: 12}", &[5]),
        ("silu", "{}", &[6]),
    ];
    check(&net(residual, &[7]), &["n2", "n3", "n4", "n5", "n7"]);
    // Both operands of the sum are products: one of them takes it over.
    let two: &[(&str, &str, &[usize])] =
        &[("conv", CONV, &[0]), ("conv", CONV, &[0]), ("add", "{}", &[1, 2]), ("gelu", "{}", &[3])];
    check(&net(two, &[4]), &["n3", "n4"]);
    let transposed: &[(&str, &str, &[usize])] = &[
        ("conv_transpose", "{out_channels: 6, kernel: 2, stride: 2}", &[0]),
        ("batch_norm", "{}", &[1]),
        ("leaky_relu", "{}", &[2]),
        ("deform_conv", "{out_channels: 5, kernel: 3}", &[3]),
        ("batch_norm", "{}", &[4]),
        ("conv", "{out_channels: 5, kernel: 3, groups: depthwise}", &[5]),
        ("batch_norm", "{}", &[6]),
        ("hardswish", "{}", &[7]),
    ];
    check(&net(transposed, &[8]), &["n2", "n3", "n5", "n7", "n8"]);
}

#[test]
fn a_convolution_without_padding_takes_over_the_norm_before_it() {
    const POINTS: &str = "{out_channels: 6, kernel: 1}";
    let dense: &[(&str, &str, &[usize])] = &[
        ("batch_norm", "{}", &[0]),
        ("relu", "{}", &[1]),
        ("conv", POINTS, &[2]),
        ("batch_norm", "{}", &[3]),
        ("relu", "{}", &[4]),
        ("conv", "{out_channels: 4, kernel: [3, 2], bias: false}", &[5]),
        ("batch_norm", "{}", &[6]),
        ("conv", "{out_channels: 4, kernel: 1, groups: 2}", &[7]),
    ];
    // The first norm after a product belongs to that.
    check(&net(dense, &[8]), &["n1", "n2", "n4", "n5", "n7"]);
    let second: &[(&str, &str, &[usize])] = &[
        ("max_pool", "{kernel: 2, stride: 1}", &[0]),
        ("batch_norm", "{}", &[1]),
        ("relu", "{}", &[2]),
        ("conv", "{out_channels: 4, kernel: [3, 2], groups: 2}", &[3]),
        ("max_pool", "{kernel: 2, stride: 1}", &[4]),
        ("batch_norm", "{}", &[5]),
        ("conv", POINTS, &[6]),
        ("sigmoid", "{}", &[7]),
    ];
    check(&net(second, &[8]), &["n2", "n3", "n6", "n8"]);
    // Padding is zeros after the norm, not before it; another activation; another reader; an output.
    let padded: &[(&str, &str, &[usize])] = &[("batch_norm", "{}", &[0]), ("conv", CONV, &[1])];
    check(&net(padded, &[2]), &[]);
    let curved: &[(&str, &str, &[usize])] =
        &[("batch_norm", "{}", &[0]), ("tanh", "{}", &[1]), ("conv", POINTS, &[2])];
    check(&net(curved, &[3]), &["n2"]);
    let read: &[(&str, &str, &[usize])] =
        &[("batch_norm", "{}", &[0]), ("conv", POINTS, &[1]), ("max_pool", "{kernel: 2}", &[1])];
    check(&net(read, &[2, 3]), &[]);
    check(&net(&read[..2], &[1, 2]), &[]);
}

#[test]
fn what_others_read_is_not_taken_over() {
    // The convolution's own value is an output.
    check(&net(&[("conv", CONV, &[0]), ("relu", "{}", &[1])], &[1, 2]), &[]);
    // It has two readers.
    let shared: &[(&str, &str, &[usize])] =
        &[("conv", CONV, &[0]), ("relu", "{}", &[1]), ("sigmoid", "{}", &[1]), ("add", "{}", &[2, 3])];
    check(&net(shared, &[4]), &[]);
    // Two norms, a second activation, a weighted sum, a sum with a gate.
    let norms: &[(&str, &str, &[usize])] =
        &[("conv", CONV, &[0]), ("batch_norm", "{}", &[1]), ("batch_norm", "{}", &[2]), ("relu", "{}", &[3])];
    check(&net(norms, &[4]), &["n2", "n4"]);
    let curves: &[(&str, &str, &[usize])] =
        &[("conv", CONV, &[0]), ("relu", "{}", &[1]), ("sigmoid", "{}", &[2]), ("batch_norm", "{}", &[3])];
    check(&net(curves, &[4]), &["n2"]);
    check(&net(&[("conv", CONV, &[0]), ("add", "{weights: [1, 2]}", &[1, 0])], &[2]), &[]);
    let gate: &[(&str, &str, &[usize])] =
        &[("conv", CONV, &[0]), ("global_avg_pool", "{keepdim: true}", &[0]), ("multiply", "{}", &[1, 2])];
    check(&net(gate, &[3]), &[]);
    // The same value twice.
    check(&net(&[("conv", CONV, &[0]), ("add", "{}", &[1, 1])], &[2]), &[]);
}

#[test]
fn an_input_may_be_an_output() {
    check(&net(&[("relu", "{}", &[0])], &[0, 1]), &[]);
}

#[test]
fn a_plan_is_for_one_batch_and_the_inputs_of_its_network() {
    let graph = net(&[("relu", "{}", &[0])], &[1]);
    let network = Network::<f32>::seeded(&graph, 3, Fill::Declared).expect("small");
    let mut plan = Plan::new(&network, 2).expect("it can be planned");
    let error = plan.run(&random_inputs(&graph, 1, 0).expect("small"), |_| ()).expect_err("another batch");
    assert_eq!(error.message, "the plan is for batches of 2, the input has 1");
    assert!(plan.run(&[], |_| ()).is_err());
}
