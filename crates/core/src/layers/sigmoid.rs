//! Sigmoid.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::layers::activation::{Activation, KeptByActivation, Pointwise, RealFunction, sigmoid};
use crate::layers::interchange::{OnnxNode, OnnxOperator, PyTorch};
use crate::layers::{Arity, Category, Doc, Example, LayerKind, PointwiseKind};

/// `sigmoid` has no arguments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sigmoid {}

impl LayerKind for Sigmoid {
    const DOC: Doc = Doc {
        name: "sigmoid",
        aliases: &["logistic"],
        category: Category::Activation,
        summary: "1 / (1 + exp(-x))",
        formulas: formulas!("2 arithmetic operations and 1 exponential an element"),
        source: "PyTorch nn.Sigmoid; ONNX Sigmoid",
        inputs: Arity::One,
    };

    elementwise!(2, 0, 1);

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

/// `1 / (1 + e^-x)`.
pub static FUNCTION: RealFunction =
    RealFunction { value: |_, x| sigmoid(x), slope: |_, x| sigmoid(x) * (1.0 - sigmoid(x)) };

impl PointwiseKind for Sigmoid {
    const ONNX: &'static [OnnxOperator<Self>] =
        &[OnnxOperator { name: "Sigmoid", read: |_| Some(Self {}), write: |_| vec![] }];

    fn pointwise(&self) -> Pointwise {
        let kept = KeptByActivation::Output;
        Pointwise { range: [0.0, 1.0], kept, ..Pointwise::new(Activation::real(&FUNCTION)) }
    }

    fn onnx(&self) -> Vec<OnnxNode> {
        OnnxNode::single(self, Self::ONNX)
    }

    fn pytorch(&self) -> PyTorch {
        PyTorch::module("nn.Sigmoid")
    }
}
