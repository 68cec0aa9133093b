//! Adaptive max pooling (PyTorch's `AdaptiveMaxPool2d`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::adaptive_avg_pool::{adapted, adaptive_examples, adaptive_reach, elements_read};
use crate::layers::axes::OutputSize;
use crate::layers::{Arity, Category, Cost, Doc, Example, Io, LayerKind, Ops, Reach};
use crate::shape::Shape;

/// Arguments of `adaptive_max_pool`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdaptiveMaxPool {
    /// Output size; `~` in a list keeps an axis
    pub output_size: OutputSize,
}

impl LayerKind for AdaptiveMaxPool {
    const DOC: Doc = Doc {
        name: "adaptive_max_pool",
        aliases: &[],
        category: Category::Pooling,
        summary: "largest value of windows chosen so that the output has a given size",
        formulas: formulas!(
            "as adaptive_avg_pool",
            "channels * prod(in + out - gcd(in, out)) - out_elements comparisons"
        ),
        source: "PyTorch nn.AdaptiveMaxPool2d",
        inputs: Arity::One,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        adapted("adaptive_max_pool", &self.output_size, &inputs[0])
    }

    weightless!();

    fn cost(&self, io: Io<'_>) -> Result<Cost, Problem> {
        let comparisons = elements_read(io)?.saturating_sub(io.output.elements()?);
        Ok(Cost { ops: Ops { comparisons, ..Ops::default() }, ..Cost::FREE })
    }

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        adaptive_reach(io)
    }

    computed!();

    fn describe(&self) -> String {
        format!("to {}", self.output_size.describe())
    }

    fn examples() -> Vec<Example> {
        adaptive_examples()
    }
}
