//! Repeated consecutive items: `repeat`. It adds no level of ids, so that items which are equal as text have the same
//! meaning as their repetition; names may count up with the rounds.

use super::emit::{Name, Yaml};

/// Maximum length of a body that is searched for.
const LONGEST: usize = 16;

/// Folds repetition in `items`; the shortest repeating body first.
pub(super) fn folded(items: Vec<Yaml>) -> Vec<Yaml> {
    let mut out: Vec<Yaml> = Vec::new();
    let mut at = 0;
    while at < items.len() {
        let best = (1..=LONGEST.min((items.len() - at) / 2))
            .map(|length| (length, rounds(&items[at..], length)))
            // A body of one line is folded from the second round on, if that saves lines.
            .find(|&(length, rounds)| rounds >= 2 && rounds * length >= 3);
        let Some((length, rounds)) = best else {
            out.push(items[at].clone());
            at += 1;
            continue;
        };
        let mut body: Vec<Yaml> = items[at..at + length].to_vec();
        let next = &items[at + length..at + 2 * length];
        for (item, other) in body.iter_mut().zip(next) {
            count(item, other);
        }
        out.push(Yaml::entry(
            "repeat",
            Yaml::Map(vec![
                ("times".into(), Yaml::Plain(rounds.to_string())),
                ("body".into(), Yaml::Layers(folded(body))),
            ]),
        ));
        at += rounds * length;
    }
    out
}

/// Returns the body of rounds that are all equal, except for names that count; `None` if they are not.
pub(super) fn one_body(all: &[Vec<Yaml>]) -> Option<Vec<Yaml>> {
    let length = all.first()?.len();
    let items: Vec<Yaml> = all.iter().flatten().cloned().collect();
    if length == 0
        || all.len() < 2
        || all.iter().any(|body| body.len() != length)
        || rounds(&items, length) != all.len()
    {
        return None;
    }
    let mut body = items[..length].to_vec();
    body.iter_mut().zip(&items[length..]).for_each(|(a, b)| count(a, b));
    Some(body)
}

/// Returns how often the first `length` items repeat consecutively.
fn rounds(items: &[Yaml], length: usize) -> usize {
    let mut body: Vec<Yaml> = items[..length].to_vec();
    let second = &items[length..2 * length];
    // The second round determines which names count.
    if !body.iter().zip(second).all(|(a, b)| alike(a, b)) {
        return 1;
    }
    body.iter_mut().zip(second).for_each(|(a, b)| count(a, b));
    let again = |round: usize| {
        let other = &items[round * length..(round + 1) * length];
        body.iter().zip(other).all(|(a, b)| equal(a, b, round as u64))
    };
    (2..items.len() / length).take_while(|&round| again(round)).count() + 2
}

/// Returns whether two items are equal, except for names that count up by one.
fn alike(item: &Yaml, next: &Yaml) -> bool {
    match (item, next) {
        (Yaml::Name(a), Yaml::Name(b)) => a == b || (!a.counted && !b.counted && counted_up(a, b, 1)),
        (Yaml::List(a), Yaml::List(b)) | (Yaml::Layers(a), Yaml::Layers(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b))
        }
        // The index of an inner repetition shadows the outer one.
        (Yaml::Map(a), Yaml::Map(b)) => {
            let entry = |(a, b): (&(String, Yaml), &(String, Yaml))| {
                a.0 == b.0 && if a.0 == "repeat" { a.1 == b.1 } else { alike(&a.1, &b.1) }
            };
            a.len() == b.len() && a.iter().zip(b).all(entry)
        }
        _ => item == next,
    }
}

/// Returns whether `other` is `item`, some of whose names count, in round `round`.
fn equal(item: &Yaml, other: &Yaml, round: u64) -> bool {
    match (item, other) {
        (Yaml::Name(a), Yaml::Name(b)) if a.counted && !b.counted => counted_up(a, b, round),
        (Yaml::List(a), Yaml::List(b)) | (Yaml::Layers(a), Yaml::Layers(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b, round))
        }
        (Yaml::Map(a), Yaml::Map(b)) => {
            let entry = |(a, b): (&(String, Yaml), &(String, Yaml))| {
                a.0 == b.0 && if a.0 == "repeat" { a.1 == b.1 } else { equal(&a.1, &b.1, round) }
            };
            a.len() == b.len() && a.iter().zip(b).all(entry)
        }
        _ => item == other,
    }
}

fn counted_up(a: &Name, b: &Name, round: u64) -> bool {
    a.stem == b.stem && matches!((a.number, b.number), (Some(a), Some(b)) if a.checked_add(round) == Some(b))
}

/// Marks the names of `item` that differ in the next round as counting.
fn count(item: &mut Yaml, next: &Yaml) {
    match (item, next) {
        (Yaml::Name(a), Yaml::Name(b)) => a.counted |= a != b,
        (Yaml::List(a), Yaml::List(b)) | (Yaml::Layers(a), Yaml::Layers(b)) => {
            a.iter_mut().zip(b).for_each(|(a, b)| count(a, b));
        }
        (Yaml::Map(a), Yaml::Map(b)) => a.iter_mut().zip(b).for_each(|(a, b)| count(&mut a.1, &b.1)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_count() {
        let item =
            |id: &str| Yaml::Map(vec![("id".into(), Yaml::name(id)), ("relu".into(), Yaml::Map(vec![]))]);
        let folded = folded(vec![item("a0"), item("a1"), item("a2"), item("b")]);
        assert_eq!(folded.len(), 2);
        assert!(format!("{folded:?}").contains("counted: true"));
    }

    #[test]
    fn bodies_of_several_layers_are_found() {
        let names = |list: &[&str]| list.iter().map(|name| Yaml::name(name)).collect::<Vec<_>>();
        assert_eq!(folded(names(&["conv", "relu", "conv", "relu", "pool"])).len(), 2);
        assert_eq!(folded(names(&["conv", "conv"])).len(), 2);
        assert_eq!(folded(names(&["x1", "x1", "x3"])).len(), 3);
    }
}
