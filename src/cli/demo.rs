//! `cnnkit demo`

use crate::cli::Failure;
use cnnkit_core::analysis::gridding::{Gridding, Stack};
use cnnkit_report::demo::{DemoListSummary, DemoSummary};
use cnnkit_report::gridding::{GriddingSummary, Options};
use cnnkit_report::network::Network;
use cnnkit_report::{Block, Map, Panel, Report};
use cnnkit_verify::demo::{DEMOS, Demo, Fact, Picture, find};

/// Run the identity behind a technique on real tensors
///
/// Without a name, lists the techniques. Exits with 1 if an identity does not hold.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cnnkit demo                      the techniques
  cnnkit demo small-kernels        two 3x3 convolutions are one 5x5
  cnnkit demo all --seed 7         every identity, on other tensors")]
pub struct Args {
    /// The technique, or `all`
    #[arg(value_name = "DEMO")]
    name: Option<String>,
    /// Seed of the tensors
    #[arg(long, default_value_t = 0, value_name = "N", hide_default_value = true)]
    seed: u64,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Report, Failure> {
    let chosen: Vec<&Demo> = match args.name.as_deref() {
        None => return Ok(Report::of(DemoListSummary::all())),
        Some("all") => DEMOS.iter().collect(),
        Some(name) => vec![find(name).ok_or_else(|| {
            let close = cnnkit_core::diagnostic::suggest(name, DEMOS.iter().map(|demo| demo.name));
            let help = close
                .map_or("`cnnkit demo` lists them".to_owned(), |close| format!("did you mean `{close}`?"));
            Failure::usage(format!("there is no demonstration `{name}`"), help)
        })?],
    };
    let mut runs: Vec<(&Demo, Vec<Fact>, Vec<Block>)> = Vec::new();
    for demo in chosen {
        let facts = demo.run(args.seed).map_err(|problem| {
            Failure::usage(format!("cannot run `{}`: {problem}", demo.name), "this is a flaw of the program")
        })?;
        runs.push((demo, facts, picture(demo.picture)?));
    }
    Ok(Report::of(DemoSummary::of(runs)))
}

/// Draws what shows a technique.
fn picture(picture: Picture) -> Result<Vec<Block>, Failure> {
    match picture {
        Picture::Graph(name) => {
            let loaded = cnnkit::Network::load(&format!("zoo:{name}"))?;
            Ok(vec![Block::Network(Network::of(&loaded.graph, usize::MAX))])
        }
        Picture::Rates(stacks) => {
            let mut panels = Vec::new();
            for rates in stacks {
                let stack = Stack::uniform(3, rates, 2)?;
                let summary = GriddingSummary::of(&stack, &Gridding::of(&stack)?, Options::default())?;
                let rates: Vec<String> = rates.iter().map(u64::to_string).collect();
                let title = format!("rates {}", rates.join(","));
                panels.extend(
                    summary.map.panels.into_iter().map(|panel| Panel { title: title.clone(), ..panel }),
                );
            }
            Ok(vec![Block::Map(Map { panels })])
        }
    }
}
