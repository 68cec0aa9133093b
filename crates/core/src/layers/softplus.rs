//! Softplus: a smooth ReLU.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::layers::{Arity, Category, Doc, Example, LayerKind, defaults};

/// Arguments of `softplus`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Softplus {
    /// Sharpness of the bend
    #[serde(default = "defaults::unit")]
    pub beta: f64,
    /// The function is x itself where beta * x is larger than this
    #[serde(default = "threshold")]
    pub threshold: f64,
}

fn threshold() -> f64 {
    20.0
}

impl LayerKind for Softplus {
    const DOC: Doc = Doc {
        name: "softplus",
        aliases: &[],
        category: Category::Activation,
        summary: "ln(1 + exp(beta * x)) / beta, and x itself where beta * x > threshold",
        formulas: formulas!("3 arithmetic operations, 1 comparison and 2 functions (exponential, logarithm) an element"),
        source: "Dugas et al. 2001; PyTorch nn.Softplus",
        inputs: Arity::One,
    };

    elementwise!(3, 1, 2);

    fn describe(&self) -> String {
        format!("beta {}", self.beta)
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{}", &[&[3, 4, 5]]),
            Example::new("{beta: 2}", &[&[7]]),
            Example::new("{beta: 0.5, threshold: 10}", &[&[2, 3, 4, 5]]),
        ]
    }
}
