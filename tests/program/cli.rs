//! The program as scripts use it: exit status, streams, formats, files.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::support::program::{cnnkit, run};

fn status(args: &[&str]) -> i32 {
    run(args).status.code().expect("an exit status")
}

fn stdout(args: &[&str]) -> String {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn json(args: &[&str]) -> serde_json::Value {
    serde_json::from_str(&stdout(args)).expect("JSON")
}

/// A file in a folder of its own below the build's.
fn temporary(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cli");
    std::fs::create_dir_all(&folder).expect("a folder");
    folder.join(name)
}

const SPEC: &str = "specs/techniques/bottleneck.yaml";

#[test]
fn the_status_says_what_happened() {
    assert_eq!(status(&["params", SPEC]), 0);
    assert_eq!(status(&["hdc-check", "1,2,5"]), 0);
    assert_eq!(status(&["hdc-check", "1,2,9"]), 1);
    assert_eq!(status(&["hdc-check", "1,2,9", "--exit-zero"]), 0);
    for wrong in [
        &["params"][..],
        &["params", "missing.yaml"],
        &["params", "specs"],
        &["params", "zoo:nothing"],
        &["params", "tests/invalid/typo_layer.yaml"],
        &["params", SPEC, "--set", "nothing=3"],
        &["params", SPEC, "--input", "3"],
        &["params", SPEC, "--input", "a,b"],
        &["params", SPEC, "--format", "dot"],
        &["params", SPEC, "-o", "/missing/folder/file"],
        &["completions", "bash", "--format", "json"],
        &["zoo", "show", "nothing"],
        &["nothing"],
    ] {
        assert_eq!(status(wrong), 2, "{wrong:?}");
    }
}

#[test]
fn the_status_does_not_depend_on_the_format() {
    for format in ["table", "text", "json", "csv", "markdown"] {
        assert_eq!(status(&["params", SPEC, "--format", format]), 0, "{format}");
        assert_eq!(status(&["hdc-check", "2,4,6", "--format", format]), 1, "{format}");
        assert_eq!(status(&["params", "tests/invalid/cycle.yaml", "--format", format]), 2, "{format}");
    }
}

#[test]
fn errors_go_to_the_error_stream_with_their_place() {
    let output = run(&["params", "tests/invalid/typo_layer.yaml"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.stdout.is_empty());
    for part in ["error: ", "typo_layer.yaml:4:5", "rellu", "^^^^^", "help: did you mean `relu`?"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    // Every spec that fails is reported, and all its errors are counted.
    let output = run(&["params", "tests/invalid/typo_layer.yaml", "tests/invalid/several_errors.yaml"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        text.contains("rellu") && text.contains("several_errors.yaml:14") && text.contains(" errors"),
        "{text}"
    );
}

#[test]
fn colour_is_for_terminals_unless_asked_for() {
    let escapes = |command: &mut Command| {
        let output = command.output().expect("the program runs");
        output.stdout.contains(&0x1b) || output.stderr.contains(&0x1b)
    };
    for args in [
        &["params", SPEC][..],
        &["graph", SPEC],
        &["params", "missing.yaml"],
        &["params", "tests/invalid/cycle.yaml"],
    ] {
        let with = |color: &'static str| [args, &["--color", color]].concat();
        assert!(!escapes(&mut cnnkit(args)), "{args:?}: a pipe is no terminal");
        assert!(escapes(&mut cnnkit(&with("always"))), "{args:?}");
        assert!(!escapes(&mut cnnkit(&with("never"))), "{args:?}");
        assert!(!escapes(cnnkit(args).env("NO_COLOR", "1")), "{args:?}");
    }
}

#[test]
fn output_goes_where_it_is_told() {
    let paths = ["o.json", "also.csv", "also.md"].map(temporary);
    let [main, csv, markdown] = paths.each_ref().map(|path| path.to_string_lossy().into_owned());
    let (csv, markdown) = (format!("csv={csv}"), format!("markdown={markdown}"));
    let args = ["params", SPEC, "--format", "json", "-o", &main, "--output", &csv, "--output", &markdown];
    assert_eq!(stdout(&args), "");
    let read = |path: &PathBuf| std::fs::read_to_string(path).expect("the file was written");
    assert_eq!(read(&paths[0]), stdout(&["params", SPEC, "--format", "json"]));
    assert_eq!(read(&paths[1]), stdout(&["params", SPEC, "--format", "csv"]));
    assert_eq!(read(&paths[2]), stdout(&["params", SPEC, "--format", "markdown"]));
    assert_eq!(stdout(&["params", SPEC, "--quiet"]), "");
}

#[test]
fn standard_input_is_a_spec() {
    let mut child = cnnkit(&["params", "-", "--format", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let spec = "input: [3, 8, 8]\nlayers:\n  - conv: {out_channels: 4, kernel: 3, bias: false}\n";
    child.stdin.take().expect("a pipe").write_all(spec.as_bytes()).expect("the program reads");
    let output = child.wait_with_output().expect("the program ends");
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(value["totals"]["params"], 108);
    assert_eq!(value["spec"]["path"], "-");
}

#[test]
fn a_closed_pipe_is_no_error() {
    let mut child = cnnkit(&["graph", "zoo:densenet201"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("the program ends");
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn json_has_the_keys_of_the_contract() {
    let keys = |args: &[&str], wanted: &[&str]| {
        let value = json(&[args, &["--format", "json"]].concat());
        for key in ["schema", "command", "spec"].iter().chain(wanted) {
            assert!(value.get(key).is_some(), "{args:?} has no `{key}`");
        }
        assert_eq!(value["schema"], 1);
        value
    };
    keys(&["params", SPEC], &["totals", "status", "layers", "outputs"]);
    keys(
        &["gridding", "2,2,2"],
        &[
            "kernel",
            "rates",
            "axes",
            "size",
            "covered",
            "total",
            "coverage",
            "max_gap",
            "hole_free",
            "sub_grids",
            "multiplicity",
        ],
    );
    keys(
        &["hdc-check", "1,2,5"],
        &["kernel", "rates", "groups", "gcd", "gcd_ok", "sawtooth", "rule_ok", "exact", "agrees", "ok"],
    );
    keys(&["zoo"], &["specs"]);
    assert!(
        keys(&["zoo", "show", "resnet18"], &["yaml"])["yaml"]
            .as_str()
            .is_some_and(|text| text.contains("layers:"))
    );
    let graph = keys(&["graph", "zoo:resnet18"], &["nodes", "edges", "outputs"]);
    let ids: Vec<&str> =
        graph["nodes"].as_array().expect("nodes").iter().filter_map(|node| node["id"].as_str()).collect();
    assert!(
        graph["edges"]
            .as_array()
            .expect("edges")
            .iter()
            .all(|edge| ids.contains(&edge["from"].as_str().expect("an id")))
    );
    let several = json(&["params", SPEC, "zoo:resnet18", "--format", "json"]);
    assert_eq!(several["results"].as_array().map(Vec::len), Some(2));
}

#[test]
fn the_built_in_specs_can_be_listed_printed_and_used() {
    let list = stdout(&["zoo", "--format", "csv"]);
    assert!(list.contains("resnet50") && list.contains("bottleneck-plain"));
    let text = stdout(&["zoo", "show", "resnet18"]);
    assert!(text.starts_with("description: ResNet-18") && text.contains("\n  basic_block:"), "{text}");
    for entry in json(&["zoo", "--format", "json"])["specs"].as_array().expect("a list") {
        let (name, description) =
            (entry["name"].as_str().expect("a name"), entry["description"].as_str().expect("a text"));
        assert!(description.len() > 10, "{name} has no description");
    }
}

#[test]
fn a_graph_is_drawn_in_every_format() {
    for (format, start) in [
        ("text", "unet"),
        ("dot", "digraph"),
        ("mermaid", "flowchart TD"),
        ("csv", "id,layer"),
        ("markdown", "### unet"),
        ("json", "{"),
    ] {
        assert!(stdout(&["graph", "zoo:unet", "--format", format]).starts_with(start), "{format}");
    }
    // Braces and brackets come in pairs, quotes as well.
    let dot = stdout(&["graph", "zoo:googlenet", "--format", "dot"]);
    assert_eq!(dot.matches('{').count(), dot.matches('}').count());
    for width in ["60", "80", "120"] {
        let output =
            cnnkit(&["graph", "zoo:resnet18"]).env("COLUMNS", width).output().expect("the program runs");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let widest =
            text.lines().filter(|line| !line.ends_with("output")).map(|line| line.chars().count()).max();
        assert!(widest <= width.parse().ok(), "{widest:?} columns at {width}");
    }
}

#[test]
fn completions_and_manual_pages_name_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(stdout(&["completions", shell]).contains("hdc-check"), "{shell}");
    }
    assert!(stdout(&["man"]).contains(".TH cnnkit 1"));
    let folder = temporary("man");
    stdout(&["man", "-o", &folder.to_string_lossy()]);
    for page in ["cnnkit.1", "cnnkit-params.1", "cnnkit-hdc-check.1", "cnnkit-graph.1"] {
        assert!(folder.join(page).is_file(), "{page}");
    }
}

#[test]
fn rf_of_a_unit_lists_the_rows_that_it_reads() {
    // Wrap-around padding (WatChMaL#64, spconv#114): by gradient, unit 0, 0 reads rows and columns 0, 1 and 7.
    let circular = temporary("circular.yaml");
    let text = "input: [1, 8, 8]\nlayers: [conv: {out_channels: 1, kernel: 3, padding: 1, padding_mode: circular}]\n";
    std::fs::write(&circular, text).expect("a file");
    let path = circular.to_string_lossy().into_owned();
    let value = json(&["rf", &path, "--unit", "0,0", "--format", "json"]);
    let rows = &value["unit"][0]["rows"];
    assert_eq!(*rows, serde_json::json!([[[0, 1], [7, 7]], [[0, 1], [7, 7]]]), "{value}");
    assert_eq!(value["unit"][0]["positions"], 9);
    assert!(stdout(&["rf", &path, "--unit", "0,0"]).contains("0..1, 7"));
}

#[test]
fn sizes_answers_where_the_spec_does_not_fit() {
    let unet = temporary("unfit.yaml");
    let text = "input: [3, 30, 32]\nlayers:\n  - {id: a, conv: {out_channels: 4, kernel: 1}}\n  - max_pool: {kernel: 4}\n  - upsample: {scale_factor: 4}\n  - add: [a, previous]\n";
    std::fs::write(&unet, text).expect("a file");
    let path = unet.to_string_lossy().into_owned();
    let refused = run(&["params", &path]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("`cnnkit sizes` lists"));
    let value = json(&["sizes", &path, "--near", "30", "--format", "json"]);
    assert_eq!(value["spec"]["name"], "unfit");
    let axis = &value["axes"][0];
    assert_eq!((&axis["works"]["contains_current"], &axis["works"]["modulus"]), (&false.into(), &4.into()));
    assert_eq!(axis["near"]["works"], serde_json::json!([28, 32]));
    assert!(stdout(&["sizes", &path]).contains("cannot be built at its own size"));
}
