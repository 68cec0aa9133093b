//! Budgets that apply to no spec, for example after a folder was renamed: they no longer guard anything.

use crate::rules::IDLE_BUDGET;
use crate::{Checked, Located, Outcome, Project, targets};
use cnnkit_core::diagnostic::{Code, Diagnostic};

/// Returns the findings on the project's own file if the globs of a budget match none of the `specs` of the
/// call, no other spec or model below the project's folder, and none of the `built_in` specs.
pub fn idle_budgets(project: &Project, specs: &[String], built_in: &[&str]) -> Option<Checked> {
    let unmatched = |paths: &[String]| -> Vec<usize> {
        let inside: Vec<String> = paths.iter().map(|path| project.inside(path)).collect();
        let matches = |index: &usize| inside.iter().any(|path| project.budgets[*index].specs.is_match(path));
        (0..project.budgets.len()).filter(|index| !matches(index)).collect()
    };
    let mut idle = unmatched(specs);
    if idle.is_empty() {
        return None;
    }
    // A call for one file must not report the budgets of other files. A folder without specs matches nothing.
    let all = targets(&[project.folder.to_string_lossy().into_owned()]).unwrap_or_default();
    let zoo = built_in.iter().map(|name| format!("zoo:{name}"));
    let rest = unmatched(&all.specs.into_iter().chain(zoo).collect::<Vec<_>>());
    idle.retain(|index| rest.contains(index));
    let file = project.sources.iter().next()?;
    let finding = |index: usize| {
        let message = "the globs of this budget match no spec of the project";
        let help = "they are relative to the folder of cnnkit.toml: `specs = [\"nets/**\"]`";
        let error = Diagnostic::error(Code::InvalidValue, message, project.budgets[index].place);
        Located { severity: IDLE_BUDGET.severity, ..Located::of_error(&IDLE_BUDGET, error.help(help)) }
    };
    let findings: Vec<Located> = idle.into_iter().map(finding).collect();
    (!findings.is_empty()).then(|| Checked {
        path: file.name.clone(),
        name: None,
        sources: project.sources.clone(),
        outcome: Outcome { findings, ..Outcome::default() },
    })
}
