//! The dependencies that each package may have: the library without those of the command line, the core
//! without any that touch files or threads; and `cargo build` and `cargo test` with the same features, so
//! that one compiles nothing again for the other.

use std::collections::BTreeSet;
use std::process::Command;

/// The lines of `cargo tree` for `args`, without marks of repetition.
fn tree(args: &[&str]) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--prefix", "none"])
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines()
        .map(|line| line.trim_end_matches(" (*)").trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect()
}

/// The names of the packages that are linked into `package` without its default features.
fn linked(package: &str) -> BTreeSet<String> {
    let lines = tree(&["-p", package, "--no-default-features", "-e", "normal", "-f", "{p}"]);
    lines.iter().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

fn absent(package: &str, unwanted: &[&str]) {
    let linked = linked(package);
    assert!(linked.contains(package) && linked.contains("serde"), "{package}: {linked:?}");
    let found: Vec<_> = unwanted.iter().filter(|name| linked.contains(**name)).collect();
    assert!(found.is_empty(), "{package} without default features depends on {found:?}");
}

#[test]
fn library_users_get_no_command_line() {
    absent(
        "cnnkit",
        &[
            "clap",
            "clap_builder",
            "clap_complete",
            "clap_mangen",
            "comfy-table",
            "indicatif",
            "image",
            "terminal_size",
        ],
    );
}

#[test]
fn the_core_has_no_threads_no_files_no_clap() {
    absent(
        "cnnkit-core",
        &["rayon", "rayon-core", "memmap2", "clap", "walkdir", "ignore", "tempfile", "image", "ndarray"],
    );
}

#[test]
fn builds_and_tests_share_their_features() {
    let packages = |kinds: &str| tree(&["-p", "cnnkit", "-e", kinds, "-f", "{p} {f}"]);
    let (built, tested) = (packages("normal,build"), packages("normal,build,dev"));
    let only: Vec<_> = built.difference(&tested).collect();
    assert!(
        only.is_empty(),
        "tests compile these once more; give the dependencies of the feature `cli` what they add:\n{only:#?}"
    );
}
