//! A node of an imported model for which the vocabulary has no layer. Its parameters and its shape are known;
//! what it computes is not. It is not a word of the spec language: specs consist of known layers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::{Arity, AxisReach, Category, Cost, Doc, Example, Init, Io, LayerKind, Reach, Role, Weight};
use crate::shape::Shape;

/// What is known of the node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Opaque {
    /// The operator's name in the model's format
    pub operator: String,
    /// Shape of its output
    pub shape: Vec<u64>,
    /// Whether the shape is unknown: then it is given as `[1]`, and no layer that reads it has a known cost
    #[serde(default)]
    pub unknown: bool,
    /// Whether all inputs are constants: the output does not depend on the network's input
    #[serde(default)]
    pub constant: bool,
    /// Shapes of its weights
    #[serde(default)]
    pub weights: Vec<Vec<u64>>,
    /// How many of the weights, the last ones, are buffers: running statistics
    #[serde(default)]
    pub buffers: usize,
    /// Its multiply-accumulates, where they follow from the shapes of its weights: of a recurrent layer
    #[serde(default)]
    pub macs: Option<u64>,
    /// Why it is not analysed
    #[serde(default)]
    pub reason: String,
}

/// Names of its weights: as many as one node can have.
pub const NAMES: &[&str] = &[
    "weight_0", "weight_1", "weight_2", "weight_3", "weight_4", "weight_5", "weight_6", "weight_7", "weight_8",
    "weight_9", "weight_10", "weight_11", "weight_12", "weight_13", "weight_14", "weight_15", "weight_16",
    "weight_17", "weight_18", "weight_19", "weight_20", "weight_21", "weight_22", "weight_23", "weight_24",
    "weight_25", "weight_26", "weight_27", "weight_28", "weight_29", "weight_30", "weight_31",
];

/// Operators without multiplications: they choose, move, compare or convert.
const WITHOUT_MACS: &[&str] = &[
    "And", "ArgMax", "ArgMin", "Cast", "CenterCropPad", "Clip", "Compress", "Equal", "Expand", "Gather",
    "GatherElements", "GatherND", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "MaxRoiPool", "MaxUnpool",
    "Min", "NonMaxSuppression", "NonZero", "Not", "OneHot", "Or", "Pad", "RandomNormal", "RandomUniform", "Reshape",
    "ReverseSequence", "ScatterElements", "ScatterND", "Sign", "Slice", "Softmax", "Split", "Squeeze", "Tile", "TopK",
    "Transpose", "Trilu", "Unique", "Unsqueeze", "Where", "Xor",
];

/// The same of PyTorch's operators.
#[rustfmt::skip]
const TORCH_WITHOUT_MACS: &[&str] = &[
    "_native_batch_norm_legit", "_upsample_bicubic2d_aa", "_upsample_bilinear2d_aa", "_upsample_nearest_exact1d",
    "_upsample_nearest_exact2d", "_upsample_nearest_exact3d", "_weight_norm", "abs", "acos", "acosh",
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d",
    "adaptive_max_pool3d", "add", "addcdiv", "addcmul", "all", "alpha_dropout", "amax", "amin", "any", "argmax",
    "argmin", "argsort", "asin", "asinh", "atan", "atan2", "atanh", "avg_pool1d", "avg_pool2d", "avg_pool3d",
    "batch_norm", "bernoulli", "binary_cross_entropy_with_logits", "bitwise_and", "bitwise_not", "bitwise_or",
    "bucketize", "cat", "ceil", "chunk", "clamp", "clamp_max", "clamp_min", "clone", "constant_pad_nd", "copy",
    "cos", "cosh", "cross_entropy_loss", "cummax", "cummin", "cumprod", "cumsum", "diagonal", "div", "dropout", "elu",
    "embedding", "embedding_bag", "empty", "eq", "erf", "erfc", "exp", "exp2", "expand", "expm1", "fill", "flatten",
    "flip", "floor", "floor_divide", "fmod", "frac", "fractional_max_pool2d", "fractional_max_pool3d", "full", "gather",
    "ge", "gelu", "glu", "group_norm", "gt", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "heaviside", "index",
    "index_put", "index_select", "instance_norm", "isfinite", "isinf", "isnan", "item", "layer_norm", "le",
    "leaky_relu", "lerp", "linalg_vector_norm", "log", "log10", "log1p", "log2", "log_sigmoid", "log_softmax",
    "logaddexp", "logcumsumexp", "logical_and", "logical_not", "logical_or", "logical_xor", "logit", "logsumexp", "lt",
    "masked_fill", "masked_scatter", "masked_select", "max", "max_pool1d", "max_pool2d", "max_pool3d", "maximum",
    "mean", "median", "min", "minimum", "mish", "mode", "movedim", "mse_loss", "mul", "multinomial", "nan_to_num", "ne",
    "neg", "nll_loss", "nll_loss_nd", "nonzero", "norm", "normal", "one_hot", "ones", "pad", "permute", "pow", "prelu",
    "quantile", "rand", "rand_like", "randint", "randn", "randn_like", "randperm", "reciprocal", "reflection_pad1d",
    "reflection_pad2d", "reflection_pad3d", "relu", "relu6", "remainder", "repeat", "repeat_interleave",
    "replication_pad1d", "replication_pad2d", "replication_pad3d", "reshape", "rms_norm", "roll", "round", "rrelu",
    "rsqrt", "rsub", "scatter", "scatter_add", "searchsorted", "select", "select_scatter", "selu", "sgn", "sigmoid",
    "sign", "silu", "sin", "sinc", "sinh", "slice", "slice_scatter", "softmax", "softplus", "softshrink", "sort",
    "split", "sqrt", "square", "squeeze", "stack", "std", "std_mean", "sub", "sum", "take_along_dim", "tan", "tanh",
    "threshold", "tile", "topk", "transpose", "tril", "triu", "trunc", "type_as", "unbind", "unfold", "uniform",
    "unique", "unsqueeze", "upsample_bicubic2d", "upsample_bilinear2d", "upsample_linear1d", "upsample_nearest1d",
    "upsample_nearest2d", "upsample_nearest3d", "upsample_trilinear3d", "var", "var_mean", "view", "where", "xlogy",
    "zeros", "zeros_like",
];

impl Opaque {
    /// Returns whether it may do multiply-accumulates that are not counted, which makes a count partial.
    pub fn may_multiply(&self) -> bool {
        if self.macs.is_some() {
            return false;
        }
        let name = self.operator.as_str();
        let torch = name.split_once('.').is_some_and(|(library, name)| {
            library == "aten" && TORCH_WITHOUT_MACS.contains(&name.trim_end_matches('_')) || library == "_operator" && name != "matmul"
        });
        !torch && !WITHOUT_MACS.contains(&name)
    }
}

impl LayerKind for Opaque {
    const DOC: Doc = Doc {
        name: "opaque",
        aliases: &[],
        category: Category::Shape,
        summary: "an operator of an imported model that is not analysed",
        formulas: &[
            ("output", "as the model states it"),
            ("params", "the elements of its weights"),
            ("macs", "counted of recurrent layers; else not, and the figures of the network are partial"),
            ("other ops", "not counted"),
        ],
        source: "the imported model",
        inputs: Arity::Any,
    };

    fn infer(&self, _: &[Shape]) -> Result<Shape, Problem> {
        Ok(Shape::from(self.shape.as_slice()))
    }

    fn weights(&self, _: Io<'_>) -> Result<Vec<Weight>, Problem> {
        let learned = self.weights.len().saturating_sub(self.buffers);
        let weight = |(index, (shape, &name)): (usize, (&Vec<u64>, &&'static str))| {
            if index < learned {
                Weight::parameter(name, shape.as_slice(), Init::Zeros)
            } else {
                Weight::buffer(name, shape.as_slice(), Init::Zeros)
            }
        };
        Ok(self.weights.iter().zip(NAMES).enumerate().map(weight).collect())
    }

    /// Returns zero where the cost is unknown: code that sums costs marks the sum as partial.
    fn cost(&self, _: Io<'_>) -> Result<Cost, Problem> {
        Ok(Cost { macs: self.macs.unwrap_or(0), ..Cost::FREE })
    }

    /// Returns the bound that every output depends on everything that is read.
    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        if self.constant {
            return vec![];
        }
        let whole = |(input, shape): (usize, &Shape)| Reach {
            input,
            role: Role::Local,
            axes: vec![AxisReach::All; shape.rank()],
        };
        io.inputs.iter().enumerate().map(whole).collect()
    }

    computed!();

    fn describe(&self) -> String {
        self.operator.clone()
    }

    fn examples() -> Vec<Example> {
        vec![]
    }
}
