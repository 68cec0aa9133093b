//! The location of a model's bytes: a file, or memory.

use std::fmt;
use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use cnnkit_core::diagnostic::{Code, Problem};

/// The location of a model's bytes. Its weights are read from there when the network is run.
#[derive(Clone, PartialEq, Eq)]
pub enum ModelSource {
    /// A file; external data are in its folder.
    File(PathBuf),
    /// Bytes in memory; external data do not exist.
    Memory {
        /// Its name in messages.
        name: String,
        /// The model.
        bytes: Bytes,
    },
}

impl fmt::Debug for ModelSource {
    /// Writes where the model is, and not its bytes: a network that is printed holds its source.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Memory { name, bytes } => write!(f, "Memory({name:?}, {} bytes)", bytes.len()),
        }
    }
}

/// Bytes with random access.
pub trait Readable: Read + Seek {}

impl<T: Read + Seek> Readable for T {}

impl From<&Path> for ModelSource {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

impl From<&PathBuf> for ModelSource {
    fn from(path: &PathBuf) -> Self {
        Self::File(path.clone())
    }
}

impl ModelSource {
    /// Returns its name in messages.
    pub fn shown(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Memory { name, .. } => name.clone(),
        }
    }

    /// Returns the bytes as a model with this name in messages.
    pub fn memory(name: impl Into<String>, bytes: Vec<u8>) -> Self {
        Self::Memory { name: name.into(), bytes: bytes.into() }
    }

    /// Returns the file's name without its extension; empty for standard input.
    pub fn stem(&self) -> String {
        let path = match self {
            Self::File(path) => path.as_path(),
            Self::Memory { name, .. } if name.starts_with('<') => return String::new(),
            // An object of Python: `package.module:Name`.
            Self::Memory { name, .. } if name.contains(':') && !name.contains(['/', '\\']) => {
                return name.rsplit(':').next().unwrap_or_default().to_owned();
            }
            Self::Memory { name, .. } => Path::new(name),
        };
        path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// Returns the file, if it is one: external data are beside it.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Memory { .. } => None,
        }
    }

    /// Returns `length` bytes of `file` from `offset` on. The size is checked first, so that memory is only asked for what
    /// is there.
    pub(super) fn section(
        &self,
        file: &mut dyn Readable,
        offset: u64,
        length: u64,
    ) -> Result<Vec<u8>, Problem> {
        let io = |error: io::Error| self.unreadable(&error);
        let size = file.seek(SeekFrom::End(0)).map_err(io)?;
        if offset.checked_add(length).is_none_or(|end| end > size) {
            let message = format!(
                "its data are bytes {offset} to {} of `{}`, which has {size}",
                offset.saturating_add(length),
                self.shown()
            );
            return Err(
                Problem::new(Code::Io, message).help("the file is incomplete, or belongs to another model")
            );
        }
        file.seek(SeekFrom::Start(offset)).map_err(io)?;
        let mut bytes = vec![0; usize::try_from(length).map_err(|_| Problem::overflow("the data"))?];
        file.read_exact(&mut bytes).map_err(io)?;
        Ok(bytes)
    }

    /// Opens it for reading.
    pub fn open(&self) -> io::Result<Box<dyn Readable + '_>> {
        Ok(match self {
            Self::File(path) => Box::new(File::open(path)?),
            Self::Memory { bytes, .. } => Box::new(Cursor::new(bytes.as_ref())),
        })
    }

    /// Returns the problem that it could not be read.
    pub fn unreadable(&self, error: &io::Error) -> Problem {
        Problem::new(Code::Io, format!("cannot read `{}`: {error}", self.shown()))
    }
}

/// Returns whether `bytes` begin as a model does: with one of the message's first three fields (`ir_version`,
/// `producer_name`, `producer_version`). No text begins with these control characters.
pub fn looks_like_model(bytes: &[u8]) -> bool {
    matches!(bytes.first(), Some(0x08 | 0x12 | 0x1a))
}
