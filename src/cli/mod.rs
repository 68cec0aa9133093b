//! The command line: one file per command, no arithmetic. A command turns its arguments into a
//! [`Report`](crate::report::Report); this file prints it and chooses the exit status.

mod gridding;
mod hdc_check;
mod hdc_design;
mod output;
mod progress;
mod rates;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::diagnostic::Diagnostic;
use crate::report::Report;
use crate::source::Sources;
use output::Output;

/// Tells the truth about a convolutional network.
///
/// Reads an architecture from a YAML spec, builds a typed layer graph and reports its parameters, MACs, shapes,
/// memory and receptive fields; checks stacks of dilated convolutions for gridding.
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
    Gridding(gridding::Args),
    HdcCheck(hdc_check::Args),
    HdcDesign(hdc_design::Args),
}

/// Why a command could not run: exit status 2.
#[derive(Debug)]
pub enum Failure {
    /// Flaws in what was read, with their places.
    Diagnostics(Box<Sources>, Vec<Diagnostic>),
    /// A flaw of the call itself, with a remedy.
    Usage(String, Option<String>),
}

impl Failure {
    /// A flaw of the call, with a remedy.
    pub fn usage(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Usage(message.into(), Some(help.into()))
    }
}

/// Parses the arguments of the process, runs the command, prints, and returns the exit status.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli.command) {
        Ok(report) => match cli.output.write(&report) {
            Ok(()) if report.ok || cli.output.exit_zero => ExitCode::SUCCESS,
            Ok(()) => ExitCode::from(1),
            Err(failure) => cli.output.fail(&failure),
        },
        Err(failure) => cli.output.fail(&failure),
    }
}

fn run(command: Command) -> Result<Report, Failure> {
    match command {
        Command::Gridding(args) => gridding::run(args),
        Command::HdcCheck(args) => hdc_check::run(args),
        Command::HdcDesign(args) => hdc_design::run(args),
    }
}

/// The argument parser, for completions, the man page and tests.
pub fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}
