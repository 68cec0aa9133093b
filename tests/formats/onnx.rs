//! Imported models against the results of PyTorch and ONNX Runtime (tests/data/onnx).

use std::collections::BTreeMap;
use std::io::{Cursor, Read as _};
use std::path::{Path, PathBuf};

use cnnkit::analysis::field::{Options, analyse};
use cnnkit::analysis::totals;
use cnnkit::exec::network::{Fill, Network};
use cnnkit::exec::run::Reference;
use cnnkit::exec::tensor::Tensor;
use cnnkit::graph::{Graph, Op};
use cnnkit::layers::Layer;
use cnnkit::onnx::bind::Bindings;
use cnnkit::onnx::import::{Imported, import, load};
use cnnkit::onnx::source::ModelSource;
use cnnkit::onnx::{read, weights};
use cnnkit::zoo::Zoo;
use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/onnx")
}

fn json(name: &str) -> Value {
    let text = std::fs::read_to_string(folder().join(name)).expect("a file");
    serde_json::from_str(&text).expect("valid JSON")
}

/// The models without weights, by file name.
fn graphs() -> BTreeMap<String, Vec<u8>> {
    archive("graphs.zip")
}

fn archive(name: &str) -> BTreeMap<String, Vec<u8>> {
    let bytes = std::fs::read(folder().join(name)).expect("a file");
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).expect("an archive");
    let mut files = BTreeMap::new();
    for index in 0..archive.len() {
        let mut file = archive.by_index(index).expect("an entry");
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).expect("a file");
        files.insert(file.name().to_owned(), bytes);
    }
    files
}

fn imported(name: &str, bytes: &[u8], input: &[u64]) -> Imported {
    let model = read::read(Cursor::new(bytes)).unwrap_or_else(|failure| panic!("{name}: {failure:?}"));
    // Only a file with open sizes needs them.
    let open = name.contains("dynbhw");
    let inputs = if open { vec![(String::new(), input[1..].to_vec())] } else { vec![] };
    import(model, Path::new(name), &Bindings { inputs, symbols: vec![] })
        .unwrap_or_else(|flaws| panic!("{name}: {flaws:?}"))
}

fn numbers(value: &Value) -> Vec<u64> {
    value.as_array().expect("a list").iter().map(|n| n.as_u64().expect("a number")).collect()
}

fn floats(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(floats).collect(),
        other => vec![other.as_f64().expect("a number")],
    }
}

fn count(graph: &Graph, kind: &str) -> u64 {
    graph.nodes().iter().filter(|node| node.op.name() == kind).count() as u64
}

#[test]
fn figures_are_those_of_the_file_and_of_pytorch() {
    let figures = json("figures.json");
    let files = graphs();
    assert_eq!(files.len(), 35);
    for (name, bytes) in &files {
        let expected = &figures["files"][name];
        let graph = imported(name, bytes, &numbers(&expected["input"])).graph;
        let totals = totals::of_graph(&graph);
        let number = |key: &str| expected[key].as_u64().expect("a number");
        assert_eq!(totals.macs, number("macs"), "{name}: MACs of the file");
        assert_eq!(totals.macs, number("torch_macs"), "{name}: MACs of the network");
        // PyTorch's newer exporter keeps three numbers of its GELU (1, 1/2, 1/sqrt 2) as initialisers.
        let settings = if name == "convnext_tiny.dynamo.onnx" { 3 } else { 0 };
        let elements = number("float_initializer_elements") - settings;
        assert_eq!(totals.params + totals.buffers, elements, "{name}: elements");
        if name.contains("nofold") || totals.buffers == 0 && number("torch_bn_buffers") == 0 {
            assert_eq!(totals.params, number("torch_params"), "{name}: parameters");
            assert_eq!(totals.buffers, number("torch_bn_buffers"), "{name}: buffers");
        }
        let output = graph.node(graph.outputs()[0]).shape.sizes();
        assert_eq!(output, &numbers(&expected["output"])[1..], "{name}: output");
        let histogram = &expected["op_histogram"];
        let operators =
            |names: &[&str]| names.iter().filter_map(|name| histogram[name].as_u64()).sum::<u64>();
        let gates = count(&graph, "squeeze_excite");
        assert_eq!(count(&graph, "conv") + 2 * gates, operators(&["Conv"]), "{name}");
        assert_eq!(count(&graph, "linear"), operators(&["Gemm", "MatMul"]), "{name}");
        assert_eq!(count(&graph, "batch_norm"), operators(&["BatchNormalization"]), "{name}");
        assert_eq!(count(&graph, "layer_norm"), operators(&["LayerNormalization"]), "{name}");
        assert_eq!(count(&graph, "max_pool"), operators(&["MaxPool"]), "{name}");
        let role =
            |roles: &[&str]| roles.iter().filter_map(|role| expected["by_role"][role].as_u64()).sum::<u64>();
        let of = |kind: &str| -> u64 {
            graph
                .nodes()
                .iter()
                .filter(|node| node.op.name() == kind)
                .map(|node| totals::of_node(node).params)
                .sum()
        };
        assert_eq!(
            of("conv") + of("squeeze_excite"),
            role(&["conv_weight", "conv_bias"]),
            "{name}: parameters of convolutions"
        );
    }
}

#[test]
fn composites_are_shown_as_what_they_are() {
    let files = graphs();
    let graph = |name: &str| imported(name, &files[name], &[1, 3, 224, 224]).graph;
    for name in ["shufflenet_v2_x1_0.legacy.onnx", "shufflenet_v2_x1_0.dynamo.onnx"] {
        assert_eq!(count(&graph(name), "channel_shuffle"), 16, "{name}");
        assert_eq!(count(&graph(name), "reshape") + count(&graph(name), "permute"), 0, "{name}");
    }
    for name in ["convnext_tiny.legacy.onnx", "convnext_tiny.dynamo.onnx"] {
        assert_eq!(count(&graph(name), "gelu"), 18, "{name}");
        assert_eq!(count(&graph(name), "layer_scale"), 18, "{name}");
        assert_eq!(count(&graph(name), "function") + count(&graph(name), "rescale"), 0, "{name}");
        // The biases of the linear layers are nodes of their own in the file.
        assert_eq!(count(&graph(name), "learned_bias"), 0, "{name}");
    }
    for name in
        ["efficientnet_b0.dynamo.onnx", "efficientnet_b0.legacy.onnx", "efficientnet_b0.legacy_nofold.onnx"]
    {
        let efficient = graph(name);
        // Stem, head, 15 expansions, 16 depthwise convolutions; the others are inside.
        assert_eq!((count(&efficient, "silu"), count(&efficient, "sigmoid")), (33, 0), "{name}");
        assert_eq!((count(&efficient, "squeeze_excite"), count(&efficient, "multiply")), (16, 0), "{name}");
        assert_eq!(count(&efficient, "global_avg_pool"), 1, "{name}");
    }
    assert_eq!(count(&graph("timm_test_convnext_10cls.legacy.onnx"), "gelu"), 9);
}

#[test]
fn ids_follow_the_modules() {
    let files = graphs();
    for name in ["resnet18.legacy.onnx", "resnet18.legacy_nofold.onnx"] {
        let graph = imported(name, &files[name], &[1, 3, 224, 224]).graph;
        let kind = |id: &str| graph.find(id).map(|id| graph.node(id).op.name());
        assert_eq!(kind("conv1"), Some("conv"), "{name}");
        assert_eq!(kind("layer2.0.downsample.0"), Some("conv"), "{name}");
        assert_eq!(kind("layer4.1.add"), Some("add"), "{name}");
        assert_eq!(kind("fc"), Some("linear"), "{name}");
    }
    let graph = imported("resnet50.dynamo.onnx", &files["resnet50.dynamo.onnx"], &[1, 3, 224, 224]).graph;
    for id in ["conv1", "layer1.0.conv1", "layer3.5.conv3", "layer4.0.downsample.0", "fc"] {
        assert!(graph.find(id).is_some(), "{id}");
    }
}

/// Returns size, jump and first index per axis of the last map before the outputs whose field is not global.
fn last_field(graph: &Graph) -> Vec<i128> {
    let fields = analyse(graph, Options::default()).expect("a network");
    let nodes: Vec<_> = graph.iter().collect();
    let local = nodes.iter().rev().find_map(|&(id, node)| {
        let facts = fields.facts(graph, id).expect("a network").into_iter().next()?;
        let local = node.shape.rank() == 3 && facts.axes.iter().all(|axis| !axis.global);
        local.then_some(facts)
    });
    let facts = local.expect("a map");
    let sizes = facts.axes.iter().map(|axis| axis.size);
    let jumps = facts.axes.iter().map(|axis| axis.jump.to_integer());
    sizes
        .chain(jumps)
        .chain(facts.axes.iter().map(|axis| axis.first.map_or(i128::MIN, |span| span.lo)))
        .collect()
}

#[test]
fn receptive_fields_are_those_of_the_same_networks() {
    let text = std::fs::read_to_string(folder().join("../rf.json")).expect("a file");
    let data: Value = serde_json::from_str(&text).expect("valid JSON");
    let mut compared = 0;
    for (name, bytes) in &graphs() {
        let network = name.split('.').next().expect("a name");
        let Some(expected) = data.get(network) else { continue };
        let signed = |key: &str| -> Vec<i128> {
            expected[key]
                .as_array()
                .expect("a list")
                .iter()
                .map(|n| i128::from(n.as_i64().expect("a number")))
                .collect()
        };
        let graph = imported(name, bytes, &[1, 3, 224, 224]).graph;
        assert_eq!(last_field(&graph), [signed("rf"), signed("jump"), signed("offset")].concat(), "{name}");
        compared += 1;
    }
    assert!(compared >= 24, "{compared}");
}

#[test]
fn a_model_has_the_figures_of_its_spec() {
    let files = graphs();
    let mut compared = 0;
    for (name, bytes) in files.iter().filter(|(name, _)| {
        name.ends_with(".legacy_nofold.onnx")
            || name.starts_with("squeezenet1_1.")
            || name.starts_with("vgg16.")
    }) {
        let network = name.split('.').next().expect("a name");
        let Some(path) = Zoo::path(network) else { continue };
        let spec = cnnkit::spec::load(&Zoo, &path, &cnnkit::spec::Overrides::default())
            .expect("a spec of the zoo")
            .graph;
        let model = imported(name, bytes, &[1, 3, 224, 224]).graph;
        let (ours, theirs) = (totals::of_graph(&spec), totals::of_graph(&model));
        assert_eq!(
            (theirs.params, theirs.buffers, theirs.macs),
            (ours.params, ours.buffers, ours.macs),
            "{name}"
        );
        compared += 1;
    }
    assert!(compared >= 6, "{compared}");
}

/// The outputs of a model run with its own weights.
fn outputs(path: &Path, inputs: Vec<Tensor<f32>>) -> Vec<Tensor<f32>> {
    let model = load(path, &Bindings::default()).unwrap_or_else(|flaws| panic!("{flaws:?}"));
    let mut network = Network::<f32>::seeded(&model.graph, 0, Fill::Declared).expect("a small network");
    let own = model.load_weights().expect("weights");
    network.replace(own).expect("weights that fit");
    network.run(inputs, &Reference, |_| ()).expect("a network that runs").outputs
}

#[test]
fn models_compute_what_onnx_runtime_computes() {
    let cases = json("tiny.json");
    for case in cases["cases"].as_array().expect("a list") {
        let file = case["file"].as_str().expect("a name");
        let model =
            load(&folder().join(file), &Bindings::default()).unwrap_or_else(|flaws| panic!("{flaws:?}"));
        let inputs = model.graph.inputs().map(|(_, node)| {
            let given = &case["inputs"][&node.id];
            let sizes: Vec<usize> = numbers(&given["shape"]).into_iter().map(|size| size as usize).collect();
            let data = floats(&given["data"]).into_iter().map(|value| value as f32).collect();
            Tensor::new(&sizes, data).expect("an input")
        });
        let found = outputs(&folder().join(file), inputs.collect());
        let expected = floats(&case["output_torch64"]);
        assert_eq!(found[0].len(), expected.len(), "{file}");
        for (a, b) in found[0].data().iter().zip(&expected) {
            assert!((f64::from(*a) - b).abs() < 3e-6 * b.abs().max(1.0), "{file}: {a} and {b}");
        }
        if let Some(macs) = case["torch_macs"].as_u64() {
            assert_eq!(totals::of_graph(&model.graph).macs, macs, "{file}");
        }
    }
}

#[test]
fn a_whole_network_computes_what_pytorch_computes() {
    let name = "timm_test_convnext_10cls.legacy.onnx";
    let expected = json("figures.json")["files"][name].clone();
    let sizes: Vec<usize> = numbers(&expected["input"]).into_iter().map(|size| size as usize).collect();
    let input = Tensor::from_fn(&sizes, |i| (((i * 7919) % 2003) as f64 / 1001.0 - 1.0) as f32);
    let found = outputs(&folder().join(name), vec![input]);
    for (a, b) in found[0].data().iter().zip(floats(&expected["torch64_head"])) {
        assert!((f64::from(*a) - b).abs() < 1e-6, "{a} and {b}");
    }
}

#[test]
fn absent_weights_are_no_matter_until_the_network_runs() {
    let files = graphs();
    let model = imported("resnet18.legacy.onnx", &files["resnet18.legacy.onnx"], &[1, 3, 224, 224]);
    let path = folder().join("resnet18.legacy.onnx");
    let problem = weights::load(&model.graph, &model.weights, &model.tensors, &ModelSource::from(&path))
        .expect_err("no weights");
    assert!(problem.message.contains("conv1.weight"), "{problem}");
    assert!(problem.message.contains("weights_removed.data"), "{problem}");
    assert!(problem.help.is_some());
}

#[test]
fn deformable_convolutions_read_their_offsets() {
    let model = load(&folder().join("tiny_deform1.onnx"), &Bindings::default()).expect("a model");
    let deform = model.graph.nodes().iter().find(|node| matches!(node.op, Op::Layer(Layer::DeformSample(_))));
    assert_eq!(deform.map(|node| node.inputs.len()), Some(3));
}

#[test]
fn transformers_count_and_compute_right_and_see_everything() {
    let data = json("transformers.json");
    for (name, expected) in data["files"].as_object().expect("an object") {
        let model =
            load(&folder().join(name), &Bindings::default()).unwrap_or_else(|flaws| panic!("{flaws:?}"));
        let counts = totals::of_graph(&model.graph);
        assert_eq!(Some(counts.macs), expected["macs"].as_u64(), "{name}: MACs");
        // Swin's position biases are gathered from a smaller table before they are stored.
        assert_eq!(Some(counts.params), expected["file_elements"].as_u64(), "{name}: parameters");
        assert!(count(&model.graph, "opaque") == 0, "{name}");
        assert!(count(&model.graph, "attention") > 0 && count(&model.graph, "gelu") > 0, "{name}");
        assert_eq!((count(&model.graph, "matmul"), count(&model.graph, "softmax")), (0, 0), "{name}");
        let input = model.graph.inputs().next().expect("an input").0;
        let fields = analyse(&model.graph, Options::default()).expect("a network");
        let output = fields.of(model.graph.outputs()[0], input).expect("a field");
        assert!(output.axes.iter().all(|axis| axis.whole), "{name}: every output sees the whole image");
        let input = Tensor::from_fn(&[1, 3, 16, 16], |i| (((i * 7919) % 2003) as f64 / 1001.0 - 1.0) as f32);
        let found = outputs(&folder().join(name), vec![input]);
        for (a, b) in found[0].data().iter().zip(floats(&expected["output"])) {
            assert!((f64::from(*a) - b).abs() < 2e-6, "{name}: {a} and {b}");
        }
    }
}

#[test]
fn what_a_model_computes_from_its_weights_alone_is_counted() {
    let data = json("attention.json");
    for (name, bytes) in &archive("attention.zip") {
        let expected = &data["files"][name];
        // Tables of indices are read from the file when they are needed.
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, bytes).expect("a file");
        let model = load(&path, &Bindings::default()).unwrap_or_else(|flaws| panic!("{name}: {flaws:?}"));
        let counts = totals::of_graph(&model.graph);
        assert!(count(&model.graph, "opaque") == 0, "{name}");
        let layers = if name.starts_with("swin") { 12 } else { 22 };
        assert_eq!(count(&model.graph, "attention"), layers, "{name}");
        assert_eq!((count(&model.graph, "matmul"), count(&model.graph, "softmax")), (0, 0), "{name}");
        assert_eq!(Some(counts.macs), expected["torch_macs"].as_u64(), "{name}: MACs");
        // A table of 15 x 15 coordinates is a buffer in PyTorch; in the file nothing distinguishes it from a weight.
        let table = if name.starts_with("swin") { 15 * 15 * 2 } else { 0 };
        let params = expected["torch_params"].as_u64().map(|params| params + table);
        // Where constants were folded, MaxViT's biases are stored spread out, and batch norms are gone.
        if name != "maxvit_t.legacy.onnx" {
            assert_eq!(Some(counts.params), params, "{name}: parameters");
        }
        let sizes = model.graph.node(model.graph.outputs()[0]).shape.sizes();
        assert_eq!(sizes, &numbers(&expected["output"])[1..], "{name}");
        assert_eq!(count(&model.graph, "learned_tensor") > 0, name != "maxvit_t.legacy.onnx", "{name}");
    }
}

#[test]
fn what_a_model_computes_from_its_weights_alone_is_run() {
    let data = json("attention.json");
    for (name, expected) in data["tiny"].as_object().expect("an object") {
        let model =
            load(&folder().join(name), &Bindings::default()).unwrap_or_else(|flaws| panic!("{flaws:?}"));
        assert_eq!(Some(totals::of_graph(&model.graph).macs), expected["torch_macs"].as_u64(), "{name}");
        let sizes: Vec<usize> = numbers(&expected["input"]).into_iter().map(|size| size as usize).collect();
        let input = Tensor::from_fn(&sizes, |i| (((i * 7919) % 2003) as f64 / 1001.0 - 1.0) as f32);
        let found = outputs(&folder().join(name), vec![input]);
        let result = floats(&expected["result"]);
        assert_eq!(found[0].len(), result.len(), "{name}");
        for (a, b) in found[0].data().iter().zip(result) {
            assert!((f64::from(*a) - b).abs() < 1e-6, "{name}: {a} and {b}");
        }
    }
}

#[test]
fn attention_is_one_layer_however_pytorch_writes_it() {
    let data = json("heads.json");
    for (name, bytes) in &archive("heads.zip") {
        let expected = &data["files"][name];
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("heads_{name}"));
        std::fs::write(&path, bytes).expect("a file");
        let model = load(&path, &Bindings::default()).unwrap_or_else(|flaws| panic!("{name}: {flaws:?}"));
        let layers = expected["layers"].as_u64().expect("a number");
        assert_eq!(count(&model.graph, "attention"), layers, "{name}");
        assert_eq!(count(&model.graph, "softmax"), 1 - layers, "{name}");
        // Two heads, 5 x 5 scores, 4 features: once for the scores, once for the mix; and two linear maps of 8 features.
        // What one adds is a product itself.
        let more = if name == "written_computed.onnx" { 2 * 25 } else { 0 };
        assert_eq!(totals::of_graph(&model.graph).macs, 2 * 25 * 8 + 5 * 8 * 32 + more, "{name}");
        let input = Tensor::from_fn(&[1, 5, 8], |i| (((i * 7919) % 2003) as f64 / 1001.0 - 1.0) as f32);
        let found = outputs(&path, vec![input]);
        let wanted = expected["results"].as_array().expect("a list");
        assert_eq!(found.len(), wanted.len(), "{name}");
        for (found, wanted) in found.iter().zip(wanted) {
            assert_eq!(found.len(), floats(wanted).len(), "{name}");
            for (a, b) in found.data().iter().zip(floats(wanted)) {
                assert!((f64::from(*a) - b).abs() < 1e-6, "{name}: {a} and {b}");
            }
        }
    }
}

#[test]
fn every_operator_set_is_read_in_its_own_form() {
    let data = json("opsets.json");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (mut wrong, mut versions) = (Vec::new(), std::collections::BTreeSet::new());
    for (name, bytes) in &archive("opsets.zip") {
        let expected = &data["files"][name];
        let path = folder.join(name);
        std::fs::write(&path, bytes).expect("a file");
        let model = match load(&path, &Bindings::default()) {
            Ok(model) => model,
            Err(flaws) => {
                wrong.push(format!("{name}: {flaws:?}"));
                continue;
            }
        };
        let opaque: Vec<_> = model
            .graph
            .nodes()
            .iter()
            .filter(|node| node.op.name() == "opaque")
            .map(|node| &node.op)
            .collect();
        if name.starts_with("dilated_pool") {
            // There is no such layer, but its sizes are known.
            let sizes = model.graph.node(model.graph.outputs()[0]).shape.sizes();
            assert_eq!(sizes, &numbers(&expected["outputs"][0]["shape"])[1..], "{name}");
            assert_eq!(opaque.len(), 1, "{name}");
            continue;
        }
        if !opaque.is_empty() || !model.remarks.is_empty() {
            wrong.push(format!("{name}: {opaque:?} {:?}", model.remarks));
            continue;
        }
        let sizes: Vec<usize> = numbers(&expected["input"]).into_iter().map(|size| size as usize).collect();
        let input = Tensor::from_fn(&sizes, |i| (((i * 7919) % 2003) as f64 / 1001.0 - 1.0) as f32);
        let found = outputs(&path, vec![input]);
        let wanted = expected["outputs"].as_array().expect("a list");
        assert_eq!(found.len(), wanted.len(), "{name}");
        for (found, wanted) in found.iter().zip(wanted) {
            let sizes: Vec<u64> = found.sizes().iter().map(|&size| size as u64).collect();
            // A value without any axis beside the batch is a list of one here.
            let (sizes, stated) = (sizes.as_slice(), numbers(&wanted["shape"]));
            let same = sizes == stated || stated.len() == 1 && sizes == [stated[0], 1];
            let far = found
                .data()
                .iter()
                .zip(floats(&wanted["data"]))
                .map(|(a, b)| (f64::from(*a) - b).abs() / b.abs().max(1.0))
                .fold(0.0, f64::max);
            if !same || far > 2e-6 {
                wrong.push(format!("{name}: {sizes:?} for {stated:?}, values differ by {far:e}"));
            }
        }
        versions.extend(name.split('.').nth(1).map(|version| version.parse::<u32>().expect("a number")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        versions.first() == Some(&7) && versions.last() == Some(&28) && versions.len() > 12,
        "{versions:?}"
    );
}

#[test]
fn quantised_operators_are_the_operators_that_they_stand_for() {
    let data = json("quantised.json");
    let network = |name: &str| load(&folder().join(name), &Bindings::default()).expect("a model").graph;
    let plain = totals::of_graph(&network("quantised_not.onnx"));
    for (name, expected) in data["files"].as_object().expect("an object") {
        let graph = network(name);
        let counts = totals::of_graph(&graph);
        assert_eq!((counts.params, counts.macs), (plain.params, plain.macs), "{name}");
        assert_eq!(count(&graph, "opaque"), 0, "{name}");
        // The quantiser left it out: numbers below 0 cannot be written there.
        assert_eq!(count(&graph, "relu"), 1, "{name}");
        let input = Tensor::from_fn(&[1, 3, 8, 8], |i| (((i * 7919) % 2003) as f64 / 1001.0 - 1.0) as f32);
        let found = outputs(&folder().join(name), vec![input]);
        for (a, b) in found[0].data().iter().zip(floats(&expected["result"])) {
            // Activations are rounded to 8 bits there.
            let bound = if name == "quantised_not.onnx" { 1e-6 } else { 0.02 };
            assert!((f64::from(*a) - b).abs() < bound, "{name}: {a} and {b}");
        }
    }
}

mod made {
    //! Models built here, for operators that PyTorch's exporters do not write.

    use cnnkit::onnx::proto::{
        AttributeProto, DataType, Dimension, DimensionValue, GraphProto, ModelProto, NodeProto,
        OperatorSetIdProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
    };

    use super::*;

    fn value(name: &str, sizes: &[DimensionValue]) -> ValueInfoProto {
        let dim = sizes.iter().map(|size| Dimension { value: Some(size.clone()) }).collect();
        let tensor_type = Some(TensorTypeProto { elem_type: 1, shape: Some(TensorShapeProto { dim }) });
        ValueInfoProto {
            name: name.into(),
            r#type: Some(TypeProto { tensor_type }),
            ..ValueInfoProto::default()
        }
    }

    fn fixed(sizes: &[i64]) -> Vec<DimensionValue> {
        sizes.iter().map(|&size| DimensionValue::Value(size)).collect()
    }

    fn node(operator: &str, inputs: &[&str], output: &str) -> NodeProto {
        NodeProto {
            op_type: operator.into(),
            name: format!("/{output}/{operator}"),
            input: inputs.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.into()],
            ..NodeProto::default()
        }
    }

    fn tensor(name: &str, data_type: DataType, dims: &[i64], bytes: Vec<u8>) -> TensorProto {
        TensorProto {
            name: name.into(),
            data_type: data_type as i32,
            dims: dims.to_vec(),
            raw_data: bytes.into(),
            ..TensorProto::default()
        }
    }

    fn numbers(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
        tensor(name, DataType::Float, dims, values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    fn model(input: &[DimensionValue], nodes: Vec<NodeProto>, initializer: Vec<TensorProto>) -> ModelProto {
        ModelProto {
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 17 }],
            graph: Some(GraphProto {
                node: nodes,
                initializer,
                input: vec![value("x", input)],
                output: vec![value("y", &[])],
                value_info: vec![value("mystery", &fixed(&[1, 4, 6, 6]))],
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        }
    }

    fn made(model: ModelProto) -> Imported {
        import(model, Path::new("made.onnx"), &Bindings::default())
            .unwrap_or_else(|flaws| panic!("{flaws:?}"))
    }

    #[test]
    fn quantised_weights_count_once_and_are_seen_through() {
        let nodes = vec![
            node("QuantizeLinear", &["x", "s", "z"], "xq"),
            node("DequantizeLinear", &["xq", "s", "z"], "xd"),
            node("DequantizeLinear", &["w", "ws", "wz"], "wd"),
            node("Conv", &["xd", "wd"], "y"),
        ];
        let weights = vec![
            tensor("w", DataType::Int8, &[2, 3, 1, 1], vec![1, 2, 3, 254, 0, 10]),
            numbers("ws", &[2], &[0.5, 0.25]),
            tensor("wz", DataType::Int8, &[2], vec![0, 1]),
            numbers("s", &[], &[0.1]),
            tensor("z", DataType::Int8, &[], vec![0]),
        ];
        let mut model = model(&fixed(&[1, 3, 4, 4]), nodes, weights);
        if let Some(graph) = &mut model.graph {
            // One scale for each output channel.
            graph.node[2].attribute.push(AttributeProto {
                name: "axis".into(),
                i: Some(0),
                ..AttributeProto::default()
            });
        }
        let imported = made(model);
        assert_eq!(
            imported.graph.nodes().iter().map(|node| node.op.name()).collect::<Vec<_>>(),
            ["input", "conv"]
        );
        let counts = totals::of_graph(&imported.graph);
        assert_eq!((counts.params, counts.macs), (6, 2 * 3 * 16));
        assert!(imported.remarks.iter().any(|remark| remark.contains("quantised")), "{:?}", imported.remarks);
        let own = imported.load_weights().expect("weights");
        let weight = own.values().next().expect("one weight");
        assert_eq!(weight.data(), [0.5, 1.0, 1.5, -0.75, -0.25, 2.25]);
    }

    #[test]
    fn what_is_not_understood_is_counted_listed_and_partial() {
        let weight = |name: &str, sizes: &[i64]| {
            numbers(name, sizes, &vec![1.0; sizes.iter().product::<i64>() as usize])
        };
        let mystery = NodeProto { domain: "my.company".into(), ..node("Mystery", &["a", "m"], "mystery") };
        let nodes = vec![node("Conv", &["x", "w"], "a"), mystery, node("Conv", &["mystery", "v"], "y")];
        let stored = vec![
            weight("w", &[4, 3, 3, 3]),
            weight("m", &[7, 5]),
            weight("v", &[2, 4, 1, 1]),
            weight("idle", &[9]),
        ];
        let imported = made(model(&fixed(&[1, 3, 8, 8]), nodes, stored));
        let counts = totals::of_graph(&imported.graph);
        assert_eq!(counts.params, 4 * 27 + 35 + 8, "parameters of the opaque node count");
        assert_eq!(counts.macs, 4 * 27 * 36 + 8 * 36);
        assert_eq!(count(&imported.graph, "opaque"), 1);
        assert!(imported.remarks.iter().any(|remark| remark.contains("`idle`")), "{:?}", imported.remarks);
        use cnnkit::report::imported::{Figures, Import};
        assert!(Import::of(&imported.graph, &[], Figures::Counts).partial);
        assert!(Import::of(&imported.graph, &[], Figures::Dependences).partial);
    }

    /// Returns a chain of a convolution, this operator with its weights, and a convolution of its output.
    fn around(operator: NodeProto, weights: &[(&str, &[i64])], stated: &[i64]) -> Imported {
        let weight = |name: &str, sizes: &[i64]| {
            numbers(name, sizes, &vec![1.0; sizes.iter().product::<i64>() as usize])
        };
        let mut stored = vec![weight("first", &[4, 3, 1, 1]), weight("last", &[2, stated[1], 1, 1])];
        stored.extend(weights.iter().map(|(name, sizes)| weight(name, sizes)));
        let nodes =
            vec![node("Conv", &["x", "first"], "a"), operator, node("Conv", &["mystery", "last"], "y")];
        let mut model = model(&fixed(&[1, 3, 6, 6]), nodes, stored);
        if let Some(graph) = &mut model.graph {
            graph.value_info = vec![value("mystery", &fixed(stated))];
        }
        made(model)
    }

    /// The layers of a chain of nodes on `x`, without the input.
    fn kinds(input: &[i64], nodes: Vec<NodeProto>, stored: Vec<TensorProto>) -> Vec<&'static str> {
        let graph = made(model(&fixed(input), nodes, stored)).graph;
        graph.nodes().iter().skip(1).map(|node| node.op.name()).collect()
    }

    #[test]
    fn what_older_exporters_write_out_is_one_layer() {
        let number = |name: &str, value: f32| numbers(name, &[], &[value]);
        let axes = |mut node: NodeProto, axes: &[i64]| {
            node.attribute.push(AttributeProto {
                name: "axes".into(),
                ints: axes.to_vec(),
                ..AttributeProto::default()
            });
            node
        };
        let image = [1, 4, 5, 5];
        let hard_swish = vec![
            node("Add", &["x", "three"], "a"),
            node("Clip", &["a", "zero", "six"], "b"),
            node("Mul", &["x", "b"], "c"),
            node("Div", &["c", "six"], "y"),
        ];
        let stored = vec![number("three", 3.0), number("zero", 0.0), number("six", 6.0)];
        assert_eq!(kinds(&image, hard_swish, stored), ["hardswish"]);
        let hard_swish = vec![node("HardSigmoid", &["x"], "a"), node("Mul", &["x", "a"], "y")];
        let mut nodes = hard_swish;
        nodes[0].attribute.push(AttributeProto {
            name: "alpha".into(),
            f: Some(1.0 / 6.0),
            ..AttributeProto::default()
        });
        assert_eq!(kinds(&image, nodes, vec![]), ["hardswish"]);
        let gelu = vec![
            node("Div", &["x", "root"], "a"),
            node("Erf", &["a"], "b"),
            node("Add", &["b", "one"], "c"),
            node("Mul", &["x", "c"], "d"),
            node("Mul", &["d", "half"], "y"),
        ];
        let stored = || vec![number("root", 2f32.sqrt()), number("one", 1.0), number("half", 0.5)];
        assert_eq!(kinds(&image, gelu, stored()), ["gelu"]);
        // As PyTorch's newer exporter has it: x / 2 first.
        let gelu = vec![
            node("Mul", &["x", "half"], "a"),
            node("Div", &["x", "root"], "b"),
            node("Erf", &["b"], "c"),
            node("Add", &["c", "one"], "d"),
            node("Mul", &["a", "d"], "y"),
        ];
        assert_eq!(kinds(&image, gelu, stored()), ["gelu"]);
        let norm = vec![
            axes(node("ReduceMean", &["x"], "a"), &[-1]),
            node("Sub", &["x", "a"], "b"),
            node("Pow", &["b", "two"], "c"),
            axes(node("ReduceMean", &["c"], "d"), &[-1]),
            node("Add", &["d", "eps"], "e"),
            node("Sqrt", &["e"], "f"),
            node("Div", &["b", "f"], "g"),
            node("Mul", &["g", "scale"], "h"),
            node("Add", &["h", "shift"], "y"),
        ];
        let stored = vec![
            number("two", 2.0),
            number("eps", 1e-5),
            numbers("scale", &[6], &[0.5; 6]),
            numbers("shift", &[6], &[0.25; 6]),
        ];
        assert_eq!(kinds(&[1, 3, 6], norm, stored), ["layer_norm"]);
    }

    #[test]
    fn squeeze_and_excitation_is_found_in_all_its_forms() {
        let gate = |gate: &str| {
            vec![
                node("GlobalAveragePool", &["x"], "a"),
                node("Conv", &["a", "v", "vb"], "b"),
                node("Relu", &["b"], "c"),
                node("Conv", &["c", "w", "wb"], "d"),
                node(gate, &["d"], "e"),
                node("Mul", &["x", "e"], "y"),
            ]
        };
        let stored = |sizes: &[i64]| {
            let of = |name: &str, first: i64, second: i64| {
                let dims = [&[first, second], sizes].concat();
                numbers(name, &dims, &vec![0.1; (first * second) as usize])
            };
            vec![of("v", 2, 8), numbers("vb", &[2], &[0.1; 2]), of("w", 8, 2), numbers("wb", &[8], &[0.2; 8])]
        };
        let image = [1, 8, 5, 5];
        assert_eq!(kinds(&image, gate("Sigmoid"), stored(&[1, 1])), ["squeeze_excite"]);
        // Linear maps of a vector, and a mean over the axes of space.
        let transposed = |mut node: NodeProto| {
            node.attribute.push(AttributeProto {
                name: "transB".into(),
                i: Some(1),
                ..AttributeProto::default()
            });
            node
        };
        let nodes = vec![
            node("GlobalAveragePool", &["x"], "a"),
            node("Flatten", &["a"], "f"),
            transposed(node("Gemm", &["f", "v", "vb"], "b")),
            node("Relu", &["b"], "c"),
            transposed(node("Gemm", &["c", "w", "wb"], "d")),
            node("Sigmoid", &["d"], "e"),
            node("Reshape", &["e", "shape"], "g"),
            node("Mul", &["g", "x"], "y"),
        ];
        let shape: Vec<u8> = [1i64, 8, 1, 1].iter().flat_map(|size| size.to_le_bytes()).collect();
        let mut weights = stored(&[]);
        weights.push(tensor("shape", DataType::Int64, &[4], shape));
        assert_eq!(kinds(&image, nodes, weights), ["squeeze_excite"]);
        // What is not the same map is no gate of it.
        let mut other = gate("Sigmoid");
        other.insert(0, node("Relu", &["x"], "z"));
        other[1].input = vec!["z".into()];
        assert!(kinds(&image, other, stored(&[1, 1])).contains(&"multiply"));
        // Nor is a tanh one.
        assert!(kinds(&image, gate("Tanh"), stored(&[1, 1])).contains(&"multiply"));
    }

    fn with(mut node: NodeProto, attributes: &[(&str, &[i64])]) -> NodeProto {
        for (name, values) in attributes {
            let attribute = AttributeProto { name: (*name).into(), ..AttributeProto::default() };
            node.attribute.push(match (*name, *values) {
                ("axis" | "keepdims", [value]) => AttributeProto { i: Some(*value), ..attribute },
                (_, values) => AttributeProto { ints: values.to_vec(), ..attribute },
            });
        }
        node
    }

    /// Attention of a map `[1, 2, 6, 4]` (two heads) to itself, with what is done to the scores `s` to become `t`.
    fn heads(between: Vec<NodeProto>) -> Vec<NodeProto> {
        let mut nodes = vec![
            with(node("Transpose", &["x"], "k"), &[("perm", &[0, 1, 3, 2])]),
            node("MatMul", &["x", "k"], "s"),
        ];
        nodes.extend(between);
        nodes.extend([
            with(node("Softmax", &["t"], "p"), &[("axis", &[-1])]),
            node("MatMul", &["p", "x"], "y"),
        ]);
        nodes
    }

    fn stored() -> Vec<TensorProto> {
        let ramp = |count: u16| (0..count).map(|i| f32::from(i) / 50.0).collect::<Vec<f32>>();
        vec![
            numbers("half", &[], &[0.5]),
            numbers("two", &[], &[2.0]),
            numbers("bias", &[1, 2, 6, 6], &ramp(72)),
            numbers("other", &[6, 6], &ramp(36)),
            numbers("heads", &[2, 1, 1], &[0.5, 3.0]),
            numbers("columns", &[6], &ramp(6)),
        ]
    }

    /// The layers and their descriptions.
    fn read(nodes: Vec<NodeProto>) -> Vec<String> {
        let graph = made(model(&fixed(&[1, 2, 6, 4]), nodes, stored())).graph;
        let word = |node: &cnnkit::graph::Node| match &node.op {
            Op::Layer(layer) => {
                Some(format!("{} {}", node.op.name(), layer.describe()).trim_end().to_owned())
            }
            Op::Input => None,
        };
        graph.nodes().iter().filter_map(word).collect()
    }

    #[test]
    fn attention_is_found_in_all_its_forms() {
        // By a product, by a quotient; of any other size.
        assert_eq!(read(heads(vec![node("Mul", &["s", "half"], "t")])), ["attention"]);
        assert_eq!(read(heads(vec![node("Div", &["s", "two"], "t")])), ["attention"]);
        assert_eq!(read(heads(vec![node("Mul", &["s", "two"], "t")])), ["attention scale 2"]);
        assert_eq!(read(heads(vec![node("Identity", &["s"], "t")])), ["attention scale 1"]);
        // Learned biases are its own; the second is an input.
        let scaled = || node("Mul", &["s", "half"], "a");
        let biased = vec![scaled(), node("Add", &["a", "bias"], "t")];
        assert_eq!(read(heads(biased)), ["attention bias [2, 6, 6]"]);
        let twice = vec![scaled(), node("Add", &["bias", "a"], "b"), node("Add", &["b", "other"], "t")];
        let found = read(heads(twice));
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found[0].starts_with("learned_tensor") && found[1].starts_with("attention bias"),
            "{found:?}"
        );
        // A computed one as well.
        let computed = vec![
            scaled(),
            with(node("ReduceMean", &["x"], "m"), &[("axes", &[3]), ("keepdims", &[1])]),
            node("Add", &["a", "m"], "t"),
        ];
        assert_eq!(read(heads(computed)), ["reduce mean over 2 keepdim", "attention"]);
        // What the scores are taken from.
        let from = vec![scaled(), node("Sub", &["bias", "a"], "t")];
        assert_eq!(read(heads(from)), ["attention scale -0.5 bias [2, 6, 6]"]);
        // A factor for each head goes to the queries.
        let cosine = vec![node("Mul", &["s", "heads"], "t")];
        assert_eq!(read(heads(cosine)), ["layer_scale", "attention scale 1"]);
        // The root of the scale for queries and keys each, after one transposition.
        let root = vec![numbers("root", &[], &[std::f32::consts::FRAC_1_SQRT_2])];
        let nodes = vec![
            node("Mul", &["x", "root"], "q"),
            with(node("Transpose", &["x"], "k"), &[("perm", &[0, 1, 3, 2])]),
            node("Mul", &["k", "root"], "l"),
            node("MatMul", &["q", "l"], "s"),
            with(node("Softmax", &["s"], "p"), &[("axis", &[-1])]),
            node("MatMul", &["p", "x"], "y"),
        ];
        assert_eq!(kinds(&[1, 2, 6, 4], nodes, root), ["attention"]);
        // The transposition of PyTorch's newer exporter, of two windows of two heads.
        let shape = |name: &str, sizes: &[i64]| {
            let bytes = sizes.iter().flat_map(|size| size.to_le_bytes()).collect();
            tensor(name, DataType::Int64, &[sizes.len() as i64], bytes)
        };
        let stored = vec![
            numbers("root", &[], &[0.5f32.sqrt()]),
            shape("flat", &[-1, 6, 4]),
            shape("open", &[1, 2, 2, 4, 6]),
        ];
        let nodes = vec![
            node("Reshape", &["x", "flat"], "f"),
            with(node("Transpose", &["f"], "t"), &[("perm", &[0, 2, 1])]),
            node("Reshape", &["t", "open"], "k"),
            node("Mul", &["x", "root"], "q"),
            node("Mul", &["k", "root"], "l"),
            node("MatMul", &["q", "l"], "s"),
            with(node("Softmax", &["s"], "p"), &[("axis", &[-1])]),
            node("MatMul", &["p", "x"], "y"),
        ];
        assert_eq!(kinds(&[1, 2, 2, 6, 4], nodes, stored), ["attention"]);
        // Windows are a separate axis where the bias is added.
        let stored = vec![
            numbers("bias", &[1, 1, 2, 6, 6], &[0.25; 72]),
            shape("more", &[1, 1, 2, 6, 6]),
            shape("values", &[1, 1, 2, 6, 4]),
        ];
        let nodes = vec![
            with(node("Transpose", &["x"], "k"), &[("perm", &[0, 1, 3, 2])]),
            node("MatMul", &["x", "k"], "s"),
            node("Reshape", &["s", "more"], "m"),
            node("Add", &["m", "bias"], "t"),
            with(node("Softmax", &["t"], "p"), &[("axis", &[-1])]),
            node("Reshape", &["x", "values"], "v"),
            node("MatMul", &["p", "v"], "y"),
        ];
        let found = kinds(&[1, 2, 6, 4], nodes, stored);
        assert_eq!(found, ["reshape", "reshape", "reshape", "attention"]);
        // Keys that were never one a row are turned.
        let nodes = vec![
            with(node("Transpose", &["x"], "q"), &[("perm", &[0, 2, 1])]),
            node("MatMul", &["q", "x"], "s"),
            with(node("Softmax", &["s"], "p"), &[("axis", &[-1])]),
            node("MatMul", &["p", "q"], "y"),
        ];
        assert_eq!(kinds(&[1, 4, 6], nodes, vec![]), ["permute", "permute", "attention"]);
    }

    #[test]
    fn what_is_not_quite_attention_stays_apart() {
        let apart = |nodes: Vec<NodeProto>, outputs: &[&str]| {
            let mut model = model(&fixed(&[1, 2, 6, 4]), nodes, stored());
            let graph = model.graph.as_mut().expect("a graph");
            graph.output.extend(outputs.iter().map(|name| value(name, &[])));
            let graph = made(model).graph;
            assert_eq!((count(&graph, "attention"), count(&graph, "matmul")), (0, 2), "{outputs:?}");
        };
        let scaled = || vec![node("Mul", &["s", "half"], "t")];
        // Attention maps, scores and products that are outputs.
        for output in ["p", "t", "s"] {
            apart(heads(scaled()), &[output]);
        }
        // A second reader inside.
        let mut read = heads(scaled());
        read.push(node("Relu", &["p"], "more"));
        apart(read, &["more"]);
        // Over the queries, not the keys.
        let mut across = heads(scaled());
        across[3].attribute[0].i = Some(1);
        apart(across, &[]);
        // What is added before it is scaled; a factor for each key; something else than a sum.
        apart(heads(vec![node("Add", &["s", "bias"], "a"), node("Mul", &["a", "half"], "t")]), &[]);
        apart(heads(vec![node("Mul", &["s", "columns"], "t")]), &[]);
        apart(heads(vec![node("Relu", &["s"], "t")]), &[]);
    }

    #[test]
    fn channels_last_is_channels_first_between_permutations() {
        let turned = |input: &str, output: &str, perm: &[i64]| {
            let mut node = node("Transpose", &[input], output);
            node.attribute.push(AttributeProto {
                name: "perm".into(),
                ints: perm.to_vec(),
                ..AttributeProto::default()
            });
            node
        };
        let (first, last) = ([0, 3, 1, 2], [0, 2, 3, 1]);
        let nodes = vec![
            turned("x", "x1", &first),
            node("Conv", &["x1", "v"], "a"),
            turned("a", "b", &last),
            node("Relu", &["b"], "c"),
            turned("c", "d", &first),
            node("Conv", &["d", "w"], "e"),
            turned("e", "f", &last),
            node("Mul", &["f", "f"], "g"),
            turned("g", "h", &first),
            node("GlobalAveragePool", &["h"], "i"),
            turned("i", "y", &last),
        ];
        let weights = vec![numbers("v", &[4, 3, 1, 1], &[0.5; 12]), numbers("w", &[4, 4, 1, 1], &[0.1; 16])];
        let graph = made(model(&fixed(&[1, 6, 5, 3]), nodes, weights)).graph;
        let kinds: Vec<_> = graph.nodes().iter().map(|node| node.op.name()).collect();
        // What is left is the vector: the input's channels come first, too.
        let left = ["input", "conv", "relu", "conv", "multiply", "global_avg_pool", "reshape"];
        assert_eq!(kinds, left);
        assert_eq!(totals::of_graph(&graph).macs, 30 * (12 + 16));
        assert_eq!(graph.node(graph.outputs()[0]).shape.elements().expect("small"), 4);
    }

    #[test]
    fn every_operator_without_a_layer_is_listed_with_its_parameters() {
        use cnnkit::report::imported::{Figures, Import};
        /// Names and sizes.
        type Weights<'a> = &'a [(&'a str, &'a [i64])];
        // The operator, its weights, whether it multiplies.
        let cases: &[(&str, Weights<'_>, bool)] = &[
            ("LSTM", &[("w", &[1, 16, 6]), ("r", &[1, 16, 4])], true),
            ("GRU", &[("w", &[1, 12, 6]), ("r", &[1, 12, 4])], true),
            ("RNN", &[("w", &[1, 4, 6]), ("r", &[1, 4, 4])], true),
            ("Loop", &[], true),
            ("Scan", &[], true),
            ("Einsum", &[("w", &[4, 4]), ("v", &[6, 6])], true),
            ("STFT", &[], true),
            ("LpPool", &[], true),
            ("TopK", &[], false),
            ("ScatterND", &[], false),
            ("GatherElements", &[], false),
        ];
        for &(operator, weights, multiplies) in cases {
            let inputs: Vec<&str> =
                std::iter::once("a").chain(weights.iter().map(|(name, _)| *name)).collect();
            let imported = around(node(operator, &inputs, "mystery"), weights, &[1, 4, 6, 6]);
            let own: u64 = weights.iter().map(|(_, sizes)| sizes.iter().product::<i64>() as u64).sum();
            let counts = totals::of_graph(&imported.graph);
            assert_eq!(counts.params, 12 + 8 + own, "{operator}");
            assert_eq!(counts.macs, (12 + 8) * 36, "{operator}");
            assert_eq!(count(&imported.graph, "opaque"), 1, "{operator}");
            assert_eq!(Import::of(&imported.graph, &[], Figures::Counts).partial, multiplies, "{operator}");
            assert!(Import::of(&imported.graph, &[], Figures::Dependences).partial, "{operator}");
        }
    }

    /// The opaque layers: operator, whether the shape is unknown, and the reason.
    fn opaque(graph: &Graph) -> Vec<(String, bool, String)> {
        let facts = |node: &cnnkit::graph::Node| match &node.op {
            Op::Layer(Layer::Opaque(layer)) => {
                Some((layer.operator.clone(), layer.unknown, layer.reason.clone()))
            }
            _ => None,
        };
        graph.nodes().iter().filter_map(facts).collect()
    }

    #[test]
    fn an_unknown_shape_is_counted_and_names_the_node_to_blame() {
        let weight = |name: &str, sizes: &[i64]| {
            numbers(name, sizes, &vec![1.0; sizes.iter().product::<i64>() as usize])
        };
        let nodes = vec![
            node("Conv", &["x", "w"], "a"),
            node("NonZero", &["a"], "places"),
            node("Cast", &["places"], "numbers"),
            node("MatMul", &["numbers", "v"], "made"),
            node("Add", &["made", "b"], "y"),
        ];
        let stored = vec![weight("w", &[1, 3, 1, 1]), weight("v", &[4, 5]), weight("b", &[5])];
        let mut open = model(&fixed(&[1, 3, 8, 8]), nodes, stored);
        open.graph.iter_mut().flat_map(|graph| &mut graph.output).for_each(|output| output.r#type = None);
        let graph = made(open).graph;
        let counts = totals::of_graph(&graph);
        assert_eq!((counts.params, counts.macs), (3 + 20 + 5, 3 * 64));
        let found = opaque(&graph);
        let operators: Vec<&str> = found.iter().map(|(operator, ..)| operator.as_str()).collect();
        assert_eq!(operators, ["NonZero", "MatMul", "Add"]);
        assert!(found.iter().all(|(_, unknown, _)| *unknown));
        assert!(found[1..].iter().all(|(.., reason)| reason.contains("`/places/NonZero`")), "{found:?}");
        assert!(graph.node(graph.outputs()[0]).known_shape().is_none());
        // Every node but the input reads something, and everything leads to the output.
        for node in graph.nodes() {
            assert_eq!(node.inputs.is_empty(), node.op == Op::Input, "{}", node.id);
        }
        let readers = graph.consumers();
        assert!(readers[..readers.len() - 1].iter().all(|list| !list.is_empty()));
    }

    #[test]
    fn open_sizes_are_bound_or_told() {
        let symbol = |name: &str| DimensionValue::Param(name.into());
        let sizes = [symbol("n"), DimensionValue::Value(3), symbol("height"), symbol("width")];
        let make = || {
            model(&sizes, vec![node("Conv", &["x", "w"], "y")], vec![numbers("w", &[1, 3, 1, 1], &[1.0; 3])])
        };
        let path = Path::new("made.onnx");
        let flaws = import(make(), path, &Bindings::default()).expect_err("open sizes");
        assert!(flaws[0].message.contains("`height` and `width` are open sizes"), "{flaws:?}");
        assert!(flaws[0].help[0].contains("--input 3,224,224"), "{flaws:?}");
        let by_shape = Bindings { inputs: vec![(String::new(), vec![3, 5, 7])], symbols: vec![] };
        let by_name = Bindings { inputs: vec![], symbols: vec![("height".into(), 5), ("width".into(), 7)] };
        for bindings in [by_shape, by_name] {
            let graph = import(make(), path, &bindings).expect("bound").graph;
            assert_eq!(graph.node(graph.outputs()[0]).shape.sizes(), [1, 5, 7]);
        }
        let wrong = Bindings { inputs: vec![], symbols: vec![("hight".into(), 5)] };
        let flaws = import(make(), path, &wrong).expect_err("no such symbol");
        assert_eq!(flaws[0].help, ["did you mean `height`?"]);
    }
}
