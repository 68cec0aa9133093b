//! The `cnnkit` program: parse the arguments, run the command, exit with its status.

use std::process::ExitCode;

fn main() -> ExitCode {
    cnnkit::cli::main(std::env::args_os()).into()
}
