//! Operators that move, select or repeat elements, and those that create tensors of given sizes.

use super::Asked;
use crate::onnx::lower::elements::broadcast;
use crate::onnx::lower::{shapes, slice_concat};

pub(super) fn shape(node: Asked<'_>) -> Option<Vec<u64>> {
    match node.operator() {
        "Reshape" => {
            let wanted = node.setting("shape", 1)??;
            shapes::resolved(&node.dims(0)?, &wanted, node.used.int("allowzero", 0) != 0).ok()
        }
        "Flatten" => {
            let dims = node.dims(0)?;
            let axis = node.used.int("axis", 1);
            let axis = usize::try_from(if axis < 0 { axis + dims.len() as i64 } else { axis }).ok()?;
            let part = |sizes: &[u64]| cnnkit_core::shape::product(sizes);
            Some(vec![part(dims.get(..axis)?)?, part(dims.get(axis..)?)?])
        }
        "Squeeze" => {
            let dims = node.dims(0)?;
            let axes = match node.setting("axes", 1)? {
                Some(axes) => {
                    axes.iter().map(|&axis| node.axis(axis, dims.len())).collect::<Option<Vec<_>>>()?
                }
                None => (0..dims.len()).filter(|&axis| dims[axis] == 1).collect(),
            };
            Some(
                dims.iter()
                    .enumerate()
                    .filter(|(axis, _)| !axes.contains(axis))
                    .map(|(_, &size)| size)
                    .collect(),
            )
        }
        "Unsqueeze" => {
            let mut dims = node.dims(0)?;
            let given = node.setting("axes", 1)??;
            let rank = dims.len() + given.len();
            let mut axes = given.iter().map(|&axis| node.axis(axis, rank)).collect::<Option<Vec<_>>>()?;
            axes.sort_unstable();
            for axis in axes {
                if axis > dims.len() {
                    return None;
                }
                dims.insert(axis, 1);
            }
            Some(dims)
        }
        "Transpose" => {
            let dims = node.dims(0)?;
            match node.used.ints("perm") {
                Some(order) => order.iter().map(|&axis| Some(dims[node.axis(axis, dims.len())?])).collect(),
                None => Some(dims.into_iter().rev().collect()),
            }
        }
        "Slice" => sliced(node),
        "Split" => part(node, 0),
        "Concat" => {
            let mut result = node.dims(0)?;
            let axis = node.axis_of("axis", 1, result.len())?;
            for index in 1..node.used.node.input.len() {
                result[axis] = result[axis].checked_add(*node.dims(index)?.get(axis)?)?;
            }
            Some(result)
        }
        "Pad" => {
            let mut dims = node.dims(0)?;
            let pads = node.setting("pads", 1)?.or(node.used.ints("paddings").map(<[i64]>::to_vec))?;
            let axes = match node.setting("axes", 3)? {
                Some(axes) => {
                    axes.iter().map(|&axis| node.axis(axis, dims.len())).collect::<Option<Vec<_>>>()?
                }
                None => (0..dims.len()).collect(),
            };
            for (index, &axis) in axes.iter().enumerate() {
                let more = pads.get(index)?.checked_add(*pads.get(index + axes.len())?)?;
                dims[axis] = dims[axis].checked_add_signed(more)?;
            }
            Some(dims)
        }
        "Tile" => {
            node.dims(0)?.iter().zip(node.sizes(1)?).map(|(size, times)| size.checked_mul(times)).collect()
        }
        "Expand" => broadcast(&node.dims(0)?, &node.sizes(1)?).ok(),
        "Gather" => {
            let (dims, indices) = (node.dims(0)?, node.dims(1)?);
            let axis = node.axis_of("axis", 0, dims.len())?;
            Some([&dims[..axis], indices.as_slice(), &dims[axis + 1..]].concat())
        }
        "GatherElements" => node.dims(1),
        "GatherND" => {
            let (dims, indices) = (node.dims(0)?, node.dims(1)?);
            let (&depth, outer) = indices.split_last()?;
            let shared = usize::try_from(node.used.int("batch_dims", 0)).ok()?;
            Some([outer, dims.get(shared + usize::try_from(depth).ok()?..)?].concat())
        }
        "OneHot" => {
            let mut dims = node.dims(0)?;
            let depth = u64::try_from(*node.ints(1)?.first()?).ok()?;
            let axis = node.axis_of("axis", -1, dims.len() + 1)?;
            dims.insert(axis, depth);
            Some(dims)
        }
        "DepthToSpace" => {
            let (dims, block) = (node.dims(0)?, node.number("blocksize")?);
            let &[batch, channels, height, width] = dims.as_slice() else { return None };
            let channels = channels.checked_div(block.checked_mul(block)?)?;
            Some(vec![batch, channels, height.checked_mul(block)?, width.checked_mul(block)?])
        }
        "SpaceToDepth" => {
            let (dims, block) = (node.dims(0)?, node.number("blocksize")?);
            let &[batch, channels, height, width] = dims.as_slice() else { return None };
            let channels = channels.checked_mul(block.checked_mul(block)?)?;
            Some(vec![batch, channels, height.checked_div(block)?, width.checked_div(block)?])
        }
        "CenterCropPad" => {
            let (mut dims, wanted) = (node.dims(0)?, node.sizes(1)?);
            let axes = match node.used.ints("axes") {
                Some(axes) => {
                    axes.iter().map(|&axis| node.axis(axis, dims.len())).collect::<Option<Vec<_>>>()?
                }
                None => (0..dims.len()).collect(),
            };
            for (axis, size) in axes.into_iter().zip(wanted) {
                dims[axis] = size;
            }
            Some(dims)
        }
        "ConstantOfShape" => node.sizes(0),
        "RandomNormal" | "RandomUniform" => crate::onnx::constant::sizes(node.used.ints("shape")?).ok(),
        "Multinomial" => Some(vec![*node.dims(0)?.first()?, node.number("sample_size").unwrap_or(1)]),
        "HannWindow" | "HammingWindow" | "BlackmanWindow" => node.sizes(0),
        "MelWeightMatrix" => {
            let (bins, length) = (*node.sizes(0)?.first()?, *node.sizes(1)?.first()?);
            Some(vec![length / 2 + 1, bins])
        }
        "DFT" => transformed(node),
        "STFT" => {
            let (signal, step) = (node.dims(0)?, *node.sizes(1)?.first()?);
            let length = match (node.used.has(3), node.used.has(2)) {
                (true, _) => *node.sizes(3)?.first()?,
                (false, true) => *node.dims(2)?.first()?,
                (false, false) => return None,
            };
            let frames = signal.get(1)?.checked_sub(length)?.checked_div(step)? + 1;
            let bins = if node.used.int("onesided", 1) != 0 { length / 2 + 1 } else { length };
            Some(vec![signal[0], frames, bins, 2])
        }
        _ => None,
    }
}

/// Returns the sizes of output `index` of a Split.
pub(super) fn part(node: Asked<'_>, index: usize) -> Option<Vec<u64>> {
    let mut dims = node.dims(0)?;
    let axis = node.axis_of("axis", 0, dims.len())?;
    dims[axis] = match node.setting("split", 1)? {
        Some(lengths) => u64::try_from(*lengths.get(index)?).ok()?,
        None => {
            let length = dims[axis].div_ceil(node.used.outputs().max(1) as u64).max(1);
            length.min(dims[axis].saturating_sub(index as u64 * length))
        }
    };
    Some(dims)
}

fn sliced(node: Asked<'_>) -> Option<Vec<u64>> {
    let mut dims = node.dims(0)?;
    let (starts, ends) = (node.setting("starts", 1)??, node.setting("ends", 2)??);
    let axes = node.setting("axes", 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = node.setting("steps", 4)?.unwrap_or_else(|| vec![1; starts.len()]);
    for (index, &start) in starts.iter().enumerate() {
        let axis = node.axis(*axes.get(index)?, dims.len())?;
        dims[axis] =
            slice_concat::part(axis, dims[axis], start, *ends.get(index)?, *steps.get(index)?).ok()?.count;
    }
    Some(dims)
}

/// Returns the sizes of a Fourier transform: real and imaginary parts are the last axis.
fn transformed(node: Asked<'_>) -> Option<Vec<u64>> {
    let mut dims = node.dims(0)?;
    let axis = match node.ints(2) {
        Some(axis) => *axis.first()?,
        None if node.used.has(2) => return None,
        None => node.used.int("axis", if node.used.opset < 20 { 1 } else { -2 }),
    };
    let axis = node.axis(axis, dims.len())?;
    if node.used.has(1) {
        dims[axis] = *node.sizes(1)?.first()?;
    }
    if node.used.int("onesided", 0) != 0 {
        dims[axis] = dims[axis] / 2 + 1;
    }
    *dims.last_mut()? = 2;
    Some(dims)
}
