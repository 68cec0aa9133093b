//! `verify` itself: it detects an error of the smallest amount in every figure, and it agrees with the
//! analysis on random networks.

mod cases;
mod graphs;
mod mutants;
#[path = "../support/mod.rs"]
mod support;
mod techniques;

use cnnkit::graph::Graph;
use cnnkit::verify::{Claim, Options, Outcome, Predict, verify};

use support::network::network as load;

fn measure(graph: &Graph, predict: &(dyn Predict + Sync), options: &Options) -> Outcome {
    verify(graph, predict, options, &|_| ()).unwrap_or_else(|problem| panic!("{}: {problem}", graph.name()))
}

/// Formats the false claims, one per line.
fn broken(outcome: &Outcome) -> String {
    let line = |claim: &Claim| {
        format!(
            "{:?} {}: predicted {}, measured {} ({})",
            claim.claim,
            claim.node.as_deref().unwrap_or("-"),
            claim.predicted,
            claim.measured,
            claim.method
        )
    };
    outcome.claims.iter().filter(|claim| !claim.ok).map(line).collect::<Vec<_>>().join("\n")
}
