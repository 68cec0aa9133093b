//! Checks many specs in parallel, on all cores.

use std::sync::Arc;

use rayon::prelude::*;

use crate::rules::{FAILED_CLAIM, Facts, OVER_BUDGET};
use crate::verified::measure;
use crate::{
    Baseline, Budget, Checked, Choices, Extra, Outcome, Project, Skipped, in_project, judge, judge_all,
    rejected, settle,
};
use cnnkit_core::diagnostic::{Code, Problem, Rejected};
use cnnkit_core::graph::Graph;
use cnnkit_core::source::Sources;
use cnnkit_core::spec::document::Document;

/// The settings of a check.
pub struct Plan<'a> {
    /// The project, with its rules and budgets.
    pub project: &'a Project,
    /// Choices of the call, which override those of the project.
    pub choices: &'a Choices,
    /// Figures that may only improve.
    pub baseline: Option<&'a Baseline>,
    /// Whether to run networks and measure every prediction.
    pub verify: bool,
    /// Bytes of memory that running them may use; unlimited if none.
    pub memory: Option<u64>,
    /// Loads the network of a SPEC argument.
    pub load: &'a (dyn Fn(&str) -> Result<Subject, Box<Rejected>> + Sync),
}

/// A network to check.
#[derive(Debug)]
pub struct Subject {
    /// Its graph.
    pub graph: Graph,
    /// The spec as written; `None` for a model file.
    pub document: Option<Document>,
    /// The texts that it was read from.
    pub sources: Sources,
    /// The number of operators of a model file that no figure includes.
    pub left_out: usize,
}

/// Checks every spec, on all cores.
pub fn run(specs: &[String], plan: &Plan<'_>) -> Vec<Checked> {
    let mut checked: Vec<Checked> = match specs {
        // The thread pool costs more than checking one network.
        [only] => vec![one(only, plan)],
        several => several.par_iter().map(|spec| one(spec, plan)).collect(),
    };
    settle(&mut checked);
    checked
}

fn one(path: &str, plan: &Plan<'_>) -> Checked {
    match (plan.load)(path) {
        Ok(Subject { graph, document, mut sources, left_out }) => {
            let mut outcome = judged(path, plan, &graph, document.as_ref(), &mut sources);
            // A budget is not checked on a part of the network only.
            if left_out > 0 && plan.project.budgets(path).next().is_some() {
                let message =
                    format!("{left_out} operators of the model are not analysed, so its figures are partial");
                let problem = Problem::new(Code::Limit, message).help("`cnnkit params` lists them");
                outcome.skipped.push(Skipped { rule: &OVER_BUDGET, problem });
            }
            Checked { path: path.to_owned(), name: Some(graph.name().to_owned()), sources, outcome }
        }
        Err(refused) => {
            let Rejected { sources, flaws: errors } = *refused;
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
    // The budgets' positions are in the project's file.
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
            match measure(facts, plan.memory) {
                Ok(found) => extra.findings.extend(found),
                Err(problem) => extra.skipped.push(Skipped { rule: &FAILED_CLAIM, problem }),
            }
        }
        extra
    })
}
