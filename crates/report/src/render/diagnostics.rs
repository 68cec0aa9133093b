//! Errors for people: file, line, column, the source line, a caret under the token, and a remedy.

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};

use crate::Tone;
use crate::render::Canvas;
use crate::render::paint::paint;
use crate::render::safe::{inert, same_length, visible};
use cnnkit_core::diagnostic::Diagnostic;
use cnnkit_core::source::{Sources, Span};

/// Maximum number of positions shown in addition to the flaw's own.
const MAX_RELATED: usize = 3;

/// Formats all `diagnostics`, each followed by an empty line, in the order of their positions.
pub fn render(diagnostics: &[Diagnostic], sources: &Sources, canvas: Canvas) -> String {
    let renderer = if canvas.color { Renderer::styled() } else { Renderer::plain() }.term_width(canvas.width);
    let mut sorted: Vec<&Diagnostic> = diagnostics.iter().collect();
    sorted.sort_by_key(|diagnostic| diagnostic.span.map(|span| (span.source, span.start)));
    let mut out = String::new();
    for diagnostic in sorted {
        let Some(primary) = diagnostic.span else {
            out += &without_place(diagnostic, canvas);
            continue;
        };
        let title = Level::ERROR.primary_title(visible(&diagnostic.message));
        let mut group = match snippet(primary, sources, AnnotationKind::Primary, None) {
            Some(snippet) => title.element(snippet),
            None => title.element(origin(primary, sources)),
        };
        // A block that uses itself passes the same position repeatedly.
        let mut shown = vec![primary];
        for (span, remark) in &diagnostic.related {
            if shown.len() <= MAX_RELATED && !shown.contains(span) {
                shown.push(*span);
                group = match snippet(*span, sources, AnnotationKind::Context, Some(remark)) {
                    Some(snippet) => group.element(snippet),
                    None => group.element(origin(*span, sources)),
                };
            }
        }
        if let Some(node) = &diagnostic.node {
            let note = format!("this is layer `{}` of the network", visible(node));
            group = group.element(Level::NOTE.message(note));
        }
        for help in &diagnostic.help {
            group = group.element(Level::HELP.message(visible(help)));
        }
        out += &renderer.render(&[group]);
        out += "\n\n";
    }
    inert(out)
}

/// Formats a flaw of the call or of the whole input.
pub fn plain(message: &str, help: &[String], canvas: Canvas) -> String {
    let message = visible(message);
    let mut out =
        format!("{} {}\n", paint("error:", Tone::Bad, canvas), paint(&message, Tone::Strong, canvas));
    for help in help {
        out += &format!("  = {}: {}\n", paint("help", Tone::Strong, canvas), visible(help));
    }
    inert(out)
}

fn without_place(diagnostic: &Diagnostic, canvas: Canvas) -> String {
    plain(&diagnostic.message, &diagnostic.help, canvas) + "\n"
}

/// Maximum number of bytes of a line that is shown: drawing it takes time for each of them, for every error.
const MAX_LINE: usize = 1 << 14;

/// Returns the place of `span` without its line.
fn origin(span: Span, sources: &Sources) -> Origin<'_> {
    let (line, column) = sources.line_column(span.source, span.start);
    Origin::path(visible(&sources.get(span.source).name)).line(line).char_column(column)
}

/// Returns the line of `span` with an annotation; `None` if the line is too long.
fn snippet<'a>(
    span: Span,
    sources: &'a Sources,
    kind: AnnotationKind,
    label: Option<&'a str>,
) -> Option<Snippet<'a, annotate_snippets::Annotation<'a>>> {
    let (source, span) = (sources.get(span.source), sources.whole(span));
    let from = sources.line_start(span.source, span.start);
    let (line, _) = sources.line_column(span.source, span.start);
    // One line is enough to find the token.
    let text = source.text[from..].lines().next().unwrap_or("");
    if text.len() > MAX_LINE {
        return None;
    }
    let start = span.start.saturating_sub(from).min(text.len());
    let end = span.end.saturating_sub(from).clamp(start, text.len());
    let mut annotation = kind.span(start..end);
    if let Some(label) = label {
        annotation = annotation.label(visible(label));
    }
    let snippet = Snippet::source(same_length(text)).path(visible(&source.name));
    Some(snippet.line_start(line).annotation(annotation))
}
