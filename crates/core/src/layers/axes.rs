//! Arguments that are one value, or a list with one value per spatial axis.

use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::diagnostic::Problem;

/// An element of such a list.
pub(super) trait Entry<'de>: Deserialize<'de> {
    /// The expected kind of value, for messages.
    const EXPECTED: &'static str;

    /// Converts a whole number.
    fn whole(value: u64) -> Self;

    /// Converts any other number, if possible.
    fn fraction(_: f64) -> Option<Self> {
        None
    }
}

impl Entry<'_> for u64 {
    const EXPECTED: &'static str = "a whole number, or a list with one per axis";

    fn whole(value: u64) -> Self {
        value
    }
}

impl Entry<'_> for Option<u64> {
    const EXPECTED: &'static str = "a whole number, or a list with one per axis (`~` keeps an axis)";

    fn whole(value: u64) -> Self {
        Some(value)
    }
}

impl Entry<'_> for f64 {
    const EXPECTED: &'static str = "a number, or a list with one per axis";

    fn whole(value: u64) -> Self {
        value as Self
    }

    fn fraction(value: f64) -> Option<Self> {
        Some(value)
    }
}

/// Reads one value, or a list of up to three.
pub(super) fn one_or_many<'de, D: Deserializer<'de>, T: Entry<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    struct OneOrMany<T>(PhantomData<T>);

    impl<'de, T: Entry<'de>> Visitor<'de> for OneOrMany<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(T::EXPECTED)
        }

        fn visit_u64<E>(self, value: u64) -> Result<Vec<T>, E> {
            Ok(vec![T::whole(value)])
        }

        fn visit_f64<E: Error>(self, value: f64) -> Result<Vec<T>, E> {
            T::fraction(value)
                .map(|value| vec![value])
                .ok_or_else(|| E::invalid_type(serde::de::Unexpected::Float(value), &self))
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
            let mut values = Vec::new();
            while let Some(value) = items.next_element()? {
                values.push(value);
            }
            if values.is_empty() || values.len() > 3 {
                let message = format!(
                    "expected 1 to 3 values, one per spatial axis, found {}; for example 3, or [3, 3]",
                    values.len()
                );
                return Err(A::Error::custom(message));
            }
            Ok(values)
        }
    }

    deserializer.deserialize_any(OneOrMany(PhantomData))
}

/// Returns one of `values` for each of `rank` axes: a single value applies to all; otherwise there must be
/// one per axis.
pub(super) fn spread<T: Copy>(values: &[T], rank: usize, argument: &'static str) -> Result<Vec<T>, Problem> {
    match values {
        [value] => Ok(vec![*value; rank]),
        values if values.len() == rank => Ok(values.to_vec()),
        values => Err(Problem::argument(
            argument,
            format!("`{argument}` has {} values, but the input has {rank} spatial axes", values.len()),
        )
        .help("give one value for all axes, or one per axis in the order of the shape: [height, width]")),
    }
}

/// The output size of adaptive pooling: one value, or one per axis, where `~` keeps the input's size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputSize(Vec<Option<u64>>);

impl OutputSize {
    /// Returns the same size on all axes.
    pub fn all(size: u64) -> Self {
        Self(vec![Some(size)])
    }

    /// Returns one size for each axis.
    pub fn list(sizes: Vec<u64>) -> Self {
        Self(sizes.into_iter().map(Some).collect())
    }

    /// Returns one size for each of the axes with these input `sizes`.
    pub fn resolve(&self, sizes: &[u64]) -> Result<Vec<u64>, Problem> {
        if self.0.contains(&Some(0)) {
            return Err(Problem::argument("output_size", "`output_size` is 0, it must be at least 1"));
        }
        let wanted = spread(&self.0, sizes.len(), "output_size")?;
        Ok(wanted.iter().zip(sizes).map(|(wanted, &size)| wanted.unwrap_or(size)).collect())
    }

    /// Returns `7`, `1x~`.
    pub fn describe(&self) -> String {
        let one = |size: &Option<u64>| size.map_or("~".to_owned(), |size| size.to_string());
        self.0.iter().map(one).collect::<Vec<_>>().join("x")
    }
}

impl Serialize for OutputSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [size] => size.serialize(serializer),
            sizes => sizes.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for OutputSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        one_or_many(deserializer).map(Self)
    }
}

impl JsonSchema for OutputSize {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "OutputSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "one size for all spatial axes, or a list with one per axis; null keeps the input's",
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "array", "items": {"type": ["integer", "null"], "minimum": 1}, "minItems": 1, "maxItems": 3}
            ]
        })
    }
}

/// Factors of a resize: one for all spatial axes, or one per axis; fractions are allowed.
#[derive(Debug, Clone, PartialEq)]
pub struct Scale(Vec<f64>);

impl Scale {
    /// Returns one factor for each spatial axis; a single one if they are equal.
    pub fn list(factors: &[f64]) -> Self {
        match factors {
            [first, rest @ ..] if rest.iter().all(|factor| factor == first) => Self(vec![*first]),
            factors => Self(factors.to_vec()),
        }
    }

    /// Returns one positive, finite factor for each of `rank` axes.
    pub fn resolve(&self, rank: usize) -> Result<Vec<f64>, Problem> {
        if let Some(bad) = self.0.iter().find(|scale| !(scale.is_finite() && **scale > 0.0)) {
            return Err(Problem::argument(
                "scale_factor",
                format!("`scale_factor` is {bad}, it must be greater than 0"),
            ));
        }
        spread(&self.0, rank, "scale_factor")
    }

    /// Returns `2`, `1x0.5`.
    pub fn describe(&self) -> String {
        self.0.iter().map(f64::to_string).collect::<Vec<_>>().join("x")
    }
}

impl Serialize for Scale {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [scale] => scale.serialize(serializer),
            scales => scales.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Scale {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        one_or_many(deserializer).map(Self)
    }
}

impl JsonSchema for Scale {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Scale".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "one factor for all spatial axes, or a list with one per axis; fractions are allowed",
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0},
                {"type": "array", "items": {"type": "number", "exclusiveMinimum": 0}, "minItems": 1, "maxItems": 3}
            ]
        })
    }
}
