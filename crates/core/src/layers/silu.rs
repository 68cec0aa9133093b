//! SiLU (swish): `x * sigmoid(x)`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::layers::activation::{Activation, Pointwise, RealFunction, sigmoid};
use crate::layers::interchange::{OnnxNode, OnnxOperator, Operand, PyTorch};
use crate::layers::{Arity, Category, Doc, Example, LayerKind, PointwiseKind};

/// `silu` has no arguments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Silu {}

impl LayerKind for Silu {
    const DOC: Doc = Doc {
        name: "silu",
        aliases: &["swish"],
        category: Category::Activation,
        summary: "x / (1 + exp(-x))",
        formulas: formulas!("3 arithmetic operations and 1 exponential an element"),
        source: "Ramachandran et al. 2017; PyTorch nn.SiLU",
        inputs: Arity::One,
    };

    elementwise!(3, 0, 1);

    fn describe(&self) -> String {
        String::new()
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{}", &[&[3, 4, 5]]),
            Example::new("{}", &[&[7]]),
            Example::new("{}", &[&[2, 3, 4, 5]]),
        ]
    }
}

/// `x / (1 + e^-x)`.
pub static FUNCTION: RealFunction = RealFunction {
    value: |_, x| x * sigmoid(x),
    slope: |_, x| sigmoid(x) * (1.0 + x * (1.0 - sigmoid(x))),
};

impl PointwiseKind for Silu {
    const ONNX: &'static [OnnxOperator<Self>] = &[OnnxOperator {
        name: "Swish",
        read: |node| (node.float("alpha", 1.0) == 1.0).then_some(Self {}),
        write: |_| vec![],
    }];

    fn pointwise(&self) -> Pointwise {
        // The minimum is -0.27846.
        Pointwise { range: [-0.2785, f64::INFINITY], ptflops: 1, ..Pointwise::new(Activation::real(&FUNCTION)) }
    }

    /// Does not use `Swish`, which only exists since opset 24.
    fn onnx(&self) -> Vec<OnnxNode> {
        vec![
            OnnxNode::new("gate", "Sigmoid", vec![Operand::Input]),
            OnnxNode::new("", "Mul", vec![Operand::Input, Operand::Part("gate")]),
        ]
    }

    fn pytorch(&self) -> PyTorch {
        PyTorch::module("nn.SiLU")
    }
}
