//! `cnnkit layers`

use crate::cli::Failure;
use cnnkit_core::diagnostic::did_you_mean;
use cnnkit_core::layers::{KINDS, find};
use cnnkit_report::Report;
use cnnkit_report::layers::{LayerSummary, LayersSummary};

/// List the layers of the spec language, or show one: arguments, formulas, examples
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cnnkit layers                       every layer, one per line
  cnnkit layers deform_conv           its arguments, formulas and examples
  cnnkit layers Conv2d                PyTorch's names are understood
  cnnkit layers conv --format json    for programs")]
pub struct Args {
    /// A layer's name, in a spec or in PyTorch
    #[arg(value_name = "LAYER")]
    name: Option<String>,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Report, Failure> {
    let Some(name) = args.name else { return Ok(Report::of(LayersSummary::all())) };
    if let Some((kind, _)) = find(&name) {
        return Ok(Report::of(LayerSummary::of(kind)));
    }
    let names: Vec<&str> = KINDS
        .iter()
        .flat_map(|kind| std::iter::once(&kind.doc.name).chain(kind.doc.aliases))
        .copied()
        .collect();
    let help = did_you_mean(&name, &names).unwrap_or_else(|| "`cnnkit layers` lists them".into());
    Err(Failure::usage(format!("there is no layer `{name}`"), help))
}
