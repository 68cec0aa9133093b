//! CK405: layers that no output depends on.

use super::{Context, Family, Finding, Location, Meta, Rule, Severity};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::Op;
use cnnkit_core::layers::Layer;
use cnnkit_core::number;

/// See the module documentation.
#[derive(Debug)]
pub struct UnusedLayer;

static META: Meta = Meta {
    id: "CK405",
    name: "unused-layer",
    family: Family::Redundancy,
    severity: Severity::Warning,
    default: true,
    summary: "a layer or input that no output of the network depends on",
    what: "Finds layers whose result has no reader and is not an output, and inputs that reach no output. \
           Layers that lead only to such a layer are counted with it.",
    why: "Such layers are built, have parameters and cost time and memory, but no output of the network \
          depends on them. Usually a `from` names the wrong layer, or an `outputs` entry is missing.",
    instead: "Read it, list it under `outputs`, or remove it.",
    source: "dead code; PyTorch's DistributedDataParallel stops at such parameters (`find_unused_parameters`)",
    bad: "input: [8, 16, 16]
layers:
  - {id: stem, conv: {out_channels: 8, kernel: 3}}
  - {id: aux, conv: {out_channels: 4, kernel: 1}}
  - {relu: {}, from: stem}
",
    good: "input: [8, 16, 16]
layers:
  - {id: stem, conv: {out_channels: 8, kernel: 3}}
  - {id: aux, conv: {out_channels: 4, kernel: 1}}
  - {id: main, relu: {}, from: stem}
outputs: [main, aux]
",
    settings: &[],
    fixes: false,
};

/// Whether it is a buffer that a model keeps for a computation that vanished: a table of indices, a counter.
fn stored(op: &Op) -> bool {
    matches!(op, Op::Layer(Layer::LearnedTensor(tensor)) if !tensor.learned)
}

impl Rule for UnusedLayer {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn check(&self, context: &Context<'_>, found: &mut Vec<Finding>) -> Result<(), Problem> {
        let facts = context.facts;
        // Each dead layer is attributed to one dead end that it leads to.
        let mut end_of: Vec<Option<usize>> = vec![None; facts.graph.nodes().len()];
        let mut charged: Vec<(u64, u64)> = vec![(0, 0); facts.graph.nodes().len()];
        for (id, node) in facts.graph.iter().collect::<Vec<_>>().into_iter().rev() {
            if facts.live(id) || stored(&node.op) {
                continue;
            }
            let end =
                facts.consumers(id).iter().find_map(|reader| end_of[reader.index()]).unwrap_or(id.index());
            end_of[id.index()] = Some(end);
            if matches!(node.op, Op::Layer(_)) {
                charged[end].0 += 1;
                charged[end].1 += facts.counts(id).params;
            }
        }
        for (id, node) in facts.graph.iter().filter(|(id, node)| !facts.live(*id) && !stored(&node.op)) {
            let ends_here = end_of[id.index()] == Some(id.index());
            if matches!(node.op, Op::Input) {
                let message = format!("no output depends on the input `{}`", node.id);
                found.push(
                    Finding::new(Location::Node(id), message)
                        .help("read it in a layer that leads to an output, or remove it"),
                );
            } else if ends_here {
                let (layers, params) = charged[id.index()];
                let others = match layers {
                    1 => String::new(),
                    2 => ", and a layer leads only here".into(),
                    more => format!(", and {} layers lead only here", number::grouped(more - 1)),
                };
                let weights = if params == 0 {
                    String::new()
                } else {
                    format!(" ({})", number::counted(params, "parameter"))
                };
                let message = format!("no layer reads `{}`, and it is no output{others}{weights}", node.id);
                found.push(
                    Finding::new(Location::Node(id), message)
                        .help("read it with `from`, list it under `outputs`, or remove it"),
                );
            }
        }
        Ok(())
    }
}
