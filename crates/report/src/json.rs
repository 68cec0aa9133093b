//! The JSON of a report: written from the typed summary, piece by piece, whenever someone asks for it.
//!
//! A network with millions of connections has hundreds of megabytes of JSON. A tree of values takes ten times that, so
//! none is built, and nothing is written for a report that is only shown as a table.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter};

use crate::render::safe;

/// Writes the value to anything.
type WriteTo = dyn Fn(&mut dyn Write) -> io::Result<()> + Send + Sync;

/// A value that can be written as JSON; a clone is the same value.
#[derive(Clone)]
pub struct Json(Arc<WriteTo>);

impl Json {
    /// Returns `value` as JSON.
    pub fn of(value: impl Serialize + Send + Sync + 'static) -> Self {
        Self(Arc::new(move |out| write(&value, out)))
    }

    /// Writes pretty JSON with a final newline, in which no character is one that a terminal or a parser of lines would
    /// obey.
    ///
    /// # Errors
    /// If `out` cannot be written.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        (self.0)(out)
    }

    /// Returns what [`Json::write`] writes.
    pub fn text(&self) -> String {
        let mut bytes = Vec::new();
        // Writing to memory does not fail, and JSON is UTF-8.
        let _ = self.write(&mut bytes);
        String::from_utf8(bytes).unwrap_or_default()
    }

    /// Returns the value as a tree.
    pub fn value(&self) -> serde_json::Value {
        serde_json::from_str(&self.text()).unwrap_or_default()
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value().fmt(f)
    }
}

fn write(value: &dyn erased::Value, out: &mut dyn Write) -> io::Result<()> {
    value.write(out)?;
    out.write_all(b"\n")
}

/// One copy of the code that writes a type, whatever it is written to.
mod erased {
    use super::{Escaped, PrettyFormatter, Serialize, Write, io};

    pub trait Value {
        fn write(&self, out: &mut dyn Write) -> io::Result<()>;
    }

    impl<T: Serialize> Value for T {
        fn write(&self, out: &mut dyn Write) -> io::Result<()> {
            let format = Escaped(PrettyFormatter::new());
            self.serialize(&mut serde_json::Serializer::with_formatter(out, format))?;
            Ok(())
        }
    }
}

/// Pretty JSON with the escapes of [`safe::json`] in its texts.
struct Escaped<'a>(PrettyFormatter<'a>);

impl Formatter for Escaped<'_> {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        out.write_all(safe::json(fragment).as_bytes())
    }

    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_array(out)
    }

    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_array(out)
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(out, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_array_value(out)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_object(out)
    }

    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_object(out)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(out, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_object_value(out)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_object_value(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped_and_numbers_are_exact() {
        let value = serde_json::json!({
            "a\u{85}": "\u{2028}\u{202e}\u{e0001}##[error]\u{7f}##\u{1b}##\"[",
            "b": ["x\ny", {}, [], null, 1.5, 340_282_366_920_938_463_463_374_607_431_768_211_455_u128],
        });
        let json = Json::of(value.clone());
        let text = json.text();
        assert!(text.is_ascii() && !text.contains("##[") && text.ends_with("}\n"), "{text}");
        assert_eq!(json.value(), value);
        assert_eq!(text, safe::json(&format!("{}\n", serde_json::to_string_pretty(&value).expect("JSON"))));
    }
}
