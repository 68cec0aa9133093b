//! Whole networks: what is allocated, freed and computed, and gradients through merges and shared weights.

use cnnkit::analysis::memory;
use cnnkit::exec::network::{Fill, Network, random_inputs};
use cnnkit::exec::reference::Counter;
use cnnkit::exec::run::Reference;
use cnnkit::exec::scalar::{Exact, Scalar as _};
use cnnkit::exec::tensor::Tensor;
use cnnkit::formats::arrays;
use cnnkit::graph::{Builder, Graph, NodeId};
use cnnkit::shape::Shape;
use cnnkit::source::Origin;

use super::build;

/// Two inputs, a convolution used twice, a residual, a gate, a branch that is an output too.
fn network() -> Graph {
    let mut builder = Builder::new();
    let origin = Origin::default;
    let a = builder.input("a", Shape::new([3, 8, 8]), origin());
    let b = builder.input("b", Shape::new([3, 8, 8]), origin());
    let conv = build("conv", "{out_channels: 4, kernel: 3, padding: 1}");
    let first = builder.layer("first", conv.clone(), vec![a], None, origin());
    let second = builder.layer("second", conv, vec![b], Some(first), origin());
    let norm = builder.layer("norm", build("batch_norm", "{}"), vec![second], None, origin());
    let sum = builder.layer("sum", build("add", "{}"), vec![first, norm], None, origin());
    let gate = builder.layer("gate", build("squeeze_excite", "{squeeze: 2}"), vec![sum], None, origin());
    let act = builder.layer("act", build("silu", "{}"), vec![gate], None, origin());
    let join = builder.layer("join", build("concat", "{}"), vec![act, first], None, origin());
    let pool = builder.layer("pool", build("global_avg_pool", "{}"), vec![join], None, origin());
    let head = builder.layer("head", build("linear", "{out_features: 5}"), vec![pool], None, origin());
    builder.finish("test", vec![head, act]).expect("a valid network")
}

#[test]
fn a_network_allocates_computes_and_frees_what_is_predicted() {
    let graph = network();
    let network = Network::<f32>::seeded(&graph, 3, Fill::Declared).expect("small");
    let declared: u64 = graph
        .nodes()
        .iter()
        .filter(|node| node.shares.is_none())
        .flat_map(|node| &node.weights)
        .map(|weight| weight.shape.elements().expect("small"))
        .sum();
    assert_eq!(network.elements(), declared);
    let inputs = random_inputs(&graph, 2, 3).expect("small");
    let run = network.run(inputs, &Reference, |_| ()).expect("it runs");
    let peak = memory::peak(&graph).expect("small");
    assert_eq!(run.peak, 2 * 4 * peak.elements, "bytes of two images in f32");
    let done: u64 = run.steps.iter().map(|step| step.counter.total()).sum();
    assert_eq!(done, 2 * graph.nodes().iter().map(|node| node.cost.macs).sum::<u64>());
    assert_eq!(run.outputs[0].sizes(), [2, 5]);
    assert_eq!(run.outputs[1].sizes(), [2, 4, 8, 8]);
}

#[test]
fn the_same_seed_makes_the_same_numbers() {
    let graph = network();
    let output = |seed| {
        let network = Network::<f32>::seeded(&graph, seed, Fill::Declared).expect("small");
        network
            .run(random_inputs(&graph, 1, seed).expect("small"), &Reference, |_| ())
            .expect("it runs")
            .outputs
    };
    assert_eq!(output(1), output(1));
    assert_ne!(output(1), output(2));
    // Fixed for all machines: a change here changes everybody's results.
    let weights = Network::<f64>::seeded(&graph, 0, Fill::Declared).expect("small");
    let (name, _, weight, tensor) = weights.named().next().expect("a weight");
    assert_eq!((name.as_str(), weight.name), ("first.weight", "weight"));
    assert!(tensor.data().iter().all(|value| value.abs() <= 1.0 / 27f64.sqrt()));
    let single = Network::<f32>::seeded(&graph, 0, Fill::Declared).expect("small");
    assert_eq!(single.named().next().expect("a weight").3.as_ref(), &tensor.cast::<f32>());
}

#[test]
fn gradients_through_a_network_are_those_of_differences() {
    let graph = network();
    let network = Network::<f64>::seeded(&graph, 5, Fill::Generic).expect("small");
    let inputs: Vec<Tensor<f64>> = random_inputs(&graph, 1, 5).expect("small");
    let trace = network.trace(inputs.clone(), &Reference).expect("it runs");
    let vector = |id: NodeId| {
        let mut stream = cnnkit::exec::random::Stream::new(9, &graph.node(id).id);
        Tensor::from_fn(trace.values[id.index()].sizes(), |_| stream.normal())
    };
    let seeds: Vec<(NodeId, Tensor<f64>)> = graph.outputs().iter().map(|&id| (id, vector(id))).collect();
    let gradients = network.backward(&trace, seeds.clone(), false).expect("it is differentiable");
    let loss = |network: &Network<'_, f64>, inputs: &[Tensor<f64>]| -> f64 {
        let run = network.run(inputs.to_vec(), &Reference, |_| ()).expect("it runs");
        let products = run.outputs.iter().zip(&seeds).map(|(output, (_, vector))| {
            output.data().iter().zip(vector.data()).map(|(a, b)| a * b).sum::<f64>()
        });
        products.sum()
    };
    let close = |found: f64, plus: f64, minus: f64, what: &str| {
        let expected = (plus - minus) / 2e-5;
        assert!((found - expected).abs() < 1e-6 * expected.abs().max(1.0), "{what}: {found} and {expected}");
    };
    for (i, (id, node)) in graph.inputs().enumerate() {
        let gradient = gradients.nodes[id.index()].as_ref().expect("the input matters");
        for element in (0..gradient.len()).step_by(17) {
            let moved = |step: f64| {
                let mut inputs = inputs.clone();
                inputs[i].data_mut()[element] += step;
                loss(&network, &inputs)
            };
            close(gradient.data()[element], moved(1e-5), moved(-1e-5), &node.id);
        }
    }
    // The shared convolution is reached from both its uses.
    let named: std::collections::HashMap<String, Tensor<f64>> =
        network.named().map(|(name, _, _, tensor)| (name, tensor.as_ref().clone())).collect();
    let first = graph.find("first").expect("a node");
    let gradient = &gradients.weights[first.index()].as_ref().expect("used")[0];
    for element in (0..gradient.len()).step_by(11) {
        let moved = |step: f64| {
            let mut named = named.clone();
            named.get_mut("first.weight").expect("a weight").data_mut()[element] += step;
            let mut network = network.clone();
            network.replace(named).expect("the same weights");
            loss(&network, &inputs)
        };
        close(gradient.data()[element], moved(1e-5), moved(-1e-5), "first.weight");
    }
}

#[test]
fn an_impulse_counts_paths_in_exact_integers() {
    // [2, 2, 2] reads 7 of 13 positions per axis, with the multiplicities of (1 + x^2 + x^4)^3.
    let mut builder = Builder::new();
    let mut last = builder.input("x", Shape::new([1, 25]), Origin::default());
    for i in 0..3 {
        let conv = build("conv", "{out_channels: 1, kernel: 3, dilation: 2, padding: 2, bias: false}");
        last = builder.layer(&format!("conv{i}"), conv, vec![last], None, Origin::default());
    }
    let graph = builder.finish("stack", vec![last]).expect("valid");
    let network = Network::<Exact>::filled(&graph, |_, _| || Exact::ONE).expect("small");
    let impulse = Tensor::from_fn(&[1, 1, 25], |i| if i == 12 { Exact::ONE } else { Exact::ZERO });
    let run = network.run(vec![impulse], &Reference, |_| ()).expect("it runs");
    let counts: Vec<i128> =
        run.outputs[0].data()[6..19].iter().map(|value| value.value().expect("exact")).collect();
    assert_eq!(counts, [1, 0, 3, 0, 6, 0, 7, 0, 6, 0, 3, 0, 1]);
}

#[test]
fn what_has_no_exact_value_is_an_error() {
    let mut builder = Builder::new();
    let input = builder.input("x", Shape::new([2]), Origin::default());
    let node = builder.layer("s", build("sigmoid", "{}"), vec![input], None, Origin::default());
    let graph = builder.finish("net", vec![node]).expect("valid");
    let network = Network::<Exact>::filled(&graph, |_, _| || Exact::ONE).expect("small");
    let error = network.run(vec![Tensor::zeros(&[1, 2])], &Reference, |_| ()).expect_err("not exact");
    assert!(error.message.contains("not supported: `s` (sigmoid)"), "{error}");
    let error = network.run(vec![Tensor::zeros(&[1, 3])], &Reference, |_| ()).expect_err("wrong size");
    assert_eq!(error.message, "the input `x` is [batch, 2], the tensor is [1, 3]");
    assert_eq!(Counter::default().total(), 0);
}

#[test]
fn weights_survive_both_file_formats() {
    let graph = network();
    let network = Network::<f32>::seeded(&graph, 3, Fill::Generic).expect("small");
    for extension in ["npz", "safetensors"] {
        let path = std::env::temp_dir().join(format!("cnnkit-weights-{}.{extension}", std::process::id()));
        let path = path.to_str().expect("a plain path");
        let named = network.named().map(|(name, _, _, tensor)| (name, tensor.as_ref()));
        arrays::write_weights(path, named).expect("written");
        let mut other = Network::<f32>::seeded(&graph, 4, Fill::Declared).expect("small");
        let wanted = network.named().map(|(name, _, _, tensor)| (name, tensor.sizes().to_vec())).collect();
        other.replace(arrays::read_wanted(path, &wanted).expect("read")).expect("they fit");
        std::fs::remove_file(path).expect("removed");
        assert!(network.named().zip(other.named()).all(|(a, b)| a.3 == b.3), "{extension}");
        let mut fewer = files_without(&other, "head.bias");
        let error = other.replace(fewer.clone()).expect_err("one is missing");
        assert_eq!(error.message, "the weights do not fit: `head.bias` [5] is missing");
        fewer.insert("head.bais".into(), Tensor::zeros(&[5]));
        let error = other.replace(fewer).expect_err("misspelt");
        assert_eq!(error.help.as_deref(), Some("did you mean `head.bias`?"));
    }
    assert!(arrays::read_weights("weights.bin").is_err());
}

/// Half precision is exact in f32: the bits of 1.5, of the smallest and of the largest number of each format.
#[test]
fn half_precision_in_safetensors_is_read_exactly() {
    let file = |types: &[(&str, &str)], data: &[u16]| {
        let tensor = |(at, (name, dtype)): (usize, &(&str, &str))| {
            format!(
                r#""{name}":{{"dtype":"{dtype}","shape":[3],"data_offsets":[{},{}]}}"#,
                6 * at,
                6 * at + 6
            )
        };
        let header: Vec<String> = types.iter().enumerate().map(tensor).collect();
        let header = format!("{{{}}}", header.join(","));
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(data.iter().flat_map(|bits| bits.to_le_bytes()));
        let path = std::env::temp_dir().join(format!("cnnkit-half-{}.safetensors", std::process::id()));
        std::fs::write(&path, bytes).expect("written");
        let read = arrays::read_weights(path.to_str().expect("a plain path"));
        std::fs::remove_file(path).expect("removed");
        read
    };
    let bits = [0x3e00, 0x0001, 0x7bff, 0x3fc0, 0x0001, 0x7f7f];
    let read = file(&[("half", "F16"), ("brain", "BF16")], &bits).expect("read");
    assert_eq!(read["half"].data(), [1.5, 2.0f32.powi(-24), 65504.0]);
    assert_eq!(read["brain"].data(), [1.5, f32::from_bits(1 << 16), f32::from_bits(0x7f7f_0000)]);
    let error = file(&[("whole", "I16")], &bits[..3]).expect_err("integers");
    assert!(error.message.contains("`whole`") && error.message.contains("I16"), "{error}");
    assert_eq!(error.help.as_deref(), Some("the elements must be F16, BF16, F32 or F64"));
}

fn files_without(
    network: &Network<'_, f32>,
    left_out: &str,
) -> std::collections::HashMap<String, Tensor<f32>> {
    let named = network.named().filter(|(name, ..)| name != left_out);
    named.map(|(name, _, _, tensor)| (name, tensor.as_ref().clone())).collect()
}
