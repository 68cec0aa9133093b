//! YAML text to located values. `serde-saphyr` parses, with limits on depth, nodes and aliases; this file keeps every
//! position and translates its errors. See `docs/decisions/yaml.md`.

mod explain;

use std::fmt;

use num_traits::FromPrimitive as _;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use crate::diagnostic::{Code, Diagnostic};
use crate::source::{SourceId, Sources, Span};
use crate::value::{Key, Located, Number, Value, parse_decimal};

/// Size limit of a spec, in bytes.
pub const MAX_BYTES: usize = 8 << 20;

/// Parses `source` into a document with the position of every value.
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
        // `!conv` is a typo of `- conv`: a tag without meaning must not be ignored.
        reject_unsupported_tags: true,
        with_snippet: false,
        budget: serde_saphyr::budget! { max_depth: 96, max_nodes: 250_000, max_events: 1_000_000, max_aliases: 10_000 },
    };
    let place = |location: Location| {
        let offset = byte_offset(text, location);
        let word =
            text[offset..].find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len() - offset);
        let first = text[offset..].chars().next().map_or(0, char::len_utf8);
        Span::new(source, offset, offset + word.max(first))
    };
    match serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options) {
        Ok(root) => Ok(convert(root.value, root.referenced, &Context { text, source })),
        Err(error) => {
            let error = error.without_snippet();
            let mut span = error.location().map_or(whole, place);
            let (message, help) = explain::explain(error);
            if message.contains("tab")
                && let Some(tab) = text[..span.start].rfind('\t')
            {
                span = Span::new(source, tab, tab + 1);
            }
            Err(Diagnostic::error(Code::Syntax, message, span).help(help))
        }
    }
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

    /// Returns `[...]` or `{...}` as a whole if it is on one line, otherwise its opening bracket.
    fn flow(&self, open: Span, last: Option<Span>, close: char) -> Span {
        let from = last.map_or(open.start + 1, |last| last.end);
        let gap = |c: char| c.is_whitespace() || ",\"'~".contains(c);
        let rest = self.text.get(from..).unwrap_or("");
        let end = from + rest.len() - rest.trim_start_matches(gap).len();
        let one_line = self.text.get(open.start..end).is_some_and(|text| !text.contains('\n'));
        if one_line && self.text[end..].starts_with(close) {
            Span::new(open.source, open.start, end + 1)
        } else {
            Span::new(open.source, open.start, open.start + 1)
        }
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
        // The written decimal is exact; the float is not.
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
    let slice = context.slice(span);
    match &value {
        Value::Map(entries) if slice.starts_with('{') => {
            span = context.flow(span, entries.last().map(|(_, value)| value.span), '}');
        }
        Value::List(items) if slice.starts_with('[') => {
            span = context.flow(span, items.last().map(|item| item.span), ']');
        }
        // A block collection has no token of its own: its first key or item represents it.
        Value::Map(entries) => span = entries.first().map_or(span, |(key, _)| key.span),
        Value::List(items) => span = items.first().map_or(span, |item| item.span),
        // Quotes are excluded, so that positions inside the text are positions in the source.
        Value::Text(text) => {
            let inner = slice.strip_prefix(['"', '\'']).is_some_and(|rest| rest.starts_with(text.as_str()));
            if inner && !text.is_empty() && slice.len() == text.len() + 2 {
                span = Span::new(span.source, span.start + 1, span.start + 1 + text.len());
            } else {
                span.end = span.start + slice.trim_end().len();
            }
        }
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
