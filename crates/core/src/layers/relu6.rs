//! ReLU6: `min(max(x, 0), 6)`, the activation of MobileNetV2.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::layers::activation::{Activation, Pointwise};
use crate::layers::interchange::{OnnxNode, OnnxOperator, Operand, PyTorch};
use crate::layers::{Arity, Category, Doc, Example, LayerKind, PointwiseKind};

/// `relu6` has no arguments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Relu6 {}

impl LayerKind for Relu6 {
    const DOC: Doc = Doc {
        name: "relu6",
        aliases: &[],
        category: Category::Activation,
        summary: "min(max(x, 0), 6)",
        formulas: formulas!("2 comparisons an element"),
        source: "Sandler et al. 2018 (MobileNetV2); PyTorch nn.ReLU6",
        inputs: Arity::One,
    };

    elementwise!(0, 2, 0);

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

impl PointwiseKind for Relu6 {
    /// None: ONNX's `Clip` has its bounds as inputs; the importer reads it as this layer if they are 0 and 6.
    const ONNX: &'static [OnnxOperator<Self>] = &[];

    fn pointwise(&self) -> Pointwise {
        let range = [0.0, 6.0];
        Pointwise { range, fixed: Some(range), ptflops: 1, ..Pointwise::new(Activation::BoundedRamp(6.0)) }
    }

    fn onnx(&self) -> Vec<OnnxNode> {
        let bounds = [Operand::Scalar("min", 0.0), Operand::Scalar("max", 6.0)];
        vec![OnnxNode::new("", "Clip", [&[Operand::Input], bounds.as_slice()].concat())]
    }

    fn pytorch(&self) -> PyTorch {
        PyTorch::module("nn.ReLU6")
    }
}
