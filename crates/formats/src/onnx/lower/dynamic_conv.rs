//! Convolutions whose weight is computed: conditional and modulated ones, correlations, and weights that a model computes
//! from stored ones that are too large to be computed here.

use super::context::{Lower, Outcome, Tensor, Use, Value};
use super::conv::{Kernel, fitted, groups, image, numbers, window};
use super::runtime::Parts;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::Layer;
use cnnkit_core::layers::dynamic_conv::DynamicConv;

/// The node's outcome if its weight is computed.
pub(super) fn with_computed_weight(lower: &mut Lower, used: Use<'_>) -> Option<Outcome> {
    match lower.value(used, 1) {
        Ok(Value::Tensor(weight)) => {
            let weight = weight.clone();
            Some(convolved(lower, used, &weight))
        }
        _ => None,
    }
}

fn convolved(lower: &mut Lower, used: Use<'_>, weight: &Tensor) -> Outcome {
    let input = image(lower, used)?;
    if weight.dims.len() != input.dims.len() || weight.dims.len() < 3 {
        let message = format!("its weight {:?} does not fit its input {:?}", weight.dims, input.dims);
        return Err(Problem::shape(message).into());
    }
    if weight.batch.is_some() && lower.batch != 1 {
        return used.unsupported("weights that differ from image to image");
    }
    let transposed = used.node.op_type == "ConvTranspose";
    // A first axis of 1 is one filter, not the batch.
    let weight = lower.viewed(used, weight, &weight.dims.clone(), None)?;
    let rank = input.dims.len() - 2;
    let mut window = window(used, &weight.dims[2..])?;
    let (_, groups) = groups(used, input.dims[1])?;
    let mut added = if transposed { numbers(used, "output_padding", rank, 0)? } else { vec![0; rank] };
    if transposed {
        let kernel = Kernel { input: &input, kernel: &weight.dims[2..] };
        fitted(used, kernel, &mut window, &mut added)?;
    }
    let layer = DynamicConv {
        stride: window.stride,
        padding: window.padding,
        dilation: window.dilation,
        groups,
        transposed,
        output_padding: super::conv::per_axis(&added),
    };
    let output = lower.emit(used, Layer::DynamicConv(layer), &[&input, &weight], vec![], Some(0))?;
    if !used.has(2) {
        return Ok(vec![Value::Tensor(output)]);
    }
    // The bias, one number for each channel.
    let across = [&[1, output.dims[1]], vec![1; rank].as_slice()].concat();
    let bias = match lower.value(used, 2)?.clone() {
        Value::Tensor(bias) => Value::Tensor(lower.viewed(used, &bias, &across, Some(0))?),
        Value::Constant(bias) => {
            Value::Constant(bias.changed(crate::onnx::constant::Change::Reshape(across.clone()), across))
        }
        Value::Unknown(reason) => return Err(super::Flaw::Unsupported(reason)),
    };
    let mut parts = Parts::new(lower, used);
    let (map, bias) = (parts.named(Value::Tensor(output)), parts.named(bias));
    let sum = parts.apply("Add", vec![map, bias], vec![])?;
    parts.done(&sum)
}
