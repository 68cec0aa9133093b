//! `cnnkit plan`

use crate::cli::load::{Complete, SpecArgs};
use crate::cli::{Failure, bytes};
use cnnkit_core::analysis::memory::Dtype;
use cnnkit_report::Report;
use cnnkit_report::imported::Figures;
use cnnkit_report::plan::{View, summary};

/// Plan the memory of an inference on a small device: peaks, order, arena
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cnnkit plan zoo:mobilenet_v2 --dtype i8                  peaks, the best order, an arena with offsets
  cnnkit plan net.yaml --dtype i8 --arena 320KiB           exit with 1 if it does not fit
  cnnkit plan net.yaml --dtype i8 --patches                the first layers on parts of the image (MCUNetV2)
  cnnkit plan net.onnx --dtype i8 --format json            every tensor with its offset and lifetime
  cnnkit plan net.yaml --format csv > tensors.csv")]
pub struct Args {
    #[command(flatten)]
    spec: SpecArgs,
    #[command(flatten)]
    pub complete: Complete,
    /// Number format of the tensors
    #[arg(long, value_enum, default_value_t)]
    dtype: Dtype,
    /// Memory of the device for tensors: 320KiB. If the arena is larger, exit with 1
    #[arg(long, value_name = "BYTES", value_parser = bytes::parse)]
    arena: Option<u64>,
    /// Run the first layers patch by patch, N patches along each axis: what that saves and computes again [default: the best]
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "0",
        value_parser = clap::value_parser!(u64).range(0..=64))]
    patches: Option<u64>,
    /// Show the N largest tensors
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Report, Failure> {
    let patches = args.patches.map(|count| (count > 0).then_some(count));
    let view = View { dtype: args.dtype, budget: args.arena, patches, top: args.top };
    let networks = args.spec.load_all()?;
    let entries = networks.iter().map(|network| {
        let import = network.import(Figures::Dependences);
        network.entry(summary(&network.graph, &view, import))
    });
    let entries: Vec<_> = entries.collect();
    let fits = entries.iter().all(|entry| entry.summary.fits);
    Ok(Report::of_networks(entries).with_verdict(fits))
}
