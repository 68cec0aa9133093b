//! Networks written as specs and as PyTorch modules.

use std::collections::HashSet;

use cnnkit::export::{pytorch, same, yaml};
use cnnkit::graph::{Builder, Graph, NodeId};
use cnnkit::layers::{KINDS, Layer};
use cnnkit::source::{Origin, Sources, Span};
use cnnkit::spec::yaml as yaml_text;

use crate::support::network::{network as read, shipped};

/// Every spec of the project, with its path.
fn specs() -> Vec<(String, Graph)> {
    let found = shipped(&["techniques", "zoo", "slim"]);
    assert!(found.len() > 70, "{} specs", found.len());
    found
}

/// Writes `graph`, reads it and writes it again.
fn round_trip(name: &str, graph: &Graph) -> (String, Graph) {
    let text = yaml::write(graph).expect("a spec");
    let again = read(&text);
    assert_eq!(same::difference(graph, &again), None, "{name}\n{text}");
    assert_eq!(
        yaml::write(&again).expect("a spec"),
        text,
        "{name} is written in another way the second time"
    );
    (text, again)
}

#[test]
fn a_written_spec_is_the_same_network_with_the_same_ids() {
    for (name, graph) in specs() {
        let (text, again) = round_trip(&name, &graph);
        for (a, b) in graph.nodes().iter().zip(again.nodes()) {
            assert!(a.id == b.id || a.weights.is_empty(), "{name}: `{}` became `{}`\n{text}", a.id, b.id);
        }
    }
}

#[test]
fn repetition_is_folded() {
    let lines = |name: &str| {
        let (_, graph) =
            specs().into_iter().find(|(path, _)| path.ends_with(name)).expect("a spec of the project");
        (yaml::write(&graph).expect("a spec").lines().count(), graph.nodes().len())
    };
    // One block of 19 lines, for any depth.
    for (name, most) in [("resnet152.yaml", 55), ("densenet201.yaml", 45), ("mobilenet_v2.yaml", 80)] {
        let (lines, nodes) = lines(name);
        assert!(lines <= most, "{name}: {lines} lines for {nodes} nodes");
    }
}

/// A network of one layer, as each example of the vocabulary has it.
fn examples() -> Vec<(String, Graph)> {
    let mut found = Vec::new();
    for kind in KINDS {
        for (number, example) in (kind.examples)().into_iter().enumerate() {
            let mut sources = Sources::default();
            let source = sources.add("example", example.args);
            let located = yaml_text::parse(&sources, source).expect("YAML");
            let layer: Layer = kind.build(&located, Span::new(source, 0, 0)).expect("a layer");
            let mut builder = Builder::new();
            let inputs: Vec<NodeId> = (0..)
                .zip(&example.inputs)
                .map(|(i, shape)| builder.input(&format!("x{i}"), shape.clone(), Origin::default()))
                .collect();
            let output = builder.layer(kind.doc.name, layer, inputs, None, Origin::default());
            let name = format!("{} {number}", kind.doc.name);
            found.push((name, builder.finish("example", vec![output]).expect("a graph")));
        }
    }
    found
}

#[test]
fn every_layer_can_be_written() {
    for (name, graph) in examples() {
        round_trip(&name, &graph);
    }
}

#[test]
fn every_layer_has_words_in_pytorch_or_says_why_not() {
    let mut refused = HashSet::new();
    for (name, graph) in examples() {
        match pytorch::write(&graph) {
            Ok(text) => {
                assert!(text.contains("def forward(self, ") && !text.contains("{self}"), "{name}\n{text}");
            }
            Err(list) => {
                assert!(
                    list.iter().all(|error| error.message.starts_with("not supported in PyTorch: ")),
                    "{list:?}"
                );
                refused.insert(name);
            }
        }
    }
    refused.retain(|name| !name.starts_with("deform_sample"));
    assert!(refused.is_empty(), "{refused:?}");
}

#[test]
fn weights_used_twice_and_several_inputs_come_back() {
    for text in [
        "{input: {l: [3, 8, 8], r: [3, 8, 8]}, blocks: {tower: [conv: {out_channels: 4, kernel: 3}, relu]}, layers: [\
            {id: a, from: l, tower: {}}, {id: b, from: r, share: a, tower: {}}, concat: [a, b]], outputs: [a, b, concat1]}",
        "{input: [4, 8], layers: [{id: c, conv: {out_channels: 4, kernel: 1}}, relu, {share: c}, relu]}",
        // A name that a layer nearer by would hide.
        "{input: [4, 8], layers: [conv: {out_channels: 4, kernel: 1}, {id: g, sequential: [\
            conv: {out_channels: 4, kernel: 1}, relu, add: [previous, input]]}, {id: h, add: [g, conv1]}]}",
        "{input: [4, 8], layers: [relu, repeat: {times: 5, body: [conv: {out_channels: 4, kernel: 1}, relu]}, tanh]}",
        "{input: [4, 8], layers: [{id: b0, tanh: {}}, {id: b1, tanh: {}}, {id: b3, tanh: {}}]}",
    ] {
        let graph = read(text);
        round_trip(text, &graph);
        pytorch::write(&graph).expect("a module");
    }
}

#[test]
fn a_module_reads_like_the_network() {
    let (_, graph) =
        specs().into_iter().find(|(path, _)| path.ends_with("zoo/resnet50.yaml")).expect("it is there");
    let text = pytorch::write(&graph).expect("a module");
    let classes: Vec<&str> = text.lines().filter(|line| line.starts_with("class ")).collect();
    assert_eq!(classes, ["class Bottleneck(nn.Module):", "class Resnet50(nn.Module):"]);
    for line in [
        "    def __init__(self, in_channels, width, stride=1, shortcut=False):",
        "        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)",
        "        return self.relu3(y + self.shortcut(x))",
        "            **{f\"bottleneck{i}\": Bottleneck(1024, 256) for i in range(2, 7)},",
    ] {
        assert!(text.lines().any(|other| other == line), "{line}\n{text}");
    }
    assert!(text.lines().all(|line| line.len() <= 100), "a line is longer than 100 columns");
}

#[test]
fn a_layer_with_a_mask_only_is_not_frozen() {
    let path =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/onnx/tiny_swin_v2.legacy.onnx");
    let imported =
        cnnkit::onnx::import::load(&path, &cnnkit::onnx::bind::Bindings::default()).expect("a model");
    let text = yaml::write(&imported.graph).expect("a spec");
    assert!(text.contains("mask: [") && !text.contains("learned: false"), "{text}");
    assert!(pytorch::write(&imported.graph).is_ok());
    // What is learned otherwise is refused.
    let frozen = read("{input: [3, 8, 8], layers: [conv: {out_channels: 4, kernel: 3, learned: false}]}");
    assert!(pytorch::write(&frozen).is_err());
}
