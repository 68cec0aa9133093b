//! Finds names of a spec that are never read, and names that shadow others, for rules about the way a spec is
//! written.
//!
//! A variable counts as read wherever `$name` occurs in a text, and a block as used wherever its name occurs as a
//! layer, an argument or a variable's value, whether that place is expanded or not. So nothing that could matter is
//! reported as unused.

use std::collections::{HashMap, HashSet};

use crate::layers;
use crate::source::Span;
use crate::spec::document::{Block, Document, FileScope};
use crate::spec::grammar;
use crate::value::{Key, Located, Value};

/// Iterates over the names after a `$` in `text`.
fn variables(text: &str) -> impl Iterator<Item = &str> {
    text.split('$').skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        &rest[..end]
    })
}

/// Calls `visit` with every text below `value`, keys included.
fn texts<'a>(value: &'a Located, visit: &mut impl FnMut(&'a str)) {
    match &value.value {
        Value::Text(text) => visit(text),
        Value::List(items) => items.iter().for_each(|item| texts(item, visit)),
        Value::Map(entries) => entries.iter().for_each(|(key, value)| {
            visit(&key.name);
            texts(value, visit);
        }),
        _ => {}
    }
}

/// Returns the variables read below `values`.
fn read<'a>(values: impl IntoIterator<Item = &'a Located>) -> HashSet<&'a str> {
    let mut names = HashSet::new();
    for value in values {
        texts(value, &mut |text| names.extend(variables(text)));
    }
    names
}

/// Returns whether anything in `document` reads the shape of an input, so that another input size may give
/// another network.
pub fn reads_shapes(document: &Document) -> bool {
    let written = document.files.iter().flat_map(|file| file.entries.iter().map(|(_, value)| value));
    let read = read(written);
    grammar::BUILTINS.iter().any(|(name, _)| read.contains(name))
}

/// Returns the blocks of `document`, in the order of their positions.
fn blocks(document: &Document) -> Vec<&Block> {
    let mut blocks: Vec<&Block> = document.blocks.values().collect();
    blocks.sort_by_key(|block| block.key.span);
    blocks
}

/// Returns the blocks of the spec's own file that nothing names.
pub fn unused_blocks(document: &Document) -> Vec<&Key> {
    let mut used: HashSet<&str> = HashSet::new();
    let mut open: Vec<&str> = Vec::new();
    let mut name = |text| {
        if let Some(block) = document.blocks.get(text)
            && used.insert(&block.key.name)
        {
            open.push(&block.key.name);
        }
    };
    texts(&document.layers, &mut name);
    for file in &document.files {
        let held =
            file.entries.iter().filter(|(key, _)| ["variables", "defaults"].contains(&key.name.as_str()));
        held.for_each(|(_, value)| texts(value, &mut name));
    }
    while let Some(block) = open.pop().and_then(|name| document.blocks.get(name)) {
        let mut name = |text| {
            if let Some(block) = document.blocks.get(text)
                && used.insert(&block.key.name)
            {
                open.push(&block.key.name);
            }
        };
        texts(&block.layers, &mut name);
        block.args.iter().for_each(|(_, default)| texts(default, &mut name));
    }
    let unused = |block: &&Block| block.file == 0 && !used.contains(block.key.name.as_str());
    blocks(document).into_iter().filter(unused).map(|block| &block.key).collect()
}

/// Returns the variables of each file that nothing in the file reads.
pub fn unused_variables(document: &Document) -> Vec<&Key> {
    let mut unused = Vec::new();
    for file in &document.files {
        let Some((_, Value::Map(list))) = file
            .entries
            .iter()
            .find(|(key, _)| key.name == "variables")
            .map(|(key, value)| (key, &value.value))
        else {
            continue;
        };
        let read = read(file.entries.iter().map(|(_, value)| value));
        unused.extend(list.iter().map(|(key, _)| key).filter(|key| !read.contains(key.name.as_str())));
    }
    unused
}

/// Returns the variables that the default arguments of a file's layers read.
fn read_by_defaults(file: &FileScope) -> HashSet<&str> {
    read(file.entries.iter().filter(|(key, _)| key.name == "defaults").map(|(_, value)| value))
}

/// Returns arguments that their block never reads, with the block's name.
pub fn unused_arguments(document: &Document) -> Vec<(&str, &Key)> {
    let defaults: Vec<HashSet<&str>> = document.files.iter().map(read_by_defaults).collect();
    let mut unused = Vec::new();
    for block in blocks(document) {
        let own = block.args.iter().map(|(_, default)| default);
        let read = read(own.chain([&block.layers]));
        let known = |name: &str| read.contains(name) || defaults[block.file].contains(name);
        let keys = block.args.iter().map(|(key, _)| key).filter(|key| !known(&key.name));
        unused.extend(keys.map(|key| (block.key.name.as_str(), key)));
    }
    unused
}

/// Returns whether anything in `document` may refer to a layer of this kind by its generated id (`relu2`,
/// `relu$i`), which changes when an earlier layer of the kind is removed. `relu6` is a layer's name as well:
/// it counts if a layer with that id `exists`.
pub fn counts_on(document: &Document, kind: &str, exists: impl Fn(&str) -> bool) -> bool {
    let mut found = false;
    let mut look = |text: &str| {
        if layers::find(text).is_some() && !exists(text) {
            return;
        }
        let numbered = text.match_indices(kind).any(|(at, _)| {
            text[at + kind.len()..].starts_with(|next: char| next == '$' || next.is_ascii_digit())
        });
        found |= numbered;
    };
    document.files.iter().flat_map(|file| &file.entries).for_each(|(_, value)| texts(value, &mut look));
    found
}

/// A variable that shadows another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shadow {
    /// Its name.
    pub name: String,
    /// Where the inner variable is introduced.
    pub inner: Span,
    /// Where the outer variable is introduced; `None` for an index without a name of its own.
    pub outer: Option<Span>,
    /// The kind of the outer variable.
    pub what: &'static str,
}

/// The variables in scope, by name: each with its position and kind; the innermost last.
#[derive(Default)]
struct Scope<'a> {
    variables: HashMap<&'a str, Vec<(Option<Span>, &'static str)>>,
    found: Vec<Shadow>,
}

/// Returns arguments and loop variables that shadow a variable around them.
pub fn shadowed_variables(document: &Document) -> Vec<Shadow> {
    let mut found = Vec::new();
    let blocks = blocks(document);
    for (index, file) in document.files.iter().enumerate() {
        let mut scope = Scope::default();
        if let Some((_, value)) = file.entries.iter().find(|(key, _)| key.name == "variables")
            && let Value::Map(list) = &value.value
        {
            for (key, _) in list {
                scope.introduce(&key.name, Some(key.span), key.span, "a variable of the file");
            }
        }
        if index == 0 {
            scope.loops(&document.layers);
        }
        for block in blocks.iter().filter(|block| block.file == index) {
            for (key, _) in &block.args {
                scope.introduce(&key.name, Some(key.span), key.span, "an argument of the block");
            }
            scope.loops(&block.layers);
            block.args.iter().for_each(|(key, _)| scope.leave(&key.name));
        }
        found.extend(scope.found);
    }
    found
}

impl<'a> Scope<'a> {
    fn introduce(&mut self, name: &'a str, place: Option<Span>, inner: Span, what: &'static str) {
        let known = self.variables.entry(name).or_default();
        if let Some(&(outer, what)) = known.last() {
            self.found.push(Shadow { name: name.to_owned(), inner, outer, what });
        }
        known.push((place, what));
    }

    fn leave(&mut self, name: &str) {
        if let Some(known) = self.variables.get_mut(name) {
            known.pop();
        }
    }

    /// Searches for loops below `value`.
    fn loops(&mut self, value: &'a Located) {
        match &value.value {
            Value::List(items) => items.iter().for_each(|item| self.loops(item)),
            Value::Map(entries) => {
                for (key, value) in entries {
                    match &value.value {
                        Value::Map(fields) if LOOPS.contains(&key.name.as_str()) => self.inside(key, fields),
                        _ => self.loops(value),
                    }
                }
            }
            _ => {}
        }
    }

    /// Searches for loops inside the loop `key`.
    fn inside(&mut self, key: &'a Key, fields: &'a [(Key, Located)]) {
        let field = |name: &str| fields.iter().find(|(key, _)| key.name == name).map(|(_, value)| value);
        let body = field("body");
        let mut names: Vec<&str> = Vec::new();
        match field("index").map(|index| (&index.value, index.span)) {
            Some((Value::Text(name), span)) => {
                self.introduce(name, Some(span), span, "the index of a loop around it");
                names.push(name);
            }
            // An index that nothing reads shadows nothing.
            _ if body.is_some_and(|body| read([body]).contains(INDEX)) => {
                self.introduce(INDEX, None, key.span, "the index of a loop around it");
                names.push(INDEX);
            }
            _ => {}
        }
        if let Some(Value::Map(lists)) = field("for").map(|value| &value.value) {
            for (key, _) in lists {
                self.introduce(&key.name, Some(key.span), key.span, "a variable of a loop around it");
                names.push(&key.name);
            }
        }
        if let Some(body) = body {
            self.loops(body);
        }
        names.into_iter().for_each(|name| self.leave(name));
    }
}

/// Constructs that repeat their body with variables of their own.
const LOOPS: [&str; 2] = ["repeat", "dense"];
/// The index of a loop that does not name its index.
const INDEX: &str = "i";
