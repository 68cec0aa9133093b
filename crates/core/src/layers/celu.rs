//! CELU: ELU with a continuous slope for every alpha.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::layers::activation::{Activation, KeptByActivation, NOT_NEGATIVE, Pointwise};
use crate::layers::interchange::{OnnxAttribute, OnnxNode, OnnxOperator, PyTorch};
use crate::layers::{Arity, Category, Doc, Example, LayerKind, PointwiseKind, defaults};

/// Arguments of `celu`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Celu {
    /// Minus the value far below zero
    #[serde(default = "defaults::unit")]
    pub alpha: f64,
}

impl LayerKind for Celu {
    const DOC: Doc = Doc {
        name: "celu",
        aliases: &[],
        category: Category::Activation,
        summary: "max(0, x) + min(0, alpha * (exp(x / alpha) - 1))",
        formulas: formulas!("3 arithmetic operations, 1 comparison and 1 exponential an element"),
        source: "Barron 2017; PyTorch nn.CELU",
        inputs: Arity::One,
    };

    elementwise!(3, 1, 1);

    fn describe(&self) -> String {
        format!("alpha {}", self.alpha)
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{}", &[&[3, 4, 5]]),
            Example::new("{alpha: 0.5}", &[&[7]]),
            Example::new("{alpha: 2}", &[&[2, 3, 4, 5]]),
        ]
    }
}

impl PointwiseKind for Celu {
    const ONNX: &'static [OnnxOperator<Self>] = &[OnnxOperator {
        name: "Celu",
        read: |node| Some(Self { alpha: node.float("alpha", 1.0) }),
        write: |layer| vec![OnnxAttribute::Float("alpha", layer.alpha)],
    }];

    fn pointwise(&self) -> Pointwise {
        Pointwise {
            range: [(-self.alpha).min(0.0), f64::INFINITY],
            fixed: Some(NOT_NEGATIVE),
            kept: KeptByActivation::OutputInPlace,
            ..Pointwise::new(Activation::Exponential { height: self.alpha, width: self.alpha, slope: 1.0 })
        }
    }

    fn onnx(&self) -> Vec<OnnxNode> {
        OnnxNode::single(self, Self::ONNX)
    }

    fn pytorch(&self) -> PyTorch {
        PyTorch::module("nn.CELU").float("alpha", self.alpha, "1.0")
    }
}
