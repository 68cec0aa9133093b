//! Claims from forward runs of a network: parameters, dead weights, shapes, multiply-adds, memory.

use crate::dependence_bits::Marks;
use crate::predict::Predict;
use crate::progress::Bar;
use crate::rebuild::{resized, slim, with_space};
use crate::run::{Seed, run};
use crate::sets::{position, raster};
use crate::trace::trace_to_weights;
use crate::{Kind, Options, Outcome, inputs};
use cnnkit_core::analysis::totals;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::{Graph, NodeId, Op};
use cnnkit_core::layers::WeightRole;
use cnnkit_core::number;
use cnnkit_core::shape::Shape;
use cnnkit_exec::reference::Counter;
use cnnkit_exec::scalar::Scalar as _;
use cnnkit_exec::tensor::{Tensor, batched};

pub(super) fn measure(
    graph: &Graph,
    predict: &(dyn Predict + Sync),
    options: &Options,
    outcome: &mut Outcome,
    bar: &Bar<'_>,
) -> Result<(), Problem> {
    if options.wants(Kind::Parameters) {
        parameters(graph, predict, options, outcome)?;
    }
    if options.wants(Kind::DeadWeights) {
        let _part = bar.part(100, 1);
        dead_weights(graph, predict, options, outcome)?;
    }
    if [Kind::Shapes, Kind::Macs, Kind::Memory].into_iter().any(|kind| options.wants(kind)) {
        let part = bar.part(200, graph.nodes().len());
        forward(graph, predict, options, outcome, &|| part.step())?;
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
    for node in graph.nodes() {
        for (index, weight) in node.own_weights() {
            // One tensor at a time: VGG's weights would not all fit into memory at once.
            let tensor = Tensor::<f32>::zeros(&batched(1, &weight.shape)?);
            match weight.role {
                WeightRole::Parameter => learned += node.counted(index, tensor.len() as u64),
                WeightRole::Buffer | WeightRole::Fixed => {
                    kept += node.counted(index, tensor.len() as u64);
                }
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

/// Compares the elements of every weight that receive a gradient from some output, on a slim clone at the network's
/// own input size.
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
    for &output in graph.outputs() {
        seeds.push((output, Tensor::from_fn(&batched(1, &slim.graph.node(output).shape)?, |_| Marks::ONE)));
    }
    let trace = trace_to_weights(&slim.graph, seeds)?;
    let predicted = predict.used(&slim.graph)?;
    // Weights with idle elements, as predicted and as measured; and the first difference.
    let (mut claimed, mut found, mut differs, mut all) = (Vec::new(), Vec::new(), None, 0);
    for (id, node) in slim.graph.iter().filter(|(_, node)| node.shares.is_none()) {
        for (index, weight) in node.weights.iter().enumerate() {
            if weight.role != WeightRole::Parameter {
                continue;
            }
            all += 1;
            let name = format!("{}.{}", node.id, weight.name);
            let sizes = weight.shape.sizes();
            let elements = usize::try_from(weight.shape.elements()?).unwrap_or(0);
            let claims = predicted.get(id.index()).and_then(|weights| weights.get(index));
            let claims = claims.map_or_else(|| vec![false; elements], |region| raster(region, sizes));
            let marks = trace.weights[id.index()].get(index);
            let finds: Vec<bool> = match marks {
                Some(marks) => marks.data().iter().map(|marks| *marks != Marks::ZERO).collect(),
                None => vec![false; elements],
            };
            if let Some(flat) = claims.iter().zip(&finds).position(|(claim, find)| claim != find) {
                let not = if finds[flat] { "" } else { " not" };
                differs.get_or_insert_with(|| format!("; {name} at {} is{not} used", position(flat, sizes)));
            }
            claimed.extend(idle(&name, &claims));
            found.extend(idle(&name, &finds));
        }
    }
    let list = |idle: &[String]| if idle.is_empty() { "none".into() } else { idle.join(", ") };
    let measured = format!("{}{}", list(&found), differs.as_deref().unwrap_or_default());
    outcome
        .claim(Kind::DeadWeights, None, list(&claimed), measured)
        .method(format!(
            "gradients of all outputs with respect to every element of {all} weight tensors, {}",
            slim.how
        ))
        .verdict(differs.is_none());
    Ok(())
}

/// Formats `conv2.weight` or `6 of 9 elements of conv2.weight`; `None` if all elements are used.
fn idle(name: &str, used: &[bool]) -> Option<String> {
    match used.iter().filter(|used| !**used).count() {
        0 => None,
        idle if idle == used.len() => Some(name.to_owned()),
        idle => Some(format!("{idle} of {} elements of {name}", used.len())),
    }
}

/// Returns the network at the largest input whose multiply-adds fit the budget, and whether it had to shrink.
fn affordable(graph: &Graph, options: &Options) -> Option<(Graph, String)> {
    let budget = options.effort.forward_budget();
    let fits = |graph: &Graph| {
        let counts = totals::of_graph(graph);
        counts.macs.saturating_add(counts.sampling_macs).saturating_add(counts.activations.saturating_mul(8))
            <= budget
    };
    if fits(graph) {
        return Some((graph.clone(), "at the network's own size".into()));
    }
    for divisor in [1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 32.0] {
        // Multiples of 32 suit networks that repeatedly halve and double their maps.
        let shrunk = |old: u64| ((old as f64 / divisor / 32.0).ceil() as u64 * 32).clamp(1, old);
        if let Ok(small) = resized(graph, &with_space(graph, |_, old| shrunk(old)))
            && fits(&small)
        {
            let how = format!("on inputs of {}", inputs(&small));
            return Some((small, how));
        }
    }
    let slim = slim(graph);
    fits(&slim.graph).then(|| (slim.graph, format!("{}; --thorough runs all", slim.how)))
}

fn forward(
    original: &Graph,
    predict: &(dyn Predict + Sync),
    options: &Options,
    outcome: &mut Outcome,
    tick: &dyn Fn(),
) -> Result<(), Problem> {
    let Some((graph, how)) = affordable(original, options) else {
        outcome.notes.push(
            "shapes, multiply-adds and memory: too expensive for this effort; --thorough measures them"
                .into(),
        );
        return Ok(());
    };
    if graph.inputs().map(|(_, node)| &node.shape).ne(original.inputs().map(|(_, node)| &node.shape)) {
        let macs = number::magnitude(totals::of_graph(original).macs);
        outcome.choices.push(format!(
            "shapes, multiply-adds and memory on inputs of {} instead of {} ({macs} multiply-adds there), the \
             prediction made for that size; --thorough runs it all",
            inputs(&graph),
            inputs(original)
        ));
    }
    let mut seed = Seed(options.seed);
    let mut tensors = Vec::new();
    for (_, node) in graph.inputs() {
        tensors.push(seed.tensor::<f32>(&batched(1, &node.shape)?));
    }
    let measured = run(&graph, tensors, |declared| seed.weights(declared), &[], None, |_| tick())?;
    if options.wants(Kind::Shapes) {
        let predicted = predict.shapes(&graph);
        let wrong = (0..graph.nodes().len()).find(|&i| predicted.get(i) != measured.shapes.get(i));
        let shape = |shapes: &[Shape], i: usize| {
            shapes
                .get(i)
                .map_or_else(|| "no shape".to_owned(), |shape| format!("{} {shape}", graph.nodes()[i].id))
        };
        let all = format!("{} nodes", graph.nodes().len());
        let claim = match wrong {
            Some(i) => outcome.claim(
                Kind::Shapes,
                Some(&graph.nodes()[i].id),
                shape(&predicted, i),
                shape(&measured.shapes, i),
            ),
            None => outcome.claim(Kind::Shapes, None, all.clone(), all),
        };
        claim.method(format!("the shape of every tensor that a run in f32 produced, {how}"));
    }
    if options.wants(Kind::Macs) {
        multiply_adds(&graph, predict, &measured.counters, &how, options, outcome);
    }
    if options.wants(Kind::Memory) {
        let made = (0..).zip(&measured.shapes).filter(|&(index, _)| graph.nodes()[index].op != Op::Input);
        let made: u64 = made.map(|(_, shape)| shape.elements()).sum::<Result<u64, Problem>>()?;
        let claimed = predict.activations(&graph);
        let all = |elements: u64| format!("{} elements in all", number::grouped(elements));
        outcome
            .claim(Kind::Memory, None, all(claimed), all(made))
            .method(format!("elements of every tensor that a layer produced, {how}"))
            .verdict(options.agree(claimed, made));
        let text = |elements: u64, step: NodeId| {
            let place = match graph.nodes().get(step.index()) {
                Some(node) if node.op != Op::Input => format!(" at {}", node.id),
                _ => String::new(),
            };
            format!("{} elements at once{place}", number::grouped(elements))
        };
        let claimed = predict.peak(&graph);
        let claimed =
            claimed.map_or_else(|| "not predicted".to_owned(), |(elements, step)| text(elements, step));
        outcome.claim(Kind::Memory, None, claimed, text(measured.peak.0, measured.peak.1)).method(format!(
            "most elements of tensors alive at once, each dropped after its last reader, {how}"
        ));
    }
    Ok(())
}

/// Compares the multiply-adds of every node in both conventions: with taps on padding, as is usual in the
/// field, and without.
fn multiply_adds(
    graph: &Graph,
    predict: &(dyn Predict + Sync),
    counters: &[Counter],
    how: &str,
    options: &Options,
    outcome: &mut Outcome,
) {
    let mut one = |predicted: &[u64], measured: &dyn Fn(&Counter) -> u64, what: &str, detail: &str| {
        let found = |id: NodeId| counters.get(id.index()).map_or(0, measured);
        let claimed = |id: NodeId| predicted.get(id.index()).copied().unwrap_or(0);
        let wrong = graph.iter().find(|(id, _)| !options.agree(claimed(*id), found(*id)));
        let text = |count: u64, detail: &str| format!("{}{what}{detail}", number::grouped(count));
        let claim = match wrong {
            Some((id, node)) => {
                outcome.claim(Kind::Macs, Some(&node.id), text(claimed(id), ""), text(found(id), ""))
            }
            None => outcome.claim(
                Kind::Macs,
                None,
                text(predicted.iter().sum(), ""),
                text(counters.iter().map(measured).sum(), detail),
            ),
        };
        claim
            .method(format!("counted in the kernels' inner loops node by node, {how}"))
            .verdict(wrong.is_none());
    };
    let padding: u64 = counters.iter().map(|counter| counter.padding).sum();
    let detail = match padding {
        0 => String::new(),
        _ => format!(", {} of them on padding", number::grouped(padding)),
    };
    one(&predict.macs(graph), &Counter::total, "", &detail);
    let sampling = predict.sampling(graph);
    if sampling.iter().any(|&count| count > 0) || counters.iter().any(|counter| counter.sampling > 0) {
        one(&sampling, &|counter| counter.sampling, " for bilinear sampling", "");
    }
}
