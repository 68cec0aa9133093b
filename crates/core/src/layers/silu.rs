//! SiLU (swish): `x * sigmoid(x)`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::layers::{Arity, Category, Doc, Example, LayerKind};

/// `silu` has no arguments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Silu {}

impl LayerKind for Silu {
    const DOC: Doc = Doc {
        name: "silu",
        aliases: &["swish"],
        category: Category::Activation,
        summary: "x / (1 + exp(-x))",
        formulas: formulas!("3 arithmetic operations and 1 exponential an element"),
        source: "Ramachandran et al. 2017; PyTorch nn.SiLU",
        inputs: Arity::One,
    };

    elementwise!(3, 0, 1);

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
