//! Learned vectors before or after a sequence: the class token of a vision transformer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::args::positive;
use crate::layers::slice::{axis_of, resized};
use crate::layers::{Arity, Category, Cost, Doc, Example, Init, Io, LayerKind, Reach, Weight, defaults};
use crate::shape::Shape;

/// Arguments of `learned_tokens`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LearnedTokens {
    /// Number of vectors
    #[serde(default = "one")]
    pub count: u64,
    /// The axis along which they are concatenated, not counting the batch: 0 is the sequence of [tokens, features]
    #[serde(default)]
    pub axis: u64,
    /// Whether they come after the input instead of before
    #[serde(default)]
    pub after: bool,
    /// Whether training changes them; fixed ones are a buffer
    #[serde(default = "defaults::yes")]
    pub learned: bool,
}

fn one() -> u64 {
    1
}

impl LayerKind for LearnedTokens {
    const DOC: Doc = Doc {
        name: "learned_tokens",
        aliases: &["class_token"],
        category: Category::Merge,
        summary: "puts learned vectors in front of a sequence (or behind it): a class token",
        formulas: &[
            ("output", "the input's shape with count more on the axis"),
            ("params", "count * product of the other axes, a buffer if not learned"),
            ("macs", "0"),
            ("other ops", "0"),
        ],
        source: "Devlin et al. 2019 (BERT); Dosovitskiy et al. 2021 (ViT), equation 1; ONNX Concat with an initialiser",
        inputs: Arity::One,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        let (axis, size) = axis_of(&inputs[0], self.axis)?;
        let total = size.checked_add(positive("count", self.count)?);
        Ok(resized(&inputs[0], axis, total.ok_or_else(|| Problem::overflow("the joined size"))?))
    }

    fn weights(&self, io: Io<'_>) -> Result<Vec<Weight>, Problem> {
        let (axis, _) = axis_of(io.input(), self.axis)?;
        Ok(super::learned_bias::tensor(resized(io.input(), axis, self.count), self.learned, Init::Zeros))
    }

    fn cost(&self, _: Io<'_>) -> Result<Cost, Problem> {
        Ok(Cost::FREE)
    }

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        let before = if self.after { 0 } else { i64::try_from(self.count).unwrap_or(i64::MAX) };
        let axis = usize::try_from(self.axis).unwrap_or(usize::MAX);
        vec![Reach::shifted(0, io.input().rank(), axis, before.saturating_neg())]
    }

    computed!();

    fn describe(&self) -> String {
        let axis = if self.axis == 0 { String::new() } else { format!(" axis {}", self.axis) };
        let fixed = if self.learned { "" } else { " fixed" };
        format!("{}{axis}{}{fixed}", self.count, if self.after { " after" } else { "" })
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{}", &[&[5, 4]]),
            Example::new("{count: 2, axis: 1, after: true}", &[&[3, 4]]),
            Example::new("{count: 3, learned: false}", &[&[2, 3, 2]]),
        ]
    }
}
