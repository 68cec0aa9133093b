//! `cnnkit import`

use crate::cli::Failure;
use crate::cli::load::{Loaded, Replace};
use cnnkit_core::analysis::totals;
use cnnkit_core::graph::Graph;
use cnnkit_core::spec::{self, Overrides, files::Text};
use cnnkit_formats::export::{same, yaml};
use cnnkit_report::{Page, Report};

/// Write a model as a readable spec
///
/// Groups that come again become blocks with arguments, residual sums and branches the constructs of the language. A spec
/// can be imported too: its variables and expressions are worked out, its structure is found anew.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cnnkit import model.onnx -o spec.yaml                   into a file
  cnnkit import zoo:resnet50 --set classes=10             on the terminal")]
pub struct Args {
    /// Model (.onnx) or spec file (.yaml), `zoo:NAME` for a built-in one, `-` for standard input
    #[arg(value_name = "MODEL")]
    model: String,
    #[command(flatten)]
    replace: Replace,
}

/// Writings of one spec until it no longer changes; two are the rule.
const MAX_ROUNDS: usize = 6;

pub fn run(args: Args) -> Result<Report, Failure> {
    let loaded = args.replace.load(&args.model)?;
    let write = |graph: &Graph| {
        yaml::write(graph).map_err(|refused| Failure::Diagnostics(Box::new(loaded.sources.clone()), refused))
    };
    let mut text = write(&loaded.graph)?;
    // Names of the model that say nothing are left out, and what differed only by them is alike when it is read again: the
    // text that importing it gives once more is the one to keep.
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
    let mut page = Page::default();
    page.source(&text);
    let json = serde_json::json!({ "yaml": text });
    Ok(Report { page, json: super::envelope("import", std::iter::once((&loaded, json))), ok: true })
}

/// What to say where the spec counts other parameters than the model: a tensor that several of its layers share.
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

/// The network that a written spec says.
fn read(text: &str) -> Result<Graph, Failure> {
    let files = Text { name: "the written spec".into(), bytes: text.as_bytes().to_vec() };
    let again = spec::load(&files, "-", &Overrides::default()).map_err(|rejected| {
        let (sources, diagnostics) = *rejected;
        Failure::Diagnostics(Box::new(sources), diagnostics)
    })?;
    Ok(again.graph)
}

/// Reads the text back: what it says must be the network that was imported.
fn check(loaded: &Loaded, text: &str) -> Result<(), Failure> {
    match same::difference(&loaded.graph, &read(text)?) {
        None => Ok(()),
        Some(difference) => Err(Failure::usage(
            format!("the written spec would not be the same network: {difference}"),
            "please report this model as a bug",
        )),
    }
}
