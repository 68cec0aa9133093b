//! The repository around the current folder.

use std::path::{Path, PathBuf};

use cnnkit_report::findings::Checkout;

/// Returns the current folder and the root of its repository: what GitHub checked out, else the nearest folder with a
/// `.git`, else the folder itself.
pub fn here() -> Checkout {
    let absolute = |path: PathBuf| path.canonicalize().unwrap_or(path);
    let folder = std::env::current_dir().map(absolute).unwrap_or_default();
    let workspace = std::env::var_os("GITHUB_WORKSPACE").filter(|path| !path.is_empty());
    let workspace =
        workspace.map(|path| absolute(PathBuf::from(path))).filter(|root| folder.starts_with(root));
    let repository = || folder.ancestors().find(|folder| folder.join(".git").exists()).map(Path::to_path_buf);
    let root = workspace.or_else(repository).unwrap_or_else(|| folder.clone());
    Checkout { root, folder }
}
