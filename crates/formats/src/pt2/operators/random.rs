//! What is random in training: dropout, and masks that a program draws and multiplies (stochastic depth).
//!
//! At inference a mask does nothing, so it becomes a constant of ones; a product with it becomes a `dropout` layer, which
//! counts in training.

use super::super::messages::{float, int};
use super::super::schema::Argument;
use super::call::{Call, Outcome, known, one, unsupported};
use super::shapes;

/// Whether a dropout drops something: it was exported in training mode.
pub(super) fn drops(call: &Call<'_, '_>) -> bool {
    call.flag("train", false) || call.flag("training", false)
}

pub(super) fn dropout(call: &mut Call<'_, '_>) -> Outcome {
    let p = call.float("p", 0.5)?;
    if !drops(call) || p == 0.0 {
        return shapes::same(call);
    }
    if call.operator.contains("alpha") {
        return unsupported("a dropout that keeps mean and deviation, in training mode");
    }
    let mask = if call.operator.contains("feature") { Mask::Channel } else { Mask::Element };
    let input = call.first()?;
    let made = masked(call, input, p, mask);
    let mut outputs = vec![made];
    outputs.resize(super::call::values::returned(call.node).len().max(1), String::new());
    Ok(outputs)
}

/// What a mask has in common; the numbers are those that `onnx/lower/aten.rs` reads.
#[derive(Debug, Clone, Copy)]
enum Mask {
    Element = 0,
    Channel = 1,
    Image = 2,
}

fn masked(call: &mut Call<'_, '_>, input: String, p: f64, mask: Mask) -> String {
    call.emit_own("Dropout", vec![input], vec![float("p", p), int("mask", mask as i64)])
}

/// `bernoulli_(p)`: ones with the probability that an element is kept.
pub(super) fn bernoulli(call: &mut Call<'_, '_>) -> Outcome {
    if call.argument("p").is_none() {
        return unsupported("probabilities that are computed");
    }
    let kept = call.float("p", 0.5)?;
    let sizes = call.output_dims(0)?;
    let sizes = call.constant(sizes);
    let mask = call.filled(sizes, 1.0, false);
    call.values.masks.insert(mask.clone(), 1.0 - kept);
    one(mask)
}

/// The product of a tensor and a mask as a dropout; none if no operand is a mask.
pub(super) fn product(call: &mut Call<'_, '_>, operands: &[String; 2]) -> Option<Outcome> {
    let at = operands.iter().position(|operand| call.values.masks.contains_key(operand))?;
    let p = *call.values.masks.get(&operands[at])?;
    let sizes = |index: usize| match call.at(index) {
        Ok(tensor @ Argument::Tensor(_)) => call.meta_of(tensor).ok().and_then(|meta| known(meta).ok()),
        _ => None,
    };
    let (mask, input) = (sizes(at)?, sizes(1 - at)?);
    let ones = |from: usize| mask.iter().skip(from).all(|&size| size == 1);
    let kind = if mask.len() == input.len() && ones(1) {
        Mask::Image
    } else if mask.len() == input.len() && ones(2) && mask.get(1) == input.get(1) {
        Mask::Channel
    } else if mask == input {
        Mask::Element
    } else {
        return Some(unsupported("a random mask of another shape"));
    };
    if p <= 0.0 {
        return Some(one(operands[1 - at].clone()));
    }
    Some(one(masked(call, operands[1 - at].clone(), p, kind)))
}

/// Whether `value` is a mask, which may be divided by the probability that an element is kept.
pub(super) fn is_mask(call: &Call<'_, '_>, value: &str) -> bool {
    call.values.masks.contains_key(value)
}
