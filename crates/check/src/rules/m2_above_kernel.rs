//! CK302: M_2 of the published rule of hybrid dilated convolution exceeds the kernel.

use super::{Context, Family, Finding, Location, Meta, Rule, Severity};
use cnnkit_core::analysis::hdc;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::number;

/// See the module documentation.
#[derive(Debug)]
pub struct M2AboveKernel;

static META: Meta = Meta {
    id: "CK302",
    name: "m2-above-kernel",
    family: Family::Gridding,
    severity: Severity::Note,
    default: false,
    summary: "the rates of a chain break the published rule M_2 <= K",
    what: "Applies the published rule to every chain of convolutions with one kernel size K: M_n = r_n and \
           M_i = max(M_{i+1} - 2 r_i, M_{i+1} - 2 (M_{i+1} - r_i), r_i), with M_2 <= K as the goal, for \
           each period of a sawtooth. The message also gives the exact verdict, because the two differ in \
           both directions.",
    why: "The rule is what papers and reviewers quote. It is neither necessary (1, 4, 2 has M_2 = 6 and no hole) \
          nor sufficient (2, 2, 3 has M_2 = 2 and holes); `holes-between-rates` judges by the exact coverage, and \
          is on by default.",
    instead: "Use rates that pass both, such as 1, 2, 5; `cnnkit hdc-check` explains each step.",
    source: "Wang et al. 2018, Understanding Convolution for Semantic Segmentation, section 3.2, equation 2",
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
  - conv: {out_channels: 8, kernel: 3, dilation: 5, padding: same}
",
    settings: &[],
    fixes: false,
};

impl Rule for M2AboveKernel {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn check(&self, context: &Context<'_>, found: &mut Vec<Finding>) -> Result<(), Problem> {
        let facts = context.facts;
        for chain in &facts.chains()?.chains {
            for axis in 0..chain.rates.len() {
                let taps = chain.rates[axis].iter().zip(&chain.kernels[axis]).filter(|(_, taps)| **taps > 1);
                let (rates, kernels): (Vec<u64>, Vec<u64>) = taps.unzip();
                let Some(&kernel) = kernels.first() else { continue };
                if rates.len() < 2 || kernels.iter().any(|&other| other != kernel) {
                    continue;
                }
                let rule = hdc::Rule::of(kernel, &rates);
                let Some(group) = rule.groups.iter().find(|group| !group.m2_ok) else { continue };
                let offsets = &facts.gridding(chain)?.axes[axis].offsets;
                let holes = offsets.size() - offsets.covered();
                let exact = match holes {
                    0 => format!("yet all {} positions are read", number::grouped(offsets.size())),
                    holes => format!(
                        "and {} of {} positions are not read",
                        number::grouped(holes),
                        number::grouped(offsets.size())
                    ),
                };
                let message = format!(
                    "the rates {} have M_2 = {}, above the kernel of {kernel}, {exact} on spatial axis {axis}",
                    number::list(&group.rates),
                    group.m2
                );
                found.push(
                    Finding::new(Location::Argument(chain.nodes[0], "dilation"), message)
                        .help("`cnnkit hdc-check` explains the rule and the exact verdict"),
                );
                break;
            }
        }
        Ok(())
    }
}
