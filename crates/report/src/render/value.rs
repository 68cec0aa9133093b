//! Typed values as text: for people, and exactly.

use cnnkit_core::number::{bytes, factor, group_digits, grouped, integer, magnitude, share};

use crate::{Scale, Value};

/// Formats a typed value for people.
pub fn readable(value: &Value) -> String {
    match value {
        Value::Empty => String::new(),
        Value::Missing | Value::Nothing => "-".into(),
        Value::Text(text) | Value::Written { shown: text, .. } => text.clone(),
        Value::Count(count) => grouped(*count),
        Value::Integer(count) => integer(count),
        Value::Magnitude(count) => magnitude(*count),
        Value::Bytes(count) => bytes(*count),
        Value::Share(part) => share(*part),
        Value::Factor(ratio) => factor(*ratio),
        Value::Number(number, decimals) => format!("{number:.decimals$}"),
        Value::Change(0, _) => "=".into(),
        Value::Change(change, scale) => {
            let sign = if *change < 0 { "-" } else { "+" };
            let amount = match (u64::try_from(change.unsigned_abs()), scale) {
                (Ok(amount), Scale::Count) => grouped(amount),
                (Ok(amount), Scale::Magnitude) => magnitude(amount),
                (Ok(amount), Scale::Bytes) => bytes(amount),
                (Err(_), _) => group_digits(&change.unsigned_abs().to_string()),
            };
            format!("{sign}{amount}")
        }
        Value::ChangeShare(change) => {
            let text = share(change.abs());
            if text.starts_with('<') {
                text
            } else {
                format!("{}{text}", if *change < 0.0 { "-" } else { "+" })
            }
        }
    }
}

/// Formats a typed value for programs: integers exact, no units, no grouping.
pub fn exact(value: &Value) -> String {
    match value {
        Value::Empty | Value::Missing => String::new(),
        Value::Nothing => "0".into(),
        Value::Text(text) | Value::Written { exact: text, .. } => text.clone(),
        Value::Count(count) | Value::Magnitude(count) | Value::Bytes(count) => count.to_string(),
        Value::Integer(count) => count.to_string(),
        Value::Change(change, _) => change.to_string(),
        Value::Share(number)
        | Value::Factor(number)
        | Value::Number(number, _)
        | Value::ChangeShare(number) => number.to_string(),
    }
}
