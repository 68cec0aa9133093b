//! CK407: a merge that joins a tensor with itself.

use super::{Context, Family, Finding, Location, Meta, Rule, Severity};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::NodeId;
use cnnkit_core::layers::Layer;

/// See the module documentation.
#[derive(Debug)]
pub struct RepeatedOperand;

static META: Meta = Meta {
    id: "CK407",
    name: "repeated-operand",
    family: Family::Redundancy,
    severity: Severity::Warning,
    default: true,
    summary: "a merge that joins a tensor with itself",
    what: "Checks `add` and `concat` layers, including those of `residual` and `branches`, that read one \
           tensor twice, directly or through identity and dropout. `multiply` is exempt: a square is a \
           useful function.",
    why: "x + x is 2x, which the next layer's weights or norm absorb; the concatenation of a tensor with \
          itself doubles the weights of the next layer and adds nothing. A residual connection around \
          nothing is no residual connection.",
    instead: "Put layers into the body, or read another layer: usually a `from` names the wrong one.",
    source: "He et al. 2016, Deep Residual Learning, section 3.2: y = F(x) + x needs an F",
    bad: "input: [8, 16, 16]
layers:
  - residual: [identity]
",
    good: "input: [8, 16, 16]
layers:
  - residual: [conv: {out_channels: 8, kernel: 3, padding: 1}]
",
    settings: &[],
    fixes: false,
};

impl Rule for RepeatedOperand {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn check(&self, context: &Context<'_>, found: &mut Vec<Finding>) -> Result<(), Problem> {
        let facts = context.facts;
        // For each node, the node whose values it passes on unchanged.
        let mut origin: Vec<NodeId> = Vec::with_capacity(facts.graph.nodes().len());
        for (id, node) in facts.graph.iter() {
            let passes = facts.layer(id).is_some_and(Layer::passes);
            origin.push(node.inputs.first().filter(|_| passes).map_or(id, |input| origin[input.index()]));
        }
        for (id, node, layer) in facts.layers() {
            let (verb, effect) = match layer {
                Layer::Add(_) => ("adds", "which is a constant factor"),
                Layer::Concat(_) => ("appends", "which doubles the next layer's weights for nothing"),
                _ => continue,
            };
            let mut operands: Vec<NodeId> =
                node.inputs.iter().map(|operand| origin[operand.index()]).collect();
            operands.sort_unstable();
            let Some(twice) = operands.windows(2).find(|pair| pair[0] == pair[1]) else { continue };
            let name = &facts.node(twice[0]).id;
            found.push(
                Finding::new(
                    Location::Node(id),
                    format!("`{}` {verb} `{name}` to itself, {effect}", node.id),
                )
                .help("read another layer, or put layers between"),
            );
        }
        Ok(())
    }
}
