//! One loader: what a user can name, and what is replaced in it, becomes one network.
//!
//! ```text
//! FILE.yaml | zoo:NAME | text on standard input or in memory -> spec  \
//!                                                                       -> Network
//! FILE.onnx |            bytes on standard input or in memory -> model /
//! ```
//!
//! A file's ending chooses its format; where there is none that says it, the first byte does.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read};
use std::path::Path;

use cnnkit_check::rules::Facts;
use cnnkit_check::{Extra, Located, Selection, Subject, judge_all};
use cnnkit_core::analysis::field::{self, Facts as FieldFacts};
use cnnkit_core::analysis::totals::{self, Counts};
use cnnkit_core::diagnostic::{Code, Diagnostic, Problem};
use cnnkit_core::graph::{Graph, Op};
use cnnkit_core::layers::Layer;
use cnnkit_core::source::{Sources, Span};
use cnnkit_core::spec::document::Document;
use cnnkit_core::spec::files::{Files, Text};
use cnnkit_core::spec::{self, Overrides, yaml};
use cnnkit_exec::fast::Plan;
use cnnkit_exec::network::{Fill, Network as Weighted};
use cnnkit_exec::tensor::Tensor;
use cnnkit_formats::onnx::bind::Bindings;
use cnnkit_formats::onnx::import::{self, FileOutput, Imported};
use cnnkit_formats::onnx::source::{ModelSource, looks_like_model};
use cnnkit_formats::onnx::weights::Stored;
use cnnkit_report::imported::{Figures, Import};
use cnnkit_report::{Entry, Spec};

use crate::disk::Disk;
use crate::standalone;
use crate::zoo::Zoo;

/// Most bytes of a model that comes through a pipe, and has to be kept in memory: the limit of its format.
const MOST_STREAMED: u64 = 1 << 31;

/// How messages name standard input.
const STDIN: &str = "<stdin>";

/// A network, and where it came from.
#[derive(Debug)]
pub struct Network {
    /// What was named: a path, `zoo:NAME`, `-`, or the name of the bytes.
    pub path: String,
    /// The network.
    pub graph: Graph,
    /// The spec as it is written; none for a model.
    pub document: Option<Document>,
    /// The texts that it was read from; none for a model.
    pub sources: Sources,
    /// The technique that a spec says it demonstrates.
    pub demonstrates: Option<&'static str>,
    /// The model that it was imported from, if it was.
    pub model: Option<Model>,
}

/// A network that need not fit its own input: `cnnkit sizes` tries it at others.
#[derive(Debug)]
pub enum Draft {
    /// A model, whose graph is given.
    Model(Box<Network>),
    /// A spec, which is expanded for each size; see [`crate::resized`].
    Spec {
        /// The spec as it is written.
        document: Box<Document>,
        /// The texts that it was read from.
        sources: Sources,
    },
}

/// What is known of an imported model besides its graph.
#[derive(Debug)]
pub struct Model {
    /// Remarks about the whole model.
    pub remarks: Vec<String>,
    /// Its outputs as the file has them, in the order of the graph's.
    pub outputs: Vec<FileOutput>,
    weights: Stored,
}

/// Why a network could not be loaded.
#[derive(Debug)]
pub enum LoadError {
    /// What was named, or is to be replaced, makes no sense: there is no such built-in spec.
    Call(Problem),
    /// What was read is wrong: its texts, and every flaw with its place.
    Rejected(Box<Sources>, Vec<Diagnostic>),
}

impl LoadError {
    /// Returns the flaws; a flaw of the call has no place.
    pub fn diagnostics(&self) -> Vec<Diagnostic> {
        match self {
            Self::Call(problem) => vec![problem.clone().located(None)],
            Self::Rejected(_, flaws) => flaws.clone(),
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(problem) => problem.fmt(f),
            Self::Rejected(sources, flaws) => {
                for (index, flaw) in flaws.iter().enumerate() {
                    let gap = if index == 0 { "" } else { "\n" };
                    let place = flaw.span.map_or(String::new(), |span| place(sources, span));
                    write!(f, "{gap}{place}{flaw}")?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for LoadError {}

/// `net.yaml:3:5: `.
fn place(sources: &Sources, span: Span) -> String {
    let (line, column) = sources.line_column(span.source, span.start);
    format!("{}:{line}:{column}: ", sources.get(span.source).name)
}

impl From<Problem> for LoadError {
    fn from(problem: Problem) -> Self {
        Self::Call(problem)
    }
}

impl From<spec::Rejected> for LoadError {
    fn from(rejected: spec::Rejected) -> Self {
        let (sources, flaws) = *rejected;
        Self::Rejected(Box::new(sources), flaws)
    }
}

/// What is replaced in the networks that it loads.
///
/// ```
/// let network = cnnkit::Loader::new().set("classes", "10").load("zoo:resnet18")?;
/// assert_eq!(network.totals().params, 11_181_642);
/// # Ok::<(), cnnkit::LoadError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Loader {
    overrides: Overrides,
    stdin: Option<Vec<u8>>,
}

impl Loader {
    /// Returns a loader that replaces nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces the shape of the input `name`, which is empty for a network with one input.
    #[must_use]
    pub fn input(mut self, name: impl Into<String>, sizes: impl Into<Vec<u64>>) -> Self {
        self.overrides.inputs.push((name.into(), sizes.into()));
        self
    }

    /// Replaces a variable of a spec, or gives an open size of a model its value.
    #[must_use]
    pub fn set(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.overrides.variables.push((name.into(), value.into()));
        self
    }

    /// Gives the bytes that `-` stands for; [`read_stream`] reads them.
    #[must_use]
    pub fn stdin(mut self, bytes: Vec<u8>) -> Self {
        self.stdin = Some(bytes);
        self
    }

    /// Loads what `name` names: the path of a spec or model, `zoo:NAME`, or `-` for standard input.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(&self, name: &str) -> Result<Network, LoadError> {
        self.build(name, self.find(name)?)
    }

    /// Reads what `name` names, as [`Loader::load`] does, but does not build a spec, which may not fit its own input.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn draft(&self, name: &str) -> Result<Draft, LoadError> {
        match self.find(name)? {
            Found::Model(source) => Ok(Draft::Model(Box::new(self.model(name, source)?))),
            Found::Spec(files, path) => {
                let (document, sources) = spec::read(files.as_ref(), &path, &self.overrides)?;
                Ok(Draft::Spec { document: Box::new(document), sources })
            }
        }
    }

    /// Returns the text of the spec that `name` names, with what it includes written into it: it works alone. Nothing is
    /// replaced in it.
    ///
    /// # Errors
    /// As [`Loader::load`]; and if it is a model, which has no text.
    pub fn standalone(&self, name: &str) -> Result<String, LoadError> {
        match self.find(name)? {
            Found::Model(_) => {
                Err(Problem::new(Code::InvalidValue, format!("`{name}` is a model, not a spec"))
                    .help(format!("`cnnkit import {name} -o net.yaml` writes it as one"))
                    .into())
            }
            Found::Spec(files, path) => {
                let loaded = spec::load(files.as_ref(), &path, &Overrides::default())?;
                standalone::text(files.as_ref(), &path, &loaded.graph)
            }
        }
    }

    /// Returns what is replaced, for the reader of specs.
    pub fn overrides(&self) -> &Overrides {
        &self.overrides
    }

    /// Where what `name` names is read from.
    fn find(&self, name: &str) -> Result<Found, LoadError> {
        if let Some(inside) = name.strip_prefix("zoo:") {
            return Ok(Found::Spec(Box::new(Zoo), Zoo::find(inside)?));
        }
        if name == "-" {
            let bytes = self.stdin.clone().ok_or_else(|| {
                Problem::new(Code::Io, "standard input was not read").help("name a file, or `zoo:NAME`")
            })?;
            return Ok(Found::of_bytes(name, STDIN, bytes));
        }
        let path = Path::new(name);
        let streamed = match ending(name) {
            Some(Format::Spec) => None,
            Some(Format::Model) => return Ok(Found::Model(path.into())),
            None => match std::fs::metadata(path) {
                Ok(data) if data.is_file() => {
                    if begins_as_model(path) {
                        return Ok(Found::Model(path.into()));
                    }
                    None
                }
                // A pipe can be read once: what its first byte is decides what becomes of all.
                Ok(data) if !data.is_dir() => std::fs::File::open(path).and_then(read_stream).ok(),
                _ => None,
            },
        };
        Ok(match streamed {
            Some(bytes) => Found::of_bytes(name, name, bytes),
            None => Found::Spec(Box::new(Disk::of(name)), name.to_owned()),
        })
    }

    /// Loads a spec or model from memory. Messages show `name`; its ending chooses the format, if it has one. A spec can
    /// include nothing; external data of a model do not exist.
    ///
    /// # Errors
    /// As [`Loader::load`].
    pub fn bytes(&self, name: &str, bytes: impl Into<Vec<u8>>) -> Result<Network, LoadError> {
        self.build(name, Found::of_bytes(name, name, bytes.into()))
    }

    /// Loads the file `path` of `files`, which are anywhere: an archive, a revision, an editor's buffers.
    ///
    /// # Errors
    /// As [`Loader::load`].
    pub fn files(&self, files: &dyn Files, path: &str) -> Result<Network, LoadError> {
        if ending(path) == Some(Format::Model) {
            return self.model(path, ModelSource::memory(path, files.read(path)?));
        }
        self.spec(path, files, path)
    }

    fn build(&self, name: &str, found: Found) -> Result<Network, LoadError> {
        match found {
            Found::Model(source) => self.model(name, source),
            Found::Spec(files, path) => self.spec(name, files.as_ref(), &path),
        }
    }

    fn spec(&self, name: &str, files: &dyn Files, path: &str) -> Result<Network, LoadError> {
        let loaded = spec::load(files, path, &self.overrides)?;
        Ok(Network {
            path: name.to_owned(),
            graph: loaded.graph,
            document: Some(loaded.document),
            sources: loaded.sources,
            demonstrates: loaded.demonstrates,
            model: None,
        })
    }

    fn model(&self, name: &str, source: ModelSource) -> Result<Network, LoadError> {
        let imported = import::load(source, &self.bindings()?)
            .map_err(|flaws| LoadError::Rejected(Box::default(), flaws))?;
        let Imported { graph, weights, tensors, source, outputs, remarks } = imported;
        Ok(Network {
            path: name.to_owned(),
            graph,
            document: None,
            sources: Sources::default(),
            demonstrates: None,
            model: Some(Model { remarks, outputs, weights: Stored { weights, tensors, source } }),
        })
    }

    /// What is replaced, as an importer has it: variables are open sizes.
    fn bindings(&self) -> Result<Bindings, Problem> {
        let symbol = |(name, value): &(String, String)| {
            value.trim().parse().map(|value| (name.clone(), value)).map_err(|_| {
                let message = format!(
                    "`{value}` is not a size: `--set {name}=` gives an open size of a model its value"
                );
                Problem::new(Code::InvalidValue, message).help("write a whole number")
            })
        };
        let symbols = self.overrides.variables.iter().map(symbol).collect::<Result<_, _>>()?;
        Ok(Bindings { inputs: self.overrides.inputs.clone(), symbols })
    }
}

impl Network {
    /// Loads what `name` names, as [`Loader::load`] does, and replaces nothing.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(name: &str) -> Result<Self, LoadError> {
        Loader::new().load(name)
    }

    /// Loads a spec or model from memory, as [`Loader::bytes`] does, and replaces nothing.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn from_bytes(name: &str, bytes: impl Into<Vec<u8>>) -> Result<Self, LoadError> {
        Loader::new().bytes(name, bytes)
    }

    /// Returns what is known of the network; each analysis runs when it is first asked for.
    pub fn facts(&self) -> Facts<'_> {
        Facts::new(&self.graph, self.document.as_ref(), &self.sources)
    }

    /// Returns the sums over all layers: parameters, MACs, other operations, activations.
    pub fn totals(&self) -> Counts {
        totals::of_graph(&self.graph)
    }

    /// Returns the receptive field of the output, or of the last feature map that does not see everything; none if no
    /// feature map depends on an input with an extent.
    ///
    /// # Errors
    /// If the fields are too large to be computed.
    pub fn receptive_field(&self) -> Result<Option<FieldFacts>, Problem> {
        Ok(field::headline(&self.graph, &field::analyse(&self.graph, field::Options::default())?))
    }

    /// Returns the findings of the default rules, in the order of their places.
    pub fn findings(&self) -> Vec<Located> {
        judge_all(&self.facts(), &Selection::default(), &|_| Extra::default()).findings
    }

    /// Computes the outputs for `inputs`, each with the batch as its first size. The weights are those of the model; for
    /// a spec, those of seed 0.
    ///
    /// # Errors
    /// If the inputs do not fit, or weights of the model cannot be read.
    pub fn run(&self, inputs: &[Tensor<f32>]) -> Result<Vec<Tensor<f32>>, Problem> {
        let mut network = Weighted::<f32>::seeded(&self.graph, 0, Fill::Declared)?;
        if let Some(weights) = self.weights()? {
            network.replace(weights)?;
        }
        let batch = inputs.first().map_or(1, Tensor::batch);
        Ok(Plan::new(&network, batch)?.run(inputs, |_| {})?.outputs)
    }

    /// Reads the weights that a model brings along: a tensor for each, by its full name. None for a spec.
    ///
    /// # Errors
    /// If a weight is not there, has another size than is stated, or lies outside the model's folder.
    pub fn weights(&self) -> Result<Option<HashMap<String, Tensor<f32>>>, Problem> {
        self.model.as_ref().map(|model| model.weights.load(&self.graph)).transpose()
    }

    /// Returns what there is to say about these figures because the network was imported; none for a spec.
    pub fn import(&self, figures: Figures) -> Option<Import> {
        self.model.as_ref().map(|model| Import::of(&self.graph, &model.remarks, figures))
    }

    /// Returns what was found out about the network, with the name and path that it is reported under.
    pub fn entry<T>(&self, summary: T) -> Entry<T> {
        Entry {
            spec: Spec { name: Some(self.graph.name().to_owned()), path: Some(self.path.clone()) },
            summary,
        }
    }
}

impl From<Network> for Subject {
    fn from(network: Network) -> Self {
        let opaque = || {
            let nodes = network.graph.nodes().iter();
            nodes.filter(|node| matches!(node.op, Op::Layer(Layer::Opaque(_)))).count()
        };
        let left_out = if network.model.is_some() { opaque() } else { 0 };
        Self { graph: network.graph, document: network.document, sources: network.sources, left_out }
    }
}

/// Where a network is read from.
enum Found {
    Model(ModelSource),
    /// Files, and the path of the spec among them.
    Spec(Box<dyn Files>, String),
}

impl Found {
    /// The spec or model `bytes`, which messages name `shown`; the ending of `name` chooses the format, if it has one.
    fn of_bytes(name: &str, shown: &str, bytes: Vec<u8>) -> Self {
        let by_content = if looks_like_model(&bytes) { Format::Model } else { Format::Spec };
        match ending(name).unwrap_or(by_content) {
            Format::Model => Self::Model(ModelSource::memory(shown, bytes)),
            Format::Spec => Self::Spec(Box::new(Text { name: shown.to_owned(), bytes }), name.to_owned()),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Spec,
    Model,
}

/// The format that a name's ending says.
fn ending(name: &str) -> Option<Format> {
    let ending = Path::new(name).extension()?.to_str()?.to_ascii_lowercase();
    match ending.as_str() {
        "yaml" | "yml" => Some(Format::Spec),
        "onnx" => Some(Format::Model),
        _ => None,
    }
}

/// Returns whether `text` can only name a network: standard input, a built-in spec, a file with a known ending.
pub fn names_network(text: &str) -> bool {
    text == "-" || text.starts_with("zoo:") || ending(text).is_some()
}

fn begins_as_model(path: &Path) -> bool {
    let mut first = [0];
    let read = std::fs::File::open(path).and_then(|mut file| file.read(&mut first));
    read.is_ok_and(|count| looks_like_model(&first[..count]))
}

/// Reads a spec or model from a pipe, at most as much as its format may have and one byte more.
///
/// # Errors
/// If the pipe cannot be read.
pub fn read_stream(mut reader: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.by_ref().take(1).read_to_end(&mut bytes)?;
    let limit = if looks_like_model(&bytes) { MOST_STREAMED } else { yaml::MAX_BYTES as u64 };
    reader.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}
