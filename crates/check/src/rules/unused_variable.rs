//! CK102: a variable that is defined and never read.

use super::{Context, Family, Finding, Location, Meta, Rule, Severity};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::spec::names;

/// See the module documentation.
#[derive(Debug)]
pub struct UnusedVariable;

static META: Meta = Meta {
    id: "CK102",
    name: "unused-variable",
    family: Family::Style,
    severity: Severity::Warning,
    default: true,
    summary: "a variable that is defined and never read",
    what: "Checks the `variables` of each file. Fires if no expression in that file reads one as `$name`. \
           The scope of a variable is its own file.",
    why: "Changing it changes nothing, and `--set` does not warn about that; usually a number was written \
          out where the variable was intended.",
    instead: "Read it where it is intended, or remove it.",
    source: "dead code; as ruff's F841 (unused-variable)",
    bad: "input: [3, 32, 32]
variables: {width: 8}
layers:
  - conv: {out_channels: 8, kernel: 3}
",
    good: "input: [3, 32, 32]
variables: {width: 8}
layers:
  - conv: {out_channels: $width, kernel: 3}
",
    settings: &[],
    fixes: false,
};

impl Rule for UnusedVariable {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn check(&self, context: &Context<'_>, found: &mut Vec<Finding>) -> Result<(), Problem> {
        let Some(document) = context.facts.document else { return Ok(()) };
        for key in names::unused_variables(document) {
            let message = format!("the variable `{}` is never read", key.name);
            let help = format!("read it as `${}`, or remove it", key.name);
            found.push(Finding::new(Location::Token(key.span), message).help(help));
        }
        Ok(())
    }
}
