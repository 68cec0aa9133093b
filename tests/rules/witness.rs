//! The numbers in messages have an independent witness: the replacement is built and counted, or the network
//! is run.

use cnnkit::analysis::field::{Options, analyse};
use cnnkit::analysis::{gradient, savings, totals, unread_positions};
use cnnkit::check::{self, Selection};
use cnnkit::exec::network::{Fill, Network, random_inputs};
use cnnkit::exec::run::{Reference, Trace};
use cnnkit::exec::tensor::Tensor;
use cnnkit::graph::{Graph, NodeId};
use cnnkit::spec::files::Text;
use cnnkit::spec::{self, Loaded, Overrides};

fn load(text: &str) -> Loaded {
    let files = Text { name: "witness".into(), bytes: text.into() };
    spec::load(&files, "witness", &Overrides::default()).unwrap_or_else(|error| panic!("{text}\n{error:?}"))
}

fn graph(text: &str) -> Graph {
    load(text).graph
}

/// The messages of one rule.
fn messages(id: &str, text: &str) -> Vec<String> {
    let outcome = check::network(&load(text), &Selection::only(id));
    assert!(outcome.skipped.is_empty(), "{:?}", outcome.skipped);
    outcome.findings.into_iter().map(|finding| finding.message).collect()
}

/// Every value of the network, with random weights and a random image; `image` replaces the latter.
fn trace(graph: &Graph, image: Option<Vec<Tensor<f64>>>) -> (Network<'_, f64>, Trace<f64>) {
    let network = Network::<f64>::seeded(graph, 3, Fill::Generic).expect("weights");
    let image = image.unwrap_or_else(|| random_inputs(graph, 2, 5).expect("an image"));
    let trace = network.trace(image, &Reference).expect("runs");
    (network, trace)
}

fn field(graph: &Graph) -> Vec<(i128, i128)> {
    let facts = analyse(graph, Options::default()).expect("fields");
    let axes = &facts.facts(graph, graph.outputs()[0]).expect("facts")[0].axes;
    axes.iter().map(|axis| (axis.size, axis.padding().expect("a start"))).collect()
}

#[test]
fn a_stack_of_small_kernels_holds_what_is_said_and_sees_as_far() {
    for (inputs, outputs, groups) in
        [(16, 16, 1), (8, 24, 1), (24, 8, 1), (16, 16, 16), (16, 32, 4), (8, 16, 8)]
    {
        for kernel in [5u64, 7, 9] {
            for bias in [true, false] {
                let conv = |inputs: &str, kernel: u64, groups: u64| {
                    format!(
                        "  - conv: {{out_channels: {outputs}, kernel: {kernel}, padding: {}, bias: {bias}, groups: {groups}{inputs}}}\n",
                        kernel / 2
                    )
                };
                let head = format!("input: [{inputs}, 12, 12]\nlayers:\n");
                let large = graph(&(head.clone() + &conv("", kernel, groups)));
                let saving = savings::stacked(&large, NodeId::new(1)).expect("a large kernel");
                let later = if groups == inputs { outputs } else { groups };
                let mut text = head + &conv("", 3, groups);
                for _ in 1..saving.layers {
                    text += &conv("", 3, later);
                }
                let small = graph(&text);
                let counts = totals::of_graph(&small);
                assert_eq!((saving.params, saving.macs), (counts.params, Some(counts.macs)), "{text}");
                assert_eq!(field(&large), field(&small), "{text}");
            }
        }
    }
}

#[test]
fn a_bottleneck_holds_what_is_said_and_sees_as_far() {
    for (inputs, outputs, middle, stride, bias) in
        [(64, 64, 16, 1, true), (32, 96, 8, 2, false), (96, 32, 24, 1, false)]
    {
        let head = format!("input: [{inputs}, 12, 10]\nlayers:\n");
        let wide = graph(&format!(
            "{head}  - conv: {{out_channels: {outputs}, kernel: 3, padding: 1, stride: {stride}, bias: {bias}}}\n"
        ));
        let saving = savings::bottleneck(&wide, NodeId::new(1), middle).expect("a dense kernel");
        let text = format!(
            "{head}  - conv: {{out_channels: {middle}, kernel: 1, bias: {bias}}}\n  - conv: {{out_channels: {middle}, kernel: 3, padding: 1, stride: {stride}, bias: {bias}}}\n  - conv: {{out_channels: {outputs}, kernel: 1, bias: {bias}}}\n"
        );
        let narrow = graph(&text);
        let counts = totals::of_graph(&narrow);
        assert_eq!((saving.params, saving.macs), (counts.params, Some(counts.macs)), "{text}");
        assert_eq!(field(&wide), field(&narrow), "{text}");
    }
}

#[test]
fn a_pooled_head_holds_what_is_said() {
    let found = messages(
        "CK506",
        "input: [512, 7, 7]\nlayers: [flatten, linear: {out_features: 4096, bias: false}]\n",
    );
    let pooled = totals::of_graph(&graph(
        "input: [512, 7, 7]\nlayers: [global_avg_pool, linear: {out_features: 4096, bias: false}]\n",
    ));
    assert_eq!(pooled.params, 2_097_152);
    assert!(found[0].ends_with("2,097,152"), "{found:?}");
}

/// A convolution between layers of 1x1 and 3x3, as text.
fn pair(first: u64, second: u64, stride: u64) -> [String; 2] {
    let large = first + (second - 1) * stride;
    let head = "input: [16, 14, 14]\nlayers:\n";
    [
        format!(
            "{head}  - conv: {{out_channels: 24, kernel: {first}, stride: {stride}}}\n  - conv: {{out_channels: 20, kernel: {second}}}\n"
        ),
        format!("{head}  - conv: {{out_channels: 20, kernel: {large}, stride: {stride}}}\n"),
    ]
}

#[test]
fn a_linear_pair_is_linear_and_one_layer_sees_as_far() {
    for (first, second, stride) in [(1, 3, 1), (3, 1, 2), (3, 3, 2)] {
        let [two, one] = pair(first, second, stride);
        assert_eq!(messages("CK402", &two).len(), 1);
        let (two, one) = (graph(&two), graph(&one));
        assert_eq!(
            (field(&two), &two.node(two.outputs()[0]).shape),
            (field(&one), &one.node(one.outputs()[0]).shape)
        );
        // f(a) + f(b) = f(a + b) + f(0)
        let image = |seed| random_inputs::<f64>(&two, 1, seed).expect("an image");
        let (a, b) = (image(1), image(2));
        let sum = Tensor::from_fn(a[0].sizes(), |i| a[0].data()[i] + b[0].data()[i]);
        let nothing = Tensor::zeros(a[0].sizes());
        let output =
            |image: Vec<Tensor<f64>>| trace(&two, Some(image)).1.values[two.outputs()[0].index()].clone();
        let (fa, fb, fs, f0) = (output(a), output(b), output(vec![sum]), output(vec![nothing]));
        for i in 0..fa.len() {
            let difference = fa.data()[i] + fb.data()[i] - fs.data()[i] - f0.data()[i];
            assert!(difference.abs() < 1e-9, "{difference}");
        }
    }
    let [two, _] = pair(1, 3, 1);
    let outcome = check::network(&load(&two), &Selection::only("CK402"));
    let counted = totals::of_graph(&graph(&pair(1, 3, 1)[1])).params;
    let help = &outcome.findings[0].help;
    let grouped = cnnkit::number::grouped(counted);
    assert!(
        help.iter().any(|help| help.contains(&format!("with {grouped} instead of"))),
        "{help:?} {grouped}"
    );
}

#[test]
fn severed_weights_alone_have_a_gradient_of_exactly_zero() {
    let text = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/rules/CK406-severed-gradient/fires.yaml"
    ))
    .expect("a fixture");
    let graph = graph(&text);
    let cuts: Vec<NodeId> = gradient::severed(&graph).into_iter().flat_map(|cut| cut.weights).collect();
    assert!(cuts.len() == 3, "{cuts:?}");
    let (network, trace) = trace(&graph, None);
    let seeds = graph.outputs().iter().map(|&output| {
        let value = &trace.values[output.index()];
        (output, Tensor::from_fn(value.sizes(), |i| 1.0 + i as f64))
    });
    let gradients = network.backward(&trace, seeds.collect(), false).expect("gradients");
    for (id, node) in graph.iter().filter(|(_, node)| !node.weights.is_empty()) {
        let largest = gradients.weights[id.index()]
            .iter()
            .flatten()
            .flat_map(Tensor::data)
            .fold(0.0f64, |a, b| a.max(b.abs()));
        // A norm's own scale multiplies the zeros, its shift does not.
        assert_eq!(largest < 1e-12, cuts.contains(&id), "{}: {largest}", node.id);
    }
}

#[test]
fn unread_positions_have_no_gradient_and_all_others_do() {
    for text in [
        "input: [2, 33, 33]\nlayers:\n  - conv: {out_channels: 3, kernel: 2, stride: 3}\n  - conv: {out_channels: 2, kernel: 1, stride: 2}\n",
        "input: [2, 20, 23]\nlayers:\n  - avg_pool: {kernel: 2, stride: 2}\n  - conv: {out_channels: 2, kernel: 3, dilation: 3, stride: 4}\n",
        "input: [2, 16, 16]\nlayers:\n  - residual:\n      body: [conv: {out_channels: 2, kernel: [1, 3], stride: 2, padding: [0, 1]}]\n      shortcut: [conv: {out_channels: 2, kernel: 1, stride: 2}]\n",
        "input: [2, 16, 16]\nlayers:\n  - branches:\n      - [conv: {out_channels: 2, kernel: [2, 1], stride: 4}]\n      - [conv: {out_channels: 2, kernel: [1, 2], stride: 4, padding: 0}]\n",
    ] {
        let graph = graph(text);
        let (network, trace) = trace(&graph, None);
        let unread = unread_positions::unread(&graph, &graph.consumers()).expect("small");
        assert!(!unread.is_empty(), "{text}");
        for map in unread {
            // Only the readers; their outputs are summed up.
            let seeds = map.readers.iter().map(|&reader| {
                let value = &trace.values[reader.index()];
                (reader, Tensor::from_fn(value.sizes(), |i| 1.0 + (i % 7) as f64))
            });
            let gradients = network.backward(&trace, seeds.collect(), true).expect("gradients");
            let gradient = gradients.nodes[map.node.index()].as_ref().expect("a gradient");
            let image = gradient.image(0);
            let positions = map.positions as usize;
            let read = (0..positions)
                .filter(|&p| image.iter().skip(p).step_by(positions).any(|&g| g != 0.0))
                .count();
            assert_eq!(read as u64, map.read, "{text}");
        }
    }
}

#[test]
fn the_padding_of_a_pointwise_kernel_ignores_the_input() {
    for (arguments, expected) in [
        ("kernel: 1, padding: 1", 132),
        ("kernel: [3, 1], padding: 1", 64),
        ("kernel: 1, padding: [[2, 1], [0, 3]], stride: [1, 2]", 118),
        ("kernel: 1, padding: 3, stride: 2", 105),
    ] {
        let text = format!("input: [2, 32, 32]\nlayers:\n  - conv: {{out_channels: 3, {arguments}}}\n");
        let graph = graph(&text);
        let output = |seed| {
            let image = random_inputs(&graph, 1, seed).expect("an image");
            trace(&graph, Some(image)).1.values[1].clone()
        };
        let (a, b) = (output(1), output(2));
        let all = graph.node(NodeId::new(1)).shape.spatial().iter().product::<u64>() as usize;
        let same = (0..all).filter(|&i| a.data()[i] == b.data()[i]).count();
        let found = messages("CK207", &text);
        assert!(found[0].starts_with(&format!("{same} of the ")), "{found:?} {same}");
        assert_eq!(same, expected, "{text}");
    }
}

#[test]
fn taps_that_meet_are_counted_by_running_a_kernel_of_ones() {
    for (arguments, expected) in [
        ("kernel: 3, stride: 2", [1, 4]),
        ("kernel: 2, stride: 3", [0, 1]),
        ("kernel: [4, 5], stride: 2", [4, 6]),
    ] {
        let text = format!(
            "input: [1, 12, 12]\nlayers:\n  - conv_transpose: {{out_channels: 1, {arguments}, bias: false}}\n"
        );
        let graph = graph(&text);
        let network = Network::<f64>::filled(&graph, |_, _| || 1.0).expect("weights");
        let image = Tensor::from_fn(&[1, 1, 12, 12], |_| 1.0);
        let trace = network.trace(vec![image], &Reference).expect("runs");
        let output = &trace.values[1];
        let (rows, columns) = (output.sizes()[2], output.sizes()[3]);
        // Away from the borders, where fewer inputs meet.
        let inside = (8..rows - 8).flat_map(|y| (8..columns - 8).map(move |x| y * columns + x));
        let values: Vec<f64> = inside.map(|i| output.data()[i]).collect();
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().copied().fold(0.0, f64::max);
        assert_eq!([least, most], expected.map(f64::from), "{text}");
        let found = messages("CK307", &text);
        assert!(found[0].contains(&format!("from {least} to {most} taps meet")), "{found:?}");
    }
}

/// A layer's name, and its weights by name.
type Weights = (String, Vec<(&'static str, Tensor<f64>)>);

/// A network before its fix and after it, with weights that are taken over in the order of the layers.
struct Fixed {
    before: Graph,
    after: Graph,
}

impl Fixed {
    fn of(folder: &str, kind: &str) -> Self {
        let read = |kind: &str| {
            let path = format!("{}/tests/rules/{folder}/{kind}.yaml", env!("CARGO_MANIFEST_DIR"));
            graph(&std::fs::read_to_string(path).expect("a fixture"))
        };
        Self { before: read(&format!("fires{kind}")), after: read(&format!("fixed{kind}")) }
    }

    /// The largest difference between the outputs of both, where `adapt` makes the weights of the second from those of
    /// the first: lists of tensors, one a layer, without the layers that are `gone`.
    fn difference(&self, gone: &[&str], adapt: impl Fn(&mut Vec<Weights>)) -> f64 {
        let image = random_inputs(&self.before, 2, 5).expect("an image");
        let (network, trace) = trace(&self.before, Some(image.clone()));
        let mut layers: Vec<Weights> = Vec::new();
        for (id, node) in self.before.iter().filter(|(_, node)| !node.weights.is_empty()) {
            let tensors = node
                .weights
                .iter()
                .zip(network.weights(id))
                .map(|(declared, tensor)| (declared.name, (**tensor).clone()));
            layers.push((node.id.clone(), tensors.collect()));
        }
        adapt(&mut layers);
        layers.retain(|(id, _)| !gone.contains(&id.as_str()));
        let mut fixed = Network::<f64>::seeded(&self.after, 3, Fill::Generic).expect("weights");
        let owners = self.after.iter().filter(|(_, node)| !node.weights.is_empty());
        let mut given = std::collections::HashMap::new();
        for ((_, node), (_, tensors)) in owners.zip(layers) {
            assert_eq!(node.weights.len(), tensors.len(), "{}", node.id);
            given.extend(tensors.into_iter().map(|(name, tensor)| (format!("{}.{name}", node.id), tensor)));
        }
        fixed.replace(given).expect("the same weights");
        let after = fixed.trace(image, &Reference).expect("runs");
        let pairs = self.before.outputs().iter().zip(self.after.outputs());
        pairs
            .flat_map(|(a, b)| {
                trace.values[a.index()]
                    .data()
                    .iter()
                    .zip(after.values[b.index()].data())
                    .map(|(a, b)| (a - b).abs())
                    .collect::<Vec<_>>()
            })
            .fold(0.0, f64::max)
    }
}

fn of<'t>(tensors: &'t [(&'static str, Tensor<f64>)], name: &str) -> &'t Tensor<f64> {
    &tensors.iter().find(|(known, _)| *known == name).expect("a weight").1
}

#[test]
fn outputs_without_a_repeated_activation_are_bit_identical() {
    assert_eq!(Fixed::of("CK403-repeated-activation", "").difference(&["prelu1"], |_| ()), 0.0);
    assert_eq!(Fixed::of("CK403-repeated-activation", "-in-a-row").difference(&[], |_| ()), 0.0);
}

#[test]
fn without_the_bias_a_moved_mean_gives_the_same_outputs() {
    let fixed = Fixed::of("CK401-bias-before-norm", "");
    let difference = fixed.difference(&[], |layers| {
        for i in 0..layers.len() {
            let (name, tensors) = layers[i].clone();
            if !name.starts_with("conv") && name != "last" {
                continue;
            }
            let bias = of(&tensors, "bias").clone();
            layers[i].1.retain(|(name, _)| *name != "bias");
            // An instance norm measures its mean anew; a batch norm's is kept.
            let mean = layers[i + 1].1.iter_mut().find(|(name, _)| *name == "running_mean");
            if let (true, Some((_, mean))) = (has_kept_mean(&name), mean) {
                mean.data_mut().iter_mut().zip(bias.data()).for_each(|(mean, bias)| *mean -= bias);
            }
        }
    });
    assert!(difference < 1e-12, "{difference}");
}

/// After `conv3` of the fixture follows an instance norm without weights: the next layer with weights is not its norm.
fn has_kept_mean(conv: &str) -> bool {
    conv != "conv3"
}

#[test]
fn one_batch_norm_computes_what_two_do() {
    let fixed = Fixed::of("CK404-repeated-norm", "");
    let difference = fixed.difference(&["batch_norm2"], |layers| {
        let place = |id: &str| layers.iter().position(|(known, _)| known == id).expect("a layer");
        let (first, second) = (place("batch_norm1"), place("batch_norm2"));
        let two = layers[second].1.clone();
        let (scale, shift) = (of(&two, "weight"), of(&two, "bias"));
        let (mean, variance) = (of(&two, "running_mean"), of(&two, "running_var"));
        let slope = |i: usize| scale.data()[i] / (variance.data()[i] + 1e-5).sqrt();
        for (name, tensor) in &mut layers[first].1 {
            for (i, value) in tensor.data_mut().iter_mut().enumerate() {
                match *name {
                    "weight" => *value *= slope(i),
                    "bias" => *value = (*value - mean.data()[i]) * slope(i) + shift.data()[i],
                    _ => {}
                }
            }
        }
    });
    assert!(difference < 1e-12, "{difference}");
}

#[test]
fn a_fix_that_would_be_wrong_somewhere_is_not_offered() {
    for (id, fixture) in [
        ("CK401", "CK401-bias-before-norm/fires-not-everywhere"),
        ("CK403", "CK403-repeated-activation/fires-counted"),
    ] {
        let path = format!("{}/tests/rules/{fixture}.yaml", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).expect("a fixture");
        let outcome = check::network(&load(&text), &Selection::only(id));
        let offered: Vec<bool> = outcome.findings.iter().map(|finding| finding.fix.is_some()).collect();
        assert_eq!(offered, [false], "{fixture}");
    }
}

/// Returns how many input positions have a gradient if only `unit` of the output is seeded.
fn positions_read(graph: &Graph, unit: &[usize]) -> usize {
    let (network, trace) = trace(graph, None);
    let output = graph.outputs()[0];
    let value = &trace.values[output.index()];
    let plane: usize = value.sizes()[2..].iter().product();
    let place = unit.iter().zip(&value.sizes()[2..]).fold(0, |place, (&u, &size)| place * size + u);
    let seed =
        Tensor::from_fn(
            value.sizes(),
            |i| if i < value.image_len() && i % plane == place { 1.0 } else { 0.0 },
        );
    let gradients = network.backward(&trace, vec![(output, seed)], false).expect("gradients");
    let gradient = gradients.nodes[0].as_ref().expect("a gradient");
    let positions: usize = gradient.sizes()[2..].iter().product();
    let image = gradient.image(0);
    (0..positions).filter(|&p| image.iter().skip(p).step_by(positions).any(|&g| g != 0.0)).count()
}

#[test]
fn holes_are_those_of_the_running_network() {
    for (rates, kernel) in [(vec![1u64, 2, 9], 3u64), (vec![2, 2, 3], 3), (vec![1, 6], 5)] {
        let layer = |rate: &u64| {
            format!("  - conv: {{out_channels: 2, kernel: {kernel}, dilation: {rate}, padding: same}}")
        };
        let layers = rates.iter().map(layer).collect::<Vec<_>>().join("\n");
        let text = format!("input: [2, 61, 61]\nlayers:\n{layers}");
        let read = positions_read(&graph(&text), &[30, 30]);
        let size: u64 = 1 + (kernel - 1) * rates.iter().sum::<u64>();
        let side = (read as f64).sqrt().round() as u64;
        assert_eq!(side * side, read as u64, "a product of two axes");
        let chain = messages("CK303", &text);
        assert!(
            chain[0].contains(&format!("leave {} of {size} positions unread", size - side)),
            "{chain:?} {side}"
        );
        let support = messages("CK304", &text);
        let holes = cnnkit::number::grouped(size * size - read as u64);
        assert!(
            support[0].contains(&format!("does not read {holes} of the {size}x{size}")),
            "{support:?} {holes}"
        );
    }
}

#[test]
fn taps_on_the_map_are_counted_one_by_one() {
    for (map, rate) in [(28u64, 12u64), (28, 36), (17, 7), (33, 24)] {
        let text = format!(
            "input: [2, {map}, {map}]\nlayers:\n  - branches:\n      - [conv: {{out_channels: 2, kernel: 3, dilation: {rate}, padding: same}}]\n      - [conv: {{out_channels: 2, kernel: 3, dilation: 2, padding: same}}]\n"
        );
        let inside = |u: u64, t: u64| (0..map as i64).contains(&(u as i64 + (t as i64 - 1) * rate as i64));
        let (mut full, mut single, mut taps) = (0u64, 0u64, 0u64);
        for y in 0..map {
            for x in 0..map {
                let on = (0..9).filter(|t| inside(y, t / 3) && inside(x, t % 3)).count() as u64;
                full += u64::from(on == 9);
                single += u64::from(on == 1);
                taps += on;
            }
        }
        let share = |part: u64, whole: u64| cnnkit::number::share(part as f64 / whole as f64);
        let all = map * map;
        if (full as f64) < 0.05 * all as f64 {
            let found = messages("CK306", &text);
            let seen = if full == 0 {
                "no position uses".into()
            } else {
                format!("{} of the positions use", share(full, all))
            };
            let wasted = share(9 * all - taps, 9 * all);
            assert!(
                found[0].contains(&format!("{seen} all taps, and {wasted} of all taps")),
                "{found:?} {seen} {wasted}"
            );
        }
        let found = messages("CK305", &text);
        assert_eq!(!found.is_empty(), single as f64 > 0.5 * all as f64, "{found:?}");
        if let Some(found) = found.first() {
            assert!(
                found.contains(&format!("{} of the positions use a single tap", share(single, all))),
                "{found}"
            );
        }
    }
}

#[test]
fn groups_that_are_called_isolated_share_no_input_channel() {
    let text = "input: [16, 8, 8]\nlayers:\n  - conv: {out_channels: 16, kernel: 3, groups: 4}\n  - relu\n  - conv: {out_channels: 32, kernel: 3, groups: 8}\n";
    let graph = graph(text);
    let (network, trace) = trace(&graph, None);
    let output = &trace.values[graph.outputs()[0].index()];
    let plane: usize = output.sizes()[2..].iter().product();
    // The input channels that each output channel reads.
    let reads = |channel: usize| -> Vec<usize> {
        let seed = Tensor::from_fn(output.sizes(), |i| if i / plane % 32 == channel { 1.0 } else { 0.0 });
        let gradients = network.backward(&trace, vec![(graph.outputs()[0], seed)], false).expect("gradients");
        let gradient = gradients.nodes[0].as_ref().expect("a gradient");
        let pixels: usize = gradient.sizes()[2..].iter().product();
        (0..16)
            .filter(|c| gradient.image(0)[c * pixels..(c + 1) * pixels].iter().any(|&g| g != 0.0))
            .collect()
    };
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for read in (0..32).map(reads) {
        let (mut joined, apart): (Vec<_>, Vec<_>) =
            groups.into_iter().partition(|group| group.iter().any(|c| read.contains(c)));
        joined.push(read);
        let mut union = joined.concat();
        union.sort_unstable();
        union.dedup();
        groups = apart;
        groups.push(union);
    }
    assert_eq!(
        messages("CK503", text),
        [format!("`conv1` and `conv2` keep {} groups of channels isolated", groups.len())]
    );
}

#[test]
fn what_leads_to_an_unused_layer_is_what_goes_with_it() {
    let stem = "input: [3, 16, 16]\nlayers:\n  - {id: stem, conv: {out_channels: 8, kernel: 3}}\n";
    let end = "  - {conv: {out_channels: 4, kernel: 3}, from: stem}\n";
    let dead = "  - conv: {out_channels: 4, kernel: 1}\n  - relu\n  - {id: aux, conv: {out_channels: 2, kernel: 1}}\n";
    let params = |text: String| totals::of_graph(&graph(&text)).params;
    let saved = params(format!("{stem}{dead}{end}")) - params(format!("{stem}{end}"));
    let found = messages("CK405", &format!("{stem}{dead}{end}"));
    assert_eq!(found.len(), 1);
    assert!(
        found[0].contains("2 layers lead only here") && found[0].contains(&format!("({saved} parameters)")),
        "{found:?}"
    );
}

#[test]
fn an_even_kernel_moves_the_centre_by_half_a_position() {
    for (padding, kernel, expected) in [("same", 4, 0.5), ("same_lower", 2, -0.5), ("same", 3, 0.0)] {
        let text = format!(
            "input: [1, 16, 16]\nlayers:\n  - conv: {{out_channels: 1, kernel: {kernel}, padding: {padding}, bias: false}}\n"
        );
        let graph = graph(&text);
        let network = Network::<f64>::filled(&graph, |_, _| || 1.0).expect("weights");
        let mut image = Tensor::<f64>::zeros(&[1, 1, 16, 16]);
        image.data_mut()[8 * 16 + 8] = 1.0;
        let trace = network.trace(vec![image], &Reference).expect("runs");
        let answer = trace.values[1].data();
        let mass: f64 = answer.iter().sum();
        let row: f64 =
            answer.iter().enumerate().map(|(i, value)| (i / 16) as f64 * value).sum::<f64>() / mass;
        // The answer to a point is where the outputs are that read it: against the shift.
        assert_eq!(8.0 - row, expected, "{text}");
        assert_eq!(messages("CK206", &text).is_empty(), expected == 0.0, "{text}");
    }
}
