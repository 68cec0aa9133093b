//! `docs/json.md`: every key of every command's JSON with its type, unit and meaning, generated from the
//! summaries' types.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use crate::output::{Output, commands, finish};

const INTRODUCTION: &str = "\
# JSON output

<!-- Written by `CNNKIT_BLESS=1 cargo test --test program`, from the summaries in crates/report: change it there. -->

`--format json` prints one object. Keys are snake_case, numbers are plain JSON numbers: counts are exact integers, never
rounded and never with a unit. Later versions may add keys; they do not change or remove one without a new `schema`.
`schema/output.schema.json` is the same as a JSON Schema, with one definition per command.

Every object has these keys:

| key | type | meaning |
| --- | --- | --- |
| `schema` | 1 | version of this format |
| `command` | string | the command |
| `spec.name` | string or null | the network's name; null if the command is not about one network |
| `spec.path` | string or null | the SPEC argument: a file, `zoo:NAME` or `-`; null if the command is not about one network |

A command that reads networks gives several of them as `results`: an array with one object per network, each with its own
`spec` and the keys below; `schema` and `command` stand outside. In the tables `layers[].id` is the key `id` of every object in
the array `layers`; a key that may be missing is marked as optional.

A call that cannot run (exit status 2) prints an object with `schema`, `command`, `ok` = false and `errors`, an array of objects
with `code` (`CK005`; null for a flaw of the call), `message`, `help` (an array of remedies), `node`, `file`, `line`, `column`,
`end_line` and `end_column` (from 1; null if the flaw has no place). The same errors stand in words on standard error.
";

/// Returns the page.
pub fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    for (command, forms) in commands() {
        page += &format!("\n## {command}\n");
        for form in forms {
            page += &section(form);
        }
    }
    page
}

/// Returns the section of one form of a command's output: its description and its keys.
fn section(form: &Output) -> String {
    let mut generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let mut schema = (form.schema)(&mut generator).to_value();
    let mut definitions = generator.take_definitions(true);
    finish(&mut schema);
    definitions.values_mut().for_each(finish);
    let mut keys = Keys { definitions, rows: vec![], objects: vec![] };
    keys.object("", &schema);
    let about = schema["description"].as_str().unwrap_or_default();
    let mut text = format!("\n{about}\n\n| key | type | unit | meaning |\n| --- | --- | --- | --- |\n");
    for row in keys.rows {
        text += &format!("| `{}` | {} | {} | {} |\n", row.key, row.kind, row.unit, row.meaning);
    }
    text
}

struct Row {
    key: String,
    kind: String,
    unit: String,
    meaning: String,
}

/// The rows of a table, filled by traversing a schema.
struct Keys {
    definitions: Map<String, Value>,
    rows: Vec<Row>,
    /// Objects whose keys are in the table, with their paths.
    objects: Vec<(Value, String)>,
}

impl Keys {
    /// Returns the schema that a reference refers to, or `schema` itself.
    fn resolved<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let name = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next());
        name.and_then(|name| self.definitions.get(name)).unwrap_or(schema)
    }

    /// Returns the alternatives of a schema; the schema itself if it has none.
    fn forms<'a>(&'a self, schema: &'a Value) -> Vec<&'a Value> {
        let schema = self.resolved(schema);
        let list = ["anyOf", "oneOf"].iter().find_map(|key| schema[*key].as_array());
        list.map_or_else(|| vec![schema], |list| list.iter().flat_map(|form| self.forms(form)).collect())
    }

    /// Adds the keys of an object below `path`.
    fn object(&mut self, path: &str, schema: &Value) {
        let mut own = self.resolved(schema).clone();
        if let Some(Value::Object(properties)) = own.get_mut("properties").map(Value::take) {
            for (name, property) in properties {
                let required =
                    own["required"].as_array().is_some_and(|list| list.contains(&name.as_str().into()));
                self.key(&format!("{path}{name}"), &property, required);
            }
        }
        for key in ["anyOf", "oneOf"] {
            for form in own[key].as_array().into_iter().flatten() {
                self.object(path, form);
            }
        }
    }

    /// Adds a key, and those below it.
    fn key(&mut self, path: &str, schema: &Value, required: bool) {
        let mut kind = self.kind(schema);
        if let Some(row) = self.rows.iter_mut().find(|row| row.key == path) {
            if !row.kind.contains(&kind) {
                row.kind += &format!(" or {kind}");
            }
            return;
        }
        if !required {
            kind += ", optional";
        }
        let unit = self.unit(schema);
        let own = schema["description"].as_str().or(self.resolved(schema)["description"].as_str());
        let mut meaning = own.unwrap_or_default().replace('\n', " ");
        for form in self.forms(schema) {
            if let (Some(word), Some(text)) = (form["const"].as_str(), form["description"].as_str()) {
                meaning += &format!(" `{word}`: {}.", text.replace('\n', " ").trim_end_matches('.'));
            }
        }
        self.rows.push(Row { key: path.into(), kind, unit, meaning: meaning.trim().replace('|', "\\|") });
        let row = self.rows.len() - 1;
        let (mut path, mut schemas) = (path.to_owned(), vec![schema.clone()]);
        loop {
            let forms: Vec<Value> = schemas.iter().flat_map(|schema| self.forms(schema)).cloned().collect();
            for form in forms.iter().filter(|form| form["properties"].is_object()) {
                match self.objects.iter().find(|(other, _)| other == form) {
                    Some((_, other)) => self.rows[row].meaning += &format!(" Keys as in `{other}`."),
                    None => {
                        self.objects.push((form.clone(), path.clone()));
                        self.object(&format!("{path}."), form);
                    }
                }
            }
            schemas = forms.iter().filter_map(|form| form.get("items")).cloned().collect();
            if schemas.is_empty() {
                return;
            }
            path += "[]";
        }
    }

    fn unit(&self, schema: &Value) -> String {
        let own = schema["unit"].as_str().or(self.resolved(schema)["unit"].as_str());
        own.unwrap_or_default().to_owned()
    }

    /// Formats `integer or null`, `array of objects`, `"f32" or "f16"`.
    fn kind(&self, schema: &Value) -> String {
        let mut kinds: Vec<String> = Vec::new();
        for form in self.forms(schema) {
            for kind in self.simple(form) {
                if !kinds.contains(&kind) {
                    kinds.push(kind);
                }
            }
        }
        kinds.join(" or ")
    }

    fn simple(&self, form: &Value) -> Vec<String> {
        if let Some(value) = form.get("const") {
            return vec![format!("`{value}`")];
        }
        if let Some(words) = form["enum"].as_array() {
            return words.iter().map(|word| format!("`{word}`")).collect();
        }
        let types = match &form["type"] {
            Value::String(one) => vec![one.as_str()],
            Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
            _ => return vec!["any".into()],
        };
        let array = || {
            let items = form.get("items").map_or_else(|| "any".into(), |items| self.kind(items));
            let items = match items.as_str() {
                several if several.contains(" or ") => format!("({several})"),
                arrays if arrays.starts_with("array ") => arrays.replacen("array", "arrays", 1),
                any @ "any" => any.to_owned(),
                one => format!("{one}s"),
            };
            match (form["minItems"].as_u64(), form["maxItems"].as_u64()) {
                (Some(least), Some(most)) if least == most => format!("array of {least} {items}"),
                _ => format!("array of {items}"),
            }
        };
        types.into_iter().map(|kind| if kind == "array" { array() } else { kind.to_owned() }).collect()
    }
}
