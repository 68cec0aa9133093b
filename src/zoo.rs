//! The specs that are built into the program: the zoo and the techniques.

use std::path::Path;

use cnnkit_core::diagnostic::{Code, Problem, suggest};
use cnnkit_core::source::Sources;
use cnnkit_core::spec::files::{Files, lexical};
use cnnkit_core::spec::yaml;
use cnnkit_core::value::Value;
use include_dir::{Dir, include_dir};

static SPECS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/specs");

/// The specs built into the program.
#[derive(Debug)]
pub struct Zoo;

impl Zoo {
    /// Returns the names of all built-in specs with their folders (`zoo`, `techniques`), sorted.
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

    /// Returns the path of the spec `name` inside the program.
    pub fn path(name: &str) -> Option<String> {
        let (folder, name) = Self::names().into_iter().find(|&(_, stem)| stem == name)?;
        Some(format!("{folder}/{name}.yaml"))
    }

    /// Returns the path of the spec `name` inside the program.
    ///
    /// # Errors
    /// If there is no such spec; the error suggests the closest name.
    pub fn find(name: &str) -> Result<String, Problem> {
        Self::path(name).ok_or_else(|| {
            let help = suggest(name, Self::names().into_iter().map(|(_, name)| name));
            let help = help
                .map_or("`cnnkit zoo` lists them".to_owned(), |close| format!("did you mean `zoo:{close}`?"));
            Problem::new(Code::Io, format!("there is no built-in spec `{name}`")).help(help)
        })
    }

    /// Returns the text of the built-in spec `name`.
    pub fn text(name: &str) -> Option<&'static str> {
        SPECS.get_file(Self::path(name)?).and_then(include_dir::File::contents_utf8)
    }
}

impl Zoo {
    /// Returns the `description` of the built-in spec `name`; empty if it has none.
    pub fn description(name: &str) -> String {
        description_of(name, Self::text(name).unwrap_or_default())
    }
}

/// Returns the `description` of the spec `text`; empty if it has none.
pub(crate) fn description_of(name: &str, text: &str) -> String {
    let mut sources = Sources::default();
    let source = sources.add(name, text);
    let root = yaml::parse(&sources, source).map(|root| root.value);
    let Ok(Value::Map(entries)) = root else { return String::new() };
    match entries.into_iter().find(|(key, _)| key.name == "description").map(|(_, value)| value.value) {
        Some(Value::Text(text)) => text.split_whitespace().collect::<Vec<_>>().join(" "),
        _ => String::new(),
    }
}

impl Files for Zoo {
    fn read(&self, path: &str) -> Result<Vec<u8>, Problem> {
        let file = SPECS.get_file(path).map(|file| file.contents().to_vec());
        file.ok_or_else(|| {
            Problem::new(Code::Io, format!("there is no built-in file `{path}`"))
                .help("`cnnkit zoo` lists them")
        })
    }

    fn resolve(&self, from: &str, include: &str) -> Result<String, Problem> {
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
