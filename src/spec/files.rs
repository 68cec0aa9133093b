//! Where specs and their included files come from: the disk, the program itself, standard input.

use std::path::{Component, Path, PathBuf};

use include_dir::{Dir, include_dir};

use crate::source::Sources;
use crate::spec::yaml;
use crate::value::Value;

/// A place that specs are read from. A `path` is whatever its own `resolve` returned, or the user's argument.
pub trait Files {
    /// The text of `path`, or why it cannot be read and what to do.
    fn read(&self, path: &str) -> Result<Vec<u8>, (String, String)>;

    /// The path of `include` as written in the file `from`, or why it cannot be used.
    fn resolve(&self, from: &str, include: &str) -> Result<String, (String, String)>;

    /// How `path` is shown.
    fn display(&self, path: &str) -> String;
}

static SPECS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/specs");

/// Specs on the disk. Included files must lie under the root: the nearest folder above the spec with a `.git` or
/// `cnnkit.toml`, else the folder above the spec's own.
#[derive(Debug)]
pub struct Disk {
    root: PathBuf,
}

impl Disk {
    /// For the spec at `path`.
    pub fn of(path: &str) -> Self {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path));
        let absolute = absolute.canonicalize().unwrap_or(absolute);
        let marked = absolute
            .ancestors()
            .skip(1)
            .find(|dir| dir.join(".git").exists() || dir.join("cnnkit.toml").exists());
        let root = marked.or_else(|| absolute.ancestors().nth(2)).or_else(|| absolute.parent());
        Self { root: root.map_or_else(|| PathBuf::from("/"), Path::to_path_buf) }
    }
}

impl Files for Disk {
    fn read(&self, path: &str) -> Result<Vec<u8>, (String, String)> {
        let io = |error: std::io::Error| {
            let help = match error.kind() {
                std::io::ErrorKind::NotFound => "check the path; `cnnkit zoo` lists the built-in specs",
                std::io::ErrorKind::PermissionDenied => "check the file's permissions",
                _ => "name a YAML file",
            };
            (format!("cannot read `{path}`: {}", plain(&error)), help.to_owned())
        };
        let meta = std::fs::metadata(path).map_err(io)?;
        if meta.is_dir() {
            return Err((
                format!("`{path}` is a folder"),
                "name the files in it: `cnnkit params folder/*.yaml`".into(),
            ));
        }
        if meta.len() > yaml::MAX_BYTES as u64 {
            let message = format!("`{path}` has {} bytes, the limit is {}", meta.len(), yaml::MAX_BYTES);
            return Err((message, "a spec is a small text file".into()));
        }
        if !meta.is_file() {
            // A pipe or a device may never end; one byte over the limit is enough to know.
            let mut bytes = Vec::new();
            let file = std::fs::File::open(path).map_err(io)?;
            std::io::Read::read_to_end(
                &mut std::io::Read::take(file, yaml::MAX_BYTES as u64 + 1),
                &mut bytes,
            )
            .map_err(io)?;
            return Ok(bytes);
        }
        std::fs::read(path).map_err(io)
    }

    fn resolve(&self, from: &str, include: &str) -> Result<String, (String, String)> {
        if Path::new(include).is_absolute() {
            return Err((
                format!("`{include}` is an absolute path"),
                "write it relative to this file".into(),
            ));
        }
        let folder = Path::new(from).parent().unwrap_or(Path::new(""));
        let joined = lexical(&folder.join(include));
        let absolute = std::path::absolute(&joined).unwrap_or_else(|_| joined.clone());
        // A symbolic link may lead out as well: look at the real path if there is one.
        let real = absolute.canonicalize().unwrap_or_else(|_| lexical(&absolute));
        if !real.starts_with(&self.root) {
            return Err((
                format!("`{include}` leaves the project folder `{}`", self.root.display()),
                "keep included files below the folder that holds `.git` or `cnnkit.toml`".into(),
            ));
        }
        Ok(joined.to_string_lossy().into_owned())
    }

    fn display(&self, path: &str) -> String {
        path.to_owned()
    }
}

/// The specs built into the program.
#[derive(Debug)]
pub struct Zoo;

impl Zoo {
    /// Names of all built-in specs with their folders (`zoo`, `techniques`), sorted.
    pub fn names() -> Vec<(&'static str, &'static str)> {
        let mut names = Vec::new();
        for folder in ["techniques", "zoo"] {
            let files = SPECS.get_dir(folder).into_iter().flat_map(Dir::files);
            let stems = files.filter_map(|file| file.path().file_stem().and_then(|stem| stem.to_str()));
            names.extend(stems.map(|stem| (folder, stem)));
        }
        names.sort_unstable();
        names
    }

    /// The path of the spec `name` inside the program.
    pub fn path(name: &str) -> Option<String> {
        let (folder, name) = Self::names().into_iter().find(|&(_, stem)| stem == name)?;
        Some(format!("{folder}/{name}.yaml"))
    }

    /// The text of the built-in spec `name`.
    pub fn text(name: &str) -> Option<&'static str> {
        SPECS.get_file(Self::path(name)?).and_then(include_dir::File::contents_utf8)
    }
}

impl Zoo {
    /// The `description` of the built-in spec `name`; empty if it has none.
    pub fn description(name: &str) -> String {
        let mut sources = Sources::default();
        let source = sources.add(name, Self::text(name).unwrap_or_default());
        let root = yaml::parse(&sources, source).map(|root| root.value);
        let Ok(Value::Map(entries)) = root else { return String::new() };
        match entries.into_iter().find(|(key, _)| key.name == "description").map(|(_, value)| value.value) {
            Some(Value::Text(text)) => text.split_whitespace().collect::<Vec<_>>().join(" "),
            _ => String::new(),
        }
    }
}

impl Files for Zoo {
    fn read(&self, path: &str) -> Result<Vec<u8>, (String, String)> {
        let file = SPECS.get_file(path).map(|file| file.contents().to_vec());
        file.ok_or_else(|| (format!("there is no built-in file `{path}`"), "`cnnkit zoo` lists them".into()))
    }

    fn resolve(&self, from: &str, include: &str) -> Result<String, (String, String)> {
        let folder = Path::new(from).parent().unwrap_or(Path::new(""));
        Ok(lexical(&folder.join(include)).to_string_lossy().into_owned())
    }

    fn display(&self, path: &str) -> String {
        match Path::new(path).file_stem() {
            Some(stem) if !path.starts_with("blocks") => format!("zoo:{}", stem.to_string_lossy()),
            _ => format!("zoo:{path}"),
        }
    }
}

/// A text that was already read: standard input, a test. It can include nothing.
#[derive(Debug)]
pub struct Text {
    /// How it is shown.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl Files for Text {
    fn read(&self, _: &str) -> Result<Vec<u8>, (String, String)> {
        Ok(self.bytes.clone())
    }

    fn resolve(&self, _: &str, include: &str) -> Result<String, (String, String)> {
        Err((format!("`{include}` cannot be included from {}", self.name), "save the spec as a file".into()))
    }

    fn display(&self, _: &str) -> String {
        self.name.clone()
    }
}

/// `a/b/../c` as `a/c`, without looking at the disk.
fn lexical(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(out.components().next_back(), Some(Component::Normal(_))) => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".into(),
        std::io::ErrorKind::PermissionDenied => "permission denied".into(),
        _ => error.to_string(),
    }
}
