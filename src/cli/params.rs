//! `cnnkit params`

use rayon::prelude::*;

use crate::cli::load::{Complete, SpecArgs};
use crate::cli::{Failure, envelope, rates};
use cnnkit_core::analysis::convention::Convention;
use cnnkit_core::analysis::memory::Dtype;
use cnnkit_report::imported::Figures;
use cnnkit_report::params::{By, Sort, View, footer, json, page};
use cnnkit_report::{Page, Report, convention};

/// Count parameters, MACs and memory, layer by layer
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cnnkit params zoo:resnet50                      blocks, totals, memory
  cnnkit params zoo:resnet50 --depth all          every layer
  cnnkit params net.yaml --by layer --sort macs --top 10
  cnnkit params zoo:resnet50 --convention thop    why another tool says something else
  cnnkit params net.yaml --input 3,512,512 --set classes=21 --format json")]
pub struct Args {
    #[command(flatten)]
    spec: SpecArgs,
    #[command(flatten)]
    pub complete: Complete,
    /// How many levels of blocks to open: a number, or `all`
    #[arg(long, value_name = "N", default_value = "1", value_parser = depth)]
    depth: Depth,
    /// What a row stands for
    #[arg(long, value_enum, default_value_t, hide_possible_values = false)]
    by: By,
    /// Order of the rows
    #[arg(long, value_enum, default_value_t)]
    sort: Sort,
    /// Show only the first N rows
    #[arg(long, value_name = "N")]
    top: Option<usize>,
    /// Images at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    batch: u64,
    /// Number format of the bytes in JSON
    #[arg(long, value_enum, default_value_t)]
    dtype: Dtype,
    /// Show beside our MACs what another counter prints, and why it differs
    #[arg(long, value_enum, value_name = "TOOL")]
    convention: Option<Convention>,
}

/// Levels of blocks; none is all.
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
    let networks = args.spec.load_all()?;
    // Tables of many networks are built on all cores, as they were read.
    let built: Vec<_> = networks
        .par_iter()
        .map(|network| {
            let mut page = page(&network.graph, &view);
            network.explain(&mut page, Figures::Counts);
            let other = match args.convention {
                Some(tool) => {
                    let (more, json) =
                        convention::report(&network.graph, tool, view.batch).map_err(rates::failure)?;
                    page.blocks.extend(more.blocks);
                    Some(json)
                }
                None => None,
            };
            Ok((page, json(&network.graph, &view, other)))
        })
        .collect::<Result<_, Failure>>()?;
    let mut all = Page::default();
    let mut bodies = Vec::new();
    for (network, (page, json)) in networks.iter().zip(built) {
        all.blocks.extend(page.blocks);
        bodies.push((network, json));
    }
    footer(&mut all);
    Ok(Report { page: all, json: envelope("params", bodies.into_iter()), ok: true })
}
