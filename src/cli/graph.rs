//! `cnnkit graph`

use crate::cli::load::SpecArgs;
use crate::cli::plot::Plot;
use crate::cli::{Failure, rates};
use cnnkit_report::Report;
use cnnkit_report::figure;
use cnnkit_report::imported::Figures;
use cnnkit_report::network::Network;

/// Draw the layer graph with its branches, joins and skips
///
/// `--format table` (the default) draws it in the terminal, `dot` is for Graphviz, `mermaid` for Markdown; both group
/// layers by block. `json` lists nodes and edges. ● has weights, ○ has none, ◇ is an input. `-o net.svg` draws a figure, by
/// itself with as many levels of blocks open as can be taken in.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cnnkit graph zoo:resnet18                           in the terminal
  cnnkit graph zoo:inception_v3 --depth 1             one node per block
  cnnkit graph net.yaml --format dot -o net.dot       for Graphviz
  cnnkit graph net.yaml --format mermaid              for a page of Markdown
  cnnkit graph zoo:resnet50 -o net.svg                as a figure: equal blocks drawn once")]
pub struct Args {
    #[command(flatten)]
    spec: SpecArgs,
    /// Open N levels of blocks; draw each block below as one node
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    depth: Option<u64>,
    #[command(flatten)]
    pub plot: Plot,
}

pub fn run(args: Args) -> Result<Report, Failure> {
    let drawn = args.plot.asked(args.spec.specs.len())?;
    let loaded = args.spec.load_all()?;
    let depth = args.depth.map(|depth| usize::try_from(depth).unwrap_or(usize::MAX));
    if let Some(network) = loaded.first().filter(|_| drawn) {
        args.plot.save(&figure::network::of(&network.graph, depth).map_err(rates::failure)?)?;
    }
    let depth = depth.unwrap_or(usize::MAX);
    let entries = loaded.iter().map(|network| {
        let import = network.import(Figures::Dependences);
        network.entry(Network::of(&network.graph, depth).with_import(import))
    });
    Ok(Report::of_networks(entries.collect()))
}
