//! The reference implementation of every layer: plain loops, generic over the number type, in 1, 2 and 3
//! dimensions.
//!
//! It defines what each layer computes; everything else (closed forms in [`cnnkit_core::layers`], fast
//! kernels) is checked against it. Semantics are PyTorch's at inference. Both functions are a closed `match`:
//! they do not compile until they handle a new layer; pointwise layers follow from their facets.

mod activations;
mod attention;
mod call;
mod conv;
mod data_movement;
mod deform;
mod dynamic_conv;
mod elementwise_binary;
mod learned;
mod linear;
mod maxima;
mod means;
mod norms;
mod products;
mod reduction;
mod space;

pub use activations::apply;
pub use call::{Call, Counter, Gradients};
pub use deform::{Grid, sampled_convolution};
pub(super) use means::{Axis as ResizeAxis, axes as resize_axes};
pub(super) use space::place;

use crate::scalar::Scalar;
use crate::tensor::Tensor;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::{Arithmetic, Layer};
use data_movement::Map;
use means::Resize;
use norms::Standard;

/// Returns the data movement of a layer that only moves data.
fn movement<S: Scalar>(layer: &Layer, inputs: &[&Tensor<S>]) -> Result<Option<Map>, Problem> {
    let input = inputs[0].image_sizes();
    Ok(Some(match layer {
        Layer::Identity(_) | Layer::Dropout(_) => data_movement::identity(input),
        Layer::ChannelShuffle(layer) => data_movement::channel_shuffle(layer, input)?,
        Layer::PixelShuffle(layer) => data_movement::pixel_shuffle(layer, input)?,
        Layer::PixelUnshuffle(layer) => data_movement::pixel_unshuffle(layer, input)?,
        Layer::Pad(layer) => data_movement::pad(layer, input)?,
        Layer::Crop(layer) => data_movement::crop(layer, input)?,
        Layer::Slice(layer) => data_movement::slice(layer, input)?,
        Layer::Gather(layer) => data_movement::gather(layer, input)?,
        Layer::Chunk(layer) => data_movement::chunk(layer, input)?,
        Layer::Flatten(layer) => data_movement::flatten(layer, input)?,
        Layer::Reshape(layer) => data_movement::reshape(layer, input)?,
        Layer::Permute(layer) => data_movement::permute(layer, input)?,
        Layer::Concat(layer) => {
            let sizes: Vec<&[usize]> = inputs.iter().map(|input| input.image_sizes()).collect();
            data_movement::concat(layer, &sizes)?
        }
        _ => return Ok(None),
    }))
}

/// Returns the statistics of a layer that normalises by its own; none for any other layer.
fn standard(layer: &Layer, sizes: &[usize]) -> Option<Standard> {
    Some(match layer {
        Layer::LayerNorm(layer) => Standard::layer(layer.axis, layer.eps, sizes),
        Layer::GroupNorm(layer) => Standard::groups(layer.num_groups, layer.eps, sizes),
        Layer::InstanceNorm(layer) => Standard::groups(sizes[0] as u64, layer.eps, sizes),
        _ => return None,
    })
}

/// Computes the output of `layer` and counts its multiply-adds as they are done.
///
/// The inputs must be ones that the layer's `infer` accepts.
pub fn forward<S: Scalar>(
    layer: &Layer,
    call: Call<'_, S>,
    counter: &mut Counter,
) -> Result<Tensor<S>, Problem> {
    if matches!(layer, Layer::Opaque(_)) {
        return Err(unsupported(layer));
    }
    let input = call.input();
    let sizes = input.image_sizes();
    match layer.arithmetic() {
        Arithmetic::Conv(layer) => conv::forward(layer, call, counter),
        Arithmetic::ConvTranspose(layer) => conv::transposed_forward(layer, call, counter),
        Arithmetic::DeformConv(layer) => deform::forward(layer, call, counter),
        Arithmetic::DeformSample(layer) => deform::sampled(layer, call, counter),
        Arithmetic::DynamicConv(layer) => dynamic_conv::forward(layer, call, counter),
        Arithmetic::Linear(_) => linear::forward(call, counter),
        Arithmetic::Matmul(_) => products::forward(call, counter),
        Arithmetic::Attention(layer) => attention::forward(layer, call, counter),

        Arithmetic::MaxPool(layer) => maxima::max_pool(layer, sizes)?.forward(input),
        Arithmetic::AdaptiveMaxPool(layer) => {
            maxima::adaptive_max_pool(&layer.output_size, sizes)?.forward(input)
        }
        Arithmetic::GlobalMaxPool(layer) => maxima::global_max_pool(layer.keepdim, sizes).forward(input),
        Arithmetic::AvgPool(layer) => means::avg_pool(layer, sizes)?.forward(input),
        Arithmetic::AdaptiveAvgPool(layer) => {
            means::adaptive_avg_pool(&layer.output_size, sizes)?.forward(input)
        }
        Arithmetic::GlobalAvgPool(layer) => means::global_avg_pool(layer.keepdim, sizes).forward(input),
        Arithmetic::Reduce(layer) => reduction::forward(layer, input),

        Arithmetic::BatchNorm(layer) => norms::running_forward(call, layer.eps),
        Arithmetic::InstanceNorm(layer) if layer.track_running_stats => {
            norms::running_forward(call, layer.eps)
        }
        Arithmetic::InstanceNorm(_) | Arithmetic::GroupNorm(_) | Arithmetic::LayerNorm(_) => {
            match standard(layer, sizes) {
                Some(standard) => standard.forward(call),
                None => Err(unsupported(layer)),
            }
        }
        Arithmetic::LocalResponseNorm(layer) => Ok(norms::local_response_forward(layer, input)),

        Arithmetic::Pointwise(function) => Ok(activations::forward(function.activation, input)),
        Arithmetic::Prelu(_) => elementwise_binary::prelu(call),
        Arithmetic::Softmax(layer) => norms::softmax_forward(layer.axis, input),
        Arithmetic::Glu(_) => Ok(elementwise_binary::glu(input)),

        Arithmetic::Identity(_)
        | Arithmetic::Dropout(_)
        | Arithmetic::ChannelShuffle(_)
        | Arithmetic::PixelShuffle(_)
        | Arithmetic::PixelUnshuffle(_)
        | Arithmetic::Pad(_)
        | Arithmetic::Crop(_)
        | Arithmetic::Slice(_)
        | Arithmetic::Gather(_)
        | Arithmetic::Chunk(_)
        | Arithmetic::Flatten(_)
        | Arithmetic::Reshape(_)
        | Arithmetic::Permute(_)
        | Arithmetic::Concat(_) => {
            movement(layer, call.inputs)?.ok_or_else(|| unsupported(layer))?.forward(call.inputs)
        }
        Arithmetic::Upsample(layer) => match means::resize(layer, sizes)? {
            Resize::Nearest(map) => map.forward(call.inputs),
            Resize::Mixed(means) => means.forward(input),
        },

        Arithmetic::Add(layer) => elementwise_binary::add(layer.weights.as_deref(), call.inputs),
        Arithmetic::Multiply(_) => elementwise_binary::multiply(call.inputs),
        Arithmetic::Divide(_) => elementwise_binary::divide(call.inputs),
        Arithmetic::LayerScale(layer) => elementwise_binary::layer_scale(layer.axis, call),
        Arithmetic::LearnedScale(layer) => learned::scale(layer, call),
        Arithmetic::LearnedBias(_) => learned::bias(call),
        Arithmetic::LearnedTokens(layer) => learned::tokens(layer, call),
        Arithmetic::LearnedTensor(_) => learned::constant(call),
        Arithmetic::SqueezeExcite(layer) => elementwise_binary::squeeze_excite(layer, call, counter),
        Arithmetic::Opaque(_) => Err(unsupported(layer)),
    }
}

/// Computes the gradient of (output . `vector`) with respect to every input and weight of `layer`.
pub fn backward<S: Scalar>(
    layer: &Layer,
    call: Call<'_, S>,
    vector: &Tensor<S>,
) -> Result<Gradients<S>, Problem> {
    let input = call.input();
    let sizes = input.image_sizes();
    match layer.arithmetic() {
        Arithmetic::Conv(layer) => conv::backward(layer, call, vector),
        Arithmetic::ConvTranspose(layer) => conv::transposed_backward(layer, call, vector),
        Arithmetic::DeformConv(layer) => deform::backward(layer, call, vector),
        Arithmetic::DeformSample(layer) => deform::sampled_backward(layer, call, vector),
        Arithmetic::DynamicConv(layer) => dynamic_conv::backward(layer, call, vector),
        Arithmetic::Linear(_) => linear::backward(call, vector),
        Arithmetic::Matmul(_) => products::backward(call, vector),
        Arithmetic::Attention(layer) => attention::backward(layer, call, vector),

        Arithmetic::MaxPool(layer) => Ok(maxima::max_pool(layer, sizes)?.backward(call, vector)),
        Arithmetic::AdaptiveMaxPool(layer) => {
            Ok(maxima::adaptive_max_pool(&layer.output_size, sizes)?.backward(call, vector))
        }
        Arithmetic::GlobalMaxPool(layer) => {
            Ok(maxima::global_max_pool(layer.keepdim, sizes).backward(call, vector))
        }
        Arithmetic::AvgPool(layer) => Ok(means::avg_pool(layer, sizes)?.backward(call, vector)),
        Arithmetic::AdaptiveAvgPool(layer) => {
            Ok(means::adaptive_avg_pool(&layer.output_size, sizes)?.backward(call, vector))
        }
        Arithmetic::GlobalAvgPool(layer) => {
            Ok(means::global_avg_pool(layer.keepdim, sizes).backward(call, vector))
        }
        Arithmetic::Reduce(layer) => reduction::backward(layer, call, vector),

        Arithmetic::BatchNorm(layer) => norms::running_backward(call, layer.eps, vector),
        Arithmetic::InstanceNorm(layer) if layer.track_running_stats => {
            norms::running_backward(call, layer.eps, vector)
        }
        Arithmetic::InstanceNorm(_) | Arithmetic::GroupNorm(_) | Arithmetic::LayerNorm(_) => {
            match standard(layer, sizes) {
                Some(standard) => Ok(standard.backward(call, vector)),
                None => Err(unsupported(layer)),
            }
        }
        Arithmetic::LocalResponseNorm(layer) => {
            Ok(call.input_gradient(norms::local_response_backward(layer, input, vector)))
        }

        Arithmetic::Pointwise(function) => {
            Ok(call.input_gradient(activations::backward(function.activation, input, vector)))
        }
        Arithmetic::Prelu(_) => elementwise_binary::prelu_backward(call, vector),
        Arithmetic::Softmax(layer) => {
            Ok(call.input_gradient(norms::softmax_backward(layer.axis, input, vector)?))
        }
        Arithmetic::Glu(_) => Ok(call.input_gradient(elementwise_binary::glu_backward(input, vector))),

        Arithmetic::Identity(_)
        | Arithmetic::Dropout(_)
        | Arithmetic::ChannelShuffle(_)
        | Arithmetic::PixelShuffle(_)
        | Arithmetic::PixelUnshuffle(_)
        | Arithmetic::Pad(_)
        | Arithmetic::Crop(_)
        | Arithmetic::Slice(_)
        | Arithmetic::Gather(_)
        | Arithmetic::Chunk(_)
        | Arithmetic::Flatten(_)
        | Arithmetic::Reshape(_)
        | Arithmetic::Permute(_)
        | Arithmetic::Concat(_) => {
            Ok(movement(layer, call.inputs)?.ok_or_else(|| unsupported(layer))?.backward(call, vector))
        }
        Arithmetic::Upsample(layer) => match means::resize(layer, sizes)? {
            Resize::Nearest(map) => Ok(map.backward(call, vector)),
            Resize::Mixed(means) => Ok(means.backward(call, vector)),
        },

        Arithmetic::Add(layer) => elementwise_binary::add_backward(layer.weights.as_deref(), call, vector),
        Arithmetic::Multiply(_) => elementwise_binary::multiply_backward(call, vector),
        Arithmetic::Divide(_) => elementwise_binary::divide_backward(call, vector),
        Arithmetic::LayerScale(layer) => elementwise_binary::layer_scale_backward(layer.axis, call, vector),
        Arithmetic::LearnedScale(layer) => learned::scale_backward(layer, call, vector),
        Arithmetic::LearnedBias(_) => learned::bias_backward(call, vector),
        Arithmetic::LearnedTokens(layer) => learned::tokens_backward(layer, call, vector),
        Arithmetic::LearnedTensor(_) => learned::constant_backward(call, vector),
        Arithmetic::SqueezeExcite(layer) => elementwise_binary::squeeze_excite_backward(layer, call, vector),
        Arithmetic::Opaque(_) => Err(unsupported(layer)),
    }
}

fn unsupported(layer: &Layer) -> Problem {
    let (what, why) = match layer {
        Layer::Opaque(opaque) => (format!("the operator {}", opaque.operator), opaque.reason.as_str()),
        other => (format!("`{}`", other.doc().name), ""),
    };
    let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
    Problem::new(cnnkit_core::diagnostic::Code::InvalidValue, format!("not supported: running {what}{why}"))
}
