//! Group normalisation (Wu & He 2018): mean and variance over space and a group of channels, per image.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::args::Groups;
use crate::layers::layer_norm::statistics_cost;
use crate::layers::{
    Arity, AxisReach, Category, Cost, Doc, Example, Init, Io, LayerKind, Reach, Weight, defaults,
};
use crate::shape::Shape;

/// Arguments of `group_norm`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupNorm {
    /// Number of groups, which must divide the channels
    pub num_groups: u64,
    /// Epsilon, added to the variance
    #[serde(default = "defaults::eps")]
    pub eps: f64,
    /// Whether a scale and a shift are learned for each channel
    #[serde(default = "defaults::yes")]
    pub affine: bool,
}

/// Returns a learned scale and shift for each of `channels`.
pub(super) fn scale_and_shift(affine: bool, channels: u64) -> Vec<Weight> {
    if !affine {
        return vec![];
    }
    vec![
        Weight::parameter("weight", [channels], Init::Ones),
        Weight::parameter("bias", [channels], Init::Zeros),
    ]
}

impl LayerKind for GroupNorm {
    const DOC: Doc = Doc {
        name: "group_norm",
        aliases: &["gn"],
        category: Category::Normalisation,
        summary: "normalises each group of channels over space, then scales and shifts each channel",
        formulas: &[
            ("output", "the input's shape"),
            ("params", "2 * channels if affine"),
            ("macs", "0"),
            ("other ops", "5 an element, 2 more if affine; 3 and a root for each group"),
        ],
        source: "Wu & He 2018; PyTorch nn.GroupNorm",
        inputs: Arity::One,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        let channels = inputs[0].channels();
        Groups::Number(self.num_groups).resolve(channels, channels).map_err(|p| p.at("num_groups"))?;
        Ok(inputs[0].clone())
    }

    fn weights(&self, io: Io<'_>) -> Result<Vec<Weight>, Problem> {
        Ok(scale_and_shift(self.affine, io.input().channels()))
    }

    fn cost(&self, io: Io<'_>) -> Result<Cost, Problem> {
        statistics_cost(io.output, self.num_groups, if self.affine { 2 } else { 0 })
    }

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        let rank = io.input().rank();
        let members = io.input().channels() / self.num_groups.max(1);
        let mut axes = vec![AxisReach::All; rank];
        axes[0] = AxisReach::Blocks { by: 0, outputs: members, inputs: members };
        vec![Reach::pointwise(0, rank), Reach::context(axes)]
    }

    computed!();

    fn describe(&self) -> String {
        format!("g{}{}", self.num_groups, if self.affine { "" } else { " no affine" })
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{num_groups: 2}", &[&[6, 4, 5]]),
            Example::new("{num_groups: 4, affine: false}", &[&[4, 7]]),
            Example::new("{num_groups: 1, eps: 0.001}", &[&[3, 2, 3, 4]]),
            Example::new("{num_groups: 2}", &[&[8]]),
        ]
    }
}
