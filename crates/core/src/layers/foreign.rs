//! Names of other frameworks: what PyTorch and Keras call a layer or an argument, and what it is called here.
//! This file is the only place for them: a name with the same meaning is accepted, any other gets a hint.

use super::Kind;
use crate::source::Span;
use crate::value::{Key, Located, Value};

/// Module paths that qualify the names of layers in other frameworks.
const PREFIXES: &[&str] = &[
    "torch.nn.functional.",
    "torch.nn.",
    "nn.functional.",
    "nn.",
    "F.",
    "torch.",
    "tf.keras.layers.",
    "tensorflow.keras.layers.",
    "keras.layers.",
    "layers.",
    "tf.nn.",
    "flax.linen.",
];

/// Normalised names that mean the same as one of our layers, in addition to its aliases.
const SAME: &[(&str, &str)] = &[
    ("alphadropout", "dropout"),
    ("averagepooling", "avg_pool"),
    ("batchnormalization", "batch_norm"),
    ("conv1dtranspose", "conv_transpose"),
    ("conv2dtranspose", "conv_transpose"),
    ("conv3dtranspose", "conv_transpose"),
    ("convolution1dtranspose", "conv_transpose"),
    ("convolution2dtranspose", "conv_transpose"),
    ("convolution3dtranspose", "conv_transpose"),
    ("dropblock", "dropout"),
    ("featurealphadropout", "dropout"),
    ("gaussiandropout", "dropout"),
    ("globalaveragepooling", "global_avg_pool"),
    ("globalmaxpooling", "global_max_pool"),
    ("groupnormalization", "group_norm"),
    ("hardsilu", "hardswish"),
    ("instancenormalization", "instance_norm"),
    ("layernormalization", "layer_norm"),
    ("lazybatchnorm", "batch_norm"),
    ("lazyconv", "conv"),
    ("lazyconvtranspose", "conv_transpose"),
    ("lazyinstancenorm", "instance_norm"),
    ("lazylinear", "linear"),
    ("localresponsenormalization", "local_response_norm"),
    ("selayer", "squeeze_excite"),
    ("seblock", "squeeze_excite"),
    ("semodule", "squeeze_excite"),
    ("spatialdropout", "dropout"),
    ("syncbatchnorm", "batch_norm"),
    ("convtransposed", "conv_transpose"),
    ("zeropadding", "pad"),
];

/// What papers call a group of layers.
#[rustfmt::skip]
const BLOCKS: &[&str] = &[
    "basicblock", "bottleneck", "resblock", "residualblock", "invertedresidual", "mbconv", "fusedmbconv",
    "fire", "inception", "inceptionblock", "denseblock", "transition", "transitionlayer", "aspp",
    "spp", "sppf", "fpn", "ppm", "c2f", "c3", "csp", "stem", "stage",
];

/// Normalised names that no single layer of ours corresponds to, and what to use instead.
const HINTS: &[(&[&str], &str)] = &[
    (&["dense"], "Keras' `Dense` is `linear: {out_features: ...}`; `dense` is the construct of DenseNet"),
    (
        &["separableconv", "sepconv", "depthwiseseparableconv", "dsconv", "separableconvolution"],
        "that is two layers: `conv: {out_channels: $in_channels, kernel: 3, groups: depthwise}`, then `conv: {out_channels: ..., kernel: 1}`",
    ),
    (
        &["depthwiseconv", "dwconv", "depthwise", "depthwiseconvolution"],
        "write `conv: {out_channels: $in_channels, kernel: 3, groups: depthwise}`",
    ),
    (&["pointwiseconv", "pointwise", "conv1x1", "pwconv"], "write `conv: {out_channels: ..., kernel: 1}`"),
    (&["conv3x3"], "write `conv: {out_channels: ..., kernel: 3, padding: 1}`"),
    (&["groupconv", "groupedconv"], "write `conv: {out_channels: ..., kernel: 3, groups: 8}`"),
    (&["dilatedconv", "atrousconv"], "write `conv: {out_channels: ..., kernel: 3, dilation: 2, padding: 2}`"),
    (&["causalconv"], "write `conv: {out_channels: ..., kernel: 3, padding: causal}`"),
    (
        &[
            "convbn",
            "convbnrelu",
            "convbnact",
            "convnormactivation",
            "convmodule",
            "convblock",
            "doubleconv",
            "convbnsilu",
        ],
        "that is several layers: `conv`, `batch_norm`, `relu`; name them under `blocks:`",
    ),
    (
        BLOCKS,
        "blocks are your own, under `blocks:`; `cnnkit zoo` lists specs that have one, and `include:` takes them over",
    ),
    (
        &["residual", "skip", "shortcut", "skipconnection", "residualadd", "shortcutadd"],
        "write `residual: {body: [...]}`, or name the layer and `add: [previous, NAME]`",
    ),
    (
        &["modulelist", "moduledict", "containers"],
        "write the layers one after another, or under `sequential:`",
    ),
    (&["activation"], "write the activation itself: `- relu`"),
    (
        &["input", "inputlayer", "placeholder"],
        "the input stands at the top of the spec: `input: [3, 224, 224]`",
    ),
    (&["output"], "the outputs stand at the top of the spec: `outputs: [id]`; the last layer if not given"),
    (
        &[
            "gru",
            "lstm",
            "rnn",
            "grucell",
            "lstmcell",
            "rnncell",
            "simplernn",
            "bidirectional",
            "convlstm",
            "convgru",
            "timedistributed",
        ],
        "recurrent layers are not supported; `conv` with `padding: causal` is the convolution over time",
    ),
    (
        &["embedding", "embeddingbag", "hashing", "textvectorization"],
        "look-up tables are not supported; `learned_tensor` is a table that is read as a whole",
    ),
    (
        &[
            "transformer",
            "transformerencoder",
            "transformerencoderlayer",
            "transformerdecoder",
            "transformerdecoderlayer",
        ],
        "that is several layers: `layer_norm`, `linear`, `attention`, `residual`; name them under `blocks:`",
    ),
    (
        &["multiheadattention", "selfattention", "mha", "additiveattention", "multiheadselfattention"],
        "the products are `attention`; the projections before and after it are `linear` layers of their own",
    ),
    (
        &["mlp", "feedforward", "ffn"],
        "that is several layers: `linear`, `gelu`, `linear`; name them under `blocks:`",
    ),
    (
        &["patchembed", "patchembedding", "patchify"],
        "write `conv: {out_channels: ..., kernel: 16, stride: 16}` for patches of 16 x 16",
    ),
    (&["windowpartition", "windowreverse"], "write `reshape`, then `permute`"),
    (&["route"], "write `concat: [previous, NAME]`"),
    (&["plus", "eltwise"], "write `add: [previous, NAME]`, or `residual: {body: [...]}`"),
    (
        &["topk", "argmax", "argmin", "argsort", "sort", "nms", "nonmaxsuppression", "where", "multinomial"],
        "not supported: what chooses among the results comes after the network",
    ),
    (
        &["cbam", "eca", "ecalayer", "gc", "coordatt", "nonlocal", "selfattention"],
        "build it from `reduce`, `conv`, `sigmoid` and `multiply` under `blocks:`",
    ),
    (
        &["flip", "reverse", "fliplr", "flipud"],
        "write `gather: {axis: ..., indices: [...]}` with the indices in reverse",
    ),
    (&["roll"], "write two `slice` layers and `concat` them the other way round"),
    (&["squeeze", "unsqueeze", "expanddims"], "write `reshape: {shape: [...]}`"),
    (&["stack"], "write `reshape` for the new axis of each, then `concat`"),
    (
        &["tile", "repeatvector", "expand", "broadcast", "broadcastto"],
        "`add` and `multiply` repeat axes of size 1 by themselves; `concat` repeats any",
    ),
    (&["einsum", "dot"], "write `matmul`, with `permute` before it"),
    (
        &["mean", "max", "min", "amax", "amin", "reducemean", "reducemax", "reducemin", "reducesum", "avg"],
        "write `reduce: {reduction: ..., axes: [...]}`",
    ),
    (&["average"], "write `add: {weights: [0.5, 0.5]}` for the mean of two"),
    (&["subtract", "sub", "minus"], "write `add: {weights: [1, -1]}`"),
    (
        &["maximum", "minimum", "maxout"],
        "the larger of two maps is not supported; `relu` and `add` express it: b + relu(a - b)",
    ),
    (&["cropping", "centercropping"], "write `crop: {amount: ...}`, or `crop: {size: [...]}`"),
    (&["reflectionpad"], "write `pad: {padding: ..., mode: reflect}`"),
    (&["replicationpad", "edgepad"], "write `pad: {padding: ..., mode: replicate}`"),
    (&["circularpad", "wrappad"], "write `pad: {padding: ..., mode: circular}`"),
    (
        &["upsamplingnearest", "upsampling", "upscale", "upsamplenearest"],
        "write `upsample: {scale_factor: 2}`, or `upsample: {size: [...]}`",
    ),
    (
        &["upsamplingbilinear", "upsamplebilinear"],
        "write `upsample: {scale_factor: 2, mode: bilinear, align_corners: true}`",
    ),
    (&["resizing", "resizebilinear"], "write `upsample: {size: [...], mode: bilinear}`"),
    (
        &["rescaling", "normalization", "normalize", "scale"],
        "write `rescale: {scale: ..., shift: ...}` for constants, `learned_scale` for weights",
    ),
    (
        &["downsample", "subsample", "stridedpool"],
        "write `avg_pool: {kernel: 2}`, or a `conv` with `stride: 2`",
    ),
    (
        &["blurpool", "blur", "antialias", "sobel", "fixedconv"],
        "write `conv: {out_channels: $in_channels, kernel: 3, groups: depthwise, bias: false, learned: false}`",
    ),
    (
        &["lppool", "fractionalmaxpool", "maxunpool", "stochasticpool", "adaptivelppool"],
        "not supported; `max_pool` and `avg_pool` slide, `adaptive_avg_pool` has a fixed output",
    ),
    (&["globalpool", "globalpooling"], "write `global_avg_pool`, or `global_max_pool`"),
    (&["pool", "pooling"], "write `max_pool: {kernel: 2}`, or `avg_pool: {kernel: 2}`"),
    (
        &["norm", "normlayer"],
        "write which one: `batch_norm`, `layer_norm`, `instance_norm` or `group_norm: {num_groups: ...}`",
    ),
    (&["frozenbatchnorm"], "write `batch_norm: {learned: false}`"),
    (
        &["weightnorm", "weightnormalization", "spectralnorm", "spectralnormalization"],
        "a weight that is normalised costs as much as a plain one: write the layer itself",
    ),
    (&["rmsnorm", "rmsnormalization"], "not supported; `layer_norm: {bias: false}` has as many parameters"),
    (&["logsoftmax"], "write `softmax`; the logarithm behind it belongs to the loss"),
    (&["softmin"], "write `rescale: {scale: -1}`, then `softmax`"),
    (
        &[
            "softsign",
            "softshrink",
            "hardshrink",
            "tanhshrink",
            "logsigmoid",
            "rrelu",
            "threshold",
            "thresholdedrelu",
            "crelu",
            "hardtanhshrink",
        ],
        "not supported; `cnnkit layers` lists the activations, and `clip` cuts off",
    ),
    (
        &[
            "gaussiannoise",
            "noise",
            "randomflip",
            "randomrotation",
            "randomcrop",
            "masking",
            "activityregularization",
        ],
        "it does nothing at inference: leave it out",
    ),
    (
        &["lambda", "custom", "module"],
        "there are no functions in a spec: name the layers it is made of under `blocks:`",
    ),
    (
        &[
            "fold",
            "unfold",
            "im2col",
            "col2im",
            "locallyconnected",
            "bilinear",
            "cosinesimilarity",
            "unitnormalization",
            "sparsemax",
            "pairwisedistance",
            "gridsample",
            "affinegrid",
            "roialign",
            "roipool",
        ],
        "not supported: `cnnkit layers` lists what is",
    ),
    (&["abs"], "write `- function: {function: abs}`"),
    (&["cos"], "write `- function: {function: cos}`"),
    (&["erf"], "write `- function: {function: erf}`"),
    (&["exp"], "write `- function: {function: exp}`"),
    (&["log"], "write `- function: {function: log}`"),
    (&["reciprocal"], "write `- function: {function: reciprocal}`"),
    (&["sin"], "write `- function: {function: sin}`"),
    (&["sqrt"], "write `- function: {function: sqrt}`"),
    (&["crossentropyloss", "mseloss", "loss"], "losses are no part of a network: leave it out"),
    (&["to", "cuda", "contiguous", "detach"], "it changes no value: leave it out"),
];

const CONVOLUTIONS: &[&str] = &["conv", "conv_transpose", "deform_conv"];
const SLIDING: &[&str] = &["conv", "conv_transpose", "deform_conv", "deform_sample", "max_pool", "avg_pool"];
const BIASED: &[&str] = &["conv", "conv_transpose", "deform_conv", "deform_sample", "linear"];
const NORMS: &[&str] = &["batch_norm", "layer_norm", "group_norm", "instance_norm"];

/// Arguments that mean the same as one of ours: the other name, our name, and the layers that have it.
pub const ARGUMENTS: &[(&str, &str, &[&str])] = &[
    ("filters", "out_channels", CONVOLUTIONS),
    ("num_filters", "out_channels", CONVOLUTIONS),
    ("units", "out_features", &["linear"]),
    ("strides", "stride", SLIDING),
    ("pool_size", "kernel", &["max_pool", "avg_pool"]),
    ("kernel_size", "kernel", SLIDING),
    ("dilation_rate", "dilation", CONVOLUTIONS),
    ("dilations", "dilation", CONVOLUTIONS),
    ("use_bias", "bias", BIASED),
    ("epsilon", "eps", NORMS),
    ("rate", "p", &["dropout"]),
];

/// Arguments without a counterpart of ours, and what to do instead.
const ARGUMENT_HINTS: &[(&[&str], &str)] = &[
    (
        &[
            "num_features",
            "num_channels",
            "in_planes",
            "inplanes",
            "in_ch",
            "in_chans",
            "input_channels",
            "in_filters",
            "normalized_shape",
            "input_dim",
            "input_shape",
            "batch_input_shape",
            "n_in",
        ],
        "leave it out: it follows from the input",
    ),
    (
        &[
            "inplace",
            "training",
            "momentum",
            "seed",
            "dtype",
            "device",
            "return_indices",
            "name_scope",
            "trainable_weights",
        ],
        "leave it out: it changes nothing that is computed at inference",
    ),
    (
        &[
            "kernel_initializer",
            "bias_initializer",
            "kernel_regularizer",
            "bias_regularizer",
            "kernel_constraint",
            "weight_decay",
            "beta_initializer",
            "gamma_initializer",
            "activity_regularizer",
        ],
        "leave it out: it concerns training alone",
    ),
    (
        &["activation", "act", "act_layer", "nonlinearity"],
        "write the activation as a layer of its own behind it: `- relu`",
    ),
    (
        &["norm", "norm_layer", "batch_norm", "normalization"],
        "write the norm as a layer of its own behind it: `- batch_norm`",
    ),
    (&["data_format", "channels_last"], "leave it out: shapes are channels first"),
    (
        &["dim", "dims", "start_dim", "end_dim"],
        "axes are counted without the batch: PyTorch's `dim: 1` is axis 0 (`axis`, `axes`, `start_axis`)",
    ),
    (&["name", "label"], "write `id` beside the layer: `- {id: NAME, LAYER: {...}}`"),
    (
        &[
            "filter",
            "channels",
            "ch",
            "features",
            "out",
            "planes",
            "out_planes",
            "out_ch",
            "c_out",
            "num_outputs",
            "n_out",
            "width",
        ],
        "the number of output channels is `out_channels`, of `linear` `out_features`",
    ),
    (
        &["k", "ksize", "kernel_shape", "filter_size", "window", "kernel_width", "pool"],
        "the size of the window is `kernel`",
    ),
    (&["s", "subsample", "step"], "the step of the window is `stride`"),
    (&["pad", "pads", "padding_size"], "write `padding`"),
    (&["d", "atrous_rate", "dil"], "write `dilation`"),
    (&["g", "num_groups", "cardinality", "group"], "write `groups`; of `group_norm` it is `num_groups`"),
    (&["depth_multiplier"], "write `out_channels`: so many times the input's, with `groups: depthwise`"),
    (&["interpolation", "method", "resize_mode"], "write `mode`"),
    (&["scale", "factor", "ratio"], "of `upsample` it is `scale_factor`, of `squeeze_excite` `reduction`"),
    (&["alpha", "slope"], "of `leaky_relu` it is `negative_slope`"),
    (&["trainable", "requires_grad", "frozen"], "write `learned: false` for weights that are not trained"),
];

/// What a name means as an argument of one layer, where it means another thing elsewhere.
const OWN_HINTS: &[(&str, &[&str], &str)] = &[(
    "function",
    &["name", "fn", "op", "kind", "type", "func"],
    "its argument is `function`: `- function: {function: abs}`",
)];

/// Returns `name` without the module that qualifies it.
pub(super) fn unqualified(name: &str) -> &str {
    PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name)
}

/// Returns the layer that a normalised name of another framework means.
pub(super) fn same(folded: &str) -> Option<&'static str> {
    SAME.iter().find(|(name, _)| *name == folded).map(|&(_, ours)| ours)
}

/// Returns the argument that the written name of a layer implies, unless it is `given`: `Dropout2d` zeroes whole channels.
pub fn implied(name: &str, given: &[(Key, Located)], span: Span) -> Vec<(Key, Located)> {
    let folded: String =
        unqualified(name).chars().filter(|&c| c != '_').flat_map(char::to_lowercase).collect();
    let mask = match folded.as_str() {
        "dropout1d"
        | "dropout2d"
        | "dropout3d"
        | "spatialdropout1d"
        | "spatialdropout2d"
        | "spatialdropout3d"
        | "featurealphadropout" => "channel",
        "droppath" | "stochasticdepth" => "image",
        _ => return vec![],
    };
    if given.iter().any(|(key, _)| key.name == "mask") {
        return vec![];
    }
    vec![(Key { name: "mask".into(), span }, Located { value: Value::Text(mask.into()), span })]
}

/// Returns what to use for a layer of another framework that no single layer of ours corresponds to.
pub fn hint(name: &str) -> Option<&'static str> {
    let plain = unqualified(name);
    let full: String = plain.chars().filter(|&c| c != '_').flat_map(char::to_lowercase).collect();
    // `Conv2dNormActivation` has the number of axes in its middle.
    let stem = ["1d", "2d", "3d"].iter().fold(full.clone(), |name, digits| name.replace(digits, ""));
    HINTS
        .iter()
        .find(|(names, _)| names.iter().any(|known| *known == full || *known == stem))
        .map(|&(_, hint)| hint)
}

/// Returns our name of the argument `name` of a layer named `layer`.
pub fn argument<'a>(layer: &str, name: &'a str) -> &'a str {
    let same = ARGUMENTS.iter().find(|(other, _, layers)| *other == name && layers.contains(&layer));
    same.map_or(name, |&(_, ours, _)| ours)
}

/// Returns what to do instead of giving `kind` the argument `name`, which is another framework's.
pub(super) fn argument_hint(kind: &Kind, name: &str) -> Option<String> {
    let layer = kind.doc.name;
    let own = OWN_HINTS.iter().find(|(of, names, _)| *of == layer && names.contains(&name));
    let general = || ARGUMENT_HINTS.iter().find(|(names, _)| names.contains(&name)).map(|&(_, hint)| hint);
    let hint = own.map(|&(.., hint)| hint).or_else(general)?;
    // Some layers have an argument of that name themselves.
    (!kind.argument_names().iter().any(|own| own == name)).then(|| hint.replace("LAYER", layer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{KINDS, find};

    #[test]
    fn the_table_names_layers_and_arguments_that_exist() {
        for (name, ours) in SAME {
            assert!(find(name).is_some_and(|(kind, _)| kind.doc.name == *ours), "{name}");
        }
        let hinted = HINTS.iter().flat_map(|(names, _)| *names);
        let understood: Vec<&&str> = hinted.filter(|name| find(name).is_some()).collect();
        assert!(understood.is_empty(), "these need no hint: {understood:?}");
        for (_, ours, layers) in ARGUMENTS {
            for layer in *layers {
                let kind =
                    KINDS.iter().find(|kind| kind.doc.name == *layer).unwrap_or_else(|| panic!("{layer}"));
                assert!(kind.argument_names().iter().any(|own| own == ours), "{layer} {ours}");
            }
        }
    }
}
