//! The text of `cnnkit.toml`, of a baseline, and of what the command line compares and selects with.

use std::path::Path;

use cnnkit::check::rules::Severity;
use cnnkit::check::{Baseline, Choices, Condition, Plan, Project, Selector, Subject};
use cnnkit::render::Format;
use cnnkit::report::Report;
use cnnkit::report::findings::Findings;
use cnnkit::{Loader, Network};

use super::everything::{draw, views};

const SPEC: &str =
    "input: [3, 16, 16]\nlayers:\n  - conv: {out_channels: 8, kernel: 3}\n  - batch_norm\n  - relu\n";

/// Reads the text as each of them, and checks a spec with it.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = Condition::parse(text);
    let _ = Selector::parse(text);
    let baseline = Baseline::parse("baseline.json", text);
    let project = match Project::parse("cnnkit.toml", text, Path::new(".")) {
        Ok(project) => project,
        Err(rejected) => {
            assert!(!rejected.flaws.is_empty(), "rejected without an error");
            draw(&rejected.flaws, &rejected.sources);
            if baseline.is_err() {
                return;
            }
            Project::default()
        }
    };
    let baseline = baseline.ok();
    let network = |_: &str| -> Network { Loader::new().bytes("net.yaml", SPEC).expect("a valid spec") };
    let load = |path: &str| Ok(Subject::from(network(path)));
    let choices = Choices::default();
    let plan = Plan {
        project: &project,
        choices: &choices,
        baseline: baseline.as_ref(),
        verify: false,
        memory: None,
        load: &load,
    };
    let mut checked = cnnkit::check::run(&["net.yaml".to_owned()], &plan);
    if let Some(baseline) = &baseline {
        let updated = baseline.updated(&checked).text();
        assert!(Baseline::parse("again.json", &updated).is_ok(), "{updated}");
        baseline.accept(&mut checked);
    }
    let findings = Findings::of(&checked, cnnkit::rules::all()).judged(Severity::Warning);
    views(&Report::of(findings), Format::FINDINGS);
}
