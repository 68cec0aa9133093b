//! Normalisation and softmax: both partition the elements into sets that are processed together.

use super::call::{Call, Gradients};
use super::space::unravel;
use crate::scalar::Scalar;
use crate::tensor::Tensor;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::layer_norm::NormAxis;
use cnnkit_core::layers::local_response_norm::LocalResponseNorm;
use cnnkit_core::layers::softmax::SoftmaxAxis;

/// Returns one number per element of an image: its set, or the index of its scale.
fn label(sizes: &[usize], label: impl Fn(&[usize]) -> usize) -> Vec<usize> {
    let mut indices = vec![0; sizes.len()];
    let elements = sizes.iter().product();
    (0..elements)
        .map(|flat| {
            unravel(flat, sizes, &mut indices);
            label(&indices)
        })
        .collect()
}

/// Returns the flat index of `indices` without axis `left_out`.
fn without(indices: &[usize], sizes: &[usize], left_out: usize) -> usize {
    let kept = (0..sizes.len()).filter(|&axis| axis != left_out);
    kept.fold(0, |flat, axis| flat * sizes[axis] + indices[axis])
}

/// A partition of the elements into sets that are normalised together.
pub(super) struct Standard {
    /// The set of each element of an image.
    set: Vec<usize>,
    /// The index of each element's scale and shift.
    scale: Vec<usize>,
    eps: f64,
}

impl Standard {
    pub(super) fn groups(groups: u64, eps: f64, sizes: &[usize]) -> Self {
        let members = sizes[0] / usize::try_from(groups).unwrap_or(1).max(1);
        Self { set: label(sizes, |at| at[0] / members.max(1)), scale: label(sizes, |at| at[0]), eps }
    }

    pub(super) fn layer(axis: NormAxis, eps: f64, sizes: &[usize]) -> Self {
        let last = sizes.len() - 1;
        let (set, scale) = match axis {
            NormAxis::Channels => (label(sizes, |at| without(at, sizes, 0)), label(sizes, |at| at[0])),
            NormAxis::Last => (label(sizes, |at| without(at, sizes, last)), label(sizes, |at| at[last])),
            NormAxis::Space => (label(sizes, |at| at[0]), label(sizes, |at| without(at, sizes, 0))),
            NormAxis::All => (label(sizes, |_| 0), (0..sizes.iter().product()).collect()),
        };
        Self { set, scale, eps }
    }

    /// Computes mean and 1 / standard deviation (biased, as all norms use it) of each set.
    fn statistics<S: Scalar>(&self, image: &[S]) -> Vec<(S, S)> {
        let sets = self.set.iter().max().map_or(0, |last| last + 1);
        let mut sums = vec![(S::ZERO, 0u32); sets];
        for (&set, &value) in self.set.iter().zip(image) {
            sums[set].0 += value;
            sums[set].1 += 1;
        }
        let means: Vec<S> = sums.iter().map(|&(sum, count)| sum / S::from_f64(f64::from(count))).collect();
        let mut squares = vec![S::ZERO; sets];
        for (&set, &value) in self.set.iter().zip(image) {
            let difference = value - means[set];
            squares[set] += difference * difference;
        }
        let inverse = |(square, &(_, count)): (&S, &(S, u32))| {
            let variance = *square / S::from_f64(f64::from(count)) + S::from_f64(self.eps);
            S::ONE / variance.map(f64::sqrt)
        };
        means.into_iter().zip(squares.iter().zip(&sums).map(inverse)).collect()
    }

    pub(super) fn forward<S: Scalar>(&self, call: Call<'_, S>) -> Result<Tensor<S>, Problem> {
        let input = call.input();
        let (weight, bias) = (call.weight("weight"), call.weight("bias"));
        let mut data = Vec::with_capacity(input.len());
        for n in 0..input.batch() {
            let statistics = self.statistics(input.image(n));
            for (flat, &value) in input.image(n).iter().enumerate() {
                let (mean, inverse) = statistics[self.set[flat]];
                let mut result = (value - mean) * inverse;
                if let Some(weight) = weight {
                    result = result * weight.data()[self.scale[flat]];
                }
                if let Some(bias) = bias {
                    result += bias.data()[self.scale[flat]];
                }
                data.push(result);
            }
        }
        Tensor::new(input.sizes(), data)
    }

    pub(super) fn backward<S: Scalar>(&self, call: Call<'_, S>, vector: &Tensor<S>) -> Gradients<S> {
        let input = call.input();
        let weight = call.weight("weight");
        let scales = self.scale.iter().max().map_or(0, |last| last + 1);
        let (mut to_weight, mut to_bias) = (vec![S::ZERO; scales], vec![S::ZERO; scales]);
        let mut gradients = call.zero_gradients();
        for n in 0..input.batch() {
            let statistics = self.statistics(input.image(n));
            // For each set: number of elements, sum of gradients, sum of gradients times normalised values.
            let mut sums = vec![(0u32, S::ZERO, S::ZERO); statistics.len()];
            let mut passed = Vec::with_capacity(self.set.len());
            for (flat, (&value, &gradient)) in input.image(n).iter().zip(vector.image(n)).enumerate() {
                let (set, scale) = (self.set[flat], self.scale[flat]);
                let (mean, inverse) = statistics[set];
                let normal = (value - mean) * inverse;
                to_weight[scale] += gradient * normal;
                to_bias[scale] += gradient;
                let through = weight.map_or(gradient, |weight| gradient * weight.data()[scale]);
                sums[set].0 += 1;
                sums[set].1 += through;
                sums[set].2 += through * normal;
                passed.push((through, normal));
            }
            for (flat, target) in gradients.inputs[0].image_mut(n).iter_mut().enumerate() {
                let (through, normal) = passed[flat];
                let (count, sum, product) = sums[self.set[flat]];
                let count = S::from_f64(f64::from(count));
                *target = statistics[self.set[flat]].1 * (through - sum / count - normal * product / count);
            }
        }
        call.put(&mut gradients, "weight", to_weight);
        call.put(&mut gradients, "bias", to_bias);
        gradients
    }
}

/// Returns, for each channel, mean, 1 / standard deviation, scale and shift of a norm with running statistics.
fn running<S: Scalar>(call: Call<'_, S>, eps: f64) -> Result<Vec<[S; 4]>, Problem> {
    let (mean, variance) = (call.need("running_mean")?, call.need("running_var")?);
    let (weight, bias) = (call.weight("weight"), call.weight("bias"));
    let channel = |c: usize| {
        let inverse = S::ONE / (variance.data()[c] + S::from_f64(eps)).map(f64::sqrt);
        let scale = weight.map_or(S::ONE, |weight| weight.data()[c]);
        [mean.data()[c], inverse, scale, bias.map_or(S::ZERO, |bias| bias.data()[c])]
    };
    Ok((0..mean.len()).map(channel).collect())
}

/// Computes batch norm at inference: `(x - mean) / sqrt(var + eps) * weight + bias`.
pub(super) fn running_forward<S: Scalar>(call: Call<'_, S>, eps: f64) -> Result<Tensor<S>, Problem> {
    let input = call.input();
    let channels = running(call, eps)?;
    let plane = input.image_len() / channels.len().max(1);
    Ok(Tensor::from_fn(input.sizes(), |flat| {
        let [mean, inverse, scale, shift] = channels[flat / plane % channels.len()];
        (input.data()[flat] - mean) * inverse * scale + shift
    }))
}

pub(super) fn running_backward<S: Scalar>(
    call: Call<'_, S>,
    eps: f64,
    vector: &Tensor<S>,
) -> Result<Gradients<S>, Problem> {
    let input = call.input();
    let channels = running(call, eps)?;
    let plane = input.image_len() / channels.len().max(1);
    let mut sums = vec![[S::ZERO; 4]; channels.len()];
    let mut gradients = call.zero_gradients();
    for (flat, target) in gradients.inputs[0].data_mut().iter_mut().enumerate() {
        let c = flat / plane % channels.len();
        let ([mean, inverse, scale, _], gradient) = (channels[c], vector.data()[flat]);
        let difference = input.data()[flat] - mean;
        *target = gradient * inverse * scale;
        let minus_half = S::from_f64(-0.5) * inverse * inverse * inverse;
        let parts = [
            gradient * difference * inverse,
            gradient,
            -(gradient * inverse * scale),
            gradient * difference * scale * minus_half,
        ];
        sums[c].iter_mut().zip(parts).for_each(|(sum, part)| *sum += part);
    }
    for (place, name) in ["weight", "bias", "running_mean", "running_var"].into_iter().enumerate() {
        call.put(&mut gradients, name, sums.iter().map(|sums| sums[place]).collect());
    }
    Ok(gradients)
}

/// Returns the softmax set of each element.
fn softmax_sets(axis: SoftmaxAxis, sizes: &[usize]) -> Vec<usize> {
    match axis {
        SoftmaxAxis::Channels => label(sizes, |at| without(at, sizes, 0)),
        SoftmaxAxis::Last => label(sizes, |at| without(at, sizes, sizes.len() - 1)),
        SoftmaxAxis::Space => label(sizes, |at| at[0]),
    }
}

pub(super) fn softmax_forward<S: Scalar>(axis: SoftmaxAxis, input: &Tensor<S>) -> Result<Tensor<S>, Problem> {
    let set = softmax_sets(axis, input.image_sizes());
    let sets = set.iter().max().map_or(0, |last| last + 1);
    let mut data = Vec::with_capacity(input.len());
    for n in 0..input.batch() {
        let image = input.image(n);
        // The maximum is subtracted so that the exponential cannot overflow.
        let mut largest: Vec<Option<S>> = vec![None; sets];
        for (&set, &value) in set.iter().zip(image) {
            largest[set] =
                largest[set].map_or(Some(value), |most| Some(if value > most { value } else { most }));
        }
        let powers: Vec<S> = set
            .iter()
            .zip(image)
            .map(|(&set, &value)| (value - largest[set].unwrap_or(S::ZERO)).map(libm::exp))
            .collect();
        let mut sums = vec![S::ZERO; sets];
        set.iter().zip(&powers).for_each(|(&set, &power)| sums[set] += power);
        data.extend(set.iter().zip(powers).map(|(&set, power)| power / sums[set]));
    }
    Tensor::new(input.sizes(), data)
}

pub(super) fn softmax_backward<S: Scalar>(
    axis: SoftmaxAxis,
    input: &Tensor<S>,
    vector: &Tensor<S>,
) -> Result<Tensor<S>, Problem> {
    let output = softmax_forward(axis, input)?;
    let set = softmax_sets(axis, input.image_sizes());
    let sets = set.iter().max().map_or(0, |last| last + 1);
    let mut data = Vec::with_capacity(input.len());
    for n in 0..input.batch() {
        let pairs = || set.iter().zip(output.image(n).iter().zip(vector.image(n)));
        let mut sums = vec![S::ZERO; sets];
        pairs().for_each(|(&set, (&value, &gradient))| sums[set] += value * gradient);
        data.extend(pairs().map(|(&set, (&value, &gradient))| value * (gradient - sums[set])));
    }
    Tensor::new(input.sizes(), data)
}

/// Returns the channels in the mean of channel `c`: `size / 2` before it and the rest from it on.
fn neighbours(size: u64, c: usize, channels: usize) -> std::ops::Range<usize> {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let end = c.saturating_add(size - size / 2).min(channels);
    c.saturating_sub(size / 2)..end
}

/// Computes `k + alpha / size * sum of the neighbours' squares`; channels beyond the ends count as zeros.
fn denominators<S: Scalar>(layer: &LocalResponseNorm, input: &Tensor<S>) -> Vec<S> {
    let channels = input.image_sizes()[0];
    let plane = input.image_len() / channels.max(1);
    let share = S::from_f64(layer.alpha / layer.size as f64);
    (0..input.len())
        .map(|flat| {
            let (image, c, place) =
                (input.image(flat / input.image_len()), flat / plane % channels, flat % plane);
            let mut sum = S::ZERO;
            for other in neighbours(layer.size, c, channels) {
                let value = image[other * plane + place];
                sum += value * value;
            }
            S::from_f64(layer.k) + share * sum
        })
        .collect()
}

pub(super) fn local_response_forward<S: Scalar>(layer: &LocalResponseNorm, input: &Tensor<S>) -> Tensor<S> {
    let below = denominators(layer, input);
    Tensor::from_fn(input.sizes(), |flat| input.data()[flat] / below[flat].map(|x| libm::pow(x, layer.beta)))
}

pub(super) fn local_response_backward<S: Scalar>(
    layer: &LocalResponseNorm,
    input: &Tensor<S>,
    vector: &Tensor<S>,
) -> Tensor<S> {
    let below = denominators(layer, input);
    let channels = input.image_sizes()[0];
    let plane = input.image_len() / channels.max(1);
    let share = S::from_f64(-2.0 * layer.beta * layer.alpha / layer.size as f64);
    let mut gradient = Tensor::zeros(input.sizes());
    for (flat, &through) in vector.data().iter().enumerate() {
        let power = below[flat].map(|x| libm::pow(x, -layer.beta));
        let (n, c, place) = (flat / input.image_len(), flat / plane % channels, flat % plane);
        gradient.data_mut()[flat] += through * power;
        let common = through * input.data()[flat] * power / below[flat] * share;
        for other in neighbours(layer.size, c, channels) {
            let at = other * plane + place;
            let value = input.image(n)[at];
            gradient.image_mut(n)[at] += common * value;
        }
    }
    gradient
}
