//! Hard sigmoid: a sigmoid of straight lines (MobileNetV3's gate).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::layers::activation::{Activation, Pointwise, RealFunction, step};
use crate::layers::interchange::{OnnxAttribute, OnnxNode, OnnxOperator, Operand, PyTorch};
use crate::layers::{Arity, Category, Doc, Example, LayerKind, PointwiseKind};

/// `hardsigmoid` has no arguments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hardsigmoid {}

impl LayerKind for Hardsigmoid {
    const DOC: Doc = Doc {
        name: "hardsigmoid",
        aliases: &["h_sigmoid"],
        category: Category::Activation,
        summary: "min(max(x + 3, 0), 6) / 6",
        formulas: formulas!("2 arithmetic operations and 2 comparisons an element"),
        source: "Howard et al. 2019 (MobileNetV3), section 5.2; PyTorch nn.Hardsigmoid",
        inputs: Arity::One,
    };

    elementwise!(2, 2, 0);

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

/// `min(max(x + 3, 0), 6) / 6`.
pub static FUNCTION: RealFunction = RealFunction {
    value: |_, x| (x + 3.0).clamp(0.0, 6.0) / 6.0,
    slope: |_, x| step(x > -3.0 && x < 3.0) / 6.0,
};

impl PointwiseKind for Hardsigmoid {
    /// None: ONNX's `HardSigmoid` has arguments for slope and offset; the importer reads it as this layer if
    /// they match.
    const ONNX: &'static [OnnxOperator<Self>] = &[];

    fn pointwise(&self) -> Pointwise {
        Pointwise { range: [0.0, 1.0], ..Pointwise::new(Activation::real(&FUNCTION)) }
    }

    fn onnx(&self) -> Vec<OnnxNode> {
        let attributes = vec![OnnxAttribute::Float("alpha", 1.0 / 6.0)];
        vec![OnnxNode { attributes, ..OnnxNode::new("", "HardSigmoid", vec![Operand::Input]) }]
    }

    fn pytorch(&self) -> PyTorch {
        PyTorch::module("nn.Hardsigmoid")
    }
}
