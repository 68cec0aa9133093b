//! The command line: one file per command, no arithmetic. A command turns its arguments into a
//! [`Report`]; this file prints it and chooses the exit status.

mod bytes;
mod channels;
mod check;
mod commands;
mod compare;
mod completions;
mod demo;
mod destination;
mod diff;
mod diff_git;
pub mod embedded;
mod errors;
mod export;
mod export_target;
mod framework;
mod graph;
mod gridding;
mod hdc_check;
mod hdc_design;
mod import;
mod init;
mod layers;
pub mod load;
mod machine;
mod man;
mod memory;
mod new;
mod objects;
mod output;
mod outputs;
mod params;
mod paths;
mod plan;
mod plot;
mod profile;
mod progress;
mod rates;
mod report;
mod rf;
mod rules;
mod run;
mod schema;
mod sizes;
mod stream;
mod tile;
mod train;
mod verify;
mod version;
mod zoo;

use std::ffi::OsString;

use clap::{ArgMatches, FromArgMatches as _, Parser, Subcommand};

use cnnkit::LoadError;
use cnnkit_core::diagnostic::{Diagnostic, Problem, Rejected};
use cnnkit_core::source::Sources;
use cnnkit_report::Report;
use output::Output;

/// Analyse a convolutional network, and prove the figures by running it.
///
/// Reads an architecture from a YAML spec or an ONNX model and computes its parameters, MACs, shapes, memory and
/// receptive fields; checks stacks of dilated convolutions for gridding; runs the network to verify it all.
#[derive(Debug, Parser)]
#[command(
    name = "cnnkit",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "`cnnkit COMMAND --help` shows the options and examples of a command. `zoo:NAME` works wherever a SPEC does."
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
    Train(train::Args),
    Plan(plan::Args),
    Tile(tile::Args),
    Stream(stream::Args),
    Run(run::Args),
    Verify(verify::Args),
    Check(check::Args),
    Diff(diff::Args),
    Init(init::Args),
    New(new::Args),
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
    Report(report::Args),
    Zoo(zoo::Args),
    Schema(schema::Args),
    Completions(completions::Args),
    Man(man::Args),
}

impl Command {
    /// Returns where the figure of the command goes, if it has one.
    fn plot(&mut self) -> Option<&mut plot::Plot> {
        match self {
            Self::Graph(args) => Some(&mut args.plot),
            Self::Params(args) => Some(&mut args.plot),
            Self::Rf(args) => Some(&mut args.plot),
            Self::Paths(args) => Some(&mut args.plot),
            Self::Gridding(args) => Some(&mut args.plot),
            Self::HdcDesign(args) => Some(&mut args.plot),
            _ => None,
        }
    }

    /// Returns whether a partial figure is a failure: `--strict`.
    fn strict(&self) -> bool {
        match self {
            Self::Params(args) => args.complete.strict,
            Self::Compare(args) => args.complete.strict,
            Self::Diff(args) => args.complete.strict,
            Self::Sizes(args) => args.complete.strict,
            Self::Train(args) => args.complete.strict,
            Self::Plan(args) => args.complete.strict,
            Self::Tile(args) => args.complete.strict,
            Self::Stream(args) => args.complete.strict,
            Self::Verify(args) => args.complete.strict,
            Self::Rf(args) => args.complete.strict,
            Self::Channels(args) => args.complete.strict,
            Self::Paths(args) => args.complete.strict,
            Self::Report(args) => args.complete.strict,
            Self::Gridding(args) => args.complete.strict,
            _ => false,
        }
    }
}

/// The reason why a command could not run: exit status 2.
#[derive(Debug)]
pub enum Failure {
    /// Flaws in the input, with their positions.
    Rejected(Box<Rejected>),
    /// A flaw of the call itself, with a remedy.
    Usage(String, Option<String>),
    /// Several specs failed.
    Several(Vec<Failure>),
}

impl Failure {
    /// Returns a flaw of the call, with a remedy.
    pub fn usage(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Usage(message.into(), Some(help.into()))
    }

    /// Returns the failure of an input with `flaws` in `sources`.
    pub fn rejected(sources: &Sources, flaws: Vec<Diagnostic>) -> Self {
        Self::Rejected(Box::new(Rejected { sources: sources.clone(), flaws }))
    }

    /// Returns all of `failures` as one, if there are any.
    fn unless_none(mut failures: Vec<Self>) -> Result<(), Self> {
        match (failures.len(), failures.pop()) {
            (_, None) => Ok(()),
            (1, Some(failure)) => Err(failure),
            (_, Some(last)) => {
                failures.push(last);
                Err(Self::Several(failures))
            }
        }
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Call(problem) => problem.into(),
            LoadError::Rejected(rejected) => Self::Rejected(rejected),
        }
    }
}

impl From<Box<Rejected>> for Failure {
    fn from(rejected: Box<Rejected>) -> Self {
        Self::Rejected(rejected)
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Usage(problem.message, problem.help)
    }
}

/// Parses the arguments, the program's name among them, runs the command, prints, and returns the exit status.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if version::asked(arguments.iter().skip(1).cloned()) {
        return version::print();
    }
    let matches = commands::command().get_matches_from(arguments);
    let mut cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.format(&mut commands::command()).exit(),
    };
    machine::bound_threads();
    let name = named(&matches);
    let fail = |output: &Output, failure: &Failure| output.fail(&name, failure);
    if let Some(plot) = cli.command.plot() {
        cli.output.take_picture(&mut plot.plot);
    }
    if let Command::Report(args) = &mut cli.command {
        args.file = cli.output.take_file();
    }
    if let Command::Man(args) = &mut cli.command {
        args.folder = cli.output.take_file();
    }
    if let Command::Export(args) = &mut cli.command {
        args.target = match cli.output.take_target(&name, commands::formats(&name)) {
            Ok(target) => target,
            Err(failure) => return fail(&cli.output, &failure),
        };
    }
    if let Command::Run(args) = &mut cli.command {
        args.tensors = cli.output.take_tensors();
    }
    let destinations = match cli.output.destinations(&name, commands::formats(&name)) {
        Ok(destinations) => destinations,
        Err(failure) => return fail(&cli.output, &failure),
    };
    let strict = cli.command.strict();
    match run(cli.command) {
        Ok(report) => match cli.output.write(&report, &destinations) {
            Ok(()) if cli.output.exit_zero => 0,
            Ok(()) if report.ok && !(strict && report.partial) => 0,
            Ok(()) => 1,
            Err(failure) => fail(&cli.output, &failure),
        },
        Err(failure) => fail(&cli.output, &failure),
    }
}

/// Returns the name of the command of the call; `zoo show` for a subcommand.
fn named(matches: &ArgMatches) -> String {
    let mut names = Vec::new();
    let mut level = matches;
    while let Some((name, below)) = level.subcommand() {
        names.push(name);
        level = below;
    }
    names.join(" ")
}

fn run(command: Command) -> Result<Report, Failure> {
    match command {
        Command::Params(args) => params::run(args),
        Command::Compare(args) => compare::run(args),
        Command::Sizes(args) => sizes::run(args),
        Command::Train(args) => train::run(args),
        Command::Plan(args) => plan::run(args),
        Command::Tile(args) => tile::run(args),
        Command::Stream(args) => stream::run(args),
        Command::Run(args) => run::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Check(args) => check::run(args),
        Command::Diff(args) => diff::run(args),
        Command::Init(args) => init::run(args),
        Command::New(args) => new::run(args),
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
        Command::Report(args) => report::run(args),
        Command::Zoo(args) => zoo::run(args),
        Command::Schema(args) => Ok(schema::run(args)),
        Command::Completions(args) => Ok(completions::run(args)),
        Command::Man(args) => man::run(args),
    }
}
