//! Mish: `x * tanh(softplus(x))`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::layers::{Arity, Category, Doc, Example, LayerKind};

/// `mish` has no arguments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mish {}

impl LayerKind for Mish {
    const DOC: Doc = Doc {
        name: "mish",
        aliases: &[],
        category: Category::Activation,
        summary: "x * tanh(ln(1 + exp(x)))",
        formulas: formulas!("2 arithmetic operations and 3 functions (exponential, logarithm, tanh) an element"),
        source: "Misra 2019; PyTorch nn.Mish",
        inputs: Arity::One,
    };

    elementwise!(2, 0, 3);

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
