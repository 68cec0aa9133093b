//! Numbers that may be infinite. YAML and JSON have no such numbers here, so a spec has the words `inf` and `-inf`:
//! `#[serde(with = "extended")]`.

use std::fmt;

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::de::Visitor;
use serde::{Deserializer, Serializer};

/// The words for the infinite numbers.
const WORDS: [(&str, f64); 2] = [("inf", f64::INFINITY), ("-inf", f64::NEG_INFINITY)];

/// Writes a number, or the word for an infinite one.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde needs")]
pub(super) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    match WORDS.iter().find(|(_, infinite)| infinite == value) {
        Some((word, _)) => serializer.serialize_str(word),
        None => serializer.serialize_f64(*value),
    }
}

/// Reads a number or a word.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    struct NumberOrWord;

    impl Visitor<'_> for NumberOrWord {
        type Value = f64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a number, `inf` or `-inf`")
        }

        fn visit_f64<E>(self, value: f64) -> Result<f64, E> {
            Ok(value)
        }

        fn visit_u64<E>(self, value: u64) -> Result<f64, E> {
            Ok(value as f64)
        }

        fn visit_i64<E>(self, value: i64) -> Result<f64, E> {
            Ok(value as f64)
        }

        fn visit_i128<E>(self, value: i128) -> Result<f64, E> {
            Ok(value as f64)
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<f64, E> {
            let known = WORDS.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
            // The spec language reads numbers beyond its exact ones as text.
            let number = || text.parse::<f64>().ok().filter(|value| value.is_finite());
            known.or_else(number).ok_or_else(|| E::unknown_variant(text, &["inf", "-inf"]))
        }
    }

    deserializer.deserialize_any(NumberOrWord)
}

/// Describes such a number for editors.
pub(super) fn schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"anyOf": [{"type": "number", "format": "double"}, {"enum": ["inf", "-inf"]}]})
}
