//! SPEC arguments: a spec file, an ONNX model, `zoo:NAME`, or `-` for standard input.

use std::collections::HashMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::Failure;
use cnnkit::disk::Disk;
use cnnkit::zoo::Zoo;
use cnnkit_check::Subject;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::{Graph, Op};
use cnnkit_core::layers::Layer;
use cnnkit_core::source::Sources;
use cnnkit_core::spec::files::{Files, Text};
use cnnkit_core::spec::{self, Overrides, Rejected};
use cnnkit_exec::tensor::Tensor;
use cnnkit_formats::onnx;
use cnnkit_formats::onnx::bind::Bindings;
use cnnkit_formats::onnx::constant::Constant;
use cnnkit_formats::onnx::import::FileOutput;
use cnnkit_formats::onnx::proto::TensorProto;
use cnnkit_report::Page;
use cnnkit_report::imported::{self, Figures};

/// Which networks, and what is replaced in them.
#[derive(Debug, Args)]
pub struct SpecArgs {
    /// Spec files (.yaml) or models (.onnx), `zoo:NAME` for a built-in one, `-` for standard input
    #[arg(required = true, value_name = "SPEC")]
    pub specs: Vec<String>,
    /// What is replaced in them.
    #[command(flatten)]
    pub replace: Replace,
}

/// What partial figures mean for the exit status.
#[derive(Debug, Args)]
pub struct Complete {
    /// Exit with 1 if a figure is partial because something was not analysed
    #[arg(long, help_heading = "Output")]
    pub strict: bool,
}

/// What the command line replaces in a spec.
#[derive(Debug, Args)]
pub struct Replace {
    /// Replace the spec's input shape; NAME= in front if there are several inputs
    #[arg(long, value_name = "[NAME=]C,H,W", value_parser = input_shape)]
    pub input: Vec<(String, Vec<u64>)>,
    /// Replace a variable of the spec
    #[arg(long, value_name = "NAME=VALUE", value_parser = assignment)]
    pub set: Vec<(String, String)>,
}

/// A network and where it came from.
#[derive(Debug)]
pub struct Loaded {
    /// The SPEC argument.
    pub path: String,
    /// The network.
    pub graph: Graph,
    /// The texts it was read from.
    pub sources: Sources,
    /// The model it was imported from, if it was: its weights, and what there is to say about it.
    pub model: Option<Model>,
    /// The technique that it says it demonstrates.
    pub demonstrates: Option<&'static str>,
}

/// What is known of an imported model besides its graph.
#[derive(Debug)]
pub struct Model {
    /// For each node, the constants that are its weights.
    pub weights: Vec<Vec<Constant>>,
    /// The tensors that they refer to.
    pub tensors: Vec<TensorProto>,
    /// The file.
    pub path: PathBuf,
    /// Its outputs as the file has them, in the order of the graph's.
    pub outputs: Vec<FileOutput>,
    /// Remarks about the whole model.
    pub remarks: Vec<String>,
}

impl Loaded {
    /// What is not analysed of an imported model, for people.
    pub fn explain(&self, page: &mut Page, figures: Figures) {
        if let Some(model) = &self.model {
            imported::blocks(page, &self.graph, &model.remarks, figures);
        }
    }

    /// Whether something that these figures need is not analysed.
    pub fn partial(&self, figures: Figures) -> bool {
        self.model.is_some() && imported::partial(&self.graph, figures)
    }

    /// The weights that a model brings along.
    pub fn weights(&self) -> Result<Option<HashMap<String, Tensor<f32>>>, Problem> {
        let load =
            |model: &Model| onnx::weights::load(&self.graph, &model.weights, &model.tensors, &model.path);
        self.model.as_ref().map(load).transpose()
    }

    /// The same for programs.
    pub fn keys(&self, object: &mut serde_json::Map<String, serde_json::Value>, figures: Figures) {
        if let Some(model) = &self.model {
            imported::keys(object, &self.graph, &model.remarks, figures);
        }
    }
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
    /// All networks, in the order of the arguments; read on all cores. Every failure is reported, not only the first.
    pub fn load_all(&self) -> Result<Vec<Loaded>, Failure> {
        use rayon::prelude::*;
        let results: Vec<Result<Loaded, Failure>> = match self.specs.as_slice() {
            // The thread pool costs more than one network does.
            [only] => vec![self.replace.load(only)],
            several => several.par_iter().map(|spec| self.replace.load(spec)).collect(),
        };
        let (mut networks, mut failures) = (Vec::new(), Vec::new());
        for result in results {
            match result {
                Ok(network) => networks.push(network),
                Err(failure) => failures.push(failure),
            }
        }
        match (failures.len(), failures.pop()) {
            (_, None) => Ok(networks),
            (1, Some(failure)) => Err(failure),
            (_, Some(last)) => {
                failures.push(last);
                Err(Failure::Several(failures))
            }
        }
    }
}

impl Replace {
    fn overrides(&self) -> Overrides {
        Overrides { variables: self.set.clone(), inputs: self.input.clone() }
    }

    /// The network of an ONNX model.
    fn import(&self, path: &str) -> Result<Loaded, Failure> {
        let symbol = |(name, value): &(String, String)| {
            value.trim().parse().map(|value| (name.clone(), value)).map_err(|_| {
                let message = format!(
                    "`{value}` is not a size: `--set {name}=` gives an open size of a model its value"
                );
                Failure::usage(message, "write a whole number")
            })
        };
        let symbols = self.set.iter().map(symbol).collect::<Result<_, _>>()?;
        let bindings = Bindings { inputs: self.input.clone(), symbols };
        match onnx::import::load(Path::new(path), &bindings) {
            Ok(imported) => Ok(Loaded {
                path: path.to_owned(),
                graph: imported.graph,
                sources: Sources::default(),
                model: Some(Model {
                    weights: imported.weights,
                    tensors: imported.tensors,
                    path: imported.path,
                    outputs: imported.outputs,
                    remarks: imported.remarks,
                }),
                demonstrates: None,
            }),
            Err(flaws) => Err(Failure::Diagnostics(Box::default(), flaws)),
        }
    }

    /// The network of one SPEC argument.
    pub fn load(&self, spec: &str) -> Result<Loaded, Failure> {
        if Path::new(spec).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("onnx")) {
            return self.import(spec);
        }
        let overrides = self.overrides();
        let result = if let Some(name) = spec.strip_prefix("zoo:") {
            spec::load(&Zoo, &zoo_path(name)?, &overrides)
        } else if spec == "-" {
            spec::load(&Text { name: "<stdin>".into(), bytes: stdin()? }, "-", &overrides)
        } else {
            spec::load(&Disk::of(spec), spec, &overrides)
        };
        match result {
            Ok(loaded) => Ok(Loaded {
                path: spec.to_owned(),
                graph: loaded.graph,
                sources: loaded.sources,
                model: None,
                demonstrates: loaded.demonstrates,
            }),
            Err(rejected) => {
                let (sources, diagnostics) = *rejected;
                Err(Failure::Diagnostics(Box::new(sources), diagnostics))
            }
        }
    }
}

/// What stands on standard input, at most as much as a spec may have.
pub fn stdin() -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let limit = spec::yaml::MAX_BYTES as u64 + 1;
    std::io::stdin().lock().take(limit).read_to_end(&mut bytes).map_err(|error| {
        Failure::usage(format!("cannot read standard input: {error}"), "pipe a spec into it")
    })?;
    Ok(bytes)
}

/// The path of the built-in spec `name`, or what it could have been.
pub fn zoo_path(name: &str) -> Result<String, Failure> {
    Zoo::path(name).ok_or_else(|| {
        let names: Vec<&str> = Zoo::names().into_iter().map(|(_, name)| name).collect();
        let help = cnnkit_core::diagnostic::suggest(name, names.iter().copied());
        let help =
            help.map_or("`cnnkit zoo` lists them".to_owned(), |close| format!("did you mean `zoo:{close}`?"));
        Failure::usage(format!("there is no built-in spec `{name}`"), help)
    })
}

/// The network of a spec.
pub fn spec(path: &str, stdin: Option<&[u8]>, overrides: &Overrides) -> Result<spec::Loaded, Rejected> {
    if let Some(name) = path.strip_prefix("zoo:") {
        let inside = Zoo::path(name).unwrap_or_else(|| name.to_owned());
        return spec::load(&Zoo, &inside, overrides);
    }
    let files: Box<dyn Files> = match (path, stdin) {
        ("-", Some(bytes)) => Box::new(Text { name: "<stdin>".into(), bytes: bytes.to_vec() }),
        _ => Box::new(Disk::of(path)),
    };
    spec::load(files.as_ref(), path, overrides)
}

/// The network of a SPEC argument, to be checked.
pub fn subject(path: &str, stdin: Option<&[u8]>) -> Result<Subject, Rejected> {
    if Path::new(path).extension().is_some_and(|ending| ending.eq_ignore_ascii_case("onnx")) {
        let model = onnx::import::load(Path::new(path), &Bindings::default())
            .map_err(|errors| Box::new((Sources::default(), errors)))?;
        let left_out =
            model.graph.nodes.iter().filter(|node| matches!(node.op, Op::Layer(Layer::Opaque(_)))).count();
        return Ok(Subject { graph: model.graph, document: None, sources: Sources::default(), left_out });
    }
    let spec::Loaded { graph, document, sources, .. } = spec(path, stdin, &Overrides::default())?;
    Ok(Subject { graph, document: Some(document), sources, left_out: 0 })
}
