//! Hard swish: `x * hardsigmoid(x)` (MobileNetV3).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::layers::activation::{Activation, Pointwise, RealFunction};
use crate::layers::interchange::{OnnxNode, OnnxOperator, PyTorch};
use crate::layers::{Arity, Category, Doc, Example, LayerKind, PointwiseKind};

/// `hardswish` has no arguments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hardswish {}

impl LayerKind for Hardswish {
    const DOC: Doc = Doc {
        name: "hardswish",
        aliases: &["h_swish"],
        category: Category::Activation,
        summary: "x * min(max(x + 3, 0), 6) / 6",
        formulas: formulas!("3 arithmetic operations and 2 comparisons an element"),
        source: "Howard et al. 2019 (MobileNetV3), section 5.2; PyTorch nn.Hardswish",
        inputs: Arity::One,
    };

    elementwise!(3, 2, 0);

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

/// `x min(max(x + 3, 0), 6) / 6`.
pub static FUNCTION: RealFunction = RealFunction {
    value: |_, x| x * (x + 3.0).clamp(0.0, 6.0) / 6.0,
    slope: |_, x| match x {
        _ if x <= -3.0 => 0.0,
        _ if x < 3.0 => x / 3.0 + 0.5,
        _ => 1.0,
    },
};

impl PointwiseKind for Hardswish {
    const ONNX: &'static [OnnxOperator<Self>] =
        &[OnnxOperator { name: "HardSwish", read: |_| Some(Self {}), write: |_| vec![] }];

    fn pointwise(&self) -> Pointwise {
        Pointwise { range: [-0.375, f64::INFINITY], ..Pointwise::new(Activation::real(&FUNCTION)) }
    }

    fn onnx(&self) -> Vec<OnnxNode> {
        OnnxNode::single(self, Self::ONNX)
    }

    fn pytorch(&self) -> PyTorch {
        PyTorch::module("nn.Hardswish")
    }
}
