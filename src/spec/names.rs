//! Which names of a spec are read, and which hide others: what is judged about the way a spec is written.
//!
//! A name counts as read wherever `$name` stands in a text, and a block as used wherever its name stands as a layer, an
//! argument or a variable's value, whether the place is expanded or not. So nothing that could matter is called unused.

use std::collections::{HashMap, HashSet};

use crate::layers;
use crate::source::Span;
use crate::spec::document::{Block, Document};
use crate::spec::grammar;
use crate::value::{Key, Located, Value};

/// The names after a `$` in `text`.
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

/// The variables read below `values`.
fn read<'a>(values: impl IntoIterator<Item = &'a Located>) -> HashSet<&'a str> {
    let mut names = HashSet::new();
    for value in values {
        texts(value, &mut |text| names.extend(variables(text)));
    }
    names
}

/// The blocks of `document`, in the order of their places.
fn blocks(document: &Document) -> Vec<&Block> {
    let mut blocks: Vec<&Block> = document.blocks.values().collect();
    blocks.sort_by_key(|block| block.key.span);
    blocks
}

/// Blocks of the spec's own file that nothing names.
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

/// Variables of each file that nothing in the file reads.
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

/// Arguments that their block never reads, with the block's name.
pub fn unused_arguments(document: &Document) -> Vec<(&str, &Key)> {
    let mut unused = Vec::new();
    for block in blocks(document) {
        let defaults = document.files[block.file].entries.iter().filter(|(key, _)| key.name == "defaults");
        let own = block.args.iter().map(|(_, default)| default);
        let read = read(own.chain([&block.layers]).chain(defaults.map(|(_, value)| value)));
        let keys = block.args.iter().map(|(key, _)| key).filter(|key| !read.contains(key.name.as_str()));
        unused.extend(keys.map(|key| (block.key.name.as_str(), key)));
    }
    unused
}

/// Whether anything in `document` may name a layer of this kind by its generated id (`relu2`, `relu$i`), which is
/// another one as soon as a layer of the kind before it goes. `relu6` is a layer's name as well: it counts if a layer
/// `exists` that has it for an id.
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

/// A variable that hides another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shadow {
    /// Its name.
    pub name: String,
    /// Where the inner one is introduced.
    pub inner: Span,
    /// Where the outer one is introduced; none for an index that has no name of its own.
    pub outer: Option<Span>,
    /// What the outer one is.
    pub what: &'static str,
}

/// A variable in force: its place, and what it is.
type Scope<'a> = HashMap<&'a str, (Option<Span>, &'static str)>;

/// Arguments and loop variables that hide a variable around them.
pub fn shadowed_variables(document: &Document) -> Vec<Shadow> {
    let mut found = Vec::new();
    let file = |index: usize| {
        let mut scope = Scope::new();
        let entries = document.files.get(index).map_or(&[][..], |file| &file.entries);
        if let Some((_, value)) = entries.iter().find(|(key, _)| key.name == "variables")
            && let Value::Map(list) = &value.value
        {
            scope.extend(
                list.iter().map(|(key, _)| (key.name.as_str(), (Some(key.span), "a variable of the file"))),
            );
        }
        scope
    };
    loops(&document.layers, &file(0), &mut found);
    for block in blocks(document) {
        let mut scope = file(block.file);
        for (key, _) in &block.args {
            introduce(
                &mut scope,
                &key.name,
                Some(key.span),
                key.span,
                "an argument of the block",
                &mut found,
            );
        }
        loops(&block.layers, &scope, &mut found);
    }
    found
}

fn introduce<'a>(
    scope: &mut Scope<'a>,
    name: &'a str,
    place: Option<Span>,
    inner: Span,
    what: &'static str,
    found: &mut Vec<Shadow>,
) {
    if let Some((outer, what)) = scope.insert(name, (place, what)) {
        found.push(Shadow { name: name.to_owned(), inner, outer, what });
    }
}

/// Looks for loops below `value`, where `scope` is in force.
fn loops<'a>(value: &'a Located, scope: &Scope<'a>, found: &mut Vec<Shadow>) {
    match &value.value {
        Value::List(items) => items.iter().for_each(|item| loops(item, scope, found)),
        Value::Map(entries) => {
            for (key, value) in entries {
                let construct = grammar::construct(&key.name)
                    .is_some_and(|_| ["repeat", "dense"].contains(&key.name.as_str()));
                match &value.value {
                    Value::Map(fields) if construct => in_loop(key, fields, scope, found),
                    _ => loops(value, scope, found),
                }
            }
        }
        _ => {}
    }
}

fn in_loop<'a>(key: &Key, fields: &'a [(Key, Located)], scope: &Scope<'a>, found: &mut Vec<Shadow>) {
    let field = |name: &str| fields.iter().find(|(key, _)| key.name == name).map(|(_, value)| value);
    let mut inside = scope.clone();
    let body = field("body");
    match field("index").map(|index| (&index.value, index.span)) {
        Some((Value::Text(name), span)) => {
            introduce(&mut inside, name, Some(span), span, "the index of a loop around it", found);
        }
        _ if body.is_some_and(|body| read([body]).contains("i")) => {
            introduce(&mut inside, "i", None, key.span, "the index of a loop around it", found);
        }
        _ => {}
    }
    if let Some(Value::Map(lists)) = field("for").map(|value| &value.value) {
        for (key, _) in lists {
            introduce(
                &mut inside,
                &key.name,
                Some(key.span),
                key.span,
                "a variable of a loop around it",
                found,
            );
        }
    }
    if let Some(body) = body {
        loops(body, &inside, found);
    }
}
