//! Claims about fields that cover the whole input on some axis, measured by their growth with the input.

use crate::dependence_bits::Marks;
use crate::predict::Predict;
use crate::probe::{Place, by_channel, costs, enlarged, facts_of, size_bound};
use crate::read_positions::{GRADIENTS, compare, context, has_gates, read};
use crate::rebuild::{resized, with_space};
use crate::sets::hull;
use crate::{Kind, Options, Outcome, inputs};
use cnnkit_core::analysis::field::{self, AxisFacts, Facts, Jump};
use cnnkit_core::analysis::support::{Borders, from_all};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::Graph;

/// Number of larger inputs that are tried after the first.
const MOST_SIZES: usize = 4;

/// On fewer elements, borders determine what is read.
const SMALL: u64 = 16;

/// Aspect ratios of a map that are tried, for networks of at most this many nodes.
const FARTHEST: u64 = 24;
const MOST_NODES: usize = 300;

/// Further runs, at one size, that search for units that read something; and units per run.
const MOST_RUNS: u64 = 16;
const UNITS: usize = 64;

/// Compares the axes that the unit in the middle reads whole and, where a field is global, whether gates extend it.
pub(super) fn whole(
    predict: &(dyn Predict + Sync),
    own: &Place,
    options: &Options,
    outcome: &mut Outcome,
) -> Result<(), Problem> {
    let id = own.graph.node(own.node).id.clone();
    let Some(facts) = facts_of(predict, &own.graph, own.node, own.input)? else { return Ok(()) };
    // Axes that are not whole need an input large enough to show it.
    let space = own.graph.node(own.input).shape.spatial();
    let room = |(axis, &size): (&AxisFacts, &u64)| {
        if axis.global { size } else { size.max(u64::try_from(axis.size).unwrap_or(size).saturating_add(4)) }
    };
    let mut wanted: Vec<u64> = facts.axes.iter().zip(space).map(room).collect();
    let fits = |graph: &Graph| costs(graph) <= options.effort.budget();
    let look = |graph: Graph| Look::at(predict, own, graph, options);
    // At the network's own size, a map of one position may be all that there is to pool.
    let first = larger(&own.graph, &wanted).filter(fits).unwrap_or_else(|| own.graph.clone());
    let Some(mut seen) = look(first)? else { return Ok(()) };
    if !facts.global && size_bound(&own.graph, own.node) {
        outcome.notes.push(format!(
            "whether the field of {id} is global: a map of fixed size before it, or a map of one channel laid out as a \
             vector, does not follow the input's size; the exact sets at another size are compared instead"
        ));
        wanted.iter_mut().for_each(|size| *size += (*size / 2).max(8));
        if let Some(mut bigger) = larger(&own.graph, &wanted).filter(fits).map(look).transpose()?.flatten() {
            bigger.sets(predict, options, outcome)?;
        }
        return Ok(());
    }
    // Strides without padding may leave a border unread, so the criterion for "the whole input" is growth: a
    // field of fixed size does not grow with the input. On a small input, borders clip such a field, which
    // then grows up to its size. A deviation from the prediction is therefore measured again on larger
    // inputs, and the largest input decides.
    let mut verdict = seen.alone();
    for _ in 0..MOST_SIZES {
        wanted.iter_mut().for_each(|size| *size += (*size / 2).max(8));
        let bigger = larger(&own.graph, &wanted).filter(fits).map(look).transpose()?.flatten();
        // A reshape to fixed sizes is a different layer at another size.
        let Some(mut bigger) = bigger.filter(|bigger| seen.same(bigger)) else { break };
        verdict = seen.growth(&bigger);
        if verdict.ok() {
            // If "whole" is only a bound, the exact sets are compared at this size too.
            if verdict.most {
                bigger.sets(predict, options, outcome)?;
            }
            break;
        }
        seen = bigger;
    }
    if options.wants(Kind::ReceptiveField) {
        let (predicted, measured) = verdict.texts();
        outcome
            .claim(Kind::ReceptiveField, Some(&id), predicted, measured)
            .method(&*verdict.how)
            .verdict(verdict.ok());
    }
    if options.wants(Kind::Context)
        && seen.reads
        && has_gates(&seen.place.graph, seen.place.node)
        && verdict.found.iter().any(|&whole| !whole)
    {
        context(&seen.place, &seen.marks, &seen.facts, outcome)?;
    }
    Ok(())
}

/// Returns the network with inputs of at least `wanted` elements per axis; where it accepts only some aspect ratios
/// (a product of two maps), with the first ratio that it accepts.
fn larger(graph: &Graph, wanted: &[u64]) -> Option<Graph> {
    let uneven = || {
        let alone = graph.inputs().count() == 1 && graph.nodes().len() <= MOST_NODES;
        let [.., first, last] = (0..wanted.len()).collect::<Vec<_>>()[..] else { return None };
        let mut ways: Vec<(u64, u64)> =
            (0..FARTHEST * FARTHEST).map(|way| (way / FARTHEST, way % FARTHEST)).collect();
        ways.sort_unstable_by_key(|(a, b)| a + b);
        ways.into_iter().filter(|_| alone).find_map(|(a, b)| {
            let more = |axis: usize| {
                if axis == first {
                    a
                } else if axis == last {
                    b
                } else {
                    0
                }
            };
            resized(graph, &with_space(graph, |axis, old| wanted.get(axis).map_or(old, |w| w + more(axis))))
                .ok()
        })
    };
    enlarged(graph, wanted).or_else(uneven)
}

/// The units of a node on an input of one size.
struct Look {
    place: Place,
    facts: Facts,
    /// Spatial sizes of the input, in elements.
    sizes: Vec<u64>,
    /// The dependence bits on the input of the units of `place`.
    marks: Vec<Marks>,
    /// The box size of the unit in the middle, per axis; if that unit reads nothing (a gap, or only padding),
    /// the largest box of other units all over the map, if those read something.
    largest: Option<Vec<i128>>,
    /// Whether `largest` is the box of the unit in the middle.
    middle: bool,
    /// Whether the node reads anything of the input: a map smaller than the padding around it may leave nothing.
    reads: bool,
}

impl Look {
    fn at(
        predict: &(dyn Predict + Sync),
        own: &Place,
        graph: Graph,
        options: &Options,
    ) -> Result<Option<Self>, Problem> {
        let Some(facts) = facts_of(predict, &graph, own.node, own.input)? else { return Ok(None) };
        let reads = from_all(&graph, &[own.node], false)?;
        let reads = reads[own.input.index()].as_ref().is_some_and(|region| !region.is_empty());
        // A field that depends on the channel is that of one channel.
        let fields = field::analyse(&graph, field::Options::default())?;
        let channels = usize::from(!fields.of(own.node, own.input).is_some_and(by_channel));
        let all = spread(&graph.node(own.node).shape.sizes()[channels..]);
        let runs = (options.effort.budget() / costs(&graph).max(1)).clamp(1, MOST_RUNS);
        let how = format!("on inputs of {}", inputs(&graph));
        let mut place = Place {
            graph,
            how,
            units: vec![],
            regions: vec![],
            node: own.node,
            input: own.input,
            sampled: own.sampled,
        };
        let mut rest = all.chunks(UNITS);
        place.units = rest.next().unwrap_or_default().to_vec();
        let (sizes, marks) = read(&place, false)?;
        let box_of = |marks: &[Marks], bit: usize| hull(&sizes, |flat| marks[flat].has(bit)).0;
        let widest = |marks: &[Marks], units: usize, mut most: Option<Vec<i128>>| {
            for spans in (0..units).filter_map(|bit| box_of(marks, bit)) {
                let most = most.get_or_insert_with(|| vec![0; spans.len()]);
                most.iter_mut().zip(&spans).for_each(|(most, span)| *most = (*most).max(span.size()));
            }
            most
        };
        let mut largest = widest(&marks, 1, None);
        let middle = largest.is_some();
        if largest.is_none() && reads {
            largest = widest(&marks, place.units.len(), None);
            for units in rest.take(usize::try_from(runs).unwrap_or(1)) {
                let others = Place {
                    graph: place.graph.clone(),
                    how: String::new(),
                    units: units.to_vec(),
                    regions: vec![],
                    ..place
                };
                largest = widest(&read(&others, false)?.1, units.len(), largest);
            }
        }
        Ok(Some(Self { place, facts, sizes, marks, largest, middle, reads }))
    }

    /// Compares the exact sets of the unit in the middle and another one.
    fn sets(
        &mut self,
        predict: &(dyn Predict + Sync),
        options: &Options,
        outcome: &mut Outcome,
    ) -> Result<(), Problem> {
        let place = &mut self.place;
        let axes = place.graph.node(place.node).shape.spatial().len();
        let units = place.units.iter().take(2).filter(|unit| unit.len() == axes);
        let region =
            |unit: &Vec<i128>| predict.support(&place.graph, place.node, place.input, unit, Borders::Real);
        match units.map(region).collect() {
            Ok(regions) => place.regions = regions,
            Err(problem) => outcome.notes.push(format!("support {}: {problem}", place.how)),
        }
        if options.wants(Kind::Support) {
            compare(&self.place, &self.sizes, &self.marks, outcome);
        }
        Ok(())
    }

    /// Returns whether the analysis finds the same for both sizes, apart from the sizes themselves.
    fn same(&self, other: &Self) -> bool {
        let global = |look: &Self| look.facts.axes.iter().map(|axis| axis.global).collect::<Vec<_>>();
        self.facts.bound == other.facts.bound && global(self) == global(other)
    }

    /// Returns the verdict from a single size.
    fn alone(&self) -> Verdict {
        let covers = |((axis, &most), &size): ((&AxisFacts, &i128), &u64)| {
            axis.global && most * 4 >= i128::from(size) * 3
        };
        let found = self
            .largest
            .as_ref()
            .map(|largest| self.facts.axes.iter().zip(largest).zip(&self.sizes).map(covers).collect());
        let claimed: Vec<bool> = self.facts.axes.iter().map(|axis| axis.global).collect();
        let how = format!(
            "{} only (others are rejected or too expensive): an axis is whole if three quarters of it are read",
            self.place.how
        );
        let mut verdict = self.verdict(claimed, found, &how);
        // A small map consists mostly of borders, of which strides and padding may leave more than a quarter unread.
        let axes = verdict.claimed.iter().zip(&verdict.found).zip(&self.sizes);
        verdict.most |= axes.into_iter().any(|((&claimed, &found), &size)| claimed && !found && size < SMALL);
        verdict
    }

    /// Returns the verdict from the growth with the input.
    fn growth(&self, larger: &Self) -> Verdict {
        let by: Vec<u64> =
            larger.sizes.iter().zip(&self.sizes).map(|(new, &old)| new.saturating_sub(old)).collect();
        let grows = |old: i128, new: i128, by: u64| (new - old) * 4 >= i128::from(by) * 3;
        // Copies side by side are one map width apart, and a slice keeps only the ends: such a box grows with the
        // input although it is not whole and is not predicted to be.
        // A box from a fixed position to the unit's own grows at the end of the map, not in its middle: what is
        // predicted is the unit that is measured.
        let middle = self.middle && larger.middle;
        let size = |axis: &AxisFacts| match axis.middle {
            Some(span) if middle => span.size(),
            _ => axis.size,
        };
        let claims = |(index, (axis, more)): (usize, (&AxisFacts, &AxisFacts))| {
            let part = axis.middle.is_none_or(|span| span.size() < i128::from(self.sizes[index]));
            let moves = axis.jump != Jump::from_integer(0);
            axis.global || by[index] > 0 && (moves || part) && grows(size(axis), size(more), by[index])
        };
        let claimed = self.facts.axes.iter().zip(&larger.facts.axes).enumerate().map(claims).collect();
        let found = self.largest.as_ref().map(|before| {
            let after = larger.largest.as_ref().unwrap_or(before);
            before
                .iter()
                .zip(after)
                .zip(&by)
                .map(|((&before, &after), &by)| grows(before, after, by))
                .collect()
        });
        let how = format!(
            "{} and {}: a field of the whole input grows with it",
            self.place.how,
            inputs(&larger.place.graph)
        );
        self.verdict(claimed, found, &how)
    }

    fn verdict(&self, claimed: Vec<bool>, found: Option<Vec<bool>>, how: &str) -> Verdict {
        let (graph, node) = (&self.place.graph, self.place.node);
        let something = self.reads && self.facts.axes.iter().any(|axis| axis.global || axis.size > 0);
        Verdict {
            found: found.clone().unwrap_or_else(|| vec![false; claimed.len()]),
            claimed: if something { claimed } else { vec![false; claimed.len()] },
            something: (something, found.is_some()),
            // On a map of fixed size, padding is never far away.
            most: self.facts.bound || size_bound(graph, node),
            global: self.facts.global,
            consistent: self.facts.global == self.facts.axes.iter().all(|axis| axis.global),
            how: format!("{GRADIENTS}; {how}"),
        }
    }
}

/// The axes that are whole, predicted and measured.
struct Verdict {
    claimed: Vec<bool>,
    found: Vec<bool>,
    /// Whether anything is read, predicted and measured.
    something: (bool, bool),
    /// Whether the prediction is a bound.
    most: bool,
    global: bool,
    /// Whether "global" is predicted exactly if all axes are whole.
    consistent: bool,
    how: String,
}

impl Verdict {
    fn ok(&self) -> bool {
        if self.most {
            return self.consistent
                && self.claimed.iter().zip(&self.found).all(|(&claimed, &found)| claimed || !found);
        }
        self.claimed == self.found
            && self.something.0 == self.something.1
            && (!self.something.0 || self.consistent)
    }

    fn texts(&self) -> (String, String) {
        let text = |whole: &[bool], any: bool| match whole.iter().filter(|whole| **whole).count() {
            _ if !any => "nothing, or only through gates".to_owned(),
            count if count == whole.len() => "the whole input".to_owned(),
            count => format!("{count} of {} axes whole: {whole:?}", whole.len()),
        };
        let most = if self.most { "at most " } else { "" };
        let mut predicted = format!("{most}{}", text(&self.claimed, self.something.0));
        if self.something.0 && !self.consistent {
            predicted += if self.global { ", called global" } else { ", not called global" };
        }
        (predicted, text(&self.found, self.something.1))
    }
}

/// Returns all units, starting with the middle one, in an order in which the first few cover the whole map and all
/// phases.
fn spread(space: &[u64]) -> Vec<Vec<i128>> {
    let count = space.iter().fold(1u64, |all, &size| all.saturating_mul(size.max(1)));
    let middle = space.iter().fold(0, |flat, &size| flat * size.max(1) + size / 2);
    // A step coprime to the number of units reaches each of them.
    let near = (count as f64 * 0.618) as u64;
    let step = (near..=count.saturating_add(1)).find(|step| num_integer::gcd(*step, count) == 1).unwrap_or(1);
    let most = MOST_RUNS * UNITS as u64;
    let place = |index: u64| {
        let mut flat =
            ((u128::from(index) * u128::from(step) + u128::from(middle)) % u128::from(count)) as u64;
        let mut unit: Vec<i128> = Vec::new();
        for &size in space.iter().rev() {
            unit.push(i128::from(flat % size.max(1)));
            flat /= size.max(1);
        }
        unit.reverse();
        unit
    };
    (0..count.min(most)).map(place).collect()
}
