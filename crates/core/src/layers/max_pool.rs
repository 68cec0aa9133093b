//! Max pooling in 1, 2 or 3 dimensions (PyTorch's `MaxPool2d`); padding is never the maximum.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::args::{Padding, PerAxis, spatial, windows};
use crate::layers::facets::count;
use crate::layers::window::Window;
use crate::layers::{
    Arity, AxisReach, Category, Cost, Doc, Example, Io, LayerKind, Ops, Reach, defaults,
};
use crate::shape::Shape;

/// Arguments of `max_pool`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MaxPool {
    /// Kernel size on each spatial axis
    #[serde(alias = "kernel_size")]
    pub kernel: PerAxis,
    /// Step between neighbouring outputs; the kernel size if not given
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stride: Option<PerAxis>,
    /// Elements added around the input; at most half the kernel
    #[serde(default = "Padding::zero")]
    pub padding: Padding,
    /// Distance between taps
    #[serde(default = "defaults::one")]
    pub dilation: PerAxis,
    /// Whether an incomplete last window gives an output
    #[serde(default)]
    pub ceil_mode: bool,
}

impl MaxPool {
    /// Returns the windows on an input with these spatial sizes, one per axis.
    pub fn windows(&self, sizes: &[u64]) -> Result<Vec<Window>, Problem> {
        windows(sizes, &self.kernel, self.stride.as_ref().unwrap_or(&self.kernel), &self.dilation, &self.padding)
    }
}

/// Returns the output shape of a pooling layer with these windows. PyTorch's bound on the padding applies:
/// with more than half the kernel, a window could lie entirely in the padding.
pub(super) fn pooled(input: &Shape, windows: &[Window], ceil_mode: bool) -> Result<Shape, Problem> {
    let mut output = vec![input.channels()];
    for (window, &size) in windows.iter().zip(input.spatial()) {
        let widest = window.before.max(window.after);
        if widest > i64::try_from(window.extent()?).unwrap_or(i64::MAX) / 2 {
            return Err(Problem::argument(
                "padding",
                format!("padding of {widest} is more than half the kernel of {}", window.kernel),
            )
            .help("a window would lie in the padding alone; use a `pad` layer if that is meant"));
        }
        output.push(if ceil_mode { window.output_ceil(size)? } else { window.output(size)? });
    }
    Ok(Shape::new(output))
}

impl LayerKind for MaxPool {
    const DOC: Doc = Doc {
        name: "max_pool",
        aliases: &["max_pooling"],
        category: Category::Pooling,
        summary: "largest value of a window, channel by channel",
        formulas: &[
            ("output", "as conv; with ceil_mode rounded up if the last window starts inside the input or the padding before it"),
            ("params", "0"),
            ("macs", "0"),
            ("other ops", "out_elements * (prod(kernel) - 1) comparisons"),
        ],
        source: "PyTorch nn.MaxPool2d; ONNX MaxPool",
        inputs: Arity::One,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        let windows = self.windows(spatial("max_pool", &inputs[0])?)?;
        pooled(&inputs[0], &windows, self.ceil_mode)
    }

    weightless!();

    fn cost(&self, io: Io<'_>) -> Result<Cost, Problem> {
        let kernel = self.kernel.resolve(io.input().spatial().len(), "kernel", 1)?;
        let taps = count("the kernel", &kernel)?;
        let comparisons = count("the number of operations", &[io.output.elements()?, taps - 1])?;
        Ok(Cost { ops: Ops { comparisons, ..Ops::default() }, ..Cost::FREE })
    }

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        let windows = self.windows(io.input().spatial()).unwrap_or_default();
        vec![Reach::sliding(AxisReach::same(0), windows)]
    }

    computed!();

    fn describe(&self) -> String {
        let stride = self.stride.as_ref().unwrap_or(&self.kernel);
        let mut text = format!("k{} s{}", self.kernel.describe(), stride.describe());
        if !self.dilation.is(1) {
            text = format!("{text} d{}", self.dilation.describe());
        }
        text += &self.padding.describe();
        if self.ceil_mode {
            text += " ceil";
        }
        text
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{kernel: 3, stride: 2, padding: 1}", &[&[3, 9, 8]]),
            Example::new("{kernel: 2}", &[&[2, 7]]),
            Example::new("{kernel: 3, stride: 2, ceil_mode: true}", &[&[2, 8, 7]]),
            Example::new("{kernel: [1, 2, 2], dilation: [1, 2, 1]}", &[&[2, 3, 6, 4]]),
        ]
    }
}
