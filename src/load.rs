//! The loader: turns everything that a user can name, with replacements, into a network.
//!
//! ```text
//! FILE.yaml | zoo:NAME | text on standard input or in memory -> spec  \
//!                                                                       -> Network
//! FILE.onnx | FILE.pt2 | bytes on standard input or in memory -> model /
//! ```
//!
//! The extension of a file determines its format; without a known extension, its first byte does.

mod format;

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use cnnkit_check::rules::Facts;
use cnnkit_check::{Extra, Located, Selection, Subject, judge_all};
use cnnkit_core::analysis::field::{self, Facts as FieldFacts};
use cnnkit_core::analysis::totals::{self, Counts};
use cnnkit_core::diagnostic::{Code, Diagnostic, Problem, Rejected};
use cnnkit_core::graph::{Graph, Op};
use cnnkit_core::layers::Layer;
use cnnkit_core::source::Sources;
use cnnkit_core::spec::document::Document;
use cnnkit_core::spec::files::{Files, Text};
use cnnkit_core::spec::{self, Overrides};
use cnnkit_exec::fast::Plan;
use cnnkit_exec::network::{Fill, Network as Weighted};
use cnnkit_exec::tensor::Tensor;
use cnnkit_formats::onnx::bind::Bindings;
use cnnkit_formats::onnx::file_output::FileOutput;
use cnnkit_formats::onnx::import::{self, Imported};
use cnnkit_formats::onnx::source::ModelSource;
use cnnkit_formats::onnx::weights::Stored;
use cnnkit_formats::pt2;
use cnnkit_report::imported::{Figures, Import};
use cnnkit_report::{Entry, Spec};

use crate::disk::Disk;
use crate::zoo::Zoo;
use format::{Format, begins_as_model, ending, is_model};
pub use format::{names_network, read_stream};

/// The name of standard input in messages.
const STDIN: &str = "<stdin>";

/// A loaded network, with its source.
#[derive(Debug)]
pub struct Network {
    /// The argument that named it: a path, `zoo:NAME`, `-`, or the name given to bytes.
    pub path: String,
    /// The network.
    pub graph: Graph,
    /// The spec as written; none for a model.
    pub document: Option<Document>,
    /// The texts that it was read from; none for a model.
    pub sources: Sources,
    /// The technique that the spec demonstrates.
    pub demonstrates: Option<&'static str>,
    /// The imported model; none for a spec.
    pub model: Option<Model>,
}

/// A network that need not fit its own input size: `cnnkit sizes` tries others.
#[derive(Debug)]
pub enum Draft {
    /// A model, whose graph is fixed.
    Model(Box<Network>),
    /// A spec, which is expanded for each size; see [`crate::resized`].
    Spec {
        /// The spec as written.
        document: Box<Document>,
        /// The texts that it was read from.
        sources: Sources,
    },
}

/// The facts about an imported model besides its graph.
#[derive(Debug)]
pub struct Model {
    /// Remarks about the whole model.
    pub remarks: Vec<String>,
    /// Where each input has the batch; none if it has no batch axis, so that it is the same for every image.
    pub batches: Vec<Option<usize>>,
    /// Its outputs with names and layouts as in the file, in the order of the graph's outputs.
    pub outputs: Vec<FileOutput>,
    /// Inputs whose channels come last in the file, and first in the graph.
    pub channels_last: Vec<String>,
    /// Outputs without elements, which no node of the graph makes: place among the file's outputs, name, sizes.
    pub empty: Vec<(usize, String, Vec<u64>)>,
    /// For each node of the graph, the name of the file's node from which it was made, if that has one.
    pub nodes: Vec<Option<String>>,
    weights: Stored,
    /// What an exported program was imported with: its weights are looked at only when it is run.
    archive: Option<Bindings>,
}

/// The reason why a network could not be loaded.
#[derive(Debug)]
pub enum LoadError {
    /// The call is wrong: a built-in spec that does not exist, or an invalid replacement.
    Call(Problem),
    /// The input is wrong: its texts, and every flaw with its position.
    Rejected(Box<Rejected>),
}

impl LoadError {
    /// Returns the flaws; a flaw of the call has no position.
    pub fn diagnostics(&self) -> Vec<Diagnostic> {
        match self {
            Self::Call(problem) => vec![problem.clone().located(None)],
            Self::Rejected(rejected) => rejected.flaws.clone(),
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(problem) => problem.fmt(f),
            Self::Rejected(rejected) => rejected.fmt(f),
        }
    }
}

impl std::error::Error for LoadError {}

impl From<Problem> for LoadError {
    fn from(problem: Problem) -> Self {
        Self::Call(problem)
    }
}

impl From<Box<Rejected>> for LoadError {
    fn from(rejected: Box<Rejected>) -> Self {
        Self::Rejected(rejected)
    }
}

/// Loads networks, with replacements of input shapes and variables.
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
    memory: HashMap<String, Vec<u8>>,
    exported: HashMap<String, Vec<u8>>,
}

impl Loader {
    /// Returns a loader that replaces nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces the shape of the input `name`; the name is empty for a network with one input. Sizes have no
    /// batch axis: `[C, H, W]`.
    #[must_use]
    pub fn input(mut self, name: impl Into<String>, sizes: impl Into<Vec<u64>>) -> Self {
        self.overrides.inputs.push((name.into(), sizes.into()));
        self
    }

    /// Replaces a variable of a spec, or binds an open size of a model.
    #[must_use]
    pub fn set(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.overrides.variables.push((name.into(), value.into()));
        self
    }

    /// Sets the bytes of standard input, which the argument `-` names; [`read_stream`] reads them.
    #[must_use]
    pub fn stdin(mut self, bytes: Vec<u8>) -> Self {
        self.stdin = Some(bytes);
        self
    }

    /// Gives the bytes that `name` stands for, whether or not there is such a file.
    #[must_use]
    pub fn memory(mut self, name: impl Into<String>, bytes: Vec<u8>) -> Self {
        self.memory.insert(name.into(), bytes);
        self
    }

    /// Gives the bytes of a model that `name` stands for, which was exported with the inputs of the call: nothing is replaced
    /// in it.
    #[must_use]
    pub fn exported(mut self, name: impl Into<String>, bytes: Vec<u8>) -> Self {
        self.exported.insert(name.into(), bytes);
        self
    }

    /// Loads the network that `name` names: the path of a spec or model, `zoo:NAME`, or `-` for standard
    /// input.
    ///
    /// # Errors
    /// If the input cannot be read or is invalid; the error lists every flaw.
    pub fn load(&self, name: &str) -> Result<Network, LoadError> {
        if let Some(bytes) = self.exported.get(name) {
            return Self::default().bytes(name, bytes.clone());
        }
        self.build(name, self.find(name)?)
    }

    /// Reads what `name` names, as [`Loader::load`] does, but does not build a spec, which may not fit its
    /// own input size.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn draft(&self, name: &str) -> Result<Draft, LoadError> {
        if self.exported.contains_key(name) {
            return Ok(Draft::Model(Box::new(self.load(name)?)));
        }
        match self.find(name)? {
            Found::Model(source) => Ok(Draft::Model(Box::new(self.model(name, source)?))),
            Found::Spec(files, path) => {
                let (document, sources) = spec::read(files.as_ref(), &path, &self.overrides)?;
                Ok(Draft::Spec { document: Box::new(document), sources })
            }
        }
    }

    /// Returns what is replaced, for the reader of specs.
    pub fn overrides(&self) -> &Overrides {
        &self.overrides
    }

    /// Returns the source that `name` names.
    fn find(&self, name: &str) -> Result<Found, LoadError> {
        if let Some(bytes) = self.memory.get(name) {
            return Ok(Found::of_bytes(name, name, bytes.clone()));
        }
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
                // A pipe can be read only once: its first byte determines the format of all its bytes.
                Ok(data) if !data.is_dir() => std::fs::File::open(path).and_then(read_stream).ok(),
                _ => None,
            },
        };
        Ok(match streamed {
            Some(bytes) => Found::of_bytes(name, name, bytes),
            None => Found::Spec(Box::new(Disk::of(name)), name.to_owned()),
        })
    }

    /// Loads a spec or model from memory. Messages show `name`; its extension determines the format, if it
    /// has one. Such a spec cannot include files, and such a model cannot have external data.
    ///
    /// # Errors
    /// As for [`Loader::load`].
    pub fn bytes(&self, name: &str, bytes: impl Into<Vec<u8>>) -> Result<Network, LoadError> {
        self.build(name, Found::of_bytes(name, name, bytes.into()))
    }

    /// Loads the file `path` from `files`, which may be stored anywhere: in an archive, a revision, an
    /// editor's buffers.
    ///
    /// # Errors
    /// As for [`Loader::load`].
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
        let bindings = self.bindings()?;
        let archive = pt2::is_archive(&source);
        let imported = if archive {
            pt2::load(source, &bindings)?
        } else {
            import::load(source, &bindings)
                .map_err(|flaws| Box::new(Rejected { flaws, ..Rejected::default() }))?
        };
        let Imported {
            graph,
            weights,
            tensors,
            source,
            batches,
            outputs,
            channels_last,
            empty,
            nodes,
            remarks,
            sources,
        } = imported;
        Ok(Network {
            path: name.to_owned(),
            graph,
            document: None,
            sources,
            demonstrates: None,
            model: Some(Model {
                remarks,
                batches,
                outputs,
                channels_last,
                empty,
                nodes,
                weights: Stored { weights, tensors, source },
                archive: archive.then_some(bindings),
            }),
        })
    }

    /// Returns the replacements for an importer: variables bind open sizes.
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
    /// Loads the network that `name` names, as [`Loader::load`] does, without replacements.
    ///
    /// # Errors
    /// If the input cannot be read or is invalid; the error lists every flaw.
    pub fn load(name: &str) -> Result<Self, LoadError> {
        Loader::new().load(name)
    }

    /// Loads a spec or model from memory, as [`Loader::bytes`] does, without replacements.
    ///
    /// # Errors
    /// If the input is invalid; the error lists every flaw.
    pub fn from_bytes(name: &str, bytes: impl Into<Vec<u8>>) -> Result<Self, LoadError> {
        Loader::new().bytes(name, bytes)
    }

    /// Returns the facts about the network; each analysis runs on first use.
    pub fn facts(&self) -> Facts<'_> {
        Facts::new(&self.graph, self.document.as_ref(), &self.sources)
    }

    /// Returns the sums over all layers for one image: parameters, MACs, other operations, activations.
    pub fn totals(&self) -> Counts {
        totals::of_graph(&self.graph)
    }

    /// Returns the receptive field of the output, or of the last feature map whose field is not the whole
    /// input; none if no feature map depends on an input with spatial axes.
    ///
    /// # Errors
    /// If a figure of the fields exceeds 128 bits, or the fields need too much memory.
    pub fn receptive_field(&self) -> Result<Option<FieldFacts>, Problem> {
        Ok(field::headline(&self.graph, &field::analyse(&self.graph, field::Options::default())?))
    }

    /// Returns the findings of the default rules, in the order of their positions.
    pub fn findings(&self) -> Vec<Located> {
        judge_all(&self.facts(), &Selection::default(), &|_| Extra::default()).findings
    }

    /// Computes the outputs for `inputs`, one tensor `[N, C, H, W]` (with the input's spatial axes) per
    /// input. The weights are those of the model; for a spec, those of seed 0.
    ///
    /// # Errors
    /// If the inputs do not match the network, or weights of the model cannot be read.
    pub fn run(&self, inputs: &[Tensor<f32>]) -> Result<Vec<Tensor<f32>>, Problem> {
        let network = match self.weights()? {
            Some(weights) => Weighted::of_weights(&self.graph, weights)?,
            None => Weighted::<f32>::seeded(&self.graph, 0, Fill::Declared)?,
        };
        let batch = inputs.first().map_or(1, Tensor::batch);
        Ok(Plan::new(&network, batch)?.run(inputs, |_| {})?.outputs)
    }

    /// Reads the weights of a model, one tensor per weight, by full name. None for a spec.
    ///
    /// # Errors
    /// If a weight is missing, has another size than declared, or lies outside the model's folder.
    pub fn weights(&self) -> Result<Option<HashMap<String, Tensor<f32>>>, Problem> {
        let load = |model: &Model| match &model.archive {
            Some(bindings) => pt2::weights(&self.graph, &model.weights, bindings),
            None => model.weights.load(&self.graph),
        };
        self.model.as_ref().map(load).transpose()
    }

    /// Returns, for each node of the graph, the name of the model's node from which it was made; empty for a spec.
    pub fn node_names(&self) -> &[Option<String>] {
        self.model.as_ref().map_or(&[], |model| &model.nodes)
    }

    /// Returns the remarks about these figures that follow from the import; none for a spec.
    pub fn import(&self, figures: Figures) -> Option<Import> {
        self.model.as_ref().map(|model| Import::of(&self.graph, &model.remarks, figures))
    }

    /// Returns `summary` with the name and path under which the network is reported.
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

/// The source of a network.
enum Found {
    Model(ModelSource),
    /// A set of files, and the path of the spec in it.
    Spec(Box<dyn Files>, String),
}

impl Found {
    /// Returns the source for the spec or model `bytes`, which messages call `shown`; the extension of `name`
    /// determines the format, if it has one.
    fn of_bytes(name: &str, shown: &str, bytes: Vec<u8>) -> Self {
        let by_content = if is_model(&bytes) { Format::Model } else { Format::Spec };
        match ending(name).unwrap_or(by_content) {
            Format::Model => Self::Model(ModelSource::memory(shown, bytes)),
            Format::Spec => Self::Spec(Box::new(Text { name: shown.to_owned(), bytes }), name.to_owned()),
        }
    }
}
