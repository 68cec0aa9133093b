//! Writing that is never half done: the new content is written beside the file, flushed to the disk, and takes the
//! file's name in one step.
//!
//! What must stay as it is stays: a symbolic link still leads to the file, permissions and owner are the file's. Where a
//! new file cannot take the name without a loss (a hard link, another owner, a mounted file), the content is copied into
//! the file after it is complete beside it.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read as _, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// Most links that are followed to the file that is written.
const MOST_LINKS: usize = 40;

/// Why a file was not written. It still has its old content, unless [`WriteError::Broken`] says otherwise.
#[derive(Debug)]
pub enum WriteError {
    /// The system refuses: no space, no permission.
    Io(io::Error),
    /// The file is no longer what was read.
    Changed,
    /// The content could not be copied into a file that cannot be replaced. It is complete in another one.
    Broken(io::Error, PathBuf),
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Changed => f.write_str("it was changed meanwhile"),
            Self::Broken(error, copy) => {
                write!(f, "{error}; the file is incomplete, its new content is in `{}`", copy.display())
            }
        }
    }
}

impl std::error::Error for WriteError {}

impl From<io::Error> for WriteError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The new content of a file, complete on the disk, but not yet under its name.
#[derive(Debug)]
pub struct Replacement {
    /// The file, links followed.
    target: PathBuf,
    /// The content beside it; none if it went to a device or a pipe, which has no other way.
    content: Option<NamedTempFile>,
    /// The content that the file must still have.
    expected: Option<Vec<u8>>,
    /// Whether a file of that name exists.
    exists: bool,
}

/// Replaces the file `path` by what `write` writes.
///
/// # Errors
/// If it cannot be written; the old file is whole then.
pub fn replace<T>(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<T>,
) -> Result<T, WriteError> {
    let (replacement, result) = Replacement::prepare_with(path, write)?;
    replacement.commit().map(|()| result)
}

impl Replacement {
    /// Writes `content` beside the file `path`. If `expected` is given, the file must still have that content when it is
    /// replaced.
    ///
    /// # Errors
    /// If it cannot be written, or the file could not be.
    pub fn prepare(path: &Path, content: &[u8], expected: Option<&[u8]>) -> Result<Self, WriteError> {
        let (mut replacement, ()) = Self::prepare_with(path, |out| out.write_all(content))?;
        replacement.expected = expected.map(<[u8]>::to_vec);
        Ok(replacement)
    }

    fn prepare_with<T>(
        path: &Path,
        write: impl FnOnce(&mut BufWriter<File>) -> io::Result<T>,
    ) -> Result<(Self, T), WriteError> {
        let target = followed(path)?;
        let old = match fs::metadata(&target) {
            Ok(data) => Some(data),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        if let Some(data) = &old {
            if data.is_dir() {
                return Err(io::Error::from(io::ErrorKind::IsADirectory).into());
            }
            // A file that may not be written is not replaced either.
            let existing = OpenOptions::new().write(true).open(&target)?;
            if !data.is_file() {
                let mut out = BufWriter::new(existing);
                let result = write(&mut out)?;
                out.flush()?;
                return Ok((Self { target, content: None, expected: None, exists: true }, result));
            }
        }
        let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
        let content = temporary(folder.unwrap_or(Path::new(".")))?;
        let mut out = BufWriter::new(content.as_file().try_clone()?);
        let result = write(&mut out)?;
        out.flush()?;
        drop(out);
        if let Some(data) = &old {
            content.as_file().set_permissions(data.permissions())?;
        }
        content.as_file().sync_all()?;
        Ok((Self { target, content: Some(content), expected: None, exists: old.is_some() }, result))
    }

    /// Gives the new content its name.
    ///
    /// # Errors
    /// If the file is no longer what was expected, or cannot be replaced.
    pub fn commit(self) -> Result<(), WriteError> {
        let Some(content) = self.content else { return Ok(()) };
        // Two programs that replace one file do so one after the other. Where locks do not exist, the comparison is all.
        let lock = File::open(&self.target).ok();
        if let Some(file) = &lock {
            let _ = file.lock();
        }
        if let Some(expected) = &self.expected {
            let mut now = Vec::new();
            let found = File::open(&self.target)
                .and_then(|file| file.take(expected.len() as u64 + 1).read_to_end(&mut now));
            if found.is_err() || now != *expected {
                return Err(WriteError::Changed);
            }
        }
        if self.exists && !replaceable(&self.target, content.as_file()) {
            return copy(content, &self.target);
        }
        match content.persist(&self.target) {
            Ok(_) => {
                // The name itself is durable once its folder is; not every system can say so.
                let folder = self.target.parent().filter(|folder| !folder.as_os_str().is_empty());
                let _ = File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all());
                Ok(())
            }
            // A mounted file is busy, and another file system cannot take the name.
            Err(refused) if self.exists => copy(refused.file, &self.target),
            Err(refused) => Err(refused.error.into()),
        }
    }
}

/// Returns the file that `path` leads to, which need not exist.
fn followed(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..MOST_LINKS {
        if !fs::symlink_metadata(&path).is_ok_and(|data| data.is_symlink()) {
            return Ok(path);
        }
        let next = fs::read_link(&path)?;
        path = path.parent().map_or_else(|| next.clone(), |folder| folder.join(&next));
    }
    Err(io::Error::other("too many links"))
}

/// Returns a new file in `folder`, with the permissions that any new file gets there.
fn temporary(folder: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".cnnkit-").suffix(".tmp");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

/// Whether `new` can take the name of the file `target` without a loss: no other name leads to it, and its owner is that
/// of the new file or can become so.
#[cfg(unix)]
fn replaceable(target: &Path, new: &File) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let (Ok(old), Ok(data)) = (fs::metadata(target), new.metadata()) else { return true };
    if old.nlink() > 1 {
        return false;
    }
    let same = |data: &fs::Metadata| data.uid() == old.uid() && data.gid() == old.gid();
    // A new owner takes special permissions away: they are set again.
    same(&data)
        || (std::os::unix::fs::fchown(new, Some(old.uid()), Some(old.gid())).is_ok()
            && new.set_permissions(old.permissions()).is_ok())
}

#[cfg(not(unix))]
fn replaceable(_: &Path, _: &File) -> bool {
    true
}

/// Copies the complete content into the file `target`, byte over byte.
fn copy(mut content: NamedTempFile, target: &Path) -> Result<(), WriteError> {
    let mut write = || {
        let source = content.as_file_mut();
        source.seek(SeekFrom::Start(0))?;
        let mut file = OpenOptions::new().write(true).open(target)?;
        let length = io::copy(source, &mut file)?;
        file.set_len(length)?;
        file.sync_all()
    };
    match write() {
        Ok(()) => Ok(()),
        Err(error) => match content.keep() {
            Ok((_, path)) => Err(WriteError::Broken(error, path)),
            Err(_) => Err(error.into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(path: &Path) -> String {
        fs::read_to_string(path).expect("a file")
    }

    fn only_file(folder: &Path) -> bool {
        fs::read_dir(folder).expect("a folder").count() == 1
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_file_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        fs::write(&path, "old").expect("a file");
        let result = replace(&path, |out| {
            out.write_all(&vec![b'x'; 100_000])?;
            Err::<(), _>(io::Error::other("the disk is full"))
        });
        assert!(result.is_err());
        assert_eq!(text(&path), "old");
        assert!(only_file(folder.path()), "the new content is removed");
    }

    #[test]
    fn a_file_that_was_changed_meanwhile_is_not_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        fs::write(&path, "read").expect("a file");
        let first = Replacement::prepare(&path, b"first", Some(b"read")).expect("prepared");
        let second = Replacement::prepare(&path, b"second", Some(b"read")).expect("prepared");
        first.commit().expect("the first is written");
        assert!(matches!(second.commit(), Err(WriteError::Changed)));
        assert_eq!(text(&path), "first");
        assert!(only_file(folder.path()));
    }

    #[test]
    fn a_replacement_that_is_dropped_changes_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        fs::write(&path, "old").expect("a file");
        drop(Replacement::prepare(&path, b"new", None).expect("prepared"));
        assert_eq!(text(&path), "old");
        assert!(only_file(folder.path()));
    }

    #[cfg(unix)]
    #[test]
    fn links_hard_links_and_permissions_are_kept() {
        use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
        let folder = tempfile::tempdir().expect("a folder");
        let [file, link, hard, new] = ["file", "link", "hard", "new"].map(|name| folder.path().join(name));
        fs::write(&file, "a much longer old content").expect("a file");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("permissions");
        symlink("file", &link).expect("a link");
        replace(&link, |out| out.write_all(b"new")).expect("written");
        assert!(fs::symlink_metadata(&link).expect("a link").is_symlink());
        assert_eq!(
            (text(&file).as_str(), fs::metadata(&file).expect("a file").mode() & 0o777),
            ("new", 0o640)
        );

        fs::hard_link(&file, &hard).expect("a hard link");
        replace(&file, |out| out.write_all(b"x")).expect("written");
        assert_eq!((text(&file), text(&hard)), ("x".into(), "x".into()));

        // A link to nothing makes what it leads to, as any program does.
        let dangling = folder.path().join("dangling");
        symlink("new", &dangling).expect("a link");
        replace(&dangling, |out| out.write_all(b"made")).expect("written");
        assert_eq!(text(&new), "made");
        assert_eq!(fs::metadata(&new).expect("a file").mode() & 0o111, 0, "a new file is no program");
    }

    #[test]
    fn folders_are_not_replaced_and_devices_are_written_to() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(replace(folder.path(), |out| out.write_all(b"x")).is_err());
        if Path::new("/dev/full").exists() {
            replace(Path::new("/dev/null"), |out| out.write_all(b"x")).expect("nothing is lost");
            assert!(matches!(
                replace(Path::new("/dev/full"), |out| out.write_all(b"x")),
                Err(WriteError::Io(_))
            ));
        }
    }
}
