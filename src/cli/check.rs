//! `cnnkit check`

use std::path::Path;
use std::sync::OnceLock;

use clap::ValueEnum;

use crate::cli::load::Replace;
use crate::cli::objects::{self, Request};
use crate::cli::{Failure, machine, memory};
use cnnkit::LoadError;
use cnnkit::zoo::Zoo;
use cnnkit_check::rules::Severity;
use cnnkit_check::{Baseline, Checked, Choices, Located, Object, Plan, Project, Rewrite, Selector, Subject};
use cnnkit_core::diagnostic::Problem;
use cnnkit_files::{Replacement, WriteError};
use cnnkit_report::changes::ChangesSummary;
use cnnkit_report::findings::Findings;
use cnnkit_report::{Entry, Report, Spec};

/// Check specs against rules, expectations and budgets
///
/// An invalid spec is a finding. Exits with 1 if a finding is at least as severe as `--fail-on`. `cnnkit rules` lists the
/// rules, `cnnkit explain CK301` explains one; docs/check.md shows `expect:` and cnnkit.toml.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cnnkit check                                  every spec below this folder
  cnnkit check specs 'nets/**/*.yaml'           folders and globs
  cnnkit check spec.yaml --select all           the rules that give advice as well
  cnnkit check net.yaml --set width=32          with another value of a variable
  cnnkit check --fix                            apply the fixes that are safe
  cnnkit check nets:Net --input 3,224,224       a module of Python, where cnnkit's package is installed
  cnnkit check --update                         write the computed values into `expect:`
  cnnkit check --format github                  annotations on the lines of a pull request
  cnnkit check --output sarif=cnnkit.sarif      a file for code scanning, beside what is printed")]
pub struct Args {
    /// Files (specs, .onnx and .pt2 models), folders, globs, `zoo:NAME`, `package.module:Name` of Python, `-` for standard input
    #[arg(value_name = "PATH", default_value = ".")]
    paths: Vec<String>,
    /// What is replaced in the specs.
    #[command(flatten)]
    replace: Replace,
    /// Run these rules only: ids, names, families, `all`, `default`
    #[arg(long, value_name = "RULE", value_delimiter = ',', help_heading = "Rules")]
    select: Vec<String>,
    /// Run these rules in addition
    #[arg(long, value_name = "RULE", value_delimiter = ',', help_heading = "Rules")]
    extend_select: Vec<String>,
    /// Do not run these rules
    #[arg(long, value_name = "RULE", value_delimiter = ',', help_heading = "Rules")]
    ignore: Vec<String>,
    /// Fail if a finding is at least this severe [default: warning, or as in cnnkit.toml]
    #[arg(long, value_enum, value_name = "LEVEL", help_heading = "Rules")]
    fail_on: Option<Level>,
    /// Run the networks as well, and compare every prediction with a measurement
    #[arg(long, help_heading = "Rules")]
    verify: bool,
    /// Ignore cnnkit.toml
    #[arg(long, help_heading = "Rules")]
    no_config: bool,
    /// Accept the findings that stand in FILE
    #[arg(long, value_name = "FILE", help_heading = "Rules")]
    baseline: Option<String>,
    /// Write the present findings, and the figures that may only improve, to the baseline
    #[arg(long, help_heading = "Rules", conflicts_with_all = ["fix", "update", "diff"])]
    update_baseline: bool,
    /// Apply the fixes that are safe
    #[arg(long, help_heading = "Changes")]
    fix: bool,
    /// With `--fix`: apply the fixes that are not safe as well
    #[arg(long = "unsafe", help_heading = "Changes")]
    also_unsafe: bool,
    /// Write the computed values into `expect:` where it does not hold
    #[arg(long, help_heading = "Changes")]
    update: bool,
    /// Show what `--fix` or `--update` would change, without changing it
    #[arg(long, help_heading = "Changes")]
    diff: bool,
}

/// A severity on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Level {
    /// Notes, warnings and errors
    Note,
    /// Warnings and errors
    Warning,
    /// Errors only
    Error,
}

impl From<Level> for Severity {
    fn from(level: Level) -> Self {
        match level {
            Level::Note => Self::Note,
            Level::Warning => Self::Warning,
            Level::Error => Self::Error,
        }
    }
}

/// Size limit of a baseline, in bytes: that of tens of thousands of findings.
const MAX_BASELINE: u64 = 16 << 20;
/// Rounds of fixes: one may make room for another, but none may go on for ever.
const MAX_ROUNDS: usize = 8;

/// Runs the command.
pub fn run(args: Args) -> Result<Report, Failure> {
    let choices = choices(&args)?;
    // The shape and the arguments of an object of Python are no replacements.
    let replaced = !args.replace.is_empty() && !args.paths.iter().all(|path| objects::is_object(path));
    if replaced && (args.fix || args.update || args.diff || args.update_baseline) {
        return Err(Failure::usage(
            "figures of a changed network are not written into files",
            "leave `--input` and `--set` out, or what changes files: `--fix`, `--update`, `--diff`, `--update-baseline`",
        ));
    }
    for name in args.paths.iter().filter_map(|path| path.strip_prefix("zoo:")) {
        Zoo::find(name)?;
    }
    let project = if args.no_config { Project::default() } else { project()? };
    // A model in memory is no file, and an object of Python neither.
    let (held, named): (Vec<String>, Vec<String>) =
        args.paths.iter().cloned().partition(|path| memory::has(path) || objects::is_object(path));
    let listed: Vec<&Object> = project.objects.iter().filter(|object| lists(&args, &held, object)).collect();
    let mut targets = match cnnkit_check::targets(&named) {
        Err(_) if !listed.is_empty() && searches(&args) => cnnkit_check::Targets::default(),
        targets => targets?,
    };
    targets.specs.extend(held);
    targets.specs.retain(|spec| args.paths.contains(spec) || !project.exclude.is_match(project.inside(spec)));
    let own = |spec: &&String| listed.iter().any(|object| object.model == **spec);
    let loaded: Vec<String> = targets.specs.iter().filter(|spec| !own(spec)).cloned().collect();
    let mut loader = args.replace.loader(&loaded)?;
    for object in listed {
        loader = loader.exported(&object.model, archive(&args, object)?);
        if !targets.specs.contains(&object.model) {
            targets.specs.push(object.model.clone());
        }
    }
    let file = baseline_file(&args, &project)?;
    // A baseline that will be written need not exist.
    let old = match &file {
        Some(path) if !args.update_baseline || Path::new(path).exists() => Some(read_baseline(path)?),
        _ => None,
    };
    let baseline = old.as_ref().filter(|_| !args.update_baseline);
    // An error of the call itself is not a finding.
    let misused: OnceLock<Problem> = OnceLock::new();
    let load = |path: &str| {
        loader.load(path).map(Subject::from).map_err(|error| match error {
            LoadError::Rejected(rejected) => rejected,
            LoadError::Call(problem) => {
                misused.get_or_init(|| problem);
                Box::default()
            }
        })
    };
    let memory = args.verify.then(machine::available_memory);
    let plan =
        Plan { project: &project, choices: &choices, baseline, verify: args.verify, memory, load: &load };
    let mut checked = cnnkit_check::run(&targets.specs, &plan);
    if let Some(problem) = misused.get() {
        return Err(problem.clone().into());
    }
    let mut fixed = 0;
    if args.fix || args.update || args.diff {
        let wanted = |finding: &Located| wanted(&args, finding);
        let first = cnnkit_check::rewrites(&checked, wanted);
        if args.diff {
            return Ok(Report::of(ChangesSummary::of(&first)));
        }
        let mut rewrites = first;
        for _ in 0..MAX_ROUNDS {
            if rewrites.is_empty() {
                break;
            }
            let again = write(&rewrites, &targets.specs, &checked, &plan)?;
            fixed += rewrites.iter().map(|rewrite| rewrite.fixes).sum::<usize>();
            checked = again;
            rewrites = cnnkit_check::rewrites(&checked, wanted);
        }
    }
    if args.fix {
        explain_python(&mut checked);
    }
    let mut stale = 0;
    if let (Some(path), true) = (&file, args.update_baseline) {
        let new = old.unwrap_or_default().updated(&checked);
        super::output::save(path, new.text())?;
        new.accept(&mut checked);
    } else if let Some(baseline) = baseline {
        stale = baseline.accept(&mut checked);
    }
    let spec = match checked.as_slice() {
        [only] => Spec { name: only.name.clone(), path: Some(only.path.clone()) },
        _ => Spec::default(),
    };
    // These findings are about the project's file, to which no baseline applies.
    let zoo: Vec<&str> = Zoo::names().into_iter().map(|(_, name)| name).collect();
    checked.extend(cnnkit_check::idle_budgets(&project, &targets.specs, &zoo));
    let mut findings = Findings::of(&checked, cnnkit_check::rules::all());
    findings.summary.stale = stale;
    findings.summary.fixed = fixed;
    let limit = args.fail_on.map(Severity::from).or(project.fail_on).unwrap_or(Severity::Warning);
    Ok(Report::of_networks(vec![Entry { spec, summary: findings.judged(limit) }]))
}

/// Returns whether the call names no file: it checks the whole project.
fn searches(args: &Args) -> bool {
    args.paths == ["."]
}

/// Returns whether a network of the project's file is checked: all are with the project, one is if it is named.
fn lists(args: &Args, named: &[String], object: &Object) -> bool {
    searches(args) || named.contains(&object.model)
}

/// Has Python import a network of the project's file; what the call says of inputs and arguments goes first.
fn archive(args: &Args, object: &Object) -> Result<Vec<u8>, Failure> {
    let own = object.inputs.iter().map(|sizes| (String::new(), sizes.clone())).collect();
    let inputs = if args.replace.input.is_empty() { own } else { args.replace.input.clone() };
    let arguments = [object.arguments.as_slice(), args.replace.arg.as_slice()].concat();
    objects::archive(&Request { object: &object.model, inputs: &inputs, arguments: &arguments })
}

/// Says of the findings in Python that they are not fixed.
fn explain_python(checked: &mut [Checked]) {
    for Checked { sources, outcome, .. } in checked {
        for finding in &mut outcome.findings {
            let of_python = |name: &str| Path::new(name).extension().is_some_and(|end| end == "py");
            if finding.span.is_some_and(|span| of_python(&sources.get(span.source).name)) {
                finding.help.push("`--fix` does not edit Python: change this line by hand".into());
            }
        }
    }
}

fn choices(args: &Args) -> Result<Choices, Failure> {
    let selectors = |texts: &[String]| -> Result<Vec<Selector>, Failure> {
        texts.iter().map(|text| Selector::parse(text.trim()).map_err(Failure::from)).collect()
    };
    let select = if args.select.is_empty() { None } else { Some(selectors(&args.select)?) };
    let (extend, ignore) = (selectors(&args.extend_select)?, selectors(&args.ignore)?);
    Ok(Choices { select, extend, ignore, ..Choices::default() })
}

/// Returns the project that contains the current folder.
pub fn project() -> Result<Project, Failure> {
    Ok(Project::find(Path::new("."))?)
}

/// Returns the baseline's path: from the command line, else from the project.
fn baseline_file(args: &Args, project: &Project) -> Result<Option<String>, Failure> {
    let file = match &args.baseline {
        Some(file) => Some(file.clone()),
        None => project.baseline_path()?.map(|path| path.to_string_lossy().into_owned()),
    };
    if file.is_none() && args.update_baseline {
        let help = "name it: `--baseline cnnkit-baseline.json`, or `baseline = \"...\"` in cnnkit.toml";
        return Err(Failure::usage("there is no baseline to update", help));
    }
    Ok(file)
}

/// Returns the project's baseline, if it names one.
pub(super) fn baseline(project: &Project) -> Result<Option<Baseline>, Failure> {
    let path = project.baseline_path()?;
    path.map(|path| read_baseline(&path.to_string_lossy())).transpose()
}

fn read_baseline(path: &str) -> Result<Baseline, Failure> {
    let refused = |why: String| {
        let help = "`cnnkit check --update-baseline` writes it";
        Failure::usage(format!("cannot read the baseline `{path}`: {why}"), help)
    };
    let bytes =
        cnnkit_files::read(Path::new(path), MAX_BASELINE).map_err(|error| refused(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|error| refused(error.utf8_error().to_string()))?;
    Ok(Baseline::parse(path, &text)?)
}

/// Returns whether the call requests the fix of a finding: only `--update` writes measured values.
fn wanted(args: &Args, finding: &Located) -> bool {
    let Some(fix) = &finding.fix else { return false };
    if finding.rule.id == "CK601" {
        return args.update;
    }
    (args.fix || (args.diff && !args.update)) && (fix.safe || args.also_unsafe)
}

/// Writes the files and checks again. If a file cannot be written, or a spec can no longer be built, everything is put
/// back.
fn write(
    rewrites: &[Rewrite],
    specs: &[String],
    before: &[Checked],
    plan: &Plan<'_>,
) -> Result<Vec<Checked>, Failure> {
    let change = |rewrite: &Rewrite| {
        let (old, new) = (rewrite.before.as_bytes(), rewrite.after.as_bytes());
        Replacement::prepare(Path::new(&rewrite.file), new, Some(old))
    };
    let cannot = |rewrite: &Rewrite, error: WriteError| {
        let help = match error {
            WriteError::Changed => "another program writes it; run the command again",
            _ => "check the folder, its permissions and the space on the disk",
        };
        let unchanged = if matches!(error, WriteError::Broken(..)) { "" } else { "; nothing was changed" };
        Failure::usage(format!("cannot write `{}`: {error}{unchanged}", rewrite.file), help)
    };
    // All of the new content is on the disk before the first file changes.
    let mut prepared = Vec::with_capacity(rewrites.len());
    for rewrite in rewrites {
        prepared.push((rewrite, change(rewrite).map_err(|error| cannot(rewrite, error))?));
    }
    for (number, (rewrite, replacement)) in prepared.into_iter().enumerate() {
        if let Err(error) = replacement.commit() {
            put_back(&rewrites[..number])?;
            return Err(cannot(rewrite, error));
        }
    }
    let after = cnnkit_check::run(specs, plan);
    let broken =
        before.iter().zip(&after).find(|(before, after)| before.name.is_some() && after.name.is_none());
    if let Some((spec, _)) = broken {
        put_back(rewrites)?;
        return Err(Failure::usage(
            format!("a fix would break `{}`; nothing was changed", spec.path),
            "please report this spec as a bug; `--diff` shows the fix",
        ));
    }
    Ok(after)
}

/// Gives files their old content again, unless another program has changed them since.
fn put_back(rewrites: &[Rewrite]) -> Result<(), Failure> {
    let mut failures = Vec::new();
    for rewrite in rewrites {
        let (old, new) = (rewrite.before.as_bytes(), rewrite.after.as_bytes());
        let result =
            Replacement::prepare(Path::new(&rewrite.file), old, Some(new)).and_then(Replacement::commit);
        if let Err(error) = result {
            failures.push(Failure::usage(
                format!("cannot put `{}` back as it was: {error}", rewrite.file),
                "its fixes are in the file; undo them if you do not want them",
            ));
        }
    }
    Failure::unless_none(failures)
}
