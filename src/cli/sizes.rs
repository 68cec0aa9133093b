//! `cnnkit sizes`

use crate::cli::Failure;
use crate::cli::load::{Complete, SpecArgs};
use cnnkit_core::analysis::sizes::analyse;
use cnnkit_report::Report;
use cnnkit_report::imported::Figures;
use cnnkit_report::sizes::summary;

/// Find the input sizes that fit a network
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cnnkit sizes zoo:unet                    the sizes at which every merge works
  cnnkit sizes zoo:resnet50 --near 500x375 the next sizes that lose no pixel")]
pub struct Args {
    #[command(flatten)]
    spec: SpecArgs,
    #[command(flatten)]
    pub complete: Complete,
    /// Show the sizes next to this one, one value per axis: 500x375 (height x width)
    #[arg(long, value_name = "HxW", value_parser = near)]
    near: Option<Near>,
}

#[derive(Debug, Clone)]
struct Near(Vec<u64>);

fn near(text: &str) -> Result<Near, String> {
    let sizes = text.split(['x', ',']).map(|size| match size.trim().parse() {
        Ok(size @ 1..=1_000_000) => Ok(size),
        _ => Err(format!("`{size}` is not a size; write one size per axis, for example 500x375")),
    });
    Ok(Near(sizes.collect::<Result<_, _>>()?))
}

/// Runs the command.
pub fn run(args: Args) -> Result<Report, Failure> {
    let networks = args.spec.load_all()?;
    let mut entries = Vec::new();
    for network in &networks {
        let axes = analyse(&network.graph).map_err(|error| {
            Failure::usage(
                format!("not supported: sizes of `{}`: {}", network.graph.name(), error.0),
                "try single sizes with `cnnkit params --input C,H,W`",
            )
        })?;
        let near = match &args.near {
            Some(Near(sizes)) if sizes.len() == 1 => Some(vec![sizes[0]; axes.len()]),
            Some(Near(sizes)) if sizes.len() == axes.len() => Some(sizes.clone()),
            Some(Near(sizes)) => {
                return Err(Failure::usage(
                    format!(
                        "`--near` gives {} sizes, `{}` has {} spatial axes",
                        sizes.len(),
                        network.graph.name(),
                        axes.len()
                    ),
                    "give one size for all axes, or one per axis",
                ));
            }
            None => None,
        };
        let import = network.import(Figures::Dependences);
        entries.push(network.entry(summary(&network.graph, axes, near.as_deref(), import)));
    }
    Ok(Report::of_networks(entries))
}
