//! `cnnkit compare`

use crate::cli::Failure;
use crate::cli::load::{Complete, SpecArgs};
use cnnkit_report::Report;
use cnnkit_report::compare::summary;
use cnnkit_report::imported::Figures;

/// Put networks side by side, with ratios against the first
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cnnkit compare zoo:bottleneck-plain zoo:bottleneck
  cnnkit compare zoo:resnet18 zoo:resnet50 zoo:resnet152 --format markdown")]
pub struct Args {
    #[command(flatten)]
    spec: SpecArgs,
    #[command(flatten)]
    pub complete: Complete,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Report, Failure> {
    if args.spec.specs.len() < 2 {
        return Err(Failure::usage(
            "one network has nothing to be compared with",
            "name two or more: `cnnkit compare zoo:bottleneck-plain zoo:bottleneck`",
        ));
    }
    let networks = args.spec.load_all()?;
    let imports = networks
        .iter()
        .map(|network| {
            network.import(Figures::Dependences).map(|import| import.said_of(network.graph.name()))
        })
        .collect();
    Ok(Report::of(summary(networks.iter().map(|network| &network.graph), imports)))
}
