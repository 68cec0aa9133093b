//! Splits texts into code and comments: specs, project files (YAML, TOML) and Python.

/// Returns the lines of `text`, each as its code and its comment without the `#`. `name` determines the language.
pub(crate) fn lines<'t>(name: &str, text: &'t str) -> Vec<(&'t str, Option<&'t str>)> {
    let python = std::path::Path::new(name).extension().is_some_and(|ending| ending == "py");
    let mut open = None;
    let line = |line: &'t str| {
        let line = line.trim_end_matches(['\n', '\r']);
        let at = if python { comment_in_python(line, &mut open) } else { comment(line) };
        at.map_or((line, None), |at| (&line[..at], Some(&line[at + 1..])))
    };
    text.split_inclusive('\n').map(line).collect()
}

/// Returns the place of the `#` that begins a comment in YAML. Quoted text is code.
fn comment(line: &str) -> Option<usize> {
    let (mut quote, mut before) = (None, ' ');
    for (i, c) in line.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') if before.is_whitespace() || "[{,:(".contains(before) => quote = Some(c),
            (None, '#') if before.is_whitespace() => return Some(i),
            _ => {}
        }
        before = c;
    }
    None
}

/// A string of Python that is open: its quote, and whether it ends with three of them.
type Quote = (u8, bool);

/// Returns the place of the `#` that begins a comment in Python; `open` is the string in which the line begins, and
/// afterwards the one in which it ends.
fn comment_in_python(line: &str, open: &mut Option<Quote>) -> Option<usize> {
    let bytes = line.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let triple = |quote: u8| bytes.get(at..at + 3) == Some(&[quote; 3]);
        match *open {
            // A backslash keeps the next quote from ending the string, of a raw one as well.
            Some(_) if byte == b'\\' => at += 2,
            Some((quote, true)) if triple(quote) => {
                *open = None;
                at += 3;
            }
            Some((quote, false)) if byte == quote => {
                *open = None;
                at += 1;
            }
            Some(_) => at += 1,
            None if byte == b'#' => return Some(at),
            None if byte == b'"' || byte == b'\'' => {
                let long = triple(byte);
                *open = Some((byte, long));
                at += if long { 3 } else { 1 };
            }
            None => at += 1,
        }
    }
    // A short string ends with its line, unless a backslash continues it.
    if open.is_some_and(|(_, long)| !long) && !line.ends_with('\\') {
        *open = None;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(name: &str, text: &'static str) -> Vec<&'static str> {
        lines(name, text).into_iter().filter_map(|(_, comment)| comment).collect()
    }

    #[test]
    fn comment_of_yaml_starts_behind_a_blank_and_outside_quotes() {
        let text = "a: 1 # b\na: 'x # y' # c\na: b#c\n# d\n";
        assert_eq!(only("net.yaml", text), [" b", " c", " d"]);
        assert_eq!(lines("net.yaml", text)[1].0, "a: 'x # y' ");
    }

    #[test]
    fn comment_of_python_is_outside_of_its_strings() {
        let text = r#"
x = 1#a
y = '#'  # b
"""doc # no
# no '''
""" # c
z = 'it\'s # no'
r = r'\' # no'
c = '# no \
# no'
q = '' # d
"#;
        assert_eq!(only("net.py", text), ["a", " b", " c", " d"]);
    }
}
