//! CK504: a number of channels that is not a multiple of the hardware's vector width.

use super::{Context, Family, Finding, Location, Meta, Rule, Setting, Severity};
use cnnkit_core::analysis::paths::is_weighted;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::Layer;

/// See the module documentation.
#[derive(Debug)]
pub struct UnalignedChannels;

static META: Meta = Meta {
    id: "CK504",
    name: "unaligned-channels",
    family: Family::Cost,
    severity: Severity::Note,
    default: false,
    summary: "a number of channels that is not a multiple of 8",
    what: "Checks the output channels of convolutions and linear layers that another such layer reads \
           later. The last ones are exempt: their channels are the task's classes.",
    why: "Tensor cores and vector units process 8 (f16) or more channels at once. A layer of 30 channels \
          takes the time of 32; some libraries fall back to slower kernels altogether.",
    instead: "Round to a multiple of 8, as MobileNet does: `$round_to(width, 8)`.",
    source: "NVIDIA, Deep Learning Performance Guide, convolutional layers, section on channels; Sandler et al. \
             2018, MobileNetV2 (`_make_divisible`)",
    bad: "input: [3, 32, 32]
layers:
  - conv: {out_channels: 30, kernel: 3}
  - conv: {out_channels: 10, kernel: 1}
",
    good: "input: [3, 32, 32]
layers:
  - conv: {out_channels: 32, kernel: 3}
  - conv: {out_channels: 10, kernel: 1}
",
    settings: &[Setting {
        name: "multiple",
        value: 8.0,
        doc: "number of channels that the hardware processes at once",
    }],
    fixes: false,
};

impl Rule for UnalignedChannels {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn check(&self, context: &Context<'_>, found: &mut Vec<Finding>) -> Result<(), Problem> {
        let facts = context.facts;
        let multiple = (context.setting("multiple").round() as u64).max(1);
        // Whether a layer with weights follows on some path.
        let mut followed = vec![false; facts.graph.nodes().len()];
        for (id, node) in facts.graph.iter().collect::<Vec<_>>().into_iter().rev() {
            if followed[id.index()] || is_weighted(node) {
                node.inputs.iter().for_each(|input| followed[input.index()] = true);
            }
        }
        for (id, node, layer) in facts.layers().filter(|(id, ..)| followed[id.index()]) {
            let (argument, channels) = match layer {
                Layer::Conv(conv) => ("out_channels", conv.out_channels),
                Layer::ConvTranspose(conv) => ("out_channels", conv.out_channels),
                Layer::DeformConv(conv) => ("out_channels", conv.out_channels),
                Layer::Linear(linear) => ("out_features", linear.out_features),
                _ => continue,
            };
            if channels.is_multiple_of(multiple) {
                continue;
            }
            let above = channels.div_ceil(multiple) * multiple;
            let below = above - multiple;
            let sizes = if below == 0 { above.to_string() } else { format!("{below} or {above}") };
            let message = format!(
                "`{}` has {channels} channels, not a multiple of {multiple}: it may take the time of {above}",
                node.id
            );
            found.push(Finding::new(Location::Argument(id, argument), message).help(format!("use {sizes}")));
        }
        Ok(())
    }
}
