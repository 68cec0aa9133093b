//! Specs as they were at a revision of their git repository. `git` itself reads them.
//!
//! The repository may be a stranger's, its configuration too: `git` is only asked for objects, which runs neither hooks nor
//! filters, and is kept from fetching those that are not there, which could run any program.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};

use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_core::spec::files::Files;
use cnnkit_core::spec::yaml;

use crate::disk::Disk;

/// Size limit of a model in a repository, in bytes.
const MAX_MODEL: u64 = 512 << 20;
/// Size limit of what `git` says about an object.
const MAX_ANSWER: u64 = 4096;
/// Most bytes of the list of a commit's files.
const MAX_LIST: u64 = 1 << 26;

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
        let bytes = git(path, &["rev-parse", "--verify", "--quiet", "--end-of-options", &wanted], MAX_ANSWER)
            .map_err(|why| {
                let why = if why.is_empty() { String::new() } else { format!(": {why}") };
                Problem::new(Code::Io, format!("there is no revision `{revision}`{why}")).help(
                    "name a commit, branch or tag; in CI, a shallow clone may not have it: fetch it first",
                )
            })?;
        let commit = String::from_utf8_lossy(&bytes).trim().to_owned();
        // `^HEAD` is a way to exclude commits.
        if commit.is_empty() || !commit.chars().all(|c| c.is_ascii_hexdigit()) {
            return Err(Problem::new(Code::Io, format!("`{revision}` is not one revision"))
                .help("name a commit, branch or tag"));
        }
        Ok(Self { name: revision.to_owned(), commit, disk: Disk::of(path) })
    }
}

impl Revision {
    /// The files below the current folder at this commit, by their paths from there.
    ///
    /// # Errors
    /// If the folder is in no repository.
    pub fn files(&self) -> Result<Vec<String>, Problem> {
        let bytes =
            git(".", &["ls-tree", "-r", "-z", "--name-only", &self.commit], MAX_LIST).map_err(|why| {
                Problem::new(Code::Io, format!("cannot list the files of `{}`: {why}", self.name))
                    .help("run `cnnkit diff --git` inside the repository")
            })?;
        let names = bytes.split(|&byte| byte == 0).filter(|name| !name.is_empty());
        Ok(names.map(|name| String::from_utf8_lossy(name).into_owned()).collect())
    }

    /// Whether the commit has the file `path`.
    pub fn has(&self, path: &str) -> bool {
        let (folder, object) = self.object(path);
        git(&folder, &["cat-file", "-e", &object], MAX_ANSWER).is_ok()
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
        let (path_of_git, object) = self.object(path);
        let missing = |_| {
            let message = format!("`{path}` does not exist at `{}`", self.name);
            Problem::new(Code::Io, message)
                .help("it may be new, or have had another name: `cnnkit diff OLD NEW` compares two files")
        };
        // A few bytes of a repository may stand for any number: the size is asked for first.
        let size = git(&path_of_git, &["cat-file", "-s", &object], MAX_ANSWER).map_err(missing)?;
        let size: u64 = String::from_utf8_lossy(&size).trim().parse().unwrap_or(u64::MAX);
        let model = Path::new(path).extension().is_some_and(|ending| ending.eq_ignore_ascii_case("onnx"));
        let limit = if model { MAX_MODEL } else { yaml::MAX_BYTES as u64 };
        if size > limit {
            let message = format!("`{path}` has {size} bytes at `{}`, the limit is {limit}", self.name);
            return Err(Problem::new(Code::Limit, message).help("`cnnkit diff OLD NEW` compares two files"));
        }
        git(&path_of_git, &["cat-file", "blob", &object], limit).map_err(missing)
    }

    fn resolve(&self, from: &str, include: &str) -> Result<String, Problem> {
        self.disk.resolve(from, include)
    }

    fn display(&self, path: &str) -> String {
        format!("{path} at {}", self.name)
    }
}

/// What `git` prints in the folder of `path`, at most `limit` bytes; or why it does not.
fn git(path: &str, args: &[&str], limit: u64) -> Result<Vec<u8>, String> {
    let folder = Path::new(path).parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut command = Command::new("git");
    command.arg("--no-pager").args(["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"]);
    command.arg("-C").arg(folder.unwrap_or(Path::new("."))).args(args);
    // A partial clone fetches what it lacks, by whatever its configuration names.
    command.env("GIT_NO_LAZY_FETCH", "1").env("GIT_ALLOW_PROTOCOL", "none");
    command.env("GIT_TERMINAL_PROMPT", "0").env("GIT_OPTIONAL_LOCKS", "0");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let broken = |error: std::io::Error| format!("`git` does not run: {error}");
    let mut child = command.spawn().map_err(broken)?;
    let (mut answer, mut errors) = (Vec::new(), Vec::new());
    if let Some(out) = child.stdout.take() {
        out.take(limit + 1).read_to_end(&mut answer).map_err(broken)?;
    }
    if let Some(out) = child.stderr.take() {
        out.take(MAX_ANSWER).read_to_end(&mut errors).map_err(broken)?;
    }
    if child.wait().map_err(broken)?.success() && answer.len() as u64 <= limit {
        return Ok(answer);
    }
    let text = String::from_utf8_lossy(&errors);
    Err(text.lines().next().unwrap_or("").trim_start_matches("fatal: ").to_owned())
}
