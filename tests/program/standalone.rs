//! `zoo show` and `new`: specs that work alone.

use std::process::Command;

use cnnkit::Network;
use cnnkit::zoo::Zoo;

use crate::support::program::{call, json, temporary};

#[test]
fn every_built_in_spec_is_printed_as_one_file_that_works() {
    let (mut resolved, mut comments) = (0, 0);
    for (_, name) in Zoo::names() {
        let (status, text, errors) = call(&["zoo", "show", name]);
        assert_eq!(status, Some(0), "{name}: {errors}");
        assert!(!text.lines().any(|line| line.starts_with("include:")), "{name} includes a file");
        let alone = Network::from_bytes(&format!("{name}.yaml"), text.as_str())
            .unwrap_or_else(|error| panic!("{name}: {error}\n{text}"));
        let original = Network::load(&format!("zoo:{name}")).expect("a built-in spec");
        assert_eq!(alone.totals(), original.totals(), "{name}");
        let ids =
            |network: &Network| network.graph.nodes().iter().map(|node| node.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&alone), ids(&original), "{name}");
        // Blocks that it does not use were left out.
        let unused: Vec<String> = alone
            .findings()
            .into_iter()
            .filter(|finding| finding.rule.id == "CK101")
            .map(|f| f.message)
            .collect();
        assert!(unused.is_empty(), "{name}: {unused:?}");
        let file = Zoo::text(name).expect("a text");
        if file.contains("\ninclude:") {
            resolved += 1;
            comments += usize::from(text.contains("# Residual networks") || text.contains('#'));
        }
    }
    assert!(resolved >= 25 && comments >= 20, "{resolved} specs include files, {comments} keep comments");
}

#[test]
fn new_copies_a_network_and_overwrites_nothing() {
    let folder = temporary("new");
    let file = folder.join("mine.yaml");
    let _ = std::fs::remove_file(&file);
    let path = file.to_string_lossy().into_owned();
    let value = json(&["new", "--from", "zoo:resnet50", &path]);
    assert_eq!((&value["command"], &value["from"]), (&"new".into(), &"zoo:resnet50".into()));
    assert_eq!(json(&["params", &path])["totals"]["params"], 25_557_032);
    let narrow = json(&["params", &path, "--set", "classes=10"]);
    assert_eq!(narrow["totals"]["params"], 23_528_522);
    assert_eq!(call(&["new", "--from", "zoo:resnet50", &path]).0, Some(2));
    // Without a name it is called as the network is.
    let _ = std::fs::remove_file(folder.join("unet.yaml"));
    let status = Command::new(env!("CARGO_BIN_EXE_cnnkit"))
        .args(["new", "--from", "zoo:unet"])
        .current_dir(&folder)
        .output()
        .expect("the program runs");
    assert!(status.status.success() && folder.join("unet.yaml").exists());
}

#[test]
fn the_techniques_name_specs_that_work_anywhere() {
    for (folder, name) in Zoo::names() {
        let text = Zoo::text(name).expect("a text");
        for line in text.lines().filter(|line| line.starts_with("# Compare:")) {
            assert!(!line.contains("specs/"), "{folder}/{name}: {line}");
            for spec in line.split([' ', ';']).filter_map(|word| word.strip_prefix("zoo:")) {
                assert!(Zoo::path(spec).is_some(), "{name}: zoo:{spec}");
            }
        }
    }
}
