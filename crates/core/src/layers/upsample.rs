//! Resizing of a map by interpolation (PyTorch's `Upsample` and `interpolate`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use num_rational::Ratio;

use crate::diagnostic::{Code, Problem};
use crate::layers::args::{PerAxis, spatial};
use crate::layers::axes::Scale;
use crate::layers::{Arity, AxisReach, Category, Cost, Doc, Example, Io, LayerKind, Reach, Role, Taps};
use crate::shape::Shape;

/// Arguments of `upsample`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upsample {
    /// Factor of each spatial axis; a fraction below 1 makes the map smaller
    #[serde(default, skip_serializing_if = "Option::is_none", alias = "scale")]
    pub scale_factor: Option<Scale>,
    /// Output size, instead of a factor
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<PerAxis>,
    /// How values between those of the input are computed
    #[serde(default)]
    pub mode: Interpolation,
    /// Whether the centres of the corners stay in place, rather than the edges
    #[serde(default)]
    pub align_corners: bool,
}

/// How a resize computes its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// The nearest input, rounded towards the first.
    #[default]
    Nearest,
    /// Between neighbours on every axis, for any number of axes.
    Linear,
    /// Linear, on two axes.
    Bilinear,
    /// Linear, on three axes.
    Trilinear,
    /// Cubic convolution with the coefficient -0.75 (Keys 1981), on two axes.
    Bicubic,
}

/// The coefficient of PyTorch's cubic interpolation.
pub const KEYS: f64 = -0.75;

/// The share of an element at `distance` in a cubic interpolation (Keys 1981, equation 4) with the coefficient `a`.
pub fn cubic(distance: f64, a: f64) -> f64 {
    let x = distance.abs();
    if x <= 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a
    } else {
        0.0
    }
}

impl Upsample {
    /// Largest size that is exact in the factor's floating point.
    const LARGEST: f64 = (1u64 << 52) as f64;

    /// Returns the spatial sizes of the output for an input of spatial sizes `sizes`.
    pub fn output(&self, sizes: &[u64]) -> Result<Vec<u64>, Problem> {
        match (&self.scale_factor, &self.size) {
            (None, Some(size)) => size.resolve(sizes.len(), "size", 1),
            (Some(scale), None) => {
                let scaled = |(&size, scale): (&u64, f64)| {
 // PyTorch computes in f64 too, so that a factor of 4/3 rounds the same way.
                    let output = (size as f64 * scale).floor();
                    if output < 1.0 {
                        let message = format!("a factor of {scale} leaves nothing of {size} elements");
                        return Err(Problem::argument("scale_factor", message));
                    }
                    if output > Self::LARGEST {
                        return Err(Problem::overflow("the output size").at("scale_factor"));
                    }
                    // A whole number from 1 to 2^52: the cast is exact.
                    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                    Ok(output as u64)
                };
                sizes.iter().zip(scale.resolve(sizes.len())?).map(scaled).collect()
            }
            _ => Err(Problem::new(Code::Missing, "`upsample` needs either `scale_factor` or `size`")
                .help("`scale_factor: 2` doubles each spatial axis")),
        }
    }

    /// Returns the input and output sizes that define the map of positions. PyTorch uses the factor itself,
    /// which differs from the ratio of the sizes where the product was rounded down.
    fn ratio(&self, scale: Option<f64>, input: u64, output: u64) -> (u64, u64) {
        let whole = |scale: f64| (input as f64 * scale).fract() == 0.0;
        match scale {
            Some(scale) if !self.align_corners && !whole(scale) => {
                let ratio = Ratio::<i64>::approximate_float(scale);
                let parts = ratio.map(|ratio| (ratio.denom().unsigned_abs(), ratio.numer().unsigned_abs()));
                parts.filter(|parts| parts.0 > 0 && parts.1 > 0).unwrap_or((input, output))
            }
            _ => (input, output),
        }
    }
}

impl LayerKind for Upsample {
    const DOC: Doc = Doc {
        name: "upsample",
        aliases: &["interpolate", "resize"],
        category: Category::Shape,
        summary: "resizes the map: nearest neighbour, linear or cubic interpolation",
        formulas: formulas!(
            "floor(size * scale_factor) on each axis, or size",
            "nearest 0; linear 3, bilinear 7, trilinear 15 an output element (2^axes products and their sum); \
             bicubic 31 (4^2 products and their sum)"
        ),
        source: "PyTorch nn.Upsample, nn.functional.interpolate; ONNX Resize",
        inputs: Arity::One,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        let sizes = spatial("upsample", &inputs[0])?;
        let axes = match self.mode {
            Interpolation::Bilinear | Interpolation::Bicubic => 2,
            Interpolation::Trilinear => 3,
            Interpolation::Nearest | Interpolation::Linear => sizes.len(),
        };
        if axes != sizes.len() {
            return Err(Problem::argument(
                "mode",
                format!("this mode is for {axes} spatial axes, the input {} has {}", inputs[0], sizes.len()),
            )
            .help("`mode: linear` works on any number of axes"));
        }
        if self.align_corners && self.mode == Interpolation::Nearest {
            return Err(Problem::argument("align_corners", "`align_corners` means nothing with the mode nearest")
                .help("use `mode: linear`"));
        }
        let mut output = vec![inputs[0].channels()];
        output.extend(self.output(sizes)?);
        Ok(Shape::new(output))
    }

    weightless!();

    fn cost(&self, io: Io<'_>) -> Result<Cost, Problem> {
        match self.mode {
            Interpolation::Nearest => Ok(Cost::FREE),
            Interpolation::Bicubic => Cost::pointwise(io.output, 31, 0, 0),
            Interpolation::Linear | Interpolation::Bilinear | Interpolation::Trilinear => Cost::pointwise(io.output, (2 << io.input().spatial().len()) - 1, 0, 0),
        }
    }

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        let rank = io.input().spatial().len();
        let scales = self.scale_factor.as_ref().and_then(|scale| scale.resolve(rank).ok()).unwrap_or_default();
        let mut axes = vec![AxisReach::same(0)];
        for (i, (&input, &output)) in io.input().spatial().iter().zip(io.output.spatial()).enumerate() {
            let (input, output) = self.ratio(scales.get(i).copied(), input, output);
            let taps = match self.mode {
                Interpolation::Nearest => Taps::Nearest,
                Interpolation::Linear | Interpolation::Bilinear | Interpolation::Trilinear => Taps::Linear,
                Interpolation::Bicubic => Taps::Cubic,
            };
            axes.push(AxisReach::Resize { by: i + 1, input, output, taps, align_corners: self.align_corners });
        }
        vec![Reach { input: 0, role: Role::Local, axes }]
    }

    computed!();

    fn describe(&self) -> String {
        let size = match (&self.scale_factor, &self.size) {
            (Some(scale), _) => format!("x{}", scale.describe()),
            (None, Some(size)) => format!("to {}", size.describe()),
            (None, None) => String::new(),
        };
        let mode = match self.mode {
            Interpolation::Nearest => "nearest",
            Interpolation::Linear => "linear",
            Interpolation::Bilinear => "bilinear",
            Interpolation::Trilinear => "trilinear",
            Interpolation::Bicubic => "bicubic",
        };
        format!("{size} {mode}{}", if self.align_corners { " align_corners" } else { "" })
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{scale_factor: 2}", &[&[3, 4, 5]]),
            Example::new("{scale_factor: [1.5, 2], mode: bilinear}", &[&[3, 5, 4]]),
            Example::new("{size: [7, 9], mode: bilinear, align_corners: true}", &[&[2, 3, 4]]),
            Example::new("{size: 5, mode: linear}", &[&[2, 7]]),
            Example::new("{scale_factor: 2, mode: trilinear}", &[&[1, 2, 3, 2]]),
            Example::new("{scale_factor: 0.5, mode: nearest}", &[&[2, 7]]),
            Example::new("{scale_factor: [2, 1.5], mode: bicubic}", &[&[2, 4, 5]]),
            Example::new("{size: [3, 9], mode: bicubic, align_corners: true}", &[&[2, 7, 4]]),
        ]
    }
}
