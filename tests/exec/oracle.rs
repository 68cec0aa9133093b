//! Operators computed by PyTorch 2.15 and torchvision 0.29 in f64 (`tests/data/values`, whose `_about` states
//! the conventions), compared with the definition in f64 to 1e-12 and in f32 to 1e-5.

use std::sync::Arc;

use cnnkit::exec::fast::{Fast, Isa};
use cnnkit::exec::reference::{Call, Counter, Grid, forward, sampled_convolution};
use cnnkit::exec::run::Kernels as _;
use cnnkit::exec::scalar::Scalar;
use cnnkit::exec::tensor::Tensor;
use cnnkit::layers::window::Window;
use cnnkit::layers::{Init, Layer, Weight};
use serde_json::Value;

use super::build;

fn cases(text: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(text).expect("the file is JSON");
    file["cases"].as_array().expect("cases").clone()
}

fn numbers(value: &Value) -> Vec<u64> {
    value.as_array().expect("a list").iter().map(|n| n.as_u64().expect("a whole number")).collect()
}

fn tensor(value: &Value) -> Option<Tensor<f64>> {
    let sizes: Vec<usize> = numbers(value.get("shape")?).into_iter().map(|n| n as usize).collect();
    let data = value["data"].as_array()?.iter().map(|n| n.as_f64().unwrap_or(f64::NAN)).collect();
    Some(Tensor::new(&sizes, data).expect("the data fill the shape"))
}

/// Every element within `bound` of the expected, relative to the larger of it and the tensor's typical size: where
/// terms cancel, a sum cannot be known better than its terms.
fn assert_close<S: Scalar>(id: &str, found: &Tensor<S>, expected: &Tensor<f64>, bound: f64) {
    assert_eq!(found.sizes(), expected.sizes(), "{id}: shape");
    let typical = expected.data().iter().map(|x| x * x).sum::<f64>() / expected.len().max(1) as f64;
    for (i, (found, &expected)) in found.data().iter().zip(expected.data()).enumerate() {
        let error = (found.to_f64() - expected).abs() / expected.abs().max(typical.sqrt()).max(1e-30);
        assert!(error <= bound, "{id}: element {i} is {found:?}, PyTorch has {expected}, off by {error:e}");
    }
}

/// Calls `run` with the input and the named tensors in another number type.
fn with<S: Scalar, T>(
    input: &Tensor<f64>,
    named: &[(&'static str, Option<Tensor<f64>>)],
    run: impl FnOnce(Call<'_, S>) -> T,
) -> T {
    let shape = |tensor: &Tensor<f64>| tensor.sizes().iter().map(|&n| n as u64).collect::<Vec<_>>();
    let given = || named.iter().filter_map(|(name, tensor)| Some((*name, tensor.as_ref()?)));
    let declared: Vec<Weight> =
        given().map(|(name, tensor)| Weight::parameter(name, shape(tensor), Init::Zeros)).collect();
    let weights: Vec<Arc<Tensor<S>>> = given().map(|(_, tensor)| Arc::new(tensor.cast())).collect();
    let input = input.cast();
    run(Call { inputs: &[&input], declared: &declared, weights: &weights })
}

fn execute<S: Scalar>(
    layer: &Layer,
    input: &Tensor<f64>,
    named: &[(&'static str, Option<Tensor<f64>>)],
) -> (Tensor<S>, Counter) {
    let mut counter = Counter::default();
    let output = with(input, named, |call| forward(layer, call, &mut counter));
    (output.unwrap_or_else(|e| panic!("{layer:?}: {e}")), counter)
}

fn check(
    id: &str,
    layer: &Layer,
    input: &Tensor<f64>,
    named: &[(&'static str, Option<Tensor<f64>>)],
    expected: &Tensor<f64>,
) -> Counter {
    let (exact, counter) = execute::<f64>(layer, input, named);
    assert_close(id, &exact, expected, 1e-12);
    assert_close(id, &execute::<f32>(layer, input, named).0, expected, 1e-5);
    for isa in Isa::all() {
        let fast = Fast::with(isa);
        let found = with(input, named, |call| fast.forward(layer, call, &mut Counter::default()));
        let found = found.unwrap_or_else(|e| panic!("{id} ({}): {e}", isa.name()));
        assert_close(&format!("{id} ({})", isa.name()), &found, expected, 1e-5);
    }
    counter
}

#[test]
fn convolutions_are_pytorchs() {
    for case in cases(include_str!("../data/values/conv.json")) {
        let id = case["id"].as_str().expect("an id");
        let transposed = case["op"] == "conv_transpose2d";
        let (input, weight) =
            (tensor(&case["input"]).expect("input"), tensor(&case["weight"]).expect("weight"));
        let bias = tensor(&case["bias"]);
        let groups = case["groups"].as_u64().expect("groups");
        let out_channels =
            weight.sizes()[usize::from(transposed)] as u64 * if transposed { groups } else { 1 };
        let mut args = format!(
            "{{out_channels: {out_channels}, kernel: {}, stride: {}, dilation: {}, groups: {groups}, bias: {}",
            case["kernel"],
            case["stride"],
            case["dilation"],
            bias.is_some()
        );
        let name = if transposed {
            args += &format!(", padding: {}, output_padding: {}}}", case["padding"], case["output_padding"]);
            "conv_transpose"
        } else {
            let pads = numbers(&case["pads"]);
            args += &format!(", padding: [[{}, {}], [{}, {}]]}}", pads[0], pads[2], pads[1], pads[3]);
            "conv"
        };
        let expected = tensor(&case["output"]).expect("output");
        let layer = build(name, &args);
        let counter = check(id, &layer, &input, &[("weight", Some(weight)), ("bias", bias)], &expected);
        assert_eq!(Some(counter.total()), case["macs"].as_u64(), "{id}: multiply-adds done");
    }
}

#[test]
fn deformable_convolutions_are_torchvisions() {
    for case in cases(include_str!("../data/values/deform_conv.json")) {
        let id = case["id"].as_str().expect("an id");
        let get = |key: &str| tensor(&case[key]);
        let (input, weight) = (get("input").expect("input"), get("weight").expect("weight"));
        let (offset, expected) = (get("offset").expect("offset"), get("output").expect("output"));
        let axis = |key: &str, axis: usize| numbers(&case[key])[axis];
        let windows = [0, 1].map(|i| Window {
            kernel: axis("kernel", i),
            stride: axis("stride", i),
            dilation: axis("dilation", i),
            before: axis("padding", i) as i64,
            after: axis("padding", i) as i64,
        });
        let grid = Grid {
            windows: &windows,
            outputs: [expected.sizes()[2], expected.sizes()[3]],
            image: [input.sizes()[2], input.sizes()[3]],
            offset_groups: case["offset_groups"].as_u64().expect("offset groups") as usize,
        };
        let (mask, bias) = (get("mask"), get("bias"));
        let output = sampled_convolution(
            &grid,
            &input,
            &offset,
            mask.as_ref(),
            &weight,
            bias.as_ref(),
            &mut Counter::default(),
        );
        assert_close(id, &output, &expected, 1e-12);
    }
}

/// The fast kernel computes its offsets from its input by a convolution; a case gives them. So the input gets channels
/// that are 1 at one position each, and the offset convolution reads there what the case says: each output sees its own
/// position through its first tap, with a weight of its own. The padding is written out as zeros, which is what both read
/// outside, so that every first tap meets an element.
#[test]
fn fast_deformable_convolutions_are_torchvisions() {
    for case in cases(include_str!("../data/values/deform_conv.json")) {
        let id = case["id"].as_str().expect("an id");
        let get = |key: &str| tensor(&case[key]);
        let (input, weight) = (get("input").expect("input"), get("weight").expect("weight"));
        let (offset, expected) = (get("offset").expect("offset"), get("output").expect("output"));
        let (mask, bias) = (get("mask"), get("bias"));
        let pair = |key: &str| -> [usize; 2] { [0, 1].map(|i| numbers(&case[key])[i] as usize) };
        let [kernel, stride, padding, dilation] = ["kernel", "stride", "padding", "dilation"].map(pair);
        let (channels, image) = (input.sizes()[1], [input.sizes()[2], input.sizes()[3]]);
        let (outputs, map) =
            ([expected.sizes()[2], expected.sizes()[3]], [0, 1].map(|i| image[i] + 2 * padding[i]));
        let offset_groups = case["offset_groups"].as_u64().expect("offset groups") as usize;
        let groups = channels / weight.sizes()[1];
        // Groups and offset groups are runs of channels: each block of channels that shares both gets as many more.
        let blocks = num_integer::lcm(groups, offset_groups);
        let (positions, plane) = (outputs[0] * outputs[1], map[0] * map[1]);
        let (real, more) = (channels / blocks, positions.div_ceil(blocks));
        let place = |channel: usize| channel / real * (real + more) + channel % real;
        let marker = |position: usize| position / more * (real + more) + real + position % more;
        let wide = blocks * (real + more);
        let args = format!(
            "{{out_channels: {}, kernel: {kernel:?}, stride: {stride:?}, dilation: {dilation:?}, groups: {groups}, \
             offset_groups: {offset_groups}, bias: {}, modulated: {}}}",
            weight.sizes()[0],
            bias.is_some(),
            mask.is_some()
        );
        let layer = build("deform_conv", &args);
        let taps = kernel[0] * kernel[1];
        let (shifts, masks) =
            (2 * offset_groups * taps, if mask.is_some() { offset_groups * taps } else { 0 });
        let own = wide / groups;
        let main = Tensor::from_fn(&[weight.sizes()[0], own, kernel[0], kernel[1]], |flat| {
            let (output, at, tap) = (flat / taps / own, flat / taps % own, flat % taps);
            let group = output / (weight.sizes()[0] / groups);
            let channel = (0..channels).find(|&channel| place(channel) == group * own + at);
            channel.map_or(0.0, |channel| {
                let inside = weight.sizes()[1];
                weight.data()[(output * inside + channel % inside) * taps + tap]
            })
        });
        for n in 0..input.batch() {
            let mut enlarged = Tensor::<f64>::zeros(&[1, wide, map[0], map[1]]);
            let data = enlarged.data_mut();
            for (flat, &value) in input.image(n).iter().enumerate() {
                let (channel, y, x) =
                    (flat / image[1] / image[0], flat / image[1] % image[0], flat % image[1]);
                data[place(channel) * plane + (y + padding[0]) * map[1] + x + padding[1]] = value;
            }
            let mut from = Tensor::<f64>::zeros(&[shifts + masks, wide, kernel[0], kernel[1]]);
            for position in 0..positions {
                let (y, x) = (position / outputs[1] * stride[0], position % outputs[1] * stride[1]);
                data[marker(position) * plane + y * map[1] + x] = 1.0;
                for plane in 0..shifts + masks {
                    let value = match (plane < shifts, &mask) {
                        (false, Some(mask)) => {
                            let share = mask.image(n)[(plane - shifts) * positions + position];
                            (share / (1.0 - share)).ln().clamp(-40.0, 40.0)
                        }
                        _ => offset.image(n)[plane * positions + position],
                    };
                    from.data_mut()[(plane * wide + marker(position)) * taps] = value;
                }
            }
            let sizes = [&[1], expected.image_sizes()].concat();
            let wanted = Tensor::new(&sizes, expected.image(n).to_vec()).expect("one image");
            let named = [
                ("weight", Some(main.clone())),
                ("bias", bias.clone()),
                ("offset.weight", Some(from)),
                ("offset.bias", Some(Tensor::zeros(&[shifts + masks]))),
            ];
            check(&format!("{id}, image {n}"), &layer, &enlarged, &named, &wanted);
            for isa in Isa::all() {
                let kernel =
                    with(&enlarged, &named, |call| Fast::with(isa).kernel(&layer, call).expect("a kernel"));
                assert_ne!(kernel, "definition", "{id}");
            }
        }
    }
}

/// The layer that a `torch.nn.functional` operator is here; none for what the vocabulary does not have.
fn operator(op: &str, attrs: &Value, input: &[usize]) -> Option<Layer> {
    let a = |key: &str| &attrs[key];
    let (name, args) = match op {
        "max_pool2d" => (
            "max_pool",
            format!(
                "{{kernel: {}, stride: {}, padding: {}, dilation: {}, ceil_mode: {}}}",
                a("kernel"),
                a("stride"),
                a("padding"),
                a("dilation"),
                a("ceil_mode")
            ),
        ),
        "avg_pool2d" => (
            "avg_pool",
            format!(
                "{{kernel: {}, stride: {}, padding: {}, ceil_mode: {}, count_include_pad: {}{}}}",
                a("kernel"),
                a("stride"),
                a("padding"),
                a("ceil_mode"),
                a("count_include_pad"),
                a("divisor_override").as_u64().map_or(String::new(), |d| format!(", divisor_override: {d}"))
            ),
        ),
        "adaptive_avg_pool2d" => ("adaptive_avg_pool", format!("{{output_size: {}}}", a("output_size"))),
        "adaptive_max_pool2d" => ("adaptive_max_pool", format!("{{output_size: {}}}", a("output_size"))),
        "interpolate" => {
            if !["nearest", "bilinear"].contains(&a("mode").as_str()?) {
                return None;
            }
            let size = if a("size").is_null() {
                format!("scale_factor: {}", a("scale_factor"))
            } else {
                format!("size: {}", a("size"))
            };
            let align = a("align_corners").as_bool().unwrap_or(false);
            ("upsample", format!("{{{size}, mode: {}, align_corners: {align}}}", a("mode")))
        }
        "batch_norm" if a("training") == false => ("batch_norm", format!("{{eps: {}}}", a("eps"))),
        // With the statistics of the batch it is an instance norm, if there is one image.
        "batch_norm" if input[0] == 1 => ("instance_norm", format!("{{eps: {}, affine: true}}", a("eps"))),
        "batch_norm" => return None,
        "group_norm" => ("group_norm", format!("{{num_groups: {}, eps: {}}}", a("num_groups"), a("eps"))),
        "instance_norm" => ("instance_norm", format!("{{eps: {}}}", a("eps"))),
        "layer_norm" => {
            let axis = ["last", "space", "all"][a("normalized_shape").as_array()?.len() - 1];
            ("layer_norm", format!("{{axis: {axis}, eps: {}}}", a("eps")))
        }
        "layer_norm_channels_first" => ("layer_norm", format!("{{eps: {}}}", a("eps"))),
        "local_response_norm" => (
            "local_response_norm",
            format!("{{size: {}, alpha: {}, beta: {}, k: {}}}", a("size"), a("alpha"), a("beta"), a("k")),
        ),
        "softmax" => match a("dim").as_i64()? {
            1 => ("softmax", "{axis: channels}".into()),
            -1 => ("softmax", "{axis: last}".into()),
            _ => return None,
        },
        "leaky_relu" => ("leaky_relu", format!("{{negative_slope: {}}}", a("negative_slope"))),
        "prelu" => ("prelu", format!("{{num_parameters: {}}}", a("num_parameters"))),
        "gelu" => ("gelu", format!("{{approximate: {}}}", a("approximate"))),
        "elu" => ("elu", format!("{{alpha: {}}}", a("alpha"))),
        "softplus" => ("softplus", format!("{{beta: {}, threshold: {}}}", a("beta"), a("threshold"))),
        "relu" | "relu6" | "sigmoid" | "hardsigmoid" | "hardswish" | "silu" | "tanh" | "selu" | "mish" => {
            (op, "{}".into())
        }
        "channel_shuffle" => ("channel_shuffle", format!("{{groups: {}}}", a("groups"))),
        "pixel_shuffle" => ("pixel_shuffle", format!("{{upscale_factor: {}}}", a("upscale_factor"))),
        "pixel_unshuffle" => ("pixel_unshuffle", format!("{{downscale_factor: {}}}", a("downscale_factor"))),
        "linear" => ("linear", "{out_features: 1}".into()),
        "pad" => {
            let pads = numbers(a("pads"));
            let mode = if a("mode") == "constant" { "zeros" } else { a("mode").as_str()? };
            let value = a("value").as_f64().unwrap_or(0.0);
            (
                "pad",
                format!(
                    "{{padding: [[{}, {}], [{}, {}]], mode: {mode}, value: {value}}}",
                    pads[0], pads[2], pads[1], pads[3]
                ),
            )
        }
        // Not in the vocabulary.
        "log_softmax" | "hardtanh" | "clamp" => return None,
        _ => panic!("`{op}` is new here"),
    };
    Some(build(name, &args))
}

#[test]
fn other_operators_are_pytorchs() {
    let (mut checked, mut left_out) = (0, Vec::new());
    for case in cases(include_str!("../data/values/ops.json")) {
        let id = case["id"].as_str().expect("an id");
        let op = case["op"].as_str().expect("an op");
        let inputs = &case["inputs"];
        let mut input = tensor(&inputs["input"]).expect("input");
        let mut expected = tensor(&case["output"]).expect("output");
        let Some(layer) = operator(op, &case["attrs"], input.sizes()) else {
            left_out.push(id.to_owned());
            continue;
        };
        let layer = match inputs["weight"]["shape"][0].as_u64() {
            Some(outputs) if op == "linear" => build(op, &format!("{{out_features: {outputs}}}")),
            _ => layer,
        };
        // Activations are given without a batch axis.
        if input.sizes().len() == 1 {
            let sizes = [1, input.len()];
            (input, expected) =
                (input.reshaped(&sizes).expect("same"), expected.reshaped(&sizes).expect("same"));
        }
        let named =
            ["weight", "bias", "running_mean", "running_var"].map(|name| (name, tensor(&inputs[name])));
        check(id, &layer, &input, &named, &expected);
        checked += 1;
    }
    // Bicubic and nearest-exact resizes, softmax over the batch or a middle axis, log_softmax, hardtanh, clamp and batch
    // norm with the statistics of several images are not in the vocabulary.
    assert!(checked >= 118, "{checked} checked, left out: {left_out:?}");
}
