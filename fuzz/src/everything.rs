//! Every analysis of a network, every rule, and every view of what they find.

use cnnkit::analysis::convention::Convention;
use cnnkit::analysis::dilated;
use cnnkit::analysis::memory::Dtype;
use cnnkit::analysis::sizes::{Fixed, Trial as _, analyse};
use cnnkit::check::rules::Severity;
use cnnkit::check::{Choices, Plan, Project, Selector, Subject, rewrites};
use cnnkit::diagnostic::Problem;
use cnnkit::diagnostic::Rejected;
use cnnkit::render::{Canvas, Format, diagnostics, render};
use cnnkit::report::chains::NetworkGriddingSummary;
use cnnkit::report::findings::Findings;
use cnnkit::report::gridding::Options;
use cnnkit::report::hdc::Require;
use cnnkit::report::hdc_chains::NetworkHdcSummary;
use cnnkit::report::imported::Figures;
use cnnkit::report::network::Network as Drawn;
use cnnkit::report::params::{By, Sort, View};
use cnnkit::report::rf::Question;
use cnnkit::report::summary::Summary;
use cnnkit::report::{Report, channels, compare, convention, params, paths, rf, sizes};
use cnnkit::source::Sources;
use cnnkit::{Diagnostic, LoadError, Loader, Network};

/// A terminal narrower than most, with colours: the most work for whoever draws.
const CANVAS: Canvas = Canvas { width: 60, color: true, tables: true };

/// Loads `bytes` as a file of this name, or draws what is wrong with it.
pub fn load(name: &str, bytes: &[u8]) -> Option<Network> {
    match Network::from_bytes(name, bytes) {
        Ok(network) => Some(network),
        Err(LoadError::Rejected(rejected)) => {
            assert!(!rejected.flaws.is_empty(), "rejected without an error");
            draw(&rejected.flaws, &rejected.sources);
            None
        }
        Err(LoadError::Call(problem)) => {
            refused(&problem);
            None
        }
    }
}

/// Draws `flaws`; each must say something.
pub fn draw(flaws: &[Diagnostic], sources: &Sources) {
    assert!(flaws.iter().all(|flaw| !flaw.message.is_empty()), "an error without a message");
    diagnostics::render(flaws, sources, CANVAS);
}

/// What cannot be answered says why.
fn refused(problem: &Problem) {
    assert!(!problem.message.is_empty(), "refused without a message");
}

/// Draws `report` in `formats`; what is JSON must be JSON.
pub fn views(report: &Report, formats: &[Format]) {
    for &format in formats {
        let text = render(report, format, CANVAS);
        if matches!(format, Format::Json | Format::Sarif | Format::Gitlab) {
            let parsed: Result<serde_json::Value, _> = serde_json::from_str(&text);
            assert!(parsed.is_ok(), "{format:?} is no JSON: {text}");
        }
    }
}

fn show<T: Summary>(network: &Network, found: Result<T, Problem>, formats: &[Format]) {
    match found {
        Ok(summary) => views(&Report::of_networks(vec![network.entry(summary)]), formats),
        Err(problem) => refused(&problem),
    }
}

/// Runs every analysis and draws its result.
pub fn analyses(network: &Network) {
    let graph = &network.graph;
    let import = |figures| network.import(figures);
    for tool in [Convention::Fvcore, Convention::Thop, Convention::Ptflops, Convention::Torchinfo] {
        let view = View {
            depth: None,
            by: By::Block,
            sort: Sort::default(),
            top: None,
            batch: 2,
            dtype: Dtype::default(),
        };
        let convention = convention::summary(graph, tool, 2);
        let found = convention.map(|told| params::summary(graph, view, Some(told), import(Figures::Counts)));
        show(network, found, Format::TABLES);
    }
    let question =
        Question { node: None, all: true, exact: true, effective: true, unit: None, max_offset: Some(2.0) };
    show(network, rf::summary(graph, question, import(Figures::Dependences)), Format::TABLES);
    show(network, channels::summary(graph, import(Figures::Dependences)), Format::TABLES);
    show(network, paths::summary(graph, import(Figures::Dependences)), Format::TABLES);
    let options = Options { steps: true, multiplicity: true };
    let chains = dilated::chains(graph);
    let gridding = chains.clone().and_then(|chains| NetworkGriddingSummary::of(graph, &chains, options));
    show(network, gridding, Format::TABLES);
    let hdc = chains.and_then(|chains| NetworkHdcSummary::of(graph, &chains, Require::Both, true));
    show(network, hdc, Format::TABLES);
    show(network, Ok(Drawn::of(graph, usize::MAX)), Format::GRAPH);
    show(network, Ok(Drawn::of(graph, 1)), Format::GRAPH);
    views(&Report::of(compare::summary([graph, graph].into_iter(), vec![])), Format::TABLES);
    let trial = Fixed::new(graph);
    if let Ok(axes) = analyse(&trial) {
        let found = sizes::summary(graph.name(), trial.inputs(), axes, None, import(Figures::Dependences));
        show(network, Ok(found), Format::TABLES);
    }
}

/// Checks `bytes` by every rule and draws the findings; a fix must leave a spec that can be built.
pub fn check(name: &str, bytes: &[u8]) {
    let load = |_: &str| match Loader::new().bytes(name, bytes) {
        Ok(network) => Ok(Subject::from(network)),
        Err(LoadError::Rejected(rejected)) => Err(rejected),
        Err(LoadError::Call(problem)) => {
            Err(Box::new(Rejected { flaws: vec![problem.located(None)], ..Rejected::default() }))
        }
    };
    let all = Selector::parse("all").expect("a selector");
    let choices = Choices { extend: vec![all], ..Choices::default() };
    let project = Project::default();
    let plan = Plan {
        project: &project,
        choices: &choices,
        baseline: None,
        verify: false,
        memory: None,
        load: &load,
    };
    let checked = cnnkit::check::run(&[name.to_owned()], &plan);
    if checked.iter().all(|spec| spec.name.is_some()) {
        for rewrite in rewrites(&checked, |_| true) {
            let again = Network::from_bytes(&rewrite.file, rewrite.after.as_bytes());
            assert!(again.is_ok(), "a fix breaks the spec:\n{}\n---\n{}", rewrite.before, rewrite.after);
        }
    }
    let findings = Findings::of(&checked, cnnkit::rules::all()).judged(Severity::Warning);
    views(&Report::of(findings), Format::FINDINGS);
}
