//! `cnnkit run`

use crate::cli::load::Replace;
use crate::cli::progress::Progress;
use crate::cli::{Failure, envelope};
use crate::diagnostic::Problem;
use crate::exec::files;
use crate::exec::network::{Fill, Network, random_inputs};
use crate::exec::run::Definition;
use crate::exec::tensor::Tensor;
use crate::graph::Graph;
use crate::report::Report;
use crate::report::run::{self, Measured};

/// Run the network on the CPU and measure what it really does
///
/// Computes in f32, with weights from a file or seeded ones that are the same on every machine, and shows the outputs,
/// the time, the multiply-adds that were counted and the memory that was used, beside what `params` predicts.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cnnkit run zoo:resnet18 --input 3,64,64                 random data, seeded weights
  cnnkit run net.yaml --data image.npy --save out.npy     [C, H, W] or [batch, C, H, W]
  cnnkit run net.yaml --weights net.safetensors --profile
  cnnkit run net.yaml --save-weights net.npz              what the seed made")]
pub struct Args {
    /// Spec file (.yaml), `zoo:NAME` for a built-in one, `-` for standard input
    #[arg(value_name = "SPEC")]
    spec: String,
    #[command(flatten)]
    replace: Replace,
    /// What the network reads: a .npy file, or `random`; NAME= in front if there are several inputs
    #[arg(long, value_name = "[NAME=]FILE", default_value = "random")]
    data: Vec<String>,
    /// Seed of the weights and of random data
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Images at once in random data
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65536))]
    batch: u32,
    /// Run so many times and show the fastest
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    repeat: u32,
    /// Show the time of every layer
    #[arg(long)]
    profile: bool,
    /// Load the weights from a .npz or .safetensors file
    #[arg(long, value_name = "FILE")]
    weights: Option<String>,
    /// Write the weights to a .npz or .safetensors file
    #[arg(long, value_name = "FILE")]
    save_weights: Option<String>,
    /// Write the first output to a .npy file
    #[arg(long, value_name = "FILE")]
    save: Option<String>,
}

fn failed(problem: Problem) -> Failure {
    Failure::Usage(problem.message, problem.help)
}

/// The inputs: random ones, of which those that are given as files are replaced.
fn inputs(args: &Args, graph: &Graph) -> Result<Vec<Tensor<f32>>, Failure> {
    let names: Vec<&str> = graph.inputs().map(|(_, node)| node.id.as_str()).collect();
    let mut files: Vec<(usize, Tensor<f32>)> = Vec::new();
    for data in args.data.iter().filter(|data| *data != "random") {
        let (place, path) = match data.split_once('=') {
            Some((name, path)) => {
                let place = names.iter().position(|input| *input == name);
                let known = || {
                    Failure::usage(
                        format!("there is no input `{name}`"),
                        format!("inputs are {}", names.join(", ")),
                    )
                };
                (place.ok_or_else(known)?, path)
            }
            None => (0, data.as_str()),
        };
        let tensor = files::read_npy(path).map_err(failed)?;
        let wanted = graph.inputs().nth(place).map_or(0, |(_, node)| node.shape.rank());
        // One image without a batch axis is a batch of one.
        let sizes = [&[1], tensor.sizes()].concat();
        let tensor =
            if tensor.sizes().len() == wanted { tensor.reshaped(&sizes).map_err(failed)? } else { tensor };
        files.push((place, tensor));
    }
    let batch = files.first().map_or(args.batch as usize, |(_, tensor)| tensor.batch());
    let mut inputs = random_inputs(graph, batch, args.seed).map_err(failed)?;
    for (place, tensor) in files {
        if let Some(input) = inputs.get_mut(place) {
            *input = tensor;
        }
    }
    Ok(inputs)
}

/// Runs the command.
pub fn run(args: Args) -> Result<Report, Failure> {
    let loaded = args.replace.load(&args.spec)?;
    let graph = &loaded.graph;
    run::affordable(graph, u64::from(args.batch)).map_err(failed)?;
    let inputs = inputs(&args, graph)?;
    let batch = inputs.first().map_or(1, Tensor::batch);
    let mut network = Network::<f32>::seeded(graph, args.seed, Fill::Declared).map_err(failed)?;
    if let Some(path) = &args.weights {
        network.replace(files::read_weights(path).map_err(failed)?).map_err(failed)?;
    } else if let Some(weights) = loaded.weights().map_err(failed)? {
        network.replace(weights).map_err(failed)?;
    }
    if let Some(path) = &args.save_weights {
        let named = network.named().map(|(name, _, _, tensor)| (name, tensor.as_ref()));
        files::write_weights(path, named).map_err(failed)?;
    }
    let progress = Progress::start("running");
    let total: u64 = graph.nodes.iter().map(|node| node.cost.macs).fold(0, u64::saturating_add).max(1);
    let mut measured = Measured::default();
    for repeat in 0..u64::from(args.repeat) {
        let mut done = 0u64;
        let tell = |id| {
            let share = done as f64 / total as f64;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a share of a thousand"
            )]
            let thousandths = (1000.0 * (repeat as f64 + share) / f64::from(args.repeat)) as u64;
            progress.at(thousandths);
            done = done.saturating_add(graph.node(id).cost.macs);
        };
        measured.add(network.run(inputs.clone(), &Definition, tell).map_err(failed)?);
    }
    drop(progress);
    if let (Some(path), Some(run)) = (&args.save, &measured.fastest)
        && let Some(output) = run.outputs.first()
    {
        files::write_npy(path, output).map_err(failed)?;
    }
    let page = run::page(&network, &measured, batch as u64, args.profile);
    let body = run::json(&network, &measured, batch as u64);
    Ok(Report { page, json: envelope("run", std::iter::once((&loaded, body))), ok: true })
}
