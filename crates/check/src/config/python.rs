//! Networks of Python in a project's file: `[[python]]`.

use super::{Reader, entries, find, items};
use cnnkit_core::diagnostic::Code;
use cnnkit_core::source::Span;
use cnnkit_core::value::{Located, Value};
use num_traits::ToPrimitive as _;

/// A network that `cnnkit check` imports because the project's file names it.
#[derive(Debug, Clone)]
pub struct Object {
    /// `package.module:Name`: a class, a factory or an instance.
    pub model: String,
    /// Position of the name in the project's file.
    pub place: Span,
    /// The shapes of the inputs without the batch, in the order of `forward`.
    pub inputs: Vec<Vec<u64>>,
    /// Arguments of the constructor: names, and literals of Python.
    pub arguments: Vec<(String, String)>,
}

const EXAMPLE: &str = "`model = \"package.models:Net\"`, `input = [3, 224, 224]`";

impl Reader {
    /// Parses one table of `[[python]]`.
    pub(super) fn object(&mut self, table: &Located) {
        self.known(table, &["model", "input", "args"], "in `[[python]]`");
        let (model, input) = (find(table, "model"), find(table, "input"));
        for (name, value) in [("model", model), ("input", input)] {
            if value.is_none() {
                self.error(Code::Missing, format!("`{name}` is missing"), table.span, EXAMPLE);
            }
        }
        let (Some(model), Some(input)) = (model, input) else { return };
        let Some(name) = self.text(model) else { return };
        let nested = items(input).iter().any(|item| matches!(item.value, Value::List(_)));
        let shapes = if nested { items(input) } else { std::slice::from_ref(input) };
        let inputs = shapes.iter().map(|shape| self.shape(shape)).collect();
        let given = find(table, "args").map(entries).unwrap_or_default();
        let arguments = given.iter().map(|(key, value)| (key.name.clone(), literal(value))).collect();
        self.project.objects.push(Object { model: name, place: model.span, inputs, arguments });
    }

    fn shape(&mut self, value: &Located) -> Vec<u64> {
        let mut sizes = Vec::new();
        for item in items(value) {
            let size = match &item.value {
                Value::Number(number) if number.is_integer() => number.to_u64(),
                _ => None,
            };
            match size {
                Some(size) => sizes.push(size),
                None => {
                    let message = format!("expected a size, found {}", item.value.describe());
                    self.error(Code::InvalidValue, message, item.span, EXAMPLE);
                }
            }
        }
        sizes
    }
}

/// A value as a literal of Python.
fn literal(value: &Located) -> String {
    match &value.value {
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::Number(number) if number.is_integer() => number.to_string(),
        Value::Number(number) => {
            number.to_f64().map_or_else(|| "None".into(), |number| format!("{number:?}"))
        }
        Value::Text(text) => quoted(text),
        Value::List(list) => format!("[{}]", list.iter().map(literal).collect::<Vec<_>>().join(", ")),
        Value::Map(entries) => {
            let entry = |(key, value): &(cnnkit_core::value::Key, Located)| {
                format!("{}: {}", quoted(&key.name), literal(value))
            };
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
        _ => "None".into(),
    }
}

/// A text in the quotes of JSON, which Python reads in the same way.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
