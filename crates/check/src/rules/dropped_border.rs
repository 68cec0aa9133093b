//! CK204: rows or columns at the border of a map that no layer reads, because sizes do not divide evenly.

use super::{Context, Family, Finding, Location, Meta, Rule, Severity};
use cnnkit_core::diagnostic::Problem;

/// See the module documentation.
#[derive(Debug)]
pub struct DroppedBorder;

static META: Meta = Meta {
    id: "CK204",
    name: "dropped-border",
    family: Family::ReceptiveField,
    severity: Severity::Note,
    default: false,
    summary: "rows or columns at the border are dropped because sizes do not divide evenly",
    what: "Checks the rows of a feature map that each reader reads. Fires if no reader reads whole rows or \
           columns before the first or after the last window; a stride that skips rows everywhere is \
           `skipped-positions`.",
    why: "The values computed there are silently discarded, the map is sampled off its centre, and a \
          decoder that doubles the size again does not return to the original positions.",
    instead: "Choose an input size that divides evenly (`cnnkit sizes` lists those that lose nothing), pad \
              the missing rows, or let a pool count its last window with `ceil_mode: true`.",
    source: "Dumoulin & Visin 2016, A guide to convolution arithmetic for deep learning, section 2.4",
    bad: "input: [8, 31, 31]
layers:
  - max_pool: {kernel: 2, stride: 2}
",
    good: "input: [8, 32, 32]
layers:
  - max_pool: {kernel: 2, stride: 2}
",
    settings: &[],
    fixes: false,
};

impl Rule for DroppedBorder {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn check(&self, context: &Context<'_>, found: &mut Vec<Finding>) -> Result<(), Problem> {
        let facts = context.facts;
        for map in facts.unread()? {
            let sizes = facts.node(map.node).shape.spatial();
            let rows = map.border.iter().zip(&map.gap);
            let Some(axis) = rows.clone().position(|((before, after), gap)| before + after > *gap) else {
                continue;
            };
            let Some(&reader) = map.readers.first() else { continue };
            let (before, after) = map.border[axis];
            let side = match (before, after) {
                (0, after) => format!("the last {after}"),
                (before, 0) => format!("the first {before}"),
                (before, after) => format!("the first {before} and the last {after}"),
            };
            let everywhere = map.border.iter().all(|rows| *rows == map.border[axis]);
            let axis_name = match (sizes.len(), everywhere) {
                (1, _) => String::new(),
                (_, true) => " on each axis".into(),
                _ => format!(" on spatial axis {axis}"),
            };
            let message = format!(
                "{side} of the {} rows of `{}` are never read{axis_name}",
                sizes[axis],
                facts.node(map.node).id
            );
            found.push(
                Finding::new(Location::Argument(reader, "stride"), message)
                    .help("`cnnkit sizes` lists the input sizes that lose nothing; padding, or `ceil_mode: true` of a pool, keeps the border"),
            );
        }
        Ok(())
    }
}
