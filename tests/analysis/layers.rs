//! The vocabulary: every layer states all its facets, and agrees with PyTorch.

use std::collections::HashSet;

use cnnkit::layers::activation::Pointwise;
use cnnkit::layers::interchange::{Attributes, OnnxAttribute, Operand};
use cnnkit::layers::{Example, Io, KINDS, Kind, Layer, Role, Values, find, of_onnx, onnx_operators};
use cnnkit::source::{Sources, Span};
use cnnkit::spec::yaml;

/// The layer `kind` with the arguments written in `args`.
fn build(kind: &Kind, args: &str) -> Layer {
    let mut sources = Sources::default();
    let source = sources.add("example", args);
    let located = yaml::parse(&sources, source).expect("an example is YAML");
    kind.build(&located, Span::new(source, 0, 0))
        .unwrap_or_else(|errors| panic!("{} {args}: {errors:?}", kind.doc.name))
}

/// The names of the arguments of `kind`.
fn arguments(kind: &Kind) -> Vec<String> {
    let mut generator = schemars::SchemaGenerator::default();
    let schema = (kind.schema)(&mut generator).to_value();
    let name = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next());
    let schema = name.map_or(&schema, |name| &generator.definitions()[name]);
    schema["properties"].as_object().map(|map| map.keys().cloned().collect()).unwrap_or_default()
}

#[test]
fn infinite_and_large_numbers_are_arguments() {
    let (pad, _) = find("pad").expect("a layer");
    for (text, value) in [
        ("-inf", f64::NEG_INFINITY),
        ("inf", f64::INFINITY),
        ("-3", -3.0),
        ("-1e38", -1e38),
        ("-3.4028234663852886e38", f64::from(f32::MIN)),
    ] {
        let Layer::Pad(built) = build(pad, &format!("{{padding: 1, value: {text}}}")) else {
            panic!("no pad")
        };
        assert_eq!(built.value, value, "{text}");
        // What is infinite is a word, because JSON has no such number.
        let written = serde_json::to_value(&built).expect("JSON");
        assert_eq!(written["value"].is_string(), value.is_infinite(), "{written}");
    }
}

#[test]
fn names_and_aliases_are_words_of_their_own() {
    let fold = |name: &str| name.replace('_', "").to_lowercase();
    let mut seen = HashSet::new();
    for kind in KINDS {
        for name in std::iter::once(&kind.doc.name).chain(kind.doc.aliases) {
            assert!(seen.insert(fold(name)), "`{name}` of `{}` is taken", kind.doc.name);
            assert!(
                name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit()),
                "{name}"
            );
            let (found, _) = find(name).expect("every name is found");
            assert_eq!(found.doc.name, kind.doc.name, "{name}");
        }
    }
}

#[test]
fn pytorch_class_names_are_understood() {
    for (class, name, rank) in [
        ("Conv2d", "conv", Some(2)),
        ("ConvTranspose1d", "conv_transpose", Some(1)),
        ("BatchNorm3d", "batch_norm", Some(3)),
        ("MaxPool2d", "max_pool", Some(2)),
        ("AdaptiveAvgPool2d", "adaptive_avg_pool", Some(2)),
        ("AdaptiveMaxPool2d", "adaptive_max_pool", Some(2)),
        ("LocalResponseNorm", "local_response_norm", None),
        ("GroupNorm", "group_norm", None),
        ("LayerNorm", "layer_norm", None),
        ("InstanceNorm2d", "instance_norm", Some(2)),
        ("LeakyReLU", "leaky_relu", None),
        ("ReLU6", "relu6", None),
        ("PReLU", "prelu", None),
        ("SiLU", "silu", None),
        ("Hardswish", "hardswish", None),
        ("Dropout2d", "dropout", Some(2)),
        ("ZeroPad2d", "pad", Some(2)),
        ("PixelShuffle", "pixel_shuffle", None),
        ("ChannelShuffle", "channel_shuffle", None),
        ("Upsample", "upsample", None),
        ("DeformConv2d", "deform_conv", Some(2)),
        ("Flatten", "flatten", None),
    ] {
        let (kind, found) = find(class).unwrap_or_else(|| panic!("{class}"));
        assert_eq!((kind.doc.name, found), (name, rank), "{class}");
    }
}

#[test]
fn every_layer_documents_itself() {
    for kind in KINDS {
        let doc = kind.doc;
        assert!(!doc.summary.is_empty() && !doc.source.is_empty(), "{}", doc.name);
        assert!(!doc.summary.ends_with('.'), "{}: a summary has no full stop", doc.name);
        for quantity in ["output", "params", "macs", "other ops"] {
            let found = doc.formulas.iter().any(|(name, formula)| *name == quantity && !formula.is_empty());
            assert!(found, "{} does not say its {quantity}", doc.name);
        }
        let arguments = arguments(kind).len();
        let least = if arguments > 0 { 2 } else { 1 };
        assert!((kind.examples)().len() >= least, "{} needs {least} examples", doc.name);
    }
}

/// Attributes as a layer writes them.
struct Written(Vec<OnnxAttribute>);

impl Attributes for Written {
    fn float(&self, name: &str, default: f64) -> f64 {
        let own = self.0.iter().find_map(|attribute| match attribute {
            OnnxAttribute::Float(own, value) if *own == name => Some(*value),
            _ => None,
        });
        own.unwrap_or(default)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find_map(|attribute| match attribute {
            OnnxAttribute::Text(own, word) if *own == name => Some(*word),
            _ => None,
        })
    }
}

/// Every use of a pointwise layer in the examples, with its function.
fn pointwise() -> Vec<(String, Layer, Pointwise)> {
    let uses = KINDS.iter().flat_map(|kind| {
        let of = move |example: Example| {
            let layer = build(kind, example.args);
            let pointwise = layer.pointwise()?;
            Some((format!("{} {}", kind.doc.name, example.args), layer, pointwise))
        };
        (kind.examples)().into_iter().filter_map(of)
    });
    uses.collect()
}

#[test]
fn facts_of_pointwise_layers_are_their_functions() {
    let inputs: Vec<f64> = (-4000..=4000).map(|i| f64::from(i) * 0.01).chain([-1e9, 1e9]).collect();
    let uses = pointwise();
    assert!(uses.len() > 40, "{}", uses.len());
    for (name, layer, pointwise) in uses {
        let Pointwise { activation, range: [least, most], fixed, .. } = pointwise;
        for &x in &inputs {
            let value = activation.value(x);
            assert!(value.is_nan() || (least..=most).contains(&value), "{name}: {value} at {x}");
            if fixed.is_some_and(|[from, to]| (from..=to).contains(&x)) {
                assert_eq!(value, x, "{name} changes what it fixes");
            }
        }
        // The bounds are tight: within 1e-3, or as far as the inputs go.
        let values = || inputs.iter().map(|&x| activation.value(x)).filter(|value| !value.is_nan());
        let (low, high) =
            (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
        assert!(least.is_infinite() || low < least + 1e-3, "{name}: {low}, not {least}");
        assert!(most.is_infinite() || high > most - 1e-3, "{name}: {high}, not {most}");
        let Values::Mapped { zero, .. } = layer.values() else { panic!("{name} maps values") };
        assert_eq!(zero, activation.value(0.0) == 0.0, "{name}");
    }
}

#[test]
fn onnx_operators_of_pointwise_layers_serve_both_ways() {
    for (name, layer, _) in pointwise() {
        let nodes = layer.onnx();
        assert!(!nodes.is_empty() && layer.pytorch().is_some(), "{name}");
        for (index, node) in nodes.iter().enumerate() {
            for operand in &node.inputs {
                let Operand::Part(part) = operand else { continue };
                assert!(nodes[..index].iter().any(|earlier| earlier.part == *part), "{name}: {part}");
            }
        }
        let [only] = nodes.as_slice() else { continue };
        if only.inputs == [Operand::Input]
            && let Some(read) = of_onnx(only.operator, &Written(only.attributes.clone()))
        {
            assert_eq!(read.as_ref(), Some(&layer), "{name}");
        }
    }
    let names: Vec<&str> = onnx_operators().collect();
    assert_eq!(
        names.iter().collect::<HashSet<_>>().len(),
        names.len(),
        "two layers claim one operator: {names:?}"
    );
    for name in names {
        assert!(matches!(of_onnx(name, &Written(vec![])), Some(Some(_))), "{name} with ONNX's defaults");
    }
}

#[test]
fn every_example_is_consistent() {
    for kind in KINDS {
        for example in (kind.examples)() {
            let name = format!("{} {} on {:?}", kind.doc.name, example.args, example.inputs);
            let layer = build(kind, example.args);
            let output = layer.infer(&example.inputs).unwrap_or_else(|problem| panic!("{name}: {problem}"));
            assert!(output.rank() > 0 && !output.sizes().contains(&0), "{name}: {output}");
            let io = Io { inputs: &example.inputs, output: &output };
            let weights = layer.weights(io).unwrap_or_else(|problem| panic!("{name}: {problem}"));
            let names: HashSet<_> = weights.iter().map(|weight| weight.name).collect();
            assert_eq!(names.len(), weights.len(), "{name}: two weights of one name");
            for weight in &weights {
                assert!(weight.shape.elements().is_ok_and(|n| n > 0), "{name}: {}", weight.name);
            }
            let cost = layer.cost(io).unwrap_or_else(|problem| panic!("{name}: {problem}"));
            cost.ops.total().unwrap_or_else(|problem| panic!("{name}: {problem}"));
            check_reach(&layer, io, &name);
            // A layer is its arguments: written out and read again, it is the same.
            let again = serde_json::to_value(&layer).expect("a layer serialises");
            let arguments = again.as_object().and_then(|map| map.values().next()).expect("one variant");
            assert_eq!(build(kind, &arguments.to_string()), layer, "{name}");
        }
    }
}

/// Every input is read, by reaches with an entry for each of its axes that name axes the output has.
fn check_reach(layer: &Layer, io: Io<'_>, name: &str) {
    use cnnkit::layers::AxisReach as A;
    let reaches = layer.reach(io);
    if matches!(layer, Layer::LearnedTensor(_)) {
        // Its output does not depend on its input.
        assert!(reaches.is_empty(), "{name}");
        return;
    }
    for (index, input) in io.inputs.iter().enumerate() {
        let of_input: Vec<_> = reaches.iter().filter(|reach| reach.input == index).collect();
        assert!(!of_input.is_empty(), "{name}: input {index} is not read");
        assert!(of_input.iter().all(|reach| reach.axes.len() == input.rank()), "{name}: {of_input:?}");
    }
    assert!(reaches.iter().any(|reach| reach.role != Role::Context), "{name}: context alone");
    for axis in reaches.iter().flat_map(|reach| &reach.axes) {
        if let A::Window { by, .. }
        | A::Transposed { by, .. }
        | A::Blocks { by, .. }
        | A::Shuffle { by, .. }
        | A::Table { by, .. }
        | A::Adaptive { by, .. }
        | A::Resize { by, .. }
        | A::Reflected { by, .. } = axis
        {
            assert!(*by < io.output.rank(), "{name}: output axis {by} of {}", io.output);
        }
    }
}

mod random {
    //! For any arguments, the result is an answer or a problem, never a panic.

    use cnnkit::layers::{Io, KINDS};
    use cnnkit::shape::Shape;
    use cnnkit::source::{Sources, Span};
    use cnnkit::spec::yaml;
    use proptest::prelude::*;

    const WORDS: &[&str] = &[
        "same",
        "same_lower",
        "valid",
        "causal",
        "depthwise",
        "last",
        "all",
        "space",
        "channels",
        "reflect",
        "circular",
        "replicate",
        "linear",
        "bilinear",
        "trilinear",
        "bicubic",
        "per_channel",
        "tanh",
        "true",
        "false",
        "~",
    ];

    fn value() -> impl Strategy<Value = String> {
        let number = prop_oneof![
            (0u64..6).prop_map(|n| n.to_string()),
            (0u64..6).prop_map(|n| n.to_string()),
            (-4i64..0).prop_map(|n| n.to_string()),
            Just(u64::MAX.to_string()),
            Just((1u64 << 62).to_string()),
            Just(i64::MIN.to_string()),
            Just("0.37".to_owned()),
            Just("1e30".to_owned()),
        ];
        let list =
            prop::collection::vec(number.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(", ")));
        let pairs = prop::collection::vec((number.clone(), number.clone()), 1..4).prop_map(|items| {
            let items: Vec<String> = items.iter().map(|(a, b)| format!("[{a}, {b}]")).collect();
            format!("[{}]", items.join(", "))
        });
        prop_oneof![
            4 => number,
            2 => list,
            1 => pairs,
            2 => prop::sample::select(WORDS).prop_map(str::to_owned),
        ]
    }

    fn size() -> impl Strategy<Value = u64> {
        prop_oneof![6 => 1u64..12, 1 => Just(1u64 << 40), 1 => Just(u64::MAX), 1 => Just(0u64)]
    }

    /// Names of the arguments of a layer, from its schema.
    fn arguments(kind: usize) -> Vec<String> {
        super::arguments(&KINDS[kind])
    }

    /// A use of a layer: an example of its own with up to two arguments and a size changed, so that most uses get past
    /// the checks of the arguments and the arithmetic behind them is reached.
    fn case() -> impl Strategy<Value = (usize, String, Vec<Shape>)> {
        let uses: Vec<(usize, cnnkit::layers::Example)> = KINDS
            .iter()
            .enumerate()
            .flat_map(|(kind, entry)| (entry.examples)().into_iter().map(move |example| (kind, example)))
            .collect();
        prop::sample::select(uses).prop_flat_map(|(kind, example)| {
            let written =
                serde_json::to_value(super::build(&KINDS[kind], example.args)).expect("a layer serialises");
            let given =
                written.as_object().and_then(|map| map.values().next()).and_then(|args| args.as_object());
            let given: Vec<(String, String)> =
                given.into_iter().flatten().map(|(name, value)| (name.clone(), value.to_string())).collect();
            let mut names = arguments(kind);
            names.push(String::new());
            let change = (prop::sample::select(names), value());
            let sizes = prop::option::weighted(0.5, (0usize..4, size()));
            (prop::collection::vec(change, 0..3), sizes).prop_map(move |(changes, sizes)| {
                let mut args: std::collections::BTreeMap<_, _> = given.iter().cloned().collect();
                args.extend(changes.into_iter().filter(|(name, _)| !name.is_empty()));
                let args: Vec<String> =
                    args.into_iter().map(|(name, value)| format!("{name}: {value}")).collect();
                let shapes = example.inputs.iter().map(|shape| {
                    let mut changed = shape.sizes().to_vec();
                    if let Some((axis, size)) = sizes
                        && axis < changed.len()
                    {
                        changed[axis] = size;
                    }
                    Shape::new(changed)
                });
                (kind, format!("{{{}}}", args.join(", ")), shapes.collect())
            })
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 30_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn arguments_never_panic((kind, args, inputs) in case()) {
            let mut sources = Sources::default();
            let source = sources.add("random", args.as_str());
            let Ok(located) = yaml::parse(&sources, source) else { return Ok(()) };
            let Ok(layer) = KINDS[kind].build(&located, Span::new(source, 0, 0)) else { return Ok(()) };
            let _ = layer.describe();
            let Ok(output) = layer.infer(&inputs) else { return Ok(()) };
            let io = Io { inputs: &inputs, output: &output };
            prop_assert!(output.rank() > 0);
            let _ = layer.weights(io);
            if let Ok(cost) = layer.cost(io) {
                let _ = cost.ops.total();
            }
            for reach in layer.reach(io) {
                prop_assert_eq!(reach.axes.len(), inputs[reach.input].rank());
            }
        }
    }
}
