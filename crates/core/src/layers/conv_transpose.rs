//! Transposed convolution in 1, 2 or 3 dimensions (PyTorch's `ConvTranspose2d`): each input element is spread
//! over a window of the output.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::args::{Groups, Padding, PerAxis, expect_size, positive, spatial, windows};
use crate::layers::conv::one_group;
use crate::layers::facets::count;
use crate::layers::window::Window;
use crate::layers::{
    Arity, AxisReach, Category, Cost, Doc, Example, Init, Io, LayerKind, Ops, Reach, Role, Weight, defaults,
};
use crate::shape::Shape;

/// Arguments of `conv_transpose`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConvTranspose {
    /// Number of output channels
    pub out_channels: u64,
    /// Kernel size on each spatial axis
    #[serde(alias = "kernel_size")]
    pub kernel: PerAxis,
    /// Distance in the output between the windows of neighbouring inputs
    #[serde(default = "defaults::one")]
    pub stride: PerAxis,
    /// Elements removed around the output; `same` makes it size * stride
    #[serde(default = "Padding::zero")]
    pub padding: Padding,
    /// Elements added after the last output; less than the stride or the dilation
    #[serde(default = "zero")]
    pub output_padding: PerAxis,
    /// Distance between taps
    #[serde(default = "defaults::one")]
    pub dilation: PerAxis,
    /// Groups of channels that are convolved independently; `depthwise` is one group per input channel
    #[serde(default = "one_group")]
    pub groups: Groups,
    /// Whether a bias is added
    #[serde(default = "defaults::yes")]
    pub bias: bool,
    /// Input channels: if given, checked against the input
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_channels: Option<u64>,
}

pub(super) fn zero() -> PerAxis {
    PerAxis::all(0)
}

impl ConvTranspose {
    /// Returns the windows of the convolution of which this is the transpose, one per spatial axis.
    pub fn windows(&self, sizes: &[u64]) -> Result<Vec<Window>, Problem> {
        let padding = match &self.padding {
            Padding::Same | Padding::SameLower => Padding::Sides(self.same(sizes)?),
            Padding::Causal => {
                return Err(Problem::argument("padding", "not supported: a causal `conv_transpose`")
                    .help("give the elements to remove as pairs [before, after]: [[0, 1]]"));
            }
            other => other.clone(),
        };
        windows(sizes, &self.kernel, &self.stride, &self.dilation, &padding)
    }

    /// Returns the elements to remove on each side so that `size * stride` remain (ONNX ConvTranspose,
    /// `auto_pad`).
    fn same(&self, sizes: &[u64]) -> Result<Vec<(u64, u64)>, Problem> {
        let added = self.output_padding.resolve(sizes.len(), "output_padding", 0)?;
        let bare = windows(sizes, &self.kernel, &self.stride, &self.dilation, &Padding::zero())?;
        bare.iter()
            .zip(added)
            .map(|(window, added)| {
                let grown = window.extent()?.saturating_add(added);
                let surplus = grown.checked_sub(window.stride).ok_or_else(|| {
                    Problem::argument(
                        "padding",
                        format!("`same` needs a kernel of at least the stride {}, it spans {grown}", window.stride),
                    )
                    .help(format!("use `padding: 0` and `output_padding: {}`", window.stride - grown))
                })?;
                let (less, more) = (surplus / 2, surplus - surplus / 2);
                Ok(if self.padding == Padding::Same { (less, more) } else { (more, less) })
            })
            .collect()
    }
}

impl LayerKind for ConvTranspose {
    const DOC: Doc = Doc {
        name: "conv_transpose",
        aliases: &["deconv", "transposed_conv"],
        category: Category::Convolution,
        summary: "transposed convolution: each input element is spread over a window of the output",
        formulas: &[
            (
                "output",
                "(size - 1) * stride - padding (both sides) + dilation * (kernel - 1) + output_padding + 1 on each axis",
            ),
            ("params", "in_channels * out_channels / groups * prod(kernel) + out_channels if bias"),
            ("macs", "in_elements * out_channels / groups * prod(kernel); taps that fall on the padding count"),
            ("other ops", "out_elements additions if bias"),
        ],
        source: "PyTorch nn.ConvTranspose2d; ONNX ConvTranspose; Dumoulin & Visin 2016, chapter 4",
        inputs: Arity::One,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        let input = &inputs[0];
        let sizes = spatial("conv_transpose", input)?;
        expect_size("in_channels", self.in_channels, input.channels(), input)?;
        positive("out_channels", self.out_channels)?;
        self.groups.resolve(input.channels(), self.out_channels)?;
        let added = self.output_padding.resolve(sizes.len(), "output_padding", 0)?;
        let mut output = vec![self.out_channels];
        for ((window, &size), &added) in self.windows(sizes)?.iter().zip(sizes).zip(&added) {
            let limit = window.stride.max(window.dilation);
            if added >= limit {
                return Err(Problem::argument(
                    "output_padding",
                    format!("`output_padding` is {added}, it must be less than the stride or the dilation ({limit})"),
                )
                .help("it only chooses among the sizes that the stride maps to the same input; `pad` adds more"));
            }
            output.push(window.transposed_output(size, added)?);
        }
        Ok(Shape::new(output))
    }

    fn weights(&self, io: Io<'_>) -> Result<Vec<Weight>, Problem> {
        let channels = io.input().channels();
        let groups = self.groups.resolve(channels, self.out_channels)?;
        let mut shape = vec![channels, self.out_channels / groups];
        shape.extend(self.kernel.resolve(io.input().spatial().len(), "kernel", 1)?);
        // PyTorch computes the fan-in from the second axis of the weight, although here that axis is the
        // outputs.
        let fan_in = count("the fan-in", &shape[1..])?;
        let mut weights = vec![Weight::parameter("weight", shape, Init::FanIn(fan_in))];
        if self.bias {
            weights.push(Weight::parameter("bias", [self.out_channels], Init::FanIn(fan_in)));
        }
        Ok(weights)
    }

    fn cost(&self, io: Io<'_>) -> Result<Cost, Problem> {
        let groups = self.groups.resolve(io.input().channels(), self.out_channels)?;
        let kernel = self.kernel.resolve(io.input().spatial().len(), "kernel", 1)?;
        let taps = count("the kernel", &kernel)?;
        let macs =
            count("the number of MACs", &[io.input().elements()?, self.out_channels / groups, taps])?;
        let arithmetic = if self.bias { io.output.elements()? } else { 0 };
        Ok(Cost { macs, ops: Ops { arithmetic, ..Ops::default() }, ..Cost::FREE })
    }

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        let channels = io.input().channels();
        let groups = self.groups.resolve(channels, self.out_channels).unwrap_or(1);
        let mut axes =
            vec![AxisReach::Blocks { by: 0, outputs: self.out_channels / groups, inputs: channels / groups }];
        for (i, window) in self.windows(io.input().spatial()).unwrap_or_default().into_iter().enumerate() {
            axes.push(AxisReach::Transposed { by: i + 1, window });
        }
        vec![Reach { input: 0, role: Role::Local, axes }]
    }

    computed!();

    fn describe(&self) -> String {
        let mut text = format!("{} k{}", self.out_channels, self.kernel.describe());
        for (letter, value, usual) in
            [("s", &self.stride, 1), ("d", &self.dilation, 1), ("op", &self.output_padding, 0)]
        {
            if !value.is(usual) {
                text = format!("{text} {letter}{}", value.describe());
            }
        }
        text + &self.padding.describe() + &self.groups.describe() + if self.bias { " bias" } else { "" }
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{out_channels: 4, kernel: 4, stride: 2, padding: 1}", &[&[6, 5, 7]]),
            Example::new("{out_channels: 2, kernel: 3, stride: 2, padding: 1, output_padding: 1}", &[&[3, 5]]),
            Example::new("{out_channels: 6, kernel: [3, 2], dilation: [2, 1], groups: 3, bias: false}", &[&[3, 4, 5]]),
            Example::new("{out_channels: 4, kernel: 2, stride: 2, groups: depthwise}", &[&[4, 2, 3, 2]]),
            Example::new("{out_channels: 2, kernel: 3, stride: 2, padding: [[0, 1], [1, 1]]}", &[&[2, 4, 4]]),
            Example::new("{out_channels: 2, kernel: 3, stride: 2, padding: same}", &[&[2, 4, 4]]),
        ]
    }
}
