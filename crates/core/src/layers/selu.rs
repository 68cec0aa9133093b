//! SELU: the scaled ELU whose activations keep mean 0 and variance 1.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::layers::{Arity, Category, Doc, Example, LayerKind};

/// `selu` has no arguments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Selu {}

impl LayerKind for Selu {
    const DOC: Doc = Doc {
        name: "selu",
        aliases: &[],
        category: Category::Activation,
        summary: "1.0507 * (x for x > 0, 1.6733 * (exp(x) - 1) below)",
        formulas: formulas!("3 arithmetic operations, 1 comparison and 1 exponential an element"),
        source: "Klambauer et al. 2017; PyTorch nn.SELU",
        inputs: Arity::One,
    };

    elementwise!(3, 1, 1);

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
