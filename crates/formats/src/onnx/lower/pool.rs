//! Pooling.

use super::context::{Lower, Outcome, Tensor, Use, Value};
use super::conv::{image, numbers, window};
use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_core::layers::args::Padding;
use cnnkit_core::layers::avg_pool::AvgPool;
use cnnkit_core::layers::conv::PaddingMode;
use cnnkit_core::layers::global_avg_pool::GlobalAvgPool;
use cnnkit_core::layers::global_max_pool::GlobalMaxPool;
use cnnkit_core::layers::max_pool::MaxPool;
use cnnkit_core::layers::pad::Pad;
use cnnkit_core::layers::{Layer, LayerKind};

/// What no element of a map is below; a spec can hold it.
const LEAST: f64 = -1e38;

fn kernel(used: Use<'_>, rank: usize) -> Result<Vec<u64>, Problem> {
    if used.ints("kernel_shape").is_none_or(<[i64]>::is_empty) {
        return Err(Problem::new(Code::Missing, "it has no `kernel_shape`"));
    }
    numbers(used, "kernel_shape", rank, 1)
}

pub(super) fn max_pool(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let input = image(lower, used)?;
    let window = window(used, &kernel(used, input.dims.len().saturating_sub(2))?)?;
    let mut layer = MaxPool {
        kernel: window.kernel,
        stride: Some(window.stride),
        padding: window.padding,
        dilation: window.dilation,
        ceil_mode: used.int("ceil_mode", 0) != 0,
    };
    let mut input = input;
    if layer.infer(&[input.shape()]).is_err() && wide(used, &input) {
        // Padding that is never the maximum, as a separate layer: a window may lie entirely in it.
        let padding = std::mem::replace(&mut layer.padding, Padding::zero());
        let pad = Pad { padding, mode: PaddingMode::Zeros, value: LEAST, causal: false };
        input = lower.map(used, Layer::Pad(pad), &input, vec![])?;
    }
    let output = lower.map(used, Layer::MaxPool(layer), &input, vec![])?;
    let mut values = vec![Value::Tensor(output)];
    values.resize_with(used.outputs().max(1), || Value::Unknown("the indices of a max pool".into()));
    Ok(values)
}

/// Returns whether a window's paddings are more than half its kernel, but less than the whole.
fn wide(used: Use<'_>, input: &Tensor) -> bool {
    let rank = input.dims.len().saturating_sub(2);
    let (Ok(kernel), Ok(pads)) = (kernel(used, rank), numbers(used, "pads", 2 * rank, 0)) else {
        return false;
    };
    let Ok(dilations) = numbers(used, "dilations", rank, 1) else { return false };
    let span = |axis: usize| kernel[axis].saturating_sub(1).saturating_mul(dilations[axis]).saturating_add(1);
    let pad = |axis: usize| pads[axis].max(pads[axis + rank]);
    (0..rank).any(|axis| pad(axis) > span(axis) / 2) && (0..rank).all(|axis| pad(axis) < span(axis))
}

pub(super) fn avg_pool(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let input = image(lower, used)?;
    let window = window(used, &kernel(used, input.dims.len().saturating_sub(2))?)?;
    if !window.dilation.is(1) {
        return used.unsupported("a dilated average pool");
    }
    let mut layer = AvgPool {
        kernel: window.kernel,
        stride: Some(window.stride),
        padding: window.padding,
        ceil_mode: used.int("ceil_mode", 0) != 0,
        count_include_pad: used.int("count_include_pad", 0) != 0,
        divisor_override: None,
    };
    let mut input = input;
    if layer.infer(&[input.shape()]).is_err() && wide(used, &input) {
        if !layer.count_include_pad {
            return used.unsupported("an average pool whose padding is more than half its kernel");
        }
        let padding = std::mem::replace(&mut layer.padding, Padding::zero());
        let pad = Pad { padding, mode: PaddingMode::Zeros, value: 0.0, causal: false };
        input = lower.map(used, Layer::Pad(pad), &input, vec![])?;
    }
    lower.simple(used, Layer::AvgPool(layer), &input)
}

pub(super) fn global_avg_pool(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let input = image(lower, used)?;
    lower.simple(used, Layer::GlobalAvgPool(GlobalAvgPool { keepdim: true }), &input)
}

pub(super) fn global_max_pool(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let input = image(lower, used)?;
    lower.simple(used, Layer::GlobalMaxPool(GlobalMaxPool { keepdim: true }), &input)
}
