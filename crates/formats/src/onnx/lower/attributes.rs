//! The attributes that the lowering of each operator supports. A node with another attribute may compute
//! something else: it is not analysed.

use std::cell::RefCell;

use cnnkit_core::layers::interchange::Attributes;
use cnnkit_core::layers::of_onnx;

/// Each operator with its attributes, of all operator sets together. Attributes that a layer's own file reads
/// are supported as well.
const KNOWN: &[(&str, &[&str])] = &[
    ("Abs", &["consumed_inputs"]),
    ("Add", &["axis", "broadcast", "consumed_inputs"]),
    (
        "Attention",
        &[
            "is_causal",
            "kv_num_heads",
            "left_window_size",
            "q_num_heads",
            "qk_matmul_output_mode",
            "right_window_size",
            "scale",
            "softcap",
            "softmax_precision",
        ],
    ),
    (
        "AveragePool",
        &["auto_pad", "ceil_mode", "count_include_pad", "dilations", "kernel_shape", "pads", "strides"],
    ),
    (
        "BatchNormalization",
        &["consumed_inputs", "epsilon", "is_test", "momentum", "spatial", "training_mode"],
    ),
    ("Cast", &["round_mode", "saturate", "to"]),
    ("CastLike", &["round_mode", "saturate"]),
    ("Clip", &["consumed_inputs", "max", "min"]),
    ("Concat", &["axis"]),
    (
        "Constant",
        &[
            "sparse_value",
            "value",
            "value_float",
            "value_floats",
            "value_int",
            "value_ints",
            "value_string",
            "value_strings",
        ],
    ),
    ("ConstantOfShape", &["value"]),
    ("Conv", &["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"]),
    ("ConvInteger", &["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"]),
    (
        "ConvTranspose",
        &[
            "auto_pad",
            "dilations",
            "group",
            "kernel_shape",
            "output_padding",
            "output_shape",
            "pads",
            "strides",
        ],
    ),
    ("DeformConv", &["dilations", "group", "kernel_shape", "offset_group", "pads", "strides"]),
    ("DepthToSpace", &["blocksize", "mode"]),
    ("DequantizeLinear", &["axis", "block_size", "output_dtype"]),
    ("Div", &["axis", "broadcast", "consumed_inputs"]),
    ("Dropout", &["consumed_inputs", "is_test", "ratio", "seed"]),
    ("Einsum", &["equation"]),
    ("Elu", &["alpha", "consumed_inputs"]),
    ("Exp", &["consumed_inputs"]),
    ("Flatten", &["axis"]),
    ("Gather", &["axis"]),
    ("GatherND", &["batch_dims"]),
    ("Gelu", &["approximate"]),
    ("Gemm", &["alpha", "beta", "broadcast", "transA", "transB"]),
    ("GroupNormalization", &["epsilon", "num_groups", "stash_type"]),
    ("HardSigmoid", &["alpha", "beta", "consumed_inputs"]),
    ("If", &["else_branch", "then_branch"]),
    ("InstanceNormalization", &["consumed_inputs", "epsilon"]),
    ("LRN", &["alpha", "beta", "bias", "size"]),
    ("LayerNormalization", &["axis", "epsilon", "stash_type"]),
    ("LeakyRelu", &["alpha", "consumed_inputs"]),
    ("Log", &["consumed_inputs"]),
    ("LogSoftmax", &["axis"]),
    ("Max", &["consumed_inputs"]),
    ("MaxPool", &["auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "storage_order", "strides"]),
    ("Mean", &["consumed_inputs"]),
    ("Min", &["consumed_inputs"]),
    ("Mul", &["axis", "broadcast", "consumed_inputs"]),
    ("Neg", &["consumed_inputs"]),
    ("PRelu", &["consumed_inputs"]),
    ("Pad", &["mode", "paddings", "pads", "value"]),
    ("Pow", &["axis", "broadcast"]),
    ("QLinearConv", &["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"]),
    ("QuantizeLinear", &["axis", "block_size", "output_dtype", "precision", "saturate"]),
    ("Reciprocal", &["consumed_inputs"]),
    ("ReduceL2", &["axes", "keepdims", "noop_with_empty_axes"]),
    ("ReduceMax", &["axes", "keepdims", "noop_with_empty_axes"]),
    ("ReduceMean", &["axes", "keepdims", "noop_with_empty_axes"]),
    ("ReduceMin", &["axes", "keepdims", "noop_with_empty_axes"]),
    ("ReduceProd", &["axes", "keepdims", "noop_with_empty_axes"]),
    ("ReduceSum", &["axes", "keepdims", "noop_with_empty_axes"]),
    ("Relu", &["consumed_inputs"]),
    ("Reshape", &["allowzero", "consumed_inputs", "shape"]),
    (
        "Resize",
        &[
            "antialias",
            "axes",
            "coordinate_transformation_mode",
            "cubic_coeff_a",
            "exclude_outside",
            "extrapolation_value",
            "keep_aspect_ratio_policy",
            "mode",
            "nearest_mode",
        ],
    ),
    ("Selu", &["alpha", "consumed_inputs", "gamma"]),
    ("Shape", &["end", "start"]),
    ("Sigmoid", &["consumed_inputs"]),
    ("Slice", &["axes", "ends", "starts"]),
    ("Softmax", &["axis"]),
    ("SpaceToDepth", &["blocksize", "mode"]),
    ("Split", &["axis", "num_outputs", "split"]),
    ("Sqrt", &["consumed_inputs"]),
    ("Squeeze", &["axes"]),
    ("Sub", &["axis", "broadcast", "consumed_inputs"]),
    ("Sum", &["consumed_inputs"]),
    ("Swish", &["alpha"]),
    ("Tanh", &["consumed_inputs"]),
    ("Transpose", &["perm"]),
    ("Unsqueeze", &["axes"]),
    ("Upsample", &["height_scale", "mode", "scales", "width_scale"]),
];

/// Returns the first attribute of a node that its operator does not support.
pub(super) fn unknown<'a>(operator: &str, attributes: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let known = KNOWN.iter().find(|(name, _)| *name == operator).map_or(&[][..], |(_, known)| known);
    let asked = Asked::default();
    let _ = of_onnx(operator, &asked);
    let asked = asked.0.into_inner();
    let mut attributes = attributes;
    attributes.find(|name| !known.contains(name) && !asked.iter().any(|own| own.as_str() == *name))
}

/// Attributes that contain nothing and record which names are read.
#[derive(Default)]
struct Asked(RefCell<Vec<String>>);

impl Attributes for Asked {
    fn float(&self, name: &str, default: f64) -> f64 {
        self.0.borrow_mut().push(name.to_owned());
        default
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.borrow_mut().push(name.to_owned());
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_no_operator_set_has_is_unknown() {
        assert_eq!(unknown("Conv", ["pads", "group"].into_iter()), None);
        assert_eq!(unknown("Conv", ["pads", "padding_mode"].into_iter()), Some("padding_mode"));
        assert_eq!(unknown("Relu", ["alpha"].into_iter()), Some("alpha"));
        assert_eq!(unknown("Celu", ["alpha"].into_iter()), None);
        assert_eq!(unknown("Celu", ["alpha", "beta"].into_iter()), Some("beta"));
    }
}
