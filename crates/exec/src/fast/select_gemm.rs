//! Kernel selection for layers that multiply by weights.

use std::sync::Arc;

use super::Context;
use super::conv::Convolution;
use super::conv_channels_last::{self, Across};
use super::deform::{Deformable, Use};
use super::depthwise::{Depthwise, Reduction};
use super::kernel::{Kernel, Prepared};
use super::layer_use::{Fold, LayerUse};
use super::linear::Linear;
use super::live_taps::LiveTaps;
use super::packing::Packed;
use super::padded_input::Frame;
use super::transposed::Transposed;
use super::winograd::Winograd;
use crate::tensor::Tensor;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::Layer;
use cnnkit_core::layers::conv::PaddingMode;
use cnnkit_core::layers::deform_conv::{DeformConv, Offsets};
use cnnkit_core::layers::window::Window;

/// Returns whether a norm after `layer` can be folded into its weights.
pub(super) fn folds(layer: &Layer) -> bool {
    matches!(layer, Layer::Conv(_) | Layer::ConvTranspose(_) | Layer::DeformConv(_))
}

/// Returns the kernel; `None` if there is no fast one for these settings.
pub(super) fn prepare(
    context: &Context,
    site: &LayerUse<'_>,
    fold: Option<&Fold>,
) -> Result<Option<Prepared>, Problem> {
    let Some(weight) = site.weight("weight") else { return Ok(None) };
    let kernel = match site.layer {
        Layer::Conv(layer) => {
            let windows = layer.windows(&site.wide())?;
            convolution(context, site, weight, (&windows, layer.padding_mode), fold)?
        }
        Layer::ConvTranspose(layer) => {
            let windows = layer.windows(&site.wide())?;
            Some(Kernel::Transposed(Box::new(transposed(site, weight, &windows, fold)?)))
        }
        Layer::DeformConv(layer) => {
            deformable(site, layer, weight, fold)?.map(|kernel| Kernel::Deformable(Box::new(kernel)))
        }
        Layer::Linear(_) => {
            let rows = site.output.iter().product::<usize>() / weight.sizes()[0].max(1);
            Some(Kernel::Linear(Box::new(Linear::new(context, weight, rows))))
        }
        _ => None,
    };
    Ok(kernel.map(|kernel| Prepared { kernel, bias: bias(site.weight("bias"), fold) }))
}

fn bias(bias: Option<&Arc<Tensor<f32>>>, fold: Option<&Fold>) -> Option<Vec<f32>> {
    let own = bias.map(|bias| bias.data().to_vec());
    let Some(fold) = fold else { return own };
    let own = own.unwrap_or_else(|| vec![0.0; fold.scale.len()]);
    Some(
        own.iter()
            .zip(&fold.scale)
            .zip(&fold.shift)
            .map(|((own, scale), shift)| own * scale + shift)
            .collect(),
    )
}

/// Packs weights `[rows, ...]`, each row multiplied by the factor of its output channel.
fn packed(weight: &Tensor<f32>, groups: usize, fold: Option<&Fold>) -> Packed {
    let rows = weight.sizes()[0];
    let (depth, data) = (weight.len() / rows.max(1), weight.data());
    match fold {
        None => Packed::new(groups, rows / groups.max(1), depth, |row, k| data[row * depth + k]),
        Some(fold) => {
            Packed::new(groups, rows / groups.max(1), depth, |row, k| data[row * depth + k] * fold.scale[row])
        }
    }
}

/// As [`packed`], with the columns in the order (taps x input channels).
fn taps_first(weight: &Tensor<f32>, groups: usize, scale: Option<&[f32]>) -> Packed {
    let (rows, members, data) = (weight.sizes()[0], weight.sizes()[1], weight.data());
    let depth = weight.len() / rows.max(1);
    let taps = depth / members.max(1);
    let element = |row: usize, k: usize| {
        let value = data[row * depth + k % members * taps + k / members];
        scale.map_or(value, |scale| value * scale[row])
    };
    Packed::new(groups, rows / groups.max(1), depth, element)
}

fn convolution(
    context: &Context,
    site: &LayerUse<'_>,
    weight: &Tensor<f32>,
    (windows, mode): (&[Window], PaddingMode),
    fold: Option<&Fold>,
) -> Result<Option<Kernel>, Problem> {
    let channels = site.input()[0];
    let groups = channels / weight.sizes()[1].max(1);
    let Some(frame) = Frame::new(site.space(), &site.output[2..], windows, mode, 0.0)? else {
        return Ok(None);
    };
    if weight.sizes()[1] == 1 && groups > 1 {
        let taps = weight.len() / weight.sizes()[0].max(1);
        let mut factors = weight.data().to_vec();
        if let Some(fold) = fold {
            for (factors, scale) in factors.chunks_mut(taps.max(1)).zip(&fold.scale) {
                factors.iter_mut().for_each(|factor| *factor *= scale);
            }
        }
        let (multiplier, reduction) = (weight.sizes()[0] / channels.max(1), Reduction::Weights(factors));
        return Ok(Some(Kernel::Depthwise(Box::new(Depthwise { frame, channels, multiplier, reduction }))));
    }
    let scale = fold.map(|fold| fold.scale.as_slice());
    let lanes = context.isa.lanes();
    let rows = weight.sizes()[0] / groups.max(1);
    let single = frame.direct && frame.taps.len() == 1;
    let across = conv_channels_last::pays(context.isa, frame.positions(), rows, single);
    // One vector of Winograd's patches loads a weight for a single multiplication, and there are 16/9 as many weights.
    let patches: usize = site.output[2..].iter().map(|size| size.div_ceil(2)).product();
    if groups == 1
        && !(across && patches <= lanes)
        && let Some(kernel) = Winograd::new(site.space(), &site.output[2..], (windows, mode), weight, scale)?
    {
        return Ok(Some(Kernel::Winograd(Box::new(kernel))));
    }
    if across {
        return Ok(Some(Kernel::Across(Box::new(Across::new(context, frame, channels, weight, scale)))));
    }
    let padded = !frame.direct && mode == PaddingMode::Zeros;
    let live = padded.then(|| LiveTaps::new(site.space(), &site.output[2..], windows)).flatten();
    let weights = match live {
        Some(_) => taps_first(weight, groups, scale),
        None => packed(weight, groups, fold),
    };
    Ok(Some(Kernel::Convolution(Box::new(Convolution { frame, weights, channels, front: None, live }))))
}

fn transposed(
    site: &LayerUse<'_>,
    weight: &Tensor<f32>,
    windows: &[Window],
    fold: Option<&Fold>,
) -> Result<Transposed, Problem> {
    // [input channels, output channels of a group, taps]
    let (inputs, members) = (weight.sizes()[0], weight.sizes()[1]);
    let (outputs, taps) = (site.output[1], weight.len() / (inputs * members).max(1));
    let groups = outputs / members.max(1);
    let (depth, data) = (inputs / groups.max(1), weight.data());
    let element = |row: usize, k: usize| {
        let (channel, tap) = (row / taps, row % taps);
        let input = channel / members * depth + k;
        let value = data[(input * members + channel % members) * taps + tap];
        fold.map_or(value, |fold| value * fold.scale[channel])
    };
    let packed = Packed::new(outputs, taps, depth, element);
    Transposed::new(windows, site.space(), &site.output[2..], groups, packed)
}

fn deformable(
    site: &LayerUse<'_>,
    layer: &DeformConv,
    weight: &Tensor<f32>,
    fold: Option<&Fold>,
) -> Result<Option<Deformable>, Problem> {
    let (&[height, width], Some(offset)) = (site.space(), site.weight("offset.weight")) else {
        return Ok(None);
    };
    let (image, channels) = ([height, width], site.input()[0]);
    let main = layer.main().windows(&site.wide())?;
    let outputs = [site.output[2], site.output[3]];
    let around = Window { kernel: 3, before: 1, after: 1, ..Window::POINT };
    let (windows, positions) = match layer.offsets {
        Offsets::PerTap => (layer.offset_windows(&main)?, outputs),
        Offsets::PerChannel => (vec![around; 2], image),
    };
    let fits = windows.iter().zip(image).zip(positions).all(|((window, size), positions)| {
        window.output(size as u64).is_ok_and(|outputs| outputs == positions as u64)
    });
    if !fits {
        // The reference reports the error.
        return Ok(None);
    }
    let zeros = PaddingMode::Zeros;
    let (Some(frame), Some(after)) = (
        Frame::new(&image, &positions, &windows, zeros, 0.0)?,
        Frame::new(&image, &outputs, &main, zeros, 0.0)?,
    ) else {
        return Ok(None);
    };
    let groups = channels / weight.sizes()[1].max(1);
    let weights = packed(weight, groups, fold);
    let samples = match layer.offsets {
        Offsets::PerTap => Use::Taps {
            windows: main,
            outputs,
            weights,
            offset_groups: usize::try_from(layer.offset_groups).unwrap_or(1).max(1),
            modulated: layer.modulated,
        },
        Offsets::PerChannel => {
            Use::Channels(Box::new(Convolution { frame: after, weights, channels, front: None, live: None }))
        }
    };
    Ok(Some(Deformable {
        offsets: Convolution { frame, weights: packed(offset, 1, None), channels, front: None, live: None },
        offset_bias: site.weight("offset.bias").map(|bias| bias.data().to_vec()),
        image,
        channels,
        samples,
    }))
}
