//! Uses of blocks: arguments, inputs, and a level of ids and variables of their own.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::entry::Item;
use super::level::{Group, Recipe, State, What};
use super::{Expander, MAX_DEPTH};
use crate::diagnostic::{Code, Diagnostic, did_you_mean};
use crate::graph::NodeId;
use crate::source::Span;
use crate::spec::document::Block;
use crate::spec::env::Env;
use crate::spec::evaluate::evaluate;
use crate::spec::grammar;
use crate::value::{Key, Located, Value};

impl<'a> Expander<'a> {
    pub(super) fn block(
        &mut self,
        mut item: Item<'a>,
        block: &'a Block,
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
        frame.env = args;
        frame.file = block.file;
        let here = (block.key.name.clone(), item.key.span);
        frame.used_at = std::iter::once(here).chain(frame.used_at.iter().cloned()).collect();
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
            self.groups.insert(prefix, Group { state: State::Closed(None), recipe: None });
            return None;
        }
        if let Some(&first) = given.first() {
            frame.inputs.push((grammar::INPUT.into(), first));
        }
        frame.inputs.extend(block.inputs.iter().zip(&given).map(|(key, &node)| (key.name.clone(), node)));
        frame.shares = item.share.as_ref().and_then(|(name, span)| self.shared_group(name, *span));
        let what = What::Block(block, item.value);
        let recipe = Recipe { what, env: self.env(), file: block.file, inputs: vec![] };
        self.group(frame, recipe, given.first().copied())
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

    /// Returns the scope of a block: its arguments as given, or their defaults.
    fn block_args(
        &mut self,
        item: &Item<'_>,
        block: &Block,
        builtins: Vec<(String, Value)>,
    ) -> Option<Arc<Env>> {
        let name = &block.key.name;
        let written: &[(Key, Located)] = match item.given() {
            Value::Map(entries) => entries,
            Value::Null => &[],
            other => {
                let message = format!("expected the arguments of block `{name}`, found {}", other.describe());
                self.report(
                    Code::InvalidValue,
                    message,
                    item.place(),
                    "write them as a mapping: `{width: 64}`",
                );
                return None;
            }
        };
        let mut failed = false;
        let known: HashSet<&str> = block.args.iter().map(|(arg, _)| arg.name.as_str()).collect();
        let given: HashMap<&str, &Located> =
            written.iter().map(|(key, value)| (key.name.as_str(), value)).collect();
        for (key, _) in written {
            if !known.contains(key.name.as_str()) {
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
        // A default may use the file's variables and the arguments before it.
        let file = &self.document.files[block.file].env;
        let mut scope = Env::inside(file, builtins);
        for (arg, default) in &block.args {
            if !self.step(item.key.span) {
                return None;
            }
            let value = match given.get(arg.name.as_str()) {
                Some(value) => self.eval(value),
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
                None => match evaluate(default, &scope) {
                    Ok(value) => Some(value),
                    Err(unevaluated) => {
                        self.report_all(unevaluated.into_flaws());
                        None
                    }
                },
            };
            match (value, Arc::get_mut(&mut scope)) {
                // An argument replaces the builtin of its name.
                (Some(value), Some(scope)) => scope.replace(&arg.name, value.value),
                _ => failed = true,
            }
        }
        (!failed).then_some(scope)
    }
}
