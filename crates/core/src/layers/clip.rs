//! Limits every element to a range.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::activation::{Activation, Pointwise};
use crate::layers::interchange::{OnnxNode, OnnxOperator, Operand, PyTorch};
use crate::layers::{Arity, Category, Cost, Doc, Example, Io, LayerKind, PointwiseKind, Reach};
use crate::shape::Shape;

/// Arguments of `clip`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Clip {
    /// Lower bound; none if not given
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// Upper bound; none if not given
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

impl LayerKind for Clip {
    const DOC: Doc = Doc {
        name: "clip",
        aliases: &["clamp", "hardtanh"],
        category: Category::Activation,
        summary: "min(max(x, min), max)",
        formulas: formulas!("1 comparison an element for each bound"),
        source: "PyTorch torch.clamp, nn.Hardtanh; ONNX Clip",
        inputs: Arity::One,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        if self.min.is_some_and(f64::is_nan) || self.max.is_some_and(f64::is_nan) {
            return Err(Problem::argument("min", "a bound is not a number"));
        }
        if let (Some(min), Some(max)) = (self.min, self.max)
            && min > max
        {
            return Err(Problem::argument("min", format!("`min` is {min}, more than `max`, which is {max}")));
        }
        Ok(inputs[0].clone())
    }

    weightless!();

    fn cost(&self, io: Io<'_>) -> Result<Cost, Problem> {
        Cost::pointwise(io.output, 0, u64::from(self.min.is_some()) + u64::from(self.max.is_some()), 0)
    }

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        vec![Reach::pointwise(0, io.input().rank())]
    }

    pointwise_values!();

    fn describe(&self) -> String {
        match (self.min, self.max) {
            (Some(min), Some(max)) => format!("{min} to {max}"),
            (Some(min), None) => format!("from {min}"),
            (None, Some(max)) => format!("to {max}"),
            (None, None) => String::new(),
        }
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{min: -0.3, max: 0.4}", &[&[3, 4, 5]]),
            Example::new("{max: 0.25}", &[&[7]]),
            Example::new("{min: -0.1}", &[&[2, 3, 4, 5]]),
        ]
    }
}

impl PointwiseKind for Clip {
    /// None: ONNX's `Clip` has its bounds as inputs.
    const ONNX: &'static [OnnxOperator<Self>] = &[];

    fn pointwise(&self) -> Pointwise {
        let range = [self.min.unwrap_or(f64::NEG_INFINITY), self.max.unwrap_or(f64::INFINITY)];
        Pointwise { range, fixed: Some(range), ..Pointwise::new(Activation::Clamp(range[0], range[1])) }
    }

    fn onnx(&self) -> Vec<OnnxNode> {
        let mut inputs = vec![Operand::Input];
        inputs.push(self.min.map_or(Operand::Absent, |min| Operand::Scalar("min", min)));
        inputs.extend(self.max.map(|max| Operand::Scalar("max", max)));
        vec![OnnxNode::new("", "Clip", inputs)]
    }

    fn pytorch(&self) -> PyTorch {
        PyTorch::call("torch.clamp({0}, {min}, {max})").inside("min", self.min).inside("max", self.max)
    }
}
