//! Functions of one number that are no activations by themselves, but parts of them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::{Arity, Category, Cost, Doc, Example, Io, LayerKind, Reach};
use crate::shape::Shape;

/// Arguments of `function`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Function {
    /// Which one
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
    /// Its name in a spec.
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

    fn describe(&self) -> String {
        self.function.name().to_owned()
    }

    /// Those that are defined everywhere; the others are checked where they are computed.
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
