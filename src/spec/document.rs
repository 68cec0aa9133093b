//! The top level of a spec: its keys, its includes, its blocks, each with its place.

use std::collections::HashMap;
use std::rc::Rc;

use crate::diagnostic::{Code, Diagnostic, did_you_mean};
use crate::layers;
use crate::source::{SourceId, Sources, Span};
use crate::spec::env::Env;
use crate::spec::expand::evaluate;
use crate::spec::files::Files;
use crate::spec::grammar::{self, Field};
use crate::spec::{Overrides, yaml};
use crate::value::{Key, Located, Value};

/// A spec and everything it includes.
#[derive(Debug)]
pub struct Document {
    /// The network's name.
    pub name: String,
    /// Named input shapes, not yet evaluated.
    pub inputs: Vec<(Key, Located)>,
    /// The network.
    pub layers: Located,
    /// Ids of the outputs, if given.
    pub outputs: Option<Located>,
    /// The spec and its included files: what is in force inside each.
    pub files: Vec<FileScope>,
    /// All blocks by name.
    pub blocks: HashMap<String, Block>,
    /// The place of the whole.
    pub span: Span,
}

/// What is in force inside one file.
#[derive(Debug)]
pub struct FileScope {
    /// Default arguments by canonical layer name.
    pub defaults: HashMap<&'static str, Vec<(Key, Located)>>,
    /// The file's variables.
    pub env: Rc<Env>,
}

/// A named group of layers.
#[derive(Debug)]
pub struct Block {
    /// Its name with its place.
    pub key: Key,
    /// Index into [`Document::files`].
    pub file: usize,
    /// Arguments with their defaults; `Null` must be given.
    pub args: Vec<(Key, Located)>,
    /// Names of its inputs if there are several.
    pub inputs: Vec<Key>,
    /// Its layers.
    pub layers: Located,
}

/// Most files that one spec may pull in.
const MAX_FILES: usize = 64;

/// Reads `path` and what it includes; the document is there if at least its network could be found.
pub fn read(
    files: &dyn Files,
    path: &str,
    overrides: &Overrides,
    sources: &mut Sources,
) -> (Option<Document>, Vec<Diagnostic>) {
    let mut reader =
        Reader { files, sources, errors: vec![], scopes: vec![], blocks: HashMap::new(), open: vec![] };
    let document = reader.document(path, overrides);
    (document, reader.errors)
}

struct Reader<'a> {
    files: &'a dyn Files,
    sources: &'a mut Sources,
    errors: Vec<Diagnostic>,
    scopes: Vec<FileScope>,
    blocks: HashMap<String, Block>,
    /// Paths of the files that are being read, outermost first, and whether they are done.
    open: Vec<(String, bool)>,
}

impl Reader<'_> {
    fn document(&mut self, path: &str, overrides: &Overrides) -> Option<Document> {
        let (source, root) = self.parse(path, None)?;
        let span = Span::new(source, 0, 0);
        let Value::Map(entries) = &root.value else {
            let found = if root.value == Value::Null { "nothing".into() } else { root.value.describe() };
            self.errors.push(
                Diagnostic::error(Code::Missing, format!("expected a spec, found {found}"), root.span).help(
                    "a spec has at least `input:` and `layers:`; `cnnkit zoo show resnet18` prints one",
                ),
            );
            return None;
        };
        self.check_keys(entries, grammar::DOCUMENT, "at the top level of a spec");
        self.open.push((path.to_owned(), false));
        self.scope(source, path, entries, overrides);
        let find = |name: &str| entries.iter().find(|(key, _)| key.name == name);
        let mut missing = false;
        for field in grammar::DOCUMENT.iter().filter(|field| field.required) {
            if find(field.name).is_none() {
                missing = true;
                self.errors.push(
                    Diagnostic::error(Code::Missing, format!("the spec has no `{}`", field.name), span)
                        .help(format!("`{}`: {}", field.name, field.doc)),
                );
            }
        }
        let (input, layers) = (find("input"), find("layers"));
        if missing {
            return None;
        }
        let stem = || {
            let shown = self.files.display(path);
            let name = shown
                .strip_prefix("zoo:")
                .unwrap_or(&shown)
                .rsplit('/')
                .next()
                .unwrap_or("network")
                .to_owned();
            name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml")).unwrap_or(&name).to_owned()
        };
        let name = match find("name").map(|(_, value)| &value.value) {
            Some(Value::Text(name)) => name.clone(),
            Some(Value::Number(number)) => crate::value::show_number(number),
            _ => stem(),
        };
        let (input_key, input) = input?;
        let inputs = match &input.value {
            Value::Map(shapes) => shapes.clone(),
            _ => vec![(Key { name: grammar::INPUT.into(), span: input_key.span }, input.clone())],
        };
        Some(Document {
            name,
            inputs,
            layers: layers?.1.clone(),
            outputs: find("outputs").map(|(_, value)| value.clone()),
            files: std::mem::take(&mut self.scopes),
            blocks: std::mem::take(&mut self.blocks),
            span,
        })
    }

    /// Reads and parses a file; `at` is the `include` that asked for it.
    fn parse(&mut self, path: &str, at: Option<Span>) -> Option<(SourceId, Located)> {
        let bytes = match self.files.read(path) {
            Ok(bytes) => bytes,
            Err((message, help)) => {
                let code = if at.is_some() { Code::Include } else { Code::Io };
                self.errors.push(Diagnostic::error(code, message, at).help(help));
                return None;
            }
        };
        let name = self.files.display(path);
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                let text = String::from_utf8_lossy(&error.as_bytes()[..at]).into_owned();
                let source = self.sources.add(name, text);
                self.errors.push(
                    Diagnostic::error(
                        Code::Syntax,
                        format!("byte {at} is not UTF-8"),
                        Span::new(source, at, at),
                    )
                    .help("a spec is UTF-8 text"),
                );
                return None;
            }
        };
        let source = self.sources.add(name, text);
        match yaml::parse(self.sources, source) {
            Ok(root) => Some((source, root)),
            Err(error) => {
                self.errors.push(error);
                None
            }
        }
    }

    /// Takes in a file's includes, variables, defaults and blocks.
    fn scope(&mut self, source: SourceId, path: &str, entries: &[(Key, Located)], overrides: &Overrides) {
        let index = self.scopes.len();
        let env = self.variables(source, entries, overrides);
        let defaults = self.defaults(entries);
        self.scopes.push(FileScope { defaults, env });
        for (key, value) in entries {
            match key.name.as_str() {
                "include" => self.include(path, value),
                "blocks" => self.take_blocks(index, value),
                "description" | "name" if matches!(value.value, Value::List(_) | Value::Map(_)) => {
                    self.errors.push(Diagnostic::error(
                        Code::InvalidValue,
                        format!("`{}` is text, found {}", key.name, value.value.describe()),
                        value.span,
                    ));
                }
                _ => {}
            }
        }
    }

    fn variables(&mut self, source: SourceId, entries: &[(Key, Located)], overrides: &Overrides) -> Rc<Env> {
        let written = entries.iter().find(|(key, _)| key.name == "variables").map(|(_, value)| value);
        let mut values: Vec<(String, Value)> = Vec::new();
        let list: &[(Key, Located)] = match written.map(|value| (&value.value, value.span)) {
            Some((Value::Map(list), _)) => list,
            Some((Value::Null, _)) | None => &[],
            Some((other, span)) => {
                self.errors.push(
                    Diagnostic::error(
                        Code::InvalidValue,
                        format!("`variables` is {}", other.describe()),
                        span,
                    )
                    .help("it is a mapping: `variables: {classes: 1000}`"),
                );
                &[]
            }
        };
        for (name, text) in &overrides.variables {
            if !list.iter().any(|(key, _)| key.name == *name) {
                let names: Vec<&str> = list.iter().map(|(key, _)| key.name.as_str()).collect();
                let mut error = Diagnostic::error(
                    Code::UnknownName,
                    format!("`--set {name}={text}`: the spec has no variable `{name}`"),
                    Span::new(source, 0, 0),
                );
                error
                    .help
                    .extend(did_you_mean(name, &names).or(Some("it has none: add `variables:`".into())));
                self.errors.push(error);
            }
        }
        for (key, value) in list {
            let replaced = overrides.variables.iter().rev().find(|(name, _)| *name == key.name);
            let value = match replaced {
                Some((_, text)) => {
                    let id = self.sources.add(format!("--set {}", key.name), text.as_str());
                    match yaml::parse(self.sources, id) {
                        Ok(value) => value,
                        Err(error) => {
                            self.errors.push(error);
                            continue;
                        }
                    }
                }
                None => value.clone(),
            };
            let env = Env::outermost(values.clone());
            match evaluate(&value, &env) {
                Ok(value) => values.push((key.name.clone(), value.value)),
                Err(errors) => self.errors.extend(errors),
            }
        }
        Env::outermost(values)
    }

    fn defaults(&mut self, entries: &[(Key, Located)]) -> HashMap<&'static str, Vec<(Key, Located)>> {
        let mut defaults = HashMap::new();
        let Some((_, value)) = entries.iter().find(|(key, _)| key.name == "defaults") else {
            return defaults;
        };
        let Value::Map(kinds) = &value.value else {
            self.errors.push(
                Diagnostic::error(
                    Code::InvalidValue,
                    format!("`defaults` is {}", value.value.describe()),
                    value.span,
                )
                .help("it is a mapping: `defaults: {conv: {bias: false}}`"),
            );
            return defaults;
        };
        for (key, args) in kinds {
            let Some((kind, _)) = layers::find(&key.name) else {
                let names: Vec<&str> = layers::KINDS.iter().map(|kind| kind.doc.name).collect();
                let mut error =
                    Diagnostic::error(Code::UnknownName, format!("unknown layer `{}`", key.name), key.span);
                error.help.extend(did_you_mean(&key.name, &names));
                self.errors.push(error);
                continue;
            };
            let Value::Map(args) = &args.value else {
                self.errors.push(Diagnostic::error(
                    Code::InvalidValue,
                    format!("expected arguments of `{}`, found {}", kind.doc.name, args.value.describe()),
                    args.span,
                ));
                continue;
            };
            let names = kind.argument_names();
            for (argument, _) in args {
                if !names.iter().any(|name| *name == argument.name) {
                    let names: Vec<&str> = names.iter().map(String::as_str).collect();
                    let message = format!("`{}` has no argument `{}`", kind.doc.name, argument.name);
                    let mut error = Diagnostic::error(Code::UnknownName, message, argument.span);
                    error.help.extend(did_you_mean(&argument.name, &names));
                    self.errors.push(error);
                }
            }
            defaults.insert(kind.doc.name, args.clone());
        }
        defaults
    }

    fn include(&mut self, from: &str, value: &Located) {
        let list = match &value.value {
            Value::List(list) => list.clone(),
            Value::Text(_) => vec![value.clone()],
            other => {
                self.errors.push(
                    Diagnostic::error(
                        Code::InvalidValue,
                        format!("`include` is {}", other.describe()),
                        value.span,
                    )
                    .help("it is a list of files: `include: [../blocks/resnet.yaml]`"),
                );
                return;
            }
        };
        for item in list {
            let Value::Text(include) = &item.value else {
                let message = format!("expected a file name, found {}", item.value.describe());
                self.errors.push(Diagnostic::error(Code::Include, message, item.span));
                continue;
            };
            match self.files.resolve(from, include) {
                Ok(path) => self.include_one(&path, item.span),
                Err((message, help)) => {
                    self.errors.push(Diagnostic::error(Code::Include, message, item.span).help(help));
                }
            }
        }
    }

    fn include_one(&mut self, path: &str, at: Span) {
        match self.open.iter().find(|(open, _)| open == path) {
            Some((_, true)) => return, // read before: its blocks are known
            Some((_, false)) => {
                let chain: Vec<&str> =
                    self.open.iter().filter(|(_, done)| !done).map(|(open, _)| open.as_str()).collect();
                self.errors.push(
                    Diagnostic::error(Code::Include, format!("`{path}` includes itself"), at)
                        .help(format!("the circle is {} -> {path}", chain.join(" -> "))),
                );
                return;
            }
            None => {}
        }
        if self.open.len() >= MAX_FILES {
            self.errors.push(Diagnostic::error(
                Code::Limit,
                format!("more than {MAX_FILES} files are included"),
                at,
            ));
            return;
        }
        let Some((source, root)) = self.parse(path, Some(at)) else { return };
        let position = self.open.len();
        self.open.push((path.to_owned(), false));
        if let Value::Map(entries) = &root.value {
            let allowed: Vec<&Field> = grammar::DOCUMENT
                .iter()
                .filter(|f| {
                    ["description", "include", "variables", "defaults", "blocks", "name"].contains(&f.name)
                })
                .collect();
            for (key, _) in entries {
                if !allowed.iter().any(|field| field.name == key.name) {
                    let known = grammar::DOCUMENT.iter().any(|field| field.name == key.name);
                    let message = if known {
                        format!("an included file gives blocks, it cannot have `{}`", key.name)
                    } else {
                        format!("unknown key `{}` in an included file", key.name)
                    };
                    let names: Vec<&str> = allowed.iter().map(|field| field.name).collect();
                    let mut error = Diagnostic::error(Code::UnknownName, message, key.span);
                    error.help.extend(did_you_mean(&key.name, &names));
                    self.errors.push(error);
                }
            }
            self.scope(source, path, entries, &Overrides::default());
        } else if root.value != Value::Null {
            let message = format!("expected a file of blocks, found {}", root.value.describe());
            self.errors.push(Diagnostic::error(Code::Include, message, root.span));
        }
        self.open[position].1 = true;
    }

    fn take_blocks(&mut self, file: usize, value: &Located) {
        let Value::Map(blocks) = &value.value else {
            if value.value != Value::Null {
                let message = format!("`blocks` is {}, it maps names to blocks", value.value.describe());
                self.errors.push(Diagnostic::error(Code::InvalidValue, message, value.span));
            }
            return;
        };
        for (key, value) in blocks {
            if grammar::reserved(&key.name) || layers::KINDS.iter().any(|kind| kind.doc.name == key.name) {
                self.errors.push(
                    Diagnostic::error(
                        Code::InvalidValue,
                        format!("`{}` already has a meaning", key.name),
                        key.span,
                    )
                    .help("give the block another name"),
                );
                continue;
            }
            if let Some(first) = self.blocks.get(&key.name) {
                self.errors.push(
                    Diagnostic::error(Code::InvalidValue, format!("a second block `{}`", key.name), key.span)
                        .related(first.key.span, "the first one"),
                );
                continue;
            }
            if let Some(block) = self.block(file, key, value) {
                self.blocks.insert(key.name.clone(), block);
            }
        }
    }

    fn block(&mut self, file: usize, key: &Key, value: &Located) -> Option<Block> {
        // A bare list is a block without arguments.
        if let Value::List(_) = value.value {
            return Some(Block {
                key: key.clone(),
                file,
                args: vec![],
                inputs: vec![],
                layers: value.clone(),
            });
        }
        let Value::Map(entries) = &value.value else {
            let message = format!("block `{}` is {}", key.name, value.value.describe());
            self.errors.push(
                Diagnostic::error(Code::InvalidValue, message, value.span)
                    .help("a block has `args` and `layers`"),
            );
            return None;
        };
        self.check_keys(entries, grammar::BLOCK, "in a block");
        let find = |name: &str| entries.iter().find(|(k, _)| k.name == name).map(|(_, value)| value);
        let args = match find("args").map(|value| (&value.value, value.span)) {
            Some((Value::Map(args), _)) => args.clone(),
            Some((Value::Null, _)) | None => vec![],
            Some((other, span)) => {
                let message = format!("`args` is {}, it maps names to defaults", other.describe());
                self.errors.push(
                    Diagnostic::error(Code::InvalidValue, message, span)
                        .help("`args: {width: ~, stride: 1}`; `~` must be given"),
                );
                vec![]
            }
        };
        let mut inputs = Vec::new();
        if let Some(value) = find("inputs") {
            let items = if let Value::List(items) = &value.value { items.as_slice() } else { &[] };
            for item in items {
                if let Value::Text(name) = &item.value {
                    inputs.push(Key { name: name.clone(), span: item.span });
                }
            }
            if inputs.is_empty() || inputs.len() != items.len() {
                let message = format!("`inputs` is {}, it lists names", value.value.describe());
                self.errors.push(
                    Diagnostic::error(Code::InvalidValue, message, value.span).help("`inputs: [x, skip]`"),
                );
            }
        }
        let Some(layers) = find("layers") else {
            let message = format!("block `{}` has no `layers`", key.name);
            self.errors.push(Diagnostic::error(Code::Missing, message, key.span));
            return None;
        };
        Some(Block { key: key.clone(), file, args, inputs, layers: layers.clone() })
    }

    fn check_keys(&mut self, entries: &[(Key, Located)], fields: &[Field], place: &str) {
        for (key, _) in entries {
            if !fields.iter().any(|field| field.name == key.name) {
                let names: Vec<&str> = fields.iter().map(|field| field.name).collect();
                let mut error = Diagnostic::error(
                    Code::UnknownName,
                    format!("unknown key `{}` {place}", key.name),
                    key.span,
                );
                error.help.extend(did_you_mean(&key.name, &names));
                self.errors.push(error);
            }
        }
    }
}
