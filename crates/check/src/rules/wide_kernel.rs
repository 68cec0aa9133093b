//! CK502: a wide 3x3 convolution that a bottleneck can replace.

use super::{Context, Facts, Family, Finding, Location, Meta, Rule, Setting, Severity};
use cnnkit_core::analysis::savings;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::NodeId;
use cnnkit_core::layers::{Category, Layer};
use cnnkit_core::number;

/// See the module documentation.
#[derive(Debug)]
pub struct WideKernel;

static META: Meta = Meta {
    id: "CK502",
    name: "wide-kernel",
    family: Family::Cost,
    severity: Severity::Note,
    default: false,
    summary: "a wide 3x3 convolution that a bottleneck would shrink",
    what: "Checks dense convolutions with a kernel above 1 on every axis whose input and output both have \
           at least `width` channels, and that are not the middle of a bottleneck already. Fires if 1x1, \
           the same kernel at 1 / `ratio` of the channels, and 1x1 again have fewer parameters.",
    why: "The parameters of a kernel grow with the product of its channels. A bottleneck of a quarter of them \
          keeps the receptive field at about a sixteenth of the kernel's cost, plus two 1x1 convolutions.",
    instead: "Write the bottleneck, or a depthwise-separable convolution; wide layers may be intended where \
              accuracy matters most.",
    source: "He et al. 2016, Deep Residual Learning for Image Recognition, section 4.1, figure 5",
    bad: "input: [512, 14, 14]
layers:
  - conv: {out_channels: 512, kernel: 3, padding: 1}
",
    good: "input: [512, 14, 14]
layers:
  - conv: {out_channels: 128, kernel: 1}
  - relu
  - conv: {out_channels: 128, kernel: 3, padding: 1}
  - relu
  - conv: {out_channels: 512, kernel: 1}
",
    settings: &[
        Setting { name: "width", value: 256.0, doc: "minimum number of channels of a wide convolution" },
        Setting { name: "ratio", value: 4.0, doc: "factor by which the bottleneck reduces the channels" },
    ],
    fixes: false,
};

impl Rule for WideKernel {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn check(&self, context: &Context<'_>, found: &mut Vec<Finding>) -> Result<(), Problem> {
        let facts = context.facts;
        let (width, ratio) = (context.setting("width"), context.setting("ratio").max(1.0));
        for (id, node, _) in facts.layers().filter(|(_, _, layer)| matches!(layer, Layer::Conv(_))) {
            let inputs = facts.node(node.inputs[0]).shape.channels();
            let outputs = node.shape.channels();
            let thin = (inputs.min(outputs) as f64) < width;
            if thin || is_inside_bottleneck(facts, id) {
                continue;
            }
            let middle = ((inputs.min(outputs) as f64 / ratio) as u64).max(1);
            let Some(saving) = savings::bottleneck(facts.graph, id, middle) else { continue };
            let before = facts.counts(id).params;
            if saving.params >= before {
                continue;
            }
            let kernel: Vec<String> = saving.kernel.iter().map(u64::to_string).collect();
            let message = format!(
                "a bottleneck of {middle} channels around this {} has {} instead of {} parameters ({} less)",
                kernel.join("x"),
                number::grouped(saving.params),
                number::grouped(before),
                number::share(1.0 - saving.params as f64 / before as f64)
            );
            found.push(
                Finding::new(Location::Argument(id, "out_channels"), message)
                    .help(format!("1x1 to {middle}, the kernel at {middle}, 1x1 to {outputs}")),
            );
        }
        Ok(())
    }
}

/// Returns whether the layer before it reduces channels by a 1x1 convolution, like the first of a bottleneck.
fn is_inside_bottleneck(facts: &Facts<'_>, id: NodeId) -> bool {
    let light =
        |layer: &Layer| matches!(layer.doc().category, Category::Activation | Category::Normalisation);
    let Some(before) = facts.before(id, light) else { return false };
    let pointwise =
        facts.windows(before).is_some_and(|windows| windows.iter().all(|window| window.kernel == 1));
    let reads = facts.node(before).inputs.first().map(|&input| facts.node(input).shape.channels());
    pointwise
        && matches!(facts.layer(before), Some(Layer::Conv(_)))
        && reads > Some(facts.node(before).shape.channels())
}
