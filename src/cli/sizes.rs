//! `cnnkit sizes`

use crate::cli::load::{Complete, Loaded, Replace, SpecArgs, is_model};
use crate::cli::{Failure, envelope_named};
use cnnkit::resized::Spec;
use cnnkit_core::analysis::sizes::{Fixed, Trial as _, Unsupported, analyse};
use cnnkit_core::diagnostic::Diagnostic;
use cnnkit_core::spec;
use cnnkit_report::sizes::{SizesJson, json, page, unfit};
use cnnkit_report::{Page, Report};

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
    /// Show the sizes next to this one, an axis each: 500x375 (height x width)
    #[arg(long, value_name = "HxW", value_parser = near)]
    near: Option<Near>,
}

#[derive(Debug, Clone)]
struct Near(Vec<u64>);

fn near(text: &str) -> Result<Near, String> {
    let sizes = text.split(['x', ',']).map(|size| match size.trim().parse() {
        Ok(size @ 1..=1_000_000) => Ok(size),
        _ => Err(format!("`{size}` is not a size; write one size an axis, for example 500x375")),
    });
    Ok(Near(sizes.collect::<Result<_, _>>()?))
}

/// What there is to say of one SPEC.
struct Answer {
    name: String,
    network: Option<Loaded>,
    page: Page,
    json: SizesJson,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Report, Failure> {
    let near = args.near.as_ref().map(|Near(sizes)| sizes.as_slice());
    let (mut answers, mut failures) = (Vec::new(), Vec::new());
    for spec in &args.spec.specs {
        match answer(&args.spec.replace, spec, near) {
            Ok(answer) => answers.push(answer),
            Err(failure) => failures.push(failure),
        }
    }
    Failure::unless_none(failures)?;
    let mut all = Page::default();
    answers.iter_mut().for_each(|answer| all.blocks.append(&mut answer.page.blocks));
    let named = args.spec.specs.iter().zip(&answers);
    let bodies = named
        .map(|(path, answer)| (answer.name.as_str(), path.as_str(), answer.network.as_ref(), &answer.json));
    Ok(Report { page: all, json: envelope_named("sizes", bodies), ok: true })
}

fn answer(replace: &Replace, spec: &str, near: Option<&[u64]>) -> Result<Answer, Failure> {
    if is_model(spec) {
        let network = replace.load(spec)?;
        let trial = Fixed::new(&network.graph);
        let name = network.graph.name.clone();
        let axes = analyse(&trial).map_err(|error| unsupported(&name, &error))?;
        let near = nearest(near, &name, axes.len())?;
        let (page, json) = (
            page(&name, trial.inputs(), &axes, near.as_deref()),
            json(trial.inputs(), &axes, near.as_deref()),
        );
        return Ok(Answer { name, network: Some(network), page, json });
    }
    let (document, sources) = replace.read(spec)?;
    let rejected =
        |errors: Vec<Diagnostic>| Failure::Diagnostics(Box::new(sources.clone()), spec::tidy(errors));
    let trial = Spec::new(&document, &replace.overrides()).map_err(rejected)?;
    let name = document.name.clone();
    let axes = match analyse(&trial) {
        Ok(axes) => axes,
        // No size mends it: its errors are the answer.
        Err(_) if !trial.flaws().is_empty() => return Err(rejected(trial.flaws().to_vec())),
        Err(error) => return Err(unsupported(&name, &error)),
    };
    let near = nearest(near, &name, axes.len())?;
    let mut page = page(&name, trial.inputs(), &axes, near.as_deref());
    if let Some(flaw) = trial.flaws().first() {
        unfit(&mut page, &flaw.message, trial.varies(&axes));
    }
    let json = json(trial.inputs(), &axes, near.as_deref());
    Ok(Answer { name, network: None, page, json })
}

fn unsupported(name: &str, error: &Unsupported) -> Failure {
    Failure::usage(
        format!("not supported: sizes of `{name}`: {}", error.0),
        "try single sizes with `cnnkit params --input C,H,W`",
    )
}

/// A size of interest for each axis: one for all, or one each.
fn nearest(near: Option<&[u64]>, name: &str, axes: usize) -> Result<Option<Vec<u64>>, Failure> {
    match near {
        Some([only]) => Ok(Some(vec![*only; axes])),
        Some(sizes) if sizes.len() == axes => Ok(Some(sizes.to_vec())),
        Some(sizes) => Err(Failure::usage(
            format!("`--near` gives {} sizes, `{name}` has {axes} spatial axes", sizes.len()),
            "give one size for all axes, or one an axis",
        )),
        None => Ok(None),
    }
}
