//! What a project demands of a spec beside the rules: budgets, and quantities that may only improve.

use std::collections::BTreeMap;

use crate::rules::quantity::{Found, Subject, difference, holds, measure, show_found, show_target};
use crate::rules::{Facts, Finding, Location, Meta, OVER_BUDGET, WORSE_THAN_BASELINE};
use crate::{Baseline, Budget};
use cnnkit_core::source::SourceId;
use cnnkit_core::spec::expectation::{Better, EXPECTABLE, Limit, Target};
use cnnkit_core::value::Number;

/// Figures of one spec by name, as a baseline keeps them: one number, or one an axis.
pub type Figures = BTreeMap<String, Vec<Number>>;

/// What is wrong with the spec at `path` (from the project's folder), and its figures that ratchet. `source` is the
/// project's file among the spec's texts.
pub fn judge(
    facts: &Facts<'_>,
    path: &str,
    budgets: &[&Budget],
    baseline: Option<&Baseline>,
    source: SourceId,
) -> (Vec<(&'static Meta, Finding)>, Figures) {
    let (mut found, mut figures) = (Vec::new(), Figures::new());
    for budget in budgets {
        for limit in &budget.limits {
            let place = Location::Token(cnnkit_core::source::Span { source, ..limit.span });
            found.extend(over(facts, limit, place).map(|finding| (&OVER_BUDGET, finding)));
        }
        for &(quantity, span) in &budget.ratchet {
            let name = EXPECTABLE[quantity].name;
            let place = Location::Token(cnnkit_core::source::Span { source, ..span });
            match measure(facts, &Subject::Network, &EXPECTABLE[quantity]) {
                Ok(Found::Numbers(numbers)) => {
                    let before = baseline.and_then(|baseline| baseline.figures.get(path)?.get(name));
                    let worse = before.and_then(|before| worse(quantity, &numbers, before));
                    found.extend(worse.map(|finding| {
                        (&WORSE_THAN_BASELINE, finding.related(place, "it may only improve"))
                    }));
                    figures.insert(name.to_owned(), numbers);
                }
                Ok(Found::Flag(_)) => {}
                Err(problem) => {
                    let message = format!("`{name}` cannot be told: {}", problem.message);
                    let finding = Finding::new(Location::Network, message).help("take it out of `ratchet`");
                    found.push((&WORSE_THAN_BASELINE, finding.related(place, "it may only improve")));
                }
            }
        }
    }
    (found, figures)
}

fn over(
    facts: &Facts<'_>,
    limit: &cnnkit_core::spec::expectation::Expectation,
    place: Location,
) -> Option<Finding> {
    let quantity = limit.expectable();
    let measured = match measure(facts, &Subject::Network, quantity) {
        Ok(measured) if holds(&measured, limit.limit, &limit.target) => return None,
        Ok(measured) => measured,
        Err(problem) => {
            let message = format!("`{}` cannot be told: {}", quantity.name, problem.message);
            let finding = Finding::new(Location::Network, message).help("take it out of the budget");
            return Some(finding.related(place, "the budget"));
        }
    };
    let bound = match limit.limit {
        Limit::Exact => "",
        Limit::Min => "at least ",
        Limit::Max => "at most ",
    };
    let off =
        difference(quantity.unit, &measured, &limit.target).map_or(String::new(), |off| format!(": {off}"));
    let message = format!(
        "`{}` is {}, the budget is {bound}{}{off}",
        quantity.name,
        show_found(quantity.unit, &measured),
        show_target(quantity.unit, &limit.target)
    );
    Some(
        Finding::new(Location::Network, message)
            .help("make the network fit, or change the budget")
            .related(place, "the budget"),
    )
}

fn worse(quantity: usize, now: &[Number], before: &[Number]) -> Option<Finding> {
    let expectable = &EXPECTABLE[quantity];
    let worse = |(now, before): (&Number, &Number)| match expectable.better {
        Some(Better::Less) => now > before,
        _ => now < before,
    };
    // Another number of axes cannot be compared: that is another network.
    if now.len() == before.len() && !now.iter().zip(before).any(worse) {
        return None;
    }
    let (found, was) = (Found::Numbers(now.to_vec()), Found::Numbers(before.to_vec()));
    let off = match before {
        [only] => difference(expectable.unit, &found, &Target::Number(*only)),
        _ => None,
    };
    let message = format!(
        "`{}` is {}, it was {}{}",
        expectable.name,
        show_found(expectable.unit, &found),
        show_found(expectable.unit, &was),
        off.map_or(String::new(), |off| format!(": {off}"))
    );
    Some(
        Finding::new(Location::Network, message)
            .help("mend it, or accept it with `cnnkit check --update-baseline`"),
    )
}
