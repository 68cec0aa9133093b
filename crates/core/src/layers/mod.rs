//! The vocabulary: one layer, one file, all its facets.
//!
//! A layer is a plain struct of its arguments (PyTorch's names and defaults) and one implementation of
//! [`LayerKind`]. Every facet is a required method, so a forgotten cost is a compile error and never a silent
//! zero.
//!
//! There are two kinds of layers. A *pointwise* layer applies a function of one number to every element
//! ([`PointwiseKind`]): it takes a file and a line in the `layers!` list below, and everything follows from
//! its facets: execution, gradients, analyses, rules, ONNX and PyTorch in both directions, help, JSON Schema,
//! documentation and the contract test. Any other layer has arithmetic of its own: code that must treat every
//! layer matches on [`Layer::arithmetic`] without a default, so that it does not compile until it handles a
//! new one. CONTRIBUTING.md walks through both.

#[macro_use]
mod pointwise;

pub mod activation;
pub mod args;
pub mod axes;
mod defaults;
mod extended;
mod facets;
pub mod foreign;
pub mod interchange;
pub mod rearrange;
mod values;
pub mod window;

pub use facets::{
    Arity, AxisReach, Category, Cost, Doc, Example, Init, Io, Kind, LayerKind, Ops, PointwiseKind, Reach,
    Role, Sampled, Taps, Weight, WeightRole,
};
pub use values::Values;

use serde::Serialize;

use crate::diagnostic::{Code, Diagnostic, Problem, suggest};
use crate::shape::Shape;
use crate::source::Span;
use crate::value::{Key, Located, Value, decode};
use activation::{Pointwise, UNBOUNDED};
use interchange::{Attributes, OnnxNode, PyTorch};

/// Declares everything from one list: layers with arithmetic of their own, and pointwise ones.
macro_rules! layers {
    ($({ $($module:ident :: $name:ident),* $(,)? } pointwise { $($file:ident :: $kind:ident),* $(,)? })*) => {
        vocabulary! { $($($module :: $name,)* $($file :: $kind,)*)* }

        /// The arithmetic of a layer: a function of one number, or its own. Code that must treat every layer
        /// matches on this enum, without a default.
        #[derive(Debug, Clone, Copy)]
        #[expect(missing_docs, reason = "each variant is documented by its layer's own file")]
        pub enum Arithmetic<'a> {
            /// A function of one number, applied to every element.
            Pointwise(Pointwise),
            $($($name(&'a $module::$name),)*)*
            Opaque(&'a opaque::Opaque),
        }

        impl Layer {
            /// Returns its arithmetic.
            pub fn arithmetic(&self) -> Arithmetic<'_> {
                match self {
                    $($(Self::$kind(layer) => Arithmetic::Pointwise(layer.pointwise()),)*)*
                    $($(Self::$name(layer) => Arithmetic::$name(layer),)*)*
                    Self::Opaque(layer) => Arithmetic::Opaque(layer),
                }
            }

            /// Returns the ONNX nodes of a pointwise layer; none for any other.
            pub fn onnx(&self) -> Vec<OnnxNode> {
                match self {
                    $($(Self::$kind(layer) => layer.onnx(),)*)*
                    $($(Self::$name(_))|*)|* | Self::Opaque(_) => vec![],
                }
            }

            /// Returns a pointwise layer in PyTorch; none for any other.
            pub fn pytorch(&self) -> Option<PyTorch> {
                match self {
                    $($(Self::$kind(layer) => Some(layer.pytorch()),)*)*
                    $($(Self::$name(_))|*)|* | Self::Opaque(_) => None,
                }
            }
        }

        /// Returns the layer that ONNX operator `name` with these attributes is: the outer option is empty if
        /// the operator is no pointwise layer's, the inner one if no layer has such settings.
        pub fn of_onnx(name: &str, attributes: &dyn Attributes) -> Option<Option<Layer>> {
            $($(for operator in $file::$kind::ONNX {
                if operator.name == name {
                    return Some((operator.read)(attributes).map(Layer::$kind));
                }
            })*)*
            None
        }

        /// Returns the names of the ONNX operators that are pointwise layers.
        pub fn onnx_operators() -> impl Iterator<Item = &'static str> {
            let all: Vec<&'static str> = std::iter::empty()
                $($(.chain($file::$kind::ONNX.iter().map(|operator| operator.name)))*)*
                .collect();
            all.into_iter()
        }
    };
}

/// Declares the modules, the [`Layer`] enum, its dispatch and the list of [`KINDS`] from one list.
macro_rules! vocabulary {
    ($($module:ident :: $name:ident,)*) => {
        $(pub mod $module;)*
        pub mod opaque;

        /// Any layer, with its arguments.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(rename_all = "snake_case")]
        #[expect(missing_docs, reason = "each variant is documented by its layer's own file")]
        pub enum Layer {
            $($name($module::$name),)*
            Opaque(opaque::Opaque),
        }

        impl Layer {
            /// Returns the layer's entry in the vocabulary.
            pub fn doc(&self) -> &'static Doc {
                match self { $(Self::$name(_) => &$module::$name::DOC,)* Self::Opaque(_) => &opaque::Opaque::DOC }
            }

            /// Checks the inputs and returns the output shape.
            pub fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
                self.doc().inputs.check(self.doc().name, inputs.len())?;
                match self { $(Self::$name(layer) => layer.infer(inputs),)* Self::Opaque(layer) => layer.infer(inputs) }
            }

            /// Returns the tensors that the layer owns, trainable ones and buffers.
            pub fn weights(&self, io: Io<'_>) -> Result<Vec<Weight>, Problem> {
                match self { $(Self::$name(layer) => layer.weights(io),)* Self::Opaque(layer) => layer.weights(io) }
            }

            /// Computes the cost of one inference, batch 1.
            pub fn cost(&self, io: Io<'_>) -> Result<Cost, Problem> {
                match self { $(Self::$name(layer) => layer.cost(io),)* Self::Opaque(layer) => layer.cost(io) }
            }

            /// Returns which input elements an output element depends on.
            pub fn reach(&self, io: Io<'_>) -> Vec<Reach> {
                match self { $(Self::$name(layer) => layer.reach(io),)* Self::Opaque(layer) => layer.reach(io) }
            }

            /// Returns what the layer does to values.
            pub fn values(&self) -> Values {
                match self { $(Self::$name(layer) => layer.values(),)* Self::Opaque(layer) => layer.values() }
            }

            /// Returns the settings that matter, in a few words: `3x3 s2 p1`.
            pub fn describe(&self) -> String {
                match self { $(Self::$name(layer) => layer.describe(),)* Self::Opaque(layer) => layer.describe() }
            }
        }

        /// Every layer of the vocabulary; [`opaque`] is not among them.
        pub static KINDS: &[Kind] = &[$(Kind {
            doc: &$module::$name::DOC,
            build: |args, span, name| {
                decode::<$module::$name>(args, span, name).map(Layer::$name)
            },
            schema: schemars::SchemaGenerator::subschema_for::<$module::$name>,
            examples: $module::$name::examples,
        },)*];
    };
}

layers! {
    {
        conv::Conv,
        conv_transpose::ConvTranspose,
        deform_conv::DeformConv,
        deform_sample::DeformSample,
        dynamic_conv::DynamicConv,
        linear::Linear,
        matmul::Matmul,
        attention::Attention,
        max_pool::MaxPool,
        avg_pool::AvgPool,
        adaptive_avg_pool::AdaptiveAvgPool,
        adaptive_max_pool::AdaptiveMaxPool,
        global_avg_pool::GlobalAvgPool,
        global_max_pool::GlobalMaxPool,
        reduce::Reduce,
        batch_norm::BatchNorm,
        layer_norm::LayerNorm,
        group_norm::GroupNorm,
        instance_norm::InstanceNorm,
        local_response_norm::LocalResponseNorm,
        dropout::Dropout,
    } pointwise {
        relu::Relu,
        relu6::Relu6,
        leaky_relu::LeakyRelu,
    }
    {
        prelu::Prelu,
    } pointwise {
        elu::Elu,
        selu::Selu,
        celu::Celu,
        gelu::Gelu,
        silu::Silu,
        mish::Mish,
        sigmoid::Sigmoid,
        hardsigmoid::Hardsigmoid,
        hardswish::Hardswish,
        tanh::Tanh,
        softplus::Softplus,
        clip::Clip,
        power::Power,
        function::Function,
        rescale::Rescale,
    }
    {
        softmax::Softmax,
        glu::Glu,
        identity::Identity,
        channel_shuffle::ChannelShuffle,
        pixel_shuffle::PixelShuffle,
        pixel_unshuffle::PixelUnshuffle,
        upsample::Upsample,
        pad::Pad,
        crop::Crop,
        slice::Slice,
        gather::Gather,
        chunk::Chunk,
        flatten::Flatten,
        reshape::Reshape,
        permute::Permute,
        add::Add,
        multiply::Multiply,
        divide::Divide,
        concat::Concat,
        layer_scale::LayerScale,
        learned_scale::LearnedScale,
        learned_bias::LearnedBias,
        learned_tokens::LearnedTokens,
        learned_tensor::LearnedTensor,
        squeeze_excite::SqueezeExcite,
    } pointwise {}
}

impl Layer {
    /// Returns the function of one number of a pointwise layer.
    pub fn pointwise(&self) -> Option<Pointwise> {
        if let Arithmetic::Pointwise(pointwise) = self.arithmetic() { Some(pointwise) } else { None }
    }

    /// Returns whether its output equals its input at inference: an identity, a dropout.
    pub fn passes(&self) -> bool {
        self.values().keeps(UNBOUNDED)
    }
}

/// Layers whose weights `learned: false` may fix, in addition to those with an argument of that name.
pub const FREEZABLE: &[&str] = &[
    "conv",
    "conv_transpose",
    "deform_conv",
    "deform_sample",
    "linear",
    "attention",
    "batch_norm",
    "layer_norm",
    "group_norm",
    "instance_norm",
    "prelu",
    "layer_scale",
    "squeeze_excite",
];

/// The argument that says what weights of a layer count as, where that is not the number of their elements.
pub const COUNTS: &str = "counts";

/// The argument that says whether the weights of a [`FREEZABLE`] layer are learned.
pub const LEARNED: &str = "learned";

impl Kind {
    /// Returns whether [`LEARNED`], an argument beside the layer's own, may fix its weights.
    pub fn is_freezable(&self) -> bool {
        FREEZABLE.contains(&self.doc.name)
    }

    /// Returns the names of its arguments, in the order of declaration.
    pub fn argument_names(&self) -> Vec<String> {
        let mut generator = schemars::SchemaGenerator::default();
        let schema = (self.schema)(&mut generator);
        // The schema of a struct is a reference into the generator's definitions.
        let name = schema.get("$ref").and_then(|r| r.as_str()).and_then(|r| r.rsplit('/').next());
        let definition = name.and_then(|name| generator.definitions().get(name)).unwrap_or(schema.as_value());
        let properties = definition.get("properties").and_then(|p| p.as_object());
        properties.map(|p| p.keys().cloned().collect()).unwrap_or_default()
    }

    /// Builds the layer from its written arguments; `span` is the location of its name.
    pub fn build(&self, args: &Located, span: Span) -> Result<Layer, Vec<Diagnostic>> {
        let name = format!("`{}`", self.doc.name);
        let Value::Map(entries) = &args.value else { return (self.build)(args, span, &name) };
        let (mut ours, mut foreign) = (Vec::with_capacity(entries.len()), Vec::new());
        for (key, value) in entries {
            match foreign::argument_hint(self, &key.name) {
                Some(hint) => foreign.push(
                    Diagnostic::error(
                        Code::UnknownName,
                        format!("{name} has no argument `{}`", key.name),
                        key.span,
                    )
                    .help(hint),
                ),
                None => {
                    let known = foreign::argument(self.doc.name, &key.name).to_owned();
                    ours.push((Key { name: known, span: key.span }, value.clone()));
                }
            }
        }
        let built = (self.build)(&Located { value: Value::Map(ours), span: args.span }, span, &name);
        match built {
            Err(more) => Err(foreign.into_iter().chain(more).collect()),
            Ok(_) if !foreign.is_empty() => Err(foreign),
            Ok(layer) => Ok(layer),
        }
    }
}

/// Returns the layer named `name` (its own name, an alias, or a class of PyTorch or Keras: `Conv2d`,
/// `nn.BatchNorm2d`, `BatchNormalization`), and the number of spatial axes that such a name prescribes.
pub fn find(name: &str) -> Option<(&'static Kind, Option<usize>)> {
    if let Some(kind) = KINDS.iter().find(|kind| kind.doc.name == name) {
        return Some((kind, None));
    }
    let (wanted, rank) = normalise(foreign::unqualified(name));
    let matches = |candidate: &str| normalise(candidate).0 == wanted;
    let own = KINDS.iter().find(|kind| matches(kind.doc.name) || kind.doc.aliases.iter().any(|a| matches(a)));
    let same = || KINDS.iter().find(|kind| foreign::same(&wanted) == Some(kind.doc.name));
    let kind = own.or_else(same)?;
    Some((kind, rank))
}

/// Returns the layer whose name is closest to a misspelt `name`, in any style: `MaxPol2d` is close to
/// `max_pool`.
pub fn closest(name: &str) -> Option<&'static str> {
    let wanted = normalise(name).0;
    let folded: Vec<(String, &str)> = KINDS
        .iter()
        .flat_map(|kind| {
            std::iter::once(&kind.doc.name).chain(kind.doc.aliases).map(|n| (normalise(n).0, kind.doc.name))
        })
        .collect();
    let close = suggest(&wanted, folded.iter().map(|(folded, _)| folded.as_str()))?;
    folded.iter().find(|(folded, _)| folded == close).map(|&(_, name)| name)
}

/// Splits `name` into a style-independent word (`BatchNorm2d` and `batch_norm` are the same) and the number
/// of spatial axes of its digit.
fn normalise(name: &str) -> (String, Option<usize>) {
    let folded: String = name.chars().filter(|&c| c != '_').flat_map(char::to_lowercase).collect();
    for (suffix, rank) in [("1d", 1), ("2d", 2), ("3d", 3)] {
        if let Some(stem) = folded.strip_suffix(suffix) {
            return (stem.to_owned(), Some(rank));
        }
    }
    (folded, None)
}
