//! Networks of every layer, built from choices: what the analysis predicts against what running them measures.

use cnnkit::graph::{Builder, Graph, NodeId};
use cnnkit::layers::{Arity, KINDS, Layer, find};
use cnnkit::shape::Shape;
use cnnkit::source::{Origin, Sources, Span};
use cnnkit::spec::yaml;
use cnnkit::verify::{Analysis, Effort, Options, verify};

use super::draw::Draw;

/// Most layers of a network.
const LAYERS: usize = 12;

/// Builds a network from the bytes and verifies every figure.
pub fn run(bytes: &[u8]) {
    let Some(graph) = built(&mut Draw::new(bytes)) else { return };
    let options = Options { effort: Effort::Fast, ..Options::default() };
    let outcome = verify(&graph, &Analysis, &options, &|_| ()).expect("a small network can be verified");
    let broken = outcome.claims.iter().find(|claim| !claim.ok);
    assert!(broken.is_none(), "{broken:?}\n{}", text(&graph));
}

/// The network, or none if not one layer fits.
fn built(draw: &mut Draw<'_>) -> Option<Graph> {
    let mut builder = Builder::new();
    let inputs: [&[u64]; 6] = [&[2, 9, 8], &[4, 12, 12], &[3, 16], &[2, 5, 4, 5], &[6], &[1, 7, 10]];
    let mut nodes = vec![builder.input("input", Shape::new(draw.one(&inputs).to_vec()), Origin::default())];
    if draw.below(4) == 0 {
        nodes.push(builder.input("other", Shape::new(draw.one(&inputs).to_vec()), Origin::default()));
    }
    let own = nodes.len();
    while !draw.is_empty() && nodes.len() < own + LAYERS {
        let from = nodes[nodes.len() - 1 - draw.below(nodes.len().min(3))];
        let shape = builder.shape(from)?.clone();
        let Some((layer, count)) = chosen(draw, &shape) else { continue };
        let mut sources = vec![from];
        while sources.len() < count {
            sources.push(nodes[draw.below(nodes.len())]);
        }
        let shapes: Vec<Shape> = sources.iter().filter_map(|&node| builder.shape(node)).cloned().collect();
        let Ok(shape) = layer.infer(&shapes) else { continue };
        if !small(&shape) {
            continue;
        }
        nodes.push(builder.layer(&format!("n{}", nodes.len()), layer, sources, None, Origin::default()));
    }
    let last = *nodes.last().filter(|_| nodes.len() > own)?;
    let mut outputs: Vec<NodeId> = vec![last];
    if draw.below(3) == 0 {
        let other = nodes[own + draw.below(nodes.len() - own)];
        outputs.extend(Some(other).filter(|&other| other != last));
    }
    // Inputs that nothing reads, and layers that no output depends on, may be refused.
    builder.finish("fuzzed", outputs).ok()
}

/// A layer for a map of this shape, and how many maps it reads.
fn chosen(draw: &mut Draw<'_>, shape: &Shape) -> Option<(Layer, usize)> {
    let axes = shape.spatial().len();
    if axes > 0 && draw.below(2) == 0 {
        return Some((window(draw, axes, shape.channels())?, 1));
    }
    let kind = &KINDS[draw.below(KINDS.len())];
    let examples = (kind.examples)();
    let example = &examples[draw.below(examples.len())];
    let count = match kind.doc.inputs {
        Arity::Many => 2 + draw.below(2),
        _ => example.inputs.len(),
    };
    Some((layer(kind.doc.name, example.args)?, count))
}

/// A convolution, pool, pad or resize with arguments of its own on each axis.
fn window(draw: &mut Draw<'_>, axes: usize, channels: u64) -> Option<Layer> {
    let mut each = |values: &[u64]| -> String {
        let values: Vec<String> = (0..axes).map(|_| draw.one(values).to_string()).collect();
        format!("[{}]", values.join(", "))
    };
    let (kernel, stride, dilation) = (each(&[1, 2, 3, 4]), each(&[1, 1, 1, 2, 3]), each(&[1, 1, 2, 3, 5]));
    let (before, factor) = (each(&[0, 0, 1, 1, 2, 4]), each(&[1, 2, 3]));
    let groups =
        if channels.is_multiple_of(2) { draw.one(&[1, 1, 2, channels]) } else { draw.one(&[1, channels]) };
    let out = groups * draw.one(&[1, 2, 3]);
    let modes = ["zeros", "zeros", "zeros", "reflect", "replicate", "circular"];
    let mode = draw.one(&modes);
    let (name, args) = match draw.below(8) {
        0..4 => (
            "conv",
            format!(
                "{{out_channels: {out}, kernel: {kernel}, stride: {stride}, dilation: {dilation}, padding: {before}, padding_mode: {mode}, groups: {groups}}}"
            ),
        ),
        4 => (
            "conv_transpose",
            format!(
                "{{out_channels: {out}, kernel: {kernel}, stride: {stride}, dilation: {dilation}, groups: {groups}}}"
            ),
        ),
        5 => ("max_pool", format!("{{kernel: {kernel}, stride: {stride}, dilation: {dilation}}}")),
        6 => ("avg_pool", format!("{{kernel: {kernel}, stride: {stride}}}")),
        _ => ("upsample", format!("{{scale_factor: {factor}, mode: {}}}", draw.one(&["nearest", "linear"]))),
    };
    layer(name, &args)
}

/// The layer `name` with the arguments written in `args`; none if they contradict each other.
fn layer(name: &str, args: &str) -> Option<Layer> {
    let (kind, _) = find(name)?;
    let mut sources = Sources::default();
    let source = sources.add("arguments", args);
    let located = yaml::parse(&sources, source).ok()?;
    kind.build(&located, Span::new(source, 0, 0)).ok()
}

fn small(shape: &Shape) -> bool {
    shape.elements().is_ok_and(|elements| elements <= 2000)
        && shape.spatial().iter().all(|&size| (1..=20).contains(&size))
        && shape.channels() <= 32
}

/// The network as text, to be made a test.
fn text(graph: &Graph) -> String {
    let name = |&id: &NodeId| graph.node(id).id.clone();
    let node = |node: &cnnkit::Node| {
        let inputs: Vec<String> = node.inputs.iter().map(name).collect();
        format!("  {} = {:?} of {inputs:?}: {}", node.id, node.op, node.shape)
    };
    let outputs: Vec<String> = graph.outputs().iter().map(name).collect();
    let nodes: Vec<String> = graph.nodes().iter().map(node).collect();
    format!("{}\noutputs {outputs:?}", nodes.join("\n"))
}
