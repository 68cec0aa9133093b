//! `cnnkit gridding`

use crate::cli::load::{Complete, Replace};
use crate::cli::plot::Plot;
use crate::cli::{Failure, rates};
use cnnkit_core::analysis::dilated;
use cnnkit_core::analysis::gridding::Gridding;
use cnnkit_report::Report;
use cnnkit_report::chains::NetworkGriddingSummary;
use cnnkit_report::figure::coverage;
use cnnkit_report::gridding::{GriddingSummary, Options};
use cnnkit_report::imported::{Figures, StatusAndImport};

/// Show which input positions a stack of dilated convolutions reads
///
/// Draws the coverage map, each position shaded by the number of ways in which it reaches the output, and computes which
/// share of the receptive field is never read. Exact at any width.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cnnkit gridding 2,2,2                       the classic case: 71 % of the box is never read
  cnnkit gridding 2,2,2 --steps               layer by layer
  cnnkit gridding 1,2,5 --plot map.png        as a picture
  cnnkit gridding 1,2 --kernels 1x7,7x1       kernels per layer and axis
  cnnkit gridding 1,1,2 --strides 2,1,1       behind strides
  cnnkit gridding 1,2,4,8 --kernel 2 --axes 1 a WaveNet stack
  cnnkit gridding 2,2,2 --verify              the map against a run on an impulse
  cnnkit gridding zoo:deeplabv3_resnet50      every chain of a network, and its taps on the real maps
  cnnkit gridding 2,2,2 --steps -o grid.svg --theme print   for a paper")]
pub struct Args {
    /// Dilation rates from the input to the output: 2,2,2 (per axis: 2x1,1x2); or a network, to show its chains
    #[arg(value_name = "RATES|SPEC")]
    target: String,
    #[command(flatten)]
    replace: Replace,
    #[command(flatten)]
    pub complete: Complete,
    /// Kernel size of all layers: 3, or 1x7 per axis
    #[arg(long, default_value = "3", value_name = "K")]
    kernel: String,
    /// Kernel sizes layer by layer: 3,5,3 or 1x7,7x1
    #[arg(long, value_name = "LIST", conflicts_with = "kernel")]
    kernels: Option<String>,
    /// Strides layer by layer [default: 1]
    #[arg(long, default_value = "1", value_name = "LIST", hide_default_value = true)]
    strides: String,
    /// Spatial axes [default: 2, or as many as the lists have]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=3))]
    axes: Option<u8>,
    /// Show the map and the figures after each layer
    #[arg(long)]
    steps: bool,
    #[command(flatten)]
    pub plot: Plot,
    /// List every multiplicity in the JSON output, up to 4,194,304 positions of an axis
    #[arg(long)]
    multiplicity: bool,
    /// Run the stack on an impulse with unit weights and compare every position; exits with 1 if one differs
    #[arg(long)]
    verify: bool,
}

pub fn run(args: Args) -> Result<Report, Failure> {
    let drawn = args.plot.asked(1)?;
    let rates = match rates::Target::parse(&args.target)? {
        rates::Target::Rates(groups) => groups.concat(),
        rates::Target::Spec(spec) => return network(&spec, &args),
    };
    let kernels = match &args.kernels {
        Some(list) => rates::list("--kernels", list)?,
        None => rates::list("--kernel", &args.kernel)?,
    };
    let strides = rates::list("--strides", &args.strides)?;
    if args.kernels.is_none() && kernels.len() > 1 {
        return Err(Failure::usage("--kernel takes one size", "for one size per layer use --kernels"));
    }
    let stack = rates::stack(&rates, &kernels, &strides, args.axes.map(usize::from))?;
    let options = Options { steps: args.steps, multiplicity: args.multiplicity };
    let facts = Gridding::of(&stack).map_err(rates::failure)?;
    let mut summary = GriddingSummary::of(&stack, &facts, options).map_err(rates::failure)?;
    if args.verify {
        summary.verify = Some(rates::verify(&[(None, stack)])?);
    }
    if drawn {
        args.plot.save(&coverage::of(&summary))?;
    }
    Ok(Report::of(summary))
}

/// Reports the chains of a network, whose layers determine kernels, strides and axes.
fn network(spec: &str, args: &Args) -> Result<Report, Failure> {
    let fixed = [
        ("--kernel", args.kernel != "3"),
        ("--kernels", args.kernels.is_some()),
        ("--strides", args.strides != "1"),
        ("--axes", args.axes.is_some()),
    ];
    if let Some((option, _)) = fixed.iter().find(|(_, given)| *given) {
        return Err(Failure::usage(
            format!("{option} is for a list of rates, `{spec}` is a network"),
            "give a chain's rates as a list: cnnkit gridding 1,2,5",
        ));
    }
    let loaded = args.replace.load(spec)?;
    let chains = dilated::chains(&loaded.graph).map_err(rates::failure)?;
    let options = Options { steps: args.steps, multiplicity: args.multiplicity };
    let mut summary = NetworkGriddingSummary::of(&loaded.graph, &chains, options).map_err(rates::failure)?;
    if args.plot.asked(1)? {
        args.plot.save(&coverage::of_network(&summary, loaded.graph.name()))?;
    }
    if args.verify {
        summary.verify = Some(rates::verify(&rates::stacks(&loaded.graph, &chains)?)?);
    }
    summary.import = loaded.import(Figures::Dependences).map(StatusAndImport::from);
    Ok(Report::of_networks(vec![loaded.entry(summary)]))
}
