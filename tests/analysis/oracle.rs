//! The zoo against PyTorch: every network as a whole, and its layers one by one (see `data/oracle/README.md`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cnnkit::disk::Disk;
use cnnkit::graph::{Graph, Node, Op};
use cnnkit::layers::{Layer, WeightRole};
use cnnkit::shape::Shape;
use cnnkit::spec::{Overrides, load};
use serde::Deserialize;

/// A network's figures.
#[derive(Deserialize)]
struct Figures {
    input: Vec<u64>,
    params: u64,
    buffers: u64,
    macs: u64,
    output: Vec<u64>,
    macs_by_size: BTreeMap<u64, u64>,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn oracle() -> BTreeMap<String, Figures> {
    serde_json::from_str(&read(&root().join("tests/data/oracle/models.json"))).expect("models.json is valid")
}

/// The graph of a spec of the zoo, at its own input or at another.
fn network(name: &str, input: Option<Vec<u64>>) -> Graph {
    let path = root().join(format!("specs/zoo/{name}.yaml"));
    let path = path.to_str().expect("the path is UTF-8");
    let inputs = input.map(|sizes| (String::new(), sizes)).into_iter().collect();
    match load(&Disk::of(path), path, &Overrides { inputs, ..Overrides::default() }) {
        Ok(loaded) => loaded.graph,
        Err(rejected) => panic!("{name}: {:?}", rejected.flaws),
    }
}

/// Elements of the weights of `node` that have this role; none if it uses another's.
fn elements(node: &Node, role: WeightRole) -> u64 {
    let own = node.weights.iter().filter(|weight| weight.role == role && node.shares.is_none());
    own.map(|weight| weight.shape.elements().expect("it fits")).sum()
}

fn total(graph: &Graph, role: WeightRole) -> u64 {
    graph.nodes().iter().map(|node| elements(node, role)).sum()
}

fn macs(graph: &Graph) -> u64 {
    graph.nodes().iter().map(|node| node.cost.macs).sum()
}

fn join(sizes: impl IntoIterator<Item = impl ToString>) -> String {
    sizes.into_iter().map(|size| size.to_string()).collect::<Vec<_>>().join("x")
}

/// The lines that stand for a node in the oracle's list: none for a layer without weights, two for a
/// squeeze-and-excitation.
fn lines(graph: &Graph, node: &Node) -> Vec<String> {
    let Op::Layer(layer) = &node.op else { return vec![] };
    let inputs = graph.input_shapes(node);
    let line = |kind: &str, input: &Shape, output: &Shape, params: u64, macs: u64, settings: &str| {
        format!("{kind} {} {} {params} {macs}{settings}", join(input.sizes()), join(output.sizes()))
    };
    let whole = |settings: &str| {
        let params = elements(node, WeightRole::Parameter);
        vec![line(layer.doc().name, &inputs[0], &node.shape, params, node.cost.macs, settings)]
    };
    match layer {
        Layer::Conv(conv) => {
            let windows = conv.windows(inputs[0].spatial()).expect("it was inferred");
            assert!(windows.iter().all(|w| w.before == w.after), "`{}` is padded unevenly", node.id);
            let groups =
                conv.groups.resolve(inputs[0].channels(), conv.out_channels).expect("it was inferred");
            whole(&format!(
                " k{} s{} p{} d{} g{groups}",
                join(windows.iter().map(|w| w.kernel)),
                join(windows.iter().map(|w| w.stride)),
                join(windows.iter().map(|w| w.before)),
                join(windows.iter().map(|w| w.dilation)),
            ))
        }
        Layer::BatchNorm(norm) => whole(&format!(" eps{}", norm.eps)),
        Layer::LayerNorm(norm) => whole(&format!(" eps{}", norm.eps)),
        Layer::Linear(_) | Layer::LayerScale(_) => whole(""),
        Layer::SqueezeExcite(_) => {
            // Its weights are fc1.weight, fc1.bias, fc2.weight, fc2.bias: two 1x1 convolutions of a [C, 1, 1] map.
            let [first, first_bias, second, second_bias] = node.weights.as_slice() else {
                panic!("`{}` has {} weights", node.id, node.weights.len())
            };
            let (channels, inner) = (Shape::new([inputs[0].channels()]), &first_bias.shape);
            let size = |shape: &Shape| shape.elements().expect("it fits");
            let macs = [size(&first.shape), size(&second.shape)];
            assert_eq!(macs.iter().sum::<u64>(), node.cost.macs, "MACs of `{}`", node.id);
            let point = " k1x1 s1x1 p0x0 d1x1 g1";
            vec![
                line("conv", &channels, inner, macs[0] + size(inner), macs[0], point),
                line("conv", inner, &channels, macs[1] + size(&second_bias.shape), macs[1], point),
            ]
        }
        _ => vec![],
    }
}

/// A line of the oracle without the axes of size 1 that a pooled map keeps in PyTorch: `768x1x1` is `768` here.
fn bare(line: &str) -> String {
    let mut words: Vec<&str> = line.split(' ').collect();
    for shape in &mut words[1..=2] {
        *shape = shape.trim_end_matches("x1");
    }
    words.join(" ")
}

#[test]
fn networks_count_what_pytorch_counts() {
    let mut wrong = Vec::new();
    for (name, expected) in oracle() {
        let graph = network(&name, None);
        let mut same = |what: &str, found: &dyn std::fmt::Debug, expected: &dyn std::fmt::Debug| {
            let (found, expected) = (format!("{found:?}"), format!("{expected:?}"));
            if found != expected {
                wrong.push(format!("{name}: {what} {found}, PyTorch {expected}"));
            }
        };
        let inputs: Vec<_> = graph.inputs().map(|(_, node)| node.shape.sizes()).collect();
        let outputs: Vec<_> = graph.outputs().iter().map(|&id| graph.node(id).shape.sizes()).collect();
        same("input", &inputs, &[&expected.input]);
        same("output", &outputs, &[&expected.output]);
        same("parameters", &total(&graph, WeightRole::Parameter), &expected.params);
        same("buffers", &total(&graph, WeightRole::Buffer), &expected.buffers);
        same("MACs", &macs(&graph), &expected.macs);
        for (&size, expected) in &expected.macs_by_size {
            let graph = network(&name, Some(vec![3, size, size]));
            same(&format!("MACs at {size}"), &macs(&graph), expected);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn layers_are_pytorchs_in_execution_order() {
    let mut wrong = Vec::new();
    for (name, _) in oracle() {
        let text = read(&root().join(format!("tests/data/oracle/layers/{name}.txt")));
        let graph = network(&name, None);
        let ours = graph
            .nodes()
            .iter()
            .flat_map(|node| lines(&graph, node).into_iter().map(|line| (&node.id, line)));
        let (mut ours, mut theirs) = (ours, text.lines());
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) => break,
                (Some((_, found)), Some(expected)) if bare(&found) == bare(expected) => {}
                (found, expected) => {
                    // Only the first difference matters; the later ones follow from it.
                    wrong.push(format!("{name}: {found:?}\n  PyTorch: {expected:?}"));
                    break;
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// All YAML files under `folder`.
fn specs(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the folder can be read");
    let mut files = Vec::new();
    for path in entries.map(|entry| entry.expect("the entry can be read").path()) {
        if path.is_dir() {
            files.extend(specs(&path));
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(path);
        }
    }
    files.sort();
    files
}

#[test]
fn shipped_specs_are_short_described_and_valid() {
    let files = specs(&root().join("specs"));
    assert!(files.len() > 30, "only {} specs were found", files.len());
    for path in files {
        let shown = path.display();
        let text = read(&path);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0], "# yaml-language-server: $schema=../../schema/cnnkit.schema.json",
            "{shown}: the first line tells editors where the schema is"
        );
        assert!(lines.len() <= 60, "{shown} has {} lines", lines.len());
        assert!(lines.iter().any(|line| line.starts_with("description: ")), "{shown} has no description");
        // A file of blocks is no network; it is read with the networks that include it.
        if !path.parent().is_some_and(|folder| folder.ends_with("blocks")) {
            let path = path.to_str().expect("the path is UTF-8");
            if let Err(rejected) = load(&Disk::of(path), path, &Overrides::default()) {
                panic!("{shown}: {:?}", rejected.flaws);
            }
        }
    }
}
