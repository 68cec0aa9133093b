//! Hard swish: `x * hardsigmoid(x)` (MobileNetV3).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::layers::{Arity, Category, Doc, Example, LayerKind};

/// `hardswish` has no arguments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hardswish {}

impl LayerKind for Hardswish {
    const DOC: Doc = Doc {
        name: "hardswish",
        aliases: &["h_swish"],
        category: Category::Activation,
        summary: "x * min(max(x + 3, 0), 6) / 6",
        formulas: formulas!("3 arithmetic operations and 2 comparisons an element"),
        source: "Howard et al. 2019 (MobileNetV3), section 5.2; PyTorch nn.Hardswish",
        inputs: Arity::One,
    };

    elementwise!(3, 2, 0);

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
