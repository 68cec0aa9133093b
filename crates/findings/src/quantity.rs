//! Measures what can be expected of a network or a layer: one function for every key of `expect`.

use num_traits::ToPrimitive as _;

use crate::Facts;
use cnnkit_core::analysis::deployment;
use cnnkit_core::analysis::dilated::Chain;
use cnnkit_core::analysis::field::{self, Facts as Field, Interval as Range};
use cnnkit_core::analysis::hdc::Check;
use cnnkit_core::analysis::memory::Dtype;
use cnnkit_core::analysis::totals::{self, Counts};
use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_core::graph::NodeId;
use cnnkit_core::number;
pub use cnnkit_core::spec::expectation::{Better, EXPECTABLE, Expectable, Quantity, Unit};
use cnnkit_core::spec::expectation::{Limit, Target};
use cnnkit_core::value::{Number, show_number};

/// The subject of a measurement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The network.
    Network,
    /// These layers, in execution order: one, or a named group whose last layer is its output.
    Nodes(Vec<NodeId>),
}

/// A measured value.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// One number, or one per axis.
    Numbers(Vec<Number>),
    /// Yes or no.
    Flag(bool),
}

impl Subject {
    /// Returns the layer named `id`, or the layers of the group or block with that id; `None` if there is neither.
    pub fn named(facts: &Facts<'_>, id: &str) -> Option<Self> {
        if let Some(node) = facts.find(id) {
            return Some(Self::Nodes(vec![node]));
        }
        if facts.names().binary_search_by(|name| name.as_str().cmp(id)).is_err() {
            return None;
        }
        let inside = |node: &str| node.strip_prefix(id).is_some_and(|rest| rest.starts_with('.'));
        let nodes: Vec<NodeId> =
            facts.graph.iter().filter(|(_, node)| inside(&node.id)).map(|(id, _)| id).collect();
        (!nodes.is_empty()).then_some(Self::Nodes(nodes))
    }
}

fn whole(value: u64) -> Found {
    Found::Numbers(vec![Number::from_integer(value.into())])
}

/// Computes `quantity`; a problem has the reason why it cannot be computed.
pub fn measure(facts: &Facts<'_>, subject: &Subject, quantity: Quantity) -> Result<Found, Problem> {
    let counts = || match subject {
        Subject::Network => facts.totals(),
        Subject::Nodes(nodes) => {
            nodes.iter().map(|&id| facts.counts(id)).fold(Counts::default(), Counts::plus)
        }
    };
    let bytes = |elements: u64| whole(elements.saturating_mul(Dtype::F32.bytes()));
    let graph = facts.graph;
    Ok(match quantity {
        Quantity::Params => whole(counts().params),
        Quantity::Buffers => whole(counts().buffers),
        Quantity::Trainable => whole(counts().params),
        Quantity::Frozen => whole(counts().frozen),
        Quantity::Macs => whole(counts().macs),
        Quantity::OtherOps => whole(counts().other_ops()),
        Quantity::Flops => whole(counts().flops()),
        Quantity::Activations => bytes(counts().activations),
        Quantity::Weights => bytes(counts().params),
        Quantity::Memory => bytes(facts.peak().map_or(0, |peak| peak.elements)),
        Quantity::Depth => whole(totals::depth(graph)),
        Quantity::Layers => whole(match subject {
            Subject::Network => graph.nodes().len() - graph.inputs().count(),
            Subject::Nodes(nodes) => nodes.len(),
        } as u64),
        Quantity::Output | Quantity::Shape => shape(facts, subject)?,
        Quantity::ReceptiveField => {
            let field = field(facts, subject)?;
            Found::Numbers(field.axes.iter().map(|axis| Number::from_integer(axis.size)).collect())
        }
        Quantity::Jump => Found::Numbers(field(facts, subject)?.axes.iter().map(|axis| axis.jump).collect()),
        Quantity::Coverage => Found::Numbers(vec![coverage(facts, subject)?]),
        Quantity::HoleFree => Found::Flag(coverage(facts, subject)? == Number::from_integer(1)),
        Quantity::Aligned => Found::Flag(aligned(facts, subject)?),
        Quantity::Hdc => {
            let chains = facts.chains()?;
            if chains.truncated {
                return Err(unknown("there are more dilated chains than can be listed"));
            }
            let mut all = true;
            for chain in &chains.chains {
                all &= passes(facts, chain)?;
            }
            Found::Flag(all)
        }
        Quantity::Paths => {
            let count = facts.paths()?.iter().map(|paths| paths.count.clone()).sum::<num_bigint::BigUint>();
            let count = count.to_i128().ok_or_else(|| unknown("there are 2^127 paths or more"))?;
            Found::Numbers(vec![Number::from_integer(count)])
        }
        Quantity::Arena(dtype) => whole(deployment::plan(graph, dtype.bytes()).arena.bytes),
    })
}

fn unknown(why: &str) -> Problem {
    Problem::new(Code::Limit, format!("not supported: {why}")).help("leave the expectation out")
}

fn shape(facts: &Facts<'_>, subject: &Subject) -> Result<Found, Problem> {
    let node = match subject {
        Subject::Nodes(nodes) => nodes.last().copied(),
        Subject::Network => match facts.graph.outputs() {
            [only] => Some(*only),
            several => {
                return Err(Problem::new(
                    Code::InvalidValue,
                    format!("`output` is for a network with one output, this one has {}", several.len()),
                )
                .help("expect their shapes under `nodes`: `nodes: {ID: {shape: [...]}}`"));
            }
        },
    };
    let sizes = node.map(|node| facts.node(node).shape.sizes()).unwrap_or_default();
    Ok(Found::Numbers(sizes.iter().map(|&size| Number::from_integer(size.into())).collect()))
}

/// Returns the field that represents the subject, with respect to the first input that it depends on.
fn field(facts: &Facts<'_>, subject: &Subject) -> Result<Field, Problem> {
    let found = match subject {
        Subject::Network => field::headline(facts.graph, facts.fields()?),
        Subject::Nodes(nodes) => match nodes.last() {
            Some(&node) => facts.field(node)?.into_iter().next(),
            None => None,
        },
    };
    found.filter(|field| !field.axes.is_empty()).ok_or_else(|| {
        Problem::new(Code::InvalidValue, "there is no feature map with a receptive field")
            .help("expect it of a layer under `nodes`")
    })
}

/// Returns the fraction of the field's box that is read, 0 to 1, minimum over the inputs.
fn coverage(facts: &Facts<'_>, subject: &Subject) -> Result<Number, Problem> {
    let node = field(facts, subject)?.node;
    let mut worst = Number::from_integer(1);
    for (input, _) in facts.graph.inputs() {
        if facts.fields()?.of(node, input).is_none() {
            continue;
        }
        let region = facts.support(node, input)?;
        let Some(hull) = region.hull() else { continue };
        let area = hull.iter().map(Range::size).try_fold(1i128, i128::checked_mul);
        let area = area.filter(|&area| area > 0).ok_or_else(|| unknown("the box is too large"))?;
        worst = worst.min(Number::new(region.positions()?, area));
    }
    Ok(worst)
}

fn aligned(facts: &Facts<'_>, subject: &Subject) -> Result<bool, Problem> {
    let fields = facts.fields()?;
    let nodes: Vec<NodeId> = match subject {
        Subject::Network => facts.graph.outputs().to_vec(),
        Subject::Nodes(nodes) => nodes.last().copied().into_iter().collect(),
    };
    Ok(nodes.iter().all(|node| fields.nodes[node.index()].iter().all(|field| field.aligned)))
}

/// Returns whether a chain passes the published rule, where it applies, and leaves no hole.
fn passes(facts: &Facts<'_>, chain: &Chain) -> Result<bool, Problem> {
    match chain.uniform() {
        Some((kernel, rates)) => {
            let check = Check::of(kernel, &[rates], chain.rates.len())?;
            Ok(check.rule.ok && check.exact.hole_free())
        }
        None => Ok(facts.gridding(chain)?.hole_free()),
    }
}

/// Returns whether `found` is within the limit.
pub fn holds(found: &Found, limit: Limit, target: &Target) -> bool {
    let within = |found: &Number, target: &Number| match limit {
        Limit::Exact => found == target,
        Limit::Min => found >= target,
        Limit::Max => found <= target,
    };
    match (found, target) {
        (Found::Flag(found), Target::Flag(target)) => found == target,
        (Found::Numbers(found), Target::Number(target)) => {
            !found.is_empty() && found.iter().all(|found| within(found, target))
        }
        (Found::Numbers(found), Target::Sizes(sizes)) => {
            found.len() == sizes.len()
                && found
                    .iter()
                    .zip(sizes)
                    .all(|(found, size)| size.as_ref().is_none_or(|size| within(found, size)))
        }
        _ => false,
    }
}

/// Describes the difference: `557,032 more (+2.2 %)`; `None` if it is not a single number.
pub fn difference(unit: Unit, found: &Found, target: &Target) -> Option<String> {
    let (Found::Numbers(found), Target::Number(target)) = (found, target) else { return None };
    // The axis with the largest difference.
    let found =
        found.iter().max_by_key(|found| if *found > target { *found - target } else { target - *found })?;
    let (gap, word) = if found > target { (found - target, "more") } else { (target - found, "fewer") };
    let word = match (unit, word) {
        (Unit::Length | Unit::Share, "more") => "larger",
        (Unit::Length | Unit::Share, _) => "smaller",
        (_, word) => word,
    };
    if unit == Unit::Share {
        // A relative difference of shares would be one more percentage, of something else.
        return Some(format!("{:.1} percentage points {word}", gap.to_f64().unwrap_or(0.0) * 100.0));
    }
    let share = if *target > Number::from_integer(0) {
        let share = (gap / target).to_f64().unwrap_or(0.0);
        format!(" ({})", number::share(share))
    } else {
        String::new()
    };
    Some(format!("{} {word}{share}", show(unit, &gap)))
}

/// Formats a number for people.
pub fn show(unit: Unit, value: &Number) -> String {
    let count = value.is_integer().then(|| value.to_integer().to_u64()).flatten();
    match (unit, count) {
        (Unit::Bytes, Some(bytes)) if bytes >= 1024 => {
            format!("{} ({} bytes)", number::bytes(bytes), number::grouped(bytes))
        }
        (Unit::Bytes, Some(bytes)) => format!("{bytes} bytes"),
        (Unit::Share, _) => number::share(value.to_f64().unwrap_or(0.0)),
        (_, Some(count)) => number::grouped(count),
        _ => show_number(value),
    }
}

/// Formats a measured value for people.
pub fn show_found(unit: Unit, found: &Found) -> String {
    match found {
        Found::Flag(flag) => flag.to_string(),
        Found::Numbers(numbers) => list(unit, &numbers.iter().map(Some).collect::<Vec<_>>()),
    }
}

/// Formats an expected value for people.
pub fn show_target(unit: Unit, target: &Target) -> String {
    match target {
        Target::Flag(flag) => flag.to_string(),
        Target::Number(number) => show(unit, number),
        Target::Sizes(sizes) => list(unit, &sizes.iter().map(Option::as_ref).collect::<Vec<_>>()),
    }
}

/// Formats one number if all axes of a length agree, otherwise all in brackets; a shape is always in brackets.
fn list(unit: Unit, numbers: &[Option<&Number>]) -> String {
    let alike = numbers.first().is_some_and(|first| numbers.iter().all(|number| number == first));
    match (unit, numbers) {
        (Unit::Shape, _) => {}
        (_, [Some(first), ..]) if alike => return show(unit, first),
        _ => {}
    }
    let plain = |number: Option<&Number>| number.map_or("~".to_owned(), show_number);
    format!("[{}]", numbers.iter().copied().map(plain).collect::<Vec<_>>().join(", "))
}

/// Formats a measured value as a spec writes it.
pub fn written(unit: Unit, found: &Found) -> String {
    match found {
        Found::Flag(flag) => flag.to_string(),
        Found::Numbers(numbers) => {
            let alike = numbers.iter().all(|number| *number == numbers[0]);
            match numbers.as_slice() {
                [first, ..] if unit != Unit::Shape && alike => exact(first),
                several => format!("[{}]", several.iter().map(exact).collect::<Vec<_>>().join(", ")),
            }
        }
    }
}

/// Formats a number that parses back to itself: an expression where no decimal is exact.
fn exact(number: &Number) -> String {
    let text = show_number(number);
    if cnnkit_core::value::parse_decimal(&text) == Some(*number) {
        text
    } else {
        format!("{} / {}", number.numer(), number.denom())
    }
}
