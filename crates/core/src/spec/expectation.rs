//! Parses `expect:` in a spec: the quantities that can be expected, and their syntax. Does not check them.
//!
//! ```yaml
//! expect:
//!   params: 25557032                     # exact
//!   macs: {max: 4.2G}                    # bounds, inclusive; k, M, G are powers of 1000
//!   memory: {max: 110MB}                 # bytes: kB, MB, GB or KiB, MiB, GiB
//!   output: [1000]
//!   nodes:
//!     stage4: {shape: [2048, 7, 7], receptive_field: 427}
//! ```

use std::sync::Arc;

use num_traits::{Signed as _, ToPrimitive as _};

use crate::diagnostic::{Code, Diagnostic, did_you_mean};
use crate::dtype::Dtype;
use crate::source::Span;
use crate::spec::env::Env;
use crate::spec::evaluate::evaluate;
pub use crate::spec::quantity::{Better, EXPECTABLE, Expectable, Quantity, Unit};
use crate::value::{Key, Located, Number, Value, parse_decimal};

/// The key under which layers and groups have their own expectations.
pub const NODES: &str = "nodes";

/// One expectation: a limit on one quantity.
#[derive(Debug, Clone, PartialEq)]
pub struct Expectation {
    /// The layer or group, with the position of its id; `None` for the network.
    pub node: Option<(String, Span)>,
    /// What is limited.
    pub quantity: Quantity,
    /// How the value limits it.
    pub limit: Limit,
    /// The value.
    pub target: Target,
    /// The position of the value.
    pub span: Span,
    /// Whether it is a plain value, not an expression, and can be replaced.
    pub literal: bool,
}

/// How a value limits a quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// The quantity equals the value.
    Exact,
    /// The quantity is at least the value.
    Min,
    /// The quantity is at most the value.
    Max,
}

/// An expected value.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// A number; for a length, on every axis.
    Number(Number),
    /// One number per axis; `None` accepts any.
    Sizes(Vec<Option<Number>>),
    /// Yes or no.
    Flag(bool),
}

impl Expectation {
    /// Returns the expected quantity.
    pub fn expectable(&self) -> &'static Expectable {
        self.quantity.expectable()
    }
}

/// Returns the expectations in `value`, and all errors in it.
pub fn parse(value: &Located, env: &Arc<Env>) -> (Vec<Expectation>, Vec<Diagnostic>) {
    let mut reader = Reader { env: Some(env), found: vec![], errors: vec![], full: false };
    reader.level(value, None);
    (reader.found, reader.errors)
}

/// Returns the limits on the network in `entries` outside of a spec: a budget.
pub fn limits(value: &Located) -> (Vec<Expectation>, Vec<Diagnostic>) {
    let mut reader = Reader { env: None, found: vec![], errors: vec![], full: false };
    reader.level(value, None);
    (reader.found, reader.errors)
}

struct Reader<'a> {
    /// Variables of the spec; `None` outside of one, where layers have no names either.
    env: Option<&'a Arc<Env>>,
    found: Vec<Expectation>,
    errors: Vec<Diagnostic>,
    /// Whether the limit was exceeded and reported.
    full: bool,
}

/// Maximum number of expectations of one spec.
const MAX_EXPECTATIONS: usize = 1000;

impl Reader<'_> {
    fn error(&mut self, code: Code, message: String, span: Span, help: impl Into<String>) {
        self.errors.push(Diagnostic::error(code, message, span).help(help));
    }

    /// Parses a mapping of quantities, of the network or of a node.
    fn level(&mut self, value: &Located, node: Option<(String, Span)>) {
        let entries = match &value.value {
            Value::Map(entries) => entries,
            Value::Null => return,
            other => {
                let message = format!("expected a mapping of quantities, found {}", other.describe());
                return self.error(
                    Code::InvalidValue,
                    message,
                    value.span,
                    "for example `{params: {max: 26M}}`",
                );
            }
        };
        for (key, value) in entries {
            if key.name == NODES && node.is_none() && self.env.is_some() {
                self.nodes(value);
                continue;
            }
            let here = |e: &&Expectable| if node.is_some() { e.node } else { e.network };
            let place = EXPECTABLE.iter().find(|e| e.name == key.name && here(e)).map(|e| e.quantity);
            let Some(quantity) = place else {
                let mut names: Vec<&str> = EXPECTABLE.iter().filter(here).map(|e| e.name).collect();
                if node.is_none() && self.env.is_some() {
                    names.push(NODES);
                }
                let what = if node.is_some() { "a layer" } else { "a network" };
                let message = format!("`{}` is not a quantity of {what}", key.name);
                let help = did_you_mean(&key.name, &names)
                    .unwrap_or_else(|| format!("known here: {}", names.join(", ")));
                self.error(Code::UnknownName, message, key.span, help);
                continue;
            };
            self.quantity(quantity, value, node.as_ref());
        }
    }

    fn nodes(&mut self, value: &Located) {
        let Value::Map(entries) = &value.value else {
            let message = format!("expected ids of layers, found {}", value.value.describe());
            return self.error(
                Code::InvalidValue,
                message,
                value.span,
                "`nodes: {stage4: {shape: [512, 7, 7]}}`",
            );
        };
        for (key, value) in entries {
            self.level(value, Some((key.name.clone(), key.span)));
        }
    }

    /// Parses a value, or bounds.
    fn quantity(&mut self, quantity: Quantity, value: &Located, node: Option<&(String, Span)>) {
        let expectable = quantity.expectable();
        let bounded = !matches!(expectable.unit, Unit::Shape | Unit::Flag);
        let Value::Map(entries) = &value.value else {
            return self.limit(quantity, Limit::Exact, value, node);
        };
        if !bounded {
            let message = format!("`{}` takes an exact value, not bounds", expectable.name);
            return self.error(Code::InvalidValue, message, value.span, example(expectable));
        }
        if entries.is_empty() {
            let message = format!("`{}` needs a bound", expectable.name);
            return self.error(Code::Missing, message, value.span, example(expectable));
        }
        let quantity = match quantity {
            Quantity::Arena(_) => match self.dtype(entries) {
                Some(dtype) => Quantity::Arena(dtype),
                None => return,
            },
            other => other,
        };
        for (key, value) in entries {
            match key.name.as_str() {
                "dtype" if matches!(quantity, Quantity::Arena(_)) => {}
                "min" => self.limit(quantity, Limit::Min, value, node),
                "max" => self.limit(quantity, Limit::Max, value, node),
                other => {
                    let message = format!("unknown bound `{other}`");
                    let help = did_you_mean(other, &["min", "max"]).unwrap_or_default();
                    self.error(Code::UnknownName, message, key.span, help);
                }
            }
        }
    }

    /// Returns the number format among the bounds of an arena, f32 if there is none; none if it is wrong, which is
    /// reported.
    fn dtype(&mut self, entries: &[(Key, Located)]) -> Option<Dtype> {
        let bounded = entries.iter().any(|(key, _)| key.name != "dtype");
        let Some((key, value)) = entries.iter().find(|(key, _)| key.name == "dtype") else {
            return Some(Dtype::F32);
        };
        if !bounded {
            self.error(
                Code::Missing,
                "`arena` needs a bound".into(),
                key.span,
                "for example `arena: {max: 320KiB, dtype: i8}`",
            );
            return None;
        }
        let found = if let Value::Text(name) = &value.value { Dtype::named(name) } else { None };
        if found.is_none() {
            let message = format!("expected a number format, found {}", value.value.describe());
            self.error(
                Code::InvalidValue,
                message,
                value.span,
                "the number formats are f32, f16, bf16 and i8",
            );
        }
        found
    }

    fn limit(&mut self, quantity: Quantity, limit: Limit, written: &Located, node: Option<&(String, Span)>) {
        let expectable = quantity.expectable();
        // Each is looked up among the layers, and measured.
        if self.found.len() + self.errors.len() >= MAX_EXPECTATIONS {
            if !std::mem::replace(&mut self.full, true) {
                let message = format!("more than {MAX_EXPECTATIONS} expectations");
                self.error(
                    Code::Limit,
                    message,
                    written.span,
                    "expect figures of blocks, not of every layer",
                );
            }
            return;
        }
        let percent = matches!(&written.value, Value::Text(text) if text.trim_end().ends_with('%'));
        let value = match self.env {
            Some(env) if !percent => match evaluate(written, env) {
                Ok(value) => value,
                Err(unevaluated) => return self.errors.extend(unevaluated.into_flaws()),
            },
            _ => written.clone(),
        };
        match target(expectable.unit, &value) {
            Ok(target) => self.found.push(Expectation {
                node: node.cloned(),
                quantity,
                limit,
                target,
                span: written.span,
                literal: value.value == written.value,
            }),
            Err(message) => {
                let message = format!("`{}`: {message}", expectable.name);
                self.error(Code::InvalidValue, message, written.span, example(expectable));
            }
        }
    }
}

fn example(expectable: &Expectable) -> String {
    let name = expectable.name;
    match expectable.unit {
        Unit::Count => format!("`{name}: 25557032`, or bounds: `{name}: {{max: 26M}}`"),
        Unit::Bytes => format!("`{name}: {{max: 110MB}}`; 1 MB is 1,000,000 bytes, 1 MiB is 1,048,576"),
        Unit::Shape => format!("`{name}: [512, 7, 7]`; `~` for any size"),
        Unit::Length => format!("`{name}: 427`, one per axis, or bounds: `{name}: {{min: 224}}`"),
        Unit::Share => format!("`{name}: {{min: 90%}}`, or a number from 0 to 1"),
        Unit::Flag => format!("`{name}: true`"),
    }
}

fn target(unit: Unit, value: &Located) -> Result<Target, String> {
    match (unit, &value.value) {
        (Unit::Flag, Value::Bool(flag)) => Ok(Target::Flag(*flag)),
        (Unit::Flag, other) => Err(format!("expected `true` or `false`, found {}", other.describe())),
        (Unit::Shape | Unit::Length, Value::List(items)) => {
            let sizes = items.iter().map(|item| match &item.value {
                Value::Null if unit == Unit::Shape => Ok(None),
                _ => number(unit, &item.value).map(Some),
            });
            Ok(Target::Sizes(sizes.collect::<Result<_, _>>()?))
        }
        (Unit::Shape, other) => Err(format!("expected a shape, found {}", other.describe())),
        (_, other) => number(unit, other).map(Target::Number),
    }
}

fn number(unit: Unit, value: &Value) -> Result<Number, String> {
    let number = match value {
        Value::Number(number) => *number,
        Value::Text(text) => amount(unit, text)?,
        other => return Err(format!("expected a number, found {}", other.describe())),
    };
    let whole = matches!(unit, Unit::Count | Unit::Bytes | Unit::Shape);
    if number.is_negative() || (whole && !number.is_integer()) {
        let wanted = if whole { "a whole number, 0 or more" } else { "a number, 0 or more" };
        return Err(format!("expected {wanted}, found {}", crate::value::show_number(&number)));
    }
    if unit == Unit::Share && number > Number::from_integer(1) {
        let shown = crate::value::show_number(&number);
        return Err(format!("a share is at most 1 (100 %), found {shown}"));
    }
    Ok(number)
}

/// Prefixes and units of a text such as `110MB`: their factors, and whether they mean bytes.
const UNITS: &[(&str, i128, Option<Unit>)] = &[
    ("", 1, None),
    ("k", 1_000, Some(Unit::Count)),
    ("K", 1_000, Some(Unit::Count)),
    ("M", 1_000_000, Some(Unit::Count)),
    ("G", 1_000_000_000, Some(Unit::Count)),
    ("B", 1, Some(Unit::Bytes)),
    ("kB", 1_000, Some(Unit::Bytes)),
    ("KB", 1_000, Some(Unit::Bytes)),
    ("MB", 1_000_000, Some(Unit::Bytes)),
    ("GB", 1_000_000_000, Some(Unit::Bytes)),
    ("KiB", 1 << 10, Some(Unit::Bytes)),
    ("MiB", 1 << 20, Some(Unit::Bytes)),
    ("GiB", 1 << 30, Some(Unit::Bytes)),
];

/// Parses `26M`, `4.2 G`, `110MB`, `97.7 MiB`, `29 %`, `25_557_032`.
pub fn amount(unit: Unit, text: &str) -> Result<Number, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && !".,_".contains(c)).unwrap_or(text.len());
    let (amount, suffix) = (text[..digits].replace(['_', ','], ""), text[digits..].trim());
    let amount = parse_decimal(&amount).ok_or_else(|| format!("`{text}` is not a number"))?;
    if suffix == "%" && unit == Unit::Share {
        return Ok(amount / 100);
    }
    let Some((_, factor, of)) = UNITS.iter().find(|(name, ..)| *name == suffix) else {
        let fitting: Vec<&str> = UNITS.iter().filter(|(_, _, of)| *of == Some(unit)).map(|u| u.0).collect();
        let hint = did_you_mean(suffix, &fitting).map_or(String::new(), |hint| format!("; {hint}"));
        return Err(format!("`{suffix}` is not a unit{hint}"));
    };
    if of.is_some_and(|of| of != unit) {
        let what = match unit {
            Unit::Count => "counts are given in k, M, G",
            Unit::Bytes => "bytes are given in kB, MB, GB or KiB, MiB, GiB",
            _ => "it has no unit",
        };
        return Err(format!("`{suffix}` does not fit here: {what}"));
    }
    let exact = amount.numer().checked_mul(*factor).map(|numer| Number::new(numer, *amount.denom()));
    exact.filter(|n| n.to_f64().is_some_and(f64::is_finite)).ok_or_else(|| format!("`{text}` is too large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_exact_and_must_fit() {
        let ok = |unit, text| amount(unit, text).map(|n| crate::value::show_number(&n));
        assert_eq!(ok(Unit::Count, "4.2G").as_deref(), Ok("4200000000"));
        assert_eq!(ok(Unit::Count, "25_557_032").as_deref(), Ok("25557032"));
        assert_eq!(ok(Unit::Bytes, "1.5 KiB").as_deref(), Ok("1536"));
        assert_eq!(ok(Unit::Bytes, "110MB").as_deref(), Ok("110000000"));
        assert_eq!(ok(Unit::Share, "29 %").as_deref(), Ok("0.29"));
        for (unit, text) in [
            (Unit::Count, "3MB"),
            (Unit::Bytes, "3M"),
            (Unit::Count, "3x"),
            (Unit::Length, "3k"),
            (Unit::Count, "M"),
            (Unit::Count, ""),
            (Unit::Count, "1e400G"),
        ] {
            assert!(amount(unit, text).is_err(), "{text}");
        }
    }
}
