//! The `cnnkit` program: parses the arguments, runs the command, exits with its status.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
