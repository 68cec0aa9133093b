//! The built-in techniques and networks against the numbers in their papers and released code.
//!
//! Every published number has its source beside it. Where a paper rounds, the exact count is asserted as
//! well, and the rounded one is derived from it.

use cnnkit::analysis::totals::{Counts, of_graph};
use cnnkit::disk::Disk;
use cnnkit::graph::{Graph, Node, Op};
use cnnkit::layers::{Layer, WeightRole};
use cnnkit::spec::{Overrides, load};

/// The network of the spec `name` (`techniques/bottleneck`) with these variables and, if not empty, this input.
fn network_at(name: &str, input: &[u64], variables: &[(&str, &str)]) -> Graph {
    let path = format!("specs/{name}.yaml");
    let overrides = Overrides {
        variables: variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect(),
        inputs: if input.is_empty() { vec![] } else { vec![(String::new(), input.to_vec())] },
    };
    match load(&Disk::of(&path), &path, &overrides) {
        Ok(loaded) => loaded.graph,
        Err(rejected) => panic!("{path}: {:?}", rejected.flaws),
    }
}

fn network(name: &str, variables: &[(&str, &str)]) -> Graph {
    network_at(name, &[], variables)
}

fn counts(name: &str, variables: &[(&str, &str)]) -> Counts {
    of_graph(&network(name, variables))
}

fn params(name: &str) -> u64 {
    counts(name, &[]).params
}

fn macs(name: &str) -> u64 {
    counts(name, &[]).macs
}

fn layers(graph: &Graph) -> impl Iterator<Item = (&Node, &Layer)> {
    graph.nodes().iter().filter_map(|node| match &node.op {
        Op::Layer(layer) => Some((node, layer)),
        Op::Input => None,
    })
}

fn output(graph: &Graph) -> Vec<u64> {
    graph.node(graph.outputs()[0]).shape.sizes().to_vec()
}

/// Elements of the tensors called `weight` of convolutions and linear layers: what papers call weights.
fn kernel_weights(graph: &Graph) -> u64 {
    let tensors = layers(graph).filter(|(node, _)| node.cost.macs > 0).flat_map(|(node, _)| &node.weights);
    let kernels = tensors.filter(|weight| weight.role == WeightRole::Parameter && weight.name != "bias");
    kernels.map(|weight| weight.shape.elements().expect("a real network")).sum()
}

/// The number of layers named `op`.
fn count(graph: &Graph, op: &str) -> usize {
    graph.nodes().iter().filter(|node| node.op.name() == op).count()
}

/// `value` in units of `unit`, rounded to `digits` decimals, as a paper prints it.
fn printed(value: u64, unit: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (value as f64 / unit * scale).round() / scale
}

fn near(found: f64, published: f64, tolerance: f64) {
    assert!((found - published).abs() <= tolerance, "{found} is not {published}");
}

const M: f64 = 1e6;
const G: f64 = 1e9;

// Kernels

#[test]
fn small_kernels() {
    let c2 = 64 * 64;
    // Simonyan & Zisserman 2015, section 2.3: 3 (3^2 C^2) = 27 C^2 against 49 C^2, "i.e. 81% more".
    let (three, one) =
        (params("techniques/small-kernels-three"), params("techniques/small-kernels-three-plain"));
    assert_eq!((three, one), (27 * c2, 49 * c2));
    assert_eq!(((one as f64 / three as f64 - 1.0) * 100.0).round() as u64, 81);
    // Szegedy et al. 2016 (Inception v3), section 3.1: two 3x3 for a 5x5 save 28 %.
    let (two, one) = (params("techniques/small-kernels"), params("techniques/small-kernels-plain"));
    assert_eq!((two, one), (18 * c2, 25 * c2));
    assert_eq!((one - two) * 100, one * 28);
}

#[test]
fn asymmetric_kernels() {
    let c2 = 192 * 192;
    assert_eq!(params("techniques/asymmetric-kernels"), 14 * c2);
    assert_eq!(params("techniques/asymmetric-kernels-plain"), 49 * c2);
    // Szegedy et al. 2016 (Inception v3), section 3.2: 3x1 and 1x3 for a 3x3 save 33 %.
    let three = [("kernel", "3")];
    let split = counts("techniques/asymmetric-kernels", &three);
    let whole = counts("techniques/asymmetric-kernels-plain", &three);
    assert_eq!((split.params * 3, split.macs * 3), (whole.params * 2, whole.macs * 2));
}

#[test]
fn inception_module() {
    // 192 channels: 64 1x1 + 128 3x3 + 32 5x5, each on all of them.
    assert_eq!(params("techniques/multi-kernel"), 192 * (64 + 128 * 9 + 32 * 25));
    assert_eq!(params("techniques/multi-kernel-plain"), 192 * 128 * 9);
    assert_eq!(output(&network("techniques/multi-kernel", &[])), [64 + 128 + 32 + 192, 28, 28]);

    // Szegedy et al. 2015, table 1: size, input, #1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5, pool proj, ops; the weights
    // follow from these sizes (the table's own params column contradicts them by up to 7 %).
    let table: [([u64; 8], u64, f64); 9] = [
        ([28, 192, 64, 96, 128, 16, 32, 32], 163_328, 128.0), // 3a
        ([28, 256, 128, 128, 192, 32, 96, 64], 388_096, 304.0), // 3b
        ([14, 480, 192, 96, 208, 16, 48, 64], 375_552, 73.0), // 4a
        ([14, 512, 160, 112, 224, 24, 64, 64], 448_512, 88.0), // 4b
        ([14, 512, 128, 128, 256, 24, 64, 64], 509_440, 100.0), // 4c
        ([14, 512, 112, 144, 288, 32, 64, 64], 604_672, 119.0), // 4d
        ([14, 528, 256, 160, 320, 32, 128, 128], 867_328, 170.0), // 4e
        ([7, 832, 256, 160, 320, 32, 128, 128], 1_042_432, 51.0), // 5a; printed as 54, which its sizes do not give
        ([7, 832, 384, 192, 384, 48, 128, 128], 1_442_816, 71.0), // 5b
    ];
    for (row, weights, ops) in table {
        let names = ["size", "channels", "c1", "r3", "c3", "r5", "c5", "pool"];
        let values = row.map(|value| value.to_string());
        let variables: Vec<(&str, &str)> = names.into_iter().zip(values.iter().map(String::as_str)).collect();
        let graph = network("techniques/multi-kernel-reduced", &variables);
        let found = of_graph(&graph);
        assert_eq!(found.params, weights, "{row:?}");
        near(found.macs as f64 / M, ops, 0.7);
        assert_eq!(output(&graph), [row[2] + row[4] + row[6] + row[7], row[0], row[0]]);
    }
}

#[test]
fn bottleneck() {
    // The mission's own numbers: 256 * 3 * 3 * 256, and 256 * 64 + 64 * 3 * 3 * 64 + 64 * 256.
    assert_eq!(params("techniques/bottleneck-plain"), 589_824);
    assert_eq!(params("techniques/bottleneck"), 69_632);
    assert_eq!(macs("techniques/bottleneck-plain"), 589_824 * 56 * 56);
    assert_eq!(macs("techniques/bottleneck"), 69_632 * 56 * 56);
}

#[test]
fn dilation_is_free() {
    let plain = counts("techniques/dilated-plain", &[]);
    assert_eq!(plain.params, 27 * 16 * 16);
    for name in ["dilated", "dilated-gridding", "dilated-hdc", "dilated-common-factor"] {
        let graph = network(&format!("techniques/{name}"), &[]);
        assert_eq!(of_graph(&graph), plain, "{name}");
        assert_eq!(output(&graph), [16, 64, 64], "{name}");
    }
    let sawtooth = counts("techniques/dilated-sawtooth", &[]);
    assert_eq!((sawtooth.params, sawtooth.macs), (2 * plain.params, 2 * plain.macs));
}

#[test]
fn deformable_offsets() {
    let plain = params("techniques/deformable-plain");
    let extra = |name: &str, variables: &[(&str, &str)]| counts(name, variables).params - plain;
    // Released DeepLab-DCN: num_filter=18 with bias on 512 channels (resnet_v1_101_deeplab_dcn.py:683); FPN-DCN:
    // num_filter=72, 4 offset groups (resnet_v1_101_fpn_dcn_rcnn.py:706); DCNv2: num_filter=27 (example_symbol.py:6).
    assert_eq!(extra("techniques/deformable", &[]), 512 * 9 * 18 + 18);
    assert_eq!(extra("techniques/deformable", &[]), 82_944 + 18);
    assert_eq!(extra("techniques/deformable", &[("offset_groups", "4")]), 331_776 + 72);
    assert_eq!(extra("techniques/deformable-modulated", &[]), 124_416 + 27);
    // kingofoz/deform-conv, layers.py, ConvOffset2D: 3x3, 2 C filters, no bias: 18 C^2.
    assert_eq!(extra("techniques/deformable-per-channel", &[]), 18 * 512 * 512);
    let narrow = [("channels", "128")];
    let per_channel = counts("techniques/deformable-per-channel", &narrow).params;
    assert_eq!(per_channel - counts("techniques/deformable-plain", &narrow).params, 294_912);
    let per_tap = counts("techniques/deformable", &narrow).params;
    assert_eq!(per_tap - counts("techniques/deformable-plain", &narrow).params, 20_736 + 18);
    // Samples are interpolated from four neighbours, once a tap and channel.
    assert_eq!(counts("techniques/deformable", &[]).sampling_macs, 4 * 9 * 512 * 14 * 14);
}

#[test]
fn deformable_mnist() {
    // kingofoz/deform-conv, cnn.py, get_cnn and get_deform_cnn; Keras counts the running statistics: 242,954 and 630,026.
    let plain = counts("techniques/deformable-mnist-plain", &[]);
    let deformable = counts("techniques/deformable-mnist", &[]);
    assert_eq!(plain.params + plain.buffers, 242_954);
    assert_eq!(deformable.params + deformable.buffers, 630_026);
    assert_eq!(deformable.params - plain.params, 387_072);
    assert_eq!(387_072, 18 * (32 * 32 + 64 * 64 + 128 * 128));
}

// Channels

#[test]
fn depthwise_separable() {
    // Howard et al. 2017, table 3: mult-adds and parameters (462 M, 2.36 M; 52.3 M, 0.27 M; 29.6 M, 0.15 M; 15.1 M, 0.15 M).
    let plain = counts("techniques/depthwise-separable-plain", &[]);
    let separable = counts("techniques/depthwise-separable", &[]);
    assert_eq!((plain.macs, plain.params), (462_422_016, 2_359_296));
    assert_eq!((separable.macs, separable.params), (52_283_392, 266_752));
    let thin = counts("techniques/depthwise-separable", &[("channels", "384")]);
    assert_eq!((thin.macs, thin.params), (29_578_752, 150_912));
    let small =
        of_graph(&network_at("techniques/depthwise-separable", &[384, 10, 10], &[("channels", "384")]));
    assert_eq!((small.macs, small.params), (15_091_200, 150_912));
    // Section 3.1: the ratio is 1/N + 1/D_K^2, about 1/9.
    assert_eq!(separable.macs * 512 * 9, plain.macs * (512 + 9));
}

#[test]
fn group_convolution() {
    // Krizhevsky et al. 2012, section 3.2 and figure 2: 256 kernels of size 5x5x48, half the weights of 5x5x96.
    let (grouped, plain) =
        (network("techniques/group-conv", &[]), network("techniques/group-conv-plain", &[]));
    assert_eq!(kernel_weights(&grouped), 256 * 5 * 5 * 48);
    assert_eq!(kernel_weights(&plain), 256 * 5 * 5 * 96);
    assert_eq!(of_graph(&plain).macs, 2 * of_graph(&grouped).macs);
}

#[test]
fn shuffle_unit() {
    // Zhang et al. 2018, section 3.2: hw (2 c m / g + 9 m); a shuffle changes none of it.
    for groups in [1, 2, 3, 4, 5] {
        let variables = [("groups", &*groups.to_string())];
        let shuffled = counts("techniques/shuffle-unit", &variables);
        let (hw, c, m) = (28 * 28, 240, 60);
        assert_eq!(shuffled.macs, hw * (2 * c * m / groups + 9 * m));
        let plain = counts("techniques/shuffle-unit-plain", &variables);
        assert_eq!((plain.macs, plain.params), (shuffled.macs, shuffled.params));
    }
}

#[test]
fn squeeze_excite() {
    // Hu et al. 2018, equation 5: 2 C^2 / r weights for one block.
    for reduction in [2, 4, 8, 16, 32] {
        let gated = counts("techniques/squeeze-excite", &[("reduction", &reduction.to_string())]);
        let plain = counts("techniques/squeeze-excite-plain", &[]);
        assert_eq!(gated.params - plain.params, 2 * 256 * 256 / reduction);
        assert_eq!(gated.macs - plain.macs, 2 * 256 * 256 / reduction);
    }
}

// Connections

#[test]
fn residual_modules() {
    for n in [1, 3, 54] {
        let variables = [("n", &*n.to_string())];
        let (residual, plain) =
            (network("techniques/residual", &variables), network("techniques/residual-plain", &variables));
        let (a, b) = (of_graph(&residual), of_graph(&plain));
        assert_eq!((a.params, a.macs), (b.params, b.macs));
        assert_eq!(a.params, n * 2 * (9 * 64 * 64 + 2 * 64));
        assert_eq!((count(&residual, "add") as u64, count(&plain, "add")), (n, 0));
    }
}

#[test]
fn dense_block() {
    // Huang et al. 2017, section 3: layer l reads k0 + k (l - 1) channels.
    let graph = network("techniques/dense", &[]);
    let read: Vec<u64> = layers(&graph)
        .filter(|(node, _)| node.op.name() == "conv")
        .map(|(node, _)| graph.input_shapes(node)[0].channels())
        .collect();
    assert_eq!(read, [64, 96, 128, 160, 192, 224]);
    assert_eq!(output(&graph), [64 + 6 * 32, 56, 56]);
    assert_eq!(output(&network("techniques/dense-plain", &[])), output(&graph));
    assert!(params("techniques/dense") * 12 < params("techniques/dense-plain"));
}

// Networks

#[test]
fn resnet_v1() {
    // He et al. 2016, table 1: 3.8e9, 7.6e9, 11.3e9 multiply-adds (3.858 is cut to 3.8); Hu et al. 2018, table 2, prints
    // 3.86, 7.58, 11.30 with its own rounding of the same networks.
    let table = [
        ("[3, 4, 6, 3]", 25_557_032, 3.857_973, 3.8),
        ("[3, 4, 23, 3]", 44_549_160, 7.570_194, 7.6),
        ("[3, 8, 36, 3]", 60_192_808, 11.282_416, 11.3),
    ];
    for (depths, params, giga, published) in table {
        let found = counts("zoo/resnet50_v1", &[("depths", depths)]);
        assert_eq!(found.params, params, "{depths}");
        near(printed(found.macs, G, 6), giga, 1e-9);
        near(found.macs as f64 / G, published, 0.06);
    }
}

#[test]
fn se_resnet50() {
    let name = "zoo/se_resnet50";
    // OSMR (osmr/pytorchcv README.md:244), SE-ResNet-50b: stride on the 3x3, gates with biases.
    assert_eq!(params(name), 28_088_024);
    // Hu et al. 2018, equation 5 with r = 16 and without biases: 2,514,944 ("2.5 million additional parameters").
    let bare = counts(name, &[("gate_bias", "false")]);
    assert_eq!(bare.params, 28_071_976);
    let resnet = counts("zoo/resnet50", &[]);
    assert_eq!(bare.params - resnet.params, 2_514_944);
    assert_eq!(bare.macs - resnet.macs, 2_514_944);
    // Table 10: parameters in millions by r. Its counts for 4, 8 and 32 only come out with biases and running
    // statistics counted in, hence the tolerance.
    for (reduction, published) in [("2", 45.7), ("4", 35.7), ("8", 30.7), ("16", 28.1), ("32", 26.9)] {
        let found = counts(name, &[("reduction", reduction), ("gate_bias", "false")]);
        near(found.params as f64 / M, published, 0.12);
    }
}

#[test]
fn mobilenet_v1() {
    let name = "zoo/mobilenet_v1";
    // Howard et al. 2017, table 4: 569 M mult-adds and 4.2 M parameters; with full convolutions 4866 M and 29.3 M.
    let found = counts(name, &[]);
    assert_eq!((found.macs, found.params), (568_740_352, 4_231_976));
    assert_eq!((printed(found.macs, M, 0), printed(found.params, M, 1)), (569.0, 4.2));
    let full = counts(name, &[("separable", "false")]);
    assert_eq!((full.macs, full.params), (4_867_293_184, 29_294_088));
    near(full.macs as f64 / M, 4866.0, 1.5);
    assert_eq!(printed(full.params, M, 1), 29.3);
    // Table 5: 0.75 MobileNet 325 M and 2.6 M, shallow MobileNet 307 M and 2.9 M.
    let thin = counts(name, &[("alpha", "0.75")]);
    assert_eq!((thin.macs, thin.params), (325_400_448, 2_585_560));
    let shallow = counts(name, &[("repeats", "0")]);
    assert_eq!((printed(shallow.macs, M, 0), printed(shallow.params, M, 1)), (307.0, 2.9));
    // OSMR (osmr/pytorchcv README.md:416-418).
    assert_eq!(counts(name, &[("alpha", "0.5")]).params, 1_331_592);
    assert_eq!(counts(name, &[("alpha", "0.25")]).params, 470_072);
    // tensorflow/models, slim/nets/mobilenet_v1.md: 569, 418, 291, 186 M at 224, 192, 160, 128.
    for (size, published) in [(224, 569.0), (192, 418.0), (160, 291.0), (128, 186.0)] {
        let found = of_graph(&network_at(name, &[3, size, size], &[]));
        assert_eq!(printed(found.macs, M, 0), published);
    }
}

#[test]
fn mobilenet_v1_by_kind() {
    // Howard et al. 2017, table 2: mult-adds and parameters in percent; the parameters are weights, without norms and biases.
    let graph = network("zoo/mobilenet_v1", &[]);
    let total = of_graph(&graph);
    let mut shares = [(0, 0); 4];
    for (node, layer) in layers(&graph) {
        let kind = match layer {
            Layer::Conv(conv) if conv.kernel.is(1) => 0,
            Layer::Conv(conv) if conv.out_channels == graph.input_shapes(node)[0].channels() => 1,
            Layer::Conv(_) => 2,
            Layer::Linear(_) => 3,
            _ => continue,
        };
        let weights = node.weights[0].shape.elements().expect("a real network");
        shares[kind] = (shares[kind].0 + node.cost.macs, shares[kind].1 + weights);
    }
    let weights: u64 = shares.iter().map(|share| share.1).sum();
    // The paper prints 1.91 as 1.19, with which the four would not add up to 100 %.
    let published = [(94.86, 74.59), (3.06, 1.06), (1.91, 0.02), (0.18, 24.33)];
    for ((macs, params), (published_macs, published_params)) in shares.into_iter().zip(published) {
        near(macs as f64 / total.macs as f64 * 100.0, published_macs, 0.01);
        near(params as f64 / weights as f64 * 100.0, published_params, 0.01);
    }
}

#[test]
fn shufflenet_v1() {
    let name = "zoo/shufflenet_v1";
    // Zhang et al. 2018, table 1: 143, 140, 137, 133, 137 M for g = 1, 2, 3, 4, 8, which leaves the classifier out. All of
    // it: 143.08, 140.84, 137.46, 134.34, 138.37 M. Parameters: OSMR (osmr/pytorchcv README.md:395-399) less the 1,000
    // biases of its classifier.
    let table = [
        ("1", 143.0, 143.08, 1_531_936),
        ("2", 140.0, 140.84, 1_733_848),
        ("3", 137.0, 137.46, 1_865_728),
        ("4", 133.0, 134.34, 1_968_344),
        ("8", 137.0, 138.37, 2_434_768),
    ];
    for (groups, published, all, osmr) in table {
        let graph = network(name, &[("groups", groups)]);
        let found = of_graph(&graph);
        assert_eq!(found.params, osmr - 1000, "g = {groups}");
        near(printed(found.macs, M, 2), all, 1e-9);
        let classifier: u64 =
            layers(&graph).filter(|(_, l)| matches!(l, Layer::Linear(_))).map(|(n, _)| n.cost.macs).sum();
        // 136.5 and 142.5 lie on the edge: the paper rounds both up.
        near((found.macs - classifier) as f64 / M, published, 0.51);
    }
    // megvii-model/ShuffleNet-Series, ShuffleNetV1/README.md, g = 3: 524 M and 5.4 M, 292 M and 3.4 M, 38 M and 0.7 M; the
    // first layer's channels are those of its network.py:16-29.
    let scales = [
        ("2", "48", 524.0, 5_449_776, 5.4),
        ("1.5", "24", 292.0, 3_441_168, 3.4),
        ("0.5", "12", 38.0, 717_324, 0.7),
    ];
    for (scale, stem, published, params, millions) in scales {
        let found = counts(name, &[("scale", scale), ("stem", stem)]);
        assert_eq!(found.params, params, "{scale}x");
        assert_eq!((printed(found.macs, M, 0), printed(found.params, M, 1)), (published, millions));
    }
    // OSMR (osmr/pytorchcv README.md:390): x0.25, g = 3.
    assert_eq!(counts(name, &[("scale", "0.25")]).params, 305_902 - 1000);
}

#[test]
fn densenet_cifar() {
    let name = "zoo/densenet_cifar";
    // Huang et al. 2017, table 2, in millions: BC (100, 12) 0.8, (250, 24) 15.3, (190, 40) 25.6; the exact counts are
    // OSMR's (osmr/pytorchcv README.md:544-546). Plain (40, 12) 1.0, (100, 12) 7.0, (100, 24) 27.2.
    let table = [
        ("true", "100", "12", 769_162, 0.8),
        ("true", "250", "24", 15_324_406, 15.3),
        ("true", "190", "40", 25_624_430, 25.6),
        ("false", "40", "12", 1_019_722, 1.0),
        ("false", "100", "12", 6_979_642, 7.0),
        ("false", "100", "24", 27_249_082, 27.2),
    ];
    for (bc, depth, growth, params, published) in table {
        let found = counts(name, &[("bc", bc), ("depth", depth), ("growth", growth)]);
        assert_eq!(found.params, params, "{depth}, {growth}, bc {bc}");
        assert_eq!(printed(found.params, M, 1), published);
    }
}

#[test]
fn drn_c_26() {
    // Yu et al. 2017: 21.1 M (fyu/drn README.md); 21,126,584 in OSMR (osmr/pytorchcv README.md:319).
    let graph = network("zoo/drn_c_26", &[]);
    assert_eq!(of_graph(&graph).params, 21_126_584);
    // OSMR's 16,993.90 M counts norms and activations as well, 0.2 to 1.5 % more than convolutions and linear maps.
    let excess = 16_993.90 / (of_graph(&graph).macs as f64 / M) - 1.0;
    assert!((0.001..0.015).contains(&excess), "{excess}");
    // pool_size=28 (drn.py:113): the map is 28x28 at 224x224, output stride 8.
    let last =
        layers(&graph).filter(|(_, layer)| matches!(layer, Layer::Conv(_))).last().expect("convolutions");
    assert_eq!(last.0.shape.sizes(), [512, 28, 28]);
}

#[test]
fn context_modules() {
    // Yu & Koltun 2016, section 3: the basic module has about 64 C^2 weights; C = 21 in fyu/dilation's
    // dilation8_pascal_voc_deploy.prototxt, whose channels 42, 42, 84, 168, 336, 672, 672, 21 are the large module.
    for (name, weights, biases) in
        [("zoo/context_module_basic", 28_224, 168), ("zoo/context_module_large", 6_801_102, 2_037)]
    {
        let graph = network(name, &[]);
        assert_eq!(kernel_weights(&graph), weights);
        assert_eq!(of_graph(&graph).params, weights + biases);
        assert_eq!(output(&graph), [21, 64, 64], "the module keeps the size");
    }
    assert_eq!(28_224, 64 * 21 * 21);
}

#[test]
fn resnet101_hdc() {
    let graph = network("zoo/resnet101_hdc", &[]);
    // TuSimple-DUC, tusimple_duc/networks/resnet.py:113-139.
    let mut published = vec![2, 2, 5, 9];
    published.extend([1, 2, 5, 9].repeat(4));
    published.extend([1, 2, 5]);
    for (stage, rates) in [("res4", published), ("res5", vec![5, 9, 17])] {
        let found: Vec<u64> = layers(&graph)
            .filter(|(node, _)| node.id.starts_with(stage) && node.id.ends_with("conv2"))
            .map(|(_, layer)| match layer {
                Layer::Conv(conv) => (1..=32).find(|&rate| conv.dilation.is(rate)).expect("a rate"),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(found, rates, "{stage}");
    }
    // network_duc_hdc.py:5-35: four branches of cell_cap * label_num = 64 * 19 filters, summed.
    let aspp = graph.find("aspp.add1").map(|id| graph.node(id)).expect("a sum");
    assert_eq!((aspp.shape.sizes(), aspp.inputs.len()), ([1216, 128, 256].as_slice(), 4));
    assert_eq!(output(&graph), [19, 1024, 2048], "a score for each pixel");
    // The ResNet-101 inside: 44,549,160 with its classifier of 2,049,000. Here the stem is three 3x3 that give 128
    // channels instead of one 7x7 that gives 64, which the first bottleneck's two 1x1 read.
    let stem = 3 * 64 * 9 + 64 * 64 * 9 + 64 * 128 * 9 + 2 * (64 + 64 + 128);
    let body = 44_549_160 - 2_049_000 - (3 * 64 * 49 + 2 * 64) + stem + 64 * (64 + 256);
    assert_eq!(of_graph(&graph).params, body + 4 * (2048 * 9 * 1216 + 1216));
}

#[test]
fn deform_resnet50() {
    // Dai et al. 2017, section 4: the three 3x3 of conv5; 3 x (82,944 + 18) more than ResNet-50's 25,557,032.
    let name = "zoo/deform_resnet50";
    assert_eq!(params(name) - 25_557_032, 248_886);
    assert_eq!(counts(name, &[("modulated", "true")]).params - 25_557_032, 3 * (124_416 + 27));
    let graph = network(name, &[]);
    assert_eq!(count(&graph, "deform_conv"), 3);
    let last =
        layers(&graph).filter(|(_, layer)| matches!(layer, Layer::Conv(_))).last().expect("convolutions");
    assert_eq!(last.0.shape.sizes(), [2048, 14, 14], "stride 16");
}

#[test]
fn unet() {
    // Ronneberger et al. 2015, figure 1: 572x572 to 388x388 with a bottom of 1024 x 28 x 28; 23 convolutional layers.
    let graph = network("zoo/unet", &[]);
    assert_eq!(output(&graph), [2, 388, 388]);
    let bottom = layers(&graph).filter(|(node, _)| node.id.starts_with("bottom.")).last().expect("layers");
    assert_eq!(bottom.0.shape.sizes(), [1024, 28, 28]);
    assert_eq!(count(&graph, "conv") + count(&graph, "conv_transpose"), 23);
    // By hand: two 3x3 each on the way down and up, a 2x2 up, a 1x1; all with biases.
    let double = |from: u64, to: u64| 9 * from * to + to + 9 * to * to + to;
    let down: u64 =
        [(1, 64), (64, 128), (128, 256), (256, 512), (512, 1024)].map(|(a, b)| double(a, b)).iter().sum();
    let up: u64 = [64, 128, 256, 512].map(|w| 4 * 2 * w * w + w + double(2 * w, w)).iter().sum();
    assert_eq!(of_graph(&graph).params, down + up + 64 * 2 + 2);
    // Padded, it keeps sizes, with the same weights.
    let padded = network_at("zoo/unet", &[1, 512, 512], &[("padding", "1")]);
    assert_eq!(output(&padded), [2, 512, 512]);
    assert_eq!(of_graph(&padded).params, of_graph(&graph).params);
}

#[test]
fn one_and_three_dimensions() {
    // By hand: 5^3 and 3^3 kernels with biases, 32 x 6^3 to 128 to 40.
    assert_eq!(
        params("zoo/voxnet"),
        (125 * 32 + 32) + (27 * 32 * 32 + 32) + (6912 * 128 + 128) + (128 * 40 + 40)
    );
    // Causal layers keep any length.
    for name in ["zoo/tcn", "zoo/wavenet"] {
        let length = if name == "zoo/tcn" { 88 } else { 256 };
        for steps in [1, 100, 5000] {
            assert_eq!(output(&network_at(name, &[length, steps], &[])), [length, steps], "{name}");
        }
    }
    // TCN, two convolutions a level; a 1x1 where the channels change; a 1x1 at the end.
    let level = |from: u64| 5 * from * 150 + 150 + 5 * 150 * 150 + 150;
    let ends = (88 * 150 + 150) + (150 * 88 + 88);
    assert_eq!(params("zoo/tcn"), level(88) + 3 * level(150) + ends);
    // WaveNet, 30 layers of two 2-tap convolutions, a skip and a way back, the last of which leads nowhere.
    let layer = 2 * (2 * 32 * 32 + 32) + (32 * 256 + 256) + (32 * 32 + 32);
    let ends = (2 * 256 * 32 + 32) + (32 * 256 + 256) + 2 * (256 * 256 + 256);
    assert_eq!(params("zoo/wavenet"), 30 * layer + ends);
}

// All of them

/// Texts of the specs in `folder`, by name, sorted.
fn specs(folder: &str) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(format!("specs/{folder}")).expect("a folder of specs");
    let mut specs: Vec<(String, String)> = entries
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).expect("a spec"))
        })
        .collect();
    specs.sort();
    specs
}

#[test]
fn shipped_specs_are_short_and_say_what_they_are() {
    for folder in ["techniques", "zoo", "blocks"] {
        for (name, text) in specs(folder) {
            let mut lines = text.lines();
            let schema = "# yaml-language-server: $schema=../../schema/cnnkit.schema.json";
            assert_eq!(lines.next(), Some(schema), "{folder}/{name}");
            assert!(text.lines().count() <= 60, "{folder}/{name} is long");
            assert!(text.lines().any(|line| line.starts_with("description: ")), "{folder}/{name}");
            if folder == "techniques" {
                assert!(lines.next().is_some_and(|line| line.starts_with("# ")), "{name} says what it shows");
                assert!(
                    lines.next().is_some_and(|line| line.starts_with("# Source: ")),
                    "{name} says whence"
                );
                assert!(
                    lines.next().is_some_and(|line| line.starts_with("# Compare: ")),
                    "{name} has a pair"
                );
            }
        }
    }
}

#[test]
fn every_comparison_named_in_a_technique_runs() {
    let mut calls: Vec<String> = specs("techniques")
        .iter()
        .flat_map(|(_, text)| text.lines().filter_map(|line| line.strip_prefix("# Compare: ")))
        .flat_map(|calls| calls.split("; "))
        .map(str::to_owned)
        .collect();
    calls.sort();
    calls.dedup();
    for call in calls {
        let args = call.strip_prefix("cnnkit ").unwrap_or_else(|| panic!("`{call}` is not a call of cnnkit"));
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_cnnkit"))
            .args(args.split(' '))
            .output()
            .expect("the program starts");
        assert!(output.status.success(), "{call}\n{}", String::from_utf8_lossy(&output.stderr));
    }
}
