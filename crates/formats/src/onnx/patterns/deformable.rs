//! A deformable convolution: a convolution that computes the offsets (and masks), and the sampling that reads
//! them.

use super::{Match, View};
use cnnkit_core::layers::Layer;
use cnnkit_core::layers::args::Groups;
use cnnkit_core::layers::conv::Conv;
use cnnkit_core::layers::deform_conv::{DeformConv, Offsets};
use cnnkit_core::layers::deform_sample::DeformSample;
use cnnkit_core::layers::slice::Slice;

/// Matches `sample(x, conv(x))`; with a mask, the offsets are the first two thirds of the convolution's
/// channels and the mask is the sigmoid of the others.
pub(super) fn deform_conv(view: &View<'_>, index: usize) -> Option<Match> {
    let Layer::DeformSample(sample) = view.layer(index)? else { return None };
    if sample.learned_offsets {
        return None;
    }
    let (x, conv) = match *view.draft(index).inputs.as_slice() {
        [x, offsets] if !sample.modulated => (x, alone(view, offsets)?),
        [x, offsets, mask] if sample.modulated => (x, shared(view, sample, offsets, mask)?),
        _ => return None,
    };
    let Layer::Conv(offset) = view.layer(conv)? else { return None };
    if view.input(conv)? != x || !offset.bias || !matches!(offset.groups, Groups::Number(1)) {
        return None;
    }
    let layer = fitted(view, sample, offset, x)?;
    let weights = [view.draft(index).weights.as_slice(), &view.draft(conv).weights].concat();
    Some(Match { layer: Layer::DeformConv(layer), inputs: vec![x], weights, named: index })
}

fn alone(view: &View<'_>, index: usize) -> Option<usize> {
    view.single(index).then_some(index)
}

/// Returns the convolution whose first two thirds are the offsets, and of whose rest the mask is the sigmoid.
fn shared(view: &View<'_>, sample: &DeformSample, offsets: usize, mask: usize) -> Option<usize> {
    let logits = view.input(alone(view, mask)?)?;
    let (Layer::Sigmoid(_), Layer::Slice(first), Layer::Slice(rest)) =
        (view.layer(mask)?, view.layer(alone(view, offsets)?)?, view.layer(alone(view, logits)?)?)
    else {
        return None;
    };
    let conv = view.input(offsets)?;
    let channels = view.draft(conv).shape.channels();
    let range =
        |slice: &Slice| (slice.axis == 0 && slice.step == 1).then(|| slice.range(channels).ok()).flatten();
    let masks = taps(sample)?.checked_mul(sample.offset_groups)?;
    let split = channels.checked_sub(masks)?;
    let fits = range(first)? == (0, split) && range(rest)? == (split, channels) && view.uses[conv] == 2;
    (fits && view.input(logits)? == conv).then_some(conv)
}

fn taps(sample: &DeformSample) -> Option<u64> {
    cnnkit_core::shape::product(&sample.kernel.resolve(2, "kernel", 1).ok()?)
}

/// Returns the layer of both, if the offsets' windows have the same centres as those of the samples.
fn fitted(view: &View<'_>, sample: &DeformSample, offset: &Conv, x: usize) -> Option<DeformConv> {
    let space = view.draft(x).shape.spatial();
    let (main, own) = (sample.main().windows(space).ok()?, offset.windows(space).ok()?);
    let channels = taps(sample)?.checked_mul(if sample.modulated { 3 } else { 2 })?;
    if offset.out_channels != channels.checked_mul(sample.offset_groups)? {
        return None;
    }
    let layer = |offset_dilation| DeformConv {
        out_channels: sample.out_channels,
        kernel: sample.kernel.clone(),
        stride: sample.stride.clone(),
        padding: sample.padding.clone(),
        dilation: sample.dilation.clone(),
        groups: sample.groups,
        bias: sample.bias,
        offsets: Offsets::PerTap,
        offset_groups: sample.offset_groups,
        modulated: sample.modulated,
        offset_dilation,
        max_offset: None,
        in_channels: None,
    };
    [None, Some(offset.dilation.clone())]
        .into_iter()
        .map(layer)
        .find(|layer| layer.offset_windows(&main).is_ok_and(|windows| windows == own))
}
