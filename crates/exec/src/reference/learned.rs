//! Learned tensors that are added to the input, multiplied by it, concatenated with it, or stand alone.

use super::call::{Call, Gradients};
use super::space::unravel;
use crate::scalar::Scalar;
use crate::tensor::Tensor;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::learned_scale::LearnedScale;
use cnnkit_core::layers::learned_tokens::LearnedTokens;

/// Returns, for each element of an image, the element of the learned tensor that is broadcast to it.
fn places(weight: &[usize], image: &[usize]) -> Vec<usize> {
    let mut at = vec![0; image.len()];
    (0..image.iter().product())
        .map(|flat| {
            unravel(flat, image, &mut at);
            at.iter()
                .zip(weight)
                .fold(0, |flat, (&index, &size)| flat * size + if size == 1 { 0 } else { index })
        })
        .collect()
}

pub(super) fn bias<S: Scalar>(call: Call<'_, S>) -> Result<Tensor<S>, Problem> {
    let (input, weight) = (call.input(), call.need("weight")?);
    let places = places(weight.sizes(), input.image_sizes());
    Ok(Tensor::from_fn(input.sizes(), |flat| input.data()[flat] + weight.data()[places[flat % places.len()]]))
}

pub(super) fn bias_backward<S: Scalar>(
    call: Call<'_, S>,
    vector: &Tensor<S>,
) -> Result<Gradients<S>, Problem> {
    let (input, weight) = (call.input(), call.need("weight")?);
    let places = places(weight.sizes(), input.image_sizes());
    let mut to_weight = vec![S::ZERO; weight.len()];
    for (flat, &gradient) in vector.data().iter().enumerate() {
        to_weight[places[flat % places.len()]] += gradient;
    }
    let mut gradients = call.input_gradient(vector.clone());
    call.put(&mut gradients, "weight", to_weight);
    Ok(gradients)
}

/// Returns `value * factor`; a mask selects, so that an infinity does not become a number that is none.
fn scaled<S: Scalar>(layer: &LearnedScale, value: S, factor: S) -> S {
    if layer.mask && factor == S::ZERO { S::ZERO } else { value * factor }
}

pub(super) fn scale<S: Scalar>(layer: &LearnedScale, call: Call<'_, S>) -> Result<Tensor<S>, Problem> {
    let (input, weight) = (call.input(), call.need("weight")?);
    let places = places(weight.sizes(), input.image_sizes());
    let factor = |flat: usize| weight.data()[places[flat % places.len()]];
    Ok(Tensor::from_fn(input.sizes(), |flat| scaled(layer, input.data()[flat], factor(flat))))
}

pub(super) fn scale_backward<S: Scalar>(
    layer: &LearnedScale,
    call: Call<'_, S>,
    vector: &Tensor<S>,
) -> Result<Gradients<S>, Problem> {
    let (input, weight) = (call.input(), call.need("weight")?);
    let places = places(weight.sizes(), input.image_sizes());
    let mut to_weight = vec![S::ZERO; weight.len()];
    let to_input = Tensor::from_fn(input.sizes(), |flat| {
        let place = places[flat % places.len()];
        to_weight[place] += vector.data()[flat] * input.data()[flat];
        scaled(layer, vector.data()[flat], weight.data()[place])
    });
    let mut gradients = call.input_gradient(to_input);
    call.put(&mut gradients, "weight", to_weight);
    Ok(gradients)
}

/// Returns the elements of the input and of the learned tensor in one block of the concatenated axis, and the blocks
/// per image.
fn blocks<S: Scalar>(layer: &LearnedTokens, call: Call<'_, S>) -> Result<(usize, usize, usize), Problem> {
    let sizes = call.input().image_sizes();
    let axis = usize::try_from(layer.axis).unwrap_or(usize::MAX);
    let row = sizes.get(axis..).map_or(1, |inner| inner.iter().product());
    let outer: usize = sizes[..axis.min(sizes.len())].iter().product();
    Ok((row, call.need("weight")?.len() / outer.max(1), outer))
}

pub(super) fn tokens<S: Scalar>(layer: &LearnedTokens, call: Call<'_, S>) -> Result<Tensor<S>, Problem> {
    let (input, weight) = (call.input(), call.need("weight")?);
    let (row, own, outer) = blocks(layer, call)?;
    let mut data = Vec::with_capacity(input.len() + input.batch() * weight.len());
    for n in 0..input.batch() {
        for block in 0..outer {
            let given = &input.image(n)[block * row..(block + 1) * row];
            let learned = &weight.data()[block * own..(block + 1) * own];
            let (first, second) = if layer.after { (given, learned) } else { (learned, given) };
            data.extend_from_slice(first);
            data.extend_from_slice(second);
        }
    }
    let mut sizes = input.sizes().to_vec();
    let axis = usize::try_from(layer.axis).unwrap_or(usize::MAX).saturating_add(1);
    if let (Some(size), Some(more)) = (sizes.get_mut(axis), weight.sizes().get(axis - 1)) {
        *size += more;
    }
    Tensor::new(&sizes, data)
}

pub(super) fn tokens_backward<S: Scalar>(
    layer: &LearnedTokens,
    call: Call<'_, S>,
    vector: &Tensor<S>,
) -> Result<Gradients<S>, Problem> {
    let (row, own, outer) = blocks(layer, call)?;
    let mut gradients = call.zero_gradients();
    let mut to_weight = vec![S::ZERO; own * outer];
    for n in 0..vector.batch() {
        for (block, from) in vector.image(n).chunks((row + own).max(1)).enumerate() {
            let (given, learned) =
                if layer.after { (&from[..row], &from[row..]) } else { (&from[own..], &from[..own]) };
            gradients.inputs[0].image_mut(n)[block * row..(block + 1) * row].copy_from_slice(given);
            for (sum, &gradient) in to_weight[block * own..].iter_mut().zip(learned) {
                *sum += gradient;
            }
        }
    }
    call.put(&mut gradients, "weight", to_weight);
    Ok(gradients)
}

/// Returns the weight, repeated for each image.
pub(super) fn constant<S: Scalar>(call: Call<'_, S>) -> Result<Tensor<S>, Problem> {
    let weight = call.need("weight")?;
    let batch = call.input().batch();
    Tensor::new(&[&[batch], weight.sizes()].concat(), weight.data().repeat(batch))
}

pub(super) fn constant_backward<S: Scalar>(
    call: Call<'_, S>,
    vector: &Tensor<S>,
) -> Result<Gradients<S>, Problem> {
    let mut to_weight = vec![S::ZERO; call.need("weight")?.len()];
    for n in 0..vector.batch() {
        for (sum, &gradient) in to_weight.iter_mut().zip(vector.image(n)) {
            *sum += gradient;
        }
    }
    let mut gradients = call.zero_gradients();
    call.put(&mut gradients, "weight", to_weight);
    Ok(gradients)
}
