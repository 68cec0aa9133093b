//! A fixed power of every element.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::activation::{Activation, NOT_NEGATIVE, Pointwise, RealFunction, UNBOUNDED};
use crate::layers::interchange::{OnnxNode, OnnxOperator, Operand, PyTorch};
use crate::layers::{Arity, Category, Cost, Doc, Example, Io, LayerKind, PointwiseKind, Reach};
use crate::shape::Shape;

/// Arguments of `power`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Power {
    /// The exponent
    pub exponent: f64,
}

impl LayerKind for Power {
    const DOC: Doc = Doc {
        name: "power",
        aliases: &["pow"],
        category: Category::Activation,
        summary: "x to a fixed power",
        formulas: formulas!("1 function an element; a square is 1 multiplication"),
        source: "PyTorch torch.pow; ONNX Pow",
        inputs: Arity::One,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        if !self.exponent.is_finite() {
            return Err(Problem::argument("exponent", format!("`exponent` is {}", self.exponent)));
        }
        Ok(inputs[0].clone())
    }

    weightless!();

    fn cost(&self, io: Io<'_>) -> Result<Cost, Problem> {
        let square = self.exponent == 2.0;
        Cost::pointwise(io.output, u64::from(square), 0, u64::from(!square))
    }

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        vec![Reach::pointwise(0, io.input().rank())]
    }

    pointwise_values!();

    fn describe(&self) -> String {
        format!("^{}", self.exponent)
    }

    fn examples() -> Vec<Example> {
        vec![Example::new("{exponent: 2}", &[&[3, 4, 5]]), Example::new("{exponent: 3}", &[&[7]])]
    }
}

static FUNCTION: RealFunction = RealFunction {
    value: |&[exponent, _], x| libm::pow(x, exponent),
    slope: |&[exponent, _], x| exponent * libm::pow(x, exponent - 1.0),
};

impl PointwiseKind for Power {
    /// None: ONNX's `Pow` has the exponent as an input.
    const ONNX: &'static [OnnxOperator<Self>] = &[];

    fn pointwise(&self) -> Pointwise {
        let activation = match self.exponent {
            2.0 => Activation::Square,
            exponent => Activation::Real(&FUNCTION, [exponent, 0.0]),
        };
        Pointwise {
            range: if self.exponent % 2.0 == 0.0 { NOT_NEGATIVE } else { UNBOUNDED },
            fixed: (self.exponent == 1.0).then_some(UNBOUNDED),
            nonlinearity: false,
            ..Pointwise::new(activation)
        }
    }

    fn onnx(&self) -> Vec<OnnxNode> {
        vec![OnnxNode::new("", "Pow", vec![Operand::Input, Operand::Scalar("exponent", self.exponent)])]
    }

    fn pytorch(&self) -> PyTorch {
        PyTorch::call("{0!}.pow({exponent})").inside("exponent", Some(self.exponent))
    }
}
