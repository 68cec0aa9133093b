//! The fast kernels against the definition: node by node with a bound for each element, and the whole network fused.
//!
//! Each layer gets the very numbers that the fast kernels produced before it, so that an error cannot hide behind the
//! amplification of later layers; the definition of that layer alone, run in `Rounded`, says what f32 may be off. Over a
//! whole network such a bound grows by the sum of the weights' sizes in every layer and says nothing after ten of them,
//! so the fused network is held against what the definition itself loses in f32.

use std::sync::Arc;

use crate::analysis::totals;
use crate::diagnostic::Problem;
use crate::exec::fast::{Fast, Plan};
use crate::exec::network::{Fill, Network, random_inputs};
use crate::exec::reference::{self, Call, Counter};
use crate::exec::run::{Definition, Kernels};
use crate::exec::tensor::Tensor;
use crate::graph::{Graph, Op};
use crate::layers::{Layer, Weight};
use crate::verify::bar::Part;
use crate::verify::rebuild::{resized, with_space};
use crate::verify::rounded::{Rounded, U};
use crate::verify::{Kind, Options, Outcome, inputs};

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
    let Some((graph, how)) = affordable(graph, options) else {
        outcome.notes.push("numerics: too expensive for this effort; --thorough measures them".into());
        return Ok(());
    };
    compare(&graph, &Fast::default(), &how, options, outcome, &|| part.step())?;
    fused(&graph, &how, options, outcome, &|| part.step())
}

/// The network on the largest input that several runs of it, some of them in wider numbers, can take.
fn affordable(graph: &Graph, options: &Options) -> Option<(Graph, String)> {
    let budget = options.effort.budget() / 4;
    let fits = |graph: &Graph| {
        let counts = totals::of_graph(graph);
        let products = counts.macs.saturating_add(counts.sampling_macs);
        products.saturating_add(counts.params).saturating_add(counts.activations.saturating_mul(8)) <= budget
    };
    if fits(graph) {
        return Some((graph.clone(), "at the network's own size".into()));
    }
    [1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 32.0].into_iter().find_map(|divisor| {
        let shrunk = |old: u64| ((old as f64 / divisor / 32.0).ceil() as u64 * 32).clamp(1, old);
        let small =
            resized(graph, &with_space(graph, |_, old| shrunk(old))).ok().filter(|small| fits(small))?;
        let how = format!("on inputs of {}", inputs(&small));
        Some((small, how))
    })
}

/// The element that is nearest to its bound, or furthest beyond it.
struct Worst {
    node: String,
    /// Its error, as a share of the bound.
    share: f64,
    /// Largest error relative to the largest element of its tensor.
    relative: f64,
}

/// Every layer by `kernels` on what they computed before, against its definition.
pub fn kernels(
    graph: &Graph,
    kernels: &impl Kernels<f32>,
    how: &str,
    options: &Options,
    outcome: &mut Outcome,
) -> Result<(), Problem> {
    compare(graph, kernels, how, options, outcome, &|| ())
}

/// The same; `tick` is told of every layer.
fn compare(
    graph: &Graph,
    kernels: &impl Kernels<f32>,
    how: &str,
    options: &Options,
    outcome: &mut Outcome,
    tick: &dyn Fn(),
) -> Result<(), Problem> {
    let network = Network::<f32>::seeded(graph, options.seed, Fill::Generic)?;
    let trace = network.trace(random_inputs(graph, 1, options.seed)?, kernels)?;
    let mut worst = Worst { node: String::new(), share: 0.0, relative: 0.0 };
    let (mut elements, mut layers, mut mixing) = (0u64, 0u64, 0u64);
    for (id, node) in graph.iter() {
        tick();
        let Op::Layer(layer) = &node.op else { continue };
        let wide = |tensor: &Tensor<f32>| {
            Tensor::from_fn(tensor.sizes(), |flat| Rounded::exact(f64::from(tensor.data()[flat])))
        };
        let operands: Vec<Tensor<Rounded>> =
            node.inputs.iter().map(|input| wide(&trace.values[input.0])).collect();
        let operands: Vec<&Tensor<Rounded>> = operands.iter().collect();
        let weights: Vec<_> = network.weights(id).iter().map(|weight| Arc::new(wide(weight))).collect();
        let call = Call { inputs: &operands, declared: &node.weights, weights: &weights };
        let defined = reference::forward(layer, call, &mut Counter::default())?;
        let own: Vec<&Tensor<f32>> = node.inputs.iter().map(|input| &trace.values[input.0]).collect();
        let own = Call { inputs: &own, declared: &node.weights, weights: network.weights(id) };
        let mixed = if kernels.mixes_taps(layer, own)? { Some(mixed(layer, own)?) } else { None };
        mixing += u64::from(mixed.is_some());
        let scale = defined.data().iter().fold(f64::MIN_POSITIVE, |most, x| most.max(x.value.abs()));
        layers += 1;
        elements += defined.len() as u64;
        for (i, (&found, &expected)) in trace.values[id.0].data().iter().zip(defined.data()).enumerate() {
            let found = f64::from(found);
            if !expected.value.is_finite() && !found.is_finite() {
                continue;
            }
            let off = (found - expected.value).abs();
            // Below the smallest normal number f32 keeps fewer digits.
            let error = mixed.as_ref().map_or(expected.error(), |mixed| mixed.data()[i]);
            let bound = error + f64::from(f32::MIN_POSITIVE);
            let share = if off.is_nan() { f64::INFINITY } else { off / bound };
            worst.relative = worst.relative.max(off / scale);
            if share > worst.share {
                (worst.share, worst.node) = (share, node.id.clone());
            }
        }
    }
    let ok = worst.share <= 1.0;
    let found = match (ok, worst.share) {
        (true, share) if share > 0.0 => {
            format!(
                "at most {share:.2} of it, at {}; {:.1e} of a tensor's largest element",
                worst.node, worst.relative
            )
        }
        (true, _) => "equal".to_owned(),
        (false, share) => format!("{share:.2} times the bound at {}", worst.node),
    };
    let node = (!ok).then_some(worst.node.as_str());
    outcome
        .claim(Kind::Numerics, node, "every element within its rounding bound", found)
        .method(format!(
            "fast kernels in f32 against the definition in f64, {layers} layers, {elements} elements, each layer on \
             the fast kernels' own numbers; the bound is n u / (1 - n u) times the sum of the sizes of an element's n \
             products, u = 2^-24{}; {how}",
            match mixing {
                0 => String::new(),
                1 => ", and for the 1 by Winograd's way 4 times that of all products of a tap and a pixel".to_owned(),
                n => format!(", and for the {n} by Winograd's way 4 times that of all products of a tap and a pixel"),
            }
        ))
        .verdict(ok);
    Ok(())
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
    tick: &dyn Fn(),
) -> Result<(), Problem> {
    let network = Network::<f32>::seeded(graph, options.seed, Fill::Generic)?;
    let given: Vec<Tensor<f32>> = random_inputs(graph, 1, options.seed)?;
    let exact =
        network.cast::<f64>().run(given.iter().map(Tensor::cast).collect(), &Definition, |_| tick())?;
    let plain = network.run(given.clone(), &Definition, |_| ())?;
    let planned = Plan::new(&network, 1)?.run(&given, |_| ())?;
    let (mut loss, mut allowed, mut share) = (0.0f64, 0.0f64, 0.0f64);
    for ((exact, plain), planned) in exact.outputs.iter().zip(&plain.outputs).zip(&planned.outputs) {
        let scale = exact.data().iter().fold(f64::MIN_POSITIVE, |most, x| most.max(x.abs()));
        let off = |found: &Tensor<f32>| {
            let pairs = found.data().iter().zip(exact.data());
            pairs.fold(0.0f64, |most, (&found, &exact)| {
                let found = f64::from(found);
                if found.is_finite() == exact.is_finite() && !exact.is_finite() {
                    return most;
                }
                let off = (found - exact).abs() / scale;
                if off.is_nan() { f64::INFINITY } else { most.max(off) }
            })
        };
        let limit = SLACK * off(plain).max(U);
        if off(planned) / limit >= share {
            (loss, allowed, share) = (off(planned), limit, off(planned) / limit);
        }
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
             times what the definition itself loses in f32, because both round the same sums in other orders; {how}"
        ))
        .verdict(share <= 1.0);
    Ok(())
}
