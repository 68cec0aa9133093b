//! CK106: an input whose first axis is the batch.

use super::{Context, Family, Finding, Location, Meta, Rule, Severity};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::Op;
use cnnkit_core::shape::Shape;

/// See the module documentation.
#[derive(Debug)]
pub struct BatchInInput;

/// From this size on, an axis is taken for a height or a width.
const LARGE: u64 = 16;

static META: Meta = Meta {
    id: "CK106",
    name: "batch-in-input",
    family: Family::Style,
    severity: Severity::Warning,
    default: true,
    summary: "an input that starts with a batch, which makes the network three-dimensional",
    what: "Looks at inputs of four axes. Fires on `[1, C, H, W]` with up to 4 channels, and on `[N, 3, H, W]` with N of 5 or more, \
           where H and W are at least 16.",
    why: "The batch is not part of a shape. Read as `[C, D, H, W]`, the image is a volume of one channel and a depth of \
          three: every convolution becomes three-dimensional, and parameters and MACs are those of another network.",
    instead: "Leave the batch out: `[3, 224, 224]`. For a volume that has this shape, say so in a comment: \
              `# cnnkit: ignore[CK106] three slices`.",
    source: "PyTorch and ONNX count the batch as axis 0, this language does not (docs/spec.md)",
    bad: "input: [1, 3, 64, 64]
layers:
  - conv: {out_channels: 8, kernel: 3}
",
    good: "input: [3, 64, 64]
layers:
  - conv: {out_channels: 8, kernel: 3}
",
    settings: &[],
    fixes: false,
};

impl Rule for BatchInInput {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn check(&self, context: &Context<'_>, found: &mut Vec<Finding>) -> Result<(), Problem> {
        let facts = context.facts;
        // The shapes of a model file have no batch axis: the importer removed it.
        if facts.document.is_none() {
            return Ok(());
        }
        for (id, node) in facts.graph.iter().filter(|(_, node)| node.op == Op::Input) {
            let [batch, channels, height, width] = *node.shape.sizes() else { continue };
            let image = height >= LARGE && width >= LARGE;
            let batched = (batch == 1 && (1..=4).contains(&channels)) || (batch > 4 && channels == 3);
            if image && batched {
                let message = format!(
                    "the input {} is a volume of {batch} channel{} and a depth of {channels}",
                    node.shape,
                    if batch == 1 { "" } else { "s" }
                );
                let image = Shape::new([channels, height, width]);
                let help = format!("the batch is not part of the shape: an image is `{image}`");
                found.push(Finding::new(Location::Node(id), message).help(help));
            }
        }
        Ok(())
    }
}
