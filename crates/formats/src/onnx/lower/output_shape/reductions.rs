//! Reductions, selections along an axis, and products of matrices.

use super::Asked;
use crate::onnx::lower::elements::broadcast;

pub(super) fn shape(node: Asked<'_>) -> Option<Vec<u64>> {
    let name = node.operator();
    match name {
        "ArgMax" | "ArgMin" => {
            let dims = node.dims(0)?;
            let axis = node.axis_of("axis", 0, dims.len())?;
            Some(without(&dims, &[axis], node.used.int("keepdims", 1) != 0))
        }
        "TopK" => {
            let mut dims = node.dims(0)?;
            let axis = node.axis_of("axis", -1, dims.len())?;
            dims[axis] = match node.number("k") {
                Some(count) => count,
                None => *node.sizes(1)?.first()?,
            };
            Some(dims)
        }
        "MatMul" | "MatMulInteger" => product(&node.dims(0)?, &node.dims(1)?),
        "QLinearMatMul" => product(&node.dims(0)?, &node.dims(3)?),
        "Gemm" | "QGemm" | "FusedGemm" => {
            let (a, b) = (node.dims(0)?, node.dims(if name == "QGemm" { 3 } else { 1 })?);
            let (&[rows, inner], &[outer, columns]) = (a.as_slice(), b.as_slice()) else { return None };
            let rows = if node.used.int("transA", 0) == 0 { rows } else { inner };
            Some(vec![rows, if node.used.int("transB", 0) == 0 { columns } else { outer }])
        }
        "Einsum" => einsum(node),
        "Det" => {
            let dims = node.dims(0)?;
            Some(dims.get(..dims.len().checked_sub(2)?)?.to_vec())
        }
        _ if name.starts_with("Reduce") => {
            let dims = node.dims(0)?;
            let given = node.setting("axes", 1)?.filter(|axes| !axes.is_empty());
            let axes = match given {
                Some(axes) => {
                    axes.iter().map(|&axis| node.axis(axis, dims.len())).collect::<Option<Vec<_>>>()?
                }
                None if node.used.int("noop_with_empty_axes", 0) != 0 => vec![],
                None => (0..dims.len()).collect(),
            };
            Some(without(&dims, &axes, node.used.int("keepdims", 1) != 0))
        }
        _ => None,
    }
}

/// Returns `dims` without `axes`, or with size 1 in their place if `kept`.
fn without(dims: &[u64], axes: &[usize], kept: bool) -> Vec<u64> {
    let size = |(axis, &size): (usize, &u64)| match (axes.contains(&axis), kept) {
        (false, _) => Some(size),
        (true, true) => Some(1),
        (true, false) => None,
    };
    dims.iter().enumerate().filter_map(size).collect()
}

/// Returns the sizes of a product of matrices, or of stacks of them.
pub(super) fn product(a: &[u64], b: &[u64]) -> Option<Vec<u64>> {
    let (mut left, mut right) = (a.to_vec(), b.to_vec());
    if left.is_empty() || right.is_empty() {
        return None;
    }
    if left.len() == 1 {
        left.insert(0, 1);
    }
    if right.len() == 1 {
        right.push(1);
    }
    let (rows, columns) = (left[left.len() - 2], right[right.len() - 1]);
    if left[left.len() - 1] != right[right.len() - 2] {
        return None;
    }
    let mut result = broadcast(&left[..left.len() - 2], &right[..right.len() - 2]).ok()?;
    if a.len() > 1 {
        result.push(rows);
    }
    if b.len() > 1 {
        result.push(columns);
    }
    Some(result)
}

/// Returns the sizes of the letters of the output.
fn einsum(node: Asked<'_>) -> Option<Vec<u64>> {
    let equation: String =
        node.used.text("equation")?.chars().filter(|letter| !letter.is_whitespace()).collect();
    let (inputs, output) = equation.split_once("->")?;
    let mut sizes = std::collections::HashMap::new();
    for (index, letters) in inputs.split(',').enumerate() {
        let dims = node.dims(index)?;
        if letters.chars().count() != dims.len() || letters.contains('.') {
            return None;
        }
        for (letter, size) in letters.chars().zip(dims) {
            let known = sizes.entry(letter).or_insert(size);
            *known = (*known).max(size);
        }
    }
    output.chars().map(|letter| sizes.get(&letter).copied()).collect()
}
