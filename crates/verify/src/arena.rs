//! Claims about the plan of an inference: the network runs inside an arena of exactly the planned size.

use crate::predict::Predict;
use crate::rebuild::slim;
use crate::tiles::is_opaque;
use crate::{Kind, Options, Outcome};
use cnnkit_core::analysis::totals;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::Graph;
use cnnkit_core::number::grouped;
use cnnkit_exec::network::{Fill, Network, random_inputs};
use cnnkit_exec::run::Reference;

pub(super) fn measure(
    graph: &Graph,
    predict: &(dyn Predict + Sync),
    options: &Options,
    outcome: &mut Outcome,
) -> Result<(), Problem> {
    if !options.wants(Kind::Arena) || is_opaque(graph) {
        return Ok(());
    }
    let steps = |graph: &Graph| {
        let counts = totals::of_graph(graph);
        let macs = counts.macs.saturating_add(counts.sampling_macs);
        macs.saturating_add(counts.params).saturating_add(counts.activations.saturating_mul(8))
    };
    let budget = options.effort.budget() / 10;
    let narrow;
    let (graph, how) = if steps(graph) <= budget {
        (graph, "all channels")
    } else {
        narrow = slim(graph);
        (&narrow.graph, narrow.how.as_str())
    };
    if steps(graph) > budget {
        outcome.notes.push("arena: too expensive for this effort; --thorough measures it".into());
        return Ok(());
    }
    let plan = predict.plan(graph);
    let network = Network::<f32>::seeded(graph, options.seed, Fill::Generic)?;
    let inputs = random_inputs::<f32>(graph, 1, options.seed)?;
    let expected = network.run(inputs.clone(), &Reference, |_| ())?.outputs;
    let text = |elements: u64, what: &str| format!("{} elements: {what}", grouped(elements));
    let measured = match network.run_in_arena(&inputs, &plan, &Reference) {
        Ok(found) => {
            let bits = |value: &f32| value.to_bits();
            let same = found.outputs.len() == expected.len()
                && found.outputs.iter().zip(&expected).all(|(found, expected)| {
                    found.data().iter().map(bits).eq(expected.data().iter().map(bits))
                });
            text(found.used, if same { "equal" } else { "different" })
        }
        Err(_) => text(plan.arena.bytes, "too small"),
    };
    outcome.claim(Kind::Arena, None, text(plan.arena.bytes, "equal"), measured).method(format!(
        "run with every tensor at its planned place between canaries, against a run with separate tensors, bit for bit \
         in f32; elements up to the last one that is used, {how}"
    ));
    Ok(())
}
