//! Random networks of the whole vocabulary: several inputs, merges, shared weights, one, two and three dimensions.
//!
//! Layers come from the examples of the vocabulary, windows from a separate generator; a layer that does not
//! fit the current shapes is skipped. `CNNKIT_NETWORKS=5000` runs more networks, `CNNKIT_SEED` others.

use std::collections::BTreeMap;

use cnnkit::graph::{Builder, Graph, NodeId, Op};
use cnnkit::layers::{Arity, KINDS, Layer, find};
use cnnkit::shape::Shape;
use cnnkit::source::Origin;
use cnnkit::verify::{Analysis, Effort, Options, Seed, verify};
use rayon::prelude::*;

use super::broken;

use crate::support::network::layer;

/// Networks of an ordinary test run.
const NETWORKS: u64 = 208;
/// The number from which on every network has attention, and how many an ordinary run adds of them to the others.
const ATTENTION: u64 = 1 << 40;
const OF_ATTENTION: u64 = 24;

/// Formats one value per axis, as an argument.
fn list(values: &[u64]) -> String {
    let values: Vec<String> = values.iter().map(u64::to_string).collect();
    format!("[{}]", values.join(", "))
}

/// A window, a resize or another layer with arguments of its own, for a map with so many axes and channels.
fn sized(random: &mut Seed, axes: usize, channels: u64) -> (&'static str, String) {
    let mut each = |most: u64| -> Vec<u64> { (0..axes).map(|_| 1 + random.below(most)).collect() };
    let (kernel, dilation, stride) = (each(3), each(2), each(2));
    let (factor, far) = (each(3), each(6));
    let dilation = if random.below(4) == 0 { far } else { dilation };
    // Up to the whole reach of the kernel on either side: some taps of a wide kernel read only padding.
    let sides: Vec<String> = kernel
        .iter()
        .zip(&dilation)
        .map(|(k, d)| format!("[{}, {}]", random.below((k - 1) * d + 1), random.below((k - 1) * d + 1)))
        .collect();
    let sides = format!("[{}]", sides.join(", "));
    let groups = if channels.is_multiple_of(2) && random.below(3) == 0 { 2 } else { 1 };
    let depthwise = random.below(6) == 0;
    let out = if depthwise { channels } else { [2, 4, 6][random.below(3) as usize] };
    let groups = if depthwise { channels } else { groups };
    let stride = if random.below(2) == 0 { vec![1; axes] } else { stride };
    let (kernel, dilation, stride) = (list(&kernel), list(&dilation), list(&stride));
    // Wide enough that some windows read nothing else.
    let around: Vec<String> =
        (0..axes).map(|_| format!("[{}, {}]", random.below(7), random.below(7))).collect();
    let value = if random.below(4) == 0 { ", value: 0.5" } else { "" };
    match random.below(10) {
        0..4 => (
            "conv",
            format!(
                "{{out_channels: {out}, kernel: {kernel}, stride: {stride}, dilation: {dilation}, padding: {sides}, groups: {groups}}}"
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
        7 => ("pad", format!("{{padding: [{}]{value}}}", around.join(", "))),
        8 => ("upsample", format!("{{scale_factor: {}}}", list(&factor))),
        _ => ("upsample", format!("{{scale_factor: {}, mode: linear}}", list(&factor))),
    }
}

fn fits(shape: &Shape) -> bool {
    shape.elements().is_ok_and(|elements| elements <= 3000)
        && shape.spatial().iter().all(|&size| (1..=20).contains(&size))
        && shape.channels() <= 32
}

/// Returns network number `number`, which has the layer of that number, so that every layer occurs.
fn random(number: u64) -> Graph {
    let mut random = Seed(number.wrapping_mul(0x2545_f491_4f6c_dd1d));
    // Attention has networks of its own: what is drawn for the others stays as it was.
    let own = number >= ATTENTION;
    let kinds: Vec<_> = KINDS.iter().filter(|kind| own || kind.doc.name != "attention").collect();
    let turn = usize::try_from(number).expect("small") % kinds.len();
    let wanted = if own { find("attention").expect("a layer").0 } else { kinds[turn] };
    let examples = (wanted.examples)();
    let example = &examples[random.below(examples.len() as u64) as usize];
    let mut builder = Builder::new();
    let origin = Origin::default;
    let mut nodes: Vec<NodeId> = Vec::new();
    for (index, shape) in example.inputs.iter().enumerate() {
        nodes.push(builder.input(&format!("input{index}"), shape.clone(), origin()));
    }
    let mut read = [false; 64];
    let mut reads: BTreeMap<NodeId, Vec<Shape>> = BTreeMap::new();
    let mut asked = false;
    let most = 4 + random.below(7) as usize;
    let mut tries = 0;
    while nodes.len() < most + example.inputs.len() && tries < 60 {
        tries += 1;
        let pick = |random: &mut Seed| {
            let far = random.below(3) == 0;
            nodes[if far { random.below(nodes.len() as u64) as usize } else { nodes.len() - 1 }]
        };
        let from = pick(&mut random);
        let shape = builder.shape(from).expect("a shape").clone();
        let space = shape.spatial().to_vec();
        let mut sources = vec![from];
        let mut shares = None;
        let first = !std::mem::replace(&mut asked, true);
        let made = if first {
            sources = nodes.clone();
            layer(wanted.doc.name, example.args)
        } else {
            match random.below(8) {
                0..3 if !space.is_empty() => {
                    let (name, args) = sized(&mut random, space.len(), shape.channels());
                    layer(name, &args)
                }
                3 => {
                    // The weights of another layer, where the map fits them.
                    let owners: Vec<NodeId> = nodes
                        .iter()
                        .copied()
                        .filter(|&node| matches!(builder.layer_of(node), Some(Layer::Conv(_))))
                        .collect();
                    let Some(&owner) = owners.get(random.below(owners.len().max(1) as u64) as usize) else {
                        continue;
                    };
                    shares = Some(owner);
                    builder.layer_of(owner).expect("a layer").clone()
                }
                4 => {
                    let name = ["add", "concat", "multiply"][random.below(3) as usize];
                    let other = pick(&mut random);
                    sources.push(other);
                    layer(name, "{}")
                }
                _ => {
                    let kind = kinds[random.below(kinds.len() as u64) as usize];
                    if kind.doc.name == "attention" {
                        // Of a map to itself: three that fit are seldom found.
                        sources = vec![from; 3];
                    } else if kind.doc.inputs == Arity::Many {
                        sources.push(pick(&mut random));
                    }
                    let examples = (kind.examples)();
                    layer(kind.doc.name, examples[random.below(examples.len() as u64) as usize].args)
                }
            }
        };
        let shapes: Vec<Shape> =
            sources.iter().map(|&node| builder.shape(node).expect("a shape").clone()).collect();
        let Ok(shape) = made.infer(&shapes) else { continue };
        if !fits(&shape) {
            continue;
        }
        // A shared convolution needs as many input channels as its owner reads.
        if let Some(owner) = shares {
            let of = |shapes: &[Shape]| {
                let output = made.infer(shapes).ok()?;
                made.weights(cnnkit::layers::Io { inputs: shapes, output: &output }).ok()
            };
            if of(&reads[&owner]) != of(&shapes) {
                continue;
            }
        }
        sources.iter().for_each(|source| read[source.index()] = true);
        let id = format!("n{}", nodes.len());
        let node = builder.layer(&id, made, sources, shares, origin());
        reads.insert(node, shapes);
        nodes.push(node);
    }
    let last = nodes[nodes.len() - 1];
    let mut outputs = vec![last];
    // A node without readers becomes an output too, or is dead.
    outputs.extend(nodes.iter().copied().filter(|&node| {
        node != last && !read[node.index()] && builder.layer_of(node).is_some() && random.below(3) > 0
    }));
    builder
        .finish(&format!("network {number}"), outputs)
        .unwrap_or_else(|errors| panic!("{number}: {errors:?}"))
}

/// Formats the network as text, for a regression case.
fn text(graph: &Graph) -> String {
    let line = |(id, node): (NodeId, &cnnkit::graph::Node)| {
        let inputs: Vec<&str> = node.inputs.iter().map(|&input| graph.node(input).id.as_str()).collect();
        let shares = node.shares.map_or(String::new(), |owner| format!(" shares {}", graph.node(owner).id));
        let out = if graph.outputs().contains(&id) { " (output)" } else { "" };
        let op = match &node.op {
            Op::Input => "input".to_owned(),
            Op::Layer(layer) => format!("{layer:?}"),
        };
        format!("  {} = {op} of {inputs:?}{shares}: {}{out}", node.id, node.shape)
    };
    graph.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
#[expect(clippy::print_stdout, reason = "the figure of a run of thousands by hand")]
fn verify_holds_on_random_networks_of_every_layer() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = number("CNNKIT_SEED").unwrap_or(0);
    let networks = first..first + number("CNNKIT_NETWORKS").unwrap_or(NETWORKS);
    let of_attention =
        ATTENTION + first..ATTENTION + first + number("CNNKIT_NETWORKS").unwrap_or(OF_ATTENTION);
    let options = Options { effort: Effort::Fast, ..Options::default() };
    let results: Vec<(Graph, Result<usize, String>)> = networks
        .into_par_iter()
        .chain(of_attention)
        .map(|number| {
            let graph = random(number);
            let verified = std::panic::catch_unwind(|| verify(&graph, &Analysis, &options, &|_| ()));
            let result = match verified {
                Ok(Ok(outcome)) if outcome.ok() => Ok(outcome.claims.len()),
                Ok(Ok(outcome)) => Err(broken(&outcome)),
                Ok(Err(problem)) => Err(format!("cannot be verified: {problem}")),
                Err(_) => Err("verify panicked: see above".to_owned()),
            };
            (graph, result)
        })
        .collect();
    let mut uses: BTreeMap<&str, usize> = KINDS.iter().map(|kind| (kind.doc.name, 0)).collect();
    let (mut claims, mut merged, mut shared, mut several) = (0, 0, 0, 0);
    let mut failures = Vec::new();
    for (graph, result) in &results {
        match result {
            Ok(held) => claims += held,
            Err(why) => failures.push(format!("{}:\n{}\n{why}", graph.name(), text(graph))),
        }
        for node in graph.nodes() {
            if let Op::Layer(layer) = &node.op {
                *uses.entry(layer.doc().name).or_default() += 1;
            }
        }
        merged += usize::from(graph.nodes().iter().any(|node| node.inputs.len() > 1));
        shared += usize::from(graph.nodes().iter().any(|node| node.shares.is_some()));
        several += usize::from(graph.inputs().count() > 1);
    }
    let count = failures.len();
    assert!(failures.is_empty(), "{count} of {} networks:\n{}", results.len(), failures.join("\n\n"));
    if (results.len() as u64) < NETWORKS {
        return;
    }
    // The generator is worth what it reaches.
    let rare: Vec<_> = uses.iter().filter(|(_, count)| **count < 4).collect();
    assert!(rare.is_empty(), "hardly any {rare:?}");
    let all = results.len();
    for (what, count) in [("merges", merged), ("shared weights", shared), ("several inputs", several)] {
        assert!(count * 30 > all, "only {count} of {all} networks have {what}");
    }
    assert!(claims > 5 * all, "{claims} claims about {all} networks");
    println!(
        "{all} networks, {claims} claims, {merged} with merges, {shared} with shared weights, {several} with several inputs"
    );
}
