//! YAML text: a value on one line where it fits, otherwise one entry per line.

/// A YAML value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Yaml {
    /// Written verbatim: a number, a truth value, an expression.
    Plain(String),
    /// A name, quoted if it could be misread.
    Name(Name),
    /// A list, on one line if it fits.
    List(Vec<Self>),
    /// A list of layers: one per line unless it is short.
    Layers(Vec<Self>),
    /// A mapping.
    Map(Vec<(Key, Self)>),
}

/// A name, split from its trailing number, so that repetition can count it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    /// The part before the number.
    pub(super) stem: String,
    /// The number; `None` if the name does not end in one that counting produces.
    pub(super) number: Option<u64>,
    /// Whether a counting variable replaces the number.
    pub(super) counted: bool,
}

/// A key: a word of the language, or the name of a layer, block or path.
pub(super) type Key = String;

/// Maximum line length.
const WIDTH: usize = 100;
/// Maximum length of a list of layers on one line.
const SHORT: usize = 72;

impl Name {
    pub(super) fn new(text: &str) -> Self {
        let stem = text.trim_end_matches(|c: char| c.is_ascii_digit());
        let digits = &text[stem.len()..];
        let counts = !digits.is_empty() && (digits == "0" || !digits.starts_with('0'));
        match digits.parse() {
            Ok(number) if counts => Self { stem: stem.to_owned(), number: Some(number), counted: false },
            _ => Self { stem: text.to_owned(), number: None, counted: false },
        }
    }

    fn text(&self) -> String {
        match (self.number, self.counted) {
            (None, _) => self.stem.clone(),
            (Some(number), false) => format!("{}{number}", self.stem),
            (Some(0), true) => format!("{}$i", self.stem),
            (Some(number), true) => format!("{}${{$i + {number}}}", self.stem),
        }
    }
}

impl Yaml {
    /// Returns a name.
    pub(super) fn name(text: &str) -> Self {
        Self::Name(Name::new(text))
    }

    /// Returns a mapping of one entry.
    pub(super) fn entry(key: impl Into<String>, value: Self) -> Self {
        Self::Map(vec![(key.into(), value)])
    }

    /// Formats the value on one line.
    fn flow(&self) -> String {
        match self {
            Self::Plain(text) => text.clone(),
            Self::Name(name) => quoted(&name.text()),
            Self::List(items) | Self::Layers(items) => {
                format!("[{}]", items.iter().map(Self::flow_item).collect::<Vec<_>>().join(", "))
            }
            Self::Map(entries) => format!("{{{}}}", pairs(entries)),
        }
    }

    /// Formats the value on one line, as an item of a list there: `[conv: {kernel: 3}, relu]`.
    fn flow_item(&self) -> String {
        match self {
            Self::Map(entries) if entries.len() == 1 => pairs(entries),
            _ => self.flow(),
        }
    }

    /// Returns whether it contains layers that should have lines of their own.
    fn is_tall(&self) -> bool {
        match self {
            Self::Plain(_) | Self::Name(_) => false,
            Self::List(items) => items.iter().any(Self::is_tall),
            Self::Layers(items) => {
                items.len() > 4 || self.flow().len() > SHORT || items.iter().any(Self::is_tall)
            }
            Self::Map(entries) => entries.iter().any(|(_, value)| value.is_tall()),
        }
    }

    /// Writes lines, the first without its indentation.
    fn lines(&self, indent: usize, out: &mut String) {
        let pad = " ".repeat(indent);
        match self {
            Self::Map(entries) => {
                for (index, (key, value)) in entries.iter().enumerate() {
                    if index > 0 {
                        *out += &pad;
                    }
                    *out += &format!("{}:", quoted(key));
                    value.after_key(indent, key.len() + 1, out);
                }
            }
            Self::List(items) | Self::Layers(items) => {
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        *out += &pad;
                    }
                    *out += "- ";
                    item.after_dash(indent + 2, out);
                }
            }
            _ => *out += &format!("{}\n", self.flow()),
        }
    }

    /// Writes what follows a key.
    fn after_key(&self, indent: usize, used: usize, out: &mut String) {
        let flow = self.flow();
        if !self.is_tall() && indent + used + 1 + flow.len() <= WIDTH {
            *out += &format!(" {flow}\n");
            return;
        }
        match self {
            Self::List(_) | Self::Layers(_) | Self::Map(_) => {
                *out += &format!("\n{}", " ".repeat(indent + 2));
                self.lines(indent + 2, out);
            }
            _ => *out += &format!(" {flow}\n"),
        }
    }

    /// Writes what follows a dash.
    fn after_dash(&self, indent: usize, out: &mut String) {
        let flow = self.flow_line();
        if !self.is_tall() && indent + flow.len() <= WIDTH {
            *out += &format!("{flow}\n");
            return;
        }
        self.lines(indent, out);
    }

    /// Formats the value on one line, after a dash or as a whole: `conv: {kernel: 3}`.
    fn flow_line(&self) -> String {
        match self {
            Self::Map(entries) if entries.len() == 1 => pairs(entries),
            _ => self.flow(),
        }
    }
}

fn pairs(entries: &[(Key, Yaml)]) -> String {
    let pair = |(key, value): &(Key, Yaml)| format!("{}: {}", quoted(key), value.flow());
    entries.iter().map(pair).collect::<Vec<_>>().join(", ")
}

/// Formats a document: a mapping.
pub(super) fn document(entries: &[(Key, Yaml)]) -> String {
    let mut out = String::new();
    for (key, value) in entries {
        // The parts of a document are written on separate lines even where they would fit on one.
        let tall = matches!(value, Yaml::Layers(_)) || key == "blocks";
        if tall {
            out += &format!("{key}:\n  ");
            value.lines(2, &mut out);
        } else {
            out += &format!("{key}:");
            value.after_key(0, key.len() + 1, &mut out);
        }
    }
    out
}

/// Returns a plain scalar, quoted where YAML or the language would misread it, and escaped where it is no plain text.
pub(super) fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let word = text.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && text.chars().all(|c| plain(c) || c.is_alphabetic() || c == '$')
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n", "inf", "nan"]
            .contains(&text.to_lowercase().as_str());
    if word || (text.starts_with('$') && text.chars().skip(1).all(|c| c.is_ascii_alphanumeric() || c == '_'))
    {
        return text.to_owned();
    }
    crate::export::escape::double_quoted(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_short_stands_on_one_line() {
        let conv = Yaml::entry("conv", Yaml::Map(vec![("kernel".into(), Yaml::Plain("3".into()))]));
        let relu = Yaml::name("relu");
        let text = document(&[
            ("input".into(), Yaml::List(vec![Yaml::Plain("3".into()), Yaml::Plain("8".into())])),
            (
                "layers".into(),
                Yaml::Layers(vec![
                    conv.clone(),
                    relu.clone(),
                    Yaml::entry("residual", Yaml::Layers(vec![conv, relu])),
                ]),
            ),
        ]);
        let wanted = "input: [3, 8]\nlayers:\n  - conv: {kernel: 3}\n  - relu\n  - residual: [conv: {kernel: 3}, relu]\n";
        assert_eq!(text, wanted);
    }

    #[test]
    fn names_that_yaml_would_misread_are_quoted() {
        for (name, text) in [
            ("conv1", "conv1"),
            ("0", "\"0\""),
            ("no", "\"no\""),
            ("a$i", "a$i"),
            ("$i", "$i"),
            ("a${$i + 1}", "\"a${$i + 1}\""),
            ("a\n::error::b", "\"a\\x0a::error::b\""),
            ("\u{1b}\u{202e}\u{2028}\\", "\"\\x1b\\u202e\\u2028\\\\\""),
        ] {
            assert_eq!(quoted(name), text);
        }
    }
}
