//! GELU: `x * P(X <= x)` for a standard normal X.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::activation::{Activation, Pointwise, RealFunction};
use crate::layers::interchange::{OnnxAttribute, OnnxNode, OnnxOperator, PyTorch};
use crate::layers::{Arity, Category, Cost, Doc, Example, Io, LayerKind, PointwiseKind, Reach};
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

    pointwise_values!();

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

impl Approximation {
    fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Tanh => "tanh",
        }
    }
}

/// Computes `P(X <= x)` by the complementary error function, which keeps its significant digits for large
/// negative x.
fn normal(x: f64) -> f64 {
    0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
}

/// Returns the argument of the tanh in the approximation, and its slope.
pub fn argument(x: f64) -> (f64, f64) {
    let scale = std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2;
    (scale * (x + 0.044_715 * x * x * x), scale * (1.0 + 3.0 * 0.044_715 * x * x))
}

/// The exact form, with the error function.
pub static EXACT: RealFunction = RealFunction {
    value: |_, x| x * normal(x),
    slope: |_, x| {
        let density = libm::exp(-0.5 * x * x) / (2.0 * std::f64::consts::PI).sqrt();
        normal(x) + x * density
    },
};

/// The approximation by a hyperbolic tangent.
pub static TANH: RealFunction = RealFunction {
    // (1 + tanh y) / 2 = 1 / (1 + e^(-2 y)), which keeps its significant digits for large negative y.
    value: |_, x| x / (1.0 + libm::exp(-2.0 * argument(x).0)),
    slope: |_, x| {
        let (argument, slope) = argument(x);
        let tanh = libm::tanh(argument);
        0.5 * (1.0 + tanh) + 0.5 * x * (1.0 - tanh * tanh) * slope
    },
};

impl PointwiseKind for Gelu {
    const ONNX: &'static [OnnxOperator<Self>] = &[OnnxOperator {
        name: "Gelu",
        read: |node| {
            let tanh = node.text("approximate") == Some("tanh");
            Some(Self { approximate: if tanh { Approximation::Tanh } else { Approximation::None } })
        },
        write: |layer| vec![OnnxAttribute::Text("approximate", layer.approximate.word())],
    }];

    fn pointwise(&self) -> Pointwise {
        let function = match self.approximate {
            Approximation::None => &EXACT,
            Approximation::Tanh => &TANH,
        };
        // The minimum is -0.16997; the approximation's is -0.17004.
        Pointwise { range: [-0.1701, f64::INFINITY], ptflops: 2, ..Pointwise::new(Activation::real(function)) }
    }

    fn onnx(&self) -> Vec<OnnxNode> {
        OnnxNode::single(self, Self::ONNX)
    }

    fn pytorch(&self) -> PyTorch {
        let word = match self.approximate {
            Approximation::None => "\"none\"",
            Approximation::Tanh => "\"tanh\"",
        };
        PyTorch::module("nn.GELU").written("approximate", word, "\"none\"")
    }
}
