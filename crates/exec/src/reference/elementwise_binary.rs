//! Elementwise combinations of several inputs, and gates.

use super::activations::apply;
use super::call::{Call, Counter, Gradients};
use super::space::unravel;
use crate::scalar::Scalar;
use crate::tensor::Tensor;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::activation::Activation;
use cnnkit_core::layers::layer_scale::ScaleAxis;
use cnnkit_core::layers::sigmoid;
use cnnkit_core::layers::squeeze_excite::SqueezeExcite;

const SIGMOID: Activation = Activation::real(&sigmoid::FUNCTION);

/// Returns the broadcast sizes of the inputs and, for each input, the flat index that each output element reads.
fn broadcast<S: Scalar>(inputs: &[&Tensor<S>]) -> Result<(Vec<usize>, Vec<Vec<usize>>), Problem> {
    let rank = inputs[0].sizes().len();
    if inputs.iter().any(|input| input.sizes().len() != rank) {
        return Err(Problem::shape("the joined inputs have different numbers of axes"));
    }
    let sizes: Vec<usize> =
        (0..rank).map(|axis| inputs.iter().map(|input| input.sizes()[axis]).max().unwrap_or(1)).collect();
    let mut at = vec![0; rank];
    let places = inputs.iter().map(|input| {
        let fold = |at: &[usize]| {
            at.iter()
                .zip(input.sizes())
                .fold(0, |flat, (&index, &size)| flat * size + if size == 1 { 0 } else { index })
        };
        (0..sizes.iter().product())
            .map(|flat| {
                unravel(flat, &sizes, &mut at);
                fold(&at)
            })
            .collect()
    });
    let places = places.collect();
    Ok((sizes, places))
}

fn factor<S: Scalar>(weights: Option<&[f64]>, input: usize) -> Option<S> {
    weights
        .and_then(|weights| weights.get(input))
        .filter(|&&weight| weight != 1.0)
        .map(|&weight| S::from_f64(weight))
}

pub(super) fn add<S: Scalar>(weights: Option<&[f64]>, inputs: &[&Tensor<S>]) -> Result<Tensor<S>, Problem> {
    let (sizes, places) = broadcast(inputs)?;
    Ok(Tensor::from_fn(&sizes, |flat| {
        let mut sum = S::ZERO;
        for (index, (input, places)) in inputs.iter().zip(&places).enumerate() {
            let value = input.data()[places[flat]];
            sum += factor(weights, index).map_or(value, |factor: S| factor * value);
        }
        sum
    }))
}

pub(super) fn add_backward<S: Scalar>(
    weights: Option<&[f64]>,
    call: Call<'_, S>,
    vector: &Tensor<S>,
) -> Result<Gradients<S>, Problem> {
    let (_, places) = broadcast(call.inputs)?;
    let mut gradients = call.zero_gradients();
    for (index, (target, places)) in gradients.inputs.iter_mut().zip(&places).enumerate() {
        let target = target.data_mut();
        for (&place, &gradient) in places.iter().zip(vector.data()) {
            target[place] += factor(weights, index).map_or(gradient, |factor: S| factor * gradient);
        }
    }
    Ok(gradients)
}

pub(super) fn multiply<S: Scalar>(inputs: &[&Tensor<S>]) -> Result<Tensor<S>, Problem> {
    let (sizes, places) = broadcast(inputs)?;
    Ok(Tensor::from_fn(&sizes, |flat| product(inputs, &places, flat, usize::MAX)))
}

/// Computes the product of all inputs but one at an output element.
fn product<S: Scalar>(inputs: &[&Tensor<S>], places: &[Vec<usize>], flat: usize, without: usize) -> S {
    let others = inputs.iter().zip(places).enumerate().filter(|&(index, _)| index != without);
    others.fold(S::ONE, |product, (_, (input, places))| product * input.data()[places[flat]])
}

pub(super) fn multiply_backward<S: Scalar>(
    call: Call<'_, S>,
    vector: &Tensor<S>,
) -> Result<Gradients<S>, Problem> {
    let (_, places) = broadcast(call.inputs)?;
    let mut gradients = call.zero_gradients();
    for (index, target) in gradients.inputs.iter_mut().enumerate() {
        let target = target.data_mut();
        for (flat, &gradient) in vector.data().iter().enumerate() {
            target[places[index][flat]] += gradient * product(call.inputs, &places, flat, index);
        }
    }
    Ok(gradients)
}

/// Divides the first input by the second.
pub(super) fn divide<S: Scalar>(inputs: &[&Tensor<S>]) -> Result<Tensor<S>, Problem> {
    let (sizes, places) = broadcast(inputs)?;
    Ok(Tensor::from_fn(&sizes, |flat| inputs[0].data()[places[0][flat]] / inputs[1].data()[places[1][flat]]))
}

pub(super) fn divide_backward<S: Scalar>(
    call: Call<'_, S>,
    vector: &Tensor<S>,
) -> Result<Gradients<S>, Problem> {
    let (_, places) = broadcast(call.inputs)?;
    let mut gradients = call.zero_gradients();
    for (flat, &gradient) in vector.data().iter().enumerate() {
        let (i, j) = (places[0][flat], places[1][flat]);
        let (top, bottom) = (call.inputs[0].data()[i], call.inputs[1].data()[j]);
        gradients.inputs[0].data_mut()[i] += gradient / bottom;
        gradients.inputs[1].data_mut()[j] += -(gradient * top / (bottom * bottom));
    }
    Ok(gradients)
}

/// Returns a function from a flat index to its index along one axis, for weights with one value per index.
fn along(sizes: &[usize], axis: usize) -> impl Fn(usize) -> usize {
    let (inner, size): (usize, usize) = (sizes[axis + 1..].iter().product(), sizes[axis]);
    move |flat| flat / inner.max(1) % size.max(1)
}

fn scale_axis(axis: ScaleAxis, sizes: &[usize]) -> usize {
    match axis {
        ScaleAxis::Channels => 1,
        ScaleAxis::Last => sizes.len() - 1,
    }
}

pub(super) fn layer_scale<S: Scalar>(axis: ScaleAxis, call: Call<'_, S>) -> Result<Tensor<S>, Problem> {
    let (input, weight) = (call.input(), call.need("weight")?);
    let index = along(input.sizes(), scale_axis(axis, input.sizes()));
    Ok(Tensor::from_fn(input.sizes(), |flat| input.data()[flat] * weight.data()[index(flat)]))
}

pub(super) fn layer_scale_backward<S: Scalar>(
    axis: ScaleAxis,
    call: Call<'_, S>,
    vector: &Tensor<S>,
) -> Result<Gradients<S>, Problem> {
    let (input, weight) = (call.input(), call.need("weight")?);
    let index = along(input.sizes(), scale_axis(axis, input.sizes()));
    let mut to_weight = vec![S::ZERO; weight.len()];
    let to_input = Tensor::from_fn(input.sizes(), |flat| {
        to_weight[index(flat)] += vector.data()[flat] * input.data()[flat];
        vector.data()[flat] * weight.data()[index(flat)]
    });
    let mut gradients = call.input_gradient(to_input);
    call.put(&mut gradients, "weight", to_weight);
    Ok(gradients)
}

pub(super) fn prelu<S: Scalar>(call: Call<'_, S>) -> Result<Tensor<S>, Problem> {
    let (input, weight) = (call.input(), call.need("weight")?);
    let channel = along(input.sizes(), 1);
    Ok(Tensor::from_fn(input.sizes(), |flat| {
        let x = input.data()[flat];
        if x < S::ZERO { weight.data()[channel(flat) % weight.len()] * x } else { x }
    }))
}

pub(super) fn prelu_backward<S: Scalar>(
    call: Call<'_, S>,
    vector: &Tensor<S>,
) -> Result<Gradients<S>, Problem> {
    let (input, weight) = (call.input(), call.need("weight")?);
    let channel = along(input.sizes(), 1);
    let mut to_weight = vec![S::ZERO; weight.len()];
    let to_input = Tensor::from_fn(input.sizes(), |flat| {
        let (x, gradient) = (input.data()[flat], vector.data()[flat]);
        if x > S::ZERO {
            return gradient;
        }
        let slope = channel(flat) % weight.len();
        to_weight[slope] += gradient * x;
        gradient * weight.data()[slope]
    });
    let mut gradients = call.input_gradient(to_input);
    call.put(&mut gradients, "weight", to_weight);
    Ok(gradients)
}

/// Computes the first half of the channels times the sigmoid of the second.
pub(super) fn glu<S: Scalar>(input: &Tensor<S>) -> Tensor<S> {
    let half = input.image_len() / 2;
    let mut sizes = input.sizes().to_vec();
    sizes[1] /= 2;
    Tensor::from_fn(&sizes, |flat| {
        let image = input.image(flat / half.max(1));
        image[flat % half] * apply(SIGMOID, image[half + flat % half])
    })
}

pub(super) fn glu_backward<S: Scalar>(input: &Tensor<S>, vector: &Tensor<S>) -> Tensor<S> {
    let half = input.image_len() / 2;
    Tensor::from_fn(input.sizes(), |flat| {
        let (n, place) = (flat / input.image_len(), flat % input.image_len());
        let (image, gradient) = (input.image(n), vector.image(n)[place % half]);
        let gate = image[half + place % half];
        if place < half {
            gradient * apply(SIGMOID, gate)
        } else {
            gradient * image[place - half] * S::from_f64(SIGMOID.slope(gate.to_f64()))
        }
    })
}

/// The intermediate values of squeeze-and-excitation for one image.
struct Gates<S> {
    means: Vec<S>,
    inner: Vec<S>,
    activated: Vec<S>,
    before: Vec<S>,
    gate: Vec<S>,
}

fn map<S: Scalar>(
    weight: &Tensor<S>,
    bias: Option<&Tensor<S>>,
    values: &[S],
    counter: &mut Counter,
) -> Vec<S> {
    let rows = weight.data().chunks(values.len().max(1)).enumerate();
    rows.map(|(o, kernel)| {
        let mut sum = S::ZERO;
        for (&factor, &value) in kernel.iter().zip(values) {
            sum += factor * value;
            counter.macs += 1;
        }
        bias.map_or(sum, |bias| sum + bias.data()[o])
    })
    .collect()
}

fn gates<S: Scalar>(
    layer: &SqueezeExcite,
    call: Call<'_, S>,
    n: usize,
    counter: &mut Counter,
) -> Result<Gates<S>, Problem> {
    let input = call.input();
    let plane = input.image_len() / input.image_sizes()[0].max(1);
    let mean = |values: &[S]| {
        let mut sum = S::ZERO;
        values.iter().for_each(|&value| sum += value);
        sum / S::from_f64(values.len() as f64)
    };
    let means: Vec<S> = input.image(n).chunks(plane.max(1)).map(mean).collect();
    let inner = map(call.need("fc1.weight")?, call.weight("fc1.bias"), &means, counter);
    let activation = layer.activation.pointwise().activation;
    let activated: Vec<S> = inner.iter().map(|&x| apply(activation, x)).collect();
    let before = map(call.need("fc2.weight")?, call.weight("fc2.bias"), &activated, counter);
    let gate = before.iter().map(|&x| apply(layer.gate.pointwise().activation, x)).collect();
    Ok(Gates { means, inner, activated, before, gate })
}

pub(super) fn squeeze_excite<S: Scalar>(
    layer: &SqueezeExcite,
    call: Call<'_, S>,
    counter: &mut Counter,
) -> Result<Tensor<S>, Problem> {
    let input = call.input();
    let plane = input.image_len() / input.image_sizes()[0].max(1);
    let mut data = Vec::with_capacity(input.len());
    for n in 0..input.batch() {
        let gates = gates(layer, call, n, counter)?;
        data.extend(input.image(n).iter().enumerate().map(|(flat, &value)| value * gates.gate[flat / plane]));
    }
    Tensor::new(input.sizes(), data)
}

/// Computes the gradients through `map` with respect to its input; those of its weight and bias are accumulated.
fn map_backward<S: Scalar>(
    weight: &Tensor<S>,
    values: &[S],
    vector: &[S],
    sums: &mut (Vec<S>, Vec<S>),
) -> Vec<S> {
    let mut to_values = vec![S::ZERO; values.len()];
    for (o, &gradient) in vector.iter().enumerate() {
        sums.1[o] += gradient;
        for (i, &value) in values.iter().enumerate() {
            let at = o * values.len() + i;
            to_values[i] += gradient * weight.data()[at];
            sums.0[at] += gradient * value;
        }
    }
    to_values
}

pub(super) fn squeeze_excite_backward<S: Scalar>(
    layer: &SqueezeExcite,
    call: Call<'_, S>,
    vector: &Tensor<S>,
) -> Result<Gradients<S>, Problem> {
    let input = call.input();
    let (first, second) = (call.need("fc1.weight")?, call.need("fc2.weight")?);
    let (inner, channels) = (first.sizes()[0], second.sizes()[0]);
    let plane = input.image_len() / channels.max(1);
    let mut sums = [
        (vec![S::ZERO; first.len()], vec![S::ZERO; inner]),
        (vec![S::ZERO; second.len()], vec![S::ZERO; channels]),
    ];
    let mut gradients = call.zero_gradients();
    let slope = |curve: Activation, x: S| S::from_f64(curve.slope(x.to_f64()));
    for n in 0..input.batch() {
        let gates = gates(layer, call, n, &mut Counter::default())?;
        let mut to_gate = vec![S::ZERO; channels];
        for (flat, (&value, &gradient)) in input.image(n).iter().zip(vector.image(n)).enumerate() {
            to_gate[flat / plane] += gradient * value;
        }
        let gate = layer.gate.pointwise().activation;
        let to_before: Vec<S> =
            to_gate.iter().zip(&gates.before).map(|(&gradient, &x)| gradient * slope(gate, x)).collect();
        let to_activated = map_backward(second, &gates.activated, &to_before, &mut sums[1]);
        let activation = layer.activation.pointwise().activation;
        let to_inner: Vec<S> = to_activated
            .iter()
            .zip(&gates.inner)
            .map(|(&gradient, &x)| gradient * slope(activation, x))
            .collect();
        let to_means = map_backward(first, &gates.means, &to_inner, &mut sums[0]);
        let share = S::ONE / S::from_f64(plane as f64);
        for (flat, target) in gradients.inputs[0].image_mut(n).iter_mut().enumerate() {
            *target = vector.image(n)[flat] * gates.gate[flat / plane] + to_means[flat / plane] * share;
        }
    }
    let [(first, first_bias), (second, second_bias)] = sums;
    for (name, gradient) in
        [("fc1.weight", first), ("fc1.bias", first_bias), ("fc2.weight", second), ("fc2.bias", second_bias)]
    {
        call.put(&mut gradients, name, gradient);
    }
    Ok(gradients)
}
