//! Every command's summary in one list, and the JSON Schema (draft 2020-12) of the output;
//! [`crate::reference`] writes `docs/json.md`.
//!
//! Both are generated from the types of the summaries: the description of a key is the doc comment of its
//! field, its unit the attribute beside it (`#[schemars(extend("unit" = "bytes"))]`).

use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::summary::{SCHEMA_VERSION, Spec, Summary};
use crate::{
    chains, changes, channels, compare, demo, design, diff, findings, gridding, hdc, hdc_chains, html,
    import, init, layers, network, params, paths, plan, rf, rules, run, sizes, stream, survey, tile, train,
    verify, zoo,
};

/// One form of a command's output.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// The command, as in the key `command`.
    pub command: &'static str,
    /// Whether it is about one network, so that a call with several has `results`.
    pub per_network: bool,
    pub(crate) schema: fn(&mut SchemaGenerator) -> Schema,
}

impl Output {
    const fn of<T: Summary>() -> Self {
        Self { command: T::COMMAND, per_network: false, schema: T::json_schema }
    }

    const fn of_networks<T: Summary>() -> Self {
        Self { command: T::COMMAND, per_network: true, schema: T::json_schema }
    }
}

/// Every form of every command's output; forms of one command are adjacent.
pub const OUTPUTS: &[Output] = &[
    Output::of_networks::<params::ParamsSummary>(),
    Output::of::<compare::CompareSummary>(),
    Output::of_networks::<rf::RfSummary>(),
    Output::of_networks::<channels::ChannelsSummary>(),
    Output::of_networks::<paths::PathsSummary>(),
    Output::of_networks::<sizes::SizesSummary>(),
    Output::of_networks::<train::TrainSummary>(),
    Output::of_networks::<plan::PlanSummary>(),
    Output::of_networks::<tile::TileSummary>(),
    Output::of_networks::<stream::StreamSummary>(),
    Output::of_networks::<run::RunSummary>(),
    Output::of::<diff::DiffSummary>(),
    Output::of::<diff::DiffsSummary>(),
    Output::of_networks::<network::Network>(),
    Output::of_networks::<verify::VerifySummary>(),
    Output::of::<demo::DemoListSummary>(),
    Output::of::<demo::DemoSummary>(),
    Output::of::<gridding::GriddingSummary>(),
    Output::of::<chains::NetworkGriddingSummary>(),
    Output::of::<hdc::HdcSummary>(),
    Output::of::<hdc_chains::NetworkHdcSummary>(),
    Output::of::<design::DesignSummary>(),
    Output::of::<survey::SurveySummary>(),
    Output::of::<findings::Findings>(),
    Output::of::<changes::ChangesSummary>(),
    Output::of::<rules::RulesSummary>(),
    Output::of::<rules::ExplainSummary>(),
    Output::of::<init::InitSummary>(),
    Output::of::<init::NewSummary>(),
    Output::of::<html::ReportSummary>(),
    Output::of::<import::ImportSummary>(),
    Output::of::<layers::LayersSummary>(),
    Output::of::<layers::LayerSummary>(),
    Output::of::<zoo::ZooSummary>(),
    Output::of::<zoo::ZooShowSummary>(),
];

/// Returns the commands, each with its forms.
pub(crate) fn commands() -> impl Iterator<Item = (&'static str, &'static [Output])> {
    OUTPUTS.chunk_by(|a, b| a.command == b.command).map(|forms| (forms[0].command, forms))
}

fn reference(name: &str) -> Value {
    // A space is not allowed in a reference.
    json!({"$ref": format!("#/$defs/{}", name.replace(' ', "%20"))})
}

/// Returns the JSON Schema of the output: one definition per command, which the root chooses from.
pub fn schema() -> Value {
    let mut generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let spec = generator.subschema_for::<Spec>().to_value();
    let mut definitions = Map::new();
    for (command, forms) in commands() {
        let forms: Vec<Value> = forms
            .iter()
            .flat_map(|form| {
                let entry = entry((form.schema)(&mut generator).to_value(), &spec);
                let one = call(command, &entry);
                let results =
                    json!({"type": "array", "items": entry, "description": "One entry per network."});
                let several =
                    json!({"type": "object", "properties": {"results": results}, "required": ["results"]});
                std::iter::once(one).chain(form.per_network.then(|| call(command, &several)))
            })
            .collect();
        let definition = match <[Value; 1]>::try_from(forms) {
            Ok([only]) => only,
            Err(forms) => json!({"anyOf": forms}),
        };
        definitions.insert(command.into(), definition);
    }
    let choices: Vec<Value> = definitions.keys().map(|command| reference(command)).collect();
    definitions.extend(generator.take_definitions(true));
    definitions.values_mut().for_each(finish);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "cnnkit output",
        "description": "What cnnkit prints with `--format json`; docs/json.md explains it.",
        "anyOf": choices,
        "$defs": definitions,
    })
}

/// Completes a derived schema: a key of an enum's variant has the description of the variant, and a key that
/// may be absent is never null.
pub(crate) fn finish(schema: &mut Value) {
    finish_part(schema, false);
}

/// Completes a schema that may be the variant of an enum.
fn finish_part(schema: &mut Value, variant: bool) {
    match schema {
        Value::Object(keys) => {
            let description = keys.get("description").filter(|_| variant).cloned();
            let required = keys.get("required").cloned().unwrap_or_default();
            let required =
                |name: &String| required.as_array().is_some_and(|list| list.contains(&json!(name)));
            if let Some(Value::Object(properties)) = keys.get_mut("properties") {
                for (name, property) in properties {
                    if !required(name) {
                        never_null(property);
                    }
                    if let (Value::Object(property), Some(description)) = (property, &description)
                        && !property.contains_key("$ref")
                    {
                        property.entry("description").or_insert_with(|| description.clone());
                    }
                }
            }
            for (name, value) in keys.iter_mut() {
                finish_part(value, ["oneOf", "anyOf"].contains(&name.as_str()));
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|value| finish_part(value, variant)),
        _ => {}
    }
}

/// Removes null from the types of a key.
fn never_null(property: &mut Value) {
    if let Some(Value::Array(types)) = property.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            property["type"] = only.clone();
        }
    }
    if let Some(Value::Array(forms)) = property.get_mut("anyOf") {
        forms.retain(|form| form["type"] != "null");
    }
}

/// Returns `object` with `keys` before its properties, all of them required.
fn with_keys(keys: &[(&str, Value)], object: &Value) -> Value {
    let mut whole = object.clone();
    let mut properties: Map<String, Value> =
        keys.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let mut required: Vec<Value> = keys.iter().map(|(name, _)| (*name).into()).collect();
    if let Some(Value::Object(own)) = object.get("properties") {
        properties.extend(own.clone());
    }
    if let Some(Value::Array(own)) = object.get("required") {
        required.extend(own.clone());
    }
    whole["properties"] = properties.into();
    whole["required"] = required.into();
    whole
}

/// Returns the keys of one network, or of a command that is not about one network.
fn entry(summary: Value, spec: &Value) -> Value {
    with_keys(&[("spec", spec.clone())], &summary)
}

/// Returns the keys of a whole call.
fn call(command: &str, entry: &Value) -> Value {
    let version = json!({"const": SCHEMA_VERSION, "description": "Version of this format."});
    let name = json!({"const": command, "description": "The command."});
    with_keys(&[("schema", version), ("command", name)], entry)
}
