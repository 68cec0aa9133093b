//! Hyperbolic tangent.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::layers::{Arity, Category, Doc, Example, LayerKind};

/// `tanh` has no arguments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tanh {}

impl LayerKind for Tanh {
    const DOC: Doc = Doc {
        name: "tanh",
        aliases: &[],
        category: Category::Activation,
        summary: "tanh(x)",
        formulas: formulas!("1 function an element"),
        source: "PyTorch nn.Tanh; ONNX Tanh",
        inputs: Arity::One,
    };

    elementwise!(0, 0, 1);

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
