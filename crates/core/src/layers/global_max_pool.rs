//! Global max pooling: the largest value of each channel.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::global_avg_pool::{collapsed, global_examples, whole_maps};
use crate::layers::{Arity, Category, Cost, Doc, Example, Io, LayerKind, Ops, Reach};
use crate::shape::Shape;

/// Arguments of `global_max_pool`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GlobalMaxPool {
    /// Whether the spatial axes stay, with size 1
    #[serde(default)]
    pub keepdim: bool,
}

impl LayerKind for GlobalMaxPool {
    const DOC: Doc = Doc {
        name: "global_max_pool",
        aliases: &["gmp"],
        category: Category::Pooling,
        summary: "largest value of each channel over all of space",
        formulas: formulas!("as global_avg_pool", "in_elements - channels comparisons"),
        source: "ONNX GlobalMaxPool; PyTorch amax over space",
        inputs: Arity::One,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        collapsed("global_max_pool", &inputs[0], self.keepdim)
    }

    weightless!();

    fn cost(&self, io: Io<'_>) -> Result<Cost, Problem> {
        let comparisons = io.input().elements()?.saturating_sub(io.input().channels());
        Ok(Cost { ops: Ops { comparisons, ..Ops::default() }, ..Cost::FREE })
    }

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        whole_maps(io)
    }

    computed!();

    fn describe(&self) -> String {
        if self.keepdim { "keepdim".into() } else { String::new() }
    }

    fn examples() -> Vec<Example> {
        global_examples()
    }
}
