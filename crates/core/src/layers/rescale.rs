//! A fixed scale and shift of every element: the constants in a network's arithmetic.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::activation::{Activation, KeptByActivation, Pointwise, UNBOUNDED};
use crate::layers::interchange::{Binds, OnnxNode, OnnxOperator, Operand, PyTorch};
use crate::layers::{Arity, Category, Cost, Doc, Example, Io, LayerKind, PointwiseKind, Reach, defaults};
use crate::shape::Shape;

/// Arguments of `rescale`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rescale {
    /// Factor
    #[serde(default = "defaults::unit")]
    pub scale: f64,
    /// Summand, added after the multiplication
    #[serde(default)]
    pub shift: f64,
}

impl LayerKind for Rescale {
    const DOC: Doc = Doc {
        name: "rescale",
        aliases: &["scalar"],
        category: Category::Activation,
        summary: "scale * x + shift, with fixed numbers",
        formulas: formulas!("1 multiplication an element if the scale is not 1, 1 addition if the shift is not 0"),
        source: "ONNX Mul, Add, Sub and Div with a scalar",
        inputs: Arity::One,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        for (argument, value) in [("scale", self.scale), ("shift", self.shift)] {
            if value.is_nan() {
                return Err(Problem::argument(argument, format!("`{argument}` is not a number")));
            }
        }
        Ok(inputs[0].clone())
    }

    weightless!();

    fn cost(&self, io: Io<'_>) -> Result<Cost, Problem> {
        Cost::pointwise(io.output, u64::from(self.scale != 1.0) + u64::from(self.shift != 0.0), 0, 0)
    }

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        vec![Reach::pointwise(0, io.input().rank())]
    }

    pointwise_values!();

    fn describe(&self) -> String {
        let scale = if self.scale == 1.0 { String::new() } else { format!("x{}", self.scale) };
        let shift = if self.shift == 0.0 { String::new() } else { format!(" {:+}", self.shift) };
        format!("{scale}{shift}").trim().to_owned()
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{scale: 0.125}", &[&[3, 4, 5]]),
            Example::new("{shift: 3}", &[&[7]]),
            Example::new("{scale: -2, shift: 0.5}", &[&[2, 3, 4, 5]]),
        ]
    }
}

impl PointwiseKind for Rescale {
    const ONNX: &'static [OnnxOperator<Self>] =
        &[OnnxOperator { name: "Neg", read: |_| Some(Self { scale: -1.0, shift: 0.0 }), write: |_| vec![] }];

    fn pointwise(&self) -> Pointwise {
        let same = self.scale == 1.0 && self.shift == 0.0;
        Pointwise {
            fixed: same.then_some(UNBOUNDED),
            nonlinearity: false,
            kept: KeptByActivation::Nothing,
            ..Pointwise::new(Activation::Affine { scale: self.scale, shift: self.shift })
        }
    }

    fn onnx(&self) -> Vec<OnnxNode> {
        let (scale, shift) = (Operand::Scalar("scale", self.scale), Operand::Scalar("shift", self.shift));
        match (self.scale == 1.0, self.shift == 0.0) {
            (_, true) => vec![OnnxNode::new("", "Mul", vec![Operand::Input, scale])],
            (true, false) => vec![OnnxNode::new("", "Add", vec![Operand::Input, shift])],
            (false, false) => vec![
                OnnxNode::new("scaled", "Mul", vec![Operand::Input, scale]),
                OnnxNode::new("", "Add", vec![Operand::Part("scaled"), shift]),
            ],
        }
    }

    fn pytorch(&self) -> PyTorch {
        let (scale, shift) = (Some(self.scale), Some(self.shift));
        match (self.scale == 1.0, self.shift == 0.0) {
            (true, _) => PyTorch::call("{0+} + {shift}").inside("shift", shift).binding(Binds::Sum),
            (false, true) => PyTorch::call("{scale} * {0*}").inside("scale", scale).binding(Binds::Product),
            (false, false) => PyTorch::call("{scale} * {0*} + {shift}")
                .inside("scale", scale)
                .inside("shift", shift)
                .binding(Binds::Sum),
        }
    }
}
