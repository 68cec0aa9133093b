//! Leaky ReLU: a small slope below zero.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::layers::activation::{Activation, KeptByActivation, NOT_NEGATIVE, Pointwise, UNBOUNDED};
use crate::layers::interchange::{OnnxAttribute, OnnxNode, OnnxOperator, PyTorch};
use crate::layers::{Arity, Category, Doc, Example, LayerKind, PointwiseKind};

/// Arguments of `leaky_relu`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LeakyRelu {
    /// Slope below zero
    #[serde(default = "negative_slope")]
    pub negative_slope: f64,
}

fn negative_slope() -> f64 {
    0.01
}

impl LayerKind for LeakyRelu {
    const DOC: Doc = Doc {
        name: "leaky_relu",
        aliases: &["lrelu"],
        category: Category::Activation,
        summary: "x for x >= 0, negative_slope * x below",
        formulas: formulas!("1 multiplication and 1 comparison an element"),
        source: "Maas et al. 2013; PyTorch nn.LeakyReLU",
        inputs: Arity::One,
    };

    elementwise!(1, 1, 0);

    fn describe(&self) -> String {
        format!("slope {}", self.negative_slope)
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{}", &[&[3, 4, 5]]),
            Example::new("{negative_slope: 0.2}", &[&[7]]),
            Example::new("{negative_slope: 0.1}", &[&[2, 3, 4, 5]]),
        ]
    }
}

impl PointwiseKind for LeakyRelu {
    const ONNX: &'static [OnnxOperator<Self>] = &[OnnxOperator {
        name: "LeakyRelu",
        read: |node| Some(Self { negative_slope: node.float("alpha", 0.01) }),
        write: |layer| vec![OnnxAttribute::Float("alpha", layer.negative_slope)],
    }];

    fn pointwise(&self) -> Pointwise {
        Pointwise {
            range: if self.negative_slope < 0.0 { NOT_NEGATIVE } else { UNBOUNDED },
            fixed: Some(NOT_NEGATIVE),
            ptflops: 1,
            kept: KeptByActivation::OutputInPlace,
            ..Pointwise::new(Activation::Kinked(self.negative_slope))
        }
    }

    fn onnx(&self) -> Vec<OnnxNode> {
        OnnxNode::single(self, Self::ONNX)
    }

    fn pytorch(&self) -> PyTorch {
        PyTorch::module("nn.LeakyReLU").float("negative_slope", self.negative_slope, "0.01")
    }
}
