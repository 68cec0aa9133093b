//! Layer scale (Touvron et al. 2021): a learned factor for each channel, near zero at the start.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::activation::UNBOUNDED;
use crate::layers::{Arity, Category, Cost, Doc, Example, Init, Io, LayerKind, Reach, Values, Weight};
use crate::shape::Shape;

/// Arguments of `layer_scale`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LayerScale {
    /// Initial value of the factors
    #[serde(default = "small")]
    pub init: f64,
    /// The axis with one factor per index
    #[serde(default)]
    pub axis: ScaleAxis,
}

/// The axis of the input that is scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScaleAxis {
    /// Axis 0.
    #[default]
    Channels,
    /// The last axis, for channels-last data.
    Last,
}

fn small() -> f64 {
    1e-6
}

impl LayerKind for LayerScale {
    const DOC: Doc = Doc {
        name: "layer_scale",
        aliases: &[],
        category: Category::Gate,
        summary: "multiplies each channel by a learned factor",
        formulas: &[
            ("output", "the input's shape"),
            ("params", "channels"),
            ("macs", "0"),
            ("other ops", "1 multiplication an element"),
        ],
        source: "Touvron et al. 2021 (CaiT), section 2; Liu et al. 2022 (ConvNeXt: 1e-6)",
        inputs: Arity::One,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        Ok(inputs[0].clone())
    }

    fn weights(&self, io: Io<'_>) -> Result<Vec<Weight>, Problem> {
        let size = match self.axis {
            ScaleAxis::Channels => io.input().channels(),
            ScaleAxis::Last => io.input().sizes().last().copied().unwrap_or(1),
        };
        Ok(vec![Weight::parameter("weight", [size], Init::Constant(self.init))])
    }

    fn cost(&self, io: Io<'_>) -> Result<Cost, Problem> {
        Cost::pointwise(io.output, 1, 0, 0)
    }

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        vec![Reach::pointwise(0, io.input().rank())]
    }

    fn values(&self) -> Values {
        Values::Mapped { zero: true, range: UNBOUNDED, fixed: None }
    }

    fn describe(&self) -> String {
        if self.axis == ScaleAxis::Last { "last axis".into() } else { String::new() }
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{}", &[&[4, 5, 6]]),
            Example::new("{axis: last, init: 0.1}", &[&[5, 6, 4]]),
            Example::new("{init: 1}", &[&[3, 7]]),
        ]
    }
}
