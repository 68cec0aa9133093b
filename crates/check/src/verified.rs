//! `--verify`: reports failed comparisons of predictions with the executor's measurements as findings.

use crate::rules::{FAILED_CLAIM, Facts, Finding, Location, Meta};
use cnnkit_core::diagnostic::Problem;
use cnnkit_verify::{Analysis, Claim, Effort, Options, verify};

/// Returns the claims that do not hold; a problem if the network cannot be run with so many bytes of memory.
pub fn measure(facts: &Facts<'_>, memory: Option<u64>) -> Result<Vec<(&'static Meta, Finding)>, Problem> {
    let options = Options { effort: Effort::Fast, memory, ..Options::default() };
    let outcome = verify(facts.graph, &Analysis, &options, &|_| ())?;
    Ok(outcome
        .claims
        .iter()
        .filter(|claim| !claim.ok)
        .map(|claim| (&FAILED_CLAIM, finding(facts, claim)))
        .collect())
}

fn finding(facts: &Facts<'_>, claim: &Claim) -> Finding {
    let node = claim.node.as_ref().and_then(|id| facts.graph.find(id));
    let what = serde_json::to_value(claim.claim).ok();
    let what = what.as_ref().and_then(|name| name.as_str()).unwrap_or("claim").to_owned();
    let message = format!("`{what}` is {} when run, the prediction was {}", claim.measured, claim.predicted);
    Finding::new(node.map_or(Location::Network, Location::Node), message)
        .help("`cnnkit verify --methods` shows how it was measured; if the spec is right, report it as a bug")
}
