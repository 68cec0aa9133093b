//! Patches of images.

use super::super::messages::{int, text};
use super::call::{Call, Outcome, one, unsupported};
use super::product::along;

/// Most taps of a kernel, each of which is a part of the image.
const MAX_TAPS: i64 = 1024;

/// `unfold`: the patches under a sliding window, each as a column. The channel goes first, then the tap: every tap is a part
/// of the image, with the strides of the window.
pub(super) fn unfolded(call: &mut Call<'_, '_>) -> Outcome {
    let dims = call.dims()?;
    let &[batch, channels, height, width] = dims.as_slice() else {
        return unsupported("patches of an image without the batch");
    };
    let [kernel, dilation, padding, stride] =
        [("kernel_size", 1), ("dilation", 1), ("padding", 0), ("stride", 1)]
            .map(|(name, default)| call.per_axis(name, 2, default));
    let (kernel, dilation, padding, stride) = (kernel?, dilation?, padding?, stride?);
    let positive = [&kernel, &dilation, &stride].iter().all(|list| list.iter().all(|&value| value > 0));
    let taps = kernel.iter().try_fold(1i64, |taps, &size| taps.checked_mul(size));
    let Some(taps) = taps.filter(|&taps| positive && taps <= MAX_TAPS) else {
        return unsupported(format!("patches of {kernel:?}"));
    };
    // The last position of a window, and where its last tap begins.
    let count = |axis: usize, size: i64| {
        let reach = dilation[axis].checked_mul(kernel[axis] - 1)?;
        let padded = padding[axis].checked_mul(2)?.checked_add(size)?;
        padded
            .checked_sub(reach)?
            .checked_sub(1)
            .filter(|&last| last >= 0)
            .map(|last| last / stride[axis] + 1)
    };
    let (Some(rows), Some(columns)) = (count(0, height), count(1, width)) else {
        return unsupported(format!("patches of {kernel:?} in {dims:?}"));
    };
    let (Some(all), Some(width)) = (rows.checked_mul(columns), channels.checked_mul(taps)) else {
        return unsupported(format!("patches of {kernel:?} in {dims:?}"));
    };
    let mut image = call.first()?;
    if padding.iter().any(|&padding| padding != 0) {
        let pads = call.constant([&[0, 0], padding.as_slice(), &[0, 0], padding.as_slice()].concat());
        let zero = call.like_first(0.0);
        image = call.emit("Pad", vec![image, pads, zero], vec![text("mode", "constant")]);
    }
    let mut parts = Vec::new();
    for tap in 0..taps {
        let at = [tap / kernel[1] * dilation[0], tap % kernel[1] * dilation[1]];
        let ends = [(rows - 1) * stride[0] + at[0] + 1, (columns - 1) * stride[1] + at[1] + 1];
        let [starts, ends, axes, steps] =
            [at.to_vec(), ends.to_vec(), vec![2, 3], stride.clone()].map(|list| call.constant(list));
        let part = call.emit("Slice", vec![image.clone(), starts, ends, axes, steps], vec![]);
        let sizes = call.constant(vec![batch, channels, 1, all]);
        parts.push(call.emit("Reshape", vec![part, sizes], vec![int("allowzero", 1)]));
    }
    let stacked = call.emit("Concat", parts, vec![along(2)]);
    let sizes = call.constant(vec![batch, width, all]);
    one(call.emit("Reshape", vec![stacked, sizes], vec![int("allowzero", 1)]))
}
