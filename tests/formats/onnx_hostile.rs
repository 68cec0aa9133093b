//! Files that no exporter wrote: damaged, invalid, or malicious. The result is a clear error or an answer, in
//! bounded time, never a panic.

use std::io::{Cursor, Read as _};
use std::path::Path;
use std::time::{Duration, Instant};

use cnnkit::analysis::field::{Options, analyse};
use cnnkit::analysis::totals;
use cnnkit::diagnostic::Diagnostic;
use cnnkit::onnx::bind::Bindings;
use cnnkit::onnx::import::{Imported, import};
use cnnkit::onnx::proto::{
    AttributeProto, AttributeType, Dimension, DimensionValue, FunctionProto, GraphProto, ModelProto,
    NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto,
    TypeProto, ValueInfoProto,
};
use cnnkit::onnx::{read, weights};
use prost::Message as _;

fn file(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/onnx").join(name);
    std::fs::read(path).expect("a file")
}

/// Reads and analyses a file; any flaw must be an error with a message.
fn digest(bytes: &[u8]) -> Option<Imported> {
    let model = read::read(Cursor::new(bytes)).ok()?;
    finish(model)
}

fn finish(model: ModelProto) -> Option<Imported> {
    match import(model, Path::new("hostile.onnx"), &Bindings::default()) {
        Ok(imported) => {
            let _ = totals::of_graph(&imported.graph);
            let _ = analyse(&imported.graph, Options::default());
            Some(imported)
        }
        Err(flaws) => {
            // The list is empty only where a flaw silences what depends on it, and that flaw is reported.
            assert!(!flaws.is_empty());
            assert!(flaws.iter().all(|flaw| !flaw.message.is_empty()), "{flaws:?}");
            None
        }
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound.max(1) as u64) as usize
    }
}

const FILES: [&str; 5] = [
    "tiny_unet.legacy.onnx",
    "tiny_unet.dynamo.onnx",
    "tiny_aspp.legacy.onnx",
    "tiny_aspp.dynamo.onnx",
    "tiny_deform1.onnx",
];

#[test]
fn truncated_files_are_errors() {
    for name in FILES {
        let bytes = file(name);
        for length in (0..bytes.len()).step_by(bytes.len() / 300 + 1) {
            // What is cut off at the end of the last message can be missed by no one but the reader of that message.
            digest(&bytes[..length]);
        }
        assert!(digest(&bytes[..bytes.len() / 2]).is_none(), "{name}: half of it");
    }
}

#[test]
fn flipped_bits_are_errors_or_another_network() {
    let start = Instant::now();
    for name in FILES {
        let bytes = file(name);
        let mut random = Random(bytes.len() as u64);
        for _ in 0..1200 {
            let mut damaged = bytes.clone();
            for _ in 0..=random.below(3) {
                let at = random.below(damaged.len());
                damaged[at] ^= 1 << random.below(8);
            }
            digest(&damaged);
        }
    }
    assert!(start.elapsed() < Duration::from_secs(120), "{:?}", start.elapsed());
}

/// Values that go wrong in arithmetic.
const NASTY: [i64; 12] = [0, 1, -1, 2, 3, 7, 255, 1 << 31, 1 << 47, 1 << 62, i64::MAX, i64::MIN];

/// Changes one thing of a well-formed model to another well-formed thing.
fn mutate(model: &mut ModelProto, random: &mut Random) {
    let graph = model.graph.as_mut().expect("a graph");
    let node = random.below(graph.node.len());
    // What changes a stored tensor needs one.
    let bare = graph.initializer.is_empty();
    match random.below(9) {
        0 | 7 | 8 if bare => {
            let to = ["", "com.microsoft", "com.microsoft.nchwc", "ai.onnx.ml"];
            graph.node[node].domain = to[random.below(to.len())].to_owned();
        }
        0 => {
            let tensor = random.below(graph.initializer.len());
            let tensor = &mut graph.initializer[tensor];
            let axis = random.below(tensor.dims.len());
            if let Some(size) = tensor.dims.get_mut(axis) {
                *size = NASTY[random.below(NASTY.len())];
            }
        }
        1 => {
            let other = random.below(graph.node.len());
            graph.node[node].op_type = graph.node[other].op_type.clone();
        }
        2 => {
            let operators: Vec<&str> = cnnkit::onnx::lower::operators().collect();
            graph.node[node].op_type = operators[random.below(operators.len())].to_owned();
        }
        3 | 4 => {
            let attribute = random.below(graph.node[node].attribute.len());
            if let Some(attribute) = graph.node[node].attribute.get_mut(attribute) {
                let value = NASTY[random.below(NASTY.len())];
                if attribute.ints.is_empty() {
                    attribute.i = Some(value);
                    attribute.f = Some(value as f32);
                } else {
                    let at = random.below(attribute.ints.len());
                    attribute.ints[at] = value;
                }
            }
        }
        5 => {
            let attributes = &mut graph.node[node].attribute;
            if !attributes.is_empty() {
                attributes.remove(random.below(attributes.len()));
            }
        }
        6 => {
            let other = random.below(graph.node.len());
            let name = graph.node[other].output[0].clone();
            let input = random.below(graph.node[node].input.len());
            if let Some(input) = graph.node[node].input.get_mut(input) {
                *input = name;
            }
        }
        7 => {
            let inputs = &mut graph.node[node].input;
            if random.below(2) == 0 {
                inputs.pop();
            } else {
                let initializer = random.below(graph.initializer.len());
                let name = graph.initializer[initializer].name.clone();
                graph.node[node].input.push(name);
            }
        }
        _ => {
            let tensor = random.below(graph.initializer.len());
            let tensor = &mut graph.initializer[tensor];
            tensor.data_type = random.below(30) as i32;
            if random.below(2) == 0 {
                tensor.raw_data = tensor.raw_data.slice(..tensor.raw_data.len() / 2);
            }
        }
    }
}

#[test]
fn wrong_models_are_errors_or_other_networks() {
    let start = Instant::now();
    for name in FILES {
        let model = read::read(Cursor::new(file(name))).expect("a model");
        let mut random = Random(name.len() as u64);
        for _ in 0..1500 {
            let mut changed = model.clone();
            for _ in 0..=random.below(3) {
                mutate(&mut changed, &mut random);
            }
            finish(changed);
        }
    }
    assert!(start.elapsed() < Duration::from_secs(120), "{:?}", start.elapsed());
}

/// The models of an archive.
fn models(archive: &str) -> Vec<(String, Vec<u8>)> {
    let mut archive = zip::ZipArchive::new(Cursor::new(file(archive))).expect("an archive");
    let names: Vec<String> =
        archive.file_names().filter(|name| name.strip_suffix(".onnx").is_some()).map(str::to_owned).collect();
    let read = |name: String| {
        let mut bytes = Vec::new();
        archive.by_name(&name).expect("an entry").read_to_end(&mut bytes).expect("a file");
        (name, bytes)
    };
    names.into_iter().map(read).collect()
}

/// Every kind of operator that users met, changed at random; `CNNKIT_MUTATIONS` says how often each model is.
#[test]
fn changed_operators_are_errors_or_other_networks() {
    let times: u32 = std::env::var("CNNKIT_MUTATIONS").ok().and_then(|count| count.parse().ok()).unwrap_or(8);
    let mut slowest = (Duration::ZERO, String::new());
    for (name, bytes) in ["found.zip", "runs.zip", "opsets.zip"].into_iter().flat_map(models) {
        let model = read::read(Cursor::new(bytes.as_slice())).expect("a model");
        let mut random = Random(bytes.len() as u64);
        for _ in 0..times {
            let begun = Instant::now();
            let mut changed = model.clone();
            for _ in 0..=random.below(3) {
                mutate(&mut changed, &mut random);
            }
            finish(changed);
            let mut damaged = bytes.clone();
            for _ in 0..=random.below(3) {
                let at = random.below(damaged.len());
                damaged[at] ^= 1 << random.below(8);
            }
            digest(&damaged);
            slowest = slowest.max((begun.elapsed(), name.clone()));
        }
    }
    assert!(slowest.0 < Duration::from_secs(60), "{slowest:?}");
}

fn value(name: &str, sizes: &[i64]) -> ValueInfoProto {
    let dim = sizes.iter().map(|&size| Dimension { value: Some(DimensionValue::Value(size)) }).collect();
    let shape = Some(TensorShapeProto { dim });
    let tensor_type = Some(TensorTypeProto { elem_type: 1, shape });
    ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type }), ..ValueInfoProto::default() }
}

fn node(operator: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    NodeProto {
        op_type: operator.into(),
        name: outputs.first().map(|name| format!("/{name}/{operator}")).unwrap_or_default(),
        input: names(inputs),
        output: names(outputs),
        ..NodeProto::default()
    }
}

fn model(nodes: Vec<NodeProto>, initializer: Vec<TensorProto>) -> ModelProto {
    ModelProto {
        ir_version: 8,
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 17 }],
        graph: Some(GraphProto {
            node: nodes,
            initializer,
            input: vec![value("x", &[1, 3, 8, 8])],
            output: vec![value("y", &[1, 3, 8, 8])],
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    }
}

fn flaws(model: ModelProto) -> Vec<Diagnostic> {
    import(model, Path::new("hostile.onnx"), &Bindings::default()).expect_err("an error")
}

fn tensor(name: &str, dims: &[i64]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: dims.to_vec(),
        data_type: 1,
        data_location: 1,
        ..TensorProto::default()
    }
}

#[test]
fn sizes_that_overflow_are_errors_with_the_name() {
    let huge = [1 << 32, 1 << 32, 3, 3];
    let found = flaws(model(vec![node("Conv", &["x", "w"], &["y"])], vec![tensor("w", &huge)]));
    assert!(found[0].message.contains("`w`"), "{found:?}");
    let found = flaws(model(vec![node("Conv", &["x", "w"], &["y"])], vec![tensor("w", &[4, -3, 3, 3])]));
    assert!(found[0].message.contains("`w`") && found[0].message.contains("-3"), "{found:?}");
    let found = flaws(model(vec![node("Conv", &["x", "w"], &["y"])], vec![tensor("w", &[4, 5, 3, 3])]));
    assert!(found[0].message.contains("`/y/Conv` (Conv)"), "{found:?}");
}

#[test]
fn cycles_and_dangling_names_are_errors() {
    let found = flaws(model(
        vec![node("Add", &["x", "b"], &["a"]), node("Relu", &["a"], &["b"]), node("Relu", &["b"], &["y"])],
        vec![],
    ));
    assert!(found[0].message.contains("depends on its own output"), "{found:?}");
    let found = flaws(model(vec![node("Add", &["x", "b"], &["y"])], vec![]));
    assert!(found[0].message.contains("reads `b`, which nothing makes"), "{found:?}");
    let found = flaws(model(vec![node("Relu", &["x"], &["a"])], vec![]));
    assert!(found[0].message.contains("the output `y` is made by no node"), "{found:?}");
    let found = flaws(model(vec![node("Relu", &["x"], &["y"]), node("Relu", &["x"], &["y"])], vec![]));
    assert!(found[0].message.contains("makes `y` too"), "{found:?}");
    // Out of order, but no cycle: sorted.
    let sorted = finish(model(vec![node("Relu", &["a"], &["y"]), node("Relu", &["x"], &["a"])], vec![]));
    assert_eq!(sorted.map(|imported| imported.graph.nodes().len()), Some(3));
}

#[test]
fn external_data_stay_in_the_folder() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/onnx/model.onnx");
    for location in ["../figures.json", "/etc/passwd", "a/../../x", "..", "", "C:\\x", "a\\..\\..\\x"] {
        assert!(weights::beside(&path, location).is_err(), "{location}");
    }
    for location in ["model.data", "./model.data", "data/model.bin"] {
        assert!(weights::beside(&path, location).is_ok(), "{location}");
    }
    let entry = |key: &str, value: &str| StringStringEntryProto { key: key.into(), value: value.into() };
    let mut weight = tensor("w", &[4, 3, 3, 3]);
    for (location, offset, words) in [
        ("../rf.json", "0", "leads out of"),
        ("figures.json", "99999999999", "which has"),
        ("figures.json", "many", "not a number"),
        ("nowhere.data", "0", "cannot read"),
    ] {
        weight.external_data =
            vec![entry("location", location), entry("offset", offset), entry("length", "432")];
        let imported = import(
            model(vec![node("Conv", &["x", "w"], &["y"])], vec![weight.clone()]),
            &path,
            &Bindings::default(),
        )
        .expect("figures need no weights");
        let problem = imported.load_weights().expect_err("no weights");
        assert!(problem.message.contains(words), "{location}: {problem}");
    }
}

#[test]
fn a_million_nodes_end() {
    let start = Instant::now();
    let mut nodes = Vec::new();
    let mut last = "x".to_owned();
    for index in 0..1_000_100 {
        let next = format!("n{index}");
        nodes.push(NodeProto {
            op_type: "Relu".into(),
            input: vec![std::mem::replace(&mut last, next.clone())],
            output: vec![next],
            ..NodeProto::default()
        });
    }
    nodes.push(node("Relu", &[&last], &["y"]));
    let found = flaws(model(nodes, vec![]));
    assert!(found[0].message.contains("more than 1000000 nodes"), "{found:?}");
    assert!(start.elapsed() < Duration::from_secs(120), "{:?}", start.elapsed());
}

#[test]
fn functions_that_double_or_call_themselves_are_errors() {
    let function = |name: &str, body: Vec<NodeProto>| FunctionProto {
        name: name.into(),
        domain: "f".into(),
        input: vec!["a".into()],
        output: vec!["b".into()],
        node: body,
        ..FunctionProto::default()
    };
    let call = |name: &str, input: &str, output: &str| NodeProto {
        domain: "f".into(),
        ..node(name, &[input], &[output])
    };
    let mut bomb = model(vec![call("f0", "x", "y")], vec![]);
    for level in 0..25 {
        let next = format!("f{}", level + 1);
        bomb.functions
            .push(function(&format!("f{level}"), vec![call(&next, "a", "m"), call(&next, "m", "b")]));
    }
    bomb.functions.push(function("f25", vec![node("Relu", &["a"], &["b"])]));
    let start = Instant::now();
    let found = flaws(bomb);
    assert!(found[0].message.contains("nodes") || found[0].message.contains("levels deep"), "{found:?}");
    assert!(start.elapsed() < Duration::from_secs(120), "{:?}", start.elapsed());
    let mut own = model(vec![call("f0", "x", "y")], vec![]);
    own.functions.push(function("f0", vec![call("f0", "a", "b")]));
    assert!(flaws(own)[0].message.contains("levels deep"));
    // And one that is sound.
    let mut sound = model(vec![call("f0", "x", "y")], vec![]);
    sound.functions.push(function("f0", vec![node("Relu", &["a"], &["m"]), node("Sigmoid", &["m"], &["b"])]));
    let imported = finish(sound).expect("a network");
    assert_eq!(
        imported.graph.nodes().iter().map(|node| node.op.name()).collect::<Vec<_>>(),
        ["input", "relu", "sigmoid"]
    );
}

#[test]
fn deep_branches_are_errors() {
    let mut inner = GraphProto {
        node: vec![node("Relu", &["x"], &["y"])],
        output: vec![value("y", &[1])],
        ..GraphProto::default()
    };
    for _ in 0..40 {
        let attribute = |name: &str| AttributeProto {
            name: name.into(),
            r#type: AttributeType::Graph as i32,
            g: Some(inner.clone()),
            ..AttributeProto::default()
        };
        let branch = NodeProto { attribute: vec![attribute("then_branch")], ..node("If", &["c"], &["y"]) };
        inner = GraphProto { node: vec![branch], output: vec![value("y", &[1])], ..GraphProto::default() };
    }
    let condition =
        TensorProto { name: "c".into(), data_type: 9, raw_data: vec![1].into(), ..TensorProto::default() };
    let bytes = model(inner.node, vec![condition]).encode_to_vec();
    assert!(digest(&bytes).is_none());
}
