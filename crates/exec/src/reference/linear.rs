//! Linear maps of the last axis.

use super::call::{Call, Counter, Gradients};
use crate::scalar::Scalar;
use crate::tensor::Tensor;
use cnnkit_core::diagnostic::Problem;

/// Computes `output[..., o] = bias[o] + sum over i of weight[o, i] * input[..., i]`.
pub(super) fn forward<S: Scalar>(call: Call<'_, S>, counter: &mut Counter) -> Result<Tensor<S>, Problem> {
    let (input, weight, bias) = (call.input(), call.need("weight")?, call.weight("bias"));
    let (outputs, features) = (weight.sizes()[0], weight.sizes()[1]);
    let mut sizes = input.sizes().to_vec();
    if let Some(last) = sizes.last_mut() {
        *last = outputs;
    }
    let mut data = Vec::with_capacity(sizes.iter().product());
    for row in input.data().chunks(features.max(1)) {
        for (o, kernel) in weight.data().chunks(features.max(1)).enumerate() {
            let mut sum = S::ZERO;
            for (&factor, &element) in kernel.iter().zip(row) {
                sum += factor * element;
                counter.macs += 1;
            }
            data.push(bias.map_or(sum, |bias| sum + bias.data()[o]));
        }
    }
    Tensor::new(&sizes, data)
}

pub(super) fn backward<S: Scalar>(call: Call<'_, S>, vector: &Tensor<S>) -> Result<Gradients<S>, Problem> {
    let (input, weight) = (call.input(), call.need("weight")?);
    let (outputs, features) = (weight.sizes()[0], weight.sizes()[1]);
    let mut gradients = call.zero_gradients();
    let (mut to_weight, mut to_bias) = (vec![S::ZERO; weight.len()], vec![S::ZERO; outputs]);
    let rows = input.data().chunks(features.max(1)).zip(vector.data().chunks(outputs.max(1)));
    for ((row, from), target) in rows.zip(gradients.inputs[0].data_mut().chunks_mut(features.max(1))) {
        for (o, &gradient) in from.iter().enumerate() {
            to_bias[o] += gradient;
            for i in 0..features {
                target[i] += gradient * weight.data()[o * features + i];
                to_weight[o * features + i] += gradient * row[i];
            }
        }
    }
    call.put(&mut gradients, "weight", to_weight);
    call.put(&mut gradients, "bias", to_bias);
    Ok(gradients)
}
