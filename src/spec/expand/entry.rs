//! One item of a list of layers: its modifiers, then a layer, a block or a construct.

use super::names::{Frame, Group};
use super::{Expander, MAX_DEPTH, evaluate, expression_error};
use crate::diagnostic::{Code, Diagnostic, Problem, did_you_mean};
use crate::graph::NodeId;
use crate::layers::{self, Arity, Kind, Layer};
use crate::source::{Origin, Span};
use crate::spec::document::Block;
use crate::spec::env::Env;
use crate::spec::{expr, grammar};
use crate::value::{Key, Located, Value};

/// An item taken apart.
pub(super) struct Item<'a> {
    /// What it is: `conv`, `residual`, a block's name.
    pub(super) key: Key,
    /// What is given to it.
    pub(super) value: &'a Located,
    /// The written id.
    pub(super) id: Option<(String, Span)>,
    /// What it reads.
    pub(super) from: Vec<NodeId>,
    /// The group or layer whose weights it uses.
    pub(super) share: Option<(String, Span)>,
}

impl Expander<'_> {
    /// Expands one item that follows `current`; returns what it gives.
    pub(super) fn item(&mut self, item: &Located, current: Option<NodeId>) -> Option<NodeId> {
        const NOTHING: Value = Value::Null;
        match &item.value {
            Value::Text(name) => {
                let nothing = Located { value: NOTHING, span: item.span };
                let key = self.layer_name(name, item.span)?;
                let item = Item { key, value: &nothing, id: None, from: vec![], share: None };
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
        item: &Located,
        entries: &[(Key, Located)],
        current: Option<NodeId>,
    ) -> Option<NodeId> {
        let modifier = |name: &str| entries.iter().find(|(key, _)| key.name == name).map(|(_, value)| value);
        let is_modifier = |key: &Key| grammar::MODIFIERS.iter().any(|field| field.name == key.name);
        let main: Vec<&(Key, Located)> = entries.iter().filter(|(key, _)| !is_modifier(key)).collect();
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
        let whole;
        let (key, value) = match main.as_slice() {
            [(key, value)] => (key.clone(), value),
            [] if share.is_some() => {
                // `- {share: conv1}`: the same layer once more.
                whole = Located { value: Value::Null, span: item.span };
                (Key { name: String::new(), span: item.span }, &whole)
            }
            [] => {
                self.report(
                    Code::Missing,
                    "this item has no layer".into(),
                    item.span,
                    "for example `- {id: out, conv: {out_channels: 8, kernel: 1}}`",
                );
                return current;
            }
            [(first, _), (second, _), ..] => {
                let unknown = if self.known(&second.name) { first } else { second };
                let modifiers: Vec<&str> = grammar::MODIFIERS.iter().map(|field| field.name).collect();
                let close = did_you_mean(&unknown.name, &modifiers).filter(|help| help.starts_with("did"));
                let (message, help) = match close {
                    Some(help) => (format!("unknown key `{}` beside a layer", unknown.name), help),
                    None => (
                        format!("one item holds both `{}` and `{}`", first.name, second.name),
                        format!("start a new item for `{}`: `- {}`", second.name, second.name),
                    ),
                };
                let span = if self.known(&second.name) && self.known(&first.name) {
                    second.span
                } else {
                    unknown.span
                };
                self.report(Code::InvalidValue, message, span, &help);
                return current;
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

    fn known(&self, name: &str) -> bool {
        grammar::construct(name).is_some()
            || self.document.blocks.contains_key(name)
            || layers::find(name).is_some()
    }

    /// A layer's name, which may come from a variable: `- $activation`.
    fn layer_name(&mut self, name: &str, span: Span) -> Option<Key> {
        if !name.contains('$') {
            return Some(Key { name: name.to_owned(), span });
        }
        match expr::evaluate(name, self.env().as_ref()) {
            Ok(Value::Text(name)) => Some(Key { name, span }),
            Ok(other) => {
                let message = format!("expected a layer's name, found {}", other.describe());
                self.report(Code::InvalidValue, message, span, "");
                None
            }
            Err(error) => {
                self.report_in_block(expression_error(&error, name, span));
                None
            }
        }
    }

    fn dispatch(&mut self, item: Item<'_>, current: Option<NodeId>, broken: bool) -> Option<NodeId> {
        let document = self.document;
        let start = if item.from.is_empty() { current } else { item.from.first().copied() };
        if grammar::construct(&item.key.name).is_some() {
            return self.construct(item, start, broken);
        }
        if let Some(block) = document.blocks.get(&item.key.name) {
            return self.block(item, block, start, broken);
        }
        if item.key.name.is_empty() {
            return self.layer(item, None, current, broken);
        }
        if let Some((kind, rank)) = layers::find(&item.key.name) {
            return self.layer(item, Some((kind, rank)), current, broken);
        }
        let names: Vec<&str> = layers::KINDS
            .iter()
            .map(|kind| kind.doc.name)
            .chain(grammar::CONSTRUCTS.iter().map(|construct| construct.name))
            .chain(document.blocks.keys().map(String::as_str))
            .collect();
        let help = did_you_mean(&item.key.name, &names);
        let help = help
            .unwrap_or_else(|| "`cnnkit layers` lists the layers; blocks are defined under `blocks:`".into());
        self.report(
            Code::UnknownName,
            format!("unknown layer or block `{}`", item.key.name),
            item.key.span,
            &help,
        );
        let id = self.name(&item.key.name.clone(), item.id);
        Some(self.builder.poisoned(&id, start.into_iter().collect()))
    }

    fn layer(
        &mut self,
        mut item: Item<'_>,
        kind: Option<(&'static Kind, Option<usize>)>,
        current: Option<NodeId>,
        mut broken: bool,
    ) -> Option<NodeId> {
        // `- concat: [a, b]` is short for `- {concat: {}, from: [a, b]}`.
        let shorthand = matches!((kind, &item.value.value), (Some((kind, _)), Value::List(_)) if kind.doc.inputs == Arity::Many);
        let mark = self.unresolved();
        if shorthand && item.from.is_empty() {
            (item.from, broken) = self.sources(item.value, current);
        }
        let owner = item.share.as_ref().and_then(|(name, span)| self.resolve(name, *span, current));
        let inputs = match (item.from.is_empty(), current) {
            (false, _) => item.from.clone(),
            (true, Some(current)) => vec![current],
            (true, None) if broken => vec![],
            (true, None) => {
                let names: Vec<&str> =
                    self.document.inputs.iter().map(|(key, _)| key.name.as_str()).collect();
                let help = format!("say which input it reads: `from: {}`", names.first().unwrap_or(&"input"));
                self.report(Code::Reference, "this layer has nothing to read".into(), item.key.span, &help);
                broken = true;
                vec![]
            }
        };
        let built = match kind {
            Some((kind, _)) => self.build(kind, &item, shorthand),
            None => {
                owner.and_then(|owner| self.builder.layer_of(owner).cloned()).map(|layer| (layer, vec![]))
            }
        };
        let name = match (&built, kind) {
            (Some((layer, _)), _) => layer.doc().name,
            (None, Some((kind, _))) => kind.doc.name,
            (None, None) => "layer",
        };
        let id = self.name(name, item.id.take());
        let node = match built {
            Some((layer, args)) if !broken => {
                let origin =
                    Origin { span: Some(item.key.span), args, used_at: self.frame().used_at.clone() };
                let rank = kind.and_then(|(_, rank)| rank);
                if let Some(problem) = self.wrong_rank(rank, &item.key.name, &inputs) {
                    self.builder.report(problem.in_layer(&id, &origin));
                    self.builder.poisoned(&id, inputs)
                } else {
                    let shares = owner.or_else(|| self.shared_owner(&id));
                    self.builder.layer(&id, layer, inputs, shares, origin)
                }
            }
            _ => self.builder.poisoned(&id, inputs),
        };
        self.wanted_by(mark, node);
        Some(node)
    }

    /// PyTorch's `Conv1d` on an image is a mistake worth naming.
    fn wrong_rank(&self, rank: Option<usize>, name: &str, inputs: &[NodeId]) -> Option<Problem> {
        let shape = self.builder.shape(*inputs.first()?)?;
        let rank = rank.filter(|&rank| shape.rank() > 1 && shape.rank() - 1 != rank)?;
        let message =
            format!("`{name}` needs {rank} spatial axes, the input {shape} has {}", shape.rank() - 1);
        Some(
            Problem::shape(message)
                .help("leave the `1d`, `2d` or `3d` out: the number of axes follows from the input"),
        )
    }

    /// Inside a block that shares the weights of another: the layer at the same place there.
    fn shared_owner(&self, id: &str) -> Option<NodeId> {
        self.frames.iter().rev().find_map(|frame| {
            let theirs = frame.shares.as_ref()?;
            let rest = id.strip_prefix(&frame.prefix)?;
            self.builder.find(&format!("{theirs}{rest}"))
        })
    }

    /// The layer with its written and default arguments, and the arguments' places.
    fn build(
        &mut self,
        kind: &'static Kind,
        item: &Item<'_>,
        shorthand: bool,
    ) -> Option<(Layer, Vec<(String, Span)>)> {
        let written: &[(Key, Located)] = match &item.value.value {
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
                self.report(Code::InvalidValue, message, item.value.span, &help);
                return None;
            }
        };
        let file = self.frame().file;
        let defaults = self.document.files[file].defaults.get(kind.doc.name);
        let missing = defaults
            .into_iter()
            .flatten()
            .filter(|(key, _)| !written.iter().any(|(w, _)| w.name == key.name));
        let env = self.env();
        let mut args = Vec::new();
        let mut failed = false;
        for (key, value) in written.iter().chain(missing) {
            match evaluate(value, &env) {
                Ok(value) => args.push((key.clone(), value)),
                Err(errors) => {
                    failed = true;
                    errors.into_iter().for_each(|error| self.report_in_block(error));
                }
            }
        }
        if failed {
            return None;
        }
        let places = args.iter().map(|(key, value)| (key.name.clone(), value.span)).collect();
        match kind.build(&Located { value: Value::Map(args), span: item.key.span }, item.key.span) {
            Ok(layer) => Some((layer, places)),
            Err(errors) => {
                errors.into_iter().for_each(|error| self.report_in_block(error));
                None
            }
        }
    }

    fn block(
        &mut self,
        mut item: Item<'_>,
        block: &Block,
        start: Option<NodeId>,
        broken: bool,
    ) -> Option<NodeId> {
        if self.frames.len() > MAX_DEPTH {
            let message = format!("blocks are nested more than {MAX_DEPTH} deep");
            self.report(
                Code::Limit,
                message,
                item.key.span,
                "does a block use itself without an `if` that ends it?",
            );
            self.stopped = true;
            return start;
        }
        let builtins = self.builtins(start, &self.document.files[block.file].env);
        let args = self.block_args(&item, block, builtins)?;
        let prefix = self.name(&block.key.name, item.id.take());
        let mut frame = self.frame().inner(prefix.clone());
        frame.env = Env::inside(&self.document.files[block.file].env, args);
        frame.file = block.file;
        frame.used_at.insert(0, (block.key.name.clone(), item.key.span));
        let given: Vec<NodeId> =
            if item.from.is_empty() { start.into_iter().collect() } else { item.from.clone() };
        let expected = block.inputs.len().max(1);
        if given.len() != expected && !broken {
            let message = format!(
                "block `{}` reads {expected} input{}, {} given",
                block.key.name,
                if expected == 1 { "" } else { "s" },
                given.len()
            );
            let help = if block.inputs.is_empty() {
                "declare `inputs: [a, b]` in the block, or join them before it".to_owned()
            } else {
                let names: Vec<&str> = block.inputs.iter().map(|key| key.name.as_str()).collect();
                format!("give them in the order of its `inputs: [{}]`: `from: [...]`", names.join(", "))
            };
            self.report(Code::Reference, message, item.key.span, &help);
        }
        if let Some(&first) = given.first() {
            frame.inputs.push((grammar::INPUT.into(), first));
        }
        frame.inputs.extend(block.inputs.iter().zip(&given).map(|(key, &node)| (key.name.clone(), node)));
        frame.shares = item.share.as_ref().and_then(|(name, span)| self.shared_group(name, *span));
        Some(self.group(frame, &block.layers, given.first().copied())).flatten()
    }

    /// Expands `layers` in a level of their own and records what they give.
    pub(super) fn group(&mut self, frame: Frame, layers: &Located, start: Option<NodeId>) -> Option<NodeId> {
        let prefix = frame.prefix.clone();
        self.groups.insert(prefix.clone(), Group::Open);
        self.frames.push(frame);
        let result = self.list(layers, start);
        self.frames.pop();
        self.groups.insert(prefix, Group::Closed(result));
        result
    }

    fn shared_group(&mut self, name: &str, span: Span) -> Option<String> {
        let found = self
            .frames
            .iter()
            .rev()
            .map(|frame| frame.join(name))
            .find(|full| self.groups.contains_key(full));
        if found.is_none() {
            self.report(
                Code::Reference,
                format!("there is no block `{name}` before this one"),
                span,
                "`share` names the block whose weights are used",
            );
        }
        found
    }

    /// The variables of a block: its arguments as given, else its defaults.
    fn block_args(
        &mut self,
        item: &Item<'_>,
        block: &Block,
        builtins: Vec<(String, Value)>,
    ) -> Option<Vec<(String, Value)>> {
        let name = &block.key.name;
        let written: &[(Key, Located)] = match &item.value.value {
            Value::Map(entries) => entries,
            Value::Null => &[],
            other => {
                let message = format!("expected the arguments of block `{name}`, found {}", other.describe());
                self.report(
                    Code::InvalidValue,
                    message,
                    item.value.span,
                    "write them as a mapping: `{width: 64}`",
                );
                return None;
            }
        };
        let mut failed = false;
        for (key, _) in written {
            if !block.args.iter().any(|(arg, _)| arg.name == key.name) {
                let names: Vec<&str> = block.args.iter().map(|(arg, _)| arg.name.as_str()).collect();
                let help = did_you_mean(&key.name, &names)
                    .unwrap_or_else(|| "it takes none: list them under its `args:`".into());
                self.report(
                    Code::UnknownName,
                    format!("block `{name}` has no argument `{}`", key.name),
                    key.span,
                    &help,
                );
                failed = true;
            }
        }
        let mut values: Vec<(String, Value)> = Vec::new();
        for (arg, default) in &block.args {
            let value = match written.iter().find(|(key, _)| key.name == arg.name) {
                Some((_, value)) => self.eval(value),
                None if default.value == Value::Null => {
                    let error = Diagnostic::error(
                        Code::Missing,
                        format!("block `{name}` needs the argument `{}`", arg.name),
                        item.key.span,
                    )
                    .related(arg.span, "it is declared here");
                    self.report_in_block(error.help(format!("`- {name}: {{{}: ...}}`", arg.name)));
                    None
                }
                None => {
                    // A default may use the file's variables and the arguments before it.
                    let known = values.iter().chain(&builtins).cloned().collect();
                    let env = Env::inside(&self.document.files[block.file].env, known);
                    match evaluate(default, &env) {
                        Ok(value) => Some(value),
                        Err(errors) => {
                            errors.into_iter().for_each(|error| self.report_in_block(error));
                            None
                        }
                    }
                }
            };
            match value {
                Some(value) => values.push((arg.name.clone(), value.value)),
                None => failed = true,
            }
        }
        // The first of a name counts: an argument replaces the builtin.
        values.extend(builtins);
        (!failed).then_some(values)
    }

    /// The nodes named by a `from`, and whether one of them is missing.
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

    /// Text with its variables filled in: `enc$i`.
    pub(super) fn text(&mut self, value: &Located, what: &str) -> Option<(String, Span)> {
        let text = match &value.value {
            Value::Text(text) => text.clone(),
            other => {
                self.report(
                    Code::InvalidValue,
                    format!("expected {what}, found {}", other.describe()),
                    value.span,
                    "",
                );
                return None;
            }
        };
        match expr::interpolate(&text, self.env().as_ref()) {
            Ok(text) => Some((text, value.span)),
            Err(error) => {
                self.report_in_block(expression_error(&error, &text, value.span));
                None
            }
        }
    }

    fn valid_id(&mut self, name: &str, span: Span) -> bool {
        let characters = name.chars().all(|c| c.is_alphanumeric() || "_-".contains(c));
        let problem = if name.is_empty() || name.len() > 100 || !characters {
            format!("`{}` cannot be an id", name.chars().take(100).collect::<String>())
        } else if [grammar::PREVIOUS, grammar::INPUT].contains(&name) {
            format!("`{name}` has a meaning of its own in `from`")
        } else {
            return true;
        };
        self.report(Code::InvalidValue, problem, span, "use letters, digits, `_` and `-`");
        false
    }
}
