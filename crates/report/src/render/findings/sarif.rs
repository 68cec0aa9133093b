//! SARIF 2.1.0 (OASIS), for GitHub code scanning and editors.

use serde_json::{Value, json};

use crate::findings::{Change, Findings, Item, Spot};
use crate::render::findings::repository;
use cnnkit_findings::{Meta, Severity};

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// Formats the log of one run: every rule with its documentation, every finding, with suppressed ones marked as such.
pub fn render(findings: &Findings) -> String {
    let index = |item: &Item| findings.rules.iter().position(|meta| meta.id == item.rule.id).unwrap_or(0);
    let mut results: Vec<Value> = findings.items.iter().map(|item| result(item, index(item))).collect();
    results.extend(findings.suppressed.iter().map(|item| {
        let mut result = result(item, index(item));
        result["suppressions"] = json!([{"kind": "inSource"}]);
        result
    }));
    super::super::json(&json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "cnnkit",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": findings.rules.iter().map(|meta| rule(meta)).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "invocations": [{"executionSuccessful": true}],
            "results": results,
        }],
    }))
}

fn level(severity: Severity) -> &'static str {
    severity.name()
}

fn rule(meta: &Meta) -> Value {
    let text =
        format!("{}\n\nWhy: {}\n\nInstead: {}\n\nSource: {}", meta.what, meta.why, meta.instead, meta.source);
    let example = if meta.bad.is_empty() { String::new() } else { format!("\n\n```yaml\n{}```", meta.bad) };
    let markdown = format!(
        "{}\n\n**Why.** {}\n\n**Instead.** {}\n\nSource: {}{example}",
        meta.what, meta.why, meta.instead, meta.source
    );
    json!({
        "id": meta.id,
        "name": meta.name,
        "shortDescription": {"text": meta.summary},
        "fullDescription": {"text": meta.what},
        "help": {"text": text, "markdown": markdown},
        "defaultConfiguration": {"enabled": meta.default, "level": level(meta.severity)},
        "properties": {"tags": [meta.family.name()], "precision": if meta.default { "high" } else { "medium" }},
    })
}

fn result(item: &Item, index: usize) -> Value {
    let mut location = json!({
        "physicalLocation": match &item.spot {
            Some(spot) => physical(spot),
            None => json!({"artifactLocation": {"uri": uri(&item.spec)}}),
        },
    });
    if let Some(node) = &item.node {
        location["logicalLocations"] = json!([{"fullyQualifiedName": node, "kind": "member"}]);
    }
    let mut text = item.message.clone();
    for more in item.others().iter().chain(&item.help) {
        text += &format!("\n{more}");
    }
    let mut result = json!({
        "ruleId": item.rule.id,
        "ruleIndex": index,
        "level": level(item.severity),
        "message": {"text": text},
        "locations": [location],
        "partialFingerprints": {"cnnkit/v1": item.fingerprint},
    });
    if !item.related.is_empty() {
        let related = item.related.iter().enumerate().map(|(id, (spot, remark))| {
            json!({"id": id, "physicalLocation": physical(spot), "message": {"text": remark}})
        });
        result["relatedLocations"] = related.collect::<Vec<_>>().into();
    }
    if let Some(fix) = &item.fix {
        result["fixes"] = json!([change(fix)]);
    }
    result
}

fn change(fix: &Change) -> Value {
    let mut files: Vec<(&str, Vec<Value>)> = Vec::new();
    for (spot, text) in &fix.edits {
        let replacement = json!({"deletedRegion": region(spot), "insertedContent": {"text": text}});
        match files.iter_mut().find(|(file, _)| *file == spot.file) {
            Some((_, list)) => list.push(replacement),
            None => files.push((&spot.file, vec![replacement])),
        }
    }
    let changes: Vec<Value> = files
        .into_iter()
        .map(|(file, list)| json!({"artifactLocation": {"uri": uri(file)}, "replacements": list}))
        .collect();
    json!({"description": {"text": fix.title}, "artifactChanges": changes})
}

fn physical(spot: &Spot) -> Value {
    json!({"artifactLocation": {"uri": uri(&spot.file)}, "region": region(spot)})
}

fn region(spot: &Spot) -> Value {
    let (line, column) = spot.from;
    let (end_line, end_column) = spot.to;
    json!({"startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column})
}

/// Returns the path as a relative URI: everything except unreserved characters and `/` is percent-encoded (RFC 3986).
fn uri(file: &str) -> String {
    let mut out = String::new();
    for byte in repository::path(file).bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(char::from(byte));
            }
            // `zoo:resnet50` has a scheme.
            b':' if file.starts_with("zoo:") => out.push(':'),
            other => out += &format!("%{other:02X}"),
        }
    }
    out
}
