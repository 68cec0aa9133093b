//! `--convention` against the figures that the tools print (`tests/data/peers/counts.json`, measured by
//! running them).

use cnnkit::analysis::convention::Convention;
use cnnkit::analysis::totals;
use cnnkit::disk::Disk;
use cnnkit::graph::Graph;
use cnnkit::spec::files::Text;
use cnnkit::spec::{self, Overrides};
use serde_json::Value;

const TOOLS: [(Convention, &str); 5] = [
    (Convention::Fvcore, "fvcore"),
    (Convention::Thop, "thop"),
    (Convention::Ptflops, "ptflops"),
    (Convention::Torchinfo, "torchinfo"),
    (Convention::Torchvision, "torchvision"),
];

fn measured() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/peers/counts.json");
    serde_json::from_str(&std::fs::read_to_string(path).expect("readable")).expect("JSON")
}

fn one_layer(case: &Value) -> Option<Graph> {
    let layers = case["layers"].as_str()?;
    let layers = if layers.starts_with('[') { layers.to_owned() } else { format!("[{{{}}}]", flow(layers)) };
    let yaml = format!("{{input: {}, layers: {layers}}}", case["input"]);
    let files = Text { name: "case".into(), bytes: yaml.into_bytes() };
    spec::load(&files, "case", &Overrides::default()).ok().map(|loaded| loaded.graph)
}

/// Returns `relu` as `relu: {}`: a bare name is not allowed in a flow mapping.
fn flow(layer: &str) -> String {
    if layer.contains(':') { layer.to_owned() } else { format!("{layer}: {{}}") }
}

/// Cases in which PyTorch itself composes the layer of other pieces than ours, or scales by the factor and not by the
/// size: what the tool prints then says nothing about the rule.
const OTHERWISE: [(&str, &str); 6] = [
    ("ptflops", "local_response_norm"),
    ("ptflops", "upsample_fraction"),
    ("ptflops", "upsample_axes_fraction"),
    ("ptflops", "deform_conv_modulated"),
    ("fvcore", "deform_conv_modulated"),
    ("thop", "deform_conv_modulated"),
];

#[test]
fn single_layers_count_as_the_tools_count_them() {
    let measured = measured();
    let mut wrong = Vec::new();
    let mut checked = 0;
    for case in measured["cases"].as_array().expect("a list") {
        let name = case["name"].as_str().expect("a name");
        // Not in our vocabulary (bicubic, untracked batch norm): refused, not guessed.
        let Some(graph) = one_layer(case) else { continue };
        for (convention, tool) in TOOLS {
            let Some(theirs) = case["counts"][tool].as_u64() else { continue };
            if OTHERWISE.iter().any(|(other, prefix)| *other == tool && name.starts_with(prefix)) {
                continue;
            }
            checked += 1;
            match convention.total(&graph) {
                Ok(ours) if ours == theirs => {}
                ours => wrong.push(format!("{tool} {name}: prints {theirs}, we say {ours:?}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {checked} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(checked > 500, "only {checked} figures were compared");
}

/// Where our spec writes the same function otherwise than torchvision's source, so that a tool's blind spot falls elsewhere.
const WRITTEN_OTHERWISE: [(&str, &str); 3] = [
    // `padding: same` in the spec, numbers in torchvision: fvcore gets only the numbers.
    ("fvcore", "inception_v3"),
    // The head's norm runs on [768] in the spec, as a functional norm over [768, 1, 1] in torchvision: 4 x 768 and 768.
    ("thop", "convnext_tiny"),
    ("ptflops", "convnext_tiny"),
];

#[test]
fn networks_count_as_the_tools_count_them() {
    let measured = measured();
    let mut wrong = Vec::new();
    let mut checked = 0;
    for case in measured["zoo"].as_array().expect("a list") {
        let name = case["name"].as_str().expect("a name");
        let path = format!("{}/specs/zoo/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
        let Ok(loaded) = spec::load(&Disk::of(&path), &path, &Overrides::default()) else { continue };
        for (convention, tool) in TOOLS {
            let Some(theirs) = case["counts"][tool].as_u64() else { continue };
            if WRITTEN_OTHERWISE.contains(&(tool, name)) {
                continue;
            }
            checked += 1;
            match convention.total(&loaded.graph) {
                Ok(ours) if ours == theirs => {}
                ours => wrong.push(format!("{tool} {name}: prints {theirs}, we say {ours:?}")),
            }
        }
        assert_eq!(
            Convention::Paper.total(&loaded.graph).ok(),
            Some(totals::of_graph(&loaded.graph).macs),
            "{name}"
        );
    }
    assert!(wrong.is_empty(), "{} of {checked} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(checked >= 120, "only {checked} figures were compared");
}
