//! GELU: `x * P(X <= x)` for a standard normal X.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::{Arity, Category, Cost, Doc, Example, Io, LayerKind, Reach};
use crate::shape::Shape;

/// Arguments of `gelu`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gelu {
    /// Exact with the error function, or approximated with a tanh
    #[serde(default)]
    pub approximate: Approximation,
}

/// How GELU is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Approximation {
    /// With the error function: x / 2 * (1 + erf(x / sqrt 2)).
    #[default]
    None,
    /// x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))).
    Tanh,
}

impl LayerKind for Gelu {
    const DOC: Doc = Doc {
        name: "gelu",
        aliases: &[],
        category: Category::Activation,
        summary: "x times the normal distribution function of x",
        formulas: formulas!("4 arithmetic operations and 1 error function an element; with tanh 8 and 1 tanh"),
        source: "Hendrycks & Gimpel 2016; PyTorch nn.GELU",
        inputs: Arity::One,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        Ok(inputs[0].clone())
    }

    weightless!();

    fn cost(&self, io: Io<'_>) -> Result<Cost, Problem> {
        let arithmetic = if self.approximate == Approximation::Tanh { 8 } else { 4 };
        Cost::pointwise(io.output, arithmetic, 0, 1)
    }

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        vec![Reach::pointwise(0, io.input().rank())]
    }

    fn describe(&self) -> String {
        if self.approximate == Approximation::Tanh { "tanh".into() } else { String::new() }
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{}", &[&[3, 4, 5]]),
            Example::new("{approximate: tanh}", &[&[7]]),
            Example::new("{approximate: none}", &[&[2, 3, 4, 5]]),
        ]
    }
}
