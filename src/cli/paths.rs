//! `cnnkit paths`

use crate::cli::load::{Complete, SpecArgs};
use crate::cli::{Failure, envelope, rates};
use cnnkit_report::imported::Figures;
use cnnkit_report::paths::report;
use cnnkit_report::{Page, Report};

/// Count the paths from the input to the output
///
/// A residual network of n modules is an ensemble of 2^n paths (Veit et al. 2016). Exact, however many.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cnnkit paths zoo:resnet50
  cnnkit paths zoo:densenet121")]
pub struct Args {
    #[command(flatten)]
    spec: SpecArgs,
    #[command(flatten)]
    pub complete: Complete,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Report, Failure> {
    let networks = args.spec.load_all()?;
    let mut page = Page::default();
    let mut bodies = Vec::new();
    for network in &networks {
        let report = report(&network.graph).map_err(rates::failure)?;
        page.blocks.extend(report.page.blocks);
        network.explain(&mut page, Figures::Dependences);
        bodies.push((network, report.json));
    }
    Ok(Report { page, json: envelope("paths", bodies.into_iter()), ok: true })
}
