//! Models on the command line: every command that takes a spec takes an `.onnx` file.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::program::run;

fn json(args: &[&str]) -> Value {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/onnx")
}

/// A folder of its own below the build's.
fn temporary(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("onnx").join(name);
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// A file of an archive, in a folder of its own.
fn unpacked(archive: &str, name: &str, folder: &str) -> PathBuf {
    let file = std::fs::File::open(data().join(archive)).expect("a file");
    let mut archive = zip::ZipArchive::new(file).expect("an archive");
    let path = temporary(folder).join(name);
    let mut out = std::fs::File::create(&path).expect("a file");
    std::io::copy(&mut archive.by_name(name).expect("an entry"), &mut out).expect("a copy");
    path
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn an_imported_spec_keeps_its_models_figures_and_is_stable() {
    let mut models: Vec<PathBuf> = std::fs::read_dir(data())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "onnx"))
        .collect();
    for name in [
        "resnet50.dynamo.onnx",
        "densenet121.dynamo.onnx",
        "efficientnet_b0.legacy_nofold.onnx",
        "squeezenet1_1.dynamo.onnx",
        "shufflenet_v2_x1_0.legacy.onnx",
    ] {
        models.push(unpacked("graphs.zip", name, "import"));
    }
    let folder = temporary("written");
    for model in models {
        let name = model.file_name().expect("a name").to_string_lossy().into_owned();
        let (first, second) =
            (folder.join(format!("{name}.yaml")), folder.join(format!("{name}.again.yaml")));
        let written = run(&["import", text(&model), "-o", text(&first)]);
        // A deformable convolution whose offsets are an input has no word in a spec.
        if !written.status.success() {
            let error = String::from_utf8_lossy(&written.stderr);
            assert!(error.contains("not supported") && name.contains("deform"), "{name}: {error}");
            continue;
        }
        let totals = |path: &Path| {
            let mut totals = json(&["params", text(path), "--format", "json"])["totals"].clone();
            // Ids without information are dropped.
            let memory = totals["memory"].as_object_mut().expect("an object");
            memory.retain(|key, _| !key.starts_with("peak_"));
            totals
        };
        assert_eq!(totals(&model), totals(&first), "{name}");
        assert!(run(&["import", text(&first), "-o", text(&second)]).status.success(), "{name}");
        let read = |path: &Path| std::fs::read_to_string(path).expect("a spec");
        assert!(read(&first) == read(&second), "{name}: importing what was imported changes it");
    }
}

#[test]
fn verify_measures_a_model() {
    for name in ["tiny_aspp.legacy.onnx", "tiny_vit.legacy.onnx", "quantised_operators.onnx"] {
        let said = json(&["verify", text(&data().join(name)), "--format", "json"]);
        assert_eq!(said["ok"], true, "{name}: {said}");
        let claims = said["claims"].as_array().expect("a list");
        assert!(claims.iter().any(|claim| claim["claim"] == "macs"), "{name}: {claims:?}");
    }
}

#[test]
fn a_partial_figure_says_so_and_strict_fails() {
    let path = unpacked("opsets.zip", "dilated_pool.19.onnx", "partial");
    let said = json(&["params", text(&path), "--format", "json"]);
    assert_eq!(said["status"], "partial");
    let listed = said["not_analysed"].as_array().expect("a list");
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!(listed[0]["operator"], "AveragePool");
    for key in ["id", "reason", "meaning"] {
        assert!(listed[0][key].as_str().is_some_and(|text| !text.is_empty()), "{key}: {listed:?}");
    }
    for format in ["table", "json", "csv", "markdown"] {
        let status = |more: &[&str]| {
            let args = [&["params", text(&path), "--format", format], more].concat();
            run(&args).status.code()
        };
        assert_eq!((status(&[]), status(&["--strict"])), (Some(0), Some(1)), "{format}");
    }
    let table = String::from_utf8(run(&["params", text(&path)]).stdout).expect("UTF-8");
    assert!(table.contains("AveragePool") && table.contains("Not analysed"), "{table}");
}

#[test]
fn check_finds_models_in_folders() {
    let folder = temporary("check");
    std::fs::copy(data().join("tiny_vit.legacy.onnx"), folder.join("net.onnx")).expect("a copy");
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
    std::fs::write(folder.join("elsewhere.onnx"), pointer).expect("a file");
    let output = run(&["check", text(&folder), "--format", "json", "--exit-zero"]);
    let said: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(said["spec"]["path"].as_str().is_some_and(|path| path.ends_with("net.onnx")), "{said}");
    // Named, the pointer is an error.
    let named = run(&["check", text(&folder.join("elsewhere.onnx"))]);
    let shown = String::from_utf8_lossy(&named.stdout).into_owned() + &String::from_utf8_lossy(&named.stderr);
    assert!(named.status.code() == Some(1) && shown.contains("git lfs pull"), "{shown}");
}

/// The names of the arrays in a `.npz` file, and their sizes, by name.
fn arrays(path: &Path) -> Vec<(String, Vec<usize>)> {
    let mut archive = zip::ZipArchive::new(std::fs::File::open(path).expect("a file")).expect("an archive");
    let one = path.with_extension("one.npy");
    let mut found: Vec<(String, Vec<usize>)> = (0..archive.len())
        .map(|index| {
            let mut entry = archive.by_index(index).expect("an array");
            let mut out = std::fs::File::create(&one).expect("a file");
            std::io::copy(&mut entry, &mut out).expect("copied");
            let name = entry.name().trim_end_matches(".npy").to_owned();
            (name, cnnkit::formats::arrays::npy_sizes(text(&one)).expect("sizes"))
        })
        .collect();
    found.sort();
    found
}

#[test]
fn run_writes_the_outputs_of_the_file_in_its_layout_or_nothing() {
    // One value under two names; a batch that comes second.
    for (name, input, expected) in [
        ("twice_identity", vec![], vec![("a", vec![1, 2, 6, 6]), ("b", vec![1, 2, 6, 6])]),
        ("layout_batch_second", vec![], vec![("y", vec![3, 2, 4, 5])]),
        ("symbol_question_mark", vec!["--input", "3,8,12"], vec![("y", vec![1, 4, 6, 10])]),
    ] {
        let path = unpacked("found.zip", &format!("{name}.onnx"), "outputs");
        let out = temporary("outputs").join(format!("{name}.npz"));
        let batch = if name == "layout_batch_second" { vec!["--batch", "2"] } else { vec![] };
        let args = [vec!["run", text(&path), "-o", text(&out)], input, batch].concat();
        let output = run(&args);
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let found = arrays(&out);
        assert_eq!(found.len(), expected.len(), "{name}: {found:?}");
        for ((name, sizes), (wanted_name, wanted)) in found.iter().zip(&expected) {
            assert_eq!((name.as_str(), sizes), (*wanted_name, wanted));
        }
    }
    // An output that is not computed is an error that names the operator.
    let path = unpacked("found.zip", "panic_lstm_matmul.onnx", "refused");
    let out = temporary("refused").join("never.npz");
    let _ = std::fs::remove_file(&out);
    let output = run(&["run", text(&path), "-o", text(&out)]);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("not supported") && message.contains("LSTM"), "{message}");
    assert!(!out.exists(), "something was written");
    let verified = run(&["verify", "--fast", text(&path)]);
    assert_eq!(verified.status.code(), Some(2));
}
