//! What registries and their users need of each package: a description, its licences, a page to read. And that versions
//! agree, without which nothing can be published.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The packages of the workspace that are published, as cargo knows them.
fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--locked", "--no-deps", "--format-version", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages").clone();
    // `publish = false` is an empty list of registries.
    packages
        .into_iter()
        .filter(|package| package["publish"].as_array().is_none_or(|to| !to.is_empty()))
        .collect()
}

fn folder(package: &Value) -> PathBuf {
    let manifest = Path::new(package["manifest_path"].as_str().expect("a path"));
    manifest.parent().expect("a folder").to_path_buf()
}

#[test]
fn every_package_has_what_a_registry_shows() {
    let packages = packages();
    assert!(packages.len() >= 7, "{} packages", packages.len());
    for package in &packages {
        let text = |key: &str| package[key].as_str().unwrap_or_default();
        let name = text("name");
        let description = text("description");
        assert!((30..=200).contains(&description.len()), "{name}: {description:?}");
        assert_eq!(text("license"), "MIT OR Apache-2.0", "{name}");
        assert_eq!(text("readme"), "README.md", "{name}");
        assert!(!text("rust_version").is_empty(), "{name} states no oldest Rust");
    }
}

#[test]
fn every_package_carries_both_licences() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for package in packages() {
        for file in ["LICENSE-APACHE", "LICENSE-MIT"] {
            let own = folder(&package).join(file);
            let text = fs::read_to_string(&own).unwrap_or_else(|error| panic!("{}: {error}", own.display()));
            assert_eq!(Ok(text), fs::read_to_string(root.join(file)).map_err(|_| ()), "{}", own.display());
        }
        assert!(folder(&package).join("README.md").is_file(), "{} has no README.md", package["name"]);
    }
}

#[test]
fn packages_depend_on_each_other_by_the_version() {
    let packages = packages();
    let version = |package: &Value| package["version"].as_str().expect("a version").to_owned();
    let own: Vec<(String, String)> = packages
        .iter()
        .map(|package| (package["name"].as_str().expect("a name").to_owned(), version(package)))
        .collect();
    let mut seen = 0;
    for package in &packages {
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let Some((name, version)) = own.iter().find(|(name, _)| dependency["name"] == name.as_str())
            else {
                continue;
            };
            // Without a requirement, `cargo publish` refuses the package.
            assert_eq!(dependency["req"], format!("^{version}"), "{} of {}", name, package["name"]);
            seen += 1;
        }
    }
    assert!(seen > 10, "only {seen} dependencies inside the workspace");
}
