//! `verify` itself: it tells a lie from the truth, in every figure, by the smallest amount; and it agrees with the
//! analysis on networks that nobody chose.

mod cases;
mod graphs;
mod mutants;
mod techniques;

use cnnkit::graph::Graph;
use cnnkit::spec::{self, Overrides, files::Text};
use cnnkit::verify::{Claim, Options, Outcome, Predict, verify};

/// The network written in `yaml`.
fn load(yaml: &str) -> Graph {
    let files = Text { name: "test".into(), bytes: yaml.into() };
    match spec::load(&files, "test", &Overrides::default()) {
        Ok(loaded) => loaded.graph,
        Err(rejected) => {
            let (sources, list) = *rejected;
            let canvas = cnnkit::render::Canvas { width: 100, color: false };
            panic!("{}\n{yaml}", cnnkit::render::diagnostics::render(&list, &sources, canvas))
        }
    }
}

fn measure(graph: &Graph, predict: &(dyn Predict + Sync), options: &Options) -> Outcome {
    verify(graph, predict, options, &|_| ()).unwrap_or_else(|problem| panic!("{}: {problem}", graph.name))
}

/// Claims that do not hold, one a line.
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
