//! `cnnkit init`

use std::path::Path;

use clap::ValueEnum;

use crate::cli::Failure;
use cnnkit::Network;
use cnnkit_check::rules::quantity::{Found, Subject, measure, written};
use cnnkit_core::spec::quantity::{Expectable, Quantity};
use cnnkit_report::Report;
use cnnkit_report::init::{InitSummary, ProjectFile};

/// Start a project: a spec with expectations, cnnkit.toml, and CI
///
/// Writes the files that do not exist yet, and names the purpose of each; nothing is overwritten.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cnnkit init                       net.yaml, cnnkit.toml, .github/workflows/cnnkit.yml
  cnnkit init specs/mine.yaml --ci gitlab
  cnnkit init --no-spec             for a project that has specs already
  cnnkit init --ci none")]
pub struct Args {
    /// The spec to write
    #[arg(default_value = "net.yaml", value_name = "FILE")]
    spec: String,
    /// The CI service to write a job for
    #[arg(long, value_enum, default_value = "github", value_name = "SERVICE")]
    ci: Service,
    /// Write no spec: for a project that has some
    #[arg(long, conflicts_with = "spec")]
    no_spec: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Service {
    /// .github/workflows/cnnkit.yml
    Github,
    /// .gitlab-ci.yml
    Gitlab,
    /// .pre-commit-config.yaml
    PreCommit,
    /// No job
    None,
}

/// The starter network, without its expectations.
const SPEC: &str = "\
description: a small residual network for 32x32 images
input: [3, 32, 32]                   # [C, H, W], without the batch
variables: {classes: 10}
defaults: {conv: {bias: false}}      # batch norm brings its own shift
blocks:
  basic:                             # He et al. 2016, figure 5 left
    args: {width: ~, stride: 1}      # ~ must be given
    layers:
      - residual:
          body:
            - conv: {out_channels: $width, kernel: 3, stride: $stride, padding: 1}
            - batch_norm
            - relu
            - conv: {out_channels: $width, kernel: 3, padding: 1}
            - batch_norm
          shortcut:
            - if: $stride > 1 or $in_channels != $width
              sequential: [conv: {out_channels: $width, kernel: 1, stride: $stride}, batch_norm]
      - relu
layers:
  - conv: {out_channels: 16, kernel: 3, padding: 1}
  - batch_norm
  - relu
  - basic: {width: 16}
  - basic: {width: 32, stride: 2}
  - basic: {width: 64, stride: 2}
  - global_avg_pool
  - linear: {out_features: $classes}
";

/// The expectations of the starter network, with their kinds of limits.
const EXPECTED: [(Quantity, &str); 5] = [
    (Quantity::Params, "exact; a change of the network that changes it must change it here"),
    (Quantity::Macs, "or a bound: {max: 20M}"),
    (Quantity::Memory, "peak of the activations, f32"),
    (Quantity::Output, ""),
    (Quantity::ReceptiveField, "of the last feature map; a bound would be {min: 24}"),
];

/// The JSON Schema that editors read.
const SCHEMA: &str = "cnnkit.schema.json";

const PROJECT: &str = "\
# What `cnnkit check` demands of every spec below this folder; docs/check.md of cnnkit lists all keys.
fail-on = \"warning\"

[rules]
# extend-select = [\"cost\"]        # advice that is not on by default; `cnnkit rules` lists it
# common-divisor = \"error\"

# [[budget]]
# specs = [\"**/*.yaml\"]
# limit = {params = {max = \"5M\"}}
";

/// What stands for the version of the program in the jobs below.
const VERSION: &str = "VERSION";

const GITHUB: &str = "\
name: cnnkit
on: [push, pull_request]
permissions: {contents: read}
jobs:
  check:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: actions/cache@v4             # the program is built once per version
        with: {path: ~/.cargo/bin/cnnkit, key: cnnkit-VERSION}
      - run: test -x ~/.cargo/bin/cnnkit || cargo install --locked cnnkit@VERSION
      - run: cnnkit check --format github
";

const GITLAB: &str = "\
cnnkit:
  image: rust:1
  cache: {key: cnnkit-VERSION, paths: [.cnnkit]}   # the program is built once per version
  script:
    - test -x .cnnkit/bin/cnnkit || cargo install --locked cnnkit@VERSION --root .cnnkit
    - .cnnkit/bin/cnnkit check --output gitlab=code-quality.json
  artifacts:
    when: always
    reports:
      codequality: code-quality.json
";

const PRE_COMMIT: &str = "\
repos:
  - repo: local
    hooks:
      - id: cnnkit-check
        name: cnnkit check
        entry: cnnkit check
        language: rust
        additional_dependencies: ['cli:cnnkit:VERSION']   # pre-commit builds it once
        files: \\.(ya?ml|onnx|pt2)$|(^|/)cnnkit\\.toml$
        pass_filenames: false
";

/// A job of this version of the program.
fn job(template: &str) -> String {
    template.replace(VERSION, env!("CARGO_PKG_VERSION"))
}

/// Runs the command.
pub fn run(args: Args) -> Result<Report, Failure> {
    let mut files = Vec::new();
    if !args.no_spec {
        let up = "../".repeat(Path::new(&args.spec).components().count().saturating_sub(1));
        let text = format!("# yaml-language-server: $schema={up}{SCHEMA}\n{}", starter()?);
        files.push((args.spec.clone(), text, "the network, with what is expected of it"));
        let schema = cnnkit_report::render::json(&cnnkit_core::spec::schema::generate());
        files.push((SCHEMA.into(), schema, "completes and checks specs in editors"));
    }
    files.push((cnnkit_check::PROJECT_FILE.into(), PROJECT.into(), "rules and budgets of the project"));
    let purpose = "installs the program and runs `cnnkit check` on every change";
    match args.ci {
        Service::Github => files.push((".github/workflows/cnnkit.yml".into(), job(GITHUB), purpose)),
        Service::Gitlab => files.push((".gitlab-ci.yml".into(), job(GITLAB), purpose)),
        Service::PreCommit => files.push((".pre-commit-config.yaml".into(), job(PRE_COMMIT), purpose)),
        Service::None => {}
    }
    if !args.no_spec && Path::new(&args.spec).exists() {
        let help = "name another: `cnnkit init other.yaml`, or write none: `cnnkit init --no-spec`";
        return Err(Failure::usage(format!("`{}` is there already", args.spec), help));
    }
    let mut project = Vec::new();
    for (path, text, what) in files {
        if Path::new(&path).exists() {
            project.push(ProjectFile { path, purpose: None });
            continue;
        }
        if let Some(folder) = Path::new(&path).parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|error| {
                let message = format!("cannot make the folder `{}`: {error}", folder.display());
                Failure::usage(message, "check its permissions")
            })?;
        }
        super::output::save(&path, &text)?;
        project.push(ProjectFile { path, purpose: Some(what) });
    }
    let spec = if args.no_spec { "SPEC" } else { &args.spec };
    Ok(Report::of(InitSummary::of(spec, project)))
}

/// The starter network with what is found of it.
pub(super) fn starter() -> Result<String, Failure> {
    let loaded = Network::from_bytes("starter.yaml", SPEC)?;
    let facts = loaded.facts();
    let mut text =
        format!("{SPEC}expect:                              # compared with the network by `cnnkit check`\n");
    for (quantity, remark) in EXPECTED {
        let found: Found = measure(&facts, &Subject::Network, quantity)?;
        let Expectable { name, unit, .. } = quantity.expectable();
        let line = format!("  {name}: {}", written(*unit, &found));
        let line = if remark.is_empty() { line } else { format!("{line:<37}# {remark}") };
        text += &format!("{}\n", line.trim_end());
    }
    Ok(text)
}
