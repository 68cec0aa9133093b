//! ELU: exponential below zero.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::layers::{Arity, Category, Doc, Example, LayerKind, defaults};

/// Arguments of `elu`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Elu {
    /// Minus the value far below zero
    #[serde(default = "defaults::unit")]
    pub alpha: f64,
}

impl LayerKind for Elu {
    const DOC: Doc = Doc {
        name: "elu",
        aliases: &[],
        category: Category::Activation,
        summary: "x for x > 0, alpha * (exp(x) - 1) below",
        formulas: formulas!("2 arithmetic operations, 1 comparison and 1 exponential an element"),
        source: "Clevert et al. 2016; PyTorch nn.ELU",
        inputs: Arity::One,
    };

    elementwise!(2, 1, 1);

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
