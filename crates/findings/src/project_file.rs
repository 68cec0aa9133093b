//! The file with a project's settings, and paths relative to the project.

use std::path::Path;

/// Name of a project's file.
pub const PROJECT_FILE: &str = "cnnkit.toml";
/// Name of the file whose table `tool.cnnkit` is read where there is no [`PROJECT_FILE`].
pub const PYPROJECT_FILE: &str = "pyproject.toml";

/// Returns whether `path` is a project's file.
pub fn is_project_file(path: &str) -> bool {
    Path::new(path).file_name().is_some_and(|name| name == PROJECT_FILE || name == PYPROJECT_FILE)
}

/// Returns the path relative to the project's folder (the nearest with `.git` or `cnnkit.toml`), so that the current
/// folder does not matter.
pub fn in_project(file: &str) -> String {
    let Ok(real) = Path::new(file).canonicalize() else { return file.to_owned() };
    let root =
        real.ancestors().skip(1).find(|dir| dir.join(".git").exists() || dir.join(PROJECT_FILE).exists());
    let inside = root.and_then(|root| real.strip_prefix(root).ok());
    inside.map_or_else(
        || file.strip_prefix("./").unwrap_or(file).to_owned(),
        |path| path.to_string_lossy().replace('\\', "/"),
    )
}
