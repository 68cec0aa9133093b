//! The spec language as a JSON Schema (draft 2020-12) for editors, generated from the grammar and the layers'
//! argument types.
//!
//! It accepts every valid spec and rejects typing mistakes; it cannot check what requires arithmetic (shapes,
//! references).

use serde_json::{Map, Value, json};

use crate::dtype::Dtype;
use crate::layers;
use crate::spec::expectation::{EXPECTABLE, Expectable, NODES, Quantity, Unit};
use crate::spec::grammar::{self, Field, FieldKind};

/// Aliases of arguments; schemars does not read serde's aliases.
const ALIASES: &[(&str, &str)] =
    &[("affine", "elementwise_affine"), ("amount", "padding"), ("scale", "scale_factor")];

/// Returns the schema.
pub fn generate() -> Value {
    let mut generator = schemars::generate::SchemaSettings::draft2020_12().into_generator();
    let mut items = Map::new();
    let mut defaults = Map::new();
    for kind in layers::KINDS {
        let name = kind.doc.name;
        let mut arguments = resolved(&mut generator, kind.schema);
        open(&mut arguments);
        if let Some(object) = arguments.as_object_mut() {
            object.remove("title");
            object.insert("description".into(), kind.doc.summary.into());
            add_aliases(name, object);
            if kind.is_freezable()
                && let Some(Value::Object(properties)) = object.get_mut("properties")
            {
                let doc = "whether training changes its weights; fixed ones are buffers";
                let either = json!([{"type": "boolean"}, reference("expression")]);
                properties.insert(
                    layers::LEARNED.into(),
                    json!({"description": doc, "default": true, "anyOf": either}),
                );
            }
            if let Some(Value::Object(properties)) = object.get_mut("properties") {
                let doc = "how many parameters weights count as, where that is not the number of their elements: 0 for a tensor that an earlier layer has too";
                let numbers = json!([{"type": "integer", "minimum": 0}, reference("expression")]);
                properties.insert(
                    layers::COUNTS.into(),
                    json!({"description": doc, "type": "object", "additionalProperties": {"anyOf": numbers}}),
                );
            }
            // `defaults:` can give any argument, so none is required there.
            object.remove("required");
            defaults.insert(name.into(), Value::Object(object.clone()));
        }
        let list = json!({"type": "array", "items": reference("value"), "minItems": 1});
        let mut forms = vec![arguments];
        // `- relu:` and `- relu: {}` mean `- relu`; a layer that merges several inputs may list them.
        forms.push(json!({"type": "null"}));
        if kind.doc.inputs == layers::Arity::Many {
            forms.push(list);
        }
        items.insert(name.into(), json!({"description": kind.doc.summary, "anyOf": forms}));
    }
    for construct in grammar::CONSTRUCTS {
        let mut forms = vec![keys(construct.fields, construct.doc)];
        if construct.fields.iter().filter(|field| field.required).all(|field| field.kind == FieldKind::Layers)
        {
            forms.push(reference("layers"));
        }
        if construct.fields.iter().any(|field| field.required && field.kind == FieldKind::Paths) {
            forms.push(json!({"type": "array", "items": reference("layers")}));
        }
        if construct.fields.is_empty() {
            forms.remove(0);
        }
        items.insert(construct.name.into(), json!({"description": construct.doc, "anyOf": forms}));
    }
    for field in grammar::MODIFIERS {
        items.insert(field.name.into(), value_of(field));
    }
    let names: Vec<&String> =
        items.keys().filter(|key| !grammar::MODIFIERS.iter().any(|f| f.name == **key)).collect();
    let item = json!({
        "anyOf": [
            {"enum": names, "description": "a layer without arguments"},
            {"type": "string", "description": "a block without arguments, another name of a layer, or a variable"},
            {"$ref": "#/$defs/entry"}
        ]
    });
    let mut schema =
        keys(grammar::DOCUMENT, "A convolutional network, or a file of blocks, as cnnkit reads it");
    let object = schema.as_object_mut();
    let mut defs = generator.take_definitions(true);
    defs.values_mut().for_each(open);
    defs.insert(
        "expression".into(),
        json!({
            "type": "string",
            "pattern": r"\$|^[0-9(][-+*/%(). 0-9]*$",
            "description": "an expression: `4 * $width`"
        }),
    );
    defs.insert("value".into(), json!({"description": "any value, or an expression"}));
    defs.insert("layers".into(), json!({"type": ["array", "null"], "items": reference("item")}));
    defs.insert("item".into(), item);
    defs.insert(
        "entry".into(),
        json!({
            "type": "object",
            "minProperties": 1,
            "properties": items,
            "additionalProperties": {
                "type": ["object", "array", "null"],
                "description": "a block with its arguments, or another name of a layer (`Conv2d`)"
            }
        }),
    );
    defs.insert(
        "defaults".into(),
        json!({
            "type": "object", "properties": defaults, "additionalProperties": {"type": "object"}
        }),
    );
    defs.insert("block".into(), json!({"anyOf": [{"type": "array", "items": reference("item")}, keys(grammar::BLOCK, "a named group of layers")]}));
    if let Some(object) = object {
        // A file of blocks has neither input nor layers.
        object.remove("required");
        object.insert("anyOf".into(), json!([{"required": ["input", "layers"]}, {"required": ["blocks"]}]));
        object.insert("$defs".into(), Value::Object(defs));
    }
    let mut whole = Map::new();
    whole.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
    whole.insert("title".into(), "cnnkit spec".into());
    if let Value::Object(object) = schema {
        whole.extend(object);
    }
    Value::Object(whole)
}

/// Returns the schema of a layer's arguments itself where schemars generates a reference to it.
fn resolved(
    generator: &mut schemars::SchemaGenerator,
    schema: fn(&mut schemars::SchemaGenerator) -> schemars::Schema,
) -> Value {
    let schema = schema(generator).to_value();
    let name = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next());
    match name.map(str::to_owned) {
        Some(name) => generator.definitions_mut().remove(&name).unwrap_or(schema),
        None => schema,
    }
}

/// Allows an expression instead of every number, truth value and word inside `schema`.
fn open(schema: &mut Value) {
    let Value::Object(object) = schema else { return };
    for key in ["properties"] {
        if let Some(Value::Object(properties)) = object.get_mut(key) {
            properties.values_mut().for_each(open);
            return;
        }
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(Value::Array(forms)) = object.get_mut(key) {
            forms.iter_mut().for_each(open_items);
            if !forms.iter().any(|form| *form == reference("expression")) {
                forms.push(reference("expression"));
            }
            if key == "oneOf"
                && let Some(forms) = object.remove("oneOf")
            {
                object.insert("anyOf".into(), forms);
            }
            return;
        }
    }
    open_items(schema);
    let description = schema.as_object_mut().and_then(|object| object.remove("description"));
    let mut either = Map::new();
    either.extend(description.map(|text| ("description".to_owned(), text)));
    either.extend(
        schema
            .as_object_mut()
            .and_then(|object| object.remove("default"))
            .map(|value| ("default".to_owned(), value)),
    );
    either.insert("anyOf".into(), json!([schema.take(), reference("expression")]));
    *schema = Value::Object(either);
}

fn open_items(schema: &mut Value) {
    if let Some(items) = schema.as_object_mut().and_then(|object| object.get_mut("items")) {
        open(items);
    }
}

/// Adds aliases of arguments: an alias is accepted where its name is.
fn add_aliases(layer: &str, object: &mut Map<String, Value>) {
    let foreign = layers::foreign::ARGUMENTS.iter().filter(|(.., layers)| layers.contains(&layer));
    let foreign = foreign.map(|&(alias, name, _)| (alias, name));
    for (alias, name) in foreign.chain(ALIASES.iter().copied()) {
        if let Some(Value::Object(properties)) = object.get_mut("properties")
            && let Some(property) = properties.get(name).cloned()
        {
            properties.entry(alias).or_insert(property);
        }
    }
}

fn keys(fields: &[Field], doc: &str) -> Value {
    let properties: Map<String, Value> =
        fields.iter().map(|field| (field.name.to_owned(), value_of(field))).collect();
    let required: Vec<&str> = fields.iter().filter(|field| field.required).map(|field| field.name).collect();
    let mut schema = json!({
        "description": doc, "type": "object", "properties": properties, "additionalProperties": false
    });
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    schema
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/$defs/{name}")})
}

fn value_of(field: &Field) -> Value {
    let sizes = json!({
        "type": "array", "minItems": 1, "maxItems": 4,
        "items": {"anyOf": [{"type": "integer", "minimum": 1}, reference("expression")]}
    });
    let map = |value: Value| json!({"type": ["object", "null"], "additionalProperties": value});
    let forms = match field.kind {
        FieldKind::Layers => vec![reference("layers")],
        FieldKind::Paths => vec![
            json!({"type": "array", "items": reference("layers")}),
            json!({"type": "object", "additionalProperties": reference("layers")}),
        ],
        FieldKind::Number => vec![json!({"type": "number"}), reference("expression")],
        FieldKind::Bool => vec![json!({"type": "boolean"}), reference("expression")],
        FieldKind::Name => vec![json!({"type": "string"})],
        FieldKind::Names => {
            vec![json!({"type": "string"}), json!({"type": "array", "items": {"type": "string"}})]
        }
        FieldKind::Join => {
            vec![json!({"enum": joins()}), json!({"type": "object", "minProperties": 1, "maxProperties": 1})]
        }
        FieldKind::Shape => vec![sizes],
        FieldKind::Shapes => vec![sizes.clone(), json!({"type": "object", "additionalProperties": sizes})],
        FieldKind::Values => vec![map(json!(true))],
        FieldKind::Defaults => vec![reference("defaults")],
        FieldKind::Blocks => vec![map(reference("block"))],
        FieldKind::Loop => vec![json!({"type": "object", "minProperties": 1})],
        FieldKind::Expectations => vec![expectations()],
        FieldKind::Text => vec![json!({"type": ["string", "number"]})],
        FieldKind::Technique => vec![json!({"enum": grammar::TECHNIQUES})],
    };
    let mut schema = Map::new();
    schema.insert("description".into(), field.doc.into());
    match <[Value; 1]>::try_from(forms) {
        Ok([Value::Object(only)]) => schema.extend(only),
        Ok([only]) => drop(schema.insert("anyOf".into(), json!([only]))),
        Err(forms) => drop(schema.insert("anyOf".into(), forms.into())),
    }
    Value::Object(schema)
}

fn joins() -> Vec<&'static str> {
    layers::KINDS.iter().filter(|k| k.doc.inputs == layers::Arity::Many).map(|k| k.doc.name).collect()
}

/// Returns the schema of `expect`: quantities of the network, and under `nodes` those of layers and blocks.
fn expectations() -> Value {
    let quantities = |wanted: &dyn Fn(&Expectable) -> bool| -> Map<String, Value> {
        let of = EXPECTABLE.iter().filter(|quantity| wanted(quantity));
        of.map(|quantity| (quantity.name.to_owned(), expectable(quantity))).collect()
    };
    let mut network = quantities(&|quantity| quantity.network);
    let node = quantities(&|quantity| quantity.node);
    network.insert(
        NODES.into(),
        json!({
            "description": "expectations of layers and blocks, by id",
            "type": "object",
            "additionalProperties": {"type": "object", "properties": node, "additionalProperties": false}
        }),
    );
    json!({"type": ["object", "null"], "properties": network, "additionalProperties": false})
}

fn expectable(quantity: &Expectable) -> Value {
    let text = |pattern: &str| json!({"type": "string", "pattern": format!("{pattern}|\\$")});
    let numbers = match quantity.unit {
        Unit::Count => vec![json!({"type": "number", "minimum": 0}), text("^[0-9][0-9._,]* ?[kKMG]?$")],
        Unit::Bytes => {
            vec![json!({"type": "number", "minimum": 0}), text("^[0-9][0-9._,]* ?([kKMG]?B|[KMG]iB)?$")]
        }
        Unit::Share => vec![json!({"type": "number", "minimum": 0, "maximum": 1}), text("^[0-9][0-9.]* ?%$")],
        Unit::Length => vec![
            json!({"type": "number", "minimum": 0}),
            json!({"type": "array", "items": {"type": "number", "minimum": 0}}),
            reference("expression"),
        ],
        Unit::Shape => vec![
            json!({"type": "array", "items": {"anyOf": [{"type": ["integer", "null"], "minimum": 1}, reference("expression")]}}),
        ],
        Unit::Flag => vec![json!({"type": "boolean"}), reference("expression")],
    };
    let mut forms = numbers.clone();
    if !matches!(quantity.unit, Unit::Shape | Unit::Flag) {
        let bound = json!({"anyOf": numbers});
        let mut bounds = json!({"min": bound, "max": bound});
        if matches!(quantity.quantity, Quantity::Arena(_)) {
            bounds["dtype"] = json!({"enum": Dtype::ALL.map(Dtype::name)});
        }
        forms.push(json!({
            "type": "object", "minProperties": 1, "additionalProperties": false, "properties": bounds
        }));
    }
    json!({"description": quantity.doc, "anyOf": forms})
}
