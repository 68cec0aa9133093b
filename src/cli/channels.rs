//! `cnnkit channels`

use crate::cli::load::{Complete, SpecArgs};
use crate::cli::{Failure, envelope, rates};
use cnnkit_report::channels::report;
use cnnkit_report::imported::Figures;
use cnnkit_report::{Page, Report};

/// Tell which input channels an output channel can see
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
    let mut page = Page::default();
    let mut bodies = Vec::new();
    for network in &networks {
        let report = report(&network.graph).map_err(rates::failure)?;
        page.blocks.extend(report.page.blocks);
        network.explain(&mut page, Figures::Dependences);
        bodies.push((network, report.json));
    }
    Ok(Report { page, json: envelope("channels", bodies.into_iter()), ok: true })
}
