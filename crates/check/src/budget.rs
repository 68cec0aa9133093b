//! A project's limits on a spec, in addition to the rules: budgets, and quantities that may only improve.

use crate::rules::quantity::{Found, Subject, difference, holds, measure, show_found, show_target};
use crate::rules::{Facts, Finding, Location, Meta, OVER_BUDGET, WORSE_THAN_BASELINE};
use crate::{Baseline, Budget, Figures};
use cnnkit_core::source::SourceId;
use cnnkit_core::spec::expectation::{Better, Limit, Quantity, Target};
use cnnkit_core::value::Number;

/// Returns the findings about budgets for the spec at `path` (relative to the project's folder), and its ratcheted
/// figures. `source` is the project's file among the spec's texts.
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
            let name = quantity.expectable().name;
            let place = Location::Token(cnnkit_core::source::Span { source, ..span });
            match measure(facts, &Subject::Network, quantity) {
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
                    let message = format!("cannot compute `{name}`: {}", problem.message);
                    let finding = Finding::new(Location::Network, message).help("remove it from `ratchet`");
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
    let measured = match measure(facts, &Subject::Network, limit.quantity) {
        Ok(measured) if holds(&measured, limit.limit, &limit.target) => return None,
        Ok(measured) => measured,
        Err(problem) => {
            let message = format!("cannot compute `{}`: {}", quantity.name, problem.message);
            let finding = Finding::new(Location::Network, message).help("remove it from the budget");
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

fn worse(quantity: Quantity, now: &[Number], before: &[Number]) -> Option<Finding> {
    let expectable = quantity.expectable();
    let worse = |(now, before): (&Number, &Number)| match expectable.better {
        Some(Better::Less) => now > before,
        _ => now < before,
    };
    // A different number of axes cannot be compared: that is another network.
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
            .help("improve it again, or accept it with `cnnkit check --update-baseline`"),
    )
}
