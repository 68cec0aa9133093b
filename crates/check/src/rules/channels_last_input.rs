//! CK107: an input whose channels are its last axis.

use super::{Context, Family, Finding, Location, Meta, Rule, Severity};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::Op;
use cnnkit_core::layers::Layer;
use cnnkit_core::shape::Shape;

/// See the module documentation.
#[derive(Debug)]
pub struct ChannelsLastInput;

/// From this size on, an axis is taken for a height or a width.
const LARGE: u64 = 16;

static META: Meta = Meta {
    id: "CK107",
    name: "channels-last-input",
    family: Family::Style,
    severity: Severity::Warning,
    default: true,
    summary: "an input whose channels come last",
    what: "Looks at inputs of three or four axes. Fires on `[H, W, C]` and `[D, H, W, C]` with up to 4 channels, where all other \
           axes are at least 16, unless a `permute` or `reshape` is all that reads the input.",
    why: "Axis 0 is the channel axis. Read as `[C, H, W]`, a colour image of 224 x 224 has 224 channels and a width of 3: \
          the first convolution has 75 times its weights, and all maps have the wrong shape.",
    instead: "Write the channels first: `[3, 224, 224]`.",
    source: "PyTorch's and ONNX's layout is channels first, TensorFlow's and Keras' is channels last (docs/spec.md)",
    bad: "input: [64, 64, 3]
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

impl Rule for ChannelsLastInput {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn check(&self, context: &Context<'_>, found: &mut Vec<Finding>) -> Result<(), Problem> {
        let facts = context.facts;
        if facts.document.is_none() {
            return Ok(());
        }
        for (id, node) in facts.graph.iter().filter(|(_, node)| node.op == Op::Input) {
            let [spatial @ .., channels] = node.shape.sizes() else { continue };
            if spatial.len() < 2 || !(1..=4).contains(channels) || spatial.iter().any(|&size| size < LARGE) {
                continue;
            }
            let moves = |reader| matches!(facts.layer(reader), Some(Layer::Permute(_) | Layer::Reshape(_)));
            let readers = facts.consumers(id);
            if !readers.is_empty() && readers.iter().all(|&reader| moves(reader)) {
                continue;
            }
            let message = format!(
                "the input {} has {} channels and a last axis of {channels}: its channels seem to come last",
                node.shape, spatial[0]
            );
            let first =
                Shape::new(std::iter::once(*channels).chain(spatial.iter().copied()).collect::<Vec<_>>());
            let help = format!("write the channels first: `{first}`");
            found.push(Finding::new(Location::Node(id), message).help(help));
        }
        Ok(())
    }
}
