//! Many specs at once, on all cores.

use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;

use crate::check::verified::measure;
use crate::check::{
    Baseline, Budget, Choices, Extra, Outcome, Project, Skipped, in_project, judge, judge_all, rejected,
};
use crate::diagnostic::{Code, Problem};
use crate::graph::{Graph, Op};
use crate::layers::Layer;
use crate::onnx::{self, bind::Bindings};
use crate::rules::{FAILED_CLAIM, Facts, OVER_BUDGET};
use crate::source::Sources;
use crate::spec::document::Document;
use crate::spec::files::{Disk, Files, Text, Zoo};
use crate::spec::{self, Loaded, Overrides, Rejected};

/// One spec and what is to be said of it.
#[derive(Debug)]
pub struct Checked {
    /// The SPEC argument, or the path.
    pub path: String,
    /// The network's name; none if it could not be built.
    pub name: Option<String>,
    /// The texts.
    pub sources: Sources,
    /// What was found.
    pub outcome: Outcome,
}

/// How specs are checked.
pub struct Plan<'a> {
    /// The project: its rules, its budgets.
    pub project: &'a Project,
    /// Choices of the call, over those of the project.
    pub choices: &'a Choices,
    /// Figures that may only improve.
    pub baseline: Option<&'a Baseline>,
    /// Whether networks are run to measure every prediction.
    pub verify: bool,
    /// What stands on standard input, if a spec is `-`.
    pub stdin: Option<&'a [u8]>,
}

/// Checks every spec, on all cores.
pub fn run(specs: &[String], plan: &Plan<'_>) -> Vec<Checked> {
    match specs {
        // The thread pool costs more than one network does.
        [only] => vec![one(only, plan)],
        several => several.par_iter().map(|spec| one(spec, plan)).collect(),
    }
}

fn one(path: &str, plan: &Plan<'_>) -> Checked {
    if Path::new(path).extension().is_some_and(|ending| ending.eq_ignore_ascii_case("onnx")) {
        return imported(path, plan);
    }
    match load(path, plan.stdin, &Overrides::default()) {
        Ok(Loaded { graph, document, mut sources, .. }) => {
            let outcome = judged(path, plan, &graph, Some(&document), &mut sources);
            Checked { path: path.to_owned(), name: Some(graph.name), sources, outcome }
        }
        Err(refused) => {
            let (sources, errors) = *refused;
            Checked { path: path.to_owned(), name: None, sources, outcome: rejected(errors) }
        }
    }
}

/// An ONNX model: findings name its nodes, and there is no text to show.
fn imported(path: &str, plan: &Plan<'_>) -> Checked {
    let mut sources = Sources::default();
    let model = match onnx::import::load(Path::new(path), &Bindings::default()) {
        Ok(model) => model,
        Err(errors) => {
            return Checked { path: path.to_owned(), name: None, sources, outcome: rejected(errors) };
        }
    };
    let mut outcome = judged(path, plan, &model.graph, None, &mut sources);
    let opaque =
        model.graph.nodes.iter().filter(|node| matches!(node.op, Op::Layer(Layer::Opaque(_)))).count();
    // A budget that holds for a part of the network holds for nothing.
    if opaque > 0 && plan.project.budgets(path).next().is_some() {
        let message = format!("{opaque} operators of the model are not analysed, so its figures are partial");
        let problem = Problem::new(Code::Limit, message).help("`cnnkit params` lists them");
        outcome.skipped.push(Skipped { rule: &OVER_BUDGET, problem });
    }
    Checked { path: path.to_owned(), name: Some(model.graph.name), sources, outcome }
}

fn judged(
    path: &str,
    plan: &Plan<'_>,
    graph: &Graph,
    document: Option<&Document>,
    sources: &mut Sources,
) -> Outcome {
    let mut selection = plan.project.selection(path);
    plan.choices.apply(&mut selection);
    let budgets: Vec<&Budget> = plan.project.budgets(path).collect();
    // Budgets have places in the project's file.
    let file = plan.project.sources.iter().next().filter(|_| !budgets.is_empty());
    let source = file.map(|file| sources.add(file.name.clone(), Arc::clone(&file.text)));
    let facts = Facts::new(graph, document, sources);
    judge_all(&facts, &selection, &|facts| {
        let mut extra = Extra::default();
        if let Some(source) = source {
            (extra.findings, extra.figures) =
                judge(facts, &in_project(path), &budgets, plan.baseline, source);
        }
        if plan.verify {
            match measure(facts) {
                Ok(found) => extra.findings.extend(found),
                Err(problem) => extra.skipped.push(Skipped { rule: &FAILED_CLAIM, problem }),
            }
        }
        extra
    })
}

/// The network of one SPEC argument.
pub fn load(path: &str, stdin: Option<&[u8]>, overrides: &Overrides) -> Result<Loaded, Rejected> {
    if let Some(name) = path.strip_prefix("zoo:") {
        let inside = Zoo::path(name).unwrap_or_else(|| name.to_owned());
        return spec::load(&Zoo, &inside, overrides);
    }
    let files: Box<dyn Files> = match (path, stdin) {
        ("-", Some(bytes)) => Box::new(Text { name: "<stdin>".into(), bytes: bytes.to_vec() }),
        _ => Box::new(Disk::of(path)),
    };
    spec::load(files.as_ref(), path, overrides)
}
