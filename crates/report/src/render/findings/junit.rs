//! JUnit XML: one test suite per spec, one failed test per finding, one passed test for a clean spec.

use crate::findings::{Findings, Item};
use cnnkit_findings::Severity;

/// Formats the report. Notes are passed tests with the message as their output.
pub fn render(findings: &Findings) -> String {
    let mut suites = String::new();
    let (mut tests, mut failures) = (0, 0);
    for spec in &findings.specs {
        // A flaw of an included file fails every spec that includes it.
        let of_spec = |item: &&Item| item.spec == *spec || item.specs.contains(spec);
        let items: Vec<&Item> = findings.items.iter().filter(of_spec).collect();
        let failed = items.iter().filter(|item| item.severity > Severity::Note).count();
        tests += items.len().max(1);
        failures += failed;
        suites += &format!(
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failed}\" errors=\"0\" skipped=\"0\" time=\"0\">\n",
            escape(spec),
            items.len().max(1)
        );
        if items.is_empty() {
            suites += &format!("    <testcase name=\"clean\" classname=\"{}\" time=\"0\"/>\n", escape(spec));
        }
        suites += &items.into_iter().map(case).collect::<String>();
        suites += "  </testsuite>\n";
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"cnnkit check\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" time=\"0\">\n{suites}</testsuites>\n"
    )
}

fn case(item: &Item) -> String {
    let (line, column) = item.start();
    let name = match &item.node {
        Some(node) => format!("{} {} ({node})", item.rule.id, item.rule.name),
        None => format!("{} {}", item.rule.id, item.rule.name),
    };
    let mut text = format!("{}:{line}:{column}: {}\n", item.file(), item.message);
    for more in item.others().iter().chain(&item.help) {
        text += &format!("{more}\n");
    }
    let inside = if item.severity == Severity::Note {
        format!("<system-out>{}</system-out>", escape(&text))
    } else {
        format!(
            "<failure type=\"{}\" message=\"{}\">{}</failure>",
            item.severity.name(),
            escape(&item.message),
            escape(&text)
        )
    };
    format!(
        "    <testcase name=\"{}\" classname=\"{}\" file=\"{}\" line=\"{line}\" time=\"0\">{inside}</testcase>\n",
        escape(&name),
        escape(&item.spec),
        escape(item.file())
    )
}

/// Escapes text for XML 1.0, which does not allow control characters.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\n' | '\t' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
