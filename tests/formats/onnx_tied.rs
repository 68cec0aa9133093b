//! Parameters that an exporter stores twice, or not at all, against PyTorch's own count of the module. `tied.zip` is made by
//! `make_tied.py` beside it, with both exporters.

use cnnkit::analysis::totals;
use cnnkit::onnx::bind::Bindings;
use cnnkit::onnx::import::{Imported, load};
use cnnkit::onnx::source::ModelSource;
use serde_json::Value;

use super::onnx_cases::archive;

/// The models, each with what PyTorch counts.
fn models() -> Vec<(String, Imported, u64)> {
    let files = archive("tied.zip");
    let truth = files.iter().find(|(name, _)| name == "truth.json").expect("an entry");
    let truth: Value = serde_json::from_slice(&truth.1).expect("JSON");
    let models = files.into_iter().filter(|(name, _)| name != "truth.json");
    let read = |(name, bytes): (String, Vec<u8>)| {
        let module = name.split('.').next().expect("a name");
        let wanted = truth["parameters"][module].as_u64().expect("a count");
        let imported = load(ModelSource::memory(name.as_str(), bytes), &Bindings::default())
            .unwrap_or_else(|flaws| panic!("{name}: {flaws:?}"));
        (name, imported, wanted)
    };
    models.map(read).collect()
}

#[test]
fn tied_weights_and_states_count_as_in_pytorch() {
    let models = models();
    assert_eq!(models.len(), 24);
    let mut flaws = Vec::new();
    for (name, imported, wanted) in models.iter().filter(|(name, ..)| !name.starts_with("separate")) {
        let found = totals::of_graph(&imported.graph).params;
        if found != *wanted {
            flaws.push(format!("{name}: {found} for {wanted}"));
        }
    }
    assert!(flaws.is_empty(), "{flaws:#?}");
}

#[test]
fn merged_and_folded_parameters_are_said_beside_the_total() {
    let remark = |exporter: &str| {
        let models = models();
        let wanted = format!("separate.{exporter}.onnx");
        let (_, imported, truth) = models.into_iter().find(|(name, ..)| *name == wanted).expect("a model");
        assert!(totals::of_graph(&imported.graph).params < truth);
        imported.remarks.join("; ")
    };
    // The file has the list of the module's parameters.
    let dynamo = remark("dynamo");
    assert!(dynamo.contains("of the 9 parameters that the file lists"), "{dynamo}");
    // The exporter names what it merged, so that the sum is known.
    let legacy = remark("legacy");
    assert!(legacy.contains("before the export PyTorch counts 1,650 parameters"), "{legacy}");
}
