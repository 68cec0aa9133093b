//! The `cnnkit` program: parse the arguments, run the command, exit with its status.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
