//! CK206: an even kernel at stride 1 shifts the map by half a position.

use super::{Context, Family, Finding, Location, Meta, Rule, Severity};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::Layer;
use cnnkit_core::layers::args::Padding;

/// See the module documentation.
#[derive(Debug)]
pub struct OffCentreKernel;

static META: Meta = Meta {
    id: "CK206",
    name: "off-centre-kernel",
    family: Family::ReceptiveField,
    severity: Severity::Warning,
    default: true,
    summary: "an even kernel at stride 1 shifts the map by half a position",
    what: "Checks stride-1 convolutions and pools with padding `same` or `same_lower` whose dilated kernel \
           spans an even number of positions. Padding given per side and causal padding count as intended.",
    why: "An even span has no middle: the odd element of padding goes to one side, and every output is \
          centred half a position away from its input. The shifts of consecutive layers add up, and a \
          shortcut past them is no longer aligned.",
    instead: "Use an odd kernel, or pairs that shift back and forth (`same`, then `same_lower`).",
    source: "Wu et al. 2019, Convolution with even-sized kernels and symmetric padding, section 3.1",
    bad: "input: [8, 32, 32]
layers:
  - conv: {out_channels: 8, kernel: 4, padding: same}
",
    good: "input: [8, 32, 32]
layers:
  - conv: {out_channels: 8, kernel: 3, padding: same}
",
    settings: &[],
    fixes: false,
};

impl Rule for OffCentreKernel {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn check(&self, context: &Context<'_>, found: &mut Vec<Finding>) -> Result<(), Problem> {
        let facts = context.facts;
        for (id, _, layer) in facts.layers() {
            let padding = match layer {
                Layer::Conv(conv) => &conv.padding,
                Layer::DeformConv(conv) => &conv.padding,
                Layer::MaxPool(pool) => &pool.padding,
                Layer::AvgPool(pool) => &pool.padding,
                _ => continue,
            };
            if !matches!(padding, Padding::Same | Padding::SameLower) {
                continue;
            }
            for (axis, window) in facts.windows(id).iter().flatten().enumerate() {
                let extent = window.extent()?;
                if window.stride == 1 && extent % 2 == 0 {
                    let on = if facts.node(id).shape.spatial().len() == 1 {
                        String::new()
                    } else {
                        format!(" on spatial axis {axis}")
                    };
                    let message = format!(
                        "a kernel that spans {extent} positions has no middle: the map shifts by half a position{on}"
                    );
                    let help = format!("use a kernel that spans {} or {}", extent - 1, extent + 1);
                    found.push(Finding::new(Location::Argument(id, "kernel"), message).help(help));
                    break;
                }
            }
        }
        Ok(())
    }
}
