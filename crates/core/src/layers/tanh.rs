//! Hyperbolic tangent.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::layers::activation::{Activation, KeptByActivation, Pointwise, RealFunction};
use crate::layers::interchange::{OnnxNode, OnnxOperator, PyTorch};
use crate::layers::{Arity, Category, Doc, Example, LayerKind, PointwiseKind};

/// `tanh` has no arguments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tanh {}

impl LayerKind for Tanh {
    const DOC: Doc = Doc {
        name: "tanh",
        aliases: &[],
        category: Category::Activation,
        summary: "tanh(x)",
        formulas: formulas!("1 function an element"),
        source: "PyTorch nn.Tanh; ONNX Tanh",
        inputs: Arity::One,
    };

    elementwise!(0, 0, 1);

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

/// The hyperbolic tangent.
pub static FUNCTION: RealFunction =
    RealFunction { value: |_, x| libm::tanh(x), slope: |_, x| 1.0 - libm::tanh(x) * libm::tanh(x) };

impl PointwiseKind for Tanh {
    const ONNX: &'static [OnnxOperator<Self>] =
        &[OnnxOperator { name: "Tanh", read: |_| Some(Self {}), write: |_| vec![] }];

    fn pointwise(&self) -> Pointwise {
        let kept = KeptByActivation::Output;
        Pointwise { range: [-1.0, 1.0], kept, ..Pointwise::new(Activation::real(&FUNCTION)) }
    }

    fn onnx(&self) -> Vec<OnnxNode> {
        OnnxNode::single(self, Self::ONNX)
    }

    fn pytorch(&self) -> PyTorch {
        PyTorch::module("nn.Tanh")
    }
}
