//! Our own specs: no finding at the default level, or one suppressed with a reason; and every rule can judge
//! each of them. `advice.txt` has all their findings, advice included, so that a change of a rule shows its
//! effect on real networks.

use std::fs;
use std::path::{Path, PathBuf};

use cnnkit::check::{self, Active, Located, Selection};
use cnnkit::disk::Disk;
use cnnkit::rules::RULES;
use cnnkit::source::Sources;
use cnnkit::spec::{self, Loaded, Overrides};

fn files(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, out);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            out.push(path);
        }
    }
}

/// Every spec of the zoo, of the techniques and of TF-slim's networks.
fn specs() -> Vec<(String, Loaded)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("specs");
    let mut paths = Vec::new();
    for folder in ["zoo", "techniques", "slim"] {
        files(&root.join(folder), &mut paths);
    }
    paths.sort();
    let load = |path: PathBuf| {
        let file = path.to_string_lossy().into_owned();
        let name = path.strip_prefix(&root).expect("below it").display().to_string();
        let loaded = spec::load(&Disk::of(&file), &file, &Overrides::default());
        (name, loaded.unwrap_or_else(|error| panic!("{file}: {error:?}")))
    };
    paths.into_iter().map(load).collect()
}

fn line(name: &str, sources: &Sources, finding: &Located) -> String {
    let place = finding.span.map_or(String::new(), |span| {
        let (line, column) = sources.line_column(span.source, span.start);
        format!("{}:{line}:{column}", sources.get(span.source).name.rsplit('/').next().unwrap_or_default())
    });
    let node = finding.node.as_deref().unwrap_or_default();
    let more = finding.also.len();
    format!("{name} at {place} ({node} and {more} more): {} {}", finding.rule.id, finding.message)
}

#[test]
fn our_specs_are_clean_or_say_why_not() {
    let (mut dirty, mut accepted) = (Vec::new(), 0);
    for (name, loaded) in specs() {
        let outcome = check::network(&loaded, &Selection::default());
        dirty.extend(outcome.findings.iter().map(|finding| line(&name, &loaded.sources, finding)));
        dirty.extend(outcome.skipped.iter().map(|skipped| format!("{name}: {skipped:?}")));
        accepted += outcome.suppressed.len();
    }
    assert!(dirty.is_empty(), "{}", dirty.join("\n"));
    assert!(accepted > 10, "the quirks of published networks are found: {accepted}");
}

#[test]
fn every_rule_judges_every_spec() {
    let every = Selection { rules: RULES.iter().copied().map(Active::new).collect() };
    let mut lines = Vec::new();
    for (name, loaded) in specs() {
        let outcome = check::network(&loaded, &every);
        assert!(outcome.skipped.is_empty(), "{name}: {:?}", outcome.skipped);
        lines.extend(outcome.findings.iter().map(|finding| line(&name, &loaded.sources, finding)));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rules/advice.txt");
    let current = lines.join("\n") + "\n";
    if std::env::var_os("CNNKIT_BLESS").is_some() {
        fs::write(&path, &current).expect("writing the findings");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == current, "look at what changes in tests/rules/advice.txt under `CNNKIT_BLESS=1`");
    // VGG-16 and others have more than half of their parameters in one layer; Inception v3 has holes.
    for (name, id) in
        [("zoo/vgg16.yaml", "CK505"), ("zoo/vgg16.yaml", "CK506"), ("zoo/inception_v3.yaml", "CK304")]
    {
        assert!(lines.iter().any(|line| line.contains(name) && line.contains(id)), "{name} {id}");
    }
}
