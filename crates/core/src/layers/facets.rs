//! The facets that every layer must state.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, de::DeserializeOwned};

use crate::diagnostic::{Code, Diagnostic, Problem};
use crate::layers::Layer;
use crate::layers::activation::Pointwise;
use crate::layers::interchange::{OnnxNode, OnnxOperator, PyTorch};
use crate::layers::values::Values;
use crate::layers::window::Window;
use crate::shape::{Shape, product};
use crate::source::Span;
use crate::value::Located;

/// A layer of the vocabulary: its arguments are the struct's fields.
pub trait LayerKind: Clone + PartialEq + std::fmt::Debug + Serialize + DeserializeOwned + JsonSchema {
    /// Its entry in the vocabulary.
    const DOC: Doc;

    /// Checks the inputs and returns the output shape. The caller has already checked the number of inputs
    /// against [`Doc::inputs`]; the other facets may rely on a successful `infer`.
    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem>;

    /// Returns the tensors that the layer owns. This is the only statement of parameters: counts are sums
    /// over these tensors, and the executor allocates exactly these.
    fn weights(&self, io: Io<'_>) -> Result<Vec<Weight>, Problem>;

    /// Computes the cost of one inference, batch 1, by a closed form.
    fn cost(&self, io: Io<'_>) -> Result<Cost, Problem>;

    /// Returns which input elements an output element depends on, axis by axis.
    fn reach(&self, io: Io<'_>) -> Vec<Reach>;

    /// Returns what the layer does to values: whether it moves them, maps each by itself, or computes with
    /// several.
    fn values(&self) -> Values;

    /// Returns the settings that matter, in a few words; empty if there are none.
    fn describe(&self) -> String;

    /// Returns small uses, in every form of the layer: they are its documentation and its contract test.
    fn examples() -> Vec<Example>;
}

/// A layer that applies a function of one number to every element, independent of weights and neighbours.
pub trait PointwiseKind: LayerKind + 'static {
    /// The ONNX operators with one tensor input that are this layer.
    const ONNX: &'static [OnnxOperator<Self>];

    /// Returns the function, and facts about it.
    fn pointwise(&self) -> Pointwise;

    /// Returns the ONNX nodes that compute it, in order of execution; often [`OnnxNode::single`].
    fn onnx(&self) -> Vec<OnnxNode>;

    /// Returns the layer in PyTorch.
    fn pytorch(&self) -> PyTorch;
}

/// Input shapes and output shape of one use of a layer.
#[derive(Debug, Clone, Copy)]
pub struct Io<'a> {
    /// Input shapes, one per input.
    pub inputs: &'a [Shape],
    /// The inferred output shape.
    pub output: &'a Shape,
}

impl<'a> Io<'a> {
    /// Returns the shape of the first input.
    pub fn input(&self) -> &'a Shape {
        &self.inputs[0]
    }
}

/// A layer's entry in the vocabulary.
#[derive(Debug)]
pub struct Doc {
    /// Its name in a spec.
    pub name: &'static str,
    /// Other names under which people search for it.
    pub aliases: &'static [&'static str],
    /// Its family.
    pub category: Category,
    /// One line that states what it computes.
    pub summary: &'static str,
    /// Pairs of a quantity and its closed form.
    pub formulas: &'static [(&'static str, &'static str)],
    /// Where it comes from: a paper with its section, or the operator's definition.
    pub source: &'static str,
    /// Number of inputs.
    pub inputs: Arity,
}

/// Families of layers, in the order of the documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Convolutions and linear maps.
    Convolution,
    /// Pooling.
    Pooling,
    /// Normalisation.
    Normalisation,
    /// Activations.
    Activation,
    /// Channel and space rearrangements, resizing, padding.
    Shape,
    /// Layers that merge several inputs.
    Merge,
    /// Attention over channels, and scales.
    Gate,
}

/// How many inputs a layer takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arity {
    /// One.
    One,
    /// Two or more.
    Many,
    /// One or more: the inputs of an imported node that has no layer.
    Any,
}

impl Arity {
    pub(crate) fn check(self, name: &str, found: usize) -> Result<(), Problem> {
        match (self, found) {
            (Self::One, 1) | (Self::Many, 2..) | (Self::Any, 1..) => Ok(()),
            (_, 0) => Err(Problem::new(Code::Reference, format!("`{name}` reads nothing"))
                .help("every layer reads an input or another layer")),
            (Self::One, _) => {
                Err(Problem::new(Code::Reference, format!("`{name}` reads one input, {found} are given"))
                    .help("join them first: `- concat: [a, b]` or `- add: [a, b]`"))
            }
            (Self::Many, _) => Err(Problem::new(
                Code::Reference,
                format!("`{name}` joins two or more inputs, {found} is given"),
            )
            .help(format!("name them: `- {name}: [a, b]`, or use `branches` or `residual`"))),
        }
    }
}

/// A tensor that a layer owns.
#[derive(Debug, Clone, PartialEq)]
pub struct Weight {
    /// PyTorch's name: `weight`, `bias`, `running_mean`.
    pub name: &'static str,
    /// Its shape, in PyTorch's layout.
    pub shape: Shape,
    /// Whether training changes it.
    pub role: WeightRole,
    /// How the executor initialises it.
    pub init: Init,
}

/// Whether a weight counts as a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightRole {
    /// Learnable: a parameter.
    Parameter,
    /// Stored, not learned: batch norm's running statistics.
    Buffer,
    /// A weight that training does not change (`learned: false`): a blur, a frozen stem. It counts as a buffer.
    Fixed,
}

/// Initial values of a weight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// Uniform in +-1/sqrt(fan_in): PyTorch's default for convolutions and linear layers (He et al. 2015 with a = sqrt 5).
    FanIn(u64),
    /// All zero.
    Zeros,
    /// All one.
    Ones,
    /// All equal to this (PReLU's 0.25).
    Constant(f64),
}

impl Weight {
    /// Returns a learnable tensor.
    pub fn parameter(name: &'static str, shape: impl Into<Shape>, init: Init) -> Self {
        Self { name, shape: shape.into(), role: WeightRole::Parameter, init }
    }

    /// Returns the same tensor, not learned.
    #[must_use]
    pub fn fixed(mut self) -> Self {
        if self.role == WeightRole::Parameter {
            self.role = WeightRole::Fixed;
        }
        self
    }

    /// Returns a stored tensor that is not learned.
    pub fn buffer(name: &'static str, shape: impl Into<Shape>, init: Init) -> Self {
        Self { name, shape: shape.into(), role: WeightRole::Buffer, init }
    }
}

/// The cost of one inference of a layer, batch 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Cost {
    /// Multiply-accumulates of convolutions and linear maps; taps on padding count.
    pub macs: u64,
    /// Multiply-accumulates of bilinear sampling in deformable convolutions (4 per sampled tap), not part of
    /// `macs`.
    pub sampling_macs: u64,
    /// All other operations.
    pub ops: Ops,
}

/// Operations that are not multiply-accumulates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Ops {
    /// Additions, subtractions, multiplications and divisions.
    pub arithmetic: u64,
    /// Comparisons: ReLU, max pooling.
    pub comparisons: u64,
    /// Exponentials, logarithms, roots, error functions.
    pub functions: u64,
}

impl Ops {
    /// Returns their sum; an error if it exceeds 64 bits.
    pub fn total(&self) -> Result<u64, Problem> {
        self.arithmetic
            .checked_add(self.comparisons)
            .and_then(|sum| sum.checked_add(self.functions))
            .ok_or_else(|| Problem::overflow("the number of operations"))
    }
}

impl Cost {
    /// No cost: the layer only moves or relabels data.
    pub const FREE: Self =
        Self { macs: 0, sampling_macs: 0, ops: Ops { arithmetic: 0, comparisons: 0, functions: 0 } };

    /// Returns `per_element` operations of each kind for every element of `shape`.
    pub fn pointwise(
        shape: &Shape,
        arithmetic: u64,
        comparisons: u64,
        functions: u64,
    ) -> Result<Self, Problem> {
        let elements = shape.elements()?;
        let times =
            |n: u64| elements.checked_mul(n).ok_or_else(|| Problem::overflow("the number of operations"));
        let ops = Ops {
            arithmetic: times(arithmetic)?,
            comparisons: times(comparisons)?,
            functions: times(functions)?,
        };
        Ok(Self { ops, ..Self::FREE })
    }
}

/// Returns the product as a count; if it exceeds 64 bits, an error that names `what`.
pub fn count(what: &str, factors: &[u64]) -> Result<u64, Problem> {
    product(factors).ok_or_else(|| Problem::overflow(what))
}

/// How an output element depends on one input, axis by axis.
///
/// The set of input elements read is the product of the sets of all axes. A layer may return several reaches
/// for one input: squeeze-and-excitation reads its own element locally and the whole map through its gate.
#[derive(Debug, Clone, PartialEq)]
pub struct Reach {
    /// Index of the input.
    pub input: usize,
    /// What kind of dependence it is.
    pub role: Role,
    /// One entry for each axis of the input, channels included.
    pub axes: Vec<AxisReach>,
}

/// The kind of a dependence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Role {
    /// The value itself is read: counts in the receptive field.
    Local,
    /// Through a multiplicative gate or statistics of the whole map (squeeze-and-excitation, group norm):
    /// global context, not counted in the local receptive field.
    Context,
    /// At positions that depend on the data (deformable convolution): `axes` is the regular grid, and samples
    /// move by at most the given number of pixels, if there is a bound.
    Sampled(Sampled),
}

/// A bound on data-dependent sampling positions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampled {
    /// Largest absolute offset in input pixels; none if unbounded.
    pub max_offset: Option<f64>,
}

/// Which indices of one input axis an output element reads, as a function of the element's index `u` along the output
/// axis `by`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AxisReach {
    /// `u * stride - before + dilation * t` for `t` in `0..kernel`; a plain copy is a kernel of 1, a shift a negative
    /// or positive `before`.
    Window {
        /// Output axis.
        by: usize,
        /// The window, in input elements.
        window: Window,
    },
    /// Transposed convolution: every `i` with `i * stride - before + dilation * t == u` for a `t` in `0..kernel`.
    Transposed {
        /// Output axis.
        by: usize,
        /// The window of the convolution of which this is the transpose.
        window: Window,
    },
    /// Output groups of `outputs` elements read input groups of `inputs` elements: grouped convolution's channels
    /// (`u / outputs * inputs` and the `inputs` after it).
    Blocks {
        /// Output axis.
        by: usize,
        /// Elements of an output group.
        outputs: u64,
        /// Elements of an input group.
        inputs: u64,
    },
    /// Output `u` reads input `(u % groups) * (size / groups) + u / groups`: ShuffleNet's channel shuffle.
    Shuffle {
        /// Output axis.
        by: usize,
        /// Number of groups.
        groups: u64,
        /// Size of the axis.
        size: u64,
    },
    /// Output `u` reads input `indices[u]`.
    Table {
        /// Output axis.
        by: usize,
        /// The input index of each output index.
        indices: Vec<u64>,
    },
    /// Output `u` reads input `u % size`: the place of a channel in its group.
    Within {
        /// Output axis.
        by: usize,
        /// Size of a group.
        size: u64,
    },
    /// Adaptive pooling: `floor(u * input / output)` up to `ceil((u + 1) * input / output) - 1`.
    Adaptive {
        /// Output axis.
        by: usize,
        /// Input size.
        input: u64,
        /// Output size.
        output: u64,
    },
    /// Interpolation. Nearest reads `floor(u * input / output)`; linear reads the two neighbours of
    /// `(u + 1/2) * input / output - 1/2`, or of `u * (input - 1) / (output - 1)` with `align_corners`; cubic reads four.
    Resize {
        /// Output axis.
        by: usize,
        /// Input size; where a fractional scale factor does not fit the size, the factor's denominator
        /// (PyTorch maps positions by the given factor, not by the sizes).
        input: u64,
        /// Output size, or the factor's numerator.
        output: u64,
        /// How many neighbours are mixed.
        taps: Taps,
        /// Whether the centres of the corners coincide (`align_corners`), rather than their edges.
        align_corners: bool,
    },
    /// Mirrored, repeated or wrapped padding of `before` and `after` elements around the whole axis: inside,
    /// a shift by `before`; at the border, real elements are read instead of padding.
    Reflected {
        /// Output axis.
        by: usize,
        /// Elements added before the first.
        before: u64,
    },
    /// The whole axis, for every output element.
    All,
    /// Only index 0: an axis of size 1 that is broadcast.
    Broadcast,
}

/// Elements that an interpolation mixes along one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taps {
    /// The nearest element alone.
    Nearest,
    /// Both neighbours.
    Linear,
    /// Two neighbours to each side (Keys 1981).
    Cubic,
}

impl AxisReach {
    /// Returns the reach of a copy: output `u` of axis `by` reads input `u`.
    pub fn same(by: usize) -> Self {
        Self::Window { by, window: Window::POINT }
    }

    /// Returns the output axis that it depends on; none if all outputs read the same.
    pub fn by(&self) -> Option<usize> {
        match *self {
            Self::Window { by, .. }
            | Self::Transposed { by, .. }
            | Self::Blocks { by, .. }
            | Self::Shuffle { by, .. }
            | Self::Table { by, .. }
            | Self::Within { by, .. }
            | Self::Adaptive { by, .. }
            | Self::Resize { by, .. }
            | Self::Reflected { by, .. } => Some(by),
            Self::All | Self::Broadcast => None,
        }
    }
}

impl Reach {
    /// Returns the reach of a layer whose every element depends on the element at the same position of input
    /// `input`.
    pub fn pointwise(input: usize, rank: usize) -> Self {
        Self { input, role: Role::Local, axes: (0..rank).map(AxisReach::same).collect() }
    }

    /// Returns a window on each spatial axis, and `channels` on the first axis.
    pub fn sliding(channels: AxisReach, windows: impl IntoIterator<Item = Window>) -> Self {
        let spatial =
            windows.into_iter().enumerate().map(|(i, window)| AxisReach::Window { by: i + 1, window });
        let axes = std::iter::once(channels).chain(spatial).collect();
        Self { input: 0, role: Role::Local, axes }
    }

    /// Returns the reach of input `input` with `rank` axes, read `offset` elements further on `axis`.
    pub fn shifted(input: usize, rank: usize, axis: usize, offset: i64) -> Self {
        let mut reach = Self::pointwise(input, rank);
        if let Some(moved) = reach.axes.get_mut(axis) {
            let window = Window { before: offset.saturating_neg(), ..Window::POINT };
            *moved = AxisReach::Window { by: axis, window };
        }
        reach
    }

    /// Returns the reach of a layer whose every element depends on the whole of axis `axis` of input 0, at
    /// its own position on the others.
    pub fn across(rank: usize, axis: usize) -> Self {
        let mut reach = Self::pointwise(0, rank);
        if let Some(whole) = reach.axes.get_mut(axis) {
            *whole = AxisReach::All;
        }
        reach
    }

    /// Returns the reach of these elements of input 0, as context.
    pub fn context(axes: Vec<AxisReach>) -> Self {
        Self { input: 0, role: Role::Context, axes }
    }
}

/// A small use of a layer.
#[derive(Debug, Clone)]
pub struct Example {
    /// Its arguments as written in a spec: `{out_channels: 8, kernel: 3}`.
    pub args: &'static str,
    /// Input shapes.
    pub inputs: Vec<Shape>,
}

impl Example {
    /// Returns a use on inputs of these shapes.
    pub fn new(args: &'static str, inputs: &[&[u64]]) -> Self {
        Self { args, inputs: inputs.iter().map(|&sizes| Shape::from(sizes)).collect() }
    }
}

/// A layer of the vocabulary without arguments, for the spec language and the documentation.
#[derive(Debug)]
pub struct Kind {
    /// Its entry in the vocabulary.
    pub doc: &'static Doc,
    pub(crate) build: fn(&Located, Span, &str) -> Result<Layer, Vec<Diagnostic>>,
    /// The JSON Schema of its arguments.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
    /// Small uses.
    pub examples: fn() -> Vec<Example>,
}
