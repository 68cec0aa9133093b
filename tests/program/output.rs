//! The JSON output: its schema and its reference are current, every key is described, and the output of the
//! commands is valid.
//!
//! `CNNKIT_BLESS=1 cargo test --test program` rewrites `schema/output.schema.json` and `docs/json.md`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use cnnkit::report::{output, reference};
use serde_json::{Value, json};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Compares a generated file with its committed copy.
fn current(path: &str, text: &str) {
    let file = root().join(path);
    if std::env::var_os("CNNKIT_BLESS").is_some() {
        std::fs::write(&file, text).expect("writing the file");
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(committed == text, "{path} is out of date: run `CNNKIT_BLESS=1 cargo test --test program`");
}

#[test]
fn the_schema_of_the_output_is_current() {
    current("schema/output.schema.json", &cnnkit::render::json(&output::schema()));
}

#[test]
fn the_reference_of_the_output_is_current() {
    current("docs/json.md", &reference::page());
}

/// Every property of every object below `schema`, with its path.
fn properties<'a>(schema: &'a Value, path: &str, out: &mut Vec<(String, &'a Value)>) {
    match schema {
        Value::Object(keys) => {
            for (name, value) in keys {
                if let (true, Value::Object(list)) = (name == "properties", value) {
                    out.extend(list.iter().map(|(key, value)| (format!("{path}/{key}"), value)));
                }
                properties(value, &format!("{path}/{name}"), out);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| properties(value, path, out)),
        _ => {}
    }
}

#[test]
fn every_key_of_the_output_is_described() {
    let schema = output::schema();
    let mut keys = Vec::new();
    properties(&schema["$defs"], "", &mut keys);
    assert!(keys.len() > 100, "{} keys", keys.len());
    let silent: Vec<&String> = keys
        .iter()
        .filter(|(_, key)| !key["description"].is_string() && !key["$ref"].is_string())
        .map(|(path, _)| path)
        .collect();
    assert!(silent.is_empty(), "without a doc comment: {silent:#?}");
    let empty: Vec<&str> = reference_rows().filter(|row| row.contains("|  |  |")).collect();
    assert!(empty.is_empty(), "{empty:#?}");
}

fn reference_rows() -> impl Iterator<Item = &'static str> {
    let page: &'static str = Box::leak(reference::page().into_boxed_str());
    page.lines().filter(|line| line.starts_with("| `"))
}

/// Definitions that are some of the keys of an object, not a whole object.
fn parts(schema: &Value, out: &mut BTreeSet<String>) {
    match schema {
        Value::Object(keys) => {
            for form in
                ["anyOf", "oneOf", "allOf"].iter().filter_map(|name| keys.get(*name)?.as_array()).flatten()
            {
                if let (true, Some(path)) = (keys.contains_key("properties"), form["$ref"].as_str()) {
                    out.extend(path.rsplit('/').next().map(str::to_owned));
                }
            }
            keys.values().for_each(|value| parts(value, out));
        }
        Value::Array(list) => list.iter().for_each(|value| parts(value, out)),
        _ => {}
    }
}

/// Forbids keys that the schema does not name, so that none is printed without being described. A `part` stands for some
/// of the keys of an object.
fn close(schema: &mut Value, part: bool) {
    match schema {
        Value::Object(keys) => {
            let object = keys.contains_key("properties");
            for (name, value) in keys.iter_mut() {
                if let (true, Value::Object(list)) = (name == "properties", &mut *value) {
                    list.values_mut().for_each(|value| close(value, false));
                } else {
                    close(value, object && ["anyOf", "oneOf", "allOf"].contains(&name.as_str()));
                }
            }
            if object && !part && !keys.contains_key("additionalProperties") {
                keys.insert("unevaluatedProperties".into(), false.into());
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|value| close(value, part)),
        _ => {}
    }
}

/// The schema of one command's output.
fn of_command(schema: &Value, command: &str) -> Value {
    let name = command.replace(' ', "%20");
    json!({"$schema": schema["$schema"], "$ref": format!("#/$defs/{name}"), "$defs": schema["$defs"]})
}

/// Returns the JSON that a call prints, for any exit status.
fn printed(arguments: &[&str]) -> Value {
    printed_in(&root(), arguments)
}

/// The same in a folder.
fn printed_in(folder: &Path, arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_cnnkit"))
        .current_dir(folder)
        .args(arguments)
        .args(["--format", "json"])
        .output()
        .expect("the program runs");
    assert_ne!(output.status.code(), Some(2), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Calls that between them show every form of every command's output.
const CALLS: &[&str] = &[
    "params zoo:resnet18 --convention thop",
    "params zoo:bottleneck zoo:deformable --batch 2 --dtype f16",
    "compare zoo:bottleneck-plain zoo:bottleneck",
    "rf zoo:resnet18 --effective",
    "rf zoo:shufflenet_v1 zoo:deformable zoo:unet",
    "rf zoo:dilated-gridding --exact --unit 3,3",
    "channels zoo:shuffle-unit-plain zoo:shuffle-unit",
    "paths zoo:resnet18 zoo:dense",
    "sizes zoo:unet",
    "sizes zoo:bottleneck --near 30",
    "tile zoo:context_module_basic --image 400 --tile 200",
    "train zoo:bottleneck --batch 8 --memory 1GiB",
    "train zoo:bottleneck zoo:dense --optimizer adamw --dtype bf16",
    "plan zoo:bottleneck --dtype i8 --arena 4MiB",
    "plan zoo:bottleneck zoo:dense",
    "tile zoo:squeeze-excite zoo:context_module_basic",
    "stream zoo:tcn --rate 16000",
    "stream zoo:squeeze-excite zoo:tcn",
    "graph zoo:bottleneck",
    "graph zoo:resnet18 zoo:shuffle-unit --depth 1",
    "run zoo:bottleneck --repeat 2",
    "run zoo:bottleneck --kernels definition",
    "verify zoo:bottleneck zoo:dilated-hdc --fast",
    "demo",
    "demo small-kernels",
    "gridding 2,2,2",
    "gridding 1,2,5 --steps --multiplicity --verify --axes 1",
    "gridding zoo:dilated-gridding",
    "hdc-check 1,2,9 --explain",
    "hdc-check 2,2,3 --verify",
    "hdc-check zoo:dilated-sawtooth",
    "hdc-design --layers 3 --max-rate 5",
    "hdc-design --layers 3 --max-rate 5 --kernel 3,5",
    "hdc-design --survey 3,6",
    "check specs/techniques --select all",
    "rules",
    "explain CK301",
    "import zoo:bottleneck",
    "layers",
    "layers deform_conv",
    "zoo",
    "zoo show bottleneck",
    "diff zoo:bottleneck-plain zoo:bottleneck",
    "diff --git HEAD specs/techniques/bottleneck.yaml specs/techniques/dense.yaml",
];

#[test]
fn what_the_commands_print_is_valid_and_described() {
    let mut schema = output::schema();
    let mut shared = BTreeSet::new();
    parts(&schema, &mut shared);
    if let Some(definitions) = schema["$defs"].as_object_mut() {
        definitions.iter_mut().for_each(|(name, definition)| close(definition, shared.contains(name)));
    }
    let mut seen = BTreeSet::new();
    for call in CALLS {
        let value = printed(&call.split(' ').collect::<Vec<_>>());
        let command = value["command"].as_str().expect("a command");
        check(&schema, command, &value, call);
        seen.insert(command.to_owned());
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("output-of-init");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    check(&schema, "init", &printed_in(&folder, &["init"]), "init");
    seen.insert("init".to_owned());
    let new = ["new", "--from", "zoo:bottleneck", "mine.yaml"];
    check(&schema, "new", &printed_in(&folder, &new), "new");
    seen.insert("new".to_owned());
    let report = ["report", "zoo:bottleneck", "zoo:dense", "-o", "report.html"];
    check(&schema, "report", &printed_in(&folder, &report), "report");
    seen.insert("report".to_owned());
    let all: BTreeSet<String> = output::OUTPUTS.iter().map(|form| form.command.to_owned()).collect();
    assert_eq!(all, seen, "a call of every command");
}

fn check(schema: &Value, command: &str, value: &Value, call: &str) {
    let validator = jsonschema::validator_for(&of_command(schema, command)).expect("a valid schema");
    let flaws: Vec<String> =
        validator.iter_errors(value).map(|flaw| format!("{flaw} at {}", flaw.instance_path)).collect();
    assert!(flaws.is_empty(), "cnnkit {call}:\n{}", flaws.join("\n"));
}

#[test]
fn an_imported_model_prints_valid_json() {
    let schema = output::schema();
    let models = Path::new("tests/data/onnx");
    let model = model(&root().join(models));
    for command in ["params", "rf", "channels", "paths", "sizes", "train", "plan", "tile", "stream", "graph"]
    {
        let value = printed(&[command, model.to_str().expect("UTF-8")]);
        check(&schema, command, &value, command);
        assert!(value["not_analysed"].is_array() && value["remarks"].is_array(), "{command}");
    }
}

fn model(folder: &Path) -> PathBuf {
    let mut models: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "onnx"))
        .collect();
    models.sort_by_key(|path| std::fs::metadata(path).map_or(u64::MAX, |found| found.len()));
    models.swap_remove(0)
}

#[test]
fn a_wrong_type_and_a_missing_key_are_invalid() {
    let schema = output::schema();
    let mut value = printed(&["compare", "zoo:bottleneck-plain", "zoo:bottleneck"]);
    let validator = jsonschema::validator_for(&of_command(&schema, "compare")).expect("a valid schema");
    assert!(validator.is_valid(&value));
    assert!(jsonschema::validator_for(&schema).expect("a valid schema").is_valid(&value));
    value["networks"][0]["params"] = "many".into();
    assert!(!validator.is_valid(&value));
    value["networks"][0]["params"] = 1.into();
    value.as_object_mut().expect("an object").remove("ratios");
    assert!(!validator.is_valid(&value));
}
