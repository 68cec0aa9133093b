//! Errors for people: file, line, column, the source line, a caret under the token, and a remedy.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::diagnostic::Diagnostic;
use crate::render::Canvas;
use crate::source::{Sources, Span};

/// All of `diagnostics`, each followed by an empty line, in the order of their places.
pub fn render(diagnostics: &[Diagnostic], sources: &Sources, canvas: Canvas) -> String {
    let renderer = if canvas.color { Renderer::styled() } else { Renderer::plain() }.term_width(canvas.width);
    let mut sorted: Vec<&Diagnostic> = diagnostics.iter().collect();
    sorted.sort_by_key(|diagnostic| diagnostic.span.map(|span| (span.source, span.start)));
    let mut out = String::new();
    for diagnostic in sorted {
        let title = Level::ERROR.primary_title(&diagnostic.message);
        let mut group = match diagnostic.span {
            Some(span) => title.element(snippet(span, sources, AnnotationKind::Primary, None)),
            None => Group::with_title(title),
        };
        for (span, remark) in diagnostic.related.iter().take(3) {
            group = group.element(snippet(*span, sources, AnnotationKind::Context, Some(remark)));
        }
        if let Some(node) = &diagnostic.node {
            group = group.element(Level::NOTE.message(format!("this is layer `{node}` of the network")));
        }
        for help in &diagnostic.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        out += &renderer.render(&[group]);
        out += "\n\n";
    }
    out
}

fn snippet<'a>(
    span: Span,
    sources: &'a Sources,
    kind: AnnotationKind,
    label: Option<&'a str>,
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let source = sources.get(span.source);
    let (from, line) = window(&source.text, span.start);
    let text = &source.text[from..];
    let end = text.char_indices().filter(|&(_, c)| c == '\n').map(|(i, _)| i).find(|&i| i + from >= span.end);
    let text = &text[..end.unwrap_or(text.len())];
    let start = span.start.saturating_sub(from).min(text.len());
    let end = span.end.saturating_sub(from).clamp(start, text.len());
    let mut annotation = kind.span(start..end);
    if let Some(label) = label {
        annotation = annotation.label(label);
    }
    Snippet::source(text).path(source.name.as_str()).line_start(line).annotation(annotation)
}

/// The start of the line of `offset` and its number: a spec may be large, and only this part is drawn.
fn window(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..offset.min(text.len())];
    (before.rfind('\n').map_or(0, |i| i + 1), before.bytes().filter(|&b| b == b'\n').count() + 1)
}
