//! `cnnkit tile`

use crate::cli::Failure;
use crate::cli::load::{Complete, SpecArgs};
use cnnkit::Loader;
use cnnkit::load::Draft;
use cnnkit::resized::Spec as Resized;
use cnnkit_core::analysis::memory::Dtype;
use cnnkit_core::analysis::sizes::Fixed;
use cnnkit_core::analysis::tiling::{Options, Want, analyse};
use cnnkit_core::diagnostic::Diagnostic;
use cnnkit_core::spec;
use cnnkit_core::spec::expectation::amount;
use cnnkit_core::spec::quantity::Unit;
use cnnkit_report::imported::Figures;
use cnnkit_report::tile::{TileSummary, summary};
use cnnkit_report::{Entry, Report, Spec};

/// Plan how a network runs on a large image tile by tile, with the same result
///
/// The halo, the lattice on which tiles begin, the schedule of an image, what is computed twice, and the best tile for a
/// budget of memory; or the layers that need the whole image.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cnnkit tile zoo:unet --set padding=1 --image 20000,20000 --memory 2GiB
  cnnkit tile zoo:fcn_resnet50 --image 4096,4096 --tile 1024
  cnnkit tile zoo:deeplabv3_resnet50         what makes it impossible, and the part that can be tiled
  cnnkit tile net.onnx --image 1024 --format json")]
pub struct Args {
    #[command(flatten)]
    spec: SpecArgs,
    #[command(flatten)]
    pub complete: Complete,
    /// Sizes of the image, one for all axes or one per axis [default: those of the spec's input]
    #[arg(long, value_name = "H,W", value_parser = sizes)]
    image: Option<Sizes>,
    /// Choose the tiles with the least recomputation that fit into this much memory: 2GiB
    #[arg(long, value_name = "BYTES", value_parser = memory, default_value = "1GiB", conflicts_with = "tile")]
    memory: u64,
    /// Choose tiles that read at most these sizes, margins included
    #[arg(long, value_name = "H,W", value_parser = sizes)]
    tile: Option<Sizes>,
    /// Number format of activations and weights
    #[arg(long, value_enum, default_value_t)]
    dtype: Dtype,
    /// Replace the largest offset of deformable convolutions, in positions
    #[arg(long, value_name = "POSITIONS", value_parser = offset)]
    max_offset: Option<f64>,
}

#[derive(Debug, Clone)]
struct Sizes(Vec<u64>);

fn sizes(text: &str) -> Result<Sizes, String> {
    let sizes = text.split(['x', ',']).map(|size| match size.trim().parse() {
        Ok(size @ 1..=1_000_000_000) => Ok(size),
        _ => Err(format!("`{size}` is not a size; write one size per axis, for example 20000,20000")),
    });
    Ok(Sizes(sizes.collect::<Result<_, _>>()?))
}

pub(super) fn memory(text: &str) -> Result<u64, String> {
    let bytes = amount(Unit::Bytes, text)?;
    u64::try_from(bytes.to_integer()).map_err(|_| format!("`{text}` is too large"))
}

pub(super) fn offset(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(positions) if (0.0..=1e6).contains(&positions) => Ok(positions),
        _ => Err("expected a number of positions, 0 or more".into()),
    }
}

/// Runs the command.
pub fn run(args: Args) -> Result<Report, Failure> {
    let want = match args.tile {
        Some(Sizes(sizes)) => Want::Input(sizes),
        None => Want::Memory(args.memory),
    };
    let image = args.image.map(|Sizes(sizes)| sizes);
    let options = Options { image, want, dtype: args.dtype, max_offset: args.max_offset };
    let loader = args.spec.replace.loader(&args.spec.specs)?;
    let (mut entries, mut failures) = (Vec::new(), Vec::new());
    for path in &args.spec.specs {
        match answer(&loader, path, &options) {
            Ok(entry) => entries.push(entry),
            Err(failure) => failures.push(failure),
        }
    }
    Failure::unless_none(failures)?;
    Ok(Report::of_networks(entries))
}

/// Returns the tiles of one SPEC.
fn answer(loader: &Loader, path: &str, options: &Options) -> Result<Entry<TileSummary>, Failure> {
    let (document, sources) = match loader.draft(path)? {
        Draft::Spec { document, sources } => (document, sources),
        Draft::Model(network) => {
            let tiling = analyse(&Fixed::new(&network.graph), options)?;
            let import = network.import(Figures::Dependences);
            return Ok(network.entry(summary(network.graph.name(), &tiling, options.dtype, import)));
        }
    };
    let rejected = |flaws: Vec<Diagnostic>| Failure::rejected(&sources, spec::tidy(flaws));
    let trial = Resized::new(&document, loader.overrides()).map_err(rejected)?;
    let tiling = match analyse(&trial, options) {
        Ok(tiling) => tiling,
        // No size near the spec's own fixes these errors: they are the answer.
        Err(_) if !trial.flaws().is_empty() => return Err(rejected(trial.flaws().to_vec())),
        Err(problem) => return Err(problem.into()),
    };
    let summary = summary(&document.name, &tiling, options.dtype, None);
    Ok(Entry { spec: Spec { name: Some(document.name.clone()), path: Some(path.to_owned()) }, summary })
}
