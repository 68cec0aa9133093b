//! Kernel selection for every layer.

use std::sync::Arc;

use super::Context;
use super::attention::Attention;
use super::data_movement::{Joined, Lookup, Strided, strides};
use super::depthwise::{Depthwise, Reduction};
use super::elementwise::{Affine, Join, Joining};
use super::kernel::{Kernel, Prepared};
use super::layer_use::{Fold, LayerUse};
use super::linear::Linear;
use super::norms::{Norm, Scale, Sets};
use super::padded_input::Frame;
use super::resize::Resize;
use super::select_gemm;
use super::squeeze_excite::Gates;
use crate::reference;
use crate::tensor::Tensor;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::Layer;
use cnnkit_core::layers::conv::PaddingMode;
use cnnkit_core::layers::layer_norm::NormAxis;
use cnnkit_core::layers::layer_scale::ScaleAxis;
use cnnkit_core::layers::softmax::SoftmaxAxis;
use cnnkit_core::layers::upsample::Interpolation;
use cnnkit_core::layers::window::Window;

fn definition(site: &LayerUse<'_>) -> Prepared {
    let (layer, declared) = (Box::new(site.layer.clone()), site.declared.to_vec());
    plain(Kernel::Definition { layer, declared, weights: site.weights.to_vec() })
}

pub(super) fn plain(kernel: Kernel) -> Prepared {
    Prepared { kernel, bias: None }
}

/// Returns a norm with running statistics as one factor and one shift per channel, computed in f64.
pub(super) fn running(site: &LayerUse<'_>, eps: f64) -> Option<Fold> {
    let (mean, variance) = (site.weight("running_mean")?, site.weight("running_var")?);
    let (weight, bias) = (site.weight("weight"), site.weight("bias"));
    let of = |tensor: Option<&Arc<Tensor<f32>>>, c: usize, otherwise: f64| {
        tensor.map_or(otherwise, |tensor| f64::from(tensor.data()[c]))
    };
    let channel = |c: usize| {
        let scale = of(weight, c, 1.0) / (f64::from(variance.data()[c]) + eps).sqrt();
        let shift = of(bias, c, 0.0) - f64::from(mean.data()[c]) * scale;
        #[expect(clippy::cast_possible_truncation, reason = "rounded once, to what the kernels compute in")]
        (scale as f32, shift as f32)
    };
    let (scale, shift) = (0..mean.len()).map(channel).unzip();
    Some(Fold { scale, shift })
}

/// Returns the kernel of a layer; `fold` is a norm after it to fold into its weights (see [`select_gemm::folds`]).
pub(super) fn prepare(
    context: &Context,
    site: &LayerUse<'_>,
    fold: Option<&Fold>,
) -> Result<Prepared, Problem> {
    let kernel = match site.layer {
        Layer::Conv(_) | Layer::ConvTranspose(_) | Layer::DeformConv(_) | Layer::Linear(_) => {
            select_gemm::prepare(context, site, fold)?
        }
        Layer::MaxPool(_) | Layer::AvgPool(_) => pool(site)?.map(plain),
        Layer::GlobalAvgPool(_) => Some(plain(Kernel::Global { largest: false, plane: plane(site) })),
        Layer::GlobalMaxPool(_) => Some(plain(Kernel::Global { largest: true, plane: plane(site) })),
        // An adaptive pool to a single position is a global pool.
        Layer::AdaptiveAvgPool(_) if site.output[2..].iter().all(|&size| size == 1) => {
            Some(plain(Kernel::Global { largest: false, plane: plane(site) }))
        }
        Layer::AdaptiveMaxPool(_) if site.output[2..].iter().all(|&size| size == 1) => {
            Some(plain(Kernel::Global { largest: true, plane: plane(site) }))
        }
        Layer::BatchNorm(layer) => running(site, layer.eps).map(|fold| affine(site, fold)),
        Layer::InstanceNorm(layer) if layer.track_running_stats => {
            running(site, layer.eps).map(|fold| affine(site, fold))
        }
        Layer::InstanceNorm(layer) => Some(norm(site, rows(plane(site)), channel_scale(site), layer.eps)),
        Layer::GroupNorm(layer) => {
            let groups = usize::try_from(layer.num_groups).unwrap_or(1).max(1);
            let elements: usize = site.input().iter().product();
            Some(norm(site, rows(elements / groups), channel_scale(site), layer.eps))
        }
        Layer::LayerNorm(layer) => {
            let (input, eps) = (site.input(), layer.eps);
            let (channels, last) = (input[0], input[input.len() - 1]);
            Some(match layer.axis {
                NormAxis::Channels => {
                    let sets = Sets::Channels { channels, plane: plane(site) };
                    norm(site, sets, Scale::Element, eps)
                }
                NormAxis::Last => norm(site, rows(last), Scale::Element, eps),
                NormAxis::Space => norm(site, rows(plane(site)), Scale::Element, eps),
                NormAxis::All => norm(site, rows(input.iter().product()), Scale::Element, eps),
            })
        }
        Layer::Softmax(layer) => {
            let input = site.input();
            Some(plain(Kernel::Softmax(match layer.axis {
                SoftmaxAxis::Channels => Sets::Channels { channels: input[0], plane: plane(site) },
                SoftmaxAxis::Last => rows(input[input.len() - 1]),
                SoftmaxAxis::Space => rows(plane(site)),
            })))
        }
        Layer::Attention(layer) => Some(plain(Kernel::Attention(Box::new(Attention::new(site, layer))))),
        Layer::LayerScale(layer) => {
            let inner = if layer.axis == ScaleAxis::Last { 1 } else { plane(site) };
            let (scale, shift) = (site.data("weight"), vec![]);
            Some(plain(Kernel::Affine(Affine { scale, shift, inner, curve: None })))
        }
        Layer::SqueezeExcite(layer) => gates(context, site, layer),
        Layer::Add(layer) => {
            let factors = layer.weights.iter().flatten();
            #[expect(clippy::cast_possible_truncation, reason = "as the reference does in f32")]
            let factors = factors.map(|&factor| factor as f32).collect();
            joining(site, Join::Sum(factors))
        }
        Layer::Multiply(_) => joining(site, Join::Product),
        layer => match layer.pointwise() {
            Some(pointwise) => Some(plain(Kernel::Activation(pointwise.activation))),
            None => movement(site)?.map(plain),
        },
    };
    Ok(kernel.unwrap_or_else(|| definition(site)))
}

fn plane(site: &LayerUse<'_>) -> usize {
    site.space().iter().product()
}

fn rows(len: usize) -> Sets {
    Sets::Rows(len)
}

fn affine(site: &LayerUse<'_>, fold: Fold) -> Prepared {
    plain(Kernel::Affine(Affine { scale: fold.scale, shift: fold.shift, inner: plane(site), curve: None }))
}

fn channel_scale(site: &LayerUse<'_>) -> Scale {
    Scale::Channel(plane(site), site.input()[0])
}

fn norm(site: &LayerUse<'_>, sets: Sets, scale: Scale, eps: f64) -> Prepared {
    #[expect(clippy::cast_possible_truncation, reason = "as the reference does in f32")]
    let eps = eps as f32;
    plain(Kernel::Norm(Norm { sets, scale, eps, weight: site.data("weight"), bias: site.data("bias") }))
}

fn gates(
    context: &Context,
    site: &LayerUse<'_>,
    layer: &cnnkit_core::layers::squeeze_excite::SqueezeExcite,
) -> Option<Prepared> {
    // As dot products of one image at a time, for any batch size: there are few rows.
    let map = |name: &str| site.weight(name).map(|weight| Linear::new(context, weight, 1));
    Some(plain(Kernel::Gates(Box::new(Gates {
        plane: plane(site),
        first: map("fc1.weight")?,
        first_bias: site.weight("fc1.bias").cloned(),
        activation: layer.activation.pointwise().activation,
        second: map("fc2.weight")?,
        second_bias: site.weight("fc2.bias").cloned(),
        gate: layer.gate.pointwise().activation,
    }))))
}

/// Returns the kernel of a sum or product in which each input has the output's sizes, or one element per run of it.
fn joining(site: &LayerUse<'_>, join: Join) -> Option<Prepared> {
    let all: usize = site.output.iter().product();
    let mut repeats = Vec::with_capacity(site.inputs.len());
    for sizes in site.inputs {
        let same = sizes.iter().zip(site.output).take_while(|(own, whole)| own == whole).count();
        if sizes.len() != site.output.len() || sizes[same..].iter().any(|&size| size != 1) {
            return None;
        }
        repeats.push(all / sizes.iter().product::<usize>().max(1));
    }
    let longest = repeats.iter().copied().max()?;
    let like = repeats.iter().all(|&repeat| repeat == 1 || repeat == longest);
    like.then(|| plain(Kernel::Joining(Joining { join, repeats, curve: None })))
}

fn pool(site: &LayerUse<'_>) -> Result<Option<Kernel>, Problem> {
    let wide = site.wide();
    let (space, outputs) = (site.space(), &site.output[2..]);
    let (windows, fill) = match site.layer {
        Layer::MaxPool(layer) => (layer.windows(&wide)?, f32::NEG_INFINITY),
        Layer::AvgPool(layer) => (layer.windows(&wide)?, 0.0),
        _ => return Ok(None),
    };
    // Elements that each output reads on each axis: input elements, and elements of the padded input.
    let mut real: Vec<usize> = vec![1];
    let mut padded: Vec<usize> = vec![1];
    for ((window, &size), &outputs) in windows.iter().zip(space).zip(outputs) {
        let count = |output: usize, low: i128, high: i128| {
            let first = output as i128 * i128::from(window.stride) - i128::from(window.before);
            (0..window.kernel)
                .filter(|&tap| {
                    let index = first + i128::from(tap * window.dilation);
                    index >= low && index < high
                })
                .count()
        };
        let size = size as i128;
        let own: Vec<usize> = (0..outputs).map(|output| count(output, 0, size)).collect();
        let end = size + i128::from(window.after);
        let with: Vec<usize> = (0..outputs).map(|output| count(output, i128::MIN, end)).collect();
        let join = |all: &[usize], own: &[usize]| {
            all.iter().flat_map(|all| own.iter().map(move |own| all * own)).collect()
        };
        (real, padded) = (join(&real, &own), join(&padded, &with));
    }
    let reduction = match site.layer {
        // The reference reports which window is empty.
        Layer::MaxPool(_) if real.contains(&0) => return Ok(None),
        Layer::AvgPool(layer) => {
            let counts = if layer.count_include_pad { padded } else { real };
            let divisor =
                |count: usize| layer.divisor_override.map_or(count as f32, |divisor| divisor as f32);
            Reduction::Mean(counts.into_iter().map(divisor).collect())
        }
        _ => Reduction::Largest,
    };
    let Some(frame) = Frame::new(space, outputs, &windows, PaddingMode::Zeros, fill)? else {
        return Ok(None);
    };
    Ok(Some(Kernel::Depthwise(Box::new(Depthwise {
        frame,
        channels: site.input()[0],
        multiplier: 1,
        reduction,
    }))))
}

/// Returns the kernel of a layer that only moves data.
fn movement(site: &LayerUse<'_>) -> Result<Option<Kernel>, Problem> {
    let whole = |value: u64| usize::try_from(value).map_err(|_| Problem::overflow("an argument"));
    let (input, output) = (site.input(), &site.output[1..]);
    let elements: usize = input.iter().product();
    let plane: usize = plane(site);
    Ok(Some(match site.layer {
        Layer::Identity(_) | Layer::Dropout(_) | Layer::Flatten(_) | Layer::Reshape(_) => Kernel::Copy,
        Layer::ChannelShuffle(layer) => {
            let groups = whole(layer.groups)?.max(1);
            let members = input[0] / groups;
            Kernel::Strided(Strided::new(
                elements,
                0,
                &[(members, plane), (groups, members * plane), (plane, 1)],
            ))
        }
        Layer::PixelShuffle(layer) => {
            let (factor, strides) = (whole(layer.upscale_factor)?, strides(input));
            let cell = input[0] / output[0].max(1);
            let mut axes = vec![(output[0], cell * plane)];
            let mut block = cell;
            for (axis, &size) in input.iter().enumerate().skip(1) {
                block /= factor.max(1);
                axes.extend([(size, strides[axis]), (factor, block * plane)]);
            }
            Kernel::Strided(Strided::new(elements, 0, &axes))
        }
        Layer::PixelUnshuffle(layer) => {
            let (factor, strides) = (whole(layer.downscale_factor)?, strides(input));
            let mut axes = vec![(input[0], plane)];
            axes.extend((1..input.len()).map(|axis| (factor, strides[axis])));
            axes.extend((1..input.len()).map(|axis| (output[axis], factor * strides[axis])));
            Kernel::Strided(Strided::new(elements, 0, &axes))
        }
        Layer::Permute(layer) => {
            let strides = strides(input);
            let axes: Vec<_> = layer
                .axes
                .iter()
                .map(|&axis| Ok((input[whole(axis)?], strides[whole(axis)?])))
                .collect::<Result<_, Problem>>()?;
            Kernel::Strided(Strided::new(elements, 0, &axes))
        }
        Layer::Crop(layer) => {
            let windows = layer.windows(&site.wide())?;
            let mut first = vec![0];
            for window in &windows {
                first.push(whole(window.before.unsigned_abs())?);
            }
            Kernel::Strided(Strided::part(input, &first, output))
        }
        Layer::Slice(layer) => {
            let axis = whole(layer.axis)?;
            let mut first = vec![0; input.len()];
            first[axis] = whole(layer.range(input[axis] as u64)?.0)?;
            Kernel::Strided(Strided::every(input, &first, (axis, whole(layer.step)?), output))
        }
        Layer::Chunk(layer) => {
            let axis = whole(layer.axis)?;
            let mut first = vec![0; input.len()];
            first[axis] = whole(layer.index)? * input[axis].div_ceil(whole(layer.chunks)?.max(1));
            Kernel::Strided(Strided::part(input, &first, output))
        }
        Layer::Concat(layer) => {
            let axis = whole(layer.axis)? + 1;
            Kernel::Joined(Joined {
                blocks: site.inputs.iter().map(|sizes| sizes[axis..].iter().product()).collect(),
            })
        }
        Layer::Pad(layer) => {
            #[expect(clippy::cast_possible_truncation, reason = "as the reference does in f32")]
            let fill = if layer.mode == PaddingMode::Zeros { layer.value as f32 } else { 0.0 };
            let sides = layer.windows(&site.wide())?;
            let windows: Vec<Window> = sides
                .iter()
                .map(|side| Window { before: side.before, after: side.after, ..Window::POINT })
                .collect();
            match Frame::new(site.space(), &output[1..], &windows, layer.mode, fill)? {
                Some(frame) if !frame.direct => Kernel::Pad(Box::new(frame)),
                _ => return Ok(None),
            }
        }
        Layer::Upsample(layer) => {
            let axes = reference::resize_axes(layer, input)?;
            let space = site.space();
            match layer.mode {
                Interpolation::Nearest => {
                    let strides = strides(space);
                    let table = |axis: usize| {
                        let index = |u: usize| axes[axis].nearest(u).min(space[axis] - 1) * strides[axis];
                        (0..axes[axis].output).map(index).collect()
                    };
                    Kernel::Lookup(Lookup { tables: (0..axes.len()).map(table).collect(), plane })
                }
                Interpolation::Linear | Interpolation::Bilinear | Interpolation::Trilinear => {
                    #[expect(
                        clippy::cast_possible_truncation,
                        reason = "rounded once, as the reference does"
                    )]
                    let pair = |pairs: Vec<(usize, f64)>| {
                        let part = |i: usize| {
                            pairs.get(i).map_or((pairs[0].0, 0.0), |&(at, share)| (at, share as f32))
                        };
                        [part(0), part(1)]
                    };
                    let axis = |axis: &reference::ResizeAxis| {
                        (0..axis.output).map(|u| pair(axis.linear(u))).collect()
                    };
                    Kernel::Resize(Resize { image: space.to_vec(), axes: axes.iter().map(axis).collect() })
                }
                Interpolation::Bicubic => return Ok(None),
            }
        }
        _ => return Ok(None),
    }))
}
