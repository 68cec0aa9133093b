//! Linear maps and products of matrices: Gemm, MatMul.

use super::context::{Flaw, Lower, Outcome, Tensor, Use, Value};
use super::conv::swapped;
use crate::onnx::constant::{Change, Constant};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::Layer;
use cnnkit_core::layers::linear::Linear;
use cnnkit_core::layers::matmul::Matmul;

/// Adds a linear layer on the last axis, with the weight in PyTorch's layout.
fn linear(
    lower: &mut Lower,
    used: Use<'_>,
    input: &Tensor,
    weight: Constant,
    bias: Option<Constant>,
) -> Result<Tensor, Flaw> {
    if input.batch == Some(input.dims.len() - 1) {
        return used.unsupported("a linear map over the batch");
    }
    let layer = Linear { out_features: weight.dims[0], bias: bias.is_some(), in_features: None };
    let mut weights = vec![weight];
    weights.extend(bias);
    lower.emit(used, Layer::Linear(layer), &[input], weights, input.batch)
}

fn scaled(constant: Constant, factor: f64) -> Constant {
    if factor == 1.0 {
        return constant;
    }
    let dims = constant.dims.clone();
    constant.changed(Change::Scale(factor), dims)
}

pub(super) fn gemm(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let (alpha, beta) = (used.float("alpha", 1.0), used.float("beta", 1.0));
    let input = lower.tensor(used, 0)?;
    if used.int("transA", 0) != 0 {
        return used.unsupported("transA");
    }
    let weight = lower.constant(used, 1)?;
    if weight.dims.len() != 2 || input.dims.len() != 2 {
        let message = format!("it multiplies {:?} and {:?}: both must have 2 axes", input.dims, weight.dims);
        return Err(Problem::shape(message).into());
    }
    let weight = if used.int("transB", 0) == 0 { swapped(&weight) } else { weight };
    let outputs = weight.dims[0];
    let mut bias = lower.optional(used, 2)?.map(|bias| scaled(bias, beta));
    // A bias may be written as [1, N]; other broadcast shapes are rare.
    if let Some(given) = &bias
        && given.dims != [outputs]
    {
        if given.elements()? != outputs {
            return used.unsupported(format!("a bias of the sizes {:?}", given.dims));
        }
        bias = Some(given.changed(Change::Reshape(vec![outputs]), vec![outputs]));
    }
    let output = linear(lower, used, &input, scaled(weight, alpha), bias)?;
    Ok(vec![Value::Tensor(output)])
}

pub(super) fn matmul(lower: &mut Lower, used: Use<'_>) -> Outcome {
    if let Value::Constant(weight) = lower.value(used, 1)?
        && weight.dims.len() == 2
    {
        let weight = swapped(&weight.clone());
        let input = lower.tensor(used, 0)?;
        return Ok(vec![Value::Tensor(linear(lower, used, &input, weight, None)?)]);
    }
    let (left, right) = (lower.tensor(used, 0)?, lower.tensor(used, 1)?);
    let rank = left.dims.len();
    if rank != right.dims.len() || rank < 2 {
        return used.unsupported(format!("a product of {:?} and {:?}", left.dims, right.dims));
    }
    let batch = left.batch.or(right.batch);
    let (left, right) = (placed(lower, used, left, batch)?, placed(lower, used, right, batch)?);
    let apart = |tensor: &Tensor| tensor.batch.is_some_and(|axis| axis + 2 >= rank) || tensor.batch != batch;
    if (apart(&left) || apart(&right)) && batch.is_some() {
        return used.unsupported("a product that does not keep the batch apart");
    }
    let output = lower.emit(used, Layer::Matmul(Matmul {}), &[&left, &right], vec![], batch)?;
    Ok(vec![Value::Tensor(output)])
}

/// Returns an operand that is equal for all images, with the batch axis of the other operand.
fn placed(lower: &mut Lower, used: Use<'_>, tensor: Tensor, batch: Option<usize>) -> Result<Tensor, Flaw> {
    match batch {
        Some(axis) if tensor.batch.is_none() && tensor.dims[axis] == 1 => {
            lower.viewed(used, &tensor, &tensor.dims.clone(), batch)
        }
        _ => Ok(tensor),
    }
}
