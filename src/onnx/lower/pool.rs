//! Pooling.

use super::conv::{image, numbers, window};
use super::scope::{Lower, Outcome, Use, Value};
use crate::diagnostic::{Code, Problem};
use crate::layers::Layer;
use crate::layers::avg_pool::AvgPool;
use crate::layers::global_avg_pool::GlobalAvgPool;
use crate::layers::global_max_pool::GlobalMaxPool;
use crate::layers::max_pool::MaxPool;

fn kernel(used: Use<'_>, rank: usize) -> Result<Vec<u64>, Problem> {
    if used.ints("kernel_shape").is_none_or(<[i64]>::is_empty) {
        return Err(Problem::new(Code::Missing, "it has no `kernel_shape`"));
    }
    numbers(used, "kernel_shape", rank, 1)
}

pub(super) fn max_pool(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let input = image(lower, used)?;
    let window = window(used, &kernel(used, input.dims.len().saturating_sub(2))?)?;
    let layer = MaxPool {
        kernel: window.kernel,
        stride: Some(window.stride),
        padding: window.padding,
        dilation: window.dilation,
        ceil_mode: used.int("ceil_mode", 0) != 0,
    };
    let output = lower.map(used, Layer::MaxPool(layer), &input, vec![])?;
    let mut values = vec![Value::Tensor(output)];
    values.resize_with(used.outputs().max(1), || Value::Unknown("the indices of a max pool".into()));
    Ok(values)
}

pub(super) fn avg_pool(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let input = image(lower, used)?;
    let window = window(used, &kernel(used, input.dims.len().saturating_sub(2))?)?;
    if !window.dilation.is(1) {
        return used.unsupported("a dilated average pool");
    }
    let layer = AvgPool {
        kernel: window.kernel,
        stride: Some(window.stride),
        padding: window.padding,
        ceil_mode: used.int("ceil_mode", 0) != 0,
        count_include_pad: used.int("count_include_pad", 0) != 0,
        divisor_override: None,
    };
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
