//! Calls of the program.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// Returns the program with `args`, in the project's folder, at 100 columns, without the caller's settings.
pub fn cnnkit(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cnnkit"));
    command.args(args).current_dir(env!("CARGO_MANIFEST_DIR"));
    command.env("COLUMNS", "100").env_remove("NO_COLOR").env_remove("CNNKIT_BLESS");
    command
}

/// The result of a call.
pub fn run(args: &[&str]) -> Output {
    cnnkit(args).output().expect("the program runs")
}

/// The exit status of a call, its standard output and its errors.
pub fn call(args: &[&str]) -> (Option<i32>, String, String) {
    let output = run(args);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// The exit status and the JSON of a call, whose format this adds.
pub fn json_and_status(args: &[&str]) -> (Option<i32>, Value) {
    let (status, out, errors) = call(&[args, &["--format", "json"]].concat());
    let value = serde_json::from_str(&out);
    (status, value.unwrap_or_else(|_| panic!("{args:?} prints JSON: {out}{errors}")))
}

/// The JSON of a call that must succeed.
pub fn json(args: &[&str]) -> Value {
    let (status, value) = json_and_status(args);
    assert_eq!(status, Some(0), "{args:?}: {value}");
    value
}

/// A folder of its own below the build's, for the files of a test.
pub fn temporary(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}
