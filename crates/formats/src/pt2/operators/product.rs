//! Matrix products.

use super::super::messages::{float, int, ints, text};
use super::call::{Call, Outcome, Unsupported, known, one, unsupported};

pub(super) fn linear(call: &mut Call<'_, '_>) -> Outcome {
    let input = call.first()?;
    let weight = call.tensor("weight")?.ok_or_else(|| Unsupported("it has no weight".into()))?;
    let bias = call.tensor("bias")?;
    let mut inputs = vec![input, weight];
    inputs.extend(bias);
    one(call.emit_own("Linear", inputs, vec![]))
}

/// `beta * self + alpha * a b`.
pub(super) fn addmm(call: &mut Call<'_, '_>) -> Outcome {
    let (alpha, beta) = (call.float("alpha", 1.0)?, call.float("beta", 1.0)?);
    if call.operator == "aten.addbmm" {
        return unsupported("a sum of products");
    }
    let added = call.first()?;
    let (a, b) = (call.at(1)?, call.at(2)?);
    let (a, b) = (call.operand(a)?, call.operand(b)?);
    if call.operator == "aten.addmm" {
        return one(call.emit("Gemm", vec![a, b, added], vec![float("alpha", alpha), float("beta", beta)]));
    }
    let scaled = |call: &mut Call<'_, '_>, value: String, factor: f64| {
        if factor == 1.0 {
            return value;
        }
        let factor = call.number(factor);
        call.emit("Mul", vec![value, factor], vec![])
    };
    let product = call.emit("MatMul", vec![a, b], vec![]);
    let product = scaled(call, product, alpha);
    if beta == 0.0 {
        return one(product);
    }
    let added = scaled(call, added, beta);
    one(call.emit("Add", vec![product, added], vec![]))
}

pub(super) fn matmul(call: &mut Call<'_, '_>) -> Outcome {
    let (left, right) = (call.at(0)?, call.at(1)?);
    let (a, b) = (call.meta_of(left)?.sizes.len(), call.meta_of(right)?.sizes.len());
    let (mut left, mut right) = (call.operand(left)?, call.operand(right)?);
    let spread = |call: &mut Call<'_, '_>, value: String, rank: usize, more: usize| {
        if more == 0 || rank < 2 {
            return value;
        }
        let axes = call.constant((0..more as i64).collect());
        call.emit("Unsqueeze", vec![value, axes], vec![])
    };
    if a < 2 || b < 2 {
        return unsupported("a product with a vector");
    }
    // A matrix that multiplies a stack stays a weight.
    left = spread(call, left, a, b.saturating_sub(a));
    if b > 2 {
        right = spread(call, right, b, a.saturating_sub(b));
    }
    one(call.emit("MatMul", vec![left, right], vec![]))
}

pub(super) fn einsum(call: &mut Call<'_, '_>) -> Outcome {
    let equation = call.text("equation").ok_or_else(|| Unsupported("it has no equation".into()))?;
    let Some(list) = call.node.inputs.get(1) else { return unsupported("it has no operands") };
    let super::super::schema::Argument::Tensors(names) = &list.arg else {
        return unsupported("its operands are no list");
    };
    let mut inputs = Vec::with_capacity(names.len());
    for name in names {
        let Some(name) = name else { return unsupported("an operand is left out") };
        inputs.push(call.values.read(name)?);
    }
    one(call.emit("Einsum", inputs, vec![text("equation", equation)]))
}

/// A value with its last two axes swapped, of `rank` axes.
pub(super) fn turned(call: &mut Call<'_, '_>, value: String, rank: usize) -> String {
    let mut order: Vec<i64> = (0..rank as i64).collect();
    if rank > 1 {
        order.swap(rank - 1, rank - 2);
    }
    call.emit("Transpose", vec![value], vec![ints("perm", order)])
}

/// An axis setting.
pub(super) fn along(axis: usize) -> super::super::super::onnx::proto::AttributeProto {
    int("axis", axis as i64)
}

/// Multiply-accumulates of a convolution or a matrix product, for the whole batch, whatever its operands are: those that its
/// shapes demand.
pub(super) fn macs(call: &Call<'_, '_>) -> Option<i64> {
    let of = |argument: Option<&super::super::schema::Argument>| known(call.meta_of(argument?).ok()?).ok();
    let count = |sizes: &[i64]| sizes.iter().try_fold(1i64, |count, &size| count.checked_mul(size));
    let output = call.output_dims(0).ok()?;
    let (each, times) = match call.operator {
        "aten.conv1d" | "aten.conv2d" | "aten.conv3d" | "aten.convolution"
            if !call.flag("transposed", false) =>
        {
            (of(call.argument("weight"))?.get(1..)?.to_vec(), output)
        }
        "aten.conv_transpose1d" | "aten.conv_transpose2d" | "aten.conv_transpose3d" | "aten.convolution" => {
            (of(call.argument("weight"))?.get(1..)?.to_vec(), call.dims().ok()?)
        }
        "aten.linear" => (of(call.argument("weight"))?.get(1..)?.to_vec(), output),
        "aten.matmul" | "aten.mm" | "aten.bmm" => {
            let inner = call.dims().ok()?;
            // PyTorch's counter leaves products with a vector out.
            let is_matrix = inner.len() > 1 && of(call.at(1).ok())?.len() > 1;
            (vec![*inner.last().filter(|_| is_matrix)?], output)
        }
        "aten.addmm" | "aten.baddbmm" => (vec![*of(call.at(1).ok())?.last()?], output),
        _ => return None,
    };
    count(&each)?.checked_mul(count(&times)?)
}
