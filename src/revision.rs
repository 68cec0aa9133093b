//! Specs as of a revision of their git repository. The program `git` reads them.

use std::path::Path;
use std::process::Command;

use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_core::spec::files::Files;

use crate::disk::Disk;

/// The files of one commit.
#[derive(Debug)]
pub struct Revision {
    /// The revision as the user named it.
    name: String,
    /// The commit.
    commit: String,
    disk: Disk,
}

impl Revision {
    /// Returns the commit that `revision` names, in the repository of the spec at `path`; an error if there
    /// is none.
    pub fn of(revision: &str, path: &str) -> Result<Self, Problem> {
        let wanted = format!("{revision}^{{commit}}");
        let bytes =
            git(path, &["rev-parse", "--verify", "--quiet", "--end-of-options", &wanted]).map_err(|why| {
                let why = if why.is_empty() { String::new() } else { format!(": {why}") };
                Problem::new(Code::Io, format!("there is no revision `{revision}`{why}")).help(
                    "name a commit, branch or tag; in CI, a shallow clone may not have it: fetch it first",
                )
            })?;
        let commit = String::from_utf8_lossy(&bytes).trim().to_owned();
        Ok(Self { name: revision.to_owned(), commit, disk: Disk::of(path) })
    }
}

impl Revision {
    /// The files below the current folder at this commit, by their paths from there.
    ///
    /// # Errors
    /// If the folder is in no repository.
    pub fn files(&self) -> Result<Vec<String>, Problem> {
        let bytes = git(".", &["ls-tree", "-r", "-z", "--name-only", &self.commit]).map_err(|why| {
            Problem::new(Code::Io, format!("cannot list the files of `{}`: {why}", self.name))
                .help("run `cnnkit diff --git` inside the repository")
        })?;
        let names = bytes.split(|&byte| byte == 0).filter(|name| !name.is_empty());
        Ok(names.map(|name| String::from_utf8_lossy(name).into_owned()).collect())
    }

    /// Whether a file whose name ends in one of `endings` differs from this commit, or is not in it.
    ///
    /// # Errors
    /// If `git` cannot compare.
    pub fn differs(&self, endings: &[&str]) -> Result<bool, Problem> {
        let list = |args: &[&str]| {
            git(".", args).map_err(|why| {
                Problem::new(Code::Io, format!("cannot compare with `{}`: {why}", self.name))
                    .help("run `cnnkit diff --git` inside the repository")
            })
        };
        let mut names = list(&["diff", "--name-only", "-z", &self.commit])?;
        names.extend(list(&["ls-files", "--others", "-z", "--full-name", ":/"])?);
        let mut names = names.split(|&byte| byte == 0).map(String::from_utf8_lossy);
        Ok(names.any(|name| endings.iter().any(|ending| name.ends_with(ending))))
    }

    /// Whether the commit has the file `path`.
    pub fn has(&self, path: &str) -> bool {
        let (folder, object) = self.object(path);
        git(&folder, &["cat-file", "-e", &object]).is_ok()
    }

    /// The folder to run `git` in for `path`, and the name of the file there; a folder that is gone is named from here.
    fn object(&self, path: &str) -> (String, String) {
        let folder = Path::new(path).parent().filter(|folder| !folder.as_os_str().is_empty());
        if folder.is_some_and(|folder| !folder.is_dir()) {
            return (".".to_owned(), format!("{}:./{path}", self.commit));
        }
        let name = Path::new(path).file_name().map(|name| name.to_string_lossy().into_owned());
        (path.to_owned(), format!("{}:./{}", self.commit, name.unwrap_or_default()))
    }
}

impl Files for Revision {
    fn read(&self, path: &str) -> Result<Vec<u8>, Problem> {
        let (folder, object) = self.object(path);
        git(&folder, &["show", &object]).map_err(|_| {
            let message = format!("`{path}` does not exist at `{}`", self.name);
            Problem::new(Code::Io, message)
                .help("it may be new, or have had another name: `cnnkit diff OLD NEW` compares two files")
        })
    }

    fn resolve(&self, from: &str, include: &str) -> Result<String, Problem> {
        self.disk.resolve(from, include)
    }

    fn display(&self, path: &str) -> String {
        format!("{path} at {}", self.name)
    }
}

/// Returns the output of `git` in the folder of `path`, or its error.
fn git(path: &str, args: &[&str]) -> Result<Vec<u8>, String> {
    let folder = Path::new(path).parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut command = Command::new("git");
    command.arg("-C").arg(folder.unwrap_or(Path::new("."))).args(args);
    let output = command.output().map_err(|error| format!("`git` does not run: {error}"))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(text.lines().next().unwrap_or("").trim_start_matches("fatal: ").to_owned())
}
