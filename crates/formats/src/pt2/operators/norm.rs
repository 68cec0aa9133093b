//! Normalisations.

use super::super::messages::{float, int};
use super::call::{Call, Outcome, Unsupported, one, unsupported};

/// Ones or zeros of these sizes, which the importer knows to be no weight.
fn filled(call: &mut Call<'_, '_>, sizes: &[i64], value: f64) -> String {
    let sizes = call.constant(sizes.to_vec());
    call.filled(sizes, value, false)
}

/// Scale and shift: what is not given does nothing.
fn affine(call: &mut Call<'_, '_>, sizes: &[i64]) -> Result<[String; 2], Unsupported> {
    let (scale, shift) = (call.tensor("weight")?, call.tensor("bias")?);
    let scale = scale.unwrap_or_else(|| filled(call, sizes, 1.0));
    let shift = shift.unwrap_or_else(|| filled(call, sizes, 0.0));
    Ok([scale, shift])
}

fn channels(call: &Call<'_, '_>) -> Result<i64, Unsupported> {
    let dims = call.dims()?;
    dims.get(1).copied().ok_or_else(|| Unsupported(format!("the channels of {dims:?}")))
}

/// The outputs after the first are statistics that nothing needs at inference.
fn first_of(call: &Call<'_, '_>, made: String) -> Outcome {
    let used = super::call::values::returned(call.node).len();
    let mut outputs = vec![made];
    // The importer reports what is read of them.
    outputs.resize(used.max(1), String::new());
    Ok(outputs)
}

pub(super) fn batch_norm(call: &mut Call<'_, '_>) -> Outcome {
    let channels = channels(call)?;
    let eps = call.float("eps", 1e-5)?;
    let eps = if call.argument("epsilon").is_some() { call.float("epsilon", eps)? } else { eps };
    let input = call.first()?;
    let (mean, variance) = (call.tensor("running_mean")?, call.tensor("running_var")?);
    let (Some(mean), Some(variance)) = (mean, variance) else {
        if call.dims()?.first() != Some(&1) || call.values.messages.constants.contains(&input) {
            return unsupported("statistics of the batch itself");
        }
        // Of a single image, they are those of the image.
        let [scale, shift] = affine(call, &[channels])?;
        let made = call.emit("InstanceNormalization", vec![input, scale, shift], vec![float("epsilon", eps)]);
        return first_of(call, made);
    };
    let [scale, shift] = affine(call, &[channels])?;
    let made = call.emit(
        "BatchNormalization",
        vec![input, scale, shift, mean, variance],
        vec![float("epsilon", eps)],
    );
    first_of(call, made)
}

pub(super) fn layer_norm(call: &mut Call<'_, '_>) -> Outcome {
    let Some(shape) = call.ints("normalized_shape")? else { return unsupported("it has no shape") };
    let eps = call.float("eps", 1e-5)?;
    let input = call.first()?;
    let scale = call.tensor("weight")?;
    let shift = call.tensor("bias")?;
    let scale = scale.unwrap_or_else(|| filled(call, &shape, 1.0));
    let axis = int("axis", -(shape.len() as i64));
    let mut inputs = vec![input, scale];
    inputs.extend(shift);
    let made = call.emit("LayerNormalization", inputs, vec![axis, float("epsilon", eps)]);
    first_of(call, made)
}

pub(super) fn group_norm(call: &mut Call<'_, '_>) -> Outcome {
    let groups = call.int("num_groups", call.int("group", 0)?)?;
    let eps = call.float("eps", 1e-5)?;
    let channels = channels(call)?;
    let input = call.first()?;
    let [scale, shift] = affine(call, &[channels])?;
    let attributes = vec![int("num_groups", groups), float("epsilon", eps)];
    let made = call.emit("GroupNormalization", vec![input, scale, shift], attributes);
    first_of(call, made)
}

pub(super) fn instance_norm(call: &mut Call<'_, '_>) -> Outcome {
    if !call.flag("use_input_stats", true) {
        return batch_norm(call);
    }
    let eps = call.float("eps", 1e-5)?;
    let channels = channels(call)?;
    let input = call.first()?;
    let [scale, shift] = affine(call, &[channels])?;
    one(call.emit("InstanceNormalization", vec![input, scale, shift], vec![float("epsilon", eps)]))
}

/// `x / sqrt(mean(x^2) + eps) * weight`, as the layers that it is made of.
pub(super) fn rms_norm(call: &mut Call<'_, '_>) -> Outcome {
    let Some(shape) = call.ints("normalized_shape")? else { return unsupported("it has no shape") };
    // PyTorch's default: the spacing of the numbers at 1.
    let eps = call.float("eps", f64::from(f32::EPSILON))?;
    let input = call.first()?;
    let two = call.number(2.0);
    let squares = call.emit("Pow", vec![input.clone(), two], vec![]);
    let axes = call.constant((1..=shape.len() as i64).map(|axis| -axis).collect());
    let mean = call.emit("ReduceMean", vec![squares, axes], vec![int("keepdims", 1)]);
    let eps = call.number(eps);
    let sum = call.emit("Add", vec![mean, eps], vec![]);
    let root = call.emit("Sqrt", vec![sum], vec![]);
    let mut made = call.emit("Div", vec![input, root], vec![]);
    if let Some(weight) = call.tensor("weight")? {
        made = call.emit("Mul", vec![made, weight], vec![]);
    }
    first_of(call, made)
}
