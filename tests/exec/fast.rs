//! Fast kernels against the definition in f64: thousands of generated layers, with every set of vector
//! instructions that this machine has.
//!
//! The bound: a sum of n products in f32, each rounded once, in any order, has an error of at most
//! `n u / (1 - n u)` times the sum of the products' absolute values, u = 2^-24 (Higham 2002, "Accuracy and
//! Stability of Numerical Algorithms", section 3.1). The definition computes that sum from the absolute values
//! of inputs and weights.

pub(super) mod generated;

use std::sync::Arc;

use cnnkit::exec::fast::Isa;
use cnnkit::exec::tensor::Tensor;
use cnnkit::layers::Layer;
use cnnkit::shape::Shape;

use super::examples;
use generated::{Case, Draw, U, draw, terms};

#[test]
fn convolutions() {
    let fast = std::cell::Cell::new(0);
    let case = |numbers: &Draw| {
        let rank = 1 + numbers.below(3) as usize;
        let groups = [1, 1, 1, 2, 3][numbers.below(5) as usize];
        let depthwise = numbers.below(4) == 0;
        let channels = groups * (1 + numbers.below(if numbers.below(8) == 0 { 40 } else { 5 }));
        let outputs = groups * (1 + numbers.below(if numbers.below(4) == 0 { 33 } else { 12 }));
        let (groups, outputs) = if depthwise {
            ("depthwise".to_owned(), channels * (1 + numbers.below(2)))
        } else {
            (groups.to_string(), outputs)
        };
        let padding = match numbers.below(5) {
            0 => numbers.pick(&["same", "same_lower"]).to_owned(),
            1 if rank == 1 => "causal".to_owned(),
            2 => numbers.sides(rank, 3),
            _ => numbers.list(rank, 0, 2),
        };
        let args = format!(
            "{{out_channels: {outputs}, kernel: {}, stride: {}, dilation: {}, padding: {padding}, groups: {groups}, bias: {}, padding_mode: {}}}",
            numbers.list(rank, 1, 4),
            numbers.list(rank, 1, 3),
            numbers.list(rank, 1, 3),
            numbers.pick(&["true", "false"]),
            numbers.pick(&["zeros", "zeros", "reflect", "replicate", "circular"]),
        );
        let shape = numbers.shape(channels, rank);
        Case::random(numbers, "conv", &args, 1 + numbers.below(3) as usize, &[shape])
    };
    draw(1, 2000, case, |case| {
        if case.check_sum(terms(case)) != "definition" {
            fast.set(fast.get() + 1);
        }
    });
    assert!(fast.get() > 1990, "{} of 2000 have a fast kernel", fast.get());
}

#[test]
fn depthwise_square_windows_of_3_5_and_7_taps() {
    let case = |numbers: &Draw| {
        let kernel = [3, 5, 7][numbers.below(3) as usize];
        let args = format!(
            "{{out_channels: {}, kernel: {kernel}, stride: {}, dilation: {}, padding: {}, groups: depthwise, bias: {}}}",
            4 * (1 + numbers.below(2)),
            1 + numbers.below(2),
            numbers.list(2, 1, 2),
            numbers.list(2, 0, 3),
            numbers.pick(&["true", "false"]),
        );
        // From fewer rows than a strip and columns than a vector to several of each.
        let sizes = [4, 1 + numbers.below(40), 1 + numbers.below(40)];
        Case::random(numbers, "conv", &args, 1 + numbers.below(2) as usize, &[Shape::new(sizes)])
    };
    draw(14, 300, case, |case| {
        case.check_sum(terms(case));
    });
}

/// Checks a convolution that may use Winograd's algorithm, and returns its kernel.
///
/// The bound: Winograd's products are of sums of taps and of pixels; written out, no product of a tap and a pixel of the
/// window occurs more than twice on either axis. So sizes are those of the convolution with each tap as large as all nine, 4
/// times; roundings are those of the channels, 7 in the transforms, and the bias.
fn check_mixed(case: &Case) -> &'static str {
    let mut all = Case {
        label: case.label.clone(),
        layer: case.layer.clone(),
        declared: case.declared.clone(),
        inputs: case.inputs.clone(),
        weights: case.weights.clone(),
    };
    let weight = &case.weights[0];
    let sum = |i: usize| weight.data()[i / 9 * 9..][..9].iter().map(|tap| tap.abs()).sum();
    all.weights[0] = Arc::new(Tensor::from_fn(weight.sizes(), sum));
    let sizes = all.define(f64::abs).0;
    let n = (weight.sizes()[1] + 7 + 2) as f64;
    case.check(|i, _| n * U / (1.0 - n * U) * 4.0 * sizes.data()[i] * (1.0 + 1e-5) + 1e-38)
}

#[test]
fn convolutions_with_fewer_products() {
    let found = std::cell::Cell::new(0);
    let case = |numbers: &Draw| {
        // Groups are no case for it.
        let groups = if numbers.below(8) == 0 { 2 } else { 1 };
        let args = format!(
            "{{out_channels: {}, groups: {groups}, kernel: 3, padding: {}, bias: {}}}",
            groups * (16 + numbers.below(if numbers.below(4) == 0 { 150 } else { 20 })),
            numbers.sides(2, 2),
            numbers.pick(&["true", "false"]),
        );
        let channels = groups * (16 + numbers.below(if numbers.below(4) == 0 { 60 } else { 10 }));
        let shape = Shape::new([channels, 3 + numbers.below(30), 3 + numbers.below(40)]);
        Case::random(numbers, "conv", &args, 1 + numbers.below(2) as usize, &[shape])
    };
    draw(11, 150, case, |case| found.set(found.get() + usize::from(check_mixed(case) == "Winograd")));
    assert!((100..148).contains(&found.get()), "{} of 150 are Winograd's", found.get());
}

#[test]
fn dilated_convolutions_with_fewer_products() {
    let found = std::cell::Cell::new(0);
    let case = |numbers: &Draw| {
        let args = format!(
            "{{out_channels: {}, kernel: 3, dilation: {}, padding: {}, bias: {}}}",
            16 + numbers.below(20),
            numbers.list(2, 1, 4),
            // Others than those that keep the size are no case for it.
            if numbers.below(8) == 0 { "2" } else { "same" },
            numbers.pick(&["true", "false"]),
        );
        let shape = Shape::new([16 + numbers.below(10), 7 + numbers.below(34), 7 + numbers.below(34)]);
        Case::random(numbers, "conv", &args, 1 + numbers.below(2) as usize, &[shape])
    };
    draw(12, 150, case, |case| found.set(found.get() + usize::from(check_mixed(case) == "Winograd")));
    assert!((80..148).contains(&found.get()), "{} of 150 are Winograd's", found.get());
}

#[test]
fn transposed_convolutions() {
    let case = |numbers: &Draw| {
        let rank = 1 + numbers.below(3) as usize;
        let groups = 1 + numbers.below(3);
        let args = format!(
            "{{out_channels: {}, kernel: {}, stride: {}, dilation: {}, padding: {}, output_padding: {}, groups: {groups}, bias: {}}}",
            groups * (1 + numbers.below(6)),
            numbers.list(rank, 1, 4),
            numbers.list(rank, 1, 3),
            numbers.list(rank, 1, 2),
            numbers.sides(rank, 2),
            numbers.list(rank, 0, 1),
            numbers.pick(&["true", "false"]),
        );
        let shape = numbers.shape(groups * (1 + numbers.below(5)), rank);
        Case::random(numbers, "conv_transpose", &args, 1 + numbers.below(3) as usize, &[shape])
    };
    draw(2, 700, case, |case| assert_ne!(case.check_sum(terms(case)), "definition", "{}", case.label));
}

#[test]
fn deformable_convolutions() {
    let case = |numbers: &Draw| {
        let groups = 1 + numbers.below(2);
        let offset_groups = 1 + numbers.below(2);
        let per_tap = numbers.below(3) > 0;
        let own = if per_tap {
            let modulated = numbers.pick(&["true", "false"]);
            format!("offsets: per_tap, offset_groups: {offset_groups}, modulated: {modulated}")
        } else {
            "offsets: per_channel".to_owned()
        };
        let args = format!(
            "{{out_channels: {}, kernel: {}, stride: {}, dilation: {}, padding: {}, groups: {groups}, bias: {}, {own}}}",
            groups * (1 + numbers.below(9)),
            numbers.list(2, 1, 3),
            numbers.list(2, 1, 2),
            numbers.list(2, 1, 2),
            numbers.list(2, 0, 2),
            numbers.pick(&["true", "false"]),
        );
        let shape = numbers.shape(groups * offset_groups * (1 + numbers.below(3)), 2);
        Case::random(numbers, "deform_conv", &args, 1 + numbers.below(2) as usize, &[shape])
    };
    draw(3, 500, case, |case| {
        // A coordinate below 128 is off by its own rounding and by the error of the offset convolution; a sample moves by
        // at most twice that on each of two axes, as the inputs are within 1. Then comes the sum.
        let sums = |weight: &Tensor<f32>| {
            let row = weight.len() / weight.sizes()[0].max(1);
            weight
                .data()
                .chunks(row.max(1))
                .map(|row| row.iter().map(|x| f64::from(x.abs())).sum::<f64>())
                .fold(0.0, f64::max)
        };
        let place = |name: &str| case.declared.iter().position(|weight| weight.name == name);
        let weight = &case.weights[place("weight").expect("a weight")];
        let offset = &case.weights[place("offset.weight").expect("a weight")];
        let terms = (weight.len() / weight.sizes()[0] + offset.len() / offset.sizes()[0] + 10) as f64;
        let moved = 2.0 * 128.0 * U + terms * U * (sums(offset) + 1.0);
        let bound = (sums(weight) + 1.0) * (4.0 * moved + terms * U);
        assert_ne!(case.check(|_, _| bound), "definition", "{}", case.label);
    });
}

#[test]
fn linear_maps() {
    let case = |numbers: &Draw| {
        let args = format!(
            "{{out_features: {}, bias: {}}}",
            1 + numbers.below(130),
            numbers.pick(&["true", "false"])
        );
        let mut sizes: Vec<u64> = (0..numbers.below(3)).map(|_| 1 + numbers.below(6)).collect();
        sizes.push(1 + numbers.below(200));
        Case::random(numbers, "linear", &args, 1 + numbers.below(12) as usize, &[Shape::new(sizes)])
    };
    draw(4, 500, case, |case| assert_ne!(case.check_sum(terms(case)), "definition", "{}", case.label));
}

#[test]
fn pools() {
    let case = |numbers: &Draw| {
        let rank = 1 + numbers.below(3) as usize;
        let (kernel, stride, padding) =
            (numbers.list(rank, 1, 4), numbers.list(rank, 1, 3), numbers.list(rank, 0, 1));
        let ceil = numbers.pick(&["true", "false"]);
        let shape = numbers.shape(1 + numbers.below(6), rank);
        let common = format!("kernel: {kernel}, stride: {stride}, padding: {padding}, ceil_mode: {ceil}");
        let (name, args) = match numbers.below(7) {
            0 | 1 => ("max_pool", format!("{{{common}, dilation: {}}}", numbers.list(rank, 1, 2))),
            2 => ("avg_pool", format!("{{{common}, divisor_override: 5}}")),
            3 | 4 => {
                ("avg_pool", format!("{{{common}, count_include_pad: {}}}", numbers.pick(&["true", "false"])))
            }
            5 => (numbers.pick(&["adaptive_avg_pool", "adaptive_max_pool"]), "{output_size: 1}".to_owned()),
            _ => (numbers.pick(&["global_avg_pool", "global_max_pool"]), "{}".to_owned()),
        };
        Case::random(numbers, name, &args, 1 + numbers.below(3) as usize, &[shape])
    };
    draw(5, 800, case, |case| {
        let (sizes, _) = case.define(f64::abs);
        let terms = (case.inputs[0].image_len() + 2) as f64;
        let exact =
            matches!(&case.layer, Layer::MaxPool(_) | Layer::GlobalMaxPool(_) | Layer::AdaptiveMaxPool(_));
        let kernel = case.check(|i, _| if exact { 0.0 } else { terms * U * sizes.data()[i] });
        assert_ne!(kernel, "definition", "{}", case.label);
    });
}

#[test]
fn norms_and_softmax() {
    let case = |numbers: &Draw| {
        let rank = 1 + numbers.below(3) as usize;
        let groups = 1 + numbers.below(3);
        let channels = groups * (1 + numbers.below(9));
        let axis = numbers.pick(&["channels", "last", "space", "all"]);
        let affine = numbers.pick(&["true", "false"]);
        let (name, args) = match numbers.below(6) {
            0 => ("batch_norm", format!("{{affine: {affine}}}")),
            1 => ("group_norm", format!("{{num_groups: {groups}, affine: {affine}}}")),
            2 => (
                "instance_norm",
                format!("{{affine: {affine}, track_running_stats: {}}}", numbers.pick(&["true", "false"])),
            ),
            3 | 4 => ("layer_norm", format!("{{axis: {axis}, elementwise_affine: {affine}}}")),
            _ => ("softmax", format!("{{axis: {}}}", numbers.pick(&["channels", "last", "space"]))),
        };
        let shape = numbers.shape(channels, rank);
        Case::random(numbers, name, &args, 1 + numbers.below(3) as usize, &[shape])
    };
    draw(6, 600, case, |case| {
        // Inputs are within 1 and 1 / standard deviation is below 1 / sqrt(eps), eps = 1e-5: what the mean and the
        // differences are off by grows by that at most, and once more through the variance; scales are within 2.
        let terms = (case.inputs[0].image_len() + 10) as f64;
        let bound = match &case.layer {
            Layer::Softmax(_) => terms * U,
            Layer::BatchNorm(_) => 40.0 * U,
            Layer::InstanceNorm(layer) if layer.track_running_stats => 40.0 * U,
            _ => 2.0 * terms * U * 1e-5f64.sqrt().recip(),
        };
        assert_ne!(case.check(|_, _| bound), "definition", "{}", case.label);
    });
}

#[test]
fn attention_in_blocks() {
    let case = |numbers: &Draw| {
        let outer: Vec<u64> = (0..numbers.below(3)).map(|_| 1 + numbers.below(4)).collect();
        let size = |most: u64| 1 + numbers.below(if numbers.below(6) == 0 { 150 } else { most });
        let (queries, keys, features, values) = (size(20), size(60), size(40), size(60));
        // An axis before is sometimes broadcast, as are the axes of what is added.
        let some = |sizes: &[u64]| -> Vec<u64> {
            sizes.iter().map(|&size| if numbers.below(5) == 0 { 1 } else { size }).collect()
        };
        let of = |a: u64, b: u64| Shape::new([some(&outer), vec![a, b]].concat());
        let mut shapes = vec![of(queries, features), of(keys, features), of(keys, values)];
        let whole: Vec<u64> = (0..outer.len())
            .map(|axis| shapes.iter().map(|shape| shape.sizes()[axis]).max().unwrap_or(1))
            .chain([queries, keys])
            .collect();
        let mut args = vec![];
        if numbers.below(2) == 0 {
            args.push("scale: 0.125".to_owned());
        }
        for name in ["bias", "mask"] {
            if numbers.below(3) == 0 {
                args.push(format!("{name}: {:?}", some(&whole)));
            }
        }
        for _ in 0..numbers.below(3) {
            shapes.push(Shape::new(some(&whole)));
        }
        let args = format!("{{{}}}", args.join(", "));
        Case::random(numbers, "attention", &args, 1 + numbers.below(3) as usize, &shapes)
    };
    draw(12, 400, case, |case| {
        // A score is a sum of `features` products and the terms, of which the softmax makes a relative error of twice
        // what it is off by; a mean of the values, which are within 1, is no larger than they.
        let (features, keys) = (case.inputs[0].sizes().last().copied().unwrap_or(1), case.inputs[1].sizes());
        let keys = keys[keys.len() - 2];
        let terms = case.inputs.len() - 3 + case.weights.len();
        let most =
            |tensor: &Tensor<f32>| tensor.data().iter().fold(0.0f64, |most, x| most.max(f64::from(x.abs())));
        let products = features as f64 * most(&case.inputs[0]) * most(&case.inputs[1]);
        let added = case.inputs[3..].iter().map(most).chain(case.weights.iter().map(|weight| most(weight)));
        let score = (features + terms + 4) as f64 * U * (products + added.sum::<f64>());
        let bound = most(&case.inputs[2]) * (2.0 * score + (2 * keys + 12) as f64 * U);
        assert_eq!(case.check(|_, _| bound), "attention", "{}", case.label);
    });
}

#[test]
fn moves_are_exact() {
    let case = |numbers: &Draw| {
        let rank = 1 + numbers.below(3) as usize;
        let factor = 1 + numbers.below(3);
        let cell = factor.pow(rank as u32);
        let kind = numbers.below(8);
        let channels = match kind {
            0 => factor * (1 + numbers.below(6)),
            1 => cell * (1 + numbers.below(3)),
            _ => 1 + numbers.below(8),
        };
        let shape = match kind {
            2 => {
                let space: Vec<u64> = (0..rank).map(|_| factor * (1 + numbers.below(5))).collect();
                Shape::new([&[channels], space.as_slice()].concat())
            }
            _ => numbers.shape(channels, rank),
        };
        let axis = numbers.below(rank as u64 + 1);
        let (name, args) = match kind {
            0 => ("channel_shuffle", format!("{{groups: {factor}}}")),
            1 => ("pixel_shuffle", format!("{{upscale_factor: {factor}}}")),
            2 => ("pixel_unshuffle", format!("{{downscale_factor: {factor}}}")),
            3 => {
                let mode = numbers.pick(&["zeros", "reflect", "replicate", "circular"]);
                ("pad", format!("{{padding: {}, mode: {mode}}}", numbers.sides(rank, 3)))
            }
            4 => ("crop", format!("{{amount: {}}}", numbers.sides(rank, 2))),
            5 => (
                "slice",
                format!("{{axis: {axis}, start: {}, end: {}}}", numbers.below(3), 1 + numbers.below(6)),
            ),
            6 => (
                "chunk",
                format!("{{axis: {axis}, chunks: {}, index: {}}}", 1 + numbers.below(3), numbers.below(2)),
            ),
            _ => ("upsample", format!("{{scale_factor: {}, mode: nearest}}", numbers.list(rank, 1, 3))),
        };
        Case::random(numbers, name, &args, 1 + numbers.below(3) as usize, &[shape])
    };
    draw(7, 800, case, |case| {
        let kernel = case.check(|_, _| 0.0);
        // Padding by nothing is the only data movement without a kernel.
        assert!(kernel != "definition" || case.label.starts_with("pad"), "{}", case.label);
    });
}

#[test]
fn interpolation_and_joins() {
    let case = |numbers: &Draw| {
        let rank = 1 + numbers.below(3) as usize;
        let shape = numbers.shape(1 + numbers.below(6), rank);
        let batch = 1 + numbers.below(3) as usize;
        let gate = Shape::new([&shape.sizes()[..1], vec![1; rank].as_slice()].concat());
        match numbers.below(4) {
            0 => {
                let mode = ["linear", "bilinear", "trilinear"][rank - 1];
                let size = numbers.list(rank, 1, 9);
                let corners = numbers.pick(&["true", "false"]);
                let args = format!("{{size: {size}, mode: {mode}, align_corners: {corners}}}");
                Case::random(numbers, "upsample", &args, batch, &[shape])
            }
            1 => {
                let other = if numbers.below(2) == 0 { gate } else { shape.clone() };
                let name = numbers.pick(&["add", "multiply"]);
                Case::random(numbers, name, "{}", batch, &[shape, other])
            }
            2 => Case::random(
                numbers,
                "add",
                "{weights: [1, 0.3, -2]}",
                batch,
                &[shape.clone(), shape.clone(), shape],
            ),
            _ => {
                let mut sizes = shape.sizes().to_vec();
                sizes[0] = 1 + numbers.below(5);
                Case::random(numbers, "concat", "{}", batch, &[shape, Shape::new(sizes)])
            }
        }
    };
    draw(8, 600, case, |case| {
        let (sizes, _) = case.define(f64::abs);
        let bound = |i: usize| 12.0 * U * sizes.data()[i].abs().max(3.0);
        assert_ne!(case.check(|i, _| bound(i)), "definition", "{}", case.label);
    });
}

/// Layers without a fast kernel for any settings: listed here, so that an addition is a decision.
const BY_DEFINITION: &[&str] = &["local_response_norm", "glu", "prelu"];

#[test]
fn every_example_of_every_layer() {
    for example in examples(2) {
        let name = example.layer.doc().name;
        let case =
            Case::new(example.label, example.layer, example.declared, &example.inputs, &example.weights);
        let (typical, _) = case.define(f64::abs);
        let most =
            typical.data().iter().fold(1.0f64, |most, x| if x.is_nan() { most } else { most.max(x.abs()) });
        let kernel = case.check(|_, expected| 1e-5 * most.max(expected.abs()));
        if BY_DEFINITION.contains(&name) {
            assert_eq!(kernel, "definition", "{}", case.label);
        }
    }
}

#[test]
fn not_a_number_wins_every_maximum() {
    for (name, args) in [("max_pool", "{kernel: 3, padding: 1}"), ("global_max_pool", "{}"), ("relu", "{}")] {
        let numbers = Draw::new(11);
        let mut case = Case::random(&numbers, name, args, 1, &[Shape::new([2, 9, 20])]).expect("it fits");
        case.inputs[0].data_mut()[77] = f32::NAN;
        let (expected, _) = case.define(|x| x);
        for isa in Isa::all() {
            let found = case.run(isa).0;
            let same = |(a, b): (&f32, &f64)| f64::from(*a) == *b || a.is_nan() && b.is_nan();
            assert!(found.data().iter().zip(expected.data()).all(same), "{name} with {}", isa.name());
        }
    }
}

#[test]
fn threads_change_nothing() {
    let numbers = Draw::new(12);
    let cases = [
        ("conv", "{out_channels: 70, kernel: 3, padding: 1}", Shape::new([30, 20, 21])),
        ("conv", "{out_channels: 40, kernel: 5, groups: depthwise, stride: 2}", Shape::new([40, 40, 40])),
        ("conv_transpose", "{out_channels: 40, kernel: 4, stride: 2}", Shape::new([20, 15, 15])),
        ("deform_conv", "{out_channels: 20, kernel: 3, padding: 1}", Shape::new([16, 20, 20])),
        ("conv", "{out_channels: 12, kernel: 7, groups: depthwise, padding: 3}", Shape::new([12, 30, 30])),
        ("linear", "{out_features: 1000}", Shape::new([700])),
        ("linear", "{out_features: 1000}", Shape::new([150, 700])),
        ("global_avg_pool", "{}", Shape::new([64, 30, 30])),
        ("layer_norm", "{axis: channels}", Shape::new([64, 30, 30])),
    ];
    for (name, args, shape) in cases {
        let case = Case::random(&numbers, name, args, 2, &[shape]).expect("it fits");
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            pool.install(|| case.run(Isa::best()).0)
        };
        let one = with(1);
        for threads in [2, 3, 7] {
            assert_eq!(one, with(threads), "{} on {threads} threads", case.label);
        }
    }
}
