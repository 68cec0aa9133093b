//! Instance normalisation (Ulyanov et al. 2016): mean and variance of each channel over space, per image.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::args::spatial;
use crate::layers::group_norm::scale_and_shift;
use crate::layers::layer_norm::statistics_cost;
use crate::layers::{
    Arity, AxisReach, Category, Cost, Doc, Example, Init, Io, LayerKind, Reach, Weight, defaults,
};
use crate::shape::Shape;

/// Arguments of `instance_norm`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InstanceNorm {
    /// Epsilon, added to the variance
    #[serde(default = "defaults::eps")]
    pub eps: f64,
    /// Whether a scale and a shift are learned for each channel; off by default, as in PyTorch and unlike other norms
    #[serde(default)]
    pub affine: bool,
    /// Whether the layer has running statistics and uses them at inference, as batch_norm does
    #[serde(default)]
    pub track_running_stats: bool,
}

impl LayerKind for InstanceNorm {
    const DOC: Doc = Doc {
        name: "instance_norm",
        aliases: &[],
        category: Category::Normalisation,
        summary: "normalises each channel over space",
        formulas: &[
            ("output", "the input's shape"),
            ("params", "2 * channels if affine"),
            ("buffers", "2 * channels if track_running_stats"),
            ("macs", "0"),
            ("other ops", "5 an element, 2 more if affine; 3 and a root for each channel; 2 an element with track_running_stats"),
        ],
        source: "Ulyanov et al. 2016; PyTorch nn.InstanceNorm2d",
        inputs: Arity::One,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        spatial("instance_norm", &inputs[0])?;
        Ok(inputs[0].clone())
    }

    fn weights(&self, io: Io<'_>) -> Result<Vec<Weight>, Problem> {
        let channels = io.input().channels();
        let mut weights = scale_and_shift(self.affine, channels);
        if self.track_running_stats {
            weights.push(Weight::buffer("running_mean", [channels], Init::Zeros));
            weights.push(Weight::buffer("running_var", [channels], Init::Ones));
        }
        Ok(weights)
    }

    fn cost(&self, io: Io<'_>) -> Result<Cost, Problem> {
        if self.track_running_stats {
            return Cost::pointwise(io.output, 2, 0, 0);
        }
        statistics_cost(io.output, io.input().channels(), if self.affine { 2 } else { 0 })
    }

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        let rank = io.input().rank();
        let mut reach = vec![Reach::pointwise(0, rank)];
        if !self.track_running_stats {
            let mut axes = vec![AxisReach::All; rank];
            axes[0] = AxisReach::same(0);
            reach.push(Reach::context(axes));
        }
        reach
    }

    computed!();

    fn describe(&self) -> String {
        if self.affine { "affine".into() } else { String::new() }
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{}", &[&[3, 4, 5]]),
            Example::new("{affine: true}", &[&[3, 7]]),
            Example::new("{affine: true, track_running_stats: true}", &[&[2, 2, 3, 4]]),
        ]
    }
}
