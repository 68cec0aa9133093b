//! No circles: in every folder, the modules that it contains depend on one another in one direction only.
//!
//! A file *uses* another one if its code names an item that is defined there: by a `use`, or by a path such
//! as `crate::graph::Graph` or `window::reach`. Re-exports are followed to the definition, so that a file
//! which imports a sibling's type through `crate::` depends on the sibling, while a re-export alone is not a
//! use. Each use counts in the innermost folder that contains both files, as one between two children of that
//! folder, each with everything below it. So two files that use each other are a circle, and so are two
//! folders if a file of one uses the other and any file of the other uses the first. The graph of every
//! folder's children must have no cycle.
//!
//! The file of a folder (`mod.rs`, `lib.rs`, `main.rs`, `NAME.rs` beside `NAME/`) and the files below it are
//! parent and children: the parent lists its children and may call them, and they may name the vocabulary
//! that it defines. That is a tree and does not count. Tests inside a file do not count either.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A module's path from the root of its crate; a file `a/b.rs` and a file `a/b/mod.rs` are both `a`, `b`.
type Module = Vec<String>;

/// One `use` of a file: the path as it is written, the name that it gets, whether others may use it from here.
struct Import {
    path: Vec<String>,
    name: String,
    public: bool,
}

struct File<'a> {
    path: &'a str,
    code: String,
    imports: Vec<Import>,
}

/// The code of a file without comments, texts, and what comes after the first test.
fn bare(text: &str) -> String {
    let (mut out, mut quoted) = (String::new(), false);
    for line in text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")) {
        // A raw text with a single quotation mark misleads no further than its item.
        quoted &= line != "}";
        let mut last = ' ';
        let mut chars = line.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\\' if quoted => _ = chars.next(),
                '"' if quoted || !['\'', '\\'].contains(&last) => quoted = !quoted,
                '/' if !quoted && chars.peek() == Some(&'/') => break,
                c if !quoted => out.push(c),
                _ => {}
            }
            last = c;
        }
        out.push('\n');
    }
    out
}

/// Splits `tree` at the commas outside of its braces.
fn branches(tree: &str) -> Vec<&str> {
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (at, c) in tree.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(&tree[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(&tree[start..]);
    found
}

/// Every path of the `use` tree below `prefix`.
fn unfold(prefix: &[String], tree: &str, public: bool, out: &mut Vec<Import>) {
    for branch in branches(tree).into_iter().map(str::trim).filter(|branch| !branch.is_empty()) {
        let segments = |text: &str| -> Vec<String> {
            let all = text.split("::").map(str::trim).filter(|segment| !segment.is_empty());
            prefix.iter().cloned().chain(all.map(str::to_owned)).collect()
        };
        if let Some((head, rest)) = branch.split_once('{') {
            let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
            unfold(&segments(head), inner, public, out);
            continue;
        }
        let (path, alias) = match branch.split_once(" as ") {
            Some((path, alias)) => (path, Some(alias.trim().to_owned())),
            None => (branch, None),
        };
        let mut path = segments(path);
        if path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        let Some(name) = alias.or_else(|| path.last().cloned()) else { continue };
        out.push(Import { path, name, public });
    }
}

/// The imports of `code`, and the code without them.
fn imports(code: &str) -> (Vec<Import>, String) {
    let (mut found, mut rest, mut statement) = (Vec::new(), String::new(), String::new());
    for line in code.lines() {
        let start = line.trim_start();
        let begins = start.starts_with("use ") || start.starts_with("pub") && start.contains(" use ");
        if statement.is_empty() && !begins {
            rest.push_str(line);
            rest.push('\n');
            continue;
        }
        statement.push_str(start);
        statement.push(' ');
        if start.ends_with(';') {
            let text = statement.trim_end().trim_end_matches(';');
            let (visibility, tree) = text.split_once("use ").unwrap_or(("", text));
            unfold(&[], tree, !visibility.is_empty(), &mut found);
            statement.clear();
        }
    }
    (found, rest)
}

/// The paths of two segments and more that `code` names.
fn mentions(code: &str) -> Vec<Vec<String>> {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for run in code.split(|c: char| !word(c) && c != ':') {
        let run = run.trim_matches(':');
        if run.contains("::") && run.starts_with(|c: char| c.is_lowercase()) {
            let segments: Vec<String> = run.split("::").map(str::to_owned).collect();
            if segments.iter().all(|segment| !segment.is_empty() && !segment.contains(':')) {
                found.push(segments);
            }
        }
    }
    found
}

/// The files of one crate by module.
struct Crate<'a>(BTreeMap<Module, File<'a>>);

impl<'a> Crate<'a> {
    /// `files` are paths below the crate's `src/` with their texts.
    fn new(files: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut modules = BTreeMap::new();
        for (path, text) in files {
            let inner = path.split_once("src/").map_or(path, |(_, inner)| inner).trim_end_matches(".rs");
            let mut module: Module = inner.split('/').map(str::to_owned).collect();
            if ["mod", "lib", "main"].contains(&module.last().map_or("", String::as_str)) {
                module.pop();
            }
            let (imports, code) = imports(&bare(text));
            modules.entry(module).or_insert(File { path, code, imports });
        }
        Self(modules)
    }

    /// `path`, as it is written in `module`, from the crate's root; none if it leads out of the crate.
    fn absolute(&self, path: &[String], module: &Module) -> Option<Vec<String>> {
        let mut at = module.clone();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => return Some(path[1..].to_vec()),
            "self" | "super" => {
                while let Some(first) = rest.first().filter(|first| *first == "self" || *first == "super") {
                    if first == "super" {
                        at.pop();
                    }
                    rest = &rest[1..];
                }
            }
            first => {
                at.push(first.to_owned());
                if !self.0.contains_key(&at) {
                    return None;
                }
                at.pop();
            }
        }
        at.extend_from_slice(rest);
        Some(at)
    }

    /// Returns the module that defines the item at `path` from the root; none if `path` is a module itself.
    fn definition(&self, path: &[String], steps: usize) -> Option<Module> {
        let length = (0..=path.len()).rev().find(|&length| self.0.contains_key(&path[..length]))?;
        let (module, item) = (path[..length].to_vec(), path.get(length)?);
        let exported = self.0[&module].imports.iter().find(|import| import.public && import.name == *item);
        let target = exported.and_then(|import| self.absolute(&import.path, &module));
        match target {
            Some(mut target) if steps > 0 && target != path => {
                target.extend_from_slice(&path[length + 1..]);
                self.definition(&target, steps - 1)
            }
            _ => Some(module),
        }
    }

    /// Returns every use of one file by another: the user, the used file, and the path in the code.
    fn uses(&self) -> Vec<(&Module, Module, String)> {
        let mut found = Vec::new();
        for (module, file) in &self.0 {
            let mut note = |path: &[String], from_root: Option<Vec<String>>| {
                let target = from_root.and_then(|path| self.definition(&path, 9));
                if let Some(target) = target.filter(|target| target != module) {
                    found.push((module, target, path.join("::")));
                }
            };
            for import in file.imports.iter().filter(|import| !import.public) {
                note(&import.path, self.absolute(&import.path, module));
            }
            for path in mentions(&file.code) {
                let imported = file.imports.iter().find(|import| import.name == path[0]);
                let from_root = match imported.and_then(|import| self.absolute(&import.path, module)) {
                    Some(mut target) => {
                        target.extend_from_slice(&path[1..]);
                        Some(target)
                    }
                    None => self.absolute(&path, module),
                };
                note(&path, from_root);
            }
        }
        found
    }
}

/// For each child of a folder, the siblings that it uses, with the first place that shows it.
type Siblings = BTreeMap<String, BTreeMap<String, String>>;

/// The nodes of one cycle of `graph`, in order; none if it has none.
fn cycle(graph: &Siblings) -> Option<Vec<&String>> {
    fn visit<'a>(
        node: &'a String,
        graph: &'a Siblings,
        path: &mut Vec<&'a String>,
        done: &mut BTreeSet<&'a String>,
    ) -> Option<Vec<&'a String>> {
        if let Some(start) = path.iter().position(|&before| before == node) {
            return Some(path[start..].to_vec());
        }
        if !done.insert(node) {
            return None;
        }
        path.push(node);
        let found = graph.get(node).into_iter().flat_map(BTreeMap::keys);
        let found = found.into_iter().find_map(|next| visit(next, graph, path, done));
        path.pop();
        found
    }
    let mut done = BTreeSet::new();
    graph.keys().find_map(|node| visit(node, graph, &mut vec![], &mut done))
}

/// One circle for each folder that has some, in words.
fn circles(files: &[(String, String)]) -> Vec<String> {
    let mut crates: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for (path, text) in files {
        let (name, _) = path.split_once("src/").expect("a source file");
        crates.entry(name).or_default().push((path, text));
    }
    let mut found = Vec::new();
    for (name, files) in crates {
        let sources = Crate::new(files.into_iter());
        let mut folders: BTreeMap<Module, Siblings> = BTreeMap::new();
        for (from, to, path) in sources.uses() {
            let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
            // One of them is the parent.
            let (Some(user), Some(used)) = (from.get(shared), to.get(shared)) else { continue };
            let place = format!("{} names {path}", sources.0[from].path);
            let siblings = folders.entry(from[..shared].to_vec()).or_default();
            siblings.entry(user.clone()).or_default().entry(used.clone()).or_insert(place);
        }
        for (folder, siblings) in &folders {
            if let Some(nodes) = cycle(siblings) {
                let step = |(i, node): (usize, &&String)| {
                    let next = nodes[(i + 1) % nodes.len()];
                    format!("  {node} uses {next}: {}", siblings[*node][next])
                };
                let steps: Vec<String> = nodes.iter().enumerate().map(step).collect();
                found.push(format!("{name}src/{}:\n{}", folder.join("/"), steps.join("\n")));
            }
        }
    }
    found
}

#[test]
fn no_folder_contains_a_circle() {
    let found = circles(&crate::sources());
    assert!(found.is_empty(), "move what both need below both:\n{}", found.join("\n"));
}

#[test]
fn no_crate_depends_on_one_that_depends_on_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut graph = Siblings::new();
    for entry in std::fs::read_dir(root.join("crates")).expect("a folder") {
        let path = entry.expect("an entry").path();
        let manifest = std::fs::read_to_string(path.join("Cargo.toml")).expect("a manifest");
        let name = format!("cnnkit-{}", path.file_name().expect("a name").to_string_lossy());
        assert!(manifest.contains(&format!("name = \"{name}\"")), "the folder of {name} has another name");
        let lines = manifest.lines().map(str::trim).filter(|line| line.starts_with("cnnkit"));
        let used = lines.filter_map(|line| line.split(['.', ' ', '=']).next());
        // Dev-dependencies too: Cargo allows a circle through them.
        graph.insert(name, used.map(|used| (used.to_owned(), String::new())).collect());
    }
    assert!(graph.values().all(|used| !used.contains_key("cnnkit")), "a crate depends on the root package");
    assert_eq!(cycle(&graph), None);
    assert!(graph["cnnkit-core"].is_empty(), "the core depends on {:?}", graph["cnnkit-core"].keys());
}

fn found_in(files: &[(&str, &str)]) -> Vec<String> {
    let owned = |&(path, text): &(&str, &str)| (path.to_owned(), text.to_owned());
    circles(&files.iter().map(owned).collect::<Vec<_>>())
}

#[test]
fn circles_are_found_through_re_exports_and_folders() {
    // Two files, one through a re-export of the crate's root.
    let found = found_in(&[
        ("src/lib.rs", "mod a;\nmod b;\npub use a::A;\n"),
        ("src/a.rs", "use crate::b::{self, B};\npub struct A;\n"),
        ("src/b.rs", "use crate::A;\npub struct B(A);\n"),
    ]);
    assert_eq!(found, ["src/:\n  a uses b: src/a.rs names crate::b::B\n  b uses a: src/b.rs names crate::A"]);
    // Two folders through four different files, one of them by a path in its code.
    let found = found_in(&[
        ("src/x/one.rs", "fn f() { crate::y::one::g(); }\n"),
        ("src/x/two.rs", "pub fn f() {}\n"),
        ("src/y/one.rs", "pub fn g() {}\n"),
        ("src/y/two.rs", "use super::super::x::two;\nfn h() { two::f(); }\n"),
    ]);
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn parents_comments_texts_and_tests_are_no_circle() {
    let found = found_in(&[
        ("src/lib.rs", "mod a;\nmod b;\npub struct Shared;\nfn all() { a::f(); b::g(); }\n"),
        ("src/a.rs", "use crate::{Shared, b};\nfn f() { b::g(); }\n"),
        ("src/b.rs", "// crate::a::f\nfn g() { print(\"crate::a::f\"); }\n#[cfg(test)]\nuse crate::a::f;\n"),
    ]);
    assert_eq!(found, Vec::<String>::new());
}
