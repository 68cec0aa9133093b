//! The definition of every layer: plain loops, generic over the number type, in 1, 2 and 3 dimensions.
//!
//! This is what "the layer" means; everything else (closed forms in [`cnnkit_core::layers`], fast kernels) is checked against
//! it. Semantics are PyTorch's at inference. Both functions are a closed `match`: a new layer does not compile until it
//! can be executed and differentiated.

mod activations;
mod attention;
mod call;
mod conv;
mod data_movement;
mod deform;
mod elementwise_binary;
mod learned;
mod linear;
mod maxima;
mod means;
mod norms;
mod products;
mod reduction;
mod space;

pub use activations::Activation;
pub use call::{Call, Counter, Gradients};
pub use deform::{Grid, sampled_convolution};
pub(super) use means::{Axis as ResizeAxis, axes as resize_axes};
pub(super) use space::place;

use crate::scalar::Scalar;
use crate::tensor::Tensor;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::Layer;
use data_movement::Map;
use means::Resize;
use norms::Standard;

/// What moves data without computing, if the layer is of this kind.
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

/// How a layer with statistics of its own normalises.
fn standard(layer: &Layer, sizes: &[usize]) -> Option<Standard> {
    Some(match layer {
        Layer::LayerNorm(layer) => Standard::layer(layer.axis, layer.eps, sizes),
        Layer::GroupNorm(layer) => Standard::groups(layer.num_groups, layer.eps, sizes),
        Layer::InstanceNorm(layer) => Standard::groups(sizes[0] as u64, layer.eps, sizes),
        _ => return None,
    })
}

/// The output of `layer`, computed by its definition; multiply-adds are counted as they are done.
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
    match layer {
        Layer::Conv(layer) => conv::forward(layer, call, counter),
        Layer::ConvTranspose(layer) => conv::transposed_forward(layer, call, counter),
        Layer::DeformConv(layer) => deform::forward(layer, call, counter),
        Layer::DeformSample(layer) => deform::sampled(layer, call, counter),
        Layer::Linear(_) => linear::forward(call, counter),
        Layer::Matmul(_) => products::forward(call, counter),
        Layer::Attention(layer) => attention::forward(layer, call, counter),

        Layer::MaxPool(layer) => maxima::max_pool(layer, sizes)?.forward(input),
        Layer::AdaptiveMaxPool(layer) => maxima::adaptive_max_pool(&layer.output_size, sizes)?.forward(input),
        Layer::GlobalMaxPool(layer) => maxima::global_max_pool(layer.keepdim, sizes).forward(input),
        Layer::AvgPool(layer) => means::avg_pool(layer, sizes)?.forward(input),
        Layer::AdaptiveAvgPool(layer) => means::adaptive_avg_pool(&layer.output_size, sizes)?.forward(input),
        Layer::GlobalAvgPool(layer) => means::global_avg_pool(layer.keepdim, sizes).forward(input),
        Layer::Reduce(layer) => reduction::forward(layer, input),

        Layer::BatchNorm(layer) => norms::running_forward(call, layer.eps),
        Layer::InstanceNorm(layer) if layer.track_running_stats => norms::running_forward(call, layer.eps),
        Layer::InstanceNorm(_) | Layer::GroupNorm(_) | Layer::LayerNorm(_) => match standard(layer, sizes) {
            Some(standard) => standard.forward(call),
            None => Err(unsupported(layer)),
        },
        Layer::LocalResponseNorm(layer) => Ok(norms::local_response_forward(layer, input)),

        Layer::Relu(_)
        | Layer::Relu6(_)
        | Layer::LeakyRelu(_)
        | Layer::Elu(_)
        | Layer::Selu(_)
        | Layer::Celu(_)
        | Layer::Gelu(_)
        | Layer::Silu(_)
        | Layer::Mish(_)
        | Layer::Sigmoid(_)
        | Layer::Hardsigmoid(_)
        | Layer::Hardswish(_)
        | Layer::Tanh(_)
        | Layer::Softplus(_)
        | Layer::Clip(_)
        | Layer::Power(_)
        | Layer::Function(_)
        | Layer::Rescale(_) => {
            Activation::of(layer).map(|curve| curve.forward(input)).ok_or_else(|| unsupported(layer))
        }
        Layer::Prelu(_) => elementwise_binary::prelu(call),
        Layer::Softmax(layer) => norms::softmax_forward(layer.axis, input),
        Layer::Glu(_) => Ok(elementwise_binary::glu(input)),

        Layer::Identity(_)
        | Layer::Dropout(_)
        | Layer::ChannelShuffle(_)
        | Layer::PixelShuffle(_)
        | Layer::PixelUnshuffle(_)
        | Layer::Pad(_)
        | Layer::Crop(_)
        | Layer::Slice(_)
        | Layer::Gather(_)
        | Layer::Chunk(_)
        | Layer::Flatten(_)
        | Layer::Reshape(_)
        | Layer::Permute(_)
        | Layer::Concat(_) => {
            movement(layer, call.inputs)?.ok_or_else(|| unsupported(layer))?.forward(call.inputs)
        }
        Layer::Upsample(layer) => match means::resize(layer, sizes)? {
            Resize::Nearest(map) => map.forward(call.inputs),
            Resize::Linear(means) => means.forward(input),
        },

        Layer::Add(layer) => elementwise_binary::add(layer.weights.as_deref(), call.inputs),
        Layer::Multiply(_) => elementwise_binary::multiply(call.inputs),
        Layer::Divide(_) => elementwise_binary::divide(call.inputs),
        Layer::LayerScale(layer) => elementwise_binary::layer_scale(layer.axis, call),
        Layer::LearnedScale(_) => learned::scale(call),
        Layer::LearnedBias(_) => learned::bias(call),
        Layer::LearnedTokens(layer) => learned::tokens(layer, call),
        Layer::LearnedTensor(_) => learned::constant(call),
        Layer::SqueezeExcite(layer) => elementwise_binary::squeeze_excite(layer, call, counter),
        Layer::Opaque(_) => Err(unsupported(layer)),
    }
}

/// The gradient of (output . `vector`) with respect to every input and weight of `layer`.
pub fn backward<S: Scalar>(
    layer: &Layer,
    call: Call<'_, S>,
    vector: &Tensor<S>,
) -> Result<Gradients<S>, Problem> {
    let input = call.input();
    let sizes = input.image_sizes();
    match layer {
        Layer::Conv(layer) => conv::backward(layer, call, vector),
        Layer::ConvTranspose(layer) => conv::transposed_backward(layer, call, vector),
        Layer::DeformConv(layer) => deform::backward(layer, call, vector),
        Layer::DeformSample(layer) => deform::sampled_backward(layer, call, vector),
        Layer::Linear(_) => linear::backward(call, vector),
        Layer::Matmul(_) => products::backward(call, vector),
        Layer::Attention(layer) => attention::backward(layer, call, vector),

        Layer::MaxPool(layer) => Ok(maxima::max_pool(layer, sizes)?.backward(call, vector)),
        Layer::AdaptiveMaxPool(layer) => {
            Ok(maxima::adaptive_max_pool(&layer.output_size, sizes)?.backward(call, vector))
        }
        Layer::GlobalMaxPool(layer) => {
            Ok(maxima::global_max_pool(layer.keepdim, sizes).backward(call, vector))
        }
        Layer::AvgPool(layer) => Ok(means::avg_pool(layer, sizes)?.backward(call, vector)),
        Layer::AdaptiveAvgPool(layer) => {
            Ok(means::adaptive_avg_pool(&layer.output_size, sizes)?.backward(call, vector))
        }
        Layer::GlobalAvgPool(layer) => {
            Ok(means::global_avg_pool(layer.keepdim, sizes).backward(call, vector))
        }
        Layer::Reduce(layer) => reduction::backward(layer, call, vector),

        Layer::BatchNorm(layer) => norms::running_backward(call, layer.eps, vector),
        Layer::InstanceNorm(layer) if layer.track_running_stats => {
            norms::running_backward(call, layer.eps, vector)
        }
        Layer::InstanceNorm(_) | Layer::GroupNorm(_) | Layer::LayerNorm(_) => match standard(layer, sizes) {
            Some(standard) => Ok(standard.backward(call, vector)),
            None => Err(unsupported(layer)),
        },
        Layer::LocalResponseNorm(layer) => {
            Ok(call.input_gradient(norms::local_response_backward(layer, input, vector)))
        }

        Layer::Relu(_)
        | Layer::Relu6(_)
        | Layer::LeakyRelu(_)
        | Layer::Elu(_)
        | Layer::Selu(_)
        | Layer::Celu(_)
        | Layer::Gelu(_)
        | Layer::Silu(_)
        | Layer::Mish(_)
        | Layer::Sigmoid(_)
        | Layer::Hardsigmoid(_)
        | Layer::Hardswish(_)
        | Layer::Tanh(_)
        | Layer::Softplus(_)
        | Layer::Clip(_)
        | Layer::Power(_)
        | Layer::Function(_)
        | Layer::Rescale(_) => Activation::of(layer)
            .map(|curve| call.input_gradient(curve.backward(input, vector)))
            .ok_or_else(|| unsupported(layer)),
        Layer::Prelu(_) => elementwise_binary::prelu_backward(call, vector),
        Layer::Softmax(layer) => Ok(call.input_gradient(norms::softmax_backward(layer.axis, input, vector)?)),
        Layer::Glu(_) => Ok(call.input_gradient(elementwise_binary::glu_backward(input, vector))),

        Layer::Identity(_)
        | Layer::Dropout(_)
        | Layer::ChannelShuffle(_)
        | Layer::PixelShuffle(_)
        | Layer::PixelUnshuffle(_)
        | Layer::Pad(_)
        | Layer::Crop(_)
        | Layer::Slice(_)
        | Layer::Gather(_)
        | Layer::Chunk(_)
        | Layer::Flatten(_)
        | Layer::Reshape(_)
        | Layer::Permute(_)
        | Layer::Concat(_) => {
            Ok(movement(layer, call.inputs)?.ok_or_else(|| unsupported(layer))?.backward(call, vector))
        }
        Layer::Upsample(layer) => match means::resize(layer, sizes)? {
            Resize::Nearest(map) => Ok(map.backward(call, vector)),
            Resize::Linear(means) => Ok(means.backward(call, vector)),
        },

        Layer::Add(layer) => elementwise_binary::add_backward(layer.weights.as_deref(), call, vector),
        Layer::Multiply(_) => elementwise_binary::multiply_backward(call, vector),
        Layer::Divide(_) => elementwise_binary::divide_backward(call, vector),
        Layer::LayerScale(layer) => elementwise_binary::layer_scale_backward(layer.axis, call, vector),
        Layer::LearnedScale(_) => learned::scale_backward(call, vector),
        Layer::LearnedBias(_) => learned::bias_backward(call, vector),
        Layer::LearnedTokens(layer) => learned::tokens_backward(layer, call, vector),
        Layer::LearnedTensor(_) => learned::constant_backward(call, vector),
        Layer::SqueezeExcite(layer) => elementwise_binary::squeeze_excite_backward(layer, call, vector),
        Layer::Opaque(_) => Err(unsupported(layer)),
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
