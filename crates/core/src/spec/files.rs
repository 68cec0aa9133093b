//! Where specs and their included files come from. The disk and the built-in specs are read outside of this crate.

use std::path::{Component, Path, PathBuf};

/// A place that specs are read from. A `path` is whatever its own `resolve` returned, or the user's argument.
pub trait Files {
    /// The text of `path`, or why it cannot be read and what to do.
    fn read(&self, path: &str) -> Result<Vec<u8>, (String, String)>;

    /// The path of `include` as written in the file `from`, or why it cannot be used.
    fn resolve(&self, from: &str, include: &str) -> Result<String, (String, String)>;

    /// How `path` is shown.
    fn display(&self, path: &str) -> String;
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
