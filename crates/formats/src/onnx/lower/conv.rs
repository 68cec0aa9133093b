//! Convolutions: Conv, ConvTranspose, DeformConv.

use super::context::{Flaw, Lower, Outcome, Tensor, Use, Value};
use crate::onnx::constant::{Change, Constant};
use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_core::layers::Layer;
use cnnkit_core::layers::args::{Groups, Padding, PerAxis};
use cnnkit_core::layers::conv::{Conv, PaddingMode};
use cnnkit_core::layers::conv_transpose::ConvTranspose;
use cnnkit_core::layers::deform_sample::DeformSample;

/// Kernel, strides, dilations and paddings of a window, with the attributes of Conv and the pools.
pub(super) struct Window {
    pub(super) kernel: PerAxis,
    pub(super) stride: PerAxis,
    pub(super) dilation: PerAxis,
    pub(super) padding: Padding,
}

/// Returns one number if all are equal, else one per axis.
pub(super) fn per_axis(values: &[u64]) -> PerAxis {
    match values.first() {
        Some(&first) if values.iter().all(|&value| value == first) => PerAxis::all(first),
        _ => PerAxis::list(values.iter().copied()),
    }
}

/// Returns the paddings `[before..., after...]` of an attribute.
pub(super) fn padding(pads: &[i64]) -> Result<Padding, Flaw> {
    if pads.iter().any(|&pad| pad < 0) {
        return Err(Flaw::Unsupported(format!("negative paddings {pads:?}")));
    }
    let values: Vec<u64> = pads.iter().map(|pad| pad.unsigned_abs()).collect();
    let (before, after) = values.split_at(values.len() / 2);
    if before == after {
        return Ok(Padding::Symmetric(per_axis(before)));
    }
    Ok(Padding::Sides(before.iter().copied().zip(after.iter().copied()).collect()))
}

/// Returns one value for each of `rank` axes; `default` if the attribute is absent.
pub(super) fn numbers(used: Use<'_>, name: &str, rank: usize, default: u64) -> Result<Vec<u64>, Problem> {
    let Some(values) = used.ints(name).filter(|values| !values.is_empty()) else {
        return Ok(vec![default; rank]);
    };
    let wrong = |what: String| Problem::new(Code::InvalidValue, format!("its `{name}` {values:?} {what}"));
    if values.len() != rank {
        return Err(wrong(format!("has {} values for {rank} spatial axes", values.len())));
    }
    values
        .iter()
        .map(|&value| u64::try_from(value).map_err(|_| wrong("has a negative value".into())))
        .collect()
}

/// Returns the window of a node over the axes of `kernel`.
pub(super) fn window(used: Use<'_>, kernel: &[u64]) -> Result<Window, Flaw> {
    let rank = kernel.len();
    let padding = match used.text("auto_pad").unwrap_or("NOTSET") {
        "SAME_UPPER" => Padding::Same,
        "SAME_LOWER" => Padding::SameLower,
        "VALID" => Padding::zero(),
        "NOTSET" | "" => match used.ints("pads").filter(|pads| !pads.is_empty()) {
            Some(pads) if pads.len() == 2 * rank => padding(pads)?,
            Some(pads) => {
                let message =
                    format!("its `pads` {pads:?} has {} values for {rank} spatial axes", pads.len());
                return Err(Problem::new(Code::InvalidValue, message).into());
            }
            None => Padding::zero(),
        },
        other => return used.unsupported(format!("auto_pad {other}")),
    };
    Ok(Window {
        kernel: per_axis(kernel),
        stride: per_axis(&numbers(used, "strides", rank, 1)?),
        dilation: per_axis(&numbers(used, "dilations", rank, 1)?),
        padding,
    })
}

/// Returns the input of a layer that slides over space: batch first, then channels, then spatial axes.
pub(super) fn image(lower: &mut Lower, used: Use<'_>) -> Result<Tensor, Flaw> {
    let mut input = lower.tensor(used, 0)?;
    if input.batch.is_none() && lower.batch == 1 && input.dims.len() > 1 && input.dims[0] == 1 {
        // A batch of 1 that was an ordinary axis, or a learned map.
        input = lower.viewed(used, &input, &input.dims.clone(), Some(0))?;
    }
    if input.batch != Some(0) {
        return used.unsupported("its input does not have the batch as its first axis");
    }
    if input.dims.len() > 5 {
        return used.unsupported(format!("{} spatial axes", input.dims.len() - 2));
    }
    Ok(input)
}

/// Returns the weight of a convolution of `input`: output channels, input channels, and one axis per spatial
/// axis.
fn weight(lower: &Lower, used: Use<'_>, index: usize, input: &Tensor) -> Result<Constant, Flaw> {
    let weight = lower.constant(used, index)?;
    if weight.dims.len() != input.dims.len() || weight.dims.len() < 3 {
        return Err(Problem::shape(format!(
            "its weight {:?} has {} axes, its input {:?} has {}",
            weight.dims,
            weight.dims.len(),
            input.dims,
            input.dims.len()
        ))
        .into());
    }
    Ok(weight)
}

pub(super) fn groups(used: Use<'_>, channels: u64) -> Result<(u64, Groups), Problem> {
    let group = used.int("group", 1);
    let number = u64::try_from(group).ok().filter(|&number| number > 0);
    let number = number.ok_or_else(|| {
        Problem::new(Code::InvalidValue, format!("its `group` is {group}, it must be at least 1"))
    })?;
    let groups = if number == channels && number > 1 { Groups::Depthwise } else { Groups::Number(number) };
    Ok((number, groups))
}

fn bias(lower: &Lower, used: Use<'_>, index: usize, weights: &mut Vec<Constant>) -> Result<bool, Flaw> {
    let bias = lower.optional(used, index)?;
    let given = bias.is_some();
    weights.extend(bias);
    Ok(given)
}

pub(super) fn conv(lower: &mut Lower, used: Use<'_>) -> Outcome {
    if let Some(outcome) = super::dynamic_conv::with_computed_weight(lower, used) {
        return outcome;
    }
    let input = image(lower, used)?;
    let weight = weight(lower, used, 1, &input)?;
    let window = window(used, &weight.dims[2..])?;
    let out_channels = weight.dims[0];
    let (_, groups) = groups(used, input.dims[1])?;
    let mut weights = vec![weight];
    let bias = bias(lower, used, 2, &mut weights)?;
    let layer = Conv {
        out_channels,
        kernel: window.kernel,
        stride: window.stride,
        padding: window.padding,
        dilation: window.dilation,
        groups,
        bias,
        padding_mode: PaddingMode::Zeros,
        in_channels: None,
    };
    Ok(vec![Value::Tensor(lower.map(used, Layer::Conv(layer), &input, weights)?)])
}

pub(super) fn conv_transpose(lower: &mut Lower, used: Use<'_>) -> Outcome {
    if let Some(outcome) = super::dynamic_conv::with_computed_weight(lower, used) {
        return outcome;
    }
    let input = image(lower, used)?;
    let weight = weight(lower, used, 1, &input)?;
    let rank = input.dims.len() - 2;
    let mut window = window(used, &weight.dims[2..])?;
    let (number, groups) = groups(used, input.dims[1])?;
    let mut added = numbers(used, "output_padding", rank, 0)?;
    fitted(used, Kernel { input: &input, kernel: &weight.dims[2..] }, &mut window, &mut added)?;
    let out_channels = weight.dims[1]
        .checked_mul(number)
        .ok_or_else(|| Problem::overflow("the number of output channels"))?;
    let mut weights = vec![weight];
    let bias = bias(lower, used, 2, &mut weights)?;
    let layer = ConvTranspose {
        out_channels,
        kernel: window.kernel,
        stride: window.stride,
        padding: window.padding,
        output_padding: per_axis(&added),
        dilation: window.dilation,
        groups,
        bias,
        in_channels: None,
    };
    Ok(vec![Value::Tensor(lower.map(used, Layer::ConvTranspose(layer), &input, weights)?)])
}

/// A kernel, and the map that it is spread over.
#[derive(Clone, Copy)]
pub(super) struct Kernel<'a> {
    pub(super) input: &'a Tensor,
    pub(super) kernel: &'a [u64],
}

/// Gives a transposed convolution the paddings that lead to the output sizes that the file asks for (the operator's
/// definition of `output_shape`), and what is added after the last output where the sizes are larger than all.
pub(super) fn fitted(
    used: Use<'_>,
    Kernel { input, kernel }: Kernel<'_>,
    window: &mut Window,
    padding_after: &mut Vec<u64>,
) -> Result<(), Flaw> {
    let rank = input.dims.len() - 2;
    let stretched =
        numbers(used, "strides", rank, 1)?.into_iter().zip(&input.dims[2..]).map(|(stride, &size)| {
            size.checked_mul(stride).and_then(|size| i64::try_from(size).ok()).unwrap_or(i64::MAX)
        });
    let wanted: Vec<i64> = match used.ints("output_shape").filter(|shape| !shape.is_empty()) {
        Some(wanted) => wanted.to_vec(),
        None if used.text("auto_pad").is_some_and(|text| text.starts_with("SAME")) => stretched.collect(),
        None => return Ok(()),
    };
    // By the operator's definition the larger half is in front unless it says SAME_UPPER.
    let lower_first = used.text("auto_pad") != Some("SAME_UPPER");
    let wanted = &wanted[wanted.len().saturating_sub(rank)..];
    let (strides, dilations) = (numbers(used, "strides", rank, 1)?, numbers(used, "dilations", rank, 1)?);
    let given = numbers(used, "output_padding", rank, 0)?;
    let (mut sides, mut added) = (Vec::new(), Vec::new());
    for axis in 0..rank {
        let wide = |value: u64| i128::from(value);
        let full = wide(strides[axis]) * (wide(input.dims[axis + 2]) - 1)
            + wide(given[axis])
            + (wide(kernel[axis]) - 1) * wide(dilations[axis])
            + 1;
        let surplus = full - i128::from(*wanted.get(axis).unwrap_or(&0));
        match u64::try_from(surplus) {
            Ok(surplus) => {
                let (less, more) = (surplus / 2, surplus - surplus / 2);
                sides.push(if lower_first { (more, less) } else { (less, more) });
                added.push(given[axis]);
            }
            Err(_) => {
                sides.push((0, 0));
                let more = u64::try_from(-surplus).map_err(|_| Problem::overflow("the output size"))?;
                added.push(given[axis].saturating_add(more));
            }
        }
    }
    window.padding = Padding::Sides(sides);
    *padding_after = added;
    Ok(())
}

/// Lowers DeformConv, whose offsets (and masks) are separate inputs. If a convolution of the same map
/// computes them, a pattern later replaces both by `deform_conv`.
pub(super) fn deform_conv(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let input = image(lower, used)?;
    let weight = weight(lower, used, 1, &input)?;
    let window = window(used, &weight.dims[2..])?;
    let (_, groups) = groups(used, input.dims[1])?;
    let out_channels = weight.dims[0];
    let mut weights = vec![weight];
    let bias = bias(lower, used, 3, &mut weights)?;
    let modulated = used.has(4);
    let learned_offsets = matches!(lower.value(used, 2)?, Value::Constant(_));
    let mut inputs = vec![input.clone()];
    for index in [2, 4].into_iter().filter(|&index| used.has(index)) {
        if learned_offsets {
            let constant = lower.constant(used, index)?;
            if lower.batch != 1 || constant.dims.first() != Some(&1) {
                return used.unsupported("offsets that differ from image to image");
            }
            let sizes = constant.dims[1..].to_vec();
            weights.push(constant.changed(Change::Reshape(sizes.clone()), sizes));
        } else {
            inputs.push(lower.tensor(used, index)?);
        }
    }
    let layer = DeformSample {
        out_channels,
        kernel: window.kernel,
        stride: window.stride,
        padding: window.padding,
        dilation: window.dilation,
        groups,
        bias,
        offset_groups: u64::try_from(used.int("offset_group", 1)).unwrap_or(0),
        modulated,
        learned_offsets,
    };
    let inputs: Vec<&Tensor> = inputs.iter().collect();
    Ok(vec![Value::Tensor(lower.emit(used, Layer::DeformSample(layer), &inputs, weights, Some(0))?)])
}

/// Returns a weight with its first two axes swapped.
pub(super) fn swapped(weight: &Constant) -> Constant {
    let dims = vec![weight.dims[1], weight.dims[0]];
    weight.changed(Change::Transpose(vec![1, 0]), dims)
}
