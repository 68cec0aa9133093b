//! Hard sigmoid: a sigmoid of straight lines (MobileNetV3's gate).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::layers::{Arity, Category, Doc, Example, LayerKind};

/// `hardsigmoid` has no arguments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hardsigmoid {}

impl LayerKind for Hardsigmoid {
    const DOC: Doc = Doc {
        name: "hardsigmoid",
        aliases: &["h_sigmoid"],
        category: Category::Activation,
        summary: "min(max(x + 3, 0), 6) / 6",
        formulas: formulas!("2 arithmetic operations and 2 comparisons an element"),
        source: "Howard et al. 2019 (MobileNetV3), section 5.2; PyTorch nn.Hardsigmoid",
        inputs: Arity::One,
    };

    elementwise!(2, 2, 0);

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
