//! Patches of images.

use super::super::messages::{int, ints, text};
use super::call::{Call, Outcome, Unsupported, one, unsupported};
use super::product::along;

/// Most taps of a kernel, each of which is a part of the image.
const MAX_TAPS: i64 = 1024;

/// Most elements of all windows along an axis.
const MAX_WINDOWS: i64 = 1 << 20;

/// How a window slides.
struct Window {
    kernel: Vec<i64>,
    dilation: Vec<i64>,
    padding: Vec<i64>,
    stride: Vec<i64>,
    taps: i64,
}

impl Window {
    fn of(call: &Call<'_, '_>) -> Result<Self, Unsupported> {
        let [kernel, dilation, padding, stride] =
            [("kernel_size", 1), ("dilation", 1), ("padding", 0), ("stride", 1)]
                .map(|(name, default)| call.per_axis(name, 2, default));
        let (kernel, dilation, padding, stride) = (kernel?, dilation?, padding?, stride?);
        let positive = [&kernel, &dilation, &stride].iter().all(|list| list.iter().all(|&value| value > 0));
        let taps = kernel.iter().try_fold(1i64, |taps, &size| taps.checked_mul(size));
        match taps.filter(|&taps| positive && taps <= MAX_TAPS) {
            Some(taps) => Ok(Self { kernel, dilation, padding, stride, taps }),
            None => unsupported(format!("patches of {kernel:?}")),
        }
    }

    /// Number of positions along an axis of `size` elements.
    fn positions(&self, axis: usize, size: i64) -> Option<i64> {
        let reach = self.dilation[axis].checked_mul(self.kernel[axis] - 1)?;
        let padded = self.padding[axis].checked_mul(2)?.checked_add(size)?;
        let last = padded.checked_sub(reach)?.checked_sub(1).filter(|&last| last >= 0)?;
        Some(last / self.stride[axis] + 1)
    }

    /// Where a tap begins.
    fn begins(&self, tap: i64) -> [i64; 2] {
        [tap / self.kernel[1] * self.dilation[0], tap % self.kernel[1] * self.dilation[1]]
    }
}

/// `fold`: patches as columns back to an image, where those that overlap are added. Every tap is put in its place, apart by the
/// strides of the window, among zeros.
pub(super) fn folded(call: &mut Call<'_, '_>) -> Outcome {
    let (dims, output) = (call.dims()?, call.output_dims(0)?);
    let (&[batch, _, columns], &[_, channels, height, width]) = (dims.as_slice(), output.as_slice()) else {
        return unsupported("patches of an image without the batch");
    };
    let window = Window::of(call)?;
    let size = [height, width];
    let counts = (window.positions(0, height), window.positions(1, width));
    let (Some(rows), Some(across)) = counts else {
        return unsupported(format!("patches of {:?} in {size:?}", window.kernel));
    };
    if rows.checked_mul(across) != Some(columns) || channels.checked_mul(window.taps) != Some(dims[1]) {
        return unsupported(format!("{dims:?} as patches of {:?} in {size:?}", window.kernel));
    }
    let apart = [rows.saturating_mul(window.stride[0]), across.saturating_mul(window.stride[1])];
    let input = call.first()?;
    let sizes = call.constant(vec![batch, channels, window.taps, columns]);
    let input = call.emit("Reshape", vec![input, sizes], vec![int("allowzero", 1)]);
    let mut parts = Vec::new();
    let zero = call.like_first(0.0);
    for tap in 0..window.taps {
        let (mut starts, mut ends, mut before, mut after) = ([0; 2], [0; 2], [0; 2], [0; 2]);
        for (axis, begin) in window.begins(tap).into_iter().enumerate() {
            let first = begin.saturating_sub(window.padding[axis]);
            let over = first.saturating_add(apart[axis]).saturating_sub(size[axis]);
            starts[axis] = first.saturating_neg().max(0);
            ends[axis] = apart[axis].saturating_sub(over.max(0));
            (before[axis], after[axis]) = (first.max(0), over.saturating_neg().max(0));
        }
        // A tap that falls on padding at all positions.
        if (0..2).any(|axis| starts[axis] >= ends[axis]) {
            continue;
        }
        let index = call.whole(tap);
        let part = call.emit("Gather", vec![input.clone(), index], vec![along(2)]);
        let sizes = call.constant(vec![batch, channels, rows, across]);
        let mut part = call.emit("Reshape", vec![part, sizes], vec![int("allowzero", 1)]);
        if window.stride != [1, 1] {
            // Zeros between the elements: each gets an axis of its own, which is filled up.
            let open = call.constant(vec![batch, channels, rows, 1, across, 1]);
            part = call.emit("Reshape", vec![part, open], vec![int("allowzero", 1)]);
            let [down, right] = [window.stride[0] - 1, window.stride[1] - 1];
            let pads = call.constant(vec![0, 0, 0, 0, 0, 0, 0, 0, 0, down, 0, right]);
            part = call.emit("Pad", vec![part, pads, zero.clone()], vec![text("mode", "constant")]);
            let joined = call.constant(vec![batch, channels, apart[0], apart[1]]);
            part = call.emit("Reshape", vec![part, joined], vec![int("allowzero", 1)]);
        }
        if starts != [0, 0] || ends != apart {
            let [starts, ends, axes, steps] =
                [starts.to_vec(), ends.to_vec(), vec![2, 3], vec![1, 1]].map(|list| call.constant(list));
            part = call.emit("Slice", vec![part, starts, ends, axes, steps], vec![]);
        }
        if before != [0, 0] || after != [0, 0] {
            let pads = call.constant([&[0, 0], before.as_slice(), &[0, 0], after.as_slice()].concat());
            part = call.emit("Pad", vec![part, pads, zero.clone()], vec![text("mode", "constant")]);
        }
        parts.push(part);
    }
    if parts.is_empty() {
        let sizes = call.constant(output);
        return one(call.filled(sizes, 0.0, false));
    }
    one(if parts.len() == 1 { parts.remove(0) } else { call.emit("Sum", parts, vec![]) })
}

/// `tensor.unfold(dimension, size, step)`: the windows along an axis, whose elements become a new last axis.
pub(super) fn windows(call: &mut Call<'_, '_>) -> Outcome {
    let dims = call.dims()?;
    let axis = call.axis(call.int("dimension", 0)?, dims.len())?;
    let (size, step) = (call.int("size", 0)?, call.int("step", 0)?);
    let output = call.output_dims(0)?;
    let (Some(&length), Some(&count)) = (dims.get(axis), output.get(axis)) else {
        return unsupported("windows of a number");
    };
    let all = count.checked_mul(size).filter(|&all| size > 0 && step > 0 && count > 0 && all <= MAX_WINDOWS);
    let (Some(all), Some(last)) = (all, step.checked_mul(count - 1)) else {
        return unsupported(format!("{count} windows of {size}"));
    };
    if last.checked_add(size).is_none_or(|end| end > length) {
        return unsupported(format!("{count} windows of {size} in {length}"));
    }
    let mut input = call.first()?;
    // Windows that neither overlap nor leave anything out are the axis, divided.
    if step != size || all != length {
        let places = (0..count).flat_map(|window| (0..size).map(move |place| window * step + place));
        let places = call.constant(places.collect());
        input = call.emit("Gather", vec![input, places], vec![along(axis)]);
    }
    let mut open = dims.clone();
    open[axis] = count;
    open.insert(axis + 1, size);
    let open = call.constant(open);
    let opened = call.emit("Reshape", vec![input, open], vec![int("allowzero", 1)]);
    let mut order: Vec<i64> = (0..=dims.len() as i64).filter(|&from| from != axis as i64 + 1).collect();
    order.push(axis as i64 + 1);
    one(call.emit("Transpose", vec![opened], vec![ints("perm", order)]))
}

/// `unfold`: the patches under a sliding window, each as a column. The channel goes first, then the tap: every tap is a part
/// of the image, with the strides of the window.
pub(super) fn unfolded(call: &mut Call<'_, '_>) -> Outcome {
    let dims = call.dims()?;
    let &[batch, channels, height, width] = dims.as_slice() else {
        return unsupported("patches of an image without the batch");
    };
    let window = Window::of(call)?;
    let Window { kernel, padding, stride, taps, .. } = &window;
    let (Some(rows), Some(columns)) = (window.positions(0, height), window.positions(1, width)) else {
        return unsupported(format!("patches of {kernel:?} in {dims:?}"));
    };
    let (Some(all), Some(width)) = (rows.checked_mul(columns), channels.checked_mul(*taps)) else {
        return unsupported(format!("patches of {kernel:?} in {dims:?}"));
    };
    let mut image = call.first()?;
    if padding.iter().any(|&padding| padding != 0) {
        let pads = call.constant([&[0, 0], padding.as_slice(), &[0, 0], padding.as_slice()].concat());
        let zero = call.like_first(0.0);
        image = call.emit("Pad", vec![image, pads, zero], vec![text("mode", "constant")]);
    }
    let mut parts = Vec::new();
    for tap in 0..*taps {
        let at = window.begins(tap);
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
