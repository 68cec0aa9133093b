//! Sigmoid.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::layers::{Arity, Category, Doc, Example, LayerKind};

/// `sigmoid` has no arguments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sigmoid {}

impl LayerKind for Sigmoid {
    const DOC: Doc = Doc {
        name: "sigmoid",
        aliases: &["logistic"],
        category: Category::Activation,
        summary: "1 / (1 + exp(-x))",
        formulas: formulas!("2 arithmetic operations and 1 exponential an element"),
        source: "PyTorch nn.Sigmoid; ONNX Sigmoid",
        inputs: Arity::One,
    };

    elementwise!(2, 0, 1);

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
