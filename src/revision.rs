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

impl Files for Revision {
    fn read(&self, path: &str) -> Result<Vec<u8>, Problem> {
        let name = Path::new(path).file_name().map(|name| name.to_string_lossy().into_owned());
        let object = format!("{}:./{}", self.commit, name.unwrap_or_default());
        git(path, &["show", &object]).map_err(|_| {
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
