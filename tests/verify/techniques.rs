//! The specs of `specs/techniques`: each demonstrates what it says, and every figure about it is measured.

use cnnkit::spec::grammar::TECHNIQUES;
use cnnkit::spec::{self, Overrides, files::Zoo};
use cnnkit::verify::demo::DEMOS;
use cnnkit::verify::{Analysis, Effort, Kind, Options};
use rayon::prelude::*;

use super::{broken, measure};

fn techniques() -> Vec<(&'static str, spec::Loaded)> {
    let names = Zoo::names().into_iter().filter(|(folder, _)| *folder == "techniques");
    let load = |name: &'static str| {
        let path = Zoo::path(name).expect("a built-in spec");
        spec::load(&Zoo, &path, &Overrides::default()).unwrap_or_else(|_| panic!("{name}"))
    };
    names.map(|(_, name)| (name, load(name))).collect()
}

#[test]
fn every_technique_demonstrates_something_and_every_demonstration_is_of_one() {
    let demos: Vec<&str> = DEMOS.iter().map(|demo| demo.name).collect();
    assert_eq!(demos, TECHNIQUES);
    let specs = techniques();
    assert!(specs.len() > 30);
    for (name, loaded) in &specs {
        // The plain ones are what a technique is compared with.
        assert_eq!(loaded.demonstrates.is_none(), name.ends_with("-plain"), "{name}");
    }
    for demo in demos {
        assert!(
            specs.iter().any(|(_, loaded)| loaded.demonstrates == Some(demo)),
            "no spec demonstrates {demo}"
        );
    }
}

#[test]
fn every_technique_is_verified() {
    // A document stays on its thread; graphs go to all of them.
    let specs: Vec<_> =
        techniques().into_iter().map(|(name, spec)| (name, spec.graph, spec.demonstrates)).collect();
    let results: Vec<String> = specs
        .par_iter()
        .map(|(name, graph, technique)| {
            let options = Options { effort: Effort::Fast, technique: *technique, ..Options::default() };
            let outcome = measure(graph, &Analysis, &options);
            let run = outcome.claims.iter().filter(|claim| claim.claim == Kind::Technique).count();
            assert_eq!(run > 0, technique.is_some(), "{name}");
            if outcome.ok() { String::new() } else { format!("{name}:\n{}", broken(&outcome)) }
        })
        .collect();
    let failures: Vec<&String> = results.iter().filter(|text| !text.is_empty()).collect();
    assert!(failures.is_empty(), "{failures:#?}");
}
