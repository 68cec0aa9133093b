//! Claims about fields that are the whole input on some axis: told by their growth with the input.

use crate::analysis::field::{self, Facts, Jump, Span};
use crate::analysis::support::from_all;
use crate::diagnostic::Problem;
use crate::graph::Graph;
use crate::verify::field::{GRADIENTS, context, has_gates, read};
use crate::verify::marks::Marks;
use crate::verify::place::{Place, by_channel, costs, crops, enlarged, facts_of, size_bound};
use crate::verify::predict::Predict;
use crate::verify::sets::hull;
use crate::verify::{Kind, Options, Outcome, inputs};

/// The axes that the unit in the middle sees whole, and whether it sees more through gates, where a field is global.
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
    let room = |(axis, &size): (&field::AxisFacts, &u64)| {
        if axis.global { size } else { size.max(u64::try_from(axis.size).unwrap_or(size).saturating_add(4)) }
    };
    let wanted: Vec<u64> = facts.axes.iter().zip(space).map(room).collect();
    let larger: Vec<u64> = wanted.iter().map(|&size| size + (size / 2).max(8)).collect();
    // A field that follows the channels is that of one channel.
    let fields = field::analyse(&own.graph, field::Options::default())?;
    let channels = usize::from(!fields.of(own.node, own.input).is_some_and(by_channel));
    let middle = |graph: Graph| {
        let units = spread(&graph.node(own.node).shape.sizes()[channels..]);
        let how = format!("on inputs of {}", inputs(&graph));
        Place { graph, how, units, regions: vec![], node: own.node, input: own.input, sampled: own.sampled }
    };
    let fits = |graph: &Graph| costs(graph) <= options.effort.budget();
    let place = middle(enlarged(&own.graph, &wanted).filter(fits).unwrap_or_else(|| own.graph.clone()));
    let (sizes, marks) = read(&place, false)?;
    let spans = widest(&place, &sizes, &marks);
    // At the network's own size a map of one position may be all that there is to pool.
    let Some(facts) = facts_of(predict, &place.graph, own.node, own.input)? else { return Ok(()) };
    // A map that is smaller than the padding around it may leave nothing to read.
    let reads = from_all(&place.graph, &[own.node], false)?;
    let reads = reads[own.input.0].as_ref().is_some_and(|region| !region.is_empty());
    let mut how = format!("{GRADIENTS}; {}", place.how);
    // Strides without padding may leave a border unread, so "the whole input" is told by its growth: a field of any
    // fixed size stays as it is when the input grows.
    let mut bigger = enlarged(&own.graph, &larger).filter(fits).map(middle);
    let mut more = bigger
        .as_ref()
        .map(|place| facts_of(predict, &place.graph, own.node, own.input))
        .transpose()?
        .flatten();
    // A reshape to fixed sizes is another layer at another size.
    let same = |more: &Facts| {
        more.bound == facts.bound
            && more.axes.iter().map(|a| a.global).eq(facts.axes.iter().map(|a| a.global))
    };
    if !more.as_ref().is_some_and(same) {
        (bigger, more) = (None, None);
    }
    let grows = |old: i128, new: i128, by: u64| (new - old) * 4 >= i128::from(by) * 3;
    // Copies side by side are as far apart as the map is wide: their box moves, so it is not called whole, but grows as if.
    let grown = |axis: usize| {
        let (Some(place), Some(more)) = (&bigger, &more) else { return false };
        let by = place.graph.node(own.input).shape.spatial()[axis].saturating_sub(sizes[axis]);
        let moves = facts.axes[axis].jump != Jump::from_integer(0);
        by > 0 && moves && grows(facts.axes[axis].size, more.axes[axis].size, by)
    };
    let claimed: Vec<bool> = (0..sizes.len()).map(|axis| facts.axes[axis].global || grown(axis)).collect();
    let found: Vec<bool> = match (&spans, &bigger) {
        (None, _) => vec![false; sizes.len()],
        (Some(spans), None) => {
            how += " only (it takes no other, or at too great a cost): axes called whole are read to three quarters";
            let covers = |((axis, span), &size): ((&field::AxisFacts, &Span), &u64)| {
                axis.global && span.size() * 4 >= i128::from(size) * 3
            };
            facts.axes.iter().zip(spans).zip(&sizes).map(covers).collect()
        }
        (Some(spans), Some(larger)) => {
            how += &format!(" and {}: what is whole grows with the input", inputs(&larger.graph));
            let (more, marks) = read(larger, false)?;
            let grown = widest(larger, &more, &marks).unwrap_or_else(|| spans.clone());
            let axes = spans.iter().zip(&grown).zip(sizes.iter().zip(&more));
            axes.map(|((before, after), (&old, &new))| {
                grows(before.size(), after.size(), new.saturating_sub(old))
            })
            .collect()
        }
    };
    let text = |whole: &[bool], any: bool| match whole.iter().filter(|whole| **whole).count() {
        _ if !any => "nothing, or only through gates".to_owned(),
        count if count == whole.len() => "the whole input".to_owned(),
        count => format!("{count} of {} axes whole: {whole:?}", whole.len()),
    };
    if options.wants(Kind::ReceptiveField) {
        let any = reads && facts.axes.iter().any(|axis| axis.global || axis.size > 0);
        let claimed = if any { claimed } else { vec![false; claimed.len()] };
        // All of what a crop left is called the whole input; and on a map of fixed size, padding is never far away.
        let most = facts.bound || crops(&place.graph, place.node) || size_bound(&place.graph, place.node);
        let consistent = facts.global == facts.axes.iter().all(|axis| axis.global);
        let ok = if most {
            consistent && claimed.iter().zip(&found).all(|(&claimed, &found)| claimed || !found)
        } else {
            claimed == found && any == spans.is_some() && (!any || consistent)
        };
        let mut predicted = format!("{}{}", if most { "at most " } else { "" }, text(&claimed, any));
        if any && !consistent {
            predicted += if facts.global { ", called global" } else { ", not called global" };
        }
        outcome
            .claim(Kind::ReceptiveField, Some(&id), predicted, text(&found, spans.is_some()))
            .method(how)
            .verdict(ok);
    }
    if options.wants(Kind::Context)
        && reads
        && has_gates(&place.graph, place.node)
        && found.iter().any(|&whole| !whole)
    {
        context(&place, &marks, &facts, outcome)?;
    }
    Ok(())
}

/// The unit in the middle and, for where that reads nothing (a gap, or padding only), others all over the map.
fn spread(space: &[u64]) -> Vec<Vec<i128>> {
    let mut units = vec![space.iter().map(|&size| i128::from(size / 2)).collect::<Vec<_>>()];
    let count = space.iter().fold(1u64, |all, &size| all.saturating_mul(size.max(1)));
    let step = usize::try_from(count.div_ceil(60)).unwrap_or(usize::MAX);
    units.extend((0..count).step_by(step).map(|mut flat| {
        let mut unit: Vec<i128> = Vec::new();
        for &size in space.iter().rev() {
            unit.push(i128::from(flat % size.max(1)));
            flat /= size.max(1);
        }
        unit.reverse();
        unit
    }));
    units
}

/// What the unit in the middle reads, or, if nothing, the one that reads most.
fn widest(place: &Place, sizes: &[u64], marks: &[Marks]) -> Option<Vec<Span>> {
    let read = |bit: usize| hull(sizes, |flat| marks[flat].has(bit)).0;
    let area = |spans: &Vec<Span>| spans.iter().map(Span::size).product::<i128>();
    read(0).or_else(|| (1..place.units.len()).filter_map(read).max_by_key(area))
}
