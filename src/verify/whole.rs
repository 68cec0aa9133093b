//! Claims about fields that are the whole input on some axis: told by their growth with the input.

use crate::analysis::field::{self, AxisFacts, Facts, Jump};
use crate::analysis::support::from_all;
use crate::diagnostic::Problem;
use crate::graph::Graph;
use crate::verify::field::{GRADIENTS, context, has_gates, read};
use crate::verify::marks::Marks;
use crate::verify::place::{Place, by_channel, costs, crops, enlarged, facts_of, size_bound};
use crate::verify::predict::Predict;
use crate::verify::sets::hull;
use crate::verify::{Kind, Options, Outcome, inputs};

/// Larger inputs that are tried after the first.
const MOST_SIZES: usize = 4;

/// Runs that look for the units that see most, at one size, and units of each.
const MOST_RUNS: u64 = 16;
const UNITS: usize = 64;

/// The axes that some unit sees whole, and whether it sees more through gates, where a field is global.
pub(super) fn whole(
    predict: &(dyn Predict + Sync),
    own: &Place,
    options: &Options,
    outcome: &mut Outcome,
) -> Result<(), Problem> {
    let id = own.graph.node(own.node).id.clone();
    let Some(facts) = facts_of(predict, &own.graph, own.node, own.input)? else { return Ok(()) };
    if !facts.global && size_bound(&own.graph, own.node) {
        outcome.notes.push(format!(
            "whether the field of {id} is global: a map of fixed size before it, or a map of one channel laid out as a \
             vector, says nothing about other sizes"
        ));
        return Ok(());
    }
    // Axes that are not whole need room to show it.
    let space = own.graph.node(own.input).shape.spatial();
    let room = |(axis, &size): (&AxisFacts, &u64)| {
        if axis.global { size } else { size.max(u64::try_from(axis.size).unwrap_or(size).saturating_add(4)) }
    };
    let mut wanted: Vec<u64> = facts.axes.iter().zip(space).map(room).collect();
    let fits = |graph: &Graph| costs(graph) <= options.effort.budget();
    let look = |graph: Graph| Look::at(predict, own, graph, options);
    // At the network's own size a map of one position may be all that there is to pool.
    let first = enlarged(&own.graph, &wanted).filter(fits).unwrap_or_else(|| own.graph.clone());
    let Some(mut seen) = look(first)? else { return Ok(()) };
    // Strides without padding may leave a border unread, so "the whole input" is told by its growth: a field of any
    // fixed size stays as it is when the input grows. On a small input borders clip such a field, which then grows up to
    // its size: what is not as predicted is looked at again on larger inputs, and the largest decide.
    let mut verdict = seen.alone();
    for _ in 0..MOST_SIZES {
        wanted.iter_mut().for_each(|size| *size += (*size / 2).max(8));
        let larger = enlarged(&own.graph, &wanted).filter(fits).map(look).transpose()?.flatten();
        // A reshape to fixed sizes is another layer at another size.
        let Some(larger) = larger.filter(|larger| seen.same(larger)) else { break };
        verdict = seen.growth(&larger);
        if verdict.ok() {
            break;
        }
        seen = larger;
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

/// A node's units on an input of one size.
struct Look {
    place: Place,
    facts: Facts,
    /// Spatial sizes of the input.
    sizes: Vec<u64>,
    /// What the units of `place` read.
    marks: Vec<Marks>,
    /// The size of the largest box on each axis; none if no unit that was looked at reads anything.
    largest: Option<Vec<i128>>,
    /// Whether the node reads anything of the input: a map that is smaller than the padding around it may leave nothing.
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
        let reads = reads[own.input.0].as_ref().is_some_and(|region| !region.is_empty());
        // A field that follows the channels is that of one channel.
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
        let (mut sizes, mut first): (Vec<u64>, Option<Vec<Marks>>) = (vec![], None);
        let mut largest: Option<Vec<i128>> = None;
        for units in
            all.chunks(UNITS).take(usize::try_from(runs).unwrap_or(1)).collect::<Vec<_>>().into_iter().rev()
        {
            place.units = units.to_vec();
            let (space, marks) = read(&place, false)?;
            for bit in 0..place.units.len() {
                let Some(spans) = hull(&space, |flat| marks[flat].has(bit)).0 else { continue };
                let most = largest.get_or_insert_with(|| vec![0; spans.len()]);
                most.iter_mut().zip(&spans).for_each(|(most, span)| *most = (*most).max(span.size()));
            }
            (sizes, first) = (space, Some(marks));
        }
        Ok(Some(Self { place, facts, sizes, marks: first.unwrap_or_default(), largest, reads }))
    }

    /// Whether the analysis says the same of both but for their sizes.
    fn same(&self, other: &Self) -> bool {
        let global = |look: &Self| look.facts.axes.iter().map(|axis| axis.global).collect::<Vec<_>>();
        self.facts.bound == other.facts.bound && global(self) == global(other)
    }

    /// What one size tells.
    fn alone(&self) -> Verdict {
        let covers = |((axis, &most), &size): ((&AxisFacts, &i128), &u64)| {
            axis.global && most * 4 >= i128::from(size) * 3
        };
        let found = self
            .largest
            .as_ref()
            .map(|largest| self.facts.axes.iter().zip(largest).zip(&self.sizes).map(covers).collect());
        let claimed = self.facts.axes.iter().map(|axis| axis.global).collect();
        let how = format!(
            "{} only (it takes no other, or at too great a cost): axes called whole are read to three quarters",
            self.place.how
        );
        self.verdict(claimed, found, &how)
    }

    /// What grows with the input.
    fn growth(&self, larger: &Self) -> Verdict {
        let by: Vec<u64> =
            larger.sizes.iter().zip(&self.sizes).map(|(new, &old)| new.saturating_sub(old)).collect();
        let grows = |old: i128, new: i128, by: u64| (new - old) * 4 >= i128::from(by) * 3;
        // Copies side by side are as far apart as the map is wide: their box moves, so it is not called whole, but grows
        // as if.
        let claims = |((axis, more), &by): ((&AxisFacts, &AxisFacts), &u64)| {
            axis.global || by > 0 && axis.jump != Jump::from_integer(0) && grows(axis.size, more.size, by)
        };
        let claimed = self.facts.axes.iter().zip(&larger.facts.axes).zip(&by).map(claims).collect();
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
            "{} and {}: what is whole grows with the input",
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
            // All of what a crop left is called the whole input; and on a map of fixed size, padding is never far away.
            most: self.facts.bound || crops(graph, node) || size_bound(graph, node),
            global: self.facts.global,
            consistent: self.facts.global == self.facts.axes.iter().all(|axis| axis.global),
            how: format!("{GRADIENTS}; {how}"),
        }
    }
}

/// The axes that are whole, as predicted and as measured.
struct Verdict {
    claimed: Vec<bool>,
    found: Vec<bool>,
    /// Whether anything is read.
    something: (bool, bool),
    /// Whether the prediction is a bound.
    most: bool,
    global: bool,
    /// Whether what is called global is whole on all axes, and the other way round.
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

/// All units, the one in the middle first, in an order in which the first ones are all over the map and in all phases.
fn spread(space: &[u64]) -> Vec<Vec<i128>> {
    let count = space.iter().fold(1u64, |all, &size| all.saturating_mul(size.max(1)));
    let middle = space.iter().fold(0, |flat, &size| flat * size.max(1) + size / 2);
    // A step that shares no factor with their number leads to each of them.
    let near = (count as f64 * 0.618) as u64;
    let step = (near..).find(|step| num_integer::gcd(*step, count) == 1).unwrap_or(1);
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
