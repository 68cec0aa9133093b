//! Pixel unshuffle: space becomes channels; the inverse of `pixel_shuffle`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::args::{positive, spatial};
use crate::layers::facets::count;
use crate::layers::pixel_shuffle::cell;
use crate::layers::window::Window;
use crate::layers::{Arity, AxisReach, Category, Doc, Example, Io, LayerKind, Reach, Values};
use crate::shape::Shape;

/// Arguments of `pixel_unshuffle`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PixelUnshuffle {
    /// Factor r by which each spatial axis shrinks; the channels grow by r for each of them
    pub downscale_factor: u64,
}

impl LayerKind for PixelUnshuffle {
    const DOC: Doc = Doc {
        name: "pixel_unshuffle",
        aliases: &["space_to_depth"],
        category: Category::Shape,
        summary: "turns r x r positions into r * r channels",
        formulas: formulas!("[channels * r^axes, size / r, ...]", "0"),
        source: "PyTorch nn.PixelUnshuffle, here also in 1-D and 3-D",
        inputs: Arity::One,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        let sizes = spatial("pixel_unshuffle", &inputs[0])?;
        let factor = positive("downscale_factor", self.downscale_factor)?;
        let cell = cell(factor, sizes.len())?;
        let mut output = vec![count("the number of channels", &[inputs[0].channels(), cell])?];
        for (axis, &size) in sizes.iter().enumerate() {
            if size == 0 || !size.is_multiple_of(factor) {
                return Err(Problem::argument(
                    "downscale_factor",
                    format!("spatial axis {axis} has {size} elements, which {factor} does not divide"),
                )
                .help("pad or crop the map first"));
            }
            output.push(size / factor);
        }
        Ok(Shape::new(output))
    }

    free!();

    /// Returns a bound on space: one output element reads one position of its cell, which depends on its
    /// channel. The window is that of all channels.
    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        let rank = io.input().spatial().len();
        let outputs = cell(self.downscale_factor, rank).unwrap_or(1);
        let window = Window { kernel: self.downscale_factor, stride: self.downscale_factor, ..Window::POINT };
        let channels = AxisReach::Blocks { by: 0, outputs, inputs: 1 };
        vec![Reach::sliding(channels, vec![window; rank])]
    }

    fn values(&self) -> Values {
        Values::Moved
    }

    fn describe(&self) -> String {
        format!("/{}", self.downscale_factor)
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{downscale_factor: 2}", &[&[2, 6, 4]]),
            Example::new("{downscale_factor: 3}", &[&[2, 9]]),
            Example::new("{downscale_factor: 2}", &[&[1, 2, 4, 6]]),
        ]
    }
}
