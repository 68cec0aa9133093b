//! The `cnnkit` program: parses the arguments, runs the command, exits with its status.

use std::process::ExitCode;

fn main() -> ExitCode {
    cnnkit::cli::main(std::env::args_os()).into()
}
