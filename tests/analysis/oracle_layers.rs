//! Single layers against PyTorch: `tests/data/{conv,deform_conv,ops}.json` contain the arguments, and the
//! shapes and counts that torch 2.15 and torchvision 0.29.2 returned.

use cnnkit::layers::{Io, Layer, Weight, WeightRole, find};
use cnnkit::shape::Shape;
use serde_json::{Value, json};

use crate::support::network::layer;

/// The layer `name` with arguments in JSON, which is YAML too.
fn build(name: &str, args: &Value) -> Layer {
    layer(name, &args.to_string())
}

fn cases(text: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(text).expect("the data is JSON");
    file["cases"].as_array().expect("cases").clone()
}

/// Sizes without the batch, and the batch.
fn shape(value: &Value) -> (Shape, u64) {
    let sizes: Vec<u64> =
        value.as_array().expect("a shape").iter().map(|n| n.as_u64().expect("a size")).collect();
    // A vector of samples (the activations' cases) has no batch axis.
    if sizes.len() == 1 { (Shape::new(sizes), 1) } else { (Shape::new(&sizes[1..]), sizes[0]) }
}

struct Measured {
    output: Shape,
    weights: Vec<Weight>,
    macs: u64,
}

fn measure(layer: &Layer, input: &Shape, name: &str) -> Measured {
    let inputs = [input.clone()];
    let output = layer.infer(&inputs).unwrap_or_else(|problem| panic!("{name}: {problem}"));
    let io = Io { inputs: &inputs, output: &output };
    let (weights, cost) = (layer.weights(io).expect("weights"), layer.cost(io).expect("cost"));
    Measured { weights, macs: cost.macs, output }
}

fn parameters(weights: &[Weight]) -> u64 {
    let learned = weights.iter().filter(|weight| weight.role == WeightRole::Parameter);
    learned.map(|weight| weight.shape.elements().expect("small")).sum()
}

#[test]
fn convolutions_agree_with_pytorch() {
    let cases = cases(include_str!("../data/conv.json"));
    assert_eq!(cases.len(), 80);
    for case in cases {
        let id = case["id"].as_str().expect("an id");
        let transposed = case["op"] == "conv_transpose2d";
        let (input, batch) = shape(&case["input"]);
        let (output, _) = shape(&case["output"]);
        let mut args = json!({
            "out_channels": output.channels(), "kernel": case["kernel"], "stride": case["stride"],
            "dilation": case["dilation"], "groups": case["groups"], "bias": case["bias"],
        });
        if transposed {
            args["padding"] = case["padding"].clone();
            args["output_padding"] = case["output_padding"].clone();
        } else {
            let pads = &case["pads"];
            args["padding"] = json!([[pads[0], pads[2]], [pads[1], pads[3]]]);
        }
        let layer = build(if transposed { "conv_transpose" } else { "conv" }, &args);
        let found = measure(&layer, &input, id);
        assert_eq!(found.output, output, "{id}");
        assert_eq!(found.macs * batch, case["macs"].as_u64().expect("macs"), "{id}: MACs");
        assert_eq!(parameters(&found.weights), case["params"].as_u64().expect("params"), "{id}: parameters");
        assert_eq!(json!(found.weights[0].shape.sizes()), case["weight"], "{id}: the weight's shape");
    }
}

#[test]
fn deformable_convolutions_agree_with_torchvision() {
    let cases = cases(include_str!("../data/deform_conv.json"));
    assert_eq!(cases.len(), 20);
    for case in cases {
        let id = case["id"].as_str().expect("an id");
        let (input, _) = shape(&case["input"]);
        let (output, _) = shape(&case["output"]);
        let layer = build(
            "deform_conv",
            &json!({
                "out_channels": output.channels(), "kernel": case["kernel"], "stride": case["stride"],
                "padding": case["padding"], "dilation": case["dilation"], "groups": case["groups"],
                "offset_groups": case["offset_groups"], "modulated": !case["mask"].is_null(),
                "bias": !case["bias"].is_null(),
            }),
        );
        let found = measure(&layer, &input, id);
        assert_eq!(found.output, output, "{id}");
        assert_eq!(json!(found.weights[0].shape.sizes()), case["weight"], "{id}");
        // The offset convolution has exactly as many output channels as torchvision's offset and mask.
        let (offset, _) = shape(&case["offset"]);
        let mask = if case["mask"].is_null() { 0 } else { shape(&case["mask"]).0.channels() };
        let made =
            found.weights.iter().find(|weight| weight.name == "offset.weight").expect("an offset conv");
        assert_eq!(made.shape.channels(), offset.channels() + mask, "{id}: offset channels");
        // Derived here once more, from the data's own shapes: both convolutions have one output a position.
        let positions: u64 = output.spatial().iter().product();
        let weight: u64 = found.weights[0].shape.sizes().iter().product();
        let offset_weight: u64 = made.shape.sizes().iter().product();
        assert_eq!(found.macs, positions * (weight + offset_weight), "{id}: MACs");
    }
}

/// Returns the layer and its arguments for a case of `ops.json`; none where the vocabulary deliberately has no layer.
fn layer_of(case: &Value) -> Option<(&'static str, Value)> {
    let attrs = &case["attrs"];
    let pick = |names: &[&str]| {
        let present = names.iter().filter(|name| !attrs[**name].is_null());
        Value::Object(present.map(|&name| (name.to_owned(), attrs[name].clone())).collect())
    };
    Some(match case["op"].as_str()? {
        "max_pool2d" => ("max_pool", pick(&["kernel", "stride", "padding", "dilation", "ceil_mode"])),
        "avg_pool2d" => {
            let names = ["kernel", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override"];
            ("avg_pool", pick(&names))
        }
        "adaptive_avg_pool2d" => ("adaptive_avg_pool", pick(&["output_size"])),
        "adaptive_max_pool2d" => ("adaptive_max_pool", pick(&["output_size"])),
        // Other positions than torch's `nearest`, and a reach of four neighbours: not in the vocabulary.
        "interpolate" if attrs["mode"] == "nearest-exact" || attrs["mode"] == "bicubic" => return None,
        "interpolate" => {
            let mut args = pick(&["mode", "align_corners", "scale_factor"]);
            if !attrs["size"].is_null() {
                args["size"] = attrs["size"].clone();
            }
            ("upsample", args)
        }
        "batch_norm" if attrs["training"] == true => return None,
        "batch_norm" | "group_norm" => {
            let mut args = pick(&["num_groups", "eps"]);
            args["affine"] = (!case["inputs"]["weight"].is_null()).into();
            (find(case["op"].as_str()?)?.0.doc.name, args)
        }
        "instance_norm" => ("instance_norm", pick(&["eps"])),
        "layer_norm" => {
            let axis = ["last", "space", "all"][attrs["normalized_shape"].as_array()?.len() - 1];
            let affine = !case["inputs"]["weight"].is_null();
            ("layer_norm", json!({"axis": axis, "eps": attrs["eps"], "affine": affine}))
        }
        "layer_norm_channels_first" => ("layer_norm", pick(&["eps"])),
        "local_response_norm" => ("local_response_norm", pick(&["size", "alpha", "beta", "k"])),
        "softmax" => match attrs["dim"].as_i64()? {
            1 => ("softmax", json!({"axis": "channels"})),
            -1 => ("softmax", json!({"axis": "last"})),
            _ => return None,
        },
        "channel_shuffle" => ("channel_shuffle", pick(&["groups"])),
        "pixel_shuffle" => ("pixel_shuffle", pick(&["upscale_factor"])),
        "pixel_unshuffle" => ("pixel_unshuffle", pick(&["downscale_factor"])),
        "linear" => {
            let features = case["output"].as_array()?.last()?;
            ("linear", json!({"out_features": features, "bias": !case["inputs"]["bias"].is_null()}))
        }
        "pad" => {
            let (pads, mode) = (&attrs["pads"], &attrs["mode"]);
            ("pad", json!({"padding": [[pads[0], pads[2]], [pads[1], pads[3]]], "mode": mode}))
        }
        "leaky_relu" => ("leaky_relu", pick(&["negative_slope"])),
        "prelu" => ("prelu", pick(&["num_parameters"])),
        "gelu" => ("gelu", pick(&["approximate"])),
        "elu" => ("elu", pick(&["alpha"])),
        "softplus" => ("softplus", pick(&["beta", "threshold"])),
        name @ ("relu" | "relu6" | "sigmoid" | "hardsigmoid" | "hardswish" | "silu" | "tanh" | "selu"
        | "mish") => (find(name)?.0.doc.name, json!({})),
        // log_softmax, hardtanh, clamp.
        _ => return None,
    })
}

#[test]
fn other_operators_agree_with_pytorch() {
    let cases = cases(include_str!("../data/ops.json"));
    let mut checked = 0;
    for case in &cases {
        let id = case["id"].as_str().expect("an id");
        let Some((name, args)) = layer_of(case) else { continue };
        checked += 1;
        let layer = build(name, &args);
        let (input, _) = shape(&case["inputs"]["input"]);
        let found = measure(&layer, &input, id);
        assert_eq!(found.output, shape(&case["output"]).0, "{id} {args}");
        for weight in &found.weights {
            let given = &case["inputs"][weight.name];
            assert_eq!(json!(weight.shape.sizes()), *given, "{id}: {}", weight.name);
        }
    }
    assert!(checked >= cases.len() - 25, "only {checked} of {} cases can be expressed", cases.len());
}
