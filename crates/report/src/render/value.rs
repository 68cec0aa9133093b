//! Typed values as text: for people, and exactly.

use cnnkit_core::number::{bytes, factor, grouped, integer, magnitude, share};

use crate::Value;

/// Formats a typed value for people.
pub fn readable(value: &Value) -> String {
    match value {
        Value::Empty => String::new(),
        Value::Text(text) => text.clone(),
        Value::Count(count) => grouped(*count),
        Value::Integer(count) => integer(count),
        Value::Magnitude(count) => magnitude(*count),
        Value::Bytes(count) => bytes(*count),
        Value::Share(part) => share(*part),
        Value::Factor(ratio) => factor(*ratio),
        Value::Number(number, decimals) => format!("{number:.decimals$}"),
    }
}

/// Formats a typed value for programs: integers exact, no units, no grouping.
pub fn exact(value: &Value) -> String {
    match value {
        Value::Empty => String::new(),
        Value::Text(text) => text.clone(),
        Value::Count(count) | Value::Magnitude(count) | Value::Bytes(count) => count.to_string(),
        Value::Integer(count) => count.to_string(),
        Value::Share(number) | Value::Factor(number) | Value::Number(number, _) => number.to_string(),
    }
}
