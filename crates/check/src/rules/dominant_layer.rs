//! CK505: a single layer with most of the parameters.

use super::{Context, Family, Finding, Location, Meta, Rule, Setting, Severity};
use cnnkit_core::analysis::paths::is_weighted;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::number;

/// See the module documentation.
#[derive(Debug)]
pub struct DominantLayer;

static META: Meta = Meta {
    id: "CK505",
    name: "dominant-layer",
    family: Family::Cost,
    severity: Severity::Note,
    default: false,
    summary: "one layer has a large share of all parameters",
    what: "Compares the parameters of every layer with those of the network. Fires above the share `share`, in \
           networks of at least `layers` layers with weights.",
    why: "Such a layer determines the size of the model file and overfits first; the others hardly matter. \
          Savings are found here.",
    instead: "Factor it, pool before it, or share it; `cnnkit params` lists the parameters of each layer.",
    source: "Simonyan & Zisserman 2015: the first fully connected layer of VGG-16 holds 74 % of its parameters",
    bad: "input: [3, 32, 32]
layers:
  - conv: {out_channels: 8, kernel: 3}
  - conv: {out_channels: 8, kernel: 3}
  - conv: {out_channels: 8, kernel: 3}
  - flatten
  - linear: {out_features: 100}
",
    good: "input: [3, 32, 32]
layers:
  - conv: {out_channels: 8, kernel: 3}
  - conv: {out_channels: 8, kernel: 3}
  - conv: {out_channels: 8, kernel: 3}
  - global_avg_pool
  - linear: {out_features: 16}
",
    settings: &[
        Setting { name: "share", value: 0.5, doc: "largest share of all parameters that one layer may have" },
        Setting { name: "layers", value: 4.0, doc: "minimum number of layers with weights" },
    ],
    fixes: false,
};

impl Rule for DominantLayer {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn check(&self, context: &Context<'_>, found: &mut Vec<Finding>) -> Result<(), Problem> {
        let facts = context.facts;
        let total = facts.totals().params;
        let weighted =
            facts.layers().filter(|(_, node, _)| is_weighted(node) && node.shares.is_none()).count();
        if (weighted as f64) < context.setting("layers") || total == 0 {
            return Ok(());
        }
        for (id, node, _) in facts.layers() {
            let params = facts.counts(id).params;
            let share = params as f64 / total as f64;
            if share <= context.setting("share") {
                continue;
            }
            let message = format!(
                "`{}` has {} of the {} parameters ({})",
                node.id,
                number::grouped(params),
                number::grouped(total),
                number::share(share)
            );
            found.push(
                Finding::new(Location::Node(id), message)
                    .help("pool before it, factor it into two thin layers, or use fewer outputs"),
            );
        }
        Ok(())
    }
}
