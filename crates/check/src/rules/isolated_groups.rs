//! CK503: consecutive grouped convolutions whose groups never mix.

use super::{Context, Family, Finding, Location, Meta, Rule, Severity};
use cnnkit_core::diagnostic::Problem;

/// See the module documentation.
#[derive(Debug)]
pub struct IsolatedGroups;

static META: Meta = Meta {
    id: "CK503",
    name: "isolated-groups",
    family: Family::Cost,
    severity: Severity::Warning,
    default: true,
    summary: "consecutive grouped convolutions keep their groups isolated",
    what: "Tracks the channels through grouped (not depthwise) convolutions, shuffles, concatenations and \
           dense layers. Fires at a grouped convolution if it and the grouped convolution before it leave \
           groups of channels that share no input channel.",
    why: "The groups are separate networks side by side: no output channel learns from the other groups' \
          channels, which costs accuracy at the same number of parameters.",
    instead: "Put `- channel_shuffle: {groups: G}` between the two, or a dense 1x1 convolution.",
    source: "Zhang et al. 2018, ShuffleNet, section 3.1, figure 1",
    bad: "input: [16, 32, 32]
layers:
  - conv: {out_channels: 16, kernel: 3, groups: 4}
  - relu
  - conv: {out_channels: 16, kernel: 3, groups: 4}
",
    good: "input: [16, 32, 32]
layers:
  - conv: {out_channels: 16, kernel: 3, groups: 4}
  - channel_shuffle: {groups: 4}
  - relu
  - conv: {out_channels: 16, kernel: 3, groups: 4}
",
    settings: &[],
    fixes: false,
};

impl Rule for IsolatedGroups {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn check(&self, context: &Context<'_>, found: &mut Vec<Finding>) -> Result<(), Problem> {
        let facts = context.facts;
        for seam in facts.seams()? {
            let id = |node| &facts.node(node).id;
            let message = format!(
                "`{}` and `{}` keep {} groups of channels isolated",
                id(seam.first),
                id(seam.second),
                seam.isolated_groups
            );
            found.push(
                Finding::new(Location::Argument(seam.second, "groups"), message)
                    .related(Location::Argument(seam.first, "groups"), "the groups come from here")
                    .help(format!(
                        "put `- channel_shuffle: {{groups: {}}}` or a dense 1x1 conv between them",
                        seam.isolated_groups
                    )),
            );
        }
        Ok(())
    }
}
