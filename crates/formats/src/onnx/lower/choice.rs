//! A selection of elements along an axis, which becomes a separate layer.

use super::context::{Flaw, Lower, Tensor, Use, Value};
use super::elements::SMALL;
use crate::onnx::constant::KNOWN;
use cnnkit_core::layers::Layer;
use cnnkit_core::layers::gather::Gather;

/// Lowers a selection of scattered indices of an axis.
pub(super) fn chosen(
    lower: &mut Lower,
    used: Use<'_>,
    tensor: &Tensor,
    axis: usize,
    indices: Vec<u64>,
) -> Result<Value, Flaw> {
    let Some(place) = tensor.axis(axis) else { return used.unsupported("a choice of images") };
    // Each node stores its indices.
    let count = indices.len() as u64;
    if count > SMALL && count >= lower.room {
        return used.unsupported("more indices than are followed");
    }
    lower.room -= if count > SMALL { count } else { 0 };
    let layer = Layer::Gather(Gather { indices, axis: place as u64 });
    Ok(Value::Tensor(lower.map(used, layer, tensor, vec![])?))
}

/// Returns `tensor` with its elements along `axis` repeated, up to `size` elements.
pub(super) fn repeated(
    lower: &mut Lower,
    used: Use<'_>,
    tensor: &Tensor,
    axis: usize,
    size: u64,
) -> Result<Tensor, Flaw> {
    let old = tensor.dims[axis].max(1);
    if size > KNOWN {
        return used.unsupported(format!("a repetition to {size} elements"));
    }
    match chosen(lower, used, tensor, axis, (0..size).map(|index| index % old).collect())? {
        Value::Tensor(tensor) => Ok(tensor),
        _ => used.unsupported("repetition"),
    }
}
