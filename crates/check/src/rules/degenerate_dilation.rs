//! CK305: a dilated kernel with so many taps on padding that it degenerates to a 1x1 kernel.

use super::{Context, Family, Finding, Location, Meta, Rule, Setting, Severity};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::number;

/// See the module documentation.
#[derive(Debug)]
pub struct DegenerateDilation;

static META: Meta = Meta {
    id: "CK305",
    name: "degenerate-dilation",
    family: Family::Gridding,
    severity: Severity::Warning,
    default: true,
    summary: "a dilated kernel has a single tap on the feature map",
    what: "Counts for every dilated convolution, position by position, how many taps lie on the feature \
           map, not on padding. Fires if a single tap does at more than the share `single` of all \
           positions.",
    why: "Taps on padding read zeros. At rate 63 on a 65x65 map a 3x3 kernel reads one element nearly \
          everywhere: the other eight weights are useless, and the layer has no context at all.",
    instead: "Use a rate that fits the map (twice the rate is less than its size), or image-level features by \
              global pooling, as DeepLab v3 does.",
    source: "Chen et al. 2017, Rethinking Atrous Convolution for Semantic Image Segmentation, section 3.3, figure \
             4",
    bad: "input: [8, 16, 16]
layers:
  - conv: {out_channels: 8, kernel: 3, dilation: 15, padding: same}
",
    good: "input: [8, 16, 16]
layers:
  - conv: {out_channels: 8, kernel: 3, dilation: 3, padding: same}
",
    settings: &[Setting {
        name: "single",
        value: 0.5,
        doc: "share of the positions with a single tap on the map",
    }],
    fixes: false,
};

impl Rule for DegenerateDilation {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn check(&self, context: &Context<'_>, found: &mut Vec<Finding>) -> Result<(), Problem> {
        let facts = context.facts;
        for taps in facts.taps_valid() {
            if taps.single_share <= context.setting("single") {
                continue;
            }
            let join = |list: &[u64]| list.iter().map(u64::to_string).collect::<Vec<_>>().join("x");
            let message = format!(
                "at rate {} on a {} map, {} of the positions use a single tap of the {} kernel: it has become a 1x1 kernel",
                number::per_axis(&taps.rates),
                join(&taps.map),
                number::share(taps.single_share),
                join(&taps.kernel)
            );
            let fits = taps.map.iter().min().map_or(0, |size| (size.saturating_sub(1)) / 2).max(1);
            found.push(
                Finding::new(Location::Argument(taps.node, "dilation"), message)
                    .help(format!("a rate of at most {fits} keeps all taps on the map; `global_avg_pool` gives image-level context")),
            );
        }
        Ok(())
    }
}
