//! `cnnkit diff`

use crate::cli::load::{Complete, Replace};
use crate::cli::{Failure, diff_git};
use cnnkit_check::Condition;
use cnnkit_report::Report;
use cnnkit_report::diff;
use cnnkit_report::imported::Figures;

/// Show what a change does to a network
///
/// Compares two specs or models: parameters, MACs, memory, receptive field, and the blocks that differ. `--git` compares
/// every network below this folder with a revision, one row for each that changed, is new or was deleted; or the files that
/// are named. Exits with 1 if a `--fail-if` condition holds.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cnnkit diff old.yaml new.yaml
  cnnkit diff zoo:resnet50 mine.yaml --input 3,224,224
  cnnkit diff net.yaml exported.onnx                          a spec and a model
  cnnkit diff --git origin/main --format markdown             every network, for a pull request
  cnnkit diff --git main specs/net.yaml                       one network, block by block
  cnnkit diff --git HEAD~1 net.yaml --fail-if 'params > +5%' --fail-if 'macs > 4.2G'")]
pub struct Args {
    /// OLD and NEW; with `--git`, files or folders to compare with that revision [default: this folder]
    #[arg(required_unless_present = "git", value_name = "SPEC")]
    specs: Vec<String>,
    /// Compare with this commit, branch or tag
    #[arg(long, value_name = "REVISION")]
    git: Option<String>,
    /// Whether a partial figure is a failure.
    #[command(flatten)]
    pub complete: Complete,
    /// Replacements on both sides.
    #[command(flatten)]
    replace: Replace,
    /// Fail if this holds: a quantity, a comparison and an amount, with a sign if it is a change: `params > +5%`
    #[arg(long, value_name = "CONDITION")]
    fail_if: Vec<String>,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Report, Failure> {
    let conditions: Vec<Condition> = args
        .fail_if
        .iter()
        .map(|text| Condition::parse(text).map_err(Failure::from))
        .collect::<Result<_, _>>()?;
    let loader = args.replace.loader(&args.specs)?;
    if let Some(revision) = &args.git {
        return diff_git::run(revision, &args.specs, &loader, &conditions);
    }
    let [old, new] = args.specs.as_slice() else {
        let help = "`cnnkit diff OLD NEW`, or `cnnkit diff --git REVISION [SPEC...]`";
        return Err(Failure::usage(format!("two specs are compared, {} given", args.specs.len()), help));
    };
    let (before, after) = (loader.load(old)?, loader.load(new)?);
    let imports = [&before, &after].map(|side| side.import(Figures::Dependences));
    let facts = [&before.facts(), &after.facts()];
    Ok(Report::of(diff::summary([old, new], facts, &conditions, imports)?))
}
