//! Reductions: ReduceMean, ReduceSum, ReduceMax and their kin.

use super::context::{Flaw, Lower, Outcome, Tensor, Use, Value};
use crate::onnx::constant::Constant;
use cnnkit_core::layers::Layer;
use cnnkit_core::layers::global_avg_pool::GlobalAvgPool;
use cnnkit_core::layers::global_max_pool::GlobalMaxPool;
use cnnkit_core::layers::reduce::{Reduce, Reduction};

fn reduction(name: &str) -> Option<Reduction> {
    Some(match name {
        "ReduceMean" => Reduction::Mean,
        "ReduceSum" => Reduction::Sum,
        "ReduceMax" => Reduction::Max,
        "ReduceMin" => Reduction::Min,
        "ReduceL2" => Reduction::L2,
        _ => return None,
    })
}

pub(super) fn reduce(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let keepdim = used.int("keepdims", 1) != 0;
    let given = lower.setting(used, "axes", 1)?.filter(|axes| !axes.is_empty());
    if given.is_none() && used.int("noop_with_empty_axes", 0) != 0 {
        return Ok(vec![lower.value(used, 0)?.clone()]);
    }
    let input = match lower.value(used, 0)?.clone() {
        Value::Tensor(tensor) => tensor,
        Value::Constant(constant) => return constants(used, &constant, given.as_deref(), keepdim),
        Value::Unknown(reason) => return Err(Flaw::Unsupported(reason)),
    };
    let rank = input.dims.len();
    let mut axes: Vec<usize> = match given {
        Some(axes) => axes.iter().map(|&axis| used.axis(axis, rank)).collect::<Result<_, _>>()?,
        None => (0..rank).collect(),
    };
    axes.sort_unstable();
    axes.dedup();
    let Some(kind) = reduction(&used.node.op_type) else { return used.unsupported("this reduction") };
    let places: Option<Vec<usize>> = axes.iter().map(|&axis| input.axis(axis)).collect();
    let Some(places) = places else { return used.unsupported("a reduction over the batch") };
    let dims: Vec<u64> = (0..rank)
        .filter(|axis| keepdim || !axes.contains(axis))
        .map(|axis| if axes.contains(&axis) { 1 } else { input.dims[axis] })
        .collect();
    let batch = input
        .batch
        .map(|batch| if keepdim { batch } else { batch - axes.iter().filter(|&&axis| axis < batch).count() });
    let space = input.batch == Some(0) && rank > 2 && axes.iter().copied().eq(2..rank);
    let layer = match kind {
        Reduction::Mean if space && rank <= 5 => Layer::GlobalAvgPool(GlobalAvgPool { keepdim }),
        Reduction::Max if space && rank <= 5 => Layer::GlobalMaxPool(GlobalMaxPool { keepdim }),
        _ => Layer::Reduce(Reduce {
            reduction: kind,
            axes: places.iter().map(|&axis| axis as u64).collect(),
            keepdim,
        }),
    };
    let made = lower.emit(used, layer, &[&input], vec![], batch)?;
    let made = super::slice_concat::settled(lower, used, Tensor { draft: made.draft, dims, batch })?;
    Ok(vec![Value::Tensor(made)])
}

/// Reduces known numbers: part of the arithmetic of shapes or masks.
fn constants(used: Use<'_>, constant: &Constant, axes: Option<&[i64]>, keepdim: bool) -> Outcome {
    let rank = constant.dims.len();
    let axes = match axes {
        Some(axes) => axes.iter().map(|&axis| used.axis(axis, rank)).collect::<Result<Vec<_>, _>>()?,
        None => (0..rank).collect(),
    };
    match super::evaluate::reduced(&used.node.op_type, constant, &axes, keepdim)? {
        Some(result) => Ok(vec![Value::Constant(result)]),
        None => used.unsupported("this reduction of constants"),
    }
}
