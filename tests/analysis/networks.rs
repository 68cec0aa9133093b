//! The analyses of whole networks from the command line: keys, figures and exit status.

use serde_json::{Value, json};

use crate::support::program::json_and_status as cnnkit;

#[test]
fn a_networks_chains_are_held_against_gridding() {
    let (code, out) = cnnkit(&["gridding", "zoo:dilated-gridding"]);
    assert_eq!(code, Some(0));
    assert_eq!(out["command"], "gridding");
    let chain = &out["chains"][0];
    // 2,2,2 with K = 3: box 13 x 13, 49 of 169 covered (contract, from the survey's picture).
    assert_eq!(chain["size"], json!([13, 13]));
    assert_eq!((&chain["covered"], &chain["total"], &chain["max_gap"]), (&json!(49), &json!(169), &json!(2)));
    // The same through the exact support of the output, which does not use chains.
    assert_eq!((&out["outputs"][0]["positions"], &out["outputs"][0]["holes"]), (&json!(49), &json!(120)));
}

#[test]
fn parallel_rates_are_chains_of_their_own() {
    let (_, out) = cnnkit(&["gridding", "zoo:deeplabv3_resnet50"]);
    let last_rates: Vec<u64> = out["chains"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|chain| {
            let rates = chain["rates"].as_array().expect("a list");
            rates[rates.len() - 2].as_u64().expect("a number")
        })
        .collect();
    // torchvision's ASPP rates at output stride 8, each before the head's last 3x3.
    assert_eq!(last_rates, [12, 24, 36]);
    // At 224 x 224 the map is 28 x 28, and rate 36 leaves one tap everywhere (Chen et al. 2017, section 3.3).
    let taps = out["taps"].as_array().expect("a list");
    let widest = taps.iter().find(|taps| taps["rates"] == json!([36, 36])).expect("rate 36");
    assert_eq!(widest["single_share"], json!(1.0));
}

#[test]
fn alike_chains_are_listed_once() {
    let (_, out) = cnnkit(&["gridding", "zoo:wavenet"]);
    assert_eq!(out["chains"].as_array().expect("a list").len(), 1);
    assert!(out["chains"][0]["alike"].as_u64().expect("a number") > 1);
}

#[test]
fn hdc_check_of_a_network_decides_the_status() {
    for (spec, code, ok) in [
        ("zoo:dilated-gridding", 1, false),
        ("zoo:dilated-common-factor", 1, false),
        ("zoo:dilated-hdc", 0, true),
        ("zoo:dilated-sawtooth", 0, true),
        ("zoo:context_module_basic", 0, true),
        ("zoo:vgg16", 0, true),
    ] {
        let (status, out) = cnnkit(&["hdc-check", spec]);
        assert_eq!((status, &out["ok"]), (Some(code), &json!(ok)), "{spec}");
    }
}

#[test]
fn receptive_fields_are_the_published_ones() {
    // Yu & Koltun 2016, table 1: 3, 5, 9, 17, 33, 65, 67 after the seven 3x3 layers.
    let (_, out) = cnnkit(&["rf", "zoo:context_module_basic"]);
    let sizes: Vec<u64> = out["layers"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|layer| layer["id"].as_str().expect("text").contains("conv"))
        .map(|layer| layer["size"][0].as_u64().expect("a number"))
        .take(7)
        .collect();
    assert_eq!(sizes, [3, 5, 9, 17, 33, 65, 67]);
    // torchvision's ResNet-50: 427 at jump 32 (gradients in PyTorch, and Richter's toolbox).
    let (_, out) = cnnkit(&["rf", "zoo:resnet50", "--node", "stage4"]);
    let layer = &out["layers"][0];
    assert_eq!(
        (&layer["size"], &layer["jump"], &layer["padding"]),
        (&json!([427, 427]), &json!([32, 32]), &json!([213, 213]))
    );
    assert_eq!(layer["first"], json!([[-213, 213], [-213, 213]]));
    let (_, out) = cnnkit(&["rf", "zoo:resnet50"]);
    assert_eq!(out["outputs"][0]["global"], json!(true));
}

#[test]
fn inceptions_support_has_the_holes_that_gradients_find() {
    // PyTorch's gradients: 1,706,433 of the 1311 x 1311 positions are read, 12,288 are not.
    let (_, out) = cnnkit(&["rf", "zoo:inception_v3", "--exact"]);
    let layers = out["layers"].as_array().expect("a list");
    let exact =
        layers.iter().find(|layer| layer.get("holes").is_some()).expect("a layer with its exact support");
    assert_eq!(
        (&exact["size"], &exact["positions"], &exact["holes"]),
        (&json!([1311, 1311]), &json!(1_706_433), &json!(12_288))
    );
}

#[test]
fn a_gate_gives_global_context_and_leaves_the_local_field() {
    let (_, out) = cnnkit(&["rf", "zoo:squeeze-excite"]);
    let (_, plain) = cnnkit(&["rf", "zoo:squeeze-excite-plain"]);
    assert_eq!(
        (&out["outputs"][0]["global_context"], &plain["outputs"][0]["global_context"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(out["outputs"][0]["size"], plain["outputs"][0]["size"]);
    assert_eq!(out["outputs"][0]["global"], json!(false));
}

#[test]
fn a_unit_near_the_border_reads_what_is_there() {
    let (_, out) = cnnkit(&["rf", "zoo:resnet50", "--node", "stem1.max_pool1", "--unit", "0,10"]);
    // size 11, jump 4, padding 5: rows -5..5 and columns 35..45.
    assert_eq!(out["unit"][0]["box"], json!([[-5, 5], [35, 45]]));
    assert_eq!(out["unit"][0]["clipped"], json!([[0, 5], [35, 45]]));
    assert_eq!(out["unit"][0]["positions"], json!(6 * 11));
}

#[test]
fn the_shuffle_is_what_joins_the_groups() {
    let (_, shuffled) = cnnkit(&["channels", "zoo:shuffle-unit"]);
    assert_eq!(
        (&shuffled["outputs"][0]["isolated_groups"], &shuffled["outputs"][0]["shuffles"]),
        (&json!(1), &json!(1))
    );
    let (_, plain) = cnnkit(&["channels", "zoo:shuffle-unit-plain"]);
    assert_eq!(plain["outputs"][0]["isolated_groups"], json!(3));
    assert_eq!(plain["outputs"][0]["smallest"], json!(80));
}

#[test]
fn a_residual_network_is_an_ensemble() {
    let (_, out) = cnnkit(&["paths", "zoo:resnet50"]);
    let output = &out["outputs"][0];
    assert_eq!(output["paths"], json!(65_536));
    // Binomial (16, 1/2): Veit et al. 2016.
    let modules: Vec<u64> = output["modules"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|entry| entry["paths"].as_u64().expect("a number"))
        .collect();
    let mut binomial = vec![1u64];
    for k in 0..16 {
        binomial.push(binomial[k as usize] * (16 - k) / (k + 1));
    }
    assert_eq!(modules, binomial);
    let (_, out) = cnnkit(&["paths", "zoo:densenet121"]);
    let connections: Vec<u64> = out["dense_blocks"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|block| block["connections"].as_u64().expect("a number"))
        .collect();
    // L (L + 1) / 2 for L = 6, 12, 24, 16 (Huang et al. 2017, section 3).
    assert_eq!(connections, [21, 78, 300, 136]);
}

#[test]
fn several_specs_give_a_list_of_results() {
    let (_, out) = cnnkit(&["params", "zoo:bottleneck-plain", "zoo:bottleneck"]);
    let params: Vec<&Value> =
        out["results"].as_array().expect("a list").iter().map(|r| &r["totals"]["params"]).collect();
    assert_eq!(params, [&json!(589_824), &json!(69_632)]);
    let (_, out) = cnnkit(&["compare", "zoo:bottleneck-plain", "zoo:bottleneck"]);
    assert_eq!(out["networks"][1]["params"], json!(69_632));
    assert_eq!(out["networks"][1]["rf"], json!([3, 3]));
    assert!((out["ratios"][1]["params"].as_f64().expect("a number") - 69_632.0 / 589_824.0).abs() < 1e-12);
}

#[test]
fn a_learned_tensor_reads_no_values_of_its_input() {
    let text = "{input: [3, 16, 16], layers: [{id: a, conv: {out_channels: 2, kernel: 1}}, \
                {id: b, conv: {out_channels: 2, kernel: 3, padding: 1}}, \
                {id: t, learned_tensor: {shape: [2, 1, 1]}, from: input}, sigmoid, multiply: [b, sigmoid1]]}";
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("learned_tensor.yaml");
    std::fs::write(&path, text).expect("a file");
    let path = path.to_str().expect("UTF-8");
    // One way from the input to the output, past two layers with weights: the tensor is no part of it.
    let (code, out) = cnnkit(&["paths", path]);
    assert_eq!(code, Some(0), "{out}");
    assert_eq!((&out["outputs"][0]["paths"], &out["outputs"][0]["depth"]), (&json!(1), &json!(2)), "{out}");
    // The input is gone after `a`: the peak is a, b there, or the input and a.
    let (_, out) = cnnkit(&["params", path]);
    assert_eq!(out["totals"]["memory"]["peak"], (3 + 2) * 256 * 4);
    let (_, out) = cnnkit(&["rf", path]);
    assert_eq!((&out["outputs"][0]["size"], &out["outputs"][0]["global"]), (&json!([3, 3]), &json!(false)));
    let (code, out) = cnnkit(&["verify", path]);
    assert_eq!((code, &out["ok"]), (Some(0), &json!(true)), "{out}");
}

#[test]
fn chosen_channels_are_followed_and_chosen_positions_bounded() {
    let file = |name: &str, text: &str| {
        let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, text).expect("a file");
        path.to_str().expect("UTF-8").to_owned()
    };
    let channels = file(
        "chosen_channels.yaml",
        "{input: [6, 8, 8], layers: [gather: {indices: [0, 3, 1]}, conv: {out_channels: 3, kernel: 3, padding: 1, groups: 3}]}",
    );
    let (_, out) = cnnkit(&["channels", &channels]);
    assert_eq!(
        (&out["outputs"][0]["isolated_groups"], &out["outputs"][0]["smallest"]),
        (&json!(3), &json!(1)),
        "{out}"
    );
    let turned = file(
        "chosen_positions.yaml",
        "{input: [2, 8, 8], layers: [conv: {out_channels: 3, kernel: 3, padding: 1}, \
         gather: {indices: [7, 6, 5, 4, 3, 2, 1, 0], axis: 1}, conv: {out_channels: 3, kernel: 3, padding: 1}]}",
    );
    for path in [&channels, &turned] {
        let (code, out) = cnnkit(&["verify", path]);
        assert_eq!((code, &out["ok"]), (Some(0), &json!(true)), "{out}");
    }
}
