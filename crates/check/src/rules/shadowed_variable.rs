//! CK105: an argument or loop variable that shadows a variable around it.

use super::{Context, Family, Finding, Location, Meta, Rule, Severity};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::spec::names;

/// See the module documentation.
#[derive(Debug)]
pub struct ShadowedVariable;

static META: Meta = Meta {
    id: "CK105",
    name: "shadowed-variable",
    family: Family::Style,
    severity: Severity::Note,
    default: false,
    summary: "an argument or loop variable that shadows another variable",
    what: "Checks the arguments of blocks and the variables of `repeat` and `dense`. Fires if one has the \
           name of a variable of the file, of an argument of the block or of a loop around it. The index \
           `i`, which every loop has, counts only where the inner body reads it.",
    why: "Inside, `$name` means something else than one line above. In nested loops `$i` is the inner \
          index, although the outer one may have been intended.",
    instead: "Give it another name; `index: j` names a loop's index.",
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
                format!("`${}` shadows {}", shadow.name, shadow.what),
            );
            if let Some(outer) = shadow.outer {
                finding = finding.related(Location::Token(outer), "which is here");
            }
            found.push(finding.help(format!("give one of them another name than `{}`", shadow.name)));
        }
        Ok(())
    }
}
