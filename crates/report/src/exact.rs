//! Exact numbers as JSON: fractions, and counts of any size.

use std::borrow::Cow;
use std::fmt;

use num_bigint::BigUint;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use cnnkit_core::analysis::field::family::Jump;
use cnnkit_core::value::{Number, show_number};

/// An exact number: `2` in JSON if it is an integer, else `"1/2"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fraction(pub Jump);

impl fmt::Display for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Fraction {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_integer() {
            serializer.serialize_i128(self.0.to_integer())
        } else {
            serializer.collect_str(&self.0)
        }
    }
}

impl JsonSchema for Fraction {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Fraction".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["integer", "string"]})
    }
}

/// An exact number: in JSON a decimal number if it has finitely many digits, else a fraction as text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Decimal(pub Number);

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = show_number(&self.0);
        match text.parse::<serde_json::Number>() {
            Ok(number) => number.serialize(serializer),
            Err(_) => serializer.serialize_str(&text),
        }
    }
}

impl JsonSchema for Decimal {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Decimal".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["number", "string"]})
    }
}

/// An exact count of any size: all its digits in JSON.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BigCount(pub BigUint);

impl Serialize for BigCount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let number = self.0.to_string().parse::<serde_json::Number>();
        number.map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

impl JsonSchema for BigCount {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "BigCount".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "integer", "minimum": 0})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_texts_and_integers_are_numbers_of_any_size() {
        fn text(value: &impl Serialize) -> String {
            serde_json::to_string(value).expect("JSON")
        }
        assert_eq!(text(&Fraction(Jump::new(1, 2))), "\"1/2\"");
        assert_eq!(text(&Fraction(Jump::new(-6, 2))), "-3");
        let count = BigCount(BigUint::from(2u32).pow(200));
        let digits = "1606938044258990275541962092341162602522202993782792835301376";
        assert_eq!(text(&count), digits);
        assert_eq!(serde_json::to_value(&count).expect("JSON").to_string(), digits);
    }
}
