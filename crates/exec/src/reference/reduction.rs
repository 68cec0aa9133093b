//! Reductions along axes.

use super::call::{Call, Gradients};
use super::space::unravel;
use crate::scalar::Scalar;
use crate::tensor::Tensor;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::reduce::{Reduce, Reduction};

/// Returns, for each element of an image, the output it contributes to; the sizes of the output image; and the
/// elements per output.
fn sets(layer: &Reduce, sizes: &[usize]) -> (Vec<usize>, Vec<usize>, usize) {
    let kept = |axis: usize| !layer.reduces(axis);
    let mut output: Vec<usize> = (0..sizes.len())
        .filter(|&axis| kept(axis) || layer.keepdim)
        .map(|axis| if kept(axis) { sizes[axis] } else { 1 })
        .collect();
    if output.is_empty() {
        output.push(1);
    }
    let mut at = vec![0; sizes.len()];
    let set = (0..sizes.iter().product()).map(|flat| {
        unravel(flat, sizes, &mut at);
        (0..sizes.len()).filter(|&axis| kept(axis)).fold(0, |place, axis| place * sizes[axis] + at[axis])
    });
    let set: Vec<usize> = set.collect();
    let members = set.len() / output.iter().product::<usize>().max(1);
    (set, output, members)
}

/// Returns whether `x` replaces the best so far: the first of equal elements stays, and NaN wins.
fn better<S: Scalar>(reduction: Reduction, x: S, best: S) -> bool {
    !best.is_nan() && (x.is_nan() || if reduction == Reduction::Max { x > best } else { x < best })
}

/// Returns the element of each output that is its largest or smallest.
fn extremes<S: Scalar>(reduction: Reduction, image: &[S], set: &[usize], outputs: usize) -> Vec<usize> {
    let mut best: Vec<Option<usize>> = vec![None; outputs];
    for (flat, &place) in set.iter().enumerate() {
        if best[place].is_none_or(|old| better(reduction, image[flat], image[old])) {
            best[place] = Some(flat);
        }
    }
    best.into_iter().map(Option::unwrap_or_default).collect()
}

pub(super) fn forward<S: Scalar>(layer: &Reduce, input: &Tensor<S>) -> Result<Tensor<S>, Problem> {
    let (set, output, members) = sets(layer, input.image_sizes());
    let outputs = output.iter().product();
    let mut data = Vec::with_capacity(input.batch() * outputs);
    for n in 0..input.batch() {
        let image = input.image(n);
        if matches!(layer.reduction, Reduction::Max | Reduction::Min) {
            data.extend(extremes(layer.reduction, image, &set, outputs).into_iter().map(|flat| image[flat]));
            continue;
        }
        let mut sums = vec![S::ZERO; outputs];
        for (&place, &x) in set.iter().zip(image) {
            sums[place] += if layer.reduction == Reduction::L2 { x * x } else { x };
        }
        data.extend(sums.into_iter().map(|sum| match layer.reduction {
            Reduction::Mean => sum / S::from_f64(members as f64),
            Reduction::L2 => sum.map(f64::sqrt),
            _ => sum,
        }));
    }
    Tensor::new(&[&[input.batch()], output.as_slice()].concat(), data)
}

pub(super) fn backward<S: Scalar>(
    layer: &Reduce,
    call: Call<'_, S>,
    vector: &Tensor<S>,
) -> Result<Gradients<S>, Problem> {
    let input = call.input();
    let (set, output, members) = sets(layer, input.image_sizes());
    let result = forward(layer, input)?;
    let mut gradient = Tensor::zeros(input.sizes());
    for n in 0..input.batch() {
        let (image, from) = (input.image(n), vector.image(n));
        if matches!(layer.reduction, Reduction::Max | Reduction::Min) {
            let places = extremes(layer.reduction, image, &set, output.iter().product());
            for (place, flat) in places.into_iter().enumerate() {
                gradient.image_mut(n)[flat] += from[place];
            }
            continue;
        }
        for (flat, &place) in set.iter().enumerate() {
            gradient.image_mut(n)[flat] = match layer.reduction {
                Reduction::Mean => from[place] / S::from_f64(members as f64),
                // The norm of a zero vector has no slope; PyTorch uses 0.
                Reduction::L2 if result.image(n)[place] == S::ZERO => S::ZERO,
                Reduction::L2 => from[place] * image[flat] / result.image(n)[place],
                _ => from[place],
            };
        }
    }
    Ok(call.input_gradient(gradient))
}
