//! The cost of the receptive-field analyses as their work grows: `cargo bench --bench field`.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

use cnnkit::analysis::field::{Options, analyse};
use cnnkit::analysis::support::{Borders, support};
use cnnkit::disk::Disk;
use cnnkit::graph::{Graph, NodeId};
use cnnkit::spec::files::Text;
use cnnkit::spec::{self, Overrides};

fn zoo(name: &str) -> Graph {
    let path = format!("{}/specs/zoo/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
    spec::load(&Disk::of(&path), &path, &Overrides::default()).expect("a shipped spec").graph
}

fn stack(modules: usize) -> Graph {
    let yaml = format!(
        "{{input: [8, 64, 64], layers: [repeat: {{times: {modules}, body: [residual: [conv: {{out_channels: 8, kernel: 3, padding: 1}}]]}}]}}"
    );
    let files = Text { name: "stack".into(), bytes: yaml.into_bytes() };
    spec::load(&files, "stack", &Overrides::default()).expect("valid").graph
}

/// The last feature map before the head.
fn last_map(graph: &Graph) -> NodeId {
    let map = |node: NodeId| graph.node(node).shape.spatial().len() == 2;
    (0..graph.nodes().len()).rev().map(NodeId::new).find(|&node| map(node)).expect("a network on images")
}

fn exact(graph: &Graph) -> i128 {
    let node = last_map(graph);
    let input = graph.inputs().next().expect("an input").0;
    let unit: Vec<i128> = graph.node(node).shape.spatial().iter().map(|&size| i128::from(size / 2)).collect();
    support(graph, node, input, &unit, Borders::Ignored)
        .and_then(|region| region.positions())
        .expect("it fits")
}

fn fields(c: &mut Criterion) {
    let names: Vec<String> = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/specs/zoo"))
        .expect("specs/zoo")
        .filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_string_lossy().into_owned()))
        .collect();
    let graphs: Vec<Graph> = names.iter().map(|name| zoo(name)).collect();
    c.bench_function("boxes of the whole zoo", |b| {
        b.iter(|| {
            graphs
                .iter()
                .map(|graph| analyse(graph, Options::default()).expect("it fits").nodes.len())
                .sum::<usize>()
        });
    });
    let mut group = c.benchmark_group("boxes of residual modules");
    for modules in [10, 100, 1000] {
        let graph = stack(modules);
        group.bench_with_input(BenchmarkId::from_parameter(modules), &graph, |b, graph| {
            b.iter(|| analyse(graph, Options::default()).expect("it fits").nodes.len());
        });
    }
    group.finish();
}

fn supports(c: &mut Criterion) {
    let mut group = c.benchmark_group("exact support");
    group.sample_size(10);
    for name in ["vgg16", "resnet152", "inception_v3", "densenet201"] {
        let graph = zoo(name);
        group.bench_with_input(BenchmarkId::from_parameter(name), &graph, |b, graph| b.iter(|| exact(graph)));
    }
    group.finish();
}

criterion_group!(benches, fields, supports);
criterion_main!(benches);
