//! `cnnkit completions`

use clap_complete::Shell;

use crate::cli::command;
use cnnkit_report::{Page, Report};

/// Print shell completions
///
/// For example `cnnkit completions bash > ~/.local/share/bash-completion/completions/cnnkit`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    shell: Shell,
}

pub fn run(args: Args) -> Report {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command(), "cnnkit", &mut script);
    let mut page = Page::default();
    page.source(&String::from_utf8_lossy(&script));
    Report { page, json: serde_json::Value::Null, ok: true }
}
