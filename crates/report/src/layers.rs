//! `cnnkit layers`: one line per layer, or one layer with its arguments, formulas and examples.

use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use serde_json::{Map, Value as Json};

use crate::render::fit::wrap;
use crate::summary::Summary;
use crate::{Block, Cell, Column, Fact, Page, Row, StyledText, Table, Tone};
use cnnkit_core::layers::{Category, Cost, Io, KINDS, Kind, Weight, WeightRole};
use cnnkit_core::number::grouped;
use cnnkit_core::shape::Shape;
use cnnkit_core::source::{self, Sources};
use cnnkit_core::spec::yaml;

/// The list of `cnnkit layers`: every layer of the spec language.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct LayersSummary {
    /// The layers.
    pub layers: Vec<LayerEntry>,
}

/// A layer in one line.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct LayerEntry {
    /// Its name in a spec.
    pub name: String,
    /// Other names that are accepted.
    pub aliases: Vec<String>,
    /// Its category: `convolution`, `pooling` and so on.
    #[schemars(with = "String")]
    pub category: Category,
    /// What it computes, in one line.
    pub summary: String,
}

/// The documentation of one layer, for `cnnkit layers NAME`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct LayerSummary {
    /// The layer in one line.
    #[serde(flatten)]
    pub entry: LayerEntry,
    /// Its arguments, in order.
    pub arguments: Vec<Argument>,
    /// Its formulas, by the quantity that they compute.
    pub formulas: Map<String, Json>,
    /// The source of its definition.
    pub source: String,
    /// Small uses, with their outputs and costs.
    pub examples: Vec<Use>,
    /// The formulas with display names.
    #[serde(skip)]
    lines: Vec<Fact>,
}

/// An argument of a layer.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Argument {
    /// Its name.
    pub name: String,
    /// Whether it is required.
    pub required: bool,
    /// Its default value; null if it has none.
    pub default: Json,
    /// Its type, in words.
    pub r#type: String,
    /// The words that it accepts, if it is a choice.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Choice>,
    /// What it means.
    pub description: String,
}

/// A word that an argument accepts.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Choice {
    /// The word.
    pub name: String,
    /// What it means.
    pub description: String,
}

/// A small use, with its output and costs.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Use {
    /// The arguments, as in a spec.
    pub args: String,
    /// The shapes of its inputs.
    pub inputs: Vec<Shape>,
    /// The shape of its output.
    pub output: Shape,
    /// Learnable elements.
    #[schemars(extend("unit" = "elements"))]
    pub params: u64,
    /// Elements of buffers.
    #[schemars(extend("unit" = "elements"))]
    pub buffers: u64,
    /// Multiply-accumulates.
    #[schemars(extend("unit" = "MACs"))]
    pub macs: u64,
    /// Multiply-accumulates of bilinear sampling.
    #[schemars(extend("unit" = "MACs"))]
    pub sampling_macs: u64,
    /// Other operations: additions, comparisons, exponentials and the like.
    #[schemars(extend("unit" = "operations"))]
    pub other_ops: u64,
}

impl From<&Kind> for LayerEntry {
    fn from(kind: &Kind) -> Self {
        let doc = kind.doc;
        Self {
            name: doc.name.into(),
            aliases: doc.aliases.iter().map(|&alias| alias.into()).collect(),
            category: doc.category,
            summary: doc.summary.into(),
        }
    }
}

impl LayersSummary {
    /// Returns the list of all layers.
    pub fn all() -> Self {
        Self { layers: KINDS.iter().map(LayerEntry::from).collect() }
    }
}

impl Summary for LayersSummary {
    const COMMAND: &'static str = "layers";

    fn page(&self) -> Page {
        let mut page = Page::default();
        page.push(Block::Data(layer_table(&self.layers)));
        let mut categories: Vec<Category> = self.layers.iter().map(|layer| layer.category).collect();
        categories.sort_unstable();
        categories.dedup();
        let width = self.layers.iter().map(|layer| layer.name.len()).max().unwrap_or(0);
        for category in categories {
            page.title(title(category));
            let lines = self.layers.iter().filter(|layer| layer.category == category).map(|layer| Fact {
                name: format!("  {:width$}", layer.name),
                value: Cell::default(),
                remark: Some(layer.summary.clone()),
            });
            page.push(Block::Definitions(lines.collect()));
        }
        page.note(format!(
            "{} layers, in 1, 2 and 3 dimensions where that makes sense. `cnnkit layers conv` shows one with its arguments, formulas and examples.",
            self.layers.len()
        ));
        page
    }
}

impl LayerSummary {
    /// Returns the documentation of `kind`.
    pub fn of(kind: &Kind) -> Self {
        let doc = kind.doc;
        let formula = |&(name, formula): &(&str, &str)| (name.replace(' ', "_"), formula.into());
        let line = |&(name, formula): &(&str, &str)| Fact {
            name: name.into(),
            value: Cell::default(),
            remark: Some(formula.into()),
        };
        Self {
            entry: LayerEntry::from(kind),
            arguments: arguments(kind),
            formulas: doc.formulas.iter().map(formula).collect(),
            source: doc.source.into(),
            examples: uses(kind),
            lines: doc.formulas.iter().map(line).collect(),
        }
    }
}

impl Summary for LayerSummary {
    const COMMAND: &'static str = "layers";

    fn page(&self) -> Page {
        let LayerEntry { name, aliases, category, summary } = &self.entry;
        let mut page = Page::default();
        page.title_with(name, title(*category).to_lowercase());
        page.text(summary);
        if !aliases.is_empty() {
            page.note(format!("also written: {}", aliases.join(", ")));
        }
        page.title("Arguments");
        if self.arguments.is_empty() {
            page.text("none");
        } else {
            page.push(Block::Data(argument_table(&self.arguments)));
            page.push(Block::Definitions(self.arguments.iter().map(Argument::fact).collect()));
        }
        page.title("Formulas");
        page.push(Block::Definitions(self.lines.clone()));
        page.title("Examples");
        page.push(Block::Drawing(self.examples.iter().flat_map(|example| example.lines(name)).collect()));
        page.note(format!("Source: {}", self.source));
        page
    }
}

/// The layers, for programs.
fn layer_table(layers: &[LayerEntry]) -> Table {
    let columns = ["layer", "category", "also written", "what it is"].map(Column::text).to_vec();
    let row = |layer: &LayerEntry| {
        let texts =
            [&layer.name, &title(layer.category).to_owned(), &layer.aliases.join(" "), &layer.summary];
        Row::new(texts.map(Cell::text).to_vec())
    };
    Table { name: "layers", columns, rows: layers.iter().map(row).collect() }
}

/// The arguments of a layer, for programs.
fn argument_table(arguments: &[Argument]) -> Table {
    let columns =
        ["argument", "required", "default", "type", "choices", "what it is"].map(Column::text).to_vec();
    let row = |argument: &Argument| {
        let default = match &argument.default {
            Json::Null => String::new(),
            Json::String(text) => text.clone(),
            other => other.to_string(),
        };
        let choices: Vec<&str> = argument.choices.iter().map(|choice| choice.name.as_str()).collect();
        let texts = [
            argument.name.clone(),
            argument.required.to_string(),
            default,
            argument.r#type.clone(),
            choices.join(" "),
            argument.description.clone(),
        ];
        Row::new(texts.map(Cell::text).to_vec())
    };
    Table { name: "arguments", columns, rows: arguments.iter().map(row).collect() }
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
            Json::Null => Cell::missing(),
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

/// Returns the arguments of `kind`, in the order of its struct.
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

/// Formats `a, b or c`.
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

/// Returns what `schema` allows: documented words as choices, anything else as a type in words.
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

/// Returns the valid examples of `kind`; the vocabulary's test checks that all are valid.
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
        let (args, inputs) = (example.args.to_owned(), example.inputs.clone());
        Some(Use { args, inputs, output, params, buffers, macs, sampling_macs, other_ops })
    };
    (kind.examples)().into_iter().filter_map(result).collect()
}

impl Use {
    /// Formats the example as in a spec, followed by the result for its input.
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
