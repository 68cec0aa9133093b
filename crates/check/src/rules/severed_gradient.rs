//! CK406: weights for which every path to an output passes through a layer with a constant output.

use super::{Context, Family, Finding, Location, Meta, Rule, Severity};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::number;

/// See the module documentation.
#[derive(Debug)]
pub struct SeveredGradient;

static META: Meta = Meta {
    id: "CK406",
    name: "severed-gradient",
    family: Family::Redundancy,
    severity: Severity::Warning,
    default: true,
    summary: "weights that cannot receive a gradient",
    what: "Finds layers whose output does not depend on their input (a softmax over one element, a norm \
           over one element, a dropout with p = 1, an operand that is multiplied by 0), and weights for \
           which every path to an output passes such a layer. Unused layers belong to `unused-layer`.",
    why: "No gradient passes such a layer: the weights before it keep their random initial values, although \
          they cost parameters, MACs and memory, and the output does not depend on the image.",
    instead: "Use a sigmoid for a single logit (or two channels for a softmax), and no norm over a 1x1 map.",
    source: "follows from the definitions: exp(x) / exp(x) = 1, x - mean(x) = 0 for one element",
    bad: "input: [16, 8, 8]
layers:
  - global_avg_pool
  - linear: {out_features: 1}
  - softmax
",
    good: "input: [16, 8, 8]
layers:
  - global_avg_pool
  - linear: {out_features: 1}
  - sigmoid
",
    settings: &[],
    fixes: false,
};

impl Rule for SeveredGradient {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn check(&self, context: &Context<'_>, found: &mut Vec<Finding>) -> Result<(), Problem> {
        let facts = context.facts;
        for cut in facts.severed() {
            let layer = facts.node(cut.at);
            let params: u64 = cut.weights.iter().map(|&id| facts.counts(id).params).sum();
            let receive = if params == 1 { "receives" } else { "receive" };
            let message = format!(
                "`{}` {}: the {} before it {receive} no gradient",
                layer.id,
                cut.why.phrase(),
                number::counted(params, "parameter")
            );
            let mut finding = Finding::new(Location::Node(cut.at), message);
            if let Some(&last) = cut.weights.last() {
                finding = finding
                    .related(Location::Node(last), format!("`{}` receives no gradient", facts.node(last).id));
            }
            found.push(finding.help(cut.why.remedy()));
        }
        Ok(())
    }
}
