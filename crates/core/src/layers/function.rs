//! Functions of one number that are not activations by themselves, but parts of them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::activation::{Activation, KeptByActivation, NOT_NEGATIVE, Pointwise, RealFunction, UNBOUNDED};
use crate::layers::interchange::{OnnxNode, OnnxOperator, Operand, PyTorch};
use crate::layers::{Arity, Category, Cost, Doc, Example, Io, LayerKind, PointwiseKind, Reach};
use crate::shape::Shape;

/// Arguments of `function`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Function {
    /// The function
    pub function: FunctionKind,
}

/// A function of one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FunctionKind {
    /// The absolute value.
    Abs,
    /// The cosine.
    Cos,
    /// The error function.
    Erf,
    /// The exponential.
    Exp,
    /// The natural logarithm.
    Log,
    /// 1 / x.
    Reciprocal,
    /// The sine.
    Sin,
    /// The square root.
    Sqrt,
}

impl FunctionKind {
    /// Returns its name in a spec.
    pub fn name(self) -> &'static str {
        match self {
            Self::Abs => "abs",
            Self::Cos => "cos",
            Self::Erf => "erf",
            Self::Exp => "exp",
            Self::Log => "log",
            Self::Reciprocal => "reciprocal",
            Self::Sin => "sin",
            Self::Sqrt => "sqrt",
        }
    }
}

impl LayerKind for Function {
    const DOC: Doc = Doc {
        name: "function",
        aliases: &["unary"],
        category: Category::Activation,
        summary: "abs, cos, erf, exp, log, reciprocal, sin or sqrt of every element",
        formulas: formulas!("1 function an element; abs 1 comparison, reciprocal 1 division"),
        source: "ONNX Abs, Cos, Erf, Exp, Log, Reciprocal, Sin, Sqrt",
        inputs: Arity::One,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        Ok(inputs[0].clone())
    }

    weightless!();

    fn cost(&self, io: Io<'_>) -> Result<Cost, Problem> {
        match self.function {
            FunctionKind::Abs => Cost::pointwise(io.output, 0, 1, 0),
            FunctionKind::Reciprocal => Cost::pointwise(io.output, 1, 0, 0),
            _ => Cost::pointwise(io.output, 0, 0, 1),
        }
    }

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        vec![Reach::pointwise(0, io.input().rank())]
    }

    pointwise_values!();

    fn describe(&self) -> String {
        self.function.name().to_owned()
    }

    /// Returns only functions that are defined everywhere; the others are checked where they are computed.
    fn examples() -> Vec<Example> {
        vec![
            Example::new("{function: abs}", &[&[3, 4]]),
            Example::new("{function: cos}", &[&[3, 2]]),
            Example::new("{function: erf}", &[&[3, 4, 5]]),
            Example::new("{function: exp}", &[&[7]]),
            Example::new("{function: sin}", &[&[2, 3, 2]]),
        ]
    }
}

/// Expands to the ONNX operator of a function.
macro_rules! one {
    ($name:literal, $kind:expr) => {
        OnnxOperator { name: $name, read: |_| Some(Self { function: $kind }), write: |_| vec![] }
    };
}

static ABS: RealFunction = RealFunction {
    value: |_, x| x.abs(),
    slope: |_, x| if x == 0.0 { 0.0 } else { x.signum() },
};
static COS: RealFunction = RealFunction { value: |_, x| libm::cos(x), slope: |_, x| -libm::sin(x) };
/// The error function.
pub static ERF: RealFunction = RealFunction {
    value: |_, x| libm::erf(x),
    slope: |_, x| std::f64::consts::FRAC_2_SQRT_PI * libm::exp(-x * x),
};
/// The exponential function.
pub static EXP: RealFunction = RealFunction { value: |_, x| libm::exp(x), slope: |_, x| libm::exp(x) };
static LOG: RealFunction = RealFunction { value: |_, x| libm::log(x), slope: |_, x| 1.0 / x };
static RECIPROCAL: RealFunction = RealFunction { value: |_, x| 1.0 / x, slope: |_, x| -1.0 / (x * x) };
static SIN: RealFunction = RealFunction { value: |_, x| libm::sin(x), slope: |_, x| libm::cos(x) };
static SQRT: RealFunction = RealFunction { value: |_, x| x.sqrt(), slope: |_, x| 0.5 / x.sqrt() };

impl PointwiseKind for Function {
    const ONNX: &'static [OnnxOperator<Self>] = &[
        one!("Abs", FunctionKind::Abs),
        one!("Cos", FunctionKind::Cos),
        one!("Erf", FunctionKind::Erf),
        one!("Exp", FunctionKind::Exp),
        one!("Log", FunctionKind::Log),
        one!("Reciprocal", FunctionKind::Reciprocal),
        one!("Sin", FunctionKind::Sin),
        one!("Sqrt", FunctionKind::Sqrt),
    ];

    fn pointwise(&self) -> Pointwise {
        let (function, range) = match self.function {
            FunctionKind::Abs => (&ABS, NOT_NEGATIVE),
            FunctionKind::Cos => (&COS, [-1.0, 1.0]),
            FunctionKind::Erf => (&ERF, [-1.0, 1.0]),
            FunctionKind::Exp => (&EXP, NOT_NEGATIVE),
            FunctionKind::Log => (&LOG, UNBOUNDED),
            FunctionKind::Reciprocal => (&RECIPROCAL, UNBOUNDED),
            FunctionKind::Sin => (&SIN, [-1.0, 1.0]),
            FunctionKind::Sqrt => (&SQRT, NOT_NEGATIVE),
        };
        let fixed = (self.function == FunctionKind::Abs).then_some(NOT_NEGATIVE);
        let kept = match self.function {
            FunctionKind::Exp | FunctionKind::Reciprocal | FunctionKind::Sqrt => KeptByActivation::Output,
            FunctionKind::Abs
            | FunctionKind::Cos
            | FunctionKind::Erf
            | FunctionKind::Log
            | FunctionKind::Sin => KeptByActivation::Input,
        };
        Pointwise { range, fixed, nonlinearity: false, kept, ..Pointwise::new(Activation::real(function)) }
    }

    fn onnx(&self) -> Vec<OnnxNode> {
        let own = Self::ONNX.iter().filter(|operator| {
            operator.name.eq_ignore_ascii_case(self.function.name())
        });
        own.map(|operator| OnnxNode::new("", operator.name, vec![Operand::Input])).collect()
    }

    fn pytorch(&self) -> PyTorch {
        PyTorch::call(format!("torch.{}({{0}})", self.function.name()))
    }
}
