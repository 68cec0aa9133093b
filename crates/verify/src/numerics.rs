//! Compares the fast kernels with the reference: each node with a bound per element, and the whole network fused.
//!
//! Each layer runs on the exact values that the fast kernels produced before it, so that amplification in
//! later layers cannot hide an error; the reference of that layer alone, run in `Rounded`, gives the bound
//! for f32. Across a whole network the bound compounds per layer and becomes vacuous after about ten layers,
//! so the fused network is compared with the error of the reference itself in f32.

use std::sync::Arc;

use rayon::prelude::*;

use crate::channel_sample::{self, Excerpt};
use crate::error_bound::{Rounded, U};
use crate::inexact_functions::Inexact;
use crate::progress::Part;
use crate::rebuild::{resized, with_space};
use crate::{Kind, Options, Outcome, inputs};
use cnnkit_core::analysis::totals;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::{Graph, Op};
use cnnkit_core::layers::{Layer, Weight};
use cnnkit_exec::fast::{Fast, Plan};
use cnnkit_exec::network::{Fill, Network, random_inputs};
use cnnkit_exec::reference::{self, Call, Counter};
use cnnkit_exec::run::{Kernels, Reference};
use cnnkit_exec::scalar::Scalar as _;
use cnnkit_exec::tensor::Tensor;

/// How much larger the error of the fused network may be than that of the reference in f32: other orders of the same
/// sums.
const SLACK: f64 = 16.0;

pub(super) fn measure(
    graph: &Graph,
    options: &Options,
    outcome: &mut Outcome,
    part: &Part<'_>,
) -> Result<(), Problem> {
    if !options.wants(Kind::Numerics) {
        return Ok(());
    }
    match affordable(graph, options) {
        Some((graph, share, how)) => {
            compare(&graph, &Fast::default(), share, &how, options, outcome, &|| part.step())?;
        }
        None => {
            outcome.notes.push("numerics: too expensive for this effort; --thorough measures them".into());
        }
    }
    let definition = |graph: &Graph| {
        let counts = totals::of_graph(graph);
        let products = counts.macs.saturating_add(counts.sampling_macs);
        products.saturating_add(counts.params).saturating_add(counts.activations.saturating_mul(8))
    };
    let budget = options.effort.forward_budget();
    match sizes(graph).find(|graph| definition(graph) <= budget) {
        Some(graph) => fused(&graph, &size(&graph), options, outcome, &|| part.step()),
        None => {
            let note =
                "numerics of the fused network: too expensive for this effort; --thorough measures them";
            outcome.notes.push(note.into());
            Ok(())
        }
    }
}

/// Iterates over the network at its own size and at ever smaller ones.
fn sizes(graph: &Graph) -> impl Iterator<Item = Graph> {
    // Multiples of 32 suit networks that repeatedly halve and double their maps.
    let shrunk = |old: u64, divisor: f64| ((old as f64 / divisor / 32.0).ceil() as u64 * 32).clamp(1, old);
    let smaller = [1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 32.0].into_iter();
    let smaller =
        smaller.filter_map(move |by| resized(graph, &with_space(graph, |_, old| shrunk(old, by))).ok());
    std::iter::once_with(|| graph.clone()).chain(smaller)
}

fn size(graph: &Graph) -> String {
    format!("on inputs of {}", inputs(graph))
}

/// Returns the whole network if affordable, else the largest input on which some output channels of each layer can be
/// computed in wider numbers; and the share of these channels.
fn affordable(graph: &Graph, options: &Options) -> Option<(Graph, f64, String)> {
    // Tracking a bound makes every step 5 to 10 times as expensive.
    let budget = options.effort.budget().max(350_000_000) / 4;
    let cost = |graph: &Graph, share: f64| {
        let counts = totals::of_graph(graph);
        let defined = graph.nodes().iter().map(|node| channel_sample::steps(graph, node, share));
        let defined = defined.fold(counts.sampling_macs, u64::saturating_add);
        // Cost of running the fast kernels on all of it.
        defined.saturating_add(counts.macs / 256 + counts.params / 16)
    };
    if cost(graph, 1.0) <= budget {
        return Some((graph.clone(), 1.0, size(graph)));
    }
    let graph = sizes(graph).find(|graph| cost(graph, 0.0) <= budget)?;
    let share = (0..10).map(|halves| 0.5f64.powi(halves)).find(|share| cost(&graph, *share) <= budget);
    let share = share.unwrap_or(0.0);
    let how = match share {
        1.0 => size(&graph),
        _ => format!("{}; most layers at some of their output channels, evenly spread", size(&graph)),
    };
    Some((graph, share, how))
}

/// How close the errors of one layer come to their bounds.
#[derive(Default)]
struct Layered {
    elements: u64,
    /// Whether the bound is that of Winograd's algorithm.
    mixes: bool,
    /// The largest ratio of an error to its bound.
    share: f64,
    /// The largest error relative to the largest element of its tensor.
    relative: f64,
}

/// Compares every layer, computed by `kernels` on the outputs of `kernels`, with its reference; on `share` of the
/// output channels where they can be separated, but at least 4.
pub fn kernels(
    graph: &Graph,
    kernels: &(impl Kernels<f32> + Sync),
    share: f64,
    options: &Options,
    outcome: &mut Outcome,
) -> Result<(), Problem> {
    compare(graph, kernels, share, "", options, outcome, &|| ())
}

/// As [`kernels`]; calls `tick` for every layer.
fn compare(
    graph: &Graph,
    kernels: &(impl Kernels<f32> + Sync),
    share: f64,
    how: &str,
    options: &Options,
    outcome: &mut Outcome,
    tick: &(dyn Fn() + Sync),
) -> Result<(), Problem> {
    let network = Network::<f32>::seeded(graph, options.seed, Fill::Generic)?;
    let trace = network.trace(random_inputs(graph, 1, options.seed)?, kernels)?;
    let all = graph.iter().collect::<Vec<_>>().into_par_iter().map(|(id, node)| {
        tick();
        let Op::Layer(layer) = &node.op else { return Ok(None) };
        let inputs: Vec<&Tensor<f32>> =
            node.inputs.iter().map(|input| &trace.values[input.index()]).collect();
        let call = Call { inputs: &inputs, declared: &node.weights, weights: network.weights(id) };
        one(layer, call, &trace.values[id.index()], kernels, share).map(Some)
    });
    let all: Vec<Option<Layered>> = all.collect::<Result<_, Problem>>()?;
    let layers: Vec<(&str, Layered)> =
        (0..).zip(all).filter_map(|(i, layer)| Some((graph.nodes()[i].id.as_str(), layer?))).collect();
    let elements: u64 = layers.iter().map(|(_, layer)| layer.elements).sum();
    let mixing = layers.iter().filter(|(_, layer)| layer.mixes).count();
    let relative = layers.iter().map(|(_, layer)| layer.relative).fold(0.0, f64::max);
    let worst = layers.iter().max_by(|(_, a), (_, b)| a.share.total_cmp(&b.share));
    let (node, worst) = worst.map_or(("", 0.0), |(node, layer)| (*node, layer.share));
    let ok = worst <= 1.0;
    let found = match ok {
        true if worst > 0.0 => {
            format!("at most {worst:.2} of it, at {node}; {relative:.1e} of a tensor's largest element")
        }
        true => "equal".to_owned(),
        false => format!("{worst:.2} times the bound at {node}"),
    };
    let node = (!ok).then_some(node);
    outcome
        .claim(Kind::Numerics, node, "every element within its rounding bound", found)
        .method(format!(
            "fast kernels in f32 against the definition in f64, {} layers, {elements} elements, each layer on \
             the fast kernels' own numbers; the bound is n u / (1 - n u) times the sum of the absolute values of an \
             element's n products, u = 2^-24{}; {how}",
            layers.len(),
            match mixing {
                0 => String::new(),
                1 => ", for 1 Winograd layer 4 times that of all products of a tap and a pixel".to_owned(),
                n => format!(", for {n} Winograd layers 4 times that of all products of a tap and a pixel"),
            }
        ))
        .verdict(ok);
    Ok(())
}

/// Compares one layer, whose kernel computed `found`.
fn one(
    layer: &Layer,
    call: Call<'_, f32>,
    found: &Tensor<f32>,
    kernels: &impl Kernels<f32>,
    share: f64,
) -> Result<Layered, Problem> {
    let mixes = kernels.mixes_taps(layer, call)?;
    let excerpt = Excerpt::of(layer, call, share)?;
    let inputs: Vec<&Tensor<f32>>;
    let (layer, call) = match &excerpt {
        Some(excerpt) => {
            inputs = excerpt.inputs.iter().collect();
            (&excerpt.layer, Call { inputs: &inputs, declared: call.declared, weights: &excerpt.weights })
        }
        None => (layer, call),
    };
    let wide = |tensor: &Tensor<f32>| {
        Tensor::from_fn(tensor.sizes(), |flat| Rounded::exact(f64::from(tensor.data()[flat])))
    };
    let operands: Vec<Tensor<Rounded>> = call.inputs.iter().map(|input| wide(input)).collect();
    let operands: Vec<&Tensor<Rounded>> = operands.iter().collect();
    let weights: Vec<_> = call.weights.iter().map(|weight| Arc::new(wide(weight))).collect();
    let wide = Call { inputs: &operands, declared: call.declared, weights: &weights };
    let defined = reference::forward(layer, wide, &mut Counter::default())?;
    let mixed = if mixes { Some(mixed(layer, call)?) } else { None };
    let scale = defined.data().iter().fold(f64::MIN_POSITIVE, |most, x| most.max(x.value.abs()));
    let mut result = Layered { elements: defined.len() as u64, mixes, ..Layered::default() };
    for (i, &expected) in defined.data().iter().enumerate() {
        let place = excerpt.as_ref().map_or(i, |excerpt| excerpt.place(i, defined.sizes(), found.sizes()));
        let found = f64::from(found.data()[place]);
        if !expected.value.is_finite() && !found.is_finite() {
            continue;
        }
        let off = (found - expected.value).abs();
        // Below the smallest normal number f32 has fewer digits.
        let error = mixed.as_ref().map_or(expected.error(), |mixed| mixed.data()[i]);
        let bound = error + f64::from(f32::MIN_POSITIVE);
        let share = if off.is_nan() { f64::INFINITY } else { off / bound };
        result.relative = result.relative.max(off / scale);
        result.share = result.share.max(share);
    }
    Ok(result)
}

/// Returns the error bound of each output of a convolution computed by Winograd's F(2x2, 3x3).
///
/// Its products are of sums of taps and sums of pixels, of which all but 9 of 81 terms cancel in the end. Expanded,
/// no product of a tap and a pixel of the window occurs more than twice per axis, so their sum is at most 4 times the
/// product of the two sums of absolute values; each product passes 2 roundings of pixels, 1 of weights, one per
/// channel, and 4 at the end.
fn mixed(layer: &Layer, call: Call<'_, f32>) -> Result<Tensor<f64>, Problem> {
    const ROUNDINGS: usize = 7;
    // Roundings in addition to those of the terms: a folded scale, a bias.
    const SPARE: usize = 4;
    let sizes =
        |tensor: &Tensor<f32>| Tensor::from_fn(tensor.sizes(), |flat| f64::from(tensor.data()[flat].abs()));
    let inputs: Vec<Tensor<f64>> = call.inputs.iter().map(|input| sizes(input)).collect();
    let inputs: Vec<&Tensor<f64>> = inputs.iter().collect();
    let weight = |(declared, weight): (&Weight, &Arc<Tensor<f32>>)| {
        let sizes = sizes(weight);
        if declared.name != "weight" {
            return Arc::new(sizes);
        }
        let taps: usize = sizes.sizes()[2..].iter().product();
        let all = |flat: usize| sizes.data()[flat / taps * taps..][..taps].iter().sum();
        Arc::new(Tensor::from_fn(sizes.sizes(), all))
    };
    let weights: Vec<Arc<Tensor<f64>>> = call.declared.iter().zip(call.weights).map(weight).collect();
    let channels = call.inputs[0].sizes()[1];
    let n = (channels + ROUNDINGS + SPARE) as f64 * U;
    let call = Call { inputs: &inputs, declared: call.declared, weights: &weights };
    let all = reference::forward(layer, call, &mut Counter::default())?;
    Ok(Tensor::from_fn(all.sizes(), |flat| n / (1.0 - n).max(f64::MIN_POSITIVE) * 4.0 * all.data()[flat]))
}

/// Compares the whole network with fused layers.
fn fused(
    graph: &Graph,
    how: &str,
    options: &Options,
    outcome: &mut Outcome,
    tick: &(dyn Fn() + Sync),
) -> Result<(), Problem> {
    let network = Network::<f32>::seeded(graph, options.seed, Fill::Generic)?;
    let given: Vec<Tensor<f32>> = random_inputs(graph, 1, options.seed)?;
    let (exact, plain) = rayon::join(
        || network.cast::<f64>().run(given.iter().map(Tensor::cast).collect(), &Reference, |_| tick()),
        || network.run(given.clone(), &Reference, |_| ()),
    );
    let (exact, plain) = (exact?.outputs, plain?.outputs);
    let planned = Plan::new(&network, 1)?.run(&given, |_| ())?;
    let losses = |found: &[Tensor<f32>]| -> Vec<f64> {
        exact
            .iter()
            .zip(found)
            .map(|(exact, found)| loss_of(exact, found.data().iter().map(|&x| f64::from(x))))
            .collect()
    };
    let (mut own, found) = (losses(&plain), losses(&planned.outputs));
    if own.iter().zip(&found).any(|(own, found)| *found > SLACK * own.max(U)) {
        // Slightly different inputs reveal the rounding error of a badly conditioned network.
        let nudged = network.run(given.iter().map(nudged).collect(), &Reference, |_| ())?.outputs;
        own = own.iter().zip(losses(&nudged)).map(|(own, nudged)| own.max(nudged)).collect();
    }
    let mut functions = vec![0.0; own.len()];
    if own.iter().zip(&found).any(|(own, found)| *found > SLACK * own.max(U)) {
        // So do functions that are as inexact as the kernels': the definition's are correctly rounded.
        for errors in [
            of_functions::<1>(&network, &given, &exact)?,
            of_functions::<2>(&network, &given, &exact)?,
            of_functions::<3>(&network, &given, &exact)?,
            of_functions::<4>(&network, &given, &exact)?,
        ] {
            functions.iter_mut().zip(errors).for_each(|(most, error)| *most = error.max(*most));
        }
    }
    let (mut loss, mut allowed, mut share) = (0.0f64, 0.0f64, 0.0f64);
    let (mut told, mut lost) = (0, Vec::new());
    for (((own, functions), found), &id) in own.into_iter().zip(functions).zip(found).zip(graph.outputs()) {
        let limit = SLACK * own.max(U) + functions;
        if limit >= 1.0 {
            lost.push(graph.node(id).id.as_str());
            continue;
        }
        told += 1;
        if found / limit >= share {
            (loss, allowed, share) = (found, limit, found / limit);
        }
    }
    if !lost.is_empty() {
        outcome.notes.push(format!(
            "numerics of the fused network at {}: even the definition in f32 has hardly a correct digit there",
            lost.join(", ")
        ));
    }
    if told == 0 {
        return Ok(());
    }
    outcome
        .claim(
            Kind::Numerics,
            None,
            format!("the fused network within {allowed:.1e}"),
            format!("{loss:.1e} of the largest output"),
        )
        .method(format!(
            "outputs of the fused network in f32 against the definition in f64, end to end; the limit is {SLACK} \
             times the error of the definition in f32, on these inputs or on their neighbours in f32, because both \
             round the same sums in different orders, and where that is exceeded the error that functions as inexact as \
             the kernels' cause; {how}"
        ))
        .verdict(share <= 1.0);
    Ok(())
}

/// Returns the error in each output that functions as inexact as those of the fast kernels cause.
fn of_functions<const PATTERN: u64>(
    network: &Network<'_, f32>,
    given: &[Tensor<f32>],
    exact: &[Tensor<f64>],
) -> Result<Vec<f64>, Problem> {
    let inputs = given.iter().map(Tensor::cast).collect();
    let run = network.cast::<Inexact<PATTERN>>().run(inputs, &Reference, |_| ())?;
    let loss = |(exact, found): (&Tensor<f64>, &Tensor<Inexact<PATTERN>>)| {
        loss_of(exact, found.data().iter().map(|value| value.to_f64()))
    };
    Ok(exact.iter().zip(&run.outputs).map(loss).collect())
}

/// Returns the largest error of `found`, relative to the largest element.
fn loss_of(exact: &Tensor<f64>, found: impl Iterator<Item = f64>) -> f64 {
    let scale = exact.data().iter().fold(f64::MIN_POSITIVE, |most, x| most.max(x.abs()));
    found.zip(exact.data()).fold(0.0f64, |most, (found, &exact)| {
        if found.is_finite() == exact.is_finite() && !exact.is_finite() {
            return most;
        }
        let off = (found - exact).abs() / scale;
        if off.is_nan() { f64::INFINITY } else { most.max(off) }
    })
}

/// Returns the neighbouring f32 numbers, alternately above and below.
fn nudged(input: &Tensor<f32>) -> Tensor<f32> {
    Tensor::from_fn(input.sizes(), |flat| {
        let by = if flat.is_multiple_of(2) { f32::EPSILON } else { -f32::EPSILON };
        input.data()[flat] * (1.0 + by)
    })
}
