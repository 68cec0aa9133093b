//! Constructs: residual sums, branches, repetition, dense connectivity, named groups.

use std::sync::Arc;

use super::Expander;
use super::entry::Item;
use super::level::{Recipe, What};
use crate::diagnostic::{Code, did_you_mean, suggest};
use crate::graph::NodeId;
use crate::layers::{self, Arity, Layer};
use crate::source::{Origin, Span};
use crate::spec::env::Env;
use crate::spec::grammar;
use crate::spec::identifier::Kind;
use crate::value::{Key, Located, Number, Value};
use num_traits::ToPrimitive as _;

/// What others call the fields of constructs.
const OTHER_NAMES: &[(&str, &[&str])] = &[
    ("body", &["layers", "layer", "modules", "block", "blocks", "do"]),
    ("times", &["n", "count", "num", "number", "repeats", "repeat", "depth"]),
];

impl<'a> Expander<'a> {
    /// Expands a construct; with an `id`, in a level of its own.
    pub(super) fn construct(
        &mut self,
        mut item: Item<'a>,
        start: Option<NodeId>,
        broken: bool,
    ) -> Option<NodeId> {
        if broken {
            return None;
        }
        if item.from.len() > 1 {
            let message = format!("`{}` reads one input, {} are given", item.key.name, item.from.len());
            self.report(Code::Reference, message, item.key.span, "join them first: `- concat: [a, b]`");
        }
        if let Some((_, span)) = item.share {
            self.report(
                Code::InvalidValue,
                "`share` is for layers and blocks".into(),
                span,
                "put the layers into a block",
            );
        }
        // The id of a `repeat` numbers its rounds; the id of any other construct names a group.
        if item.key.name == "repeat" {
            return self.repeat(&item, start);
        }
        let Some(id) = item.id.take() else { return self.inside(&item, start) };
        let prefix = self.name("", Some(id));
        let mut frame = self.frame().inner(prefix.clone());
        frame.inputs = self.frame().inputs.clone();
        let recipe = Recipe::of(What::Construct(item.key, item.value), &frame);
        self.group(frame, recipe, start)
    }

    pub(super) fn inside(&mut self, item: &Item<'a>, start: Option<NodeId>) -> Option<NodeId> {
        match item.key.name.as_str() {
            "residual" => self.residual(item, start),
            "branches" => self.branches(item, start),
            "dense" => self.dense(item, start),
            _ => item.value.map_or(start, |value| self.list(value, start)),
        }
    }

    fn residual(&mut self, item: &Item<'a>, start: Option<NodeId>) -> Option<NodeId> {
        let fields = self.fields(item, "body")?;
        // They run in the order in which they are written, which determines the lifetimes of tensors and thus the
        // peak memory.
        let (body, shortcut) = if fields.comes_before("shortcut", "body") {
            let shortcut = self.shortcut(&fields, start)?;
            (self.list(fields.get("body")?, start)?, shortcut)
        } else {
            (self.list(fields.get("body")?, start)?, self.shortcut(&fields, start)?)
        };
        let mut join = self.join(fields.get("join"), "add", item.key.span)?;
        if let Some(scale) = fields.get("scale") {
            let factor = self.number(scale, "a number")?.to_f64().unwrap_or(f64::NAN);
            match &mut join.0 {
                Layer::Add(add) if add.weights.is_none() => add.weights = Some(vec![factor, 1.0]),
                _ => {
                    let message = "`scale` needs the join `add` without weights".into();
                    self.report(Code::InvalidValue, message, scale.span, "leave `join` out");
                }
            }
        }
        (!fields.broken).then(|| self.joint(join, vec![body, shortcut]))
    }

    fn shortcut(&mut self, fields: &Fields<'a>, start: Option<NodeId>) -> Option<NodeId> {
        let Some(list) = fields.get("shortcut") else { return start };
        let prefix = self.path_name("shortcut");
        let frame = self.frame().inner(prefix);
        let recipe = Recipe::of(What::Layers(list), &frame);
        self.group(frame, recipe, start)
    }

    fn branches(&mut self, item: &Item<'a>, start: Option<NodeId>) -> Option<NodeId> {
        let fields = self.fields(item, "paths")?;
        let paths = fields.get("paths")?;
        let paths: Vec<(Option<&Key>, &Located)> = match &paths.value {
            Value::List(items) => items.iter().map(|path| (None, path)).collect(),
            Value::Map(entries) => entries.iter().map(|(key, path)| (Some(key), path)).collect(),
            other => {
                let message = format!("expected paths, found {}", other.describe());
                self.report(
                    Code::InvalidValue,
                    message,
                    paths.span,
                    "a list of lists of layers, or a mapping of names to them",
                );
                return None;
            }
        };
        if paths.len() < 2 {
            let message =
                format!("`branches` with {} path{}", paths.len(), if paths.len() == 1 { "" } else { "s" });
            self.report(
                Code::InvalidValue,
                message,
                item.key.span,
                "give two or more; `[]` is an identity path",
            );
            return None;
        }
        let split = match fields.get("split") {
            Some(value) => match self.eval(value)?.value {
                Value::Bool(split) => split,
                other => {
                    let message = format!("expected `true` or `false`, found {}", other.describe());
                    self.report(Code::InvalidValue, message, value.span, "write `split: true`");
                    return None;
                }
            },
            None => false,
        };
        let join = self.join(fields.get("join"), "concat", item.key.span)?;
        let mut fine = true;
        for key in paths.iter().filter_map(|(key, _)| *key) {
            fine &= self.valid_name(&key.name, Kind::Branch, key.span);
        }
        if !fine {
            return None;
        }
        let mut ends = Vec::new();
        for (index, (key, path)) in paths.iter().enumerate() {
            let prefix = match key {
                Some(key) => self.path_name(&key.name),
                None => self.name("branch", None),
            };
            let mut frame = self.frame().inner(prefix);
            let mut from = start;
            if split {
                self.frames.push(frame);
                from = Some(self.part(start?, index, paths.len(), item.key.span)?);
                frame = self.frames.pop()?;
            }
            let recipe = Recipe::of(What::Layers(path), &frame);
            ends.extend(self.group(frame, recipe, from));
        }
        (ends.len() == paths.len() && !fields.broken).then(|| self.joint(join, ends))
    }

    /// Returns part `index` of `parts` equal parts of the channels of `whole`.
    fn part(&mut self, whole: NodeId, index: usize, parts: usize, span: Span) -> Option<NodeId> {
        let (kind, _) = layers::find("chunk")?;
        let number = |value: usize| Located { value: Value::integer(value as i128), span };
        let key = |name: &str| Key { name: name.into(), span };
        let args = vec![(key("chunks"), number(parts)), (key("index"), number(index))];
        let layer = kind.build(&Located { value: Value::Map(args), span }, span).ok()?;
        if let Some(shape) = self.builder.shape(whole)
            && !shape.channels().is_multiple_of(parts as u64)
        {
            let message = format!("{} channels cannot be split into {parts} equal parts", shape.channels());
            if index == 0 {
                self.report(Code::Shape, message, span, "use `chunk` or `slice` for unequal parts");
            }
            return None;
        }
        Some(self.joint((layer, span), vec![whole]))
    }

    fn dense(&mut self, item: &Item<'a>, start: Option<NodeId>) -> Option<NodeId> {
        let fields = self.fields(item, "body")?;
        let body = fields.get("body")?;
        let times = self.times(fields.get("times")?)?;
        let index = self.index_name(&fields)?;
        let concat = self.join(None, "concat", item.key.span)?;
        let mut features = vec![start?];
        let outer = self.env();
        for round in 0..times {
            if !self.step(item.key.span) {
                break;
            }
            let input = match features.as_slice() {
                [only] => *only,
                several => self.joint(concat.clone(), several.to_vec()),
            };
            self.frame().env = Env::inside(&outer, vec![(index.clone(), Value::integer(round.into()))]);
            let output = self.list(body, Some(input));
            self.frame().env = Arc::clone(&outer);
            features.push(output?);
        }
        match features.as_slice() {
            [only] => Some(*only),
            several => Some(self.joint(concat, several.to_vec())),
        }
    }

    fn repeat(&mut self, item: &Item<'a>, start: Option<NodeId>) -> Option<NodeId> {
        let fields = self.fields(item, "body")?;
        let body = fields.get("body")?;
        let index = self.index_name(&fields)?;
        let rounds = match (fields.get("times"), fields.get("for")) {
            (Some(times), None) => vec![vec![]; usize::try_from(self.times(times)?).ok()?],
            (None, Some(value)) => self.rounds(value)?,
            _ => {
                let message = "`repeat` needs either `times` or `for`".into();
                self.report(Code::Missing, message, item.key.span, "`times: 3`, or `for: {rate: [1, 2, 5]}`");
                return None;
            }
        };
        let outer = self.env();
        let mut current = start;
        for (round, values) in rounds.into_iter().enumerate() {
            if !self.step(item.key.span) {
                break;
            }
            let mut variables = vec![(index.clone(), Value::integer(round as i128))];
            variables.extend(values);
            let env = Env::inside(&outer, variables);
            if let Some((id, span)) = &item.id {
                let prefix = self.name("", Some((format!("{id}{}", round + 1), *span)));
                let mut frame = self.frame().inner(prefix);
                frame.inputs = self.frame().inputs.clone();
                frame.env = env;
                let recipe = Recipe::of(What::Layers(body), &frame);
                current = self.group(frame, recipe, current);
            } else {
                self.frame().env = env;
                current = self.list(body, current);
                self.frame().env = Arc::clone(&outer);
            }
        }
        current
    }

    /// Returns the variables of each round. Several lists advance together: `{rate: [1, 2], width: [64, 128]}` is two
    /// rounds.
    fn rounds(&mut self, value: &Located) -> Option<Vec<Vec<(String, Value)>>> {
        let Value::Map(entries) = &value.value else {
            let message = "`for` needs a name and its values".into();
            self.report(Code::InvalidValue, message, value.span, "`for: {rate: [1, 2, 5]}`");
            return None;
        };
        let mut rounds: Vec<Vec<(String, Value)>> = Vec::new();
        for (column, (key, list)) in entries.iter().enumerate() {
            if !self.valid_name(&key.name, Kind::Variable, key.span) {
                return None;
            }
            let Value::List(items) = self.eval(list)?.value else {
                let message = format!("`{}` needs a list of values", key.name);
                self.report(Code::InvalidValue, message, list.span, "`for: {rate: [1, 2, 5]}`");
                return None;
            };
            if column == 0 {
                rounds.resize(items.len(), Vec::new());
            } else if items.len() != rounds.len() {
                let message = format!(
                    "`{}` has {} values, `{}` has {}",
                    key.name,
                    items.len(),
                    entries[0].0.name,
                    rounds.len()
                );
                self.report(Code::InvalidValue, message, list.span, "give each name a value for each round");
                return None;
            }
            for (round, item) in rounds.iter_mut().zip(items) {
                round.push((key.name.clone(), item.value));
            }
        }
        Some(rounds)
    }

    fn index_name(&mut self, fields: &Fields<'_>) -> Option<String> {
        match fields.get("index") {
            Some(value) => {
                let (name, span) = self.text(value, "a name")?;
                self.valid_name(&name, Kind::Variable, span).then_some(name)
            }
            None => Some("i".to_owned()),
        }
    }

    /// Returns a number of repetitions.
    fn times(&mut self, value: &Located) -> Option<u64> {
        let number = self.number(value, "a number of repetitions")?;
        let times = if number.is_integer() { number.to_u64() } else { None };
        if times.is_none() {
            let message = format!("a number of repetitions cannot be {}", crate::value::show_number(&number));
            self.report(Code::InvalidValue, message, value.span, "use a whole number, 0 or more");
        }
        let limit = super::MAX_STEPS as u64;
        if times.is_some_and(|times| times >= limit) {
            self.report(
                Code::Limit,
                format!("{} repetitions, the limit is {limit}", times.unwrap_or(0)),
                value.span,
                "no real network is this deep",
            );
            return None;
        }
        times
    }

    fn number(&mut self, value: &Located, what: &str) -> Option<Number> {
        match self.eval(value)?.value {
            Value::Number(number) => Some(number),
            other => {
                self.report(
                    Code::InvalidValue,
                    format!("expected {what}, found {}", other.describe()),
                    value.span,
                    "a number, or an expression such as `$depth - 1`",
                );
                None
            }
        }
    }

    /// Returns the layer that merges paths, with its position: `add`, or `{concat: {axis: 1}}`.
    fn join(&mut self, written: Option<&Located>, default: &str, span: Span) -> Option<(Layer, Span)> {
        let nothing = Located { value: Value::Map(vec![]), span };
        let (name, args, span) = match written.map(|value| (&value.value, value.span)) {
            None => (default.to_owned(), nothing, span),
            Some((Value::Text(name), span)) => (name.clone(), nothing, span),
            Some((Value::Map(entries), span)) if entries.len() == 1 => {
                let (key, args) = &entries[0];
                (key.name.clone(), self.eval(args)?, span)
            }
            Some((other, span)) => {
                let message = format!("expected a layer that joins, found {}", other.describe());
                self.report(Code::InvalidValue, message, span, "`add`, `concat` or `multiply`");
                return None;
            }
        };
        let joins: Vec<&str> = layers::KINDS
            .iter()
            .filter(|kind| kind.doc.inputs == Arity::Many)
            .map(|kind| kind.doc.name)
            .collect();
        let Some((kind, _)) = layers::find(&name).filter(|(kind, _)| kind.doc.inputs == Arity::Many) else {
            let help = did_you_mean(&name, &joins).unwrap_or_default();
            self.report(Code::UnknownName, format!("`{name}` does not join paths"), span, &help);
            return None;
        };
        match kind.build(&args, span) {
            Ok(layer) => Some((layer, span)),
            Err(errors) => {
                self.report_all(errors);
                None
            }
        }
    }

    /// Adds a layer that is part of the construct itself.
    fn joint(&mut self, (layer, span): (Layer, Span), inputs: Vec<NodeId>) -> NodeId {
        let id = self.name(layer.doc().name, None);
        let origin = Origin { span: Some(span), args: vec![], used_at: Arc::clone(&self.frame().used_at) };
        self.builder.layer(&id, layer, inputs, None, origin)
    }

    /// Returns the full id of a path named `name`; the second path of that name is `name_1`, and so on.
    fn path_name(&mut self, name: &str) -> String {
        let full = self.frame().join(name);
        if self.taken(&full) { self.name(&format!("{name}_"), None) } else { full }
    }

    /// Returns the keys of a construct, checked against the grammar. A bare list is short for the key `main`.
    fn fields(&mut self, item: &Item<'a>, main: &'static str) -> Option<Fields<'a>> {
        let construct = grammar::construct(&item.key.name)?;
        let bare = construct.fields.iter().all(|f| !f.required || f.name == main);
        let entries: &'a [(Key, Located)] = match (item.given(), item.value) {
            (Value::Map(entries), _) => entries,
            (Value::List(_), Some(list)) if bare => {
                return Some(Fields { entries: &[], bare: Some((main, list)), broken: false });
            }
            (other, _) => {
                let required: Vec<String> =
                    construct.fields.iter().filter(|f| f.required).map(|f| format!("`{}`", f.name)).collect();
                let message = format!("`{}` is {}", construct.name, other.describe());
                self.report(
                    Code::InvalidValue,
                    message,
                    item.place(),
                    &format!("it is a mapping with {}", required.join(" and ")),
                );
                return None;
            }
        };
        let names: Vec<&str> = construct.fields.iter().map(|field| field.name).collect();
        let mut meant = Vec::new();
        let mut broken = false;
        for (key, _) in entries.iter().filter(|(key, _)| !names.contains(&key.name.as_str())) {
            broken = true;
            let other = OTHER_NAMES
                .iter()
                .find(|(ours, others)| names.contains(ours) && others.contains(&key.name.as_str()));
            meant.extend(other.map(|&(ours, _)| ours).or_else(|| suggest(&key.name, names.iter().copied())));
            let beside = grammar::MODIFIERS.iter().any(|modifier| modifier.name == key.name);
            let help = match other {
                Some((ours, _)) => format!("write `{ours}`"),
                None if beside => {
                    let (key, construct) = (&key.name, construct.name);
                    format!("write it beside `{construct}`: `- {{{key}: ..., {construct}: {{...}}}}`")
                }
                None => did_you_mean(&key.name, &names).unwrap_or_default(),
            };
            self.report(
                Code::UnknownName,
                format!("unknown key `{}` in `{}`", key.name, construct.name),
                key.span,
                &help,
            );
        }
        for field in construct.fields.iter().filter(|field| field.required) {
            if meant.contains(&field.name) {
                return None;
            }
            if !entries.iter().any(|(key, _)| key.name == field.name) {
                let message = format!("`{}` needs `{}`", construct.name, field.name);
                self.report(
                    Code::Missing,
                    message,
                    item.key.span,
                    &format!("`{}`: {}", field.name, field.doc),
                );
                return None;
            }
        }
        Some(Fields { entries, bare: None, broken })
    }
}

/// The keys of a construct.
struct Fields<'a> {
    entries: &'a [(Key, Located)],
    bare: Option<(&'static str, &'a Located)>,
    /// A key was wrong, so the output of the construct is unknown.
    broken: bool,
}

impl<'a> Fields<'a> {
    fn get(&self, name: &str) -> Option<&'a Located> {
        match self.bare {
            Some((main, value)) => (main == name).then_some(value),
            None => self.entries.iter().find(|(key, _)| key.name == name).map(|(_, value)| value),
        }
    }

    /// Returns whether both keys are given, `first` before `second`.
    fn comes_before(&self, first: &str, second: &str) -> bool {
        let place = |name: &str| self.entries.iter().position(|(key, _)| key.name == name);
        matches!((place(first), place(second)), (Some(a), Some(b)) if a < b)
    }
}
