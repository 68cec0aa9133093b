//! CK304: an output that does not read every position inside its receptive field.

use super::{Context, Facts, Family, Finding, Location, Meta, Rule, Severity};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::NodeId;
use cnnkit_core::number;

/// See the module documentation.
#[derive(Debug)]
pub struct HolesInSupport;

static META: Meta = Meta {
    id: "CK304",
    name: "holes-in-support",
    family: Family::Gridding,
    severity: Severity::Note,
    default: false,
    summary: "the exact receptive field of an output has holes",
    what: "Computes the exact set of input positions that the unit in the middle of an output reads, over \
           all paths. If an output reads everything, the rule checks the last map before it that does not. \
           Fires if the bounding box has positions that are not read.",
    why: "The size of a receptive field counts the box; positions in a hole have no influence at all. Holes \
          come from dilation, from strides that exceed kernels, and from parallel paths with kernels of \
          different shape (Inception v3 has 12,288).",
    instead: "`cnnkit rf --exact` counts the holes of each layer and shows where they begin.",
    source: "the exact support; Wang et al. 2018, section 3.2, for the case of dilation",
    bad: "input: [8, 64, 64]
layers:
  - conv: {out_channels: 8, kernel: 3, dilation: 2}
",
    good: "input: [8, 64, 64]
layers:
  - conv: {out_channels: 8, kernel: 3, dilation: 1}
",
    settings: &[],
    fixes: false,
};

impl Rule for HolesInSupport {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn check(&self, context: &Context<'_>, found: &mut Vec<Finding>) -> Result<(), Problem> {
        let facts = context.facts;
        for (input, node) in facts.graph.inputs().filter(|(_, node)| !node.shape.spatial().is_empty()) {
            for map in maps(facts, input)? {
                let region = facts.support(map, input)?;
                let (Some(hull), positions) = (region.hull(), region.positions()?) else { continue };
                let area: Option<i128> =
                    hull.iter().try_fold(1i128, |area, span| area.checked_mul(span.size()));
                let Some(area) = area.filter(|&area| area > positions) else { continue };
                let sizes: Vec<String> = hull.iter().map(|span| span.size().to_string()).collect();
                let holes = u64::try_from(area - positions).unwrap_or(u64::MAX);
                let message = format!(
                    "`{}` does not read {} of the {} positions of `{}` inside its field ({})",
                    facts.node(map).id,
                    number::grouped(holes),
                    sizes.join("x"),
                    node.id,
                    number::share(holes as f64 / area as f64)
                );
                found.push(
                    Finding::new(Location::Node(map), message)
                        .help("`cnnkit rf --exact` shows where the holes begin"),
                );
            }
        }
        Ok(())
    }
}

/// Returns the outputs that read a part of `input`; for those that read all of it, the last map that does not.
fn maps(facts: &Facts<'_>, input: NodeId) -> Result<Vec<NodeId>, Problem> {
    let fields = facts.fields()?;
    let partial = |id: NodeId| {
        fields.of(id, input).is_some_and(|field| field.local && field.axes.iter().any(|axis| !axis.whole))
    };
    let mut maps: Vec<NodeId> =
        facts.graph.outputs().iter().copied().filter(|&output| partial(output)).collect();
    if maps.len() < facts.graph.outputs().len() {
        maps.extend(
            facts
                .graph
                .iter()
                .map(|(id, _)| id)
                .filter(|&id| id != input && facts.live(id) && partial(id))
                .last(),
        );
    }
    maps.sort_unstable();
    maps.dedup();
    Ok(maps)
}
