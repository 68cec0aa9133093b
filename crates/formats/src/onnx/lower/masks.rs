//! A selection between values by a mask: Where.

use super::context::{Lower, Outcome, Use, Value};
use crate::onnx::constant::Constant;

/// Lowers a known mask with one computed side and one constant side: what the mask selects, plus the constants elsewhere.
pub(super) fn choice(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let Value::Constant(mask) = lower.value(used, 0)?.clone() else {
        return super::attention::guarded(lower, used);
    };
    let (yes, no) = (lower.value(used, 1)?.clone(), lower.value(used, 2)?.clone());
    let (tensor, other, kept) = match (yes, no) {
        (Value::Tensor(tensor), Value::Constant(other)) => (tensor, other, true),
        (Value::Constant(other), Value::Tensor(tensor)) => (tensor, other, false),
        (Value::Unknown(reason), _) | (_, Value::Unknown(reason)) => {
            return Err(super::context::Flaw::Unsupported(reason));
        }
        _ => return used.unsupported("a choice between computed values"),
    };
    let dims = super::elements::broadcast(&mask.dims, &other.dims)?;
    let (Some(mask_values), Some(other_values), true) =
        (mask.as_ints(), other.values.as_ref(), super::elements::small(&dims))
    else {
        return used.unsupported("a mask that is not known");
    };
    let other_values = other_values.floats();
    let places = |from: &Constant| super::elements::places(&from.dims, &dims);
    let (of_mask, of_other) = (places(&mask), places(&other));
    let chosen: Vec<bool> = of_mask.iter().map(|&at| (mask_values[at] != 0) == kept).collect();
    let factors = chosen.iter().map(|&chosen| f64::from(u8::from(chosen))).collect();
    let addends: Vec<f64> = chosen
        .iter()
        .zip(&of_other)
        .map(|(&chosen, &at)| if chosen { 0.0 } else { other_values[at] })
        .collect();
    let masked = if chosen.iter().all(|&chosen| chosen) {
        Value::Tensor(tensor)
    } else {
        let factors = Constant::floats(dims.clone(), factors);
        super::arithmetic::select(lower, used, &tensor, &factors)?.remove(0)
    };
    match masked {
        Value::Tensor(masked) if addends.iter().any(|&addend| addend != 0.0) => {
            super::arithmetic::add_constant(lower, used, &masked, &Constant::floats(dims, addends), 1.0)
        }
        masked => Ok(vec![masked]),
    }
}
