//! CELU: ELU with a continuous slope for every alpha.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::layers::{Arity, Category, Doc, Example, LayerKind, defaults};

/// Arguments of `celu`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Celu {
    /// Minus the value far below zero
    #[serde(default = "defaults::unit")]
    pub alpha: f64,
}

impl LayerKind for Celu {
    const DOC: Doc = Doc {
        name: "celu",
        aliases: &[],
        category: Category::Activation,
        summary: "max(0, x) + min(0, alpha * (exp(x / alpha) - 1))",
        formulas: formulas!("3 arithmetic operations, 1 comparison and 1 exponential an element"),
        source: "Barron 2017; PyTorch nn.CELU",
        inputs: Arity::One,
    };

    elementwise!(3, 1, 1);

    fn describe(&self) -> String {
        format!("alpha {}", self.alpha)
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{}", &[&[3, 4, 5]]),
            Example::new("{alpha: 0.5}", &[&[7]]),
            Example::new("{alpha: 2}", &[&[2, 3, 4, 5]]),
        ]
    }
}
