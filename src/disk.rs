//! Specs and their included files, on disk.

use std::path::{Path, PathBuf};

use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_core::spec::files::{Files, lexical};
use cnnkit_core::spec::yaml;

/// Specs on disk. Included files must lie below the root: the nearest folder above the spec with a `.git` or
/// `cnnkit.toml`, else the folder that contains the spec's folder.
#[derive(Debug)]
pub struct Disk {
    root: PathBuf,
}

impl Disk {
    /// Returns the files for the spec at `path`.
    pub fn of(path: &str) -> Self {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path));
        let absolute = absolute.canonicalize().unwrap_or(absolute);
        let marked = absolute
            .ancestors()
            .skip(1)
            .find(|dir| dir.join(".git").exists() || dir.join("cnnkit.toml").exists());
        let root = marked.or_else(|| absolute.ancestors().nth(2)).or_else(|| absolute.parent());
        Self { root: root.map_or_else(|| PathBuf::from("/"), Path::to_path_buf) }
    }
}

impl Files for Disk {
    fn read(&self, path: &str) -> Result<Vec<u8>, Problem> {
        let io = |error: std::io::Error| {
            let help = match error.kind() {
                std::io::ErrorKind::NotFound => "check the path; `cnnkit zoo` lists the built-in specs",
                std::io::ErrorKind::PermissionDenied => "check the file's permissions",
                _ => "name a YAML file",
            };
            refused(format!("cannot read `{path}`: {}", plain(&error)), help)
        };
        let meta = std::fs::metadata(path).map_err(io)?;
        if meta.is_dir() {
            return Err(refused(
                format!("`{path}` is a folder"),
                "name the files in it: `cnnkit params folder/*.yaml`",
            ));
        }
        if meta.len() > yaml::MAX_BYTES as u64 {
            let message = format!("`{path}` has {} bytes, the limit is {}", meta.len(), yaml::MAX_BYTES);
            return Err(refused(message, "a spec is a small text file"));
        }
        if !meta.is_file() {
            // A pipe or a device may never end; one byte over the limit suffices to detect that.
            let mut bytes = Vec::new();
            let file = std::fs::File::open(path).map_err(io)?;
            std::io::Read::read_to_end(
                &mut std::io::Read::take(file, yaml::MAX_BYTES as u64 + 1),
                &mut bytes,
            )
            .map_err(io)?;
            return Ok(bytes);
        }
        std::fs::read(path).map_err(io)
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

fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".into(),
        std::io::ErrorKind::PermissionDenied => "permission denied".into(),
        _ => error.to_string(),
    }
}
