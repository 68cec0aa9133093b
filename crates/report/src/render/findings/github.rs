//! GitHub's workflow commands: annotations on the lines of a pull request.
//!
//! A step shows at most ten annotations of each kind and silently drops the others. So the most severe come first,
//! the rest goes into a folded part of the log, and a notice has their number.

use crate::findings::{Findings, Item, counted};
use crate::render::findings::repository;
use crate::render::{Canvas, safe};
use cnnkit_findings::Severity;

/// Annotations of one kind that a step shows.
const SHOWN: usize = 10;

/// Formats the commands, and the annotations that GitHub would drop as plain lines.
pub fn render(findings: &Findings) -> String {
    let (mut out, mut rest) = (String::new(), Vec::new());
    let mut left = 0;
    for severity in [Severity::Error, Severity::Warning, Severity::Note] {
        // One notice is reserved for the summary.
        let room = if severity == Severity::Note { SHOWN - 1 } else { SHOWN };
        let of_kind: Vec<&Item> = findings.items.iter().filter(|item| item.severity == severity).collect();
        out += &of_kind.iter().take(room).map(|item| command(item)).collect::<String>();
        rest.extend(of_kind.iter().skip(room).map(|item| (*item).clone()));
        left += of_kind.len().saturating_sub(room);
    }
    let more = if left > 0 {
        format!("; GitHub shows {SHOWN} per severity, {} more in the log", counted(left, "finding"))
    } else {
        String::new()
    };
    if !findings.items.is_empty() {
        out += &format!("::notice title=cnnkit::{}\n", data(&(findings.sentence() + &more)));
    }
    if left > 0 {
        let plain = Findings { items: rest, ..Findings::default() };
        let lines = safe::inert(super::concise(&plain, Canvas { width: 200, color: false, tables: false }));
        let lines: Vec<&str> = lines.lines().take(left).collect();
        out += &format!("::group::{} more\n{}\n::endgroup::\n", counted(left, "finding"), lines.join("\n"));
    }
    out + &findings.sentence() + "\n"
}

fn command(item: &Item) -> String {
    let kind = match item.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "notice",
    };
    let ((line, column), (end_line, end_column)) = (item.start(), item.end());
    let mut text = item.message.clone();
    for line in item.others().iter().chain(&item.help) {
        text += &format!("\n{line}");
    }
    // GitHub rejects a column range over several lines, and includes the last column.
    let columns = if line == end_line {
        format!(",col={column},endColumn={}", end_column.max(column + 1) - 1)
    } else {
        String::new()
    };
    format!(
        "::{kind} file={},line={line},endLine={end_line}{columns},title={}::{}\n",
        property(&repository::path(item.file())),
        property(&format!("{} {}", item.rule.id, item.rule.name)),
        data(&text)
    )
}

/// Escapes the text after `::` as actions/toolkit does.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
