//! The two most frequent errors in flow collections (`{...}`, `[...]`): an unquoted expression with brackets
//! of its own, and a Python tuple, which YAML splits at its comma.

use crate::source::Span;
use crate::value::{Key, Located, Value};

/// Returns the byte range of the last expression with brackets that stands unquoted inside a flow collection
/// and starts before `until`: `{dilation: $rates[$i]}`.
pub(super) fn unquoted_expression(text: &str, until: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let (mut at, mut depth, mut found) = (0, 0usize, None);
    // Start of the current scalar.
    let mut scalar = 0;
    while at < bytes.len() && at <= until {
        let before = if at == 0 { b'\n' } else { bytes[at - 1] };
        match bytes[at] {
            b'#' if before.is_ascii_whitespace() => at = line_end(bytes, at),
            quote @ (b'"' | b'\'') if b" \n\t[{,:(-".contains(&before) => at = string_end(bytes, at, quote),
            b'$' if depth > 0 && opens(bytes, at) => {
                let end = expression_end(text, at);
                found = Some((scalar, end));
                at = end;
                continue;
            }
            b'[' | b'{' => (depth, scalar) = (depth + 1, at + 1),
            b']' | b'}' => (depth, scalar) = (depth.saturating_sub(1), at + 1),
            b',' | b'\n' => scalar = at + 1,
            b' ' if before == b':' || scalar == at => scalar = at + 1,
            _ => {}
        }
        at += 1;
    }
    found
}

/// Returns whether a bracket follows the `$` at `at`, or the name after it.
fn opens(bytes: &[u8], at: usize) -> bool {
    let name =
        bytes[at + 1..].iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
    match bytes.get(at + 1 + name) {
        Some(b'[') => name > 0,
        Some(b'{') => name == 0,
        _ => false,
    }
}

/// Returns the end of the expression that contains the byte `at`: the next comma, line end or closing bracket
/// that is not its own.
fn expression_end(text: &str, at: usize) -> usize {
    let mut depth = 0usize;
    for (offset, byte) in text[at..].bytes().enumerate() {
        match byte {
            b'[' | b'{' | b'(' => depth += 1,
            b']' | b'}' | b')' if depth > 0 => depth -= 1,
            b']' | b'}' | b')' | b'\n' => return at + text[at..at + offset].trim_end().len(),
            b',' if depth == 0 => return at + text[at..at + offset].trim_end().len(),
            _ => {}
        }
    }
    text.len()
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|&byte| byte == b'\n').map_or(bytes.len(), |offset| at + offset)
}

/// Returns the position of the closing quote of the string that starts at `at`.
fn string_end(bytes: &[u8], at: usize, quote: u8) -> usize {
    let mut escaped = false;
    for (offset, &byte) in bytes[at + 1..].iter().enumerate() {
        if byte == quote && !escaped {
            return at + 1 + offset;
        }
        escaped = byte == b'\\' && quote == b'"' && !escaped;
    }
    bytes.len()
}

/// Rejoins tuples: YAML parses `{kernel: (3, 3)}` as `kernel` with the text `(3` and a key `3)`.
pub(super) fn join_tuples(entries: &mut Vec<(Key, Located)>, text: &str) {
    let mut at = 0;
    while at < entries.len() {
        let opened =
            matches!(&entries[at].1.value, Value::Text(part) if part.starts_with('(') && !part.contains(')'));
        let rest = entries[at + 1..].iter().take_while(|(_, value)| value.value == Value::Null);
        let closed = rest.take(8).position(|(key, _)| key.name.ends_with(')'));
        if let (true, Some(more)) = (opened, closed) {
            let end = entries[at + 1 + more].0.span.end;
            let span = Span { end, ..entries[at].1.span };
            if let Some(whole) = text.get(span.start..span.end) {
                entries[at].1 = Located { value: Value::Text(whole.to_owned()), span };
                entries.drain(at + 1..=at + 1 + more);
            }
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<&str> {
        unquoted_expression(text, text.len()).map(|(start, end)| &text[start..end])
    }

    #[test]
    fn an_expression_with_brackets_is_found_where_yaml_ends_it() {
        assert_eq!(found("- conv: {kernel: 3, dilation: $rates[$i], padding: 1}"), Some("$rates[$i]"));
        assert_eq!(found("- {id: out, from: enc${3 - $i}}"), Some("enc${3 - $i}"));
        assert_eq!(found("a: [2 * $w[0] + 1, 3]"), Some("2 * $w[0] + 1"));
        assert_eq!(found("a: [\n  $w[$i - 1]\n]"), Some("$w[$i - 1]"));
    }

    #[test]
    fn what_yaml_takes_is_not_found() {
        for text in [
            "- conv: {dilation: \"$rates[$i]\"}",
            "- {from: 'enc${3 - $i}'}",
            "id: enc${3 - $i}",
            "a: {b: $w, c: [$w, $x]}",
            "a: {b: 1} # {c: $w[0]}",
            "# it's {c: $w[0]}",
            "a: {b: \"x\\\"$w[0]\"}",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
    }
}
