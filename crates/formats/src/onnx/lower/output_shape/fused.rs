//! Recurrent layers, attention, and ONNX Runtime's fused operators.

use super::{Asked, reductions, windows};

/// Operators of ONNX Runtime whose first output has the shape of their first input.
const KEEPS_SHAPE: &[&str] = &[
    "BiasAdd",
    "BiasDropout",
    "BiasGelu",
    "BiasSoftmax",
    "FastGelu",
    "Gelu",
    "GemmaRotaryEmbedding",
    "GroupNorm",
    "GroupQueryAttention",
    "Inverse",
    "QLinearLeakyRelu",
    "QLinearSigmoid",
    "QLinearSoftmax",
    "QuickGelu",
    "ReorderInput",
    "RotaryEmbedding",
    "SimplifiedLayerNormalization",
    "SkipGroupNorm",
    "SkipLayerNormalization",
    "SkipSimplifiedLayerNormalization",
];

pub(super) fn shape(node: Asked<'_>, index: usize) -> Option<Vec<u64>> {
    let name = node.operator();
    match (name, index) {
        ("LSTM" | "GRU" | "RNN", _) => recurrent(node, index),
        ("Attention", 0) if node.used.node.domain != "com.microsoft" => attention(node),
        _ if node.used.node.domain.is_empty() && name != "SimplifiedLayerNormalization" => None,
        ("SkipLayerNormalization" | "SkipSimplifiedLayerNormalization", 3) => node.dims(0),
        (_, 1..) => None,
        _ if KEEPS_SHAPE.contains(&name) => node.dims(0),
        ("QLinearAdd" | "QLinearMul", 0) => {
            crate::onnx::lower::elements::broadcast(&node.dims(0)?, &node.dims(3)?).ok()
        }
        ("QLinearGlobalAveragePool", 0) => {
            let mut dims = node.dims(0)?;
            let last = node.used.int("channels_last", 0) != 0;
            let end = dims.len().checked_sub(usize::from(last))?;
            dims.get_mut(if last { 1 } else { 2 }..end)?.fill(1);
            Some(dims)
        }
        ("QLinearConcat", 0) => {
            let mut result = node.dims(2)?;
            let axis = node.axis_of("axis", 1, result.len())?;
            for index in (5..node.used.node.input.len()).step_by(3) {
                result[axis] = result[axis].checked_add(*node.dims(index)?.get(axis)?)?;
            }
            Some(result)
        }
        ("FusedMatMul" | "TransposeMatMul", 0) => {
            let turned = |index: usize, name: &str| {
                let mut dims = node.dims(index)?;
                if node.used.int(name, 0) != 0 && dims.len() > 1 {
                    let last = dims.len() - 1;
                    dims.swap(last, last - 1);
                }
                Some(dims)
            };
            reductions::product(&turned(0, "transA")?, &turned(1, "transB")?)
        }
        ("DynamicQuantizeMatMul" | "MatMulIntegerToFloat", 0) => {
            reductions::product(&node.dims(0)?, &node.dims(1)?)
        }
        ("MatMulNBits" | "MatMulBnb4", 0) => {
            let mut dims = node.dims(0)?;
            *dims.last_mut()? = node.number("N")?;
            Some(dims)
        }
        ("BiasSplitGelu", 0) => {
            let mut dims = node.dims(0)?;
            *dims.last_mut()? /= 2;
            Some(dims)
        }
        ("Attention" | "QAttention", 0) => {
            let (input, weight) = (node.dims(0)?, node.dims(1)?);
            let &[batch, length, _] = input.as_slice() else { return None };
            let features = match node.used.ints("qkv_hidden_sizes") {
                Some(&[_, _, value]) => u64::try_from(value).ok()?,
                _ => weight.last()? / 3,
            };
            Some(vec![batch, length, features])
        }
        ("MultiHeadAttention", 0) => {
            let query = node.dims(0)?;
            match (query.as_slice(), node.dims(2).as_deref()) {
                (&[batch, length, _], Some(&[_, _, features])) => Some(vec![batch, length, features]),
                (&[batch, length, features], Some(&[_, heads, _, size])) => {
                    Some(vec![batch, length, heads.checked_mul(size).unwrap_or(features)])
                }
                (&[batch, length, heads, 3, size], _) => Some(vec![batch, length, heads.checked_mul(size)?]),
                _ => None,
            }
        }
        ("ReorderOutput", 0) => {
            let mut dims = node.dims(0)?;
            *dims.get_mut(1)? = node.number("channels")?;
            Some(dims)
        }
        _ => windows::shape(node),
    }
}

/// Returns the sizes of all steps, the last state, and the last cell of an LSTM.
fn recurrent(node: Asked<'_>, index: usize) -> Option<Vec<u64>> {
    let (input, weight) = (node.dims(0)?, node.dims(2)?);
    let (&[first, second, _], &[directions, _, hidden]) = (input.as_slice(), weight.as_slice()) else {
        return None;
    };
    let batch_first = node.used.int("layout", 0) != 0;
    Some(match (index, batch_first) {
        (0, false) => vec![first, directions, second, hidden],
        (0, true) => vec![first, second, directions, hidden],
        (1 | 2, false) => vec![directions, second, hidden],
        (1 | 2, true) => vec![first, directions, hidden],
        _ => return None,
    })
}

/// Returns the sizes of ONNX's own attention: one row per query, with the features of the values.
fn attention(node: Asked<'_>) -> Option<Vec<u64>> {
    let (query, value) = (node.dims(0)?, node.dims(2)?);
    match (query.as_slice(), value.as_slice()) {
        (&[batch, heads, length, _], &[_, _, _, size]) => Some(vec![batch, heads, length, size]),
        (&[batch, length, _], &[_, _, features]) => {
            let (queries, values) = (node.number("q_num_heads")?, node.number("kv_num_heads")?);
            Some(vec![batch, length, features.checked_div(values)?.checked_mul(queries)?])
        }
        _ => None,
    }
}
