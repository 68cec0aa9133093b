//! Channel shuffle (ShuffleNet): a fixed permutation that passes channels of every group to each group of the
//! next grouped convolution.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::args::Groups;
use crate::layers::{Arity, AxisReach, Category, Doc, Example, Io, LayerKind, Reach, Values};
use crate::shape::Shape;

/// Arguments of `channel_shuffle`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChannelShuffle {
    /// Number of groups, which must divide the channels
    pub groups: u64,
}

impl LayerKind for ChannelShuffle {
    const DOC: Doc = Doc {
        name: "channel_shuffle",
        aliases: &["shuffle"],
        category: Category::Shape,
        summary: "deals the channels out like cards: one of each group in turn",
        formulas: formulas!(
            "the input's shape; output channel u is input channel (u % groups) * (channels / groups) + u / groups",
            "0"
        ),
        source: "Zhang et al. 2018 (ShuffleNet), section 3.1; PyTorch nn.ChannelShuffle",
        inputs: Arity::One,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        let channels = inputs[0].channels();
        Groups::Number(self.groups).resolve(channels, channels)?;
        Ok(inputs[0].clone())
    }

    free!();

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        let mut reach = Reach::pointwise(0, io.input().rank());
        reach.axes[0] = AxisReach::Shuffle { by: 0, groups: self.groups, size: io.input().channels() };
        vec![reach]
    }

    fn values(&self) -> Values {
        Values::Moved
    }

    fn describe(&self) -> String {
        format!("g{}", self.groups)
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{groups: 3}", &[&[12, 4, 5]]),
            Example::new("{groups: 2}", &[&[6, 7]]),
            Example::new("{groups: 4}", &[&[8, 2, 3, 4]]),
        ]
    }
}
