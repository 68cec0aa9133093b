//! The top level of a spec: its keys, includes and blocks, each with its position.

mod blocks;
mod include;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::diagnostic::{Code, Diagnostic, Problem, did_you_mean, suggest};
use crate::layers;
use crate::source::{SourceId, Sources, Span};
use crate::spec::env::Env;
use crate::spec::evaluate::{Unevaluated, evaluate};
use crate::spec::expectation::{self, Expectation};
use crate::spec::expr::MAX_COPIED;
use crate::spec::files::Files;
use crate::spec::grammar::{self, Field};
use crate::spec::identifier::{self, Kind};
use crate::spec::{Overrides, yaml};
use crate::value::{Key, Located, Value};

/// Number of errors after which no more expressions are evaluated; fewer are shown.
const MAX_FLAWS: usize = 500;

/// A spec and everything it includes.
#[derive(Debug)]
pub struct Document {
    /// The network's name.
    pub name: String,
    /// Named input shapes, not yet evaluated.
    pub inputs: Vec<(Key, Located)>,
    /// The network.
    pub layers: Located,
    /// The technique that the spec demonstrates.
    pub demonstrates: Option<&'static str>,
    /// Ids of the outputs, if given.
    pub outputs: Option<Located>,
    /// What the spec expects of the network.
    pub expectations: Vec<Expectation>,
    /// Errors in `expect`; only a check reports them.
    pub expectation_errors: Vec<Diagnostic>,
    /// The spec and its included files, each with its scope.
    pub files: Vec<FileScope>,
    /// All blocks by name.
    pub blocks: HashMap<String, Block>,
    /// Names of blocks whose definition has an error, which was reported.
    pub broken: HashSet<String>,
    /// Whether an include could not be read, so that an unknown block may be defined there.
    pub incomplete: bool,
    /// The position of the key `input`.
    pub input_span: Span,
}

/// The definitions in force inside one file.
#[derive(Debug)]
pub struct FileScope {
    /// Default arguments by canonical layer name.
    pub defaults: HashMap<&'static str, Vec<(Key, Located)>>,
    /// The file's variables.
    pub env: Arc<Env>,
    /// The text.
    pub source: SourceId,
    /// Everything written in it, key by key.
    pub entries: Vec<(Key, Located)>,
}

/// A named group of layers.
#[derive(Debug)]
pub struct Block {
    /// Its name, with its position.
    pub key: Key,
    /// Index into [`Document::files`].
    pub file: usize,
    /// Arguments with their defaults; one with the default `Null` is required.
    pub args: Vec<(Key, Located)>,
    /// Names of its inputs, if there are several.
    pub inputs: Vec<Key>,
    /// Its layers.
    pub layers: Located,
}

/// Reads `path` and what it includes; returns the document if at least its network was found.
pub fn read(
    files: &dyn Files,
    path: &str,
    overrides: &Overrides,
    sources: &mut Sources,
) -> (Option<Document>, Vec<Diagnostic>) {
    let mut reader = Reader {
        files,
        sources,
        errors: vec![],
        scopes: vec![],
        blocks: HashMap::new(),
        broken: HashSet::new(),
        open: vec![],
        room: Arc::new(AtomicU64::new(MAX_COPIED)),
    };
    let document = reader.document(path, overrides);
    (document, reader.errors)
}

struct Reader<'a> {
    files: &'a dyn Files,
    sources: &'a mut Sources,
    errors: Vec<Diagnostic>,
    scopes: Vec<FileScope>,
    blocks: HashMap<String, Block>,
    broken: HashSet<String>,
    /// Paths of the files that are being read, outermost first, and whether each is done.
    open: Vec<(String, bool)>,
    /// The number of elements that may still be copied out of variables, in all files together.
    room: Arc<AtomicU64>,
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
        let meant = self.check_keys(entries, grammar::DOCUMENT, "at the top level of a spec");
        self.open.push((path.to_owned(), false));
        self.scope(path, source, entries, overrides);
        let find = |name: &str| entries.iter().find(|(key, _)| key.name == name);
        let mut missing = false;
        for field in grammar::DOCUMENT.iter().filter(|field| field.required) {
            if find(field.name).is_none() {
                missing = true;
                if meant.contains(&field.name) {
                    continue;
                }
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
        for (key, _) in &inputs {
            self.valid_name(key, Kind::Input);
        }
        let env = self.scopes.first().map(|scope| Arc::clone(&scope.env)).unwrap_or_default();
        let (expectations, expectation_errors) =
            find("expect").map(|(_, value)| expectation::parse(value, &env)).unwrap_or_default();
        Some(Document {
            name,
            expectations,
            expectation_errors,
            inputs,
            layers: layers?.1.clone(),
            demonstrates: find("demonstrates").and_then(|(_, value)| self.technique(value)),
            outputs: find("outputs").map(|(_, value)| value.clone()),
            files: std::mem::take(&mut self.scopes),
            blocks: std::mem::take(&mut self.blocks),
            broken: std::mem::take(&mut self.broken),
            incomplete: self.errors.iter().any(|error| error.code == Code::Include),
            input_span: input_key.span,
        })
    }

    /// Reads and parses a file; `at` is the `include` that names it.
    fn parse(&mut self, path: &str, at: Option<Span>) -> Option<(SourceId, Located)> {
        let bytes = match self.files.read(path) {
            Ok(bytes) => bytes,
            Err(problem) => {
                let problem = match at {
                    Some(_) => Problem::new(Code::Include, problem.message)
                        .help("name a YAML file, relative to the file that includes it"),
                    None => problem,
                };
                self.errors.push(problem.located(at));
                return None;
            }
        };
        let name = self.files.display(path);
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                let byte = error.as_bytes()[at];
                let help = match error.as_bytes() {
                    [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "this looks like UTF-16: save the file as UTF-8",
                    bytes if bytes[..at].is_empty() || bytes.contains(&0) => {
                        "this does not look like text: a spec is a YAML file in UTF-8"
                    }
                    _ => "save the file as UTF-8",
                };
                let text = String::from_utf8_lossy(&error.as_bytes()[..at]).into_owned();
                let source = self.sources.add(name, text);
                self.errors.push(
                    Diagnostic::error(
                        Code::Syntax,
                        format!("byte {at} (0x{byte:02x}) is not UTF-8"),
                        Span::new(source, at, at),
                    )
                    .help(help),
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

    /// Reads a file's includes, variables, defaults and blocks.
    fn scope(&mut self, path: &str, source: SourceId, entries: &[(Key, Located)], overrides: &Overrides) {
        let index = self.scopes.len();
        let env = self.variables(entries, overrides);
        let defaults = self.defaults(entries);
        self.scopes.push(FileScope { defaults, env, source, entries: entries.to_vec() });
        for (key, value) in entries {
            match key.name.as_str() {
                "include" => self.include(path, value),
                "blocks" => self.take_blocks(index, value),
                "description" | "name" if matches!(value.value, Value::List(_) | Value::Map(_)) => {
                    let message = format!("`{}` is text, found {}", key.name, value.value.describe());
                    self.errors.push(
                        Diagnostic::error(Code::InvalidValue, message, value.span)
                            .help("quote it if the brackets are part of the text"),
                    );
                }
                _ => {}
            }
        }
    }

    fn technique(&mut self, value: &Located) -> Option<&'static str> {
        let name = match &value.value {
            Value::Text(name) => name.as_str(),
            _ => "",
        };
        let found = grammar::TECHNIQUES.iter().copied().find(|technique| *technique == name);
        if found.is_none() {
            let message = match &value.value {
                Value::Text(name) => format!("there is no demonstration `{name}`"),
                other => format!("`demonstrates` is the name of a technique, found {}", other.describe()),
            };
            let mut error = Diagnostic::error(Code::UnknownName, message, value.span);
            error.help.extend(did_you_mean(name, grammar::TECHNIQUES));
            self.errors.push(error);
        }
        found
    }

    fn variables(&mut self, entries: &[(Key, Located)], overrides: &Overrides) -> Arc<Env> {
        let written = entries.iter().find(|(key, _)| key.name == "variables").map(|(_, value)| value);
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
                let option = self.sources.add("<command line>", format!("--set {name}={text}"));
                let mut error = Diagnostic::error(
                    Code::UnknownName,
                    format!("the spec has no variable `{name}`"),
                    Span::new(option, "--set ".len(), "--set ".len() + name.len()),
                );
                error
                    .help
                    .extend(did_you_mean(name, &names).or(Some("it has none: add `variables:`".into())));
                self.errors.push(error);
            }
        }
        for (key, _) in list {
            self.valid_name(key, Kind::Variable);
        }
        let all = list.iter().map(|(key, _)| key.name.clone());
        let mut env = Arc::new(Env::before(all, &self.room));
        for (key, value) in list {
            let replaced = overrides.variables.iter().rev().find(|(name, _)| *name == key.name);
            let value = match replaced {
                Some((_, text)) => {
                    let id = self.sources.add(format!("--set {}", key.name), text.as_str());
                    yaml::parse(self.sources, id).map_err(|error| Unevaluated::Flaws(vec![error]))
                }
                None => Ok(value.clone()),
            };
            // Only the first errors are shown.
            let value = if self.errors.len() > MAX_FLAWS { Err(Unevaluated::Reported) } else { value };
            let value = value.and_then(|value| evaluate(&value, &env));
            // Nothing else refers to the scope yet.
            let Some(scope) = Arc::get_mut(&mut env) else { continue };
            match value {
                Ok(value) => scope.define(&key.name, value.value),
                Err(unevaluated) => {
                    scope.fail(&key.name);
                    self.errors.extend(unevaluated.into_flaws());
                }
            }
        }
        if let Some(scope) = Arc::get_mut(&mut env) {
            scope.complete();
        }
        env
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
            if self.errors.len() > MAX_FLAWS {
                break;
            }
            let Some((kind, _)) = layers::find(&key.name) else {
                let names: Vec<&str> = layers::KINDS.iter().map(|kind| kind.doc.name).collect();
                let mut error =
                    Diagnostic::error(Code::UnknownName, format!("unknown layer `{}`", key.name), key.span);
                let close = suggest(&key.name, names).or_else(|| layers::closest(&key.name));
                let foreign = layers::foreign::hint(&key.name).map(str::to_owned);
                let close = foreign.or_else(|| close.map(|close| format!("did you mean `{close}`?")));
                error.help.push(close.unwrap_or_else(|| "`cnnkit layers` lists the layers".into()));
                self.errors.push(error);
                continue;
            };
            let Value::Map(args) = &args.value else {
                let name = kind.doc.name;
                let message = format!("expected arguments of `{name}`, found {}", args.value.describe());
                self.errors.push(
                    Diagnostic::error(Code::InvalidValue, message, args.span)
                        .help(format!("for example `defaults: {{{name}: {{bias: false}}}}`")),
                );
                continue;
            };
            let names = kind.argument_names();
            for (argument, _) in args {
                let freezes = argument.name == layers::LEARNED && kind.is_freezable();
                let ours = layers::foreign::argument(kind.doc.name, &argument.name);
                if !freezes && !names.iter().any(|own| own == ours) {
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

    /// Whether `key` can be a name of kind `kind`; reports why not.
    fn valid_name(&mut self, key: &Key, kind: Kind) -> bool {
        let flaw = identifier::flaw(&key.name, kind);
        let fine = flaw.is_none();
        self.errors.extend(
            flaw.map(|flaw| Diagnostic::error(Code::InvalidValue, flaw.message, key.span).help(flaw.help)),
        );
        fine
    }

    /// Reports unknown keys; returns the keys that they were probably meant to be.
    fn check_keys(
        &mut self,
        entries: &[(Key, Located)],
        fields: &'static [Field],
        place: &str,
    ) -> Vec<&'static str> {
        let mut meant = Vec::new();
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
                meant.extend(suggest(&key.name, names));
            }
        }
        meant
    }
}
