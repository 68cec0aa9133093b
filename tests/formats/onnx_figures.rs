//! What small models cost, and that a spec written of them is the same network.
//!
//! `tests/data/onnx/figures.zip` holds models of a few kilobytes with inputs and the outputs of ONNX's reference
//! implementation: weights that are computed, stacks in the place of the batch, products of any shapes.

use cnnkit::analysis::{field, totals};
use cnnkit::export::{same, yaml};
use cnnkit::graph::{Graph, Op};
use cnnkit::layers::Layer;
use cnnkit::onnx::proto::{
    AttributeProto, DataType, ModelProto, NodeProto, StringStringEntryProto, TensorProto,
};

use super::onnx_cases::{compared, floats, ints, list, made, model, node, number, ones, opaque, value};
use crate::support::network::network as read;

/// What differs between `graph` and the spec that is written of it.
fn respecified(graph: &Graph) -> Option<String> {
    if opaque(graph) > 0 {
        return None;
    }
    let text = match yaml::write(graph) {
        Ok(text) => text,
        Err(refused) => return Some(format!("no spec: {refused:?}")),
    };
    let again = read(&text);
    let (a, b) = (totals::of_graph(graph), totals::of_graph(&again));
    let figures = |counts: &totals::Counts| (counts.params, counts.buffers, counts.macs);
    if figures(&a) != figures(&b) {
        return Some(format!("{:?} became {:?}\n{text}", figures(&a), figures(&b)));
    }
    same::difference(graph, &again).map(|difference| format!("{difference}\n{text}"))
}

#[test]
fn models_with_computed_weights_and_stacks_are_complete() {
    let complete = |_: &str, graph: &Graph| {
        let missing = graph.nodes().iter().find(|node| matches!(node.op, Op::Layer(Layer::Opaque(_))));
        missing.map(|node| format!("`{}` is not analysed", node.id)).or_else(|| respecified(graph))
    };
    let flaws = compared("figures.zip", 18, &complete);
    assert!(flaws.is_empty(), "{flaws:#?}");
}

#[test]
fn specs_of_found_models_count_the_same() {
    let flaws = compared("found.zip", 30, &|_, graph| respecified(graph));
    assert!(flaws.is_empty(), "{flaws:#?}");
}

fn counts(model: ModelProto) -> (u64, u64) {
    let counts = totals::of_graph(&made(model).graph);
    (counts.params, counts.buffers)
}

#[test]
fn pytorchs_list_of_parameters_decides_what_counts() {
    let nodes = || {
        vec![
            node("Conv", &["x", "c.weight"], &["a"], vec![]),
            node("Mul", &["a", "win"], &["b"], vec![]),
            node("Div", &["b", "val_3"], &["y"], vec![]),
        ]
    };
    let weights = || vec![ones("c.weight", &[4, 3, 1, 1]), ones("win", &[1, 1, 1, 8]), ones("val_3", &[8])];
    let listed = |list: &str| {
        let mut model = model(&[1, 3, 8, 8], nodes(), weights(), &["y"]);
        if let Some(graph) = &mut model.graph {
            graph.metadata_props.push(StringStringEntryProto {
                key: "pkg.torch.export.ExportedProgram.graph_signature".into(),
                value: list.into(),
            });
        }
        model
    };
    let parameter = "p_c_weight: PARAMETER target='c.weight'\n";
    let buffer = "b_win: BUFFER target='win' persistent=True\n";
    assert_eq!(counts(listed(&format!("{parameter}{buffer}"))), (12, 16));
    // A parameter that is stored in another form may be any of the rest.
    let other = "p_t: PARAMETER target='t'\n";
    assert_eq!(counts(listed(&format!("{parameter}{other}{buffer}"))), (20, 8));
    assert_eq!(counts(listed("")), (28, 0));
}

#[test]
fn folded_norms_and_equal_tensors_are_remarked_with_40() {
    let conv = |x: &str, w: &str, b: &str, y: &str| node("Conv", &[x, w, b], &[y], vec![]);
    // The second bias is equal to the first, and stored as it.
    let nodes = vec![
        node("Identity", &["onnx::Conv_8"], &["d.bias"], vec![]),
        conv("x", "onnx::Conv_7", "onnx::Conv_8", "a"),
        conv("a", "d.weight", "d.bias", "y"),
    ];
    let weights = vec![
        ones("onnx::Conv_7", &[4, 3, 1, 1]),
        ones("onnx::Conv_8", &[4]),
        ones("d.weight", &[4, 4, 1, 1]),
    ];
    let imported = made(model(&[1, 3, 8, 8], nodes, weights, &["y"]));
    assert_eq!(totals::of_graph(&imported.graph).params, 32);
    // Convolution without bias 12, norm 8, convolution with bias 20.
    let remark = imported.remarks.iter().find(|remark| remark.contains("PyTorch counts")).expect("a remark");
    assert!(remark.starts_with("1 batch norm is folded into a convolution, 1 tensor is stored"), "{remark}");
    assert!(remark.contains(" 40 ") && remark.contains(" 44 "), "{remark}");
}

#[test]
fn a_stack_of_more_maps_than_are_repeated_is_not_analysed() {
    // 65 maps, each normalised by itself.
    let nodes = vec![
        node("Reshape", &["x", "s"], &["a"], vec![]),
        node("LRN", &["a"], &["b"], vec![number("size", 3)]),
        node("MaxPool", &["a"], &["c"], vec![list("kernel_shape", &[2, 2])]),
    ];
    let imported = made(model(&[1, 65, 4, 4], nodes, vec![ints("s", &[4], &[65, 1, 4, 4])], &["b", "c"]));
    assert_eq!(opaque(&imported.graph), 1);
    let shapes: Vec<_> =
        imported.outputs.iter().map(|output| output.dims.clone().unwrap_or_default()).collect();
    assert_eq!(shapes, [vec![65, 1, 4, 4], vec![65, 1, 3, 3]]);
}

#[test]
fn a_shared_bias_counts_once_in_the_spec_too() {
    let nodes = vec![
        node("Conv", &["x", "v", "b"], &["a"], vec![]),
        node("Conv", &["a", "w", "b"], &["c"], vec![]),
        node("Add", &["c", "t"], &["y"], vec![]),
    ];
    let table = floats("t", &[1, 4, 1, 1], &[0.5; 4]);
    let weights = vec![ones("v", &[4, 3, 1, 1]), ones("w", &[4, 4, 1, 1]), ones("b", &[4]), table];
    let imported = made(model(&[1, 3, 8, 8], nodes, weights, &["y"]));
    assert_eq!(totals::of_graph(&imported.graph).params, 12 + 16 + 4 + 4);
    let text = yaml::write(&imported.graph).expect("a spec");
    assert!(text.contains("counts: {bias: 0}"), "{text}");
    assert_eq!(respecified(&imported.graph), None);
}

#[test]
fn parameters_that_are_inputs_of_the_file_are_counted() {
    let nodes = vec![node("Conv", &["x", "c.weight", "c.bias"], &["y"], vec![])];
    let mut model = model(&[1, 3, 8, 8], nodes, vec![], &["y"]);
    if let Some(graph) = &mut model.graph {
        graph.input.push(value("c.weight", Some(&[4, 3, 3, 3]), DataType::Float));
        graph.input.push(value("c.bias", Some(&[4]), DataType::Float));
    }
    let imported = made(model);
    let counts = totals::of_graph(&imported.graph);
    assert_eq!((counts.params, counts.macs), (112, 108 * 36));
    assert!(imported.remarks.iter().any(|remark| remark.contains("2 inputs")), "{:?}", imported.remarks);
    assert!(imported.load_weights().is_err());
}

#[test]
fn channels_last_inputs_are_read_as_images() {
    let nodes = |order: &[i64]| {
        vec![
            node("Transpose", &["x"], &["t"], vec![list("perm", order)]),
            node("Conv", &["t", "w"], &["y"], vec![list("strides", &[2, 2])]),
        ]
    };
    let weights = || vec![ones("w", &[4, 3, 3, 3])];
    let imported = made(model(&[1, 9, 17, 3], nodes(&[0, 3, 1, 2]), weights(), &["y"]));
    let graph = &imported.graph;
    let input = graph.inputs().next().expect("an input").1;
    assert_eq!(input.shape.sizes(), [3, 9, 17]);
    // No permutation is left, and the field has the image's axes.
    assert_eq!(graph.nodes().len(), 2);
    assert_eq!(imported.channels_last, ["x"]);
    assert!(imported.remarks.iter().any(|remark| remark.contains("come last")), "{:?}", imported.remarks);
    // Another order is a permutation as it is written.
    let other = made(model(&[1, 9, 3, 17], nodes(&[0, 2, 1, 3]), weights(), &["y"]));
    assert!(other.channels_last.is_empty());
    assert_eq!(other.graph.nodes().len(), 3);
}

#[test]
fn a_unit_of_a_channels_last_map_reads_all_rows() {
    let graph = read(
        "{input: [3, 16, 20], layers: [conv: {out_channels: 8, kernel: 3, padding: 1}, permute: {axes: [1, 2, 0]}]}",
    );
    let (input, output) = (graph.inputs().next().expect("an input").0, graph.outputs()[0]);
    let fields = field::analyse(&graph, field::Options::default()).expect("fields");
    let boxes = fields.input_box(&graph, output, input, &[9, 3]).expect("a box");
    let ends: Vec<_> = boxes.iter().map(|side| side.map(|side| (side.lo, side.hi))).collect();
    assert_eq!(ends, [Some((-1, 16)), Some((8, 10))]);
}

/// A node that has `tensor` as its output.
fn in_code(tensor: TensorProto) -> NodeProto {
    let name = tensor.name.clone();
    let value = AttributeProto { name: "value".into(), t: Some(tensor), ..AttributeProto::default() };
    node("Constant", &[], &[&name], vec![value])
}

#[test]
fn weights_beyond_the_analysis_are_standardised_by_layers() {
    // Their elements are not read: BiT and NFNet have more of them than the analysis looks at.
    let away = |name: &str, dims: &[i64]| TensorProto {
        name: name.into(),
        dims: dims.to_vec(),
        data_type: DataType::Float as i32,
        data_location: 1,
        ..TensorProto::default()
    };
    let start = || {
        vec![
            in_code(floats("zero", &[8], &[0.0; 8])),
            in_code(ints("flat", &[3], &[1, 8, -1])),
            in_code(ints("shape", &[4], &[8, 3, 3, 3])),
            node("Reshape", &["w", "flat"], &["view"], vec![]),
        ]
    };
    let end = || {
        vec![
            node("Reshape", &["standard", "shape"], &["kernel"], vec![]),
            node("Conv", &["x", "kernel"], &["y"], vec![]),
        ]
    };
    let statistics = || {
        vec![
            in_code(ints("axes", &[2], &[0, 2])),
            node("ReduceMean", &["view", "axes"], &["mean"], vec![number("keepdims", 0)]),
            node("ReduceMean", &["view", "axes"], &["centre"], vec![]),
            node("Sub", &["view", "centre"], &["centred"], vec![]),
            node("Mul", &["centred", "centred"], &["squares"], vec![]),
            node("ReduceMean", &["squares", "axes"], &["variance"], vec![number("keepdims", 0)]),
        ]
    };
    let own = vec![node(
        "BatchNormalization",
        &["view", "gain", "zero", "zero", "zero"],
        &["standard", "", ""],
        vec![number("training_mode", 1)],
    )];
    let given = vec![node(
        "BatchNormalization",
        &["view", "gain", "zero", "mean", "variance"],
        &["standard"],
        vec![],
    )];
    for norm in [own, [statistics(), given].concat()] {
        let weights = vec![away("w", &[8, 3, 3, 3]), floats("gain", &[8], &[1.5; 8])];
        let nodes = [start(), norm, end()].concat();
        let imported = made(model(&[1, 3, 8, 8], nodes, weights, &["y"]));
        let counts = totals::of_graph(&imported.graph);
        assert_eq!(opaque(&imported.graph), 0, "{:?}", imported.remarks);
        assert_eq!((counts.params, counts.macs), (216 + 8, 216 * 36));
    }
}

#[test]
fn a_norm_with_ones_of_the_exporter_has_no_weights() {
    let nodes = vec![
        node("LayerNormalization", &["x", "val_85"], &["a"], vec![]),
        node("MatMul", &["a", "val_0"], &["y"], vec![]),
    ];
    // The parameter `q.weight` is stored in another form: `val_0`, transposed.
    let mut model = model(&[1, 5, 4], nodes, vec![ones("val_85", &[4]), ones("val_0", &[4, 6])], &["y"]);
    if let Some(graph) = &mut model.graph {
        graph.metadata_props.push(StringStringEntryProto {
            key: "pkg.torch.export.ExportedProgram.graph_signature".into(),
            value: "p_q_weight: PARAMETER target='q.weight'\n".into(),
        });
    }
    assert_eq!(counts(model), (24, 0));
}

#[test]
fn two_axes_that_swap_are_channels_last_only_before_images() {
    let swap = || node("Transpose", &["x"], &["t"], vec![list("perm", &[0, 2, 1])]);
    // Channels first, turned into tokens.
    let tokens = vec![swap(), node("MatMul", &["t", "w"], &["y"], vec![])];
    let imported = made(model(&[1, 32, 10], tokens, vec![ones("w", &[32, 8])], &["y"]));
    assert!(imported.channels_last.is_empty());
    assert_eq!(imported.graph.inputs().next().expect("an input").1.shape.sizes(), [32, 10]);
    let images = vec![swap(), node("Conv", &["t", "w"], &["y"], vec![])];
    let imported = made(model(&[1, 10, 32], images, vec![ones("w", &[8, 32, 1])], &["y"]));
    assert_eq!(imported.channels_last, ["x"]);
    assert_eq!(imported.graph.inputs().next().expect("an input").1.shape.sizes(), [32, 10]);
}

#[test]
fn a_dropout_in_training_mode_is_a_layer_and_said() {
    let nodes = vec![
        in_code(floats("ratio", &[], &[0.25])),
        in_code(ints("training", &[], &[1])),
        node("Dropout", &["x", "ratio", "training"], &["y"], vec![]),
    ];
    let imported = made(model(&[1, 3, 4, 4], nodes, vec![], &["y"]));
    assert_eq!((imported.graph.nodes().len(), opaque(&imported.graph)), (2, 0));
    assert!(imported.remarks.iter().any(|remark| remark.contains("drops nothing")), "{:?}", imported.remarks);
}
