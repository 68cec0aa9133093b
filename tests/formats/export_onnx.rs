//! Spec to ONNX and back: the figures of the spec, node by node. (`tests/python` runs the same files in ONNX
//! Runtime.)

use std::collections::HashSet;
use std::path::Path;

use cnnkit::analysis::totals;
use cnnkit::exec::network::{Fill, Network};
use cnnkit::export::onnx::{Options, bytes, write, write_weights};
use cnnkit::graph::{Graph, Node, Op};
use cnnkit::layers::deform_conv::Offsets;
use cnnkit::layers::{Layer, WeightRole};
use cnnkit::onnx::bind::Bindings;
use cnnkit::onnx::import;
use cnnkit::onnx::proto::ModelProto;
use prost::Message as _;

use crate::support::network::{network as read, shipped};

fn specs() -> Vec<(String, Graph)> {
    shipped(&["techniques", "zoo"])
}

fn options(weights_file: Option<&str>) -> Options {
    Options { opset: 21, batch: Some(1), weights_file: weights_file.map(str::to_owned) }
}

/// The graph alone, as bytes and back.
fn there_and_back(graph: &Graph) -> Graph {
    let model = write(graph, None, &options(Some("absent.data"))).expect("a model");
    let proto = ModelProto::decode(model.proto.encode_to_vec().as_slice()).expect("a model");
    import::import(proto, Path::new("model.onnx"), &Bindings::default()).expect("an import").graph
}

/// Returns parameters, buffers, multiply-accumulates, and the shape of the output.
fn figures(node: &Node) -> (u64, u64, u64, Vec<u64>) {
    let of = |role: WeightRole| {
        node.weights.iter().filter(|w| w.role == role).map(|w| w.shape.elements().expect("small")).sum()
    };
    (of(WeightRole::Parameter), of(WeightRole::Buffer), node.cost.macs, node.shape.sizes().to_vec())
}

/// Whether a layer has weights of its own, and comes back as one: sampling with an offset for each channel does not.
fn whole(node: &Node) -> bool {
    let parts =
        matches!(&node.op, Op::Layer(Layer::DeformConv(layer)) if layer.offsets == Offsets::PerChannel);
    !node.weights.is_empty() && node.shares.is_none() && !parts
}

/// What comes back besides the parameters of a spec: the grids of convolutions with an offset for each channel, which are
/// constants that could be weights.
fn grids(graph: &Graph) -> u64 {
    let grid = |node: &Node| {
        let Op::Layer(Layer::DeformConv(layer)) = &node.op else { return 0 };
        let space: u64 = graph.node(node.inputs[0]).shape.spatial().iter().product();
        if layer.offsets == Offsets::PerChannel { 2 * space + 2 } else { 0 }
    };
    graph.nodes().iter().map(grid).sum()
}

/// Parameters and multiply-accumulates of the layers that no output depends on: they are not written.
fn idle(graph: &Graph) -> (u64, u64) {
    let mut read = vec![false; graph.nodes().len()];
    graph.outputs().iter().for_each(|output| read[output.index()] = true);
    for (id, node) in graph.iter().collect::<Vec<_>>().into_iter().rev() {
        if read[id.index()] {
            node.inputs.iter().for_each(|input| read[input.index()] = true);
        }
    }
    let idle = graph.iter().filter(|(id, _)| !read[id.index()]).map(|(_, node)| figures(node));
    idle.fold((0, 0), |(params, macs), (more, _, work, _)| (params + more, macs + work))
}

#[test]
fn figures_come_back_node_by_node() {
    let mut wrong = Vec::new();
    for (name, graph) in specs() {
        let again = there_and_back(&graph);
        let (a, b) = (totals::of_graph(&graph), totals::of_graph(&again));
        // No layer reads WaveNet's last residual path.
        let (idle_params, idle_macs) = idle(&graph);
        assert_eq!(idle_params > 0, name.ends_with("wavenet.yaml"), "{name}");
        let expected = (a.params + grids(&graph) - idle_params, a.buffers, a.macs - idle_macs);
        if expected != (b.params, b.buffers, b.macs) {
            wrong.push(format!("{name}: {:?} became {:?}", expected, (b.params, b.buffers, b.macs)));
        }
        for node in graph.nodes().iter().filter(|node| whole(node) && node.id != "back29") {
            let found = again.find(&node.id).map(|id| figures(again.node(id)));
            if found.as_ref() != Some(&figures(node)) {
                wrong.push(format!(
                    "{name}: `{}` {} {:?} became {found:?}",
                    node.id,
                    node.op.name(),
                    figures(node)
                ));
            }
        }
        let shapes = |graph: &Graph| {
            graph.outputs().iter().map(|&id| graph.node(id).shape.clone()).collect::<Vec<_>>()
        };
        assert_eq!(shapes(&graph), shapes(&again), "{name}");
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn an_imported_model_goes_out_and_comes_back_the_same() {
    for name in ["resnet18", "mobilenet_v3_small", "shufflenet_v2_x1_0", "unet", "googlenet", "convnext_tiny"]
    {
        let (_, graph) =
            specs().into_iter().find(|(path, _)| path.ends_with(&format!("/{name}.yaml"))).expect("a spec");
        let once = there_and_back(&graph);
        let twice = there_and_back(&once);
        assert_eq!(cnnkit::export::same::difference(&once, &twice), None, "{name}");
        let ids = |graph: &Graph| graph.nodes().iter().map(|node| node.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&once), ids(&twice), "{name}");
        // The same through a readable spec.
        let text = cnnkit::export::yaml::write(&once).expect("a spec");
        assert_eq!(cnnkit::export::same::difference(&once, &read(&text)), None, "{name}\n{text}");
        assert_eq!(cnnkit::export::yaml::write(&read(&text)).expect("a spec"), text, "{name}");
    }
}

#[test]
fn attention_comes_back_as_what_it_is() {
    let graph = read(
        "input: {q: [2, 5, 8], k: [2, 7, 8], v: [2, 7, 3], b: [1, 5, 1]}
layers:
  - {id: own, from: [q, k, v, b], attention: {scale: 0.2, bias: [2, 5, 7], mask: [1, 1, 7]}}
  - {id: turned, from: q, permute: {axes: [0, 2, 1]}}
  - {id: keys, reshape: {shape: [1, 8, 10]}}
  - {id: rows, permute: {axes: [0, 2, 1]}}
  - {id: plain, from: [q, rows, rows], attention: {}}
  - {id: to, from: [q, keys], matmul: {}}
  - {id: flat, from: own, flatten: {}}
  - {id: wide, from: plain, flatten: {}}
  - {id: other, from: to, flatten: {}}
  - concat: [flat, wide, other]
",
    );
    let again = there_and_back(&graph);
    assert_eq!(cnnkit::export::same::difference(&graph, &again), None);
    let ids = |graph: &Graph| graph.nodes().iter().map(|node| node.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&graph), ids(&again));
    let text = cnnkit::export::yaml::write(&again).expect("a spec");
    assert_eq!(cnnkit::export::same::difference(&again, &read(&text)), None, "{text}");
}

#[test]
fn names_are_unique_and_every_value_is_described() {
    for (name, graph) in specs() {
        let model = write(&graph, None, &options(Some("absent.data"))).expect("a model").proto;
        let proto = model.graph.expect("a graph");
        let mut made = HashSet::new();
        for value in
            proto.node.iter().flat_map(|node| &node.output).chain(proto.initializer.iter().map(|t| &t.name))
        {
            assert!(made.insert(value.clone()), "{name}: {value} is made twice");
        }
        made.extend(proto.input.iter().map(|input| input.name.clone()));
        for node in &proto.node {
            for input in node.input.iter().filter(|input| !input.is_empty()) {
                assert!(made.contains(input), "{name}: {} reads {input}", node.name);
            }
        }
        let described: HashSet<&String> =
            proto.value_info.iter().chain(&proto.output).map(|value| &value.name).collect();
        for output in proto.node.iter().flat_map(|node| &node.output) {
            assert!(described.contains(output), "{name}: {output} has no type");
        }
    }
}

#[test]
fn weights_are_those_of_run_inside_and_beside() {
    let graph = read(
        "{input: [2, 6, 6], layers: [conv: {out_channels: 3, kernel: 3}, {id: b, batch_norm: {}}, prelu: {num_parameters: 3}]}",
    );
    let network = Network::<f32>::seeded(&graph, 7, Fill::Declared).expect("weights");
    let inside =
        write(&graph, Some(&network), &options(None)).expect("a model").proto.graph.expect("a graph");
    let mut file = Vec::new();
    write_weights(&network, &mut file).expect("memory");
    let beside =
        write(&graph, Some(&network), &options(Some("w"))).expect("a model").proto.graph.expect("a graph");
    let mut total = 0;
    for (name, _, _, tensor) in network.named() {
        let raw: Vec<u8> = tensor.data().iter().flat_map(|value| value.to_le_bytes()).collect();
        total += raw.len() as u64;
        let find = |list: &[cnnkit::onnx::proto::TensorProto]| {
            list.iter().find(|t| t.name == name).expect("it").clone()
        };
        assert_eq!(find(&inside.initializer).raw_data, raw, "{name}");
        let tensor = find(&beside.initializer);
        let entry =
            |key: &str| tensor.external_data.iter().find(|e| e.key == key).expect("a key").value.clone();
        let (offset, length): (usize, usize) =
            (entry("offset").parse().expect("a number"), entry("length").parse().expect("a number"));
        assert_eq!((tensor.data_location, entry("location").as_str()), (1, "w"));
        assert_eq!(&file[offset..offset + length], raw, "{name}");
    }
    assert_eq!(bytes(&graph), total);
}

#[test]
fn what_onnx_cannot_say_is_refused_at_its_place() {
    let graph = read("{input: [1, 10001], layers: [relu, {id: p, adaptive_avg_pool: {output_size: 5000}}]}");
    let refused = write(&graph, None, &options(Some("w"))).expect_err("a node for each of 5000 windows");
    assert!(refused[0].message.starts_with("not supported in ONNX: adaptive pooling"), "{refused:?}");
    assert!(refused[0].span.is_some(), "{refused:?}");
}
