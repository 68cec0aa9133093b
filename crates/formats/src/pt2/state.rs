//! Weights of the older generation: an archive in the archive, which `torch.save` wrote.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};

use zip::{CompressionMethod, ZipArchive};

use cnnkit_core::diagnostic::Problem;

use super::archive::damaged;
use super::pickle::{Pickled, tensors};
use crate::onnx::archived::{At, Part};
use crate::onnx::source::{ModelSource, Readable};

/// Most bytes of the pickle, which has some hundred for each tensor.
const MAX_PICKLE: u64 = 1 << 26;

/// Where each tensor is.
pub(super) type StateDict = BTreeMap<String, Part>;

/// A range of the model's bytes.
struct Section<'a> {
    reader: Box<dyn Readable + 'a>,
    start: u64,
    length: u64,
    at: u64,
}

impl Read for Section<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.length.saturating_sub(self.at);
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        self.reader.seek(SeekFrom::Start(self.start + self.at))?;
        let read = self.reader.read(&mut buffer[..count])?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Section<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(place) => i128::from(place),
            SeekFrom::End(distance) => i128::from(self.length) + i128::from(distance),
            SeekFrom::Current(distance) => i128::from(self.at) + i128::from(distance),
        };
        self.at = u64::try_from(place).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}

/// The tensors of the archive's entry `name`; none if it has no such entry.
pub(super) fn read(
    zip: &mut ZipArchive<Box<dyn Readable + '_>>,
    source: &ModelSource,
    name: &str,
) -> Result<StateDict, Problem> {
    let (start, length) = match zip.by_name(name) {
        // Compressed, it cannot be read in parts: figures need no weights.
        Ok(entry) if entry.compression() == CompressionMethod::Stored => (entry.data_start(), entry.size()),
        _ => return Ok(StateDict::new()),
    };
    // PyTorch writes nothing for a program without constants.
    if length == 0 {
        return Ok(StateDict::new());
    }
    let reader = source.open().map_err(|error| source.unreadable(&error))?;
    let shown = format!("{}: {name}", source.shown());
    let mut inner =
        ZipArchive::new(Section { reader, start, length, at: 0 }).map_err(|error| damaged(&shown, &error))?;
    let Some(pickle) = inner.file_names().find(|name| name.ends_with("/data.pkl")).map(str::to_owned) else {
        return Ok(StateDict::new());
    };
    let mut bytes = Vec::new();
    {
        let entry = inner.by_name(&pickle).map_err(|error| damaged(&shown, &error))?;
        entry.take(MAX_PICKLE).read_to_end(&mut bytes).map_err(|error| damaged(&shown, &error.into()))?;
    }
    let folder = pickle.strip_suffix("data.pkl").unwrap_or_default();
    let mut found = StateDict::new();
    for (own, tensor) in tensors(&bytes).unwrap_or_default() {
        if let Some(part) = part(&mut inner, folder, start, tensor) {
            found.insert(own, part);
        }
    }
    Ok(found)
}

fn part(inner: &mut ZipArchive<Section<'_>>, folder: &str, start: u64, tensor: Pickled) -> Option<Part> {
    let width = match tensor.storage.as_str() {
        "FloatStorage" | "IntStorage" => 4,
        "DoubleStorage" | "LongStorage" | "ComplexFloatStorage" => 8,
        "HalfStorage" | "BFloat16Storage" | "ShortStorage" => 2,
        "ByteStorage" | "CharStorage" | "BoolStorage" => 1,
        _ => return None,
    };
    let entry = inner.by_name(&format!("{folder}data/{}", tensor.key)).ok()?;
    if entry.compression() != CompressionMethod::Stored {
        return None;
    }
    let at = At::Bytes { offset: start.checked_add(entry.data_start())?, length: entry.size() };
    Some(Part { at, width, strides: tensor.strides, first: tensor.first })
}
