//! Linear maps and products of matrices: Gemm, MatMul.

use super::context::{Flaw, Lower, Outcome, Tensor, Use, Value};
use super::conv::swapped;
use super::runtime::Parts;
use super::shapes::permuted;
use crate::onnx::constant::{Change, Constant};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::Layer;
use cnnkit_core::layers::linear::Linear;
use cnnkit_core::layers::matmul::Matmul;
use cnnkit_core::layers::rescale::Rescale;

/// Adds a linear layer on the last axis, with the weight in PyTorch's layout.
fn linear(
    lower: &mut Lower,
    used: Use<'_>,
    input: &Tensor,
    weight: Constant,
    bias: Option<Constant>,
) -> Result<Tensor, Flaw> {
    if input.dims.is_empty() {
        return used.unsupported("a linear map of a single number without axes");
    }
    let mut input = input.clone();
    if input.batch == Some(input.dims.len() - 1) {
        if lower.batch != 1 {
            return used.unsupported("a linear map over the batch");
        }
        // A batch of 1 is an axis like any other.
        input = lower.viewed(used, &input, &input.dims.clone(), None)?;
    }
    let layer = Linear { out_features: weight.dims[0], bias: bias.is_some(), in_features: None };
    let mut weights = vec![weight];
    weights.extend(bias);
    lower.emit(used, Layer::Linear(layer), &[&input], weights, input.batch)
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
    let turned = used.int("transA", 0) != 0;
    let weight = match lower.value(used, 1)?.clone() {
        Value::Constant(weight) if !turned => weight,
        Value::Constant(_) => return used.unsupported("a constant times a transposed map"),
        Value::Tensor(weight) => return computed_gemm(lower, used, &input, &weight),
        Value::Unknown(reason) => return Err(Flaw::Unsupported(reason)),
    };
    if weight.dims.len() != 2 || input.dims.len() != 2 {
        let message = format!("it multiplies {:?} and {:?}: both must have 2 axes", input.dims, weight.dims);
        return Err(Problem::shape(message).into());
    }
    let weight = if used.int("transB", 0) == 0 { swapped(&weight) } else { weight };
    let outputs = weight.dims[0];
    let mut bias = match lower.value(used, 2) {
        _ if !used.has(2) => None,
        Ok(Value::Tensor(_)) => {
            let product = linear(lower, used, &input, scaled(weight, alpha), None)?;
            return added(lower, used, product, beta);
        }
        _ => lower.optional(used, 2)?.map(|bias| scaled(bias, beta)),
    };
    // A bias may be written as [1, N]; anything else that broadcasts is rare.
    if let Some(given) = &bias
        && given.dims != [outputs]
    {
        if given.elements()? != outputs {
            let product = linear(lower, used, &input, scaled(weight, alpha), None)?;
            return added(lower, used, product, beta);
        }
        bias = Some(given.changed(Change::Reshape(vec![outputs]), vec![outputs]));
    }
    let output = linear(lower, used, &input, scaled(weight, alpha), bias)?;
    Ok(vec![Value::Tensor(output)])
}

/// `alpha * A' * B' + beta * C` where both matrices are computed.
fn computed_gemm(lower: &mut Lower, used: Use<'_>, a: &Tensor, b: &Tensor) -> Outcome {
    let (mut left, mut right) = (a.clone(), b.clone());
    if left.dims.len() != 2 || right.dims.len() != 2 {
        let message = format!("it multiplies {:?} and {:?}: both must have 2 axes", left.dims, right.dims);
        return Err(Problem::shape(message).into());
    }
    if used.int("transA", 0) != 0 {
        left = permuted(lower, used, &left, &[1, 0])?;
    }
    if used.int("transB", 0) != 0 {
        right = permuted(lower, used, &right, &[1, 0])?;
    }
    let mut output = product(lower, used, left, right)?;
    let alpha = used.float("alpha", 1.0);
    if alpha != 1.0 {
        output = lower.map(used, Layer::Rescale(Rescale { scale: alpha, shift: 0.0 }), &output, vec![])?;
    }
    added(lower, used, output, used.float("beta", 1.0))
}

/// `product + beta * C`.
fn added(lower: &mut Lower, used: Use<'_>, product: Tensor, beta: f64) -> Outcome {
    if !used.has(2) || beta == 0.0 {
        return Ok(vec![Value::Tensor(product)]);
    }
    let addend = match lower.value(used, 2)?.clone() {
        Value::Constant(constant) => Value::Constant(scaled(constant, beta)),
        Value::Tensor(tensor) if beta != 1.0 => {
            let layer = Layer::Rescale(Rescale { scale: beta, shift: 0.0 });
            Value::Tensor(lower.map(used, layer, &tensor, vec![])?)
        }
        value => value,
    };
    let mut parts = Parts::new(lower, used);
    let (product, addend) = (parts.named(Value::Tensor(product)), parts.named(addend));
    let sum = parts.apply("Add", vec![product, addend], vec![])?;
    parts.done(&sum)
}

pub(super) fn matmul(lower: &mut Lower, used: Use<'_>) -> Outcome {
    if let Value::Constant(weight) = lower.value(used, 1)?.clone()
        && (1..=2).contains(&weight.dims.len())
    {
        let input = lower.tensor(used, 0)?;
        if weight.dims.len() == 2 {
            return Ok(vec![Value::Tensor(linear(lower, used, &input, swapped(&weight), None)?)]);
        }
        // A vector is one output, whose axis vanishes.
        let row = vec![1, weight.dims[0]];
        let weight = weight.changed(Change::Reshape(row.clone()), row);
        let output = linear(lower, used, &input, weight, None)?;
        let dims = output.dims[..output.dims.len().saturating_sub(1)].to_vec();
        return Ok(vec![Value::Tensor(lower.viewed(used, &output, &dims, output.batch)?)]);
    }
    let (left, right) = (lower.tensor(used, 0)?, lower.tensor(used, 1)?);
    Ok(vec![Value::Tensor(product(lower, used, left, right)?)])
}

/// The product of two computed operands by NumPy's rule: vectors are a row and a column, stacks of matrices broadcast.
fn product(lower: &mut Lower, used: Use<'_>, left: Tensor, right: Tensor) -> Result<Tensor, Flaw> {
    let (row, column) = (left.dims.len() == 1, right.dims.len() == 1);
    let none = |tensor: &Tensor| tensor.dims.is_empty();
    if none(&left) || none(&right) {
        return used.unsupported(format!("a product of {:?} and {:?}", left.dims, right.dims));
    }
    let left = if row { lower.viewed(used, &left, &[1, left.dims[0]], None)? } else { left };
    let right = if column { lower.viewed(used, &right, &[right.dims[0], 1], None)? } else { right };
    let rank = left.dims.len().max(right.dims.len());
    let (left, right) = (spread(lower, used, left, rank)?, spread(lower, used, right, rank)?);
    let batch = left.batch.or(right.batch);
    let (left, right) = (placed(lower, used, left, batch)?, placed(lower, used, right, batch)?);
    let apart = |tensor: &Tensor| tensor.batch.is_some_and(|axis| axis + 2 >= rank) || tensor.batch != batch;
    let mixed = (apart(&left) || apart(&right)) && batch.is_some();
    if mixed && lower.batch != 1 {
        return used.unsupported("a product that does not keep the batch apart");
    }
    let (left, right, batch) = if mixed {
        // A batch of 1 is an axis like any other.
        let plain =
            |lower: &mut Lower, tensor: &Tensor| lower.viewed(used, tensor, &tensor.dims.clone(), None);
        (plain(lower, &left)?, plain(lower, &right)?, None)
    } else {
        (left, right, batch)
    };
    let mut output = lower.emit(used, Layer::Matmul(Matmul {}), &[&left, &right], vec![], batch)?;
    if row || column {
        let mut dims = output.dims.clone();
        if column {
            dims.pop();
        }
        if row {
            dims.remove(rank - 2);
        }
        output = lower.viewed(used, &output, &dims, batch)?;
    }
    if mixed {
        return super::slice_concat::settled(lower, used, output);
    }
    Ok(output)
}

/// `tensor` with axes of 1 in front, so that it has `rank` of them.
fn spread(lower: &mut Lower, used: Use<'_>, tensor: Tensor, rank: usize) -> Result<Tensor, Flaw> {
    let more = rank - tensor.dims.len();
    if more == 0 {
        return Ok(tensor);
    }
    let dims = [vec![1; more], tensor.dims.clone()].concat();
    lower.viewed(used, &tensor, &dims, tensor.batch.map(|batch| batch + more))
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

/// A weight with a row an output and a bias, as PyTorch has them; see [`super::aten`].
pub(super) fn of_rows(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let input = lower.tensor(used, 0)?;
    let weight = lower.constant(used, 1)?;
    let bias = lower.optional(used, 2)?;
    let [outputs, _] = weight.dims.as_slice() else {
        return used.unsupported(format!("a weight of the sizes {:?}", weight.dims));
    };
    if bias.as_ref().is_some_and(|bias| bias.dims != [*outputs]) {
        return used.unsupported("a bias that is no list");
    }
    Ok(vec![Value::Tensor(linear(lower, used, &input, weight, bias)?)])
}
