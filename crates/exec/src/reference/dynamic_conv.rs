//! Convolution whose weight is an input: each image is convolved with its own.

use std::sync::Arc;

use super::call::{Call, Counter, Gradients};
use super::conv;
use crate::scalar::Scalar;
use crate::tensor::Tensor;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::dynamic_conv::{DynamicConv, WithWeight};
use cnnkit_core::layers::{Init, Weight};
use cnnkit_core::shape::Shape;

/// What the images have in common: the layer, and the weight that it declares.
struct Plan {
    main: WithWeight,
    declared: [Weight; 1],
}

impl Plan {
    fn new<S: Scalar>(layer: &DynamicConv, call: Call<'_, S>) -> Result<Self, Problem> {
        let shapes: Vec<Shape> = call.inputs.iter().map(|input| input.shape()).collect();
        let main = layer.main(&shapes)?;
        let weight = Weight::parameter("weight", shapes[1].clone(), Init::Zeros);
        Ok(Self { main, declared: [weight] })
    }
}

/// An image by itself, and its weight.
type Single<S> = (Tensor<S>, [Arc<Tensor<S>>; 1]);

/// Returns image `n`.
fn single<S: Scalar>(call: Call<'_, S>, n: usize) -> Result<Single<S>, Problem> {
    let (map, weight) = (call.inputs[0], call.inputs[1]);
    let image = Tensor::new(&[&[1], map.image_sizes()].concat(), map.image(n).to_vec())?;
    let weight = Tensor::new(weight.image_sizes(), weight.image(n).to_vec())?;
    Ok((image, [Arc::new(weight)]))
}

pub(super) fn forward<S: Scalar>(
    layer: &DynamicConv,
    call: Call<'_, S>,
    counter: &mut Counter,
) -> Result<Tensor<S>, Problem> {
    let plan = Plan::new(layer, call)?;
    let (mut data, mut sizes) = (Vec::new(), vec![]);
    for n in 0..call.input().batch() {
        let (image, weights) = single(call, n)?;
        let own = Call { inputs: &[&image], declared: &plan.declared, weights: &weights };
        let output = match &plan.main {
            WithWeight::Conv(conv) => conv::forward(conv, own, counter)?,
            WithWeight::Transposed(conv) => conv::transposed_forward(conv, own, counter)?,
        };
        sizes = output.image_sizes().to_vec();
        data.extend(output.into_data());
    }
    Tensor::new(&[&[call.input().batch()], sizes.as_slice()].concat(), data)
}

pub(super) fn backward<S: Scalar>(
    layer: &DynamicConv,
    call: Call<'_, S>,
    vector: &Tensor<S>,
) -> Result<Gradients<S>, Problem> {
    let plan = Plan::new(layer, call)?;
    let mut gradients = call.zero_gradients();
    for n in 0..call.input().batch() {
        let (image, weights) = single(call, n)?;
        let own = Call { inputs: &[&image], declared: &plan.declared, weights: &weights };
        let vector = Tensor::new(&[&[1], vector.image_sizes()].concat(), vector.image(n).to_vec())?;
        let back = match &plan.main {
            WithWeight::Conv(conv) => conv::backward(conv, own, &vector)?,
            WithWeight::Transposed(conv) => conv::transposed_backward(conv, own, &vector)?,
        };
        gradients.inputs[0].image_mut(n).copy_from_slice(back.inputs[0].data());
        gradients.inputs[1].image_mut(n).copy_from_slice(back.weights[0].data());
    }
    Ok(gradients)
}
