//! The fast path: single convolutions of ResNet-50's shapes, and whole networks; where it is fast enough, the
//! definition beside it.

use std::hint::black_box;
use std::time::Duration;

use cnnkit::exec::fast::{Fast, Plan};
use cnnkit::exec::network::{Fill, Network, random_inputs};
use cnnkit::exec::run::{Kernels, Reference};
use cnnkit::exec::tensor::Tensor;
use cnnkit::graph::Graph;
use cnnkit::spec::files::Text;
use cnnkit::spec::{self, Overrides};
use cnnkit::zoo::Zoo;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn graph(text: &str) -> Graph {
    let files = Text { name: "bench".into(), bytes: text.as_bytes().to_vec() };
    spec::load(&files, "bench", &Overrides::default()).expect("a valid spec").graph
}

fn zoo(name: &str) -> Graph {
    spec::load(&Zoo, &Zoo::path(name).expect("built in"), &Overrides::default()).expect("a valid spec").graph
}

/// Plans once, as a program would, and runs many times.
fn planned(criterion: &mut Criterion, group: &str, name: &str, graph: &Graph) {
    let network = Network::<f32>::seeded(graph, 0, Fill::Declared).expect("it fits");
    let inputs = random_inputs(graph, 1, 0).expect("it fits");
    let mut plan = Plan::new(&network, 1).expect("it can be planned");
    let mut group = criterion.benchmark_group(group);
    group.throughput(Throughput::Elements(graph.nodes().iter().map(|node| node.cost.macs).sum()));
    group.bench_function(name, |bencher| {
        bencher.iter(|| plan.run(black_box(&inputs), |_| ()).expect("it runs"));
    });
    group.finish();
}

fn layers(criterion: &mut Criterion) {
    for (channels, size, outputs, kernel, stride) in [
        (3, 224, 64, 7, 2),
        (64, 56, 64, 1, 1),
        (64, 56, 64, 3, 1),
        (64, 56, 256, 1, 1),
        (256, 14, 256, 3, 1),
        (512, 7, 512, 3, 1),
        (512, 7, 2048, 1, 1),
    ] {
        let text = format!(
            "{{input: [{channels}, {size}, {size}], layers: [conv: {{out_channels: {outputs}, kernel: {kernel}, stride: {stride}, padding: {}}}]}}",
            kernel / 2
        );
        planned(
            criterion,
            "conv",
            &format!("{channels}x{size} to {outputs} k{kernel} s{stride}"),
            &graph(&text),
        );
    }
    for (channels, size, stride) in [(96, 112, 2), (144, 56, 1), (960, 7, 1)] {
        let text = format!(
            "{{input: [{channels}, {size}, {size}], layers: [conv: {{out_channels: {channels}, kernel: 3, stride: {stride}, padding: 1, groups: depthwise}}]}}"
        );
        planned(criterion, "depthwise", &format!("{channels}x{size} s{stride}"), &graph(&text));
    }
}

fn networks(criterion: &mut Criterion) {
    for name in ["resnet50", "vgg16", "mobilenet_v2", "densenet121"] {
        planned(criterion, "network", name, &zoo(name));
    }
}

/// What the fast path gains, where the plain loops take a fraction of a second.
fn definition(criterion: &mut Criterion) {
    let graph = graph(
        "{input: [32, 28, 28], layers: [conv: {out_channels: 32, kernel: 3, padding: 1}, batch_norm, relu]}",
    );
    let network = Network::<f32>::seeded(&graph, 0, Fill::Declared).expect("it fits");
    let inputs: Vec<Tensor<f32>> = random_inputs(&graph, 1, 0).expect("it fits");
    let run = |kernels: &dyn Fn(Vec<Tensor<f32>>)| kernels(inputs.clone());
    fn one<K: Kernels<f32>>(network: &Network<'_, f32>, inputs: Vec<Tensor<f32>>, kernels: &K) {
        black_box(network.run(inputs, kernels, |_| ()).expect("it runs"));
    }
    let fast = Fast::default();
    criterion.bench_function("conv, norm, relu/definition", |bencher| {
        bencher.iter(|| run(&|inputs| one(&network, inputs, &Reference)));
    });
    criterion.bench_function("conv, norm, relu/fast, one by one", |bencher| {
        bencher.iter(|| run(&|inputs| one(&network, inputs, &fast)));
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(3));
    targets = layers, networks, definition
}
criterion_main!(benches);
