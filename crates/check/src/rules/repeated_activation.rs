//! CK403: an activation right after an activation.

use super::{Context, Family, Finding, Fix, Location, Meta, Rule, Severity};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::{Category, Layer};

/// See the module's page.
#[derive(Debug)]
pub struct RepeatedActivation;

static META: Meta = Meta {
    id: "CK403",
    name: "repeated-activation",
    family: Family::Redundancy,
    severity: Severity::Warning,
    default: true,
    summary: "an activation directly after another activation",
    what: "Looks at an activation whose only reader, behind dropout, is an activation again. Comes with a fix \
           where the second is the identity on everything that the first gives, such as any ReLU after a ReLU.",
    why: "After a ReLU, a second one changes nothing. Other pairs do change values, and rarely for the better: a \
          sigmoid after a ReLU never gives less than 0.5, a softmax after a ReLU cannot tell small classes apart.",
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
            let dropout = |layer: &Layer| matches!(layer, Layer::Dropout(_) | Layer::Identity(_));
            let Some(second) = facts.next(first, dropout) else { continue };
            let Some(next) = facts.layer(second).filter(|next| is_activation(next)) else { continue };
            let (a, b) = (layer.doc().name, next.doc().name);
            let useless = is_identity_after(layer, next);
            let message = if useless {
                format!("`{b}` changes nothing: `{a}` before it gives no value that it would change")
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
    // Arithmetic by a number and single functions are parts of something: a bounded scale, a norm written out.
    let arithmetic = matches!(layer, Layer::Rescale(_) | Layer::Function(_) | Layer::Power(_));
    layer.doc().category == Category::Activation && !arithmetic
}

/// Whether `second` is the identity on all values that `first` gives.
fn is_identity_after(first: &Layer, second: &Layer) -> bool {
    let from_zero = matches!(
        first,
        Layer::Relu(_)
            | Layer::Relu6(_)
            | Layer::Sigmoid(_)
            | Layer::Hardsigmoid(_)
            | Layer::Softplus(_)
            | Layer::Softmax(_)
    );
    let up_to_six =
        matches!(first, Layer::Relu6(_) | Layer::Sigmoid(_) | Layer::Hardsigmoid(_) | Layer::Softmax(_));
    match second {
        Layer::Relu(_) | Layer::LeakyRelu(_) | Layer::Prelu(_) | Layer::Elu(_) | Layer::Celu(_) => from_zero,
        Layer::Relu6(_) => up_to_six,
        _ => false,
    }
}
