//! Layer normalisation (Ba et al. 2016), over the channels at each position (ConvNeXt), the last axis or all
//! elements.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::args::spatial;
use crate::layers::{
    Arity, AxisReach, Category, Cost, Doc, Example, Init, Io, LayerKind, Ops, Reach, Weight, defaults,
};
use crate::shape::Shape;

/// Arguments of `layer_norm`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LayerNorm {
    /// What is normalised together. PyTorch's nn.LayerNorm(C) on channels-last data is `last`
    #[serde(default)]
    pub axis: NormAxis,
    /// Epsilon, added to the variance
    #[serde(default = "defaults::eps")]
    pub eps: f64,
    /// Whether a scale is learned
    #[serde(default = "defaults::yes", alias = "affine")]
    pub elementwise_affine: bool,
    /// Whether a shift is learned with the scale
    #[serde(default = "defaults::yes")]
    pub bias: bool,
}

/// What a layer norm normalises together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NormAxis {
    /// The channels (axis 0) at each position: ConvNeXt's LayerNorm2d.
    #[default]
    Channels,
    /// The last axis: PyTorch's LayerNorm of one size.
    Last,
    /// All positions of each channel: PyTorch's LayerNorm([H, W]).
    Space,
    /// The whole input: PyTorch's LayerNorm of the full shape.
    All,
}

impl LayerNorm {
    /// Returns the shape of the scale: the axes that are normalised together.
    fn normalised(&self, input: &Shape) -> Shape {
        match self.axis {
            NormAxis::Channels => Shape::new([input.channels()]),
            NormAxis::Last => Shape::new([input.sizes().last().copied().unwrap_or(1)]),
            NormAxis::Space => Shape::new(input.spatial()),
            NormAxis::All => input.clone(),
        }
    }
}

/// Computes the cost of normalising every element of `output`, in `groups` with their own mean and variance.
/// Per element: 5 operations (its part of the mean, the difference from it, the square, its part of the
/// variance, the division) and `affine` more. Per group: 3 operations and a root (two divisions by the count,
/// the epsilon).
pub(super) fn statistics_cost(output: &Shape, groups: u64, affine: u64) -> Result<Cost, Problem> {
    let mut cost = Cost::pointwise(output, 5 + affine, 0, 0)?;
    let total = groups.checked_mul(3).and_then(|shared| cost.ops.arithmetic.checked_add(shared));
    let arithmetic = total.ok_or_else(|| Problem::overflow("the number of operations"))?;
    cost.ops = Ops { arithmetic, functions: groups, ..Ops::default() };
    Ok(cost)
}

impl LayerKind for LayerNorm {
    const DOC: Doc = Doc {
        name: "layer_norm",
        aliases: &["ln"],
        category: Category::Normalisation,
        summary: "normalises the channels of each place (or the last axis, or everything), then scales and shifts",
        formulas: &[
            ("output", "the input's shape"),
            ("params", "2 * elements normalised together (channels, by default); half without bias, 0 without elementwise_affine"),
            ("macs", "0"),
            ("other ops", "5 an element, 1 more for the scale, 1 more for the shift; 3 and a root for each mean and variance"),
        ],
        source: "Ba et al. 2016; PyTorch nn.LayerNorm; over channels: Liu et al. 2022 (ConvNeXt)",
        inputs: Arity::One,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        if self.axis == NormAxis::Space {
            spatial("layer_norm", &inputs[0])?;
        }
        Ok(inputs[0].clone())
    }

    fn weights(&self, io: Io<'_>) -> Result<Vec<Weight>, Problem> {
        let shape = self.normalised(io.input());
        let mut weights = Vec::new();
        if self.elementwise_affine {
            weights.push(Weight::parameter("weight", shape.clone(), Init::Ones));
            if self.bias {
                weights.push(Weight::parameter("bias", shape, Init::Zeros));
            }
        }
        Ok(weights)
    }

    fn cost(&self, io: Io<'_>) -> Result<Cost, Problem> {
        let together = self.normalised(io.input()).elements()?.max(1);
        let affine = u64::from(self.elementwise_affine) * (1 + u64::from(self.bias));
        statistics_cost(io.output, io.output.elements()? / together, affine)
    }

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        let rank = io.input().rank();
        match self.axis {
            NormAxis::Channels => vec![Reach::across(rank, 0)],
            NormAxis::Last => vec![Reach::across(rank, rank - 1)],
            NormAxis::Space => {
                let mut axes = vec![AxisReach::All; rank];
                axes[0] = AxisReach::same(0);
                vec![Reach::pointwise(0, rank), Reach::context(axes)]
            }
            NormAxis::All => vec![Reach::pointwise(0, rank), Reach::context(vec![AxisReach::All; rank])],
        }
    }

    computed!();

    fn describe(&self) -> String {
        let over = match self.axis {
            NormAxis::Channels => "",
            NormAxis::Last => "last axis",
            NormAxis::Space => "over space",
            NormAxis::All => "all axes",
        };
        let affine = if self.elementwise_affine { "" } else { " no affine" };
        format!("{over}{affine}").trim().to_owned()
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{}", &[&[4, 5, 6]]),
            Example::new("{axis: last, eps: 0.000001}", &[&[5, 6, 4]]),
            Example::new("{axis: all}", &[&[4, 3]]),
            Example::new("{axis: space}", &[&[4, 3, 5]]),
            Example::new("{elementwise_affine: false}", &[&[8]]),
            Example::new("{bias: false}", &[&[2, 3, 4, 5]]),
        ]
    }
}
