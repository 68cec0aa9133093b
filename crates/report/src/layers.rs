//! The vocabulary for people: every layer with a line, or one layer with all it says about itself.

use schemars::SchemaGenerator;
use serde::Serialize;
use serde_json::{Map, Value as Json, json};

use crate::render::terminal::wrap;
use crate::{Block, Cell, Fact, Page, Report, StyledText, Tone};
use cnnkit_core::layers::{Category, Cost, Io, KINDS, Kind, Weight, WeightRole};
use cnnkit_core::number::grouped;
use cnnkit_core::shape::Shape;
use cnnkit_core::source::{self, Sources};
use cnnkit_core::spec::yaml;

/// An argument of a layer, read from the JSON Schema of its type.
#[derive(Debug, Serialize)]
struct Argument {
    name: String,
    required: bool,
    default: Json,
    r#type: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    choices: Vec<Choice>,
    description: String,
}

/// A word that an argument can be.
#[derive(Debug, Serialize)]
struct Choice {
    name: String,
    description: String,
}

/// A small use and what becomes of it.
#[derive(Debug, Serialize)]
struct Use {
    args: &'static str,
    inputs: Vec<Shape>,
    output: Shape,
    params: u64,
    buffers: u64,
    macs: u64,
    sampling_macs: u64,
    other_ops: u64,
}

/// All layers, by category.
pub fn list() -> Report {
    let mut page = Page::default();
    let mut categories: Vec<Category> = KINDS.iter().map(|kind| kind.doc.category).collect();
    categories.sort_unstable();
    categories.dedup();
    let width = KINDS.iter().map(|kind| kind.doc.name.len()).max().unwrap_or(0);
    for category in categories {
        page.title(title(category));
        let lines = KINDS.iter().filter(|kind| kind.doc.category == category).map(|kind| Fact {
            name: format!("  {:width$}", kind.doc.name),
            value: Cell::default(),
            remark: Some(kind.doc.summary.into()),
        });
        page.push(Block::Facts(lines.collect()));
    }
    page.note(format!(
        "{} layers, in 1, 2 and 3 dimensions where that makes sense. `cnnkit layers conv` shows one with its arguments, formulas and examples.",
        KINDS.len()
    ));
    let layers: Vec<Json> = KINDS.iter().map(summary).collect();
    Report::new(page, &json!({"schema": 1, "command": "layers", "layers": layers}))
}

/// Everything about `kind`.
pub fn one(kind: &Kind) -> Report {
    let doc = kind.doc;
    let (arguments, uses) = (arguments(kind), uses(kind));
    let mut page = Page::default();
    page.title_with(doc.name, title(doc.category).to_lowercase());
    page.text(doc.summary);
    if !doc.aliases.is_empty() {
        page.note(format!("also written: {}", doc.aliases.join(", ")));
    }
    page.title("Arguments");
    if arguments.is_empty() {
        page.text("none");
    } else {
        page.push(Block::Facts(arguments.iter().map(Argument::fact).collect()));
    }
    page.title("Formulas");
    let formula = |&(name, formula): &(&str, &str)| Fact {
        name: name.into(),
        value: Cell::default(),
        remark: Some(formula.into()),
    };
    page.push(Block::Facts(doc.formulas.iter().map(formula).collect()));
    page.title("Examples");
    page.push(Block::Drawing(uses.iter().flat_map(|example| example.lines(doc.name)).collect()));
    page.note(format!("Source: {}", doc.source));
    let mut json = Map::new();
    json.insert("schema".into(), 1.into());
    json.insert("command".into(), "layers".into());
    if let Json::Object(keys) = summary(kind) {
        json.extend(keys);
    }
    json.insert("arguments".into(), json!(arguments));
    let formulas: Map<String, Json> =
        doc.formulas.iter().map(|&(name, formula)| (name.replace(' ', "_"), formula.into())).collect();
    json.insert("formulas".into(), formulas.into());
    json.insert("source".into(), doc.source.into());
    json.insert("examples".into(), json!(uses));
    Report::new(page, &json)
}

fn summary(kind: &Kind) -> Json {
    let doc = kind.doc;
    json!({"name": doc.name, "aliases": doc.aliases, "category": doc.category, "summary": doc.summary})
}

fn title(category: Category) -> &'static str {
    match category {
        Category::Convolution => "Convolutions and linear maps",
        Category::Pooling => "Pooling",
        Category::Normalisation => "Normalisation and regularisation",
        Category::Activation => "Activations",
        Category::Shape => "Shape: resize, pad, cut, rearrange",
        Category::Merge => "Merges",
        Category::Gate => "Gates and scales",
    }
}

impl Argument {
    fn fact(&self) -> Fact {
        let value = match &self.default {
            _ if self.required => Cell::toned("required", Tone::Strong),
            Json::Null => Cell::toned("-", Tone::Quiet),
            Json::String(text) => Cell::text(text),
            other => Cell::text(other.to_string()),
        };
        let kind = match self.choices.as_slice() {
            [] => self.r#type.clone(),
            choices => choices.iter().map(|choice| choice.name.as_str()).collect::<Vec<_>>().join(", "),
        };
        Fact { name: self.name.clone(), value, remark: Some(format!("{} [{kind}]", self.description)) }
    }
}

/// The arguments of `kind`, in the order of its struct.
fn arguments(kind: &Kind) -> Vec<Argument> {
    let mut generator = SchemaGenerator::default();
    let root = (kind.schema)(&mut generator).to_value();
    let definitions = generator.definitions();
    let root = resolve(&root, definitions);
    let required = |name: &str| {
        root.get("required").and_then(Json::as_array).is_some_and(|list| list.iter().any(|n| n == name))
    };
    let properties = root.get("properties").and_then(Json::as_object).into_iter().flatten();
    properties
        .map(|(name, schema)| {
            let mut choices = Vec::new();
            let mut types = Vec::new();
            describe_type(schema, definitions, &mut types, &mut choices);
            Argument {
                name: name.clone(),
                required: required(name),
                default: schema.get("default").cloned().unwrap_or(Json::Null),
                r#type: if choices.is_empty() { alternatives(&types) } else { "choice".into() },
                choices,
                description: text(schema, "description"),
            }
        })
        .collect()
}

/// `a, b or c`.
fn alternatives(words: &[String]) -> String {
    match words {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        _ => words.concat(),
    }
}

fn resolve<'a>(schema: &'a Json, definitions: &'a Map<String, Json>) -> &'a Json {
    let name = schema.get("$ref").and_then(Json::as_str).and_then(|path| path.rsplit('/').next());
    name.and_then(|name| definitions.get(name)).unwrap_or(schema)
}

fn text(schema: &Json, key: &str) -> String {
    schema.get(key).and_then(Json::as_str).unwrap_or_default().to_owned()
}

/// Collects what `schema` allows: documented words as choices, anything else as a type in words.
fn describe_type(
    schema: &Json,
    definitions: &Map<String, Json>,
    types: &mut Vec<String>,
    choices: &mut Vec<Choice>,
) {
    let schema = resolve(schema, definitions);
    if let Some(word) = schema.get("const").and_then(Json::as_str) {
        choices.push(Choice { name: word.into(), description: text(schema, "description") });
    }
    let words = schema.get("enum").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
    types.extend(words.map(str::to_owned));
    for key in ["anyOf", "oneOf", "allOf"] {
        for part in schema.get(key).and_then(Json::as_array).into_iter().flatten() {
            describe_type(part, definitions, types, choices);
        }
    }
    let names = match schema.get("type") {
        Some(Json::Array(names)) => names.iter().filter_map(Json::as_str).collect(),
        Some(Json::String(name)) => vec![name.as_str()],
        _ => vec![],
    };
    for name in names {
        let words = match name {
            "integer" => "whole number",
            "boolean" => "true or false",
            "array" => "list",
            // A word of a choice, or the absence of an optional argument.
            "string" | "null" => continue,
            other => other,
        };
        if !types.iter().any(|known| known == words) {
            types.push(words.into());
        }
    }
}

/// The examples of `kind` that hold, which the vocabulary's test says are all of them.
fn uses(kind: &Kind) -> Vec<Use> {
    let result = |example: cnnkit_core::layers::Example| {
        let mut sources = Sources::default();
        let source = sources.add("example", example.args);
        let args = yaml::parse(&sources, source).ok()?;
        let layer = kind.build(&args, source::Span::new(source, 0, 0)).ok()?;
        let output = layer.infer(&example.inputs).ok()?;
        let io = Io { inputs: &example.inputs, output: &output };
        let (weights, cost): (Vec<Weight>, Cost) = (layer.weights(io).ok()?, layer.cost(io).ok()?);
        let count = |role: WeightRole| {
            weights
                .iter()
                .filter(|weight| weight.role == role)
                .map(|weight| weight.shape.elements().ok())
                .sum::<Option<u64>>()
        };
        let (params, buffers) = (count(WeightRole::Parameter)?, count(WeightRole::Buffer)?);
        let (macs, sampling_macs, other_ops) = (cost.macs, cost.sampling_macs, cost.ops.total().ok()?);
        let (args, inputs) = (example.args, example.inputs.clone());
        Some(Use { args, inputs, output, params, buffers, macs, sampling_macs, other_ops })
    };
    (kind.examples)().into_iter().filter_map(result).collect()
}

impl Use {
    /// The example as in a spec, and under it what becomes of the input.
    fn lines(&self, name: &str) -> Vec<Vec<StyledText>> {
        let args = if self.args == "{}" { String::new() } else { format!(": {}", self.args) };
        let inputs = self.inputs.iter().map(Shape::to_string).collect::<Vec<_>>().join(" and ");
        let mut result = format!("{inputs} -> {}", self.output);
        for (count, what) in [
            (self.params, "params"),
            (self.buffers, "buffers"),
            (self.macs, "MACs"),
            (self.sampling_macs, "sampling MACs"),
            (self.other_ops, "other ops"),
        ] {
            if count > 0 {
                result = format!("{result}, {} {what}", grouped(count));
            }
        }
        let mut lines = Vec::new();
        for (text, indents, tone) in
            [(format!("- {name}{args}"), ["", "    "], Tone::Name), (result, ["    ", "      "], Tone::Quiet)]
        {
            // Short enough for any terminal; a break inside the braces is still YAML.
            for (i, line) in wrap(&text, 72).into_iter().enumerate() {
                lines.push(vec![StyledText::plain(indents[i.min(1)]), StyledText::new(line, tone)]);
            }
        }
        lines
    }
}
