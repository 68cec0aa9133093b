//! `cnnkit train` and `cnnkit plan` as scripts use them, and an arena as an expectation.

use super::support::program::{call, json, json_and_status, temporary};

#[test]
fn train_prints_the_keys_of_the_contract() {
    let found = json(&["train", "zoo:resnet50", "--batch", "32", "--format", "json"]);
    assert_eq!(found["kept"]["torch"], 2_749_316_608u64);
    let layers = found["layers"].as_array().expect("layers");
    let sum: u64 = layers.iter().filter_map(|layer| layer["kept"].as_u64()).sum();
    assert_eq!(found["kept"]["torch"], sum, "a tensor counts at one layer");
    let part = |name: &str| found[name].as_u64().expect("bytes");
    let parts = ["parameters", "buffers", "master_weights", "gradients", "optimizer", "temporary"];
    let total: u64 = parts.iter().map(|name| part(name)).sum::<u64>() + sum;
    assert_eq!(part("total"), total);
    assert!(part("peak") <= total);
    for key in ["batch", "backward_macs", "checkpoint", "peak_step"] {
        assert!(found.get(key).is_some(), "{key}");
    }
    let tensors = layers.iter().flat_map(|layer| layer["tensors"].as_array().expect("tensors"));
    let own: u64 =
        tensors.filter(|tensor| tensor["shared"] == false).filter_map(|t| t["bytes"].as_u64()).sum();
    assert_eq!(own, sum);
}

#[test]
fn train_explains_what_it_cannot_do() {
    let (status, _, error) = call(&["train", "zoo:resnet50", "--frozen", "stage9"]);
    assert_eq!(status, Some(2));
    assert!(
        error.contains("no layer or block is called `stage9`") && error.contains("did you mean"),
        "{error}"
    );
    let (status, _, error) = call(&["train", "zoo:resnet50", "--dtype", "i8"]);
    assert_eq!(status, Some(2));
    assert!(error.contains("not supported: training in 8-bit integers"), "{error}");
    let (status, _, error) = call(&["train", "zoo:resnet50", "--memory", "24"]);
    assert!(status == Some(0) || error.contains("24"), "{error}");
    let (status, _, _) = call(&["train", "zoo:resnet50", "--memory", "lots"]);
    assert_eq!(status, Some(2));
}

#[test]
fn plan_has_offsets_that_do_not_overlap() {
    for name in ["zoo:mobilenet_v2", "zoo:googlenet", "zoo:densenet121", "zoo:unet"] {
        let (status, found) = json_and_status(&["plan", name, "--dtype", "i8", "--format", "json"]);
        assert_eq!(status, Some(0));
        let number = |value: &serde_json::Value| value.as_u64().expect("a number");
        let arena = number(&found["arena"]);
        assert!(number(&found["lower_bound"]) <= arena);
        let tensors: Vec<[u64; 4]> = found["tensors"]
            .as_array()
            .expect("tensors")
            .iter()
            .map(|tensor| ["offset", "bytes", "first", "last"].map(|key| number(&tensor[key])))
            .collect();
        for (index, &[offset, bytes, first, last]) in tensors.iter().enumerate() {
            assert!(offset + bytes <= arena && first <= last);
            for &[other, more, begun, ended] in &tensors[..index] {
                let together = first <= ended && begun <= last;
                let apart = offset + bytes <= other || other + more <= offset;
                assert!(!together || apart, "{name}: {offset} and {other}");
            }
        }
        let order = found["order"].as_array().expect("order");
        let layers =
            json(&["params", name, "--format", "json"])["layers"].as_array().expect("layers").clone();
        assert_eq!(order.len(), layers.iter().filter(|layer| layer["op"] != "input").count(), "{name}");
    }
}

#[test]
fn plan_fails_if_the_arena_does_not_fit() {
    let run = |arena: &str| {
        json_and_status(&["plan", "zoo:mobilenet_v2", "--dtype", "i8", "--arena", arena, "--format", "json"])
    };
    assert_eq!(run("1470KiB").0, Some(0), "1,505,280 bytes are exactly 1470 KiB");
    let (status, found) = run("1469KiB");
    assert_eq!(status, Some(1));
    assert_eq!(found["fits"], false);
}

#[test]
fn params_has_the_peaks_of_engines() {
    let memory =
        json(&["params", "zoo:mobilenet_v2", "--dtype", "i8", "--format", "json"])["totals"]["memory"]
            .clone();
    assert_eq!(memory["in_place"], 1_404_928);
    for key in ["fused", "reordered", "arena"] {
        assert_eq!(memory[key], 1_505_280, "{key}");
    }
}

#[test]
fn an_arena_can_be_expected() {
    let folder = temporary("arena");
    let spec = folder.join("net.yaml");
    let write = |expect: &str| {
        let text = format!(
            "input: [3, 8, 8]\nlayers:\n  - conv: {{out_channels: 4, kernel: 3, padding: 1}}\n  - relu\n  - global_avg_pool\n  - linear: {{out_features: 2}}\nexpect:\n  arena: {expect}\n"
        );
        std::fs::write(&spec, text).expect("it is written");
        let (status, out, error) = call(&["check", spec.to_str().expect("UTF-8"), "--no-config"]);
        (status, format!("{out}{error}"))
    };
    // 3 and 4 planes of 64 elements.
    assert_eq!(write("{max: 448, dtype: i8}").0, Some(0));
    assert_eq!(write("{max: 1792}").0, Some(0));
    let (status, text) = write("{max: 447, dtype: i8}");
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("448"), "{text}");
    assert_eq!(write("{max: 448}").0, Some(1));
    let (_, text) = write("{max: 448, dtype: i7}");
    assert!(text.contains("the number formats are f32, f16, bf16 and i8"), "{text}");
    let (_, text) = write("{dtype: i8}");
    assert!(text.contains("`arena` needs a bound"), "{text}");
}
