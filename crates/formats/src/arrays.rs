//! Tensors in files: NumPy's `.npy` and `.npz`, and safetensors.

mod npy;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use half::{bf16, f16};
use ndarray_npy::{NpzWriter, WriteNpyExt as _};
use safetensors::tensor::{Dtype, Metadata, View};
use zip::ZipArchive;

use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_exec::tensor::Tensor;

/// Formats of files with many tensors.
enum Format {
    Npz,
    Safetensors,
}

fn failure(path: &str, action: &str, error: impl std::fmt::Display) -> Problem {
    Problem::new(Code::Io, format!("cannot {action} `{path}`: {error}"))
}

fn format(path: &str) -> Result<Format, Problem> {
    match path {
        path if is(path, "npz") => Ok(Format::Npz),
        path if is(path, "safetensors") => Ok(Format::Safetensors),
        _ => Err(Problem::new(Code::Io, format!("`{path}` is neither .npz nor .safetensors"))
            .help("the end of the file's name says its format")),
    }
}

/// Returns whether the file's extension is `extension`, in lower or upper case.
pub fn is(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|end| end.eq_ignore_ascii_case(extension))
}

/// A file that is open for reading; messages name it.
fn open(path: &str) -> Result<(BufReader<File>, u64), Problem> {
    let (file, size) = cnnkit_files::open(Path::new(path)).map_err(|error| failure(path, "read", error))?;
    Ok((BufReader::new(file), size))
}

/// Returns the sizes of the tensor in a `.npy` file.
///
/// # Errors
/// If it is no such file, or has fewer elements than its sizes say.
pub fn npy_sizes(path: &str) -> Result<Vec<usize>, Problem> {
    let (mut file, size) = open(path)?;
    Ok(npy_header(path, &mut file, size)?.sizes)
}

fn npy_header(path: &str, file: &mut impl Read, size: u64) -> Result<npy::Header, Problem> {
    let header = npy::header(file).map_err(|error| failure(path, "read", error))?;
    if header.bytes().is_none_or(|bytes| bytes > size) {
        let message = format!(
            "`{path}` says that it has {} elements, {:?}, and is {size} bytes long",
            header.count, header.sizes
        );
        return Err(Problem::new(Code::Io, message).help("the file is damaged, or was not copied to its end"));
    }
    Ok(header)
}

/// The tensor in a `.npy` file: f32, f16 as it is, or f64 rounded.
pub fn read_npy(path: &str) -> Result<Tensor<f32>, Problem> {
    let (mut file, size) = open(path)?;
    let header = npy_header(path, &mut file, size)?;
    npy::elements(&mut file, &header).map_err(|error| failure(path, "read", error))
}

/// Writes `tensor` as a `.npy` file.
pub fn write_npy(path: &str, tensor: &Tensor<f32>) -> Result<(), Problem> {
    let write = |out: &mut BufWriter<File>| tensor.array().write_npy(out).map_err(std::io::Error::other);
    cnnkit_files::replace(Path::new(path), write).map_err(|error| failure(path, "write", error))
}

/// The sizes of the tensors that are wanted, by name.
pub type Wanted = HashMap<String, Vec<usize>>;

/// Reads all tensors of a `.npz` or `.safetensors` file, by name.
///
/// # Errors
/// If the file cannot be read.
pub fn read_weights(path: &str) -> Result<HashMap<String, Tensor<f32>>, Problem> {
    read(path, None)
}

/// Reads the tensors `wanted` of a `.npz` or `.safetensors` file by name. Of other tensors in it only the names are read;
/// they stand there without elements.
///
/// # Errors
/// If the file cannot be read, or a tensor has other sizes than are wanted.
pub fn read_wanted(path: &str, wanted: &Wanted) -> Result<HashMap<String, Tensor<f32>>, Problem> {
    read(path, Some(wanted))
}

fn read(path: &str, wanted: Option<&Wanted>) -> Result<HashMap<String, Tensor<f32>>, Problem> {
    match format(path)? {
        Format::Npz => read_npz(path, wanted),
        Format::Safetensors => read_safetensors(path, wanted),
    }
}

/// Returns whether a tensor of these sizes is wanted; an error if it is wanted with others. Without `wanted`, all are,
/// except PyTorch's counters, which are integers that inference does not use.
fn is_wanted(wanted: Option<&Wanted>, name: &str, sizes: &[usize]) -> Result<bool, Problem> {
    let Some(wanted) = wanted else { return Ok(!name.ends_with("num_batches_tracked")) };
    match wanted.get(name) {
        Some(needed) if needed != sizes => Err(Problem::new(
            Code::Missing,
            format!("the weights do not fit: `{name}` is {sizes:?}, the network needs {needed:?}"),
        )
        .help("names are `layer.weight`; `--save-weights` writes all of them")),
        needed => Ok(needed.is_some()),
    }
}

/// A tensor whose elements nobody wants.
fn not_wanted() -> Result<Tensor<f32>, Problem> {
    Tensor::new(&[0], vec![])
}

fn read_npz(path: &str, wanted: Option<&Wanted>) -> Result<HashMap<String, Tensor<f32>>, Problem> {
    let (file, _) = open(path)?;
    let mut archive = ZipArchive::new(file).map_err(|error| failure(path, "read", error))?;
    let mut tensors = HashMap::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(|error| failure(path, "read", error))?;
        let name = entry.name().strip_suffix(".npy").unwrap_or(entry.name()).to_owned();
        let failed = |error: std::io::Error| failure(path, &format!("read `{name}` of"), error);
        let named = wanted.is_none_or(|wanted| wanted.contains_key(&name));
        let tensor = if named && !name.ends_with("num_batches_tracked") {
            let header = npy::header(&mut entry).map_err(failed)?;
            is_wanted(wanted, &name, &header.sizes)?;
            npy::elements(&mut entry, &header).map_err(failed)?
        } else {
            not_wanted()?
        };
        tensors.insert(name, tensor);
    }
    Ok(tensors)
}

/// Maximum length of the header of a safetensors file, as its library has it.
const MAX_HEADER: u64 = 100_000_000;

fn read_safetensors(path: &str, wanted: Option<&Wanted>) -> Result<HashMap<String, Tensor<f32>>, Problem> {
    let (mut file, size) = open(path)?;
    let io = |error: std::io::Error| failure(path, "read", error);
    let damaged = |why: String| {
        failure(path, "read", why).help("it is no .safetensors file, or was not copied to its end")
    };
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(io)?;
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER.min(size.saturating_sub(8)) {
        return Err(damaged(format!("its header has {length} bytes, the file {size}")));
    }
    let mut header = Vec::new();
    file.by_ref().take(length).read_to_end(&mut header).map_err(io)?;
    let header: Metadata = serde_json::from_slice(&header).map_err(|error| damaged(error.to_string()))?;
    let mut tensors = HashMap::new();
    let start = 8 + length;
    for (name, info) in header.tensors() {
        if !is_wanted(wanted, &name, &info.shape)? {
            tensors.insert(name, not_wanted()?);
            continue;
        }
        let (from, to) = (start + info.data_offsets.0 as u64, start + info.data_offsets.1 as u64);
        if from > to || to > size {
            return Err(damaged(format!("`{name}` is at bytes {from} to {to}, and the file has {size}")));
        }
        file.seek(SeekFrom::Start(from)).map_err(io)?;
        let mut bytes = Vec::new();
        file.by_ref().take(to - from).read_to_end(&mut bytes).map_err(io)?;
        let data: Vec<f32> = match info.dtype {
            Dtype::F32 => bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect(),
            // Every number of these is one of f32.
            Dtype::F16 => {
                bytes.as_chunks().0.iter().map(|&bytes| f16::from_le_bytes(bytes).to_f32()).collect()
            }
            Dtype::BF16 => {
                bytes.as_chunks().0.iter().map(|&bytes| bf16::from_le_bytes(bytes).to_f32()).collect()
            }
            Dtype::F64 => {
                let elements = bytes.as_chunks().0.iter();
                elements
                    .map(|&bytes| npy::narrowed(f64::from_le_bytes(bytes)))
                    .collect::<Result<_, _>>()
                    .map_err(io)?
            }
            other => {
                let message = format!("not supported: `{name}` of `{path}` has elements of type {other:?}");
                return Err(
                    Problem::new(Code::Io, message).help("the elements must be F16, BF16, F32 or F64")
                );
            }
        };
        tensors.insert(name, Tensor::new(&info.shape, data)?);
    }
    Ok(tensors)
}

/// A file that an archive is written to. The archive's writer reports an error by itself when it is dropped: after the
/// first one it is told that all went well, and the caller gets the error.
struct Once<'a> {
    out: &'a mut BufWriter<File>,
    failed: &'a mut Option<std::io::Error>,
    /// Where the next byte goes, and how many there are, as far as the archive's writer knows.
    at: u64,
    end: u64,
}

impl<'a> Once<'a> {
    fn new(out: &'a mut BufWriter<File>, failed: &'a mut Option<std::io::Error>) -> Self {
        Self { out, failed, at: 0, end: 0 }
    }

    /// Runs `action` unless an earlier one failed; returns nothing if it, or an earlier one, did.
    fn attempt<T>(&mut self, action: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<T>) -> Option<T> {
        if self.failed.is_some() {
            return None;
        }
        action(self.out).map_err(|error| *self.failed = Some(error)).ok()
    }
}

impl Write for Once<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.attempt(|out| out.write(bytes)).unwrap_or(bytes.len());
        self.at += written as u64;
        self.end = self.end.max(self.at);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.attempt(Write::flush);
        Ok(())
    }
}

impl Seek for Once<'_> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        let wanted = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.end.checked_add_signed(by),
        };
        let Some(wanted) = wanted else { return Err(std::io::ErrorKind::InvalidInput.into()) };
        self.at = self.attempt(|out| out.seek(to)).unwrap_or(wanted);
        Ok(self.at)
    }
}

/// A tensor in a safetensors file; its bytes are made when they are written.
struct Saved<'a>(&'a Tensor<f32>);

impl View for Saved<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        self.0.sizes()
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.0.data().iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>().into()
    }

    fn data_len(&self) -> usize {
        4 * self.0.len()
    }
}

/// Writes named tensors as a `.npz` or `.safetensors` file.
pub fn write_weights<'a>(
    path: &str,
    tensors: impl Iterator<Item = (String, &'a Tensor<f32>)>,
) -> Result<(), Problem> {
    match format(path)? {
        Format::Npz => {
            let write = |out: &mut BufWriter<File>| {
                let mut failed = None;
                let mut writer = NpzWriter::new(Once::new(out, &mut failed));
                let add = || {
                    for (name, tensor) in tensors {
                        writer.add_array(name, tensor.array()).map_err(std::io::Error::other)?;
                    }
                    Ok(())
                };
                let added: std::io::Result<()> = add();
                let finished = writer.finish().map(|_| ()).map_err(std::io::Error::other);
                failed.map_or(added.and(finished), Err)
            };
            cnnkit_files::replace(Path::new(path), write).map_err(|error| failure(path, "write", error))
        }
        Format::Safetensors => {
            let views = tensors.map(|(name, tensor)| (name, Saved(tensor)));
            let bytes = safetensors::serialize(views, None).map_err(|error| failure(path, "write", error))?;
            cnnkit_files::replace(Path::new(path), |out| out.write_all(&bytes))
                .map_err(|error| failure(path, "write", error))
        }
    }
}
