//! Translates the parser's messages: the flaw without its advice to programmers, plus a remedy.

/// A phrase of the parser, our description of the flaw, and the remedy.
const WORDS: &[(&str, &str, &str)] = &[
    ("tabs disallowed", "a tab cannot indent YAML", "use spaces"),
    ("recursion limit", "the YAML is nested too deeply", "use `blocks` and `repeat` for deep networks"),
    ("breached: Depth", "the YAML is nested too deeply", "use `blocks` and `repeat` for deep networks"),
    (
        "budget breached",
        "the YAML expands to more values than any network needs",
        "use `blocks` and `repeat` instead of anchors and aliases",
    ),
    ("unsupported tag", "a tag (`!name`) has no meaning in a spec", "a layer is a key: `- conv: {...}`"),
    ("unclosed quote", "this quote is never closed", "close it with the same quote"),
    ("misplaced bracket", "this bracket closes nothing", "remove it, or open it earlier"),
    (
        "mapping values are not allowed",
        "a `:` is not allowed here",
        "a key and its value are `key: value`: is a `:` missing before, or a quote around the text?",
    ),
    ("simple key expected", "a `:` is missing after this word", "a layer starts with a dash: `- relu`"),
    (
        "did not find expected",
        "this does not fit the lines above",
        "is the line indented like its neighbours?",
    ),
    ("expected string scalar", "a key must be a word", "write `name: value`"),
    ("merge value", "`<<` needs a mapping", "`<<: *name` merges the mapping marked `&name`"),
    ("non-finite float", "infinity and NaN are not numbers here", "give a finite number"),
    (
        "unknown anchor",
        "this alias refers to nothing",
        "`*name` repeats what `&name` marks; quote the text if it is meant literally",
    ),
];

/// Returns the flaw and its remedy.
pub(super) fn explain(error: &serde_saphyr::Error) -> (String, String) {
    use serde_saphyr::Error as E;
    match error {
        E::DuplicateMappingKey { key, .. } => {
            let key = key.as_ref().map_or("this key".to_owned(), |key| format!("the key `{key}`"));
            return (
                format!("{key} is given twice"),
                "remove one, or give layers in a list: `- relu`".into(),
            );
        }
        E::MultipleDocuments { .. } => {
            return (
                "a second document starts here".into(),
                "a spec is one YAML document; remove the `---`".into(),
            );
        }
        E::AliasExpansionLimitExceeded { .. }
        | E::AliasReplayLimitExceeded { .. }
        | E::AliasReplayStackDepthExceeded { .. } => {
            return (
                "the aliases expand too far".into(),
                "use `blocks` and `repeat` instead of anchors and aliases".into(),
            );
        }
        _ => {}
    }
    let line = first_line(error);
    if let Some((_, flaw, remedy)) = WORDS.iter().find(|(words, _, _)| line.contains(words)) {
        return ((*flaw).to_owned(), (*remedy).to_owned());
    }
    let quoted: Vec<char> =
        line.split('\'').skip(1).step_by(2).filter_map(|part| part.chars().next()).collect();
    let partner = |open: char| if open == '[' { ']' } else { '}' };
    match quoted.as_slice() {
        [open] if line.starts_with("unclosed bracket") => {
            (format!("this `{open}` is never closed"), format!("close it: `{}`", partner(*open)))
        }
        [open, close] if line.starts_with("mismatched bracket") => {
            (format!("this `{open}` is closed by `{close}`"), format!("close it with `{}`", partner(*open)))
        }
        _ if line.starts_with("unexpected character") => {
            let found = line.split_once('`').map_or("", |(_, rest)| rest.trim_end_matches('\''));
            (format!("unexpected character `{found}`"), "quote the text if it is meant literally".into())
        }
        _ => (lower(&line), "check the YAML around this place: indentation, quotes, brackets".into()),
    }
}

fn first_line(error: &serde_saphyr::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    let line = line.strip_prefix("error: ").unwrap_or(line);
    // `line 2 column 1: ...` and `... at line 2, column 1` repeat the header of our message.
    let line = match line.split_once(": ") {
        Some((place, rest)) if place.starts_with("line ") => rest,
        _ => line,
    };
    line.split(" at line ").next().unwrap_or(line).trim_end_matches('.').to_owned()
}

fn lower(line: &str) -> String {
    let mut chars = line.chars();
    match (chars.next(), chars.clone().next()) {
        // An abbreviation such as YAML keeps its case.
        (Some(first), Some(second)) if first.is_uppercase() && second.is_uppercase() => format!("the {line}"),
        (Some(first), _) => first.to_lowercase().chain(chars).collect(),
        _ => "this is not YAML".into(),
    }
}
