//! Tensors that lie in an archive: whole entries, or views of parts of them.
//!
//! A message of ONNX's format has no field for that. It is written like external data, with `data_location` 2.

use std::io::Read;

use zip::{CompressionMethod, ZipArchive};

use super::proto::{StringStringEntryProto, TensorProto};
use super::source::{ModelSource, Readable};
use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_core::shape::product;

/// Where data of the model are: in an archive.
pub const ARCHIVED: i32 = 2;
/// Most elements of a tensor that repeats its elements.
const MAX_REPEATED: u64 = 1 << 24;

/// Where a storage is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// Bytes of the model's file.
    Bytes {
        /// The first.
        offset: u64,
        /// Their number.
        length: u64,
    },
    /// An entry that is compressed.
    Entry {
        /// Its name.
        name: String,
        /// Its bytes when it is not compressed.
        length: u64,
    },
}

/// A tensor in a storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The storage.
    pub at: At,
    /// Bytes of an element.
    pub width: u64,
    /// Distances between neighbours along each axis, in elements.
    pub strides: Vec<u64>,
    /// Its first element.
    pub first: u64,
}

impl Part {
    /// Elements from the first to the last of a tensor of these sizes; none if they do not fit, or are too many.
    fn span(&self, dims: &[u64]) -> Option<u64> {
        if dims.len() != self.strides.len() {
            return None;
        }
        let mut last = 0u64;
        for (&size, &stride) in dims.iter().zip(&self.strides) {
            match size.checked_sub(1) {
                None => return Some(0),
                Some(steps) => last = last.checked_add(steps.checked_mul(stride)?)?,
            }
        }
        last.checked_add(1)
    }

    /// Bytes that the storage must have for a tensor of these sizes.
    pub fn needed(&self, dims: &[i64]) -> Option<u64> {
        let dims = super::constant::sizes(dims).ok()?;
        self.first.checked_add(self.span(&dims)?)?.checked_mul(self.width)
    }
}

/// The tensor in an entry of an archive; none if there is no such entry.
pub fn part<R: Readable>(
    zip: &mut ZipArchive<R>,
    entry: &str,
    width: u64,
    strides: &[u64],
    first: u64,
) -> Option<Part> {
    let found = zip.by_name(entry).ok()?;
    let length = found.size();
    let at = if found.compression() == CompressionMethod::Stored && !found.encrypted() {
        At::Bytes { offset: found.data_start(), length }
    } else {
        At::Entry { name: entry.to_owned(), length }
    };
    Some(Part { at, width, strides: strides.to_vec(), first })
}

/// Writes into the message where its data are.
pub fn put(tensor: &mut TensorProto, part: &Part) {
    let strides: Vec<String> = part.strides.iter().map(u64::to_string).collect();
    let (entry, offset, length) = match &part.at {
        At::Bytes { offset, length } => (String::new(), *offset, *length),
        At::Entry { name, length } => (name.clone(), 0, *length),
    };
    let values = [
        ("entry", entry),
        ("offset", offset.to_string()),
        ("length", length.to_string()),
        ("width", part.width.to_string()),
        ("strides", strides.join(",")),
        ("first", part.first.to_string()),
    ];
    let entry = |(key, value): (&str, String)| StringStringEntryProto { key: key.into(), value };
    tensor.external_data = values.into_iter().map(entry).collect();
    tensor.data_location = ARCHIVED;
}

/// Where the message says that its data are.
fn placed(tensor: &TensorProto) -> Option<Part> {
    let text = |key: &str| {
        tensor.external_data.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str())
    };
    let number = |key: &str| text(key)?.parse().ok();
    let (offset, length) = (number("offset")?, number("length")?);
    let at = match text("entry")? {
        "" => At::Bytes { offset, length },
        name => At::Entry { name: name.to_owned(), length },
    };
    let strides = text("strides")?.split(',').filter(|text| !text.is_empty());
    let strides = strides.map(|text| text.parse().ok()).collect::<Option<Vec<u64>>>()?;
    Some(Part { at, width: number("width")?, strides, first: number("first")? })
}

/// The bytes of a tensor's elements, in row-major order.
pub(super) fn bytes(tensor: &TensorProto, source: &ModelSource) -> Result<Vec<u8>, Problem> {
    let dims = super::constant::sizes(&tensor.dims)?;
    let count = product(&dims).ok_or_else(|| Problem::overflow("the number of elements"))?;
    let missing = || {
        let message = format!("the model was saved without the {count} elements of `{}`", tensor.name);
        Problem::new(Code::Missing, message)
            .help("parameters, MACs and shapes need no weights; `--weights FILE` gives others")
    };
    if count == 0 {
        return Ok(vec![]);
    }
    let part = placed(tensor).ok_or_else(missing)?;
    let span = part.span(&dims).and_then(|span| Some((span, span.checked_mul(part.width)?)));
    let (span, length) = span.ok_or_else(|| Problem::overflow("the bytes of a tensor"))?;
    let needed = part.needed(&tensor.dims).ok_or_else(|| Problem::overflow("the bytes of a tensor"))?;
    let (At::Bytes { length: there, .. } | At::Entry { length: there, .. }) = &part.at;
    if needed > *there {
        return Err(missing());
    }
    if count > span.max(MAX_REPEATED) {
        let message = format!("`{}` repeats {span} elements to {count}", tensor.name);
        return Err(Problem::new(Code::Limit, message).help("store it without repetitions"));
    }
    let skipped = part.first.saturating_mul(part.width);
    let data = match &part.at {
        At::Bytes { offset, .. } => {
            let mut file = source.open().map_err(|error| source.unreadable(&error))?;
            source.section(file.as_mut(), offset.saturating_add(skipped), length)?
        }
        At::Entry { name, .. } => inflated(source, name, skipped, length)?,
    };
    let width = usize::try_from(part.width).unwrap_or(1);
    let steps: Vec<usize> = part.strides.iter().map(|&stride| stride as usize).collect();
    let plain = super::constant::steps(&dims);
    if dims.iter().zip(steps.iter().zip(&plain)).all(|(&size, (step, plain))| size == 1 || step == plain) {
        return Ok(data);
    }
    let places = super::constant::strided(&dims, &steps, 0);
    let mut result = Vec::with_capacity(places.len() * width);
    for place in places {
        result.extend(data.get(place * width..(place + 1) * width).ok_or_else(missing)?);
    }
    Ok(result)
}

/// `length` bytes of a compressed entry, after the first `skipped`.
fn inflated(source: &ModelSource, name: &str, skipped: u64, length: u64) -> Result<Vec<u8>, Problem> {
    let damaged = |error: &dyn std::fmt::Display| {
        Problem::new(Code::Io, format!("`{name}` of `{}` cannot be read: {error}", source.shown()))
            .help("the file is damaged: copy it again")
    };
    let file = source.open().map_err(|error| source.unreadable(&error))?;
    let mut zip = ZipArchive::new(file).map_err(|error| damaged(&error))?;
    let mut entry = zip.by_name(name).map_err(|error| damaged(&error))?;
    std::io::copy(&mut entry.by_ref().take(skipped), &mut std::io::sink())
        .map_err(|error| damaged(&error))?;
    let mut bytes = Vec::new();
    entry.take(length).read_to_end(&mut bytes).map_err(|error| damaged(&error))?;
    if bytes.len() as u64 == length { Ok(bytes) } else { Err(damaged(&"it ends before the tensor does")) }
}
