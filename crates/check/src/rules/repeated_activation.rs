//! CK403: an activation directly after an activation.

use super::{Context, Family, Finding, Fix, Location, Meta, Rule, Severity};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::{Category, Layer};

/// See the module documentation.
#[derive(Debug)]
pub struct RepeatedActivation;

static META: Meta = Meta {
    id: "CK403",
    name: "repeated-activation",
    family: Family::Redundancy,
    severity: Severity::Warning,
    default: true,
    summary: "an activation directly after another activation",
    what: "Checks activations whose only reader, possibly after dropout, is another activation. Has a fix \
           where the second is the identity on every output of the first, such as any ReLU after a ReLU.",
    why: "After a ReLU, a second one has no effect. Other pairs do change values, and rarely for the \
          better: a sigmoid after a ReLU never returns less than 0.5, a softmax after a ReLU cannot \
          distinguish small logits.",
    instead: "Keep one of the two.",
    source: "follows from the definitions: max(max(x, 0), 0) = max(x, 0)",
    bad: "input: [8, 16, 16]
layers:
  - conv: {out_channels: 8, kernel: 3}
  - relu
  - relu
",
    good: "input: [8, 16, 16]
layers:
  - conv: {out_channels: 8, kernel: 3}
  - relu
",
    settings: &[],
    fixes: true,
};

impl Rule for RepeatedActivation {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn check(&self, context: &Context<'_>, found: &mut Vec<Finding>) -> Result<(), Problem> {
        let facts = context.facts;
        for (first, _, layer) in facts.layers() {
            if !is_activation(layer) || matches!(layer, Layer::Glu(_)) {
                continue;
            }
            let Some(second) = facts.next(first, Layer::passes) else { continue };
            let Some(next) = facts.layer(second).filter(|next| is_activation(next)) else { continue };
            let (a, b) = (layer.doc().name, next.doc().name);
            let useless = is_identity_after(layer, next);
            let message = if useless {
                format!("this `{b}` has no effect: `{a}` returns only values that it leaves unchanged")
            } else {
                format!("`{b}` directly after `{a}`")
            };
            let removal = facts.removal(second).filter(|_| useless);
            let params = facts.counts(second).params;
            let fix = removal.map(|edit| Fix {
                title: format!("remove the second activation, `{b}`"),
                edits: vec![edit],
                safe: true,
                params: -i64::try_from(params).unwrap_or(i64::MAX),
            });
            found.push(
                Finding::new(Location::Node(second), message)
                    .related(Location::Node(first), format!("`{a}` is here"))
                    .help("keep one of the two")
                    .fix(fix),
            );
        }
        Ok(())
    }
}

fn is_activation(layer: &Layer) -> bool {
    // Arithmetic with a constant and single functions are usually parts of a larger function: a bounded
    // scale, a norm in its parts.
    let part = layer.pointwise().is_some_and(|pointwise| !pointwise.nonlinearity);
    layer.doc().category == Category::Activation && !part
}

/// Returns whether `second` is the identity on all values that `first` returns.
fn is_identity_after(first: &Layer, second: &Layer) -> bool {
    second.values().keeps(first.values().range())
}
