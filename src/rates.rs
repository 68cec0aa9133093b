//! Lists of rates, kernels and strides as typed: `2,2,2`, `1,2,5/1,2,5`, `1x7,7x1`.

use cnnkit_core::analysis::gridding::{Layer, MOST_LAYERS, Stack};
use cnnkit_core::diagnostic::{Code, Diagnostic, Problem, Rejected};
use cnnkit_core::source::{SourceId, Sources, Span};

use crate::load::{LoadError, names_network};

/// A positional argument: rates or a network.
#[derive(Debug)]
pub enum Target {
    /// A list of rates, in groups.
    Rates(Vec<Vec<Item>>),
    /// A network: a path, `zoo:NAME` or `-`.
    Spec(String),
}

/// One entry of a list: a number for all axes, or one per axis (`1x7`).
pub type Item = Vec<u64>;

impl Target {
    /// Parses a list of rates, or returns the network that `text` names.
    pub fn parse(text: &str) -> Result<Self, LoadError> {
        if is_spec(text) { Ok(Self::Spec(text.to_owned())) } else { Ok(Self::Rates(groups("RATES", text)?)) }
    }
}

/// Returns whether `text` can only name a network: a mistyped list must be reported as a list.
fn is_spec(text: &str) -> bool {
    let starts_as_list = text.starts_with(|c: char| c.is_ascii_digit());
    names_network(text) || (!starts_as_list && !text.contains(',') && text.chars().count() > 1)
}

/// Parses a list without groups, as for `--kernels` and `--strides`.
pub fn list(name: &str, text: &str) -> Result<Vec<Item>, LoadError> {
    let groups = groups(name, text)?;
    match <[Vec<Item>; 1]>::try_from(groups) {
        Ok([single]) => Ok(single),
        Err(_) => Err(usage(format!("{name} has groups"), "give one list, without `/`")),
    }
}

/// Parses groups of whole numbers; every bad token is reported with its position.
pub fn groups(name: &str, text: &str) -> Result<Vec<Vec<Item>>, LoadError> {
    let mut sources = Sources::default();
    let source = sources.add(name, text);
    let mut flaws = Vec::new();
    let mut groups = vec![vec![]];
    let mut start = 0;
    for (end, separator) in text.match_indices([',', '/']).chain([(text.len(), "")]) {
        let token = &text[start..end];
        match item(token) {
            Ok(item) => groups.last_mut().into_iter().for_each(|group| group.push(item.clone())),
            Err(problem) => flaws.push(at(problem, source, start, token)),
        }
        if separator == "/" {
            groups.push(vec![]);
        }
        start = end + separator.len();
    }
    let count: usize = groups.iter().map(Vec::len).sum();
    if count > MOST_LAYERS {
        return Err(usage(
            format!("not supported: {count} layers, more than {MOST_LAYERS}"),
            "join equal rates into one larger kernel",
        ));
    }
    if flaws.is_empty() {
        Ok(groups)
    } else {
        Err(LoadError::Rejected(Box::new(Rejected { sources, flaws })))
    }
}

fn at(problem: Problem, source: SourceId, start: usize, token: &str) -> Diagnostic {
    let padding = token.len() - token.trim_start().len();
    let start = start + padding;
    let span = Span::new(source, start, start + token.trim().len().max(1));
    let mut diagnostic = Diagnostic::error(problem.code, problem.message, span);
    diagnostic.help.extend(problem.help);
    diagnostic
}

/// Parses `3`, or `1x7` with one number per axis.
fn item(token: &str) -> Result<Item, Problem> {
    let whole = "give whole numbers of at least 1 with commas between: 1,2,5";
    let invalid = |message: String| Problem::new(Code::InvalidValue, message).help(whole);
    if token.trim().is_empty() {
        return Err(invalid("a number is missing here".into()));
    }
    let numbers = token.trim().split('x').map(|text| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse::<u64>() {
            _ if !digits => Err(invalid(format!("`{}` is not a whole number", token.trim()))),
            Ok(0) => Err(invalid(format!("`{}` is less than 1", token.trim()))),
            Ok(number) => Ok(number),
            Err(_) => Err(Problem::new(Code::Limit, "not supported: a number of more than 64 bits")
                .help("no network is this large: check the digits")),
        }
    });
    let numbers: Item = numbers.collect::<Result<_, _>>()?;
    if numbers.len() > MOST_AXES {
        return Err(Problem::new(
            Code::InvalidValue,
            format!("`{}` has more than {MOST_AXES} axes", token.trim()),
        )
        .help("give one number, or one for each axis: 3, 1x7, 1x3x3"));
    }
    Ok(numbers)
}

/// Returns the rate of a layer, because the published rule has one rate per layer.
///
/// # Errors
/// If the layer has different rates on its axes.
pub fn square(item: &Item) -> Result<u64, Problem> {
    match item[..] {
        [first, ref rest @ ..] if rest.iter().all(|&rate| rate == first) => Ok(first),
        _ => Err(Problem::new(
            Code::InvalidValue,
            "the published rule knows one rate per layer, not one per axis",
        )
        .help("check each axis by itself, or use `cnnkit gridding`")),
    }
}

const MOST_AXES: usize = 3;

/// Returns a flaw of the lists as a whole.
fn usage(message: impl Into<String>, help: impl Into<String>) -> LoadError {
    Problem::new(Code::InvalidValue, message).help(help).into()
}

/// Returns a stack from lists; a list of one entry applies to all layers, an entry of one number to all axes.
pub fn stack(
    rates: &[Item],
    kernels: &[Item],
    strides: &[Item],
    axes: Option<usize>,
) -> Result<Stack, LoadError> {
    let lists = [("rates", rates), ("kernels", kernels), ("strides", strides)];
    let named = lists.iter().flat_map(|(_, list)| list.iter()).map(Vec::len).filter(|&len| len > 1).max();
    let axes = axes.or(named).unwrap_or(2);
    for (name, list) in lists {
        if list.len() != rates.len() && list.len() != 1 {
            return Err(usage(
                format!("{} {name} for {} rates", list.len(), rates.len()),
                format!("give one for all layers, or {} of them", rates.len()),
            ));
        }
        if let Some(item) = list.iter().find(|item| item.len() != 1 && item.len() != axes) {
            let text = item.iter().map(u64::to_string).collect::<Vec<_>>().join("x");
            return Err(usage(
                format!("`{text}` among the {name} has {} axes, not {axes}", item.len()),
                format!("give one number for all axes, or {axes} of them; --axes sets how many there are"),
            ));
        }
    }
    let layers = (0..rates.len()).map(|i| {
        let pick = |list: &[Item]| {
            let item = list.get(i).or(list.first()).cloned().unwrap_or_default();
            if let [single] = item[..] { vec![single; axes] } else { item }
        };
        Layer { kernel: pick(kernels), rate: pick(rates), stride: pick(strides) }
    });
    Ok(Stack::new(axes, layers.collect())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_groups_and_axes() {
        assert_eq!(list("RATES", "2, 2,2").expect("valid"), [[2], [2], [2]]);
        assert_eq!(list("RATES", "1x7,7x1").expect("valid"), [[1, 7], [7, 1]]);
        assert_eq!(groups("RATES", "1,2/3").expect("valid"), [vec![vec![1], vec![2]], vec![vec![3]]]);
        assert!(list("--kernels", "3/5").is_err());
    }

    #[test]
    fn every_bad_token_is_found_at_its_place() {
        let Err(LoadError::Rejected(rejected)) = list("RATES", "2, x,2,,0,99999999999999999999") else {
            panic!("must fail")
        };
        let places: Vec<(usize, &str)> = rejected
            .flaws
            .iter()
            .map(|flaw| {
                let span = flaw.span.expect("a place");
                let text = &rejected.sources.get(span.source).text;
                (span.start, &text[span.start..span.end.min(text.len())])
            })
            .collect();
        assert_eq!(places, [(3, "x"), (7, ","), (8, "0"), (10, "99999999999999999999")]);
    }

    #[test]
    fn networks_are_told_from_mistyped_lists() {
        for spec in ["net.yaml", "zoo:vgg16", "-", "a/b.onnx", "3d.yaml", "resnet50"] {
            assert!(is_spec(spec), "{spec}");
        }
        for rates in ["2,2,2", "2,x,2", "x", "2", "1,2,5/1,2,5", "", ","] {
            assert!(!is_spec(rates), "{rates}");
        }
    }
}
