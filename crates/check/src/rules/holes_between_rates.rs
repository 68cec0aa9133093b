//! CK303: the dilation rates of a chain leave positions inside the receptive field that are never read.

use super::common_divisor::divisor;
use super::{Context, Family, Finding, Location, Meta, Rule, Severity};
use cnnkit_core::analysis::gridding::criterion;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::number;

/// See the module documentation.
#[derive(Debug)]
pub struct HolesBetweenRates;

static META: Meta = Meta {
    id: "CK303",
    name: "holes-between-rates",
    family: Family::Gridding,
    severity: Severity::Warning,
    default: true,
    summary: "the dilation rates of a chain leave holes in its receptive field",
    what: "Computes, for every chain of two or more stride-1 convolutions, exactly which positions their taps \
           reach. Fires if positions inside the box are not reached, unless the rates share a divisor, which is \
           `common-divisor`.",
    why: "The outputs do not depend on the positions in the holes, however large the stated receptive field \
          is. Schedules that pass the published rule of M_2 may still have holes (2, 2, 3), and others that \
          break it may have none (1, 4, 2).",
    instead: "Lower the rate that the message names to its limit, or add smaller rates. Sorted ascending, a \
              rate leaves no hole if it is at most 1 + (K - 1) times the sum of the rates before it.",
    source: "Wang et al. 2018, Understanding Convolution for Semantic Segmentation, section 3.2; the exact \
             criterion is explained in docs/hdc.md",
    bad: "input: [8, 64, 64]
layers:
  - conv: {out_channels: 8, kernel: 3, dilation: 1, padding: same}
  - conv: {out_channels: 8, kernel: 3, dilation: 2, padding: same}
  - conv: {out_channels: 8, kernel: 3, dilation: 9, padding: same}
",
    good: "input: [8, 64, 64]
layers:
  - conv: {out_channels: 8, kernel: 3, dilation: 1, padding: same}
  - conv: {out_channels: 8, kernel: 3, dilation: 2, padding: same}
  - conv: {out_channels: 8, kernel: 3, dilation: 7, padding: same}
",
    settings: &[],
    fixes: false,
};

impl Rule for HolesBetweenRates {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn check(&self, context: &Context<'_>, found: &mut Vec<Finding>) -> Result<(), Problem> {
        let facts = context.facts;
        for chain in &facts.chains()?.chains {
            let axes = 0..chain.rates.len();
            let several = |axis: usize| chain.kernels[axis].iter().filter(|&&taps| taps > 1).count() > 1;
            if !axes.clone().any(several) || axes.clone().any(|axis| divisor(chain, axis) > 1) {
                continue;
            }
            let gridding = facts.gridding(chain)?;
            let Some(axis) =
                axes.into_iter().find(|&axis| several(axis) && !gridding.axes[axis].offsets.hole_free())
            else {
                continue;
            };
            let offsets = &gridding.axes[axis].offsets;
            // The criterion determines which rate is too large for the smaller ones.
            let bounds = criterion(&gridding.axes[axis].combs)?;
            let Some(bound) = bounds.into_iter().find(|bound| !bound.holds()) else { continue };
            let culprit = chain.nodes.iter().zip(&chain.rates[axis]).zip(&chain.kernels[axis]);
            let culprit = culprit
                .filter(|((_, rate), taps)| **rate == bound.step && **taps > 1)
                .map(|((node, _), _)| *node)
                .next_back();
            let Some(culprit) = culprit else { continue };
            let holes = offsets.size() - offsets.covered();
            let message = format!(
                "the rates {} of a chain leave {} of {} positions unread on spatial axis {axis}: rate {} can be at most {} here",
                number::list(&chain.rates[axis]),
                number::grouped(holes),
                number::grouped(offsets.size()),
                bound.step,
                bound.largest
            );
            let mut finding = Finding::new(Location::Argument(culprit, "dilation"), message);
            if chain.nodes[0] != culprit {
                finding =
                    finding.related(Location::Argument(chain.nodes[0], "dilation"), "the chain starts here");
            }
            found.push(
                finding
                    .help(format!("use a rate of at most {}, or more layers with small rates", bound.largest))
                    .help("`cnnkit gridding` shows the holes, `cnnkit hdc-design` finds rates without any"),
            );
        }
        Ok(())
    }
}
