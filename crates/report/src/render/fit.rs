//! Text broken into lines of a number of columns. Nothing is ever left out.

use unicode_width::UnicodeWidthStr;

use crate::StyledText;

/// What stands behind a number and is read with it: `1.85 G`, `70.6 %`.
const UNITS: [&str; 14] = ["%", "k", "M", "G", "T", "P", "E", "KiB", "MiB", "GiB", "TiB", "MACs", "ms", "s"];

/// Splits `text` into words; a number and its unit are one word.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut end = text.find(' ').unwrap_or(text.len());
        if text[..end].ends_with(|c: char| c.is_ascii_digit()) && end < text.len() {
            let next = text[end + 1..].split(' ').next().unwrap_or("");
            if UNITS.contains(&next.trim_end_matches([',', ';', '.', ':', ')'])) {
                end += 1 + next.len();
            }
        }
        rest = text.get(end + 1..);
        Some(&text[..end])
    })
}

/// Wraps `text` between words into lines of at most `width` columns; a longer word has a line of its own.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let (mut line, mut filled) = (String::new(), 0);
    for word in words(text) {
        let own = word.width();
        if !line.is_empty() && filled + 1 + own > width {
            lines.push(std::mem::take(&mut line));
            filled = 0;
        }
        if !line.is_empty() {
            line.push(' ');
            filled += 1;
        }
        line.push_str(word);
        filled += own;
    }
    lines.push(line);
    lines
}

/// Breaks `text` into lines of at most `width` columns: between words, or else after the last dot or slash of a name
/// that fits.
pub fn broken(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for mut line in wrap(text, width) {
        while line.width() > width && width > 0 {
            let fits = |end: &usize| line[..*end].width() <= width;
            let ends = line.char_indices().map(|(at, c)| at + c.len_utf8());
            let Some(hard) = ends.take_while(fits).last() else { break };
            // A part that would stand alone with a character or two is no help to a reader.
            let part = line[..hard].rfind(['.', '/', '_', ',', '-', ' ']).map(|at| at + 1);
            let rest = line.split_off(part.filter(|&at| at > width / 3).unwrap_or(hard));
            let part = std::mem::replace(&mut line, rest.trim_start().to_owned());
            lines.push(part.trim_end().to_owned());
        }
        lines.push(line);
    }
    lines
}

/// Breaks `spans` between words into lines of at most `width` columns. A word may have several tones.
pub fn lines(spans: &[StyledText], width: usize) -> Vec<Vec<StyledText>> {
    let mut split: Vec<Vec<StyledText>> = vec![vec![]];
    for span in spans {
        for (i, word) in words(&span.text).enumerate() {
            if i > 0 {
                split.push(vec![]);
            }
            if let (false, Some(last)) = (word.is_empty(), split.last_mut()) {
                last.push(StyledText::new(word, span.tone));
            }
        }
    }
    let mut lines: Vec<Vec<StyledText>> = vec![vec![]];
    let mut column = 0;
    for (i, word) in split.into_iter().enumerate() {
        let wide: usize = word.iter().map(|piece| piece.text.width()).sum();
        let mut gap = usize::from(i > 0);
        if column > 0 && column + gap + wide > width {
            trim(&mut lines);
            lines.push(vec![]);
            (column, gap) = (0, 0);
        }
        let Some(line) = lines.last_mut() else { break };
        if gap > 0 {
            line.push(StyledText::plain(" "));
            column += 1;
        }
        match word.as_slice() {
            [long] if long.text.width() > width => {
                let mut parts =
                    broken(&long.text, width).into_iter().map(|part| vec![StyledText::new(part, long.tone)]);
                line.extend(parts.next().into_iter().flatten());
                lines.extend(parts);
                column = lines.last().and_then(|line| line.last()).map_or(0, |piece| piece.text.width());
            }
            _ => {
                line.extend(word);
                column += wide;
            }
        }
    }
    trim(&mut lines);
    lines
}

/// Takes the blanks away that the last line ends with.
fn trim(lines: &mut [Vec<StyledText>]) {
    let Some(line) = lines.last_mut() else { return };
    while line.last().is_some_and(|piece| piece.text == " ") {
        line.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_stays_with_its_unit() {
        assert_eq!(
            wrap("it has 1.850 G MACs, 70.6 % of it.", 12),
            ["it has", "1.850 G", "MACs, 70.6 %", "of it."]
        );
        assert_eq!(wrap("a  b", 10), ["a  b"]);
    }

    #[test]
    fn a_name_is_broken_after_its_parts_and_nothing_is_lost() {
        let text = "stage1.bottleneck1.shortcut.conv1";
        let lines = broken(text, 14);
        assert_eq!(lines, ["stage1.", "bottleneck1.", "shortcut.conv1"]);
        assert_eq!(lines.concat(), text);
        assert_eq!(broken("abcdefghij", 4), ["abcd", "efgh", "ij"]);
    }
}
