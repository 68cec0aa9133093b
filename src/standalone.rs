//! A spec as one text: what it includes is written into it, so that it works alone and can be changed.
//!
//! The text of the files stays as it is, comments included; blocks that the spec does not use are left out. `defaults` are
//! those of one file, so they are joined where no layer of another file would change by it, else written into the layers.
//! The result is read back: a text that says another network is never returned.

use std::collections::{BTreeMap, BTreeSet};

use cnnkit_core::diagnostic::{Code, Problem, Rejected};
use cnnkit_core::graph::Graph;
use cnnkit_core::source::{Sources, Span};
use cnnkit_core::spec::files::Files;
use cnnkit_core::spec::yaml;
use cnnkit_core::value::{Key, Located, Value};
use cnnkit_formats::export::{same, yaml as written};

use crate::disk::Disk;
use crate::load::{LoadError, Loader};
use crate::zoo::Zoo;

/// Returns the text of the spec that `name` names, a file or `zoo:NAME`, with its includes written into it.
///
/// # Errors
/// As [`Loader::load`]; and if it is a model, which has no text.
pub fn text(name: &str) -> Result<String, LoadError> {
    let network = Loader::new().load(name)?;
    if network.model.is_some() {
        let problem = Problem::new(Code::InvalidValue, format!("`{name}` is a model, not a spec"));
        return Err(problem.help(format!("`cnnkit import {name} -o net.yaml` writes it as one")).into());
    }
    match name.strip_prefix("zoo:") {
        Some(inside) => of_files(&Zoo, &Zoo::find(inside)?, &network.graph),
        None => of_files(&Disk::of(name), name, &network.graph),
    }
}

/// The spec `path` of `files`, whose network is `graph`.
fn of_files(files: &dyn Files, path: &str, graph: &Graph) -> Result<String, LoadError> {
    let main = File::read(files, path)?;
    if main.includes().is_empty() {
        return Ok(main.sections.iter().filter_map(Section::kept).collect());
    }
    let mut included = Vec::new();
    for include in main.includes() {
        gather(files, &files.resolve(path, &include)?, &mut included)?;
    }
    let joined = join(&main, &included, &defaults(&main, &included));
    if let Some(text) = joined.filter(|text| says(text, graph)) {
        return Ok(text);
    }
    let explicit: Vec<File> = included.iter().map(File::with_explicit_defaults).collect();
    let joined = join(&main, &explicit, &main.defaults());
    if let Some(text) = joined.filter(|text| says(text, graph)) {
        return Ok(text);
    }
    // As `cnnkit import` writes it: without the comments, but always possible.
    let text = written::write(graph).map_err(|flaws| Box::new(Rejected { flaws, ..Rejected::default() }))?;
    Ok(text)
}

/// Whether `text` alone is the network `graph`, with the same ids.
fn says(text: &str, graph: &Graph) -> bool {
    let Ok(found) = Loader::new().bytes("standalone.yaml", text) else { return false };
    let ids = |graph: &Graph| graph.nodes().iter().map(|node| node.id.clone()).collect::<Vec<_>>();
    same::difference(graph, &found.graph).is_none() && ids(graph) == ids(&found.graph)
}

/// Reads `path` and what it includes, once each, what is included first.
fn gather(files: &dyn Files, path: &str, list: &mut Vec<File>) -> Result<(), LoadError> {
    if list.iter().any(|file| file.path == path) {
        return Ok(());
    }
    let file = File::read(files, path)?;
    for include in file.includes() {
        gather(files, &files.resolve(path, &include)?, list)?;
    }
    list.push(file);
    Ok(())
}

/// Arguments of every layer of a kind, as written: `conv` and `bias: false`.
type Defaults = BTreeMap<String, Vec<(String, String)>>;

/// One file of a spec.
#[derive(Debug, Clone)]
struct File {
    path: String,
    text: String,
    root: Vec<(Key, Located)>,
    sections: Vec<Section>,
}

/// A key of the top level with everything below it, and the comments right above it.
#[derive(Debug, Clone)]
struct Section {
    /// Empty for what stands above the first key.
    key: String,
    text: String,
}

impl Section {
    /// The text, unless it is only for the place where the file was.
    fn kept(&self) -> Option<String> {
        let lines = self.text.lines().filter(|line| !(line.starts_with('#') && line.contains("$schema=")));
        (self.key != "include").then(|| lines.fold(String::new(), |out, line| out + line + "\n"))
    }
}

impl File {
    fn read(files: &dyn Files, path: &str) -> Result<Self, LoadError> {
        let bytes = files.read(path)?;
        let text = String::from_utf8_lossy(&bytes).replace("\r\n", "\n");
        Self::of(path, text)
    }

    fn of(path: &str, text: String) -> Result<Self, LoadError> {
        let mut sources = Sources::default();
        let source = sources.add(path, text.as_str());
        let root = match yaml::parse(&sources, source) {
            Ok(Located { value: Value::Map(entries), .. }) => entries,
            Ok(_) => {
                let problem = Problem::new(Code::InvalidValue, format!("`{path}` is not a mapping"));
                return Err(problem.help("a spec has `input:` and `layers:`").into());
            }
            Err(flaw) => return Err(Box::new(Rejected { sources, flaws: vec![flaw] }).into()),
        };
        let sections = sections(&text);
        Ok(Self { path: path.to_owned(), text, root, sections })
    }

    fn value(&self, key: &str) -> Option<&Located> {
        self.root.iter().find(|(name, _)| name.name == key).map(|(_, value)| value)
    }

    fn section(&self, key: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.key == key)
    }

    fn slice(&self, span: Span) -> &str {
        self.text.get(span.start..span.end).unwrap_or_default().trim()
    }

    fn includes(&self) -> Vec<String> {
        match self.value("include").map(|value| &value.value) {
            Some(Value::Text(name)) => vec![name.clone()],
            Some(Value::List(list)) => list
                .iter()
                .filter_map(
                    |item| if let Value::Text(name) = &item.value { Some(name.clone()) } else { None },
                )
                .collect(),
            _ => vec![],
        }
    }

    fn defaults(&self) -> Defaults {
        let Some(Value::Map(kinds)) = self.value("defaults").map(|value| &value.value) else {
            return Defaults::new();
        };
        let args = |value: &Located| match &value.value {
            Value::Map(args) => args
                .iter()
                .map(|(key, value)| (key.name.clone(), self.slice(value.span).to_owned()))
                .collect(),
            _ => vec![],
        };
        kinds.iter().map(|(kind, value)| (kind.name.clone(), args(value))).collect()
    }

    /// Names that stand anywhere in `value`: layers, blocks, arguments.
    fn names(value: &Located, out: &mut BTreeSet<String>) {
        match &value.value {
            Value::Text(text) => {
                out.insert(text.clone());
            }
            Value::List(list) => list.iter().for_each(|item| Self::names(item, out)),
            Value::Map(entries) => {
                for (key, value) in entries {
                    out.insert(key.name.clone());
                    Self::names(value, out);
                }
            }
            _ => {}
        }
    }

    /// Blocks by name.
    fn blocks(&self) -> &[(Key, Located)] {
        match self.value("blocks").map(|value| &value.value) {
            Some(Value::Map(blocks)) => blocks,
            _ => &[],
        }
    }

    /// The text of each block, with the comments above it; none if they are not written line by line.
    fn block_texts(&self) -> Option<Vec<(String, String)>> {
        let Some(section) = self.section("blocks") else { return Some(vec![]) };
        let mut lines = section.text.lines().skip_while(|line| line.starts_with('#'));
        let head = lines.next()?.split('#').next().unwrap_or_default().trim().to_owned();
        if head != "blocks:" {
            return None;
        }
        let mut blocks: Vec<(String, String)> = Vec::new();
        let mut above = String::new();
        for line in lines {
            let inner =
                line.strip_prefix("  ").filter(|rest| !rest.starts_with([' ', '#', '-']) && !rest.is_empty());
            if let Some(inner) = inner {
                let name = inner.split(':').next().unwrap_or_default().trim().to_owned();
                blocks.push((name, std::mem::take(&mut above) + line + "\n"));
            } else if line.trim().is_empty() || line.starts_with("  #") {
                above += &format!("{line}\n");
            } else {
                let (_, text) = blocks.last_mut()?;
                text.push_str(&std::mem::take(&mut above));
                text.push_str(&format!("{line}\n"));
            }
        }
        (blocks.len() == self.blocks().len()).then_some(blocks)
    }

    /// The file with its defaults written into the layers of its blocks.
    fn with_explicit_defaults(&self) -> Self {
        let mut edits: Vec<(usize, String)> = Vec::new();
        let defaults = self.defaults();
        for (_, block) in self.blocks() {
            self.fill(block, &defaults, &mut edits);
        }
        edits.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        let mut text = self.text.clone();
        for (at, insert) in edits {
            text.insert_str(at, &insert);
        }
        Self::of(&self.path, text).unwrap_or_else(|_| self.clone())
    }

    /// Collects what is to be inserted where, so that layers below `value` have the arguments of `defaults`.
    fn fill(&self, value: &Located, defaults: &Defaults, edits: &mut Vec<(usize, String)>) {
        match &value.value {
            Value::List(list) => {
                for item in list {
                    match &item.value {
                        Value::Text(name) if defaults.contains_key(name) && self.slice(item.span) == name => {
                            let args = written_args(&defaults[name]);
                            edits.push((item.span.start + name.len(), format!(": {{{args}}}")));
                        }
                        _ => self.fill(item, defaults, edits),
                    }
                }
            }
            Value::Map(entries) => {
                for (key, value) in entries {
                    let layer = defaults.get(&key.name);
                    if let (Some(args), Value::Map(given)) = (layer, &value.value) {
                        let missing: Vec<(String, String)> = args
                            .iter()
                            .filter(|(name, _)| given.iter().all(|(key, _)| key.name != *name))
                            .cloned()
                            .collect();
                        if missing.is_empty() {
                            continue;
                        }
                        let args = written_args(&missing);
                        match (given.first(), self.text[value.span.start..].starts_with('{')) {
                            (None, true) => edits.push((value.span.start + 1, args)),
                            (Some(_), true) => edits.push((value.span.start + 1, format!("{args}, "))),
                            (Some((first, _)), false) => {
                                let start = self.text[..first.span.start].rfind('\n').map_or(0, |at| at + 1);
                                let indent = " ".repeat(first.span.start - start);
                                let lines =
                                    missing.iter().map(|(name, value)| format!("{name}: {value}\n{indent}"));
                                edits.push((first.span.start, lines.collect()));
                            }
                            (None, false) => {}
                        }
                    } else {
                        self.fill(value, defaults, edits);
                    }
                }
            }
            _ => {}
        }
    }
}

/// `bias: false, eps: 0.001`
fn written_args(args: &[(String, String)]) -> String {
    args.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join(", ")
}

/// The sections of a text whose top level is written line by line.
fn sections(text: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut above = String::new();
    for line in text.lines() {
        let begins = !line.is_empty() && !line.starts_with([' ', '#', '-', '}', ']']) && line.contains(':');
        if begins {
            let key = line.split(':').next().unwrap_or_default().trim().to_owned();
            // The comments at the very top are about the file.
            if sections.is_empty() {
                sections.push(Section { key: String::new(), text: std::mem::take(&mut above) });
            }
            sections.push(Section { key, text: std::mem::take(&mut above) + line + "\n" });
        } else if line.starts_with('#') || line.trim().is_empty() {
            above += &format!("{line}\n");
        } else if let Some(last) = sections.last_mut() {
            last.text += &format!("{}{line}\n", std::mem::take(&mut above));
        } else {
            above += &format!("{line}\n");
        }
    }
    if let Some(last) = sections.last_mut() {
        last.text += above.trim_end_matches('\n');
    } else {
        sections.push(Section { key: String::new(), text: above });
    }
    sections
}

/// The defaults of all files together; where they contradict each other, those of the spec.
fn defaults(main: &File, included: &[File]) -> Defaults {
    let mut all = main.defaults();
    for file in included {
        for (kind, args) in file.defaults() {
            let known = all.entry(kind).or_default();
            for (name, value) in args {
                if known.iter().all(|(other, _)| *other != name) {
                    known.push((name, value));
                }
            }
        }
    }
    all
}

/// The spec with the blocks of `included` that it uses; none if a file is not written line by line.
fn join(main: &File, included: &[File], defaults: &Defaults) -> Option<String> {
    let blocks = blocks(main, included)?;
    let own = main.defaults() == *defaults;
    let defaults: String = if defaults.is_empty() {
        String::new()
    } else {
        defaults.iter().fold(String::from("defaults:\n"), |out, (kind, args)| {
            out + &format!("  {kind}: {{{}}}\n", written_args(args))
        })
    };
    let mut out = String::new();
    let mut written = [main.section("defaults").is_some(), main.section("blocks").is_some()];
    for section in &main.sections {
        if section.key == "layers" {
            if !std::mem::replace(&mut written[0], true) {
                out += &defaults;
            }
            if !std::mem::replace(&mut written[1], true) {
                out += &format!("blocks:\n{blocks}");
            }
        }
        match section.key.as_str() {
            "defaults" if !own => out += &defaults,
            "blocks" => {
                out += &section.kept()?;
                out += &blocks;
            }
            _ => out += &section.kept().unwrap_or_default(),
        }
    }
    Some(out)
}

/// The texts of the included blocks that the spec uses, directly or through others.
fn blocks(main: &File, included: &[File]) -> Option<String> {
    let mut wanted = BTreeSet::new();
    for key in ["layers", "blocks"] {
        main.value(key).into_iter().for_each(|value| File::names(value, &mut wanted));
    }
    loop {
        let known = wanted.len();
        for file in included {
            for (key, value) in file.blocks() {
                if wanted.contains(&key.name) {
                    File::names(value, &mut wanted);
                }
            }
        }
        if wanted.len() == known {
            break;
        }
    }
    let mut out = String::new();
    for file in included {
        let texts = file.block_texts()?;
        let used: Vec<&(String, String)> = texts.iter().filter(|(name, _)| wanted.contains(name)).collect();
        if let (Some(Value::Text(about)), false) =
            (file.value("description").map(|value| &value.value), used.is_empty())
        {
            out += &format!("  # {about}\n");
        }
        out +=
            &used.into_iter().map(|(_, text)| text.trim_start_matches('\n').to_owned()).collect::<String>();
    }
    Some(out)
}
