//! Convolution in 1, 2 or 3 dimensions, with groups and dilation (PyTorch's `Conv1d`, `Conv2d`, `Conv3d`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::args::{Groups, Padding, PerAxis, expect_size, positive, spatial, windows};
use crate::layers::facets::count;
use crate::layers::window::Window;
use crate::layers::{
    Arity, AxisReach, Category, Cost, Doc, Example, Init, Io, LayerKind, Ops, Reach, Weight, defaults,
};
use crate::shape::Shape;

/// Arguments of `conv`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Conv {
    /// Number of output channels
    pub out_channels: u64,
    /// Kernel size on each spatial axis
    #[serde(alias = "kernel_size")]
    pub kernel: PerAxis,
    /// Step between neighbouring outputs
    #[serde(default = "defaults::one")]
    pub stride: PerAxis,
    /// Elements added around the input
    #[serde(default = "Padding::zero")]
    pub padding: Padding,
    /// Distance between taps
    #[serde(default = "defaults::one")]
    pub dilation: PerAxis,
    /// Groups of channels that are convolved independently (AlexNet); `depthwise` is one group per input channel
    #[serde(default = "one_group")]
    pub groups: Groups,
    /// Whether a bias is added
    #[serde(default = "defaults::yes")]
    pub bias: bool,
    /// Values of the padded elements
    #[serde(default)]
    pub padding_mode: PaddingMode,
    /// Input channels: if given, checked against the input
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_channels: Option<u64>,
}

/// Values of padded positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PaddingMode {
    /// Zeros.
    #[default]
    #[serde(alias = "zero", alias = "constant")]
    Zeros,
    /// The input mirrored at its border; the border element itself is not repeated.
    Reflect,
    /// The border element repeated.
    Replicate,
    /// The opposite end of the input.
    Circular,
}

pub(super) fn one_group() -> Groups {
    Groups::Number(1)
}

impl PaddingMode {
    /// Checks whether spatial axis `axis` of `size` elements can be padded by `widest` elements in this mode.
    pub(super) fn check(self, axis: usize, size: u64, widest: i64) -> Result<(), Problem> {
        let limit = match self {
            Self::Zeros | Self::Replicate => return Ok(()),
            Self::Reflect => size.saturating_sub(1),
            Self::Circular => size,
        };
        if u64::try_from(widest).is_ok_and(|widest| widest > limit) {
            let message =
                format!("spatial axis {axis} has {size} elements, too few to be padded by {widest} this way");
            return Err(Problem::argument("padding", message)
                .help(format!("this mode adds at most {limit} here; use less padding, or zeros")));
        }
        Ok(())
    }

    /// Returns ` reflect`, or nothing for zeros.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::Zeros => "",
            Self::Reflect => " reflect",
            Self::Replicate => " replicate",
            Self::Circular => " circular",
        }
    }
}

impl Conv {
    /// Returns the windows on an input with these spatial sizes, one per axis.
    pub fn windows(&self, sizes: &[u64]) -> Result<Vec<Window>, Problem> {
        windows(sizes, &self.kernel, &self.stride, &self.dilation, &self.padding)
    }
}

impl LayerKind for Conv {
    const DOC: Doc = Doc {
        name: "conv",
        aliases: &["convolution"],
        category: Category::Convolution,
        summary: "convolution in 1, 2 or 3 dimensions, with groups and dilation",
        formulas: &[
            ("output", "floor((size + padding - dilation * (kernel - 1) - 1) / stride) + 1 on each axis"),
            ("params", "out_channels * in_channels / groups * prod(kernel) + out_channels if bias"),
            ("macs", "out_elements * in_channels / groups * prod(kernel); taps on padding count"),
            ("other ops", "out_elements additions if bias"),
        ],
        source: "PyTorch nn.Conv2d; ONNX Conv; dilation: Yu & Koltun 2015; groups: Krizhevsky et al. 2012",
        inputs: Arity::One,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        let input = &inputs[0];
        let sizes = spatial("conv", input)?;
        expect_size("in_channels", self.in_channels, input.channels(), input)?;
        positive("out_channels", self.out_channels)?;
        self.groups.resolve(input.channels(), self.out_channels)?;
        let windows = self.windows(sizes)?;
        let mut output = vec![self.out_channels];
        for (axis, (window, &size)) in windows.iter().zip(sizes).enumerate() {
            self.padding_mode.check(axis, size, window.before.max(window.after))?;
            output.push(window.output(size)?);
        }
        Ok(Shape::new(output))
    }

    fn weights(&self, io: Io<'_>) -> Result<Vec<Weight>, Problem> {
        let channels = io.input().channels();
        let groups = self.groups.resolve(channels, self.out_channels)?;
        let kernel = self.kernel.resolve(io.input().spatial().len(), "kernel", 1)?;
        let mut shape = vec![self.out_channels, channels / groups];
        shape.extend(&kernel);
        let fan_in = count("the fan-in", &shape[1..])?;
        let mut weights = vec![Weight::parameter("weight", shape, Init::FanIn(fan_in))];
        if self.bias {
            weights.push(Weight::parameter("bias", [self.out_channels], Init::FanIn(fan_in)));
        }
        Ok(weights)
    }

    fn cost(&self, io: Io<'_>) -> Result<Cost, Problem> {
        let channels = io.input().channels();
        let groups = self.groups.resolve(channels, self.out_channels)?;
        let kernel = self.kernel.resolve(io.input().spatial().len(), "kernel", 1)?;
        let outputs = io.output.elements()?;
        let taps = count("the kernel", &kernel)?;
        let macs = count("the number of MACs", &[outputs, channels / groups, taps])?;
        let ops = Ops { arithmetic: if self.bias { outputs } else { 0 }, ..Ops::default() };
        Ok(Cost { macs, ops, ..Cost::FREE })
    }

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        let channels = io.input().channels();
        let groups = self.groups.resolve(channels, self.out_channels).unwrap_or(1);
        let blocks =
            AxisReach::Blocks { by: 0, outputs: self.out_channels / groups, inputs: channels / groups };
        vec![Reach::sliding(blocks, self.windows(io.input().spatial()).unwrap_or_default())]
    }

    computed!();

    fn describe(&self) -> String {
        let mut text = format!("{} k{}", self.out_channels, self.kernel.describe());
        for (letter, value) in [("s", &self.stride), ("d", &self.dilation)] {
            if !value.is(1) {
                text = format!("{text} {letter}{}", value.describe());
            }
        }
        text += &self.padding.describe();
        text += &self.groups.describe();
        text += self.padding_mode.describe();
        if self.bias {
            text += " bias";
        }
        text
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{out_channels: 8, kernel: 3, padding: 1}", &[&[3, 9, 8]]),
            Example::new("{out_channels: 6, kernel: [1, 3], stride: [1, 2], padding: [[0, 0], [1, 0]]}", &[&[2, 5, 7]]),
            Example::new("{out_channels: 8, kernel: 3, dilation: 2, groups: 4, bias: false}", &[&[4, 8, 8]]),
            Example::new("{out_channels: 4, kernel: 3, groups: depthwise, padding: same}", &[&[4, 6, 6]]),
            Example::new("{out_channels: 4, kernel: 2, dilation: 4, padding: causal}", &[&[3, 12]]),
            Example::new("{out_channels: 2, kernel: [1, 2, 3]}", &[&[2, 3, 4, 5]]),
            Example::new("{out_channels: 2, kernel: 4, stride: 2, padding: same, padding_mode: reflect}", &[&[2, 7, 6]]),
        ]
    }
}
