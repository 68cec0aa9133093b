//! Every `$ cnnkit ...` in the README and in `docs/` is run; its output must equal what the page shows.
//! `CNNKIT_BLESS=1 cargo test --test program readme` rewrites the pages.

use std::path::{Path, PathBuf};
use std::process::Command;

fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = vec![root.join("README.md")];
    let docs = std::fs::read_dir(root.join("docs")).expect("docs/ exists");
    pages.extend(
        docs.map(|entry| entry.expect("readable").path())
            .filter(|path| path.extension().is_some_and(|e| e == "md")),
    );
    pages.sort();
    pages
}

fn run(call: &str) -> String {
    let words: Vec<&str> = call.split_whitespace().collect();
    let output = Command::new(env!("CARGO_BIN_EXE_cnnkit"))
        .args(&words)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("COLUMNS", "100")
        .env_remove("CNNKIT_BLESS")
        .output()
        .expect("the program runs");
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8(text).expect("UTF-8")
}

/// The page with the output of every call replaced by what the program prints now.
fn refreshed(page: &str) -> (String, usize) {
    let mut out = String::new();
    let mut calls = 0;
    let mut console = false;
    let mut skipping = false;
    for line in page.lines() {
        if line.starts_with("```") {
            console = line == "```console";
            skipping = false;
        } else if console && let Some(call) = line.strip_prefix("$ cnnkit ") {
            calls += 1;
            out += &format!("{line}\n{}", run(call));
            skipping = true;
            continue;
        } else if console && line.starts_with("$ ") {
            skipping = false;
        } else if skipping {
            continue;
        }
        out += line;
        out.push('\n');
    }
    (out, calls)
}

#[test]
fn pages_show_what_the_program_prints() {
    let mut calls = 0;
    for path in pages() {
        let page = std::fs::read_to_string(&path).expect("readable");
        let (fresh, found) = refreshed(&page);
        calls += found;
        if std::env::var_os("CNNKIT_BLESS").is_some() {
            std::fs::write(&path, &fresh).expect("writable");
        } else {
            assert!(
                fresh == page,
                "{} is out of date; run CNNKIT_BLESS=1 cargo test --test program readme",
                path.display()
            );
        }
    }
    assert!(calls >= 3, "the README shows real calls, found {calls}");
}

#[test]
fn ci_runs_the_readmes_own_test_command() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).expect("README.md");
    let ci = std::fs::read_to_string(root.join(".ci/run")).expect(".ci/run");
    let command = readme
        .lines()
        .find(|line| line.starts_with("cargo test"))
        .expect("the README names the test command");
    assert!(ci.lines().any(|line| line.trim() == command), ".ci/run does not call `{command}`");
}
