//! YAML text to located values. `serde-saphyr` parses, with limits on depth, nodes and aliases; this file keeps every
//! place and turns its errors into ours. See `docs/decisions/yaml.md`.

use std::fmt;

use num_traits::FromPrimitive as _;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use crate::diagnostic::{Code, Diagnostic};
use crate::source::{SourceId, Sources, Span};
use crate::value::{Key, Located, Number, Value, parse_decimal};

/// Largest spec that is read, in bytes.
pub const MAX_BYTES: usize = 8 << 20;

/// The document in `source`, with the place of every value.
pub fn parse(sources: &Sources, source: SourceId) -> Result<Located, Diagnostic> {
    let text = &sources.get(source).text;
    let whole = Span::new(source, 0, 0);
    if text.len() > MAX_BYTES {
        return Err(Diagnostic::error(
            Code::Limit,
            format!("the file has {} bytes, the limit is {MAX_BYTES}", text.len()),
            whole,
        ));
    }
    if let Some(at) = text.find('\0') {
        let message = "this is not text: it contains a zero byte";
        return Err(Diagnostic::error(Code::Syntax, message, Span::new(source, at, at + 1))
            .help("a spec is a YAML file; `cnnkit zoo show resnet18` prints one"));
    }
    let options = serde_saphyr::options! {
        strict_booleans: true,
        with_snippet: false,
        budget: serde_saphyr::budget! { max_depth: 96, max_nodes: 250_000, max_events: 1_000_000, max_aliases: 10_000 },
    };
    let place = |location: Location| {
        let offset = byte_offset(text, location);
        let end = text[offset..].chars().next().map_or(offset, |c| offset + c.len_utf8());
        Span::new(source, offset, end)
    };
    match serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options) {
        Ok(root) => Ok(convert(root.value, root.referenced, &Context { text, source })),
        Err(error) => {
            let error = error.without_snippet();
            let span = error.location().map_or(whole, place);
            let (message, help) = explain(error);
            let mut diagnostic = Diagnostic::error(Code::Syntax, message, span);
            diagnostic.help.extend(help);
            Err(diagnostic)
        }
    }
}

/// The parser's words in ours, without its advice to programmers.
fn explain(error: &serde_saphyr::Error) -> (String, Option<String>) {
    use serde_saphyr::Error as E;
    match error {
        E::DuplicateMappingKey { key, .. } => {
            let key = key.as_ref().map_or("this key".to_owned(), |key| format!("the key `{key}`"));
            (format!("{key} is given twice"), Some("remove one, or give layers in a list: `- relu`".into()))
        }
        E::MultipleDocuments { .. } => (
            "a second document starts here".into(),
            Some("a spec is one YAML document; remove the `---`".into()),
        ),
        E::Budget { .. }
        | E::AliasExpansionLimitExceeded { .. }
        | E::AliasReplayLimitExceeded { .. }
        | E::AliasReplayStackDepthExceeded { .. } => (
            format!("the YAML is too deeply nested or expands too far ({})", first_line(error)),
            Some("use `blocks` and `repeat` instead of anchors and aliases".into()),
        ),
        E::UnknownAnchor { .. } => (
            first_line(error),
            Some("`*name` is a YAML alias; quote the text if it is meant as it stands".into()),
        ),
        _ => (first_line(error), None),
    }
}

fn first_line(error: &serde_saphyr::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    let line = line.strip_prefix("error: ").unwrap_or(line);
    // `line 2 column 1: ...` and `... at line 2, column 1` repeat what our own header says.
    let line = match line.split_once(": ") {
        Some((place, rest)) if place.starts_with("line ") => rest,
        _ => line,
    };
    line.split(" at line ").next().unwrap_or(line).trim_end_matches('.').to_owned()
}

fn byte_offset(text: &str, location: Location) -> usize {
    if let Some(offset) = location.span().byte_offset() {
        return floor_boundary(text, usize::try_from(offset).unwrap_or(text.len()));
    }
    let line = usize::try_from(location.line()).unwrap_or(1).max(1);
    let column = usize::try_from(location.column()).unwrap_or(1).max(1);
    let start: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let rest = &text[start.min(text.len())..];
    start + rest.char_indices().nth(column - 1).map_or(rest.len(), |(i, _)| i)
}

fn floor_boundary(text: &str, mut offset: usize) -> usize {
    offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

struct Context<'a> {
    text: &'a str,
    source: SourceId,
}

impl Context<'_> {
    fn span(&self, location: Location) -> Span {
        let start = byte_offset(self.text, location);
        let len = location.span().byte_len().map_or(1, |len| usize::try_from(len).unwrap_or(1));
        Span::new(self.source, start, floor_boundary(self.text, start + len))
    }

    fn slice(&self, span: Span) -> &str {
        self.text.get(span.start..span.end).unwrap_or("")
    }
}

/// The parser's tree, before numbers are made exact.
enum Raw {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

fn convert(raw: Raw, location: Location, context: &Context<'_>) -> Located {
    let mut span = context.span(location);
    let value = match raw {
        Raw::Null => Value::Null,
        Raw::Bool(value) => Value::Bool(value),
        Raw::Integer(value) => Value::integer(value),
        // The written decimal is exact where the float is not.
        Raw::Float(value) => parse_decimal(context.slice(span).trim())
            .or_else(|| Number::from_f64(value))
            .map_or_else(|| Value::Text(context.slice(span).trim().to_owned()), Value::Number),
        Raw::Text(text) => Value::Text(text),
        Raw::List(items) => {
            Value::List(items.into_iter().map(|item| convert(item.value, item.referenced, context)).collect())
        }
        Raw::Map(entries) => {
            let convert_entry = |(key, value): (Spanned<String>, Spanned<Raw>)| {
                let span = context.span(key.referenced);
                (Key { name: key.value, span }, convert(value.value, value.referenced, context))
            };
            Value::Map(entries.into_iter().map(convert_entry).collect())
        }
    };
    // A block collection has no token of its own: its first key or item stands for it.
    match &value {
        Value::Map(entries) if !context.slice(span).starts_with('{') => {
            if let Some((key, _)) = entries.first() {
                span = key.span;
            }
        }
        Value::List(items) if !context.slice(span).starts_with('[') => {
            if let Some(item) = items.first() {
                span = item.span;
            }
        }
        Value::Text(_) => span.end = span.start + context.slice(span).trim_end().len(),
        _ => {}
    }
    Located { value, span }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Raw;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_unit<E>(self) -> Result<Raw, E> {
                Ok(Raw::Null)
            }

            fn visit_none<E>(self) -> Result<Raw, E> {
                Ok(Raw::Null)
            }

            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
                Raw::deserialize(deserializer)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
                Ok(Raw::Bool(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
                Ok(Raw::Integer(value.into()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
                Ok(Raw::Integer(value.into()))
            }

            fn visit_i128<E>(self, value: i128) -> Result<Raw, E> {
                Ok(Raw::Integer(value))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
                Ok(Raw::Float(value))
            }

            fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
                Ok(Raw::Text(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Raw::List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
                let mut map = Vec::new();
                while let Some(entry) = entries.next_entry()? {
                    map.push(entry);
                }
                Ok(Raw::Map(map))
            }
        }

        deserializer.deserialize_any(Any)
    }
}
