//! `cnnkit params`

use rayon::prelude::*;

use crate::cli::load::{Complete, SpecArgs};
use crate::cli::plot::Plot;
use crate::cli::{Failure, rates};
use cnnkit_core::analysis::convention::Convention;
use cnnkit_core::analysis::memory::Dtype;
use cnnkit_report::figure::treemap::{self, Area};
use cnnkit_report::imported::Figures;
use cnnkit_report::params::{By, Sort, View, summary};
use cnnkit_report::{Report, convention};

/// Count parameters, MACs and memory, layer by layer
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cnnkit params zoo:resnet50                      blocks, totals, memory
  cnnkit params zoo:resnet50 --depth all          every layer
  cnnkit params net.yaml --by layer --sort macs --top 10
  cnnkit params zoo:resnet50 --convention thop    why another tool prints other MACs
  cnnkit params net.yaml --input 3,512,512 --set classes=21 --format json
  cnnkit params net.onnx --format netron -o net.metrics.json   figures for Netron: drop it on the open model
  cnnkit params zoo:resnet50 -o treemap.svg       where the parameters are; --area macs, --area bytes")]
pub struct Args {
    #[command(flatten)]
    spec: SpecArgs,
    #[command(flatten)]
    pub complete: Complete,
    /// How many levels of blocks to open: a number, or `all`
    #[arg(long, value_name = "N", default_value = "1", value_parser = depth)]
    depth: Depth,
    /// What each row shows
    #[arg(long, value_enum, default_value_t, hide_possible_values = false)]
    by: By,
    /// Order of the rows
    #[arg(long, value_enum, default_value_t)]
    sort: Sort,
    /// Show only the first N rows
    #[arg(long, value_name = "N")]
    top: Option<usize>,
    /// Batch size
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    batch: u64,
    /// Data type of the byte figures in JSON
    #[arg(long, value_enum, default_value_t)]
    dtype: Dtype,
    /// What the areas of the figure show
    #[arg(long, value_enum, default_value_t, value_name = "WHAT", help_heading = "Output")]
    area: Area,
    #[command(flatten)]
    pub plot: Plot,
    /// Show what another counter prints, and why it differs from our MACs
    #[arg(long, value_enum, value_name = "TOOL")]
    convention: Option<Convention>,
}

/// Number of block levels; none means all.
#[derive(Debug, Clone, Copy)]
struct Depth(Option<usize>);

fn depth(text: &str) -> Result<Depth, String> {
    match text {
        "all" => Ok(Depth(None)),
        _ => match text.parse() {
            Ok(0) | Err(_) => Err("expected a number from 1, or `all`".into()),
            Ok(levels) => Ok(Depth(Some(levels))),
        },
    }
}

/// Runs the command.
pub fn run(args: Args) -> Result<Report, Failure> {
    let view = View {
        depth: args.depth.0,
        by: args.by,
        sort: args.sort,
        top: args.top,
        batch: args.batch,
        dtype: args.dtype,
    };
    let drawn = args.plot.asked(args.spec.specs.len())?;
    let networks = args.spec.load_all()?;
    // Many networks are counted on all cores, as they were loaded.
    let entries = networks
        .par_iter()
        .map(|network| {
            let convention = |tool| convention::summary(&network.graph, tool, view.batch);
            let convention = args.convention.map(convention).transpose().map_err(rates::failure)?;
            let import = network.import(Figures::Counts);
            let found =
                summary(&network.graph, view.clone(), convention, import).with_nodes(network.node_names());
            if drawn {
                args.plot.save(&treemap::of(&found, args.area))?;
            }
            Ok(network.entry(found))
        })
        .collect::<Result<_, Failure>>()?;
    Ok(Report::of_networks(entries))
}
