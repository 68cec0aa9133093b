//! CK205: a merge whose operands are centred on different positions of the input.

use std::collections::HashSet;

use super::{Context, Family, Finding, Location, Meta, Rule, Setting, Severity};
use cnnkit_core::diagnostic::Problem;
use num_traits::ToPrimitive as _;

use cnnkit_core::graph::NodeId;

/// See the module documentation.
#[derive(Debug)]
pub struct MisalignedMerge;

static META: Meta = Meta {
    id: "CK205",
    name: "misaligned-merge",
    family: Family::ReceptiveField,
    severity: Severity::Warning,
    default: false,
    summary: "a merge joins maps that are centred on different input positions",
    what: "Compares the operands of every merge: input elements from one unit to the next, and the centre of unit \
           0. Fires if the steps differ, so that the maps drift apart, or if the centres differ by at least \
           `offset` steps of the merged map. Causal paths (WaveNet, TCN) are compared by their last position.",
    why: "The values added or concatenated at one position describe different places of the image. The next \
          layers must learn to compensate, and the receptive field becomes asymmetric.",
    instead: "Give the paths paddings and crops with the same centre: symmetric padding of (K - 1) / 2 with \
              odd kernels, a crop on both sides.",
    source: "Araujo, Norris & Sim 2019, Computing Receptive Fields of Convolutional Neural Networks, Distill, \
             section on arbitrary computation graphs",
    bad: "input: [8, 32, 32]
layers:
  - branches:
      - [conv: {out_channels: 8, kernel: 3, stride: 2, padding: 1}]
      - [upsample: {size: 16}]
      - [slice: {axis: 1, start: 2, end: 18}, slice: {axis: 2, start: 2, end: 18}]
",
    good: "input: [8, 32, 32]
layers:
  - branches:
      - [conv: {out_channels: 8, kernel: 3, stride: 2, padding: 1}]
      - [conv: {out_channels: 8, kernel: 1, stride: 2}]
",
    settings: &[Setting {
        name: "offset",
        value: 1.0,
        doc: "minimum distance of the centres, in steps of the merged map",
    }],
    fixes: false,
};

/// Most operands that are named: layer `l` of a dense block has `l`.
const MOST_PATHS: usize = 16;

impl Rule for MisalignedMerge {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn check(&self, context: &Context<'_>, found: &mut Vec<Finding>) -> Result<(), Problem> {
        let facts = context.facts;
        let limit = context.setting("offset");
        let mut seen: HashSet<NodeId> = HashSet::new();
        for merge in &facts.fields()?.misaligned {
            if seen.contains(&merge.node) {
                continue;
            }
            let jump =
                merge.paths.iter().map(|path| path.jump).max().and_then(|jump| jump.to_f64()).unwrap_or(1.0);
            let offset = merge.offset().to_f64().unwrap_or(0.0);
            let units = offset / jump.max(f64::MIN_POSITIVE);
            if !merge.drifts() && units < limit {
                continue;
            }
            seen.insert(merge.node);
            let name = &facts.node(merge.node).id;
            let message = if merge.drifts() {
                let mut jumps: Vec<String> =
                    merge.paths.iter().take(MOST_PATHS).map(|path| path.jump.to_string()).collect();
                let more = merge.paths.len().saturating_sub(MOST_PATHS);
                jumps.extend((more > 0).then(|| format!("{more} more")));
                format!(
                    "the operands of `{name}` step {} input positions per unit on spatial axis {}: they drift apart",
                    jumps.join(" and "),
                    merge.axis
                )
            } else {
                let positions = if offset == 1.0 { "position" } else { "positions" };
                let axis = merge.axis;
                format!(
                    "the operands of `{name}` are centred {offset} input {positions} apart on spatial axis {axis}: {units} x the step of its map"
                )
            };
            let mut finding = Finding::new(Location::Node(merge.node), message);
            for path in merge.paths.iter().take(MOST_PATHS) {
                let id = &facts.node(path.node).id;
                finding = finding.related(
                    Location::Node(path.node),
                    format!("unit 0 of `{id}` is centred at {}", path.centre),
                );
            }
            found.push(finding.help(
                "give the paths paddings and crops that keep one centre; `cnnkit rf` shows jumps and centres",
            ));
        }
        Ok(())
    }
}
