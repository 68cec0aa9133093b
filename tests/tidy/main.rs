//! Invariants of the source that the compiler does not check: which modules may depend on which, how long a
//! file is, what is forbidden.

mod circles;
mod dependencies;
mod packages;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Maximum number of lines of a file.
const MAX_LINES: usize = 500;
/// Maximum number of characters of a test's name.
const MAX_NAME: usize = 60;

/// The source files of all packages: their paths from the root, and their texts.
fn sources() -> Vec<(String, String)> {
    let crates = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("crates")).expect("a folder");
    let crates = crates.map(|entry| entry.expect("an entry").path().join("src"));
    files(crates.chain(["src".into()]))
}

/// The Rust files below `folders`, which are relative to the root.
fn files(folders: impl Iterator<Item = PathBuf>) -> Vec<(String, String)> {
    fn visit(folder: &Path, out: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                visit(&path, out);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                out.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    folders.for_each(|folder| visit(&root.join(folder), &mut paths));
    paths.sort();
    let read = |path: PathBuf| {
        let name =
            path.strip_prefix(root).expect("a file below the root").to_string_lossy().replace('\\', "/");
        (name, fs::read_to_string(&path).expect("UTF-8"))
    };
    paths.into_iter().map(read).collect()
}

/// Iterates over the code of a file, without comments and without its tests.
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
    // Between crates, the manifests state it and the compiler checks it; this test covers the folders of one crate.
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

#[test]
fn names_of_tests_are_short() {
    let texts = sources().into_iter().chain(files(["tests".into()].into_iter()));
    let mut count = 0;
    for (file, text) in texts {
        let mut lines = text.lines().map(str::trim_start);
        while lines.any(|line| line == "#[test]") {
            let signature = lines.find_map(|line| line.strip_prefix("fn ")).expect("a function");
            let name = signature.split('(').next().unwrap_or_default();
            assert!(name.len() <= MAX_NAME, "{file}: `{name}` has {} characters", name.len());
            count += 1;
        }
    }
    assert!(count > 300, "only {count} tests were found");
}

/// The files whose code contains `word` as a whole word.
fn files_with(word: &str) -> Vec<String> {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let has = |line: &str| line.split(|c| !part(c)).any(|token| token == word);
    let found = sources().into_iter().filter(|(_, text)| code(text).any(|(_, line)| has(line)));
    found.map(|(name, _)| name).collect()
}

#[test]
fn an_activation_is_one_file_and_a_line_in_the_list() {
    let list = "crates/core/src/layers/mod.rs";
    for word in ["Celu", "celu"] {
        let mut found = files_with(word);
        // Exported programs name PyTorch's operators, whose settings have names of their own.
        found.retain(|name| {
            name != "crates/formats/src/pt2/operators/activation.rs"
                && !name.ends_with("pt2/operators/mod.rs")
        });
        assert_eq!(found, ["crates/core/src/layers/celu.rs", list], "`{word}`");
    }
    let (_, text) = sources().into_iter().find(|(name, _)| name == list).expect("the list");
    assert_eq!(code(&text).filter(|(_, line)| line.contains("Celu")).count(), 1);
}

/// Where a layer with arithmetic of its own is thought of, beside its own file and the list. CONTRIBUTING.md has the same
/// list for whoever adds one.
const OWN_ARITHMETIC: &[&str] = &[
    "crates/core/src/analysis/convention.rs",
    "crates/core/src/analysis/dead_weights.rs",
    "crates/core/src/analysis/gradient.rs",
    "crates/core/src/analysis/support/pullback.rs",
    "crates/core/src/analysis/training/reads.rs",
    "crates/core/src/analysis/training/saved.rs",
    "crates/exec/src/reference/mod.rs",
    "crates/formats/src/export/onnx/layers.rs",
    "crates/formats/src/export/pytorch/layers.rs",
    "crates/verify/src/probe.rs",
    "crates/verify/src/rebuild.rs",
    "crates/verify/src/trace.rs",
];

#[test]
fn a_layer_with_own_arithmetic_is_in_the_listed_files_only() {
    let norm = [
        "crates/exec/src/reference/norms.rs",
        "crates/formats/src/export/onnx/norms.rs",
        "crates/formats/src/onnx/lower/norm.rs",
    ];
    let divide = ["crates/formats/src/onnx/lower/arithmetic.rs", "crates/formats/src/onnx/lower/runtime.rs"];
    for (word, file, kernels) in
        [("LocalResponseNorm", "local_response_norm", norm.as_slice()), ("Divide", "divide", &divide)]
    {
        let own = [format!("crates/core/src/layers/{file}.rs"), "crates/core/src/layers/mod.rs".to_owned()];
        let stated: Vec<&str> =
            OWN_ARITHMETIC.iter().chain(kernels).copied().chain(own.iter().map(String::as_str)).collect();
        let mut found = files_with(word);
        // Patterns that recognise layers in a model's operators may name any of them.
        found.retain(|name| !name.starts_with("crates/formats/src/onnx/patterns/"));
        for name in &found {
            assert!(
                stated.contains(&name.as_str()),
                "`{word}` stands in {name} too: state it, and in CONTRIBUTING.md"
            );
        }
        for name in OWN_ARITHMETIC {
            assert!(found.iter().any(|found| found == name), "`{word}` does not stand in {name}");
        }
    }
    let contributing = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("CONTRIBUTING.md"));
    let contributing = contributing.expect("CONTRIBUTING.md");
    for name in OWN_ARITHMETIC {
        assert!(contributing.contains(&format!("`{name}`")), "CONTRIBUTING.md does not name {name}");
    }
}

/// Arms of the `match` that begins on line `start` of `lines`: those at its own depth.
fn arms<'a>(lines: &[&'a str], start: usize) -> Vec<&'a str> {
    let depth = |line: &str| line.len() - line.trim_start().len();
    let own = depth(lines[start]);
    let inside = lines[start + 1..].iter().take_while(|line| line.trim().is_empty() || depth(line) > own);
    inside.filter(|line| depth(line) == own + 4).map(|line| line.trim()).collect()
}

/// Where a `match` on layers may have a default: those who only recognise some of them, and do the general thing else.
const RECOGNISING: &[(&str, &str)] = &[
    ("crates/check/src/rules/", "a rule names the layers that it judges"),
    ("crates/core/src/spec/expand/constructs.rs", "`residual` joins by `add`, and refuses other joins"),
    ("crates/core/src/analysis/convention.rs", "tools do not see deformable convolutions"),
    ("crates/exec/src/fast/", "a layer without a fast kernel runs by its definition"),
    ("crates/exec/src/reference/mod.rs", "parts of the two closed matches"),
    ("crates/formats/src/onnx/patterns/", "what is not recognised stays as it is"),
    ("crates/formats/src/onnx/lower/attention.rs", "what is not recognised stays as it is"),
    ("crates/formats/src/onnx/lower/quantised.rs", "what is not recognised stays as it is"),
    ("crates/report/src/imported.rs", "lists what is opaque"),
    ("crates/verify/src/channel_sample.rs", "a layer that is not sampled runs whole"),
    ("crates/verify/src/perturb.rs", "deformable convolutions state the bound of their offsets"),
];

#[test]
fn no_default_stands_where_a_new_layer_must_be_thought_of() {
    let mut found = Vec::new();
    let mut closed = 0;
    for (name, text) in sources() {
        let lines: Vec<&str> = text.lines().collect();
        for start in (0..lines.len()).filter(|&i| lines[i].contains("match ") && lines[i].ends_with('{')) {
            let arms = arms(&lines, start);
            let default = arms.iter().any(|arm| arm.starts_with("_ =>") || arm.starts_with("_ if"));
            let plain = arms.iter().any(|arm| {
                ["Layer::", "Some(Layer::", "(Layer::", "Op::Layer(Layer::"]
                    .iter()
                    .any(|way| arm.starts_with(way))
            });
            let on_arithmetic = lines[start].contains(".arithmetic()");
            closed += usize::from(on_arithmetic && !default);
            let allowed = !on_arithmetic && RECOGNISING.iter().any(|(place, _)| name.starts_with(place));
            if default && (plain || on_arithmetic) && !allowed {
                found.push(format!("{name}:{}: {}", start + 1, lines[start].trim()));
            }
        }
    }
    never("match on `Layer::arithmetic` without a default, or give the layer a facet", found);
    assert!(closed > 12, "{closed} matches on the arithmetic are found: does this test still see them?");
}

#[test]
fn files_are_written_and_named_files_read_by_one_crate() {
    let words =
        ["fs::write(", "File::create(", "OpenOptions", "fs::rename(", "fs::read(", "fs::read_to_string("];
    let found = uses("", &words).into_iter().filter(|line| !line.starts_with("crates/files/"));
    // What the system says of memory is no file of anybody.
    let found = found.filter(|line| !line.starts_with("src/cli/machine.rs")).collect();
    never("files are replaced whole and read within limits by crates/files", found);
}

#[test]
fn every_folder_is_on_the_code_map() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root).output().expect("git");
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let listed = String::from_utf8(listed.stdout).expect("names in UTF-8");
    let folders: BTreeSet<&str> =
        listed.split('\0').filter_map(|path| path.split_once('/')).map(|(folder, _)| folder).collect();
    assert!(folders.contains("crates"), "{folders:?}");
    let page = fs::read_to_string(root.join("docs/architecture.md")).expect("the code map");
    for folder in folders {
        let named = [format!("`{folder}`"), format!("`{folder}/")].iter().any(|name| page.contains(name));
        assert!(named, "docs/architecture.md does not name the folder {folder}");
    }
}
