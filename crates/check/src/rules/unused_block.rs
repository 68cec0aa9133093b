//! CK101: a block that is defined and never used.

use super::{Context, Family, Finding, Location, Meta, Rule, Severity};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::spec::names;

/// See the module documentation.
#[derive(Debug)]
pub struct UnusedBlock;

static META: Meta = Meta {
    id: "CK101",
    name: "unused-block",
    family: Family::Style,
    severity: Severity::Warning,
    default: true,
    summary: "a block that the spec defines and never uses",
    what: "Checks the blocks of the spec's own file. Fires if neither the network nor a used block names \
           it, as a layer, as an argument or in a variable. Blocks of included files are exempt, because \
           other specs use them as well.",
    why: "An unused block is never expanded, so its shapes are never checked and nobody notices when it \
          breaks. It misleads the reader, or its use was forgotten.",
    instead: "Use it, or remove it.",
    source: "dead code; as clippy's `dead_code` and ruff's F841",
    bad: "input: [3, 32, 32]
blocks:
  unit: [conv: {out_channels: 8, kernel: 3}, relu]
layers:
  - conv: {out_channels: 8, kernel: 3}
",
    good: "input: [3, 32, 32]
blocks:
  unit: [conv: {out_channels: 8, kernel: 3}, relu]
layers:
  - unit
",
    settings: &[],
    fixes: false,
};

impl Rule for UnusedBlock {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn check(&self, context: &Context<'_>, found: &mut Vec<Finding>) -> Result<(), Problem> {
        let Some(document) = context.facts.document else { return Ok(()) };
        for key in names::unused_blocks(document) {
            let message = format!("the block `{}` is never used", key.name);
            found.push(Finding::new(Location::Token(key.span), message).help("use it, or remove it"));
        }
        Ok(())
    }
}
