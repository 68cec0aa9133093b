//! Rates on the command line, and their verification by a run.

use crate::cli::Failure;
use cnnkit_core::analysis::dilated::Chains;
use cnnkit_core::analysis::gridding::Stack;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::Graph;
use cnnkit_report::verify::Measured;
use cnnkit_verify::gridding::claims;
use cnnkit_verify::{Analysis, Claim};

pub use cnnkit::rates::{Target, list, square, stack};

/// Runs `stacks` on an impulse: `--verify`. Each stack has the node at which it ends.
pub fn verify(stacks: &[(Option<String>, Stack)]) -> Result<Measured, Failure> {
    let mut all: Vec<Claim> = Vec::new();
    for (node, stack) in stacks {
        let claims = claims(stack, &Analysis).map_err(failure)?.map_err(|why| {
            Failure::usage(format!("cannot verify: {why}"), "verify fewer layers, smaller rates or one axis")
        })?;
        all.extend(claims.into_iter().map(|claim| Claim { node: node.clone(), ..claim }));
    }
    Ok(Measured::of(all))
}

/// Returns the distinct stacks of a network's chains, each with the node at which it ends.
pub fn stacks(graph: &Graph, chains: &Chains) -> Result<Vec<(Option<String>, Stack)>, Failure> {
    let mut all: Vec<(Option<String>, Stack)> = Vec::new();
    for chain in &chains.chains {
        let stack = chain.stack().map_err(failure)?;
        if all.iter().all(|(_, other)| *other != stack) {
            all.push((chain.nodes.last().map(|&node| graph.node(node).id.clone()), stack));
        }
    }
    Ok(all)
}

/// Returns a flaw of the arguments as a whole.
pub fn failure(problem: Problem) -> Failure {
    Failure::Usage(problem.message, problem.help)
}
