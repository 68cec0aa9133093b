//! Local response normalisation (AlexNet): each channel is divided by a power of its neighbours' mean square.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::args::positive;
use crate::layers::window::Window;
use crate::layers::{Arity, AxisReach, Category, Cost, Doc, Example, Io, LayerKind, Reach, defaults};
use crate::shape::Shape;

/// Arguments of `local_response_norm`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LocalResponseNorm {
    /// Number of neighbouring channels in the mean, including the channel itself
    pub size: u64,
    /// Factor of the mean square
    #[serde(default = "alpha")]
    pub alpha: f64,
    /// Exponent
    #[serde(default = "beta")]
    pub beta: f64,
    /// Constant, added to the mean square
    #[serde(default = "defaults::unit")]
    pub k: f64,
}

fn alpha() -> f64 {
    1e-4
}

fn beta() -> f64 {
    0.75
}

impl LayerKind for LocalResponseNorm {
    const DOC: Doc = Doc {
        name: "local_response_norm",
        aliases: &["lrn"],
        category: Category::Normalisation,
        summary: "divides by (k + alpha * mean square of neighbouring channels) ^ beta",
        formulas: formulas!("size + 3 arithmetic operations and 1 power an element"),
        source: "Krizhevsky et al. 2012 (AlexNet), section 3.3; PyTorch nn.LocalResponseNorm (which divides alpha by size)",
        inputs: Arity::One,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        positive("size", self.size)?;
        if i64::try_from(self.size).is_err() {
            return Err(Problem::argument("size", format!("`size` is {}, which no tensor has", self.size)));
        }
        Ok(inputs[0].clone())
    }

    weightless!();

    fn cost(&self, io: Io<'_>) -> Result<Cost, Problem> {
        // Channels beyond the ends count, as taps on padding do.
        Cost::pointwise(io.output, self.size.saturating_add(3), 0, 1)
    }

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let (before, after) = (signed(self.size / 2), signed(self.size.saturating_sub(1) / 2));
        let window = Window { kernel: self.size, before, after, ..Window::POINT };
        let mut reach = Reach::pointwise(0, io.input().rank());
        reach.axes[0] = AxisReach::Window { by: 0, window };
        vec![reach]
    }

    computed!();

    fn describe(&self) -> String {
        format!("size {}", self.size)
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{size: 5}", &[&[8, 4, 5]]),
            Example::new("{size: 4, alpha: 0.01, beta: 0.5, k: 2}", &[&[6, 7]]),
            Example::new("{size: 3}", &[&[4, 2, 3, 4]]),
        ]
    }
}
