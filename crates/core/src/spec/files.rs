//! Sources of specs and their included files. This crate reads neither the disk nor the built-in specs itself.

use std::path::{Component, Path, PathBuf};

use crate::diagnostic::{Code, Problem};

/// A source of specs. A `path` is whatever its own `resolve` returned, or the user's argument.
pub trait Files {
    /// Returns the text of `path`, or why it cannot be read and what to do.
    fn read(&self, path: &str) -> Result<Vec<u8>, Problem>;

    /// Returns the path of `include` as written in the file `from`, or why it cannot be used.
    fn resolve(&self, from: &str, include: &str) -> Result<String, Problem>;

    /// Returns the display name of `path`.
    fn display(&self, path: &str) -> String;
}

/// A text that was already read: standard input, a test. It cannot include other files.
#[derive(Debug)]
pub struct Text {
    /// Its display name.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl Files for Text {
    fn read(&self, _: &str) -> Result<Vec<u8>, Problem> {
        Ok(self.bytes.clone())
    }

    fn resolve(&self, _: &str, include: &str) -> Result<String, Problem> {
        let message = format!("`{include}` cannot be included from {}", self.name);
        Err(Problem::new(Code::Include, message).help("save the spec as a file"))
    }

    fn display(&self, _: &str) -> String {
        self.name.clone()
    }
}

/// Normalises `a/b/../c` to `a/c` without reading the disk.
pub fn lexical(path: &Path) -> PathBuf {
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
