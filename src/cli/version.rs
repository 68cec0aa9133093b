//! `cnnkit --version --verbose`: what this very program is.

use std::ffi::OsString;
use std::io::{ErrorKind, Write as _};

use cnnkit_exec::fast::Isa;

/// What the help of `--version` says.
pub const HELP: &str =
    "Print the version; with `--verbose`, the commit, features and instruction sets as well";

/// Whether the arguments, without the program's name, ask for all that is known of the build.
pub fn asked(args: impl Iterator<Item = OsString>) -> bool {
    let (mut version, mut verbose) = (false, false);
    for arg in args {
        match arg.to_str() {
            Some("--version" | "-V") => version = true,
            Some("--verbose" | "-v") => verbose = true,
            Some("-Vv" | "-vV") => (version, verbose) = (true, true),
            _ => return false,
        }
    }
    version && verbose
}

/// Prints it and returns the exit status; a reader that has seen enough is no error.
pub fn print() -> u8 {
    let mut out = std::io::stdout().lock();
    match out.write_all(text().as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => 2,
        _ => 0,
    }
}

/// Returns the version, how it was built, and what it finds on this machine.
fn text() -> String {
    let commit = option_env!("CNNKIT_BUILT_FROM").unwrap_or("not recorded (a build from a working copy)");
    let sets: Vec<&str> = Isa::all().into_iter().map(Isa::name).collect();
    let (used, others) = sets.split_first().map_or(("plain code", &[][..]), |(used, others)| (*used, others));
    let others: Vec<String> = others.iter().map(|name| format!(", {name}")).collect();
    let checks = if cfg!(debug_assertions) { ", with debug assertions" } else { "" };
    format!(
        "cnnkit {}\ncommit: {commit}\ntarget: {}\nprofile: {}{checks}\nfeatures: cli\ninstruction sets here: {} (used){}\n",
        env!("CARGO_PKG_VERSION"),
        env!("CNNKIT_TARGET"),
        env!("CNNKIT_PROFILE"),
        used,
        others.concat(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_words_in_any_order_ask_for_everything() {
        let asked = |args: &str| asked(args.split_whitespace().map(OsString::from));
        for args in ["--version --verbose", "--verbose --version", "-V -v", "-vV", "-Vv", "-V --verbose"] {
            assert!(asked(args), "{args}");
        }
        for args in ["--version", "--verbose", "-V", "", "params --version --verbose", "-V -v net.yaml"] {
            assert!(!asked(args), "{args}");
        }
    }
}
