//! Deformable convolution in two dimensions: a convolution that computes, from its input, where it samples
//! it. The offset convolution is part of the layer; its weights and MACs count.
//!
//! Two layers go by this name. With `per_tap` offsets (the papers, torchvision), each tap of the kernel moves
//! by itself. With `per_channel` offsets (a Keras layer that is widely copied), each channel of the map is
//! first resampled as a whole, then convolved as usual.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::{Code, Problem};
use crate::layers::args::{Groups, Padding, PerAxis};
use crate::layers::conv::{Conv, PaddingMode, one_group};
use crate::layers::facets::count;
use crate::layers::window::Window;
use crate::layers::{
    Arity, AxisReach, Category, Cost, Doc, Example, Init, Io, LayerKind, Reach, Role, Sampled, Weight, defaults,
};
use crate::shape::Shape;

/// Arguments of `deform_conv`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeformConv {
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
    /// Whether the convolution adds a bias; the offset convolution always has one with per_tap, never with per_channel
    #[serde(default = "defaults::yes")]
    pub bias: bool,
    /// What each offset belongs to: a tap, or a channel
    #[serde(default)]
    pub offsets: Offsets,
    /// With per_tap: number of groups of input channels with separate offsets
    #[serde(default = "one_offset_group")]
    pub offset_groups: u64,
    /// With per_tap: whether a computed mask weights each sample, as in version 2 of the paper
    #[serde(default)]
    pub modulated: bool,
    /// With per_tap: distance between the taps of the offset convolution; the layer's own dilation if not given
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset_dilation: Option<PerAxis>,
    /// Bound on the learned offsets in pixels, if known; without it, receptive fields are unbounded
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_offset: Option<f64>,
    /// Input channels: if given, checked against the input
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_channels: Option<u64>,
}

/// What an offset belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Offsets {
    /// Each kernel tap at each output position (Dai et al. 2017).
    #[default]
    PerTap,
    /// Each channel at each input position: the map is resampled, then convolved.
    PerChannel,
}

fn one_offset_group() -> u64 {
    1
}

/// Taps of the offset convolution of `per_channel`: 3x3, padded `same`.
const RESAMPLING_TAPS: u64 = 9;

impl DeformConv {
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
            in_channels: self.in_channels,
        }
    }

    /// Returns the output channels and the taps of the offset convolution.
    fn offset_conv(&self, channels: u64) -> Result<(u64, Vec<u64>), Problem> {
        let what = "the number of offset channels";
        if self.offsets == Offsets::PerChannel {
            return Ok((count(what, &[2, channels])?, vec![3, 3]));
        }
        let kernel = self.kernel.resolve(2, "kernel", 1)?;
        let per_tap = if self.modulated { 3 } else { 2 };
        Ok((count(what, &[per_tap, self.offset_groups, count(what, &kernel)?])?, kernel))
    }

    /// Returns the windows of the `per_tap` offset convolution: the main windows around the same centres,
    /// with their own dilation, so that there is an offset for every output. With another dilation the
    /// padding changes by half the difference.
    pub fn offset_windows(&self, main: &[Window]) -> Result<Vec<Window>, Problem> {
        let Some(dilation) = &self.offset_dilation else { return Ok(main.to_vec()) };
        let dilation = dilation.resolve(main.len(), "offset_dilation", 1)?;
        let narrowed = |(window, dilation): (&Window, u64)| {
            let own = Window { dilation, ..*window };
            let extent = |window: &Window| window.extent().map(|extent| i64::try_from(extent).unwrap_or(i64::MAX));
            let surplus = extent(window)? - extent(&own)?;
            let before = surplus.div_euclid(2);
            Ok(Window {
                before: window.before.saturating_sub(before),
                after: window.after.saturating_sub(surplus - before),
                ..own
            })
        };
        main.iter().zip(dilation).map(narrowed).collect()
    }

    /// Returns what the offsets of all taps of an output read on one axis with `per_channel`: the 3 elements
    /// around each tap. Up to a dilation of 3 that is one run; beyond it, three shifted copies of the window.
    fn around(window: &Window) -> Vec<Window> {
        if window.dilation <= 3 {
            let kernel = window.extent().unwrap_or(1).saturating_add(2);
            let (before, after) = (window.before.saturating_add(1), window.after.saturating_add(1));
            return vec![Window { kernel, dilation: 1, stride: window.stride, before, after }];
        }
        let shifted = |shift: i64| Window {
            before: window.before.saturating_add(shift),
            after: window.after.saturating_sub(shift),
            ..*window
        };
        [1, 0, -1].map(shifted).to_vec()
    }

    fn check_offsets(&self, input: &Shape) -> Result<(), Problem> {
        if self.offset_groups == 0 || !input.channels().is_multiple_of(self.offset_groups) {
            return Err(Problem::argument(
                "offset_groups",
                format!("{} input channels cannot be divided into {} offset groups", input.channels(), self.offset_groups),
            )
            .help("use a divisor of the input channels"));
        }
        if self.max_offset.is_some_and(|bound| !(bound.is_finite() && bound >= 0.0)) {
            return Err(Problem::argument("max_offset", "`max_offset` must be at least 0"));
        }
        if self.offsets == Offsets::PerChannel {
            for (argument, given) in [
                ("modulated", self.modulated),
                ("offset_groups", self.offset_groups != 1),
                ("offset_dilation", self.offset_dilation.is_some()),
            ] {
                if given {
                    return Err(Problem::argument(argument, format!("`{argument}` belongs to `offsets: per_tap`"))
                        .help("with per_channel the offset convolution is 3x3 with 2 channels for each input channel"));
                }
            }
        }
        Ok(())
    }
}

impl LayerKind for DeformConv {
    const DOC: Doc = Doc {
        name: "deform_conv",
        aliases: &["deformable_conv", "dcn"],
        category: Category::Convolution,
        summary: "convolution that computes from its input where it samples it",
        formulas: &[
            ("output", "as conv"),
            (
                "offset channels",
                "per_tap: 2 * offset_groups * prod(kernel), 3 instead of 2 if modulated; per_channel: 2 * in_channels",
            ),
            (
                "params",
                "as conv, plus the offset convolution: in_channels * offset channels * prod(kernel) + offset channels; per_channel: 9 * in_channels * offset channels",
            ),
            (
                "macs",
                "as conv, plus the offset convolution: out_positions * in_channels * offset channels * prod(kernel); per_channel: in_positions * in_channels * offset channels * 9",
            ),
            (
                "sampling macs",
                "4 (bilinear) a sampled tap, which is one channel's value at one tap: out_positions * prod(kernel) * in_channels of them; per_channel: in_elements",
            ),
            (
                "other ops",
                "2 for each sampling MAC, 1 for each bias; modulated: 1 a sampled tap for the mask, 2 and an exponential a mask value (sigmoid)",
            ),
        ],
        source: "Dai et al. 2017, section 2.1; Zhu et al. 2019 (modulated); torchvision.ops.DeformConv2d; per_channel: felixlaumon/deform-conv",
        inputs: Arity::One,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        let input = &inputs[0];
        if input.rank() != 3 {
            return Err(Problem::new(
                Code::Shape,
                format!("`deform_conv` needs channels and 2 spatial axes, the input {input} has {} axes", input.rank()),
            )
            .help("not supported: deformable convolution in 1 or 3 dimensions"));
        }
        self.check_offsets(input)?;
        let main = self.main();
        let output = main.infer(inputs)?;
        self.offset_windows(&main.windows(input.spatial())?)?;
        Ok(output)
    }

    fn weights(&self, io: Io<'_>) -> Result<Vec<Weight>, Problem> {
        let mut weights = self.main().weights(io)?;
        let channels = io.input().channels();
        let (outputs, kernel) = self.offset_conv(channels)?;
        let mut shape = vec![outputs, channels];
        shape.extend(kernel);
        match self.offsets {
            // The paper initialises the offsets to zero, so that training starts from a plain convolution.
            Offsets::PerTap => {
                weights.push(Weight::parameter("offset.weight", shape, Init::Zeros));
                weights.push(Weight::parameter("offset.bias", [outputs], Init::Zeros));
            }
            Offsets::PerChannel => {
                let fan_in = count("the fan-in", &shape[1..])?;
                weights.push(Weight::parameter("offset.weight", shape, Init::FanIn(fan_in)));
            }
        }
        Ok(weights)
    }

    fn cost(&self, io: Io<'_>) -> Result<Cost, Problem> {
        let (macs, ops) = ("the number of MACs", "the number of operations");
        let mut cost = self.main().cost(io)?;
        let channels = io.input().channels();
        let (offset_channels, kernel) = self.offset_conv(channels)?;
        let outputs = count(macs, io.output.spatial())?;
        let inputs = count(macs, io.input().spatial())?;
        let taps = count("the kernel", &kernel)?;
        let (offset_macs, sampled, mut extra) = match self.offsets {
            Offsets::PerTap => (
                count(macs, &[outputs, channels, offset_channels, taps])?,
                count(macs, &[outputs, taps, channels])?,
                vec![count(ops, &[outputs, offset_channels])?],
            ),
            Offsets::PerChannel => (
                count(macs, &[inputs, channels, offset_channels, RESAMPLING_TAPS])?,
                io.input().elements()?,
                vec![],
            ),
        };
        cost.macs = cost.macs.checked_add(offset_macs).ok_or_else(|| Problem::overflow(macs))?;
        cost.sampling_macs = count(macs, &[4, sampled])?;
        extra.push(count(ops, &[2, cost.sampling_macs])?);
        if self.modulated {
            let masks = count(ops, &[outputs, self.offset_groups, taps])?;
            extra.extend([sampled, count(ops, &[2, masks])?]);
            cost.ops.functions = masks;
        }
        for more in extra {
            let sum = cost.ops.arithmetic.checked_add(more);
            cost.ops.arithmetic = sum.ok_or_else(|| Problem::overflow(ops))?;
        }
        Ok(cost)
    }

    /// Returns two dependences: the samples, which move, and the elements from which the offsets are
    /// computed, which do not.
    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        let mut reaches = self.main().reach(io);
        for reach in &mut reaches {
            reach.role = Role::Sampled(Sampled { max_offset: self.max_offset });
        }
        let windows = self.main().windows(io.input().spatial()).unwrap_or_default();
        match self.offsets {
            Offsets::PerTap => {
                let windows = self.offset_windows(&windows).unwrap_or_default();
                reaches.push(Reach::sliding(AxisReach::All, windows));
            }
            Offsets::PerChannel => {
                let mut boxes: Vec<Vec<Window>> = vec![vec![]];
                for window in &windows {
                    let parts = Self::around(window);
                    let extend = |start: &Vec<Window>| {
                        parts.iter().map(|&part| [start.as_slice(), &[part]].concat()).collect::<Vec<_>>()
                    };
                    boxes = boxes.iter().flat_map(extend).collect();
                }
                reaches.extend(boxes.into_iter().map(|windows| Reach::sliding(AxisReach::All, windows)));
            }
        }
        reaches
    }

    computed!();

    fn describe(&self) -> String {
        let mut text = self.main().describe();
        if self.offsets == Offsets::PerChannel {
            text += " per_channel";
        }
        if self.modulated {
            text += " modulated";
        }
        if self.offset_groups != 1 {
            text = format!("{text} og{}", self.offset_groups);
        }
        if let Some(dilation) = &self.offset_dilation {
            text = format!("{text} offset d{}", dilation.describe());
        }
        text
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{out_channels: 8, kernel: 3, padding: 1}", &[&[4, 8, 7]]),
            Example::new("{out_channels: 4, kernel: 3, padding: 1, stride: 2, modulated: true, offset_groups: 2}", &[&[4, 9, 9]]),
            Example::new("{out_channels: 4, kernel: 3, padding: 2, dilation: 2, offset_dilation: 1, bias: false}", &[&[2, 8, 8]]),
            Example::new("{out_channels: 4, kernel: 3, padding: 1, offsets: per_channel}", &[&[4, 8, 8]]),
            Example::new("{out_channels: 2, kernel: [1, 3], dilation: [1, 4], offsets: per_channel, max_offset: 2}", &[&[2, 4, 12]]),
            Example::new("{out_channels: 4, kernel: 2, groups: 2, max_offset: 1.5}", &[&[4, 5, 5]]),
        ]
    }
}
