//! One item of a list of layers: its modifiers, then a layer, a block or a construct.

use std::sync::Arc;

use super::Expander;
use super::counts::Count;
use crate::diagnostic::{Code, Problem, did_you_mean, suggest};
use crate::graph::NodeId;
use crate::layers::{self, Arity, Kind, Layer};
use crate::source::{Origin, Span};
use crate::spec::evaluate::{evaluate, expression_error};
use crate::spec::expr::{self, ExprError};
use crate::spec::{grammar, identifier};
use crate::value::{Key, Located, Value};

/// An item, split into its parts.
pub(super) struct Item<'a> {
    /// The name of the layer, construct or block: `conv`, `residual`.
    pub(super) key: Key,
    /// Its arguments, if there are any.
    pub(super) value: Option<&'a Located>,
    /// The written id.
    pub(super) id: Option<(String, Span)>,
    /// The nodes that it reads.
    pub(super) from: Vec<NodeId>,
    /// The group or layer whose weights it uses.
    pub(super) share: Option<(String, Span)>,
}

/// A layer as written.
struct Built {
    layer: Layer,
    /// The positions of its arguments.
    places: Vec<(String, Span)>,
    /// Whether its weights are learned.
    learned: bool,
    /// What its weights count as.
    counts: Vec<Count>,
}

impl<'a> Item<'a> {
    /// Returns its arguments.
    pub(super) fn given(&self) -> &'a Value {
        static NOTHING: Value = Value::Null;
        self.value.map_or(&NOTHING, |value| &value.value)
    }

    /// Returns the position of its arguments.
    pub(super) fn place(&self) -> Span {
        self.value.map_or(self.key.span, |value| value.span)
    }
}

impl<'a> Expander<'a> {
    /// Expands one item that follows `current`; returns its output.
    pub(super) fn item(&mut self, item: &'a Located, current: Option<NodeId>) -> Option<NodeId> {
        match &item.value {
            Value::Text(name) => {
                let key = self.layer_name(name, item.span)?;
                let item = Item { key, value: None, id: None, from: vec![], share: None };
                self.dispatch(item, current, false)
            }
            Value::Map(entries) => self.entries(item, entries, current),
            other => {
                let message = format!("expected a layer, found {}", other.describe());
                self.report(
                    Code::InvalidValue,
                    message,
                    item.span,
                    "write its name: `- relu`, or `- conv: {...}`",
                );
                current
            }
        }
    }

    fn entries(
        &mut self,
        item: &'a Located,
        entries: &'a [(Key, Located)],
        current: Option<NodeId>,
    ) -> Option<NodeId> {
        let modifier = |name: &str| entries.iter().find(|(key, _)| key.name == name).map(|(_, value)| value);
        let is_modifier = |key: &Key| grammar::MODIFIERS.iter().any(|field| field.name == key.name);
        let main: Vec<&'a (Key, Located)> = entries.iter().filter(|(key, _)| !is_modifier(key)).collect();
        if let Some(condition) = modifier("if") {
            match self.eval(condition)?.value {
                Value::Bool(true) => {}
                Value::Bool(false) => return current,
                other => {
                    let message = format!("`if` needs `true` or `false`, found {}", other.describe());
                    self.report(Code::InvalidValue, message, condition.span, "compare it: `$stride > 1`");
                    return current;
                }
            }
        }
        let id = modifier("id")
            .and_then(|value| self.text(value, "an id"))
            .filter(|(name, span)| self.valid_id(name, *span));
        let share = modifier("share").and_then(|value| self.text(value, "an id"));
        let mark = self.unresolved();
        let mut from = Vec::new();
        let mut broken = false;
        if let Some(value) = modifier("from") {
            (from, broken) = self.sources(value, current);
        }
        let (key, value) = match main.as_slice() {
            [(key, value)] => (key.clone(), Some(value)),
            [] if share.is_some() => {
                // `- {share: conv1}` repeats that layer, block or group.
                (Key { name: String::new(), span: item.span }, None)
            }
            [] => {
                self.report(
                    Code::Missing,
                    "this item has no layer".into(),
                    item.span,
                    "for example `- {id: out, conv: {out_channels: 8, kernel: 1}}`",
                );
                return None;
            }
            [(first, value), (second, _), ..] => {
                if let Some(owner) = self.argument_of(first, value, second) {
                    let message = format!("`{}` is an argument of `{owner}`, not a layer", second.name);
                    let help = format!("indent it below `{owner}:`, or put it inside the braces");
                    self.report(Code::InvalidValue, message, second.span, &help);
                    return None;
                }
                let unknown = if self.known(&second.name) { first } else { second };
                let modifiers: Vec<&str> = grammar::MODIFIERS.iter().map(|field| field.name).collect();
                let close = did_you_mean(&unknown.name, &modifiers).filter(|help| help.starts_with("did"));
                let (message, help) = match close {
                    Some(help) => (format!("unknown key `{}` beside a layer", unknown.name), help),
                    None => (
                        format!("one item contains both `{}` and `{}`", first.name, second.name),
                        format!("start a new item for `{}`: `- {}`", second.name, second.name),
                    ),
                };
                let span = if self.known(&second.name) && self.known(&first.name) {
                    second.span
                } else {
                    unknown.span
                };
                self.report(Code::InvalidValue, message, span, &help);
                return None;
            }
        };
        let key = if key.name.is_empty() { key } else { self.layer_name(&key.name, key.span)? };
        let item = Item { key, value, id, from, share };
        let result = self.dispatch(item, current, broken);
        if let Some(reader) = result {
            self.wanted_by(mark, reader);
        }
        result
    }

    /// Returns the layer or block `first` if `second` looks like one of its arguments with too little indentation.
    fn argument_of(&self, first: &Key, value: &Located, second: &Key) -> Option<String> {
        if self.known(&second.name) || !matches!(value.value, Value::Null | Value::Map(_)) {
            return None;
        }
        let names = match (layers::find(&first.name), self.document.blocks.get(&first.name)) {
            (_, Some(block)) => block.args.iter().map(|(key, _)| key.name.clone()).collect(),
            (Some((kind, _)), None) => kind.argument_names(),
            (None, None) => grammar::construct(&first.name)
                .map(|construct| construct.fields.iter().map(|field| field.name.to_owned()).collect())
                .unwrap_or_default(),
        };
        names.contains(&second.name).then(|| first.name.clone())
    }

    fn known(&self, name: &str) -> bool {
        grammar::construct(name).is_some()
            || self.document.blocks.contains_key(name)
            || layers::find(name).is_some()
    }

    /// Returns a layer's name, which may come from a variable: `- $activation`.
    fn layer_name(&mut self, name: &str, span: Span) -> Option<Key> {
        if !name.contains('$') {
            return Some(Key { name: name.to_owned(), span });
        }
        match expr::evaluate(name, self.env().as_ref()) {
            Ok(Value::Text(name)) => Some(Key { name, span }),
            Ok(other) => {
                let message = format!("expected a layer's name, found {}", other.describe());
                self.report(Code::InvalidValue, message, span, "the variable must be a name, such as `relu`");
                None
            }
            Err(error) => {
                self.expression(error, name, span);
                None
            }
        }
    }

    fn dispatch(&mut self, item: Item<'a>, current: Option<NodeId>, broken: bool) -> Option<NodeId> {
        let document = self.document;
        let start = if item.from.is_empty() { current } else { item.from.first().copied() };
        if grammar::construct(&item.key.name).is_some() {
            return self.construct(item, start, broken);
        }
        if let Some(block) = document.blocks.get(&item.key.name) {
            return self.block(item, block, start, broken);
        }
        if item.key.name.is_empty() && item.share.is_some() {
            return self.again(item, current, broken);
        }
        if let Some((kind, rank)) = layers::find(&item.key.name) {
            return self.layer(item, Some((kind, rank)), current, broken);
        }
        if !document.broken.contains(&item.key.name) {
            self.unknown_layer(&item.key);
        }
        let id = self.name(&item.key.name.clone(), item.id);
        Some(self.builder.poisoned(&id, start.into_iter().collect()))
    }

    fn unknown_layer(&mut self, key: &Key) {
        let mut names: Vec<&str> = layers::KINDS.iter().map(|kind| kind.doc.name).collect();
        names.extend(grammar::CONSTRUCTS.iter().map(|construct| construct.name));
        names.extend(self.document.blocks.keys().map(String::as_str));
        names.sort_unstable();
        let close = suggest(&key.name, names).or_else(|| layers::closest(&key.name));
        let help = match close {
            _ if layers::foreign::hint(&key.name).is_some() => {
                layers::foreign::hint(&key.name).unwrap_or_default().to_owned()
            }
            _ if key.name.contains(" - ") => {
                "the next line was read as part of this text: align the dashes".into()
            }
            Some(close) => format!("did you mean `{close}`?"),
            // A broken include might have defined the block: a missing block is not a separate error then.
            None if self.document.incomplete => {
                self.silenced += 1;
                return;
            }
            None => "`cnnkit layers` lists the layers; blocks are defined under `blocks:`".into(),
        };
        self.report(Code::UnknownName, format!("unknown layer or block `{}`", key.name), key.span, &help);
    }

    fn expression(&mut self, error: ExprError, text: &str, span: Span) {
        self.silenced += 1;
        if let Some(flaw) = expression_error(error, text, span) {
            self.report_in_block(flaw);
        }
    }

    pub(super) fn layer(
        &mut self,
        mut item: Item<'a>,
        kind: Option<(&'static Kind, Option<usize>)>,
        current: Option<NodeId>,
        mut broken: bool,
    ) -> Option<NodeId> {
        // `- concat: [a, b]` is short for `- {concat: {}, from: [a, b]}`.
        let shorthand = matches!((kind, item.given()), (Some((kind, _)), Value::List(_)) if kind.doc.inputs == Arity::Many);
        let mark = self.unresolved();
        if shorthand && item.from.is_empty() {
            (item.from, broken) = item.value.map_or((vec![], true), |list| self.sources(list, current));
        }
        let owner = item.share.as_ref().and_then(|(name, span)| self.layer_to_share(name, *span, current));
        let inputs = match (item.from.is_empty(), current) {
            (false, _) => item.from.clone(),
            (true, Some(current)) => vec![current],
            (true, None) if broken => vec![],
            (true, None) => {
                let names: Vec<&str> =
                    self.document.inputs.iter().map(|(key, _)| key.name.as_str()).collect();
                let help =
                    format!("name the input that it reads: `from: {}`", names.first().unwrap_or(&"input"));
                self.report(Code::Reference, "this layer has nothing to read".into(), item.key.span, &help);
                broken = true;
                vec![]
            }
        };
        if let (None, Some(owner), Some((name, span))) = (kind, owner, &item.share)
            && self.builder.layer_of(owner).is_none()
            && self.builder.shape(owner).is_some()
        {
            let message = format!("`{name}` is an input, it has no weights");
            self.report(Code::Reference, message, *span, "`share` names a layer before this one");
        }
        let built = match kind {
            Some((kind, _)) => self.build(kind, &item, shorthand),
            None => {
                let layer = owner.and_then(|owner| self.builder.layer_of(owner).cloned());
                layer.map(|layer| Built { layer, places: vec![], learned: true, counts: vec![] })
            }
        };
        let name = match (&built, kind) {
            (Some(built), _) => built.layer.doc().name,
            (None, Some((kind, _))) => kind.doc.name,
            (None, None) => "layer",
        };
        let id = self.name(name, item.id.take());
        let node = match built {
            Some(Built { layer, places, learned, counts }) if !broken => {
                let origin = Origin {
                    span: Some(item.key.span),
                    args: places,
                    used_at: Arc::clone(&self.frame().used_at),
                };
                let rank = kind.and_then(|(_, rank)| rank);
                if let Some(problem) = self.wrong_rank(rank, &item.key.name, &inputs) {
                    self.builder.report(problem.in_layer(&id, &origin));
                    self.builder.poisoned(&id, inputs)
                } else {
                    let shares = owner.or_else(|| self.shared_owner(&id));
                    let node = self.builder.layer(&id, layer, inputs, shares, origin);
                    if !learned {
                        self.builder.freeze(node);
                    }
                    self.counted(node, &counts);
                    if shares.is_none() {
                        self.own_weights_while_sharing(node, &id, item.key.span);
                    }
                    node
                }
            }
            _ => self.builder.poisoned(&id, inputs),
        };
        self.wanted_by(mark, node);
        Some(node)
    }

    /// Returns the layer whose weights `share` names, for an item that is a layer; a block or group has many
    /// layers.
    fn layer_to_share(&mut self, name: &str, span: Span, current: Option<NodeId>) -> Option<NodeId> {
        if name != grammar::PREVIOUS
            && let Some(group) = self.named_group(name, current)
        {
            let message = format!("`{name}` is a block or group, and this is one layer");
            let first = self.builder.ids().find_map(|id| id.strip_prefix(&group)?.strip_prefix('.'));
            let named =
                first.map_or(String::new(), |first| format!("name its layer, such as `{name}.{first}`; "));
            let help = format!("{named}`- {{share: {name}}}` alone is all of it");
            self.report(Code::Reference, message, span, &help);
            return None;
        }
        self.resolve(name, span, current)
    }

    /// Reports PyTorch's `Conv1d` on an image, a common mistake.
    fn wrong_rank(&self, rank: Option<usize>, name: &str, inputs: &[NodeId]) -> Option<Problem> {
        let shape = self.builder.shape(*inputs.first()?)?;
        let rank = rank.filter(|&rank| shape.rank() > 1 && shape.rank() - 1 != rank)?;
        let message = format!(
            "`{name}` needs {rank} spatial {}, the input {shape} has {}",
            if rank == 1 { "axis" } else { "axes" },
            shape.rank() - 1
        );
        Some(
            Problem::shape(message)
                .help("leave the `1d`, `2d` or `3d` out: the number of axes follows from the input"),
        )
    }

    /// Returns the layer with its written and default arguments, and the positions of the arguments.
    fn build(&mut self, kind: &'static Kind, item: &Item<'a>, shorthand: bool) -> Option<Built> {
        let written: &[(Key, Located)] = match item.given() {
            Value::Map(entries) => entries,
            Value::Null => &[],
            Value::List(_) if shorthand => &[],
            other => {
                let message =
                    format!("expected the arguments of `{}`, found {}", kind.doc.name, other.describe());
                let first = kind.argument_names().into_iter().next();
                let help = match first {
                    Some(argument) => {
                        format!("write them as a mapping: `{}: {{{argument}: ...}}`", kind.doc.name)
                    }
                    None => format!("`{}` has no arguments: write `- {}`", kind.doc.name, kind.doc.name),
                };
                self.report(Code::InvalidValue, message, item.place(), &help);
                return None;
            }
        };
        let ours = |name| layers::foreign::argument(kind.doc.name, name);
        let implied = layers::foreign::implied(&item.key.name, written, item.key.span);
        let given = || written.iter().chain(&implied);
        let file = self.frame().file;
        let defaults = self.document.files[file].defaults.get(kind.doc.name);
        let missing = defaults
            .into_iter()
            .flatten()
            .filter(|(key, _)| !given().any(|(w, _)| ours(&w.name) == ours(&key.name)));
        let env = self.env();
        let mut args = Vec::new();
        let mut failed = false;
        for (key, value) in given().chain(missing) {
            match evaluate(value, &env) {
                Ok(value) => args.push((key.clone(), value)),
                Err(unevaluated) => {
                    failed = true;
                    self.report_all(unevaluated.into_flaws());
                }
            }
        }
        if failed {
            return None;
        }
        let places = args.iter().map(|(key, value)| (ours(&key.name).to_owned(), value.span)).collect();
        let learned = if kind.is_freezable() { self.learned(&mut args)? } else { true };
        let counts = self.counts(&mut args)?;
        match kind.build(&Located { value: Value::Map(args), span: item.key.span }, item.key.span) {
            Ok(layer) => Some(Built { layer, places, learned, counts }),
            Err(errors) => {
                self.report_all(errors);
                None
            }
        }
    }

    /// Takes the argument `learned` out of `args`; returns nothing if it is wrong.
    fn learned(&mut self, args: &mut Vec<(Key, Located)>) -> Option<bool> {
        let Some(at) = args.iter().position(|(key, _)| key.name == layers::LEARNED) else {
            return Some(true);
        };
        let (_, value) = args.remove(at);
        if let Value::Bool(learned) = value.value {
            return Some(learned);
        }
        let message = format!("expected `true` or `false`, found {}", value.value.describe());
        self.report(
            Code::InvalidValue,
            message,
            value.span,
            "write `learned: false` for weights that are not trained",
        );
        None
    }

    /// Returns the nodes named by a `from`, and whether one of them is missing.
    fn sources(&mut self, value: &Located, current: Option<NodeId>) -> (Vec<NodeId>, bool) {
        let items = if let Value::List(items) = &value.value { items.clone() } else { vec![value.clone()] };
        let mut nodes = Vec::new();
        let mut broken = items.is_empty();
        if items.is_empty() {
            self.report(
                Code::Reference,
                "an empty list of inputs".into(),
                value.span,
                "name at least one layer",
            );
        }
        for item in &items {
            match self.text(item, "an id").and_then(|(name, span)| self.resolve(&name, span, current)) {
                Some(node) => nodes.push(node),
                None => broken = true,
            }
        }
        (nodes, broken)
    }

    /// Returns text with its variables substituted: `enc$i`.
    pub(super) fn text(&mut self, value: &Located, what: &str) -> Option<(String, Span)> {
        let text = match &value.value {
            Value::Text(text) => text.clone(),
            other => {
                let help = "it is text, the `id` of a layer or a name of your choice; `previous` is the layer before";
                let message = format!("expected {what}, found {}", other.describe());
                self.report(Code::InvalidValue, message, value.span, help);
                return None;
            }
        };
        match expr::interpolate(&text, self.env().as_ref()) {
            Ok(text) => Some((text, value.span)),
            Err(error) => {
                self.expression(error, &text, value.span);
                None
            }
        }
    }

    /// Whether `name` can be an id; reports why not.
    fn valid_id(&mut self, name: &str, span: Span) -> bool {
        if [grammar::PREVIOUS, grammar::INPUT].contains(&name) {
            let problem = format!("`{name}` is reserved in `from`");
            self.report(Code::InvalidValue, problem, span, "give it another `id`");
            return false;
        }
        if name.is_empty() {
            let help = "leave `id` out, or give a name";
            self.report(Code::InvalidValue, "an id cannot be empty".to_owned(), span, help);
            return false;
        }
        self.valid_name(name, identifier::Kind::Id, span)
    }

    /// Whether `name` can be a name of kind `kind`; reports why not.
    pub(super) fn valid_name(&mut self, name: &str, kind: identifier::Kind, span: Span) -> bool {
        let flaw = identifier::flaw(name, kind);
        if let Some(flaw) = &flaw {
            self.report(Code::InvalidValue, flaw.message.clone(), span, &flaw.help);
        }
        flaw.is_none()
    }
}
