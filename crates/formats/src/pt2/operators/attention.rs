//! Scaled dot-product attention.

use super::super::messages::float;
use super::call::{Call, Outcome, one, unsupported};
use super::product::turned;
use crate::onnx::constant::is_integer;

/// As the product, the scale, the mask, the softmax and the product that it is: the importer recognises `attention`.
pub(super) fn attention(call: &mut Call<'_, '_>) -> Outcome {
    if call.flag("is_causal", false) {
        return unsupported("causal attention");
    }
    if call.float("dropout_p", 0.0)? != 0.0 {
        return unsupported("attention that drops shares, as in training");
    }
    if call.flag("enable_gqa", false) {
        return unsupported("heads that share their keys");
    }
    let (query, key, value) = (call.at(0)?, call.at(1)?, call.at(2)?);
    let dims = super::call::known(call.meta_of(query)?)?;
    let ranks = [call.meta_of(key)?.sizes.len(), call.meta_of(value)?.sizes.len()];
    let Some((&features, _)) = dims.split_last().filter(|_| dims.len() > 2 && ranks == [dims.len(); 2])
    else {
        return unsupported(format!("attention of {dims:?}"));
    };
    let scale = call.float("scale", 1.0 / (features as f64).sqrt())?;
    let mask = call.argument("attn_mask");
    if let Some(mask) = mask
        && is_integer(super::super::messages::data_type(call.meta_of(mask)?.dtype))
    {
        return unsupported("a mask of truth values");
    }
    let (query, key, value) = (call.operand(query)?, call.operand(key)?, call.operand(value)?);
    if dims.len() == 4 && mask.is_none() {
        return one(call.emit("Attention", vec![query, key, value], vec![float("scale", scale)]));
    }
    let key = turned(call, key, dims.len());
    let scores = call.emit("MatMul", vec![query, key], vec![]);
    let factor = call.number(scale);
    let mut scores = call.emit("Mul", vec![scores, factor], vec![]);
    if let Some(mask) = mask {
        let mask = call.operand(mask)?;
        scores = call.emit("Add", vec![scores, mask], vec![]);
    }
    let shares = call.emit("Softmax", vec![scores], vec![super::super::messages::int("axis", -1)]);
    one(call.emit("MatMul", vec![shares, value], vec![]))
}
