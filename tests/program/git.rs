//! `diff --git` and paths of findings, in a repository of their own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::program::temporary;

const NET: &str = "input: [3, 16, 16]\nlayers:\n  - conv: {out_channels: 8, kernel: 3}\n";

/// An empty repository, its git untouched by the user's settings.
fn repository(name: &str) -> PathBuf {
    let folder = temporary(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(folder.join("nets/old")).expect("a folder");
    git(&folder, &["init", "-q"]);
    folder
}

fn git(folder: &Path, args: &[&str]) {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]);
    let output = command.args(args).current_dir(folder).output().expect("git runs");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn cnnkit(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cnnkit"))
        .args(args)
        .current_dir(folder)
        .env("COLUMNS", "120")
        .env_remove("GITHUB_WORKSPACE")
        .env_remove("CI_PROJECT_DIR")
        .output()
        .expect("the program runs")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned()
}

fn write(folder: &Path, file: &str, text: &str) {
    std::fs::write(folder.join(file), text).expect("a file");
}

/// A repository with a network that changed, one that is new, one that was deleted with its folder, one whose block
/// changed in another file, and one that stayed.
fn changed(name: &str) -> PathBuf {
    let folder = repository(name);
    let with_block = "include: [blocks.yaml]\ninput: [3, 16, 16]\nlayers:\n  - b\n";
    write(&folder, "nets/changed.yaml", NET);
    write(&folder, "nets/same.yaml", NET);
    write(&folder, "nets/old/gone.yaml", NET);
    write(&folder, "nets/including.yaml", with_block);
    write(&folder, "nets/blocks.yaml", "blocks:\n  b: [conv: {out_channels: 4, kernel: 1}]\n");
    write(&folder, "values.yaml", "input: foo\nreplicas: 3\n");
    git(&folder, &["add", "-A"]);
    git(&folder, &["commit", "-q", "-m", "first"]);
    write(&folder, "nets/changed.yaml", &NET.replace('8', "16"));
    write(&folder, "nets/new.yaml", NET);
    write(&folder, "nets/blocks.yaml", "blocks:\n  b: [conv: {out_channels: 5, kernel: 1}]\n");
    std::fs::remove_dir_all(folder.join("nets/old")).expect("a folder");
    folder
}

#[test]
fn diff_git_has_a_row_for_each_network_that_differs() {
    let folder = changed("git-rows");
    let output = cnnkit(&folder, &["diff", "--git", "HEAD"]);
    let page = text(&output);
    assert_eq!(output.status.code(), Some(0), "{page}");
    let row = |name: &str| page.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
    for (name, status) in [
        ("nets/changed.yaml", "changed"),
        ("nets/including.yaml", "changed"),
        ("nets/new.yaml", "new"),
        ("nets/old/gone.yaml", "deleted"),
    ] {
        assert!(row(name).contains(status), "{name}:\n{page}");
    }
    assert!(!page.contains("same.yaml") && !page.contains("values.yaml"), "{page}");
    let json = cnnkit(&folder, &["diff", "--git", "HEAD", "--format", "json"]);
    let value: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    let list: Vec<(String, String)> = value["networks"]
        .as_array()
        .expect("networks")
        .iter()
        .map(|one| {
            (one["name"].as_str().unwrap_or("").to_owned(), one["status"].as_str().unwrap_or("").to_owned())
        })
        .collect();
    let wanted = [
        ("changed", "changed"),
        ("including", "changed"),
        ("new", "new"),
        ("gone", "deleted"),
        ("same", "same"),
    ];
    for (name, status) in wanted {
        assert!(list.contains(&(name.to_owned(), status.to_owned())), "{name}: {list:?}");
    }
    assert_eq!(list.len(), wanted.len(), "{list:?}");
    assert!(value["results"].as_array().is_some_and(|results| results.len() == 2), "{value}");
}

#[test]
fn diff_git_works_from_a_folder_and_for_new_specs() {
    let folder = changed("git-folder");
    let nets = folder.join("nets");
    let page = text(&cnnkit(&nets, &["diff", "--git", "HEAD"]));
    assert!(page.contains("\nchanged.yaml") && page.contains("\nold/gone.yaml"), "{page}");
    let page = text(&cnnkit(&folder, &["diff", "--git", "HEAD", "nets"]));
    assert!(page.contains("4 of 5 networks"), "{page}");
    let output = cnnkit(&folder, &["diff", "--git", "HEAD", "nets/new.yaml"]);
    assert!(output.status.success() && text(&output).contains("new"), "{}", text(&output));
    let output = cnnkit(&folder, &["diff", "--git", "HEAD", "nets/changed.yaml", "--format", "json"]);
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        (&value["old"], &value["networks"][0]["status"]),
        (&"nets/changed.yaml at HEAD".into(), &"changed".into())
    );
    // Nothing differs from what is now there.
    git(&folder, &["add", "-A"]);
    git(&folder, &["commit", "-q", "-m", "second"]);
    let page = text(&cnnkit(&folder, &["diff", "--git", "HEAD"]));
    assert!(page.contains("no network differs from HEAD"), "{page}");
    assert_eq!(cnnkit(&folder, &["diff", "--git", "HEAD", "nowhere.yaml"]).status.code(), Some(2));
}

#[test]
fn conditions_on_changes_do_not_hold_for_new_networks() {
    let folder = changed("git-conditions");
    let status = |condition: &str| {
        cnnkit(&folder, &["diff", "--git", "HEAD", "nets/new.yaml", "--fail-if", condition]).status.code()
    };
    assert_eq!(
        (status("params > 100"), status("params > 1M"), status("params > +1")),
        (Some(1), Some(0), Some(0))
    );
    let output = cnnkit(&folder, &["diff", "--git", "HEAD", "--fail-if", "params > +5%"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("fails: `params > +5%` holds for nets/changed.yaml"), "{}", text(&output));
}

#[test]
fn paths_of_findings_start_at_the_repository() {
    let folder = repository("git-annotations");
    // Rates 2, 2 leave holes: CK301.
    let spec = "input: [3, 32, 32]\nlayers:\n  - conv: {out_channels: 8, kernel: 3, dilation: 2, padding: 2}\n  - conv: {out_channels: 8, kernel: 3, dilation: 2, padding: 2}\n  - conv: {out_channels: 8, kernel: 3, dilation: 2, padding: 2}\n";
    write(&folder, "nets/holes.yaml", spec);
    let nets = folder.join("nets");
    let github = text(&cnnkit(&nets, &["check", "--format", "github"]));
    assert!(github.contains("file=nets/holes.yaml,"), "{github}");
    let sarif = text(&cnnkit(&nets, &["check", "holes.yaml", "--format", "sarif"]));
    assert!(sarif.contains("\"uri\": \"nets/holes.yaml\""), "{sarif}");
    let gitlab = text(&cnnkit(&nets, &["check", "--format", "gitlab"]));
    assert!(gitlab.contains("\"path\": \"nets/holes.yaml\""), "{gitlab}");
    // What GitHub checked out is the root, whatever else is inside.
    let workspace = Command::new(env!("CARGO_BIN_EXE_cnnkit"))
        .args(["check", "--format", "github"])
        .current_dir(&nets)
        .env("GITHUB_WORKSPACE", folder.parent().expect("a folder"))
        .output()
        .expect("the program runs");
    assert!(text(&workspace).contains("file=git-annotations/nets/holes.yaml,"), "{}", text(&workspace));
}
