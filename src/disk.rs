//! Specs and their included files, on disk.

use std::path::{Path, PathBuf};

use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_core::spec::files::{Files, lexical};
use cnnkit_core::spec::yaml;
use cnnkit_files::Unreadable;

/// Specs on disk. Included files must lie below the root: the nearest folder above the spec with a `.git` or
/// `cnnkit.toml`, else the folder that contains the spec's folder.
#[derive(Debug)]
pub struct Disk {
    /// The spec, as the caller named it: only it may be a pipe.
    named: String,
    root: PathBuf,
}

impl Disk {
    /// Returns the files for the spec at `path`.
    pub fn of(path: &str) -> Self {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path));
        let absolute = absolute.canonicalize().unwrap_or(absolute);
        let root = project(&absolute).or_else(|| absolute.ancestors().nth(2)).or_else(|| absolute.parent());
        Self { named: path.to_owned(), root: root.map_or_else(|| PathBuf::from("/"), Path::to_path_buf) }
    }
}

/// The nearest folder above `path` with a `.git` or `cnnkit.toml`.
fn project(path: &Path) -> Option<&Path> {
    path.ancestors().skip(1).find(|dir| dir.join(".git").exists() || dir.join("cnnkit.toml").exists())
}

/// Whether the file `path` is a link that leads out of the project in which it lies: messages would show what stands in a
/// file that is no part of the project.
fn leads_out(path: &str) -> bool {
    let Ok(absolute) = std::path::absolute(path) else { return false };
    let is_link = std::fs::symlink_metadata(&absolute).is_ok_and(|data| data.is_symlink());
    is_link && project(&absolute).is_some_and(|project| !cnnkit_files::within(project, &absolute))
}

impl Files for Disk {
    fn read(&self, path: &str) -> Result<Vec<u8>, Problem> {
        let limit = yaml::MAX_BYTES as u64;
        let io = |error: std::io::Error| unreadable(path, &Unreadable::Io(error));
        let meta = std::fs::metadata(path).map_err(io)?;
        if meta.is_dir() {
            return Err(refused(
                format!("`{path}` is a folder"),
                "name the files in it: `cnnkit params folder/*.yaml`",
            ));
        }
        if leads_out(path) {
            let message = format!("`{path}` is a link that leads out of the project");
            return Err(refused(message, "name the file that it leads to"));
        }
        if !meta.is_file() && path == self.named {
            // A pipe or a device may never end; one byte over the limit is enough to know.
            let mut bytes = Vec::new();
            let file = std::fs::File::open(path).map_err(io)?;
            std::io::Read::read_to_end(&mut std::io::Read::take(file, limit + 1), &mut bytes).map_err(io)?;
            return Ok(bytes);
        }
        cnnkit_files::read(Path::new(path), limit).map_err(|error| unreadable(path, &error))
    }

    fn resolve(&self, from: &str, include: &str) -> Result<String, Problem> {
        if Path::new(include).is_absolute() {
            return Err(refused(
                format!("`{include}` is an absolute path"),
                "write it relative to this file",
            ));
        }
        let folder = Path::new(from).parent().unwrap_or(Path::new(""));
        let joined = lexical(&folder.join(include));
        let absolute = std::path::absolute(&joined).unwrap_or_else(|_| joined.clone());
        // A symbolic link may lead outside the root, too: the check uses the real path if there is one.
        let real = absolute.canonicalize().unwrap_or_else(|_| lexical(&absolute));
        if !real.starts_with(&self.root) {
            return Err(refused(
                format!("`{include}` leaves the project folder `{}`", self.root.display()),
                "keep included files below the folder that holds `.git` or `cnnkit.toml`",
            ));
        }
        Ok(joined.to_string_lossy().into_owned())
    }

    fn display(&self, path: &str) -> String {
        path.to_owned()
    }
}

fn refused(message: String, help: &str) -> Problem {
    Problem::new(Code::Io, message).help(help)
}

fn unreadable(path: &str, error: &Unreadable) -> Problem {
    match error {
        Unreadable::TooLarge { size, limit } => {
            refused(format!("`{path}` has {size} bytes, the limit is {limit}"), "a spec is a small text file")
        }
        Unreadable::Io(cause) => {
            let help = match cause.kind() {
                std::io::ErrorKind::NotFound => "check the path; `cnnkit zoo` lists the built-in specs",
                std::io::ErrorKind::PermissionDenied => "check the file's permissions",
                _ => "name a YAML file",
            };
            refused(format!("cannot read `{path}`: {error}"), help)
        }
        Unreadable::NotAFile => refused(format!("cannot read `{path}`: {error}"), "name a YAML file"),
    }
}
