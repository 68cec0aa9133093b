//! CK408: a squeeze-and-excitation layer whose bottleneck is too narrow, or absent.

use super::{Context, Family, Finding, Location, Meta, Rule, Setting, Severity};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::Layer;

/// See the module documentation.
#[derive(Debug)]
pub struct SqueezeOutOfRange;

static META: Meta = Meta {
    id: "CK408",
    name: "squeeze-out-of-range",
    family: Family::Redundancy,
    severity: Severity::Warning,
    default: true,
    summary: "a squeeze-and-excitation bottleneck that is too narrow, or wider than its input",
    what: "Checks the inner channels of `squeeze_excite`: the channels divided by `reduction`, rounded \
           down, or `squeeze`. Fires below `least`, and above the channels of the input.",
    why: "A reduction of 16 leaves a single unit of 16 channels: it gates all channels by one number, and its \
          ReLU may die. An inner layer wider than its input is no bottleneck, and costs more than it squeezes.",
    instead: "Set the inner channels directly, as EfficientNet and MobileNetV3 do: `squeeze: 8`, or use a \
              smaller `reduction`.",
    source: "Hu et al. 2018, Squeeze-and-Excitation Networks, section 6.1 (the reduction ratio); Howard et al. \
             2019, MobileNetV3, section 5.3",
    bad: "input: [16, 32, 32]
layers:
  - squeeze_excite: {reduction: 16}
",
    good: "input: [16, 32, 32]
layers:
  - squeeze_excite: {reduction: 4}
",
    settings: &[Setting { name: "least", value: 4.0, doc: "minimum number of inner channels" }],
    fixes: false,
};

impl Rule for SqueezeOutOfRange {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn check(&self, context: &Context<'_>, found: &mut Vec<Finding>) -> Result<(), Problem> {
        let facts = context.facts;
        let least = context.setting("least");
        for (id, node, layer) in facts.layers() {
            let Layer::SqueezeExcite(gate) = layer else { continue };
            // The first weight maps all channels to the bottleneck.
            let Some(&inner) = node.weights.first().and_then(|weight| weight.shape.sizes().first()) else {
                continue;
            };
            let channels = node.shape.channels();
            let argument = if gate.squeeze.is_some() { "squeeze" } else { "reduction" };
            let message = if (inner as f64) < least && inner < channels {
                format!("{channels} channels are squeezed to {inner}, fewer than {least}")
            } else if inner > channels {
                format!("{channels} channels are squeezed to {inner}, which is more")
            } else {
                continue;
            };
            let good = (channels / 4).max(4).min(channels);
            found.push(
                Finding::new(Location::Argument(id, argument), message)
                    .help(format!("give the inner channels: `squeeze: {good}`")),
            );
        }
        Ok(())
    }
}
