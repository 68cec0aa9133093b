//! Convolution and its transpose.

use super::call::{Call, Counter, Gradients};
use super::space::{Sliding, wide};
use crate::scalar::Scalar;
use crate::tensor::Tensor;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::conv::{Conv, PaddingMode};
use cnnkit_core::layers::conv_transpose::ConvTranspose;

/// Returns the sizes `[batch, channels, space...]`.
pub(super) fn image(batch: usize, channels: usize, space: &[usize]) -> Vec<usize> {
    [&[batch, channels], space].concat()
}

fn sliding<S: Scalar>(conv: &Conv, input: &Tensor<S>) -> Result<Sliding, Problem> {
    let space = &input.image_sizes()[1..];
    Sliding::new(space, &conv.windows(&wide(space))?, conv.padding_mode, false)
}

pub(super) fn groups_of(channels: usize, weight: &[usize]) -> usize {
    channels / weight[1].max(1)
}

pub(super) fn forward<S: Scalar>(
    conv: &Conv,
    call: Call<'_, S>,
    counter: &mut Counter,
) -> Result<Tensor<S>, Problem> {
    let sliding = sliding(conv, call.input())?;
    Ok(convolve(call.input(), &sliding, call.need("weight")?, call.weight("bias"), counter))
}

/// Computes `output[o, p] = bias[o] + sum over c, t of weight[o, c, t] * input[group(o) + c, read(p, t)]`.
pub(super) fn convolve<S: Scalar>(
    input: &Tensor<S>,
    sliding: &Sliding,
    weight: &Tensor<S>,
    bias: Option<&Tensor<S>>,
    counter: &mut Counter,
) -> Tensor<S> {
    let channels = input.image_sizes()[0];
    let (outputs, members) = (weight.sizes()[0], weight.sizes()[1]);
    let groups = groups_of(channels, weight.sizes());
    let per_group = outputs / groups.max(1);
    let (plane, positions) = (sliding.plane(), sliding.positions());
    let row = weight.len() / outputs.max(1);
    let mut output = Tensor::zeros(&image(input.batch(), outputs, &sliding.outputs));
    let (mut taps, mut column) = (Vec::new(), Vec::new());
    for n in 0..input.batch() {
        let source = input.image(n);
        let target = output.image_mut(n);
        for position in 0..positions {
            sliding.read(position, &mut taps);
            let real = taps.iter().flatten().count();
            for group in 0..groups {
                // The elements that this position reads, in the order of the weights; `None` on padding.
                column.clear();
                for c in group * members..(group + 1) * members {
                    column.extend(taps.iter().map(|tap| tap.map(|place| source[c * plane + place])));
                }
                for o in group * per_group..(group + 1) * per_group {
                    let kernel = &weight.data()[o * row..(o + 1) * row];
                    let mut sum = S::ZERO;
                    for (&factor, element) in kernel.iter().zip(&column) {
                        if let Some(element) = *element {
                            sum += factor * element;
                        }
                    }
                    counter.macs += (members * real) as u64;
                    counter.padding += (members * (taps.len() - real)) as u64;
                    target[o * positions + position] = bias.map_or(sum, |bias| sum + bias.data()[o]);
                }
            }
        }
    }
    output
}

pub(super) fn backward<S: Scalar>(
    conv: &Conv,
    call: Call<'_, S>,
    vector: &Tensor<S>,
) -> Result<Gradients<S>, Problem> {
    let sliding = sliding(conv, call.input())?;
    let mut gradients = call.zero_gradients();
    let (input, weight) = convolve_backward(call.input(), &sliding, call.need("weight")?, vector);
    gradients.inputs[0] = input;
    call.put(&mut gradients, "weight", weight);
    call.put(&mut gradients, "bias", channel_sums(vector));
    Ok(gradients)
}

/// Computes the gradient of a bias: sums over the batch and all positions.
pub(super) fn channel_sums<S: Scalar>(vector: &Tensor<S>) -> Vec<S> {
    let channels = vector.image_sizes().first().copied().unwrap_or(1);
    let plane = vector.image_len() / channels.max(1);
    let mut sums = vec![S::ZERO; channels];
    for n in 0..vector.batch() {
        for (sum, values) in sums.iter_mut().zip(vector.image(n).chunks(plane.max(1))) {
            values.iter().for_each(|&value| *sum += value);
        }
    }
    sums
}

/// Computes the gradients of `convolve` with respect to its input and its weight.
pub(super) fn convolve_backward<S: Scalar>(
    input: &Tensor<S>,
    sliding: &Sliding,
    weight: &Tensor<S>,
    vector: &Tensor<S>,
) -> (Tensor<S>, Vec<S>) {
    let channels = input.image_sizes()[0];
    let (outputs, members) = (weight.sizes()[0], weight.sizes()[1]);
    let per_group = outputs / groups_of(channels, weight.sizes()).max(1);
    let (plane, positions) = (sliding.plane(), sliding.positions());
    let row = weight.len() / outputs.max(1);
    let mut to_input = Tensor::zeros(input.sizes());
    let mut to_weight = vec![S::ZERO; weight.len()];
    let mut taps = Vec::new();
    for n in 0..input.batch() {
        let (source, from) = (input.image(n), vector.image(n));
        let target = to_input.image_mut(n);
        for position in 0..positions {
            sliding.read(position, &mut taps);
            for o in 0..outputs {
                let gradient = from[o * positions + position];
                let first = o / per_group * members;
                for c in 0..members {
                    for (t, tap) in taps.iter().enumerate() {
                        let Some(tap) = tap else { continue };
                        let (w, x) = (o * row + c * taps.len() + t, (first + c) * plane + tap);
                        target[x] += gradient * weight.data()[w];
                        to_weight[w] += gradient * source[x];
                    }
                }
            }
        }
    }
    (to_input, to_weight)
}

/// Returns the windows of the convolution of which `layer` is the transpose; they slide over the output.
fn transposed_sliding<S: Scalar>(layer: &ConvTranspose, input: &Tensor<S>) -> Result<Sliding, Problem> {
    let space = &input.image_sizes()[1..];
    let windows = layer.windows(&wide(space))?;
    let added = layer.output_padding.resolve(space.len(), "output_padding", 0)?;
    let mut output = Vec::with_capacity(space.len());
    for ((window, &size), &added) in windows.iter().zip(space).zip(&added) {
        // One past the last element that the last input element writes, minus what the padding removes.
        let last = (size as u64 - 1)
            .checked_mul(window.stride)
            .and_then(|start| start.checked_add(window.extent().ok()?));
        let end = last.map(i128::from).ok_or_else(|| Problem::overflow("the output size"))?;
        let left = end - i128::from(window.before) - i128::from(window.after) + i128::from(added);
        output.push(usize::try_from(left).map_err(|_| Problem::overflow("the output size"))?);
    }
    Sliding::at(&output, space, &windows, PaddingMode::Zeros)
}

pub(super) fn transposed_forward<S: Scalar>(
    layer: &ConvTranspose,
    call: Call<'_, S>,
    counter: &mut Counter,
) -> Result<Tensor<S>, Problem> {
    let (input, weight) = (call.input(), call.need("weight")?);
    let sliding = transposed_sliding(layer, input)?;
    let (channels, members) = (input.image_sizes()[0], weight.sizes()[1]);
    let groups = groups_of(usize::try_from(layer.out_channels).unwrap_or(0), weight.sizes()).max(1);
    let per_group = channels / groups;
    let (plane, positions) = (sliding.plane(), sliding.positions());
    let row = weight.len() / channels.max(1);
    let mut output = Tensor::zeros(&image(input.batch(), members * groups, &sliding.image));
    let mut taps = Vec::new();
    for n in 0..input.batch() {
        let source = input.image(n);
        let target = output.image_mut(n);
        for position in 0..positions {
            sliding.read(position, &mut taps);
            for c in 0..channels {
                let element = source[c * positions + position];
                let first = c / per_group * members;
                for o in 0..members {
                    for (t, tap) in taps.iter().enumerate() {
                        // Taps on padding compute values that are discarded.
                        let Some(tap) = tap else {
                            counter.padding += 1;
                            continue;
                        };
                        let factor = weight.data()[c * row + o * taps.len() + t];
                        target[(first + o) * plane + tap] += element * factor;
                        counter.macs += 1;
                    }
                }
            }
        }
        if let Some(bias) = call.weight("bias") {
            for (values, &bias) in target.chunks_mut(plane.max(1)).zip(bias.data()) {
                values.iter_mut().for_each(|value| *value += bias);
            }
        }
    }
    Ok(output)
}

pub(super) fn transposed_backward<S: Scalar>(
    layer: &ConvTranspose,
    call: Call<'_, S>,
    vector: &Tensor<S>,
) -> Result<Gradients<S>, Problem> {
    let (input, weight) = (call.input(), call.need("weight")?);
    let sliding = transposed_sliding(layer, input)?;
    let (channels, members) = (input.image_sizes()[0], weight.sizes()[1]);
    let groups = groups_of(usize::try_from(layer.out_channels).unwrap_or(0), weight.sizes()).max(1);
    let per_group = channels / groups;
    let (plane, positions) = (sliding.plane(), sliding.positions());
    let row = weight.len() / channels.max(1);
    let mut gradients = call.zero_gradients();
    let mut to_weight = vec![S::ZERO; weight.len()];
    let mut taps = Vec::new();
    for n in 0..input.batch() {
        let (source, from) = (input.image(n), vector.image(n));
        let target = gradients.inputs[0].image_mut(n);
        for position in 0..positions {
            sliding.read(position, &mut taps);
            for c in 0..channels {
                let x = c * positions + position;
                let first = c / per_group * members;
                for o in 0..members {
                    for (t, tap) in taps.iter().enumerate() {
                        let Some(tap) = tap else { continue };
                        let w = c * row + o * taps.len() + t;
                        let gradient = from[(first + o) * plane + tap];
                        target[x] += gradient * weight.data()[w];
                        to_weight[w] += gradient * source[x];
                    }
                }
            }
        }
    }
    call.put(&mut gradients, "weight", to_weight);
    call.put(&mut gradients, "bias", channel_sums(vector));
    Ok(gradients)
}
