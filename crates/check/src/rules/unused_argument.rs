//! CK103: an argument of a block that its layers never read.

use super::{Context, Family, Finding, Location, Meta, Rule, Severity};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::spec::names;

/// See the module documentation.
#[derive(Debug)]
pub struct UnusedArgument;

static META: Meta = Meta {
    id: "CK103",
    name: "unused-argument",
    family: Family::Style,
    severity: Severity::Warning,
    default: true,
    summary: "an argument of a block that its layers never read",
    what: "Checks the `args` of each block. Fires if neither its layers, nor the defaults of its other \
           arguments, nor the `defaults` of its file read an argument as `$name`.",
    why: "Every use sets it and nothing changes: a `stride: 2` that does not stride.",
    instead: "Read it as `$name` where it is intended, or remove it from the block and its uses.",
    source: "dead code; as ruff's ARG001 (unused-function-argument)",
    bad: "input: [3, 32, 32]
blocks:
  unit:
    args: {width: ~, stride: 1}
    layers: [conv: {out_channels: $width, kernel: 3}]
layers:
  - unit: {width: 8, stride: 2}
",
    good: "input: [3, 32, 32]
blocks:
  unit:
    args: {width: ~, stride: 1}
    layers: [conv: {out_channels: $width, kernel: 3, stride: $stride}]
layers:
  - unit: {width: 8, stride: 2}
",
    settings: &[],
    fixes: false,
};

impl Rule for UnusedArgument {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn check(&self, context: &Context<'_>, found: &mut Vec<Finding>) -> Result<(), Problem> {
        let Some(document) = context.facts.document else { return Ok(()) };
        for (block, key) in names::unused_arguments(document) {
            let message = format!("the block `{block}` never reads its argument `{}`", key.name);
            let help = format!("read it as `${}`, or remove it from the block and its uses", key.name);
            found.push(Finding::new(Location::Token(key.span), message).help(help));
        }
        Ok(())
    }
}
