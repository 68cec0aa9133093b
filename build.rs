//! Records what `cnnkit --version --verbose` says about the build. Needs no network, no git, and runs no program.

use std::env::var;
use std::fs;
use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=CNNKIT_COMMIT");
    let given = var("CNNKIT_COMMIT").ok().filter(|commit| is_commit(commit));
    if let Some(commit) = given.or_else(packaged) {
        println!("cargo::rustc-env=CNNKIT_BUILT_FROM={commit}");
    }
    for (name, from) in [("CNNKIT_TARGET", "TARGET"), ("CNNKIT_PROFILE", "PROFILE")] {
        println!("cargo::rustc-env={name}={}", var(from).unwrap_or_default());
    }
}

/// Nothing else ends up in the program, whatever the variable holds.
fn is_commit(text: &str) -> bool {
    (7..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The commit that `cargo package` has noted in a packaged crate, with `-dirty` if files had changed.
fn packaged() -> Option<String> {
    let file = Path::new(&var("CARGO_MANIFEST_DIR").ok()?).join(".cargo_vcs_info.json");
    // Naming a file that does not exist would make every build run this again.
    let text = fs::read_to_string(file).ok()?;
    println!("cargo::rerun-if-changed=.cargo_vcs_info.json");
    let (_, rest) = text.split_once("\"sha1\"")?;
    let commit = rest.split('"').nth(1).filter(|commit| is_commit(commit))?;
    let dirty = rest.contains("\"dirty\": true");
    Some(format!("{commit}{}", if dirty { "-dirty" } else { "" }))
}
