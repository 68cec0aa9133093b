//! `cnnkit verify`

use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use crate::cli::framework;
use crate::cli::load::{Complete, Loaded, SpecArgs};
use crate::cli::progress::Progress;
use crate::cli::{Failure, machine};
use cnnkit_core::graph::NodeId;
use cnnkit_report::Report;
use cnnkit_report::imported::Figures;
use cnnkit_report::verify::VerifySummary;
use cnnkit_verify::{Analysis, Effort, Kind, Options, Outcome, verify};

/// Run networks and compare every prediction with a measurement
///
/// Parameters, shapes, multiply-adds, memory, receptive fields, gridding and channels are measured by executing the
/// network with the definition of each layer. Exits with 1 if a claim does not hold.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cnnkit verify zoo:resnet50                         every claim
  cnnkit verify spec.yaml --only receptive_field     one kind
  cnnkit verify spec.yaml --node stage1.conv2        the field of a node beside the outputs
  cnnkit verify zoo:vgg16 --thorough --methods       at full size, and how each figure was measured")]
pub struct Args {
    #[command(flatten)]
    spec: SpecArgs,
    #[command(flatten)]
    pub complete: Complete,
    /// Measure these claims only; several as a list, or by repeating the option
    #[arg(long, value_enum, value_name = "CLAIM", value_delimiter = ',')]
    only: Vec<Kind>,
    /// Measure the field of this node too; may be given several times
    #[arg(long, value_name = "ID")]
    node: Vec<String>,
    /// Measure only what takes about a second
    #[arg(long, conflicts_with = "thorough")]
    fast: bool,
    /// Measure everything at the network's own size, however long it takes
    #[arg(long)]
    thorough: bool,
    /// Largest relative difference at which counts agree
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", hide_default_value = true, value_parser = share)]
    tolerance: f64,
    /// Seed of the weights and inputs
    #[arg(long, default_value_t = 0, value_name = "N", hide_default_value = true)]
    seed: u64,
    /// Show how each figure was measured
    #[arg(long)]
    methods: bool,
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..1.0).contains(&share) => Ok(share),
        _ => Err("expected a share from 0 to below 1, for example 0.01".into()),
    }
}

/// Returns the node that `--node` names.
fn find(network: &Loaded, id: &str) -> Result<NodeId, Failure> {
    network.graph.find(id).ok_or_else(|| {
        let names = network.graph.nodes().iter().map(|node| node.id.as_str());
        let help = match cnnkit_core::diagnostic::suggest(id, names) {
            Some(close) => format!("did you mean `{close}`?"),
            None => "`cnnkit params` lists the nodes".to_owned(),
        };
        Failure::usage(format!("`{}` has no node `{id}`", network.graph.name()), help)
    })
}

/// Runs the command.
pub fn run(args: Args) -> Result<Report, Failure> {
    let networks = args.spec.load_all()?;
    let effort = match (args.fast, args.thorough) {
        (true, _) => Effort::Fast,
        (_, true) => Effort::Thorough,
        _ => Effort::Normal,
    };
    let progress = Progress::start("measuring");
    let shares: Vec<AtomicU64> = networks.iter().map(|_| AtomicU64::new(0)).collect();
    let available = machine::available_memory();
    let one = |(network, share): (&Loaded, &AtomicU64)| -> Result<Outcome, Failure> {
        let options = Options {
            only: args.only.clone(),
            nodes: args.node.iter().map(|id| find(network, id)).collect::<Result<_, _>>()?,
            effort,
            seed: args.seed,
            technique: network.demonstrates,
            tolerance: args.tolerance,
            memory: Some(available),
        };
        let part = |done: u64| {
            share.store(done, Ordering::Relaxed);
            let all: u64 = shares.iter().map(|share| share.load(Ordering::Relaxed)).sum();
            progress.at(all / networks.len().max(1) as u64);
        };
        verify(&network.graph, &Analysis, &options, &part).map_err(|problem| {
            Failure::usage(
                format!("cannot verify `{}`: {problem}", network.graph.name()),
                problem.help.clone().unwrap_or_else(|| "leave the claim out with `--only`".into()),
            )
        })
    };
    let results: Vec<Result<Outcome, Failure>> = networks.par_iter().zip(&shares).map(one).collect();
    drop(progress);
    let mut outcomes = Vec::new();
    let mut failures = Vec::new();
    for result in results {
        match result {
            Ok(outcome) => outcomes.push(outcome),
            Err(failure) => failures.push(failure),
        }
    }
    match failures.len() {
        0 => {}
        1 => return Err(failures.swap_remove(0)),
        _ => return Err(Failure::Several(failures)),
    }
    if let ([network], [outcome], Some(reference)) =
        (networks.as_slice(), outcomes.as_mut_slice(), framework::reference())
    {
        match framework::claims(network, &reference) {
            Ok(claims) => outcome.claims.extend(claims),
            Err(problem) => outcome.notes.push(format!("not compared with PyTorch: {}", problem.message)),
        }
    }
    let summaries = networks.iter().zip(outcomes).map(|(network, outcome)| {
        let import = network.import(Figures::Dependences);
        network.entry(VerifySummary::of(network.graph.name(), outcome, args.methods, import))
    });
    Ok(Report::of_networks(summaries.collect()))
}
