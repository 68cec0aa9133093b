//! Pixel shuffle (Shi et al. 2016): channels become space.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::args::{positive, spatial};
use crate::layers::facets::count;
use crate::layers::window::Window;
use crate::layers::{Arity, AxisReach, Category, Doc, Example, Io, LayerKind, Reach, Role, Taps, Values};
use crate::shape::Shape;

/// Arguments of `pixel_shuffle`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PixelShuffle {
    /// Factor r by which each spatial axis grows; the channels shrink by r for each of them
    pub upscale_factor: u64,
}

/// Computes `factor` to the power of the number of spatial axes.
pub(super) fn cell(factor: u64, rank: usize) -> Result<u64, Problem> {
    count("the cell of the pixel shuffle", &vec![factor; rank])
}

impl LayerKind for PixelShuffle {
    const DOC: Doc = Doc {
        name: "pixel_shuffle",
        aliases: &["depth_to_space", "sub_pixel"],
        category: Category::Shape,
        summary: "turns r * r channels into r x r positions",
        formulas: formulas!(
            "[channels / r^axes, r * size, ...]: output (c, y, x) is input (c * r^2 + (y % r) * r + x % r, y / r, x / r)",
            "0"
        ),
        source: "Shi et al. 2016 (sub-pixel convolution), section 2.2; PyTorch nn.PixelShuffle, here also in 1-D and 3-D",
        inputs: Arity::One,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        let sizes = spatial("pixel_shuffle", &inputs[0])?;
        let factor = positive("upscale_factor", self.upscale_factor)?;
        let (channels, cell) = (inputs[0].channels(), cell(factor, sizes.len())?);
        if !channels.is_multiple_of(cell) {
            return Err(Problem::argument(
                "upscale_factor",
                format!("{channels} channels cannot be divided into cells of {cell}"),
            )
            .help(format!("give the layer before it a multiple of {cell} channels")));
        }
        let mut output = vec![channels / cell];
        for &size in sizes {
            output.push(count("the output size", &[size, factor])?);
        }
        Ok(Shape::new(output))
    }

    free!();

    /// Returns a bound on the channels: one output element reads one input channel, which depends on its
    /// position in the cell. An [`AxisReach`] cannot express that, so the channels are those of all
    /// positions.
    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        let cell = cell(self.upscale_factor, io.input().spatial().len()).unwrap_or(1);
        let window = Window { kernel: cell, stride: cell, ..Window::POINT };
        let mut axes = vec![AxisReach::Window { by: 0, window }];
        for (i, (&input, &output)) in io.input().spatial().iter().zip(io.output.spatial()).enumerate() {
            axes.push(AxisReach::Resize { by: i + 1, input, output, taps: Taps::Nearest, align_corners: false });
        }
        vec![Reach { input: 0, role: Role::Local, axes }]
    }

    fn values(&self) -> Values {
        Values::Moved
    }

    fn describe(&self) -> String {
        format!("x{}", self.upscale_factor)
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{upscale_factor: 2}", &[&[8, 3, 4]]),
            Example::new("{upscale_factor: 3}", &[&[6, 5]]),
            Example::new("{upscale_factor: 2}", &[&[16, 2, 3, 2]]),
        ]
    }
}
