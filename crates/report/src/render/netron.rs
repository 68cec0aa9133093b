//! Figures as an attachment of Netron, which shows them beside each node of the model (tested with Netron 9.2).
//!
//! An attachment is a JSON file with `"signature": "netron:attachment"` and two lists, `metadata` and `metrics`. An item
//! names what it is about (`kind`, and `target`, a node's name; for a model the empty name), and has a `name` and a
//! `value`. Of two items with one name for one target Netron keeps the last, so there is one.

use serde_json::{Value, json};

/// The largest integer that JavaScript reads exactly.
const MOST: u64 = 1 << 53;

/// Formats the JSON of `params` or `rf`.
pub fn render(report: &Value) -> String {
    let mut metrics = Vec::new();
    let model = |name: &str, value: &Value| item("model", "", name, value.clone());
    if let Some(totals) = report.get("totals") {
        for (key, name) in COUNTS {
            metrics.extend(totals.get(key).map(|value| model(name, value)));
        }
    }
    let layers = report.get("layers").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let inputs = distinct(layers.iter().filter_map(|layer| layer.get("input")));
    let targets = distinct(layers.iter().filter_map(target));
    let mut of_target: std::collections::HashMap<&str, Vec<&Value>> = std::collections::HashMap::new();
    for layer in layers {
        if let Some(target) = target(layer).and_then(Value::as_str) {
            of_target.entry(target).or_default().push(layer);
        }
    }
    for target in targets.iter().filter_map(|target| target.as_str()) {
        let layers = of_target.get(target).map_or(&[][..], Vec::as_slice);
        // Layers that were made from one node of the file are counted together.
        for (key, name) in COUNTS {
            let sum = layers.iter().filter_map(|layer| layer.get(key)?.as_u64()).fold(0, u64::saturating_add);
            metrics.extend((sum > 0).then(|| item("node", target, name, number(sum))));
        }
        for &input in &inputs {
            // The last of them has the field of the node's output.
            let Some(layer) = layers.iter().rev().find(|layer| layer.get("input") == Some(input)) else {
                continue;
            };
            let of = if inputs.len() > 1 { format!(", input {}", text(input)) } else { String::new() };
            metrics.push(item("node", target, &format!("receptive field{of}"), json!(field(layer))));
            if layer.get("global") != Some(&Value::Bool(true)) {
                let jump = layer.get("jump").map(axes).unwrap_or_default();
                metrics.push(item("node", target, &format!("jump{of}"), json!(jump)));
            }
        }
    }
    let attachment = json!({ "signature": "netron:attachment", "metadata": [], "metrics": metrics });
    super::json(&attachment)
}

/// The counts of a layer and of a model: their keys, and their names in Netron, which has `parameters` of its own.
const COUNTS: [(&str, &str); 4] =
    [("params", "parameters"), ("macs", "MACs"), ("flops", "FLOPs"), ("other_ops", "other ops")];

fn item(kind: &str, target: &str, name: &str, value: Value) -> Value {
    json!({ "kind": kind, "target": target, "name": name, "value": value })
}

/// Returns the name of the layer's node in the model's file; that of an exported spec is the layer's id.
fn target(layer: &Value) -> Option<&Value> {
    layer.get("node").or_else(|| layer.get("id")).filter(|_| layer.get("op") != Some(&json!("input")))
}

fn distinct<'a>(values: impl Iterator<Item = &'a Value>) -> Vec<&'a Value> {
    let mut seen = std::collections::HashSet::new();
    values.filter(|value| seen.insert(value.to_string())).collect()
}

fn number(count: u64) -> Value {
    if count > MOST { json!(count.to_string()) } else { json!(count) }
}

fn field(layer: &Value) -> String {
    let global = layer.get("global") == Some(&Value::Bool(true));
    if global { "global".into() } else { layer.get("size").map(axes).unwrap_or_default() }
}

/// Formats `[35, 35]` as `35 x 35`.
fn axes(values: &Value) -> String {
    let values = values.as_array().map_or(&[][..], Vec::as_slice);
    values.iter().map(text).collect::<Vec<_>>().join(" x ")
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
