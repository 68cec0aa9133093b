//! Deformable convolution whose offsets (and masks) are inputs: torchvision's and ONNX's operator.
//! `deform_conv` is this layer together with its offset convolution.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::{Code, Problem};
use crate::layers::args::{Groups, Padding, PerAxis};
use crate::layers::conv::{Conv, PaddingMode, one_group};
use crate::layers::facets::count;
use crate::layers::{
    Arity, AxisReach, Category, Cost, Doc, Example, Init, Io, LayerKind, Reach, Role, Sampled, Weight, defaults,
};
use crate::shape::Shape;

/// Arguments of `deform_sample`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeformSample {
    /// Number of output channels
    pub out_channels: u64,
    /// Kernel size on each spatial axis
    #[serde(alias = "kernel_size")]
    pub kernel: PerAxis,
    /// Step between neighbouring outputs
    #[serde(default = "defaults::one")]
    pub stride: PerAxis,
    /// Zeros around the input
    #[serde(default = "Padding::zero")]
    pub padding: Padding,
    /// Distance between taps before they move
    #[serde(default = "defaults::one")]
    pub dilation: PerAxis,
    /// Groups of the convolution
    #[serde(default = "one_group")]
    pub groups: Groups,
    /// Whether a bias is added
    #[serde(default = "defaults::yes")]
    pub bias: bool,
    /// Number of groups of input channels with separate offsets
    #[serde(default = "one")]
    pub offset_groups: u64,
    /// Whether a mask weights each sample
    #[serde(default)]
    pub modulated: bool,
    /// Whether offsets and mask are learned tensors of the layer instead of inputs
    #[serde(default)]
    pub learned_offsets: bool,
}

fn one() -> u64 {
    1
}

impl DeformSample {
    /// Returns the convolution of the samples.
    pub fn main(&self) -> Conv {
        Conv {
            out_channels: self.out_channels,
            kernel: self.kernel.clone(),
            stride: self.stride.clone(),
            padding: self.padding.clone(),
            dilation: self.dilation.clone(),
            groups: self.groups,
            bias: self.bias,
            padding_mode: PaddingMode::Zeros,
            in_channels: None,
        }
    }

    fn taps(&self) -> Result<u64, Problem> {
        count("the kernel", &self.kernel.resolve(2, "kernel", 1)?)
    }
}

impl LayerKind for DeformSample {
    const DOC: Doc = Doc {
        name: "deform_sample",
        aliases: &["deform_conv2d_op"],
        category: Category::Convolution,
        summary: "deformable convolution whose offsets (and mask) are inputs, or learned tensors",
        formulas: &[
            ("output", "as conv; offsets [2 * offset_groups * prod(kernel), out sizes], mask half of it"),
            ("params", "as conv; with learned_offsets also the offsets and the mask"),
            ("macs", "as conv"),
            ("sampling macs", "4 (bilinear) a sampled tap: out_positions * prod(kernel) * in_channels of them"),
            ("other ops", "2 for each sampling MAC, 1 for each bias; modulated: 1 a sampled tap"),
        ],
        source: "Dai et al. 2017, section 2.1; torchvision.ops.deform_conv2d; ONNX DeformConv",
        inputs: Arity::Any,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        let wanted = match (self.learned_offsets, self.modulated) {
            (true, _) => 1,
            (false, modulated) => 2 + usize::from(modulated),
        };
        if inputs.len() != wanted {
            return Err(Problem::new(Code::Reference, format!("`deform_sample` reads {wanted} inputs here, {} are given", inputs.len()))
                .help("the map, the offsets, and with `modulated: true` the mask"));
        }
        let input = &inputs[0];
        if input.rank() != 3 {
            return Err(Problem::shape(format!("`deform_sample` needs channels and 2 spatial axes, the input {input} has {} axes", input.rank()))
                .help("not supported: deformable convolution in 1 or 3 dimensions"));
        }
        if self.offset_groups == 0 || !input.channels().is_multiple_of(self.offset_groups) {
            return Err(Problem::argument(
                "offset_groups",
                format!("{} input channels cannot be divided into {} offset groups", input.channels(), self.offset_groups),
            )
            .help("use a divisor of the input channels"));
        }
        let output = self.main().infer(&inputs[..1])?;
        let planes = count("the number of offsets", &[self.offset_groups, self.taps()?])?;
        for (what, shape, each) in [("offsets", inputs.get(1), 2), ("mask", inputs.get(2), 1)] {
            let channels = count("the number of offsets", &[each, planes])?;
            let expected = output.with_channels(channels);
            if let Some(shape) = shape
                && *shape != expected
            {
                return Err(Problem::shape(format!("the {what} are {shape}, but {expected} is needed here")));
            }
        }
        Ok(output)
    }

    fn weights(&self, io: Io<'_>) -> Result<Vec<Weight>, Problem> {
        let mut weights = self.main().weights(io)?;
        if self.learned_offsets {
            let planes = count("the number of offsets", &[self.offset_groups, self.taps()?])?;
            let offsets = count("the number of offsets", &[2, planes])?;
            weights.push(Weight::parameter("offset", io.output.with_channels(offsets), Init::Zeros));
            if self.modulated {
                weights.push(Weight::parameter("mask", io.output.with_channels(planes), Init::Ones));
            }
        }
        Ok(weights)
    }

    fn cost(&self, io: Io<'_>) -> Result<Cost, Problem> {
        let ops = "the number of operations";
        let mut cost = self.main().cost(io)?;
        let positions = count(ops, io.output.spatial())?;
        let sampled = count(ops, &[positions, self.taps()?, io.input().channels()])?;
        cost.sampling_macs = count(ops, &[4, sampled])?;
        let more = count(ops, &[sampled, if self.modulated { 9 } else { 8 }])?;
        let sum = cost.ops.arithmetic.checked_add(more);
        cost.ops.arithmetic = sum.ok_or_else(|| Problem::overflow(ops))?;
        Ok(cost)
    }

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        let mut reaches = self.main().reach(io);
        for reach in &mut reaches {
            reach.role = Role::Sampled(Sampled { max_offset: None });
        }
        for (input, shape) in io.inputs.iter().enumerate().skip(1) {
            let mut axes: Vec<AxisReach> = (0..shape.rank()).map(AxisReach::same).collect();
            axes[0] = AxisReach::All;
            reaches.push(Reach { input, role: Role::Local, axes });
        }
        reaches
    }

    computed!();

    fn describe(&self) -> String {
        let groups = if self.offset_groups == 1 { String::new() } else { format!(" og{}", self.offset_groups) };
        format!("{}{}{groups}", self.main().describe(), if self.modulated { " modulated" } else { "" })
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{out_channels: 3, kernel: 3, padding: 1}", &[&[2, 5, 4], &[18, 5, 4]]),
            Example::new(
                "{out_channels: 4, kernel: 2, stride: 2, groups: 2, offset_groups: 2, modulated: true, bias: false}",
                &[&[4, 6, 6], &[16, 3, 3], &[8, 3, 3]],
            ),
            Example::new("{out_channels: 2, kernel: 2, modulated: true, learned_offsets: true}", &[&[2, 4, 3]]),
        ]
    }
}
