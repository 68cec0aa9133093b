//! ReLU: `max(x, 0)`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::layers::activation::{Activation, KeptByActivation, NOT_NEGATIVE, Pointwise};
use crate::layers::interchange::{OnnxNode, OnnxOperator, PyTorch};
use crate::layers::{Arity, Category, Doc, Example, LayerKind, PointwiseKind};

/// `relu` has no arguments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Relu {}

impl LayerKind for Relu {
    const DOC: Doc = Doc {
        name: "relu",
        aliases: &[],
        category: Category::Activation,
        summary: "max(x, 0)",
        formulas: formulas!("1 comparison an element"),
        source: "Nair & Hinton 2010; PyTorch nn.ReLU",
        inputs: Arity::One,
    };

    elementwise!(0, 1, 0);

    fn describe(&self) -> String {
        String::new()
    }

    fn examples() -> Vec<Example> {
        vec![Example::new("{}", &[&[3, 4, 5]])]
    }
}

impl PointwiseKind for Relu {
    const ONNX: &'static [OnnxOperator<Self>] =
        &[OnnxOperator { name: "Relu", read: |_| Some(Self {}), write: |_| vec![] }];

    fn pointwise(&self) -> Pointwise {
        let range = NOT_NEGATIVE;
        let kept = KeptByActivation::Output;
        Pointwise { range, fixed: Some(range), ptflops: 2, kept, ..Pointwise::new(Activation::Ramp) }
    }

    fn onnx(&self) -> Vec<OnnxNode> {
        OnnxNode::single(self, Self::ONNX)
    }

    fn pytorch(&self) -> PyTorch {
        PyTorch::module("nn.ReLU")
    }
}
