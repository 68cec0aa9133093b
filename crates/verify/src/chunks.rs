//! Claims about streams: chunks of a sequence equal the whole bit for bit, what is kept between them, and how far an output
//! looks ahead.
//!
//! Networks with one spatial axis run in chunks, with as few channels as their structure allows. The look-ahead is the
//! distance from a position that is set to NaN back to the first output that changes, the largest over all phases.

use crate::predict::Predict;
use crate::rebuild::slim;
use crate::tiles::{is_opaque, is_tight, may_round, same};
use crate::{Kind, Options, Outcome};
use cnnkit_core::analysis::along::{Scale, Track};
use cnnkit_core::analysis::probe::Sizes;
use cnnkit_core::analysis::sizes::Fixed;
use cnnkit_core::analysis::streaming::{Plan, Streaming};
use cnnkit_core::analysis::totals;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::Graph;
use cnnkit_core::number::grouped;
use cnnkit_exec::network::{Fill, Network, random_inputs};
use cnnkit_exec::run::Reference;
use cnnkit_exec::stream::Stream;
use cnnkit_exec::tensor::Tensor;

/// Hops of a chunk.
const HOPS: [u64; 2] = [7, 1];
/// Layers that are run for chunks, at most: each costs some time, however short the chunk is.
const MOST_STEPS: u64 = 60_000;

pub(super) fn measure(
    graph: &Graph,
    predict: &(dyn Predict + Sync),
    options: &Options,
    outcome: &mut Outcome,
) -> Result<(), Problem> {
    if !options.wants(Kind::Chunks) || is_opaque(graph) || may_round(graph) {
        return Ok(());
    }
    let slim = slim(graph);
    let trial = Fixed::new(&slim.graph);
    let Ok(sizes) = Sizes::new(&trial, None) else { return Ok(()) };
    if sizes.rank() != 1 {
        return Ok(());
    }
    let Ok(streaming) = predict.streaming(&trial) else { return Ok(()) };
    let Some(plan) = &streaming.plan else { return Ok(()) };
    let all = streaming.graph.inputs().all(|(id, _)| streaming.along.follows(id));
    if !all {
        return Ok(());
    }
    // Long enough that the start is over: everything that is kept was new once.
    let history = plan.kept.iter().map(|buffer| {
        let scale = streaming.along.scale(buffer.node).unwrap_or_else(|| Scale::from_integer(1));
        let positions = (Scale::from_integer(i128::from(buffer.units)) / scale).ceil().to_integer();
        u64::try_from(positions).unwrap_or(u64::MAX)
    });
    let history = history.fold(0, u64::saturating_add).saturating_add(plan.look_ahead);
    let long = length(plan, history.saturating_mul(2).saturating_add(plan.hop.saturating_mul(42)));
    let short = length(plan, plan.look_ahead.saturating_mul(3).saturating_add(plan.step.saturating_mul(12)));
    let steps = |size: u64| {
        sizes.at(&[size]).map_or(u64::MAX, |graph| {
            let counts = totals::of_graph(&graph);
            counts.macs.saturating_add(counts.activations.saturating_mul(8))
        })
    };
    let chunks = |hops: u64| long / (plan.hop * hops).max(1);
    let runs = |hops: u64| chunks(hops).saturating_mul(graph.nodes().len() as u64);
    let budget = options.effort.budget() / 4;
    let work = steps(long).saturating_mul(3).saturating_add(steps(short).saturating_mul(plan.step));
    if work > budget || runs(HOPS[0]) > MOST_STEPS {
        outcome.notes.push("chunks: too expensive for this effort; --thorough measures them".into());
        return Ok(());
    }
    let case = Case { streaming: &streaming, plan, sizes: &sizes, options };
    let hops: Vec<u64> = HOPS.into_iter().filter(|&hops| runs(hops) <= MOST_STEPS).collect();
    let list: Vec<String> = hops.iter().map(|hops| (hops * plan.hop).to_string()).collect();
    let text = |equal: &str, state: u64, ahead: u64| {
        format!(
            "chunks of {} positions: {equal}, {} elements kept, look-ahead {}",
            list.join(" and "),
            grouped(state),
            grouped(ahead)
        )
    };
    let (equal, state) = case.streams(long, &hops)?;
    let ahead = case.look_ahead(short)?;
    let near = if is_tight(graph) { ahead == plan.look_ahead } else { ahead <= plan.look_ahead };
    outcome
        .claim(
            Kind::Chunks,
            None,
            text("equal", streaming.state(), plan.look_ahead),
            text(if equal { "equal" } else { "different" }, state, ahead),
        )
        .verdict(equal && state == streaming.state() && near)
        .method(format!(
            "chunks against the run on the whole sequence of {long} positions, bit for bit in f64; elements counted \
             between chunks; positions set to NaN one by one, {}",
            slim.how
        ));
    Ok(())
}

/// Returns a length at which the network runs, at least `least`.
fn length(plan: &Plan, least: u64) -> u64 {
    let steps = least.saturating_sub(plan.base).div_ceil(plan.step.max(1));
    plan.base.saturating_add(steps.saturating_mul(plan.step))
}

struct Case<'a> {
    streaming: &'a Streaming,
    plan: &'a Plan,
    sizes: &'a Sizes<'a>,
    options: &'a Options,
}

fn gone() -> Problem {
    Problem::shape("the network does not run on such a sequence")
}

impl Case<'_> {
    /// Streams a sequence of `length` positions; returns whether every chunk size equals the whole, and the most elements
    /// that were kept between chunks once the start was over.
    fn streams(&self, length: u64, hops: &[u64]) -> Result<(bool, u64), Problem> {
        let whole = self.sizes.at(&[length]).ok_or_else(gone)?;
        let network = Network::<f64>::seeded(&self.streaming.graph, self.options.seed, Fill::Generic)?;
        let inputs = random_inputs::<f64>(&whole, 1, self.options.seed)?;
        let expected = network.on(&whole)?.run(inputs.clone(), &Reference, |_| ())?.outputs;
        let (mut equal, mut most) = (true, 0);
        for hops in hops {
            let step = usize::try_from(self.plan.hop * hops).map_err(|_| gone())?;
            let mut stream = Stream::new(&network, self.sizes, self.streaming, &Reference, 1)?;
            let mut parts: Vec<Vec<Tensor<f64>>> = vec![Vec::new(); whole.outputs().len()];
            let end = usize::try_from(length).map_err(|_| gone())?;
            let mut from = 0;
            while from < end {
                let to = (from + step).min(end);
                let chunk = inputs.iter().map(|input| input.section(2, from..to)).collect();
                let new = stream.push(chunk)?;
                new.into_iter().zip(&mut parts).for_each(|(new, parts)| parts.extend(new));
                // A last chunk that is shorter leaves another state.
                if from > end / 4 * 3 && to - from == step {
                    most = most.max(stream.state());
                }
                from = to;
            }
            stream.finish()?.into_iter().zip(&mut parts).for_each(|(new, parts)| parts.extend(new));
            let mut joined = Vec::new();
            for (index, parts) in parts.iter().enumerate() {
                let axis = match self.streaming.along.tracks[whole.outputs()[index].index()] {
                    Track::Follows { axis, .. } => axis + 1,
                    Track::Fixed | Track::Whole => 1,
                };
                joined.push(Tensor::joined(axis, &parts.iter().collect::<Vec<_>>())?);
            }
            equal &= same(&expected, &joined);
        }
        Ok((equal, most))
    }

    /// Returns how far an output looks ahead, measured on a sequence of `length` positions.
    fn look_ahead(&self, length: u64) -> Result<u64, Problem> {
        let whole = self.sizes.at(&[length]).ok_or_else(gone)?;
        let network = Network::<f64>::seeded(&self.streaming.graph, self.options.seed, Fill::Generic)?;
        let network = network.on(&whole)?;
        let inputs = random_inputs::<f64>(&whole, 1, self.options.seed)?;
        let expected = network.run(inputs.clone(), &Reference, |_| ())?.outputs;
        let period = self.plan.step.max(1);
        // Behind the middle, so that no output before it stands at the start.
        let middle = (length / 2).next_multiple_of(period).min(length.saturating_sub(period));
        let mut furthest = 0i128;
        for position in middle..middle + period {
            let at = usize::try_from(position).map_err(|_| gone())?;
            let mut changed = inputs.clone();
            for input in &mut changed {
                let mut part = input.section(2, at..at + 1);
                part.data_mut().fill(f64::NAN);
                input.place(&[0, 0, at], &part);
            }
            let found = network.run(changed, &Reference, |_| ())?.outputs;
            for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
                let output = whole.outputs()[index];
                let Track::Follows { axis, scale } = &self.streaming.along.tracks[output.index()] else {
                    continue;
                };
                let units = found.sizes().get(axis + 1).copied().unwrap_or(0);
                let differs = |unit: usize| {
                    let part = |tensor: &Tensor<f64>| tensor.section(axis + 1, unit..unit + 1);
                    !same(&[part(found)], &[part(expected)])
                };
                if let Some(first) = (0..units).find(|&unit| differs(unit)) {
                    let stands = Scale::from_integer(first as i128) / scale;
                    furthest = furthest.max(i128::from(position) - stands.floor().to_integer());
                }
            }
        }
        Ok(u64::try_from(furthest).unwrap_or(0))
    }
}
