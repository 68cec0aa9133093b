//! PReLU: a ReLU whose slope below zero is learned (He et al. 2015).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::activation::{NOT_NEGATIVE, UNBOUNDED};
use crate::layers::{Arity, Category, Cost, Doc, Example, Init, Io, LayerKind, Reach, Values, Weight};
use crate::shape::Shape;

/// Arguments of `prelu`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Prelu {
    /// Number of learned slopes: 1 for all channels, or one per channel
    #[serde(default = "one_slope")]
    pub num_parameters: u64,
    /// Initial value of the slopes
    #[serde(default = "quarter")]
    pub init: f64,
}

fn one_slope() -> u64 {
    1
}

fn quarter() -> f64 {
    0.25
}

impl LayerKind for Prelu {
    const DOC: Doc = Doc {
        name: "prelu",
        aliases: &[],
        category: Category::Activation,
        summary: "x for x >= 0, a learned slope times x below",
        formulas: &[
            ("output", "the input's shape"),
            ("params", "num_parameters"),
            ("macs", "0"),
            ("other ops", "1 multiplication and 1 comparison an element"),
        ],
        source: "He et al. 2015 (Delving Deep into Rectifiers); PyTorch nn.PReLU",
        inputs: Arity::One,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        let channels = inputs[0].channels();
        if self.num_parameters != 1 && self.num_parameters != channels {
            return Err(Problem::argument(
                "num_parameters",
                format!("`num_parameters` is {}, but the input {} has {channels} channels", self.num_parameters, inputs[0]),
            )
            .help(format!("use 1 for a slope that all channels share, or {channels} for one each")));
        }
        Ok(inputs[0].clone())
    }

    fn weights(&self, _: Io<'_>) -> Result<Vec<Weight>, Problem> {
        Ok(vec![Weight::parameter("weight", [self.num_parameters], Init::Constant(self.init))])
    }

    fn cost(&self, io: Io<'_>) -> Result<Cost, Problem> {
        Cost::pointwise(io.output, 1, 1, 0)
    }

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        vec![Reach::pointwise(0, io.input().rank())]
    }

    fn values(&self) -> Values {
        Values::Mapped { zero: true, range: UNBOUNDED, fixed: Some(NOT_NEGATIVE) }
    }

    fn describe(&self) -> String {
        if self.num_parameters == 1 { String::new() } else { "per channel".into() }
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{}", &[&[3, 4, 5]]),
            Example::new("{num_parameters: 3}", &[&[3, 7]]),
            Example::new("{num_parameters: 2, init: 0.1}", &[&[2, 3, 4, 5]]),
        ]
    }
}
