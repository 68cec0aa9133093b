//! The one loader: everything that a user can name, with replacements, on every command and in the library.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use cnnkit::{LoadError, Loader, Network};
use serde_json::Value;

const SPEC: &str = "\
name: small
input: [3, 8, 8]
variables: {width: 4}
layers:
  - conv: {out_channels: $width, kernel: 3}
  - relu
  - global_avg_pool
  - linear: {out_features: 2}
";

fn cnnkit(args: &[&str], stdin: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_cnnkit"))
        .args(args)
        .env("COLUMNS", "100")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    // A program that does not read its input is right to close it.
    let _ = child.stdin.take().expect("a pipe").write_all(stdin);
    child.wait_with_output().expect("an output")
}

fn json(args: &[&str], stdin: &[u8]) -> Value {
    let output = cnnkit(&[args, &["--format", "json"]].concat(), stdin);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn error(args: &[&str], stdin: &[u8]) -> String {
    let output = cnnkit(args, stdin);
    assert_eq!(output.status.code(), Some(2), "{args:?}");
    String::from_utf8(output.stderr).expect("UTF-8")
}

/// Returns a folder with `net.yaml` and the model that `export` writes for it.
fn folder(name: &str) -> (PathBuf, String, String) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("load").join(name);
    std::fs::create_dir_all(&folder).expect("a folder");
    let (spec, model) = (folder.join("net.yaml"), folder.join("net.onnx"));
    std::fs::write(&spec, SPEC).expect("a file");
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let (spec, model) = (text(&spec), text(&model));
    assert!(cnnkit(&["export", &spec, "-o", &model], b"").status.success());
    (folder, spec, model)
}

/// Parameters of the exported network: a 3x3 convolution of 3 to 4 channels, and 4 to 2 features.
const PARAMS: u64 = 4 * 3 * 9 + 4 + 4 * 2 + 2;

fn quantity<'a>(diff: &'a Value, name: &str) -> &'a Value {
    let all = diff["quantities"].as_array().expect("quantities");
    all.iter().find(|quantity| quantity["name"] == name).expect("the quantity")
}

#[test]
fn diff_compares_two_models() {
    let (_, _, model) = folder("diff-models");
    let same = json(&["diff", &model, &model], b"");
    assert_eq!(quantity(&same, "params")["old"], PARAMS);
    assert_eq!(quantity(&same, "params")["new"], PARAMS);
    assert_eq!(same["blocks"], serde_json::json!([]));
}

#[test]
fn diff_compares_a_spec_with_its_model_either_way() {
    let (_, spec, model) = folder("diff-mixed");
    for [old, new] in [[&spec, &model], [&model, &spec]] {
        let diff = json(&["diff", old, new], b"");
        for name in ["params", "macs", "memory", "receptive_field", "output"] {
            assert!(!quantity(&diff, name)["old"].is_null(), "{name}");
            assert_eq!(quantity(&diff, name)["old"], quantity(&diff, name)["new"], "{name}");
        }
        assert_eq!(diff["blocks"], serde_json::json!([]), "{old} -> {new}");
    }
}

#[test]
fn diff_replaces_variables_and_inputs_on_both_sides() {
    let (folder, spec, _) = folder("diff-replaced");
    let wide = folder.join("wide.yaml");
    std::fs::write(&wide, SPEC.replace("kernel: 3", "kernel: 1")).expect("a file");
    let wide = wide.to_str().expect("UTF-8");
    let diff = json(&["diff", &spec, wide, "--set", "width=8", "--input", "3,16,16"], b"");
    assert_eq!(quantity(&diff, "params")["old"], 8 * 3 * 9 + 8 + 8 * 2 + 2);
    assert_eq!(quantity(&diff, "params")["new"], 8 * 3 + 8 + 8 * 2 + 2);
    assert_eq!(quantity(&diff, "macs")["new"], 8 * 3 * 16 * 16 + 8 * 2);
}

#[test]
fn check_judges_the_network_with_what_is_replaced() {
    let (folder, _, _) = folder("check-replaced");
    let path = folder.join("bounded.yaml");
    std::fs::write(&path, format!("{SPEC}expect: {{params: {PARAMS}, output: [2], macs: {{max: 4000}}}}\n"))
        .expect("a file");
    let path = path.to_str().expect("UTF-8");
    let ids = |args: &[&str]| -> Vec<String> {
        let args = [&["check", path, "--no-config", "--exit-zero"], args].concat();
        let findings = json(&args, b"")["findings"].as_array().expect("findings").clone();
        findings.iter().map(|finding| finding["rule"].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(ids(&[]).iter().filter(|id| *id == "CK601").count(), 0);
    // Another width changes the parameters and the MACs, another input size only the MACs.
    assert_eq!(ids(&["--set", "width=5"]).iter().filter(|id| *id == "CK601").count(), 2);
    assert_eq!(ids(&["--input", "3,9,9"]).iter().filter(|id| *id == "CK601").count(), 1);
    let text = error(&["check", path, "--set", "width=5", "--update"], b"");
    assert!(text.contains("are not written into files"), "{text}");
}

#[test]
fn check_refuses_a_size_that_is_none() {
    let (_, _, model) = folder("check-size");
    let text = error(&["check", &model, "--no-config", "--set", "batch=many"], b"");
    assert!(text.contains("`many` is not a size"), "{text}");
}

#[test]
fn standard_input_may_be_a_model() {
    let (_, spec, model) = folder("stdin");
    let bytes = std::fs::read(&model).expect("a model");
    assert_eq!(json(&["params", "-"], &bytes)["totals"]["params"], PARAMS);
    assert_eq!(json(&["params", "-"], SPEC.as_bytes())["totals"]["params"], PARAMS);
    let diff = json(&["diff", &spec, "-"], &bytes);
    assert_eq!(quantity(&diff, "macs")["old"], quantity(&diff, "macs")["new"]);
    assert!(cnnkit(&["check", "-", "--no-config"], &bytes).status.success());
    // The weights of the model are read from memory.
    let outputs = |args: &[&str], stdin: &[u8]| json(args, stdin)["outputs"].clone();
    assert!(!outputs(&["run", "-"], &bytes).is_null());
    assert_eq!(outputs(&["run", "-"], &bytes), outputs(&["run", &model], b""));
}

#[test]
fn a_cut_off_model_is_named_on_standard_input() {
    let (_, _, model) = folder("cut-off");
    let bytes = std::fs::read(&model).expect("a model");
    let text = error(&["params", "-"], &bytes[..bytes.len() / 2]);
    assert!(text.contains("<stdin>") && text.contains("ONNX"), "{text}");
}

#[test]
fn a_model_is_known_by_its_content() {
    let (folder, _, model) = folder("content");
    let plain = folder.join("model");
    std::fs::copy(&model, &plain).expect("a copy");
    assert_eq!(json(&["params", plain.to_str().expect("UTF-8")], b"")["totals"]["params"], PARAMS);
    let spec = folder.join("spec");
    std::fs::write(&spec, SPEC).expect("a file");
    assert_eq!(json(&["params", spec.to_str().expect("UTF-8")], b"")["totals"]["params"], PARAMS);
}

#[test]
fn diff_reads_a_model_at_a_revision() {
    let (folder, spec, model) = folder("revision");
    let git = |args: &[&str]| {
        let identity = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"];
        let output = Command::new("git").arg("-C").arg(&folder).args(identity).args(args).output();
        assert!(output.as_ref().is_ok_and(|output| output.status.success()), "{args:?}: {output:?}");
    };
    let _ = std::fs::remove_dir_all(folder.join(".git"));
    git(&["init", "-q"]);
    git(&["add", "net.onnx"]);
    git(&["commit", "-q", "-m", "model"]);
    assert!(cnnkit(&["export", &spec, "--set", "width=6", "-o", &model], b"").status.success());
    let diff = json(&["diff", "--git", "HEAD", &model], b"");
    assert_eq!(quantity(&diff, "params")["old"], PARAMS);
    assert_eq!(quantity(&diff, "params")["new"], 6 * 3 * 9 + 6 + 6 * 2 + 2);
}

#[test]
fn a_loaded_network_goes_to_other_threads() {
    fn is<T: Send + Sync>() {}
    is::<Network>();
    is::<Loader>();
    is::<LoadError>();
    is::<cnnkit::spec::Loaded>();
    is::<cnnkit::analysis::field::Fields>();
    is::<cnnkit::exec::network::Network<'_, f32>>();
}

#[test]
fn the_library_loads_from_memory() {
    let spec = Network::from_bytes("net.yaml", SPEC).expect("a network");
    assert_eq!((spec.totals().params, spec.graph.name()), (PARAMS, "small"));
    assert!(spec.document.is_some() && spec.model.is_none());

    let (_, _, model) = folder("memory");
    let bytes = std::fs::read(&model).expect("a model");
    // Known by its content, without an ending.
    for name in ["net.onnx", "some bytes"] {
        let loaded = Network::from_bytes(name, bytes.clone()).expect("a network");
        assert_eq!(loaded.totals().params, PARAMS);
        let weights = loaded.weights().expect("weights").expect("a model has weights");
        assert_eq!(weights.values().map(|tensor| tensor.data().len() as u64).sum::<u64>(), PARAMS);
    }

    let replaced = Loader::new().set("width", "8").input("", [3, 16, 16]).bytes("net.yaml", SPEC);
    assert_eq!(replaced.expect("a network").totals().params, 8 * 3 * 9 + 8 + 8 * 2 + 2);
}

#[test]
fn errors_carry_the_text_and_every_place() {
    let wrong = SPEC.replace("relu", "rellu").replace("out_features", "uot_features");
    let error = Network::from_bytes("net.yaml", wrong).expect_err("two flaws");
    let LoadError::Rejected(rejected) = &error else { panic!("{error:?}") };
    assert!(
        rejected.flaws.len() >= 2 && rejected.flaws.iter().all(|flaw| flaw.span.is_some()),
        "{rejected:?}"
    );
    assert_eq!(rejected.sources.iter().next().map(|source| source.name.clone()).as_deref(), Some("net.yaml"));
    let shown = error.to_string();
    assert!(shown.contains("net.yaml:6:5: unknown layer or block `rellu`"), "{shown}");

    let error: Box<dyn std::error::Error + Send + Sync> =
        Network::load("zoo:resnet19").expect_err("no such spec").into();
    assert_eq!(error.to_string(), "there is no built-in spec `resnet19`");
    assert!(matches!(Network::load("-"), Err(LoadError::Call(_))));
}
