//! The command line: one file per command, no arithmetic. A command turns its arguments into a
//! [`Report`]; this file prints it and chooses the exit status.

mod channels;
mod check;
mod compare;
mod completions;
mod demo;
mod diff;
mod export;
mod graph;
mod gridding;
mod hdc_check;
mod hdc_design;
mod import;
mod init;
mod layers;
pub mod load;
mod man;
mod output;
mod outputs;
mod params;
mod paths;
mod progress;
mod rates;
mod rf;
mod rules;
mod run;
mod schema;
mod sizes;
mod verify;
mod zoo;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use cnnkit_core::diagnostic::{Diagnostic, Problem};
use cnnkit_core::source::Sources;
use cnnkit_report::Report;
use cnnkit_report::imported::Figures;
use cnnkit_report::render::Format;
use output::Output;

/// Tells the truth about a convolutional network.
///
/// Reads an architecture from a YAML spec, builds a typed layer graph and reports its parameters, MACs, shapes,
/// memory and receptive fields; checks stacks of dilated convolutions for gridding; runs the network to verify it all.
#[derive(Debug, Parser)]
#[command(
    name = "cnnkit",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Subcommand)]
enum Command {
    Params(params::Args),
    Compare(compare::Args),
    Sizes(sizes::Args),
    Run(run::Args),
    Verify(verify::Args),
    Check(check::Args),
    Diff(diff::Args),
    Init(init::Args),
    Rules(rules::Args),
    Explain(rules::ExplainArgs),
    Demo(demo::Args),
    Export(export::Args),
    Import(import::Args),
    Rf(rf::Args),
    Channels(channels::Args),
    Paths(paths::Args),
    Gridding(gridding::Args),
    HdcCheck(hdc_check::Args),
    HdcDesign(hdc_design::Args),
    Layers(layers::Args),
    Graph(graph::Args),
    Zoo(zoo::Args),
    Schema(schema::Args),
    Completions(completions::Args),
    Man(man::Args),
}

impl Command {
    /// Its name where it matters for messages, and what it can be written as.
    fn formats(&self) -> (&'static str, &'static [Format]) {
        match self {
            Self::Graph(_) => ("graph", Format::GRAPH),
            Self::Schema(_) => ("schema", Format::TEXT_OR_JSON),
            Self::Zoo(args) => args.formats(),
            Self::Completions(_) => ("completions", Format::TEXT),
            Self::Man(_) => ("man", Format::TEXT),
            Self::Params(_) => ("params", Format::TABLES),
            Self::Compare(_) => ("compare", Format::TABLES),
            Self::Sizes(_) => ("sizes", Format::TABLES),
            Self::Run(_) => ("run", Format::TABLES),
            Self::Verify(_) => ("verify", Format::TABLES),
            Self::Diff(_) => ("diff", Format::TABLES),
            Self::Init(_) => ("init", Format::TEXT_OR_JSON),
            Self::Check(_) => ("check", Format::FINDINGS),
            Self::Rules(_) => ("rules", Format::TABLES),
            Self::Explain(_) => ("explain", Format::TABLES),
            Self::Demo(_) => ("demo", Format::TABLES),
            Self::Export(_) => ("export", Format::EXPORT),
            Self::Import(_) => ("import", Format::TEXT_OR_JSON),
            Self::Rf(_) => ("rf", Format::TABLES),
            Self::Channels(_) => ("channels", Format::TABLES),
            Self::Paths(_) => ("paths", Format::TABLES),
            Self::Gridding(_) => ("gridding", Format::TABLES),
            Self::HdcCheck(_) => ("hdc-check", Format::TABLES),
            Self::HdcDesign(_) => ("hdc-design", Format::TABLES),
            Self::Layers(_) => ("layers", Format::TABLES),
        }
    }
}

impl Command {
    /// Whether a partial figure is a failure. `hdc-check` has a `--strict WHAT` of its own.
    fn strict(&self) -> bool {
        match self {
            Self::Params(args) => args.complete.strict,
            Self::Compare(args) => args.complete.strict,
            Self::Sizes(args) => args.complete.strict,
            Self::Verify(args) => args.complete.strict,
            Self::Rf(args) => args.complete.strict,
            Self::Channels(args) => args.complete.strict,
            Self::Paths(args) => args.complete.strict,
            Self::Gridding(args) => args.complete.strict,
            _ => false,
        }
    }
}

/// Why a command could not run: exit status 2.
#[derive(Debug)]
pub enum Failure {
    /// Flaws in what was read, with their places.
    Diagnostics(Box<Sources>, Vec<Diagnostic>),
    /// A flaw of the call itself, with a remedy.
    Usage(String, Option<String>),
    /// Several specs failed.
    Several(Vec<Failure>),
}

impl Failure {
    /// A flaw of the call, with a remedy.
    pub fn usage(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Usage(message.into(), Some(help.into()))
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Usage(problem.message, problem.help)
    }
}

/// Parses the arguments of the process, runs the command, prints, and returns the exit status.
pub fn main() -> ExitCode {
    let mut cli = Cli::parse();
    let (name, formats) = cli.command.formats();
    if let Err(failure) = cli.output.check(name, formats) {
        return cli.output.fail(&failure);
    }
    if let Command::Man(args) = &mut cli.command {
        args.folder = cli.output.take_file();
    }
    if let Command::Export(args) = &mut cli.command {
        args.target = cli.output.take_target();
    }
    if let Command::Run(args) = &mut cli.command {
        args.tensors = cli.output.take_tensors();
    }
    let strict = cli.command.strict();
    match run(cli.command) {
        Ok(report) => match cli.output.write(&report) {
            Ok(()) if cli.output.exit_zero => ExitCode::SUCCESS,
            Ok(()) if report.ok && !(strict && partial(&report.json)) => ExitCode::SUCCESS,
            Ok(()) => ExitCode::from(1),
            Err(failure) => cli.output.fail(&failure),
        },
        Err(failure) => cli.output.fail(&failure),
    }
}

/// Whether a figure of the report is partial.
fn partial(json: &serde_json::Value) -> bool {
    let is = |value: &serde_json::Value| value["status"] == "partial";
    is(json) || json["results"].as_array().is_some_and(|results| results.iter().any(is))
}

fn run(command: Command) -> Result<Report, Failure> {
    match command {
        Command::Params(args) => params::run(args),
        Command::Compare(args) => compare::run(args),
        Command::Sizes(args) => sizes::run(args),
        Command::Run(args) => run::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Check(args) => check::run(args),
        Command::Diff(args) => diff::run(args),
        Command::Init(args) => init::run(args),
        Command::Rules(args) => Ok(rules::run(args)),
        Command::Explain(args) => rules::explain(args),
        Command::Demo(args) => demo::run(args),
        Command::Export(args) => export::run(args),
        Command::Import(args) => import::run(args),
        Command::Rf(args) => rf::run(args),
        Command::Channels(args) => channels::run(args),
        Command::Paths(args) => paths::run(args),
        Command::Gridding(args) => gridding::run(args),
        Command::HdcCheck(args) => hdc_check::run(args),
        Command::HdcDesign(args) => hdc_design::run(args),
        Command::Layers(args) => layers::run(args),
        Command::Graph(args) => graph::run(args),
        Command::Zoo(args) => zoo::run(args),
        Command::Schema(args) => Ok(schema::run(args)),
        Command::Completions(args) => Ok(completions::run(args)),
        Command::Man(args) => man::run(args),
    }
}

/// The JSON of a command about no single network.
fn envelope_of(command: &str, body: &impl serde::Serialize) -> serde_json::Value {
    let mut object = serde_json::Map::new();
    object.insert("schema".into(), 1.into());
    object.insert("command".into(), command.into());
    object.insert("spec".into(), serde_json::json!({"name": null, "path": null}));
    if let Ok(serde_json::Value::Object(keys)) = serde_json::to_value(body) {
        object.extend(keys);
    }
    serde_json::Value::Object(object)
}

/// The JSON of a command about networks: one object with the keys of its only network, or `results` for several.
fn envelope<'a, T: serde::Serialize>(
    command: &str,
    bodies: impl Iterator<Item = (&'a load::Loaded, T)>,
) -> serde_json::Value {
    let mut results: Vec<serde_json::Value> = bodies
        .map(|(network, body)| {
            let mut object = serde_json::Map::new();
            object
                .insert("spec".into(), serde_json::json!({"name": network.graph.name, "path": network.path}));
            if let Ok(serde_json::Value::Object(keys)) = serde_json::to_value(body) {
                object.extend(keys);
            }
            let counts = matches!(command, "params" | "run");
            network.keys(&mut object, if counts { Figures::Counts } else { Figures::Dependences });
            serde_json::Value::Object(object)
        })
        .collect();
    let mut object = serde_json::Map::new();
    object.insert("schema".into(), 1.into());
    object.insert("command".into(), command.into());
    match (results.len(), results.pop()) {
        (1, Some(serde_json::Value::Object(keys))) => object.extend(keys),
        (_, last) => {
            results.extend(last);
            object.insert("results".into(), results.into());
        }
    }
    serde_json::Value::Object(object)
}

/// The argument parser, for completions, the man page and tests.
pub fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}
