//! Text fitted into a number of columns: broken into lines, or shortened in the middle.

use unicode_width::UnicodeWidthStr;

/// Wraps `text` between words into lines of at most `width` columns.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.len() - 1;
        if !lines[last].is_empty() && lines[last].width() + 1 + word.width() > width {
            lines.push(word.to_owned());
        } else {
            if !lines[last].is_empty() {
                lines[last].push(' ');
            }
            lines[last].push_str(word);
        }
    }
    lines
}

/// Shortens `text` to at most `width` columns, its middle replaced by `…`: both ends of an id identify it.
pub fn shorten(text: &str, width: usize) -> String {
    if text.width() <= width || width < 3 {
        return text.to_owned();
    }
    let chars: Vec<char> = text.chars().collect();
    let head = (width - 1) / 2;
    let tail = width - 1 - head;
    let start: String = chars[..head.min(chars.len())].iter().collect();
    let end: String = chars[chars.len().saturating_sub(tail)..].iter().collect();
    format!("{start}…{end}")
}
