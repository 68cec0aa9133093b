//! `cnnkit import`

use crate::cli::Failure;
use crate::cli::load::{Loaded, Replace};
use cnnkit::Network;
use cnnkit_core::analysis::totals;
use cnnkit_core::graph::Graph;
use cnnkit_formats::export::{same, yaml};
use cnnkit_report::Report;
use cnnkit_report::import::ImportSummary;
use cnnkit_report::imported::{Figures, StatusAndImport};

/// Write a model as a readable spec
///
/// Repeated groups of layers become blocks with arguments; residual sums and branches become the constructs of the spec
/// language. A spec can be imported too: its expressions are evaluated, and its structure is found again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cnnkit import model.onnx -o spec.yaml                   into a file
  cnnkit import zoo:resnet50 --set classes=10             on the terminal")]
pub struct Args {
    /// The network: a model (.onnx, .pt2), a spec file (.yaml), `zoo:NAME`, or `-` for standard input
    #[arg(value_name = "MODEL")]
    model: String,
    #[command(flatten)]
    replace: Replace,
}

/// Maximum number of times a spec is written until it no longer changes; two are usual.
const MAX_ROUNDS: usize = 6;

pub fn run(args: Args) -> Result<Report, Failure> {
    let loaded = args.replace.load(&args.model)?;
    let write =
        |graph: &Graph| yaml::write(graph).map_err(|refused| Failure::rejected(&loaded.sources, refused));
    let mut text = write(&loaded.graph)?;
    // Generated names of the model are omitted, and blocks that differed only by them are equal when the text
    // is read again: so the text is imported and written again until it is stable.
    for _ in 0..MAX_ROUNDS {
        let next = write(&read(&text)?)?;
        if next == text {
            break;
        }
        text = next;
    }
    check(&loaded, &text)?;
    if let Some(remark) = uncounted(&loaded.graph, &read(&text)?) {
        text = format!("# {remark}\n{text}");
    }
    let import = loaded.import(Figures::Dependences).map(StatusAndImport::from);
    Ok(Report::of_networks(vec![loaded.entry(ImportSummary { yaml: text, import })]))
}

/// Returns a remark if the spec counts other parameters than the model: several of its layers share one
/// tensor.
fn uncounted(model: &Graph, spec: &Graph) -> Option<String> {
    let (model, spec) = (totals::of_graph(model), totals::of_graph(spec));
    let (of_model, of_spec) = (model.params + model.buffers, spec.params + spec.buffers);
    (of_model != of_spec).then(|| {
        format!(
            "The model stores {of_model} elements, this spec has {of_spec}: layers of the model share single tensors, \
             here each has its own."
        )
    })
}

/// Returns the network that a written spec describes.
fn read(text: &str) -> Result<Graph, Failure> {
    Ok(Network::from_bytes("the written spec", text)?.graph)
}

/// Reads the text back and checks that it describes the network that was imported.
fn check(loaded: &Loaded, text: &str) -> Result<(), Failure> {
    match same::difference(&loaded.graph, &read(text)?) {
        None => Ok(()),
        Some(difference) => Err(Failure::usage(
            format!("the written spec would not be the same network: {difference}"),
            "please report this model as a bug",
        )),
    }
}
