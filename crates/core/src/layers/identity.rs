//! Identity: the output is the input.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::{Arity, Category, Doc, Example, Io, LayerKind, Reach, Values};
use crate::shape::Shape;

/// `identity` has no arguments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Identity {}

impl LayerKind for Identity {
    const DOC: Doc = Doc {
        name: "identity",
        aliases: &[],
        category: Category::Shape,
        summary: "does nothing; a place to name or to switch a layer off",
        formulas: formulas!("0"),
        source: "PyTorch nn.Identity",
        inputs: Arity::One,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        Ok(inputs[0].clone())
    }

    free!();

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        vec![Reach::pointwise(0, io.input().rank())]
    }

    fn values(&self) -> Values {
        Values::SAME
    }

    fn describe(&self) -> String {
        String::new()
    }

    fn examples() -> Vec<Example> {
        vec![Example::new("{}", &[&[3, 4, 5]]), Example::new("{}", &[&[7]])]
    }
}
