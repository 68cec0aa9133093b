//! Convolutions.

use super::super::messages::{int, ints};
use super::super::schema::Argument;
use super::bare;
use super::call::{Call, Outcome, Unsupported, one, unsupported, window};

/// Sizes of the kernel: those of the weight without its first two axes.
fn kernel(call: &Call<'_, '_>) -> Result<Vec<i64>, Unsupported> {
    let weight = call.argument("weight").ok_or_else(|| Unsupported("it has no weight".into()))?;
    let dims = super::call::known(call.meta_of(weight)?)?;
    if dims.len() < 3 { unsupported("a weight without spatial axes") } else { Ok(dims[2..].to_vec()) }
}

/// The image with its weight and bias, and whether it had no batch.
fn operands(call: &mut Call<'_, '_>) -> Result<(Vec<String>, bool), Unsupported> {
    let spatial = kernel(call)?.len();
    let (input, is_bare) = bare::image(call, spatial)?;
    let weight = call.tensor("weight")?.ok_or_else(|| Unsupported("it has no weight".into()))?;
    let mut inputs = vec![input, weight];
    inputs.extend(call.tensor("bias")?);
    Ok((inputs, is_bare))
}

pub(super) fn conv(call: &mut Call<'_, '_>) -> Outcome {
    if call.flag("transposed", false) {
        return conv_transpose(call);
    }
    let kernel = kernel(call)?;
    let rank = kernel.len();
    let stride = call.per_axis("stride", rank, 1)?;
    let dilation = call.per_axis("dilation", rank, 1)?;
    let groups = call.int("groups", 1)?;
    let mut attributes = match call.argument("padding") {
        Some(Argument::Text(mode)) if mode == "same" => {
            // As PyTorch: what is odd comes last.
            let total =
                |(size, dilation): (&i64, &i64)| dilation.saturating_mul(size.saturating_sub(1)).max(0);
            let total: Vec<i64> = kernel.iter().zip(&dilation).map(total).collect();
            let before: Vec<i64> = total.iter().map(|all| all / 2).collect();
            let after: Vec<i64> = total.iter().zip(&before).map(|(all, before)| all - before).collect();
            let mut attributes = window(stride, vec![], dilation);
            attributes[1] = ints("pads", [before, after].concat());
            attributes
        }
        Some(Argument::Text(mode)) if mode == "valid" => window(stride, vec![0; rank], dilation),
        _ => window(stride, call.per_axis("padding", rank, 0)?, dilation),
    };
    attributes.push(int("group", groups));
    let (inputs, is_bare) = operands(call)?;
    let made = call.emit("Conv", inputs, attributes);
    one(bare::returned(call, made, is_bare))
}

pub(super) fn conv_transpose(call: &mut Call<'_, '_>) -> Outcome {
    let rank = kernel(call)?.len();
    let stride = call.per_axis("stride", rank, 1)?;
    let dilation = call.per_axis("dilation", rank, 1)?;
    let padding = call.per_axis("padding", rank, 0)?;
    let more = call.per_axis("output_padding", rank, 0)?;
    let mut attributes = window(stride, padding, dilation);
    attributes.extend([int("group", call.int("groups", 1)?), ints("output_padding", more)]);
    let (inputs, is_bare) = operands(call)?;
    let made = call.emit("ConvTranspose", inputs, attributes);
    one(bare::returned(call, made, is_bare))
}

/// `deform_conv2d(input, weight, offset, mask, bias, strides, paddings, dilations, groups, offset groups, use mask)`.
pub(super) fn deform_conv(call: &mut Call<'_, '_>) -> Outcome {
    let numbers = |call: &Call<'_, '_>, first: &str, second: &str, default: i64| {
        Ok::<_, Unsupported>(vec![call.int(first, default)?, call.int(second, default)?])
    };
    let stride = numbers(call, "stride_h", "stride_w", 1)?;
    let padding = numbers(call, "pad_h", "pad_w", 0)?;
    let dilation = numbers(call, "dilation_h", "dilation_w", 1)?;
    let mut attributes = window(stride, padding, dilation);
    attributes.push(int("group", call.int("groups", 1)?));
    attributes.push(int("offset_group", call.int("offset_groups", 1)?));
    let missing = |what: &str| Unsupported(format!("it has no {what}"));
    let input = call.first()?;
    let weight = call.tensor("weight")?.ok_or_else(|| missing("weight"))?;
    let offset = call.tensor("offset")?.ok_or_else(|| missing("offset"))?;
    let bias = call.tensor("bias")?.unwrap_or_default();
    let mask =
        if call.flag("use_mask", false) { call.tensor("mask")?.unwrap_or_default() } else { String::new() };
    one(call.emit("DeformConv", vec![input, weight, offset, bias, mask], attributes))
}
