//! Products of two computed matrices.

use super::call::{Call, Counter, Gradients};
use super::space::unravel;
use crate::scalar::Scalar;
use crate::tensor::Tensor;
use cnnkit_core::diagnostic::Problem;

/// The locations of the matrices of a batched product: one entry per matrix of the output.
struct Plan {
    sizes: Vec<usize>,
    /// First elements of the left and the right matrix.
    starts: Vec<[usize; 2]>,
    rows: usize,
    inner: usize,
    columns: usize,
}

fn plan<S: Scalar>(call: Call<'_, S>) -> Result<Plan, Problem> {
    let [left, right] = call.inputs else { return Err(Problem::shape("a product takes two inputs")) };
    let rank = left.sizes().len();
    let (a, b) = (left.sizes(), right.sizes());
    let (rows, inner, columns) = (a[rank - 2], a[rank - 1], b[rank - 1]);
    if b[rank - 2] != inner {
        return Err(Problem::shape("the left matrix needs as many columns as the right one has rows"));
    }
    let outer: Vec<usize> = (0..rank - 2).map(|axis| a[axis].max(b[axis])).collect();
    let mut at = vec![0; outer.len()];
    let mut starts = Vec::new();
    for flat in 0..outer.iter().product() {
        unravel(flat, &outer, &mut at);
        let place = |sizes: &[usize]| {
            at.iter()
                .zip(sizes)
                .fold(0, |flat, (&index, &size)| flat * size + if size == 1 { 0 } else { index })
        };
        starts.push([place(&a[..rank - 2]) * rows * inner, place(&b[..rank - 2]) * inner * columns]);
    }
    Ok(Plan { sizes: [outer.as_slice(), &[rows, columns]].concat(), starts, rows, inner, columns })
}

/// Computes `output[..., m, n] = sum over k of left[..., m, k] * right[..., k, n]`.
pub(super) fn forward<S: Scalar>(call: Call<'_, S>, counter: &mut Counter) -> Result<Tensor<S>, Problem> {
    let plan = plan(call)?;
    let (left, right) = (call.inputs[0].data(), call.inputs[1].data());
    let mut data = Vec::with_capacity(plan.sizes.iter().product());
    for &[a, b] in &plan.starts {
        for m in 0..plan.rows {
            for n in 0..plan.columns {
                let mut sum = S::ZERO;
                for k in 0..plan.inner {
                    sum += left[a + m * plan.inner + k] * right[b + k * plan.columns + n];
                    counter.macs += 1;
                }
                data.push(sum);
            }
        }
    }
    Tensor::new(&plan.sizes, data)
}

pub(super) fn backward<S: Scalar>(call: Call<'_, S>, vector: &Tensor<S>) -> Result<Gradients<S>, Problem> {
    let plan = plan(call)?;
    let (left, right) = (call.inputs[0].data(), call.inputs[1].data());
    let mut gradients = call.zero_gradients();
    let mut from = vector.data().iter();
    for &[a, b] in &plan.starts {
        for m in 0..plan.rows {
            for n in 0..plan.columns {
                let gradient = from.next().copied().unwrap_or(S::ZERO);
                for k in 0..plan.inner {
                    let (i, j) = (a + m * plan.inner + k, b + k * plan.columns + n);
                    gradients.inputs[0].data_mut()[i] += gradient * right[j];
                    gradients.inputs[1].data_mut()[j] += gradient * left[i];
                }
            }
        }
    }
    Ok(gradients)
}
