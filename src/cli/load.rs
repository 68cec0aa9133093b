//! SPEC arguments: a spec file, an ONNX model, `zoo:NAME`, or `-` for standard input.

use clap::Args;

use crate::cli::objects::{self, Request};
use crate::cli::{Failure, memory};
pub use cnnkit::Network as Loaded;
use cnnkit::{LoadError, Loader};

/// The SPEC arguments, and what is replaced in them.
#[derive(Debug, Args)]
pub struct SpecArgs {
    /// Networks: spec files (.yaml), models (.onnx, .pt2), `zoo:NAME`, `package.module:Name` of Python, or `-` for standard input
    #[arg(required = true, value_name = "SPEC")]
    pub specs: Vec<String>,
    /// What is replaced in them.
    #[command(flatten)]
    pub replace: Replace,
}

/// Whether a partial figure is a failure.
#[derive(Debug, Args)]
pub struct Complete {
    /// Exit with 1 if a figure is partial because something was not analysed
    #[arg(long, help_heading = "Output")]
    pub strict: bool,
}

/// Replacements in specs from the command line.
#[derive(Debug, Args)]
pub struct Replace {
    /// Replace the input shape, without the batch axis; `NAME=` in front if there are several inputs
    #[arg(long, value_name = "[NAME=]C,H,W", value_parser = input_shape)]
    pub input: Vec<(String, Vec<u64>)>,
    /// Replace a variable of the spec, or an open size of a model
    #[arg(long, value_name = "NAME=VALUE", value_parser = assignment)]
    pub set: Vec<(String, String)>,
    /// Pass an argument to the constructor of `package.module:Name`: `depth=50`
    #[arg(long, value_name = "NAME=VALUE", value_parser = assignment)]
    pub arg: Vec<(String, String)>,
}

pub(super) fn input_shape(text: &str) -> Result<(String, Vec<u64>), String> {
    let (name, shape) = text.split_once('=').unwrap_or(("", text));
    if cnnkit_formats::arrays::is(shape, "npy") {
        return Err(format!("a shape is wanted here; only `cnnkit run` reads data: --input {text}"));
    }
    let sizes = shape.trim_matches(['[', ']']).split(',').map(|size| {
        let size = size.trim();
        size.parse()
            .map_err(|_| format!("`{size}` is not a size; write the shape as C,H,W, for example 3,224,224"))
    });
    Ok((name.to_owned(), sizes.collect::<Result<_, _>>()?))
}

pub(super) fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE, for example classes=10".into()),
    }
}

impl SpecArgs {
    /// Loads all networks, in the order of the arguments, on all cores. Every failure is reported, not only
    /// the first.
    pub fn load_all(&self) -> Result<Vec<Loaded>, Failure> {
        use rayon::prelude::*;
        let loader = self.replace.loader(&self.specs)?;
        let results: Vec<Result<Loaded, LoadError>> = match self.specs.as_slice() {
            // Starting the thread pool costs more than loading one network.
            [only] => vec![loader.load(only)],
            several => several.par_iter().map(|spec| loader.load(spec)).collect(),
        };
        let (mut networks, mut failures) = (Vec::new(), Vec::new());
        for result in results {
            match result {
                Ok(network) => networks.push(network),
                Err(error) => failures.push(Failure::from(error)),
            }
        }
        Failure::unless_none(failures).map(|()| networks)
    }
}

impl Replace {
    /// Returns the loader of the networks `specs`; reads standard input if one of them is `-`, and has Python import those
    /// that it names.
    pub fn loader(&self, specs: &[String]) -> Result<Loader, Failure> {
        let mut loader = Loader::new();
        for (name, sizes) in &self.input {
            loader = loader.input(name, sizes.clone());
        }
        for (name, value) in &self.set {
            loader = loader.set(name, value);
        }
        for (name, bytes) in memory::models() {
            loader = loader.memory(name, bytes);
        }
        for object in specs.iter().filter(|spec| objects::is_object(spec)) {
            let request = Request { object, inputs: &self.input, arguments: &self.arg };
            loader = loader.exported(object, objects::archive(&request)?);
        }
        Ok(if specs.iter().any(|spec| spec == "-") { loader.stdin(stdin()?) } else { loader })
    }

    /// Loads the network of the only SPEC argument.
    pub fn load(&self, spec: &str) -> Result<Loaded, Failure> {
        Ok(self.loader(&[spec.to_owned()])?.load(spec)?)
    }

    /// Returns whether nothing is replaced.
    pub fn is_empty(&self) -> bool {
        self.input.is_empty() && self.set.is_empty() && self.arg.is_empty()
    }
}

/// Reads a spec or a model from standard input.
fn stdin() -> Result<Vec<u8>, Failure> {
    cnnkit::load::read_stream(std::io::stdin().lock()).map_err(|error| {
        Failure::usage(format!("cannot read standard input: {error}"), "pipe a spec or a model into it")
    })
}
