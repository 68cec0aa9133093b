//! A learned tensor that starts a branch: the part of a network that it computes from weights alone begins
//! here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::args::positive;
use crate::layers::{Arity, Category, Cost, Doc, Example, Init, Io, LayerKind, Reach, Weight, defaults};
use crate::shape::Shape;

/// Largest number of axes of the tensor.
const MAX_AXES: usize = 8;

/// Arguments of `learned_tensor`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LearnedTensor {
    /// Its shape, without the batch
    pub shape: Vec<u64>,
    /// Whether training changes it; a fixed one (a table of coordinates) is a buffer
    #[serde(default = "defaults::yes")]
    pub learned: bool,
}

impl LayerKind for LearnedTensor {
    const DOC: Doc = Doc {
        name: "learned_tensor",
        aliases: &["parameter"],
        category: Category::Merge,
        summary: "a learned tensor, the same for every image: it reads nothing of its input but how many images there are",
        formulas: &[
            ("output", "shape"),
            ("params", "prod(shape), a buffer if not learned"),
            ("macs", "0"),
            ("other ops", "0"),
        ],
        source: "torch.nn.Parameter that a computation starts from: Liu et al. 2022 (Swin V2), section 3.3; ONNX operators on initialisers",
        inputs: Arity::One,
    };

    fn infer(&self, _: &[Shape]) -> Result<Shape, Problem> {
        for &size in &self.shape {
            positive("shape", size)?;
        }
        if self.shape.is_empty() || self.shape.len() > MAX_AXES {
            let message = format!("`shape` has {} axes", self.shape.len());
            return Err(Problem::argument("shape", message).help(format!("give 1 to {MAX_AXES} sizes")));
        }
        Ok(Shape::from(self.shape.as_slice()))
    }

    fn weights(&self, _: Io<'_>) -> Result<Vec<Weight>, Problem> {
        Ok(super::learned_bias::tensor(Shape::from(self.shape.as_slice()), self.learned, Init::FanIn(1)))
    }

    fn cost(&self, _: Io<'_>) -> Result<Cost, Problem> {
        Ok(Cost::FREE)
    }

    /// Returns none: the output does not depend on the input.
    fn reach(&self, _: Io<'_>) -> Vec<Reach> {
        vec![]
    }

    computed!();

    fn describe(&self) -> String {
        super::learned_bias::described(Some(&self.shape), self.learned)
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{shape: [3, 2]}", &[&[2, 4, 5]]),
            Example::new("{shape: [4], learned: false}", &[&[3]]),
        ]
    }
}
