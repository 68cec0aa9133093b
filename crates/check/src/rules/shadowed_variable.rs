//! CK105: an argument or loop variable that hides a variable around it.

use super::{Context, Family, Finding, Location, Meta, Rule, Severity};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::spec::names;

/// See the module's page.
#[derive(Debug)]
pub struct ShadowedVariable;

static META: Meta = Meta {
    id: "CK105",
    name: "shadowed-variable",
    family: Family::Style,
    severity: Severity::Note,
    default: false,
    summary: "an argument or loop variable that hides another variable",
    what: "Looks at the arguments of blocks and the variables of `repeat` and `dense`: those with the name of a \
           variable of the file, an argument of the block or a loop around them. The index `i`, which every loop \
           has, counts only where the inner body reads it.",
    why: "`$name` means something else inside than one line above. In nested loops `$i` is the inner index, where \
          the outer one may have been meant.",
    instead: "Give it another name; a loop's index is named with `index: j`.",
    source: "docs/spec.md: variables are found from the inside out; as clippy's shadow_unrelated",
    bad: "input: [8, 32, 32]
layers:
  - repeat:
      times: 2
      body:
        - repeat:
            times: 2
            body: [conv: {out_channels: 8 * (1 + $i), kernel: 1}]
",
    good: "input: [8, 32, 32]
layers:
  - repeat:
      times: 2
      body:
        - repeat:
            times: 2
            index: j
            body: [conv: {out_channels: 8 * (1 + $i), kernel: 1}]
",
    settings: &[],
    fixes: false,
};

impl Rule for ShadowedVariable {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn check(&self, context: &Context<'_>, found: &mut Vec<Finding>) -> Result<(), Problem> {
        let Some(document) = context.facts.document else { return Ok(()) };
        for shadow in names::shadowed_variables(document) {
            let mut finding = Finding::new(
                Location::Token(shadow.inner),
                format!("`${}` hides {}", shadow.name, shadow.what),
            );
            if let Some(outer) = shadow.outer {
                finding = finding.related(Location::Token(outer), "which is here");
            }
            found.push(finding.help(format!("give one of them another name than `{}`", shadow.name)));
        }
        Ok(())
    }
}
