//! `cnnkit export`

use crate::cli::load::Replace;
use crate::cli::{Failure, output};
use crate::export::pytorch;
use crate::graph::Graph;
use crate::render::Format;
use crate::report::{Page, Report};
use crate::source::Sources;

/// Write the network as a PyTorch module
///
/// `--format pytorch` is a Python file with one nn.Module for the network and one for each kind of block in it; its
/// attributes are the layers' ids, so weights from `run --save-weights` load by name.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cnnkit export zoo:resnet50 --format pytorch             on the terminal
  cnnkit export net.yaml -o net.py                        into a file; its ending says the format")]
pub struct Args {
    /// Spec file (.yaml), `zoo:NAME` for a built-in one, `-` for standard input
    #[arg(value_name = "SPEC")]
    spec: String,
    #[command(flatten)]
    replace: Replace,
    /// What is written, and where to.
    #[arg(skip)]
    pub target: Target,
}

/// What is written, and where to: the options that other commands have for their reports.
#[derive(Debug, Default)]
pub struct Target {
    /// `--format`; [`Format::Table`] if it was not given.
    pub format: Format,
    /// `-o`.
    pub file: Option<String>,
}

impl Target {
    /// The format asked for, or that of the file's ending.
    fn resolve(&self) -> Result<Format, Failure> {
        let ending = self.file.as_deref().and_then(|file| file.rsplit_once('.')).map(|(_, ending)| ending);
        match (self.format, ending) {
            (Format::Pytorch, _) | (Format::Table, Some("py")) => Ok(Format::Pytorch),
            _ => Err(Failure::usage("which format is not said", "use `--format pytorch`, or `-o net.py`")),
        }
    }
}

pub fn run(args: Args) -> Result<Report, Failure> {
    let format = args.target.resolve()?;
    let loaded = args.replace.load(&args.spec)?;
    let text = match format {
        _ => python(&loaded.graph, &loaded.sources)?,
    };
    let mut page = Page::default();
    match &args.target.file {
        Some(file) => {
            output::save(file, &text)?;
            page.text(format!("{} lines in {file}", text.lines().count()));
        }
        None => {
            page.source(&text);
        }
    }
    Ok(Report { page, json: serde_json::Value::Null, ok: true })
}

fn python(graph: &Graph, sources: &Sources) -> Result<String, Failure> {
    pytorch::write(graph).map_err(|refused| Failure::Diagnostics(Box::new(sources.clone()), refused))
}
