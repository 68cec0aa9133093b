//! `cnnkit stream`

use crate::cli::Failure;
use crate::cli::load::{Complete, SpecArgs};
use cnnkit::Loader;
use cnnkit::load::Draft;
use cnnkit::resized::Spec as Resized;
use cnnkit_core::analysis::memory::Dtype;
use cnnkit_core::analysis::sizes::Fixed;
use cnnkit_core::analysis::streaming::{Streaming, analyse};
use cnnkit_core::diagnostic::Diagnostic;
use cnnkit_core::spec;
use cnnkit_report::imported::Figures;
use cnnkit_report::stream::{Question, StreamSummary, summary};
use cnnkit_report::{Entry, Report, Spec};

/// Compute how a network runs on a sequence that arrives in chunks
///
/// Whether it is causal and which layer breaks it, the look-ahead, the latency, the smallest chunk, and what every layer
/// keeps between chunks; or the layers that need the whole sequence.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cnnkit stream zoo:wavenet --rate 16000
  cnnkit stream zoo:tcn --chunk 160 --dtype f16
  cnnkit stream video.yaml --axis 0          the first spatial axis is time
  cnnkit stream net.onnx --format json")]
pub struct Args {
    #[command(flatten)]
    spec: SpecArgs,
    #[command(flatten)]
    pub complete: Complete,
    /// Positions per second: latency in milliseconds, MACs per second
    #[arg(long, value_name = "HZ", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000_000))]
    rate: Option<u64>,
    /// Positions of a chunk, a multiple of the smallest [default: the smallest]
    #[arg(long, value_name = "POSITIONS", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000_000))]
    chunk: Option<u64>,
    /// The time axis among the spatial axes, from 0 [default: the last of one or two, the first of three]
    #[arg(long, value_name = "AXIS")]
    axis: Option<usize>,
    /// Number format of the state
    #[arg(long, value_enum, default_value_t)]
    dtype: Dtype,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Report, Failure> {
    let loader = args.spec.replace.loader(&args.spec.specs)?;
    let (mut entries, mut failures) = (Vec::new(), Vec::new());
    for path in &args.spec.specs {
        match answer(&loader, path, &args) {
            Ok(entry) => entries.push(entry),
            Err(failure) => failures.push(failure),
        }
    }
    Failure::unless_none(failures)?;
    Ok(Report::of_networks(entries))
}

/// Returns the stream of one SPEC.
fn answer(loader: &Loader, path: &str, args: &Args) -> Result<Entry<StreamSummary>, Failure> {
    let (document, sources) = match loader.draft(path)? {
        Draft::Spec { document, sources } => (document, sources),
        Draft::Model(network) => {
            let streaming = analyse(&Fixed::new(&network.graph), args.axis)?;
            let question = question(&streaming, args)?;
            let import = network.import(Figures::Dependences);
            return Ok(network.entry(summary(network.graph.name(), &streaming, question, import)));
        }
    };
    let rejected = |flaws: Vec<Diagnostic>| Failure::rejected(&sources, spec::tidy(flaws));
    let trial = Resized::new(&document, loader.overrides()).map_err(rejected)?;
    let streaming = match analyse(&trial, args.axis) {
        Ok(streaming) => streaming,
        // No size near the spec's own fixes these errors: they are the answer.
        Err(_) if !trial.flaws().is_empty() => return Err(rejected(trial.flaws().to_vec())),
        Err(problem) => return Err(problem.into()),
    };
    let summary = summary(&document.name, &streaming, question(&streaming, args)?, None);
    Ok(Entry { spec: Spec { name: Some(document.name.clone()), path: Some(path.to_owned()) }, summary })
}

/// Returns the options of the call; an error if the chunk is no multiple of the smallest.
fn question(streaming: &Streaming, args: &Args) -> Result<Question, Failure> {
    let hop = streaming.plan.as_ref().map(|plan| plan.hop);
    if let (Some(chunk), Some(hop)) = (args.chunk, hop)
        && chunk % hop != 0
    {
        return Err(Failure::usage(
            format!("chunks of {chunk} positions yield changing numbers of outputs: the hop is {hop}"),
            format!("use a multiple of {hop}: {}", chunk.next_multiple_of(hop)),
        ));
    }
    Ok(Question { rate: args.rate, chunk: args.chunk, dtype: args.dtype })
}
