//! The fast kernels against the definition: node by node with a bound for each element, and the whole network fused.
//!
//! Each layer gets the very numbers that the fast kernels produced before it, so that an error cannot hide behind the
//! amplification of later layers; the definition of that layer alone, run in `Rounded`, says what f32 may be off. Over a
//! whole network such a bound grows by the sum of the weights' sizes in every layer and says nothing after ten of them,
//! so the fused network is held against what the definition itself loses in f32.

use std::sync::Arc;

use rayon::prelude::*;

use crate::channel_sample::{self, Excerpt};
use crate::error_bound::{Rounded, U};
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
use cnnkit_exec::tensor::Tensor;

/// How much further than the definition in f32 the fused network may be from f64: other orders of the same sums.
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

/// The network at its own size and at ever smaller ones.
fn sizes(graph: &Graph) -> impl Iterator<Item = Graph> {
    // Multiples of 32 suit networks that halve and double their maps.
    let shrunk = |old: u64, divisor: f64| ((old as f64 / divisor / 32.0).ceil() as u64 * 32).clamp(1, old);
    let smaller = [1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 32.0].into_iter();
    let smaller =
        smaller.filter_map(move |by| resized(graph, &with_space(graph, |_, old| shrunk(old, by))).ok());
    std::iter::once_with(|| graph.clone()).chain(smaller)
}

fn size(graph: &Graph) -> String {
    format!("on inputs of {}", inputs(graph))
}

/// The network, whole if that can be afforded, else the largest input on which some output channels of each layer can
/// be computed in wider numbers; and the share of them that can.
fn affordable(graph: &Graph, options: &Options) -> Option<(Graph, f64, String)> {
    // A bound is carried through every step, which makes it 5 to 10 times as long.
    let budget = options.effort.budget().max(350_000_000) / 4;
    let cost = |graph: &Graph, share: f64| {
        let counts = totals::of_graph(graph);
        let defined = graph.nodes.iter().map(|node| channel_sample::steps(graph, node, share));
        let defined = defined.fold(counts.sampling_macs, u64::saturating_add);
        // What the fast kernels need to run all of it.
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
        _ => format!("{}; of most layers some output channels, from the first to the last", size(&graph)),
    };
    Some((graph, share, how))
}

/// How near the elements of one layer come to their bounds.
#[derive(Default)]
struct Layered {
    elements: u64,
    /// Whether the bound is that of Winograd's way.
    mixes: bool,
    /// The largest error as a share of its bound.
    share: f64,
    /// Largest error relative to the largest element of its tensor.
    relative: f64,
}

/// Every layer by `kernels` on what they computed before, against its definition; `share` of the output channels where
/// they can be told apart, and 4 of them at least.
pub fn kernels(
    graph: &Graph,
    kernels: &(impl Kernels<f32> + Sync),
    share: f64,
    options: &Options,
    outcome: &mut Outcome,
) -> Result<(), Problem> {
    compare(graph, kernels, share, "", options, outcome, &|| ())
}

/// The same; `tick` is told of every layer.
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
        let inputs: Vec<&Tensor<f32>> = node.inputs.iter().map(|input| &trace.values[input.0]).collect();
        let call = Call { inputs: &inputs, declared: &node.weights, weights: network.weights(id) };
        one(layer, call, &trace.values[id.0], kernels, share).map(Some)
    });
    let all: Vec<Option<Layered>> = all.collect::<Result<_, Problem>>()?;
    let layers: Vec<(&str, Layered)> =
        (0..).zip(all).filter_map(|(i, layer)| Some((graph.nodes[i].id.as_str(), layer?))).collect();
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
             the fast kernels' own numbers; the bound is n u / (1 - n u) times the sum of the sizes of an element's n \
             products, u = 2^-24{}; {how}",
            layers.len(),
            match mixing {
                0 => String::new(),
                1 => ", and for the 1 by Winograd's way 4 times that of all products of a tap and a pixel".to_owned(),
                n => format!(", and for the {n} by Winograd's way 4 times that of all products of a tap and a pixel"),
            }
        ))
        .verdict(ok);
    Ok(())
}

/// One layer, whose kernel made `found`.
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
        // Below the smallest normal number f32 keeps fewer digits.
        let error = mixed.as_ref().map_or(expected.error(), |mixed| mixed.data()[i]);
        let bound = error + f64::from(f32::MIN_POSITIVE);
        let share = if off.is_nan() { f64::INFINITY } else { off / bound };
        result.relative = result.relative.max(off / scale);
        result.share = result.share.max(share);
    }
    Ok(result)
}

/// How far each output of a convolution may be off that is computed by Winograd's F(2x2, 3x3).
///
/// Its products are of sums of taps and sums of pixels, of which all but 9 of 81 cancel in the end. Written out, no
/// product of a tap and a pixel of the window occurs more than twice on either axis, so all of them are at most 4 times
/// the product of the two sums of sizes; each passes 2 roundings of pixels, 1 of weights, one a channel, and 4 at last.
fn mixed(layer: &Layer, call: Call<'_, f32>) -> Result<Tensor<f64>, Problem> {
    const ROUNDINGS: usize = 7;
    // And what the sum of the definition has beside its terms: a folded scale, a bias.
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

/// The network with its layers fused, end to end.
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
        exact.iter().zip(found).map(|(exact, found)| loss_of(exact, found)).collect()
    };
    let (mut own, found) = (losses(&plain), losses(&planned.outputs));
    if own.iter().zip(&found).any(|(own, found)| *found > SLACK * own.max(U)) {
        // What rounding does to a badly conditioned network shows where its inputs are rounded otherwise.
        let nudged = network.run(given.iter().map(nudged).collect(), &Reference, |_| ())?.outputs;
        own = own.iter().zip(losses(&nudged)).map(|(own, nudged)| own.max(nudged)).collect();
    }
    let (mut loss, mut allowed, mut share) = (0.0f64, 0.0f64, 0.0f64);
    let (mut told, mut lost) = (0, Vec::new());
    for ((own, found), &id) in own.into_iter().zip(found).zip(&graph.outputs) {
        let limit = SLACK * own.max(U);
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
            "numerics of the fused network at {}: the definition in f32 keeps hardly a digit there itself",
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
            "outputs of the planned network in f32 against the definition in f64, end to end; the limit is {SLACK} \
             times what the definition itself loses in f32, on these inputs or on their neighbours in f32, because both \
             round the same sums in other orders; {how}"
        ))
        .verdict(share <= 1.0);
    Ok(())
}

/// The largest error of `found`, relative to the largest element.
fn loss_of(exact: &Tensor<f64>, found: &Tensor<f32>) -> f64 {
    let scale = exact.data().iter().fold(f64::MIN_POSITIVE, |most, x| most.max(x.abs()));
    found.data().iter().zip(exact.data()).fold(0.0f64, |most, (&found, &exact)| {
        let found = f64::from(found);
        if found.is_finite() == exact.is_finite() && !exact.is_finite() {
            return most;
        }
        let off = (found - exact).abs() / scale;
        if off.is_nan() { f64::INFINITY } else { most.max(off) }
    })
}

/// Neighbours in f32, above and below in turn.
fn nudged(input: &Tensor<f32>) -> Tensor<f32> {
    Tensor::from_fn(input.sizes(), |flat| {
        let by = if flat.is_multiple_of(2) { f32::EPSILON } else { -f32::EPSILON };
        input.data()[flat] * (1.0 + by)
    })
}
