//! CK306: parallel dilated convolutions (ASPP) whose rates are too large for the map.

use super::{Context, Family, Finding, Location, Meta, Rule, Setting, Severity};
use std::collections::{HashMap, HashSet};

use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::NodeId;
use cnnkit_core::number;

/// See the module documentation.
#[derive(Debug)]
pub struct OversizedParallelRate;

static META: Meta = Meta {
    id: "CK306",
    name: "oversized-parallel-rate",
    family: Family::Gridding,
    severity: Severity::Note,
    default: false,
    summary: "a rate of parallel dilated convolutions is too large for the feature map",
    what: "Checks parallel dilated convolutions that read one map at different rates (atrous spatial \
           pyramid pooling). Fires at those with all taps on the map at less than the share `full` of the \
           positions.",
    why: "Rates are chosen for one output stride and crop size. On a smaller map most taps of the large \
          rates read padding, and the branch meant for the widest context gets the least.",
    instead: "Scale the rates with the map: DeepLab v3 uses 6, 12, 18 at output stride 16 and twice as much \
              at 8, for crops of 513; or train and test at the size for which they were chosen.",
    source: "Chen et al. 2017, Rethinking Atrous Convolution for Semantic Image Segmentation, section 3.3",
    bad: "input: [8, 16, 16]
layers:
  - branches:
      - [conv: {out_channels: 8, kernel: 3, dilation: 6, padding: same}]
      - [conv: {out_channels: 8, kernel: 3, dilation: 12, padding: same}]
",
    good: "input: [8, 33, 33]
layers:
  - branches:
      - [conv: {out_channels: 8, kernel: 3, dilation: 6, padding: same}]
      - [conv: {out_channels: 8, kernel: 3, dilation: 12, padding: same}]
",
    settings: &[Setting {
        name: "full",
        value: 0.05,
        doc: "minimum share of the positions with all taps on the map",
    }],
    fixes: false,
};

impl Rule for OversizedParallelRate {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn check(&self, context: &Context<'_>, found: &mut Vec<Finding>) -> Result<(), Problem> {
        let facts = context.facts;
        // The rates of the parallel convolutions that read each map.
        let mut rates: HashMap<NodeId, HashSet<&[u64]>> = HashMap::new();
        for taps in facts.taps_valid() {
            let source = facts.node(taps.node).inputs[0];
            rates.entry(source).or_default().insert(&taps.rates);
        }
        for taps in facts.taps_valid() {
            let source = facts.node(taps.node).inputs[0];
            let parallel = rates.get(&source).is_some_and(|rates| rates.len() > 1);
            if !parallel || taps.full_share >= context.setting("full") {
                continue;
            }
            let map: Vec<String> = taps.map.iter().map(u64::to_string).collect();
            let full = if taps.full_share > 0.0 {
                format!("{} of the positions use all taps", number::share(taps.full_share))
            } else {
                "no position uses all taps".into()
            };
            let message = format!(
                "at rate {} on a {} map, {full}, and {} of all taps read padding",
                number::per_axis(&taps.rates),
                map.join("x"),
                number::share(1.0 - taps.mean_share)
            );
            found.push(
                Finding::new(Location::Argument(taps.node, "dilation"), message)
                    .help("scale the rates with the map, or use a larger input"),
            );
        }
        Ok(())
    }
}
