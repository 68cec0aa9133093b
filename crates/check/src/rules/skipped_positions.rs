//! CK203: positions of a feature map that no layer reads, because strides exceed kernels.

use super::{Context, Family, Finding, Location, Meta, Rule, Severity};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::number;

/// See the module documentation.
#[derive(Debug)]
pub struct SkippedPositions;

static META: Meta = Meta {
    id: "CK203",
    name: "skipped-positions",
    family: Family::ReceptiveField,
    severity: Severity::Warning,
    default: true,
    summary: "a stride larger than the kernel leaves positions that are never read",
    what: "Checks the rows of a feature map that each reader reads. Fires if no reader at all reads some \
           positions between those that are read; a 1x1 shortcut of stride 2 beside a path that reads \
           everything is fine, and so are layers that cut on purpose (crop, slice).",
    why: "The values computed (or sampled by the camera) at those positions are discarded: a 1x1 \
          convolution of stride 2 ignores three quarters of its input.",
    instead: "Move the stride to a layer whose kernel is at least as large (ResNet-B moves it from the 1x1 \
              to the 3x3 convolution), or pool before the 1x1 convolution (ResNet-D).",
    source: "He et al. 2019, Bag of Tricks for Image Classification with Convolutional Neural Networks, section \
             4.2",
    bad: "input: [8, 32, 32]
layers:
  - conv: {out_channels: 16, kernel: 1, stride: 2}
",
    good: "input: [8, 32, 32]
layers:
  - conv: {out_channels: 16, kernel: 2, stride: 2}
",
    settings: &[],
    fixes: false,
};

impl Rule for SkippedPositions {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn check(&self, context: &Context<'_>, found: &mut Vec<Finding>) -> Result<(), Problem> {
        let facts = context.facts;
        for map in facts.unread()? {
            let sizes = facts.node(map.node).shape.spatial();
            if !map.skips(sizes) {
                continue;
            }
            let Some(&reader) = map.readers.first() else { continue };
            let lost = map.positions - map.read;
            let message = format!(
                "{} of the {} positions of `{}` are never read ({})",
                number::grouped(lost),
                number::grouped(map.positions),
                facts.node(map.node).id,
                number::share(lost as f64 / map.positions as f64)
            );
            let mut finding = Finding::new(Location::Argument(reader, "stride"), message)
                .help("take the stride in a layer whose kernel is at least as large, or pool before it");
            for &other in &map.readers[1..] {
                finding =
                    finding.related(Location::Argument(other, "stride"), "nor does this layer read them");
            }
            found.push(finding);
        }
        Ok(())
    }
}
