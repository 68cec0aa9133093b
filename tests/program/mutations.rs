//! Every built-in spec, truncated and changed at positions that a seeded generator chooses: no panic, no
//! hang.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cnnkit::check::{self, Active, Selection};
use cnnkit::diagnostic::{Problem, Rejected};
use cnnkit::render::{Canvas, diagnostics};
use cnnkit::rules::RULES;
use cnnkit::spec::files::Files;
use cnnkit::spec::{self, Loaded, Overrides};
use cnnkit::zoo::Zoo;

/// Built-in files, one of them replaced.
struct Changed {
    path: String,
    bytes: Vec<u8>,
}

impl Files for Changed {
    fn read(&self, path: &str) -> Result<Vec<u8>, Problem> {
        if path == self.path { Ok(self.bytes.clone()) } else { Zoo.read(path) }
    }
    fn resolve(&self, from: &str, include: &str) -> Result<String, Problem> {
        Zoo.resolve(from, include)
    }
    fn display(&self, path: &str) -> String {
        Zoo.display(path)
    }
}

/// xorshift64*: small, seeded, the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from((self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % limit.max(1) as u64).unwrap_or(0)
    }
}

fn check(path: &str, bytes: Vec<u8>) {
    let start = Instant::now();
    let shown = String::from_utf8_lossy(&bytes).into_owned();
    let files = Changed { path: path.to_owned(), bytes };
    match spec::load(&files, path, &Overrides::default()) {
        Err(rejected) => {
            let Rejected { sources, flaws: list } = *rejected;
            assert!(!list.is_empty(), "{path}: rejected without an error:\n{shown}");
            diagnostics::render(&list, &sources, Canvas { width: 80, color: false, tables: true });
        }
        Ok(loaded) => judge(path, &loaded, &shown),
    }
    assert!(start.elapsed() < Duration::from_secs(20), "{path}: took {:?}:\n{shown}", start.elapsed());
}

/// Every rule runs, and every offered fix leaves a valid spec.
fn judge(path: &str, loaded: &Loaded, shown: &str) {
    let every = Selection { rules: RULES.iter().copied().map(Active::new).collect() };
    let outcome = check::network(loaded, &every);
    let own = loaded.document.files[0].source;
    for fix in outcome.findings.iter().filter_map(|finding| finding.fix.as_ref()) {
        if fix.edits.iter().any(|edit| edit.span.source != own) {
            continue;
        }
        let fixed = check::apply(&loaded.sources.get(own).text, &fix.edits).expect("edits that do not touch");
        let files = Changed { path: path.to_owned(), bytes: fixed.clone().into_bytes() };
        let again = spec::load(&files, path, &Overrides::default());
        assert!(again.is_ok(), "{path}: the fix breaks the spec:\n{shown}\n{fixed}");
    }
}

fn specs() -> Vec<(String, Vec<u8>)> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("specs");
    let read = |(_, name): (&str, &str)| {
        let path = Zoo::path(name).expect("a built-in spec");
        let bytes = std::fs::read(root.join(Path::new(&path))).expect("its file");
        (path, bytes)
    };
    Zoo::names().into_iter().map(read).collect()
}

#[test]
fn a_spec_cut_off_anywhere_is_a_network_or_an_error() {
    let mut random = Random(0x5EED);
    for (path, bytes) in specs() {
        for _ in 0..24 {
            check(&path, bytes[..random.below(bytes.len())].to_vec());
        }
    }
}

#[test]
fn a_changed_spec_is_a_network_or_an_error() {
    const PIECES: &[&str] = &[
        "",
        "-1",
        "0",
        "99999999999999999999",
        "$",
        "$x",
        "[",
        "]",
        "{",
        "}",
        ":",
        "- ",
        "\n",
        "\t",
        "\"",
        "~",
        "*a",
        "&a ",
        "#",
        "\u{0}",
        "é",
        "repeat",
        "from: ",
        "1.5",
    ];
    let mut random = Random(0x00C0_FFEE);
    for (path, bytes) in specs() {
        for _ in 0..40 {
            let mut changed = bytes.clone();
            for _ in 0..=random.below(3) {
                let at = random.below(changed.len());
                let end = (at + random.below(6)).min(changed.len());
                changed.splice(at..end, PIECES[random.below(PIECES.len())].bytes());
            }
            check(&path, changed);
        }
    }
}
