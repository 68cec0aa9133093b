//! `cnnkit graph`

use crate::cli::load::SpecArgs;
use crate::cli::{Failure, envelope};
use cnnkit_report::network::Network;
use cnnkit_report::{Block, Page, Report};

/// Draw the layer graph with its branches, joins and skips
///
/// `--format text` (the default) draws it in the terminal, `dot` is for Graphviz, `mermaid` for Markdown; both group
/// layers by block. `json` lists nodes and edges. ● has weights, ○ has none, ◇ is an input.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    spec: SpecArgs,
    /// Draw blocks below so many levels as one node each
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    depth: Option<u64>,
}

pub fn run(args: Args) -> Result<Report, Failure> {
    let loaded = args.spec.load_all()?;
    let depth = args.depth.and_then(|depth| usize::try_from(depth).ok()).unwrap_or(usize::MAX);
    let networks: Vec<Network> = loaded.iter().map(|loaded| Network::of(&loaded.graph, depth)).collect();
    let json = envelope("graph", loaded.iter().zip(&networks));
    let mut page = Page::default();
    for network in networks {
        page.title_with(&network.name, format!("{} nodes", network.nodes.len()));
        page.push(Block::Network(network));
    }
    Ok(Report { page, json, ok: true })
}
