//! Product of several inputs, element by element: gates and attention maps.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::add::{broadcast, joined};
use crate::layers::facets::count;
use crate::layers::{Arity, Category, Cost, Doc, Example, Io, LayerKind, Ops, Reach, Role};
use crate::shape::Shape;

/// `multiply` has no arguments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Multiply {}

impl LayerKind for Multiply {
    const DOC: Doc = Doc {
        name: "multiply",
        aliases: &["mul", "product"],
        category: Category::Merge,
        summary: "product of the inputs; axes of size 1 are broadcast, so a [C, 1, 1] gates a map",
        formulas: formulas!("the inputs' common shape", "(inputs - 1) multiplications an element"),
        source: "ONNX Mul; as a gate: Hu et al. 2018 (squeeze-and-excitation)",
        inputs: Arity::Many,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        broadcast("multiply", inputs)
    }

    weightless!();

    fn cost(&self, io: Io<'_>) -> Result<Cost, Problem> {
        let steps = io.inputs.len().saturating_sub(1) as u64;
        let arithmetic = count("the number of operations", &[io.output.elements()?, steps])?;
        Ok(Cost { ops: Ops { arithmetic, ..Ops::default() }, ..Cost::FREE })
    }

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        joined(io, Role::Context)
    }

    computed!();

    fn describe(&self) -> String {
        String::new()
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{}", &[&[2, 3, 4], &[2, 3, 4]]),
            Example::new("{}", &[&[2, 3, 4], &[2, 1, 1]]),
            Example::new("{}", &[&[2, 5], &[1, 5], &[2, 5]]),
        ]
    }
}
