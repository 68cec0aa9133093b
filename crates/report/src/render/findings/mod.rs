//! Findings, in the formats of people, editors and CI services.

mod full;
mod github;
mod junit;
mod repository;
mod sarif;

pub use full::render as full;
pub use github::render as github;
pub use junit::render as junit;
pub use sarif::render as sarif;

use serde_json::json;

use crate::findings::{Findings, Item};
use crate::render::Canvas;
use crate::render::paint::paint;
use crate::{Cell, Column, Row, Table, Tone};
use cnnkit_findings::Severity;

/// Returns the colour of a severity.
fn tone(severity: Severity) -> Tone {
    match severity {
        Severity::Error => Tone::Bad,
        Severity::Warning => Tone::Warn,
        Severity::Note => Tone::Name,
    }
}

/// Formats the last line, coloured by the result.
fn summary(findings: &Findings, canvas: Canvas) -> String {
    let worst = findings.items.iter().map(|item| item.severity).max();
    paint(&findings.sentence(), worst.map_or(Tone::Good, tone), canvas) + "\n"
}

/// Formats one line per finding, `specs/a.yaml:4:50: warning[CK301] the dilation rates ...`, and the summary.
pub fn concise(findings: &Findings, canvas: Canvas) -> String {
    let line = |item: &Item| {
        let (line, column) = item.start();
        let place = format!("{}:{line}:{column}:", item.file());
        let kind = format!("{}[{}]", item.severity.name(), item.rule.id);
        let more = item.also.len() + item.specs.len();
        let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
        let fixable = if item.fix.as_ref().is_some_and(|fix| fix.safe) { " [fixable]" } else { "" };
        format!(
            "{} {} {}{}\n",
            paint(&place, Tone::Strong, canvas),
            paint(&kind, tone(item.severity), canvas),
            item.message,
            paint(&format!("{more}{fixable}"), Tone::Quiet, canvas)
        )
    };
    findings.items.iter().map(line).collect::<String>() + &summary(findings, canvas)
}

/// Formats one JSON object per line and finding.
pub fn jsonl(findings: &Findings) -> String {
    findings.items.iter().map(|item| serde_json::to_string(item).unwrap_or_default() + "\n").collect()
}

/// Formats GitLab's code quality report.
pub fn gitlab(findings: &Findings) -> String {
    let issue = |item: &Item| {
        let severity = match item.severity {
            Severity::Error => "critical",
            Severity::Warning => "major",
            Severity::Note => "info",
        };
        json!({
            "description": format!("{} {}: {}", item.rule.id, item.rule.name, item.message),
            "check_name": item.rule.id,
            "fingerprint": item.fingerprint,
            "severity": severity,
            "categories": ["Bug Risk"],
            "location": {
                "path": repository::path(item.file()),
                "lines": {"begin": item.start().0, "end": item.end().0},
            },
        })
    };
    super::json(&findings.items.iter().map(issue).collect::<Vec<_>>().into())
}

/// Returns the findings as a table, for CSV and Markdown.
pub fn table(findings: &Findings) -> Table {
    let row = |item: &Item| {
        let (line, column) = item.start();
        Row::new(vec![
            Cell::toned(item.severity.name(), tone(item.severity)),
            Cell::text(item.rule.id),
            Cell::text(item.rule.name),
            Cell::text(item.file()),
            Cell::count(line as u64),
            Cell::count(column as u64),
            Cell::text(item.node.as_deref().unwrap_or_default()),
            Cell::text(&item.message),
        ])
    };
    Table {
        name: "findings",
        columns: vec![
            Column::text("severity"),
            Column::text("rule"),
            Column::text("name"),
            Column::text("file"),
            Column::number("line"),
            Column::number("column"),
            Column::text("layer"),
            Column::text("finding"),
        ],
        rows: findings.items.iter().map(row).collect(),
    }
}
