//! The requests of the page, and their answers. What a command of the program prints as JSON is here the same text.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use cnnkit::load::LoadError;
use cnnkit::page::{Section, book};
use cnnkit::rates::{self, Item};
use cnnkit::zoo::Zoo;
use cnnkit::{Loader, Network};
use cnnkit_core::analysis::gridding::Gridding;
use cnnkit_core::analysis::hdc::Check;
use cnnkit_core::analysis::memory::Dtype;
use cnnkit_core::analysis::proposal::proposals;
use cnnkit_core::diagnostic::{Diagnostic, Problem};
use cnnkit_core::source::Sources;
use cnnkit_core::spec::schema;
use cnnkit_formats::export::yaml;
use cnnkit_report::figure::{self, Picture, Theme, coverage};
use cnnkit_report::gridding::{GriddingSummary, Options};
use cnnkit_report::hdc::{HdcSummary, Require};
use cnnkit_report::html::Book;
use cnnkit_report::imported::Figures;
use cnnkit_report::params::{By, Sort, View};
use cnnkit_report::render::{self, Canvas, Format};
use cnnkit_report::rf::Question;
use cnnkit_report::{Report, params, rf};

use crate::edited::Edited;
use crate::mark::Mark;

/// What the page asks for.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
enum Request {
    /// What the page needs once: version, schema of specs, built-in specs with their texts.
    Start {},
    /// Everything about the network of a spec, with its flaws at their places.
    Spec { name: String, text: String },
    /// Everything about the network of a file.
    Model { name: String },
    /// A spec that says what the model in a file is.
    Written { name: String },
    /// The map of a stack of dilated convolutions, and its verdicts.
    Rates { rates: String, kernel: String, axes: usize },
    /// What `cnnkit COMMAND SPEC --format json` prints; the spec is built in, a list of rates, or the file.
    Command { command: Command, spec: String },
}

/// The commands that the page has under their own names.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Command {
    Params,
    Rf,
    Gridding,
    HdcCheck,
}

/// A built-in spec.
#[derive(Debug, Serialize)]
struct BuiltIn {
    name: &'static str,
    folder: &'static str,
    description: String,
    text: &'static str,
}

/// The answer to [`Request::Start`].
#[derive(Debug, Serialize)]
struct Start {
    version: &'static str,
    schema: Value,
    specs: Vec<BuiltIn>,
}

/// Everything about a network, or why there is none.
#[derive(Debug, Serialize)]
struct Analysed {
    /// What the modules of the report draw.
    book: Option<Book>,
    marks: Vec<Mark>,
}

/// A stack of dilated convolutions.
#[derive(Debug, Serialize)]
struct Rates {
    gridding: Option<GriddingSummary>,
    hdc: Option<HdcSummary>,
    /// Why the published rule says nothing about this stack.
    without: Option<Problemed>,
    /// The coverage as a figure, light and dark.
    figures: Vec<String>,
    marks: Vec<Mark>,
}

/// A flaw without a place.
#[derive(Debug, Serialize)]
struct Problemed {
    message: String,
    help: Option<String>,
}

impl From<Problem> for Problemed {
    fn from(problem: Problem) -> Self {
        Self { message: problem.message, help: problem.help }
    }
}

/// Answers a request in JSON with the bytes of a file. Whatever they are, the answer is JSON.
pub fn answer(request: &[u8], file: Vec<u8>) -> String {
    let request = match serde_json::from_slice(request) {
        Ok(request) => request,
        Err(error) => {
            return text(&serde_json::json!({"flaw": format!("the request is not understood: {error}")}));
        }
    };
    match request {
        Request::Start {} => text(&start()),
        Request::Spec { name, text: spec } => text(&spec_of(name, spec)),
        Request::Model { name } => text(&analysed(Loader::new().bytes(&name, file))),
        Request::Written { name } => text(&written(&name, file)),
        Request::Rates { rates, kernel, axes } => text(&rates_of(&rates, &kernel, axes)),
        Request::Command { command, spec } => match command.run(&spec, file) {
            Ok(report) => render::render(&report, Format::Json, CANVAS),
            Err(error) => text(&serde_json::json!({"flaw": error.to_string()})),
        },
    }
}

/// JSON has no lines to fit.
const CANVAS: Canvas = Canvas { width: 100, color: false, tables: false };

fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value)
        .unwrap_or_else(|error| serde_json::json!({ "flaw": error.to_string() }).to_string())
}

fn start() -> Start {
    let built_in = |(folder, name): (&'static str, &'static str)| BuiltIn {
        name,
        folder,
        description: Zoo::description(name),
        text: Zoo::text(name).unwrap_or_default(),
    };
    Start {
        version: env!("CARGO_PKG_VERSION"),
        schema: schema::generate(),
        specs: Zoo::names().into_iter().map(built_in).collect(),
    }
}

fn spec_of(name: String, text: String) -> Analysed {
    let files = Edited::new(name.clone(), text);
    let network = Loader::new().files(&files, Edited::PATH);
    analysed(network.map(|network| Network { path: name, ..network }))
}

fn analysed(network: Result<Network, LoadError>) -> Analysed {
    let network = match network {
        Ok(network) => network,
        Err(error) => return Analysed { book: None, marks: marks(&error) },
    };
    let section = Section::of(&network);
    let mut marks: Vec<Mark> = section.findings.items.iter().map(Mark::of_finding).collect();
    match book(vec![section], false) {
        Ok(book) => Analysed { book: Some(book), marks },
        Err(problem) => {
            marks.push(Mark::of_error(&problem.located(None), &Sources::default()));
            Analysed { book: None, marks }
        }
    }
}

/// Returns every flaw of an input; one flaw for each place, as the terminal shows them.
fn marks(error: &LoadError) -> Vec<Mark> {
    match error {
        LoadError::Call(problem) => {
            vec![Mark::of_error(&problem.clone().located(None), &Sources::default())]
        }
        LoadError::Rejected(rejected) => {
            rejected.flaws.iter().map(|flaw| Mark::of_error(flaw, &rejected.sources)).collect()
        }
    }
}

fn written(name: &str, file: Vec<u8>) -> Value {
    let network = match Loader::new().bytes(name, file) {
        Ok(network) => network,
        Err(error) => return serde_json::json!({"flaw": error.to_string()}),
    };
    match yaml::write(&network.graph) {
        Ok(text) => serde_json::json!({"text": text}),
        Err(flaws) => {
            let flaws: Vec<String> = flaws.iter().map(Diagnostic::to_string).collect();
            serde_json::json!({"flaw": flaws.join("\n")})
        }
    }
}

fn rates_of(typed: &str, kernel: &str, axes: usize) -> Rates {
    let mut rates = Rates { gridding: None, hdc: None, without: None, figures: vec![], marks: vec![] };
    match stack(typed, kernel, axes) {
        Ok((gridding, hdc)) => {
            let scene = coverage::of(&gridding);
            let drawn = [Theme::Light, Theme::Dark].map(|theme| figure::draw(&scene, theme, Picture::Svg));
            rates.figures =
                drawn.into_iter().flatten().filter_map(|bytes| String::from_utf8(bytes).ok()).collect();
            rates.gridding = Some(gridding);
            match hdc {
                Ok(hdc) => rates.hdc = Some(hdc),
                Err(problem) => rates.without = Some(problem.into()),
            }
        }
        Err(error) => rates.marks = marks(&error),
    }
    rates
}

type Verdicts = (GriddingSummary, Result<HdcSummary, Problem>);

fn stack(typed: &str, kernel: &str, axes: usize) -> Result<Verdicts, LoadError> {
    let groups = rates::groups("rates", typed)?;
    let kernels = rates::list("kernel", kernel)?;
    let hdc = hdc(&groups, &kernels, axes);
    Ok((gridding(&groups.concat(), &kernels, Some(axes))?, hdc))
}

/// As `cnnkit gridding` computes it.
fn gridding(rates: &[Item], kernels: &[Item], axes: Option<usize>) -> Result<GriddingSummary, LoadError> {
    let stack = rates::stack(rates, kernels, &[vec![1]], axes)?;
    Ok(GriddingSummary::of(&stack, &Gridding::of(&stack)?, Options::default())?)
}

/// As `cnnkit hdc-check` computes it.
fn hdc(groups: &[Vec<Item>], kernels: &[Item], axes: usize) -> Result<HdcSummary, Problem> {
    let groups = groups.iter().map(|group| group.iter().map(rates::square).collect());
    let groups = groups.collect::<Result<Vec<Vec<u64>>, Problem>>()?;
    let kernel = match kernels {
        [only] => rates::square(only)?,
        _ => {
            let message = "the published rule knows one kernel size for all layers";
            return Err(Problem::argument("kernel", message));
        }
    };
    let check = Check::of(kernel, &groups, axes)?;
    let failed = !check.rule.ok || !check.exact.hole_free();
    let proposals = failed.then(|| proposals(&check)).transpose()?;
    Ok(HdcSummary::of(&check, Require::Both, false, proposals.as_ref()))
}

impl Command {
    /// Runs the command without options.
    fn run(self, spec: &str, file: Vec<u8>) -> Result<Report, LoadError> {
        let load = || if file.is_empty() { Network::load(spec) } else { Network::from_bytes(spec, file) };
        match self {
            Self::Params => {
                let network = load()?;
                let view = View {
                    depth: Some(1),
                    by: By::default(),
                    sort: Sort::default(),
                    top: None,
                    batch: 1,
                    dtype: Dtype::default(),
                };
                let found = params::summary(&network.graph, view, None, network.import(Figures::Counts));
                Ok(Report::of_networks(vec![network.entry(found.with_nodes(network.node_names()))]))
            }
            Self::Rf => {
                let network = load()?;
                let import = network.import(Figures::Dependences);
                let found = rf::summary(&network.graph, Question::default(), import)?;
                Ok(Report::of_networks(vec![network.entry(found.with_nodes(network.node_names()))]))
            }
            Self::Gridding => {
                let rates = rates::groups("RATES", spec)?.concat();
                Ok(Report::of(gridding(&rates, &[vec![3]], None)?))
            }
            Self::HdcCheck => Ok(Report::of(hdc(&rates::groups("RATES", spec)?, &[vec![3]], 2)?)),
        }
    }
}
