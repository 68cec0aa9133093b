//! A learned tensor that is added: position embeddings, or a bias separate from its layer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::{Arity, Category, Cost, Doc, Example, Init, Io, LayerKind, Reach, Weight, defaults};
use crate::shape::Shape;

/// Arguments of `learned_bias`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LearnedBias {
    /// Its shape, without the batch; axes of size 1 are broadcast. The input's shape if not given
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<Vec<u64>>,
    /// Whether training changes it; a fixed one (sine positions) is a buffer
    #[serde(default = "defaults::yes")]
    pub learned: bool,
}

/// Returns the shape of the learned tensor for this input: `shape`, which must broadcast to it.
pub(super) fn fitting(shape: Option<&[u64]>, input: &Shape) -> Result<Shape, Problem> {
    let Some(shape) = shape else { return Ok(input.clone()) };
    let fits = shape.len() == input.rank()
        && shape.iter().zip(input.sizes()).all(|(&size, &whole)| size == whole || size == 1);
    if !fits {
        let given = Shape::from(shape);
        return Err(Problem::argument("shape", format!("`shape` is {given}, which does not broadcast to the input {input}"))
            .help("give as many axes as the input has, each with its size or 1"));
    }
    Ok(Shape::from(shape))
}

/// Returns the learned tensor, or the fixed one.
pub(super) fn tensor(shape: Shape, learned: bool, init: Init) -> Vec<Weight> {
    vec![if learned { Weight::parameter("weight", shape, init) } else { Weight::buffer("weight", shape, init) }]
}

/// Returns `[1, 1, 8]`, or nothing if it is the input's shape.
pub(super) fn described(shape: Option<&Vec<u64>>, learned: bool) -> String {
    let shape = shape.map(|shape| Shape::from(shape.as_slice()).to_string()).unwrap_or_default();
    format!("{shape}{}", if learned { "" } else { " fixed" }).trim().to_owned()
}

impl LayerKind for LearnedBias {
    const DOC: Doc = Doc {
        name: "learned_bias",
        aliases: &["position_embedding"],
        category: Category::Gate,
        summary: "adds a learned tensor: a position embedding, or a bias of its own",
        formulas: &[
            ("output", "the input's shape"),
            ("params", "prod(shape), a buffer if not learned"),
            ("macs", "0"),
            ("other ops", "1 addition an element"),
        ],
        source: "Dosovitskiy et al. 2021 (ViT), equation 1; ONNX Add with an initialiser",
        inputs: Arity::One,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        fitting(self.shape.as_deref(), &inputs[0])?;
        Ok(inputs[0].clone())
    }

    fn weights(&self, io: Io<'_>) -> Result<Vec<Weight>, Problem> {
        Ok(tensor(fitting(self.shape.as_deref(), io.input())?, self.learned, Init::Zeros))
    }

    fn cost(&self, io: Io<'_>) -> Result<Cost, Problem> {
        Cost::pointwise(io.output, 1, 0, 0)
    }

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        vec![Reach::pointwise(0, io.input().rank())]
    }

    computed!();

    fn describe(&self) -> String {
        described(self.shape.as_ref(), self.learned)
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{}", &[&[5, 4]]),
            Example::new("{shape: [3, 1, 1]}", &[&[3, 4, 5]]),
            Example::new("{shape: [1, 4], learned: false}", &[&[3, 4]]),
        ]
    }
}
