//! The specs of `specs/techniques`: each demonstrates its technique, and every figure about it is measured.

use cnnkit::graph::Graph;
use cnnkit::spec::grammar::TECHNIQUES;
use cnnkit::spec::{self, Overrides};
use cnnkit::verify::demo::DEMOS;
use cnnkit::verify::{Analysis, Effort, Kind, Options};
use cnnkit::zoo::Zoo;
use rayon::prelude::*;

use super::{broken, measure};

/// Name, network, and the technique that it demonstrates.
fn techniques() -> Vec<(&'static str, Graph, Option<&'static str>)> {
    let names = Zoo::names().into_iter().filter(|(folder, _)| *folder == "techniques");
    let load = |name: &'static str| {
        let path = Zoo::path(name).expect("a built-in spec");
        let loaded = spec::load(&Zoo, &path, &Overrides::default()).unwrap_or_else(|_| panic!("{name}"));
        (name, loaded.graph, loaded.demonstrates)
    };
    names.map(|(_, name)| load(name)).collect()
}

#[test]
fn every_technique_has_a_demo_and_every_demo_a_technique() {
    let demos: Vec<&str> = DEMOS.iter().map(|demo| demo.name).collect();
    assert_eq!(demos, TECHNIQUES);
    let specs = techniques();
    assert!(specs.len() > 30);
    for (name, _, demonstrates) in &specs {
        // The plain ones are what a technique is compared with.
        assert_eq!(demonstrates.is_none(), name.ends_with("-plain"), "{name}");
    }
    for demo in demos {
        assert!(
            specs.iter().any(|(_, _, demonstrates)| *demonstrates == Some(demo)),
            "no spec demonstrates {demo}"
        );
    }
}

#[test]
fn every_technique_is_verified() {
    let results: Vec<String> = techniques()
        .into_par_iter()
        .map(|(name, graph, demonstrates)| {
            let options = Options { effort: Effort::Fast, technique: demonstrates, ..Options::default() };
            let outcome = measure(&graph, &Analysis, &options);
            let run = outcome.claims.iter().filter(|claim| claim.claim == Kind::Technique).count();
            assert_eq!(run > 0, demonstrates.is_some(), "{name}");
            if outcome.ok() { String::new() } else { format!("{name}:\n{}", broken(&outcome)) }
        })
        .collect();
    let failures: Vec<&String> = results.iter().filter(|text| !text.is_empty()).collect();
    assert!(failures.is_empty(), "{failures:#?}");
}
