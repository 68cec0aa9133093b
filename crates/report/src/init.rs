//! `cnnkit init` and `cnnkit new`: the files of a new project, and a new spec.

use schemars::JsonSchema;
use serde::Serialize;

use crate::Page;
use crate::summary::Summary;

/// What `cnnkit init` writes.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct InitSummary {
    /// Paths of the files that were written.
    pub written: Vec<String>,
    /// Every file of the project, written now or already present.
    #[serde(skip)]
    pub files: Vec<ProjectFile>,
    /// The path of the spec.
    #[serde(skip)]
    pub spec: String,
}

/// A file of the project.
#[derive(Debug, Clone)]
pub struct ProjectFile {
    /// Its path.
    pub path: String,
    /// Its purpose; none if it already existed and was left unchanged.
    pub purpose: Option<&'static str>,
}

impl InitSummary {
    /// Returns the summary of `files`, with the path of the spec.
    pub fn of(spec: &str, files: Vec<ProjectFile>) -> Self {
        let written = files.iter().filter(|file| file.purpose.is_some()).map(|file| file.path.clone());
        Self { written: written.collect(), files, spec: spec.to_owned() }
    }
}

impl Summary for InitSummary {
    const COMMAND: &'static str = "init";

    fn page(&self) -> Page {
        let mut page = Page::default();
        for ProjectFile { path, purpose } in &self.files {
            page.text(match purpose {
                Some(purpose) => format!("{path}: {purpose}"),
                None => format!("{path} is there already, and stays as it is"),
            });
        }
        page.note(format!("Next: `cnnkit check`, `cnnkit params {}`.", self.spec));
        page
    }
}

/// What `cnnkit new` writes.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct NewSummary {
    /// Path of the file that was written.
    pub file: String,
    /// The network that it is a copy of, as the call names it; null for the starter.
    pub from: Option<String>,
    /// Its text.
    pub yaml: String,
}

impl Summary for NewSummary {
    const COMMAND: &'static str = "new";

    fn page(&self) -> Page {
        let mut page = Page::default();
        page.text(match &self.from {
            Some(from) => format!("{}: a copy of {from} that works alone", self.file),
            None => format!("{}: a small residual network with expectations", self.file),
        });
        page.note(format!("Next: `cnnkit params {0}`, `cnnkit check {0}`.", self.file));
        page
    }
}
