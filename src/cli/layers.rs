//! `cnnkit layers`

use crate::cli::Failure;
use cnnkit_core::diagnostic::did_you_mean;
use cnnkit_core::layers::{KINDS, find};
use cnnkit_report::{Report, layers};

/// List the layers of the spec language, or show one: arguments, formulas, examples
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cnnkit layers                       every layer with a line
  cnnkit layers deform_conv           its arguments, formulas and examples
  cnnkit layers Conv2d                PyTorch's names are understood
  cnnkit layers conv --format json    for programs")]
pub struct Args {
    /// A layer's name
    name: Option<String>,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Report, Failure> {
    let Some(name) = args.name else { return Ok(layers::list()) };
    if let Some((kind, _)) = find(&name) {
        return Ok(layers::one(kind));
    }
    let names: Vec<&str> = KINDS
        .iter()
        .flat_map(|kind| std::iter::once(&kind.doc.name).chain(kind.doc.aliases))
        .copied()
        .collect();
    let help = did_you_mean(&name, &names).unwrap_or_else(|| "`cnnkit layers` lists them".into());
    Err(Failure::usage(format!("there is no layer `{name}`"), help))
}
