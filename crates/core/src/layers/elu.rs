//! ELU: exponential below zero.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::layers::activation::{Activation, KeptByActivation, NOT_NEGATIVE, Pointwise};
use crate::layers::interchange::{OnnxAttribute, OnnxNode, OnnxOperator, PyTorch};
use crate::layers::{Arity, Category, Doc, Example, LayerKind, PointwiseKind, defaults};

/// Arguments of `elu`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Elu {
    /// Minus the value far below zero
    #[serde(default = "defaults::unit")]
    pub alpha: f64,
}

impl LayerKind for Elu {
    const DOC: Doc = Doc {
        name: "elu",
        aliases: &[],
        category: Category::Activation,
        summary: "x for x > 0, alpha * (exp(x) - 1) below",
        formulas: formulas!("2 arithmetic operations, 1 comparison and 1 exponential an element"),
        source: "Clevert et al. 2016; PyTorch nn.ELU",
        inputs: Arity::One,
    };

    elementwise!(2, 1, 1);

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

impl PointwiseKind for Elu {
    const ONNX: &'static [OnnxOperator<Self>] = &[OnnxOperator {
        name: "Elu",
        read: |node| Some(Self { alpha: node.float("alpha", 1.0) }),
        write: |layer| vec![OnnxAttribute::Float("alpha", layer.alpha)],
    }];

    fn pointwise(&self) -> Pointwise {
        Pointwise {
            range: [(-self.alpha).min(0.0), f64::INFINITY],
            fixed: Some(NOT_NEGATIVE),
            ptflops: 2,
            kept: KeptByActivation::OutputInPlace,
            ..Pointwise::new(Activation::Exponential { height: self.alpha, width: 1.0, slope: self.alpha })
        }
    }

    fn onnx(&self) -> Vec<OnnxNode> {
        OnnxNode::single(self, Self::ONNX)
    }

    fn pytorch(&self) -> PyTorch {
        PyTorch::module("nn.ELU").float("alpha", self.alpha, "1.0")
    }
}
