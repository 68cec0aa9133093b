//! Measures channel connectivity: for each output channel, the input channels that its gradient reaches.

use crate::dependence_bits::Marks;
use crate::predict::Predict;
use crate::probe::MOST_OUTPUTS;
use crate::progress::Bar;
use crate::rebuild::{divided, resized, with_space};
use crate::trace::trace;
use crate::{Kind, Options, Outcome, inputs};
use cnnkit_core::analysis::totals;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::{Graph, NodeId};
use cnnkit_exec::scalar::Scalar as _;
use cnnkit_exec::tensor::{Tensor, batched};

pub(super) fn measure(
    graph: &Graph,
    predict: &(dyn Predict + Sync),
    options: &Options,
    outcome: &mut Outcome,
    bar: &Bar<'_>,
) -> Result<(), Problem> {
    if !options.wants(Kind::Channels) {
        return Ok(());
    }
    let passes = |channels: u64| channels.div_ceil(64);
    let cost = |graph: &Graph| {
        let counts = totals::of_graph(graph);
        counts.macs.saturating_add(counts.params).saturating_add(counts.activations.saturating_mul(4))
    };
    let budget = options.effort.budget() / 2;
    // Connectivity does not depend on the map size, so a small map suffices.
    let small =
        (3..8).find_map(|power| resized(graph, &with_space(graph, |_, old| old.min(1 << power))).ok());
    let full = small.unwrap_or_else(|| graph.clone());
    let (run, how) = if cost(&full) <= budget {
        let how = format!("on inputs of {}", inputs(&full));
        (full, how)
    } else {
        match divided(&full).filter(|slim| cost(&slim.graph) <= budget) {
            Some(slim) => (slim.graph, slim.how),
            None => {
                outcome
                    .notes
                    .push("channels: too expensive for this effort; --thorough measures them".into());
                return Ok(());
            }
        }
    };
    if run.outputs().len() > MOST_OUTPUTS {
        outcome.notes.push(format!("channels of {} more outputs", run.outputs().len() - MOST_OUTPUTS));
    }
    let steps = |output: &NodeId| passes(run.node(*output).shape.channels()) as usize;
    let part = bar.part(200, run.outputs().iter().take(MOST_OUTPUTS).map(steps).sum());
    for &output in run.outputs().iter().take(MOST_OUTPUTS) {
        let channels = run.node(output).shape.channels();
        let most = (budget / cost(&run).max(1)).max(1);
        // Evenly spread channels, if all of them would take too long.
        let stride = passes(channels).div_ceil(most).max(1);
        let picked: Vec<u64> = (0..channels).step_by(usize::try_from(stride).unwrap_or(1)).collect();
        let sources: Vec<NodeId> = run.inputs().map(|(id, _)| id).collect();
        let mut found: Vec<Vec<Vec<u64>>> = vec![vec![]; sources.len()];
        for lanes in picked.chunks(64) {
            let sizes = batched(1, &run.node(output).shape)?;
            let plane: usize = sizes.iter().skip(2).product();
            let mut seed = Tensor::zeros(&sizes);
            for (bit, &channel) in lanes.iter().enumerate() {
                let at = usize::try_from(channel).unwrap_or(0) * plane;
                seed.data_mut()[at..at + plane].iter_mut().for_each(|marks| *marks += Marks::bit(bit));
            }
            let trace = trace(&run, vec![(output, seed)], true)?;
            part.step();
            for (source, found) in sources.iter().zip(&mut found) {
                let plane: usize = batched(1, &run.node(*source).shape)?.iter().skip(2).product();
                let marks: Vec<Marks> = trace.on(*source).map_or_else(Vec::new, |tensor| {
                    tensor
                        .data()
                        .chunks(plane.max(1))
                        .map(|channel| channel.iter().fold(Marks::ZERO, |sum, &more| sum + more))
                        .collect()
                });
                for bit in 0..lanes.len() {
                    found.push(
                        (0..).zip(&marks).filter(|(_, marks)| marks.has(bit)).map(|(c, _)| c).collect(),
                    );
                }
            }
        }
        for (source, found) in sources.iter().zip(found) {
            // A source that no channel reads is a prediction too.
            let none = || vec![vec![]; usize::try_from(channels).unwrap_or(0)];
            let all = match predict.channels(&run, *source, output) {
                Ok(all) => all.unwrap_or_else(none),
                Err(problem) => {
                    outcome.notes.push(format!("channels of {}: {problem}", run.node(output).id));
                    continue;
                }
            };
            let claimed: Vec<Vec<u64>> =
                picked.iter().filter_map(|&c| all.get(c as usize).cloned()).collect();
            let of = run.node(*source).shape.channels();
            let which = if stride == 1 {
                String::new()
            } else {
                format!("; {} of {channels} channels", picked.len())
            };
            let rows = all.len() as u64;
            let holds = claimed == found;
            let extra =
                if rows == channels { String::new() } else { format!("; {rows} channels of {channels}") };
            outcome
                .claim(
                    Kind::Channels,
                    Some(&run.node(output).id),
                    format!("{}{extra}", text(&claimed, of)),
                    if holds {
                        text(&found, of)
                    } else {
                        format!("{}{}", text(&found, of), first_difference(&picked, &claimed, &found))
                    },
                )
                .method(format!("gradients of each output channel, {how}{which}"))
                .verdict(holds && rows == channels);
        }
    }
    Ok(())
}

/// Describes the first channel whose sets differ, if any.
fn first_difference(picked: &[u64], claimed: &[Vec<u64>], found: &[Vec<u64>]) -> String {
    let Some(at) = (0..found.len()).find(|&at| claimed.get(at) != Some(&found[at])) else {
        return String::new();
    };
    let apart = |a: &[u64], b: &[u64]| a.iter().find(|channel| !b.contains(channel)).copied();
    let claimed = claimed.get(at).map_or(&[][..], Vec::as_slice);
    match (apart(&found[at], claimed), apart(claimed, &found[at])) {
        (Some(more), _) => format!("; channel {} reads {more}", picked[at]),
        (_, Some(less)) => format!("; channel {} does not read {less}", picked[at]),
        _ => String::new(),
    }
}

/// Formats `each channel reads 80 to 240 of 240, in 3 isolated groups`.
fn text(sets: &[Vec<u64>], of: u64) -> String {
    let least = sets.iter().map(Vec::len).min().unwrap_or(0);
    let most = sets.iter().map(Vec::len).max().unwrap_or(0);
    let range = if least == most { least.to_string() } else { format!("{least} to {most}") };
    let groups = groups(sets, of);
    let apart = if groups > 1 { format!(", in {groups} isolated groups") } else { String::new() };
    format!("each channel reads {range} of {of}{apart}")
}

/// Returns the number of classes of sets that share no element with each other.
fn groups(sets: &[Vec<u64>], of: u64) -> usize {
    let mut leader: Vec<usize> = (0..usize::try_from(of).unwrap_or(0)).collect();
    fn root(leader: &mut [usize], mut at: usize) -> usize {
        while leader[at] != at {
            leader[at] = leader[leader[at]];
            at = leader[at];
        }
        at
    }
    let mut read = vec![false; leader.len()];
    for set in sets {
        for &member in set {
            let (a, b) = (root(&mut leader, set[0] as usize), root(&mut leader, member as usize));
            leader[a] = b;
            read[member as usize] = true;
        }
    }
    (0..leader.len()).filter(|&at| read[at] && leader[at] == at).count()
}
