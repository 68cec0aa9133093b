//! What a block knows of its input, and the order in which a residual runs.

use cnnkit::diagnostic::Diagnostic;
use cnnkit::graph::Graph;
use cnnkit::spec::files::Text;
use cnnkit::spec::{Overrides, load};

fn network(spec: &str) -> Result<Graph, Vec<Diagnostic>> {
    let text = Text { name: "test".into(), bytes: spec.into() };
    load(&text, "test", &Overrides::default()).map(|loaded| loaded.graph).map_err(|rejected| rejected.1)
}

/// Ids and output shapes of all nodes.
fn shapes(spec: &str) -> Vec<(String, Vec<u64>)> {
    match network(spec) {
        Ok(graph) => {
            graph.nodes().iter().map(|node| (node.id.clone(), node.shape.sizes().to_vec())).collect()
        }
        Err(errors) => panic!("{errors:?}"),
    }
}

fn last(spec: &str) -> Vec<u64> {
    shapes(spec).pop().expect("there is a layer").1
}

#[test]
fn a_block_knows_the_shape_that_it_reads() {
    let spec = "
input: [12, 10, 14]
blocks:
  halve: [conv: {out_channels: $in_channels // 2, kernel: 1, stride: 2}]
  pool_and_back: [global_avg_pool: {keepdim: true}, upsample: {size: $in_size}]
layers: [halve, halve, pool_and_back, upsample: {size: $in_size}]
";
    let expected = [
        ("input", vec![12, 10, 14]),
        ("halve1.conv1", vec![6, 5, 7]),
        ("halve2.conv1", vec![3, 3, 4]),
        ("pool_and_back1.global_avg_pool1", vec![3, 1, 1]),
        ("pool_and_back1.upsample1", vec![3, 3, 4]),
        ("upsample1", vec![3, 10, 14]),
    ];
    assert_eq!(shapes(spec), expected.map(|(id, sizes)| (id.to_owned(), sizes)));
}

#[test]
fn a_default_may_be_a_multiple_of_the_input() {
    let spec = "
input: [4, 8, 8]
blocks:
  widen:
    args: {expand: 6, hidden: $expand * $in_channels}
    layers: [conv: {out_channels: $hidden, kernel: 1}]
layers: [widen: {expand: 2}, widen]
";
    assert_eq!(last(spec), [48, 8, 8]);
}

#[test]
fn an_argument_or_variable_shadows_the_inputs_shape() {
    let argument = "
input: [4, 8, 8]
blocks:
  b: {args: {in_channels: 7}, layers: [conv: {out_channels: $in_channels, kernel: 1}]}
layers: [b]
";
    assert_eq!(last(argument), [7, 8, 8]);
    let variable = "
input: [4, 8, 8]
variables: {in_channels: 5}
blocks: {b: [conv: {out_channels: $in_channels + 1, kernel: 1}]}
layers: [b, conv: {out_channels: $in_channels, kernel: 1}]
";
    assert_eq!(last(variable), [5, 8, 8]);
}

#[test]
fn a_block_after_a_mistake_gets_no_error_of_its_own() {
    let spec = "
input: [4, 8, 8]
blocks:
  b:
    - conv: {out_channels: $in_channels / 4, kernel: 1, groups: $in_channels / 8}
    - upsample: {size: $in_size}
layers:
  - conv: {out_channels: 8, kernel: 9}
  - b
  - conv: {out_channels: 8, kernel: 99}
";
    let errors = network(spec).expect_err("the kernel is too large");
    assert_eq!(errors.len(), 1, "{errors:?}");
}

#[test]
fn a_residual_runs_in_the_order_in_which_it_is_written() {
    let order = |fields: &str| {
        let spec = format!("{{input: [4, 8, 8], layers: [residual: {{{fields}}}]}}");
        shapes(&spec).into_iter().map(|(id, _)| id).collect::<Vec<_>>()
    };
    let (body, shortcut) = ("body: [relu]", "shortcut: [conv: {out_channels: 4, kernel: 1}]");
    assert_eq!(order(&format!("{body}, {shortcut}")), ["input", "relu1", "shortcut.conv1", "add1"]);
    assert_eq!(order(&format!("{shortcut}, {body}")), ["input", "shortcut.conv1", "relu1", "add1"]);
}

#[test]
fn the_first_input_of_a_residual_is_its_body_in_either_order() {
    let spec = "{input: [4, 8, 8], layers: [residual: {shortcut: [tanh], body: [relu], scale: 0.5}]}";
    let graph = network(spec).expect("it is valid");
    let sum = graph.node(graph.outputs()[0]);
    let ids: Vec<&str> = sum.inputs.iter().map(|&input| graph.node(input).id.as_str()).collect();
    assert_eq!(ids, ["relu1", "shortcut.tanh1"]);
}
