//! `cnnkit export`

use std::path::Path;

use crate::cli::export_target::Target;
use crate::cli::load::{Loaded, Replace};
use crate::cli::{Failure, machine, output};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::number;
use cnnkit_exec::network::{Fill, Network, weight_sizes};
use cnnkit_formats::arrays;
use cnnkit_formats::export::{onnx, pytorch};
use cnnkit_report::render::Format;
use cnnkit_report::{Page, Report};

/// Write the network as an ONNX model or a PyTorch module
///
/// An ONNX model has the layers' ids as names and all shapes written down; its weights are those of `run`: the same for the
/// same seed. `--format pytorch` is a Python file with one nn.Module for the network and one for each kind of block in it;
/// its attributes are the ids, so that weights from `run --save-weights` load by name.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cnnkit export net.yaml -o net.onnx                      seeded weights; the ending decides the format
  cnnkit export net.yaml -o net.onnx --weights net.safetensors --dynamic-batch
  cnnkit export zoo:resnet152 -o net.onnx --no-weights    the graph alone, for a viewer
  cnnkit export zoo:resnet50 --format pytorch             on the terminal")]
pub struct Args {
    /// The network: a spec file (.yaml), a model (.onnx, .pt2), `zoo:NAME`, or `-` for standard input
    #[arg(value_name = "SPEC")]
    spec: String,
    #[command(flatten)]
    replace: Replace,
    /// Seed of the weights
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Load the weights from a .npz or .safetensors file
    #[arg(long, value_name = "FILE", conflicts_with = "seed")]
    weights: Option<String>,
    /// Leave the weights out: the model names an external file that is not written
    #[arg(long, conflicts_with_all = ["seed", "weights"])]
    no_weights: bool,
    /// Version of ONNX's operator set
    #[arg(long, default_value_t = onnx::OLDEST, value_name = "N", value_parser = clap::value_parser!(i64).range(onnx::OLDEST..=onnx::NEWEST))]
    opset: i64,
    /// Batch size
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=65536))]
    batch: u64,
    /// Leave the batch size open
    #[arg(long, conflicts_with = "batch")]
    dynamic_batch: bool,
    /// The output format and file.
    #[arg(skip)]
    pub target: Target,
}

fn failed(problem: Problem) -> Failure {
    Failure::Usage(problem.message, problem.help)
}

pub fn run(args: Args) -> Result<Report, Failure> {
    let format = args.target.resolve()?;
    if format == Format::Onnx && args.target.file.is_none() {
        return Err(Failure::usage(
            "an ONNX model is no text",
            "name a file: `-o model.onnx`, or use `--format pytorch`",
        ));
    }
    let loaded = args.replace.load(&args.spec)?;
    let mut page = Page::default();
    if format == Format::Pytorch {
        let text =
            pytorch::write(&loaded.graph).map_err(|refused| Failure::rejected(&loaded.sources, refused))?;
        match &args.target.file {
            Some(file) => {
                output::save(file, &text)?;
                page.text(format!("{} lines in {file}", text.lines().count()));
            }
            None => {
                page.source(&text);
            }
        }
    } else if let Some(file) = &args.target.file {
        page.text(model(&args, &loaded, file)?);
    }
    Ok(Report::text(page))
}

/// Writes the ONNX model to `file`; returns a sentence about what was written.
fn model(args: &Args, loaded: &Loaded, file: &str) -> Result<String, Failure> {
    let graph = &loaded.graph;
    let bytes = onnx::bytes(graph);
    let beside = args.no_weights || bytes > onnx::INSIDE;
    let name =
        Path::new(file).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let options = onnx::Options {
        opset: args.opset,
        batch: (!args.dynamic_batch).then_some(args.batch),
        weights_file: beside.then(|| format!("{name}.data")),
    };
    let network = if args.no_weights {
        None
    } else {
        // The model is made in memory too, unless its weights are beside it.
        let copies = if beside { 1 } else { 3 };
        machine::room_for("exporting", graph, bytes.saturating_mul(copies))?;
        let network = match &args.weights {
            Some(path) => {
                let wanted = weight_sizes(graph).map_err(failed)?;
                Network::of_weights(graph, arrays::read_wanted(path, &wanted).map_err(failed)?)
            }
            None => Network::<f32>::seeded(graph, args.seed, Fill::Declared),
        };
        Some(network.map_err(failed)?)
    };
    let model = onnx::write(graph, network.as_ref(), &options)
        .map_err(|refused| Failure::rejected(&loaded.sources, refused))?;
    let size = number::bytes(bytes);
    let weights = match (&network, beside) {
        (None, _) => format!("without its {size} of weights"),
        (Some(_), false) => format!("with {size} of weights"),
        (Some(network), true) => {
            let path = format!("{file}.data");
            // Before the model, which is of no use without them.
            cnnkit_files::replace(Path::new(&path), |out| onnx::write_weights(network, out))
                .map_err(|error| output::cannot_write(&path, &error))?;
            format!("with {size} of weights beside it, in {path}")
        }
    };
    output::save(file, model.bytes())?;
    let layers = graph.nodes().len() - graph.inputs().count();
    Ok(format!("{file}: {layers} layers as {} operators of opset {}, {weights}", model.operators, args.opset))
}
