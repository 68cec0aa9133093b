//! Training memory and work: what PyTorch's autograd keeps, to the byte, and the FLOPs of its backward pass
//! (`data/training`, measured by `measure.py`); the peak against a plain simulation.

use std::collections::BTreeMap;

use cnnkit::analysis::memory::Dtype;
use cnnkit::analysis::training::optimizer::Optimizer;
use cnnkit::analysis::training::{Training, backward_macs, kept, largest_batch, peak};
use cnnkit::graph::{Graph, Node, Op};
use cnnkit::layers::Layer;
use cnnkit::layers::args::Groups;
use serde::Deserialize;

use super::support::network::{network, zoo};

#[derive(Deserialize)]
struct Measured {
    batch: BTreeMap<u64, Step>,
}

#[derive(Debug, Deserialize)]
struct Step {
    kept: u64,
    stochastic_depth: u64,
    backward_flops: u64,
}

fn measured() -> BTreeMap<String, Measured> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/training/torch.json");
    let text = std::fs::read_to_string(path).expect("the file is there");
    let mut found: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).expect("JSON");
    found.remove("_about");
    serde_json::from_value(found.into()).expect("the form of measure.py")
}

#[test]
fn kept_bytes_are_those_of_pytorch_on_27_networks() {
    let mut networks = 0;
    for (name, measured) in measured().iter().filter(|(name, _)| !name.contains(" frozen ")) {
        let graph = zoo(name);
        networks += 1;
        for (&batch, step) in &measured.batch {
            let training = Training { batch, ..Training::default() };
            let kept = kept(&graph, &training);
            // The zoo's specs have no stochastic depth, which keeps one number for each image and block.
            assert_eq!(kept.torch, step.kept - step.stochastic_depth, "{name}, batch {batch}");
        }
    }
    assert_eq!(networks, 27);
}

/// Whether PyTorch's counter is right about the network: for a convolution in groups, `FlopCounterMode` counts the
/// gradient of the weight as if there were none (`conv_backward_flop`). `programs.py` corrects that.
fn counted_right(graph: &Graph) -> bool {
    let grouped =
        |node: &Node| matches!(&node.op, Op::Layer(Layer::Conv(conv)) if conv.groups != Groups::Number(1));
    !graph.nodes().iter().any(grouped)
}

#[test]
fn backward_macs_are_those_of_pytorch() {
    let mut compared = 0;
    for (name, measured) in &measured() {
        let (network, frozen) = name.split_once(" frozen ").unwrap_or((name, ""));
        let graph = zoo(network);
        if !counted_right(&graph) {
            continue;
        }
        compared += 1;
        for (&batch, step) in &measured.batch {
            let training = Training { batch, frozen: parts(network, frozen), ..Training::default() };
            let kept = kept(&graph, &training);
            let macs: u64 = backward_macs(&graph, &training, &kept).iter().sum();
            assert_eq!(2 * macs, step.backward_flops, "{name}, batch {batch}");
        }
    }
    assert!(compared >= 20, "{compared} networks without groups");
}

#[test]
fn kept_bytes_are_those_of_pytorch_with_frozen_parts() {
    let mut cases = 0;
    for (name, measured) in &measured() {
        let Some((network, frozen)) = name.split_once(" frozen ") else { continue };
        let graph = zoo(network);
        let training = Training { batch: 2, frozen: parts(network, frozen), ..Training::default() };
        training.check(&graph).unwrap_or_else(|problem| panic!("{name}: {}", problem.message));
        assert_eq!(kept(&graph, &training).torch, measured.batch[&2].kept, "{name}");
        cases += 1;
    }
    assert_eq!(cases, 5);
}

#[test]
fn programs_keep_and_multiply_what_pytorch_does() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/training/");
    let text = std::fs::read_to_string(format!("{folder}programs.json")).expect("the file is there");
    let mut found: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).expect("JSON");
    found.remove("_about");
    let measured: BTreeMap<String, Measured> =
        serde_json::from_value(found.into()).expect("the form of programs.py");
    let file = std::fs::File::open(format!("{folder}programs.zip")).expect("the file is there");
    let mut archive = zip::ZipArchive::new(file).expect("an archive");
    let target = super::support::program::temporary("training_programs");
    std::fs::create_dir_all(&target).expect("a folder");
    let (mut networks, mut wrong) = (0, Vec::new());
    for (name, measured) in &measured {
        let path = target.join(format!("{name}.pt2"));
        let mut entry = archive.by_name(&format!("{name}.pt2")).expect("a program");
        std::io::copy(&mut entry, &mut std::fs::File::create(&path).expect("a file")).expect("it is written");
        let loader = cnnkit::Loader::new();
        let graph = loader.load(&path.to_string_lossy()).unwrap_or_else(|e| panic!("{name}: {e}")).graph;
        networks += 1;
        for (&batch, step) in &measured.batch {
            let training = Training { batch, ..Training::default() };
            let kept = kept(&graph, &training);
            let macs: u64 = backward_macs(&graph, &training, &kept).iter().sum();
            if (kept.torch, 2 * macs) != (step.kept, step.backward_flops) {
                wrong.push(format!(
                    "{name}, batch {batch}: {} and {}, measured {step:?}",
                    kept.torch,
                    2 * macs
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(networks >= 30, "{networks} programs");
}

#[test]
fn a_drop_path_keeps_a_number_per_image() {
    let of = |layer: &str| {
        let graph = network(&format!(
            "input: [4, 8, 8]\nlayers:\n  - conv: {{out_channels: 4, kernel: 1}}\n  - {layer}\n"
        ));
        kept(&graph, &Training { batch: 3, ..Training::default() }).torch - 3 * 4 * 4 * 64
    };
    assert_eq!(of("dropout: {p: 0.1}"), 3 * 4 * 4 * 64);
    assert_eq!(of("Dropout2d: {p: 0.1}"), 3 * 4 * 4);
    assert_eq!(of("drop_path: {p: 0.1}"), 3 * 4);
    assert_eq!(of("stochastic_depth: {p: 0.1}"), 3 * 4);
    assert_eq!(of("dropout: {p: 0.1, mask: image}"), 3 * 4);
    assert_eq!(of("drop_path: {p: 0.1, mask: element}"), 3 * 4 * 4 * 64, "what is written counts");
}

/// The ids in the zoo of parts that torchvision names.
fn parts(network: &str, frozen: &str) -> Vec<String> {
    let ids: &[(&str, &str)] = match network {
        "resnet50" => {
            &[("conv1", "stem1"), ("bn1", ""), ("layer1", "stage1"), ("layer4", "stage4"), ("fc", "linear1")]
        }
        _ => &[("features.0", "stem"), ("features.3", "bneck3"), ("classifier.3", "linear2")],
    };
    let named = frozen.split(',').filter(|part| !part.is_empty()).filter_map(|part| {
        let id = ids.iter().find(|(theirs, _)| *theirs == part).map(|(_, ours)| *ours);
        Some(id.unwrap_or_else(|| panic!("{part} has no id"))).filter(|id| !id.is_empty())
    });
    named.map(str::to_owned).collect()
}

#[test]
fn the_peak_never_exceeds_the_sum_of_its_parts() {
    for name in ["resnet50", "densenet121", "mobilenet_v2", "unet", "googlenet"] {
        let graph = zoo(name);
        for batch in [1, 7] {
            let training = Training { batch, ..Training::default() };
            let (kept, peak) = (kept(&graph, &training), peak::of(&graph, &training));
            let fixed = training.fixed(&graph);
            let total = fixed.total() + kept.torch + peak.temporary;
            assert!(peak.bytes <= total, "{name}: {} > {total}", peak.bytes);
            assert!(
                peak.bytes >= fixed.total() - fixed.gradients + kept.torch,
                "{name}: everything kept is alive at once"
            );
        }
    }
}

#[test]
fn the_peak_of_a_chain_by_hand() {
    let graph = network(
        "input: [4, 8, 8]\nlayers:\n  - conv: {out_channels: 2, kernel: 1, bias: false}\n  - relu\n  - conv: {out_channels: 6, kernel: 1, bias: false}\n",
    );
    let training = Training { optimizer: Optimizer::Sgd, ..Training::default() };
    let map = |channels: u64| channels * 64 * 4;
    let kept = kept(&graph, &training);
    // The input for the first convolution, the ReLU's output for itself and for the second convolution.
    assert_eq!(kept.torch, map(4) + map(2));
    assert_eq!(kept.cnnkit, map(4) + map(2) + map(2), "our ReLU reads its input");
    let peak = peak::of(&graph, &training);
    let weights = 4 * (4 * 2 + 2 * 6);
    // At the backward step of the last convolution: parameters, what is kept, the output, which the caller has; the
    // gradients of output, input and weight.
    assert_eq!(peak.bytes, weights + map(4) + map(2) + map(6) + map(6) + map(2) + 4 * 2 * 6);
    assert!(peak.backward);
}

#[test]
fn the_largest_batch_fits_and_the_next_does_not() {
    let graph = zoo("mobilenet_v2");
    for (dtype, optimizer) in [(Dtype::F32, Optimizer::Adamw), (Dtype::Bf16, Optimizer::Sgd)] {
        let training = Training { dtype, optimizer, ..Training::default() };
        for memory in [1 << 28, 1 << 30, 3 << 30] {
            let (batch, bytes) = largest_batch(&graph, &training, memory).expect("one image fits");
            let of = |batch: u64| peak::of(&graph, &Training { batch, ..training.clone() }).bytes;
            assert_eq!(of(batch), bytes);
            assert!(bytes <= memory && of(batch + 1) > memory, "{batch} images in {memory} bytes");
        }
        assert!(largest_batch(&graph, &training, 1000).is_none());
    }
}

#[test]
fn optimiser_states_are_those_of_their_libraries() {
    let graph = zoo("resnet18");
    let states = |optimizer: Optimizer| Training { optimizer, ..Training::default() }.fixed(&graph).optimizer;
    let parameters = 11_689_512;
    assert_eq!(states(Optimizer::Sgd), 0);
    assert_eq!(states(Optimizer::Momentum), 4 * parameters);
    assert_eq!(states(Optimizer::Adamw), 8 * parameters);
    // 64 x 64 x 3 x 3: two matrices of statistics for each pair of channels, 3 rows and 3 columns.
    let one = network("input: [64, 8, 8]\nlayers:\n  - conv: {out_channels: 64, kernel: 3, bias: false}\n");
    let fixed = |optimizer| Training { optimizer, ..Training::default() }.fixed(&one).optimizer;
    assert_eq!(fixed(Optimizer::Adafactor), 4 * 64 * 64 * (3 + 3));
    assert_eq!(fixed(Optimizer::Adam8bit), 2 * (36_864 + 4 * 144));
    let master = Training { dtype: Dtype::Bf16, ..Training::default() }.fixed(&one);
    assert_eq!((master.parameters, master.gradients, master.master), (73_728, 73_728, 147_456));
}
