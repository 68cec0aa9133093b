//! The inputs of the fuzzer: its seeds, all that it ever found, and random changes of both. Each ends without a panic.
//!
//! `CNNKIT_INPUTS=20000 CNNKIT_SEED=7` tries more changes of each target, and others. What fails is left in a file.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cnnkit::verify::Seed;

#[path = "../../fuzz/src/lib.rs"]
mod fuzz;

/// Changed inputs of each target in an ordinary run.
const INPUTS: u64 = 60;
/// What `.ci/fuzz` allows an input, and more: this build is not optimised.
const LONGEST: Duration = Duration::from_secs(60);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

/// The files below `folder` of the project, by path.
fn files(folder: &str) -> Vec<(String, Vec<u8>)> {
    let Ok(entries) = fs::read_dir(root().join(folder)) else { return vec![] };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.is_file());
    paths.sort();
    let read = |path: PathBuf| (path.display().to_string(), fs::read(&path).expect("a file"));
    paths.into_iter().map(read).collect()
}

/// Runs every input of `kind`; what fails is named.
fn replay(kind: &str) -> usize {
    let mut count = 0;
    let mut failures = Vec::new();
    for (target, run) in fuzz::TARGETS {
        for (path, bytes) in files(&format!("fuzz/{kind}/{target}")) {
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
        assert!(!files(&format!("fuzz/seeds/{target}")).is_empty(), "{target} has no seeds");
        let file = format!("fuzz/fuzz_targets/{target}.rs");
        assert!(root().join(&file).is_file(), "{file} is missing");
    }
    assert!(replay("seeds") > 50);
}

#[test]
fn what_fuzzing_found_stays_fixed() {
    replay("found");
}

/// The entries of a dictionary of libFuzzer.
fn words(target: &str) -> Vec<Vec<u8>> {
    let text =
        fs::read_to_string(root().join(format!("fuzz/dictionaries/{target}.dict"))).unwrap_or_default();
    let word = |line: &str| -> Option<Vec<u8>> {
        let mut rest = line.strip_prefix('"')?.strip_suffix('"')?.bytes();
        let mut out = Vec::new();
        while let Some(byte) = rest.next() {
            if byte == b'\\' {
                let digits = [rest.nth(1)?, rest.next()?];
                out.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
            } else {
                out.push(byte);
            }
        }
        Some(out)
    };
    text.lines().filter_map(word).collect()
}

/// `bytes` with a few changes: bits, numbers, words, pieces that go, come twice or come from `other`.
fn changed(random: &mut Seed, mut bytes: Vec<u8>, other: &[u8], words: &[Vec<u8>]) -> Vec<u8> {
    let mut below = |end: usize| random.below(end.max(1) as u64) as usize;
    for _ in 0..=below(4) {
        let (at, to) = (below(bytes.len() + 1), below(bytes.len() + 1));
        let (at, to) = (at.min(to), at.max(to));
        match below(8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << below(8),
            1 if at < bytes.len() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff, b'0', b'9', b'-'][below(8)],
            2 => drop(bytes.drain(at..to)),
            3 if bytes.len() < 20_000 => {
                let piece = bytes[at..to].to_vec();
                bytes.splice(at..at, piece);
            }
            4 | 5 if !words.is_empty() => {
                bytes.splice(at..to.min(at + below(6)), words[below(words.len())].iter().copied());
            }
            6 => {
                let end = below(other.len() + 1);
                let start = below(end + 1);
                bytes.splice(at..to, other[start..end].iter().copied());
            }
            _ => {
                // A number becomes another one.
                let digits =
                    |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                if let Some(from) = (at..bytes.len()).find(|&from| bytes[from].is_ascii_digit()) {
                    let end = from + digits(from);
                    let number =
                        ["0", "1", "2", "7", "65536", "4294967296", "18446744073709551615"][below(7)];
                    bytes.splice(from..end, number.bytes());
                }
            }
        }
    }
    bytes
}

#[test]
fn changed_seeds_of_every_target_run() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (first, count) = (number("CNNKIT_SEED").unwrap_or(0), number("CNNKIT_INPUTS").unwrap_or(INPUTS));
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzzed");
    fs::create_dir_all(&kept).expect("a folder");
    let mut failures = Vec::new();
    for (target, run) in fuzz::TARGETS {
        let folders: &[&str] = match target {
            "spec" => &["specs/techniques", "tests/invalid"],
            "model" => &["tests/data/onnx", "tests/data/pt2"],
            _ => &[],
        };
        let more = folders.iter().flat_map(|folder| files(folder));
        let all: Vec<Vec<u8>> =
            files(&format!("fuzz/seeds/{target}")).into_iter().chain(more).map(|(_, bytes)| bytes).collect();
        let words = words(target);
        assert!(target == "rates" || target == "network" || !words.is_empty(), "{target} has no dictionary");
        for input in 0..count {
            let mut random = Seed((first + input).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ target.len() as u64);
            let mut pick = || all[random.below(all.len() as u64) as usize].clone();
            let (seed, other) = (pick(), pick());
            let bytes = changed(&mut random, seed, &other, &words);
            let file = kept.join(format!("{target}-{}", first + input));
            // Whatever ends the process leaves its input behind.
            fs::write(&file, &bytes).expect("a file");
            let start = Instant::now();
            let ended = std::panic::catch_unwind(|| run(&bytes)).is_ok();
            if ended && start.elapsed() < LONGEST {
                fs::remove_file(&file).expect("the file");
            } else {
                failures.push(format!("{} ({:?})", file.display(), start.elapsed()));
            }
        }
    }
    assert!(failures.is_empty(), "these inputs fail, or take too long:\n{}", failures.join("\n"));
}
