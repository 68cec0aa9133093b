//! Scaled dot-product attention.

use super::super::messages::{data_type, float, int};
use super::call::{Call, Outcome, Unsupported, known, one, unsupported};
use super::product::turned;
use crate::onnx::constant::is_integer;

/// As the product, the scale, the mask, the softmax and the product that it is: the importer recognises `attention`.
pub(super) fn attention(call: &mut Call<'_, '_>) -> Outcome {
    if call.float("dropout_p", 0.0)? != 0.0 {
        return unsupported("attention that drops shares, as in training");
    }
    let (query, key, value) = (call.at(0)?, call.at(1)?, call.at(2)?);
    let dims = known(call.meta_of(query)?)?;
    let keys = known(call.meta_of(key)?)?;
    let values = known(call.meta_of(value)?)?;
    let ranks = [keys.len(), values.len()];
    let Some((&features, _)) = dims.split_last().filter(|_| dims.len() > 2 && ranks == [dims.len(); 2])
    else {
        return unsupported(format!("attention of {dims:?}"));
    };
    let scale = call.float("scale", 1.0 / (features as f64).sqrt())?;
    let mask = call.argument("attn_mask");
    let causal = call.flag("is_causal", false);
    if causal && mask.is_some() {
        return unsupported("causal attention with a mask");
    }
    let (query, mut key, mut value) = (call.operand(query)?, call.operand(key)?, call.operand(value)?);
    let shared = |own: &[i64]| call.flag("enable_gqa", false) || own.get(1) == Some(&1);
    let (share_keys, share_values) = (shared(&keys), shared(&values));
    if dims.len() == 4 && share_keys {
        key = spread(call, key, &keys, &dims)?;
    }
    if dims.len() == 4 && share_values {
        value = spread(call, value, &values, &dims)?;
    }
    // Windows are a batch of their own.
    let whole = dims.first().copied() == call.values.batch;
    if dims.len() == 4 && whole && mask.is_none() && !causal {
        return one(call.emit("Attention", vec![query, key, value], vec![float("scale", scale)]));
    }
    let key = turned(call, key, dims.len());
    let scores = call.emit("MatMul", vec![query, key], vec![]);
    let factor = call.number(scale);
    let mut scores = call.emit("Mul", vec![scores, factor], vec![]);
    if let Some(mask) = mask {
        let choice = is_integer(data_type(call.meta_of(mask)?.dtype));
        let mask = call.operand(mask)?;
        scores = if choice {
            let never = call.number(f64::NEG_INFINITY);
            call.emit("Where", vec![mask, scores, never], vec![])
        } else {
            call.emit("Add", vec![scores, mask], vec![])
        };
    }
    if causal {
        let size = |dims: &[i64]| dims.len().checked_sub(2).and_then(|axis| dims.get(axis)).copied();
        let (Some(rows), Some(columns)) = (size(&dims), size(&keys)) else {
            return unsupported(format!("attention of {dims:?}"));
        };
        // A query sees the keys before it: minus infinity elsewhere.
        let sizes = call.constant(vec![rows, columns]);
        let never = call.filled(sizes, f64::NEG_INFINITY, false);
        let above = call.whole(1);
        let mask = call.emit("Trilu", vec![never, above], vec![int("upper", 1)]);
        scores = call.emit("Add", vec![scores, mask], vec![]);
    }
    let shares = call.emit("Softmax", vec![scores], vec![int("axis", -1)]);
    one(call.emit("MatMul", vec![shares, value], vec![]))
}

/// Keys or values that several heads share, once for each of them.
fn spread(call: &mut Call<'_, '_>, value: String, own: &[i64], query: &[i64]) -> Result<String, Unsupported> {
    let (&[batch, few, length, features], Some(&heads)) = (own, query.get(1)) else {
        return unsupported(format!("heads of {query:?} that share {own:?}"));
    };
    let Some(times) = heads.checked_div(few).filter(|times| times.checked_mul(few) == Some(heads)) else {
        return unsupported(format!("{heads} heads that share {few}"));
    };
    if times == 1 {
        return Ok(value);
    }
    let [open, wide, joined] = [
        vec![batch, few, 1, length, features],
        vec![batch, few, times, length, features],
        vec![batch, heads, length, features],
    ]
    .map(|sizes| call.constant(sizes));
    let opened = call.emit("Reshape", vec![value, open], vec![int("allowzero", 1)]);
    let wide = call.emit("Expand", vec![opened, wide], vec![]);
    Ok(call.emit("Reshape", vec![wide, joined], vec![int("allowzero", 1)]))
}
