//! A layer's arguments as a spec writes them: only those that differ from the default, in the shortest form.

use std::collections::HashMap;

use serde_json::Value as Json;

use crate::export::fold::{Face, Slot};
use cnnkit_core::graph::{Graph, Node, NodeId, Op};
use cnnkit_core::layers::{self, Layer, Weight};
use cnnkit_core::source::{Sources, Span};
use cnnkit_core::value::{Key, Located, Value, parse_decimal};

/// Arguments with one value for all axes, or one per axis.
const PER_AXIS: &[&str] = &[
    "kernel",
    "stride",
    "padding",
    "dilation",
    "output_padding",
    "size",
    "scale_factor",
    "output_size",
    "offset_dilation",
    "amount",
];
/// Arguments that only check what the graph determines.
const CHECKS: &[&str] = &["in_channels", "in_features"];

/// The faces of all nodes of a graph.
pub(super) struct Faces {
    list: Vec<Option<Face>>,
    /// Arguments that most layers of a kind share: a file's `defaults`.
    pub(super) defaults: Vec<(String, String, String)>,
}

impl Faces {
    /// Returns the faces of all layers of `graph`.
    pub(super) fn of(graph: &Graph) -> Self {
        let span = Span::new(Sources::default().add("", ""), 0, 0);
        let mut known: HashMap<String, Face> = HashMap::new();
        let mut list = Vec::with_capacity(graph.nodes().len());
        for node in graph.nodes() {
            let Op::Layer(layer) = &node.op else {
                list.push(None);
                continue;
            };
            let (kind, args) = taken_apart(layer, graph, node);
            let text = format!("{kind}{}", Json::Object(args.clone()));
            let mut face = known.entry(text).or_insert_with(|| face(&kind, &args, span)).clone();
            if crate::export::has_fixed_weights(node) {
                let (name, value) = (layers::LEARNED.to_owned(), "false".to_owned());
                face.slots.push(Slot { name, value, default: None, fixed: true });
            }
            if let Some(value) = counts(node) {
                face.slots.push(Slot { name: layers::COUNTS.to_owned(), value, default: None, fixed: true });
            }
            list.push(Some(face));
        }
        let mut faces = Self { list, defaults: vec![] };
        faces.take_defaults();
        faces
    }

    /// Returns the face of `node`; that of an input is empty.
    pub(super) fn get(&self, node: NodeId) -> Face {
        self.list[node.index()].clone().unwrap_or_else(|| Face { kind: "input".into(), slots: vec![] })
    }

    /// Moves a `bias` or an `eps` that most layers of a kind share and that is not the language's default to the top
    /// of the file.
    fn take_defaults(&mut self) {
        let mut counts: HashMap<(String, String), HashMap<String, usize>> = HashMap::new();
        let mut defaults: HashMap<(String, String), String> = HashMap::new();
        for face in self.list.iter().flatten() {
            for slot in face.slots.iter().filter(|slot| ["bias", "eps"].contains(&slot.name.as_str())) {
                let Some(default) = &slot.default else { continue };
                let at = (face.kind.clone(), slot.name.clone());
                *counts.entry(at.clone()).or_default().entry(slot.value.clone()).or_default() += 1;
                defaults.insert(at, default.clone());
            }
        }
        let mut chosen: Vec<(String, String, String)> = Vec::new();
        for (at, values) in counts {
            let total: usize = values.values().sum();
            let Some((value, count)) = values.into_iter().max_by(|a, b| (a.1, &b.0).cmp(&(b.1, &a.0))) else {
                continue;
            };
            if count >= 3 && 3 * count > 2 * total && defaults.get(&at) != Some(&value) {
                chosen.push((at.0, at.1, value));
            }
        }
        chosen.sort();
        for face in self.list.iter_mut().flatten() {
            for (kind, argument, value) in &chosen {
                if face.kind == *kind {
                    for slot in face.slots.iter_mut().filter(|slot| slot.name == *argument) {
                        slot.default = Some(value.clone());
                    }
                }
            }
        }
        self.defaults = chosen;
    }
}

/// Returns what the weights of `node` count as where that is not the number of their elements; none where it uses another
/// node's weights.
fn counts(node: &Node) -> Option<String> {
    let count = |(index, weight): (usize, &Weight)| {
        let elements = weight.shape.elements().ok()?;
        let counted = if node.tied.contains(&index) { 0 } else { node.counted(index, elements) };
        (counted != elements).then(|| format!("{}: {counted}", weight.name))
    };
    let list: Vec<String> = node.weights.iter().enumerate().filter_map(count).collect();
    (node.shares.is_none() && !list.is_empty()).then(|| format!("{{{}}}", list.join(", ")))
}

/// Returns a layer's name and its arguments, in the shortest form.
fn taken_apart(layer: &Layer, graph: &Graph, node: &Node) -> (String, serde_json::Map<String, Json>) {
    let kind = layer.doc().name.to_owned();
    let Ok(Json::Object(mut outer)) = serde_json::to_value(layer) else {
        return (kind, serde_json::Map::new());
    };
    let Some(Json::Object(mut args)) = outer.remove(&kind) else { return (kind, serde_json::Map::new()) };
    let input = node.inputs.first().map(|&input| &graph.node(input).shape);
    for (name, value) in &mut args {
        if PER_AXIS.contains(&name.as_str()) {
            *value = shortest(std::mem::take(value));
        }
    }
    for check in CHECKS {
        args.remove(*check);
    }
    // A pool's stride defaults to its kernel.
    if kind.ends_with("_pool") && args.get("stride") == args.get("kernel") {
        args.remove("stride");
    }
    // One group per channel has a name of its own.
    if let (Some(groups), Some(input)) = (args.get("groups").and_then(Json::as_u64), input)
        && groups > 1
        && groups == input.channels()
        && kind != "channel_shuffle"
    {
        args.insert("groups".into(), "depthwise".into());
    }
    (kind, args)
}

/// Shortens `[3, 3]` to `3`, and `[[1, 1], [2, 2]]` to `[1, 2]`.
fn shortest(value: Json) -> Json {
    let Json::Array(mut items) = value else { return value };
    let pairs = items.iter().all(|item| matches!(item.as_array().map(Vec::as_slice), Some([a, b]) if a == b));
    if pairs && !items.is_empty() {
        items = items.into_iter().filter_map(|item| item.get(0).cloned()).collect();
    }
    match items.as_slice() {
        [first, rest @ ..] if !first.is_array() && rest.iter().all(|item| item == first) => first.clone(),
        _ => Json::Array(items),
    }
}

/// Returns the slots of a layer with these arguments, with the default of each that has one.
fn face(kind: &str, args: &serde_json::Map<String, Json>, span: Span) -> Face {
    let slots = args.iter().map(|(name, value)| {
        let mut fewer = args.clone();
        fewer.remove(name);
        let default = default_of(kind, name, &fewer, span);
        Slot { name: name.clone(), value: text(value), default, fixed: false }
    });
    Face { kind: kind.to_owned(), slots: slots.collect() }
}

/// Returns the value of argument `name` if it is omitted next to `others`.
fn default_of(kind: &str, name: &str, others: &serde_json::Map<String, Json>, span: Span) -> Option<String> {
    let (known, _) = layers::find(kind)?;
    let written = located(&Json::Object(others.clone()), span)?;
    let layer = known.build(&written, span).ok()?;
    let built = serde_json::to_value(layer).ok()?;
    built.get(kind)?.get(name).map(text)
}

fn located(value: &Json, span: Span) -> Option<Located> {
    let value = match value {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => Value::Number(parse_decimal(&number.to_string())?),
        Json::String(text) => Value::Text(text.clone()),
        Json::Array(items) => {
            Value::List(items.iter().map(|item| located(item, span)).collect::<Option<_>>()?)
        }
        Json::Object(entries) => {
            let entry = |(name, value): (&String, &Json)| {
                Some((Key { name: name.clone(), span }, located(value, span)?))
            };
            Value::Map(entries.iter().map(entry).collect::<Option<_>>()?)
        }
    };
    Some(Located { value, span })
}

/// Formats an argument's value as YAML on one line.
fn text(value: &Json) -> String {
    match value {
        Json::Null => "~".into(),
        Json::String(text) => text.clone(),
        Json::Number(number) => {
            let text = number.to_string();
            text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
        }
        Json::Array(items) => format!("[{}]", items.iter().map(text).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}
