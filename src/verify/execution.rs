//! Claims from running a network forwards: parameters, dead weights, shapes, multiply-adds, memory.

use crate::analysis::totals;
use crate::diagnostic::Problem;
use crate::exec::scalar::Scalar as _;
use crate::exec::tensor::{Tensor, batched};
use crate::graph::{Graph, NodeId, Op};
use crate::layers::WeightRole;
use crate::render::number;
use crate::verify::marks::Marks;
use crate::verify::predict::Predict;
use crate::verify::rebuild::{resized, slim, with_space};
use crate::verify::run::{Seed, run};
use crate::verify::trace::trace;
use crate::verify::{Kind, Options, Outcome, inputs};

pub(super) fn measure(
    graph: &Graph,
    predict: &(dyn Predict + Sync),
    options: &Options,
    outcome: &mut Outcome,
    tick: &dyn Fn(),
) -> Result<(), Problem> {
    if options.wants(Kind::Parameters) {
        parameters(graph, predict, options, outcome)?;
    }
    if options.wants(Kind::DeadWeights) {
        dead_weights(graph, predict, options, outcome)?;
    }
    if [Kind::Shapes, Kind::Macs, Kind::Memory].into_iter().any(|kind| options.wants(kind)) {
        forward(graph, predict, options, outcome, tick)?;
    }
    Ok(())
}

fn parameters(
    graph: &Graph,
    predict: &(dyn Predict + Sync),
    options: &Options,
    outcome: &mut Outcome,
) -> Result<(), Problem> {
    let (params, buffers) = predict.parameters(graph);
    let (mut learned, mut kept) = (0u64, 0u64);
    for node in &graph.nodes {
        for (_, weight) in node.own_weights() {
            // One tensor at a time: VGG's would not all fit beside each other.
            let tensor = Tensor::<f32>::zeros(&batched(1, &weight.shape)?);
            match weight.role {
                WeightRole::Parameter => learned += tensor.len() as u64,
                WeightRole::Buffer => kept += tensor.len() as u64,
            }
        }
    }
    let text = |params: u64, buffers: u64| match buffers {
        0 => number::grouped(params),
        _ => format!("{} and {} buffers", number::grouped(params), number::grouped(buffers)),
    };
    outcome
        .claim(Kind::Parameters, None, text(params, buffers), text(learned, kept))
        .method("elements of the tensors that the executor allocates, shared ones once")
        .verdict(options.agree(params, learned) && options.agree(buffers, kept));
    Ok(())
}

/// Gradients of all outputs with respect to every weight, on a slim clone at the network's own input size.
fn dead_weights(
    graph: &Graph,
    predict: &(dyn Predict + Sync),
    options: &Options,
    outcome: &mut Outcome,
) -> Result<(), Problem> {
    let slim = slim(graph);
    if totals::of_graph(&slim.graph).macs > options.effort.budget() {
        outcome.notes.push("dead weights: too expensive for this effort; --thorough measures them".into());
        return Ok(());
    }
    let mut seeds = Vec::new();
    for &output in &graph.outputs {
        seeds.push((output, Tensor::from_fn(&batched(1, &slim.graph.node(output).shape)?, |_| Marks::ONE)));
    }
    let trace = trace(&slim.graph, seeds, true)?;
    let (mut dead, mut partly, mut all) = (Vec::new(), Vec::new(), 0);
    for (id, node) in graph.iter().filter(|(_, node)| node.shares.is_none()) {
        for (index, weight) in node.weights.iter().enumerate() {
            if weight.role != WeightRole::Parameter {
                continue;
            }
            all += 1;
            let marks = trace.weights[id.0].get(index);
            let used = marks.map_or(0, |marks| marks.data().iter().filter(|m| **m != Marks::ZERO).count());
            match (used, marks.map_or(0, Tensor::len)) {
                (0, _) => dead.push(format!("{}.{}", node.id, weight.name)),
                (used, len) if used < len => partly.push(format!("{}.{}", node.id, weight.name)),
                _ => {}
            }
        }
    }
    let text = |dead: &[String]| if dead.is_empty() { "none".into() } else { dead.join(", ") };
    let predicted = predict.dead(graph);
    let mut method = format!("gradients of all outputs with respect to {all} weight tensors, {}", slim.how);
    if !partly.is_empty() {
        let named: Vec<&str> = partly.iter().take(3).map(String::as_str).collect();
        let more = if partly.len() > 3 { format!(" and {} more", partly.len() - 3) } else { String::new() };
        method += &format!("; some taps of {}{more} only ever see padding", named.join(", "));
    }
    outcome.claim(Kind::DeadWeights, None, text(&predicted), text(&dead)).method(method);
    Ok(())
}

/// The network at the largest input whose multiply-adds fit the budget; and whether it had to shrink.
fn affordable(graph: &Graph, options: &Options) -> Option<(Graph, String)> {
    let budget = options.effort.budget();
    let fits = |graph: &Graph| {
        let counts = totals::of_graph(graph);
        counts.macs.saturating_add(counts.sampling_macs).saturating_add(counts.activations.saturating_mul(8))
            <= budget
    };
    if fits(graph) {
        return Some((graph.clone(), "at the network's own size".into()));
    }
    for divisor in [1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 32.0] {
        // Multiples of 32 suit networks that halve and double their maps.
        let shrunk = |old: u64| ((old as f64 / divisor / 32.0).ceil() as u64 * 32).clamp(1, old);
        if let Ok(small) = resized(graph, &with_space(graph, |_, old| shrunk(old)))
            && fits(&small)
        {
            let macs = number::magnitude(totals::of_graph(graph).macs);
            let how =
                format!("on inputs of {} ({macs} multiply-adds at its own size: --thorough)", inputs(&small));
            return Some((small, how));
        }
    }
    let slim = slim(graph);
    fits(&slim.graph).then(|| (slim.graph, format!("{}; --thorough runs all", slim.how)))
}

fn forward(
    graph: &Graph,
    predict: &(dyn Predict + Sync),
    options: &Options,
    outcome: &mut Outcome,
    tick: &dyn Fn(),
) -> Result<(), Problem> {
    let Some((graph, how)) = affordable(graph, options) else {
        outcome.notes.push(
            "shapes, multiply-adds and memory: too expensive for this effort; --thorough measures them"
                .into(),
        );
        return Ok(());
    };
    let mut seed = Seed(options.seed);
    let mut tensors = Vec::new();
    for (_, node) in graph.inputs() {
        tensors.push(seed.tensor::<f32>(&batched(1, &node.shape)?));
    }
    let measured = run(&graph, tensors, |declared| seed.weights(declared), &[], None, |_| tick())?;
    if options.wants(Kind::Shapes) {
        let predicted = predict.shapes(&graph);
        let wrong = (0..graph.nodes.len()).find(|&i| predicted.get(i) != measured.shapes.get(i));
        let shape = |shapes: &[crate::shape::Shape], i: usize| format!("{} {}", graph.nodes[i].id, shapes[i]);
        let all = format!("{} nodes", graph.nodes.len());
        let claim = match wrong {
            Some(i) => outcome.claim(
                Kind::Shapes,
                Some(&graph.nodes[i].id),
                shape(&predicted, i),
                shape(&measured.shapes, i),
            ),
            None => outcome.claim(Kind::Shapes, None, all.clone(), all),
        };
        claim.method(format!("the shape of every tensor that a run in f32 produced, {how}"));
    }
    if options.wants(Kind::Macs) {
        let predicted = predict.macs(&graph);
        let wrong =
            graph.iter().find(|(id, _)| !options.agree(predicted[id.0], measured.counters[id.0].total()));
        let sum = |padding: bool| -> u64 {
            measured
                .counters
                .iter()
                .map(|counter| if padding { counter.padding } else { counter.total() })
                .sum()
        };
        let method = format!(
            "counted in the kernels' inner loops, {} of them skipped because they fall on padding, {how}",
            number::grouped(sum(true))
        );
        let claim = match wrong {
            Some((id, node)) => outcome.claim(
                Kind::Macs,
                Some(&node.id),
                number::grouped(predicted[id.0]),
                number::grouped(measured.counters[id.0].total()),
            ),
            None => outcome.claim(
                Kind::Macs,
                None,
                number::grouped(predicted.iter().sum()),
                number::grouped(sum(false)),
            ),
        };
        claim.method(method).verdict(wrong.is_none());
    }
    if options.wants(Kind::Memory)
        && let Some((elements, step)) = predict.peak(&graph)
    {
        let text = |elements: u64, step: NodeId| {
            let place = match graph.nodes.get(step.0) {
                Some(node) if node.op != Op::Input => format!(" at {}", node.id),
                _ => String::new(),
            };
            format!("{} elements{place}", number::grouped(elements))
        };
        outcome
            .claim(Kind::Memory, None, text(elements, step), text(measured.peak.0, measured.peak.1))
            .method(format!(
                "most elements of activations held at once, each dropped after its last reader, {how}"
            ));
    }
    Ok(())
}
