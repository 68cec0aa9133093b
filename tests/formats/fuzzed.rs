//! The inputs of the fuzzer: its seeds, and all that it ever found. Each ends, in bounded time, without a panic.

use std::fs;
use std::path::Path;

#[path = "../../fuzz/src/lib.rs"]
mod fuzz;

/// The inputs of a target below `fuzz/KIND`, by path.
fn inputs(kind: &str, target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(kind).join(target);
    let Ok(entries) = fs::read_dir(folder) else { return vec![] };
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let read = |path: std::path::PathBuf| (path.display().to_string(), fs::read(&path).expect("a file"));
    paths.map(read).collect()
}

/// Runs every input of `kind`; what fails is named.
fn replay(kind: &str) -> usize {
    let mut count = 0;
    let mut failures = Vec::new();
    for (target, run) in fuzz::TARGETS {
        for (path, bytes) in inputs(kind, target) {
            count += 1;
            if std::panic::catch_unwind(|| run(&bytes)).is_err() {
                failures.push(path);
            }
        }
    }
    assert!(failures.is_empty(), "these inputs fail:\n{}", failures.join("\n"));
    count
}

#[test]
fn seeds_of_every_fuzzing_target_run() {
    for (target, _) in fuzz::TARGETS {
        assert!(!inputs("seeds", target).is_empty(), "{target} has no seeds");
        let file = format!("fuzz/fuzz_targets/{target}.rs");
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(&file).is_file(), "{file} is missing");
    }
    assert!(replay("seeds") > 50);
}

#[test]
fn what_fuzzing_found_stays_fixed() {
    replay("found");
}
