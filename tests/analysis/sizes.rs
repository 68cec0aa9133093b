//! Input sizes against torchvision's published minima, the U-Net paper's rule, reports of users, and trying
//! every size.

use cnnkit::analysis::sizes::{AxisSizes, Fixed, Trial as _, analyse};
use cnnkit::disk::Disk;
use cnnkit::graph::Graph;
use cnnkit::resized::Spec;
use cnnkit::spec::files::{Files, Text};
use cnnkit::spec::{self, Overrides};

fn zoo(name: &str) -> (Box<dyn Files>, String) {
    let path = format!("{}/specs/zoo/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
    (Box::new(Disk::of(&path)), path)
}

fn text(yaml: &str) -> (Box<dyn Files>, String) {
    (Box::new(Text { name: "test".into(), bytes: yaml.into() }), "test".into())
}

type Source = (Box<dyn Files>, String);

fn sizes((files, path): &Source, overrides: &Overrides) -> Vec<AxisSizes> {
    let (document, _) = spec::read(files.as_ref(), path, overrides).expect("a spec");
    let trial = Spec::new(&document, overrides).unwrap_or_else(|errors| panic!("{path}: {errors:?}"));
    analyse(&trial).unwrap_or_else(|error| panic!("{path}: {error:?}"))
}

fn plain(yaml: &str) -> Vec<AxisSizes> {
    sizes(&text(yaml), &Overrides::default())
}

#[test]
fn smallest_sizes_are_torchvisions() {
    // `min_size` of the weights' metadata, torchvision 0.20 models/*.py. It is where the authors stop promising a sensible
    // result, which for networks that halve five times with padding is 1 for us and 1 for them (resnet18).
    for (name, smallest) in
        [("alexnet", 63), ("inception_v3", 75), ("densenet121", 29), ("resnet18", 1), ("squeezenet1_1", 17)]
    {
        for axis in sizes(&zoo(name), &Overrides::default()) {
            assert_eq!(axis.works.smallest, Some(smallest), "{name}");
        }
    }
}

#[test]
fn the_unpadded_unet_takes_only_sizes_of_12_modulo_16() {
    // Ronneberger et al. 2015, section 2: the tile size must make every input of a 2x2 pooling even; 572 does.
    for axis in sizes(&zoo("unet"), &Overrides::default()) {
        assert_eq!((axis.works.smallest, axis.works.modulus), (Some(188), 16));
        assert_eq!(axis.works.residues, [12]);
        assert!(axis.lossless.contains(572) && !axis.works.contains(570));
        assert_eq!(axis.works.around(500), (Some(492), Some(508)));
    }
}

#[test]
fn a_padded_unet_wants_multiples_of_16() {
    let overrides = Overrides {
        variables: vec![("padding".into(), "1".into())],
        inputs: vec![(String::new(), vec![1, 256, 256])],
    };
    for axis in sizes(&zoo("unet"), &overrides) {
        assert_eq!((axis.works.smallest, axis.works.modulus), (Some(16), 16));
        assert_eq!(axis.works.residues, [0]);
    }
}

#[test]
fn resnet_runs_at_any_size_and_divides_multiples_of_32() {
    for axis in sizes(&zoo("resnet50"), &Overrides::default()) {
        assert_eq!((axis.works.smallest, axis.works.modulus), (Some(1), 1));
        assert_eq!((axis.lossless.modulus, axis.lossless.residues.as_slice()), (32, [0].as_slice()));
    }
}

#[test]
fn a_linear_layer_behind_a_flatten_fixes_the_size() {
    let axes = plain(
        "{input: [3, 8, 8], layers: [conv: {out_channels: 4, kernel: 3}, flatten, linear: {out_features: 2}]}",
    );
    assert_eq!(axes.len(), 2);
    for axis in axes {
        assert_eq!(axis.works.finite(), Some([(8, 8)].as_slice()));
    }
}

#[test]
fn a_size_that_a_spec_reads_is_not_frozen() {
    // `$in_size` was kept at the spec's own size: only 1 and 64 worked.
    let yaml = "
input: [3, 64, 64]
blocks:
  head: {layers: [conv: {out_channels: 8, kernel: 3, stride: 2, padding: 1}, upsample: {size: $in_size}]}
layers:
  - {id: x, conv: {out_channels: 8, kernel: 3, padding: 1}}
  - head
  - add: [x, previous]
";
    for axis in plain(yaml) {
        assert_eq!((axis.works.smallest, axis.works.modulus), (Some(1), 1));
    }
    // vision#7955: DeepLabv3 accepts any size. PyTorch runs all of these.
    for axis in sizes(&zoo("deeplabv3_resnet50"), &Overrides::default()) {
        for n in [1, 2, 7, 8, 32, 33, 65, 100, 216, 217, 225, 300, 513] {
            assert!(axis.works.contains(n), "{n}");
        }
        assert_eq!((axis.works.smallest, axis.works.modulus), (Some(1), 1));
    }
}

#[test]
fn a_network_that_does_not_fit_its_own_size_is_answered() {
    // segmentation_models.pytorch#57: 350x525 fails, 320x480 works. H % 32 is 0 or 31.
    let unet = "
input: [3, 350, 525]
layers:
  - repeat: {for: {w: [16, 32, 64, 128, 256]}, body: [{id: e$i, conv: {out_channels: $w, kernel: 3, stride: 2, padding: 1}}]}
  - repeat: {for: {w: [128, 64, 32, 16]}, body: [upsample: {scale_factor: 2}, concat: [previous, \"e${3 - $i}\"], conv: {out_channels: $w, kernel: 3, padding: 1}]}
  - upsample: {scale_factor: 2}
  - conv: {out_channels: 30, kernel: 3, padding: 1}
";
    let axes = plain(unet);
    assert_eq!(axes.len(), 2);
    for (axis, near) in axes.iter().zip([(350, 320, 351), (525, 512, 543)]) {
        assert_eq!((axis.current, axis.works.contains(axis.current)), (near.0, false));
        assert_eq!((axis.works.modulus, axis.works.residues.as_slice()), (32, [0, 31].as_slice()));
        assert_eq!(axis.works.around(near.0), (Some(near.1), Some(near.2)));
    }
    // demucs#53: five levels of kernel 8 and stride 4 without padding; f(n) = 4 (n - 1) + 8, five times: 2388, 3412, ...
    let demucs = "
input: [1, 65536]
layers:
  - repeat:
      for: {w: [48, 96, 192, 384, 768]}
      body: [conv: {out_channels: $w, kernel: 8, stride: 4}, relu, {id: e$i, conv: {out_channels: $w, kernel: 1}}]
  - repeat:
      for: {w: [384, 192, 96, 48, 1]}
      body:
        - add: [previous, \"e${4 - $i}\"]
        - conv_transpose: {out_channels: $w, kernel: 8, stride: 4}
        - relu
";
    let axes = plain(demucs);
    let [axis] = axes.as_slice() else { panic!("{axes:?}") };
    assert_eq!((axis.lossless.modulus, axis.lossless.residues.as_slice()), (1024, [340].as_slice()));
    assert_eq!(axis.works.runs(), [(340, 343)]);
    assert!(axis.lossless.contains(2388) && axis.lossless.contains(3412));
    assert!(axis.works.contains(2391) && !axis.works.contains(2392) && !axis.works.contains(65_536));
    // If no size fits, there is no answer.
    let never = "{input: [3, 9, 9], layers: [{id: a, conv: {out_channels: 4, kernel: 1}}, {id: b, conv: {out_channels: 5, kernel: 1}}, add: [a, b]]}";
    let (files, path) = text(never);
    let (document, _) = spec::read(files.as_ref(), &path, &Overrides::default()).expect("a spec");
    let trial = Spec::new(&document, &Overrides::default()).expect("a flaw of shapes");
    assert!(analyse(&trial).is_err() && trial.flaws().len() == 1);
}

#[test]
fn long_inputs_and_deep_strides_are_within_the_limits() {
    // braindecode#651: the last convolution is as long as 153,856 samples ask for; the time axis works from 153,851 on.
    let eegnet = "
input: [1, 21, 153856]
variables: {final: 4808}
layers:
  - conv: {out_channels: 8, kernel: [1, 64], padding: [0, 32], bias: false}
  - conv: {out_channels: 16, kernel: [21, 1], groups: 8, bias: false}
  - avg_pool: {kernel: [1, 4]}
  - conv: {out_channels: 16, kernel: [1, 16], padding: [0, 8], groups: depthwise, bias: false}
  - conv: {out_channels: 16, kernel: 1, bias: false}
  - avg_pool: {kernel: [1, 8]}
  - conv: {out_channels: 2, kernel: [1, $final]}
";
    let axes = plain(eegnet);
    assert_eq!((axes[1].works.smallest, axes[1].works.modulus), (Some(153_851), 1));
    // Wave-U-Net (Stoller et al. 2018) halves twelve times.
    let wave = "
input: [1, 16384]
layers:
  - repeat: {times: 12, body: [{id: e$i, conv: {out_channels: 4, kernel: 3, padding: 1}}, max_pool: {kernel: 2}]}
  - repeat: {times: 12, body: [upsample: {scale_factor: 2}, concat: [previous, \"e${11 - $i}\"], conv: {out_channels: 4, kernel: 3, padding: 1}]}
";
    let axes = plain(wave);
    assert_eq!((axes[0].works.smallest, axes[0].works.modulus), (Some(4096), 4096));
    assert_eq!(axes[0].works.residues, [0]);
}

#[test]
fn axes_that_must_agree_are_told_together() {
    let transposed = "{input: [3, 24, 24], layers: [{id: a, conv: {out_channels: 3, kernel: 3, padding: 1, stride: 2}}, {id: b, permute: {axes: [0, 2, 1]}}, add: [a, b]]}";
    let axes = plain(transposed);
    let [both] = axes.as_slice() else { panic!("{axes:?}") };
    assert_eq!(both.slots.len(), 2);
    assert_eq!((both.works.smallest, both.works.modulus), (Some(1), 1));
    // Two inputs that are merged, and a separate one.
    let inputs =
        "{input: {left: [3, 16, 20], right: [3, 16, 20], other: [3, 9, 9]}, layers: [concat: [left, right],
        {id: o, conv: {out_channels: 2, kernel: 3}, from: other}], outputs: [concat1, o]}";
    let axes = plain(inputs);
    let shown: Vec<(usize, &str, Option<u64>)> =
        axes.iter().map(|axis| (axis.slots.len(), axis.input.as_str(), axis.works.smallest)).collect();
    let (left, other) = ((2, "left", Some(1)), (1, "other", Some(3)));
    assert_eq!(shown, [left, other, left, other]);
}

/// The counted weights of the network with these input sizes, if it runs.
fn weights(source: &Source, overrides: &Overrides) -> Option<Vec<Vec<u64>>> {
    let graph = spec::load(source.0.as_ref(), &source.1, overrides).ok()?.graph;
    let own = graph.nodes().iter().flat_map(|node| node.own_weights().map(|(_, weight)| weight));
    Some(own.map(|weight| weight.shape.sizes().to_vec()).collect())
}

/// The sets agree with building the network at every size.
fn brute_force(name: &str, source: &Source, sizes_of: &dyn Fn(&AxisSizes) -> Vec<u64>) {
    let own = weights(source, &Overrides::default());
    let (document, _) = spec::read(source.0.as_ref(), &source.1, &Overrides::default()).expect("a spec");
    let trial = Spec::new(&document, &Overrides::default()).expect("a network");
    let axes = analyse(&trial).unwrap_or_else(|error| panic!("{name}: {error:?}"));
    for axis in &axes {
        for n in sizes_of(axis) {
            let mut inputs: Vec<(String, Vec<u64>)> =
                trial.inputs().iter().map(|(name, shape)| (name.clone(), shape.sizes().to_vec())).collect();
            for slot in &axis.slots {
                inputs[slot.input].1[slot.axis + 1] = n;
            }
            let found = weights(source, &Overrides { variables: vec![], inputs });
            let runs = found.is_some() && (own.is_none() || found == own);
            assert_eq!(runs, axis.works.contains(n), "{name}: {:?} size {n}: {axis:?}", axis.slots);
        }
    }
}

/// Networks of every kind that are built quickly: each size is a network built anew. `CNNKIT_NETWORKS` set to any
/// number takes the whole zoo.
const QUICK: [&str; 8] = [
    "unet",
    "deeplabv3_resnet50",
    "googlenet",
    "alexnet",
    "tcn",
    "shufflenet_v2_x1_0",
    "squeezenet1_1",
    "resnet18",
];

#[test]
fn the_sets_are_what_trial_finds_on_networks_of_the_zoo() {
    let all = std::env::var_os("CNNKIT_NETWORKS").is_some();
    for (folder, name) in cnnkit::zoo::Zoo::names() {
        if folder != "zoo" || !(all || QUICK.contains(&name)) {
            continue;
        }
        let near = |axis: &AxisSizes| {
            let around = axis.current.saturating_sub(3).max(1)..axis.current + 4;
            let edge = axis.works.from.saturating_sub(2).max(1)..axis.works.from + 3;
            (1..8).chain((13..700).step_by(97)).chain(around).chain(edge).collect()
        };
        brute_force(name, &zoo(name), &near);
    }
}

/// A random number below `limit` (SplitMix64).
fn random(state: &mut u64, limit: u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)) % limit
}

/// A random encoder and decoder, with skips, resizes to sizes that the spec reads, and sometimes a classifier.
fn random_network(seed: u64) -> String {
    let mut state = seed;
    let mut pick = |limit: u64| random(&mut state, limit);
    let mut layers = String::new();
    let levels = 1 + pick(3);
    for level in 0..levels {
        let (kernel, stride, padding) = (1 + pick(5), 1 + pick(3), pick(3));
        let padding = padding.min(kernel / 2);
        layers += &format!(
            "  - {{id: e{level}, conv: {{out_channels: 4, kernel: {kernel}, padding: {padding}}}}}\n"
        );
        layers += &match pick(4) {
            0 => format!("  - max_pool: {{kernel: {stride}, ceil_mode: true}}\n"),
            1 => {
                format!("  - conv: {{out_channels: 4, kernel: {kernel}, stride: {stride}, padding: same}}\n")
            }
            2 => format!("  - avg_pool: {{kernel: {}, stride: {stride}}}\n", stride + 1),
            _ => format!("  - max_pool: {{kernel: {stride}}}\n"),
        };
    }
    for level in (0..levels).rev() {
        let factor = 1 + pick(3);
        layers += &match pick(4) {
            0 => "  - upsample: {size: $in_size}\n".into(),
            1 => format!(
                "  - conv_transpose: {{out_channels: 4, kernel: {}, stride: {factor}}}\n",
                factor + pick(2)
            ),
            _ => format!("  - upsample: {{scale_factor: {factor}}}\n"),
        };
        layers += &match pick(5) {
            0 => format!("  - add: [previous, e{level}]\n"),
            1 => format!("  - concat: [previous, e{level}]\n  - conv: {{out_channels: 4, kernel: 1}}\n"),
            2 => "  - residual: [back]\n".into(),
            _ => String::new(),
        };
    }
    layers += match pick(6) {
        0 => "  - flatten\n  - linear: {out_features: 3}\n",
        1 => "  - global_avg_pool\n  - linear: {out_features: 3}\n",
        2 => "  - adaptive_avg_pool: {output_size: 3}\n  - flatten\n  - linear: {out_features: 3}\n",
        _ => "",
    };
    let size = 20 + pick(60);
    format!(
        "input: [3, {size}]\nblocks: {{back: [max_pool: {{kernel: 2, ceil_mode: true}}, upsample: {{size: $in_size}}]}}\nlayers:\n{layers}"
    )
}

#[test]
fn the_sets_are_what_trial_finds_on_random_networks() {
    let (mut fit, mut unfit, mut hopeless) = (0, 0, 0);
    for seed in 0..40 {
        let yaml = random_network(seed);
        let source = text(&yaml);
        let (document, _) = spec::read(source.0.as_ref(), &source.1, &Overrides::default()).expect("a spec");
        let trial = Spec::new(&document, &Overrides::default()).expect("only shapes can be wrong");
        if analyse(&trial).is_err() {
            // Then no size in sight works.
            assert!(trial.own().is_none(), "{seed}\n{yaml}");
            for n in (1..=100).chain((101..400).step_by(7)) {
                let inputs = vec![(String::new(), vec![3, n])];
                let found = weights(&source, &Overrides { variables: vec![], inputs });
                assert!(found.is_none(), "{seed} works at {n}\n{yaml}");
            }
            hopeless += 1;
            continue;
        }
        if trial.own().is_some() {
            fit += 1;
        } else {
            unfit += 1;
        }
        brute_force(&format!("{seed}\n{yaml}"), &source, &|axis| {
            let edge = axis.works.from.saturating_sub(4).max(1)..axis.works.from + 4;
            (1..=90).chain(edge).chain([997, 1000, 1024]).collect()
        });
    }
    assert!(fit > 15 && unfit > 2, "{fit} {unfit} {hopeless}");
}

/// A blur pool (Zhang 2019, "Making Convolutional Networks Shift-Invariant Again") pads by reflection and then strides
/// without padding, which takes odd sizes: five of them take 1 + 32 n.
#[test]
fn strides_count_behind_reflected_borders() {
    let blur =
        "pad: {padding: [[1, 1], [1, 1]], mode: reflect}, conv: {out_channels: 2, kernel: 3, stride: 2}";
    let blur = format!("{{{}}}", blur.replace("}, conv", "}}, {conv"));
    for axis in plain(&format!("{{input: [2, 65, 65], layers: [repeat: {{times: 5, body: [{blur}]}}]}}")) {
        assert_eq!((axis.works.smallest, axis.works.modulus), (Some(17), 1));
        assert_eq!((axis.lossless.modulus, axis.lossless.residues.as_slice()), (32, [1].as_slice()));
        assert_eq!((axis.lossless.smallest, axis.lossless.contains(97)), (Some(33), true));
    }
}

#[test]
fn a_graph_is_told_without_its_spec() {
    let (files, path) = zoo("unet");
    let graph: Graph = spec::load(files.as_ref(), &path, &Overrides::default()).expect("a spec").graph;
    for axis in analyse(&Fixed::new(&graph)).expect("supported") {
        assert_eq!((axis.works.smallest, axis.works.modulus), (Some(188), 16));
    }
}
