//! Attention, as the products of which it consists: softmax(Q K^T / sqrt(d) + mask) V.

use super::context::{Flaw, Lower, Outcome, Tensor, Use, Value};
use super::shapes::permuted;
use crate::onnx::constant::Change;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::Layer;
use cnnkit_core::layers::add::Add;
use cnnkit_core::layers::learned_bias::LearnedBias;
use cnnkit_core::layers::matmul::Matmul;
use cnnkit_core::layers::rescale::Rescale;
use cnnkit_core::layers::softmax::{Softmax, SoftmaxAxis};

/// Returns an operand as [batch, heads, sequence, features per head].
fn by_heads(lower: &mut Lower, used: Use<'_>, index: usize, heads: &str) -> Result<Tensor, Flaw> {
    let given = lower.tensor(used, index)?;
    if given.batch != Some(0) {
        return used.unsupported("its input does not have the batch as its first axis");
    }
    match given.dims.len() {
        4 => Ok(given),
        3 => {
            let heads = u64::try_from(used.int(heads, 0)).unwrap_or(0);
            let features = given.dims[2].checked_div(heads).unwrap_or(0);
            if features.checked_mul(heads) != Some(given.dims[2]) || features == 0 {
                let message = format!("{heads} heads do not fit the operand {:?}", given.dims);
                return Err(Problem::shape(message).into());
            }
            let open = [given.dims[0], given.dims[1], heads, features];
            let open = lower.viewed(used, &given, &open, Some(0))?;
            permuted(lower, used, &open, &[0, 2, 1, 3])
        }
        rank => Err(Problem::shape(format!("its operand has {rank} axes, it must have 3 or 4")).into()),
    }
}

pub(super) fn attention(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let plain = used.int("is_causal", 0) == 0
        && used.float("softcap", 0.0) == 0.0
        && used.int("left_window_size", -1) < 0
        && used.int("right_window_size", -1) < 0
        && !(4..7).any(|index| used.has(index))
        && (1..used.outputs()).all(|index| used.node.output[index].is_empty());
    if !plain {
        return used.unsupported("attention that is causal, windowed or capped, or keeps what it saw");
    }
    let flat = lower.tensor(used, 0)?.dims.len() == 3;
    let query = by_heads(lower, used, 0, "q_num_heads")?;
    let key = by_heads(lower, used, 1, "kv_num_heads")?;
    let value = by_heads(lower, used, 2, "kv_num_heads")?;
    if query.dims[1] != key.dims[1] || key.dims[1] != value.dims[1] {
        return used.unsupported("heads that share their keys");
    }
    let scale = used.float("scale", 1.0 / (query.dims[3] as f64).sqrt());
    let turned = permuted(lower, used, &key, &[0, 1, 3, 2])?;
    let scores = lower.emit(used, Layer::Matmul(Matmul {}), &[&query, &turned], vec![], Some(0))?;
    let mut scores = lower.map(used, Layer::Rescale(Rescale { scale, shift: 0.0 }), &scores, vec![])?;
    if used.has(3) {
        scores = masked(lower, used, &scores)?;
    }
    let softmax = Layer::Softmax(Softmax { axis: SoftmaxAxis::Last });
    let shares = lower.map(used, softmax, &scores, vec![])?;
    let mixed = lower.emit(used, Layer::Matmul(Matmul {}), &[&shares, &value], vec![], Some(0))?;
    if !flat {
        return Ok(vec![Value::Tensor(mixed)]);
    }
    let together = permuted(lower, used, &mixed, &[0, 2, 1, 3])?;
    let features = mixed.dims[1].checked_mul(mixed.dims[3]);
    let features = features.ok_or_else(|| Problem::overflow("the features"))?;
    let dims = [mixed.dims[0], mixed.dims[2], features];
    Ok(vec![Value::Tensor(lower.viewed(used, &together, &dims, Some(0))?)])
}

/// Lowers `Where(IsNaN(p), 0, p)` to `p` if `p` is a softmax whose rows always have a finite score: PyTorch
/// guards attention with a boolean mask against queries all of whose keys are masked.
pub(super) fn guarded(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let (guard, shares) = (lower.tensor(used, 0)?, lower.tensor(used, 2)?);
    let zero = match lower.value(used, 1)? {
        Value::Constant(constant) => {
            constant.values.as_ref().is_some_and(|values| values.floats().iter().all(|&value| value == 0.0))
        }
        _ => false,
    };
    let asks = &lower.drafts[guard.draft];
    let asks = matches!(&asks.layer, Some(Layer::Opaque(asks)) if asks.operator == "IsNaN")
        && asks.inputs == [shares.draft];
    if zero && asks && guard.dims == shares.dims && has_choice(lower, shares.draft) {
        return Ok(vec![Value::Tensor(shares)]);
    }
    used.unsupported("a choice between tensors")
}

/// Returns whether `draft` is a softmax of scores to which a constant is added that leaves every row a finite
/// number.
fn has_choice(lower: &Lower, draft: usize) -> bool {
    let layer = |draft: usize| lower.drafts.get(draft).and_then(|draft| draft.layer.as_ref());
    let Some(Layer::Softmax(Softmax { axis: SoftmaxAxis::Last })) = layer(draft) else { return false };
    let Some(&[scores]) = lower.drafts.get(draft).map(|draft| draft.inputs.as_slice()) else { return false };
    let (Some(Layer::LearnedBias(_)), Some(mask)) = (layer(scores), lower.drafts[scores].weights.first())
    else {
        return false;
    };
    if !finite_below(lower, scores) {
        return false;
    }
    let (Some(values), Some(&keys)) = (&mask.values, mask.dims.last()) else { return false };
    let values = values.floats();
    let known = |value: &f64| value.is_finite() || *value == f64::NEG_INFINITY;
    !mask.view.iter().any(|change| matches!(change, Change::Scale(_)))
        && values.iter().all(known)
        && values
            .chunks(usize::try_from(keys).unwrap_or(1).max(1))
            .all(|row| row.iter().any(|v| v.is_finite()))
}

/// Whether no other mask is added to the scores: two of them may leave a query no key, though each leaves some.
fn finite_below(lower: &Lower, scores: usize) -> bool {
    let mut draft = &lower.drafts[scores];
    while let [input, ..] = draft.inputs.as_slice() {
        draft = &lower.drafts[*input];
        match &draft.layer {
            Some(Layer::LearnedBias(_)) => return false,
            Some(Layer::Rescale(_) | Layer::LearnedScale(_) | Layer::LayerScale(_) | Layer::Reshape(_)) => {}
            _ => return true,
        }
    }
    true
}

/// Returns the scores plus input 3.
fn masked(lower: &mut Lower, used: Use<'_>, scores: &Tensor) -> Result<Tensor, Flaw> {
    let pad = |dims: &[u64]| [vec![1; 4usize.saturating_sub(dims.len())], dims.to_vec()].concat();
    match lower.value(used, 3)?.clone() {
        Value::Constant(mask) if !mask.is_integer() && pad(&mask.dims)[0] == 1 => {
            let shape = pad(&mask.dims)[1..].to_vec();
            let learned = lower.is_learned(&mask);
            let weight = mask.changed(Change::Reshape(shape.clone()), shape.clone());
            let layer = LearnedBias { shape: Some(shape), learned };
            lower.map(used, Layer::LearnedBias(layer), scores, vec![weight])
        }
        Value::Tensor(mask) if mask.batch == Some(0) && mask.dims.len() == 4 => {
            lower.emit(used, Layer::Add(Add { weights: None }), &[scores, &mask], vec![], Some(0))
        }
        _ => used.unsupported("a mask of truth values"),
    }
}
