//! `cnnkit sizes`

use crate::cli::Failure;
use crate::cli::load::{Complete, SpecArgs};
use cnnkit::Loader;
use cnnkit::load::Draft;
use cnnkit::resized::Spec as Resized;
use cnnkit_core::analysis::sizes::{Fixed, Trial as _, Unsupported, analyse};
use cnnkit_core::diagnostic::Diagnostic;
use cnnkit_core::spec;
use cnnkit_report::imported::Figures;
use cnnkit_report::sizes::{SizesSummary, Unfit, summary};
use cnnkit_report::{Entry, Report, Spec};

/// Find the input sizes that fit a network
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cnnkit sizes zoo:unet                    the sizes at which every merge works
  cnnkit sizes zoo:resnet50 --near 500x375 the next sizes that lose no pixel
  cnnkit sizes spec.yaml                   also where the spec's own size does not fit")]
pub struct Args {
    #[command(flatten)]
    spec: SpecArgs,
    #[command(flatten)]
    pub complete: Complete,
    /// Show the sizes next to this one, one value per axis: 500x375 (height x width)
    #[arg(long, value_name = "HxW", value_parser = near)]
    near: Option<Near>,
}

#[derive(Debug, Clone)]
struct Near(Vec<u64>);

fn near(text: &str) -> Result<Near, String> {
    let sizes = text.split(['x', ',']).map(|size| match size.trim().parse() {
        Ok(size @ 1..=1_000_000) => Ok(size),
        _ => Err(format!("`{size}` is not a size; write one size per axis, for example 500x375")),
    });
    Ok(Near(sizes.collect::<Result<_, _>>()?))
}

/// Runs the command.
pub fn run(args: Args) -> Result<Report, Failure> {
    let near = args.near.as_ref().map(|Near(sizes)| sizes.as_slice());
    let loader = args.spec.replace.loader(&args.spec.specs)?;
    let (mut entries, mut failures) = (Vec::new(), Vec::new());
    for path in &args.spec.specs {
        match answer(&loader, path, near) {
            Ok(entry) => entries.push(entry),
            Err(failure) => failures.push(failure),
        }
    }
    Failure::unless_none(failures)?;
    Ok(Report::of_networks(entries))
}

/// Returns the sizes of one SPEC.
fn answer(loader: &Loader, path: &str, near: Option<&[u64]>) -> Result<Entry<SizesSummary>, Failure> {
    let (document, sources) = match loader.draft(path)? {
        Draft::Spec { document, sources } => (document, sources),
        Draft::Model(network) => {
            let trial = Fixed::new(&network.graph);
            let name = network.graph.name();
            let axes = analyse(&trial).map_err(|error| unsupported(name, &error))?;
            let near = nearest(near, name, axes.len())?;
            let import = network.import(Figures::Dependences);
            return Ok(network.entry(summary(name, trial.inputs(), axes, near.as_deref(), import)));
        }
    };
    let rejected = |flaws: Vec<Diagnostic>| Failure::rejected(&sources, spec::tidy(flaws));
    let trial = Resized::new(&document, loader.overrides()).map_err(rejected)?;
    let name = document.name.as_str();
    let axes = match analyse(&trial) {
        Ok(axes) => axes,
        // No size fixes these errors: they are the answer.
        Err(_) if !trial.flaws().is_empty() => return Err(rejected(trial.flaws().to_vec())),
        Err(error) => return Err(unsupported(name, &error)),
    };
    let near = nearest(near, name, axes.len())?;
    let unfit =
        trial.flaws().first().map(|flaw| Unfit { flaw: flaw.message.clone(), varies: trial.varies(&axes) });
    let summary = SizesSummary { unfit, ..summary(name, trial.inputs(), axes, near.as_deref(), None) };
    Ok(Entry { spec: Spec { name: Some(name.to_owned()), path: Some(path.to_owned()) }, summary })
}

fn unsupported(name: &str, error: &Unsupported) -> Failure {
    Failure::usage(
        format!("not supported: sizes of `{name}`: {}", error.0),
        "try single sizes with `cnnkit params --input C,H,W`",
    )
}

/// Returns a size of interest for each axis: one for all, or one per axis.
fn nearest(near: Option<&[u64]>, name: &str, axes: usize) -> Result<Option<Vec<u64>>, Failure> {
    match near {
        Some([only]) => Ok(Some(vec![*only; axes])),
        Some(sizes) if sizes.len() == axes => Ok(Some(sizes.to_vec())),
        Some(sizes) => Err(Failure::usage(
            format!("`--near` gives {} sizes, `{name}` has {axes} spatial axes", sizes.len()),
            "give one size for all axes, or one per axis",
        )),
        None => Ok(None),
    }
}
