//! The second measurement of a field: change input pixels and watch the unit.
//!
//! Forwards, through the real kernels with random weights, max pools included. A pixel is changed into not-a-number,
//! which no weight is too small for: it spreads to everything that is computed from it, and to nothing else. All
//! pixels outside the field at once must leave the unit the same to the bit; single pixels inside must change it.

use crate::diagnostic::Problem;
use crate::exec::tensor::{Tensor, batched};
use crate::graph::Op;
use crate::layers::Layer;
use crate::verify::place::Place;
use crate::verify::rebuild::without_gates;
use crate::verify::run::{Seed, run};
use crate::verify::sets::raster;
use crate::verify::{Kind, Options, Outcome};

pub(super) fn measure(place: &Place, options: &Options, outcome: &mut Outcome) -> Result<(), Problem> {
    if !options.wants(Kind::Perturbation) {
        return Ok(());
    }
    let (Some(unit), Some(region)) = (place.units.first(), place.regions.first()) else { return Ok(()) };
    let id = place.graph.node(place.node).id.clone();
    let Some(graph) = without_gates(&place.graph)? else {
        outcome.notes.push(format!("perturbation of {id}: everything passes a gate"));
        return Ok(());
    };
    // Offsets that are computed elsewhere cannot be held at 0.
    let given = |layer: &Layer| matches!(layer, Layer::DeformSample(deform) if !deform.learned_offsets);
    if graph.nodes.iter().any(|node| matches!(&node.op, Op::Layer(layer) if given(layer))) {
        outcome
            .notes
            .push(format!("perturbation of {id}: samples move with offsets that are inputs of a layer"));
        return Ok(());
    }
    let sizes = graph.node(place.input).shape.spatial().to_vec();
    let inside = raster(region, &sizes);
    let pixels: Vec<usize> = (0..inside.len()).filter(|&flat| inside[flat]).collect();
    let mut seed = Seed(options.seed);
    let mut images = Vec::new();
    let mut target = 0;
    for (index, (input, node)) in graph.inputs().enumerate() {
        if input == place.input {
            target = index;
        }
        images.push(seed.tensor::<f64>(&batched(1, &node.shape)?));
    }
    let weights = seed.bits();
    // Samples of deformable convolutions stay at the regular grid: their offsets' weights are 0. The offsets would
    // then be 0 times not-a-number, so these networks are perturbed by ordinary numbers.
    let deforms = graph
        .nodes
        .iter()
        .any(|node| matches!(node.op, Op::Layer(Layer::DeformConv(_) | Layer::DeformSample(_))));
    let watch = |change: &dyn Fn(usize) -> bool| -> Result<Vec<u64>, Problem> {
        let mut images = images.clone();
        let plane = inside.len().max(1);
        for (flat, value) in images[target].data_mut().iter_mut().enumerate() {
            if change(flat % plane) {
                *value = if deforms { *value * -3.0 + 1.0 } else { f64::NAN };
            }
        }
        let mut seed = Seed(weights);
        let fill = |declared: &[crate::layers::Weight]| {
            let mut tensors = seed.weights::<f64>(declared)?;
            for (weight, tensor) in declared.iter().zip(&mut tensors) {
                if weight.name == "offset" || weight.name.starts_with("offset.") {
                    *tensor = std::sync::Arc::new(Tensor::zeros(tensor.sizes()));
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
    let before = watch(&|_| false)?;
    let outside = inside.iter().filter(|inside| !**inside).count();
    let same = outside == 0 || watch(&|flat| !inside[flat])? == before;
    let mut tried = 0;
    let mut changed = 0;
    // The first and the last position are on the rim of the box; one more anywhere.
    let mut probes = vec![pixels.first().copied(), pixels.last().copied()];
    probes.push(pixels.get(seed.below(pixels.len() as u64) as usize).copied());
    // Ordinary changes may die in a ReLU or round away; only not-a-number cannot.
    if deforms || place.bound() {
        probes.clear();
    }
    for pixel in probes.into_iter().flatten() {
        tried += 1;
        changed += u32::from(watch(&|flat| flat == pixel)? != before);
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
    let how = if deforms { "by ordinary numbers, offsets held at 0" } else { "to not-a-number" };
    outcome.claim(Kind::Perturbation, Some(&id), text(tried, true), text(changed, same)).method(format!(
        "pixels changed {how}, run forwards in f64 with random weights, gates cut, {}",
        place.how
    ));
    Ok(())
}
