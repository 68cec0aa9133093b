//! Invariants of the source that no compiler checks: which module knows which, how long a file is, what is forbidden.

use std::fs;
use std::path::{Path, PathBuf};

/// Most lines of a file.
const MAX_LINES: usize = 500;

fn sources() -> Vec<(String, String)> {
    fn visit(folder: &Path, out: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                visit(&path, out);
            } else {
                out.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    visit(&root.join("src"), &mut paths);
    for entry in fs::read_dir(root.join("crates")).expect("a folder") {
        visit(&entry.expect("an entry").path().join("src"), &mut paths);
    }
    paths.sort();
    let read = |path: PathBuf| {
        let name =
            path.strip_prefix(root).expect("a file below the root").to_string_lossy().replace('\\', "/");
        (name, fs::read_to_string(&path).expect("UTF-8"))
    };
    paths.into_iter().map(read).collect()
}

/// The code of a file: no comments, nothing after its tests begin.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]"));
    lines.enumerate().map(|(i, line)| (i + 1, line)).filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// Every line of the files below `module` that contains one of `words`.
fn uses(module: &str, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (name, text) in sources().iter().filter(|(name, _)| name.starts_with(module)) {
        for (number, line) in code(text) {
            if words.iter().any(|word| line.contains(word)) {
                found.push(format!("{name}:{number}: {}", line.trim()));
            }
        }
    }
    found
}

fn never(reason: &str, found: Vec<String>) {
    assert!(found.is_empty(), "{reason}:\n{}", found.join("\n"));
}

#[test]
fn modules_depend_only_on_what_is_below_them() {
    // Between crates the manifests say it, and the compiler checks it; this is about the folders of one crate.
    never(
        "the graph knows no file format",
        uses("crates/core/src/graph/", &["yaml", "onnx", "crate::spec", "crate::analysis"]),
    );
    never(
        "a layer depends on nothing but shapes and values",
        uses("crates/core/src/layers/", &["crate::spec", "crate::graph", "crate::analysis"]),
    );
    never(
        "the spec language knows no layer arithmetic",
        uses(
            "crates/core/src/spec/",
            &["layers::window", "layers::args", "Cost", "Reach", "crate::analysis"],
        ),
    );
    never("an analysis knows no text", uses("crates/core/src/analysis/", &["crate::spec"]));
    let judging = uses("crates/check/src/rules/", &["crate::"]);
    never(
        "a rule judges facts; it does not know who runs it",
        judging.into_iter().filter(|line| !line.contains("crate::rules")).collect(),
    );
}

#[test]
fn the_core_reads_no_file_starts_no_thread_and_reads_no_clock() {
    let words = ["std::fs", "std::thread", "std::time", "std::env", "std::process", "File::", "memmap"];
    never("the core is pure", uses("crates/core/src/", &words));
}

#[test]
fn only_the_command_line_prints() {
    let words = ["println!", "print!(", "eprintln!", "eprint!(", "io::stdout", "io::stderr"];
    let found = uses("", &words).into_iter().filter(|line| !line.starts_with("src/cli/")).collect();
    never("only src/cli prints", found);
}

#[test]
fn nothing_panics_on_purpose() {
    never(
        "a flaw is an error, not a panic",
        uses("", &[".unwrap()", "panic!(", "todo!(", "unimplemented!(", "unreachable!("]),
    );
}

#[test]
fn files_are_short_and_say_what_they_are_for() {
    for (name, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= MAX_LINES, "{name} has {lines} lines, at most {MAX_LINES} are allowed");
        assert!(text.starts_with("//! "), "{name} does not begin with what it is for");
    }
}

#[test]
fn no_file_has_a_name_that_says_nothing() {
    for (name, _) in sources() {
        let stem = Path::new(&name).file_stem().expect("a name").to_string_lossy().into_owned();
        assert!(
            !["utils", "util", "helpers", "common", "manager", "misc"].contains(&stem.as_str()),
            "src/{name}"
        );
    }
}
