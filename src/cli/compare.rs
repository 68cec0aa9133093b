//! `cnnkit compare`

use crate::cli::load::{Complete, SpecArgs};
use crate::cli::{Failure, envelope_of};
use cnnkit_report::Report;
use cnnkit_report::compare::{figures, json, page};
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
    let list: Vec<_> = networks.iter().map(|network| figures(&network.graph)).collect();
    let mut page = page(&list);
    networks.iter().for_each(|network| network.explain(&mut page, Figures::Dependences));
    let mut json = envelope_of("compare", &json(list));
    if networks.iter().any(|network| network.partial(Figures::Dependences)) {
        json["status"] = "partial".into();
    }
    Ok(Report { page, json, ok: true })
}
