//! TOML text to located values. The `toml` crate parses; this file keeps every position.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use cnnkit_core::diagnostic::{Code, Diagnostic};
use cnnkit_core::source::{SourceId, Span};
use cnnkit_core::value::{Key, Located, Value, parse_decimal};

/// Parses the table in `text`; returns it with all errors.
pub fn parse(text: &str, source: SourceId) -> (Located, Vec<Diagnostic>) {
    let (root, errors) = DeTable::parse_recoverable(text);
    let errors = errors.iter().map(|error| {
        let range = error.span().unwrap_or(0..0);
        let message = error.message().trim_end_matches('.').replace('\n', ", ");
        Diagnostic::error(Code::Syntax, lower(&message), Span::new(source, range.start, range.end))
            .help("docs/check.md shows a whole file; text needs quotes")
    });
    let errors = errors.collect();
    let span = Span::new(source, 0, 0);
    (Located { value: table(root.get_ref(), source), span }, errors)
}

fn table(table: &DeTable<'_>, source: SourceId) -> Value {
    let mut entries: Vec<(Key, Located)> = table
        .iter()
        .map(|(key, value)| {
            let span = Span::new(source, key.span().start, key.span().end);
            (Key { name: key.get_ref().to_string(), span }, located(value, source))
        })
        .collect();
    entries.sort_by_key(|(key, _)| key.span);
    Value::Map(entries)
}

fn located(value: &Spanned<DeValue<'_>>, source: SourceId) -> Located {
    let span = Span::new(source, value.span().start, value.span().end);
    let inner = Span::new(source, span.start + 1, span.end.saturating_sub(1).max(span.start + 1));
    match value.get_ref() {
        // Quotes are excluded.
        DeValue::String(text) => Located { value: Value::Text(text.to_string()), span: inner },
        DeValue::Integer(number) if number.radix() == 10 => {
            Located { value: decimal(&number.as_str().replace('_', "")), span }
        }
        DeValue::Integer(number) => Located { value: Value::Text(number.as_str().to_owned()), span },
        DeValue::Float(number) => Located { value: decimal(&number.as_str().replace('_', "")), span },
        DeValue::Boolean(flag) => Located { value: Value::Bool(*flag), span },
        DeValue::Datetime(date) => Located { value: Value::Text(date.to_string()), span },
        DeValue::Array(items) => {
            Located { value: Value::List(items.iter().map(|item| located(item, source)).collect()), span }
        }
        DeValue::Table(inner) => Located { value: table(inner, source), span },
    }
}

fn decimal(text: &str) -> Value {
    parse_decimal(text).map_or_else(|| Value::Text(text.to_owned()), Value::Number)
}

fn lower(message: &str) -> String {
    let mut chars = message.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => "this is not TOML".into(),
    }
}
