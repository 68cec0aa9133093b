//! Layers and networks from text, and the shipped specs.

use std::path::Path;

use cnnkit::diagnostic::Rejected;
use cnnkit::disk::Disk;
use cnnkit::graph::Graph;
use cnnkit::layers::{Layer, find};
use cnnkit::render::{Canvas, diagnostics};
use cnnkit::source::{Sources, Span};
use cnnkit::spec::files::Text;
use cnnkit::spec::{self, Overrides, yaml};

/// The layer `name` with the arguments written in `args`.
pub fn layer(name: &str, args: &str) -> Layer {
    let (kind, _) = find(name).unwrap_or_else(|| panic!("no layer {name}"));
    let mut sources = Sources::default();
    let source = sources.add("arguments", args);
    let located = yaml::parse(&sources, source).expect("arguments are YAML");
    kind.build(&located, Span::new(source, 0, 0)).unwrap_or_else(|errors| panic!("{name} {args}: {errors:?}"))
}

/// The network written in `text`.
pub fn network(text: &str) -> Graph {
    let files = Text { name: "test".into(), bytes: text.into() };
    match spec::load(&files, "test", &Overrides::default()) {
        Ok(loaded) => loaded.graph,
        Err(rejected) => {
            let Rejected { sources, flaws: list } = *rejected;
            let canvas = Canvas { width: 100, color: false, tables: true };
            panic!("{}\n{text}", diagnostics::render(&list, &sources, canvas))
        }
    }
}

/// The network `name` of the zoo.
pub fn zoo(name: &str) -> Graph {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("specs/zoo/{name}.yaml"));
    let path = path.to_string_lossy();
    spec::load(&Disk::of(&path), &path, &Overrides::default()).expect("a valid spec").graph
}

/// The networks in some folders of `specs/`, by path.
pub fn shipped(folders: &[&str]) -> Vec<(String, Graph)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("specs");
    let mut found = Vec::new();
    for folder in folders {
        for entry in std::fs::read_dir(root.join(folder)).expect("a folder") {
            let path = entry.expect("an entry").path().to_string_lossy().into_owned();
            let loaded = spec::load(&Disk::of(&path), &path, &Overrides::default()).expect("a valid spec");
            found.push((path, loaded.graph));
        }
    }
    found
}
