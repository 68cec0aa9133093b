//! The variables that describe a block's input, and the order in which a residual runs.

use cnnkit::diagnostic::Diagnostic;
use cnnkit::graph::Graph;
use cnnkit::spec::files::Text;
use cnnkit::spec::{Overrides, load};

fn network(spec: &str) -> Result<Graph, Vec<Diagnostic>> {
    let text = Text { name: "test".into(), bytes: spec.into() };
    load(&text, "test", &Overrides::default()).map(|loaded| loaded.graph).map_err(|rejected| rejected.flaws)
}

/// Ids and output shapes of all nodes.
fn shapes(spec: &str) -> Vec<(String, Vec<u64>)> {
    match network(spec) {
        Ok(graph) => {
            graph.nodes().iter().map(|node| (node.id.clone(), node.shape.sizes().to_vec())).collect()
        }
        Err(errors) => panic!("{errors:?}"),
    }
}

fn last(spec: &str) -> Vec<u64> {
    shapes(spec).pop().expect("there is a layer").1
}

#[test]
fn a_block_knows_the_shape_that_it_reads() {
    let spec = "
input: [12, 10, 14]
blocks:
  halve: [conv: {out_channels: $in_channels // 2, kernel: 1, stride: 2}]
  pool_and_back: [global_avg_pool: {keepdim: true}, upsample: {size: $in_size}]
layers: [halve, halve, pool_and_back, upsample: {size: $in_size}]
";
    let expected = [
        ("input", vec![12, 10, 14]),
        ("halve1.conv1", vec![6, 5, 7]),
        ("halve2.conv1", vec![3, 3, 4]),
        ("pool_and_back1.global_avg_pool1", vec![3, 1, 1]),
        ("pool_and_back1.upsample1", vec![3, 3, 4]),
        ("upsample1", vec![3, 10, 14]),
    ];
    assert_eq!(shapes(spec), expected.map(|(id, sizes)| (id.to_owned(), sizes)));
}

#[test]
fn a_default_may_be_a_multiple_of_the_input() {
    let spec = "
input: [4, 8, 8]
blocks:
  widen:
    args: {expand: 6, hidden: $expand * $in_channels}
    layers: [conv: {out_channels: $hidden, kernel: 1}]
layers: [widen: {expand: 2}, widen]
";
    assert_eq!(last(spec), [48, 8, 8]);
}

#[test]
fn an_argument_or_variable_shadows_the_inputs_shape() {
    let argument = "
input: [4, 8, 8]
blocks:
  b: {args: {in_channels: 7}, layers: [conv: {out_channels: $in_channels, kernel: 1}]}
layers: [b]
";
    assert_eq!(last(argument), [7, 8, 8]);
    let variable = "
input: [4, 8, 8]
variables: {in_channels: 5}
blocks: {b: [conv: {out_channels: $in_channels + 1, kernel: 1}]}
layers: [b, conv: {out_channels: $in_channels, kernel: 1}]
";
    assert_eq!(last(variable), [5, 8, 8]);
}

#[test]
fn a_block_after_a_mistake_gets_no_error_of_its_own() {
    let spec = "
input: [4, 8, 8]
blocks:
  b:
    - conv: {out_channels: $in_channels / 4, kernel: 1, groups: $in_channels / 8}
    - upsample: {size: $in_size}
layers:
  - conv: {out_channels: 8, kernel: 9}
  - b
  - conv: {out_channels: 8, kernel: 99}
";
    let errors = network(spec).expect_err("the kernel is too large");
    assert_eq!(errors.len(), 1, "{errors:?}");
}

#[test]
fn a_residual_runs_in_the_order_in_which_it_is_written() {
    let order = |fields: &str| {
        let spec = format!("{{input: [4, 8, 8], layers: [residual: {{{fields}}}]}}");
        shapes(&spec).into_iter().map(|(id, _)| id).collect::<Vec<_>>()
    };
    let (body, shortcut) = ("body: [relu]", "shortcut: [conv: {out_channels: 4, kernel: 1}]");
    assert_eq!(order(&format!("{body}, {shortcut}")), ["input", "relu1", "shortcut.conv1", "add1"]);
    assert_eq!(order(&format!("{shortcut}, {body}")), ["input", "shortcut.conv1", "relu1", "add1"]);
}

#[test]
fn the_first_input_of_a_residual_is_its_body_in_either_order() {
    let spec = "{input: [4, 8, 8], layers: [residual: {shortcut: [tanh], body: [relu], scale: 0.5}]}";
    let graph = network(spec).expect("it is valid");
    let sum = graph.node(graph.outputs()[0]);
    let ids: Vec<&str> = sum.inputs.iter().map(|&input| graph.node(input).id.as_str()).collect();
    assert_eq!(ids, ["relu1", "shortcut.tanh1"]);
}

/// Parameters and MACs.
fn figures(spec: &str) -> (u64, u64) {
    let graph = network(spec).unwrap_or_else(|errors| panic!("{spec}: {errors:?}"));
    let counts = cnnkit::analysis::totals::of_graph(&graph);
    (counts.params, counts.macs)
}

#[test]
fn a_shared_block_runs_all_its_layers_again() {
    // mmdetection#2294: RetinaNet's head is one module that is called at every level. PyTorch: 96 parameters, and
    // 92,160 MACs a call.
    let head = "{input: [3, 32, 32], blocks: {head: {layers: [
        conv: {out_channels: 3, kernel: 3, padding: 1}, relu, conv: {out_channels: 3, kernel: 1}]}}, layers: [";
    let spec = format!("{head}{{id: a, head: {{}}}}, {{share: a}}, {{share: a}}]}}");
    assert_eq!(figures(&spec), (96, 276_480));
    let ids: Vec<String> = shapes(&spec).into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids[4..7], ["head1.conv1", "head1.relu1", "head1.conv2"]);
    // One that shares can be shared; a size of its own is its own.
    let chain = format!(
        "{head}{{id: a, head: {{}}}}, max_pool: {{kernel: 2}}, {{id: b, share: a}}, {{share: b, from: a}}, {{share: a}}]}}"
    );
    assert_eq!(figures(&chain), (96, 92_160 + 23_040 + 92_160 + 92_160));
}

#[test]
fn a_shared_block_keeps_its_arguments_and_knows_its_new_input() {
    let spec = "
input: [4, 12, 12]
blocks:
  back:
    args: {width: ~, half: $width // 2}
    layers: [conv: {out_channels: $half, kernel: 1, stride: 2}, upsample: {size: $in_size}, conv: {out_channels: $width, kernel: 1}]
layers:
  - repeat:
      for: {w: [8, 16]}
      body: [conv: {out_channels: 4, kernel: 1}, {id: a$i, back: {width: $w}}, conv: {out_channels: 4, kernel: 1}]
  - max_pool: {kernel: 2}
  - {share: a1}
";
    assert_eq!(last(spec), [16, 6, 6]);
}

#[test]
fn every_kind_of_group_can_be_shared() {
    let conv = "conv: {out_channels: 4, kernel: 1, bias: false}";
    for (group, name) in [
        (format!("{{id: g, sequential: [{conv}, relu, {conv}]}}"), "g"),
        (format!("{{id: g, residual: [{conv}, {conv}]}}"), "g"),
        (format!("{{id: g, repeat: {{times: 1, body: [{conv}, {conv}]}}}}"), "g1"),
        (format!("{{id: g, branches: {{paths: [[{conv}], [{conv}]], join: add}}}}"), "g"),
        (format!("branches: {{paths: {{p: [{conv}, {conv}], q: []}}, join: add}}"), "p"),
        (format!("residual: {{body: [], shortcut: [{conv}, {conv}]}}"), "shortcut"),
    ] {
        let spec = format!("{{input: [4, 3, 3], layers: [{group}, {{share: {name}}}]}}");
        assert_eq!(figures(&spec), (32, 4 * 4 * 9 * 4), "{spec}");
    }
}

#[test]
fn what_share_cannot_mean_is_an_error() {
    let head = "{input: [3, 8, 8], blocks: {h: {args: {more: false}, layers: [
        conv: {out_channels: 3, kernel: 1}, {if: $more, conv: {out_channels: 3, kernel: 1}}, relu]}}, layers: [";
    for (layers, words) in [
        ("h, {share: previous}]}", "`previous` is the last layer of `h1`"),
        ("h, {conv: {out_channels: 3, kernel: 1}, share: h1}]}", "`h1` is a block or group"),
        ("{id: a, h: {}}, {h: {more: true}, share: a}]}", "there is no `a.conv2` whose weights it could use"),
        ("{id: a, sequential: [relu, {share: a}]}]}", "that is a cycle"),
        ("h, {share: h1, from: [input, h1]}]}", "reads 1 input, 2 given"),
        ("{id: g, sequential: [relu]}, {share: g, from: [input, g]}]}", "reads one input, 2 are given"),
    ] {
        let errors = network(&format!("{head}{layers}")).expect_err(layers);
        assert_eq!(errors.len(), 1, "{layers}: {errors:?}");
        assert!(errors[0].message.contains(words), "{layers}: {errors:?}");
    }
}

/// A text in YAML, or why it is not.
fn parses(text: &str) -> Result<(), String> {
    let mut sources = cnnkit::source::Sources::default();
    let source = sources.add("example", text);
    cnnkit::spec::yaml::parse(&sources, source).map(|_| ()).map_err(|error| format!("{text}: {error:?}"))
}

#[test]
fn every_example_of_the_spec_language_parses_as_it_is_written() {
    let page =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/spec.md")).expect("the page");
    let (mut fences, mut inline) = (0, 0);
    for (index, part) in page.split("```").enumerate() {
        if let Some(block) = part.strip_prefix("yaml\n") {
            fences += 1;
            parses(block).unwrap_or_else(|error| panic!("{error}"));
        } else if index % 2 == 0 {
            // Examples stand inside braces nearly everywhere.
            for code in part.split('`').skip(1).step_by(2).filter(|code| code.contains(['$', '{'])) {
                inline += 1;
                let code = code.strip_prefix("- ").unwrap_or(code);
                let entry =
                    if code.starts_with(['{', '$', '"']) || !code.contains(": ") { "x: " } else { "" };
                parses(&format!("- {{{entry}{code}}}")).unwrap_or_else(|error| panic!("{error}"));
            }
        }
    }
    assert!(fences > 2 && inline > 15, "{fences} {inline}");
}

#[test]
fn an_index_in_quotes_is_one_rate_a_round() {
    let spec = "{input: [3, 32, 32], variables: {rates: [1, 2, 5]}, layers: [repeat: {times: 3,
        body: [conv: {out_channels: 8, kernel: 3, dilation: \"$rates[$i]\", padding: \"$rates[$i]\"}]}]}";
    assert_eq!(shapes(spec).len(), 4);
    assert_eq!(last(spec), [8, 32, 32]);
}

/// Names that people try first, of PyTorch, Keras and papers: none of them gets a list of all layers, or a wrong guess.
const FIRST_GUESSES: &str = "
    Conv1d Conv2d Conv3d nn.Conv2d torch.nn.Conv2d Conv2D keras.layers.Conv2D tf.keras.layers.Conv2D Convolution2D conv2d
    ConvTranspose2d nn.ConvTranspose2d Conv2DTranspose Conv1DTranspose Conv3DTranspose deconv Deconv2d LazyConv2d LazyLinear
    SeparableConv2D separable_conv SeparableConv1D DepthwiseConv2D depthwise_conv pointwise_conv DepthwiseSeparableConv
    GroupConv DilatedConv CausalConv1d ConvBNReLU conv_block Linear nn.Linear Dense dense_layer fc FullyConnected Bilinear
    ReLU nn.ReLU torch.nn.ReLU F.relu ReLU6 LeakyReLU PReLU ELU SELU CELU GELU SiLU Swish Mish Sigmoid Tanh Hardsigmoid
    Hardswish Hardtanh Softplus Softmax LogSoftmax Softmax2d Softsign LogSigmoid Threshold ThresholdedReLU Activation GLU
    BatchNorm1d BatchNorm2d nn.BatchNorm2d BatchNormalization SyncBatchNorm LayerNorm LayerNormalization GroupNorm
    GroupNormalization InstanceNorm2d InstanceNormalization LocalResponseNorm RMSNorm weight_norm spectral_norm Normalization
    MaxPool1d MaxPool2d nn.MaxPool2d MaxPooling2D AvgPool2d AveragePooling2D AdaptiveAvgPool2d nn.AdaptiveAvgPool2d
    AdaptiveMaxPool2d GlobalAveragePooling2D GlobalAvgPool2D GlobalMaxPooling2D GlobalMaxPool2D gap LPPool2d
    FractionalMaxPool2d MaxUnpool2d pool BlurPool
    Dropout Dropout2d SpatialDropout2D AlphaDropout DropPath DropBlock GaussianNoise
    ZeroPad2d ZeroPadding2D ReflectionPad2d ReplicationPad2d CircularPad2d ConstantPad2d Cropping2D CenterCrop
    Upsample nn.Upsample UpSampling2D UpsamplingNearest2d UpsamplingBilinear2d F.interpolate Resizing resize
    PixelShuffle PixelUnshuffle ChannelShuffle Flatten nn.Flatten Reshape view Permute transpose squeeze unsqueeze stack
    torch.stack torch.cat cat concat Concatenate Add add sum Multiply Subtract Average Maximum mean max flip roll tile Rescaling
    Identity nn.Identity Sequential nn.Sequential ModuleList Lambda Input InputLayer Embedding
    GRU LSTM RNN SimpleRNN GRUCell LSTMCell Bidirectional ConvLSTM2D MultiheadAttention MultiHeadAttention
    TransformerEncoderLayer scaled_dot_product_attention Unfold Fold GridSample RoIAlign einsum matmul bmm
    SEBlock SELayer CBAM ASPP SPP FPN BasicBlock Bottleneck ResidualBlock InvertedResidual MBConv shortcut residual_block";

#[test]
fn first_guesses_are_understood_or_get_the_layer_that_does_it() {
    let mut wrong = Vec::new();
    let names: Vec<&str> = FIRST_GUESSES.split_whitespace().collect();
    assert!(names.len() > 163);
    for name in &names {
        if cnnkit::layers::find(name).is_some() {
            continue;
        }
        let errors = network(&format!("{{input: [4, 8, 8], layers: [{name}: {{}}]}}")).expect_err(name);
        let help = errors[0].help.join(" ");
        let sequential = name.ends_with("Sequential") && help == "did you mean `sequential`?";
        if !sequential && (help.contains("did you mean") || help.contains("lists the layers;")) {
            wrong.push(format!("{name}: {help}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn arguments_of_keras_mean_what_they_mean_there() {
    let keras = "{input: [3, 9, 9], defaults: {conv: {bias: true, kernel: 5}}, layers: [
        Conv2D: {filters: 8, kernel_size: 3, strides: 2, use_bias: false, dilation_rate: 2, padding: same},
        BatchNormalization: {epsilon: 0.001}, MaxPooling2D: {pool_size: 2, strides: 1},
        GlobalAveragePooling2D, nn.Dropout: {rate: 0.5}, linear: {units: 10}]}";
    // 8 * 3 * 9 weights, 2 * 8 of the norm, 8 * 10 + 10.
    assert_eq!(figures(keras).0, 216 + 16 + 90);
    assert_eq!(last(keras), [10]);
    for (layer, argument, words) in [
        ("BatchNorm2d: {num_features: 8}", "num_features", "it follows from the input"),
        ("relu: {inplace: true}", "inplace", "leave it out"),
        ("softmax: {dim: 1}", "dim", "without the batch"),
        ("conv: {filters: 8, kernel: 3, activation: relu}", "activation", "`- relu`"),
        ("conv: {filters: 8, kernel: 3, data_format: nhwc}", "data_format", "channels first"),
    ] {
        let errors = network(&format!("{{input: [8, 9, 9], layers: [{layer}]}}")).expect_err(layer);
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].message.ends_with(&format!("has no argument `{argument}`")), "{errors:?}");
        assert!(errors[0].help[0].contains(words), "{errors:?}");
    }
}

/// Parameters, fixed weights and all buffers.
fn split(spec: &str) -> (u64, u64, u64) {
    let graph = network(spec).unwrap_or_else(|errors| panic!("{spec}: {errors:?}"));
    let counts = cnnkit::analysis::totals::of_graph(&graph);
    (counts.params, counts.frozen, counts.buffers)
}

#[test]
fn fixed_weights_are_buffers() {
    // antialiased-cnns#32: the blur kernel is fixed. PyTorch: no parameters, a buffer of 576 elements, 451,584 MACs.
    let blur = "{input: [64, 56, 56], layers: [max_pool: {kernel: 2, stride: 1}, conv: {out_channels: 64, kernel: 3, stride: 2,
        padding: 1, padding_mode: reflect, groups: depthwise, bias: false, learned: false}]}";
    assert_eq!(split(blur), (0, 576, 576));
    assert_eq!(figures(blur).1, 451_584);
    // A frozen stem; running statistics are buffers anyway, and what shares fixed weights has none to learn either.
    let stem = "{input: [4, 9, 9], variables: {train: false}, defaults: {batch_norm: {learned: $train}}, layers: [
        {id: a, conv: {out_channels: 4, kernel: 1, learned: $train}}, batch_norm, {share: a}, conv: {out_channels: 2, kernel: 1}]}";
    assert_eq!(split(stem), (10, 20 + 8, 20 + 8 + 8));
    for (layer, words) in [
        ("relu: {learned: false}", "`relu` has no argument `learned`"),
        ("conv: {out_channels: 4, kernel: 1, learned: 3}", "expected `true` or `false`"),
    ] {
        let errors = network(&format!("{{input: [4, 9, 9], layers: [{layer}]}}")).expect_err(layer);
        assert!(errors.len() == 1 && errors[0].message.contains(words), "{errors:?}");
    }
}

#[test]
fn every_layer_with_weights_can_be_fixed() {
    use cnnkit::layers::{Io, KINDS, WeightRole};
    for kind in KINDS {
        for example in (kind.examples)() {
            let mut sources = cnnkit::source::Sources::default();
            let source = sources.add("example", example.args);
            let args = cnnkit::spec::yaml::parse(&sources, source).expect("YAML");
            let layer = kind.build(&args, cnnkit::source::Span::new(source, 0, 0)).expect("an example");
            let output = layer.infer(&example.inputs).expect("an example");
            let weights = layer.weights(Io { inputs: &example.inputs, output: &output }).expect("an example");
            let learns = weights.iter().any(|weight| weight.role == WeightRole::Parameter);
            let known = kind.is_freezable() || kind.argument_names().iter().any(|name| name == "learned");
            assert!(!learns || known, "{}", kind.doc.name);
        }
    }
}
