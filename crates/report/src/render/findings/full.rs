//! Findings for people: the flaw with its numbers, the line with a caret under the token, the enclosing uses of
//! blocks, the remedy, and the fix as a diff.

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Patch, Renderer, Snippet};

use super::summary;
use crate::Tone;
use crate::findings::{Findings, Item, Skipped, Spot};
use crate::render::paint::paint;
use crate::render::{Canvas, safe};
use cnnkit_findings::{Family, Severity};

/// Maximum number of positions shown in addition to the flaw's own.
const MAX_RELATED: usize = 2;

/// Formats every finding, each followed by an empty line, and the summary.
pub fn render(findings: &Findings, canvas: Canvas) -> String {
    let renderer = if canvas.color { Renderer::styled() } else { Renderer::plain() }.term_width(canvas.width);
    let mut out = String::new();
    for item in &findings.items {
        out += &renderer.render(&groups(item, canvas));
        out += "\n\n";
    }
    for Skipped { spec, rule, reason } in &findings.skipped {
        let text = format!("{spec}: {} ({}) was not applied: {reason}", rule.id, rule.name);
        for line in crate::render::fit::wrap(&text, canvas.width) {
            out += &(paint(&line, Tone::Warn, canvas) + "\n");
        }
    }
    if !findings.skipped.is_empty() {
        out.push('\n');
    }
    out + &summary(findings, canvas)
}

fn groups(item: &Item, canvas: Canvas) -> Vec<Group<'_>> {
    let level = match item.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let title = level.primary_title(wrapped(&item.message, canvas)).id(item.rule.id);
    let mut group = match &item.spot {
        Some(spot) if line(spot).is_none() => title.element(origin(spot)),
        Some(spot) => title.element(snippet(spot, AnnotationKind::Primary, None)),
        None => title.element(Level::NOTE.message(format!("in {}", item.spec))),
    };
    let own = item.spot.as_ref().map(|spot| (&spot.file, spot.start));
    let mut shown = vec![own];
    for (spot, remark) in &item.related {
        let place = Some((&spot.file, spot.start));
        if shown.len() <= MAX_RELATED && !shown.contains(&place) && line(spot).is_some() {
            shown.push(place);
            group = group.element(snippet(spot, AnnotationKind::Context, Some(remark)));
        }
    }
    if let Some(node) = &item.node {
        group = group.element(Level::NOTE.message(format!("this is layer `{node}`")));
    }
    if let Some(others) = item.others() {
        group = group.element(Level::NOTE.message(wrapped(&others, canvas)));
    }
    for help in &item.help {
        group = group.element(Level::HELP.message(wrapped(help, canvas)));
    }
    let mut groups = vec![group];
    // `--update` writes measured values, as the remedy says.
    if let Some(fix) = item.fix.as_ref().filter(|_| item.rule.family != Family::Expectation)
        && let [(spot, text)] = fix.edits.as_slice()
        && let Some(patch) = patch(spot, text)
    {
        let how = if fix.safe { "`--fix` does it" } else { "`--fix --unsafe` does it; review it first" };
        groups.push(Level::HELP.secondary_title(format!("{}: {how}", fix.title)).element(patch));
    }
    groups
}

/// Wraps long sentences; the renderer indents the lines after the first.
fn wrapped(text: &str, canvas: Canvas) -> String {
    // Room for `warning[CK301]: ` or ` = help: `.
    // A number and its percent sign stay together.
    let text = text.replace(" %", "\u{a0}%");
    let lines = crate::render::fit::wrap(&text, canvas.width.saturating_sub(17).max(30));
    lines.join("\n").replace('\u{a0}', " ")
}

/// Returns the line of `spot`, with an annotation.
fn snippet<'a>(spot: &'a Spot, kind: AnnotationKind, label: Option<&'a str>) -> Snippet<'a, Annotation<'a>> {
    let (from, text) = line(spot).unwrap_or((spot.start, ""));
    let start = spot.start.saturating_sub(from).min(text.len());
    let end = spot.end.saturating_sub(from).clamp(start, text.len());
    let annotation = kind.span(start..end).label(label);
    Snippet::source(safe::same_length(text))
        .path(spot.file.as_str())
        .line_start(spot.from.0)
        .annotation(annotation)
}

/// Returns the line with a change; `None` if the change spans lines.
fn patch<'a>(spot: &'a Spot, text: &'a str) -> Option<Snippet<'a, Patch<'a>>> {
    let (from, whole) = line(spot)?;
    let (start, end) = (spot.start - from, spot.end - from);
    if end > whole.len() || text.contains('\n') {
        return None;
    }
    let patch = Patch::new(start..end, safe::visible(text));
    Some(Snippet::source(safe::same_length(whole)).line_start(spot.from.0).patch(patch))
}

/// Maximum number of bytes of a line that is shown: drawing it takes time for each of them, for every finding.
const MAX_LINE: usize = 1 << 14;

/// Returns the place of `spot` without its line.
fn origin(spot: &Spot) -> Origin<'_> {
    Origin::path(spot.file.as_str()).line(spot.from.0).char_column(spot.from.1)
}

/// Returns the first line of `spot` and where it starts: one line is enough to find the token, and the text may be
/// large. `None` if the line itself is.
fn line(spot: &Spot) -> Option<(usize, &str)> {
    let rest = &spot.text[spot.line..];
    let near = rest.len().min(MAX_LINE + 1);
    let end = rest.as_bytes()[..near].iter().position(|&byte| byte == b'\n');
    let text = match end {
        Some(end) => &rest[..end],
        None if rest.len() <= MAX_LINE => rest,
        None => return None,
    };
    Some((spot.line, text.strip_suffix('\r').unwrap_or(text)))
}
