//! `cnnkit report`

use std::io::Write as _;

use crate::cli::load::{Complete, Loaded, SpecArgs};
use crate::cli::progress::Progress;
use crate::cli::{Failure, check, destination, machine, output, profile};
use cnnkit::page::{Section, book};
use cnnkit::{LoadError, Loader};
use cnnkit_check::{Baseline, Choices, Plan, Project, Subject};
use cnnkit_formats::pictures;
use cnnkit_report::findings::Findings;
use cnnkit_report::html::{Book, NetworkData, ReportSummary, ReportedNetwork};
use cnnkit_report::imported::Figures;
use cnnkit_report::verify::VerifySummary;
use cnnkit_report::{Page, Report};
use cnnkit_verify::{Analysis, Options, verify};

/// Write a page to look at and to share: graph, field microscope, memory, costs
///
/// One HTML file that works offline. Hover a unit of any layer to see exactly what it reads; blocks fold and open; all parts
/// share the chosen layer. Several SPECs are compared in an index.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cnnkit report zoo:resnet50 -o report.html
  cnnkit report net.yaml --picture cat.jpg -o report.html    a picture below the input grid
  cnnkit report net.yaml --diff old.yaml -o report.html      what changed, on top
  cnnkit report net.yaml --verify -o report.html             with every claim measured
  cnnkit report net.yaml --profile -o report.html            with the time of every layer
  cnnkit report zoo:resnet18 zoo:resnet50 -o report.html     side by side")]
pub struct Args {
    #[command(flatten)]
    spec: SpecArgs,
    #[command(flatten)]
    pub complete: Complete,
    /// Show what changed since this older spec or model
    #[arg(long, value_name = "OLD")]
    diff: Option<String>,
    /// Show this PNG or JPEG file below the input grid
    #[arg(long, value_name = "FILE")]
    picture: Option<String>,
    /// Run the networks as well, and compare every prediction with a measurement
    #[arg(long)]
    verify: bool,
    /// Run the networks as well, and show the time of every layer beside what this machine can do
    #[arg(long)]
    profile: bool,
    /// The file given by `-o`.
    #[arg(skip)]
    pub file: Option<String>,
}

/// Pixels of the picture's longer side: inputs are seldom larger, and the page stays small.
const LONGEST: u32 = 512;

/// Runs the command.
pub fn run(args: Args) -> Result<Report, Failure> {
    let file = file(args.file)?;
    let mut specs = args.spec.specs.clone();
    if let Some(old) = &args.diff {
        if specs.len() > 1 {
            return Err(Failure::usage(
                format!("`--diff` compares one network with an older one, {} are given", specs.len()),
                "write one report per network",
            ));
        }
        specs.insert(0, old.clone());
    }
    let picture = args.picture.as_deref().map(|path| pictures::small_jpeg(path, LONGEST)).transpose()?;
    let loader = args.spec.replace.loader(&specs)?;
    let networks = load(&specs, &loader)?;
    let project = check::project()?;
    let baseline = check::baseline(&project)?;
    let rates = args.profile.then(profile::rates).transpose()?;
    let sections = networks
        .iter()
        .map(|network| {
            let verified = args.verify.then(|| measured(network)).transpose()?;
            let profile = rates.map(|rates| profile::profile(network, rates)).transpose()?;
            let findings = findings(&network.path, &loader, &project, baseline.as_ref());
            Ok(Section { network, findings, verified, profile })
        })
        .collect::<Result<Vec<_>, Failure>>()?;
    let mut book = book(sections, args.diff.is_some())?;
    book.picture = picture.map(|bytes| Book::picture_url("jpeg", &bytes));
    let html = book.html();
    if file == destination::STDOUT {
        // A closed pipe is the reader's choice.
        let _ = std::io::stdout().lock().write_all(html.as_bytes());
        return Ok(Report::text(Page::default()));
    }
    output::save(&file, &html)?;
    let ok = book.networks.iter().all(NetworkData::holds);
    let networks = book.networks.iter().map(ReportedNetwork::of).collect();
    Ok(Report::of(ReportSummary { file, bytes: html.len(), networks, ok }))
}

/// Returns the file to write, whose ending must say that it is a page.
fn file(given: Option<String>) -> Result<String, Failure> {
    let Some(file) = given else {
        return Err(Failure::usage(
            "a report is a file, and none is named",
            "name it: `cnnkit report net.yaml -o report.html`; `-o -` is standard output",
        ));
    };
    let ending = std::path::Path::new(&file).extension().and_then(|ending| ending.to_str());
    match ending.map(str::to_ascii_lowercase).as_deref() {
        Some("html" | "htm") => Ok(file),
        None => Ok(file),
        Some(other) => Err(Failure::usage(
            format!("`cnnkit report` writes no .{other} file"),
            "a report is HTML: name it `report.html`",
        )),
    }
}

fn load(specs: &[String], loader: &Loader) -> Result<Vec<Loaded>, Failure> {
    let (mut networks, mut failures) = (Vec::new(), Vec::new());
    for result in specs.iter().map(|spec| loader.load(spec)) {
        match result {
            Ok(network) => networks.push(network),
            Err(error) => failures.push(Failure::from(error)),
        }
    }
    Failure::unless_none(failures).map(|()| networks)
}

/// Returns what `cnnkit check` finds: what the baseline accepts is left out, and counted.
fn findings(path: &str, loader: &Loader, project: &Project, baseline: Option<&Baseline>) -> Findings {
    let load = |path: &str| {
        loader.load(path).map(Subject::from).map_err(|error| match error {
            LoadError::Rejected(rejected) => rejected,
            LoadError::Call(_) => Box::default(),
        })
    };
    let choices = Choices::default();
    let plan = Plan { project, choices: &choices, baseline, verify: false, memory: None, load: &load };
    let mut checked = cnnkit_check::run(&[path.to_owned()], &plan);
    if let Some(baseline) = baseline {
        baseline.accept(&mut checked);
    }
    Findings::of(&checked, cnnkit_check::rules::all())
}

fn measured(network: &Loaded) -> Result<VerifySummary, Failure> {
    let progress = Progress::start("measuring");
    let options = Options {
        technique: network.demonstrates,
        memory: Some(machine::available_memory()),
        ..Options::default()
    };
    let outcome =
        verify(&network.graph, &Analysis, &options, &|done| progress.at(done)).map_err(|problem| {
            Failure::usage(
                format!("cannot verify `{}`: {problem}", network.graph.name()),
                "leave `--verify` out",
            )
        })?;
    let import = network.import(Figures::Dependences);
    Ok(VerifySummary::of(network.graph.name(), outcome, true, import))
}
