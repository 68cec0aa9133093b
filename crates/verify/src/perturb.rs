//! The second measurement of a field: change input pixels and observe the unit.
//!
//! This is a forward pass through the real kernels with random weights, max pools included. Changed pixels
//! become NaN, which no weight is too small to pass on: it spreads to everything that is computed from it,
//! and to nothing else. Changing all pixels outside the field at once must leave the unit bit-identical;
//! changing a single pixel inside must change it.

use crate::predict::Predict;
use crate::probe::{Place, by_channel};
use crate::rebuild::without_gates;
use crate::run::{Seed, run};
use crate::sets::{raster, spans_text};
use crate::tiles::swallows;
use crate::{Kind, Options, Outcome};
use cnnkit_core::analysis::field;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::Op;
use cnnkit_core::layers::Layer;
use cnnkit_exec::tensor::{Tensor, batched};

pub(super) fn measure(
    predict: &(dyn Predict + Sync),
    place: &Place,
    options: &Options,
    outcome: &mut Outcome,
) -> Result<(), Problem> {
    if !options.wants(Kind::Perturbation) {
        return Ok(());
    }
    let (Some(unit), Some(region)) = (place.units.first(), place.regions.first()) else { return Ok(()) };
    let id = place.graph.node(place.node).id.clone();
    let Some(graph) = without_gates(&place.graph)? else {
        outcome.notes.push(format!("perturbation of {id}: gates cannot be taken away here"));
        return Ok(());
    };
    // Offsets that are inputs of a layer cannot be kept at 0.
    let given = |layer: &Layer| matches!(layer, Layer::DeformSample(deform) if !deform.learned_offsets);
    if graph.nodes().iter().any(|node| matches!(&node.op, Op::Layer(layer) if given(layer))) {
        outcome
            .notes
            .push(format!("perturbation of {id}: samples move with offsets that are inputs of a layer"));
        return Ok(());
    }
    let sizes = graph.node(place.input).shape.spatial().to_vec();
    let inside = raster(region, &sizes);
    let pixels: Vec<usize> = (0..inside.len()).filter(|&flat| inside[flat]).collect();
    let mut seed = Seed(options.seed);
    let weights = seed.bits();
    let target = graph.inputs().position(|(input, _)| input == place.input).unwrap_or_default();
    // Numbers of both signs, or positive ones.
    let mut draw = |positive: bool| -> Result<Vec<Tensor<f64>>, Problem> {
        let mut value = || if positive { 0.1 + seed.signed().abs() } else { seed.signed() };
        graph.inputs().map(|(_, node)| Ok(Tensor::from_fn(&batched(1, &node.shape)?, |_| value()))).collect()
    };
    let mut images = draw(false)?;
    // Deformable convolutions sample the regular grid: their offset weights are 0. With NaN pixels the offsets would
    // be 0 times NaN, so these networks are perturbed with ordinary numbers.
    let deforms = graph
        .nodes()
        .iter()
        .any(|node| matches!(node.op, Op::Layer(Layer::DeformConv(_) | Layer::DeformSample(_))));
    // With a seed, offsets have the largest size that each layer declares, in random directions.
    type Change<'a> = &'a dyn Fn(usize) -> bool;
    let watch = |images: &[Tensor<f64>], change: Change<'_>, far: Option<u64>| -> Result<Vec<u64>, Problem> {
        let mut images = images.to_vec();
        let plane = inside.len().max(1);
        for (flat, value) in images[target].data_mut().iter_mut().enumerate() {
            if change(flat % plane) {
                *value = if deforms { *value * -3.0 + 1.0 } else { f64::NAN };
            }
        }
        let mut seed = Seed(weights);
        let mut directions = far.map(Seed);
        // Weights are requested in the order of their owners.
        let mut owners = graph.nodes().iter().filter(|node| node.op != Op::Input && node.shares.is_none());
        let fill = |declared: &[cnnkit_core::layers::Weight]| {
            let bound = match owners.next().map(|node| &node.op) {
                Some(Op::Layer(Layer::DeformConv(deform))) => deform.max_offset,
                _ => None,
            };
            let mut tensors = seed.weights::<f64>(declared)?;
            for (weight, tensor) in declared.iter().zip(&mut tensors) {
                if weight.name == "offset" || weight.name.starts_with("offset.") {
                    let value =
                        |_| match (&mut directions, bound) {
                            (Some(seed), Some(bound)) if weight.name == "offset.bias" => {
                                if seed.below(2) == 0 { bound } else { -bound }
                            }
                            _ => 0.0,
                        };
                    *tensor = std::sync::Arc::new(Tensor::from_fn(tensor.sizes(), value));
                }
            }
            Ok(tensors)
        };
        let result = run(&graph, images, fill, &[place.node], Some(place.node), |_| ())?;
        let output = result.output(place.node).ok_or_else(|| Problem::shape("the unit was not computed"))?;
        let space = &output.sizes()[2.min(output.sizes().len())..];
        let at =
            unit.iter().zip(space).fold(0, |flat, (&u, &size)| flat * size + usize::try_from(u).unwrap_or(0));
        let plane: usize = space.iter().product();
        Ok(output.data().iter().skip(at).step_by(plane.max(1)).map(|value| value.to_bits()).collect())
    };
    let mut before = watch(&images, &|_| false, None)?;
    // A division may make a unit NaN or infinite before any pixel is changed.
    for _ in 0..RETRIES {
        if before.iter().all(|&bits| f64::from_bits(bits).is_finite()) {
            break;
        }
        images = draw(true)?;
        before = watch(&images, &|_| false, None)?;
    }
    if !before.iter().all(|&bits| f64::from_bits(bits).is_finite()) {
        outcome
            .notes
            .push(format!("perturbation of {id}: for random inputs the unit is not a finite number"));
        return Ok(());
    }
    let outside = inside.iter().filter(|inside| !**inside).count();
    let same = outside == 0 || watch(&images, &|flat| !inside[flat], None)? == before;
    let (mut tried, mut changed) = (0, 0);
    let mut seed = Seed(options.seed);
    // The first and the last position are on the rim of the box; the third is random.
    let mut probes = vec![pixels.first().copied(), pixels.last().copied()];
    probes.push(pixels.get(seed.below(pixels.len() as u64) as usize).copied());
    // Ordinary changes may vanish in a ReLU or in rounding; only NaN cannot, but in a power of 0.
    let swallowed = graph.nodes().iter().any(|node| matches!(&node.op, Op::Layer(layer) if swallows(layer)));
    if deforms || swallowed {
        probes.clear();
    }
    for pixel in probes.into_iter().flatten() {
        tried += 1;
        changed += u32::from(watch(&images, &|flat| flat == pixel, None)? != before);
    }
    let text = |changed: u32, same: bool| {
        let rest = match (outside, same) {
            (0, _) => "nothing is outside".to_owned(),
            (_, true) => format!("{outside} outside change no bit"),
            (_, false) => format!("{outside} outside change it"),
        };
        match tried {
            0 => rest,
            _ => format!("{changed} of {tried} pixels inside change the unit, {rest}"),
        }
    };
    let how = if deforms { "to ordinary numbers, offsets kept at 0" } else { "to not-a-number" };
    outcome.claim(Kind::Perturbation, Some(&id), text(tried, true), text(changed, same)).method(format!(
        "pixels changed {how}, run forwards in f64 with random weights, gates removed, {}",
        place.how
    ));
    // Samples before this node, if all its channels have the same field.
    let fields = field::analyse(&graph, field::Options::default())?;
    let apart = fields.of(place.node, place.input).is_some_and(by_channel);
    if place.sampled && !apart {
        let channel = i128::from(graph.node(place.node).shape.channels() / 2);
        let at: Vec<i128> = std::iter::once(channel).chain(unit.iter().copied()).collect();
        let Some(spans) = predict.reachable(&graph, place.node, place.input, &at)? else { return Ok(()) };
        let within = |flat: usize| {
            let mut rest = flat as u64;
            spans.iter().zip(&sizes).rev().all(|(span, &size)| {
                let index = i128::from(rest % size);
                rest /= size;
                span.is_some_and(|span| span.lo <= index && index <= span.hi)
            })
        };
        let beyond = (0..inside.len()).filter(|&flat| !within(flat)).count();
        if beyond == 0 {
            return Ok(());
        }
        let mut same = true;
        for trial in 0..TRIALS {
            let far = Some(options.seed.wrapping_add(trial));
            same &= watch(&images, &|flat| !within(flat), far)? == watch(&images, &|_| false, far)?;
        }
        let text = |same: bool| {
            let what = if same { "change no bit" } else { "change it" };
            format!("{beyond} beyond the reach of its samples {what}")
        };
        outcome.claim(Kind::Perturbation, Some(&id), text(true), text(same)).method(format!(
            "a bound: offsets of `max_offset` in {TRIALS} random sets of directions, pixels beyond {} changed, run \
             forwards in f64 with random weights, gates removed, {}",
            spans_text(&spans),
            place.how
        ));
    }
    Ok(())
}

/// Further random inputs that are tried.
const RETRIES: u64 = 4;

/// Sets of random directions in which samples are moved.
const TRIALS: u64 = 4;
