//! `cnnkit new`

use std::path::Path;

use crate::cli::{Failure, init, output};
use cnnkit_report::Report;
use cnnkit_report::init::NewSummary;

/// Start a spec: a small network, or a copy of another to change
///
/// The copy works alone: blocks that the other spec includes are written into it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cnnkit new                                  net.yaml, a small residual network
  cnnkit new --from zoo:resnet50              resnet50.yaml
  cnnkit new --from zoo:resnet50 mine.yaml")]
pub struct Args {
    /// The spec to write [default: net.yaml, or as the network of `--from` is called]
    #[arg(value_name = "FILE")]
    target: Option<String>,
    /// The network to start from: a spec file or `zoo:NAME`
    #[arg(long, value_name = "SPEC")]
    from: Option<String>,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Report, Failure> {
    let (name, text) = match &args.from {
        None => ("net".to_owned(), init::starter()?),
        Some(from) => {
            let stem = from.strip_prefix("zoo:").unwrap_or(from);
            let stem = Path::new(stem).file_stem().map(|stem| stem.to_string_lossy().into_owned());
            (stem.unwrap_or_else(|| "net".to_owned()), cnnkit::standalone::text(from)?)
        }
    };
    let file = args.target.unwrap_or_else(|| format!("{name}.yaml"));
    if Path::new(&file).exists() {
        let help = "name another: `cnnkit new other.yaml`";
        return Err(Failure::usage(format!("`{file}` is there already"), help));
    }
    output::save(&file, &text)?;
    Ok(Report::of(NewSummary { file, from: args.from, yaml: text }))
}
