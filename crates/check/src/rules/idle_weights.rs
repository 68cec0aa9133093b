//! CK409: a part of a layer's weights that acts on no output: taps that read only padding, channels without a reader.

use super::{Context, Family, Finding, Location, Meta, Rule, Severity};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::AxisReach;
use cnnkit_core::number;

/// See the module documentation.
#[derive(Debug)]
pub struct IdleWeights;

static META: Meta = Meta {
    id: "CK409",
    name: "idle-weights",
    family: Family::Redundancy,
    severity: Severity::Warning,
    default: true,
    summary: "a part of a layer's weights acts on no output",
    what: "Propagates what the outputs read back through the network, element by element and with borders. \
           Fires if some parameters of a layer act on no output although others do: taps of a kernel that \
           read only padding at every position of the window (zeros of a `pad` layer included), or channels \
           that a slice leaves out.",
    why: "They are stored, loaded and counted, but get no gradient and keep their initial values. A 3x3 \
          kernel whose rate is as large as its map is a 1x1 kernel with eight useless weights.",
    instead: "Use a rate or a kernel that fits the map, and no more channels than are read.",
    source: "Chen et al. 2017, Rethinking Atrous Convolution for Semantic Image Segmentation, section 3.3 (the filter \
             weights that stay valid)",
    bad: "input: [8, 16, 16]
layers:
  - conv: {out_channels: 8, kernel: 3, dilation: 16, padding: 16}
",
    good: "input: [8, 16, 16]
layers:
  - conv: {out_channels: 8, kernel: 3, dilation: 4, padding: 4}
",
    settings: &[],
    fixes: false,
};

impl Rule for IdleWeights {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn check(&self, context: &Context<'_>, found: &mut Vec<Finding>) -> Result<(), Problem> {
        let facts = context.facts;
        let mut all = facts.idle()?.iter().peekable();
        while let Some(first) = all.next() {
            let (mut unused, mut taps) = (first.elements - first.used, first.taps);
            while let Some(more) = all.next_if(|more| more.node == first.node) {
                unused += more.elements - more.used;
                taps = taps.or(more.taps);
            }
            let node = facts.node(first.node);
            let params = facts.counts(first.node).params;
            // A layer without readers is CK405, one without a gradient CK406.
            if unused >= params {
                continue;
            }
            let act = if unused == 1 { "acts" } else { "act" };
            let mut message = format!(
                "{} of the {} parameters of `{}` {act} on no output ({})",
                number::grouped(unused),
                number::grouped(params),
                node.id,
                number::share(unused as f64 / params as f64)
            );
            let dilated = facts.graph.reach(node).iter().flat_map(|reach| &reach.axes).any(|axis| {
                matches!(axis, AxisReach::Window { window, .. } | AxisReach::Transposed { window, .. } if window.dilation > 1)
            });
            let (place, help) = match taps {
                Some((idle, taps)) => {
                    message += &format!(": {idle} of the {taps} taps of its kernel read only padding");
                    let argument = if dilated { "dilation" } else { "padding" };
                    (Location::Argument(first.node, argument), "use a rate or a kernel that fits the map")
                }
                None => (Location::Node(first.node), "use no more channels than are read"),
            };
            found.push(Finding::new(place, message).help(help));
        }
        Ok(())
    }
}
