//! The JSON Schema of the spec language: its committed copy is current, and it accepts every built-in spec.

use std::path::{Path, PathBuf};

use serde_json::Value;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_committed_copy_is_current() {
    let path = root().join("schema/cnnkit.schema.json");
    let current = cnnkit::render::json(&cnnkit::spec::schema::generate());
    if std::env::var_os("CNNKIT_BLESS").is_some() {
        std::fs::create_dir_all(root().join("schema")).expect("the folder of the schema");
        std::fs::write(&path, &current).expect("writing the schema");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == current, "run `cargo run -- schema > schema/cnnkit.schema.json`");
}

fn yaml(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("a spec");
    serde_saphyr::from_str(&text).expect("YAML")
}

fn files(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, out);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            out.push(path);
        }
    }
}

#[test]
fn every_shipped_spec_is_valid() {
    let validator = jsonschema::validator_for(&cnnkit::spec::schema::generate()).expect("a valid schema");
    let mut specs = Vec::new();
    files(&root().join("specs"), &mut specs);
    assert!(specs.len() > 50);
    let mut failures = Vec::new();
    for path in specs {
        let value = yaml(&path);
        failures.extend(
            validator
                .iter_errors(&value)
                .map(|error| format!("{}: {error} at {}", path.display(), error.instance_path)),
        );
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn mistakes_that_need_no_arithmetic_are_caught() {
    let validator = jsonschema::validator_for(&cnnkit::spec::schema::generate()).expect("a valid schema");
    for name in [
        "typo_argument",
        "typo_top_key",
        "typo_construct_key",
        "type_text_for_number",
        "type_number_for_layer",
        "type_body",
    ] {
        let value = yaml(&root().join(format!("tests/invalid/{name}.yaml")));
        assert!(!validator.is_valid(&value), "{name} is accepted");
    }
}
