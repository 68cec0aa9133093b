//! Refuses networks that do not fit into memory: an allocation that fails would end the program.

use crate::{Kind, Options};
use cnnkit_core::analysis::{memory, totals};
use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_core::graph::Graph;
use cnnkit_core::number;

/// Returns an error if measuring `graph` needs more memory than the options have.
pub(super) fn affordable(graph: &Graph, options: &Options) -> Result<(), Problem> {
    let Some(available) = options.memory else { return Ok(()) };
    let needed = needed(graph, options);
    if needed <= available {
        return Ok(());
    }
    let message = format!(
        "verifying `{}` needs about {} of memory, {} is free",
        graph.name(),
        number::bytes(needed),
        number::bytes(available)
    );
    Err(Problem::new(Code::Limit, message).help("give a smaller input with `--input`, or a smaller network"))
}

/// Bytes at the worst moment, roughly and not too few: whether the network runs at its own size depends on the effort.
fn needed(graph: &Graph, options: &Options) -> u64 {
    let counts = totals::of_graph(graph);
    let weights = counts.params.saturating_add(counts.buffers);
    let elements = |weight: &cnnkit_core::layers::Weight| weight.shape.elements().unwrap_or(u64::MAX);
    // One tensor at a time is made in any case.
    let largest = graph.nodes().iter().flat_map(|node| &node.weights).map(elements).max().unwrap_or(0);
    let budget = options.effort.forward_budget();
    let runs = [Kind::Numerics, Kind::Shapes, Kind::Macs, Kind::Memory];
    if !runs.into_iter().any(|kind| options.wants(kind)) || weights > budget {
        return largest.saturating_mul(4);
    }
    // In f32 and in f64, and packed for the kernels.
    let weights = weights.saturating_mul(16);
    // A map that is written costs at least a step per element; larger ones are measured at smaller sizes.
    let whole = counts.macs.saturating_add(counts.activations.saturating_mul(8)) <= budget;
    let maps = if whole {
        let peak = memory::peak(graph).map_or(0, |peak| peak.elements);
        counts.activations.saturating_mul(4).saturating_add(peak.saturating_mul(24))
    } else {
        0
    };
    weights.saturating_add(maps)
}
