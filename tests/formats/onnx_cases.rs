//! Small models cut out of real ones, and single operators: their counts, shapes and values.
//!
//! `tests/data/onnx/found.zip` contains models of a few kilobytes with inputs and the outputs of ONNX Runtime
//! (or PyTorch); each reproduces a fault that users met.

use std::io::{Cursor, Read as _};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use cnnkit::analysis::totals;
use cnnkit::exec::network::{Fill, Network};
use cnnkit::exec::run::Reference;
use cnnkit::exec::tensor::Tensor;
use cnnkit::graph::{Graph, Op};
use cnnkit::layers::Layer;
use cnnkit::onnx::bind::Bindings;
use cnnkit::onnx::import::{Imported, import, load};
use cnnkit::onnx::proto::{
    AttributeProto, DataType, Dimension, DimensionValue, GraphProto, ModelProto, NodeProto,
    OperatorSetIdProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};
use serde_json::Value;

pub fn archive(name: &str) -> Vec<(String, Vec<u8>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/onnx").join(name);
    let bytes = std::fs::read(path).expect("a file");
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).expect("an archive");
    let names: Vec<String> = archive.file_names().map(str::to_owned).collect();
    let read = |name: String| {
        let mut bytes = Vec::new();
        archive.by_name(&name).expect("an entry").read_to_end(&mut bytes).expect("a file");
        (name, bytes)
    };
    names.into_iter().map(read).collect()
}

fn sizes(value: &Value) -> Vec<usize> {
    value.as_array().expect("a list").iter().map(|size| size.as_u64().expect("a size") as usize).collect()
}

/// The numbers; what is not finite is none.
fn values(value: &Value) -> Vec<Option<f64>> {
    value["values"].as_array().expect("a list").iter().map(Value::as_f64).collect()
}

fn without_ones(sizes: &[usize]) -> Vec<usize> {
    sizes.iter().copied().filter(|&size| size != 1).collect()
}

/// The outputs of a model on these arrays.
fn outputs(imported: &Imported, case: &Value) -> Result<Vec<Tensor<f32>>, String> {
    let graph = &imported.graph;
    let array = |id: &str, rank: usize| {
        let given = &case["inputs"][id];
        let mut sizes = sizes(&given["shape"]);
        if sizes.is_empty() || sizes.len() == rank {
            sizes.insert(0, 1);
        }
        if sizes.len() == 1 {
            sizes.push(1);
        }
        let data = values(given).into_iter().map(|value| value.unwrap_or(f64::NAN) as f32).collect();
        Tensor::new(&sizes, data).expect("sizes that fit")
    };
    let mut inputs: Vec<Tensor<f32>> =
        graph.inputs().map(|(_, node)| array(&node.id, node.shape.rank())).collect();
    let batch = inputs.iter().map(Tensor::batch).max().unwrap_or(1);
    for (input, place) in inputs.iter_mut().zip(&imported.batches) {
        // What has no batch axis is the same for every image.
        if place.is_none() && input.batch() == 1 {
            let sizes = [&[batch], input.image_sizes()].concat();
            *input = Tensor::new(&sizes, input.data().repeat(batch)).expect("sizes that fit");
        }
    }
    let own = imported.load_weights().map_err(|p| p.message)?;
    let mut network = Network::<f32>::seeded(graph, 0, Fill::Declared).map_err(|problem| problem.message)?;
    network.replace(own).map_err(|problem| problem.message)?;
    let run = network.run(inputs, &Reference, |_| {}).map_err(|problem| problem.message)?;
    let written = imported.outputs.iter().zip(&run.outputs).map(|(output, tensor)| output.in_file(tensor));
    let mut written = written.collect::<Result<Vec<_>, _>>().map_err(|problem| problem.message)?;
    for (place, _, dims) in &imported.empty {
        let sizes: Vec<usize> = dims.iter().map(|&size| size as usize).collect();
        written.insert(*place, Tensor::new(&sizes, vec![]).expect("no elements"));
    }
    Ok(written)
}

/// What is wrong with the outputs.
fn wrong(found: &[Tensor<f32>], wanted: &[Value], tolerance: f64) -> Option<String> {
    if found.len() != wanted.len() {
        return Some(format!("{} outputs for {}", found.len(), wanted.len()));
    }
    for (found, wanted) in found.iter().zip(wanted) {
        if wanted["shape"].is_array() && without_ones(found.sizes()) != without_ones(&sizes(&wanted["shape"]))
        {
            return Some(format!("{:?} for {}", found.sizes(), wanted["shape"]));
        }
        let expected = values(wanted);
        let scale = expected.iter().flatten().fold(1e-9, |most: f64, value| most.max(value.abs()));
        for (&found, wanted) in found.data().iter().zip(&expected) {
            let right = wanted.is_none_or(|wanted| (f64::from(found) - wanted).abs() <= tolerance * scale);
            if !right {
                return Some(format!("{found} for {wanted:?}"));
            }
        }
    }
    None
}

#[test]
fn found_models_count_and_compute_as_onnx_runtime_does() {
    let flaws = compared("found.zip", 30, &|_, _| None);
    assert!(flaws.is_empty(), "{flaws:#?}");
}

/// `runs.zip` is made by `make_runs.py` beside it: operators and settings one by one, with ONNX Runtime's outputs.
#[test]
fn operators_by_themselves_compute_as_onnx_runtime_does() {
    let flaws = compared("runs.zip", 30, &|_, _| None);
    assert!(flaws.is_empty(), "{flaws:#?}");
}

/// `fused.zip` is made by `make_fused.py` beside it: what ONNX Runtime refuses is refused here too.
#[test]
fn fused_operators_compute_as_onnx_runtime_or_are_opaque() {
    let files = archive("fused.zip");
    let (_, cases) = files.iter().find(|(name, _)| name == "cases.json").expect("an entry");
    let cases: Vec<Value> = serde_json::from_slice(cases).expect("JSON");
    let refused = |name: &str| cases.iter().any(|case| case["name"] == name && case["refused"] == true);
    let wrong = |name: &str, graph: &Graph| match (refused(name), opaque(graph)) {
        (true, 0) => Some("a setting that is not known is ignored".to_owned()),
        (false, 1..) => Some("it is opaque".to_owned()),
        _ => None,
    };
    let flaws = compared("fused.zip", 90, &wrong);
    assert!(flaws.is_empty(), "{flaws:#?}");
    assert!(cases.iter().filter(|case| case["refused"] == true).count() >= 9);
}

/// ONNX 1.5, `resize_downsample_nearest`: of 4 elements, 0.6 times as many are the first and the third.
#[test]
fn nearest_of_version_10_rounds_up_where_an_axis_shrinks() {
    let resize = node("Resize", &["x", "s"], &["y"], vec![]);
    let mut model =
        model(&[1, 1, 2, 4], vec![resize], vec![floats("s", &[4], &[1.0, 1.0, 0.6, 0.6])], &["y"]);
    model.opset_import[0].version = 10;
    let imported = made(model);
    let network = Network::<f32>::seeded(&imported.graph, 0, Fill::Declared).expect("small");
    let input = Tensor::new(&[1, 1, 2, 4], (1..=8u8).map(f32::from).collect()).expect("a tensor");
    let run = network.run(vec![input], &Reference, |_| {}).expect("it runs");
    assert_eq!(run.outputs[0].data(), [1.0, 3.0]);
}

/// PyTorch's newer exporter writes an LSTM with `proj_size` 3 and 8 cells as one of the hidden size 3: ONNX Runtime refuses it.
#[test]
fn lstm_whose_tensors_do_not_fit_says_so() {
    let lstm = |hidden| {
        node("LSTM", &["x", "w", "r", "b", "", "h", "c"], &["y"], vec![number("hidden_size", hidden)])
    };
    let stored = vec![
        ones("w", &[1, 12, 6]),
        ones("r", &[1, 12, 3]),
        ones("b", &[1, 24]),
        ones("h", &[1, 1, 3]),
        ones("c", &[1, 1, 8]),
    ];
    // No file is too wild: four times the last size is beyond 64 bits.
    for (hidden, said) in
        [(3, "`initial_c` is [1, 1, 8] for a hidden size of 3"), (i64::MAX, "`W` is [1, 12, 6]")]
    {
        let imported = made(model(&[7, 1, 6], vec![lstm(hidden)], stored.clone(), &["y"]));
        let Some(Op::Layer(Layer::Opaque(layer))) = imported.graph.nodes().last().map(|node| &node.op) else {
            panic!("an opaque layer")
        };
        assert!(layer.reason.contains(said) && layer.reason.contains("proj_size"), "{}", layer.reason);
    }
}

/// The weights in the body of a loop are those of the node: stored in the body or outside, they are parameters; numbers in
/// its code are buffers, as everywhere.
#[test]
fn weights_in_the_body_of_a_loop_count() {
    let constant = node(
        "Constant",
        &[],
        &["v"],
        vec![AttributeProto { name: "value".into(), t: Some(ones("v", &[4])), ..AttributeProto::default() }],
    );
    let body = GraphProto {
        node: vec![
            constant,
            node("MatMul", &["h", "w"], &["m"], vec![]),
            node("Add", &["m", "outer"], &["a"], vec![]),
            node("Mul", &["a", "v"], &["h2"], vec![]),
        ],
        initializer: vec![ones("w", &[4, 4])],
        input: vec![value("h", Some(&[1, 4]), DataType::Float)],
        output: vec![value("h2", Some(&[1, 4]), DataType::Float)],
        ..GraphProto::default()
    };
    let looped = NodeProto {
        attribute: vec![AttributeProto { name: "body".into(), g: Some(body), ..AttributeProto::default() }],
        ..node("Loop", &["n", "", "x"], &["l"], vec![])
    };
    let after = node("MatMul", &["l", "last"], &["y"], vec![]);
    let stored = vec![ints("n", &[], &[3]), ones("outer", &[4]), ones("last", &[4, 5])];
    for stated in [true, false] {
        let mut model = model(&[1, 4], vec![looped.clone(), after.clone()], stored.clone(), &["y"]);
        if let (true, Some(graph)) = (stated, &mut model.graph) {
            graph.value_info.push(value("l", Some(&[1, 4]), DataType::Float));
        }
        let imported = made(model);
        let counts = totals::of_graph(&imported.graph);
        assert_eq!((counts.params, counts.buffers), (16 + 4 + 20, 4), "{stated}");
        // What comes behind it is known where the file states the shape.
        assert_eq!(opaque(&imported.graph), if stated { 1 } else { 2 });
        assert_eq!(counts.macs, if stated { 20 } else { 0 });
        let network = Network::<f32>::seeded(&imported.graph, 0, Fill::Declared).expect("small");
        let error = network.run(vec![Tensor::zeros(&[1, 4])], &Reference, |_| {}).expect_err("a loop");
        assert!(error.message.contains("running the operator Loop (a loop, whose body"), "{}", error.message);
    }
}

/// Two tests may unpack the same archive at a time.
static CALLS: AtomicUsize = AtomicUsize::new(0);

/// What is wrong with the models of an archive, each of which is also shown to `more`.
pub fn compared(name: &str, least: usize, more: &dyn Fn(&str, &Graph) -> Option<String>) -> Vec<String> {
    let files = archive(name);
    let file = |name: &str| &files.iter().find(|(other, _)| other == name).expect("an entry").1;
    let cases: Vec<Value> = serde_json::from_slice(file("cases.json")).expect("JSON");
    assert!(cases.len() >= least, "{}", cases.len());
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("cnnkit-onnx-cases-{}-{call}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let mut flaws = Vec::new();
    for case in &cases {
        let name = case["name"].as_str().expect("a name");
        // Weights are read from the file where they are needed.
        let path = folder.join(format!("{name}.onnx"));
        std::fs::write(&path, file(&format!("{name}.onnx"))).expect("a file");
        let bound: Vec<u64> = sizes(&case["input"]).into_iter().map(|size| size as u64).collect();
        let inputs = if bound.is_empty() { vec![] } else { vec![(String::new(), bound)] };
        let imported = load(&path, &Bindings { inputs, symbols: vec![] })
            .unwrap_or_else(|flaws| panic!("{name}: {flaws:?}"));
        let graph = &imported.graph;
        for node in graph.nodes() {
            assert_eq!(node.inputs.is_empty(), node.op == Op::Input, "{name}: `{}`", node.id);
        }
        flaws.extend(more(name, graph).map(|flaw| format!("{name}: {flaw}")));
        let counts = totals::of_graph(graph);
        for (what, found) in [("params", counts.params), ("macs", counts.macs)] {
            if let Some(wanted) = case[what].as_u64().filter(|&wanted| wanted != found) {
                flaws.push(format!("{name}: {found} {what} for {wanted}"));
            }
        }
        let Some(wanted) = case["outputs"].as_array() else { continue };
        let tolerance = case["tolerance"].as_f64().expect("a number");
        match outputs(&imported, case) {
            Ok(found) => flaws.extend(wrong(&found, wanted, tolerance).map(|flaw| format!("{name}: {flaw}"))),
            Err(message) => flaws.push(format!("{name}: {message}")),
        }
    }
    std::fs::remove_dir_all(&folder).expect("it is there");
    flaws
}

pub fn value(name: &str, sizes: Option<&[i64]>, data_type: DataType) -> ValueInfoProto {
    let dim = |&size: &i64| Dimension { value: Some(DimensionValue::Value(size)) };
    let shape = sizes.map(|sizes| TensorShapeProto { dim: sizes.iter().map(dim).collect() });
    let tensor_type = Some(TensorTypeProto { elem_type: data_type as i32, shape });
    ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type }), ..ValueInfoProto::default() }
}

pub fn number(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: name.into(), i: Some(value), ..AttributeProto::default() }
}

pub fn list(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto { name: name.into(), ints: values.to_vec(), ..AttributeProto::default() }
}

pub fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto { name: name.into(), s: Some(value.to_owned().into()), ..AttributeProto::default() }
}

pub fn node(operator: &str, inputs: &[&str], outputs: &[&str], attribute: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        op_type: operator.into(),
        name: format!("the {operator}"),
        input: inputs.iter().map(|&name| name.to_owned()).collect(),
        output: outputs.iter().map(|&name| name.to_owned()).collect(),
        attribute,
        ..NodeProto::default()
    }
}

pub fn floats(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    stored(name, dims, DataType::Float, bytes)
}

pub fn ones(name: &str, dims: &[i64]) -> TensorProto {
    floats(name, dims, &vec![1.0; dims.iter().product::<i64>() as usize])
}

pub fn ints(name: &str, dims: &[i64], values: &[i64]) -> TensorProto {
    stored(name, dims, DataType::Int64, values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

fn stored(name: &str, dims: &[i64], data_type: DataType, bytes: Vec<u8>) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: dims.to_vec(),
        data_type: data_type as i32,
        raw_data: bytes.into(),
        ..TensorProto::default()
    }
}

pub fn model(
    input: &[i64],
    node: Vec<NodeProto>,
    initializer: Vec<TensorProto>,
    outputs: &[&str],
) -> ModelProto {
    ModelProto {
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 18 }],
        graph: Some(GraphProto {
            node,
            initializer,
            input: vec![value("x", Some(input), DataType::Float)],
            output: outputs.iter().map(|name| value(name, None, DataType::Float)).collect(),
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    }
}

pub fn made(model: ModelProto) -> Imported {
    import(model, Path::new("made.onnx"), &Bindings::default()).unwrap_or_else(|flaws| panic!("{flaws:?}"))
}

pub fn opaque(graph: &Graph) -> usize {
    graph.nodes().iter().filter(|node| matches!(node.op, Op::Layer(Layer::Opaque(_)))).count()
}

#[test]
fn shapes_of_operators_without_a_layer_follow_from_their_rules() {
    type Case<'a> =
        (&'a str, &'a [i64], &'a [&'a str], Vec<AttributeProto>, Vec<TensorProto>, &'a [&'a [u64]]);
    let cases: Vec<Case<'_>> = vec![
        (
            "LSTM",
            &[5, 1, 6],
            &["x", "w", "r"],
            vec![number("hidden_size", 4)],
            vec![ones("w", &[1, 16, 6]), ones("r", &[1, 16, 4])],
            &[&[5, 1, 1, 4], &[1, 1, 4], &[1, 1, 4]],
        ),
        (
            "GRU",
            &[5, 1, 6],
            &["x", "w", "r"],
            vec![text("direction", "bidirectional")],
            vec![ones("w", &[2, 12, 6]), ones("r", &[2, 12, 4])],
            &[&[5, 2, 1, 4], &[2, 1, 4]],
        ),
        (
            "RNN",
            &[1, 5, 6],
            &["x", "w", "r"],
            vec![number("layout", 1)],
            vec![ones("w", &[1, 4, 6]), ones("r", &[1, 4, 4])],
            &[&[1, 5, 1, 4], &[1, 1, 4]],
        ),
        (
            "ArgMax",
            &[1, 4, 6, 6],
            &["x"],
            vec![number("axis", 1), number("keepdims", 0)],
            vec![],
            &[&[1, 6, 6]],
        ),
        ("TopK", &[1, 4, 9], &["x", "k"], vec![], vec![ints("k", &[1], &[3])], &[&[1, 4, 3], &[1, 4, 3]]),
        ("GridSample", &[1, 4, 6, 6], &["x", "g"], vec![], vec![ones("g", &[1, 3, 5, 2])], &[&[1, 4, 3, 5]]),
        (
            "RoiAlign",
            &[1, 4, 6, 6],
            &["x", "rois", "which"],
            vec![number("output_height", 2), number("output_width", 3)],
            vec![ones("rois", &[7, 4]), ints("which", &[7], &[0; 7])],
            &[&[7, 4, 2, 3]],
        ),
        (
            "ScatterND",
            &[1, 4, 6],
            &["x", "i", "u"],
            vec![],
            vec![ints("i", &[1, 1], &[0]), ones("u", &[1, 4, 6])],
            &[&[1, 4, 6]],
        ),
        (
            "GatherElements",
            &[1, 4, 6],
            &["x", "i"],
            vec![number("axis", 2)],
            vec![ints("i", &[1, 4, 2], &[0; 8])],
            &[&[1, 4, 2]],
        ),
        (
            "ReduceLogSumExp",
            &[1, 4, 6],
            &["x", "a"],
            vec![number("keepdims", 0)],
            vec![ints("a", &[1], &[1])],
            &[&[1, 6]],
        ),
        (
            "LpPool",
            &[1, 4, 7, 7],
            &["x"],
            vec![list("kernel_shape", &[3, 3]), list("strides", &[2, 2])],
            vec![],
            &[&[1, 4, 3, 3]],
        ),
        (
            "OneHot",
            &[1, 4],
            &["x", "d", "v"],
            vec![],
            vec![ints("d", &[1], &[9]), ones("v", &[2])],
            &[&[1, 4, 9]],
        ),
        ("DFT", &[1, 10, 1], &["x"], vec![number("onesided", 1)], vec![], &[&[1, 6, 2]]),
        (
            "Col2Im",
            &[1, 36, 16],
            &["x", "i", "b"],
            vec![],
            vec![ints("i", &[2], &[6, 6]), ints("b", &[2], &[3, 3])],
            &[&[1, 4, 6, 6]],
        ),
        ("Det", &[1, 4, 6, 6], &["x"], vec![], vec![], &[&[1, 4]]),
    ];
    for (operator, input, inputs, attributes, initializers, wanted) in cases {
        let names = ["first", "second", "third"].get(..wanted.len()).expect("names");
        let node = node(operator, inputs, names, attributes);
        let imported = made(model(input, vec![node], initializers, names));
        assert!(opaque(&imported.graph) > 0, "{operator} has a layer");
        let found: Vec<Vec<u64>> =
            imported.outputs.iter().map(|output| output.dims.clone().unwrap_or_default()).collect();
        assert_eq!(found, wanted, "{operator}");
    }
}

#[test]
fn parameters_are_stored_tensors_in_weight_slots_once() {
    let count = |model: ModelProto| {
        let counts = totals::of_graph(&made(model).graph);
        (counts.params, counts.buffers)
    };
    let constant = |name: &str, tensor: TensorProto| {
        let value = AttributeProto { name: "value".into(), t: Some(tensor), ..AttributeProto::default() };
        node("Constant", &[], &[name], vec![value])
    };
    let conv = || node("Conv", &["x", "w"], &["a"], vec![]);
    let weight = || ones("w", &[4, 3, 1, 1]);
    let image = &[1, 3, 8, 8];
    // Results computed from shapes and single numbers never count, for any input size.
    for size in [8, 32] {
        let grid = vec![
            conv(),
            node("Shape", &["a"], &["s"], vec![number("start", 3)]),
            node("Squeeze", &["s"], &["n"], vec![]),
            node("Cast", &["n"], &["end"], vec![number("to", 1)]),
            node("Range", &["zero", "end", "one"], &["r"], vec![]),
            node("Add", &["r", "half"], &["g"], vec![]),
            node("Add", &["a", "g"], &["y"], vec![]),
        ];
        let numbers = vec![
            weight(),
            floats("zero", &[], &[0.0]),
            floats("one", &[], &[1.0]),
            floats("half", &[], &[0.5]),
        ];
        assert_eq!(count(model(&[1, 3, size, size], grid, numbers, &["y"])).0, 12, "{size}");
    }
    // A factor in a node is fixed where weights are initialisers.
    let scaled =
        vec![conv(), constant("f", ones("", &[1, 4, 1, 1])), node("Mul", &["a", "f"], &["y"], vec![])];
    assert_eq!(count(model(image, scaled, vec![weight()], &["y"])), (12, 4));
    let scaled = vec![conv(), node("Mul", &["a", "f"], &["y"], vec![])];
    assert_eq!(count(model(image, scaled, vec![weight(), ones("f", &[1, 4, 1, 1])], &["y"])), (16, 0));
    // A fixed filter of a convolution, and weights in nodes where there are no initialisers.
    let fixed = |name: &str| {
        vec![constant(name, ones("", &[4, 3, 1, 1])), conv(), node("Conv", &["a", "v"], &["y"], vec![])]
    };
    assert_eq!(count(model(image, fixed("w"), vec![ones("v", &[2, 4, 1, 1])], &["y"])), (8, 12));
    let all = vec![constant("w", ones("", &[4, 3, 1, 1])), conv()];
    assert_eq!(count(model(image, all, vec![], &["a"])), (12, 0));
    // A table counts with its stored size, whichever part of it the input size selects.
    let part = vec![
        node("Slice", &["t", "from", "to", "axis"], &["p"], vec![]),
        conv(),
        node("Add", &["a", "p"], &["y"], vec![]),
    ];
    let table = vec![
        weight(),
        ones("t", &[1, 4, 1, 20]),
        ints("from", &[1], &[0]),
        ints("to", &[1], &[8]),
        ints("axis", &[1], &[3]),
    ];
    assert_eq!(count(model(image, part, table, &["y"])).0, 12 + 80);
    // A weight as it is and in a computed form is one weight.
    let both = vec![
        conv(),
        node("Mul", &["a", "t"], &["m"], vec![]),
        node("Exp", &["t"], &["e"], vec![]),
        node("Add", &["m", "e"], &["y"], vec![]),
    ];
    assert_eq!(count(model(image, both, vec![weight(), ones("t", &[1, 4, 1, 1])], &["y"])).0, 12 + 4);
    // A norm whose scale and shift are the exporter's ones and zeros has no weights.
    let plain = vec![
        conv(),
        constant("one", ones("", &[4])),
        constant("zero", floats("", &[4], &[0.0; 4])),
        node("InstanceNormalization", &["a", "one", "zero"], &["y"], vec![]),
    ];
    assert_eq!(count(model(image, plain, vec![weight()], &["y"])), (12, 0));
}

#[test]
fn weights_of_branches_and_statistics_count_as_what_they_are() {
    let branch = |name: &str, weight: &str| GraphProto {
        name: name.into(),
        node: vec![node("Conv", &["x", weight], &[name], vec![])],
        initializer: vec![ones(weight, &[2, 3, 1, 1])],
        output: vec![value(name, None, DataType::Float)],
        ..GraphProto::default()
    };
    let graph = |name: &str, graph: GraphProto| AttributeProto {
        name: name.into(),
        g: Some(graph),
        ..AttributeProto::default()
    };
    let nodes = vec![
        node("ReduceMax", &["x"], &["m"], vec![number("keepdims", 0)]),
        node("Greater", &["m", "zero"], &["c"], vec![]),
        node(
            "If",
            &["c"],
            &["y"],
            vec![graph("then_branch", branch("t", "v")), graph("else_branch", branch("e", "w"))],
        ),
    ];
    let imported = made(model(&[1, 3, 8, 8], nodes, vec![floats("zero", &[], &[0.0])], &["y"]));
    assert_eq!(totals::of_graph(&imported.graph).params, 12);
    // Behind a node of unknown shape: the statistics of a norm are buffers there too.
    let nodes = vec![
        node("NonZero", &["x"], &["places"], vec![]),
        node("Cast", &["places"], &["n"], vec![number("to", 1)]),
        node("BatchNormalization", &["n", "s", "b", "m", "v"], &["y"], vec![]),
    ];
    let statistics = ["s", "b", "m", "v"].map(|name| ones(name, &[4])).to_vec();
    let counts = totals::of_graph(&made(model(&[1, 3, 8, 8], nodes, statistics, &["y"])).graph);
    assert_eq!((counts.params, counts.buffers), (8, 8));
}

#[test]
fn arithmetic_of_constants_vanishes_whatever_the_operators() {
    // TorchScript's SAME padding: the sizes of a pad by ceil, division, clip and cast.
    let nodes = vec![
        node("Shape", &["x"], &["s"], vec![number("start", 2)]),
        node("Cast", &["s"], &["f"], vec![number("to", 1)]),
        node("Div", &["f", "stride"], &["d"], vec![]),
        node("Ceil", &["d"], &["c"], vec![]),
        node("Sub", &["c", "one"], &["u"], vec![]),
        node("Mul", &["u", "stride"], &["t"], vec![]),
        node("Add", &["t", "kernel"], &["k"], vec![]),
        node("Sub", &["k", "f"], &["p"], vec![]),
        node("Clip", &["p", "zero"], &["q"], vec![]),
        node("Cast", &["q"], &["after"], vec![number("to", 7)]),
        node("ReduceMax", &["after"], &["most"], vec![]),
        node("ReduceMin", &["after"], &["least"], vec![]),
        node("Concat", &["none", "none", "least", "most"], &["four"], vec![number("axis", 0)]),
        node("Concat", &["nothing", "four"], &["pads"], vec![number("axis", 0)]),
        node("Pad", &["x", "pads"], &["wide"], vec![]),
        node("Conv", &["wide", "w"], &["y"], vec![list("strides", &[2, 2])]),
    ];
    let stored = vec![
        ones("w", &[4, 3, 3, 3]),
        floats("stride", &[], &[2.0]),
        floats("one", &[], &[1.0]),
        floats("kernel", &[], &[3.0]),
        floats("zero", &[], &[0.0]),
        ints("none", &[1], &[0]),
        ints("nothing", &[4], &[0; 4]),
    ];
    let graph = made(model(&[1, 3, 8, 8], nodes, stored, &["y"])).graph;
    assert_eq!(opaque(&graph), 0);
    assert_eq!(graph.node(graph.outputs()[0]).shape.sizes(), [4, 4, 4]);
    assert_eq!(totals::of_graph(&graph).macs, 4 * 27 * 16);
}

#[test]
fn model_saved_without_its_weights_is_counted() {
    let weight = TensorProto { raw_data: Vec::new().into(), ..ones("w", &[4, 3, 1, 1]) };
    let nodes = vec![node("Conv", &["x", "w"], &["y"], vec![])];
    let imported = made(model(&[1, 3, 8, 8], nodes, vec![weight], &["y"]));
    let counts = totals::of_graph(&imported.graph);
    assert_eq!((counts.params, counts.macs), (12, 12 * 64));
    let missing = imported.load_weights();
    let problem = missing.expect_err("no data");
    assert!(problem.message.contains("saved without"), "{problem:?}");
}
