//! Gated linear unit (Dauphin et al. 2017): half of the channels gate the other half.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::{Arity, Category, Cost, Doc, Example, Io, LayerKind, Reach};
use crate::shape::Shape;

/// `glu` has no arguments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Glu {}

impl LayerKind for Glu {
    const DOC: Doc = Doc {
        name: "glu",
        aliases: &[],
        category: Category::Activation,
        summary: "the first half of the channels times the sigmoid of the second half",
        formulas: formulas!(
            "half the channels (PyTorch's dim=1, not its default of the last axis)",
            "3 arithmetic operations and 1 exponential an output element"
        ),
        source: "Dauphin et al. 2017; PyTorch nn.GLU(dim=1)",
        inputs: Arity::One,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        let channels = inputs[0].channels();
        if channels == 0 || !channels.is_multiple_of(2) {
            return Err(Problem::shape(format!(
                "`glu` halves the channels, but the input {} has {channels}",
                inputs[0]
            ))
            .help("give the layer before it an even number of channels"));
        }
        Ok(inputs[0].with_channels(channels / 2))
    }

    weightless!();

    fn cost(&self, io: Io<'_>) -> Result<Cost, Problem> {
        Cost::pointwise(io.output, 3, 0, 1)
    }

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        let half = i64::try_from(io.output.channels()).unwrap_or(i64::MAX);
        let rank = io.input().rank();
        vec![Reach::pointwise(0, rank), Reach::shifted(0, rank, 0, half)]
    }

    computed!();

    fn describe(&self) -> String {
        String::new()
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{}", &[&[6, 4, 5]]),
            Example::new("{}", &[&[8]]),
            Example::new("{}", &[&[2, 3, 4, 5]]),
        ]
    }
}
