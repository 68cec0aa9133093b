//! `cnnkit paths`

use crate::cli::load::{Complete, SpecArgs};
use crate::cli::plot::Plot;
use crate::cli::{Failure, rates};
use cnnkit_report::Report;
use cnnkit_report::figure::lengths;
use cnnkit_report::imported::Figures;
use cnnkit_report::paths::summary;

/// Count the paths from the input to the output
///
/// A residual network of n modules is an ensemble of 2^n paths (Veit et al. 2016). Exact, however many.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cnnkit paths zoo:resnet50
  cnnkit paths zoo:densenet121
  cnnkit paths zoo:resnet50 -o paths.svg           the distribution of their lengths")]
pub struct Args {
    #[command(flatten)]
    spec: SpecArgs,
    #[command(flatten)]
    pub complete: Complete,
    #[command(flatten)]
    pub plot: Plot,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Report, Failure> {
    let drawn = args.plot.asked(args.spec.specs.len())?;
    let networks = args.spec.load_all()?;
    let mut entries = Vec::new();
    for network in &networks {
        let import = network.import(Figures::Dependences);
        let found = summary(&network.graph, import).map_err(rates::failure)?;
        if drawn {
            args.plot.save(&lengths::of(&found))?;
        }
        entries.push(network.entry(found));
    }
    Ok(Report::of_networks(entries))
}
