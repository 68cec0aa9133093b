//! CK401: a bias directly before a normalisation that subtracts each channel's mean, and the bias with it.

use super::{Context, Family, Finding, Fix, Location, Meta, Rule, Severity, edit};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::{Node, Op};
use cnnkit_core::layers::{Category, Layer};
use cnnkit_core::number;

/// See the module documentation.
#[derive(Debug)]
pub struct BiasBeforeNorm;

static META: Meta = Meta {
    id: "CK401",
    name: "bias-before-norm",
    family: Family::Redundancy,
    severity: Severity::Warning,
    default: true,
    summary: "a bias that the following normalisation removes",
    what: "Checks convolutions and linear layers with a bias whose only reader is a batch norm or instance \
           norm. Layers that share their weights are exempt.",
    why: "The normalisation subtracts the mean of each channel, and with it any constant added to the \
          channel. The bias has no effect, receives no gradient, and costs parameters, optimiser state and \
          time; the shift of the norm replaces it.",
    instead: "Write `bias: false`, or once per file under `defaults: {conv: {bias: false}}`.",
    source: "Ioffe & Szegedy 2015, Batch Normalization, section 3.2: `the bias b can be ignored`",
    bad: "input: [3, 32, 32]
layers:
  - conv: {out_channels: 16, kernel: 3, padding: 1}
  - batch_norm
  - relu
",
    good: "input: [3, 32, 32]
layers:
  - conv: {out_channels: 16, kernel: 3, padding: 1, bias: false}
  - batch_norm
  - relu
",
    settings: &[],
    fixes: true,
};

impl Rule for BiasBeforeNorm {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn check(&self, context: &Context<'_>, found: &mut Vec<Finding>) -> Result<(), Problem> {
        let facts = context.facts;
        for (id, node) in facts.graph.iter() {
            let Some(biases) = biases(node) else { continue };
            let Some(norm) = facts.only_consumer(id).map(|norm| facts.node(norm)) else { continue };
            if !removes_constants(node, norm) || facts.shares_weights(id) {
                continue;
            }
            let norm = norm.op.name();
            let message = match biases {
                1 => format!("the bias has no effect: `{norm}` subtracts it again"),
                _ => {
                    let biases = number::grouped(biases);
                    format!("the {biases} biases have no effect: `{norm}` subtracts them again")
                }
            };
            // Python is not edited.
            let edit =
                facts.document.and_then(|_| edit::set_argument(facts.sources, &node.origin, "bias", "false"));
            let fix = edit.map(|edit| Fix {
                title: "set `bias: false`".into(),
                edits: vec![edit],
                safe: true,
                params: -i64::try_from(biases).unwrap_or(i64::MAX),
            });
            let help = if facts.document.is_some() { "write `bias: false`" } else { "write `bias=False`" };
            found.push(Finding::new(Location::Argument(id, "bias"), message).help(help).fix(fix));
        }
        Ok(())
    }
}

/// Returns the number of biases of a convolution or linear layer; `None` if it has none.
fn biases(node: &Node) -> Option<u64> {
    let Op::Layer(layer) = &node.op else { return None };
    let bias = node.weights.iter().find(|weight| weight.name == "bias")?;
    (layer.doc().category == Category::Convolution).then(|| bias.shape.elements().ok()).flatten()
}

/// Returns whether `norm` subtracts a mean over everything that a single bias of `node` is added to.
fn removes_constants(node: &Node, norm: &Node) -> bool {
    match &norm.op {
        Op::Layer(Layer::BatchNorm(_)) => true,
        // A mean over no spatial axis is the value itself.
        Op::Layer(Layer::InstanceNorm(_)) => !node.shape.spatial().is_empty(),
        _ => false,
    }
}
