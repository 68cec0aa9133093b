//! `cnnkit train`

use crate::cli::load::{Complete, SpecArgs};
use crate::cli::{Failure, bytes};
use cnnkit_core::analysis::memory::Dtype;
use cnnkit_core::analysis::training::optimizer::Optimizer;
use cnnkit_core::analysis::training::{AttentionKernel, MOST_IMAGES, Training};
use cnnkit_report::Report;
use cnnkit_report::imported::Figures;
use cnnkit_report::train::{View, summary};

/// Compute the memory and work of a training step, and what checkpoints save
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cnnkit train zoo:resnet50 --batch 32            what is kept for the backward pass, and the peak
  cnnkit train zoo:resnet50 --memory 24GiB        the largest batch that fits
  cnnkit train net.yaml --dtype bf16 --optimizer adam8bit
  cnnkit train net.yaml --frozen stem,stage1      parts that are not trained
  cnnkit train net.onnx --batch 64 --format json  every kept tensor of every layer")]
pub struct Args {
    #[command(flatten)]
    spec: SpecArgs,
    #[command(flatten)]
    pub complete: Complete,
    /// Batch size
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=MOST_IMAGES))]
    batch: u64,
    /// Number format of activations, parameters and gradients; bf16 and f16 have f32 master weights
    #[arg(long, value_enum, default_value_t)]
    dtype: Dtype,
    /// The optimiser, whose states are part of the memory
    #[arg(long, value_enum, default_value_t)]
    optimizer: Optimizer,
    /// Memory of the device: 24GiB. Finds the largest batch, and the checkpoints that the given batch needs
    #[arg(long, value_name = "BYTES", value_parser = bytes::parse)]
    memory: Option<u64>,
    /// Layers and blocks that are not trained, by id, separated by commas
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    frozen: Vec<String>,
    /// How attention is computed
    #[arg(long, value_enum, default_value_t)]
    attention: AttentionKernel,
    /// Show the N layers that keep the most
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Report, Failure> {
    let view = View {
        training: Training {
            batch: args.batch,
            dtype: args.dtype,
            optimizer: args.optimizer,
            attention: args.attention,
            frozen: args.frozen,
        },
        memory: args.memory,
        top: args.top,
    };
    let networks = args.spec.load_all()?;
    let entries = networks.iter().map(|network| {
        let import = network.import(Figures::Dependences);
        Ok(network.entry(summary(&network.graph, &view, import)?))
    });
    Ok(Report::of_networks(entries.collect::<Result<_, Failure>>()?))
}
