//! CK307: a transposed convolution whose kernel is not divisible by its stride produces a checkerboard.

use super::{Context, Family, Finding, Location, Meta, Rule, Severity};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::Layer;
use cnnkit_core::layers::window::Window;

/// See the module documentation.
#[derive(Debug)]
pub struct UnevenOverlap;

static META: Meta = Meta {
    id: "CK307",
    name: "uneven-overlap",
    family: Family::Gridding,
    severity: Severity::Warning,
    default: true,
    summary: "the kernel of a transposed convolution is not divisible by its stride",
    what: "Counts for every transposed convolution how many kernel taps overlap at each output position. \
           Fires if the numbers differ.",
    why: "Where more taps overlap, outputs are larger: a checkerboard over the whole image, which training \
          weakens but does not remove.",
    instead: "Use a kernel that the stride divides (4 at stride 2), or `upsample` followed by a convolution, \
              which overlaps evenly by construction.",
    source: "Odena, Dumoulin & Olah 2016, Deconvolution and Checkerboard Artifacts, Distill",
    bad: "input: [8, 16, 16]
layers:
  - conv_transpose: {out_channels: 8, kernel: 3, stride: 2, padding: 1, output_padding: 1}
",
    good: "input: [8, 16, 16]
layers:
  - conv_transpose: {out_channels: 8, kernel: 4, stride: 2, padding: 1}
",
    settings: &[],
    fixes: false,
};

impl Rule for UnevenOverlap {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn check(&self, context: &Context<'_>, found: &mut Vec<Finding>) -> Result<(), Problem> {
        let facts = context.facts;
        for (id, node, layer) in facts.layers() {
            let Layer::ConvTranspose(conv) = layer else { continue };
            let windows = conv.windows(facts.node(node.inputs[0]).shape.spatial())?;
            let counts: Vec<(u64, u64)> = windows.iter().map(Window::overlap).collect();
            let Some(axis) = counts.iter().position(|(fewest, most)| fewest != most) else { continue };
            let (fewest, most) = counts.iter().fold((1u64, 1u64), |(low, high), (fewest, most)| {
                (low.saturating_mul(*fewest), high.saturating_mul(*most))
            });
            let (kernel, stride) = (windows[axis].kernel, windows[axis].stride);
            let spread = match windows[axis].dilation {
                1 => format!("a kernel of {kernel} is not divisible by the stride {stride}"),
                rate => format!(
                    "a kernel of {kernel} with dilation {rate} does not spread evenly over the stride {stride}"
                ),
            };
            let message = format!("{spread}: from {fewest} to {most} taps meet at an output, a checkerboard");
            let below = kernel / stride * stride;
            let sizes = if below > 0 { format!("{below} or {}", below + stride) } else { stride.to_string() };
            found.push(
                Finding::new(Location::Argument(id, "kernel"), message)
                    .help(format!("use a kernel of {sizes}, or `upsample` and a convolution")),
            );
        }
        Ok(())
    }
}
