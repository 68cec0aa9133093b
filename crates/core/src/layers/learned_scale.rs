//! A learned tensor that multiplies: scales that are not a layer scale of one axis.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::learned_bias::{described, fitting, tensor};
use crate::layers::{Arity, Category, Cost, Doc, Example, Init, Io, LayerKind, Reach, Weight, defaults};
use crate::shape::Shape;

/// Arguments of `learned_scale`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LearnedScale {
    /// Its shape, without the batch; axes of size 1 are broadcast. The input's shape if not given
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<Vec<u64>>,
    /// Whether training changes it; a fixed one is a buffer
    #[serde(default = "defaults::yes")]
    pub learned: bool,
    /// Whether it selects: where a fixed factor is 0, the output is 0, even if the input is infinite or not a number
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mask: bool,
}

impl LayerKind for LearnedScale {
    const DOC: Doc = Doc {
        name: "learned_scale",
        aliases: &[],
        category: Category::Gate,
        summary: "multiplies by a learned tensor of any shape that broadcasts",
        formulas: &[
            ("output", "the input's shape"),
            ("mask", "0 where the factor is 0, whatever the input is"),
            ("params", "prod(shape), a buffer if not learned"),
            ("macs", "0"),
            ("other ops", "1 multiplication an element"),
        ],
        source: "ONNX Mul with an initialiser; with `mask`, Where and PyTorch masked_fill",
        inputs: Arity::One,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        if self.mask && self.learned {
            return Err(Problem::argument("mask", "a mask is fixed, and `learned` is true")
                .help("add `learned: false`"));
        }
        fitting(self.shape.as_deref(), &inputs[0])?;
        Ok(inputs[0].clone())
    }

    fn weights(&self, io: Io<'_>) -> Result<Vec<Weight>, Problem> {
        Ok(tensor(fitting(self.shape.as_deref(), io.input())?, self.learned, Init::Ones))
    }

    fn cost(&self, io: Io<'_>) -> Result<Cost, Problem> {
        Cost::pointwise(io.output, 1, 0, 0)
    }

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        vec![Reach::pointwise(0, io.input().rank())]
    }

    computed!();

    fn describe(&self) -> String {
        let what = described(self.shape.as_ref(), self.learned);
        if self.mask { format!("{what} mask") } else { what }
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{}", &[&[5, 4]]),
            Example::new("{shape: [1, 4, 1]}", &[&[3, 4, 5]]),
            Example::new("{shape: [3, 1], learned: false}", &[&[3, 4]]),
            Example::new("{shape: [4, 1], learned: false, mask: true}", &[&[4, 3]]),
        ]
    }
}
