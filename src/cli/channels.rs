//! `cnnkit channels`

use crate::cli::load::{Complete, SpecArgs};
use crate::cli::{Failure, rates};
use cnnkit_report::Report;
use cnnkit_report::channels::summary;
use cnnkit_report::imported::Figures;

/// Compute which input channels each output channel depends on
///
/// Grouped convolutions keep groups of channels apart until a shuffle or a dense layer joins them.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cnnkit channels zoo:shuffle-unit
  cnnkit channels zoo:shuffle-unit-plain   the same without the shuffle")]
pub struct Args {
    #[command(flatten)]
    spec: SpecArgs,
    #[command(flatten)]
    pub complete: Complete,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Report, Failure> {
    let networks = args.spec.load_all()?;
    let mut entries = Vec::new();
    for network in &networks {
        let import = network.import(Figures::Dependences);
        entries.push(network.entry(summary(&network.graph, import).map_err(rates::failure)?));
    }
    Ok(Report::of_networks(entries))
}
