//! Finds the specs that a call names: files, folders, globs, built-in networks, standard input.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobSetBuilder};
use ignore::WalkBuilder;

use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_core::spec::yaml;

/// The start of a Git LFS pointer file.
const POINTER: &[u8; 34] = b"version https://git-lfs.github.com";

/// The specs of a call.
#[derive(Debug, Default)]
pub struct Targets {
    /// The specs to check, in order, without duplicates.
    pub specs: Vec<String>,
    /// Files in folders that only define blocks: they are checked through the specs that include them.
    pub blocks: usize,
    known: HashSet<String>,
}

/// Returns the specs and models that `paths` name. A named file is checked regardless of its content; folders
/// and globs select only files that look like a spec (other tools keep YAML in repositories as well), and
/// models that are present (not Git LFS pointers). `.gitignore` applies to folders and globs.
pub fn targets(paths: &[String]) -> Result<Targets, Problem> {
    let mut found = Targets::default();
    for path in paths {
        if path == "-" || path.starts_with("zoo:") {
            found.add(path.clone());
        } else if Path::new(path).is_dir() {
            if found.walk(Path::new(path), |_| true)? == 0 && paths.len() == 1 {
                return Err(Problem::new(Code::Io, format!("there is no spec in `{path}`"))
                    .help("a spec is a .yaml file with `input:` and `layers:`, a model an .onnx or .pt2 file; `cnnkit init` writes a spec"));
            }
        } else if Path::new(path).exists() || !path.contains(['*', '?', '[', '{']) {
            if !Path::new(path).exists() {
                let help = if is_python(path) {
                    "a network of Python is named `package.module:Name`, with dots and without `.py`"
                } else {
                    "check the path; `cnnkit zoo` lists the built-in specs"
                };
                return Err(Problem::new(Code::Io, format!("there is no file `{path}`")).help(help));
            }
            found.add(path.clone());
        } else {
            found.glob(path)?;
        }
    }
    Ok(found)
}

/// Whether a YAML file with this text looks like a spec, as folders are searched for them.
pub fn looks_like_spec(text: &str) -> bool {
    kind(text) == Kind::Spec
}

impl Targets {
    fn add(&mut self, spec: String) {
        if self.known.insert(spec.clone()) {
            self.specs.push(spec);
        }
    }

    fn glob(&mut self, pattern: &str) -> Result<(), Problem> {
        let invalid = |error: globset::Error| {
            Problem::new(Code::InvalidValue, format!("`{pattern}` is not a glob: {}", error.kind()))
                .help("`*` is any name, `**` any folders, `{a,b}` either")
        };
        let plain = pattern.strip_prefix("./").unwrap_or(pattern);
        let glob = GlobBuilder::new(plain).literal_separator(true).build().map_err(invalid)?;
        let set = GlobSetBuilder::new().add(glob).build().map_err(invalid)?;
        // The folder before the first wildcard.
        let fixed = pattern.split('/').take_while(|part| !part.contains(['*', '?', '[', '{']));
        let root: PathBuf = if pattern.starts_with('/') {
            std::iter::once("/").chain(fixed).collect()
        } else {
            fixed.collect()
        };
        let root = if root.as_os_str().is_empty() { PathBuf::from(".") } else { root };
        if self.walk(&root, |path| set.is_match(path.strip_prefix("./").unwrap_or(path)))? == 0 {
            return Err(Problem::new(Code::Io, format!("no spec matches `{pattern}`"))
                .help("`*` is any name, `**` any folders; quote it, or the shell expands it"));
        }
        Ok(())
    }

    /// Adds the specs below `root` that are wanted; returns how many there are, including those listed before.
    ///
    /// # Errors
    /// If a folder cannot be read: what it contains would be passed over in silence.
    fn walk(&mut self, root: &Path, wanted: impl Fn(&Path) -> bool) -> Result<usize, Problem> {
        let mut specs = 0;
        let mut files: Vec<PathBuf> = Vec::new();
        for entry in WalkBuilder::new(root).require_git(false).build() {
            let entry = entry.map_err(|error| {
                Problem::new(Code::Io, format!("cannot search `{}`: {error}", root.display()))
                    .help("check its permissions, or leave it out: name the folders to check, or add it to .gitignore")
            })?;
            if entry.file_type().is_some_and(|kind| kind.is_file()) {
                files.push(entry.into_path());
            }
        }
        let ending = |path: &PathBuf, wanted: &[&str]| {
            path.extension().is_some_and(|ending| wanted.iter().any(|wanted| ending == *wanted))
        };
        files.retain(|path| ending(path, &["yaml", "yml", "onnx", "pt2"]) && wanted(path));
        files.sort();
        for path in files {
            // Files that cannot be read are reported when they are checked.
            let kind = if ending(&path, &["onnx", "pt2"]) {
                model(&path)
            } else {
                // One byte over the limit: that a larger file is too large is reported when it is checked.
                let start = cnnkit_files::read_start(&path, yaml::MAX_BYTES as u64 + 1);
                start.map_or(Kind::Spec, |bytes| kind(&String::from_utf8_lossy(&bytes)))
            };
            let shown = path.strip_prefix("./").unwrap_or(&path);
            if kind == Kind::Spec && shown.to_str().is_none() {
                let message = format!("the name of `{}` is not UTF-8", shown.to_string_lossy());
                return Err(Problem::new(Code::Io, message).help("rename the file"));
            }
            match kind {
                Kind::Spec => {
                    specs += 1;
                    self.add(shown.to_string_lossy().into_owned());
                }
                Kind::Blocks => self.blocks += 1,
                Kind::Other => {}
            }
        }
        Ok(specs)
    }
}

/// The apparent kind of a YAML file.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Spec,
    Blocks,
    Other,
}

/// Returns the kind of a model file. It may be large, so only its first bytes are read.
fn model(path: &Path) -> Kind {
    let start = cnnkit_files::read_start(path, POINTER.len() as u64);
    if start.is_ok_and(|start| start == POINTER) { Kind::Other } else { Kind::Spec }
}

/// Returns the kind of a YAML file by its top-level keys, which also exist in a file that is not valid YAML.
/// Other tools have an `input` or `layers` too (a Helm chart's values), but not both. A line that names the
/// schema makes it a spec.
fn kind(text: &str) -> Kind {
    let has = |key: &str| {
        text.lines().any(|line| line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with(':')))
    };
    let schema = text
        .lines()
        .take_while(|line| line.starts_with('#'))
        .any(|line| line.contains("$schema=") && line.contains("cnnkit"));
    let blocks = has("blocks") && !has("layers") && !has("input");
    let flow = text.trim_start().starts_with('{') && text.contains("layers") && text.contains("input");
    if blocks {
        Kind::Blocks
    } else if flow || schema || (has("layers") && has("input")) {
        Kind::Spec
    } else {
        Kind::Other
    }
}

/// Whether a path that does not exist was meant as a module of Python: `models/net.py:Net`, `models.net`.
fn is_python(path: &str) -> bool {
    let module = path.split(':').next().unwrap_or_default();
    let words = module.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.'));
    match Path::new(module).extension().and_then(|ending| ending.to_str()) {
        Some("py") => true,
        Some("yaml" | "yml" | "onnx" | "pt2" | "json") | None => false,
        Some(_) => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_is_told_from_other_yaml() {
        assert_eq!(kind("name: x\ninput: [3, 8, 8]\nlayers: [relu]\n"), Kind::Spec);
        assert_eq!(kind("{input: [3, 8, 8], layers: [relu]}"), Kind::Spec);
        assert_eq!(kind("input: [3, 8, 8]\nlayers:\n - [unclosed\n"), Kind::Spec);
        assert_eq!(
            kind("# yaml-language-server: $schema=cnnkit.schema.json\ninputs: [3, 8, 8]\nlayers:\n"),
            Kind::Spec
        );
        assert_eq!(
            kind("# yaml-language-server: $schema=cnnkit.schema.json\nblocks:\n  a: [relu]\n"),
            Kind::Blocks
        );
        // A Helm values file, a Docker layer list.
        assert_eq!(kind("input: foo\nreplicas: 3\n"), Kind::Other);
        assert_eq!(kind("layers:\n  - base\n"), Kind::Other);
        assert_eq!(kind("blocks:\n  a: [relu]\n"), Kind::Blocks);
        assert_eq!(kind("on: push\njobs:\n  x:\n    layers: 3\n"), Kind::Other);
    }

    // Tests of a crate run in its folder.
    #[test]
    fn what_is_not_there_is_an_error() {
        for missing in ["nowhere.yaml", "nowhere/*.yaml", "src", "a[.yaml"] {
            assert!(targets(&[missing.into()]).is_err(), "{missing}");
        }
    }

    #[test]
    fn a_glob_finds_what_a_folder_holds_once() {
        let found = targets(&["../../specs/techniques".into(), "../../specs/**/bottleneck*.yaml".into()])
            .expect("specs");
        let once = |name: &str| found.specs.iter().filter(|spec| spec.ends_with(name)).count();
        assert_eq!((once("/bottleneck.yaml"), once("/bottleneck-plain.yaml")), (1, 1));
        assert_eq!(targets(&["../../specs".into()]).expect("specs").blocks, 9);
    }

    #[test]
    fn models_are_found_in_folders() {
        let found = targets(&["../../tests/data/onnx".into()]).expect("models");
        assert!(found.specs.contains(&"../../tests/data/onnx/tiny_vit.legacy.onnx".into()), "{found:?}");
    }
}
