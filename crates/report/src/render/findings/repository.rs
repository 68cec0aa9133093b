//! Paths as CI services resolve them: from the root of the repository, whatever folder the job works in.

use std::path::{Component, Path, PathBuf};

/// The variables that name the folder of the repository: GitHub's, GitLab's.
const ROOTS: [&str; 2] = ["GITHUB_WORKSPACE", "CI_PROJECT_DIR"];

/// Returns `file` with `/` from the root of the repository: the folder that a CI service names, else the nearest one with a
/// `.git`; from the current folder where there is none, or where the file lies outside.
pub fn path(file: &str) -> String {
    // What is no file has a name of its own.
    if file.starts_with("zoo:") || file.starts_with('<') || file == "-" {
        return file.to_owned();
    }
    let folder = std::env::current_dir().unwrap_or_default();
    let named =
        ROOTS.iter().filter_map(std::env::var_os).map(PathBuf::from).filter(|root| root.is_absolute());
    // The current folder has no links in it, the variable may.
    let mut roots: Vec<PathBuf> =
        named.flat_map(|root| [root.canonicalize().ok(), Some(root)]).flatten().collect();
    roots.extend(folder.ancestors().find(|root| root.join(".git").exists()).map(Path::to_path_buf));
    within(&roots, &folder, file)
}

/// Returns `file`, which is relative to `folder`, from the first of `roots` that contains both, else from `folder`.
fn within(roots: &[PathBuf], folder: &Path, file: &str) -> String {
    let full = plain(&folder.join(file));
    let inside =
        roots.iter().filter(|root| folder.starts_with(root)).find_map(|root| full.strip_prefix(root).ok());
    let path = inside.or_else(|| full.strip_prefix(folder).ok()).unwrap_or(Path::new(file));
    let text = path.to_string_lossy().replace('\\', "/");
    text.strip_prefix("./").unwrap_or(&text).to_owned()
}

/// Resolves `.` and `..` in the text of the path.
fn plain(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn paths_are_from_the_root_of_the_repository() {
        let root = PathBuf::from("/home/runner/work/nets");
        let here = root.join("models");
        for (folder, file, expected) in [
            (&here, "a.yaml", "models/a.yaml"),
            (&here, "./deep/a.yaml", "models/deep/a.yaml"),
            (&here, "../b.yaml", "b.yaml"),
            (&here, "/home/runner/work/nets/c/d.yaml", "c/d.yaml"),
            (&root, "a.yaml", "a.yaml"),
            // Outside, there is nothing to be relative to but the folder.
            (&here, "../../../e.yaml", "../../../e.yaml"),
            (&here, "/tmp/f.yaml", "/tmp/f.yaml"),
        ] {
            assert_eq!(within(std::slice::from_ref(&root), folder, file), expected, "{file}");
        }
    }

    #[test]
    fn without_a_repository_paths_are_from_the_folder() {
        let here = Path::new("/home/me/nets");
        for roots in [vec![], vec![PathBuf::from("/elsewhere")]] {
            assert_eq!(within(&roots, here, "a/b.yaml"), "a/b.yaml");
            assert_eq!(within(&roots, here, "/home/me/nets/a.yaml"), "a.yaml");
            assert_eq!(within(&roots, here, "/home/me/other.yaml"), "/home/me/other.yaml");
        }
    }
}
