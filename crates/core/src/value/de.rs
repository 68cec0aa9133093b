//! A serde deserializer over [`Located`] values, so that a layer's arguments are a plain struct with derived code,
//! and every error still has its exact position. All wrong arguments of a layer are reported, not only the first.

use num_traits::ToPrimitive as _;
use serde::de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, Visitor};

use super::{Key, Located, Value};
use crate::diagnostic::{Code, Diagnostic, did_you_mean, suggest};
use crate::source::Span;

/// Decodes `value` as a `T`. `span` is the position of the layer's name, for errors about a missing argument. `whole`
/// is the owner of the arguments, for messages: `` `conv` ``.
pub fn decode<T: DeserializeOwned>(value: &Located, span: Span, whole: &str) -> Result<T, Vec<Diagnostic>> {
    let mut value = value.clone();
    let mut found = Vec::new();
    let mut dropped: Vec<String> = Vec::new();
    let mut invented: Vec<String> = Vec::new();
    loop {
        match T::deserialize(&value) {
            Ok(decoded) if found.is_empty() => return Ok(decoded),
            Ok(_) => return Err(found),
            Err(error) => {
                if let (Some(name), Value::Map(entries)) = (&error.missing, &mut value.value) {
                    // An argument that was dropped because it was wrong is not also missing.
                    if !dropped.contains(name) {
                        found.push(error.diagnostic(span, whole));
                    }
                    if invented.contains(name) {
                        return Err(found);
                    }
                    // With a number in its place, the other arguments can be checked.
                    invented.push(name.clone());
                    let one = Located { value: Value::integer(1), span };
                    entries.push((Key { name: name.clone(), span }, one));
                    continue;
                }
                let place = |name: &String| matches!(&value.value, Value::Map(entries) if entries.iter().any(|(k, _)| Some(k.span) == error.key && k.name == *name));
                if invented.iter().any(place) {
                    return Err(found);
                }
                found.push(error.diagnostic(span, whole));
                // A misspelt argument is not also missing.
                dropped.extend(error.meant);
                // Drop the argument at fault and check the others.
                match (&mut value.value, error.key) {
                    (Value::Map(entries), Some(key)) if entries.iter().any(|(k, _)| k.span == key) => {
                        dropped.extend(
                            entries.iter().filter(|(k, _)| k.span == key).map(|(k, _)| k.name.clone()),
                        );
                        entries.retain(|(k, _)| k.span != key);
                    }
                    _ => return Err(found),
                }
            }
        }
    }
}

/// An error of the deserializer: the flaw, its position, and the top-level argument that contains it.
#[derive(Debug)]
pub struct Error {
    code: Code,
    message: String,
    help: Option<String>,
    span: Option<Span>,
    key: Option<Span>,
    missing: Option<String>,
    /// The unknown argument.
    unknown: Option<String>,
    /// The argument that the unknown one was probably meant to be.
    meant: Option<String>,
}

impl Error {
    fn new(code: Code, message: String) -> Self {
        Self { code, message, help: None, span: None, key: None, missing: None, unknown: None, meant: None }
    }

    fn diagnostic(&self, whole: Span, name: &str) -> Diagnostic {
        let plain = name.trim_matches('`');
        let (message, help) = match (&self.missing, &self.unknown) {
            (Some(argument), _) => (
                format!("{name} needs the argument `{argument}`"),
                format!("add it: `- {plain}: {{{argument}: ...}}`"),
            ),
            (None, Some(argument)) => (
                format!("{name} has no argument `{argument}`"),
                format!("`cnnkit layers {plain}` lists its arguments"),
            ),
            (None, None) => (self.message.clone(), "check the value".to_owned()),
        };
        let help = self.help.clone().unwrap_or(help);
        Diagnostic::error(self.code, message, self.span.unwrap_or(whole)).help(help)
    }

    fn at(mut self, span: Span) -> Self {
        self.span.get_or_insert(span);
        self
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        let message = message.to_string();
        // `message; help` lets a hand-written visitor add a remedy.
        match message.split_once("; ") {
            Some((flaw, help)) => {
                Self { help: Some(help.into()), ..Self::new(Code::InvalidValue, flaw.into()) }
            }
            None => Self::new(Code::InvalidValue, message),
        }
    }

    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new(Code::InvalidValue, format!("expected {expected}, found {}", describe(&found)))
    }

    fn invalid_value(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn missing_field(field: &'static str) -> Self {
        Self { missing: Some(field.into()), ..Self::new(Code::Missing, format!("`{field}` is missing")) }
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let all = expected.iter().map(|e| format!("`{e}`")).collect::<Vec<_>>().join(", ");
        let close =
            suggest(variant, expected.iter().copied()).map(|close| format!("did you mean `{close}`?"));
        let help = match (close, expected.len()) {
            (Some(close), 1) => close,
            (Some(close), _) => format!("{close} (one of {all})"),
            (None, _) => format!("one of {all}"),
        };
        Self {
            help: Some(help),
            ..Self::new(Code::InvalidValue, format!("`{variant}` is not a choice here"))
        }
    }
}

fn describe(found: &de::Unexpected<'_>) -> String {
    match found {
        de::Unexpected::Bool(value) => format!("`{value}`"),
        de::Unexpected::Unsigned(value) => format!("the number {value}"),
        de::Unexpected::Signed(value) => format!("the number {value}"),
        de::Unexpected::Float(value) => format!("the number {value}"),
        de::Unexpected::Str(text) => format!("the text `{text}`"),
        de::Unexpected::Unit => "nothing".into(),
        de::Unexpected::Seq => "a list".into(),
        de::Unexpected::Map => "a mapping".into(),
        other => other.to_string(),
    }
}

/// Combines the text after "expected" of serde's own type errors with our description of what was found.
fn mismatch(value: &Located, expected: &dyn de::Expected) -> Error {
    let mut error =
        Error::new(Code::InvalidValue, format!("expected {expected}, found {}", value.value.describe()));
    error.help = remedy(&value.value, &expected.to_string());
    error.at(value.span)
}

/// Returns what to write instead of `found`.
fn remedy(found: &Value, expected: &str) -> Option<String> {
    let bool = expected.contains("`true`");
    let text = match found {
        Value::Text(_) | Value::Number(_) if bool => "write `true` or `false`",
        Value::Text(text) if slip(text).is_some() => return slip(text),
        Value::Text(text) if text.len() > 15 && text.bytes().all(|b| b.is_ascii_digit()) => {
            "check the sizes: no real network is this large"
        }
        Value::Text(text) if text.contains(['+', '*', '/', '-', '(']) => {
            "a variable in an expression has a `$`: `4 * $width`"
        }
        Value::Text(_) => "give a number, or an expression such as `4 * $width`",
        Value::Number(number) if !number.is_integer() => {
            "`//` divides and rounds down; `round`, `ceil` and `floor` round"
        }
        Value::Number(number) if *number.numer() < 0 => "use 0 or more",
        Value::Number(number) if number.to_u64().is_none() => {
            "check the sizes: no real network is this large"
        }
        Value::Number(_) => "check the value",
        Value::Null => "give a value, or leave the key out",
        Value::List(_) if expected.contains("list") || expected.contains("axis") => {
            "for example `3`, or `[3, 3]` for one per axis"
        }
        Value::List(_) => "give one value without brackets",
        Value::Map(_) => "give the value itself, without `key:`",
        Value::Bool(_) => "give a number, or an expression such as `4 * $width`",
    };
    Some(text.to_owned())
}

/// Returns the remedy for a text that is a number or a list in another notation: `"16"`, `(3, 3)`, `3x3`,
/// `None`.
fn slip(text: &str) -> Option<String> {
    let number = |part: &str| part.parse::<u32>().is_ok();
    if super::parse_decimal(text).is_some() && text.len() <= 15 {
        return Some(format!("remove the quotes: `{text}`"));
    }
    if text == "None" {
        return Some("leave the argument out".into());
    }
    let tuple =
        text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).filter(|rest| rest.contains(','));
    if let Some(inside) = tuple {
        return Some(format!("a list has square brackets: `[{}]`", inside.trim().trim_end_matches(',')));
    }
    let sides: Vec<&str> = text.split(['x', '×']).map(str::trim).collect();
    (sides.len() > 1 && sides.iter().copied().all(number))
        .then(|| format!("write one number per axis: `[{}]`", sides.join(", ")))
}

impl<'de> de::Deserializer<'de> for &Located {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let result = match &self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => visit_number(self, number, visitor),
            Value::Text(text) => visitor.visit_str(text),
            Value::List(list) => visitor.visit_seq(Items { items: list.iter() }),
            Value::Map(map) => visitor.visit_map(Entries { entries: map.iter(), value: None, top: true }),
        };
        result.map_err(|mut error: Error| {
            if error.span.is_none() && error.help.is_none() && error.code == Code::InvalidValue {
                error.help = remedy(&self.value, &error.message);
            }
            error.at(self.span)
        })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let Value::Map(map) = &self.value else {
            return Err(mismatch(self, &visitor));
        };
        for (key, _) in map {
            if !fields.contains(&key.name.as_str()) {
                let mut error =
                    Error::new(Code::UnknownName, format!("unknown argument `{}`", key.name)).at(key.span);
                error.help = if fields.is_empty() {
                    Some("it takes none".into())
                } else {
                    did_you_mean(&key.name, fields)
                };
                error.unknown = Some(key.name.clone());
                error.meant = suggest(&key.name, fields.iter().copied()).map(str::to_owned);
                error.key = Some(key.span);
                return Err(error);
            }
        }
        visitor.visit_map(Entries { entries: map.iter(), value: None, top: true })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match &self.value {
            Value::Text(text) => visitor.visit_enum(text.as_str().into_deserializer()),
            _ => Err(mismatch(self, &visitor)),
        }
        .map_err(|error: Error| error.at(self.span))
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.value {
            Value::Number(number) if number.is_integer() && number.to_u64().is_some() => {
                visitor.visit_u64(number.to_u64().unwrap_or_default())
            }
            Value::Number(number) if !number.is_integer() => Err(mismatch(self, &"a whole number")),
            _ => Err(mismatch(self, &"a whole number, at least 0")),
        }
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.value {
            Value::Number(number) if number.is_integer() && number.to_i64().is_some() => {
                visitor.visit_i64(number.to_i64().unwrap_or_default())
            }
            _ => Err(mismatch(self, &"a whole number")),
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.value {
            Value::Number(number) => visitor.visit_f64(number.to_f64().unwrap_or(f64::NAN)),
            _ => Err(mismatch(self, &"a number")),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.value {
            Value::Bool(value) => visitor.visit_bool(*value),
            _ => Err(mismatch(self, &"`true` or `false`")),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.value {
            Value::List(list) => {
                visitor.visit_seq(Items { items: list.iter() }).map_err(|error| error.at(self.span))
            }
            _ => Err(mismatch(self, &"a list")),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.value {
            Value::Text(text) => visitor.visit_str(text).map_err(|error: Error| error.at(self.span)),
            _ => Err(mismatch(self, &"text")),
        }
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i128 u8 u16 u32 u128 f32 char str bytes byte_buf unit unit_struct tuple tuple_struct map
        identifier ignored_any
    }
}

fn visit_number<'de, V: Visitor<'de>>(
    value: &Located,
    number: &super::Number,
    visitor: V,
) -> Result<V::Value, Error> {
    if !number.is_integer() {
        return visitor.visit_f64(number.to_f64().unwrap_or(f64::NAN));
    }
    match (number.to_u64(), number.to_i64()) {
        (Some(number), _) => visitor.visit_u64(number),
        (None, Some(number)) => visitor.visit_i64(number),
        // Only numbers with a point in them can be larger.
        (None, None) => visitor
            .visit_i128(*number.numer())
            .map_err(|_: Error| mismatch(value, &"a number of at most 64 bits")),
    }
}

struct Items<'a> {
    items: std::slice::Iter<'a, Located>,
}

impl<'de> de::SeqAccess<'de> for Items<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        self.items.next().map(|item| seed.deserialize(item).map_err(|error| error.at(item.span))).transpose()
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Entries<'a> {
    entries: std::slice::Iter<'a, (Key, Located)>,
    value: Option<&'a (Key, Located)>,
    top: bool,
}

impl<'de> de::MapAccess<'de> for Entries<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some(entry) = self.entries.next() else { return Ok(None) };
        self.value = Some(entry);
        seed.deserialize(entry.0.name.as_str().into_deserializer())
            .map(Some)
            .map_err(|error: Error| error.at(entry.0.span))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        let Some((key, value)) = self.value.take() else {
            return Err(de::Error::custom("a value without a key"));
        };
        seed.deserialize(value).map_err(|error| {
            let mut error = error.at(value.span);
            if self.top {
                error.key = Some(key.span);
            }
            error
        })
    }
}
