//! CK501: a large kernel that a stack of 3x3 kernels can replace.

use super::{Context, Family, Finding, Location, Meta, Rule, Severity};
use cnnkit_core::analysis::savings;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::number;

/// See the module documentation.
#[derive(Debug)]
pub struct LargeKernel;

static META: Meta = Meta {
    id: "CK501",
    name: "large-kernel",
    family: Family::Cost,
    severity: Severity::Note,
    default: false,
    summary: "a large kernel that a stack of 3x3 convolutions can replace with the same receptive field",
    what: "Checks convolutions of stride 1 without dilation whose kernel is odd and at least 5 on every \
           axis on which it is not 1. Fires if (K - 1) / 2 consecutive convolutions of 3, with the same \
           channels and groups, have fewer parameters.",
    why: "Two 3x3 convolutions have the receptive field of a 5x5 with 18 instead of 25 weights per pair of \
          channels, and an activation between them.",
    instead: "Write the stack: the first from the input channels to the output channels, the others from \
              output channels to output channels. Large depthwise kernels may be intended (ConvNeXt, \
              RepLKNet).",
    source: "Simonyan & Zisserman 2015, Very Deep Convolutional Networks, section 2.3; Szegedy et al. 2016, \
             Rethinking the Inception Architecture, section 3.1",
    bad: "input: [32, 28, 28]
layers:
  - conv: {out_channels: 32, kernel: 5, padding: 2}
",
    good: "input: [32, 28, 28]
layers:
  - conv: {out_channels: 32, kernel: 3, padding: 1}
  - relu
  - conv: {out_channels: 32, kernel: 3, padding: 1}
",
    settings: &[],
    fixes: false,
};

impl Rule for LargeKernel {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn check(&self, context: &Context<'_>, found: &mut Vec<Finding>) -> Result<(), Problem> {
        let facts = context.facts;
        for (id, node, _) in facts.layers() {
            let Some(saving) = savings::stacked(facts.graph, id) else { continue };
            if saving.params >= facts.counts(id).params {
                continue;
            }
            let before = facts.counts(id);
            let shape = |taps: &[u64]| taps.iter().map(u64::to_string).collect::<Vec<_>>().join("x");
            let less = 1.0 - saving.params as f64 / before.params as f64;
            let mut message = format!(
                "{} convolutions of {} have the receptive field of this {} with {} instead of {} parameters ({} less)",
                saving.layers,
                shape(&saving.kernel),
                shape(&node.weights[0].shape.sizes()[2..]),
                number::grouped(saving.params),
                number::grouped(before.params),
                number::share(less)
            );
            if let Some(macs) = saving.macs {
                message += &format!(
                    " and {} instead of {} MACs",
                    number::magnitude(macs),
                    number::magnitude(before.macs)
                );
            }
            found.push(
                Finding::new(Location::Argument(id, "kernel"), message)
                    .help("stack smaller kernels with an activation between them"),
            );
        }
        Ok(())
    }
}
