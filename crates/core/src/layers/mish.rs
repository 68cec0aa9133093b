//! Mish: `x * tanh(softplus(x))`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::layers::activation::{Activation, Pointwise, RealFunction, sigmoid, softplus};
use crate::layers::interchange::{OnnxNode, OnnxOperator, PyTorch};
use crate::layers::{Arity, Category, Doc, Example, LayerKind, PointwiseKind};

/// `mish` has no arguments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mish {}

impl LayerKind for Mish {
    const DOC: Doc = Doc {
        name: "mish",
        aliases: &[],
        category: Category::Activation,
        summary: "x * tanh(ln(1 + exp(x)))",
        formulas: formulas!("2 arithmetic operations and 3 functions (exponential, logarithm, tanh) an element"),
        source: "Misra 2019; PyTorch nn.Mish",
        inputs: Arity::One,
    };

    elementwise!(2, 0, 3);

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

/// `x tanh(ln(1 + e^x))`.
pub static FUNCTION: RealFunction = RealFunction {
    value: |_, x| x * libm::tanh(softplus(x)),
    slope: |_, x| {
        let tanh = libm::tanh(softplus(x));
        tanh + x * (1.0 - tanh * tanh) * sigmoid(x)
    },
};

impl PointwiseKind for Mish {
    const ONNX: &'static [OnnxOperator<Self>] =
        &[OnnxOperator { name: "Mish", read: |_| Some(Self {}), write: |_| vec![] }];

    fn pointwise(&self) -> Pointwise {
        // The minimum is -0.30884.
        Pointwise { range: [-0.3089, f64::INFINITY], ..Pointwise::new(Activation::real(&FUNCTION)) }
    }

    fn onnx(&self) -> Vec<OnnxNode> {
        OnnxNode::single(self, Self::ONNX)
    }

    fn pytorch(&self) -> PyTorch {
        PyTorch::module("nn.Mish")
    }
}
