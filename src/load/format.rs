//! The format of what is read: by its ending, else by its first bytes.

use std::io::{self, Read};
use std::path::Path;

use cnnkit_core::spec::yaml;
use cnnkit_formats::onnx::source::looks_like_model;
use cnnkit_formats::pt2;

/// Maximum number of bytes of a model that is read from a pipe into memory: the limit of its format.
const MOST_STREAMED: u64 = 1 << 31;

/// What a network is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// YAML.
    Spec,
    /// ONNX, or an archive of PyTorch.
    Model,
}

/// Returns the format that the extension of a name determines.
pub(super) fn ending(name: &str) -> Option<Format> {
    let ending = Path::new(name).extension()?.to_str()?.to_ascii_lowercase();
    match ending.as_str() {
        "yaml" | "yml" => Some(Format::Spec),
        "onnx" | "pt2" => Some(Format::Model),
        _ => None,
    }
}

/// Returns whether `text` can only name a network: standard input, a built-in spec, a file with a known
/// extension.
pub fn names_network(text: &str) -> bool {
    text == "-" || text.starts_with("zoo:") || ending(text).is_some()
}

/// Bytes that say whether something is a model.
const FIRST: u64 = 4;

/// Whether `bytes` begin as a model of any format does.
pub(super) fn is_model(bytes: &[u8]) -> bool {
    looks_like_model(bytes) || pt2::looks_like_archive(bytes)
}

/// Whether the file `path` begins as a model does.
pub(super) fn begins_as_model(path: &Path) -> bool {
    let mut first = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(FIRST).read_to_end(&mut first));
    read.is_ok_and(|_| is_model(&first))
}

/// Reads a spec or model from a pipe, at most one byte more than the limit of its format.
///
/// # Errors
/// If the pipe cannot be read.
pub fn read_stream(mut reader: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.by_ref().take(FIRST).read_to_end(&mut bytes)?;
    let limit = if is_model(&bytes) { MOST_STREAMED } else { yaml::MAX_BYTES as u64 };
    reader.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}
