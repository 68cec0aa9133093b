//! Sliding-window layers: convolutions and pools.

use super::emit::{Attribute, Layer, Value, int, ints, text};
use super::refuse;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::Io;
use cnnkit_core::layers::avg_pool::AvgPool;
use cnnkit_core::layers::conv::{Conv, PaddingMode};
use cnnkit_core::layers::conv_transpose::ConvTranspose;
use cnnkit_core::layers::deform_conv::{DeformConv, Offsets};
use cnnkit_core::layers::deform_sample::DeformSample;
use cnnkit_core::layers::max_pool::MaxPool;
use cnnkit_core::layers::window::Window;

/// Returns the attributes of a window; `pads` lists all starts, then all ends.
pub(super) fn sliding(windows: &[Window]) -> Vec<Attribute> {
    let list =
        |of: &dyn Fn(&Window) -> u64| windows.iter().map(|window| of(window) as i64).collect::<Vec<_>>();
    vec![
        ints("kernel_shape", list(&|w| w.kernel)),
        ints("strides", list(&|w| w.stride)),
        ints("dilations", list(&|w| w.dilation)),
        ints("pads", pads(windows)),
    ]
}

fn pads(windows: &[Window]) -> Vec<i64> {
    windows.iter().map(|w| w.before).chain(windows.iter().map(|w| w.after)).collect()
}

/// Adds a node that pads (or crops) `value`.
pub(super) fn padded(
    layer: &mut Layer<'_>,
    value: &Value,
    windows: &[Window],
    mode: PaddingMode,
    fill: f64,
    last: bool,
) -> Result<Value, Problem> {
    let mut sizes = vec![value.channels()];
    for (window, &size) in windows.iter().zip(value.spatial()) {
        let total = i128::from(size) + i128::from(window.before) + i128::from(window.after);
        sizes.push(u64::try_from(total).map_err(|_| Problem::overflow("the padded size"))?);
    }
    // Batch and channels are not padded.
    let all: Vec<i64> = [0, 0]
        .into_iter()
        .chain(windows.iter().map(|w| w.before))
        .chain([0, 0])
        .chain(windows.iter().map(|w| w.after))
        .collect();
    let mut inputs = vec![value.name.clone(), layer.integers("pads", &all)];
    let word = match mode {
        PaddingMode::Zeros => {
            inputs.push(layer.scalar("fill", fill));
            "constant"
        }
        PaddingMode::Reflect => "reflect",
        PaddingMode::Replicate => "edge",
        PaddingMode::Circular => "wrap",
    };
    let attributes = vec![text("mode", word)];
    if last {
        layer.last("Pad", inputs, attributes, sizes.clone());
        return Ok(Value::new(layer.below(""), sizes));
    }
    Ok(layer.before("pad", "Pad", inputs, attributes, sizes))
}

fn bare(windows: &[Window]) -> Vec<Window> {
    windows.iter().map(|window| Window { before: 0, after: 0, ..*window }).collect()
}

pub(super) fn conv(out: &mut Layer<'_>, layer: &Conv, x: &Value, io: Io<'_>) -> Result<(), Problem> {
    let mut windows = layer.windows(io.input().spatial())?;
    let mut x = x.clone();
    if layer.padding_mode != PaddingMode::Zeros && windows.iter().any(|w| w.before != 0 || w.after != 0) {
        x = padded(out, &x, &windows, layer.padding_mode, 0.0, false)?;
        windows = bare(&windows);
    }
    convolved(out, layer, &x, &windows, io.output.sizes())
}

/// Adds the last node: a convolution of `x` with the layer's own weights.
fn convolved(
    out: &mut Layer<'_>,
    layer: &Conv,
    x: &Value,
    windows: &[Window],
    sizes: &[u64],
) -> Result<(), Problem> {
    let mut inputs = vec![x.name.clone(), out.weight("weight")];
    if layer.bias {
        inputs.push(out.weight("bias"));
    }
    let mut attributes = sliding(windows);
    attributes.push(int("group", layer.groups.resolve(x.channels(), layer.out_channels)? as i64));
    out.last("Conv", inputs, attributes, sizes);
    Ok(())
}

pub(super) fn conv_transpose(
    out: &mut Layer<'_>,
    layer: &ConvTranspose,
    x: &Value,
    io: Io<'_>,
) -> Result<(), Problem> {
    let windows = layer.windows(io.input().spatial())?;
    let added = layer.output_padding.resolve(windows.len(), "output_padding", 0)?;
    let mut inputs = vec![x.name.clone(), out.weight("weight")];
    if layer.bias {
        inputs.push(out.weight("bias"));
    }
    let mut attributes = sliding(&windows);
    attributes.push(int("group", layer.groups.resolve(x.channels(), layer.out_channels)? as i64));
    attributes.push(ints("output_padding", added.iter().map(|&value| value as i64)));
    out.last("ConvTranspose", inputs, attributes, io.output.sizes());
    Ok(())
}

pub(super) fn deform_conv(
    out: &mut Layer<'_>,
    layer: &DeformConv,
    x: &Value,
    io: Io<'_>,
) -> Result<(), Problem> {
    let main = layer.main();
    let windows = main.windows(io.input().spatial())?;
    if layer.offsets == Offsets::PerChannel {
        let moved = resampled(out, x)?;
        return convolved(out, &main, &moved, &windows, io.output.sizes());
    }
    let taps: u64 = windows.iter().map(|window| window.kernel).product();
    let (offsets, masks) = (2 * layer.offset_groups * taps, layer.offset_groups * taps);
    let space = io.output.spatial();
    let sized = |channels: u64| [&[channels], space].concat();
    let all = offsets + if layer.modulated { masks } else { 0 };
    let inputs = vec![x.name.clone(), out.weight("offset.weight"), out.weight("offset.bias")];
    let raw = out.before("offset", "Conv", inputs, sliding(&layer.offset_windows(&windows)?), sized(all));
    let mut offset = raw.name.clone();
    let mut mask = String::new();
    if layer.modulated {
        let mut part = |name: &str, from: u64, to: u64| {
            let (start, end) = (
                out.integers(&format!("{name}_from"), &[from as i64]),
                out.integers(&format!("{name}_to"), &[to as i64]),
            );
            let axis = out.integers(&format!("{name}_axis"), &[1]);
            out.before(name, "Slice", vec![raw.name.clone(), start, end, axis], vec![], sized(to - from))
        };
        offset = part("offsets", 0, offsets).name;
        let logits = part("logits", offsets, all);
        mask = out.before("mask", "Sigmoid", vec![logits.name], vec![], sized(masks)).name;
    }
    let bias = if layer.bias { out.weight("bias") } else { String::new() };
    let mut inputs = vec![x.name.clone(), out.weight("weight"), offset, bias, mask];
    while inputs.last().is_some_and(String::is_empty) {
        inputs.pop();
    }
    let mut attributes = sliding(&windows);
    attributes.push(int("group", layer.groups.resolve(x.channels(), layer.out_channels)? as i64));
    attributes.push(int("offset_group", layer.offset_groups as i64));
    out.last("DeformConv", inputs, attributes, io.output.sizes());
    Ok(())
}

pub(super) fn deform_sample(
    out: &mut Layer<'_>,
    layer: &DeformSample,
    inputs: &[Value],
    io: Io<'_>,
) -> Result<(), Problem> {
    if layer.learned_offsets {
        return Err(refuse("`deform_sample` with learned offsets", "give the offsets as an input"));
    }
    let (x, windows) = (&inputs[0], layer.main().windows(io.input().spatial())?);
    let bias = if layer.bias { out.weight("bias") } else { String::new() };
    let named = |index: usize| inputs.get(index).map(|input| input.name.clone()).unwrap_or_default();
    let mut names = vec![x.name.clone(), out.weight("weight"), named(1), bias, named(2)];
    while names.last().is_some_and(String::is_empty) {
        names.pop();
    }
    let mut attributes = sliding(&windows);
    attributes.push(int("group", layer.groups.resolve(x.channels(), layer.out_channels)? as i64));
    attributes.push(int("offset_group", layer.offset_groups as i64));
    out.last("DeformConv", names, attributes, io.output.sizes());
    Ok(())
}

/// Samples every channel at its own offsets: channels are folded into the batch, and each map gets its own grid.
fn resampled(out: &mut Layer<'_>, x: &Value) -> Result<Value, Problem> {
    let &[channels, height, width] = x.sizes.as_slice() else {
        return Err(Problem::shape("`deform_conv` needs 2 spatial axes"));
    };
    let around = Window { kernel: 3, before: 1, after: 1, ..Window::POINT };
    let inputs = vec![x.name.clone(), out.weight("offset.weight")];
    let offset =
        out.before("offset", "Conv", inputs, sliding(&[around, around]), [2 * channels, height, width]);
    let folded = |out: &mut Layer<'_>, part: &str, value: &Value, sizes: &[u64]| {
        let shape: Vec<i64> = std::iter::once(-1).chain(sizes.iter().map(|&size| size as i64)).collect();
        let shape = out.integers(&format!("{part}_shape"), &shape);
        let made = Value { name: out.below(part), sizes: sizes.to_vec(), rows: channels };
        out.node("Reshape", vec![value.name.clone(), shape], vec![], made)
    };
    let many = |name: String, sizes: [u64; 3]| Value { name, sizes: sizes.to_vec(), rows: channels };
    let pairs = folded(out, "pairs", &offset, &[2, height, width]);
    let last = many(out.below("pairs_last"), [height, width, 2]);
    let last = out.node("Transpose", vec![pairs.name], vec![ints("perm", [0, 2, 3, 1])], last);
    // Offsets are dy, dx; a grid is x, y.
    let order = out.integers("xy_order", &[1, 0]);
    let xy = many(out.below("xy"), [height, width, 2]);
    let xy = out.node("Gather", vec![last.name, order], vec![int("axis", 3)], xy);
    // The centre of pixel p of n is at (2 p + 1) / n - 1.
    let step = out.numbers("grid_step", &[2], &[2.0 / width as f32, 2.0 / height as f32]);
    let moved = many(out.below("grid_offset"), [height, width, 2]);
    let moved = out.node("Mul", vec![xy.name, step], vec![], moved);
    let centre = |p: u64, n: u64| ((2 * p + 1) as f64 / n as f64 - 1.0) as f32;
    let centres: Vec<f32> = (0..height)
        .flat_map(|y| (0..width).flat_map(move |x| [centre(x, width), centre(y, height)]))
        .collect();
    let centres = out.numbers("grid_centres", &[height, width, 2], &centres);
    let grid = many(out.below("grid"), [height, width, 2]);
    let grid = out.node("Add", vec![moved.name, centres], vec![], grid);
    let maps = folded(out, "maps", x, &[1, height, width]);
    let sampled = many(out.below("sampled"), [1, height, width]);
    let attributes = vec![text("mode", "linear"), text("padding_mode", "zeros"), int("align_corners", 0)];
    let sampled = out.node("GridSample", vec![maps.name, grid.name], attributes, sampled);
    let shape = out.integers("moved_shape", &[-1, channels as i64, height as i64, width as i64]);
    Ok(out.before("moved", "Reshape", vec![sampled.name, shape], vec![], x.sizes.clone()))
}

/// Returns the windows of a pool with enough padding after the last element to complete every window. PyTorch and
/// ONNX Runtime disagree on `ceil_mode` in some cases, but not on padding.
fn complete(windows: &[Window], io: Io<'_>) -> Result<Vec<Window>, Problem> {
    let sizes = io.input().spatial().iter().zip(io.output.spatial());
    windows
        .iter()
        .zip(sizes)
        .map(|(window, (&size, &outputs))| {
            let end = i128::from(outputs.saturating_sub(1)) * i128::from(window.stride)
                + i128::from(window.extent()?);
            let needed = end - i128::from(size) - i128::from(window.before);
            let after = i64::try_from(needed).map_err(|_| Problem::overflow("the padding"))?;
            Ok(Window { after: after.max(window.after), ..*window })
        })
        .collect()
}

/// Returns whether ONNX's `ceil_mode` alone gives the same output size: then it is written as such.
fn rounds_up(windows: &[Window], io: Io<'_>) -> Result<bool, Problem> {
    for ((window, &size), &outputs) in windows.iter().zip(io.input().spatial()).zip(io.output.spatial()) {
        let room = i128::from(size) + i128::from(window.before) + i128::from(window.after)
            - i128::from(window.extent()?);
        let stride = i128::from(window.stride);
        if (room + stride - 1).div_euclid(stride) + 1 != i128::from(outputs) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns whether the padding is accepted by an ONNX pool: less than the kernel.
fn fits(windows: &[Window]) -> bool {
    windows.iter().all(|w| w.before.max(w.after) < i64::try_from(w.kernel).unwrap_or(i64::MAX))
}

pub(super) fn max_pool(out: &mut Layer<'_>, layer: &MaxPool, x: &Value, io: Io<'_>) -> Result<(), Problem> {
    let windows = layer.windows(io.input().spatial())?;
    let mut x = x.clone();
    let mut attributes = Vec::new();
    if layer.ceil_mode && rounds_up(&windows, io)? && fits(&windows) {
        attributes = sliding(&windows);
        attributes.push(int("ceil_mode", 1));
    } else {
        let mut windows = if layer.ceil_mode { complete(&windows, io)? } else { windows };
        if !fits(&windows) {
            x = padded(out, &x, &windows, PaddingMode::Zeros, f64::NEG_INFINITY, false)?;
            windows = bare(&windows);
        }
        attributes.extend(sliding(&windows));
    }
    out.last("MaxPool", vec![x.name], attributes, io.output.sizes());
    Ok(())
}

pub(super) fn avg_pool(out: &mut Layer<'_>, layer: &AvgPool, x: &Value, io: Io<'_>) -> Result<(), Problem> {
    let windows = layer.windows(io.input().spatial())?;
    let complete = if layer.ceil_mode { complete(&windows, io)? } else { windows.clone() };
    let sizes = io.output.sizes();
    let mut x = x.clone();
    let mut pool = complete.clone();
    let mut include = layer.count_include_pad || layer.divisor_override.is_some();
    if complete != windows && include && layer.divisor_override.is_none() {
        // The mean covers the requested padding, not the padding that completes the last window.
        if windows.iter().any(|w| w.before != 0 || w.after != 0) {
            x = padded(out, &x, &windows, PaddingMode::Zeros, 0.0, false)?;
            for (window, first) in pool.iter_mut().zip(&windows) {
                (window.before, window.after) = (0, window.after - first.after);
            }
        }
        include = false;
    }
    if !fits(&pool) {
        if !include {
            return Err(refuse(
                "an `avg_pool` whose `ceil_mode` adds a whole kernel of padding",
                "leave out `ceil_mode`, or pad before the pool",
            ));
        }
        x = padded(out, &x, &pool, PaddingMode::Zeros, 0.0, false)?;
        pool = bare(&pool);
    }
    let mut attributes = sliding(&pool);
    attributes.push(int("count_include_pad", i64::from(include)));
    let Some(divisor) = layer.divisor_override else {
        out.last("AveragePool", vec![x.name], attributes, sizes);
        return Ok(());
    };
    let mean = out.before("mean", "AveragePool", vec![x.name], attributes, sizes);
    let taps: u64 = windows.iter().map(|window| window.kernel).product();
    let factor = out.scalar("factor", taps as f64 / divisor as f64);
    out.last("Mul", vec![mean.name, factor], vec![], sizes);
    Ok(())
}

/// Writes adaptive pooling: one window for all outputs where the sizes divide evenly, otherwise a mean (or maximum)
/// per output of each axis.
pub(super) fn adaptive(out: &mut Layer<'_>, x: &Value, io: Io<'_>, maximum: bool) -> Result<(), Problem> {
    let (pool, reduce) = if maximum { ("MaxPool", "ReduceMax") } else { ("AveragePool", "ReduceMean") };
    let (input, output) = (io.input().spatial(), io.output.spatial());
    if output.iter().all(|&size| size == 1) {
        let global = if maximum { "GlobalMaxPool" } else { "GlobalAveragePool" };
        out.last(global, vec![x.name.clone()], vec![], io.output.sizes());
        return Ok(());
    }
    if input.iter().zip(output).all(|(size, outputs)| size.is_multiple_of(*outputs)) {
        let ratio = |(size, outputs): (&u64, &u64)| size / outputs;
        let kernel: Vec<i64> = input.iter().zip(output).map(|pair| ratio(pair) as i64).collect();
        let attributes = vec![ints("kernel_shape", kernel.clone()), ints("strides", kernel)];
        out.last(pool, vec![x.name.clone()], attributes, io.output.sizes());
        return Ok(());
    }
    let changed: Vec<usize> = (0..input.len()).filter(|&axis| input[axis] != output[axis]).collect();
    if changed.iter().any(|&axis| output[axis] > 4096) {
        return Err(refuse(
            "adaptive pooling to thousands of windows that do not divide the input",
            "use a pool with a kernel",
        ));
    }
    let mut current = x.clone();
    for (step, &axis) in changed.iter().enumerate() {
        let mut parts = Vec::new();
        for u in 0..output[axis] {
            let bound = |u: u64| u128::from(u) * u128::from(input[axis]);
            let wide = u128::from(output[axis]);
            let (from, to) = (bound(u) / wide, bound(u + 1).div_ceil(wide));
            let part = format!("axis{axis}_{u}");
            let start = out.integers(&format!("{part}_from"), &[from as i64]);
            let end = out.integers(&format!("{part}_to"), &[to as i64]);
            let axes = out.integers(&format!("{part}_axis"), &[axis as i64 + 2]);
            let mut sizes = current.sizes.clone();
            sizes[axis + 1] = (to - from) as u64;
            let cut = out.before(
                &format!("{part}_window"),
                "Slice",
                vec![current.name.clone(), start, end, axes.clone()],
                vec![],
                sizes.clone(),
            );
            sizes[axis + 1] = 1;
            parts.push(out.before(&part, reduce, vec![cut.name, axes], vec![int("keepdims", 1)], sizes).name);
        }
        let mut sizes = current.sizes.clone();
        sizes[axis + 1] = output[axis];
        let joined = vec![int("axis", axis as i64 + 2)];
        if step + 1 == changed.len() {
            out.last("Concat", parts, joined, sizes);
        } else {
            current = out.before(&format!("axis{axis}"), "Concat", parts, joined, sizes);
        }
    }
    Ok(())
}
