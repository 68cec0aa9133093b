//! Softplus: a smooth ReLU.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::layers::activation::{Activation, NOT_NEGATIVE, Pointwise, RealFunction, UNBOUNDED, sigmoid, softplus};
use crate::layers::interchange::{OnnxNode, OnnxOperator, Operand, PyTorch};
use crate::layers::{Arity, Category, Doc, Example, LayerKind, PointwiseKind, defaults};

/// Arguments of `softplus`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Softplus {
    /// Sharpness of the bend
    #[serde(default = "defaults::unit")]
    pub beta: f64,
    /// Where beta * x exceeds this, the output is x itself
    #[serde(default = "threshold")]
    pub threshold: f64,
}

fn threshold() -> f64 {
    20.0
}

impl LayerKind for Softplus {
    const DOC: Doc = Doc {
        name: "softplus",
        aliases: &[],
        category: Category::Activation,
        summary: "ln(1 + exp(beta * x)) / beta, and x itself where beta * x > threshold",
        formulas: formulas!("3 arithmetic operations, 1 comparison and 2 functions (exponential, logarithm) an element"),
        source: "Dugas et al. 2001; PyTorch nn.Softplus",
        inputs: Arity::One,
    };

    elementwise!(3, 1, 2);

    fn describe(&self) -> String {
        format!("beta {}", self.beta)
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{}", &[&[3, 4, 5]]),
            Example::new("{beta: 2}", &[&[7]]),
            Example::new("{beta: 0.5, threshold: 10}", &[&[2, 3, 4, 5]]),
        ]
    }
}

/// `ln(1 + e^(beta x)) / beta`, and `x` where `beta x` is above the threshold.
pub static FUNCTION: RealFunction = RealFunction {
    value: |&[beta, threshold], x| if beta * x > threshold { x } else { softplus(beta * x) / beta },
    slope: |&[beta, threshold], x| if beta * x > threshold { 1.0 } else { sigmoid(beta * x) },
};

impl PointwiseKind for Softplus {
    const ONNX: &'static [OnnxOperator<Self>] =
        &[OnnxOperator { name: "Softplus", read: |_| Some(Self { beta: 1.0, threshold: threshold() }), write: |_| vec![] }];

    fn pointwise(&self) -> Pointwise {
        Pointwise {
            range: if self.beta > 0.0 { NOT_NEGATIVE } else { UNBOUNDED },
            ..Pointwise::new(Activation::Real(&FUNCTION, [self.beta, self.threshold]))
        }
    }

    fn onnx(&self) -> Vec<OnnxNode> {
        let (input, beta) = (Operand::Input, Operand::Scalar("beta", self.beta));
        // At 20, the function equals its argument to the last bit of f32.
        let plain = self.threshold >= threshold();
        if self.beta == 1.0 && plain {
            return OnnxNode::single(self, Self::ONNX);
        }
        let mut nodes = vec![
            OnnxNode::new("sharp", "Mul", vec![input, beta]),
            OnnxNode::new("bent", "Softplus", vec![Operand::Part("sharp")]),
            OnnxNode::new("soft", "Div", vec![Operand::Part("bent"), beta]),
        ];
        if !plain {
            let threshold = Operand::Scalar("threshold", self.threshold);
            nodes.extend([
                OnnxNode::new("above", "Greater", vec![Operand::Part("sharp"), threshold]).choosing(),
                OnnxNode::new("", "Where", vec![Operand::Part("above"), input, Operand::Part("soft")]),
            ]);
        }
        nodes
    }

    fn pytorch(&self) -> PyTorch {
        PyTorch::module("nn.Softplus").float("beta", self.beta, "1.0").float("threshold", self.threshold, "20.0")
    }
}
