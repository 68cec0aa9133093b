//! Convolution whose weight is an input: conditional and dynamic convolution, modulated convolution (StyleGAN2), the
//! correlation of a map with a template.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::{Code, Problem};
use crate::layers::args::{Groups, Padding, PerAxis};
use crate::layers::conv::{Conv, PaddingMode, one_group};
use crate::layers::conv_transpose::{ConvTranspose, zero};
use crate::layers::{
    Arity, AxisReach, Category, Cost, Doc, Example, Io, Layer, LayerKind, Reach, Role, defaults,
};
use crate::shape::Shape;

/// Arguments of `dynamic_conv`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DynamicConv {
    /// Step between neighbouring outputs
    #[serde(default = "defaults::one")]
    pub stride: PerAxis,
    /// Zeros around the input; where it is transposed, elements removed around the output
    #[serde(default = "Padding::zero")]
    pub padding: Padding,
    /// Distance between taps
    #[serde(default = "defaults::one")]
    pub dilation: PerAxis,
    /// Groups that do not see each other's channels; `depthwise` is one per input channel
    #[serde(default = "one_group")]
    pub groups: Groups,
    /// Whether it is the transpose, as `conv_transpose` is of `conv`
    #[serde(default)]
    pub transposed: bool,
    /// Elements added after the last output of a transposed one
    #[serde(default = "zero")]
    pub output_padding: PerAxis,
}

/// The layer that it is for a weight of given sizes.
#[derive(Debug, Clone, PartialEq)]
pub enum WithWeight {
    /// A convolution.
    Conv(Conv),
    /// A transposed convolution.
    Transposed(ConvTranspose),
}

impl From<WithWeight> for Layer {
    fn from(main: WithWeight) -> Self {
        match main {
            WithWeight::Conv(conv) => Self::Conv(conv),
            WithWeight::Transposed(conv) => Self::ConvTranspose(conv),
        }
    }
}

impl DynamicConv {
    /// Returns the layer that convolves the map `[C, ...]` with a weight `[outputs, C / groups, kernel...]`, or with
    /// `[C, outputs / groups, kernel...]` where it is transposed; `inputs` are both shapes.
    ///
    /// # Errors
    /// If the weight does not fit the map.
    pub fn main(&self, inputs: &[Shape]) -> Result<WithWeight, Problem> {
        let [input, weight] = inputs else {
            let message = format!("`dynamic_conv` reads a map and a weight, {} inputs are given", inputs.len());
            return Err(Problem::new(Code::Reference, message)
                .help("name two: `- {from: [map, weight], dynamic_conv: {padding: 1}}`"));
        };
        let channels = input.channels();
        let groups = match self.groups {
            Groups::Number(groups) => groups,
            Groups::Depthwise => channels,
        };
        let &[first, second, ref kernel @ ..] = weight.sizes() else {
            return Err(Problem::shape(format!("the weight {weight} of `dynamic_conv` has fewer than 3 axes"))
                .help("`reshape` gives it those of a convolution: [outputs, inputs / groups, kernel...]"));
        };
        let fits = |wanted: u64, found: u64, layout: &str| {
            if weight.rank() == input.rank() + 1 && found == wanted {
                return Ok(());
            }
            let message = format!("the weight {weight} does not fit the map {input} in {groups} groups");
            Err(Problem::shape(message).help(format!("its axes are {layout}, one for each spatial axis")))
        };
        let kernel = PerAxis::list(kernel.iter().copied());
        let (stride, padding) = (self.stride.clone(), self.padding.clone());
        let (dilation, groups_of) = (self.dilation.clone(), self.groups);
        let grown = || Problem::overflow("the number of channels");
        if self.transposed {
            fits(channels, first, "[inputs, outputs / groups, kernel...]")?;
            return Ok(WithWeight::Transposed(ConvTranspose {
                out_channels: second.checked_mul(groups).ok_or_else(grown)?,
                kernel,
                stride,
                padding,
                output_padding: self.output_padding.clone(),
                dilation,
                groups: groups_of,
                bias: false,
                in_channels: None,
            }));
        }
        if !self.output_padding.is(0) {
            return Err(Problem::argument("output_padding", "`output_padding` is for a transposed convolution")
                .help("add `transposed: true`, or leave it out"));
        }
        fits(channels, second.checked_mul(groups).ok_or_else(grown)?, "[outputs, inputs / groups, kernel...]")?;
        Ok(WithWeight::Conv(Conv {
            out_channels: first,
            kernel,
            stride,
            padding,
            dilation,
            groups: groups_of,
            bias: false,
            padding_mode: PaddingMode::Zeros,
            in_channels: None,
        }))
    }
}

impl DynamicConv {
    /// Returns whether an output reads some taps only, wherever it is: those of its phase.
    pub fn skips_taps(&self) -> bool {
        self.transposed && !self.stride.is(1)
    }
}

impl LayerKind for DynamicConv {
    const DOC: Doc = Doc {
        name: "dynamic_conv",
        aliases: &["conditional_conv", "cond_conv", "modulated_conv", "cross_correlation"],
        category: Category::Convolution,
        summary: "convolution, or its transpose, of a map with a weight that is an input",
        formulas: &[
            ("output", "as conv or conv_transpose with a kernel of the weight's sizes"),
            ("params", "0"),
            ("macs", "as conv or conv_transpose"),
            ("other ops", "0"),
        ],
        source: "Yang et al. 2019 (CondConv); Chen et al. 2020 (dynamic convolution); Bertinetto et al. 2016 (correlation)",
        inputs: Arity::Many,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        Layer::from(self.main(inputs)?).infer(&inputs[..1])
    }

    weightless!();

    fn cost(&self, io: Io<'_>) -> Result<Cost, Problem> {
        Layer::from(self.main(io.inputs)?).cost(Io { inputs: &io.inputs[..1], output: io.output })
    }

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        let Ok(main) = self.main(io.inputs) else { return vec![] };
        let mut reaches = Layer::from(main).reach(Io { inputs: &io.inputs[..1], output: io.output });
        let weight = &io.inputs[1];
        let mut axes = vec![AxisReach::All; weight.rank()];
        // An output channel reads its own filter; which taps meet the map is left open.
        match (self.transposed, self.groups) {
            (false, _) => axes[0] = AxisReach::same(0),
            (true, Groups::Number(1)) => axes[1] = AxisReach::same(0),
            (true, _) => {
                // The filters of a group of input channels serve one group of outputs, each at its place in the group.
                let (inputs, outputs) = (weight.sizes()[0], weight.sizes()[1]);
                if let Some(groups) = io.output.channels().checked_div(outputs).filter(|&groups| groups > 0) {
                    axes[0] = AxisReach::Blocks { by: 0, outputs, inputs: inputs / groups };
                    axes[1] = AxisReach::Within { by: 0, size: outputs };
                }
            }
        }
        reaches.push(Reach { input: 1, role: Role::Local, axes });
        reaches
    }

    computed!();

    fn describe(&self) -> String {
        let mut words = vec![];
        if self.transposed {
            words.push("transposed".to_owned());
        }
        for (letter, value, usual) in
            [("s", &self.stride, 1), ("d", &self.dilation, 1), ("op", &self.output_padding, 0)]
        {
            if !value.is(usual) {
                words.push(format!("{letter}{}", value.describe()));
            }
        }
        (words.join(" ") + &self.padding.describe() + &self.groups.describe()).trim_start().to_owned()
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{padding: 1}", &[&[3, 6, 5], &[4, 3, 3, 3]]),
            Example::new("{stride: 2, dilation: 2, groups: 2}", &[&[4, 9], &[6, 2, 3]]),
            Example::new("{groups: depthwise, padding: same}", &[&[4, 5, 5], &[4, 1, 3, 3]]),
            Example::new(
                "{transposed: true, stride: 2, padding: 1, output_padding: 1}",
                &[&[3, 4, 4], &[3, 2, 3, 3]],
            ),
            Example::new("{transposed: true, stride: 2, groups: 2}", &[&[4, 5], &[4, 3, 2]]),
        ]
    }
}
