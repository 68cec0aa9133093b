//! Pools.

use super::super::messages::{int, ints};
use super::super::schema::Argument;
use super::bare;
use super::call::{Call, Outcome, Unsupported, one, unsupported, window};

/// Number of spatial axes.
fn spatial(call: &Call<'_, '_>) -> Result<usize, Unsupported> {
    bare::of_pool(call.operator).map_or_else(|| unsupported("a pool without spatial axes"), Ok)
}

pub(super) fn max_pool(call: &mut Call<'_, '_>) -> Outcome {
    let rank = spatial(call)?;
    let kernel = call.per_axis("kernel_size", rank, 1)?;
    let stride = if matches!(call.ints("stride")?.as_deref(), None | Some([])) {
        kernel.clone()
    } else {
        call.per_axis("stride", rank, 1)?
    };
    let (padding, dilation) = (call.per_axis("padding", rank, 0)?, call.per_axis("dilation", rank, 1)?);
    let mut attributes = window(stride, padding, dilation);
    attributes
        .extend([ints("kernel_shape", kernel), int("ceil_mode", i64::from(call.flag("ceil_mode", false)))]);
    let (input, is_bare) = bare::image(call, rank)?;
    let outputs = super::call::values::returned(call.node).len();
    let mut made = call.emit_all("MaxPool", vec![input], outputs.max(1), attributes);
    for value in &mut made {
        *value = bare::returned(call, std::mem::take(value), is_bare);
    }
    Ok(made)
}

pub(super) fn avg_pool(call: &mut Call<'_, '_>) -> Outcome {
    let rank = spatial(call)?;
    let kernel = call.per_axis("kernel_size", rank, 1)?;
    let stride = if matches!(call.ints("stride")?.as_deref(), None | Some([])) {
        kernel.clone()
    } else {
        call.per_axis("stride", rank, 1)?
    };
    if call.argument("divisor_override").is_some() {
        return unsupported("an average with a divisor of its own");
    }
    let padding = call.per_axis("padding", rank, 0)?;
    let mut attributes = window(stride, padding, vec![1; rank]);
    attributes.extend([
        ints("kernel_shape", kernel),
        int("ceil_mode", i64::from(call.flag("ceil_mode", false))),
        int("count_include_pad", i64::from(call.flag("count_include_pad", true))),
    ]);
    let (input, is_bare) = bare::image(call, rank)?;
    let made = call.emit("AveragePool", vec![input], attributes);
    one(bare::returned(call, made, is_bare))
}

/// The output's sizes, one for each spatial axis.
fn output_size(call: &Call<'_, '_>, rank: usize) -> Result<Vec<i64>, Unsupported> {
    match call.argument("output_size") {
        Some(Argument::Other(_)) | None => unsupported("an output size that is not known"),
        Some(_) => call.per_axis("output_size", rank, 1),
    }
}

pub(super) fn adaptive_avg_pool(call: &mut Call<'_, '_>) -> Outcome {
    let rank = spatial(call)?;
    let size = output_size(call, rank)?;
    let (input, is_bare) = bare::image(call, rank)?;
    let made = if size.iter().all(|&size| size == 1) {
        call.emit("GlobalAveragePool", vec![input], vec![])
    } else {
        call.emit_own("AdaptiveAvgPool", vec![input], vec![ints("output_size", size)])
    };
    one(bare::returned(call, made, is_bare))
}

pub(super) fn adaptive_max_pool(call: &mut Call<'_, '_>) -> Outcome {
    let rank = spatial(call)?;
    let size = output_size(call, rank)?;
    let (input, is_bare) = bare::image(call, rank)?;
    let made = if size.iter().all(|&size| size == 1) {
        call.emit("GlobalMaxPool", vec![input], vec![])
    } else {
        call.emit_own("AdaptiveMaxPool", vec![input], vec![ints("output_size", size)])
    };
    // Where the largest are is not followed.
    Ok(vec![bare::returned(call, made, is_bare), String::new()])
}
