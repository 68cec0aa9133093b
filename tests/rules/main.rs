//! Every rule has a folder `tests/rules/ID-name` of specs, and this one runner reads them all.
//!
//! - `fires*.yaml`: the rule fires exactly where a comment below the line marks the token, and the message contains the
//!   words behind the id:
//!
//!   ```yaml
//!   - conv: {out_channels: 8, kernel: 3}
//!   # ^^^^ CK401 the 8 biases
//!   ```
//!
//!   A token in the first two columns is marked with `#<^^^`, which points two columns further to the left. A rule may
//!   have its numbers changed by a first line `# settings: object=64`.
//! - `silent*.yaml`: it does not fire.
//! - `allowed*.yaml`: it fires, and a comment with a reason suppresses it.
//! - `fixed*.yaml`: what its fix makes of the `fires*.yaml` of the same name, whose markers are left out. The finding is
//!   gone, the parameters change by what the fix says, the receptive fields stay, and the executor confirms both.
//!
//! `cargo test --test rules CK401` is not possible, but `CNNKIT_RULE=CK401 cargo test --test rules` is.

mod documentation;
mod specs;
mod witness;

use std::fs;
use std::path::{Path, PathBuf};

use cnnkit::analysis::field::{Options, analyse};
use cnnkit::analysis::totals;
use cnnkit::check::{self, Located, Outcome, Selection};
use cnnkit::diagnostic::{Problem, Rejected};
use cnnkit::disk::Disk;
use cnnkit::rules::{Meta, RULES};
use cnnkit::source::Sources;
use cnnkit::spec::{self, Overrides};
use cnnkit::verify::{Analysis, Effort, Kind, verify};

/// The folder of the rule's fixtures.
pub(crate) fn folder(meta: &Meta) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rules").join(format!("{}-{}", meta.id, meta.name))
}

/// The rule's fixtures of one kind, with their texts.
pub(crate) fn fixtures(meta: &Meta, kind: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder(meta)).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if name.starts_with(kind) && path.extension().is_some_and(|ending| ending == "yaml") {
            found.push((path.clone(), fs::read_to_string(path).expect("UTF-8")));
        }
    }
    found.sort();
    found
}

/// The rules under test.
fn rules() -> Vec<&'static Meta> {
    let wanted = std::env::var("CNNKIT_RULE").ok();
    RULES
        .iter()
        .map(|rule| rule.meta())
        .filter(|meta| wanted.as_ref().is_none_or(|id| meta.id == id))
        .collect()
}

/// What the rule finds in the spec at `path`, with `text` in its place.
fn run(meta: &Meta, path: &Path, text: &str) -> (Sources, Outcome) {
    let files = Replaced { path: path.to_string_lossy().into_owned(), text: text.into() };
    let loaded = spec::load(&files, &files.path, &Overrides::default());
    let mut selection = Selection::only(meta.id);
    for pair in
        text.lines().filter_map(|line| line.strip_prefix("# settings: ")).flat_map(|line| line.split(' '))
    {
        let (name, value) = pair.split_once('=').expect("NAME=VALUE");
        assert!(meta.settings.iter().any(|setting| setting.name == name), "{}: no setting {name}", meta.id);
        for active in &mut selection.rules {
            active.settings.push((name.into(), value.parse().expect("a number")));
        }
    }
    match loaded {
        Ok(loaded) => {
            let outcome = check::network(&loaded, &selection);
            (loaded.sources, outcome)
        }
        Err(rejected) => {
            let Rejected { sources, flaws: errors } = *rejected;
            (sources, check::rejected(errors))
        }
    }
}

/// The disk, but for one file.
struct Replaced {
    path: String,
    text: String,
}

impl spec::files::Files for Replaced {
    fn read(&self, path: &str) -> Result<Vec<u8>, Problem> {
        if path == self.path { Ok(self.text.clone().into_bytes()) } else { Disk::of(&self.path).read(path) }
    }

    fn resolve(&self, from: &str, include: &str) -> Result<String, Problem> {
        Disk::of(&self.path).resolve(from, include)
    }

    fn display(&self, path: &str) -> String {
        path.to_owned()
    }
}

/// A finding as the markers write it: line, first column, last column, id and words.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Mark {
    line: usize,
    from: usize,
    to: usize,
    words: String,
}

/// Whether `line` is a marker.
fn is_marker(line: &str) -> bool {
    let rest = line.trim_start().strip_prefix('#').map(|rest| rest.trim_start_matches([' ', '<']));
    rest.is_some_and(|rest| rest.starts_with('^'))
}

/// The markers in `text`.
fn markers(text: &str) -> Vec<Mark> {
    let mut target = 0;
    let mut marks = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if !is_marker(line) {
            target = index + 1;
            continue;
        }
        let from = line.chars().position(|c| c == '^').unwrap_or(0) + 1;
        let length = line.chars().filter(|&c| c == '^').count();
        let left = if line.contains("#<") { 2 } else { 0 };
        let words = line.rsplit_once('^').map_or("", |(_, words)| words).trim().to_owned();
        marks.push(Mark { line: target, from: from - left, to: from - left + length - 1, words });
    }
    marks
}

/// The findings as marks, with their whole messages.
fn marks(sources: &Sources, findings: &[Located]) -> Vec<Mark> {
    let mark = |finding: &Located| {
        let words = format!("{} {}", finding.rule.id, finding.message);
        let Some(span) = finding.span else { return Mark { line: 0, from: 0, to: 0, words } };
        let (line, from) = sources.line_column(span.source, span.start);
        let (_, after) = sources.line_column(span.source, span.end);
        Mark { line, from, to: after.max(from + 1) - 1, words }
    };
    findings.iter().map(mark).collect()
}

#[test]
fn each_rule_fires_where_it_is_marked() {
    let mut failures = Vec::new();
    for meta in rules() {
        for (path, text) in fixtures(meta, "fires") {
            let (sources, outcome) = run(meta, &path, &text);
            let mut expected = markers(&text);
            let mut found = marks(&sources, &outcome.findings);
            expected.sort();
            found.sort();
            let agrees = |(mark, finding): (&Mark, &Mark)| {
                let (id, words) = mark.words.split_once(' ').unwrap_or((&mark.words, ""));
                let place = (mark.line, mark.from, mark.to) == (finding.line, finding.from, finding.to);
                place && finding.words.starts_with(id) && finding.words.contains(words)
            };
            let matched = expected.len() == found.len() && expected.iter().zip(&found).all(agrees);
            if !matched || expected.is_empty() {
                let lines = |marks: &[Mark]| {
                    let lines: Vec<String> = marks.iter().map(|mark| format!("    {mark:?}")).collect();
                    lines.join("\n")
                };
                failures.push(format!(
                    "{}\n  expected\n{}\n  found\n{}",
                    path.display(),
                    lines(&expected),
                    lines(&found)
                ));
            }
            failures.extend(grammar(&path, &outcome.findings));
            failures.extend(outcome.skipped.iter().map(|skipped| format!("{}: {skipped:?}", path.display())));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Messages have a grammar: lower case, no full stop, one line, a remedy.
fn grammar(path: &Path, findings: &[Located]) -> Vec<String> {
    let mut failures = Vec::new();
    let flawed =
        |text: &str| text.starts_with(char::is_uppercase) || text.ends_with('.') || text.contains('\n');
    for finding in findings {
        if flawed(&finding.message) || finding.message.is_empty() {
            failures.push(format!("{}: the message breaks the grammar: {}", path.display(), finding.message));
        }
        if finding.help.is_empty() || finding.help.iter().any(|help| flawed(help)) {
            failures.push(format!("{}: the remedy breaks the grammar: {:?}", path.display(), finding.help));
        }
    }
    failures
}

#[test]
fn each_rule_is_silent_where_nothing_is_wrong() {
    let mut failures = Vec::new();
    for meta in rules() {
        for (path, text) in fixtures(meta, "silent") {
            let (_, outcome) = run(meta, &path, &text);
            if !outcome.findings.is_empty() || !outcome.skipped.is_empty() {
                let found: Vec<&str> = outcome.findings.iter().map(|found| found.message.as_str()).collect();
                failures.push(format!("{}: {found:?} {:?}", path.display(), outcome.skipped));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn each_rule_can_be_suppressed_with_a_reason() {
    let mut failures = Vec::new();
    for meta in rules() {
        for (path, text) in fixtures(meta, "allowed") {
            let (_, outcome) = run(meta, &path, &text);
            if !outcome.findings.is_empty() || outcome.suppressed.is_empty() {
                failures.push(format!("{}: {outcome:#?}", path.display()));
            }
            let plain = text.replace("# cnnkit: ignore", "# ");
            let (_, outcome) = run(meta, &path, &plain);
            if outcome.findings.is_empty() {
                failures.push(format!("{}: without its comment, nothing is found", path.display()));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_fix_removes_the_finding_and_keeps_its_promises() {
    for meta in rules() {
        for (path, text) in fixtures(meta, "fires") {
            let name = path.file_name().expect("a name").to_string_lossy().replace("fires", "fixed");
            let Ok(expected) = fs::read_to_string(path.with_file_name(&name)) else { continue };
            let lines: Vec<&str> = text.lines().filter(|line| !is_marker(line)).collect();
            let plain = lines.join("\n") + "\n";
            let (_, outcome) = run(meta, &path, &plain);
            let fixes: Vec<_> = outcome.findings.iter().filter_map(|finding| finding.fix.clone()).collect();
            let edits: Vec<_> = fixes.iter().flat_map(|fix| fix.edits.clone()).collect();
            let fixed = check::apply(&plain, &edits).unwrap_or_else(|| panic!("{name}: edits that touch"));
            assert_eq!(fixed, expected, "{name}");
            let (_, after) = run(meta, &path, &fixed);
            let unfixed = outcome.findings.len() - fixes.len();
            assert_eq!(after.findings.len(), unfixed, "{name}: {:#?}", after.findings);
            let promised: i64 = fixes.iter().map(|fix| fix.params).sum();
            promises_hold(&name, &path, [&plain, &fixed], promised);
        }
    }
}

/// The parameters change by `promised`, the fields of the outputs do not, and execution confirms the fixed network.
fn promises_hold(name: &str, path: &Path, [before, after]: [&str; 2], promised: i64) {
    let graph = |text: &str| {
        let files = Replaced { path: path.to_string_lossy().into_owned(), text: text.into() };
        spec::load(&files, &files.path, &Overrides::default()).expect("a valid spec").graph
    };
    let (before, after) = (graph(before), graph(after));
    let params = |graph| i64::try_from(totals::of_graph(graph).params).expect("small");
    assert_eq!(params(&after), params(&before) + promised, "{name}: parameters");
    let fields = |graph: &cnnkit::graph::Graph| {
        let fields = analyse(graph, Options::default()).expect("fields");
        let facts = |output: &cnnkit::graph::NodeId| {
            let facts = fields.facts(graph, *output).expect("facts");
            facts.into_iter().map(|facts| facts.axes).collect::<Vec<_>>()
        };
        graph.outputs().iter().map(facts).collect::<Vec<_>>()
    };
    assert_eq!(fields(&after), fields(&before), "{name}: receptive fields");
    let options = cnnkit::verify::Options {
        only: vec![Kind::Parameters, Kind::Macs, Kind::ReceptiveField],
        effort: Effort::Fast,
        ..cnnkit::verify::Options::default()
    };
    let outcome = verify(&after, &Analysis, &options, &|_| ()).expect("the fixed network runs");
    assert!(outcome.ok(), "{name}: {outcome:#?}");
}
