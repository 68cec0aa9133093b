//! Convolution whose weight is an input: ONNX's Conv convolves all images with one weight, so that it is written for one
//! image.

use super::emit::{Layer, Value, int, ints};
use super::windows::sliding;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::Io;
use cnnkit_core::layers::dynamic_conv::{DynamicConv, WithWeight};

pub(super) fn write(
    out: &mut Layer<'_>,
    layer: &DynamicConv,
    inputs: &[Value],
    io: Io<'_>,
) -> Result<(), Problem> {
    let space = io.input().spatial();
    let (x, weight) = (&inputs[0], &inputs[1]);
    let (operator, windows, group, added) = match layer.main(io.inputs)? {
        WithWeight::Conv(conv) => {
            let group = conv.groups.resolve(x.channels(), conv.out_channels)?;
            ("Conv", conv.windows(space)?, group, None)
        }
        WithWeight::Transposed(conv) => {
            let group = conv.groups.resolve(x.channels(), conv.out_channels)?;
            let added = conv.output_padding.resolve(space.len(), "output_padding", 0)?;
            ("ConvTranspose", conv.windows(space)?, group, Some(added))
        }
    };
    let sizes: Vec<i64> = weight.sizes.iter().map(|&size| size as i64).collect();
    let shape = out.integers("weight_shape", &sizes);
    // The first of its axes takes the place of the batch.
    let single =
        Value { name: out.below("weight"), sizes: weight.sizes[1..].to_vec(), rows: weight.sizes[0] };
    let single = out.node("Reshape", vec![weight.name.clone(), shape], vec![], single);
    let mut attributes = sliding(&windows);
    attributes.push(int("group", group as i64));
    attributes.extend(added.map(|added| ints("output_padding", added.iter().map(|&value| value as i64))));
    out.last(operator, vec![x.name.clone(), single.name], attributes, io.output.sizes());
    Ok(())
}
