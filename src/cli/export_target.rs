//! The format and the file of an export.

use std::path::Path;

use crate::cli::Failure;
use cnnkit_report::render::Format;

/// The format and the file of an export: the options that other commands have for their reports.
#[derive(Debug, Default)]
pub struct Target {
    /// `--format`, if it was given.
    pub format: Option<Format>,
    /// `-o`.
    pub file: Option<String>,
}

impl Target {
    /// The format asked for, else that of the file's ending, else ONNX.
    pub fn resolve(&self) -> Result<Format, Failure> {
        let ending = self.file.as_deref().and_then(|file| Path::new(file).extension());
        match (self.format, ending.and_then(|ending| ending.to_str())) {
            (Some(format), _) => Ok(format),
            (None, Some("py")) => Ok(Format::Pytorch),
            (None, Some("onnx") | None) => Ok(Format::Onnx),
            (None, Some(other)) => Err(Failure::usage(
                format!("`cnnkit export` writes no .{other} file"),
                "its endings are .onnx and .py, or name the format: `--format onnx`",
            )),
        }
    }
}
