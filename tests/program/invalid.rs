//! Malformed specs: for each `tests/invalid/NAME.yaml`, the errors must equal `NAME.stderr`, including the
//! caret.
//!
//! A first line `# args: --set width=3 --input 3,8,8` gives the command line. `CNNKIT_BLESS=1` rewrites the
//! expectations: read the difference as a user would before you commit it.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use cnnkit::diagnostic::Rejected;
use cnnkit::disk::Disk;
use cnnkit::render::{Canvas, diagnostics};
use cnnkit::spec::{self, Overrides};

/// Returns the arguments in the first line of `text`.
fn overrides(text: &str) -> Overrides {
    let mut overrides = Overrides::default();
    let Some(line) = text.lines().next().and_then(|line| line.strip_prefix("# args: ")) else {
        return overrides;
    };
    let words: Vec<&str> = line.split_whitespace().collect();
    for pair in words.chunks(2) {
        let [option, value] = pair else { panic!("an option without its value: {line}") };
        match *option {
            "--set" => {
                let (name, value) = value.split_once('=').expect("NAME=VALUE");
                overrides.variables.push((name.into(), value.into()));
            }
            "--input" => {
                let (name, shape) = value.split_once('=').unwrap_or(("", value));
                let sizes = shape.split(',').map(|size| size.parse().expect("a size")).collect();
                overrides.inputs.push((name.into(), sizes));
            }
            other => panic!("unknown option {other}"),
        }
    }
    overrides
}

#[test]
fn every_malformed_spec_is_explained_at_its_place() {
    // Names in the expectations are relative to the folder of the specs.
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/invalid");
    std::env::set_current_dir(&folder).expect("the folder of malformed specs");
    let bless = std::env::var_os("CNNKIT_BLESS").is_some();
    let entries = fs::read_dir(".").expect("the folder of malformed specs");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| std::path::Path::new(name).extension().is_some_and(|ending| ending == "yaml"));
    names.sort();
    assert!(names.len() >= 70, "only {} malformed specs", names.len());
    let mut failures = Vec::new();
    for name in &names {
        let text = fs::read(name).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let start = Instant::now();
        let found = match spec::load(&Disk::of(name), name, &overrides(&text.unwrap_or_default())) {
            Ok(_) => "this spec is valid\n".to_owned(),
            Err(rejected) => {
                let Rejected { sources, flaws: list } = *rejected;
                grammar(name, &list, &mut failures);
                diagnostics::render(&list, &sources, Canvas { width: 100, color: false, tables: true })
            }
        };
        if start.elapsed() > Duration::from_secs(5) {
            failures.push(format!("{name}: took {:?}", start.elapsed()));
        }
        let found = found.replace(&*folder.to_string_lossy(), "[folder]");
        let expectation = name.replace(".yaml", ".stderr");
        if bless {
            fs::write(&expectation, &found).expect("writing the expectation");
        }
        let expected = fs::read_to_string(&expectation).unwrap_or_default();
        if found != expected || found.starts_with("this spec is valid") {
            failures.push(format!("{name}: expected\n{expected}\nfound\n{found}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Messages have a grammar: lower case, no full stop, one line, a remedy.
fn grammar(name: &str, list: &[cnnkit::diagnostic::Diagnostic], failures: &mut Vec<String>) {
    for error in list {
        let first = error.message.chars().next().unwrap_or('.');
        if first.is_uppercase() || error.message.ends_with('.') || error.message.contains('\n') {
            failures.push(format!("{name}: the message breaks the grammar: {}", error.message));
        }
        if error.help.is_empty() {
            failures.push(format!("{name}: no remedy for: {}", error.message));
        }
        if error.help.iter().any(|help| help.ends_with('.') || help.starts_with(char::is_uppercase)) {
            failures.push(format!("{name}: the remedy breaks the grammar: {:?}", error.help));
        }
    }
}
