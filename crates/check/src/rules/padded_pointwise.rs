//! CK207: padding around a kernel of one tap, which adds a border of constants.

use super::{Context, Family, Finding, Location, Meta, Rule, Severity};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::Layer;
use cnnkit_core::layers::window::Window;
use cnnkit_core::number;

/// See the module documentation.
#[derive(Debug)]
pub struct PaddedPointwise;

static META: Meta = Meta {
    id: "CK207",
    name: "padded-pointwise",
    family: Family::ReceptiveField,
    severity: Severity::Warning,
    default: true,
    summary: "padding around a kernel of one tap adds a border that reads no input",
    what: "Checks convolutions and pools with padding on an axis on which their kernel has one tap.",
    why: "The outputs at the border read only padding: their value is the bias, whatever the input. They \
          cost as much as any output, and they enlarge the map.",
    instead: "Write no padding for a kernel of 1; `same` adds none.",
    source: "follows from the definition of convolution; Dumoulin & Visin 2016, chapter 2",
    bad: "input: [8, 32, 32]
layers:
  - conv: {out_channels: 8, kernel: 1, padding: 1}
",
    good: "input: [8, 32, 32]
layers:
  - conv: {out_channels: 8, kernel: 1}
",
    settings: &[],
    fixes: false,
};

impl Rule for PaddedPointwise {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn check(&self, context: &Context<'_>, found: &mut Vec<Finding>) -> Result<(), Problem> {
        let facts = context.facts;
        for (id, node, layer) in facts.layers() {
            if !matches!(layer, Layer::Conv(_) | Layer::MaxPool(_) | Layer::AvgPool(_)) {
                continue;
            }
            let Some(windows) = facts.windows(id) else { continue };
            let sizes = facts.node(node.inputs[0]).shape.spatial();
            let framed = |window: &Window| window.kernel == 1 && (window.before > 0 || window.after > 0);
            let Some(axis) = windows.iter().position(framed) else { continue };
            // Outputs whose single tap lies on the map, on every axis with one tap; the other outputs are the
            // constant border.
            let outputs = node.shape.spatial();
            let real = windows.iter().zip(sizes).zip(outputs).map(|((window, &size), &outputs)| {
                if framed(window) { inside(window, size, outputs) } else { outputs }
            });
            let all: u64 = outputs.iter().product();
            let frame = all - real.product::<u64>();
            if frame == 0 {
                continue;
            }
            let read = if frame == 1 { "reads" } else { "read" };
            let message = format!(
                "{} of the {} outputs {read} only padding: the kernel has one tap on spatial axis {axis}",
                number::grouped(frame),
                number::grouped(all)
            );
            found.push(
                Finding::new(Location::Argument(id, "padding"), message)
                    .help("remove the padding: a kernel of 1 needs none"),
            );
        }
        Ok(())
    }
}

/// Returns how many of the outputs have their tap on the map of `size`.
fn inside(window: &Window, size: u64, outputs: u64) -> u64 {
    let stride = i128::from(window.stride);
    let first = (i128::from(window.before) + stride - 1).div_euclid(stride);
    let last = (i128::from(size) - 1 + i128::from(window.before)).div_euclid(stride);
    u64::try_from((last.min(i128::from(outputs) - 1) - first + 1).max(0)).unwrap_or(0)
}
