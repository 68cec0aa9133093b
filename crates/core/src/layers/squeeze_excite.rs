//! Squeeze-and-excitation (Hu et al. 2018): every channel is multiplied by a gate that depends on all
//! channels at all positions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::activation::Pointwise;
use crate::layers::args::{positive, spatial};
use crate::layers::elu::Elu;
use crate::layers::facets::count;
use crate::layers::gelu::{Approximation, Gelu};
use crate::layers::hardsigmoid::Hardsigmoid;
use crate::layers::hardswish::Hardswish;
use crate::layers::relu::Relu;
use crate::layers::sigmoid::Sigmoid;
use crate::layers::silu::Silu;
use crate::layers::{
    Arity, AxisReach, Category, Cost, Doc, Example, Init, Io, LayerKind, Ops, PointwiseKind, Reach, Weight, defaults,
};
use crate::shape::Shape;

/// Arguments of `squeeze_excite`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqueezeExcite {
    /// Divisor of the channels: the inner layer has channels / reduction channels, rounded down
    #[serde(default = "sixteen")]
    pub reduction: u64,
    /// Channels of the inner layer, instead of a reduction
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub squeeze: Option<u64>,
    /// Whether both layers have a bias
    #[serde(default = "defaults::yes")]
    pub bias: bool,
    /// Activation after the first layer
    #[serde(default)]
    pub activation: SqueezeActivation,
    /// Activation after the second layer
    #[serde(default)]
    pub gate: Gate,
}

/// The activation between the two layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SqueezeActivation {
    /// max(x, 0).
    #[default]
    Relu,
    /// x * sigmoid(x): EfficientNet.
    Silu,
    /// x for x > 0, exp(x) - 1 below.
    Elu,
    /// x times the normal distribution function.
    Gelu,
    /// x * hardsigmoid(x).
    Hardswish,
}

/// The function that computes the factor of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// 1 / (1 + exp(-x)).
    #[default]
    Sigmoid,
    /// min(max(x + 3, 0), 6) / 6: MobileNetV3.
    Hardsigmoid,
}

fn sixteen() -> u64 {
    16
}

impl SqueezeExcite {
    /// Returns the width of the inner layer for an input of `channels` channels.
    pub fn inner(&self, channels: u64) -> Result<u64, Problem> {
        if let Some(squeeze) = self.squeeze {
            return positive("squeeze", squeeze);
        }
        match channels / positive("reduction", self.reduction)? {
            0 => Err(Problem::argument(
                "reduction",
                format!("{channels} channels divided by a reduction of {} leave none", self.reduction),
            )
            .help("use a smaller `reduction`, or give the inner channels: `squeeze: 8`")),
            inner => Ok(inner),
        }
    }

    /// Returns the arithmetic operations, comparisons and functions per inner element; the layers `silu`,
    /// `elu`, ... count the same.
    fn activation_ops(&self) -> [u64; 3] {
        match self.activation {
            SqueezeActivation::Relu => [0, 1, 0],
            SqueezeActivation::Silu => [3, 0, 1],
            SqueezeActivation::Elu => [2, 1, 1],
            SqueezeActivation::Gelu => [4, 0, 1],
            SqueezeActivation::Hardswish => [3, 2, 0],
        }
    }

    fn gate_ops(&self) -> [u64; 3] {
        match self.gate {
            Gate::Sigmoid => [2, 0, 1],
            Gate::Hardsigmoid => [2, 2, 0],
        }
    }
}

impl SqueezeActivation {
    /// Returns the function, and facts about it.
    pub fn pointwise(self) -> Pointwise {
        match self {
            Self::Relu => Relu {}.pointwise(),
            Self::Silu => Silu {}.pointwise(),
            Self::Elu => Elu { alpha: 1.0 }.pointwise(),
            Self::Gelu => Gelu { approximate: Approximation::None }.pointwise(),
            Self::Hardswish => Hardswish {}.pointwise(),
        }
    }
}

impl Gate {
    /// Returns the function, and facts about it.
    pub fn pointwise(self) -> Pointwise {
        match self {
            Self::Sigmoid => Sigmoid {}.pointwise(),
            Self::Hardsigmoid => Hardsigmoid {}.pointwise(),
        }
    }
}

impl LayerKind for SqueezeExcite {
    const DOC: Doc = Doc {
        name: "squeeze_excite",
        aliases: &["se", "squeeze_excitation", "squeeze_and_excitation"],
        category: Category::Gate,
        summary: "multiplies each channel by a gate computed from all channels over all of space",
        formulas: &[
            ("output", "the input's shape"),
            ("squeeze", "channels / reduction, rounded down, if not given"),
            ("params", "2 * channels * squeeze + channels + squeeze if bias"),
            ("macs", "2 * channels * squeeze"),
            ("other ops", "2 an element (global average, gate); bias, activation and gate of the two small layers"),
        ],
        source: "Hu et al. 2018 (Squeeze-and-Excitation Networks), section 3; torchvision.ops.SqueezeExcitation",
        inputs: Arity::One,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        spatial("squeeze_excite", &inputs[0])?;
        self.inner(inputs[0].channels())?;
        Ok(inputs[0].clone())
    }

    fn weights(&self, io: Io<'_>) -> Result<Vec<Weight>, Problem> {
        let channels = io.input().channels();
        let inner = self.inner(channels)?;
        // Both are 1x1 convolutions of a [C, 1, 1] map, as in torchvision.
        let layer = |outputs: u64, inputs: u64| {
            let mut shape = vec![outputs, inputs];
            shape.extend(io.input().spatial().iter().map(|_| 1));
            shape
        };
        let mut weights = vec![Weight::parameter("fc1.weight", layer(inner, channels), Init::FanIn(channels))];
        if self.bias {
            weights.push(Weight::parameter("fc1.bias", [inner], Init::FanIn(channels)));
        }
        weights.push(Weight::parameter("fc2.weight", layer(channels, inner), Init::FanIn(inner)));
        if self.bias {
            weights.push(Weight::parameter("fc2.bias", [channels], Init::FanIn(inner)));
        }
        Ok(weights)
    }

    fn cost(&self, io: Io<'_>) -> Result<Cost, Problem> {
        let channels = io.input().channels();
        let inner = self.inner(channels)?;
        let what = "the number of operations";
        let macs = count("the number of MACs", &[2, channels, inner])?;
        let (first, second, bias) = (self.activation_ops(), self.gate_ops(), u64::from(self.bias));
        let sum = |on_inner: u64, on_channels: u64| {
            count(what, &[inner, on_inner])?
                .checked_add(count(what, &[channels, on_channels])?)
                .ok_or_else(|| Problem::overflow(what))
        };
        let maps = count(what, &[2, io.input().elements()?])?;
        let layers = sum(first[0] + bias, second[0] + bias)?;
        let ops = Ops {
            arithmetic: maps.checked_add(layers).ok_or_else(|| Problem::overflow(what))?,
            comparisons: sum(first[1], second[1])?,
            functions: sum(first[2], second[2])?,
        };
        Ok(Cost { macs, ops, ..Cost::FREE })
    }

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        let rank = io.input().rank();
        vec![Reach::pointwise(0, rank), Reach::context(vec![AxisReach::All; rank])]
    }

    computed!();

    fn describe(&self) -> String {
        let inner = match self.squeeze {
            Some(squeeze) => format!("squeeze {squeeze}"),
            None => format!("reduction {}", self.reduction),
        };
        inner + if self.bias { " bias" } else { "" }
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{}", &[&[32, 4, 5]]),
            Example::new("{reduction: 4, bias: false}", &[&[8, 7]]),
            Example::new("{squeeze: 3, activation: silu}", &[&[6, 4, 4]]),
            Example::new("{squeeze: 2, gate: hardsigmoid, activation: hardswish}", &[&[4, 2, 3, 4]]),
            Example::new("{squeeze: 2, activation: gelu}", &[&[4, 3, 3]]),
            Example::new("{squeeze: 2, activation: elu}", &[&[4, 3, 3]]),
        ]
    }
}
