//! `cnnkit diff`

use crate::cli::{Failure, envelope_of};
use cnnkit::revision::Revision;
use cnnkit_check::Condition;
use cnnkit_check::rules::Facts;
use cnnkit_core::spec::{self, Loaded, Overrides};
use cnnkit_report::{Page, Report, diff};

/// Show what a change does to a network
///
/// Compares two specs, or specs with themselves at a git revision: parameters, MACs, memory, receptive field, and the
/// blocks that differ. Exits with 1 if a `--fail-if` condition is met.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cnnkit diff old.yaml new.yaml
  cnnkit diff zoo:resnet50 mine.yaml
  cnnkit diff --git main specs/net.yaml --format markdown     for a pull request
  cnnkit diff --git HEAD~1 net.yaml --fail-if 'params > +5%' --fail-if 'macs > 4.2G'")]
pub struct Args {
    /// OLD and NEW; with `--git`, the specs that are compared with their former selves
    #[arg(required = true, value_name = "SPEC")]
    specs: Vec<String>,
    /// Compare with this commit, branch or tag
    #[arg(long, value_name = "REVISION")]
    git: Option<String>,
    /// Fail if this holds: QUANTITY, a comparison, and an amount; `+` or `-` makes it a change
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
                let old = spec::load(&then, path, &Overrides::default()).map_err(refused)?;
                pairs.push((old, load(path)?, [format!("{path} at {revision}"), path.clone()]));
            }
        }
        (None, [old, new]) => pairs.push((load(old)?, load(new)?, [old.clone(), new.clone()])),
        (None, specs) => {
            let help = "`cnnkit diff OLD NEW`, or `cnnkit diff --git REVISION SPEC...`";
            return Err(Failure::usage(format!("two specs are compared, {} given", specs.len()), help));
        }
    }
    let (mut page, mut bodies, mut ok) = (Page::default(), Vec::new(), true);
    for (old, new, [old_name, new_name]) in &pairs {
        let before = Facts::new(&old.graph, Some(&old.document), &old.sources);
        let after = Facts::new(&new.graph, Some(&new.document), &new.sources);
        let report = diff::report([old_name, new_name], [&before, &after], &conditions)?;
        page.blocks.extend(report.page.blocks);
        ok &= report.ok;
        bodies.push(report.json);
    }
    let json = match bodies.len() {
        1 => envelope_of("diff", &bodies.remove(0)),
        _ => envelope_of("diff", &serde_json::json!({"results": bodies, "ok": ok})),
    };
    Ok(Report { page, json, ok })
}

fn load(path: &str) -> Result<Loaded, Failure> {
    if let Some(name) = path.strip_prefix("zoo:") {
        super::load::zoo_path(name)?;
    }
    let stdin = if path == "-" { Some(super::load::stdin()?) } else { None };
    super::load::spec(path, stdin.as_deref(), &Overrides::default()).map_err(refused)
}

#[expect(clippy::boxed_local, reason = "the signature that `map_err` needs")]
fn refused(rejected: spec::Rejected) -> Failure {
    let (sources, errors) = *rejected;
    Failure::Diagnostics(Box::new(sources), errors)
}
