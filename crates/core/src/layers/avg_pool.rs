//! Average pooling in 1, 2 or 3 dimensions (PyTorch's `AvgPool2d`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::args::{Padding, PerAxis, positive, spatial, windows};
use crate::layers::facets::count;
use crate::layers::max_pool::pooled;
use crate::layers::window::Window;
use crate::layers::{Arity, AxisReach, Category, Cost, Doc, Example, Io, LayerKind, Ops, Reach, defaults};
use crate::shape::Shape;

/// Arguments of `avg_pool`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AvgPool {
    /// Kernel size on each spatial axis
    #[serde(alias = "kernel_size")]
    pub kernel: PerAxis,
    /// Step between neighbouring outputs; the kernel size if not given
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stride: Option<PerAxis>,
    /// Zeros added around the input; at most half the kernel
    #[serde(default = "Padding::zero")]
    pub padding: Padding,
    /// Whether an incomplete last window gives an output
    #[serde(default)]
    pub ceil_mode: bool,
    /// Whether the zeros of the padding count in the mean
    #[serde(default = "defaults::yes")]
    pub count_include_pad: bool,
    /// Divisor of the sum, instead of the number of elements
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub divisor_override: Option<u64>,
}

impl AvgPool {
    /// Returns the windows on an input with these spatial sizes, one per axis.
    pub fn windows(&self, sizes: &[u64]) -> Result<Vec<Window>, Problem> {
        let stride = self.stride.as_ref().unwrap_or(&self.kernel);
        windows(sizes, &self.kernel, stride, &defaults::one(), &self.padding)
    }
}

impl LayerKind for AvgPool {
    const DOC: Doc = Doc {
        name: "avg_pool",
        aliases: &["average_pool", "avg_pooling", "mean_pool"],
        category: Category::Pooling,
        summary: "mean of a window, channel by channel",
        formulas: formulas!(
            "as max_pool",
            "out_elements * prod(kernel): prod(kernel) - 1 additions and 1 division an output"
        ),
        source: "PyTorch nn.AvgPool2d; ONNX AveragePool",
        inputs: Arity::One,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        positive("divisor_override", self.divisor_override.unwrap_or(1))?;
        let windows = self.windows(spatial("avg_pool", &inputs[0])?)?;
        pooled(&inputs[0], &windows, self.ceil_mode)
    }

    weightless!();

    fn cost(&self, io: Io<'_>) -> Result<Cost, Problem> {
        let kernel = self.kernel.resolve(io.input().spatial().len(), "kernel", 1)?;
        let taps = count("the kernel", &kernel)?;
        let arithmetic = count("the number of operations", &[io.output.elements()?, taps])?;
        Ok(Cost { ops: Ops { arithmetic, ..Ops::default() }, ..Cost::FREE })
    }

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        let windows = self.windows(io.input().spatial()).unwrap_or_default();
        vec![Reach::sliding(AxisReach::same(0), windows)]
    }

    computed!();

    fn describe(&self) -> String {
        let stride = self.stride.as_ref().unwrap_or(&self.kernel);
        let mut text = format!("k{} s{}{}", self.kernel.describe(), stride.describe(), self.padding.describe());
        if !self.count_include_pad && !self.padding.is_zero() {
            text += " pad not counted";
        }
        text + if self.ceil_mode { " ceil" } else { "" }
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{kernel: 2}", &[&[3, 8, 7]]),
            Example::new("{kernel: 3, stride: 1, padding: 1, count_include_pad: false}", &[&[2, 6, 5]]),
            Example::new("{kernel: 3, stride: 2, padding: 1, ceil_mode: true}", &[&[2, 8]]),
            Example::new("{kernel: [1, 2, 2], divisor_override: 3}", &[&[2, 3, 6, 4]]),
        ]
    }
}
