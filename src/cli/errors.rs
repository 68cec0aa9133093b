//! Errors as JSON, for whoever asked for JSON: the same flaws that standard error has in words.

use serde_json::{Value, json};

use crate::cli::Failure;
use cnnkit_core::diagnostic::Diagnostic;
use cnnkit_core::source::{Sources, Span};
use cnnkit_report::summary::SCHEMA_VERSION;

/// Returns the object that stands for the output of `command`, which could not run.
pub fn json(command: &str, failure: &Failure) -> Value {
    let mut errors = Vec::new();
    collect(failure, &mut errors);
    json!({"schema": SCHEMA_VERSION, "command": command, "ok": false, "errors": errors})
}

fn collect(failure: &Failure, errors: &mut Vec<Value>) {
    match failure {
        Failure::Rejected(rejected) => {
            errors.extend(rejected.flaws.iter().map(|flaw| located(flaw, &rejected.sources)));
        }
        Failure::Usage(message, help) => errors.push(json!({
            "code": null, "message": message, "help": help.iter().collect::<Vec<_>>(), "node": null,
            "file": null, "line": null, "column": null, "end_line": null, "end_column": null,
        })),
        Failure::Several(failures) => failures.iter().for_each(|failure| collect(failure, errors)),
    }
}

/// A flaw with its place; lines and columns count from 1.
fn located(flaw: &Diagnostic, sources: &Sources) -> Value {
    let place = |span: Span, at: usize| sources.line_column(span.source, at);
    let (start, end) =
        (flaw.span.map(|span| place(span, span.start)), flaw.span.map(|span| place(span, span.end)));
    json!({
        "code": flaw.code.id(),
        "message": flaw.message,
        "help": flaw.help,
        "node": flaw.node,
        "file": flaw.span.map(|span| sources.get(span.source).name.clone()),
        "line": start.map(|(line, _)| line),
        "column": start.map(|(_, column)| column),
        "end_line": end.map(|(line, _)| line),
        "end_column": end.map(|(_, column)| column),
    })
}
