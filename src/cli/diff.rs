//! `cnnkit diff`

use crate::cli::Failure;
use crate::cli::load::{Complete, Loaded, Replace};
use cnnkit::revision::Revision;
use cnnkit_check::Condition;
use cnnkit_report::Report;
use cnnkit_report::diff::{self, DiffSummary, DiffsSummary};
use cnnkit_report::imported::Figures;

/// Show what a change does to a network
///
/// Compares two specs or models, or either with itself at a git revision: parameters, MACs, memory, receptive field, and the
/// blocks that differ. Exits with 1 if a `--fail-if` condition is met.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cnnkit diff old.yaml new.yaml
  cnnkit diff zoo:resnet50 mine.yaml --input 3,224,224
  cnnkit diff net.yaml exported.onnx                          a spec and a model
  cnnkit diff --git main specs/net.yaml --format markdown     for a pull request
  cnnkit diff --git HEAD~1 net.yaml --fail-if 'params > +5%' --fail-if 'macs > 4.2G'")]
pub struct Args {
    /// OLD and NEW; with `--git`, the specs to compare with that revision
    #[arg(required = true, value_name = "SPEC")]
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
    let mut pairs: Vec<(Loaded, Loaded, [String; 2])> = Vec::new();
    match (&args.git, args.specs.as_slice()) {
        (Some(revision), specs) => {
            for path in specs {
                if path == "-" || path.starts_with("zoo:") {
                    return Err(Failure::usage(
                        format!("`{path}` is in no git repository"),
                        "`--git` takes files; without it, `cnnkit diff OLD NEW` compares two specs",
                    ));
                }
                let then = Revision::of(revision, path)?;
                let old = loader.files(&then, path)?;
                pairs.push((old, loader.load(path)?, [format!("{path} at {revision}"), path.clone()]));
            }
        }
        (None, [old, new]) => pairs.push((loader.load(old)?, loader.load(new)?, [old.clone(), new.clone()])),
        (None, specs) => {
            let help = "`cnnkit diff OLD NEW`, or `cnnkit diff --git REVISION SPEC...`";
            return Err(Failure::usage(format!("two specs are compared, {} given", specs.len()), help));
        }
    }
    let mut results = Vec::new();
    for (old, new, [old_name, new_name]) in &pairs {
        let imports = [old, new].map(|side| side.import(Figures::Dependences));
        results.push(diff::summary(
            [old_name, new_name],
            [&old.facts(), &new.facts()],
            &conditions,
            imports,
        )?);
    }
    Ok(match <[DiffSummary; 1]>::try_from(results) {
        Ok([only]) => Report::of(only),
        Err(several) => Report::of(DiffsSummary::from(several)),
    })
}
