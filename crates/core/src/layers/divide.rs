//! Quotient of two inputs, element by element.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::add::{broadcast, joined};
use crate::layers::{Arity, Category, Cost, Doc, Example, Io, LayerKind, Reach, Role};
use crate::shape::Shape;

/// `divide` has no arguments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Divide {}

impl LayerKind for Divide {
    const DOC: Doc = Doc {
        name: "divide",
        aliases: &["div", "quotient"],
        category: Category::Merge,
        summary: "the first input divided by the second; axes of size 1 are broadcast",
        formulas: formulas!("the inputs' common shape", "1 division an element"),
        source: "ONNX Div",
        inputs: Arity::Many,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        if inputs.len() != 2 {
            return Err(Problem::shape(format!("`divide` takes two inputs, {} are given", inputs.len()))
                .help("name two: `- divide: [a, b]`"));
        }
        broadcast("divide", inputs)
    }

    weightless!();

    fn cost(&self, io: Io<'_>) -> Result<Cost, Problem> {
        Cost::pointwise(io.output, 1, 0, 0)
    }

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        joined(io, Role::Context)
    }

    computed!();

    fn describe(&self) -> String {
        String::new()
    }

    fn examples() -> Vec<Example> {
        vec![Example::new("{}", &[&[2, 3, 2], &[2, 3, 2]]), Example::new("{}", &[&[2, 3, 4], &[2, 1, 1]])]
    }
}
