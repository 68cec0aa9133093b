//! The format and the file of an export.

use std::path::Path;

use cnnkit_report::render::Format;

/// The format and the file of an export: the options that other commands have for their reports.
#[derive(Debug, Default)]
pub struct Target {
    /// `--format`; [`Format::Table`] if it was not given.
    pub format: Format,
    /// `-o`.
    pub file: Option<String>,
}

impl Target {
    /// Returns the requested format, else that of the file's extension, else ONNX.
    pub fn resolve(&self) -> Format {
        let ending = self
            .file
            .as_deref()
            .and_then(|file| Path::new(file).extension())
            .and_then(|ending| ending.to_str());
        match (self.format, ending) {
            (Format::Pytorch, _) | (Format::Table, Some("py")) => Format::Pytorch,
            _ => Format::Onnx,
        }
    }
}
