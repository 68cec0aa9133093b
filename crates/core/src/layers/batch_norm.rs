//! Batch normalisation (Ioffe & Szegedy 2015) with inference semantics: running statistics, hence a fixed
//! scale and shift per channel.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::{Arity, Category, Cost, Doc, Example, Init, Io, LayerKind, Reach, Weight, defaults};
use crate::shape::Shape;

/// Arguments of `batch_norm`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchNorm {
    /// Epsilon, added to the variance
    #[serde(default = "defaults::eps")]
    pub eps: f64,
    /// Whether a scale and a shift are learned
    #[serde(default = "defaults::yes")]
    pub affine: bool,
    /// Whether the layer has running statistics
    #[serde(default = "defaults::yes")]
    pub track_running_stats: bool,
}

impl LayerKind for BatchNorm {
    const DOC: Doc = Doc {
        name: "batch_norm",
        aliases: &["bn"],
        category: Category::Normalisation,
        summary: "normalises each channel by its running mean and variance, then scales and shifts",
        formulas: &[
            ("output", "the input's shape"),
            ("params", "2 * channels if affine"),
            ("buffers", "2 * channels (running mean and variance) if track_running_stats; num_batches_tracked is not counted"),
            ("macs", "0"),
            ("other ops", "2 an element: at inference it is one scale and one shift"),
        ],
        source: "Ioffe & Szegedy 2015, algorithm 2; PyTorch nn.BatchNorm2d",
        inputs: Arity::One,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        if !self.track_running_stats {
            return Err(Problem::argument(
                "track_running_stats",
                "not supported: batch_norm without running statistics",
            )
            .help("its output depends on the other images of the batch; use `instance_norm` or `group_norm`"));
        }
        Ok(inputs[0].clone())
    }

    fn weights(&self, io: Io<'_>) -> Result<Vec<Weight>, Problem> {
        let channels = [io.input().channels()];
        let mut weights = Vec::new();
        if self.affine {
            weights.push(Weight::parameter("weight", channels, Init::Ones));
            weights.push(Weight::parameter("bias", channels, Init::Zeros));
        }
        weights.push(Weight::buffer("running_mean", channels, Init::Zeros));
        weights.push(Weight::buffer("running_var", channels, Init::Ones));
        Ok(weights)
    }

    fn cost(&self, io: Io<'_>) -> Result<Cost, Problem> {
        Cost::pointwise(io.output, 2, 0, 0)
    }

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        vec![Reach::pointwise(0, io.input().rank())]
    }

    computed!();

    fn describe(&self) -> String {
        if self.affine { String::new() } else { "no affine".into() }
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{}", &[&[4, 5, 6]]),
            Example::new("{affine: false}", &[&[4]]),
            Example::new("{eps: 0.001}", &[&[3, 7]]),
        ]
    }
}
