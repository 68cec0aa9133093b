//! Terms for values that differ between the groups of a class: a literal, a known parameter, or a new one.

use super::{Param, Slot, Term};

/// Returns the term for `values`: a literal, a known parameter, or the new one that `make` returns.
pub(super) fn term(
    params: &mut Vec<Param>,
    values: &[Option<String>],
    make: impl FnOnce(&[Param]) -> Param,
) -> Term {
    let known: Vec<&String> = values.iter().flatten().collect();
    let Some(first) = known.first() else { return Term::Literal(String::new()) };
    if known.iter().all(|value| value == first) {
        return Term::Literal((*first).clone());
    }
    let ratios = [(1, 1), (2, 1), (4, 1), (1, 2), (1, 4), (3, 1), (6, 1), (8, 1), (1, 8), (16, 1), (32, 1)];
    let tries = [false, true].into_iter().flat_map(|given| ratios.map(|ratio| (given, ratio)));
    for (given, (times, over)) in tries {
        for (index, param) in params.iter_mut().enumerate().filter(|(_, param)| param.given == given) {
            let fits = |(value, given): (&Option<String>, &Option<String>)| match (value, given) {
                (Some(value), Some(given)) => scaled(given, times, over).as_ref() == Some(value),
                _ => true,
            };
            let common = values.iter().zip(&param.values).filter(|(a, b)| a.is_some() && b.is_some()).count();
            if common < 2 || !values.iter().zip(&param.values).all(fits) {
                continue;
            }
            // The parameter's value in members that did not need it so far.
            let missing =
                values.iter().zip(&param.values).any(|(value, given)| value.is_some() && given.is_none());
            if missing {
                if (times, over) != (1, 1) {
                    continue;
                }
                for (given, value) in param.values.iter_mut().zip(values) {
                    if given.is_none() {
                        *given = value.clone();
                    }
                }
            }
            return Term::Param { index, times, over };
        }
    }
    let param = make(params);
    params.push(param);
    Term::Param { index: params.len() - 1, times: 1, over: 1 }
}

/// Computes `text * times / over`, if both are integers.
fn scaled(text: &str, times: i64, over: i64) -> Option<String> {
    if (times, over) == (1, 1) {
        return Some(text.to_owned());
    }
    let value = text.parse::<i64>().ok()?.checked_mul(times)?;
    (value % over == 0).then(|| (value / over).to_string())
}

/// Returns `name`, or a variant that no parameter has yet.
pub(super) fn free_name(params: &[Param], name: &str, path: &str) -> String {
    let taken = |name: &str| params.iter().any(|param| param.name == name);
    if !taken(name) {
        return name.to_owned();
    }
    let (path, first) = (path.replace(['.', '-'], "_"), path.split(['.', '-']).next().unwrap_or(path));
    let (short, stem) = (format!("{first}_{name}"), format!("{path}_{name}"));
    let numbered = (2..).map(|number| format!("{stem}_{number}"));
    [short, stem.clone()].into_iter().chain(numbered).find(|name| !taken(name)).unwrap_or(stem)
}

/// Returns the default of a parameter: the language's own default for this argument if half of the members have it,
/// otherwise a value that two thirds of them have. A required argument stays required.
pub(super) fn usual(slot: &Slot, values: &[Option<String>]) -> Option<String> {
    let default = slot.default.as_ref()?;
    let all: Vec<&String> = values.iter().flatten().collect();
    let times = |value: &String| all.iter().filter(|other| **other == value).count();
    if 2 * times(default) >= all.len() {
        return Some(default.clone());
    }
    all.iter().find(|value| 3 * times(value) >= 2 * all.len()).map(|value| (*value).clone())
}
