//! Many specs at once, on all cores.

use std::sync::Arc;

use rayon::prelude::*;

use crate::rules::{FAILED_CLAIM, Facts, OVER_BUDGET};
use crate::verified::measure;
use crate::{
    Baseline, Budget, Choices, Extra, Outcome, Project, Skipped, in_project, judge, judge_all, rejected,
};
use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_core::graph::Graph;
use cnnkit_core::source::Sources;
use cnnkit_core::spec::Rejected;
use cnnkit_core::spec::document::Document;

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
    /// Reads the network of a SPEC argument.
    pub load: &'a (dyn Fn(&str) -> Result<Subject, Rejected> + Sync),
}

/// A network to check.
#[derive(Debug)]
pub struct Subject {
    /// Its graph.
    pub graph: Graph,
    /// The spec as it is written; none for a model file.
    pub document: Option<Document>,
    /// The texts that it was read from.
    pub sources: Sources,
    /// How many operators of a model file are in no figure.
    pub left_out: usize,
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
    match (plan.load)(path) {
        Ok(Subject { graph, document, mut sources, left_out }) => {
            let mut outcome = judged(path, plan, &graph, document.as_ref(), &mut sources);
            // A budget that holds for a part of the network holds for nothing.
            if left_out > 0 && plan.project.budgets(path).next().is_some() {
                let message =
                    format!("{left_out} operators of the model are not analysed, so its figures are partial");
                let problem = Problem::new(Code::Limit, message).help("`cnnkit params` lists them");
                outcome.skipped.push(Skipped { rule: &OVER_BUDGET, problem });
            }
            Checked { path: path.to_owned(), name: Some(graph.name), sources, outcome }
        }
        Err(refused) => {
            let (sources, errors) = *refused;
            Checked { path: path.to_owned(), name: None, sources, outcome: rejected(errors) }
        }
    }
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
