//! Edits of a spec's text that keep its comments and layout.
//!
//! The text is edited at the positions that the parser recorded; nothing is reformatted. Where the text has a form
//! that these functions do not support (an alias, an anchor, a name from a variable), they return `None` and there is
//! no fix.

use crate::Edit;
use cnnkit_core::source::{Origin, Sources, Span};

/// Sets the argument `name` of the layer written at `origin` to `value`.
pub fn set_argument(sources: &Sources, origin: &Origin, name: &str, value: &str) -> Option<Edit> {
    let key = origin.span?;
    let text = &*sources.get(key.source).text;
    let arguments = arguments(text, key)?;
    let written = origin.args.iter().find(|(arg, _)| arg == name).map(|&(_, span)| span);
    match written.filter(|span| span.source == key.source && arguments.contains(span.start)) {
        Some(span) => Some(Edit { span, text: value.to_owned() }),
        None => Some(arguments.insert(key, text, &format!("{name}: {value}"))),
    }
}

/// Removes the list item that consists of the layer at `origin` alone, with its line.
pub fn remove_item(sources: &Sources, origin: &Origin) -> Option<Edit> {
    let key = origin.span?;
    let text = &*sources.get(key.source).text;
    let (line_start, line_end) = line(text, key.start);
    let before = text.get(line_start..key.start)?.trim_start();
    let last = match arguments(text, key)? {
        Arguments::None => key.end,
        Arguments::Flow { open, close } => {
            if text[open..close].contains('\n') {
                return None;
            }
            close + 1
        }
        Arguments::Block { .. } => return None,
    };
    let after = text.get(last..line_end)?.trim();
    let alone = before.starts_with('-') && before[1..].trim().is_empty();
    if alone && (after.is_empty() || after.starts_with('#')) {
        let end = (line_end + 1).min(text.len());
        return Some(Edit { span: Span::new(key.source, line_start, end), text: String::new() });
    }
    // One of several in brackets: `[conv: {...}, relu, relu]`.
    if text[..key.start].trim_end().ends_with(',')
        && after.starts_with([',', ']'])
        && in_list(text, key.start)
    {
        let start = text[..key.start].trim_end().len() - 1;
        return Some(Edit { span: Span::new(key.source, start, last), text: String::new() });
    }
    None
}

/// Number of characters after which the bracket around a layer, the end of its arguments or of its line is given up:
/// every finding with a fix looks for them.
const MAX_WALK: usize = 1 << 14;

/// Whether the innermost bracket around `offset` is that of a list: in `{id: a, relu: {}, from: b}` a layer is one
/// entry of an item, not an item.
fn in_list(text: &str, offset: usize) -> bool {
    let mut depth = 0usize;
    for c in text[..offset].chars().rev().take(MAX_WALK) {
        match c {
            ']' | '}' => depth += 1,
            '[' | '{' if depth > 0 => depth -= 1,
            '[' => return true,
            '{' => return false,
            _ => {}
        }
    }
    false
}

/// How the arguments of a layer are written.
#[derive(Debug, PartialEq, Eq)]
enum Arguments {
    /// `- relu`, or `- relu:` with nothing after it.
    None,
    /// `- conv: {kernel: 3}`: the offsets of the braces.
    Flow { open: usize, close: usize },
    /// Lines below: the offset after the last of them, the start of the range, and the indentation.
    Block { start: usize, end: usize, indent: usize },
}

impl Arguments {
    fn contains(&self, offset: usize) -> bool {
        match *self {
            Self::None => false,
            Self::Flow { open, close } => (open..close).contains(&offset),
            Self::Block { start, end, .. } => (start..end).contains(&offset),
        }
    }

    /// Inserts `entry` (`bias: false`) as the last argument of the layer named at `key`.
    fn insert(&self, key: Span, text: &str, entry: &str) -> Edit {
        match *self {
            Self::None => {
                let colon = text[key.end..].starts_with(':');
                let written = if colon { format!(" {{{entry}}}") } else { format!(": {{{entry}}}") };
                let at = key.end + usize::from(colon);
                Edit { span: Span::new(key.source, at, at), text: written }
            }
            Self::Flow { open, close } => {
                let inside = text[open + 1..close].trim_end();
                let at = open + 1 + inside.len();
                let separator = match inside.trim_start() {
                    "" => "",
                    list if list.ends_with(',') => " ",
                    _ => ", ",
                };
                Edit { span: Span::new(key.source, at, at), text: format!("{separator}{entry}") }
            }
            Self::Block { end, indent, .. } => {
                let line = format!("\n{}{entry}", " ".repeat(indent));
                Edit { span: Span::new(key.source, end, end), text: line }
            }
        }
    }
}

/// Returns the arguments after the layer's name at `key`.
fn arguments(text: &str, key: Span) -> Option<Arguments> {
    let name = text.get(key.start..key.end)?;
    if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || c == '_') {
        return None;
    }
    let rest = &text[key.end..];
    let Some(value) = rest.strip_prefix(':') else {
        // After a name without a colon, the item ends.
        let next = rest.trim_start_matches(' ').chars().next();
        return matches!(next, None | Some('\n' | '\r' | '#' | ',' | ']' | '}')).then_some(Arguments::None);
    };
    let blank = value.len() - value.trim_start_matches(' ').len();
    let from = key.end + 1 + blank;
    match text[from..].chars().next() {
        Some('{') => Some(Arguments::Flow { open: from, close: closing(text, from)? }),
        None | Some('\n' | '\r' | '#') => block(text, key, from),
        Some(',' | ']' | '}') => Some(Arguments::None),
        _ => None,
    }
}

/// Returns the block mapping below the line of `from`, if it is indented deeper than the layer's name.
fn block(text: &str, key: Span, from: usize) -> Option<Arguments> {
    let (line_start, line_end) = line(text, key.start);
    // A brace or bracket before it on its line: the lines below belong to something else.
    if text[line_start..key.start].contains(['{', '[']) {
        return None;
    }
    let column = key.start - line_start;
    let mut found: Option<(usize, usize, usize)> = None;
    let mut at = line_end + 1;
    while at < text.len() {
        let (start, end) = line(text, at);
        let content = text[start..end].trim_end();
        let indent = content.len() - content.trim_start_matches(' ').len();
        let blank = content.trim_start().is_empty() || content.trim_start().starts_with('#');
        if !blank {
            if indent <= column {
                break;
            }
            found = Some(match found {
                None => (start, start + content.len(), indent),
                Some((first, _, depth)) => (first, start + content.len(), depth),
            });
        }
        at = end + 1;
    }
    match found {
        Some((start, end, indent)) => Some(Arguments::Block { start, end, indent }),
        None => (text[from..line_end].trim().is_empty()).then_some(Arguments::None),
    }
}

/// Returns the offset of the bracket that closes the one at `open`; quotes and comments are skipped.
fn closing(text: &str, open: usize) -> Option<usize> {
    let (mut depth, mut quote, mut comment, mut before) = (0usize, None, false, ' ');
    for (i, c) in text[open..].char_indices().take(MAX_WALK) {
        match (quote, c) {
            _ if comment => comment = c != '\n',
            (Some(q), c) if c == q => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') if !before.is_alphanumeric() => quote = Some(c),
            (None, '#') if before.is_whitespace() => comment = true,
            (None, '{' | '[') => depth += 1,
            (None, '}' | ']') => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(open + i);
                }
            }
            _ => {}
        }
        before = c;
    }
    None
}

/// Returns start and end (without the line feed) of the line around `offset`.
fn line(text: &str, offset: usize) -> (usize, usize) {
    let start = text[..offset].rfind('\n').map_or(0, |i| i + 1);
    let end = text[offset..].find('\n').map_or(text.len(), |i| offset + i);
    (start, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(text: &str, name: &str, edit: impl Fn(&Sources, &Origin) -> Option<Edit>) -> Option<String> {
        let mut sources = Sources::default();
        let source = sources.add("test", text);
        let start = text.find(name)?;
        let span = Some(Span::new(source, start, start + name.len()));
        let edit = edit(&sources, &Origin { span, ..Origin::default() })?;
        Some(format!("{}{}{}", &text[..edit.span.start], edit.text, &text[edit.span.end..]))
    }

    #[test]
    fn an_argument_is_added_in_the_style_of_its_neighbours() {
        for (text, expected) in [
            ("- conv: {kernel: 3}\n", Some("- conv: {kernel: 3, bias: false}\n")),
            ("- conv: {kernel: [1, 3], }", Some("- conv: {kernel: [1, 3], bias: false }")),
            ("- conv: { kernel: 3 } # ok", Some("- conv: { kernel: 3, bias: false } # ok")),
            ("- conv: {a: '}',\n   kernel: 3}\n", Some("- conv: {a: '}',\n   kernel: 3, bias: false}\n")),
            ("- conv: {}\n", Some("- conv: {bias: false}\n")),
            ("- conv\n- relu\n", Some("- conv: {bias: false}\n- relu\n")),
            ("- conv:\n- relu\n", Some("- conv: {bias: false}\n- relu\n")),
            ("[conv, relu]", Some("[conv: {bias: false}, relu]")),
            (
                "- conv: # wide\n    kernel: 3 # x\n\n    # y\n    stride: 2\n- relu\n",
                Some(
                    "- conv: # wide\n    kernel: 3 # x\n\n    # y\n    stride: 2\n    bias: false\n- relu\n",
                ),
            ),
            ("- conv: *same\n", None),
            ("- conv: &same {kernel: 3}\n", None),
        ] {
            let found =
                edited(text, "conv", |sources, origin| set_argument(sources, origin, "bias", "false"));
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn an_item_goes_with_its_line_or_its_comma() {
        for (text, expected) in [
            ("- a\n- relu # why\n- b\n", Some("- a\n- b\n")),
            ("- [a, relu, b]", Some("- [a, b]")),
            ("- [a, relu: {}]", Some("- [a]")),
            ("- {id: x, relu: {}}", None),
            ("- {id: x, relu: {}, from: y}", None),
            ("- [a, {id: x, relu: {}, from: y}]", None),
            ("- [{id: x, b: {}}, relu, c]", Some("- [{id: x, b: {}}, c]")),
            ("- relu:\n    a: 1\n", None),
        ] {
            assert_eq!(edited(text, "relu", remove_item).as_deref(), expected, "{text}");
        }
    }
}
