//! CK108: a `linear` on a map, which maps its width.

use super::{Context, Facts, Family, Finding, Location, Meta, Rule, Severity};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::{NodeId, Op};
use cnnkit_core::layers::{Category, Layer};
use cnnkit_core::number;

/// See the module documentation.
#[derive(Debug)]
pub struct MissingFlatten;

static META: Meta = Meta {
    id: "CK108",
    name: "missing-flatten",
    family: Family::Style,
    severity: Severity::Warning,
    default: true,
    summary: "a `linear` on a map: it maps the last spatial axis alone",
    what: "Looks at `linear` layers that read a map with spatial axes: the output of a convolution, a pool, a resize, or an image, \
           also through activations, norms and sums. Fires unless a `flatten`, `permute`, `reshape`, another `linear` or \
           attention stands between. A sequence `[C, L]` counts behind a convolution or a pool.",
    why: "`linear` maps the last axis, as PyTorch's does. On `[16, 32, 32]` its weights go over the 32 columns of each row, \
          and the output is still a map: `[16, 32, 10]` where ten classes were meant.",
    instead: "Add `- flatten`, or `- global_avg_pool`, before it. A map of channels at each place is a `conv` with a kernel of 1.",
    source: "PyTorch nn.Linear",
    bad: "input: [3, 32, 32]
layers:
  - conv: {out_channels: 16, kernel: 3, padding: 1}
  - relu
  - linear: {out_features: 10}
",
    good: "input: [3, 32, 32]
layers:
  - conv: {out_channels: 16, kernel: 3, padding: 1}
  - relu
  - flatten
  - linear: {out_features: 10}
",
    settings: &[],
    fixes: false,
};

impl Rule for MissingFlatten {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn check(&self, context: &Context<'_>, found: &mut Vec<Finding>) -> Result<(), Problem> {
        let facts = context.facts;
        for (id, node, layer) in facts.layers() {
            let (Layer::Linear(_), Some(&input)) = (layer, node.inputs.first()) else { continue };
            let map = &facts.node(input).shape;
            if map.rank() < 2 || !spatial(facts, input) {
                continue;
            }
            let message = format!("`linear` maps the last axis of {map} alone, and gives {}", node.shape);
            let all = map.elements().map_or_else(|_| String::new(), number::grouped);
            let help = format!("is `flatten` missing before it? it would give {all} features");
            found.push(Finding::new(Location::Node(id), message).help(help));
        }
        Ok(())
    }
}

/// Returns whether the last axis of `node` is a spatial one, which the nearest layer before it that creates
/// or moves axes determines.
fn spatial(facts: &Facts<'_>, node: NodeId) -> bool {
    const NEAR: usize = 256;
    let mut at = node;
    for _ in 0..NEAR {
        let rank = facts.node(at).shape.rank();
        let layer = match &facts.node(at).op {
            Op::Input => return rank > 2,
            Op::Layer(layer) => layer,
        };
        match layer {
            Layer::Linear(_) | Layer::Matmul(_) | Layer::Attention(_) => return false,
            Layer::Opaque(_) | Layer::LearnedTensor(_) | Layer::Gather(_) | Layer::Reduce(_) => return false,
            Layer::Upsample(_)
            | Layer::PixelShuffle(_)
            | Layer::PixelUnshuffle(_)
            | Layer::SqueezeExcite(_) => {
                return true;
            }
            Layer::Flatten(_) | Layer::Reshape(_) | Layer::Permute(_) => return false,
            _ if matches!(layer.doc().category, Category::Convolution | Category::Pooling) => return true,
            _ => {}
        }
        match facts.node(at).inputs.first() {
            Some(&before) if facts.node(before).shape.rank() == rank => at = before,
            _ => return false,
        }
    }
    false
}
