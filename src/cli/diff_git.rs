//! `cnnkit diff --git REVISION`: the networks of a project, or those that the call names, against a commit.

use std::path::Path;

use rayon::prelude::*;

use crate::cli::load::Loaded;
use crate::cli::{Failure, check};
use cnnkit::Loader;
use cnnkit::revision::Revision;
use cnnkit_check::Condition;
use cnnkit_core::spec::files::Files as _;
use cnnkit_report::Report;
use cnnkit_report::diff::revised::{NetworkStatus, RevisedNetwork};
use cnnkit_report::diff::{self, DiffSummary, DiffsSummary};
use cnnkit_report::imported::Figures;

/// Endings of files that a network is read from.
const ENDINGS: [&str; 3] = [".yaml", ".yml", ".onnx"];

/// A network at both times; one of them is there.
struct Sides {
    path: String,
    old: Option<Loaded>,
    new: Option<Loaded>,
    note: Option<String>,
}

/// Compares the networks that `paths` name, or all below this folder, with those of `revision`.
pub fn run(
    revision: &str,
    paths: &[String],
    loader: &Loader,
    conditions: &[Condition],
) -> Result<Report, Failure> {
    if let Some(path) = paths.iter().find(|path| *path == "-" || path.starts_with("zoo:")) {
        return Err(Failure::usage(
            format!("`{path}` is in no git repository"),
            "`--git` takes files and folders; without it, `cnnkit diff OLD NEW` compares two specs",
        ));
    }
    let then = Revision::of(revision, paths.first().map_or("./.", String::as_str))?;
    let named = !paths.is_empty() && paths.iter().all(|path| !Path::new(path).is_dir());
    let candidates = if named { paths.to_vec() } else { found(&then, paths)? };
    let load = |path: &String| sides(&then, loader, path, named);
    let mut networks = Vec::new();
    let mut failures = Vec::new();
    for result in candidates.par_iter().map(load).collect::<Vec<_>>() {
        match result {
            Ok(found) => networks.push(found),
            Err(failure) => failures.push(failure),
        }
    }
    Failure::unless_none(failures)?;
    summary(&networks, revision, named, conditions)
}

/// The specs and models below this folder (or `folders`), those that only the revision has included.
fn found(then: &Revision, folders: &[String]) -> Result<Vec<String>, Failure> {
    let project = check::project()?;
    let here = [".".to_owned()];
    let folders = if folders.is_empty() { &here[..] } else { folders };
    let excluded = |path: &str| project.exclude.is_match(project.inside(path));
    let mut all = Vec::new();
    for folder in folders {
        // A folder that holds no spec may have held one.
        let list = cnnkit_check::targets(std::slice::from_ref(folder));
        all.extend(list.map(|targets| targets.specs).unwrap_or_default());
    }
    let inside = |path: &str| {
        folders.iter().any(|folder| {
            let folder = folder.trim_start_matches("./").trim_end_matches('/');
            folder.is_empty() || folder == "." || Path::new(path).starts_with(folder)
        })
    };
    for path in then.files()? {
        let network = ENDINGS.iter().any(|ending| path.ends_with(ending));
        if network && inside(&path) && !Path::new(&path).exists() && was_network(then, &path) {
            all.push(path);
        }
    }
    all.retain(|path| !excluded(path));
    all.sort();
    all.dedup();
    Ok(all)
}

/// Whether a file of the revision was a network: other tools have YAML files as well.
fn was_network(then: &Revision, path: &str) -> bool {
    if [".onnx", ".pt2"].iter().any(|ending| path.to_ascii_lowercase().ends_with(ending)) {
        return true;
    }
    then.read(path).is_ok_and(|bytes| cnnkit_check::looks_like_spec(&String::from_utf8_lossy(&bytes)))
}

/// Loads both sides of one file.
fn sides(then: &Revision, loader: &Loader, path: &str, named: bool) -> Result<Sides, Failure> {
    let (now, before) = (Path::new(path).exists(), then.has(path));
    if !now && !before {
        return Err(Failure::usage(
            format!("there is no file `{path}`, neither now nor at the revision"),
            "check the path; without one, all networks below this folder are compared",
        ));
    }
    let new = if now { Some(loader.load(path)?) } else { None };
    let old = if before { Some(loader.files(then, path)) } else { None };
    let mut note = None;
    let old = match old.transpose() {
        Ok(old) => old,
        // Nobody can mend what is committed: a network that was broken is one that is new.
        Err(error) if new.is_some() && !named => {
            let why = error.diagnostics().into_iter().next().map(|flaw| flaw.message).unwrap_or_default();
            note = Some(format!("could not be read at the revision: {why}"));
            None
        }
        Err(error) => return Err(error.into()),
    };
    Ok(Sides { path: path.to_owned(), old, new, note })
}

fn summary(
    networks: &[Sides],
    revision: &str,
    named: bool,
    conditions: &[Condition],
) -> Result<Report, Failure> {
    let mut results: Vec<DiffSummary> = Vec::new();
    let mut all: Vec<RevisedNetwork> = Vec::new();
    for Sides { path, old, new, note } in networks {
        let revised = match (old, new) {
            (Some(old), Some(new)) => {
                let imports = [old, new].map(|side| side.import(Figures::Dependences));
                let names = [&format!("{path} at {revision}"), path.as_str()];
                let diff = diff::summary(names, [&old.facts(), &new.facts()], conditions, imports)?;
                let revised = RevisedNetwork::on_both_sides(new.graph.name(), path, &diff);
                if named || !diff.same() {
                    results.push(diff);
                }
                revised
            }
            (None, Some(only)) => {
                RevisedNetwork::on_one_side(path, &only.facts(), NetworkStatus::New, conditions)?
            }
            (Some(only), None) => {
                let gone =
                    RevisedNetwork::on_one_side(path, &only.facts(), NetworkStatus::Deleted, conditions)?;
                // Without a name of its own it is called as its file was, at the revision.
                let file = gone.name.strip_suffix(&format!(" at {revision}"));
                let stem = file.and_then(|file| Path::new(file).file_stem());
                let name = stem.map(|stem| stem.to_string_lossy().into_owned());
                RevisedNetwork { name: name.unwrap_or_else(|| gone.name.clone()), ..gone }
            }
            (None, None) => continue,
        };
        all.push(RevisedNetwork { note: note.clone(), ..revised });
    }
    // One network that is on both sides is shown in full, as two files are.
    if let (true, [_], 1) = (named, networks, results.len()) {
        let only = results.pop().map(|result| DiffSummary { networks: all, ..result });
        return Ok(only.map_or_else(|| Report::text(cnnkit_report::Page::default()), Report::of));
    }
    Ok(Report::of(DiffsSummary::new(results, all, revision, named)))
}
