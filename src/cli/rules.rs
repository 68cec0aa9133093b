//! `cnnkit rules` and `cnnkit explain`

use crate::cli::Failure;
use cnnkit_check::rules::{self, Family, Meta};
use cnnkit_core::diagnostic::suggest;
use cnnkit_report::Report;
use cnnkit_report::rules::{ExplainSummary, RulesSummary};

/// List the rules of `cnnkit check`
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cnnkit rules
  cnnkit rules --family cost          the rules of one family
  cnnkit rules --format json          with their documentation")]
pub struct Args {
    /// List one family only
    #[arg(long, value_name = "FAMILY", value_parser = family)]
    family: Option<Family>,
}

/// Explain a rule: what it checks, why, and what to do instead
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cnnkit explain CK301
  cnnkit explain bias-before-norm")]
pub struct ExplainArgs {
    /// Ids or names of rules
    #[arg(required = true, value_name = "RULE")]
    rules: Vec<String>,
}

fn family(text: &str) -> Result<Family, String> {
    let names: Vec<&str> = Family::ALL.iter().map(|family| family.name()).collect();
    let known = Family::ALL.into_iter().find(|family| family.name() == text);
    known.ok_or_else(|| format!("there is no such family; the families are {}", names.join(", ")))
}

/// Runs `cnnkit rules`.
pub fn run(args: Args) -> Report {
    let wanted = |meta: &Meta| args.family.is_none_or(|family| meta.family == family);
    let mut metas: Vec<&'static Meta> = rules::all().filter(|meta| wanted(meta)).collect();
    metas.sort_by_key(|meta| meta.id);
    Report::of(RulesSummary::of(&metas))
}

/// Runs `cnnkit explain`.
pub fn explain(args: ExplainArgs) -> Result<Report, Failure> {
    let mut metas = Vec::new();
    for name in &args.rules {
        let Some(meta) = rules::find(name) else {
            let known: Vec<&str> = rules::all().flat_map(|meta| [meta.id, meta.name]).collect();
            let close = suggest(name, known).map(|close| format!("did you mean `{close}`?"));
            let help = close.unwrap_or_else(|| "`cnnkit rules` lists them".into());
            return Err(Failure::usage(format!("there is no rule `{name}`"), help));
        };
        metas.push(meta);
    }
    Ok(Report::of(ExplainSummary::of(&metas)))
}
