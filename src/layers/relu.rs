//! ReLU: `max(x, 0)`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::{Arity, Category, Cost, Doc, Example, Io, LayerKind, Reach, Weight};
use crate::shape::Shape;

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
        formulas: &[("output", "the input's shape"), ("params", "0"), ("macs", "0"), ("other ops", "1 comparison an element")],
        source: "Nair & Hinton 2010; PyTorch nn.ReLU",
        inputs: Arity::One,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        Ok(inputs[0].clone())
    }

    fn weights(&self, _: Io<'_>) -> Result<Vec<Weight>, Problem> {
        Ok(vec![])
    }

    fn cost(&self, io: Io<'_>) -> Result<Cost, Problem> {
        Cost::pointwise(io.output, 0, 1, 0)
    }

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        vec![Reach::pointwise(0, io.input().rank())]
    }

    fn describe(&self) -> String {
        String::new()
    }

    fn examples() -> Vec<Example> {
        vec![Example::new("{}", &[&[3, 4, 5]])]
    }
}
