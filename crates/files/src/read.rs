//! Bounded reading: a file is looked at before it is read, so that neither a device, a pipe nor its size can take more
//! time or memory than its reader allows.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// Why a file is not read.
#[derive(Debug)]
pub enum Unreadable {
    /// The system refuses.
    Io(io::Error),
    /// It is a folder, a pipe or a device, which may never end.
    NotAFile,
    /// It is larger than its reader allows.
    TooLarge {
        /// Its bytes.
        size: u64,
        /// The limit.
        limit: u64,
    },
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) if error.kind() == io::ErrorKind::NotFound => {
                f.write_str("there is no such file")
            }
            Self::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                f.write_str("permission denied")
            }
            Self::Io(error) => error.fmt(f),
            Self::NotAFile => f.write_str("it is not a regular file"),
            Self::TooLarge { size, limit } => write!(f, "it has {size} bytes, the limit is {limit}"),
        }
    }
}

impl std::error::Error for Unreadable {}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Opens the regular file `path`; returns it with its size.
///
/// # Errors
/// If it is not there, cannot be opened, or is no regular file. A pipe is not waited for.
pub fn open(path: &Path) -> Result<(File, u64), Unreadable> {
    // Opening a pipe waits for its other end: the kind is asked for first.
    if !std::fs::metadata(path)?.is_file() {
        return Err(Unreadable::NotAFile);
    }
    let file = File::open(path)?;
    let data = file.metadata()?;
    if data.is_file() { Ok((file, data.len())) } else { Err(Unreadable::NotAFile) }
}

/// Reads the regular file `path` of at most `limit` bytes.
///
/// # Errors
/// As [`open`], and if it is larger.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Unreadable> {
    let (file, size) = open(path)?;
    if size > limit {
        return Err(Unreadable::TooLarge { size, limit });
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    // It may grow meanwhile, and the files of `/proc` have no size.
    file.take(limit + 1).read_to_end(&mut bytes)?;
    let size = bytes.len() as u64;
    if size > limit { Err(Unreadable::TooLarge { size, limit }) } else { Ok(bytes) }
}

/// Reads at most the first `limit` bytes of the regular file `path`.
///
/// # Errors
/// As [`open`].
pub fn read_start(path: &Path, limit: u64) -> Result<Vec<u8>, Unreadable> {
    let (file, _) = open(path)?;
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whether `path` lies in `folder` or below it once links are followed; a file that is not there lies where its folder
/// does.
pub fn within(folder: &Path, path: &Path) -> bool {
    let Ok(folder) = folder.canonicalize() else { return false };
    let real = path.canonicalize().or_else(|error| {
        // A link to nothing would be created where it leads.
        let is_link = std::fs::symlink_metadata(path).is_ok_and(|data| data.is_symlink());
        match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) if !is_link => {
                let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
                parent.canonicalize().map(|parent| parent.join(name))
            }
            _ => Err(error),
        }
    });
    real.is_ok_and(|real| real.starts_with(&folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_compared_before_anything_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("sparse");
        File::create(&path).and_then(|file| file.set_len(1 << 40)).expect("a sparse file");
        assert!(matches!(read(&path, 1 << 20), Err(Unreadable::TooLarge { size, .. }) if size == 1 << 40));
        assert_eq!(read_start(&path, 5).expect("a start"), [0; 5]);
    }

    #[test]
    fn what_is_no_regular_file_is_refused() {
        for path in ["/dev/zero", "/", "/dev/stdin"] {
            if Path::new(path).exists() {
                assert!(matches!(read(Path::new(path), 10), Err(Unreadable::NotAFile)), "{path}");
            }
        }
        assert!(matches!(read(Path::new("/no/such/file"), 10), Err(Unreadable::Io(_))));
    }

    #[cfg(unix)]
    #[test]
    fn links_that_lead_out_are_not_within() {
        let folder = tempfile::tempdir().expect("a folder");
        let outside = tempfile::tempdir().expect("another folder");
        let inside = folder.path().join("file");
        std::fs::write(&inside, "x").expect("a file");
        std::os::unix::fs::symlink(outside.path().join("new"), folder.path().join("out")).expect("a link");
        std::os::unix::fs::symlink(&inside, folder.path().join("in")).expect("a link");
        let within = |name: &str| within(folder.path(), &folder.path().join(name));
        assert!(within("file") && within("new") && within("in"));
        assert!(!within("out") && !within("../x") && !within("/etc/passwd"));
    }
}
